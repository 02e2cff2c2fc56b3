"""Laws of long polls; subscriptions over a socket are in tests/integration/test_rpc_websocket.py."""

from __future__ import annotations

import asyncio

import pytest

from node.api.config import ApiConfig
from tests.support.fixture_chain import FixtureNode, account, transfer
from tests.support.rpc import Refused, running


async def refused(rpc, method, **params):
    with pytest.raises(Refused) as caught:
        await rpc.call(method, **params)
    return caught.value


async def started(coroutine):
    task = asyncio.ensure_future(coroutine)
    for _ in range(5):
        await asyncio.sleep(0)
    return task


def pay(node):
    nonce = node.chain.tip.block.height
    node.announce(node.fixture.add(node.fixture.sign(0, transfer(account(1), 1), nonce=nonce)))


async def test_poll_without_cursor_begins_with_the_oldest():
    async with running(FixtureNode()) as rpc:
        page = await rpc.call("events", limit=2)
    assert [event["cursor"] for event in page["events"]] == ["1", "2"]
    assert (page["cursor"], page["has_more"]) == ("2", True)


async def test_poll_waits_for_the_first_event_that_matches():
    node = FixtureNode()
    async with running(node) as rpc:
        call = await started(rpc.call("events", after="4", topics=["tx"], wait_ms=60_000))
        node.announce(node.fixture.add())
        await asyncio.sleep(0)
        assert not call.done()
        pay(node)
        page = await call
    assert [event["cursor"] for event in page["events"]] == ["5"]


async def test_poll_that_waits_in_vain_answers_an_empty_page_and_moves_its_cursor():
    node = FixtureNode()
    async with running(node, ApiConfig(wait_ms_max=20)) as rpc:
        call = await started(rpc.call("events", after="4", topics=["slashed"], wait_ms=3_600_000))
        pay(node)
        page = await call
    assert (page["events"], page["cursor"]) == ([], "5")


async def test_poll_that_does_not_wait_answers_at_once():
    async with running(FixtureNode()) as rpc:
        page = await rpc.call("events", after="4")
    assert page == {"events": [], "cursor": "4", "has_more": False}


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"after": "99"}, "bad_cursor"),
        ({"after": "x"}, "bad_cursor"),
        ({"after": 4}, "bad_params"),
        ({"topics": ["nothing"]}, "bad_topic"),
        ({"topics": ["head"]}, "bad_topic"),
        ({"topics": ["tx"] * 17}, "bad_params"),
        ({"limit": 1_001}, "bad_params"),
        ({"limit": 0}, "bad_params"),
    ],
)
async def test_polls_that_make_no_sense_are_refused(params, reason):
    async with running(FixtureNode()) as rpc:
        assert (await refused(rpc, "events", **params)).reason == reason


async def test_subscriptions_need_a_websocket():
    async with running(FixtureNode()) as rpc:
        assert (await refused(rpc, "subscribe")).reason == "needs_websocket"
        assert (await refused(rpc, "unsubscribe", subscription="1")).reason == "needs_websocket"
