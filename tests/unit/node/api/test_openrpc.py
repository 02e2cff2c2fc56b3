"""Laws of the OpenRPC document: it is what the code says, its examples work, and results have the shapes that it promises.

`UPDATE_GOLDEN=1` writes docs/openrpc.json anew.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, get_origin

import msgspec
import pytest

from node.api.config import ApiConfig
from node.api.errors import ErrorCode
from node.api.methods import (
    EXAMPLE_ADDRESS,
    EXAMPLE_COLLATERAL,
    EXAMPLE_ENCLAVE,
    EXAMPLE_ENDORSER,
    EXAMPLE_ORDER,
    EXAMPLE_PROVIDER,
    EXAMPLE_RESOURCE,
    EXAMPLE_TX,
    EXAMPLE_TX_ID,
    METHODS,
)
from node.api.openrpc import describe
from state import trust_queries
from state.address import format_address
from tests.support.fixture_chain import BOCC, FixtureNode, account, build_fixture, transfer
from tests.support.governing import propose
from tests.support.market_fixture import OWNER, build_market_fixture, market_node
from tests.support.rpc import Rpc, running
from tests.support.trust_fixture import PROVIDER, build_trust_fixture

COMMITTED = Path(__file__).resolve().parents[4] / "docs" / "openrpc.json"
NAMES = {
    "status", "params", "genesis", "validators", "block", "blocks", "tx", "tx_submit", "tx_wait", "account", "state_proof",
    "records",
    "mempool", "net_info", "consensus_state", "explain", "faucet", "events", "subscribe", "unsubscribe", "rpc.discover",
    "collateral", "collaterals", "enclave", "enclaves", "forecast", "appraise", "resource", "order", "orders",
    "resources", "market", "who_can_use", "usage", "provider", "endorsements",
    "proposal", "proposals",
}  # fmt: skip


def document() -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(describe(METHODS, ApiConfig().public_url)))


def test_committed_document_is_what_the_code_says():
    text = msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n"
    if os.environ.get("UPDATE_GOLDEN"):
        COMMITTED.write_bytes(text)
    assert COMMITTED.read_bytes() == text, "run with UPDATE_GOLDEN=1 and review the difference"


def test_every_method_of_the_interface_is_there_and_no_other():
    assert {method["name"] for method in document()["methods"]} == NAMES


@pytest.mark.parametrize("described", document()["methods"], ids=lambda described: described["name"])
def test_method_has_summary_typed_parameters_and_an_example_of_them(described):
    assert described["summary"].endswith(".")
    assert all("schema" in param and "required" in param for param in described["params"])
    required = {param["name"] for param in described["params"] if param["required"]}
    given = {param["name"] for param in described["examples"][0]["params"]}
    assert required <= given <= {param["name"] for param in described["params"]}


def test_references_lead_to_schemas():
    text = msgspec.json.encode(document()).decode()
    schemas = document()["components"]["schemas"]
    names = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert names
    assert names <= set(schemas)


def test_examples_speak_of_the_fixture_chain():
    fixture = build_fixture()
    assert format_address(account(1)) == EXAMPLE_ADDRESS
    assert fixture.chain.views.block_by_height(2).receipts[0].tx_id.hex() == EXAMPLE_TX_ID
    assert fixture.sign(3, transfer(account(4), 7 * BOCC), nonce=0).encoded.hex() == EXAMPLE_TX


def test_examples_of_trust_speak_of_the_blocks_that_the_fixture_adds():
    fixture = build_trust_fixture()
    keys = [view.key.hex() for view in trust_queries.collaterals(fixture.chain.ledger, 10).collaterals]
    assert keys[2] == EXAMPLE_COLLATERAL
    assert format_address(fixture.enclave) == EXAMPLE_ENCLAVE
    assert format_address(fixture.image) == EXAMPLE_RESOURCE


def test_examples_of_the_market_speak_of_the_blocks_that_the_fixture_adds():
    assert format_address(build_market_fixture().running) == EXAMPLE_ORDER
    assert [format_address(account(index)) for index in (PROVIDER, OWNER)] == [EXAMPLE_PROVIDER, EXAMPLE_ENDORSER]


class Session:
    """A WebSocket that has one subscription."""

    def subscribe(self, _topics, _after):
        return "1"

    def unsubscribe(self, subscription):
        return subscription == "1"


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
async def test_example_gives_a_result_of_the_promised_type(method):
    node = market_node()
    node.fixture.add(node.fixture.sign(0, propose(), nonce=1_000))
    async with running(node) as rpc:
        rpc.context = msgspec.structs.replace(rpc.context, session=Session())
        call = asyncio.ensure_future(rpc.call(method.name, **method.example))
        for _ in range(5):
            await asyncio.sleep(0)
        if len(node.mempool):
            node.produce()
        result = await call
    if method.result_type is msgspec.Raw or get_origin(method.result_type) is dict:
        assert isinstance(result, dict)
        assert result
    else:
        assert msgspec.to_builtins(msgspec.convert(result, method.result_type)) == result


async def test_discovery_answers_the_document():
    assert await Rpc(FixtureNode(), ApiConfig()).call("rpc.discover") == document()


def test_documented_errors_have_codes_of_the_catalogue():
    codes = {error["code"] for method in document()["methods"] for error in method.get("errors", [])}
    assert codes <= {int(code) for code in ErrorCode}
    assert int(ErrorCode.TX_REJECTED) in codes
