"""The state machine of orders, whole: every state with everything that may happen to an order, by everybody.

What the table lists happens, and the record is right; all else is refused and changes nothing. Each case runs on a world of its
state that is made once and never changed: a block is executed above it and dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
from msgspec.structs import replace

from state.crypto import SigningKey
from state.governance_messages import EndOrder
from state.ledger import Overlay
from state.messages import Message
from state.offers import PlanUnit, ServiceLevel
from state.order_messages import Erase, Fail, GrantAnswer, WorkReceipt
from state.order_records import ORDER_GRANTS, ORDERS, Order, OrderState, line_key
from state.order_terms import Mark
from state.receipts import Receipt
from state.resource_records import RELEASES, RESOURCE_USES, RESOURCES, ReleaseStatus, numbered_key
from state.runtime.context import Context
from state.runtime.governance.effects import apply_payload
from state.runtime.order_queue import ask_review, orders_of_resource
from state.runtime.orders.books import next_date
from state.runtime.orders.reviews import run_reviews
from state.runtime.orders.table import TRANSITIONS, Trigger
from tests.support.attesting import CUSTOMER, PROVIDER, expire_enclave
from tests.support.chain_builders import account
from tests.support.checked_overlay import CheckedOverlay
from tests.support.order_laws import check_order_laws
from tests.support.ordering import OWNER, SECOND_MS, STRANGER, Market

STATES = tuple(OrderState)
Situation = tuple[Market, bytes]


@cache
def situation(state: OrderState, attempts: int = 2) -> Situation:
    """Return a market with an order in a state, which nobody may change. Its key is granted once it is accepted."""
    market = Market()
    if state is OrderState.OPEN:
        return market, market.place(attempts=attempts)
    if state is OrderState.ACCEPTED:
        order = market.accepted(attempts=attempts)
        assert market.reason(OWNER, market.grant_message(order)) == ""
        return market, order
    order = market.running(attempts=attempts)
    market.work(order, 15)
    if state is OrderState.STALLED:
        market.pass_time(11)
    if state is OrderState.CLOSED:
        assert market.report(market.output(order)) == ""
    assert market.order(order).state is state
    check_order_laws(market)
    return market, order


def execute(
    market: Market, order: bytes, signer: SigningKey | None, *messages: Message, seconds: int = 1
) -> tuple[tuple[Receipt, ...], Order]:
    """Execute a block above a market and return its receipts and the order after it."""
    transactions = [] if signer is None else [market.sign(signer, *messages, fee=10_000_000)]
    executed, overlay = market.execute(transactions, market.header(len(transactions), seconds * SECOND_MS))
    return executed.receipts, find_after(overlay, market, order)


def find_after(overlay: Overlay, market: Market, order: bytes) -> Order:
    """Return the order after a block, which is promised the use of its data exactly where its key waits for the start."""
    after = overlay.get(ORDERS, order)
    is_waiting = after.state is OrderState.ACCEPTED and overlay.find(ORDER_GRANTS, line_key(order, 2)) is not None
    assert after.promised == ((2,) if is_waiting else ())
    assert overlay.get(RESOURCE_USES, market.data).promised == is_waiting
    return after


def receipts_of(make: Callable[[Market, bytes], WorkReceipt]) -> Callable[[Market, bytes], Message]:
    return lambda market, order: market.receipts(make(market, order))


def count_of(market: Market, order: bytes) -> int:
    return market.order(order).receipt_count


SENT: dict[Trigger, tuple[SigningKey, Callable[[Market, bytes], Message]]] = {
    Trigger.FUND: (STRANGER, lambda market, order: market.fund(order, 1)),
    Trigger.ACCEPT: (PROVIDER, lambda market, order: market.accept_message(order)),
    Trigger.GRANT: (OWNER, lambda market, order: market.grant_message(order)),
    Trigger.REFUSE: (
        OWNER,
        lambda market, order: market.grant_message(order, answer=GrantAnswer.REFUSE, capsule=b""),
    ),
    Trigger.START: (STRANGER, receipts_of(lambda market, order: market.start(order))),
    Trigger.BEAT: (STRANGER, receipts_of(lambda market, order: market.beat(order))),
    Trigger.OUTPUT: (STRANGER, receipts_of(lambda market, order: market.output(order, is_last=False))),
    Trigger.LAST_OUTPUT: (STRANGER, receipts_of(lambda market, order: market.output(order))),
    Trigger.FAIL: (
        STRANGER,
        receipts_of(lambda market, order: Fail(order=order, number=count_of(market, order), code=7)),
    ),
    Trigger.ERASE: (STRANGER, receipts_of(lambda market, order: Erase(order=order, number=count_of(market, order)))),
    Trigger.CLOSE_BY_CUSTOMER: (CUSTOMER, lambda market, order: market.close(order)),
    Trigger.CLOSE_BY_PROVIDER: (PROVIDER, lambda market, order: market.close(order)),
    Trigger.CLOSE_BY_OWNER: (OWNER, lambda market, order: market.close(order)),
    Trigger.MARK: (CUSTOMER, lambda market, order: market.close(order, Mark.GOOD)),
}
"""Every message: who sends it here, and how it is made. Receipts come from anybody; their enclave signs them."""

O, A, R, S, C = STATES
LEADS_TO: dict[tuple[OrderState, Trigger], str] = {
    (O, Trigger.FUND): "open",
    (O, Trigger.ACCEPT): "accepted",
    (O, Trigger.CLOSE_BY_CUSTOMER): "closed cancelled",
    # Nobody has accepted: who offers the machine declines as the owner of a line.
    (O, Trigger.CLOSE_BY_PROVIDER): "closed policy_revoked",
    (O, Trigger.CLOSE_BY_OWNER): "closed policy_revoked",
    (A, Trigger.FUND): "accepted",
    (A, Trigger.GRANT): "accepted",
    (A, Trigger.REFUSE): "closed grant_refused",
    (A, Trigger.START): "running",
    (A, Trigger.FAIL): "closed failed",
    (A, Trigger.CLOSE_BY_CUSTOMER): "closed cancelled",
    (A, Trigger.CLOSE_BY_PROVIDER): "open",
    (A, Trigger.CLOSE_BY_OWNER): "closed policy_revoked",
    (R, Trigger.FUND): "running",
    (R, Trigger.BEAT): "running",
    (R, Trigger.OUTPUT): "running",
    (R, Trigger.LAST_OUTPUT): "closed done",
    (R, Trigger.FAIL): "closed failed",
    (R, Trigger.ERASE): "running",
    (R, Trigger.CLOSE_BY_CUSTOMER): "closed cancelled",
    (R, Trigger.CLOSE_BY_PROVIDER): "running",
    (R, Trigger.CLOSE_BY_OWNER): "running",
    (S, Trigger.FUND): "stalled beat_missed",
    (S, Trigger.BEAT): "running",
    (S, Trigger.OUTPUT): "running",
    (S, Trigger.LAST_OUTPUT): "closed done",
    (S, Trigger.FAIL): "closed failed",
    (S, Trigger.ERASE): "stalled beat_missed",
    (S, Trigger.CLOSE_BY_CUSTOMER): "closed cancelled",
    (S, Trigger.CLOSE_BY_PROVIDER): "open",
    (S, Trigger.CLOSE_BY_OWNER): "closed policy_revoked",
    (C, Trigger.ERASE): "closed done",
    (C, Trigger.MARK): "closed done",
}
"""Where each message leads an order that may be tried once more; what is not here is refused."""
RECEIPTS = (Trigger.START, Trigger.BEAT, Trigger.OUTPUT, Trigger.LAST_OUTPUT, Trigger.FAIL, Trigger.ERASE)
REFUSALS: dict[tuple[OrderState, Trigger], str] = {
    **{(O, trigger): "no_enclave" for trigger in RECEIPTS},
    (C, Trigger.CLOSE_BY_PROVIDER): "not_party",
    (C, Trigger.CLOSE_BY_OWNER): "not_party",
}
"""Refusals for another reason than the state: an open order has no enclave, a closed one no party but its customer."""


def standing(order: Order) -> str:
    """Return an order's state and why it is closed or stalled."""
    why = order.reason or order.cause
    return order.state.name.lower() + ("" if why is None else f" {why.name.lower()}")


