"""Laws of the reads of orders: what one is and how it stands, whose orders there are, and proofs of both of its records."""

from __future__ import annotations

import json

import pytest

from bocc.light import verify_file
from state.address import AddressKind, format_address
from state.codec import encode
from state.order_records import ORDER_TERMS, ORDERS
from tests.support.chain_builders import account
from tests.support.market_fixture import CUSTOMER, OWNER, market_node
from tests.support.rpc import ask, refusal_of
from tests.support.trust_fixture import PROVIDER

NO_ORDER = format_address(bytes((AddressKind.ORDER, *bytes(20))))


@pytest.fixture(scope="module")
def node():
    return market_node()


async def test_a_running_order_shows_everything_that_belongs_to_it(node):
    market = node.market
    told = await ask(node, "order", id=format_address(market.running))
    now_ms = market.chain.tip.block.time_ms
    assert [told[name] for name in ("state", "reason", "cause", "attempts_left", "receipt_count")] == [
        "running", None, None, 1, 1,
    ]  # fmt: skip
    assert [told[name] for name in ("customer", "operator")] == [
        format_address(account(index)) for index in (CUSTOMER, PROVIDER)
    ]
    assert [line["role"] for line in told["lines"]] == ["compute", "software", "data"]
    assert [line["grant"] and line["grant"]["granted_by"] for line in told["lines"]] == [
        None, None, format_address(account(OWNER)),
    ]  # fmt: skip
    assert [line["earned"] for line in told["lines"]] == ["0", "0", "50000"]
    assert told["money"] == {
        "held": "200000",
        "free": "150000",
        "contributed": "200000",
        "earned": "50000",
        "settled": "0",
        "bond_locked": str(market.chain.ledger.get(ORDERS, market.running).bond_locked),
        "penalty_locked": "20000",
        "funded_ms": 150_000,
        "funds_out_ms": now_ms + 150_000,
        "low": None,
    }
    assert told["dates"]["next"] == {"due_ms": now_ms + 10_000, "what": "beat_due"}
    assert told["terms"]["constraints"]["words"] == "the enclave's level is at least 1"
    assert (told["run"]["usages"], told["run"]["mark"]) == ([0, 0, 0], "none")
    assert told["funds"] == [{"account": format_address(account(CUSTOMER)), "amount": "200000"}]


async def test_an_open_order_has_neither_machine_nor_receipts(node):
    told = await ask(node, "order", id=format_address(node.market.open))
    assert [told[name] for name in ("state", "enclave", "operator", "hardware", "run", "proof")] == [
        "open",
        *[None] * 5,
    ]
    assert (told["money"]["funds_out_ms"], told["terms"]["constraints"]) == (None, None)


async def test_both_records_of_an_order_are_proven_for_people_without_a_node(node):
    market = node.market
    told = await ask(node, "order", id=format_address(market.running), prove=True)
    for name, table in (("proof", ORDERS), ("terms_proof", ORDER_TERMS)):
        fact = verify_file(json.dumps(told[name]).encode(), market.trust.genesis)
        assert fact.key == table.raw_key(market.running)
        assert fact.value == encode(market.chain.ledger.get(table, market.running))


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ({}, ["open", "running"]),
        ({"open": True}, ["open"]),
        ({"state": "running"}, ["running"]),
        ({"state": "closed"}, []),
        ({"customer": account(CUSTOMER)}, ["open", "running"]),
        ({"customer": account(PROVIDER)}, []),
        ({"operator": account(PROVIDER)}, ["running"]),
        ({"enclave": "enclave"}, ["running"]),
        ({"resource": "data"}, ["open", "running"]),
        ({"resource": "data", "state": "open"}, ["open"]),
    ],
    ids=str,
)
async def test_orders_are_found_by_who_takes_part(node, names, found):
    market = node.market
    addresses = {"enclave": market.trust.enclave, "data": market.data}
    given = {
        name: format_address(addresses.get(told, told))
        if name in {"customer", "operator", "enclave", "resource"}
        else told
        for name, told in names.items()
    }
    listed = await ask(node, "orders", **given)
    assert listed["cursor"] is None
    assert [row["id"] for row in listed["orders"]] == [format_address(getattr(market, name)) for name in found]
    assert [row["state"] for row in listed["orders"]] == found


async def test_orders_come_page_by_page(node):
    first = await ask(node, "orders", limit=1)
    second = await ask(node, "orders", limit=1, cursor=first["cursor"])
    assert [row["state"] for row in first["orders"] + second["orders"]] == ["open", "running"]
    assert second["cursor"] is None


@pytest.mark.parametrize(
    ("method", "params", "reason"),
    [
        ("order", {"id": NO_ORDER}, "no_such_order"),
        ("order", {"id": format_address(account(1))}, "wrong_prefix"),
        ("orders", {"open": True, "customer": format_address(account(1))}, "bad_params"),
        ("orders", {"cursor": "x"}, "bad_cursor"),
        ("orders", {"state": "waiting"}, "bad_params"),
        ("orders", {"limit": 21}, "bad_params"),
    ],
)
async def test_what_is_not_there_or_makes_no_sense_is_refused_with_a_reason(node, method, params, reason):
    assert await refusal_of(node, method, **params) == reason
