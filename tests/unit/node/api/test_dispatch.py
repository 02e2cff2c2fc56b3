"""Laws of dispatching: parameters by name and position, batches, budgets, notifications, counters."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from node.api.config import ApiConfig
from node.api.dispatch import Dispatcher
from node.api.errors import RpcError
from node.api.registry import AmountText, HexBytes, HexHash, Params, convert_query, method
from tests.support.fixture_chain import FixtureNode
from tests.support.rpc import Rpc

BIG = "x" * 600


class PairParams(Params, frozen=True):
    left: int
    right: Annotated[int, Meta(ge=0)] = 0
    names: tuple[str, ...] = ()


def subtract(_call, params):
    """Subtract."""
    return params.left - params.right


async def wait(call, params):
    """Wait for everybody else to have started."""
    call.node.started.append(params.left)
    if len(call.node.started) == 3:
        call.node.all_started.set()
    await call.node.gate.wait()
    return params.left


def grow(_call, _params):
    """Return many bytes."""
    return BIG


async def grow_later(_call, _params):
    """Return many bytes after a while."""
    await asyncio.sleep(0)
    return BIG


def take_long(_call, _params):
    """Take more than the share of a turn."""
    until = time.monotonic() + 0.01
    while time.monotonic() < until:
        pass


def tell_turn(call, _params):
    """Note in which turn of the loop it runs."""
    call.node.turns.append(call.node.turn)


METHODS = (
    method("subtract", PairParams, int, subtract),
    method("wait", PairParams, int, wait),
    method("grow", PairParams, str, grow),
    method("grow_later", PairParams, str, grow_later),
    method("tell_turn", PairParams, None, tell_turn),
)


NEARLY_NO_SHARE_S = 1e-9


class Bench:
    def __init__(self, **config):
        node = FixtureNode()
        node.started = []
        node.all_started = asyncio.Event()
        node.gate = asyncio.Event()
        self.node = node
        self.call = Rpc(node, ApiConfig(**config)).context
        self.dispatcher = Dispatcher(METHODS)

    async def send(self, body):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await self.dispatcher.handle(raw, self.call)
        return None if answer is None else json.loads(answer)


def request(name, params, request_id=1):
    return {"jsonrpc": "2.0", "method": name, "params": params, "id": request_id}


@pytest.mark.parametrize(
    ("params", "expected"),
    [([5, 3], 2), ([5], 5), ({"left": 5, "right": 3}, 2), ({"left": -1}, -1), ({"left": 1, "names": ["a"]}, 1)],
)
async def test_parameters_come_by_position_or_by_name(params, expected):
    assert (await Bench().send(request("subtract", params)))["result"] == expected


@pytest.mark.parametrize(
    "params",
    [
        [],
        {},
        [1, 2, [], 4],
        {"left": 1, "rigth": 2},
        {"left": "1"},
        {"left": True},
        {"left": None},
        [1, -1],
        {"left": 1, "names": [1]},
    ],
)
async def test_wrong_parameters_are_refused_with_the_names_of_the_right_ones(params):
    error = (await Bench().send(request("subtract", params)))["error"]
    assert (error["code"], error["data"]["reason"]) == (-32602, "bad_params")
    assert error["data"]["bound"] in {"parameters: left, right, names", 3}


@pytest.mark.parametrize(
    ("text_type", "text"), [(HexHash, "ab" * 32), (HexBytes, "ab"), (AmountText, "7")], ids=["hash", "bytes", "amount"]
)
def test_a_text_of_digits_has_no_line_end(text_type, text):
    assert msgspec.convert(text, text_type) == text
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text + "\n", text_type)


async def test_unknown_parameter_is_named():
    error = (await Bench().send(request("subtract", {"left": 1, "rigth": 2})))["error"]
    assert "rigth" in error["data"]["seen"]


async def test_answers_of_a_batch_stand_in_its_order():
    bench = Bench()
    bench.node.gate.set()
    answers = await bench.send([request("wait", [1], "a"), request("subtract", [2], "b"), 3, request("wait", [4], "d")])
    assert [answer["id"] for answer in answers] == ["a", "b", None, "d"]


async def test_calls_of_a_batch_wait_side_by_side():
    bench = Bench()
    answer = asyncio.ensure_future(bench.send([request("wait", [number]) for number in range(3)]))
    await bench.node.all_started.wait()
    bench.node.gate.set()
    assert [one["result"] for one in await answer] == [0, 1, 2]


async def test_batch_that_is_given_up_leaves_nothing_running():
    bench = Bench()
    task = asyncio.ensure_future(bench.send([request("wait", [number]) for number in range(3)]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(asyncio.all_tasks()) == 1


async def test_calls_that_take_a_while_share_no_turn_of_the_loop_whoever_sends_them():
    bench, call = Bench(), request("tell_turn", [1])
    bench.dispatcher = Dispatcher(METHODS, NEARLY_NO_SHARE_S)
    bench.node.turn, bench.node.turns = 0, []
    answers = asyncio.gather(*(bench.send(body) for body in ([call] * 3, call, [call] * 2, call)))
    while not answers.done():
        await asyncio.sleep(0)
        bench.node.turn += 1
    assert [answer for answer in answers.result() if "error" in str(answer)] == []
    assert len(set(bench.node.turns)) == len(bench.node.turns) == 7


async def test_quick_calls_share_a_turn_of_the_loop_also_behind_one_that_took_its_whole_share():
    bench = Bench()
    bench.node.turn, bench.node.turns = 0, []
    bench.dispatcher = Dispatcher((*METHODS, method("take_long", PairParams, None, take_long)))
    answers = asyncio.gather(
        bench.send(request("take_long", [1])), *(bench.send(request("tell_turn", [1])) for _ in range(50))
    )
    while not answers.done():
        await asyncio.sleep(0)
        bench.node.turn += 1
    assert len(set(bench.node.turns)) <= 3 < len(bench.node.turns) == 50


async def test_batch_longer_than_the_limit_is_refused_unexecuted():
    bench = Bench(batch_max=2)
    answer = await bench.send([request("subtract", [1])] * 3)
    assert (answer["id"], answer["error"]["code"]) == (None, -32005)
    assert answer["error"]["data"] == {"reason": "batch_too_large", "seen": 3, "bound": 2}
    assert not bench.dispatcher.calls


async def test_empty_batch_is_an_invalid_request():
    assert (await Bench().send([]))["error"]["code"] == -32600


@pytest.mark.parametrize("name", ["grow", "grow_later"])
async def test_answers_of_a_batch_stay_near_the_limit_of_bytes(name):
    answers = await Bench(response_bytes_max=1_024).send([request(name, [1]) for _ in range(50)])
    grown = [answer for answer in answers if "result" in answer]
    assert len(grown) == 2, "the one that exceeds the limit is the last"
    assert {answer["error"]["data"]["reason"] for answer in answers[2:]} == {"response_too_large"}


async def test_notifications_are_answered_by_nothing_even_if_they_fail():
    bench = Bench()
    notification = {"jsonrpc": "2.0", "method": "subtract", "params": [1]}
    assert await bench.send(notification) is None
    assert await bench.send([notification, notification | {"method": "none"}, notification | {"params": ["x"]}]) is None
    assert bench.dispatcher.calls == {"subtract": 3}
    assert bench.dispatcher.errors == {"unknown_method": 1, "bad_params": 1}


async def test_calls_and_errors_are_counted_by_names_that_we_chose():
    bench = Bench()
    await bench.send(request("subtract", [1]))
    await bench.send(request("stranger", [1]))
    await bench.send(b"{")
    assert bench.dispatcher.calls == {"subtract": 1}
    assert bench.dispatcher.errors == {"unknown_method": 1, "not_json": 1}


async def test_url_query_becomes_typed_parameters():
    params = convert_query(METHODS[0], [("left", "5"), ("names", "a,b")])
    assert params == PairParams(left=5, names=("a", "b"))


@pytest.mark.parametrize(
    "query", [[("left", "x")], [("left", "1"), ("left", "2")], [("lefft", "1")], [("left", "1.5")], []]
)
async def test_wrong_url_queries_are_refused(query):
    with pytest.raises(RpcError):
        convert_query(METHODS[0], query)


def test_method_needs_a_summary():
    with pytest.raises(AssertionError):
        method("x", PairParams, int, lambda _call, _params: 1)


def test_tables_have_no_name_twice():
    with pytest.raises(AssertionError):
        Dispatcher([METHODS[0], METHODS[0]])


def test_methods_are_plain_data():
    assert msgspec.structs.asdict(METHODS[0])["sequence_names"] == frozenset({"names"})