@pytest.mark.parametrize("trigger", SENT)
@pytest.mark.parametrize("state", STATES)
def test_every_message_in_every_state_does_what_the_table_says_or_nothing(state: OrderState, trigger: Trigger) -> None:
    market, order = situation(state)
    before = market.order(order)
    signer, make = SENT[trigger]
    (receipt,), after = execute(market, order, signer, make(market, order))
    expected = LEADS_TO.get((state, trigger))
    if expected is None:
        assert receipt.reason == REFUSALS.get((state, trigger), "wrong_state")
        assert after == before
        assert trigger not in TRANSITIONS[state]
        return
    assert receipt.reason == ""
    assert standing(after) == expected
    if (state, trigger) != (O, Trigger.CLOSE_BY_PROVIDER):
        assert after.state in TRANSITIONS[state][trigger]
    check_record(market, before, after)


def check_record(market: Market, before: Order, after: Order) -> None:
    """Check what the record of each state must say and must not."""
    is_bound = bool(after.enclave)
    assert is_bound == bool(after.operator) == bool(after.hardware) == (after.plan is not None)
    assert (after.reason is not None) == (after.state is C) == bool(after.closed_ms)
    assert (after.cause is not None) == (after.state is S)
    assert after.receipt_count in {before.receipt_count, before.receipt_count + 1}
    assert (after.head == before.head) == (after.receipt_count == before.receipt_count)
    now_ms = market.time_ms + SECOND_MS
    match after.state:
        case OrderState.OPEN:
            assert not is_bound
            assert (after.started_ms, after.paid_time_ms, after.penalty_locked) == (0, 0, 0)
            assert now_ms < after.accept_by_ms <= after.start_by_ms
        case OrderState.ACCEPTED:
            assert is_bound
            assert (after.started_ms, after.accrued_ms) == (0, 0)
        case OrderState.RUNNING:
            assert is_bound
            assert 0 < after.started_ms <= after.accrued_ms <= now_ms
        case OrderState.STALLED:
            assert (after.earned, after.accrued_ms) == (before.earned, before.accrued_ms)
        case OrderState.CLOSED:
            assert (after.held, after.penalty_locked, after.settled) == (0, 0, after.earned)


