"""Orders as tables for people: what one will cost, where one stands, lists, and events as they come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from bocc.amounts import format_amount
from bocc.cli.output import format_time, print_fields, print_line, print_table
from bocc.cli.resource_text import price_words
from bocc.durations import format_duration
from bocc.market.costs import UNIT_WORDS, line_cost
from bocc.market.drafts import Draft
from bocc.market.forms import format_moment
from bocc.market.grant_proofs import ProvenGrant
from bocc.market.offers import Choice
from node.api.describe import MONEY_NAMES, describe
from state.address import format_address

Json = Mapping[str, Any]  # JSON of the node
_NEXT_WORDS: Final = {
    "accept_by": "closes, unless somebody accepts",
    "start_by": "moves on or closes, unless the work starts",
    "beat_due": "stalls, unless a beat comes",
    "stop_at": "ends by notice",
    "end_by": "the ordered time is over",
    "grace_over": "moves on or closes, unless the enclave is back",
    "keep_over": "is forgotten",
}
_NOTHING: Final[tuple[object, ...]] = (None, [], {}, 0, "none")
"""What is not worth a line of what receipts said: no meter, no failure, no mark."""


def money(ubocc: object) -> str:
    """Return an amount of the node's JSON for people."""
    return format_amount(int(str(ubocc)))


def print_draft(draft: Draft, fee: int, order: str) -> None:
    """Print what an order takes from whom and what it costs, line by line."""
    print_table(
        ("line", "what", "release", "plan", "price", "quantity", "in all", "asks"),
        [_draft_row(choice, draft.duration_ms) for choice in draft.choices],
    )
    costs, message = draft.costs, draft.message
    print_line("")
    print_table(
        ("", ""),
        [
            ("order", order),
            ("for", f"{format_duration(draft.duration_ms)} at most, until {format_time(message.end_by_ms)} UTC"),
            ("deposit", f"{format_amount(message.deposit)}; what is not used comes back"),
            ("least deposit", f"{format_amount(costs.least)}, what starts and least terms cost"),
            ("whole time", format_amount(costs.whole)),
            ("bond", f"{format_amount(costs.bond)} while the chain keeps the order, then back"),
            ("fee", format_amount(fee)),
        ],
    )


def _draft_row(choice: Choice, duration_ms: int) -> Sequence[object]:
    line, plan = choice.line, choice.agreed.plan
    asks = ["a key from its owner"] if choice.agreed.is_sealed else []
    if choice.conditions is not None:
        asks.append(policy_words(choice.conditions))
    if plan is None:
        price = f"at most {format_amount(line.price_max)}"
        return (choice.place, choice.title, None, None, price, line.quantity, None, "; ".join(asks))
    return (
        choice.place,
        f"{choice.title} {format_address(line.resource)}",
        line.release if choice.agreed.content_root else None,
        plan.number,
        f"{format_amount(plan.price)} {UNIT_WORDS[plan.unit]}",
        line.quantity,
        format_amount(line_cost(plan, line.quantity, duration_ms)),
        "; ".join(asks),
    )


def policy_words(node: Json) -> str:
    """Return a policy of the node's JSON as one line."""
    children = [policy_words(child) for child in node["children"]]
    match node["name"]:
        case "all_of":
            return f"({' and '.join(children)})"
        case "any_of":
            return f"({' or '.join(children)})"
        case "not":
            return f"not ({children[0]})"
        case _:
            return str(node["words"])


def print_order(told: Json) -> None:
    """Print an order: where it stands, its lines, its money and what happens next."""
    print_table(("", ""), order_rows(told))
    print_line("")
    print_table(
        ("line", "role", "resource", "release", "plan", "quantity", "earned", "key"),
        [_line_row(index, line) for index, line in enumerate(told["lines"])],
    )
    run = told["run"]
    if run is not None:
        print_line("")
        print_fields({"run": {name: content for name, content in run.items() if content not in _NOTHING}})


