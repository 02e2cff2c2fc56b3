"""Requests and subscriptions over real WebSockets: every event once and in order, slow clients cut off, nobody disturbs another."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import WSMsgType

from node.api.errors import ApiReason, ErrorCode, RpcError
from node.api.websocket import SLOW_CLIENT
from state.errors import StorageFault
from tests.support.fixture_chain import FixtureNode, account, transfer
from tests.support.http import served

ADDRESS = "bocc1qq2umswpyqlguyy8jpfuxhf7qrdq7at82uz36ch9"


class Talk:
    """A client's end of a WebSocket."""

    def __init__(self, socket):
        self.socket = socket

    async def send(self, method, request_id=1, **params):
        call = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        await self.socket.send_str(json.dumps(call))

    async def receive(self):
        async with asyncio.timeout(5):
            message = await self.socket.receive()
        assert message.type is WSMsgType.TEXT, message
        return json.loads(message.data)

    async def call(self, method, **params):
        await self.send(method, **params)
        answer = await self.receive()
        assert answer["id"] == 1
        return answer

    async def pushed(self):
        message = await self.receive()
        assert message["method"] == "subscription"
        return message["params"]["subscription"], message["params"]["result"]

    async def closed(self):
        async with asyncio.timeout(5):
            message = await self.socket.receive()
        assert message.type in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING}, message
        return self.socket.close_code


@asynccontextmanager
async def talking(node=None, **config):
    node = node or FixtureNode()
    async with served(node, **config) as server, server.session.ws_connect(server.url("/ws", "ws")) as socket:
        yield node, server, Talk(socket)


def pay(node, count=1):
    first = node.chain.tip.block.height * 1_000
    transactions = [node.fixture.sign(0, transfer(account(1), 1), nonce=first + index) for index in range(count)]
    node.announce(node.fixture.add(*transactions))


async def test_calls_notifications_and_batches_are_answered_as_over_http():
    async with talking() as (_, _, talk):
        assert (await talk.call("status"))["result"]["height"] == 4
        await talk.socket.send_str(json.dumps({"jsonrpc": "2.0", "method": "status"}))
        await talk.socket.send_str(json.dumps([{"jsonrpc": "2.0", "id": 8, "method": "block", "params": [2]}, 5]))
        answers = await talk.receive()
        assert [answer["id"] for answer in answers] == [8, None]
        await talk.socket.send_str("{")
        assert (await talk.receive())["error"]["code"] == -32700


async def test_call_that_waits_does_not_hold_up_the_next():
    async with talking() as (node, _, talk):
        await talk.send("tx_wait", 1, tx_id="00" * 32, timeout_ms=20_000)
        await talk.send("status", 2)
        assert (await talk.receive())["id"] == 2
        assert node.tracker.waiter_count == 1
        await talk.socket.close()
        async with asyncio.timeout(2):
            while node.tracker.waiter_count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


async def test_messages_beyond_those_in_flight_wait_unread():
    async with talking(requests_in_flight_max=2, handler_timeout_s=0.2) as (node, _, talk):
        for request_id in range(3):
            await talk.send("tx_wait", request_id, tx_id="00" * 32, timeout_ms=20_000)
        async with asyncio.timeout(2):
            while node.tracker.waiter_count < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert node.tracker.waiter_count == 2
        answers = [await talk.receive() for _ in range(3)]
        assert {answer["error"]["data"]["reason"] for answer in answers} == {"handler_too_slow"}


async def test_subscription_pushes_new_events_after_its_answer():
    async with talking() as (node, _, talk):
        answer = await talk.call("subscribe")
        assert answer["result"] == {"subscription": "1", "cursor": "4"}
        pay(node, 2)
        pushed = [await talk.pushed() for _ in range(2)]
    assert [(subscription, event["cursor"], event["kind"]) for subscription, event in pushed] == [
        ("1", "5", "transferred"),
        ("1", "6", "transferred"),
    ]


def subscribe_and_wait():
    """Return a batch whose answer names a subscription and is held up by a call that waits."""
    calls = (1, "subscribe", {"after": "0"}), (2, "tx_wait", {"tx_id": "00" * 32, "timeout_ms": 200})
    return json.dumps([{"jsonrpc": "2.0", "id": number, "method": name, "params": one} for number, name, one in calls])


