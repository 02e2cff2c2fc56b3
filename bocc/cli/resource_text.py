"""Resources as tables for people: one with its plans and releases, lists, offers, ledgers of use, and who could use one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bocc.amounts import format_amount
from bocc.cli.output import format_time, print_line, print_table
from bocc.durations import format_duration
from bocc.market.costs import UNIT_WORDS
from state.offers import PlanUnit

Json = Mapping[str, Any]  # JSON of the node


def print_resource(told: Json) -> None:
    """Print a resource: what it is, who may use it, its plans and its releases."""
    rows = [
        ("resource", told["id"]),
        ("title", f"{told['title']} ({told['kind']}, {told['category']})"),
        ("status", told["status"] + (", frozen" if told["frozen_ms"] else "")),
        ("owner", told["owner"]),
        ("vault", told["vault"]),
        ("from order", told["derived_from"]),
        ("income", ", ".join(f"{one['share_bp'] / 100:g} % {one['account']}" for one in told["payees"]) or None),
        ("capacity", _capacity(told["capacity"])),
        ("in use", _capacity(told["in_use"])),
        ("drains", None if told["drain_at_ms"] is None else f"{format_time(told['drain_at_ms'])} UTC"),
        ("uses", told["usage_count"]),
        ("promised", told["promised_count"] or None),
        ("grant epoch", told["grant_epoch"]),
        ("bond", format_amount(int(told["bond_locked"]))),
        ("made", f"{format_time(told['created_ms'])} UTC"),
    ]
    print_table(("", ""), [row for row in rows if row[1] is not None])
    print_line("\nWho may use it:")
    print_policy(told["policy"])
    print_line("")
    print_table(
        ("plan", "price", "least term", "one unit takes", "beats", "notice", "in use", "free"),
        [_plan_row(row) for row in told["plans"]],
    )
    if told["releases"]:
        print_line("")
        print_table(
            ("release", "status", "until", "content", "size", "sealed", "boots on"),
            [_release_row(one) for one in told["releases"]],
        )


def print_policy(node: Json | None, depth: int = 1) -> None:
    """Print a policy as a tree of sentences."""
    if node is None:
        print_line(f"{'  ' * depth}everybody: it has no conditions")
        return
    print_line(f"{'  ' * depth}{node['words']}{':' if node['children'] else ''}")
    for child in node["children"]:
        print_policy(child, depth + 1)


def _plan_row(row: Json) -> Sequence[object]:
    plan = row["plan"]
    level = plan["service_level"]
    beats = None
    if level["beat_every_ms"]:
        beats = f"every {format_duration(level['beat_every_ms'])}, grace {format_duration(level['grace_ms'])}"
        beats += f", penalty {level['penalty_bp'] / 100:g} %"
    return (
        plan["number"] if row["is_open"] else f"{plan['number']} closed",
        price_words(plan),
        format_duration(plan["min_term_ms"]),
        _capacity(plan["capacity"]),
        beats,
        format_duration(plan["notice_ms"]),
        row["in_use"],
        "any" if row["free"] is None else row["free"],
    )


def price_words(plan: Json) -> str:
    """Return what a plan of the node's JSON costs."""
    return f"{format_amount(int(plan['price']))} {UNIT_WORDS[PlanUnit[plan['unit'].upper()]]}"


def _release_row(release: Json) -> Sequence[object]:
    body = release["body"]
    return (
        release["number"],
        release["status"],
        None if release["until_ms"] is None else format_time(release["until_ms"]),
        body["content_root"],
        body["size"],
        "yes" if body["sealed_root"] or body["key_commit"] else "no",
        " ".join(str(profile["tee"]) for profile in body["profiles"]),
    )


