"""The fifteen examples of the JSON-RPC 2.0 specification, against the dispatcher."""

from __future__ import annotations

import json
from typing import Any

import pytest

from node.api.config import ApiConfig
from node.api.dispatch import Dispatcher
from node.api.registry import Params, method
from tests.support.fixture_chain import FixtureNode
from tests.support.rpc import Rpc


class SubtractParams(Params, frozen=True):
    minuend: int
    subtrahend: int


class SumParams(Params, frozen=True):
    first: int
    second: int
    third: int


class NoneParams(Params, frozen=True):
    pass


def subtract(_call, params):
    """Subtract."""
    return params.minuend - params.subtrahend


def add(_call, params):
    """Sum."""
    return params.first + params.second + params.third


def get_data(_call, _params):
    """Return a list."""
    return ["hello", 5]


METHODS = (
    method("subtract", SubtractParams, int, subtract),
    method("sum", SumParams, int, add),
    method("get_data", NoneParams, list[Any], get_data),
)


def comparable(response):
    """Drop what the specification leaves to us: details of errors, order within batches."""
    if isinstance(response, list):
        return sorted(json.dumps(comparable(one), sort_keys=True) for one in response)
    if response and "error" in response:
        error = {name: response["error"][name] for name in ("code", "message")}
        return {**response, "error": error}
    return response


def pytest_generate_tests(metafunc):
    names = (
        "positional 1",
        "positional 2",
        "named 1",
        "named 2",
        "notification with params",
        "notification, unknown method: still silent",
        "unknown method",
        "invalid JSON",
        "invalid request object",
        "batch, invalid JSON",
        "empty array",
        "invalid batch, one",
        "invalid batch, three",
        "mixed batch (response order is free)",
        "batch of notifications only",
    )
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", names)


@pytest.fixture(scope="module")
def examples(shared_dir):
    path = shared_dir / "vectors" / "jsonrpc2" / "spec-examples.json"
    return {example["name"]: example for example in json.loads(path.read_text())["examples"]}


async def test_example_of_the_specification_is_answered_as_it_says(examples, name):
    example = examples[name]
    answer = await Dispatcher(METHODS).handle(example["request_text"].encode(), Rpc(FixtureNode(), ApiConfig()).context)
    expected = example["response"]
    if expected is None:
        assert answer is None
    else:
        assert comparable(json.loads(answer)) == comparable(expected)


def test_every_example_is_used(examples):
    assert len(examples) == 15
