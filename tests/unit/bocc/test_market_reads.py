"""Laws of the client's reads of the market: each is one call with what is asked, and orders are named before they are sent."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bocc.client import Client
from bocc.market_reads import orders_of
from node.api.methods import METHODS
from node.api.registry import convert_params
from state.address import format_address
from tests.support.chain_builders import account, transfer
from tests.support.fake_node import FakeNode, fake_node
from tests.support.market_fixture import CUSTOMER, build_market_fixture

SOMEBODY = format_address(account(1))


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    async with fake_node() as fake:
        yield fake


@pytest.mark.parametrize(
    ("ask", "method", "params"),
    [
        (lambda market: market.order("o"), "order", {"id": "o"}),
        (lambda market: market.order("o", prove=True), "order", {"id": "o", "prove": True}),
        (lambda market: market.orders(customer=SOMEBODY, limit=2), "orders", {"customer": SOMEBODY, "limit": 2}),
        (lambda market: market.resource("r", prove=True), "resource", {"id": "r", "prove": True}),
        (lambda market: market.resources(kind="data"), "resources", {"kind": "data"}),
        (lambda market: market.offers(price_max=5, vcpus=2), "market", {"price_max": "5", "vcpus": 2}),
        (lambda market: market.offers(), "market", {}),
        (lambda market: market.who_can_use("r", 3), "who_can_use", {"resource": "r", "limit": 3}),
        (lambda market: market.usage("r", 0, 9), "usage", {"resource": "r", "from": 0, "to": 9}),
        (lambda market: market.usage("r", prove=True), "usage", {"resource": "r", "prove": True}),
        (lambda market: market.provider(SOMEBODY), "provider", {"account": SOMEBODY}),
        (lambda market: market.endorsements(endorser=SOMEBODY), "endorsements", {"endorser": SOMEBODY}),
    ],
)
async def test_each_read_is_one_call_that_a_node_understands(node, ask, method, params):
    node.methods[method] = lambda **_given: {"told": method}
    async with Client(node.url) as client:
        assert await ask(client.market) == {"told": method}
    assert node.calls == [(method, params)]
    (row,) = [row for row in METHODS if row.name == method]
    convert_params(row, {name: SOMEBODY if given in {"o", "r"} else given for name, given in params.items()})


def test_orders_are_named_before_their_transaction_is_sent():
    fixture = build_market_fixture()
    chain_id = fixture.chain.chain_id
    signed = fixture.trust.sign(CUSTOMER, fixture.order(), transfer(account(1), 1), fixture.order(), nonce=0)
    first, third = orders_of(chain_id, signed)
    assert (first, third != format_address(fixture.open)) == (format_address(fixture.running), True)
    assert orders_of(chain_id, fixture.trust.sign(CUSTOMER, transfer(account(1), 1), nonce=0)) == []
