"""The HTTP surface: POST / and /rpc, GET /rpc/<method>, /ws, /openrpc.json, /livez, /readyz; and /metrics on an app of its own.

Every answer is typed JSON, also the refusals of HTTP itself. No compression, no cookies, no sessions, no CORS unless configured.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import msgspec
from aiohttp import WSCloseCode, web
from aiohttp.typedefs import Handler, Middleware

from node.api.config import ApiConfig
from node.api.context import Call, NodeContext
from node.api.dispatch import Dispatcher
from node.api.errors import ApiReason, ErrorCode, RpcError
from node.api.guard import (
    HttpRefusal,
    allow_origin,
    check_caller,
    check_json,
    json_response,
    read_body,
    refusal_response,
    refuse,
)
from node.api.health import Health, judge_liveness, judge_readiness
from node.api.intake import SubmissionQueue
from node.api.jsonrpc import error_response, success_response
from node.api.methods import METHODS, encode_documents
from node.api.proofs import ProofBuilder
from node.api.registry import convert_query
from node.api.websocket import WebSocketSession

GET_ID: Final = "get"
"""Id in the answers to GET, which has none of its own."""
CHUNK_BYTES: Final = 1 << 16
"""Larger answers are sent in pieces, each waiting for the client, so that one who does not read holds little memory."""
_HTTP_STATUS: Final = {
    ErrorCode.METHOD_NOT_FOUND: 404,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.PRUNED: 410,
    ErrorCode.LIMIT_EXCEEDED: 429,
    ErrorCode.DEVELOPMENT_ONLY: 403,
    ErrorCode.INTERNAL_ERROR: 500,
}


class Api:
    """The API of one node, and its counters."""

    def __init__(self, node: NodeContext, config: ApiConfig) -> None:
        """Prepare everything; nothing runs before the application starts."""
        self._node = node
        self._config = config
        self.dispatcher = Dispatcher(METHODS)
        self.intake = SubmissionQueue(node, config.intake_max)
        self._call = Call(
            node=node,
            config=config,
            intake=self.intake,
            proofs=ProofBuilder(node.chain),
            documents=encode_documents(node.chain.genesis, config.public_url),
        )
        self._sockets: set[web.WebSocketResponse] = set()

    @property
    def websocket_count(self) -> int:
        """Open WebSockets."""
        return len(self._sockets)

    def create_app(self) -> web.Application:
        """Return the application to be served by node/api/server.py."""
        app = web.Application(middlewares=[guard_middleware(self._config)])
        app.router.add_post("/", self._post)
        app.router.add_post("/rpc", self._post)
        app.router.add_get("/rpc/{method}", self._get)
        app.router.add_get("/ws", self._websocket)
        app.router.add_get("/openrpc.json", self._get_openrpc)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.cleanup_ctx.append(self._run_intake)
        app.on_shutdown.append(self._close_sockets)
        return app

    async def _run_intake(self, _app: web.Application) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            consumer = tasks.create_task(self.intake.run())
            yield
            consumer.cancel()

    async def _close_sockets(self, _app: web.Application) -> None:
        closing = (
            socket.close(code=WSCloseCode.GOING_AWAY, message=b"the node stops", drain=False)
            for socket in tuple(self._sockets)
        )
        await asyncio.gather(*closing)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        check_json(request)
        body = await read_body(request, self._config)
        try:
            async with asyncio.timeout(self._config.handler_timeout_s):
                answer = await self.dispatcher.handle(body, self._call)
        except TimeoutError:
            answer = self.dispatcher.too_slow(self._config)
        if answer is None:
            return web.Response(status=204)
        return await _send(request, answer, self._config)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        try:
            outcome = await self._read(request.match_info["method"], list(request.query.items()))
        except RpcError as error:
            return json_response(error_response(GET_ID, error), _HTTP_STATUS.get(error.code, 400))
        except TimeoutError:
            return json_response(self.dispatcher.too_slow(self._config), 503)
        return await _send(request, success_response(GET_ID, outcome), self._config)

    async def _read(self, name: str, query: list[tuple[str, str]]) -> Any:
        method = self.dispatcher.methods.get(name)
        if method is None:
            raise RpcError(ErrorCode.METHOD_NOT_FOUND, ApiReason.UNKNOWN_METHOD, name)
        if not method.is_read:
            raise refuse(405, ApiReason.NOT_READABLE_BY_GET, name)
        params = convert_query(method, query)
        async with asyncio.timeout(self._config.handler_timeout_s):
            return await self.dispatcher.call_read(method, params, self._call)

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            compress=False,
            max_msg_size=self._config.body_bytes_max,
            heartbeat=self._config.ping_interval_s,
            timeout=2.0,
        )
        if not socket.can_prepare(request).ok:
            raise refuse(400, ApiReason.NEEDS_WEBSOCKET, "a plain GET", "an upgrade to WebSocket")
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            await WebSocketSession(socket, self.dispatcher, self._call).run()
        finally:
            self._sockets.discard(socket)
            if not socket.closed and request.transport is not None:
                request.transport.abort()
        return socket

    async def _get_openrpc(self, _request: web.Request) -> web.StreamResponse:
        return json_response(bytes(self._call.documents.openrpc))

    async def _livez(self, _request: web.Request) -> web.StreamResponse:
        return _health_response(judge_liveness(self._node))

    async def _readyz(self, _request: web.Request) -> web.StreamResponse:
        return _health_response(judge_readiness(self._node))


API: Final[web.AppKey[Api]] = web.AppKey("api", Api)
"""Under which an application holds its `Api`, for counters."""


def create_app(node: NodeContext, config: ApiConfig) -> web.Application:
    """Return the application of a node's API."""
    api = Api(node, config)
    app = api.create_app()
    app[API] = api
    return app


