"""Laws of JSON: one rule for bytes, addresses, money, enumerations and integers, in every record."""

from __future__ import annotations

import pytest

from bocc.provider.software import publish_image
from node.api.describe import describe, describe_attributes, describe_message
from state.address import VALIDATOR_PREFIX, format_address
from state.messages import AuthKey, BondAction, SetAuth
from state.order_messages import Beat
from state.order_terms import Meter
from state.policies import AllOf, LevelAtLeast, Not, TeeIn
from state.receipts import EventKind
from state.trust_messages import PutCollateral
from state.votes import VoteKind
from tests.support.chain_builders import account, delegate, make_report, make_vote, operator, validator_key
from tests.support.market_fixture import build_market_fixture

ADDRESS = account(1)


@pytest.mark.parametrize(
    ("name", "wire", "json"),
    [
        ("amount", 5, "5"),
        ("fee", 2**63 - 1, str(2**63 - 1)),
        ("nonce", 5, 5),
        ("nonce", 2**53 - 1, 2**53 - 1),
        ("nonce", 2**53, str(2**53)),
        ("to", ADDRESS, format_address(ADDRESS)),
        ("validator", ADDRESS, format_address(ADDRESS, VALIDATOR_PREFIX)),
        ("validator", b"", None),
        ("proof", b"\x01\xff", "01ff"),
        ("sender", b"\x09" * 21, "09" * 21),
        ("action", BondAction.ADD, "add"),
        ("kind", EventKind.BONDED, "bonded"),
        ("is_set", True, True),
        ("nothing", None, None),
        ("text", "a", "a"),
        ("keys", (1, 2), [1, 2]),
    ],
)
def test_value_has_one_form(name, wire, json):
    assert describe(name, wire) == json


def test_message_begins_with_its_kind():
    described = describe_message(delegate(operator(0), 7))
    assert next(iter(described)) == "kind"
    assert described == {
        "kind": "bond",
        "action": "add",
        "purpose": "delegate",
        "amount": "7",
        "validator": format_address(operator(0), VALIDATOR_PREFIX),
        "consensus_key": None,
        "proof": None,
    }


def test_nested_records_are_objects():
    key = AuthKey(public_key=bytes(32), weight=1, scopes=3)
    change = SetAuth(account=ADDRESS, keys=(key,), threshold=1, guardians=(ADDRESS,), guardian_quorum=1)
    described = describe_message(change)
    assert described["kind"] == "set_auth"
    assert described["keys"] == [{"public_key": "00" * 32, "weight": 1, "scopes": 3}]
    assert described["guardians"] == [format_address(ADDRESS)]


def test_evidence_is_shown_whole():
    votes = [make_vote(bytes(32), validator_key(0), VoteKind.NOTARIZE, 0, 1, block) for block in (1, 2)]
    described = describe_message(make_report(operator(0), *votes))
    assert (described["kind"], described["first"]["kind"]) == ("report", "notarize")
    assert described["first"]["block_hash"] != described["second"]["block_hash"]
    assert described["first"]["validator"] == 0


def test_texts_of_events_are_texts():
    assert describe_attributes((("status", b"jailed"), ("validator", ADDRESS), ("amount", 3))) == {
        "status": "jailed",
        "validator": format_address(ADDRESS, VALIDATOR_PREFIX),
        "amount": "3",
    }


def test_own_kind_of_a_message_does_not_hide_the_kind_of_the_message():
    described = describe_message(publish_image())
    assert (described["kind"], described["resource_kind"]) == ("publish", "software")
    assert described["release"]["profiles"][0]["tee"] == "tdx"
    put = PutCollateral(kind=3, body=b"{}", chain=())
    assert describe_message(put) == {
        "kind": "put_collateral",
        "collateral_kind": "intel_tcb_info",
        "body": "7b7d",
        "chain": [],
    }


def test_number_without_a_meaning_is_shown_as_it_is():
    assert describe_message(PutCollateral(kind=200, body=b"{}", chain=()))["collateral_kind"] == 200
    assert describe("tee", 200) == 200


def test_conditions_of_a_policy_are_told_apart():
    policy = (AllOf(count=2), Not(), TeeIn(kinds=(2, 9)), LevelAtLeast(level=3))
    assert describe("policy", policy) == [
        {"kind": "all_of", "count": 2},
        {"kind": "not"},
        {"kind": "tee_in", "kinds": ["tdx", 9]},
        {"kind": "level_at_least", "level": 3},
    ]


def test_the_money_of_orders_is_text_in_messages_and_events():
    order = describe_message(build_market_fixture().order(deposit=7))
    assert [order[name] for name in ("kind", "deposit", "output_to")] == ["order", "7", "customer"]
    assert order["constraints"] == [{"kind": "level_at_least", "level": 1}]
    assert {name: order["lines"][0][name] for name in ("role", "plan", "quantity", "price_max")} == {
        "role": "compute",
        "plan": 0,
        "quantity": 1,
        "price_max": "1000000",
    }
    attributes = (("held", 5), ("refund", 6), ("penalty", 7), ("share", 20), ("cause", b"beat_missed"))
    assert describe_attributes(attributes) == {
        "held": "5",
        "refund": "6",
        "penalty": "7",
        "share": 20,
        "cause": "beat_missed",
    }


def test_receipts_come_with_their_kinds():
    fixture = build_market_fixture()
    beat = Beat(order=fixture.running, number=1, meter=Meter(cpu_ms=1, gpu_ms=2, storage_gb_s=3, network_bytes=4))
    told = describe_message(fixture.receipts(beat))
    assert (told["kind"], told["enclave"]) == ("receipt", format_address(fixture.trust.enclave))
    assert told["receipts"] == [
        {
            "kind": "beat",
            "order": format_address(fixture.running),
            "number": 1,
            "meter": {"cpu_ms": 1, "gpu_ms": 2, "storage_gb_s": 3, "network_bytes": 4},
        }
    ]
