"""One WebSocket: requests as over HTTP, and subscriptions that push events.

A subscription is a cursor into the event log with a task that sends; it queues nothing. A client that takes no bytes for the send
timeout is closed with code 4408 and the cursor after which it goes on; nobody else waits for it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web
from msgspec import structs

from node.api.config import ApiConfig
from node.api.context import Call
from node.api.dispatch import Dispatcher
from node.api.errors import ApiReason, ErrorCode, RpcError, error_object
from node.api.event_feed import HEAD_TOPIC, Topics
from node.api.jsonrpc import notification
from node.api.views_node import HeadView
from state.errors import StorageFault

SLOW_CLIENT: Final = 4408
PAGE_EVENTS: Final = 100
CLOSE_TIMEOUT_S: Final = 2.0


class _Closing(Exception):
    """Ends the tasks of a connection."""


class _Starting:
    """The session as the calls of one body see it: what they subscribe to starts when their answer is sent, not before."""

    def __init__(self, connection: WebSocketSession) -> None:
        self._connection = connection
        self.subscriptions: list[tuple[str, Topics, int]] = []

    def subscribe(self, topics: Topics, after: int) -> str:
        """Start to push events after a sequence number, once the answer that names the subscription is sent.

        Raises:
            RpcError: LIMIT_EXCEEDED, TOO_MANY_SUBSCRIPTIONS.
        """
        subscription = self._connection.name_subscription()
        self.subscriptions.append((subscription, topics, after))
        return subscription

    def unsubscribe(self, subscription: str) -> bool:
        """Stop a subscription; False if it is not one of this connection."""
        return self._connection.unsubscribe(subscription)


class WebSocketSession:
    """The conversation with one client."""

    def __init__(self, socket: web.WebSocketResponse, dispatcher: Dispatcher, call: Call) -> None:
        """Speak over a prepared socket."""
        self._socket = socket
        self._dispatcher = dispatcher
        self._call = call
        self._config: ApiConfig = call.config
        self._slots = asyncio.Semaphore(call.config.requests_in_flight_max)
        self._tasks = asyncio.TaskGroup()
        self._starting_count = 0
        """Subscriptions whose answer is not sent yet."""
        self._running: dict[str, asyncio.Task[None]] = {}
        self._last_id = 0
        self._last_cursor = ""

    async def run(self) -> None:
        """Serve until the client leaves, breaks the protocol or is too slow."""
        try:
            async with self._tasks:
                await self._read()
        except* _Closing:
            pass

    async def _read(self) -> None:
        """Take requests as long as fewer than the limit are being answered; end by `_Closing`."""
        while True:
            await self._slots.acquire()
            message = await self._socket.receive()
            match message.type:
                case WSMsgType.TEXT:
                    self._tasks.create_task(self._answer(message.data.encode("utf-8", "surrogatepass")))
                case WSMsgType.BINARY:
                    await self._close(WSCloseCode.UNSUPPORTED_DATA, b"send JSON as text")
                    raise _Closing
                case _:
                    raise _Closing

    async def _answer(self, body: bytes) -> None:
        starting = _Starting(self)
        named = starting.subscriptions
        try:
            async with asyncio.timeout(self._config.handler_timeout_s):
                answer = await self._dispatcher.handle(body, structs.replace(self._call, session=starting))
        except TimeoutError:
            answer = self._dispatcher.too_slow(self._config)
            named = []
        finally:
            self._slots.release()
        if answer is not None:
            await self._send(answer)
        self._starting_count -= len(starting.subscriptions)
        for subscription, topics, after in named:
            self._running[subscription] = self._tasks.create_task(self._push(subscription, topics, after))

    def name_subscription(self) -> str:
        """Return the id of one more subscription.

        Raises:
            RpcError: LIMIT_EXCEEDED, TOO_MANY_SUBSCRIPTIONS.
        """
        count = len(self._running) + self._starting_count
        if count >= self._config.subscriptions_max:
            bound = self._config.subscriptions_max
            raise RpcError(ErrorCode.LIMIT_EXCEEDED, ApiReason.TOO_MANY_SUBSCRIPTIONS, count, bound)
        self._starting_count += 1
        self._last_id += 1
        return str(self._last_id)

    def unsubscribe(self, subscription: str) -> bool:
        """Stop a subscription; False if it is not one of this connection."""
        task = self._running.pop(subscription, None)
        if task is None:
            return False
        task.cancel()
        return True

    async def _push(self, subscription: str, topics: Topics, after: int) -> None:
        """Send the events of one subscription as they come, and the head if asked for."""
        feed, is_head_only = self._call.node.feed, topics.names == {HEAD_TOPIC} and not topics.addresses
        height = -1
        try:
            while True:
                tip_height = self._call.node.chain.tip.block.height
                if HEAD_TOPIC in topics.names and tip_height > height:
                    height = tip_height
                    await self._notify(subscription, self._head())
                has_more = False
                if not is_head_only:
                    page = await feed.page(after, topics, PAGE_EVENTS)
                    for event in page.events:
                        await self._notify(subscription, event)
                        self._last_cursor = event.cursor
                    after, has_more = int(page.cursor), page.has_more
                if not has_more and self._call.node.chain.tip.block.height == tip_height:
                    await feed.changed()
        except RpcError as error:
            self._running.pop(subscription, None)
            params = {"subscription": subscription, "error": error_object(error)}
            await self._send(notification("subscription", params))
        except (StorageFault, AssertionError) as error:
            self._call.node.fail(error)
            raise _Closing from error

    def _head(self) -> HeadView:
        block = self._call.node.chain.tip.block
        return HeadView(
            kind=HEAD_TOPIC,
            height=block.height,
            block_hash=block.block_hash.hex(),
            time_ms=block.time_ms,
            cursor=str(self._call.node.feed.last_sequence),
        )

    async def _notify(self, subscription: str, news: Any) -> None:
        await self._send(notification("subscription", {"subscription": subscription, "result": news}))

    async def _send(self, text: bytes) -> None:
        """Send one message, or end the connection if the client does not take it."""
        try:
            async with asyncio.timeout(self._config.send_timeout_s):
                await self._socket.send_frame(text, WSMsgType.TEXT)
        except TimeoutError as error:
            await self._close(SLOW_CLIENT, f"too slow, continue after {self._last_cursor or 'the last'}".encode())
            raise _Closing from error
        except ConnectionError as error:
            raise _Closing from error

    async def _close(self, code: int, message: bytes) -> None:
        """Say why, if the client still listens."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._socket.close(code=code, message=message, drain=False)
        except TimeoutError:
            return
