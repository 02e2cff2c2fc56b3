"""Laws of the reads of the market: offers marked where they are simulated, policies in words, ledgers of use proven whole."""

from __future__ import annotations

import json

import pytest

from bocc.usage_proofs import find_usage, verify_usage
from node.api.views_trust import SIMULATED_NOTICE
from state.address import AddressKind, format_address
from state.order_records import USAGE, usage_key
from tests.support.chain_builders import account
from tests.support.market_fixture import CUSTOMER, OWNER, market_node
from tests.support.ordering import BOND
from tests.support.rpc import ask, refusal_of
from tests.support.trust_fixture import PROVIDER

NOTHING = format_address(bytes((AddressKind.RESOURCE, *bytes(20))))
SOMEBODY = format_address(account(1))


@pytest.fixture(scope="module")
def node():
    return market_node()


@pytest.fixture(scope="module")
def names(node):
    """Return the addresses that the tests speak of."""
    market = node.market
    addresses = {
        "machine": market.trust.hardware,
        "image": market.trust.image,
        "data": market.data,
        "enclave": market.trust.enclave,
        "owner": account(OWNER),
        "provider": account(PROVIDER),
        "customer": account(CUSTOMER),
    }
    return {name: format_address(address) for name, address in addresses.items()}


async def test_a_resource_shows_plans_policy_and_use(node, names):
    told = await ask(node, "resource", id=names["machine"])
    (plan,) = told["plans"]
    assert (plan["plan"]["price"], plan["is_open"], plan["in_use"], plan["stock_left"], plan["free"]) == (
        "1000", True, 2, None, 7,
    )  # fmt: skip
    assert (told["in_use"]["vcpus"], told["capacity"]["vcpus"], told["usage_count"]) == (2, 16, 1)
    told = await ask(node, "resource", id=names["data"])
    assert told["policy"] == {
        "name": "level_at_least",
        "words": "the enclave's level is at least 1",
        "node": {"kind": "level_at_least", "level": 1},
        "children": [],
    }
    assert (told["vault"], told["derived_from"], told["frozen_ms"], told["payees"]) == (None, None, None, [])


async def test_resources_are_listed_in_short(node, names):
    told = await ask(node, "resources", owner=names["provider"])
    assert [(row["id"], row["kind"], row["has_policy"]) for row in told["resources"]] == [
        (names["image"], "software", False),
        (names["machine"], "hardware", False),
    ]
    first = await ask(node, "resources", limit=2)
    second = await ask(node, "resources", limit=2, cursor=first["cursor"])
    assert [row["id"] for row in first["resources"] + second["resources"]] == [
        names["data"], names["image"], names["machine"],
    ]  # fmt: skip


async def test_an_offer_of_simulated_hardware_says_so(node, names):
    told = await ask(node, "market", kind="hardware", tee="tdx", level_min=1, unit="second", price_max="1000", vcpus=2)
    (offer,) = told["offers"]
    assert [offer[name] for name in ("id", "level", "is_simulated", "notice", "tees", "release")] == [
        names["machine"], 1, True, SIMULATED_NOTICE, ["tdx"], None,
    ]  # fmt: skip
    assert [row["id"] for row in offer["enclaves"]] == [names["enclave"]]
    assert (offer["provider"]["orders_accepted"], offer["provider"]["earned"]) == (1, "0")


@pytest.mark.parametrize(
    "wanted",
    [
        {"level_min": 2},
        {"price_max": "999"},
        {"vcpus": 3},
        {"gpu_model": "h100"},
        {"category": "images"},
        {"tee": "nitro"},
        {"unit": "use"},
    ],
    ids=str,
)
async def test_a_machine_that_does_not_fit_is_not_offered(node, wanted):
    assert await ask(node, "market", kind="hardware", **wanted) == {"offers": [], "cursor": None}


async def test_who_can_use_tells_conditions_and_enclaves_that_meet_them(node, names):
    told = await ask(node, "who_can_use", resource=names["data"])
    assert (told["verdict"], told["policy"]["name"], told["notice"]) == ("unknown", "level_at_least", SIMULATED_NOTICE)
    assert [(usable["enclave"]["id"], usable["holds"]) for usable in told["enclaves"]] == [(names["enclave"], True)]
    assert (told["customers"], told["are_others_customers"], told["is_other_software"]) == ([], True, True)


