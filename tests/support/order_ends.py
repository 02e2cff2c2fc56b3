"""Ways in which orders end, and what they have earned by then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from state.lists import ListKind, list_name, member_at
from state.offers import PlanUnit, ResourceKind, ServiceLevel
from state.order_messages import Fail
from state.order_terms import LineRole, OrderLine
from state.records import HOLDINGS
from state.runtime.context import Context
from state.trust_records import ENCLAVES, EnclaveState
from tests.support.amending import amend
from tests.support.attesting import CUSTOMER, EMPTY_RELEASE, PROVIDER, publish
from tests.support.chain_builders import account
from tests.support.order_laws import check_order_laws
from tests.support.ordering import DATA_PLAN, OWNER, SECOND_MS, Market

End = Callable[[Market, bytes], None]
PRICE = 20_000


def free_bond(market: Market) -> int:
    """Return the provider's bond that stands for no order."""
    return market.ledger.get(HOLDINGS, account(0)).provider_bond


def suspend(context: Context) -> None:
    """Let the provider's enclave fall."""
    enclave = member_at(context.ledger, list_name(ListKind.OPERATOR, account(0)), 0)
    record = context.ledger.get(ENCLAVES, enclave)
    context.ledger.put(ENCLAVES, enclave, replace(record, state=EnclaveState.SUSPENDED))


def by_result(**changes: object) -> Market:
    """Return a market whose machine is paid once and need not beat."""
    silent = ServiceLevel(beat_every_ms=0, grace_ms=20 * SECOND_MS, penalty_bp=1_000)
    plain: dict[str, Any] = {"unit": PlanUnit.ONCE, "price": PRICE, "min_term_ms": 0, "service_level": silent}
    return Market(**(plain | changes))


def give(market: Market, order: bytes) -> None:
    """Bring an output that is not said to be the last."""
    assert market.report(market.output(order, is_last=False)) == ""


def cancel(market: Market, order: bytes) -> None:
    """Let the customer end an order."""
    assert market.reason(CUSTOMER, market.close(order)) == ""


def wait_for_the_end(market: Market, _order: bytes) -> None:
    """Let all ordered time pass."""
    market.pass_time(1_000)


def freeze(market: Market, _order: bytes) -> None:
    """Let the data's owner end its orders, and their notice pass."""
    assert market.reason(OWNER, amend(market.data, freezes=True)) == ""
    market.pass_time(40)


def fail(market: Market, order: bytes) -> None:
    """Let the program fail."""
    assert market.report(Fail(order=order, number=market.order(order).receipt_count, code=1)) == ""


def leave_with_notice(market: Market, order: bytes) -> None:
    """Let the provider leave, and its notice pass."""
    assert market.reason(PROVIDER, market.close(order)) == ""
    market.pass_time(40)


def end_now(market: Market, order: bytes) -> None:
    """Bring the last output."""
    assert market.report(market.output(order)) == ""


def earned_by_machine(market: Market, order: bytes) -> int:
    """Return what a closed order's machine has earned, all of which it has got."""
    record = market.order(order)
    assert market.standing(order)[0] == "closed"
    assert record.earned == record.settled
    check_order_laws(market)
    return record.earned[0]


def dear_line(market: Market, **changes: object) -> OrderLine:
    """Return a line of the customer's own data under a plan of its own."""
    plan = replace(DATA_PLAN, **changes)
    own = market.publish(CUSTOMER, publish(ResourceKind.DATA, plans=(plan,), release=EMPTY_RELEASE))
    return market.line(LineRole.DATA, own)


def own_lines(market: Market, line: OrderLine) -> dict[str, Any]:
    """Return an order of machine, image and a line, with money for more than the least term of ten minutes."""
    lines = (*market.order_message().lines[:2], line)
    return {"lines": lines, "deposit": 700_000}
