"""What an order costs: at least, for its whole duration, and as a bond for its bytes in the state."""

from __future__ import annotations

from msgspec import Struct

from state.offers import Plan, PlanUnit
from state.order_records import OrderTerms
from state.order_terms import AgreedLine
from state.params import Params
from state.runtime.orders.ordering import stored_bytes
from state.runtime.orders.settlement import TIME_UNITS, least_cost, time_cost

UNIT_WORDS = {
    PlanUnit.ONCE: "once",
    PlanUnit.SECOND: "per second",
    PlanUnit.GB_SECOND: "per GB and second",
    PlanUnit.USE: "per use",
}


class Costs(Struct, frozen=True):
    """The money of an order, in ubocc."""

    least: int
    """Least deposit that the chain takes."""
    whole: int
    """For the whole duration and one use of what is paid by use."""
    bond: int
    """Locked until the order is forgotten, and then given back."""


def line_cost(plan: Plan, quantity: int, time_ms: int) -> int:
    """Return what a line costs for a time, or once; not less than its least term."""
    if plan.unit in TIME_UNITS:
        return max(time_cost(plan, quantity, time_ms), least_cost(plan, quantity))
    return plan.price * quantity


def order_bond(terms: OrderTerms, params: Params) -> int:
    """Return the ubocc that an order's bytes in the state lock."""
    return stored_bytes(terms) * params.market.storage_bond_per_byte


def compute_costs(lines: tuple[AgreedLine, ...], duration_ms: int, bond: int) -> Costs:
    """Return the money of an order of these lines; a line of any hardware costs its highest price per second."""
    least = whole = 0
    for line in lines:
        if line.plan is None:
            # Whoever accepts brings a plan per second.
            whole += line.price_max * line.quantity * duration_ms // 1_000
        else:
            least += least_cost(line.plan, line.quantity)
            whole += line_cost(line.plan, line.quantity, duration_ms)
    return Costs(least=least, whole=max(least, whole), bond=bond)