async def test_uses_are_proven_with_the_end_of_the_ledger(node, names):
    market = node.market
    told = await ask(node, "usage", resource=names["data"], prove=True)
    assert (told["usage_count"], [row["number"] for row in told["rows"]], told["next"]) == (1, [0], None)
    assert told["rows"][0]["order"] == format_address(market.running)
    proven = verify_usage(find_usage(json.dumps(told).encode()), market.trust.genesis)
    assert (proven.resource, proven.count, proven.is_whole, proven.height) == (market.data, 1, True, told["height"])
    assert proven.rows == ((0, market.chain.ledger.get(USAGE, usage_key(market.data, 0))),)
    assert told["proof"]["absent"]["key"] == USAGE.raw_key(usage_key(market.data, 1)).hex()


async def test_a_part_of_the_ledger_proves_no_end(node, names):
    told = await ask(node, "usage", resource=names["data"], prove=True, **{"from": 0, "to": 0})
    assert (len(told["rows"]), told["proof"]["absent"]) == (1, None)
    told = await ask(node, "usage", resource=names["data"], prove=True, **{"from": 1})
    assert (told["rows"], told["next"], told["proof"]["absent"] is None) == ([], None, False)


async def test_a_provider_shows_bond_and_service(node, names):
    told = await ask(node, "provider", account=names["provider"])
    assert {name: told[name] for name in ("bond", "bond_locked", "running_orders", "hardware", "enclaves")} == {
        "bond": str(BOND - 20_000),
        "bond_locked": "20000",
        "running_orders": 1,
        "hardware": [names["machine"]],
        "enclaves": {"trusted": 1},
    }


async def test_endorsements_are_found_from_both_ends(node, names):
    by = await ask(node, "endorsements", endorser=names["owner"])
    of = await ask(node, "endorsements", subject_kind="release", subject=names["image"], release=0)
    assert by == of
    (said,) = by["endorsements"]
    assert [said[name] for name in ("endorser", "subject_kind", "subject", "release", "claim", "counts")] == [
        names["owner"], "release", names["image"], 0, "reproduced", True,
    ]  # fmt: skip
    for kind, subject in (
        ("platform", "0102"),
        ("enclave", names["enclave"]),
        ("resource", names["image"]),
        ("account", names["owner"]),
    ):
        assert (await ask(node, "endorsements", subject_kind=kind, subject=subject))["endorsements"] == []


@pytest.mark.parametrize(
    ("method", "params", "reason"),
    [
        ("resources", {"cursor": "x"}, "bad_cursor"),
        ("resources", {"limit": 51}, "bad_params"),
        ("market", {"tee": "psp"}, "bad_params"),
        ("market", {"price_max": "-1"}, "bad_params"),
        ("who_can_use", {"resource": NOTHING}, "no_such_resource"),
        ("who_can_use", {"resource": NOTHING, "cursor": "00"}, "bad_cursor"),
        ("usage", {"resource": NOTHING}, "no_such_resource"),
        ("usage", {"resource": SOMEBODY}, "wrong_prefix"),
        ("provider", {"account": NOTHING}, "wrong_prefix"),
        ("endorsements", {}, "bad_params"),
        ("endorsements", {"subject": SOMEBODY}, "bad_params"),
        ("endorsements", {"endorser": SOMEBODY, "subject": SOMEBODY, "subject_kind": "account"}, "bad_params"),
        ("endorsements", {"subject": NOTHING, "subject_kind": "release"}, "bad_params"),
        ("endorsements", {"subject": SOMEBODY, "subject_kind": "account", "release": 0}, "bad_params"),
        ("endorsements", {"subject": "xy", "subject_kind": "platform"}, "bad_hex"),
    ],
    ids=str,
)
async def test_what_is_not_there_or_makes_no_sense_is_refused_with_a_reason(node, method, params, reason):
    assert await refusal_of(node, method, **params) == reason
