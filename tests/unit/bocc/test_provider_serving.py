"""Orders served by the software TEE on a market in memory. Every round is that of a fresh process unless a test says otherwise."""

from __future__ import annotations

from hashlib import sha256

import pytest
from msgspec.structs import replace

from bocc.errors import NotFinal, RpcRejected
from bocc.provider.rules import Rules
from bocc.provider.worker import FailCode, make_output
from bocc.sealed import open_output
from state.address import format_address
from state.offers import NO_CAPACITY, PlanUnit
from state.order_messages import Accept, Erase, Fail, Start
from state.order_terms import LineRole, Workload
from state.records import ONLY, PARAMS
from tests.support.attesting import CUSTOMER, EMPTY_RELEASE
from tests.support.ordering import ANY_MACHINE, OWNER, STRANGER
from tests.support.provider_stage import CONTENT, RESULT_SECRET, WORKLOAD, Stage


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


async def test_an_order_is_served_from_accept_to_erase(stage):
    """Given an order of six seconds, when processes play a round each, then it is done and its output opens for its customer."""
    order = stage.place()
    assert await stage.round() is not None
    assert stage.market.standing(order) == ("accepted", "")
    await stage.round()
    assert stage.market.standing(order) == ("running", "")
    started_ms = stage.market.order(order).started_ms
    assert await stage.round() == started_ms + 5_000
    stage.market.pass_time(5)
    await stage.round()
    assert stage.market.standing(order) == ("running", "")
    await stage.round()
    assert stage.market.standing(order) == ("closed", "done")
    assert await stage.round() is None
    assert stage.told() == [["Accept"], ["Start"], ["Beat"], ["Output", "Erase"]]
    run = stage.market.run(order)
    assert (run.is_erased, run.output_count) == (True, 1)
    output = open_output(stage.output(order), RESULT_SECRET, stage.market.chain_id, order)
    image_root = stage.market.terms(order).lines[1].content_root
    assert output == make_output((image_root,), WORKLOAD.args_digest)
    assert sha256(output).digest() == run.output.root


class Killed(BaseException):
    """The end of a process, in the middle of whatever it does."""


@pytest.mark.parametrize("has_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
async def test_a_process_killed_at_any_message_leaves_all_to_the_next(stage, monkeypatch, number, has_effect):
    """Given a kill just before or after a message had its effect, when others go on, then nothing is missing or done twice."""
    order, send, sent = stage.place(workload=_working(8)), stage.node.send, 0

    async def dying(*arguments, **named):
        nonlocal sent
        sent += 1
        if sent == number:
            if has_effect:
                await send(*arguments, **named)
            raise Killed
        return await send(*arguments, **named)

    monkeypatch.setattr(stage.node, "send", dying)
    deaths = 0
    for _ in range(14):
        try:
            await stage.round()
        except Killed:
            deaths += 1
        stage.market.pass_time(1)
    assert (deaths, stage.market.standing(order)) == (1, ("closed", "done"))
    told = [name for names in stage.told() for name in names if name != "Beat"]
    assert told == ["Accept", "Start", "Output", "Erase"]
    assert list((stage.home / "work").iterdir()) == []


async def test_sealed_data_wait_for_their_key_and_are_opened(stage):
    data = stage.publish_sealed()
    market = stage.market
    lines = (
        market.line(LineRole.COMPUTE, market.hardware),
        market.line(LineRole.SOFTWARE, market.image),
        market.line(LineRole.DATA, data),
    )
    order = stage.place(lines=lines)
    await stage.round()
    assert await stage.round() is None
    assert market.standing(order) == ("accepted", "")
    stage.grant(order)
    await stage.round()
    assert market.standing(order) == ("running", "")
    (start,) = stage.node.sent[-1].receipts
    assert start == Start(
        order=order,
        number=0,
        inputs=(EMPTY_RELEASE.content_root, sha256(CONTENT).digest()),
        args_digest=WORKLOAD.args_digest,
        service=None,
    )


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda stage, order: stage.grant(order, bytes(32)), FailCode.KEY_WRONG),
        (
            lambda stage, order: stage.node.apply(OWNER, stage.market.grant_message(order)),
            FailCode.KEY_WRONG,
        ),
        (
            lambda stage, order: (stage.grant(order), (stage.folder / "data.sealed").unlink()),
            FailCode.INPUT_LACKING,
        ),
    ],
    ids=["another key", "no capsule", "no file"],
)
async def test_an_order_whose_inputs_are_not_what_was_ordered_is_given_up(stage, spoil, code):
    data = stage.publish_sealed()
    market = stage.market
    lines = (
        market.line(LineRole.COMPUTE, market.hardware),
        market.line(LineRole.SOFTWARE, market.image),
        market.line(LineRole.DATA, data),
    )
    order = stage.place(lines=lines)
    await stage.round()
    spoil(stage, order)
    await stage.round()
    assert market.standing(order) == ("closed", "failed")
    assert stage.node.sent[-1].receipts == (Fail(order=order, number=0, code=code),)