async def test_nothing_is_pushed_before_the_answer_that_names_the_subscription():
    async with talking() as (_, _, talk):
        await talk.socket.send_str(subscribe_and_wait())
        await talk.send("status", 3)
        assert (await talk.receive())["id"] == 3
        named, waited = await talk.receive()
        assert (named["result"]["subscription"], waited["id"]) == ("1", 2)
        assert (await talk.pushed())[0] == "1"


async def test_subscription_whose_answer_came_too_late_does_not_exist():
    async with talking(handler_timeout_s=0.05, subscriptions_max=1) as (node, _, talk):
        await talk.socket.send_str(subscribe_and_wait())
        assert (await talk.receive())["error"]["data"]["reason"] == "handler_too_slow"
        pay(node)
        assert (await talk.call("subscribe", after="4"))["result"]["subscription"] == "2"
        assert [(await talk.pushed())[0]] == ["2"]


async def test_subscription_after_a_cursor_begins_there():
    async with talking() as (node, _, talk):
        await talk.call("subscribe", after="2", topics=["tx", "block"])
        pay(node)
        assert [(await talk.pushed())[1]["cursor"] for _ in range(3)] == ["3", "4", "5"]


async def test_topics_of_a_subscription_are_its_own():
    async with talking() as (node, _, talk):
        await talk.call("subscribe", topics=["slashed"])
        await talk.call("subscribe", topics=[f"account:{ADDRESS}"])
        pay(node)
        subscription, event = await talk.pushed()
    assert (subscription, event["attributes"]["to"]) == ("2", ADDRESS)


async def test_head_is_pushed_at_once_and_with_each_final_block():
    async with talking() as (node, _, talk):
        await talk.call("subscribe", topics=["head"])
        first = (await talk.pushed())[1]
        node.announce(node.fixture.add())
        second = (await talk.pushed())[1]
    assert (first["kind"], first["height"], second["height"]) == ("head", 4, 5)
    assert second["block_hash"] == node.chain.tip.block.block_hash.hex()


async def test_subscription_that_was_stopped_pushes_nothing_more():
    async with talking() as (node, _, talk):
        await talk.call("subscribe", topics=["head"])
        await talk.pushed()
        assert (await talk.call("unsubscribe", subscription="1"))["result"] is True
        node.announce(node.fixture.add())
        assert (await talk.call("status"))["result"]["height"] == 5, "the next message is the answer, not the head"
        again = await talk.call("unsubscribe", subscription="1")
    assert again["error"]["data"]["reason"] == "unknown_subscription"


async def test_subscriptions_of_a_connection_are_bounded_and_ended_with_it():
    async with talking(subscriptions_max=2) as (_, server, talk):
        for _ in range(2):
            assert "result" in await talk.call("subscribe", topics=["slashed"])
        error = (await talk.call("subscribe"))["error"]
        assert (error["data"]["reason"], error["data"]["bound"]) == ("too_many_subscriptions", 2)
        await talk.call("unsubscribe", subscription="1")
        assert "result" in await talk.call("subscribe")
        await talk.socket.close()
        async with asyncio.timeout(2):
            while server.api.websocket_count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    assert not [task for task in asyncio.all_tasks() if "_push" in str(task.get_coro())]


@pytest.mark.parametrize(
    ("params", "reason"),
    [({"after": "99"}, "bad_cursor"), ({"after": ""}, "bad_params"), ({"topics": ["x"]}, "bad_topic")],
)
async def test_subscription_that_makes_no_sense_is_refused(params, reason):
    async with talking() as (_, _, talk):
        assert (await talk.call("subscribe", **params))["error"]["data"]["reason"] == reason


async def test_client_that_comes_and_goes_sees_every_event_once():
    """Given 600 events in bursts, when the client breaks off after some and continues after its cursor, then none is missed."""
    node = FixtureNode()
    seen = []
    async with served(node) as server:
        cursor = "4"
        while len(seen) < 600:
            pay(node, 40) if node.chain.tip.block.height < 19 else None
            async with server.session.ws_connect(server.url("/ws", "ws")) as socket:
                talk = Talk(socket)
                await talk.call("subscribe", after=cursor)
                for _ in range(min(37, node.feed.last_sequence - int(cursor))):
                    cursor = (await talk.pushed())[1]["cursor"]
                    seen.append(int(cursor))
    assert seen == list(range(5, 605))


