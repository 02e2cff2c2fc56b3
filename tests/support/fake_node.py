"""A JSON-RPC server that answers what a test tells it, on a free port of this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiohttp import WSMsgType, web


class Refusal(Exception):
    """Raised by a method to answer with an error."""

    def __init__(self, code: int, reason: str, **data: object) -> None:
        super().__init__(reason)
        self.error = {"code": code, "message": f"refused: {reason}", "data": {"reason": reason, **data}}


class FakeNode:
    """Methods by name, a record of the calls, and faults to play."""

    def __init__(self) -> None:
        self.url = ""
        self.methods: dict[str, Callable[..., Any]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.requests = 0
        self.http_faults: list[Callable[[], web.StreamResponse]] = []
        """Answers to give instead of the next ones, first first; a fault may also raise."""
        self.raw_answers: list[bytes] = []
        """Bodies to give instead of the next ones."""
        self.sockets: list[Callable[[web.WebSocketResponse], Any]] = []
        """What to do with each WebSocket after its first message, which is recorded as a call."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        body = json.loads(await request.read())
        if self.http_faults:
            return self.http_faults.pop(0)()
        if self.raw_answers:
            return web.Response(body=self.raw_answers.pop(0))
        answer = [self.answer(call) for call in body] if isinstance(body, list) else self.answer(body)
        return web.json_response(answer)

    def answer(self, call: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((call["method"], call["params"]))
        try:
            return {"jsonrpc": "2.0", "id": call["id"], "result": self.methods[call["method"]](**call["params"])}
        except Refusal as refusal:
            return {"jsonrpc": "2.0", "id": call["id"], "error": refusal.error}

    async def handle_socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        message = await socket.receive()
        assert message.type is WSMsgType.TEXT
        call = json.loads(message.data)
        self.calls.append((call["method"], call["params"]))
        await self.sockets.pop(0)(socket)
        return socket


@asynccontextmanager
async def fake_node() -> AsyncIterator[FakeNode]:
    """Serve until the context ends."""
    node = FakeNode()
    app = web.Application()
    app.router.add_post("/", node.handle)
    app.router.add_get("/ws", node.handle_socket)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        node.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield node
    finally:
        await runner.cleanup()


@contextmanager
def fake_node_in_thread() -> Iterator[FakeNode]:
    """Serve from a thread of its own, for callers that run an event loop themselves."""
    ready: Future[FakeNode] = Future()
    done: Future[None] = Future()

    async def serve() -> None:
        async with fake_node() as node:
            ready.set_result(node)
            await asyncio.wrap_future(done)

    with ThreadPoolExecutor(1) as pool:
        served = pool.submit(asyncio.run, serve())
        try:
            yield ready.result(timeout=10)
        finally:
            done.set_result(None)
            served.result(timeout=10)
