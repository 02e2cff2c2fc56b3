"""Sockets of the API: bounded connections, a deadline for the first request of each, and what aiohttp would otherwise let pass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from node.api.config import ApiConfig

SHUTDOWN_TIMEOUT_S: Final = 0.5
"""What is being answered when the server stops may take this long yet; what waits for a block has no end to wait for."""
_LINGER_S: Final = 1.0
"""How long an unwanted rest of a body is read before the connection is closed."""
_HEADERS_MAX: Final = 64


class _Turned(asyncio.Protocol):
    """A connection beyond the limit: closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


class _Door:
    """Makes the protocol of each new connection."""

    def __init__(self, server: web.Server, config: ApiConfig) -> None:
        self._server = server
        self._config = config
        self._loop = asyncio.get_running_loop()

    def __call__(self) -> asyncio.BaseProtocol:
        if len(self._server.connections) >= self._config.connections_max:
            return _Turned()
        handler = self._server()
        self._loop.call_later(self._config.body_timeout_s, _close_silent, handler)
        return handler


def _close_silent(handler: web.RequestHandler) -> None:
    """Close a connection that has not sent one whole request header yet; aiohttp itself would wait for ever."""
    if handler.transport is not None and not handler._request_count:  # noqa: SLF001  # aiohttp shows it nowhere else
        handler.force_close()


async def _end_calls(runner: web.AppRunner, server: web.Server) -> None:
    """Take no more requests, let those in flight end, and cancel the rest.

    aiohttp itself would mark a call as done that it has given up in the same turn of the loop, which is an error in its log. So
    it must find none when it cleans up.
    """
    await asyncio.sleep(0)  # Requests that have come begin.
    server.pre_shutdown()
    await runner.shutdown()
    tasks = {handler._task_handler for handler in server.connections}  # noqa: SLF001  # aiohttp shows it nowhere else
    for is_over in (False, True):
        unfinished = {task for task in tasks if task is not None and not task.done()}
        for task in unfinished if is_over else ():
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished, timeout=SHUTDOWN_TIMEOUT_S)


@asynccontextmanager
async def serve(app: web.Application, host: str, port: int, config: ApiConfig) -> AsyncIterator[tuple[str, int]]:
    """Serve an application while the context lasts, and give the address it listens on; port 0 takes a free one.

    Raises:
        OSError: the address is taken or not this machine's.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=config.keepalive_timeout_s,
        lingering_time=_LINGER_S,
        max_line_size=config.header_bytes_max,
        max_field_size=config.header_bytes_max,
        max_headers=_HEADERS_MAX,
        shutdown_timeout=SHUTDOWN_TIMEOUT_S,
        handler_cancellation=True,
    )
    await runner.setup()
    try:
        assert runner.server is not None
        listener = await asyncio.get_running_loop().create_server(_Door(runner.server, config), host, port)
        try:
            bound_host, bound_port = listener.sockets[0].getsockname()[:2]
            yield bound_host, bound_port
        finally:
            listener.close()
            await _end_calls(runner, runner.server)
    finally:
        await runner.cleanup()
