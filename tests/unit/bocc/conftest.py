"""A market of its own behind a node that plays it, for the tests of commands that speak to one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.fake_node import FakeNode, fake_node_in_thread
from tests.support.market_cli import PlayedMarket, fresh_market, played
from tests.support.ordering import Market


@pytest.fixture(scope="module")
def shared_node() -> Iterator[FakeNode]:
    """A server for all tests of a module."""
    with fake_node_in_thread() as node:
        yield node


@pytest.fixture
def market() -> Market:
    """A market that nobody else has."""
    return fresh_market()


@pytest.fixture
def node(shared_node: FakeNode, market: Market, monkeypatch: pytest.MonkeyPatch) -> PlayedMarket:
    """The node that plays the market."""
    return played(shared_node, market, monkeypatch)