def test_the_table_lists_nothing_that_cannot_happen() -> None:
    """Messages are all tried above, dates and changes below."""
    tried = set(SENT) | {trigger for _, trigger in DATES} | {trigger for _, trigger in CHANGES}
    alone = {Trigger.FUNDS_OUT, Trigger.START_DENIED}
    assert tried | alone == set(Trigger)
    for state in STATES:
        for trigger in TRANSITIONS[state]:
            assert trigger in alone or has_case(state, trigger), trigger


def has_case(state: OrderState, trigger: Trigger) -> bool:
    return any((state, trigger) in cases for cases in (LEADS_TO, DATES, CHANGES))


STRANGERS: dict[Trigger, tuple[SigningKey, str]] = {
    Trigger.ACCEPT: (STRANGER, "not_owner"),
    Trigger.GRANT: (CUSTOMER, "not_owner"),
    Trigger.REFUSE: (PROVIDER, "not_owner"),
    Trigger.CLOSE_BY_CUSTOMER: (STRANGER, "not_party"),
    Trigger.MARK: (PROVIDER, "not_party"),
}
"""Messages that are not anybody's to send: somebody who may not, and the refusal."""


@pytest.mark.parametrize("trigger", STRANGERS)
@pytest.mark.parametrize("state", STATES)
def test_who_is_no_party_moves_no_order(state: OrderState, trigger: Trigger) -> None:
    market, order = situation(state)
    signer, refusal = STRANGERS[trigger]
    (receipt,), after = execute(market, order, signer, SENT[trigger][1](market, order))
    is_possible = trigger in TRANSITIONS[state] or (state, trigger) == (C, Trigger.CLOSE_BY_CUSTOMER)
    assert receipt.reason == (refusal if is_possible else "wrong_state")
    assert after == market.order(order)