async def test_subscription_whose_cursor_is_pruned_meanwhile_ends_with_the_earliest_that_would_do(monkeypatch):
    node = FixtureNode()
    async with talking(node) as (_, _, talk):
        await talk.call("subscribe", topics=["slashed"])

        def read(_after, _limit):
            raise RpcError(ErrorCode.PRUNED, ApiReason.PRUNED, 4, 9, earliest="9")

        monkeypatch.setattr(node.feed, "read", read)
        pay(node)
        message = await talk.receive()
        assert (message["params"]["subscription"], message["params"]["error"]["data"]["earliest"]) == ("1", "9")
        assert (await talk.call("unsubscribe", subscription="1"))["error"]["code"] == ErrorCode.NOT_FOUND


async def test_broken_database_under_a_subscription_stops_the_node(monkeypatch):
    node = FixtureNode()
    async with talking(node) as (_, server, talk):
        await talk.call("subscribe")

        def read(_after, _limit):
            raise StorageFault("damaged")

        monkeypatch.setattr(node.feed, "read", read)
        pay(node)
        await talk.closed()
        assert [str(failure) for failure in node.failures] == ["damaged"]
        assert not server.api.websocket_count


async def test_binary_messages_are_no_requests():
    async with talking() as (_, _, talk):
        await talk.socket.send_bytes(b"{}")
        assert await talk.closed() == aiohttp.WSCloseCode.UNSUPPORTED_DATA


async def test_message_above_the_limit_ends_the_connection():
    async with talking(body_bytes_max=2_000) as (_, server, talk):
        await talk.socket.send_str(" " * 2_001)
        assert await talk.closed() == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        assert (await server.get("/livez"))[0] == 200


async def test_compression_is_not_agreed_to():
    async with served() as server, server.session.ws_connect(server.url("/ws", "ws"), compress=15) as socket:
        assert not socket.compress


async def test_client_that_answers_no_ping_is_dropped():
    async with (
        served(ping_interval_s=0.1) as server,
        server.session.ws_connect(server.url("/ws", "ws"), autoping=False) as socket,
    ):
        async with asyncio.timeout(5):
            while server.api.websocket_count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not socket.closed


async def slow_socket(server):
    """Open a WebSocket by hand, subscribe, and then read nothing."""
    reader, writer = await asyncio.open_connection(server.host, server.port, limit=1)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "genesis"}).encode()
    batch = b"[" + b",".join([call] * 100) + b"]"
    frame = bytes((0x81, 0xFE)) + len(batch).to_bytes(2, "big") + bytes(4) + batch
    writer.write(frame * 30)
    return reader, writer


async def test_client_that_takes_nothing_is_closed_as_slow_and_nobody_waits_for_it():
    """Given a client that asks for 24 MB and reads nothing, then others are served, and after the timeout its place is free."""
    node = FixtureNode()
    async with served(node, send_timeout_s=0.3) as server:
        _, writer = await slow_socket(server)
        async with asyncio.timeout(10):
            while not server.api.websocket_count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            async with server.session.ws_connect(server.url("/ws", "ws")) as socket:
                talk = Talk(socket)
                await talk.call("subscribe")
                pay(node)
                assert (await talk.pushed())[1]["cursor"] == "5"
                while server.api.websocket_count > 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        writer.close()


async def test_slow_subscriber_is_told_where_to_continue(monkeypatch):
    """Given a subscriber whose socket blocks after three events, then it is closed with the cursor of the last event sent."""
    node = FixtureNode()
    async with talking(node, send_timeout_s=0.05) as (_, server, talk):
        (socket,) = server.api._sockets
        await talk.call("subscribe", after="0")
        for _ in range(4):
            await talk.pushed()
        original = socket.send_frame

        async def block(*arguments):
            await asyncio.sleep(60)

        monkeypatch.setattr(socket, "send_frame", block)
        pay(node)
        async with asyncio.timeout(5):
            message = await talk.socket.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, SLOW_CLIENT)
        assert message.extra == "too slow, continue after 4"
        monkeypatch.setattr(socket, "send_frame", original)


async def test_server_that_stops_says_goodbye():
    node = FixtureNode()
    async with aiohttp.ClientSession() as session:
        async with served(node) as server:
            socket = await session.ws_connect(server.url("/ws", "ws"))
            talk = Talk(socket)
            await talk.call("subscribe")
            closing = asyncio.ensure_future(talk.closed())
            await asyncio.sleep(0)
        assert await closing == aiohttp.WSCloseCode.GOING_AWAY