def order_rows(told: Json) -> list[tuple[str, object]]:
    """Return where an order stands, by name."""
    money_of, dates = told["money"], told["dates"]
    due, why = dates["next"], told["reason"] or told["cause"]
    rows = [
        ("order", told["id"]),
        ("state", told["state"] + (f": {why.replace('_', ' ')}" if why else "")),
        ("next", f"{format_time(due['due_ms'])} UTC: {_NEXT_WORDS.get(due['what'], due['what'])}"),
        ("customer", told["customer"]),
        ("operator", told["operator"]),
        ("enclave", told["enclave"]),
        ("attempts left", told["attempts_left"]),
        ("in escrow", money(money_of["held"])),
        ("earned", f"{money(money_of['earned'])}, of that paid out {money(money_of['settled'])}"),
        ("bond", money(money_of["bond_locked"])),
        ("funds out", None if money_of["funds_out_ms"] is None else f"{format_time(money_of['funds_out_ms'])} UTC"),
        ("low", None if money_of["low"] is None else f"{money_of['low']} % of what was put in are left at most"),
        ("receipts", told["receipt_count"]),
    ]
    return [row for row in rows if row[1] is not None]


def _line_row(index: int, line: Json) -> Sequence[object]:
    plan, grant = line["plan"], line["grant"]
    key = None
    if line["is_sealed"]:
        key = "granted" if grant is not None and grant["is_valid"] else "missing"
    return (
        index,
        line["role"],
        line["resource"] or "any machine",
        line["release"] if line["content_root"] else None,
        None if plan is None else f"{plan['number']}: {price_words(plan)}",
        line["quantity"],
        money(line["earned"]),
        key,
    )


def print_orders(rows: Iterable[Json]) -> None:
    """Print a table of orders."""
    print_table(
        ("order", "state", "why", "lines", "in escrow", "earned", "next", "at"),
        [
            (
                one["id"],
                one["state"],
                one["reason"] or one["cause"],
                " ".join(line["role"] for line in one["lines"]),
                money(one["held"]),
                money(one["earned"]),
                one["next"]["what"],
                format_time(one["next"]["due_ms"]),
            )
            for one in rows
        ],
    )


def print_open_orders(rows: Iterable[tuple[Json, str]], now_ms: int) -> None:
    """Print orders that wait for a provider, each with the enclave that fits."""
    print_table(
        (
            "order",
            "pays per unit at most",
            "quantity",
            "level",
            "more asked",
            "in escrow",
            "accept",
            "enclave that fits",
        ),
        [
            (
                one["id"],
                money(one["lines"][0]["price_max"]),
                one["lines"][0]["quantity"],
                one["level_min"],
                "constraints" if one["has_constraints"] else None,
                money(one["held"]),
                format_moment(one["next"]["due_ms"], now_ms),
                enclave,
            )
            for one, enclave in rows
        ],
    )


def print_proven_grant(proven: ProvenGrant, now_ms: int) -> None:
    """Print to whom a key goes, as verified from the genesis."""
    asked, enclave = proven.asked, proven.enclave
    kind = str(describe("tee", enclave.tee)) + (" SIMULATED" if enclave.is_simulated else "")
    print_table(
        ("", ""),
        [
            ("verified", f"at height {proven.height}, {format_moment(proven.time_ms, now_ms)}"),
            ("key of", f"{format_address(asked.resource)} release {asked.release}, line {asked.line}"),
            (
                "enclave",
                f"{format_address(asked.enclave)}: {enclave.state.name.lower()}, {kind}, level {enclave.level}",
            ),
            ("program", f"{format_address(enclave.image)} release {enclave.release}"),
            ("machine", format_address(enclave.hardware)),
            ("operator", format_address(enclave.operator)),
            ("seal key", asked.seal_key.hex()),
        ],
    )
    print_line("")


def event_line(event: Json) -> str:
    """Return one event of an order on one line."""
    attributes = {
        name: content for name, content in event["attributes"].items() if name != "order" and content is not None
    }
    words = " ".join(
        f"{name.removesuffix('_ms')}={_attribute_text(name, content)}" for name, content in attributes.items()
    )
    return f"{format_time(event['time_ms'])}  {event['kind'].replace('_', ' ')}  {words}".rstrip()


def _attribute_text(name: str, content: object) -> object:
    if name in MONEY_NAMES:
        return f"{content}ubocc"
    return format_time(content).replace(" ", "T") if name.endswith("_ms") and isinstance(content, int) else content
