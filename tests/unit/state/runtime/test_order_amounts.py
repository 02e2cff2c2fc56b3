"""The arithmetic of orders at its edges: largest prices and times, remainders, nothing at all, and many at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from state import queries
from state.codec import INTEGER_MAX
from state.offers import NO_CAPACITY, Payee, PlanUnit, ResourceKind
from state.order_records import ORDERS, Order, OrderState, OrderTerms
from state.order_terms import QUANTITY_MAX, AgreedLine, LineRole
from state.params import DURATION_MS_MAX
from state.receipts import EventKind
from state.runtime.explain import explain
from state.runtime.order_queue import has_reviews
from state.runtime.orders.settlement import (
    accrue,
    contributed,
    earn_least_pieces,
    earn_least_terms,
    earn_output,
    earn_starts,
    free_funds,
    funds_time_ms,
    is_funded,
    penalty_for,
)
from tests.support.attesting import CUSTOMER, PROVIDER, expire_enclave, publish
from tests.support.chain_builders import account, make_genesis, with_params
from tests.support.order_laws import check_order_laws
from tests.support.ordering import ANY_MACHINE, DATA_PLAN, MACHINE_PLAN, OWNER, SECOND_MS, STRANGER, Market
from tests.unit.state.runtime.test_order_bytes import longest_order, longest_terms

START_MS = 1_750_000_000_000
SUPPLY = 10**15


def running(
    prices: Sequence[tuple[PlanUnit, int, int]], held: int, least_ms: Sequence[int] = (10_000,) * 4
) -> tuple[OrderTerms, Order]:
    """Return a running order of some lines, each with unit, price, quantity and least term, and the money that it holds."""
    nothing = (0,) * len(prices)
    terms = longest_terms(1, 1)
    lines = tuple(
        AgreedLine(
            role=LineRole.COMPUTE if index == 0 else LineRole.DATA,
            resource=bytes(21),
            release=0,
            quantity=quantity,
            price_max=INTEGER_MAX,
            plan=replace(MACHINE_PLAN, unit=unit, price=price, min_term_ms=least_ms[index], max_term_ms=0),
            content_root=b"" if index == 0 else bytes(32),
            is_sealed=False,
        )
        for index, (unit, price, quantity) in enumerate(prices)
    )
    order = replace(
        longest_order(1),
        state=OrderState.RUNNING,
        reason=None,
        cause=None,
        held=held,
        earned=nothing,
        settled=nothing,
        earned_before=nothing,
        plan=lines[0].plan,
        started_ms=START_MS,
        accrued_ms=START_MS,
        proven_ms=START_MS,
        paid_time_ms=0,
        stop_at_ms=0,
    )
    return replace(terms, lines=lines, end_by_ms=START_MS + DURATION_MS_MAX), order


PRICES = st.one_of(
    st.integers(0, 3), st.integers(0, 10**7), st.sampled_from((INTEGER_MAX, INTEGER_MAX - 1, 999, 1_001))
)
QUANTITIES = st.one_of(st.integers(1, 5), st.just(QUANTITY_MAX))
LINES = st.lists(st.tuples(st.sampled_from(PlanUnit), PRICES, QUANTITIES), min_size=1, max_size=4)
TIMES = st.lists(st.one_of(st.integers(0, 2_000), st.integers(0, DURATION_MS_MAX)), min_size=1, max_size=8)
MONEY = st.one_of(st.integers(0, 10), st.integers(0, SUPPLY), st.just(SUPPLY))


@settings(max_examples=150, deadline=None)
@given(LINES, TIMES, MONEY)
def test_nothing_is_earned_that_is_not_there_and_every_record_can_be_kept(
    prices: list[tuple[PlanUnit, int, int]], times: list[int], held: int
) -> None:
    terms, order = running(prices, held)
    steps, at_ms = [earn_starts(terms, order)], START_MS
    for time_ms in times:
        at_ms += time_ms
        steps.append(accrue(terms, steps[-1], at_ms))
        steps.append(earn_output(terms, steps[-1]))
    pieces = earn_least_pieces(terms, steps[-1])
    ends = (pieces, *(earn_least_terms(terms, pieces, each_ms) for each_ms in (START_MS, at_ms)))
    for before, after in (*pairwise((order, *steps)), *((steps[-1], end) for end in ends)):
        assert all(left <= right for left, right in zip(before.earned, after.earned, strict=True))
        assert free_funds(after) >= 0
        assert contributed(after) == held
        assert 0 <= penalty_for(terms, after, at_ms) <= free_funds(after)
        once = sum(price * count for _, price, count in prices)
        assert is_funded(terms, after) or free_funds(after) < 11 * once + len(prices), "a second, a use, least terms"
    for after in (steps[-1], *ends):
        assert ORDERS.codec.decode(ORDERS.codec.encode(after)) == after


@settings(max_examples=100, deadline=None)
@given(LINES, TIMES)
def test_many_small_steps_pay_what_one_step_pays(prices: list[tuple[PlanUnit, int, int]], times: list[int]) -> None:
    terms, order = running(prices, 10**60)
    stepwise, at_ms = order, START_MS
    for time_ms in times:
        at_ms += time_ms
        stepwise = accrue(terms, stepwise, at_ms)
    assert stepwise == accrue(terms, order, at_ms)
    worked_ms = min(sum(times), DURATION_MS_MAX)
    for earned, (unit, price, quantity) in zip(stepwise.earned, prices, strict=True):
        is_timed = unit in {PlanUnit.SECOND, PlanUnit.GB_SECOND}
        assert earned == (price * quantity * worked_ms // 1_000 if is_timed else 0)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.just(PlanUnit.SECOND), PRICES, QUANTITIES), min_size=4, max_size=4),
    st.lists(st.one_of(st.just(0), st.integers(0, 100_000)), min_size=4, max_size=4),
    MONEY,
)
def test_an_escrow_pays_as_long_as_it_can_up_to_a_unit_for_each_line(
    prices: list[tuple[PlanUnit, int, int]], least_ms: list[int], held: int
) -> None:
    """Each line keeps its least term, unless there is not even enough for these."""
    terms, order = running(prices, held, least_ms)
    funded_ms = funds_time_ms(terms, order)
    rates = [price * quantity for _, price, quantity in prices]
    if not sum(rates):
        assert funded_ms is None
        return
    assert funded_ms is not None
    has_least = sum(rate * each_ms for rate, each_ms in zip(rates, least_ms, strict=True)) <= held * 1_000

    def cost(time_ms: int) -> int:
        times = [max(time_ms, each_ms if has_least else 0) for each_ms in least_ms]
        return sum(rate * each_ms // 1_000 for rate, each_ms in zip(rates, times, strict=True))

    assert cost(funded_ms) <= held
    if funded_ms < INTEGER_MAX:
        assert held < cost(funded_ms + 1) + len(prices)


def machine_order(market: Market, **changes: object) -> bytes:
    """Return a running order for machine and image alone."""
    lines = (market.line(LineRole.COMPUTE, market.hardware), market.line(LineRole.SOFTWARE, market.image))
    return market.running(lines=lines, **changes)


def test_sixteen_payees_get_their_floors_and_the_owner_the_rest() -> None:
    market = Market()
    payees = tuple(
        Payee(account=b"\x00" + index.to_bytes(20, "big"), share_bp=625 - (index == 0) + (index == 15))
        for index in range(16)
    )
    plan = replace(MACHINE_PLAN, capacity=NO_CAPACITY)
    hardware = market.publish(PROVIDER, publish(ResourceKind.HARDWARE, plans=(plan,), payees=payees))
    market.attest(1, hardware=hardware)
    lines = (market.line(LineRole.COMPUTE, hardware), market.line(LineRole.SOFTWARE, market.image))
    order = market.place(lines=lines)
    assert market.reason(PROVIDER, market.accept_message(order, 1)) == ""
    assert market.report(market.start(order), number=1) == ""
    market.pass_time(2)
    before = market.balance(account(0))
    treasury = queries.money(market.ledger).treasury
    assert market.reason(STRANGER, market.receipts(market.output(order), number=1), interval_ms=333) == ""
    earned = market.order(order).earned[0]
    net = earned * 9_800 // 10_000
    shares = [market.balance(payee.account) for payee in payees]
    assert shares == [net * payee.share_bp // 10_000 for payee in payees]
    assert 0 < market.balance(account(0)) - before == net - sum(shares) < 16
    assert queries.money(market.ledger).treasury == treasury + earned - net
    check_order_laws(market)


@pytest.mark.parametrize(("payee_count", "paid_s"), [(7, 11), (8, 0)])
def test_a_beat_pays_few_accounts_and_leaves_many_to_the_end(payee_count: int, paid_s: int) -> None:
    """So that no beat, whose sender pays for a beat, writes hundreds of accounts."""
    market = Market()
    shares = [10_000 - 1_000 * (payee_count - 1), *(1_000,) * (payee_count - 1)]
    payees = tuple(
        Payee(account=b"\x00" + bytes((7,)) * 19 + bytes((index,)), share_bp=share)
        for index, share in enumerate(shares)
    )
    hardware = market.publish(PROVIDER, publish(ResourceKind.HARDWARE, plans=(MACHINE_PLAN,), payees=payees))
    market.attest(1, hardware=hardware)
    lines = (market.line(LineRole.COMPUTE, hardware), market.line(LineRole.SOFTWARE, market.image))
    order = market.place(lines=lines)
    assert market.reason(PROVIDER, market.accept_message(order, 1)) == ""
    assert market.report(market.start(order), number=1) == ""
    for _ in range(2):
        market.pass_time(5)
        assert market.report(market.beat(order), number=1) == ""
    record = market.order(order)
    assert (record.earned[0], record.settled[0]) == (11_000, paid_s * 1_000)
    assert market.report(market.output(order), number=1) == ""
    assert sum(market.balance(payee.account) for payee in payees) == market.order(order).settled[0] * 98 // 100
    check_order_laws(market)


def test_an_attempt_that_ends_pays_its_machine_and_many_others_with_the_order() -> None:
    market = Market()
    payees = tuple(Payee(account=bytes(20) + bytes((index,)), share_bp=625) for index in range(16))
    plan = replace(DATA_PLAN, unit=PlanUnit.SECOND, price=500)
    data = market.publish(OWNER, publish(ResourceKind.DATA, plans=(plan,), payees=payees))
    lines = (
        market.line(LineRole.COMPUTE, market.hardware),
        market.line(LineRole.SOFTWARE, market.image),
        market.line(LineRole.DATA, data),
    )
    order = market.running(lines=lines)
    market.pass_time(5)
    assert market.report(market.beat(order)) == ""
    market.pass_time(11)
    market.pass_time(21)
    record = market.order(order)
    assert (record.state, record.earned, record.settled) == (OrderState.OPEN, (5_000, 0, 2_500), (5_000, 0, 0))
    check_order_laws(market)
    assert market.reason(CUSTOMER, market.close(order)) == ""
    assert market.order(order).settled == (5_000, 0, 2_500)
    assert sum(market.balance(payee.account) for payee in payees) == 16 * (2_450 * 625 // 10_000)
    check_order_laws(market)


def test_an_order_of_nothing_runs_to_its_end_and_moves_nothing() -> None:
    market = Market(price=0)
    order = machine_order(market, deposit=0, end_by_ms=market.time_ms + 130 * SECOND_MS)
    assert market.order(order).penalty_locked == 0
    for _ in range(22):
        market.pass_time(5)
        if market.order(order).state is OrderState.CLOSED:
            break
        assert market.report(market.beat(order)) == ""
    assert market.standing(order) == ("closed", "done")
    assert market.order(order).earned == (0, 0)
    check_order_laws(market)


def test_an_escrow_of_one_ubocc_pays_a_fee_of_one_ubocc() -> None:
    market = Market(price=1, min_term_ms=SECOND_MS)
    lines = (market.line(LineRole.COMPUTE, market.hardware), market.line(LineRole.SOFTWARE, market.image))
    assert market.reason(CUSTOMER, market.order_message(lines=lines, deposit=0)) == "deposit_too_low"
    order = machine_order(market, deposit=1)
    treasury = queries.money(market.ledger).treasury
    market.pass_time(3)
    assert market.report(market.beat(order)) == ""
    assert market.standing(order) == ("stalled", "out_of_funds")
    assert market.reason(CUSTOMER, market.close(order)) == ""
    assert market.order(order).settled == (1, 0)
    assert queries.money(market.ledger).treasury == treasury + 1
    check_order_laws(market)


def test_nobody_can_pay_the_largest_price_and_everybody_is_told_so() -> None:
    market = Market(price=INTEGER_MAX, min_term_ms=DURATION_MS_MAX // 2)
    line = market.line(LineRole.COMPUTE, market.hardware, price_max=INTEGER_MAX)
    message = market.order_message(
        lines=(line, market.line(LineRole.SOFTWARE, market.image)),
        end_by_ms=market.time_ms + DURATION_MS_MAX - SECOND_MS,
    )
    signed = market.sign(CUSTOMER, message, fee=10_000_000)
    assert market.apply(signed).receipts[0].reason == "deposit_too_low"
    assert "deposit_too_low" in str(
        explain(market.ledger, market.sign(CUSTOMER, message, fee=10_000_000), market.time_ms)
    )
    wide = replace(ANY_MACHINE, min_term_ms_max=DURATION_MS_MAX)
    lines = (market.line(LineRole.COMPUTE, b"", price_max=INTEGER_MAX), market.line(LineRole.SOFTWARE, market.image))
    order = market.place(lines=lines, machine=wide)
    assert market.reason(PROVIDER, market.accept_message(order)) == "deposit_too_low"
    check_order_laws(market)


@pytest.mark.parametrize("after_s", [11, 25, 200])
def test_it_makes_no_difference_whether_a_message_or_the_wheel_finds_a_date_first(after_s: int) -> None:
    """Both worlds have an order that falls silent; in one of them a receipt for it comes in the very block, beside another's."""
    records = []
    for is_touched in (True, False):
        market = Market()
        silent, other = machine_order(market), machine_order(market)
        market.pass_time(4)
        assert market.report(market.beat(other)) == ""
        receipts = (market.beat(other), market.start(silent)) if is_touched else (market.beat(other),)
        executed = market.send(PROVIDER, market.receipts(*receipts), interval_ms=after_s * SECOND_MS)
        assert executed.receipts[0].reason == ("wrong_state" if after_s == 200 else "")
        check_order_laws(market)
        records.append(replace(market.order(silent), wheel_ms=0))
    assert records[0] == records[1]
    states = {11: OrderState.STALLED, 25: OrderState.OPEN, 200: OrderState.OPEN}
    assert records[0].state is states[after_s]