@pytest.mark.parametrize(
    ("reason", "state", "receipts"),
    [
        ("pruned", ("closed", "failed"), ["Fail", "Beat"]),
        ("played", ("accepted", ""), ["Beat"]),
    ],
)
async def test_a_block_that_a_node_does_not_tell_keeps_no_other_order_from_its_beats(
    stage, monkeypatch, reason, state, receipts
):
    """Given a running order and one with a key, when the key's block is refused, then the first beats, the other fails or waits."""
    stage.place(workload=_working(60))
    await stage.round()
    await stage.round()
    market, tell_block = stage.market, stage.node.block
    lines = (
        market.line(LineRole.COMPUTE, market.hardware),
        market.line(LineRole.SOFTWARE, market.image),
        market.line(LineRole.DATA, stage.publish_sealed()),
    )
    order = stage.place(lines=lines)
    await stage.round()
    stage.grant(order)
    granted_at = market.height
    market.pass_time(5)

    async def refuse_block(height: int | None = None) -> dict:
        if height == granted_at:
            raise RpcRejected(1, "played", {"reason": reason})
        return await tell_block(height)

    monkeypatch.setattr(stage.node, "block", refuse_block)
    await stage.round()
    assert stage.told()[-1] == receipts
    assert market.standing(order) == state


async def test_an_output_that_nobody_could_open_is_not_made(stage):
    order = stage.place(result_key=bytes(32))
    await stage.round()
    await stage.round()
    stage.market.pass_time(6)
    await stage.round()
    assert stage.market.standing(order) == ("closed", "failed")
    (fail, _) = stage.node.sent[-1].receipts
    assert fail == Fail(order=order, number=1, code=FailCode.RESULT_KEY_WRONG)


async def test_beats_of_all_running_orders_travel_together(stage):
    first, second = stage.place(), stage.place()
    await stage.round()
    await stage.round()
    assert stage.told() == [["Accept"], ["Accept"], ["Start", "Start"]]
    third = stage.place()
    await stage.round()
    assert stage.told()[3:] == [["Accept"]]
    await stage.round()
    assert stage.told()[4:] == [["Start", "Beat", "Beat"]]
    assert {receipt.order for receipt in stage.node.sent[-1].receipts} == {first, second, third}


async def test_receipts_that_no_envelope_holds_together_are_sent_in_turn(tmp_path):
    """Given the smallest envelopes that a chain may allow, when many orders start, then all of them soon run."""
    stage = Stage(tmp_path, plan={"capacity": NO_CAPACITY})
    market, service = stage.market, stage.service()
    orders = [stage.place(workload=_working(600)) for _ in range(8)]
    await stage.round()
    changed = replace(market.params, blocks=replace(market.params.blocks, large_envelope_bytes_max=1 << 10))
    market.govern(lambda context: context.ledger.put(PARAMS, ONLY, changed))
    for _ in range(2):
        await service.round(stage.node, market.time_ms)
    assert {market.standing(order) for order in orders} == {("running", "")}
    assert [told.count("Start") for told in stage.told() if "Start" in told] == [7, 1]


async def test_what_a_cancelled_order_left_is_erased_and_told_once(stage):
    order = stage.place()
    await stage.round()
    await stage.round()
    assert stage.node.apply(CUSTOMER, stage.market.close(order)) == ""
    await stage.round()
    assert stage.node.sent[-1].receipts == (Erase(order=order, number=1),)
    await stage.round()
    await stage.round()
    assert stage.told() == [["Accept"], ["Start"], ["Erase"]]


async def test_a_stalled_order_is_resumed_by_the_next_process(stage):
    order = stage.place(workload=_working(60))
    await stage.round()
    await stage.round()
    stage.market.pass_time(12)
    assert stage.market.standing(order) == ("stalled", "beat_missed")
    await stage.round()
    assert stage.market.standing(order) == ("running", "")


def _working(seconds: int) -> Workload:
    content = f'{{"seconds":{seconds}}}'
    return Workload(args_digest=sha256(content.encode()).digest(), args_reference=f"data:,{content}", manifest_root=b"")


async def test_an_order_that_moved_to_another_machine_is_let_go(stage):
    """Given a held order whose grace is over, when the provider is back, then it forgets it without a receipt."""
    order = stage.place(workload=_working(60))
    await stage.round()
    await stage.round()
    stage.rules = Rules(accept=False)
    stage.market.pass_time(12)
    stage.market.pass_time(21)
    assert stage.market.standing(order) == ("open", "")
    assert await stage.round() is None
    assert stage.told() == [["Accept"], ["Start"]]
    assert list((stage.home / "work").iterdir()) == []


async def test_an_order_that_pays_nothing_more_waits_for_money(stage):
    order = stage.place(workload=_working(60), deposit=10_000)
    await stage.round()
    await stage.round()
    for _ in range(3):
        stage.market.pass_time(5)
        await stage.round()
    assert stage.market.standing(order) == ("stalled", "out_of_funds")
    sent = len(stage.node.sent)
    assert await stage.round() is None
    assert len(stage.node.sent) == sent
    assert stage.node.apply(STRANGER, stage.market.fund(order, 50_000)) == ""
    await stage.round()
    assert stage.market.standing(order) == ("running", "")