DATES: dict[tuple[OrderState, Trigger], tuple[str, str]] = {
    (O, Trigger.ACCEPT_BY): ("closed accept_timeout", "closed accept_timeout"),
    (A, Trigger.START_BY): ("open", "closed start_timeout"),
    (R, Trigger.BEAT_DUE): ("stalled beat_missed", "stalled beat_missed"),
    (R, Trigger.STOP_AT): ("open", "closed cancelled"),
    (R, Trigger.END_BY): ("closed failed", "closed failed"),
    (S, Trigger.GRACE_OVER): ("open", "closed provider_fault"),
    (S, Trigger.STOP_AT): ("open", "closed provider_fault"),
    (S, Trigger.END_BY): ("closed provider_fault", "closed provider_fault"),
    (C, Trigger.KEEP_OVER): ("", ""),
}
"""Where each date leads: with another attempt, and without."""


def at_date(state: OrderState, trigger: Trigger, attempts: int) -> Situation:
    """Return a market of its own with an order whose next date is this one."""
    is_without_beats = state is R and trigger in {Trigger.END_BY, Trigger.STOP_AT}
    beat_every_ms = 0 if is_without_beats else 10 * SECOND_MS
    market = Market(
        unit=PlanUnit.ONCE if is_without_beats else PlanUnit.SECOND,
        service_level=ServiceLevel(beat_every_ms=beat_every_ms, grace_ms=60 * SECOND_MS, penalty_bp=1_000),
        min_term_ms=0,
        notice_ms=(15 if state is S else 5) * SECOND_MS,
    )
    if state in {O, A}:
        order = market.place(attempts=attempts) if state is O else market.accepted(attempts=attempts)
        if state is A:
            assert market.reason(OWNER, market.grant_message(order)) == ""
        return market, order
    seconds = 20 if trigger is Trigger.END_BY else 500
    early_ms, end_ms = market.time_ms + 9 * SECOND_MS, market.time_ms + seconds * SECOND_MS
    order = market.running(attempts=attempts, accept_by_ms=early_ms, start_by_ms=early_ms, end_by_ms=end_ms)
    if trigger is Trigger.STOP_AT:
        assert market.reason(PROVIDER, market.close(order)) == ""
    if state is S:
        market.pass_time(11)
    if state is C:
        assert market.report(market.output(order)) == ""
    return market, order


