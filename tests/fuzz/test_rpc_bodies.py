"""Bytes and shapes of every kind into the API: the answer is always typed, the node never fails, the loop is never held up long."""

from __future__ import annotations

import asyncio
import json
import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.api.config import ApiConfig
from node.api.errors import ErrorCode, RpcError
from node.api.methods import EXAMPLE_ADDRESS, EXAMPLE_TX, EXAMPLE_TX_ID, METHODS
from node.api.registry import convert_query
from tests.support.fixture_chain import FixtureNode
from tests.support.rpc import Rpc

CODES = {int(code) for code in ErrorCode}
NODE = FixtureNode()
RPC = Rpc(NODE, ApiConfig(wait_ms_max=0))
NAMES = [method.name for method in METHODS]
READS = [method for method in METHODS if method.is_read]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 12),
    st.sampled_from([2**31, 2**53 - 1, 2**53, 2**63, -(2**63), 10**30]),
    st.text(max_size=12),
    st.sampled_from([EXAMPLE_ADDRESS, EXAMPLE_TX, EXAMPLE_TX_ID, "03", "final", "none", "head", "tx", "00", "4"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)),
    max_leaves=8,
)


def encode(text):
    """Return UTF-8 that keeps lone surrogates, which no decoder takes."""
    return text.encode("utf-8", "surrogatepass")


def check(answer):
    """Assert that an answer is one of JSON-RPC, with an error of the catalogue if it is an error."""
    if isinstance(answer, list):
        assert answer
        for one in answer:
            check(one)
        return
    assert answer["jsonrpc"] == "2.0"
    assert set(answer) in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
    if "error" in answer:
        assert set(answer["error"]) == {"code", "message", "data"}
        assert answer["error"]["code"] in CODES
        assert answer["error"]["data"]["reason"]
        text = json.dumps(answer["error"])
        assert "Traceback" not in text
        assert "/work" not in text
        assert len(text) < 2_000


@pytest.fixture(scope="module")
def send():
    """Answer bodies on a node whose intake runs, and check every answer."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        consumer = loop.create_task(RPC.intake.run())

        async def answer_in_time(body):
            async with asyncio.timeout(20):
                return await RPC.dispatcher.handle(body, RPC.context)

        def answer(body):
            given = runner.run(answer_in_time(body))
            assert not NODE.failures
            if given is not None:
                check(json.loads(given))
            return given

        yield answer
        consumer.cancel()


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
)
def test_garbage_gets_a_typed_answer(send, body):
    assert send(body) is not None


@settings(max_examples=300, deadline=None)
@given(value=values)
def test_any_json_gets_a_typed_answer_or_none_for_notifications(send, value):
    send(encode(json.dumps(value)))


requests = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.one_of(st.just("2.0"), scalars),
        "method": st.one_of(st.sampled_from(NAMES), scalars),
        "params": values,
        "id": scalars,
        "more": scalars,
    },
)


@settings(max_examples=300, deadline=None)
@given(value=st.one_of(requests, st.lists(requests, max_size=5)))
def test_nearly_requests_get_a_typed_answer(send, value):
    send(encode(json.dumps(value)))


def params_of(method):
    """Return parameters with the right names and sometimes the right types."""
    fields = {field.name: values for field in msgspec.structs.fields(method.params_type)}
    known = {name: st.one_of(values, st.just(method.example.get(name, 1))) for name in fields}
    return st.one_of(
        st.fixed_dictionaries({}, optional={**known, "unknown": scalars}),
        st.fixed_dictionaries(
            {}, optional={name: st.sampled_from([method.example.get(name, 1), 0, "", "4"]) for name in fields}
        ),
        st.lists(values, max_size=4),
    )


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_parameters_give_a_result_or_an_error_of_the_catalogue(send, method, data):
    params = data.draw(params_of(method))
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method.name, "params": params})
    answer = json.loads(send(encode(body)))
    if "result" in answer and method.result_type is not msgspec.Raw:
        assert msgspec.to_builtins(msgspec.convert(answer["result"], method.result_type)) == answer["result"]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_envelopes_are_refused_with_a_reason(send, data):
    raw, pending = bytearray.fromhex(EXAMPLE_TX), len(NODE.mempool)
    for _ in range(data.draw(st.integers(1, 3))):
        match data.draw(st.integers(0, 2)):
            case 0:
                raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
            case 1:
                del raw[data.draw(st.integers(0, len(raw) - 1)) :]
                raw += b"\x92"
            case _:
                raw.insert(data.draw(st.integers(0, len(raw))), data.draw(st.integers(0, 255)))
    if raw.hex() == EXAMPLE_TX:
        return
    for name in ("tx_submit", "explain"):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": name, "params": {"tx": raw.hex()}}).encode()
        answer = json.loads(send(body))
        assert "error" in answer or not answer["result"].get("ok", False)
    assert len(NODE.mempool) == pending


queries = st.lists(st.tuples(st.sampled_from(["height", "limit", "topics", "x"]), st.text(max_size=8)), max_size=4)


@settings(max_examples=200, deadline=None)
@given(method=st.sampled_from(READS), query=queries)
def test_any_url_query_is_parameters_or_a_typed_error(method, query):
    try:
        params = convert_query(method, query)
    except RpcError as refused:
        params = refused.code
    assert isinstance(params, method.params_type | ErrorCode)


BOMBS = {
    "lists in lists": b"[" * 1_000_000,
    "objects in objects": b'{"a":' * 200_000,
    "many small lists": b"[" + b"[]," * 333_000 + b"[]]",
    "many numbers": b"[" + b"1," * 500_000 + b"1]",
    "one long string": b'"' + b"a" * 1_000_000 + b'"',
    "many escapes": b'"' + rb"\u0041" * 160_000 + b'"',
    "one long number": b"9" * 1_000_000,
    "many keys": b"{" + b",".join(b'"k%d":1' % number for number in range(90_000)) + b"}",
    "many parameters": b'{"jsonrpc":"2.0","id":1,"method":"status","params":[' + b"0," * 490_000 + b"0]}",
    "long id": b'{"jsonrpc":"2.0","method":"status","id":"' + b"x" * 1_000_000 + b'"}',
    "long method": b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * 1_000_000 + b'"}',
    "deep parameters": b'{"jsonrpc":"2.0","id":1,"method":"status","params":' + b"[" * 4_000 + b"]" * 4_000 + b"}",
    "wide topics": b'{"jsonrpc":"2.0","id":1,"method":"events","params":{"topics":[' + b'"tx",' * 190_000 + b'"tx"]}}',
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_of_a_megabyte_is_refused_within_a_fraction_of_a_second(name):
    started = time.process_time()
    answer = json.loads(asyncio.run(RPC.dispatcher.handle(BOMBS[name][: 1 << 20], RPC.context)))
    took_s = time.process_time() - started
    assert "error" in answer
    check(answer)
    assert took_s < 0.5, "about 0.03 s on an idle machine"


def test_batch_of_the_most_expensive_reads_leaves_others_their_turn():
    """Given 100 proofs in one batch, then another task gets its turn at least every 50 ms."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "tx", "params": [EXAMPLE_TX_ID, True]}
    body = json.dumps([call] * 100).encode()

    async def play():
        longest_s = 0.0
        answer = asyncio.ensure_future(RPC.dispatcher.handle(body, RPC.context))
        while not answer.done():
            started = time.process_time()
            await asyncio.sleep(0)
            longest_s = max(longest_s, time.process_time() - started)
        assert len(json.loads(answer.result())) == 100
        return longest_s

    assert asyncio.run(play()) < 0.05
