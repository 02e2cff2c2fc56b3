"""Which offers an order takes: those that its file names, or the cheapest that fit, with release and plan pinned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import Struct

from bocc.client import Client
from bocc.durations import format_duration
from bocc.errors import AnswerMalformed, InputReason, InputRejected
from bocc.market.costs import line_cost
from bocc.market.forms import parse_resource
from bocc.market.order_file import ComputeForm, ContentForm, OrderForm, Want
from state.address import format_address
from state.offers import Capacity, GpuCount, Plan, PlanUnit, ServiceLevel
from state.order_terms import AgreedLine, LineRole, OrderLine
from state.policies import AllOf, PolicyNode, TeeIn
from tee.evidence import EvidenceKind

OFFERS_ASKED: Final = 50
"""Offers of the market that a line is chosen from, over as many pages as it takes, up to PAGES_MAX."""
PAGES_MAX: Final = 20
PAGE: Final = 10
Json = dict[str, Any]  # JSON of the node
_KINDS: Final = {
    LineRole.COMPUTE: "hardware",
    LineRole.STORAGE: "hardware",
    LineRole.SOFTWARE: "software",
    LineRole.DATA: "data",
}


class Offered(Struct, frozen=True):
    """A plan of the market."""

    resource: str
    plan: Plan


class Choice(Struct, frozen=True):
    """A line of an order with the offer that it takes."""

    place: str
    """Of the line in the order's file."""
    line: OrderLine
    agreed: AgreedLine
    """As the chain will put it on record."""
    title: str
    owner: str | None
    """None of any hardware."""
    conditions: Json | None
    """The owner's policy; None: none."""