@pytest.mark.parametrize("attempts", [2, 1])
@pytest.mark.parametrize(("state", "trigger"), DATES)
def test_every_date_leads_where_the_table_says(state: OrderState, trigger: Trigger, attempts: int) -> None:
    market, order = at_date(state, trigger, attempts)
    record, terms = market.order(order), market.terms(order)
    date_ms, what = next_date(market.params, terms, record)
    assert (record.state, what) == (state, trigger)
    slot_end_ms = -(-date_ms // 256) * 256
    market.apply(interval_ms=date_ms - 1 - market.time_ms)
    assert market.order(order).state is state, "not before its time"
    market.apply(interval_ms=slot_end_ms - market.time_ms)
    expected = DATES[state, trigger][attempts == 1]
    check_order_laws(market)
    if not expected:
        assert market.ledger.find(ORDERS, order) is None
        return
    assert standing(market.order(order)) == expected
    assert market.order(order).state in TRANSITIONS[state][trigger]


def revoke_data(context: Context, market: Market, order: bytes) -> None:
    """Revoke the release of an order's data."""
    key = numbered_key(market.data, 0)
    context.ledger.put(RELEASES, key, replace(context.ledger.get(RELEASES, key), status=ReleaseStatus.REVOKED))
    ask_review(context.ledger, orders_of_resource(market.data))


def freeze_data(context: Context, market: Market, order: bytes) -> None:
    """Have all orders with an order's data ended."""
    record = context.ledger.get(RESOURCES, market.data)
    context.ledger.put(RESOURCES, market.data, replace(record, frozen_ms=context.time_ms))
    ask_review(context.ledger, orders_of_resource(market.data))


def fell_enclave(context: Context, market: Market, order: bytes) -> None:
    """Let an order's enclave expire."""
    expire_enclave(context, market.enclave_of())


def end_by_governance(context: Context, market: Market, order: bytes) -> None:
    """Let governance end an order."""
    apply_payload(context, 0, EndOrder(order=order))


DECISIONS = {
    Trigger.GOVERNANCE: end_by_governance,
    Trigger.RELEASE_REVOKED: revoke_data,
    Trigger.FROZEN: freeze_data,
    Trigger.ENCLAVE_FALLEN: fell_enclave,
}
CHANGES: dict[tuple[OrderState, Trigger], str] = {
    **{(state, Trigger.GOVERNANCE): "closed governance" for state in (O, A, R, S)},
    (O, Trigger.RELEASE_REVOKED): "closed policy_revoked",
    (O, Trigger.FROZEN): "closed policy_revoked",
    (A, Trigger.RELEASE_REVOKED): "closed policy_revoked",
    (A, Trigger.FROZEN): "closed policy_revoked",
    (R, Trigger.RELEASE_REVOKED): "stalled release_revoked",
    (R, Trigger.FROZEN): "running",
    (R, Trigger.ENCLAVE_FALLEN): "stalled enclave_fallen",
    (S, Trigger.RELEASE_REVOKED): "stalled beat_missed",
    (S, Trigger.FROZEN): "stalled beat_missed",
}
"""Where a change of what an order depends on leads; what is not here changes nothing."""


@pytest.mark.parametrize("trigger", DECISIONS)
@pytest.mark.parametrize("state", STATES)
def test_every_change_around_an_order_does_what_the_table_says_or_nothing(state: OrderState, trigger: Trigger) -> None:
    market, order = situation(state)
    before = market.order(order)
    overlay = CheckedOverlay(market.ledger)
    context = Context(overlay, market.params, market.chain_id, 0, market.height + 1, market.time_ms + SECOND_MS)
    DECISIONS[trigger](context, market, order)
    run_reviews(context)
    after = find_after(overlay, market, order)
    assert (state, trigger) in CHANGES or trigger not in TRANSITIONS[state]
    if (state, trigger) not in CHANGES:
        assert after == before
        return
    assert standing(after) == CHANGES[state, trigger]
    assert after.state in TRANSITIONS[state][trigger]
    if trigger is Trigger.FROZEN and after.state is not C:
        assert (after.stop_at_ms, after.stop_by) == (context.time_ms + 30 * SECOND_MS, account(3))
    check_record(market, before, after)


def test_a_beat_that_spends_the_last_of_the_escrow_stalls_the_order() -> None:
    market = Market()
    order = market.running(deposit=60_000)
    market.pass_time(8)
    assert market.report(market.beat(order)) == ""
    market.pass_time(3)
    assert market.report(market.beat(order)) == ""
    assert standing(market.order(order)) == "stalled out_of_funds"
    assert OrderState.STALLED in TRANSITIONS[R][Trigger.FUNDS_OUT]
    assert market.order(order).earned == (10_000, 0, 50_000)
    check_order_laws(market)
