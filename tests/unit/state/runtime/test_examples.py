"""One worked example for each thing that a user of a confidential cloud asks of it; docs/RUNTIME.md points here line by line."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state import queries
from state.messages import AuthKey, Bond, BondAction, BondPurpose, Scope, SetAuth
from state.offers import PlanUnit, ResourceKind
from state.order_messages import DEAR_RECEIPTS_MAX, Fail, GrantAnswer
from state.order_records import PROVIDERS
from state.order_terms import LineRole, Mark
from state.policies import UsesAtMost
from state.receipts import EventKind
from state.records import HOLDINGS
from state.resource_records import RELEASES, RESOURCE_USES, RESOURCES, ReleaseStatus, numbered_key
from state.runtime.execute import Executed
from state.trust_messages import Supersede
from state.trust_records import EnclaveState
from tests.support.attesting import CUSTOMER, EMPTY_RELEASE, PROVIDER, publish
from tests.support.chain_builders import account, account_key
from tests.support.ordering import ANY_MACHINE, BOND, MACHINE_PLAN, OWNER, SECOND_MS, STRANGER, Market


@pytest.fixture
def market() -> Market:
    return Market()


def told(executed: Executed, kind: EventKind) -> list[dict[str, int | bytes]]:
    """Return the attributes of all events of a kind."""
    return [dict(event.attributes) for event in executed.events if event.kind is kind]


def test_a_provider_keeps_three_keys_for_money_machines_and_rules(market: Market) -> None:
    money, machines, rules = sorted((account_key(index) for index in (10, 11, 12)), key=lambda key: key.public_key)
    keys = [
        AuthKey(public_key=key.public_key, weight=1, scopes=scopes)
        for key, scopes in ((money, Scope.FUND), (machines, Scope.OPERATE), (rules, Scope.OWN | Scope.GOVERN))
    ]
    change = SetAuth(account=account(0), keys=tuple(keys), threshold=1, guardians=(), guardian_quorum=0)
    assert market.reason(PROVIDER, change) == ""
    market.pass_time(31)
    order = market.place()
    accept = market.accept_message(order)
    wrong, right = (market.sign(key, accept, sender=account(0), fee=10_000_000) for key in (money, machines))
    assert market.apply(wrong).receipts[0].reason == "unauthorised"
    assert market.apply(right).receipts[0].reason == ""


def test_a_provider_deposits_a_bond_and_takes_back_what_no_order_holds(market: Market) -> None:
    order = market.accepted()
    locked = market.order(order).penalty_locked
    assert locked == 20_000, "a tenth of what the escrow holds, which is less than the whole ordered time costs"
    holdings = market.ledger.get(HOLDINGS, account(0))
    assert (holdings.provider_bond, holdings.provider_locked) == (BOND - locked, locked)
    remove = Bond(
        action=BondAction.REMOVE,
        purpose=BondPurpose.PROVIDER,
        amount=BOND,
        validator=b"",
        consensus_key=b"",
        proof=b"",
    )
    assert market.reason(PROVIDER, remove) == "bond_too_low"
    assert market.reason(PROVIDER, replace(remove, amount=BOND - locked)) == ""


def test_an_owner_offers_data_and_replaces_its_release(market: Market) -> None:
    newer = replace(EMPTY_RELEASE, content_root=b"\x2d" * 32)
    message = publish(
        ResourceKind.DATA, resource=market.data, release=newer, supersedes=Supersede.ALL, notice_ms=60 * SECOND_MS
    )
    assert market.reason(OWNER, message) == ""
    assert market.ledger.get(RELEASES, numbered_key(market.data, 0)).status is ReleaseStatus.DEPRECATED
    assert market.reason(CUSTOMER, market.order_message()) == "not_current"
    line = market.line(LineRole.DATA, market.data, release=1)
    lines = (*market.order_message().lines[:2], line)
    assert market.reason(CUSTOMER, market.order_message(lines=lines)) == ""


def test_a_customer_orders_a_workflow_whose_second_part_waits_for_the_first(market: Market) -> None:
    first = market.place()
    second = market.place(after=(first,))
    assert market.reason(PROVIDER, market.accept_message(second)) == "after_pending"
    assert market.reason(PROVIDER, market.accept_message(first)) == ""
    assert market.reason(OWNER, market.grant_message(first)) == ""
    assert market.report(market.start(first)) == ""
    assert market.report(market.output(first, root=b"\x77" * 32)) == ""
    assert market.reason(PROVIDER, market.accept_message(second)) == ""
    assert market.reason(OWNER, market.grant_message(second)) == ""
    start = market.start(second)
    assert market.report(start) == "inputs_mismatch"
    assert market.report(replace(start, inputs=(*start.inputs, b"\x77" * 32))) == ""


def test_a_provider_processes_an_order_and_its_start_is_public(market: Market) -> None:
    order = market.accepted()
    assert market.reason(OWNER, market.grant_message(order)) == ""
    executed = market.send(PROVIDER, market.receipts(market.start(order)))
    (started,) = told(executed, EventKind.ORDER_STARTED)
    assert started == {"order": order, "enclave": market.enclave_of(), "operator": account(0)}
    assert [used["resource"] for used in told(executed, EventKind.USED)] == [
        market.hardware,
        market.image,
        market.data,
    ]


def test_an_order_names_the_enclave_and_the_proof_that_it_ran_under(market: Market) -> None:
    order = market.running()
    enclave = market.enclave()
    assert market.order(order).enclave == market.enclave_of()
    assert (enclave.state, enclave.image, enclave.hardware) == (
        EnclaveState.TRUSTED,
        market.image,
        market.hardware,
    )
    assert enclave.evidence_hash != bytes(32)


def test_an_enclave_tells_the_result_of_an_order(market: Market) -> None:
    order = market.running()
    assert market.report(market.output(order, root=b"\x51" * 32, reference="file:result")) == ""
    output = market.run(order).output
    assert output is not None
    assert (output.root, output.reference) == (b"\x51" * 32, "file:result")


def test_an_enclave_tells_that_an_order_failed_and_why(market: Market) -> None:
    order = market.running()
    assert market.report(Fail(order=order, number=1, code=7)) == ""
    assert market.standing(order) == ("closed", "failed")
    assert market.run(order).fail_code == 7


def test_a_customer_is_told_that_the_money_runs_low(market: Market) -> None:
    order = market.running(deposit=100_000)
    percents = []
    for _ in range(12):
        market.pass_time(3)
        executed = market.send(PROVIDER, market.receipts(market.beat(order)))
        percents += [event["share"] for event in told(executed, EventKind.LOW_FUNDS)]
    assert percents == [20, 5]


def test_an_order_that_ran_out_of_money_goes_on_when_somebody_adds_some(market: Market) -> None:
    order = market.running(deposit=60_000)
    market.work(order, 15)
    assert market.standing(order) == ("stalled", "out_of_funds")
    assert market.report(market.beat(order)) == "deposit_too_low"
    assert market.reason(STRANGER, market.fund(order, 30_000)) == ""
    assert market.report(market.beat(order)) == ""
    assert market.standing(order) == ("running", "")


def test_an_order_that_nobody_funds_again_ends_when_its_data_need_not_be_kept(market: Market) -> None:
    order = market.running(deposit=60_000)
    market.work(order, 15)
    market.pass_time(61)
    assert market.standing(order) == ("closed", "out_of_funds")


def test_a_customer_cancels_and_the_change_comes_back_to_those_who_gave_it(market: Market) -> None:
    order = market.running(deposit=100_000)
    assert market.reason(STRANGER, market.fund(order, 50_000)) == ""
    before = {name: market.balance(account(name)) for name in (1, 4)}
    executed = market.send(CUSTOMER, market.close(order))
    assert executed.receipts[0].reason == ""
    assert market.balance(account(4)) == before[4] + 50_000, "who gave last gets back first"
    assert market.balance(account(1)) == before[1] - 10_000_000 + 40_000
    assert queries.money(market.ledger).escrows == 0


def test_a_provider_is_paid_while_an_order_runs(market: Market) -> None:
    order = market.running()
    before = market.balance(account(0))
    market.work(order, 20)
    fees = 4 * 10_000_000
    assert market.balance(account(0)) > before - fees
    assert market.order(order).settled[0] > 0


def test_an_owner_releases_a_key_to_one_enclave_or_refuses(market: Market) -> None:
    order = market.accepted()
    executed = market.send(OWNER, market.grant_message(order))
    (granted,) = told(executed, EventKind.GRANTED)
    assert (granted["enclave"], granted["resource"]) == (market.enclave_of(), market.data)
    refused = market.accepted()
    message = market.grant_message(refused)
    assert market.reason(OWNER, replace(message, answer=GrantAnswer.REFUSE, capsule=b"")) == ""
    assert market.standing(refused) == ("closed", "grant_refused")


def test_a_customer_marks_an_order_once(market: Market) -> None:
    order = market.running()
    assert market.report(market.output(order)) == ""
    assert market.reason(CUSTOMER, market.close(order, Mark.GOOD)) == ""
    assert market.reason(CUSTOMER, market.close(order, Mark.BAD)) == "already_marked"
    assert market.ledger.get(PROVIDERS, account(0)).marks_good == 1


def test_an_order_takes_storage_of_another_machine(market: Market) -> None:
    plan = replace(MACHINE_PLAN, unit=PlanUnit.GB_SECOND, price=10)
    storage = market.publish(STRANGER, publish(ResourceKind.HARDWARE, plans=(plan,)))
    lines = (*market.order_message().lines, market.line(LineRole.STORAGE, storage, quantity=3))
    order = market.running(lines=lines)
    in_use = market.ledger.get(RESOURCES, storage).in_use
    assert in_use is not None
    assert in_use.disk_mib == 3 * 1_024
    started_ms = market.order(order).started_ms
    market.work(order, 10)
    proven_ms = market.time_ms - SECOND_MS
    assert market.order(order).earned[3] == 30 * (proven_ms - started_ms) // 1_000


WEAK_PROMISES = [
    ("beat_every_ms_max", 9_999),
    ("grace_ms_max", 19_999),
    ("penalty_bp_min", 1_001),
    ("notice_ms_min", 30_001),
    ("min_term_ms_max", 9_999),
]


def test_an_order_takes_any_machine_whose_plan_promises_enough(market: Market) -> None:
    lines = (market.line(LineRole.COMPUTE, b"", price_max=1_000), *market.order_message().lines[1:])
    order = market.running(lines=lines, machine=ANY_MACHINE)
    assert market.order(order).plan == MACHINE_PLAN


@pytest.mark.parametrize(("name", "bound"), WEAK_PROMISES, ids=[name for name, _ in WEAK_PROMISES])
def test_a_machine_whose_plan_promises_less_cannot_accept(market: Market, name: str, bound: int) -> None:
    lines = (market.line(LineRole.COMPUTE, b""), *market.order_message().lines[1:])
    order = market.place(lines=lines, machine=replace(ANY_MACHINE, **{name: bound}))
    assert market.reason(PROVIDER, market.accept_message(order)) == "plan_too_weak"


@pytest.mark.parametrize(("max_term_ms", "reason"), [(999 * SECOND_MS, "plan_too_weak"), (1_000 * SECOND_MS, "")])
def test_a_machine_of_any_kind_cannot_end_an_order_early_by_its_longest_term(max_term_ms: int, reason: str) -> None:
    market = Market(max_term_ms=max_term_ms)
    lines = (market.line(LineRole.COMPUTE, b""), *market.order_message().lines[1:])
    order = market.place(lines=lines, machine=ANY_MACHINE, end_by_ms=market.time_ms + 1_001 * SECOND_MS)
    assert market.reason(PROVIDER, market.accept_message(order)) == reason


def test_a_resource_is_not_used_more_often_than_its_policy_allows(market: Market) -> None:
    once = publish(
        ResourceKind.DATA, release=EMPTY_RELEASE, policy=(UsesAtMost(count=1),), plans=(replace(MACHINE_PLAN, price=0),)
    )
    data = market.publish(OWNER, once)
    lines = (*market.order_message().lines[:2], market.line(LineRole.DATA, data))
    first, second = market.accepted(lines=lines), market.accepted(lines=lines)
    assert market.report(market.start(first)) == ""
    assert market.report(market.start(second)) == ""
    assert market.standing(second) == ("open", "")
    assert market.ledger.get(RESOURCE_USES, data).count == 1


def test_a_message_carries_few_receipts_that_are_no_beats(market: Market) -> None:
    order = market.running()
    number = market.order(order).receipt_count
    outputs = [market.output(order, is_last=False, number=number + index) for index in range(DEAR_RECEIPTS_MAX + 1)]
    assert market.report(*outputs) == "too_many_receipts"
    assert market.report(*outputs[:-1]) == ""
