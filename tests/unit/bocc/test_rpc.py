"""Laws of calls: typed results, typed refusals, and a bounded number of attempts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from bocc.errors import AnswerMalformed, NodeUnreachable, RpcRejected
from bocc.rpc import Call, RetryPolicy, RpcConnection
from tests.support.fake_node import FakeNode, Refusal, fake_node

QUICK = RetryPolicy(attempts=3, first_pause_s=0.0)


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    async with fake_node() as fake:
        fake.methods["double"] = lambda number: 2 * number
        yield fake


@pytest.fixture
async def rpc(node: FakeNode) -> AsyncIterator[RpcConnection]:
    async with RpcConnection(node.url, QUICK) as connection:
        yield connection


async def test_call_returns_the_result(rpc):
    assert await rpc.call("double", {"number": 21}) == 42


async def test_refusal_carries_reason_seen_and_bound(node, rpc):
    def refuse():
        raise Refusal(-32003, "fee_too_low", seen=1, bound=3310)

    node.methods["refuse"] = refuse
    with pytest.raises(RpcRejected) as caught:
        await rpc.call("refuse")
    error = caught.value
    assert (error.code, error.reason, error.seen, error.bound) == (-32003, "fee_too_low", 1, 3310)


async def test_refusal_without_data_has_the_reason_unknown(node, rpc):
    node.raw_answers.append(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}')
    with pytest.raises(RpcRejected) as caught:
        await rpc.call("double", {"number": 1})
    assert caught.value.reason == "unknown"


async def test_refused_call_is_not_repeated(node, rpc):
    def refuse():
        raise Refusal(-32003, "expired")

    node.methods["refuse"] = refuse
    with pytest.raises(RpcRejected):
        await rpc.call("refuse")
    assert node.requests == 1


@pytest.mark.parametrize("fault", [lambda: web.Response(status=503), lambda: web.Response(status=429)])
async def test_busy_server_is_asked_again(node, rpc, fault):
    node.http_faults += [fault, fault]
    assert await rpc.call("double", {"number": 1}) == 2
    assert node.requests == 3


async def test_attempts_are_bounded(node, rpc):
    node.http_faults += [lambda: web.Response(status=503)] * 10
    with pytest.raises(NodeUnreachable) as caught:
        await rpc.call("double", {"number": 1})
    assert (node.requests, caught.value.attempts, caught.value.cause) == (3, 3, "HTTP 503")


async def test_absent_server_is_unreachable(node):
    url = node.url.rsplit(":", 1)[0] + ":1"
    async with RpcConnection(url, QUICK) as connection:
        with pytest.raises(NodeUnreachable) as caught:
            await connection.call("double", {"number": 1})
    assert caught.value.url == url


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"[]", b'{"id":"text"}', b"\xff", b"[" * 5_000],
    ids=["empty", "html", "array", "text_id", "not_utf8", "nested"],
)
async def test_other_server_is_malformed_and_not_asked_again(node, rpc, content):
    node.raw_answers.append(content)
    with pytest.raises(AnswerMalformed):
        await rpc.call("double", {"number": 1})
    assert node.requests == 1


async def test_answer_to_another_call_is_malformed(node, rpc):
    node.raw_answers.append(b'{"jsonrpc":"2.0","id":999,"result":1}')
    with pytest.raises(AnswerMalformed):
        await rpc.call("double", {"number": 1})


async def test_batch_keeps_the_order_and_the_refusals_of_single_calls(node, rpc):
    def refuse():
        raise Refusal(-32001, "unknown_block")

    node.methods["refuse"] = refuse
    answers = await rpc.batch([Call("double", {"number": 1}), Call("refuse", {}), Call("double", {"number": 2})])
    assert (answers[0], answers[2]) == (2, 4)
    assert answers[1].reason == "unknown_block"
    assert node.requests == 1


async def test_batch_that_comes_back_in_another_order_is_sorted_by_id(node, rpc):
    node.raw_answers.append(b'[{"jsonrpc":"2.0","id":2,"result":"b"},{"jsonrpc":"2.0","id":1,"result":"a"}]')
    assert await rpc.batch([Call("double", {}), Call("double", {})]) == ["a", "b"]


async def test_batch_with_an_unanswered_call_is_malformed(node, rpc):
    node.raw_answers.append(b'[{"jsonrpc":"2.0","id":1,"result":"a"}]')
    with pytest.raises(AnswerMalformed):
        await rpc.batch([Call("double", {}), Call("double", {})])


async def test_batch_refused_as_a_whole_is_one_refusal(node, rpc):
    node.raw_answers.append(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"too many"}}')
    with pytest.raises(RpcRejected) as caught:
        await rpc.batch([Call("double", {})])
    assert caught.value.code == -32005


def test_pauses_grow_to_a_bound_and_spread_by_chance():
    policy = RetryPolicy(first_pause_s=0.1, longest_pause_s=2.0)
    assert [policy.pause_s(attempt, 1.0) for attempt in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
    assert policy.pause_s(5, 0.25) == 0.5
