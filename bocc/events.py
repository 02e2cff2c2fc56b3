"""Events of final blocks as one endless, gapless stream that survives restarts of the node.

Each event has a cursor. A stream that breaks goes on after the last cursor that the caller has seen, so every event arrives exactly
once and in order, by long polling or over a WebSocket.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec

from bocc.errors import AnswerMalformed, NodeUnreachable, RpcRejected
from bocc.rpc import RpcConnection, describe_cause

POLL_EVENTS_MAX: Final = 100
POLL_WAIT_MS: Final = 10_000
MESSAGE_BYTES_MAX: Final = 1 << 20
_OPENING_TIMEOUT_S: Final = 10.0
_HEARTBEAT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a stream keeps trying while its node does not answer."""

    pause_s: float = 0.5
    attempts: int = 120
    """In a row, each without any event."""


class _Page(msgspec.Struct, frozen=True):
    events: list[dict[str, Any]]  # free JSON of the node
    cursor: str


class _Pushed(msgspec.Struct, frozen=True):
    """A message of a subscription: the answer to its call, a refusal, or an event."""

    method: str | None = None
    params: dict[str, Any] | None = None  # free JSON of the node
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


_pushed_decoder = msgspec.json.Decoder(_Pushed)


async def poll_events(
    rpc: RpcConnection,
    after: str | None = None,
    topics: Sequence[str] = (),
    patience: Patience = Patience(),
) -> AsyncIterator[dict[str, Any]]:
    """Yield events after a cursor by long polling; without a cursor from the oldest that the node keeps.

    Raises:
        NodeUnreachable: the node did not answer for as long as patience lasts.
        RpcRejected: the cursor is pruned or a topic is unknown.
    """
    failures = 0
    while True:
        params: dict[str, object] = {"limit": POLL_EVENTS_MAX, "topics": list(topics), "wait_ms": POLL_WAIT_MS}
        if after is not None:
            params["after"] = after
        try:
            answer = await rpc.call("events", params, wait_s=POLL_WAIT_MS / 1000)
        except NodeUnreachable:
            failures += 1
            if failures >= patience.attempts:
                raise
            await asyncio.sleep(patience.pause_s)
            continue
        failures = 0
        page = msgspec.convert(answer, _Page)
        for event in page.events:
            yield event
        after = page.cursor


async def stream_events(
    rpc: RpcConnection,
    url: str,
    after: str | None = None,
    topics: Sequence[str] = (),
    patience: Patience = Patience(),
) -> AsyncIterator[dict[str, Any]]:
    """Yield events after a cursor from a WebSocket subscription; without a cursor from now on. The url begins with ws.

    Raises:
        NodeUnreachable: the node did not answer for as long as patience lasts.
        RpcRejected: the cursor is pruned, at first or while the stream lay behind, or a topic is unknown.
    """
    failures = 0
    while True:
        cause = "connection closed"
        try:
            async with rpc.session().ws_connect(
                url, heartbeat=_HEARTBEAT_S, max_msg_size=MESSAGE_BYTES_MAX, timeout=_ws_timeout()
            ) as socket:
                await socket.send_str(_subscribe_call(after, topics))
                async for pushed in _read_socket(socket, url):
                    if pushed.result is not None and after is None:
                        after = pushed.result["cursor"]
                    if pushed.params is not None:
                        event = pushed.params["result"]
                        yield event
                        after = event["cursor"]
                        failures = 0
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            cause = describe_cause(error)
        failures += 1
        if failures >= patience.attempts:
            raise NodeUnreachable(url, cause, failures)
        await asyncio.sleep(patience.pause_s)


def _ws_timeout() -> aiohttp.ClientWSTimeout:
    return aiohttp.ClientWSTimeout(ws_close=_OPENING_TIMEOUT_S)


def _subscribe_call(after: str | None, topics: Sequence[str]) -> str:
    params: dict[str, object] = {"topics": list(topics)}
    if after is not None:
        params["after"] = after
    return msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": params}).decode()


async def _read_socket(socket: aiohttp.ClientWebSocketResponse, url: str) -> AsyncIterator[_Pushed]:
    """Yield answers and events of a subscription until the connection ends."""
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue
        try:
            pushed = _pushed_decoder.decode(message.data)
        except msgspec.MsgspecError as error:
            raise AnswerMalformed(f"{url} does not speak JSON-RPC: {message.data[:60]!r}") from error
        refusal = pushed.error or (pushed.params or {}).get("error")
        if refusal is not None:
            raise RpcRejected(refusal["code"], refusal["message"], refusal.get("data"))
        yield pushed
