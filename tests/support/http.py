"""A node's API on a real socket, and clients that misbehave byte by byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from msgspec import Struct

from node.api.app import API, Api, create_app
from node.api.config import ApiConfig
from node.api.server import serve
from tests.support.fixture_chain import FixtureNode


class Served(Struct):
    """A running server."""

    node: FixtureNode
    api: Api
    host: str
    port: int
    session: aiohttp.ClientSession

    def url(self, path: str = "/", scheme: str = "http") -> str:
        return f"{scheme}://{self.host}:{self.port}{path}"

    async def post(self, body: object, path: str = "/", **fields: Any) -> tuple[int, Any]:
        """Send a body as JSON, or bytes as they are, and return status and parsed answer."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **fields.pop("headers", {})}
        async with self.session.post(self.url(path), data=raw, headers=headers, **fields) as response:
            content = await response.read()
            return response.status, json.loads(content) if content else None

    async def get(self, path: str, **fields: Any) -> tuple[int, Any]:
        async with self.session.get(self.url(path), **fields) as response:
            content = await response.read()
            return response.status, json.loads(content) if content else None

    def open_connections(self) -> int:
        """Return how many connections the server has."""
        return sum("RequestHandler.start" in str(task.get_coro()) for task in asyncio.all_tasks())

    async def raw(self, request: bytes, wait_s: float = 5.0) -> bytes:
        """Send bytes and return everything that comes back until the server closes."""
        async with asyncio.timeout(wait_s):
            reader, writer = await asyncio.open_connection(self.host, self.port)
            writer.write(request)
            try:
                return await reader.read(-1)
            except ConnectionError:
                return b""
            finally:
                writer.close()


@asynccontextmanager
async def served(node: FixtureNode | None = None, **config: Any) -> AsyncIterator[Served]:
    """Serve a node on a free port of the loopback."""
    node = node or FixtureNode()
    api_config = ApiConfig(**config)
    app = create_app(node, api_config)
    async with serve(app, "127.0.0.1", 0, api_config) as (host, port), aiohttp.ClientSession() as session:
        yield Served(node, app[API], host, port, session)
