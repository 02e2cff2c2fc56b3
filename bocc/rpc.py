"""JSON-RPC 2.0 over HTTP: calls and batches with retry, for one node.

Only transport failures are retried, with exponential backoff and full jitter, within a bound. Every method of a node may be called
twice without harm: reads by nature, `tx_submit` because a transaction has one id and one nonce.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import aiohttp
import msgspec

from bocc.errors import AnswerMalformed, NodeUnreachable, RpcRejected

ANSWER_BYTES_MAX: Final = 64 << 20
"""Longest answer read; a batch of 100 blocks stays below."""
TIMEOUT_S: Final = 15.0
"""Patience for an answer beyond the time that the call itself waits for something."""
_CONNECT_TIMEOUT_S: Final = 3.0
_BUSY_STATUS: Final = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently a call is repeated."""

    attempts: int = 5
    first_pause_s: float = 0.1
    longest_pause_s: float = 2.0

    def pause_s(self, attempt: int, chance: float) -> float:
        """Return the pause after the attempt with this number (from 0); chance is 0..1 and spreads many clients."""
        return float(min(self.longest_pause_s, self.first_pause_s * 2**attempt)) * chance


DEFAULT_RETRY: Final = RetryPolicy()


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a batch."""

    method: str
    params: dict[str, object]


class _ErrorObject(msgspec.Struct, frozen=True):
    code: int
    message: str
    data: dict[str, Any] | None = None  # free JSON of the node


class _Answer(msgspec.Struct, frozen=True):
    id: int | None
    result: Any = None  # free JSON of the method
    error: _ErrorObject | None = None


Decoded = TypeVar("Decoded")

_answer_decoder = msgspec.json.Decoder(_Answer)
_batch_decoder = msgspec.json.Decoder(list[_Answer])


class RpcConnection:
    """Calls to one node. Sockets are opened by the first call and closed by `close`."""

    def __init__(self, url: str, retry: RetryPolicy = DEFAULT_RETRY, random: Random | None = None) -> None:
        self.url = url
        self._retry = retry
        self._random = random or Random()
        self._session: aiohttp.ClientSession | None = None
        self._next_id = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all sockets; a later call opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def session(self) -> aiohttp.ClientSession:
        """Return the HTTP session of this connection, for streams beside calls."""
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64))
        return self._session

    async def call(self, method: str, params: dict[str, object] | None = None, *, wait_s: float = 0.0) -> Any:
        """Call a method and return its result as plain JSON; wait_s is how long the method itself may take to answer.

        Raises:
            RpcRejected: the node refuses the call.
            NodeUnreachable: no answer after all attempts.
            AnswerMalformed: the answer is not JSON-RPC.
        """
        request = self._request(Call(method, params or {}))
        answer = _decode(_answer_decoder, await self.post(msgspec.json.encode(request), wait_s), self.url)
        if answer.id not in {request["id"], None}:
            raise AnswerMalformed(f"{self.url} answered call {answer.id} instead of {request['id']}")
        outcome = _outcome(answer)
        if isinstance(outcome, RpcRejected):
            raise outcome
        return outcome

    async def batch(self, calls: Sequence[Call], *, wait_s: float = 0.0) -> list[Any]:
        """Call several methods in one request; an item of the answer, in the order of the calls, is a result or an `RpcRejected`.

        Raises:
            RpcRejected: the node refuses the batch as a whole.
            NodeUnreachable: no answer after all attempts.
            AnswerMalformed: the answer is not a JSON-RPC batch with one answer for each call.
        """
        requests = [self._request(call) for call in calls]
        content = await self.post(msgspec.json.encode(requests), wait_s)
        if content.lstrip()[:1] == b"{":
            outcome = _outcome(_decode(_answer_decoder, content, self.url))
            raise outcome if isinstance(outcome, RpcRejected) else AnswerMalformed(f"{self.url} answered no batch")
        by_id = {answer.id: answer for answer in _decode(_batch_decoder, content, self.url)}
        missing = [request["id"] for request in requests if request["id"] not in by_id]
        if missing:
            raise AnswerMalformed(f"{self.url} left {len(missing)} of {len(calls)} calls unanswered")
        return [_outcome(by_id[request["id"]]) for request in requests]

    def _request(self, call: Call) -> dict[str, Any]:
        self._next_id += 1
        return {"jsonrpc": "2.0", "id": self._next_id, "method": call.method, "params": call.params}

    async def post(self, body: bytes, wait_s: float = 0.0) -> bytes:
        """Send one request body as it is and return the answer, repeating it on transport failures.

        Raises:
            NodeUnreachable: no answer after all attempts.
            AnswerMalformed: the answer is too long.
        """
        cause = ""
        for attempt in range(self._retry.attempts):
            if attempt:
                await asyncio.sleep(self._retry.pause_s(attempt - 1, self._random.random()))
            try:
                status, content = await self._post_once(body, wait_s)
            except TimeoutError:
                cause = "no answer in time"
                continue
            except aiohttp.ClientError as error:
                cause = describe_cause(error)
                continue
            if status not in _BUSY_STATUS:
                return content
            cause = f"HTTP {status}"
        raise NodeUnreachable(self.url, cause, self._retry.attempts)

    async def _post_once(self, body: bytes, wait_s: float) -> tuple[int, bytes]:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S + wait_s, sock_connect=_CONNECT_TIMEOUT_S)
        headers = {"Content-Type": "application/json"}
        async with self.session().post(self.url, data=body, headers=headers, timeout=timeout) as response:
            content = bytearray()
            async for chunk in response.content.iter_chunked(1 << 16):
                content += chunk
                if len(content) > ANSWER_BYTES_MAX:
                    raise AnswerMalformed(f"{self.url} answered more than {ANSWER_BYTES_MAX} bytes")
            return response.status, bytes(content)


def describe_cause(error: Exception) -> str:
    """Return why a connection failed, in a few words."""
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.strerror:
        return error.os_error.strerror
    return str(error) or type(error).__name__


def _decode(decoder: msgspec.json.Decoder[Decoded], content: bytes, url: str) -> Decoded:
    try:
        return decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerMalformed(f"{url} does not answer JSON-RPC: {content[:60]!r}") from error


def _outcome(answer: _Answer) -> Any:
    if answer.error is None:
        return answer.result
    return RpcRejected(answer.error.code, answer.error.message, answer.error.data)