@pytest.fixture(scope="module")
def crowded() -> tuple[Market, list[bytes]]:
    """A market with forty orders on one enclave, all with one end, whose blocks look at seven orders each."""
    genesis = with_params(make_genesis(), "blocks", order_reviews_max=7, deadlines_max=7)
    market = Market(genesis, capacity=NO_CAPACITY)
    end_by_ms = market.time_ms + 1_000 * SECOND_MS
    dates = {"end_by_ms": end_by_ms, "start_by_ms": end_by_ms, "accept_by_ms": end_by_ms}
    lines = (market.line(LineRole.COMPUTE, market.hardware), market.line(LineRole.SOFTWARE, market.image))
    orders = [market.place(lines=lines, deposit=20_000, **dates) for _ in range(40)]
    for order in orders:
        assert market.reason(PROVIDER, market.accept_message(order), interval_ms=1) == ""
    assert market.report(*(market.start(order) for order in orders), interval_ms=1) == ""
    return market, orders


def test_a_fall_of_an_enclave_is_seen_by_all_its_orders_in_as_many_blocks_as_they_need(
    crowded: tuple[Market, list[bytes]],
) -> None:
    market, orders = crowded
    address = market.enclave_of()
    market.govern(lambda context: expire_enclave(context, address))
    counts = []
    while has_reviews(market.ledger):
        assert queries.next_work_ms(market.ledger) == market.time_ms, "the chain does not rest"
        executed = market.send(STRANGER, market.receipts(market.beat(orders[0])), interval_ms=1)
        assert executed.receipts[0].reason == "enclave_not_trusted", "it earns nothing meanwhile"
        counts.append([event.kind for event in executed.events].count(EventKind.STALLED))
    assert counts == [7, 7, 7, 7, 7, 5]
    standings = {market.standing(order) for order in orders}
    assert standings == {("stalled", "enclave_fallen")}
    check_order_laws(market)


def test_dates_that_come_at_once_are_kept_in_as_many_blocks_as_they_need(crowded: tuple[Market, list[bytes]]) -> None:
    market, orders = crowded
    market.pass_time(21)
    counts = [len([order for order in orders if market.order(order).state is OrderState.STALLED])]
    while counts[-1]:
        due_ms = queries.next_work_ms(market.ledger)
        assert due_ms is not None
        assert due_ms <= market.time_ms, "the chain does not rest"
        market.apply(interval_ms=1)
        counts.append(len([order for order in orders if market.order(order).state is OrderState.STALLED]))
    assert all(0 <= before - after <= 7 for before, after in pairwise(counts))
    assert {market.standing(order)[0] for order in orders} == {"open"}
    check_order_laws(market)


def test_an_enclave_runs_no_more_orders_than_a_fall_of_it_can_bring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("state.runtime.orders.accepting.ENCLAVE_ORDERS_MAX", 2)
    market = Market()
    orders = [market.place() for _ in range(3)]
    answers = [market.reason(PROVIDER, market.accept_message(order)) for order in orders]
    assert answers == ["", "", "too_many_orders"]