def create_metrics_app(render: Callable[[], bytes], content_type: str, config: ApiConfig) -> web.Application:
    """Return an application that serves /metrics."""

    async def get(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=render(), headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    app = web.Application(middlewares=[guard_middleware(config)])
    app.router.add_get("/metrics", get)
    return app


def guard_middleware(config: ApiConfig) -> Middleware:
    """Return the middleware that checks callers and turns every refusal into typed JSON."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            check_caller(request, config)
            response = await _preflight_or(request, handler, config)
        except HttpRefusal as refusal:
            response = refusal_response(refusal)
        except web.HTTPNotFound:
            response = refusal_response(refuse(404, ApiReason.NO_SUCH_PATH, request.path))
        except web.HTTPMethodNotAllowed as error:
            allowed = ", ".join(sorted(error.allowed_methods))
            response = refusal_response(refuse(405, ApiReason.WRONG_HTTP_METHOD, request.method, allowed))
        if not response.prepared:
            allow_origin(request, response, config)
        return response

    return guard


async def _preflight_or(request: web.Request, handler: Handler, config: ApiConfig) -> web.StreamResponse:
    if request.method == "OPTIONS" and request.headers.get("Origin") in config.allowed_origins:
        return web.Response(status=204)
    return await handler(request)


def _health_response(health: Health) -> web.Response:
    return json_response(msgspec.json.encode(health), 200 if health.ok else 503)


async def _send(request: web.Request, body: bytes, config: ApiConfig) -> web.StreamResponse:
    """Send an answer, a large one in pieces; a client that does not take them in time is cut off."""
    if len(body) <= CHUNK_BYTES:
        return json_response(body)
    response = web.StreamResponse(headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"})
    response.content_type = "application/json"
    response.content_length = len(body)
    allow_origin(request, response, config)
    try:
        await response.prepare(request)
        for start in range(0, len(body), CHUNK_BYTES):
            async with asyncio.timeout(config.send_timeout_s):
                await response.write(body[start : start + CHUNK_BYTES])
        await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    return response
