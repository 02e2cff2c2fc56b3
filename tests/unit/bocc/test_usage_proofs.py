"""Laws of proofs of use: what they show is on the chain, in one piece, and what was left out or changed is noticed."""

from __future__ import annotations

import asyncio
import json
from copy import deepcopy

import pytest
from click.testing import CliRunner

from bocc.cli.proof import command
from bocc.usage_proofs import describe_usage, find_usage, verify_usage
from state.address import format_address
from state.errors import Rejected
from state.genesis_file import format_genesis
from tests.support.fixture_chain import FixtureNode
from tests.support.market_fixture import OWNER, build_market_fixture, publish_data
from tests.support.rpc import ask


@pytest.fixture(scope="module")
def fixture():
    """The market with two orders that have used its data, and with more data that nobody has used."""
    made = build_market_fixture()
    made.run(made.open)
    events = made.send(OWNER, publish_data())
    made.unused = next(attributes["resource"] for attributes in events if "resource" in attributes)
    return made


@pytest.fixture(scope="module")
def told(fixture):
    node = FixtureNode(fixture.trust)
    return {
        "data": asyncio.run(ask(node, "usage", resource=format_address(fixture.data), prove=True)),
        "unused": asyncio.run(ask(node, "usage", resource=format_address(fixture.unused), prove=True)),
        "image": asyncio.run(ask(node, "usage", resource=format_address(fixture.trust.image), prove=True)),
    }


def verify(answer, fixture):
    return verify_usage(find_usage(json.dumps(answer).encode()), fixture.trust.genesis)


def test_a_whole_ledger_shows_every_use(told, fixture):
    usage = verify(told["data"], fixture)
    assert (usage.resource, usage.count, usage.is_whole) == (fixture.data, 2, True)
    assert [(number, row.order) for number, row in usage.rows] == [(0, fixture.running), (1, fixture.open)]
    assert verify(told["data"]["proof"], fixture) == verify({"result": told["data"]}, fixture) == usage


def test_of_a_resource_that_was_never_used_it_is_proven_that_it_was_not(told, fixture):
    usage = verify(told["unused"], fixture)
    assert (usage.resource, usage.count, usage.rows, usage.is_whole) == (fixture.unused, 0, (), True)


def test_a_part_of_a_ledger_is_told_as_a_part(told, fixture):
    answer = deepcopy(told["data"])
    del answer["proof"]["rows"][0]
    usage = verify(answer, fixture)
    assert ([number for number, _row in usage.rows], usage.is_whole) == ([1], False)


def absence_as_row(proof, other):
    proof["rows"].append(deepcopy(proof["absent"]))


def foreign_row(proof, other):
    proof["rows"][1] = other["rows"][1]


def foreign_use(proof, other):
    proof["use"] = other["use"]


def swapped_rows(proof, other):
    proof["rows"].reverse()


def changed_row(proof, other):
    proof["rows"][0]["value"] = proof["rows"][1]["value"]


def hidden_rows(proof, other):
    proof["rows"], proof["absent"] = [], proof["rows"][0]


def unknown_format(proof, other):
    proof["use"]["format"] = "bocc-proof-0"


def no_use(proof, other):
    row = proof["rows"][0]
    proof["use"] |= {name: row[name] for name in ("key", "value", "proof")}


def no_proof(proof, other):
    del proof["rows"][0]["proof"]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (absence_as_row, "bundle_bad_file"),
        (foreign_row, "bundle_bad_file"),
        (foreign_use, "bundle_bad_file"),
        (swapped_rows, "bundle_bad_file"),
        (changed_row, "wrong_value"),
        (hidden_rows, "bundle_bad_file"),
        (unknown_format, "bundle_bad_file"),
        (no_use, "bundle_bad_file"),
        (no_proof, "bundle_bad_file"),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)
def test_a_ledger_that_was_tampered_with_proves_nothing(told, fixture, spoil, reason):
    answer, other = deepcopy(told["data"]), deepcopy(told["image"]["proof"])
    spoil(answer["proof"], other)
    with pytest.raises(Rejected) as caught:
        verify(answer, fixture)
    assert caught.value.reason == reason


def test_another_proof_is_none_of_use(fixture):
    order = asyncio.run(ask(FixtureNode(fixture.trust), "order", id=format_address(fixture.open), prove=True))
    assert find_usage(json.dumps(order).encode()) is None


def test_the_command_verifies_a_ledger_of_use(told, fixture, tmp_path):
    trust, answer = tmp_path / "genesis.json", tmp_path / "usage.json"
    trust.write_bytes(format_genesis(fixture.trust.genesis))
    answer.write_bytes(json.dumps(told["data"]).encode())
    done = CliRunner().invoke(command, ["verify", str(answer), "--trust", str(trust), "--json"], standalone_mode=False)
    assert (done.return_value, done.exception) == (0, None)
    usage = verify(told["data"], fixture)
    assert json.loads(done.stdout) == {"verified": True, **describe_usage(usage)}
    assert describe_usage(usage)["rows"][1]["order"] == format_address(fixture.open)
