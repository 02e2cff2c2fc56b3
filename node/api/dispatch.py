"""From the bytes of a request to the bytes of its response, over whatever carried them.

A batch is answered in its order. Its calls start in that order too, but those that wait for something do so side by side. Between
short calls the loop gets its turn, so a batch of reads never holds up consensus.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, Final

from node.api.context import Call
from node.api.errors import ApiReason, ErrorCode, RpcError, from_rejection
from node.api.jsonrpc import InvalidRequest, Request, error_response, parse_json, parse_request, success_response
from node.api.registry import Method, Params, convert_params
from state.errors import Rejected, StorageFault

SLICE_S: Final = 0.005
"""A batch gives way to other tasks after running this long."""


class Dispatcher:
    """Calls the methods of a table."""

    def __init__(self, methods: Sequence[Method]) -> None:
        """Take the table of methods, whose names are distinct."""
        self.methods: Mapping[str, Method] = {method.name: method for method in methods}
        assert len(self.methods) == len(methods)

    async def handle(self, body: bytes, call: Call) -> bytes | None:
        """Answer a body; None if it calls for no answer, being notifications only."""
        try:
            parsed = parse_json(body)
        except RpcError as unreadable:
            return error_response(None, unreadable)
        if not isinstance(parsed, list):
            return await self._answer(parsed, call)
        if not parsed:
            return error_response(None, InvalidRequest(ApiReason.NOT_A_REQUEST, "empty batch", "1 call or more"))
        if len(parsed) > call.config.batch_max:
            error = RpcError(ErrorCode.LIMIT_EXCEEDED, ApiReason.BATCH_TOO_LARGE, len(parsed), call.config.batch_max)
            return error_response(None, error)
        return await self._answer_batch(parsed, call)

    async def call_read(self, method: Method, params: Params, call: Call) -> Any:
        """Run one method whose parameters are typed already, and return its result.

        Raises:
            RpcError: whatever the method refuses.
        """
        outcome = _start(method, params, call)
        return await _settle(outcome, call) if isawaitable(outcome) else outcome

    async def _answer(self, parsed: Any, call: Call) -> bytes | None:
        started = self._begin(parsed, call)
        return await started if isawaitable(started) else started

    async def _answer_batch(self, items: list[Any], call: Call) -> bytes | None:
        """Start each call, then wait for those that take time. Past the limit of bytes, calls are refused unexecuted."""
        answers: list[bytes | None] = [None] * len(items)
        waiting: list[tuple[int, Awaitable[bytes | None]]] = []
        byte_count = 0
        turn_ends = time.monotonic() + SLICE_S
        for index, item in enumerate(items):
            started = self._begin(item, call, is_refused=byte_count > call.config.response_bytes_max)
            if isawaitable(started):
                waiting.append((index, started))
            else:
                answers[index] = started
                byte_count += len(started or b"")
            if time.monotonic() > turn_ends:
                await asyncio.sleep(0)
                turn_ends = time.monotonic() + SLICE_S
        settled = await asyncio.gather(*(awaitable for _, awaitable in waiting))
        for (index, _), answer in zip(waiting, settled, strict=True):
            answers[index] = answer
        responses = [answer for answer in answers if answer is not None]
        return b"[%b]" % b",".join(responses) if responses else None

    def _begin(self, item: Any, call: Call, *, is_refused: bool = False) -> bytes | Awaitable[bytes | None] | None:
        """Return the response to one call of a body, or what it takes to get it."""
        try:
            request = parse_request(item)
        except InvalidRequest as error:
            return error_response(error.request_id, error)
        if is_refused:
            bound = call.config.response_bytes_max
            return _failure(request, RpcError(ErrorCode.LIMIT_EXCEEDED, ApiReason.RESPONSE_TOO_LARGE, None, bound))
        method = self.methods.get(request.method)
        if method is None:
            unknown = RpcError(ErrorCode.METHOD_NOT_FOUND, ApiReason.UNKNOWN_METHOD, request.method)
            return _failure(request, unknown)
        try:
            outcome = _start(method, convert_params(method, request.params), call)
        except RpcError as error:
            return _failure(request, error)
        if isawaitable(outcome):
            return _finish(request, outcome, call)
        return None if request.id is None else success_response(request.id, outcome)


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


async def _finish(request: Request, outcome: Awaitable[Any], call: Call) -> bytes | None:
    try:
        settled = await _settle(outcome, call)
    except RpcError as error:
        return _failure(request, error)
    return None if request.id is None else success_response(request.id, settled)


def _failure(request: Request, error: RpcError) -> bytes | None:
    return None if request.id is None else error_response(request.id, error)
