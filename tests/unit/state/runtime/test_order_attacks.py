"""What somebody might try to gain from orders, and what it comes to."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state.lists import ListKind
from state.messages import Bond, BondAction, BondPurpose, Transfer
from state.offers import PlanUnit, ResourceKind
from state.order_records import ORDER_FUNDS, ORDERS, PROVIDERS
from state.order_terms import CONTRIBUTORS_MAX, LineRole, Mark
from state.receipts import EventKind
from state.records import HOLDINGS
from state.resource_records import PLANS, RELEASES, RESOURCES, ReleaseStatus, numbered_key
from state.runtime.context import Context
from state.runtime.order_queue import ask_review, orders_of_resource
from tests.support.attesting import CUSTOMER, EMPTY_RELEASE, PROVIDER, expire_enclave, publish, td_profile
from tests.support.chain_builders import account, account_key
from tests.support.order_laws import check_order_laws
from tests.support.ordering import ANY_MACHINE, BOND, DATA_PLAN, MACHINE_PLAN, OWNER, SECOND_MS, STRANGER, Market


@pytest.fixture
def market() -> Market:
    return Market()


def revoke(market: Market, resource: bytes) -> None:
    """Revoke the first release of a resource, and have its orders reviewed."""

    def decide(context: Context) -> None:
        key = numbered_key(resource, 0)
        context.ledger.put(RELEASES, key, replace(context.ledger.get(RELEASES, key), status=ReleaseStatus.REVOKED))
        ask_review(context.ledger, orders_of_resource(resource))

    market.govern(decide)


def change_resource(market: Market, resource: bytes, **changes: object) -> None:
    """Change the record of a resource."""
    market.govern(
        lambda context: context.ledger.put(
            RESOURCES, resource, replace(context.ledger.get(RESOURCES, resource), **changes)
        )
    )


def test_a_mark_in_the_block_in_which_an_order_ends_finds_it_ended(market: Market) -> None:
    order = market.running(attempts=1)
    market.pass_time(11)
    assert market.reason(CUSTOMER, market.close(order, Mark.BAD), interval_ms=30 * SECOND_MS) == ""
    assert market.standing(order) == ("closed", "provider_fault")
    assert market.run(order).mark is Mark.BAD
    check_order_laws(market)


def test_a_mark_is_for_who_ran_the_order_last_and_nobody_else(market: Market) -> None:
    order = market.running()
    market.pass_time(11)
    market.pass_time(21)
    market.pass_time(61)
    assert market.standing(order) == ("closed", "accept_timeout")
    assert market.reason(CUSTOMER, market.close(order, Mark.GOOD)) == "wrong_state"
    assert market.ledger.find(PROVIDERS, b"") is None


def test_a_mark_stays_and_a_provider_gives_itself_none(market: Market) -> None:
    order = market.running()
    assert market.report(market.output(order)) == ""
    assert market.reason(PROVIDER, market.close(order, Mark.GOOD)) == "not_party"
    assert market.reason(CUSTOMER, market.close(order, Mark.GOOD)) == ""
    assert market.reason(CUSTOMER, market.close(order, Mark.BAD)) == "already_marked"
    record = market.ledger.get(PROVIDERS, account(0))
    assert (record.marks_good, record.marks_bad) == (1, 0)
    own = market.reason(PROVIDER, market.order_message())
    assert own == ""
    (own_order,) = market.members(ListKind.CUSTOMER, account(0))
    assert market.reason(PROVIDER, market.accept_message(own_order)) == ""
    assert market.reason(OWNER, market.grant_message(own_order)) == ""
    assert market.report(market.start(own_order)) == ""
    assert market.report(market.output(own_order)) == ""
    assert market.reason(PROVIDER, market.close(own_order, Mark.GOOD)) == "not_party"


def test_a_machine_that_also_stores_for_an_order_stays_in_its_list_when_the_order_leaves_it(market: Market) -> None:
    lines = (
        market.line(LineRole.COMPUTE, b""),
        market.line(LineRole.SOFTWARE, market.image),
        market.line(LineRole.STORAGE, market.hardware),
    )
    order = market.place(lines=lines, machine=ANY_MACHINE)
    assert market.reason(PROVIDER, market.accept_message(order)) == ""
    check_order_laws(market)
    assert market.reason(PROVIDER, market.close(order)) == ""
    assert market.standing(order)[0] == "open"
    check_order_laws(market)
    assert market.members(ListKind.RESOURCE, market.hardware) == [order]


def test_strangers_who_give_often_cannot_keep_a_customer_from_paying(market: Market) -> None:
    order = market.place()
    for number in range(CONTRIBUTORS_MAX - 1):
        assert market.reason(account_key((4, 5)[number % 2]), market.fund(order, 1)) == ""
    assert market.reason(account_key(6), market.fund(order, 1)) == "too_many_contributions"
    assert market.reason(CUSTOMER, market.fund(order, 1_000)) == ""
    assert market.reason(account_key(5), market.fund(order, 7)) == ""
    given = market.ledger.get(ORDER_FUNDS, order).contributions
    assert len(given) == CONTRIBUTORS_MAX
    assert (given[0].account, given[0].amount) == (account(1), 201_000)
    assert (given[-2].account, given[-2].amount) == (account(5), 8)
    check_order_laws(market)


def use_order(market: Market, **changes: object) -> bytes:
    """Return a running order that also pays 1,000 for each output."""
    plan = replace(DATA_PLAN, unit=PlanUnit.USE, price=1_000)
    data = market.publish(OWNER, publish(ResourceKind.DATA, plans=(plan,)))
    lines = (
        market.line(LineRole.COMPUTE, market.hardware),
        market.line(LineRole.SOFTWARE, market.image),
        market.line(LineRole.DATA, data),
    )
    return market.running(lines=lines, **changes)


def test_too_little_money_does_not_start_the_grace_of_an_order_without_funds(market: Market) -> None:
    order = use_order(market, deposit=12_500)
    market.pass_time(1)
    assert market.report(market.output(order, is_last=False)) == ""
    market.work(order, 8, every=4)
    market.pass_time(2)
    assert market.report(market.beat(order)) == ""
    assert market.standing(order) == ("stalled", "out_of_funds")
    assert market.reason(STRANGER, market.fund(order, 1)) == ""
    assert market.standing(order) == ("stalled", "out_of_funds")
    assert market.report(market.beat(order)) == "deposit_too_low"
    assert market.reason(STRANGER, market.fund(order, 5_000)) == ""
    assert market.standing(order) == ("stalled", "funded_again")
    assert market.report(market.beat(order)) == ""
    assert market.standing(order) == ("running", "")
    check_order_laws(market)


def test_beats_held_back_keep_no_order_alive_longer_than_they_prove(market: Market) -> None:
    """A host that has stopped an enclave and kept a beat of it sends the beat late: what counts is the block it names."""
    order = market.running()
    market.pass_time(2)
    height, seen_ms = market.height, market.time_ms
    market.pass_time(20)
    assert market.standing(order) == ("stalled", "beat_missed")
    held_back = market.receipts(market.beat(order), at_height=height)
    earned = market.order(order).earned
    assert market.reason(STRANGER, held_back) == ""
    record = market.order(order)
    assert market.standing(order) == ("stalled", "beat_missed")
    assert record.stalled_ms == seen_ms + 10 * SECOND_MS
    assert record.earned == earned
    market.apply(interval_ms=seen_ms + 30 * SECOND_MS + 255 - market.time_ms)
    assert market.standing(order)[0] == "open"
    check_order_laws(market)


def test_who_falls_below_both_marks_of_funds_at_once_is_told_of_the_lower(market: Market) -> None:
    order = market.running(deposit=60_000)
    market.pass_time(8)
    market.pass_time(1)
    executed = market.send(PROVIDER, market.receipts(market.beat(order)), interval_ms=500)
    told = [dict(event.attributes) for event in executed.events if event.kind is EventKind.LOW_FUNDS]
    assert [(event["share"], event["held"]) for event in told] == [(5, 60_000)]


@pytest.mark.parametrize("is_by_message", [True, False])
def test_no_provider_pays_for_a_release_that_its_owner_revoked(market: Market, *, is_by_message: bool) -> None:
    order = market.running()
    market.pass_time(11)
    revoke(market, market.data)
    if is_by_message:
        assert market.reason(PROVIDER, market.close(order)) == ""
    else:
        assert market.report(market.beat(order)) == "not_current"
        market.pass_time(21)
    assert market.standing(order) == ("closed", "policy_revoked")
    record = market.ledger.get(PROVIDERS, account(0))
    assert (record.provider_faults, record.penalties) == (0, 0)
    check_order_laws(market)


def test_a_release_revoked_before_the_start_costs_the_provider_nothing_even_before_the_review(market: Market) -> None:
    order = market.accepted()
    assert market.reason(OWNER, market.grant_message(order)) == ""
    market.govern(
        lambda context: context.ledger.put(
            RELEASES,
            numbered_key(market.data, 0),
            replace(context.ledger.get(RELEASES, numbered_key(market.data, 0)), status=ReleaseStatus.REVOKED),
        )
    )
    assert market.report(market.start(order)) == "not_current"
    market.pass_time(121)
    assert market.standing(order) == ("closed", "policy_revoked")
    assert market.ledger.get(PROVIDERS, account(0)).penalties == 0


def test_the_owner_of_a_machine_leaves_an_order_as_its_provider(market: Market) -> None:
    """Otherwise a provider passes its machine on to a friend, who ends a stalled order without a penalty."""
    order = market.running(attempts=1)
    market.pass_time(11)
    change_resource(market, market.hardware, owner=account(4))
    assert market.reason(STRANGER, market.close(order)) == ""
    assert market.standing(order) == ("closed", "provider_fault")
    assert market.ledger.get(PROVIDERS, account(0)).penalties > 0


def test_who_accepts_second_gets_nothing_and_loses_nothing_but_the_fee(market: Market) -> None:
    order = market.accepted()
    before = market.order(order), market.ledger.get(HOLDINGS, account(0))
    assert market.reason(PROVIDER, market.accept_message(order)) == "wrong_state"
    assert (market.order(order), market.ledger.get(HOLDINGS, account(0))) == before


def test_no_change_of_plans_overtakes_an_order(market: Market) -> None:
    """Prices change by closing a plan and adding another; the order names its plan and the most that it pays."""
    message = market.order_message()
    dear = replace(message.lines[0], price_max=999)
    assert market.reason(CUSTOMER, replace(message, lines=(dear, *message.lines[1:]))) == "price_too_high"
    key = numbered_key(market.hardware, 0)
    market.govern(
        lambda context: context.ledger.put(PLANS, key, replace(context.ledger.get(PLANS, key), is_open=False))
    )
    assert market.reason(CUSTOMER, message) == "no_plan"
    check_order_laws(market)


def test_an_order_keeps_its_terms_when_its_plan_is_closed(market: Market) -> None:
    order = market.place()
    key = numbered_key(market.hardware, 0)
    market.govern(
        lambda context: context.ledger.put(PLANS, key, replace(context.ledger.get(PLANS, key), is_open=False))
    )
    assert market.reason(PROVIDER, market.accept_message(order)) == ""
    assert market.order(order).plan == market.terms(order).lines[0].plan


def test_an_enclave_of_the_wrong_image_level_or_machine_accepts_nothing(market: Market) -> None:
    other_image = market.publish(
        OWNER, publish(ResourceKind.SOFTWARE, release=replace(EMPTY_RELEASE, profiles=(td_profile(),)))
    )
    market.attest(1, image=other_image)
    order = market.place()
    assert market.reason(PROVIDER, market.accept_message(order, 1)) == "wrong_program"
    demanding = market.place(level_min=2)
    assert market.reason(PROVIDER, market.accept_message(demanding)) == "enclave_not_trusted"
    other_machine = market.publish(PROVIDER, publish(ResourceKind.HARDWARE, plans=(MACHINE_PLAN,)))
    market.attest(2, hardware=other_machine)
    assert market.reason(PROVIDER, market.accept_message(order, 2)) == "wrong_hardware"
    assert market.reason(PROVIDER, market.accept_message(order, plan=1)) == "unexpected_field"
    assert market.reason(PROVIDER, market.accept_message(order)) == ""


def test_a_machine_is_sold_once(market: Market) -> None:
    """8 virtual processors, 2 for each order: the fifth order is placed, but not accepted."""
    orders = [market.place(deposit=100_000) for _ in range(5)]
    answers = [market.reason(PROVIDER, market.accept_message(order)) for order in orders]
    assert answers == ["", "", "", "", "capacity_too_low"]
    assert market.standing(orders[4]) == ("open", "")
    check_order_laws(market)


def test_an_order_larger_than_the_machine_is_refused_at_once(market: Market) -> None:
    lines = (market.line(LineRole.COMPUTE, market.hardware, quantity=5), market.line(LineRole.SOFTWARE, market.image))
    assert market.reason(CUSTOMER, market.order_message(lines=lines)) == "capacity_too_low"


def test_a_stock_is_sold_once() -> None:
    market = Market(stock=2)
    orders = [market.place(), market.place()]
    assert market.reason(CUSTOMER, market.order_message()) == "stock_exhausted"
    assert market.reason(CUSTOMER, market.close(orders[0])) == ""
    market.place()
    check_order_laws(market)


def test_a_stock_of_any_hardware_is_held_from_accept_to_end() -> None:
    market = Market(stock=1)
    lines = (market.line(LineRole.COMPUTE, b""), market.line(LineRole.SOFTWARE, market.image))
    first, second = (market.place(lines=lines, machine=ANY_MACHINE) for _ in range(2))
    assert market.reason(PROVIDER, market.accept_message(first)) == ""
    assert market.reason(PROVIDER, market.accept_message(second)) == "stock_exhausted"
    assert market.reason(PROVIDER, market.close(first)) == ""
    assert market.reason(PROVIDER, market.accept_message(second)) == ""
    check_order_laws(market)


def test_a_bond_stands_for_one_promise_at_a_time(market: Market) -> None:
    taken = Bond(
        action=BondAction.REMOVE,
        purpose=BondPurpose.PROVIDER,
        amount=BOND - 20_000,
        validator=b"",
        consensus_key=b"",
        proof=b"",
    )
    assert market.reason(PROVIDER, taken) == ""
    first, second = market.place(), market.place()
    assert market.reason(PROVIDER, market.accept_message(first)) == ""
    assert market.reason(PROVIDER, market.accept_message(second)) == "provider_bond_too_low"
    assert market.reason(PROVIDER, replace(taken, amount=1)) == "bond_too_low"
    check_order_laws(market)


def test_what_one_transaction_begins_and_cannot_finish_never_was(market: Market) -> None:
    """An order and more money for it in one transaction, whose last message fails."""
    before = dict(market.state)
    fail = Transfer(to=account(4), amount=10**18)
    assert market.reason(CUSTOMER, market.order_message(), fail) == "balance_too_low"
    assert market.members(ListKind.ORDERS) == []
    changed = {key[:1] for key in before.keys() | market.state.keys() if before.get(key) != market.state.get(key)}
    assert ORDERS.prefix not in changed
    check_order_laws(market)


def test_a_key_goes_to_no_enclave_that_proves_another_program_since_it_accepted(market: Market) -> None:
    order = market.accepted()
    release = replace(EMPTY_RELEASE, profiles=(td_profile(),))
    newer = publish(ResourceKind.SOFTWARE, resource=market.image, release=release)
    assert market.reason(CUSTOMER, newer) == ""
    market.attest(0, release=1)
    assert market.reason(OWNER, market.grant_message(order)) == "wrong_program"
    market.attest(0)
    assert market.reason(OWNER, market.grant_message(order)) == ""


def test_a_fall_after_the_end_of_a_notice_ends_the_order_in_the_same_block() -> None:
    market = Market(notice_ms=5 * SECOND_MS, min_term_ms=0)
    order = market.running(attempts=1)
    assert market.reason(PROVIDER, market.close(order)) == ""
    market.pass_time(7)
    assert market.standing(order) == ("running", ""), "one more beat may prove the last of its time"
    expire(market)
    market.pass_time(1)
    assert market.standing(order) == ("closed", "provider_fault")
    check_order_laws(market)


def expire(market: Market) -> None:
    """Let the enclave expire."""
    market.govern(lambda context: expire_enclave(context, market.enclave_of()))
