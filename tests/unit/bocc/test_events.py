"""Laws of event streams: each event once and in order, whatever the connection does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from aiohttp import web

from bocc.errors import NodeUnreachable, RpcRejected
from bocc.events import Patience, poll_events, stream_events
from bocc.rpc import RetryPolicy, RpcConnection
from tests.support.fake_node import FakeNode, Refusal, fake_node

QUICK = Patience(pause_s=0.0, attempts=4)
LOG = [{"cursor": str(number), "kind": "transferred"} for number in range(1, 11)]


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    async with fake_node() as fake:
        yield fake


@pytest.fixture
async def rpc(node: FakeNode) -> AsyncIterator[RpcConnection]:
    async with RpcConnection(node.url, RetryPolicy(attempts=1)) as connection:
        yield connection


def page(after="0", limit=100, topics=(), wait_ms=0):
    events = LOG[int(after) : int(after) + 3]
    return {"events": events, "cursor": events[-1]["cursor"] if events else after, "has_more": False}


async def take(events, count):
    taken = []
    async with aclosing(events) as stream:
        async for event in stream:
            taken.append(event)
            if len(taken) == count:
                break
    return taken


async def test_polling_goes_on_where_the_last_page_ended(node, rpc):
    node.methods["events"] = page
    assert await take(poll_events(rpc), 10) == LOG
    assert [params.get("after") for _, params in node.calls] == [None, "3", "6", "9"]


async def test_polling_survives_an_unreachable_node_without_gap_or_repetition(node, rpc):
    node.methods["events"] = page
    node.http_faults += [lambda: web.Response(status=503)] * 3
    assert await take(poll_events(rpc, patience=QUICK), 10) == LOG


async def test_polling_gives_up_when_patience_ends(node, rpc):
    node.http_faults += [lambda: web.Response(status=503)] * 10
    with pytest.raises(NodeUnreachable):
        await take(poll_events(rpc, patience=QUICK), 1)
    assert node.requests == 4


async def test_polling_passes_on_that_a_cursor_is_pruned(node, rpc):
    def pruned(**_):
        raise Refusal(5002, "pruned", earliest="7")

    node.methods["events"] = pruned
    with pytest.raises(RpcRejected) as caught:
        await take(poll_events(rpc, after="1"), 1)
    assert caught.value.data["earliest"] == "7"


def pusher(first, last, start="0"):
    """Return a server side that pushes part of the log and then closes."""

    async def push(socket):
        answer = {"subscription": "s", "cursor": start}
        await socket.send_str(json.dumps({"jsonrpc": "2.0", "id": 1, "result": answer}))
        for event in LOG[first:last]:
            params = {"subscription": "s", "result": event}
            await socket.send_str(json.dumps({"jsonrpc": "2.0", "method": "subscription", "params": params}))
        await socket.close(code=4408)

    return push


async def test_subscription_that_ends_by_an_error_passes_it_on(node, rpc):
    async def push(socket):
        await socket.send_str(json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"subscription": "s", "cursor": "0"}}))
        error = {"code": 5002, "message": "No longer kept", "data": {"reason": "pruned", "earliest": "7"}}
        params = {"subscription": "s", "error": error}
        await socket.send_str(json.dumps({"jsonrpc": "2.0", "method": "subscription", "params": params}))

    node.sockets.append(push)
    with pytest.raises(RpcRejected) as caught:
        await take(stream_events(rpc, node.url + "/ws", patience=QUICK), 1)
    assert (caught.value.code, caught.value.reason, caught.value.data["earliest"]) == (5002, "pruned", "7")


async def test_subscription_resumes_after_the_last_event_seen(node, rpc):
    node.sockets += [pusher(0, 4), pusher(4, 10)]
    assert await take(stream_events(rpc, node.url + "/ws", topics=["tx"], patience=QUICK), 10) == LOG
    assert node.calls == [("subscribe", {"topics": ["tx"]}), ("subscribe", {"topics": ["tx"], "after": "4"})]


async def test_subscription_from_now_on_misses_nothing_when_it_breaks_before_the_first_event(node, rpc):
    node.sockets += [pusher(0, 0, start="2"), pusher(2, 10)]
    assert await take(stream_events(rpc, node.url + "/ws", patience=QUICK), 8) == LOG[2:]
    assert [params.get("after") for _, params in node.calls] == [None, "2"]


async def test_subscription_gives_up_when_patience_ends(node, rpc):
    node.sockets += [pusher(0, 0)] * 10
    with pytest.raises(NodeUnreachable):
        await take(stream_events(rpc, node.url + "/ws", patience=QUICK), 1)
    assert len(node.calls) == 4


async def test_refused_subscription_is_a_refusal(node, rpc):
    async def refuse(socket):
        error = {"code": -32602, "message": "no", "data": {"reason": "bad_topic"}}
        await socket.send_str(json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}))

    node.sockets.append(refuse)
    with pytest.raises(RpcRejected) as caught:
        await take(stream_events(rpc, node.url + "/ws", patience=QUICK), 1)
    assert caught.value.reason == "bad_topic"
