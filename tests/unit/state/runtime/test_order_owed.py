"""Who makes policies, or chooses the program, cannot make a provider pay for what kept it, or go unpaid for what it gave."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from state.lists import ListKind, list_name, member_at
from state.offers import PlanUnit, ServiceLevel
from state.order_messages import Fail
from state.order_records import PROVIDERS
from state.policies import BetweenHeights, CustomerIn, PolicyNode
from state.records import HOLDINGS
from state.resource_messages import Amend
from state.runtime.context import Context
from state.trust_records import ENCLAVES, EnclaveState
from tests.support.attesting import CUSTOMER, PROVIDER
from tests.support.chain_builders import account, make_genesis, with_params
from tests.support.order_laws import check_order_laws
from tests.support.ordering import BOND, OWNER, SECOND_MS, Market

End = Callable[[Market, bytes], None]

NOBODY: tuple[PolicyNode, ...] = (CustomerIn(accounts=(account(9),)),)
PRICE = 20_000


def amend(resource: bytes, **changes: object) -> Amend:
    """Return a change of a resource, which changes nothing else."""
    plain = Amend(
        resource=resource,
        policy=None,
        payees=None,
        vault=None,
        plans_added=(),
        plans_closed=(),
        releases=(),
        capacity=None,
        drain_at_ms=None,
        status=None,
        bumps_grant_epoch=False,
        freezes=False,
    )
    return replace(plain, **changes)


def free_bond(market: Market) -> int:
    """Return the provider's bond that stands for no order."""
    return market.ledger.get(HOLDINGS, account(0)).provider_bond


def granted(market: Market, **changes: object) -> bytes:
    """Return an accepted order with all its keys."""
    order = market.accepted(**changes)
    assert market.reason(OWNER, market.grant_message(order)) == ""
    return order


def suspend(context: Context) -> None:
    """Let the provider's enclave fall."""
    enclave = member_at(context.ledger, list_name(ListKind.OPERATOR, account(0)), 0)
    record = context.ledger.get(ENCLAVES, enclave)
    context.ledger.put(ENCLAVES, enclave, replace(record, state=EnclaveState.SUSPENDED))


@pytest.fixture
def market() -> Market:
    return Market()


def test_an_owner_that_forbids_the_start_of_what_it_has_granted_makes_nobody_pay(market: Market) -> None:
    order = granted(market)
    assert market.reason(OWNER, amend(market.data, policy=NOBODY)) == ""
    assert market.report(market.start(order)) == "policy_denied"
    market.pass_time(120)
    assert market.standing(order) == ("open", "")
    assert free_bond(market) == BOND
    assert market.ledger.get(PROVIDERS, account(0)).start_timeouts == 0
    check_order_laws(market)


def test_a_provider_may_leave_at_once_what_policies_keep_from_starting(market: Market) -> None:
    order = granted(market, attempts=1)
    assert market.reason(OWNER, amend(market.data, policy=NOBODY)) == ""
    assert market.reason(PROVIDER, market.close(order)) == ""
    assert market.standing(order) == ("closed", "cancelled")
    assert free_bond(market) == BOND
    assert market.ledger.get(PROVIDERS, account(0)).provider_faults == 0


def test_a_customers_condition_that_passes_before_the_start_makes_nobody_pay(market: Market) -> None:
    until = (BetweenHeights(first=0, last=market.height + 3),)
    order = granted(market, constraints=until)
    market.pass_time(1)
    market.pass_time(120)
    assert market.standing(order) == ("open", "")
    assert free_bond(market) == BOND


def test_a_provider_whose_own_enclave_is_unfit_pays_though_a_policy_forbids_the_start_as_well(market: Market) -> None:
    order = granted(market)
    assert market.reason(OWNER, amend(market.data, policy=NOBODY)) == ""
    market.govern(suspend)
    market.pass_time(120)
    assert market.standing(order) == ("open", "")
    assert free_bond(market) < BOND
    assert market.ledger.get(PROVIDERS, account(0)).start_timeouts == 1