async def test_no_more_orders_are_taken_than_the_rules_allow(tmp_path):
    stage = Stage(tmp_path, at_once_max=1)
    first, second = stage.place(), stage.place()
    await stage.round()
    assert (stage.market.standing(first)[0], stage.market.standing(second)[0]) == ("accepted", "open")


@pytest.mark.parametrize(
    "rules", [{"accept": False}, {"customers": (format_address(b"\x00" + bytes(20)),)}, {"at_once_max": 0}]
)
async def test_orders_that_rules_exclude_are_left_to_others(tmp_path, rules):
    stage = Stage(tmp_path, **rules)
    stage.place()
    assert await stage.round() is None
    assert stage.node.sent == []


async def test_an_order_whose_arguments_cannot_be_read_is_left_to_others(stage):
    stage.place(workload=replace(WORKLOAD, args_reference="https://example.com/args"))
    assert await stage.round() is None
    assert stage.node.sent == []


async def test_work_that_is_paid_by_the_piece_is_taken_if_it_can_be_done_in_time(tmp_path):
    stage = Stage(tmp_path, plan={"unit": PlanUnit.ONCE, "min_term_ms": 0, "max_term_ms": 5_000})
    long, short = stage.place(), stage.place(workload=_working(2))
    for _ in range(4):
        await stage.round()
        stage.market.pass_time(1)
    assert (stage.market.standing(long)[0], stage.market.standing(short)) == ("open", ("closed", "done"))
    assert stage.market.order(short).earned[0] == 1_000


async def test_what_a_dry_run_refuses_is_tried_again_later(stage):
    order = stage.place()
    stage.node.refusing = {Accept}
    service = stage.service()
    assert await service.round(stage.node, stage.market.time_ms) is None
    stage.node.refusing = set()
    assert await service.round(stage.node, stage.market.time_ms) is None
    assert stage.node.sent == []
    assert await service.round(stage.node, stage.market.time_ms + 200) is not None
    assert stage.market.standing(order) == ("accepted", "")


async def test_a_node_that_takes_nothing_is_not_flooded(stage):
    stage.place()
    service = stage.service()
    now_ms = stage.market.time_ms
    await service.round(stage.node, now_ms)
    stage.node.is_deaf = True
    await service.round(stage.node, now_ms)
    assert await service.round(stage.node, now_ms) == now_ms + 200
    await service.round(stage.node, now_ms + 200)
    assert await service.round(stage.node, now_ms + 200) == now_ms + 600


async def test_of_a_node_that_is_cut_off_nothing_is_asked_any_more(stage):
    stage.place()
    await stage.round()
    stage.node.is_cut_off = True
    with pytest.raises(NotFinal):
        await stage.round()
    stage.node.is_cut_off = False
    await stage.round()
    assert stage.told() == [["Accept"], ["Start"], ["Start"]]


async def test_nothing_is_served_while_the_enclave_is_not_good(stage):
    stage.place()
    stage.market.pass_time(8 * 86_400)
    assert await stage.round() is None
    assert stage.node.sent == []


async def test_any_hardware_is_served_with_a_plan_of_ours(stage):
    market = stage.market
    lines = (market.line(LineRole.COMPUTE, b""), market.line(LineRole.SOFTWARE, market.image))
    order = stage.place(lines=lines, machine=ANY_MACHINE)
    await stage.round()
    assert stage.node.sent == [Accept(order=order, enclave=market.enclave_of(), plan=0, penalty_max=20_000)]


async def test_an_order_waits_for_those_before_it_and_names_their_outputs(stage):
    first = stage.place()
    second = stage.place(after=(first,))
    await stage.round()
    assert stage.market.standing(second) == ("open", "")
    await stage.round()
    stage.market.pass_time(6)
    await stage.round()
    root = stage.market.run(first).output.root
    await stage.round()
    await stage.round()
    (start,) = [one for one in stage.node.sent[-1].receipts if isinstance(one, Start)]
    assert (start.order, start.inputs[-1]) == (second, root)


async def test_a_clock_ahead_of_the_chain_makes_no_storm_of_beats(stage):
    """Given a clock a minute ahead, when beats prove time, then the next ones wait a quarter of the plan's interval."""
    stage.place(workload=_working(600))
    service = stage.service()
    ahead_ms = 60_000
    for _ in range(2):
        await service.round(stage.node, stage.market.time_ms)
    for _ in range(2):
        await service.round(stage.node, stage.market.time_ms + ahead_ms)
    assert stage.told()[2:] == [["Beat"], ["Beat"]]
    sent_ms = stage.market.time_ms + ahead_ms - 1_000
    assert await service.round(stage.node, sent_ms) == sent_ms + 2_500
    assert len(stage.told()) == 4


async def test_files_of_strangers_among_those_held_are_left_alone(stage):
    (stage.home / "work").mkdir()
    (stage.home / "work" / "notes.txt").touch()
    stage.place()
    await stage.round()
    await stage.round()
    assert stage.told() == [["Accept"], ["Start"]]
    assert (stage.home / "work" / "notes.txt").exists()