def parse_plan(document: Json) -> Plan:
    """Return a plan from the JSON of a node.

    Raises:
        AnswerMalformed: something is missing or of another kind.
    """
    try:
        level = document["service_level"]
        return Plan(
            number=int(document["number"]),
            unit=PlanUnit[str(document["unit"]).upper()],
            price=int(document["price"]),
            min_term_ms=int(document["min_term_ms"]),
            max_term_ms=int(document["max_term_ms"]),
            capacity=parse_capacity(document["capacity"]),
            stock=int(document["stock"]),
            service_level=ServiceLevel(
                beat_every_ms=int(level["beat_every_ms"]),
                grace_ms=int(level["grace_ms"]),
                penalty_bp=int(level["penalty_bp"]),
            ),
            notice_ms=int(document["notice_ms"]),
            keep_after_ms=int(document["keep_after_ms"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise AnswerMalformed(f"the node's plan is not one of this version: {error!r}") from error


def parse_capacity(document: Json) -> Capacity:
    """Return amounts of what a machine has from the JSON of a node."""
    gpus = tuple(GpuCount(model=gpu["model"], count=int(gpu["count"])) for gpu in document["gpus"])
    amounts = {name: int(document[name]) for name in ("vcpus", "memory_mib", "disk_mib", "network_mbps")}
    return Capacity(**amounts, gpus=gpus)


async def choose_offers(client: Client, form: OrderForm, customer: str, duration_ms: int) -> list[Choice]:
    """Return the offer that each line takes, in the order of the lines.

    Raises:
        InputRejected: NO_OFFER with the line.
        RpcRejected: the node refuses; a resource is unknown.
        NodeUnreachable: no answer after all attempts.
    """
    return [await _choose(client, want, form, customer, duration_ms) for want in form.wants()]


async def _choose(client: Client, want: Want, form: OrderForm, customer: str, duration_ms: int) -> Choice:
    if isinstance(want.form, ComputeForm) and want.form.any:
        return _leave_open(want)
    if want.form.resource is not None:
        resource = await client.call("resource", id=format_address(want.form.resource))
        return _pin(want, resource, open_plans(resource, want.form.quantity), duration_ms)
    found = await _find_cheapest(client, want, form, customer, duration_ms)
    resource = await client.call("resource", id=found.resource)
    return _pin(want, resource, [found.plan], duration_ms)


def _leave_open(want: Want) -> Choice:
    line = OrderLine(
        role=want.role,
        resource=b"",
        release=0,
        plan=0,
        quantity=want.form.quantity,
        price_max=int(want.form.price_max or 0),
    )
    return Choice(want.place, line, _agree(line, None, None), "any machine that fits", None, None)


def open_plans(resource: Json, quantity: int) -> list[Plan]:
    """Return the plans of a resource that take an order of so many units now."""
    return [
        parse_plan(row["plan"])
        for row in resource["plans"]
        if row["is_open"] and (row["free"] is None or row["free"] >= quantity)
    ]


def _pin(want: Want, resource: Json, plans: Sequence[Plan], duration_ms: int) -> Choice:
    """Return a line with plan and release as they are now."""
    address, kind = resource["id"], _KINDS[want.role]
    if resource["kind"] != kind:
        raise _no_offer(want, f"{address} is {resource['kind']}", f"a resource of kind {kind}")
    if resource["status"] != "active":
        raise _no_offer(want, f"{address} is {resource['status']}", "an active resource")
    plan = _cheapest(want, plans, duration_ms)
    release = _find_release(want, resource)
    line = OrderLine(
        role=want.role,
        resource=parse_resource(address),
        release=0 if release is None else int(release["number"]),
        plan=plan.number,
        quantity=want.form.quantity,
        price_max=plan.price if want.form.price_max is None else int(want.form.price_max),
    )
    return Choice(
        want.place, line, _agree(line, plan, release), resource["title"], resource["owner"], resource["policy"]
    )


def _cheapest(want: Want, plans: Iterable[Plan], duration_ms: int) -> Plan:
    """Return the plan that costs least for the whole duration among those that fit the line."""
    number, price_max = want.form.plan, want.form.price_max
    named = [plan for plan in plans if number is None or plan.number == number]
    if not named:
        seen = "no open plan with something free" if number is None else f"no open plan {number}"
        raise _no_offer(want, seen, "`bocc resource show` lists them")
    in_time = [plan for plan in named if plan.min_term_ms <= duration_ms]
    if not in_time:
        least = format_duration(min(plan.min_term_ms for plan in named))
        raise _no_offer(want, f"the order lasts {format_duration(duration_ms)}", f"a least term of {least}")
    payable = [plan for plan in in_time if price_max is None or plan.price <= price_max]
    if not payable:
        price = min(plan.price for plan in in_time)
        raise _no_offer(want, f"price_max {int(price_max or 0)}ubocc", f"{price}ubocc at least")
    return min(payable, key=lambda plan: (line_cost(plan, want.form.quantity, duration_ms), plan.number))


def _find_release(want: Want, resource: Json) -> Json | None:
    """Return the release that a line takes; None of hardware."""
    if not isinstance(want.form, ContentForm):
        return None
    current: list[Json] = [release for release in resource["releases"] if release["status"] == "current"]
    number = want.form.release
    release: Json | None = next((each for each in current if number is None or each["number"] == number), None)
    if release is None:
        seen = "no current release" if number is None else f"release {number} is not among the current ones"
        raise _no_offer(want, seen, " ".join(str(each["number"]) for each in current) or "a resource with a release")
    return release


def _agree(line: OrderLine, plan: Plan | None, release: Json | None) -> AgreedLine:
    body: Json = {} if release is None else release["body"]
    return AgreedLine(
        role=line.role,
        resource=line.resource,
        release=line.release,
        quantity=line.quantity,
        price_max=line.price_max,
        plan=plan,
        content_root=bytes.fromhex(body.get("content_root") or ""),
        is_sealed=bool(body.get("sealed_root") or body.get("key_commit")),
    )


async def _find_cheapest(client: Client, want: Want, form: OrderForm, customer: str, duration_ms: int) -> Offered:
    """Return the offer of the market that costs least for a line."""
    quantity, price_max = want.form.quantity, want.form.price_max
    asked: Json = {
        "kind": _KINDS[want.role],
        "category": want.form.category,
        "price_max": None if price_max is None else str(int(price_max)),
        "customer": customer,
    }
    if isinstance(want.form, ComputeForm):
        asked |= {"tee": want.form.tee, "level_min": form.terms.level_min, **_amounts(want.form.capacity.build())}
    fitting = [
        Offered(offer["id"], plan)
        for offer in await list_offers(client, asked)
        for plan in open_plans(offer, quantity)
        if plan.min_term_ms <= duration_ms
    ]
    if not fitting:
        words = ", ".join(f"{name} {content}" for name, content in asked.items() if content is not None)
        raise _no_offer(want, f"nothing on offer fits {words}", "less is asked for")
    return min(fitting, key=lambda offered: line_cost(offered.plan, quantity, duration_ms))


async def list_offers(client: Client, asked: Json) -> list[Json]:
    """Return offers of the market, up to OFFERS_ASKED; pages of a node may be short."""
    offers: list[Json] = []
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        page = await client.call("market", **asked, limit=PAGE, cursor=cursor)
        offers += page["offers"]
        cursor = page["cursor"]
        if cursor is None or len(offers) >= OFFERS_ASKED:
            break
    return offers


def _amounts(capacity: Capacity) -> Json:
    """Return what is asked of a machine as a node reads it; of GPUs the first model alone, the chain judges the rest."""
    amounts: Json = {
        name: getattr(capacity, name) or None for name in ("vcpus", "memory_mib", "disk_mib", "network_mbps")
    }
    if capacity.gpus:
        amounts |= {"gpu_model": capacity.gpus[0].model, "gpu_count": capacity.gpus[0].count}
    return amounts


def constraints_of(form: OrderForm) -> tuple[PolicyNode, ...]:
    """Return what the customer asks of the enclave, the kind of TEE among it."""
    constraints = form.terms.constraints.nodes
    if form.compute.tee is None:
        return constraints
    tee = TeeIn(kinds=(int(EvidenceKind[form.compute.tee.upper()]),))
    if not constraints:
        return (tee,)
    first = constraints[0]
    if isinstance(first, AllOf):
        return (AllOf(count=first.count + 1), tee, *constraints[1:])
    return (AllOf(count=2), tee, *constraints)


def _no_offer(want: Want, seen: str, bound: str) -> InputRejected:
    return InputRejected(InputReason.NO_OFFER, f"{want.place}: {seen}", bound)
