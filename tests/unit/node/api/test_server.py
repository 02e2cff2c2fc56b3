"""How the server of the API stops: no call is in flight any more when aiohttp takes its connections away."""

from __future__ import annotations

import asyncio
import logging

import aiohttp
import pytest
from aiohttp import web

from node.api import server
from node.api.config import ApiConfig


async def stop_with_a_call_in_flight(monkeypatch, *, may_end):
    """Stop a server while it answers, and return what happened in its order; `may_end` makes the call end by itself."""
    happened = []
    shutdown = web.Server.shutdown

    async def shut_down(connections, timeout_s):
        happened.append("connections closed")
        await shutdown(connections, timeout_s)

    monkeypatch.setattr(web.Server, "shutdown", shut_down)
    came, goes_on = asyncio.Event(), asyncio.Event()

    async def answer(_request):
        came.set()
        try:
            await goes_on.wait()
        except asyncio.CancelledError:
            happened.append("cancelled")
            raise
        happened.append("answered")
        return web.Response(text="answer")

    async def let_end(_app):
        if may_end:
            goes_on.set()

    app = web.Application()
    app.router.add_post("/", answer)
    app.on_shutdown.append(let_end)
    async with aiohttp.ClientSession() as session:
        async with server.serve(app, "127.0.0.1", 0, ApiConfig()) as (host, port):
            call = asyncio.ensure_future(session.post(f"http://{host}:{port}/"))
            await came.wait()
        try:
            happened.append(await (await call).text())
        except aiohttp.ServerDisconnectedError:
            happened.append("disconnected")
    return happened


async def test_call_that_ends_by_itself_is_answered_before_connections_are_closed(monkeypatch: pytest.MonkeyPatch):
    happened = await stop_with_a_call_in_flight(monkeypatch, may_end=True)
    assert happened == ["answered", "connections closed", "answer"]


async def test_call_that_has_no_end_is_cancelled_before_connections_are_closed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(server, "SHUTDOWN_TIMEOUT_S", 0.01)
    happened = await stop_with_a_call_in_flight(monkeypatch, may_end=False)
    assert happened == ["cancelled", "connections closed", "disconnected"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
