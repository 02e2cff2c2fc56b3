"""What a provider does next for its orders, decided from records and the time alone."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bocc.provider.orders import (
    ENVELOPE_REST_BYTES,
    PAUSE_FIRST_MS,
    PAUSE_MAX_MS,
    Machine,
    Pauses,
    Step,
    Task,
    beat,
    beats_due_ms,
    erase,
    find_plan,
    is_too_long,
    next_step,
    open_window,
    sign_receipts,
)
from bocc.provider.rules import Rules
from state.address import format_address
from state.codec import INTEGER_MAX, encode
from state.crypto import SigningKey, verify
from state.offers import PlanUnit, ServiceLevel
from state.order_messages import DEAR_RECEIPTS_MAX, RECEIPTS_MAX, Beat, Output, next_head, receipts_signing_bytes
from state.order_records import Order, OrderGrant, OrderRun, OrderState, OrderTerms, StallCause
from state.order_terms import AgreedLine, LineRole, MachineTerms, Mark, Workload
from state.policies import OutputParty
from state.transactions import Body, sign_transaction
from tests.support.ordering import DATA_PLAN, IMAGE_PLAN, MACHINE_PLAN, SLICE

NOW_MS = 1_750_000_000_000
SECOND_MS = 1_000
ENCLAVE = b"\x03" + b"\x0e" * 20
OTHER = b"\x03" + b"\x0f" * 20
HARDWARE, IMAGE, DATA = (b"\x01" + bytes([number]) * 20 for number in (1, 2, 3))
CUSTOMER = b"\x00" + b"\x0c" * 20
ORDER = b"\x02" + b"\x0d" * 20
MACHINE = Machine(
    operator=b"\x00" + b"\x01" * 20,
    enclave=ENCLAVE,
    hardware=HARDWARE,
    image=IMAGE,
    release=0,
    level=1,
    plans=(replace(MACHINE_PLAN, number=0, unit=PlanUnit.ONCE), replace(MACHINE_PLAN, number=1)),
)


def line(role: LineRole, resource: bytes, **changes) -> AgreedLine:
    plan = {LineRole.COMPUTE: MACHINE_PLAN, LineRole.SOFTWARE: IMAGE_PLAN, LineRole.DATA: DATA_PLAN}[role]
    plain = AgreedLine(
        role=role,
        resource=resource,
        release=0,
        quantity=1,
        price_max=10**6,
        plan=plan,
        content_root=b"" if role is LineRole.COMPUTE else b"\x05" * 32,
        is_sealed=role is LineRole.DATA,
    )
    return replace(plain, **changes)


TERMS = OrderTerms(
    customer=CUSTOMER,
    lines=(line(LineRole.COMPUTE, HARDWARE), line(LineRole.SOFTWARE, IMAGE), line(LineRole.DATA, DATA)),
    workload=Workload(args_digest=bytes(32), args_reference="", manifest_root=b""),
    result_key=bytes(32),
    output_to=OutputParty.CUSTOMER,
    purpose=None,
    constraints=(),
    level_min=1,
    machine=None,
    accept_window_ms=60 * SECOND_MS,
    start_window_ms=60 * SECOND_MS,
    end_by_ms=NOW_MS + 1_000 * SECOND_MS,
    attempts=2,
    after=(),
    created_ms=NOW_MS,
    created_height=5,
)
NOTHING = (0, 0, 0)
PLACED = Order(
    state=OrderState.OPEN,
    reason=None,
    cause=None,
    held=200_000,
    earned=NOTHING,
    settled=NOTHING,
    bond_locked=0,
    attempts_left=1,
    enclave=b"",
    operator=b"",
    hardware=b"",
    plan=None,
    penalty_locked=0,
    promised=(),
    accept_by_ms=NOW_MS + 60 * SECOND_MS,
    accepted_ms=0,
    start_by_ms=NOW_MS + 120 * SECOND_MS,
    started_ms=0,
    accrued_ms=0,
    paid_time_ms=0,
    earned_before=NOTHING,
    proven_ms=0,
    settled_ms=0,
    stalled_ms=0,
    stop_at_ms=0,
    stop_by=b"",
    closed_ms=0,
    closed_by=b"",
    receipt_count=0,
    head=bytes(32),
    wheel_ms=0,
)
GRANT = OrderGrant(enclave=ENCLAVE, release=0, grant_epoch=0, capsule_hash=bytes(32), granted_by=CUSTOMER, height=9)
RUN = OrderRun(
    usages=(None, 0, 0),
    start_receipt=bytes(32),
    service=None,
    meter=None,
    output=None,
    start_count=1,
    output_count=0,
    is_erased=False,
    fail_code=0,
    mark=Mark.NONE,
)


def task(state: OrderState, *, order: dict | None = None, terms: dict | None = None, **changes) -> Task:
    """Return an order of ours in a state."""
    bound = {} if state is OrderState.OPEN else {"enclave": ENCLAVE, "plan": MACHINE_PLAN, "started_ms": NOW_MS}
    record = replace(PLACED, state=state, **{**bound, **(order or {})})
    return replace(Task(address=ORDER, terms=replace(TERMS, **(terms or {})), order=record), **changes)


GRANTS = (None, None, GRANT)


@pytest.mark.parametrize(
    ("one", "after_ms", "step"),
    [
        (task(OrderState.ACCEPTED), 0, Step.WAIT),
        (task(OrderState.ACCEPTED, grants=GRANTS), 0, Step.START),
        (task(OrderState.ACCEPTED, grants=(None, None, replace(GRANT, enclave=OTHER))), 0, Step.WAIT),
        (task(OrderState.ACCEPTED, grants=GRANTS, after_roots=None), 0, Step.WAIT),
        (task(OrderState.ACCEPTED, order={"enclave": OTHER}), 0, Step.FORGET),
        (task(OrderState.OPEN), 0, Step.FORGET),
        (task(OrderState.RUNNING), 1_999, Step.BEAT),
        (task(OrderState.RUNNING), 2_000, Step.FINISH),
        (task(OrderState.STALLED, order={"cause": StallCause.BEAT_MISSED}), 0, Step.BEAT),
        (task(OrderState.STALLED, order={"cause": StallCause.BEAT_MISSED}), 2_000, Step.FINISH),
        (task(OrderState.STALLED, order={"cause": StallCause.OUT_OF_FUNDS}), 2_000, Step.WAIT),
        (task(OrderState.STALLED, order={"cause": StallCause.RELEASE_REVOKED}), 2_000, Step.WAIT),
        (task(OrderState.CLOSED), 0, Step.FORGET),
        (task(OrderState.CLOSED, run=RUN), 0, Step.ERASE),
        (task(OrderState.CLOSED, run=replace(RUN, is_erased=True)), 0, Step.FORGET),
        (task(OrderState.CLOSED, run=RUN, order={"enclave": OTHER}), 0, Step.FORGET),
    ],
)
def test_next_step_follows_from_the_record_and_the_time(one, after_ms, step):
    assert next_step(MACHINE, one, 2_000, NOW_MS + after_ms) is step


ASKED = MachineTerms(
    capacity=SLICE,
    beat_every_ms_max=10 * SECOND_MS,
    grace_ms_max=20 * SECOND_MS,
    penalty_bp_min=0,
    notice_ms_min=0,
    min_term_ms_max=10_000,
)
ANY = {"lines": (line(LineRole.COMPUTE, b"", plan=None), *TERMS.lines[1:]), "machine": ASKED}


@pytest.mark.parametrize(
    ("one", "rules", "choice"),
    [
        (task(OrderState.OPEN), Rules(), (0, "")),
        (task(OrderState.OPEN, terms=ANY), Rules(), (1, "")),
        (
            task(OrderState.OPEN, terms={**ANY, "machine": replace(ASKED, capacity=replace(SLICE, vcpus=3))}),
            Rules(),
            (None, "no plan of ours fits"),
        ),
        (
            task(OrderState.OPEN, terms={**ANY, "machine": replace(ASKED, beat_every_ms_max=9_999)}),
            Rules(),
            (None, "no plan of ours fits"),
        ),
        (
            task(OrderState.OPEN, terms={**ANY, "lines": (line(LineRole.COMPUTE, b"", plan=None, price_max=999),)}),
            Rules(),
            (None, "no plan of ours fits"),
        ),
        (task(OrderState.ACCEPTED), Rules(), (None, "not open")),
        (task(OrderState.OPEN, order={"accept_by_ms": NOW_MS}), Rules(), (None, "not open")),
        (task(OrderState.OPEN, terms={"level_min": 2}), Rules(), (None, "our level is too low")),
        (
            task(OrderState.OPEN, terms={"lines": (line(LineRole.COMPUTE, DATA),)}),
            Rules(),
            (None, "another machine"),
        ),
        (
            task(OrderState.OPEN, terms={"lines": (TERMS.lines[0], line(LineRole.SOFTWARE, IMAGE, release=1))}),
            Rules(),
            (None, "another program"),
        ),
        (task(OrderState.OPEN, after_roots=None), Rules(), (None, "waits for other orders")),
        (task(OrderState.OPEN), Rules(key_wait_ms=119_999), (None, "may wait too long for its keys")),
        (task(OrderState.OPEN), Rules(key_wait_ms=120_000), (0, "")),
        (task(OrderState.OPEN, terms={"lines": TERMS.lines[:2]}), Rules(key_wait_ms=0), (0, "")),
        (task(OrderState.OPEN), Rules(customers=(format_address(CUSTOMER),)), (0, "")),
        (
            task(OrderState.OPEN),
            Rules(customers=(format_address(MACHINE.operator),)),
            (None, "not one of our customers"),
        ),
    ],
)
def test_an_open_order_is_taken_if_it_fits_machine_and_rules(one, rules, choice):
    assert find_plan(MACHINE, rules, one, NOW_MS) == choice


PIECE = replace(MACHINE_PLAN, unit=PlanUnit.ONCE, max_term_ms=5_000)


@pytest.mark.parametrize(
    ("plan", "duration_ms", "is_long"),
    [
        (PIECE, 5_000, False),
        (PIECE, 5_001, True),
        (replace(PIECE, max_term_ms=0), 1_000 * SECOND_MS, False),
        (replace(PIECE, max_term_ms=0), 1_000 * SECOND_MS + 1, True),
        (MACHINE_PLAN, 1_000 * SECOND_MS + 1, False),
        (None, 1_000 * SECOND_MS + 1, False),
    ],
)
def test_a_piece_of_work_that_could_not_be_paid_in_time_is_too_long(plan, duration_ms, is_long):
    terms = replace(TERMS, lines=(line(LineRole.COMPUTE, HARDWARE, plan=plan),))
    assert is_too_long(terms, duration_ms, NOW_MS) is is_long


def test_every_open_order_is_looked_at_in_its_turn_and_the_newest_always():
    assert open_window(50, 3) == list(range(50))
    assert open_window(0, 3) == []
    windows = [open_window(120, turn) for turn in range(4)]
    assert all(window[-25:] == list(range(95, 120)) and len(window) <= 50 for window in windows)
    assert {number for window in windows for number in window} == set(range(120))


def beating(*intervals_ms: int) -> list[Task]:
    levels = [ServiceLevel(beat_every_ms=each, grace_ms=0, penalty_bp=0) for each in intervals_ms]
    return [
        task(OrderState.RUNNING, order={"plan": replace(MACHINE_PLAN, service_level=each), "proven_ms": NOW_MS})
        for each in levels
    ]


def test_beats_are_due_when_half_of_the_allowed_time_of_one_order_is_over():
    assert beats_due_ms(beating(9_000, 3_000, 0)) == NOW_MS + 1_500


def test_without_orders_that_ask_for_beats_none_is_due():
    assert beats_due_ms([]) is None
    assert beats_due_ms(beating(0)) is None


def test_a_stalled_order_beats_at_once():
    stalled = task(OrderState.STALLED, order={"cause": StallCause.BEAT_MISSED, "plan": beating(9_000)[0].order.plan})
    assert beats_due_ms([*beating(9_000), stalled]) == 0


@pytest.mark.parametrize("beat_every_ms", [1_000, 3_000, 60_000])
def test_on_an_idle_chain_every_beat_comes_before_the_order_would_stall(beat_every_ms):
    """Given no block but those that beats make, when each takes a fifth of the interval, then time is always proven in time."""
    (one,) = beating(beat_every_ms)
    now_ms = newest_ms = NOW_MS
    for _ in range(20):
        proven_ms = one.order.proven_ms
        arrives_ms = max(beats_due_ms([one]), now_ms) + beat_every_ms // 5
        assert arrives_ms < proven_ms + beat_every_ms
        one = replace(one, order=replace(one.order, proven_ms=max(proven_ms, newest_ms)))
        now_ms = newest_ms = arrives_ms


def test_receipts_of_many_orders_are_signed_once_in_their_place():
    key, heads = SigningKey(bytes(32)), {ORDER: b"\x01" * 32, OTHER: b"\x02" * 32}
    first = task(OrderState.RUNNING, order={"receipt_count": 4})
    receipts = (beat(first), Beat(order=OTHER, number=0, meter=None), erase(first, 5))
    message = sign_receipts(
        key, ENCLAVE, chain_id=bytes(32), at_height=7, at_hash=b"\x07" * 32, heads=heads, receipts=receipts
    )
    assert (message.enclave, message.at_height, message.receipts) == (ENCLAVE, 7, receipts)
    assert [receipt.number for receipt in receipts] == [4, 0, 5]
    signed = receipts_signing_bytes(
        bytes(32),
        enclave=ENCLAVE,
        at_height=7,
        at_hash=b"\x07" * 32,
        heads=(b"\x01" * 32, b"\x02" * 32, next_head(b"\x01" * 32, receipts[0], 7)),
        receipts=receipts,
    )
    assert verify(key.public_key, message.signature, signed)


def test_one_message_has_no_more_receipts_than_the_chain_takes():
    receipts = [Beat(order=ORDER, number=number, meter=None) for number in range(RECEIPTS_MAX + 1)]
    message = sign_receipts(
        SigningKey(bytes(32)),
        ENCLAVE,
        chain_id=bytes(32),
        at_height=7,
        at_hash=bytes(32),
        heads={ORDER: bytes(32)},
        receipts=receipts,
    )
    assert len(message.receipts) == RECEIPTS_MAX


@pytest.mark.parametrize(("bytes_max", "count"), [(0, 1), (1 << 10, 1), (2 << 10, 3), (64 << 10, DEAR_RECEIPTS_MAX)])
def test_receipts_of_one_message_fit_into_an_envelope(bytes_max, count):
    """Given long receipts, when they are sent, then in as few messages as their bytes allow, and never in none."""
    key, most = SigningKey(bytes(32)), INTEGER_MAX
    long = Output(order=ORDER, number=most, root=bytes(32), reference="r" * 500, is_last=True, meter=None)
    message = sign_receipts(
        key,
        ENCLAVE,
        chain_id=bytes(32),
        at_height=most,
        at_hash=bytes(32),
        heads={ORDER: bytes(32)},
        receipts=[long] * (DEAR_RECEIPTS_MAX + 1),
        envelope_bytes_max=bytes_max,
    )
    assert len(message.receipts) == count
    body = Body(sender=CUSTOMER, nonce=most, expires_at_ms=most, fee=most, messages=(message,), memo=b"")
    size = len(sign_transaction(bytes(32), body, (key,)).encoded)
    assert size <= max(bytes_max, len(encode(long)) + ENVELOPE_REST_BYTES)


def test_what_is_refused_again_waits_longer_each_time_up_to_a_bound():
    pauses = Pauses()
    waits = [pauses.refuse(ORDER, NOW_MS) - NOW_MS for _ in range(20)]
    assert waits[:4] == [PAUSE_FIRST_MS, 2 * PAUSE_FIRST_MS, 4 * PAUSE_FIRST_MS, 8 * PAUSE_FIRST_MS]
    assert waits[-1] == PAUSE_MAX_MS
    assert (pauses.until_ms(ORDER), pauses.until_ms(OTHER)) == (NOW_MS + PAUSE_MAX_MS, 0)
    pauses.forget(ORDER)
    assert pauses.refuse(ORDER, NOW_MS) == NOW_MS + PAUSE_FIRST_MS
    pauses.keep(set())
    assert pauses.until_ms(ORDER) == 0
