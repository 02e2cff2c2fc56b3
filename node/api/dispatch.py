"""From the bytes of a request to the bytes of its response, over whatever carried them.

A batch is answered in its order. Its calls start in that order too, but those that wait for something do so side by side. All calls
share a bounded part of each turn of the loop (node/api/turns.py), so that reads never hold up consensus, however many clients send
them.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from inspect import isawaitable
from typing import Any

from msgspec.structs import replace

from node.api.config import ApiConfig
from node.api.context import Call
from node.api.errors import ApiReason, ErrorCode, RpcError, from_rejection
from node.api.jsonrpc import (
    InvalidRequest,
    Request,
    RequestId,
    error_response,
    parse_json,
    parse_request,
    success_response,
)
from node.api.registry import Method, Params, convert_params
from node.api.turns import SHARE_S, Turns
from state.errors import Rejected, StorageFault


class Dispatcher:
    """Calls the methods of a table."""

    def __init__(self, methods: Sequence[Method], share_s: float = SHARE_S) -> None:
        """Take the table of methods, whose names are distinct; share_s seconds of each turn of the loop go to their calls."""
        self.methods: Mapping[str, Method] = {method.name: method for method in methods}
        assert len(self.methods) == len(methods)
        self.calls: Counter[str] = Counter()
        """Calls by method."""
        self.errors: Counter[str] = Counter()
        """Calls and bodies answered with an error, by reason."""
        self._share_s = share_s
        self._turns = Turns(share_s)

    async def handle(self, body: bytes, call: Call) -> bytes | None:
        """Answer a body; None if it calls for no answer, being notifications only."""
        try:
            parsed = parse_json(body)
        except RpcError as unreadable:
            return self._refuse(None, unreadable)
        if not isinstance(parsed, list):
            async with self._turns.taking():
                started = self._begin(parsed, call, _Budget(call.config.response_bytes_max))
            return await started if isawaitable(started) else started
        if not parsed:
            return self._refuse(None, InvalidRequest(ApiReason.NOT_A_REQUEST, "empty batch", "1 call or more"))
        if len(parsed) > call.config.batch_max:
            bound = call.config.batch_max
            return self._refuse(None, RpcError(ErrorCode.LIMIT_EXCEEDED, ApiReason.BATCH_TOO_LARGE, len(parsed), bound))
        return await self._answer_batch(parsed, call)

    async def call_read(self, method: Method, params: Params, call: Call) -> Any:
        """Run one method whose parameters are typed already, and return its result.

        Raises:
            RpcError: whatever the method refuses.
        """
        self.calls[method.name] += 1
        async with self._turns.taking():
            outcome = _start(method, params, call)
        return await _settle(outcome, call) if isawaitable(outcome) else outcome

    def too_slow(self, config: ApiConfig) -> bytes:
        """Return the answer to a body whose calls took too long."""
        bound = f"{config.handler_timeout_s:g} s"
        return self._refuse(None, RpcError(ErrorCode.LIMIT_EXCEEDED, ApiReason.HANDLER_TOO_SLOW, None, bound))

    async def _answer_batch(self, items: list[Any], call: Call) -> bytes | None:
        """Start each call, then wait for those that take time; those that read pages of events do so one after the other."""
        call = replace(call, page_lock=asyncio.Lock())
        answers: list[bytes | None] = [None] * len(items)
        waiting: list[tuple[int, asyncio.Task[bytes | None]]] = []
        budget = _Budget(call.config.response_bytes_max)
        pending = deque(enumerate(items))
        async with asyncio.TaskGroup() as tasks:
            while pending:
                async with self._turns.taking():
                    turn_ends = time.monotonic() + self._share_s
                    is_over = False
                    while pending and not is_over:
                        index, item = pending.popleft()
                        started = self._begin(item, call, budget)
                        if isinstance(started, Coroutine):
                            waiting.append((index, tasks.create_task(started)))
                        else:
                            answers[index] = started
                        is_over = time.monotonic() > turn_ends
        for index, task in waiting:
            answers[index] = task.result()
        responses = [answer for answer in answers if answer is not None]
        return b"[%b]" % b",".join(responses) if responses else None

    def _begin(self, item: Any, call: Call, budget: _Budget) -> bytes | Coroutine[None, None, bytes | None] | None:
        """Return the response to one call of a body, or what it takes to get it."""
        try:
            request = parse_request(item)
        except InvalidRequest as error:
            return self._refuse(error.request_id, error)
        method = self.methods.get(request.method)
        if method is None:
            unknown = RpcError(ErrorCode.METHOD_NOT_FOUND, ApiReason.UNKNOWN_METHOD, request.method)
            return self._fail(request, unknown)
        self.calls[method.name] += 1
        try:
            budget.check()
            outcome = _start(method, convert_params(method, request.params), call)
        except RpcError as error:
            return self._fail(request, error)
        if isawaitable(outcome):
            return self._finish(request, outcome, call, budget)
        return self._succeed(request, outcome, budget)

    async def _finish(self, request: Request, outcome: Awaitable[Any], call: Call, budget: _Budget) -> bytes | None:
        try:
            settled = await _settle(outcome, call)
            budget.check()
        except RpcError as error:
            return self._fail(request, error)
        async with self._turns.taking():
            return self._succeed(request, settled, budget)

    def _succeed(self, request: Request, outcome: Any, budget: _Budget) -> bytes | None:
        if request.id is None:
            return None
        response = success_response(request.id, outcome)
        budget.left -= len(response)
        return response

    def _fail(self, request: Request, error: RpcError) -> bytes | None:
        if request.id is None:
            self.errors[error.reason.value] += 1
            return None
        return self._refuse(request.id, error)

    def _refuse(self, request_id: RequestId | None, error: RpcError) -> bytes:
        self.errors[error.reason.value] += 1
        return error_response(request_id, error)


class _Budget:
    """The bytes that the answers to one body may have together; the call that exceeds them is the last that is answered."""

    __slots__ = ("bytes_max", "left")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.left = bytes_max

    def check(self) -> None:
        """Raise RpcError RESPONSE_TOO_LARGE if nothing is left."""
        if self.left <= 0:
            raise RpcError(ErrorCode.LIMIT_EXCEEDED, ApiReason.RESPONSE_TOO_LARGE, None, self.bytes_max)


def _start(method: Method, params: Params, call: Call) -> Any:
    """Run a handler up to its first wait.

    Raises:
        RpcError: whatever it refuses.
    """
    try:
        return method.handler(call, params)
    except (Rejected, StorageFault, AssertionError) as error:
        raise _rpc_error(error, call) from error


async def _settle(outcome: Awaitable[Any], call: Call) -> Any:
    try:
        return await outcome
    except (Rejected, StorageFault, AssertionError) as error:
        raise _rpc_error(error, call) from error


def _rpc_error(error: Rejected | StorageFault | AssertionError, call: Call) -> RpcError:
    """Return what to answer. A fault of the node's own is the node's to act on; the caller learns only that it happened."""
    if isinstance(error, Rejected):
        return from_rejection(error)
    call.node.fail(error)
    return RpcError(ErrorCode.INTERNAL_ERROR, ApiReason.NODE_FAULT)