def by_result() -> Market:
    """Return a market whose machine is paid once and need not beat."""
    silent = ServiceLevel(beat_every_ms=0, grace_ms=20 * SECOND_MS, penalty_bp=1_000)
    return Market(unit=PlanUnit.ONCE, price=PRICE, min_term_ms=0, service_level=silent)


def give(market: Market, order: bytes) -> None:
    """Bring an output that is not said to be the last."""
    assert market.report(market.output(order, is_last=False)) == ""


def cancel(market: Market, order: bytes) -> None:
    assert market.reason(CUSTOMER, market.close(order)) == ""


def wait_for_the_end(market: Market, _order: bytes) -> None:
    market.pass_time(1_000)


def freeze(market: Market, _order: bytes) -> None:
    assert market.reason(OWNER, amend(market.data, freezes=True)) == ""
    market.pass_time(40)


def fail(market: Market, order: bytes) -> None:
    assert market.report(Fail(order=order, number=market.order(order).receipt_count, code=1)) == ""


def leave_with_notice(market: Market, order: bytes) -> None:
    assert market.reason(PROVIDER, market.close(order)) == ""
    market.pass_time(40)


def earned_by_machine(market: Market, order: bytes) -> int:
    """Return what a closed order's machine has earned, all of which it has got."""
    record = market.order(order)
    assert market.standing(order)[0] == "closed"
    assert record.earned == record.settled
    check_order_laws(market)
    return record.earned[0]


OF_OTHERS = (cancel, wait_for_the_end, freeze)


@pytest.mark.parametrize("end", OF_OTHERS)
def test_a_machine_paid_once_that_gave_an_output_is_paid_when_others_end_its_work(end: End) -> None:
    market = by_result()
    order = market.running()
    give(market, order)
    end(market, order)
    assert earned_by_machine(market, order) == PRICE


@pytest.mark.parametrize("end", [fail, leave_with_notice])
def test_a_machine_paid_once_that_ends_its_work_itself_is_paid_for_its_last_output_alone(end: End) -> None:
    market = by_result()
    order = market.running(attempts=1)
    give(market, order)
    end(market, order)
    assert earned_by_machine(market, order) == 0


@pytest.mark.parametrize("end", OF_OTHERS)
def test_a_machine_paid_once_that_gave_nothing_gets_nothing(end: End) -> None:
    market = by_result()
    order = market.running()
    end(market, order)
    assert earned_by_machine(market, order) == 0


def test_an_output_of_an_attempt_before_pays_no_machine_after_it() -> None:
    market = by_result()
    order = market.running()
    give(market, order)
    leave_with_notice(market, order)
    assert market.reason(PROVIDER, market.accept_message(order)) == ""
    assert market.reason(OWNER, market.grant_message(order)) == ""
    assert market.report(market.start(order)) == ""
    cancel(market, order)
    assert earned_by_machine(market, order) == 0


def test_a_silent_machine_paid_once_gets_nothing_for_the_outputs_it_gave() -> None:
    market = Market(unit=PlanUnit.ONCE, price=PRICE, min_term_ms=0)
    order = market.running()
    give(market, order)
    market.pass_time(15)
    assert market.standing(order) == ("stalled", "beat_missed")
    cancel(market, order)
    assert earned_by_machine(market, order) == 0
    assert market.report(market.output(order)) == "wrong_state"


def test_what_an_operator_has_served_stays_listed_until_it_is_forgotten() -> None:
    market = Market(with_params(make_genesis(), "market", order_keep_ms=50 * SECOND_MS))
    order = market.running()
    assert market.members(ListKind.SERVED, account(0)) == []
    assert market.report(market.output(order)) == ""
    assert market.members(ListKind.SERVED, account(0)) == [order]
    check_order_laws(market)
    market.pass_time(60)
    assert market.members(ListKind.SERVED, account(0)) == []
