"""Which enclave of a provider an open order fits, and under which plan, as far as a node tells."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bocc.market.offers import open_plans, parse_capacity, parse_plan
from state.errors import TransactionRejected
from state.offers import Capacity, Plan, PlanUnit
from state.runtime.capacities import check_capacity_fits
from state.runtime.orders.settlement import penalty_bound

Json = dict[str, Any]  # JSON of the node


def find_fit(order: Json, enclaves: Iterable[Json]) -> str | None:
    """Return the enclave of the highest level that an order in a list fits, or None.

    Its level, its machine and what it boots are compared. The chain judges the rest: policies, constraints, capacity, bond.
    """
    fitting = [enclave for enclave in enclaves if _fits(order, enclave)]
    best = max(fitting, key=lambda enclave: (int(enclave["level"]), str(enclave["id"])), default=None)
    return None if best is None else str(best["id"])


def _fits(order: Json, enclave: Json) -> bool:
    compute = order["lines"][0]
    software = {(line["resource"], line["release"]) for line in order["lines"] if line["role"] == "software"}
    runs_image = not software or (enclave["image"], enclave["release"]) in software
    has_machine = compute["resource"] in (None, enclave["hardware"])
    return bool(enclave["level"] >= order["level_min"] and has_machine and runs_image)


def find_plan(order: Json, hardware: Json) -> int | None:
    """Return the plan of a machine that pays most and that an order for any hardware takes, or None; 0 if it names its machine.

    `order` is as `order` shows it, `hardware` as `resource` does.
    """
    compute, machine = order["lines"][0], order["terms"]["machine"]
    if machine is None:
        return 0
    ordered_ms = order["terms"]["end_by_ms"] - order["terms"]["created_ms"]
    plans = [
        plan
        for plan in open_plans(hardware, compute["quantity"])
        if _keeps(plan, machine, int(compute["price_max"])) and not 0 < plan.max_term_ms < ordered_ms
    ]
    best = max(plans, key=lambda plan: (plan.price, -plan.number), default=None)
    return None if best is None else best.number


def find_penalty_bound(order: Json, hardware: Json, number: int) -> int | None:
    """Return the ubocc that the penalty of an order can be at most, as it is funded now; None if there is no such plan."""
    named = order["lines"][0]["plan"]
    rows = (row["plan"] for row in hardware["plans"] if row["plan"]["number"] == number)
    plan = next(rows, None) if named is None else named
    if plan is None:
        return None
    return penalty_bound(int(order["money"]["free"]), parse_plan(plan))


def _keeps(plan: Plan, machine: Json, price_max: int) -> bool:
    """Tell whether a plan offers and promises what an order asks of any machine."""
    level = plan.service_level
    return (
        plan.unit is PlanUnit.SECOND
        and plan.price <= price_max
        and plan.notice_ms >= machine["notice_ms_min"]
        and plan.min_term_ms <= machine["min_term_ms_max"]
        and 0 < level.beat_every_ms <= machine["beat_every_ms_max"]
        and level.grace_ms <= machine["grace_ms_max"]
        and level.penalty_bp >= machine["penalty_bp_min"]
        and _has(plan.capacity, parse_capacity(machine["capacity"]))
    )


def _has(offered: Capacity, needed: Capacity) -> bool:
    try:
        check_capacity_fits(needed, offered)
    except TransactionRejected:
        return False
    return True