def _capacity(amounts: Json | None) -> str | None:
    """Return amounts of what a machine has in words; None if there are none."""
    if amounts is None:
        return None
    words = [
        (f"{amounts['vcpus']} vCPU", amounts["vcpus"]),
        (f"{amounts['memory_mib']} MiB", amounts["memory_mib"]),
        (f"{amounts['disk_mib']} MiB disk", amounts["disk_mib"]),
        (f"{amounts['network_mbps']} Mbit/s", amounts["network_mbps"]),
        *((f"{gpu['count']} {gpu['model']}", gpu["count"]) for gpu in amounts["gpus"]),
    ]
    return ", ".join(text for text, amount in words if amount) or None


def print_resources(rows: Iterable[Json]) -> None:
    """Print a table of resources."""
    print_table(
        ("resource", "kind", "category", "title", "status", "policy", "plans", "releases", "uses"),
        [
            (
                one["id"],
                one["kind"],
                one["category"],
                one["title"],
                "frozen" if one["is_frozen"] else one["status"],
                "yes" if one["has_policy"] else None,
                one["plan_count"],
                one["release_count"],
                one["usage_count"],
            )
            for one in rows
        ],
    )


def print_offers(offers: Iterable[Json]) -> None:
    """Print a table of what takes orders, a line for each plan; simulated machines are marked."""
    print_table(
        ("resource", "title", "kind", "plan", "price", "one unit takes", "free", "level", "tee", "policy", "provider"),
        [_offer_row(offer, row) for offer in offers for row in offer["plans"]],
    )


def _offer_row(offer: Json, row: Json) -> Sequence[object]:
    plan, provider = row["plan"], offer["provider"]
    tees = " ".join(offer["tees"]) + (" SIMULATED" if offer["is_simulated"] else "")
    return (
        offer["id"],
        offer["title"],
        offer["kind"],
        plan["number"],
        price_words(plan),
        _capacity(plan["capacity"]),
        "any" if row["free"] is None else row["free"],
        offer["level"],
        tees.strip(),
        "yes" if offer["has_policy"] else None,
        None if provider is None else f"{provider['orders_done']} done, {provider['provider_faults']} faults",
    )


def print_usage(told: Json) -> None:
    """Print rows of the ledger of a resource's use."""
    print_table(
        ("number", "time", "customer", "order", "release", "enclave", "output", "erased"),
        [
            (
                row["number"],
                format_time(row["time_ms"]),
                row["customer"],
                row["order"],
                row["release"],
                row["enclave"],
                "yes" if row["output_receipt"] else None,
                "yes" if row["erase_receipt"] else None,
            )
            for row in told["rows"]
        ],
    )
    print_line(f"Uses in all: {told['usage_count']}.")
    if told["next"] is not None:
        print_line(f"More: --first {told['next']}")


def print_who_can_use(told: Json) -> None:
    """Print who is not ruled out by a resource's policy."""
    print_line("What it asks for:")
    print_policy(told["policy"])
    verdict = {"false": "nobody", "true": "everybody", "unknown": "whoever fits; it depends on the order"}
    print_line(f"\nWho could use it now: {verdict[told['verdict']]}")
    if told["verdict"] == "false":
        return
    customers = [*told["customers"], *(["others"] if told["are_others_customers"] else [])]
    print_line(f"Customers: {', '.join(customers) or 'nobody'}")
    software = [_release_name(one) for one in told["software"]] + (["other"] if told["is_other_software"] else [])
    print_line(f"Software: {', '.join(software) or 'none'}\n")
    print_table(
        ("enclave", "tee", "hardware", "operator", "level", "holds whatever the order says"),
        [_usable_row(one) for one in told["enclaves"]],
    )


def _release_name(name: Json) -> str:
    return str(name["resource"]) if name["release"] is None else f"{name['resource']}:{name['release']}"


def _usable_row(usable: Json) -> Sequence[object]:
    enclave = usable["enclave"]
    return (
        enclave["id"],
        f"{enclave['tee']} SIMULATED" if enclave["is_simulated"] else enclave["tee"],
        enclave["hardware"],
        enclave["operator"],
        enclave["level"],
        "yes" if usable["holds"] else None,
    )
