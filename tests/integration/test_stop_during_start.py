"""A stop that comes while a node starts: it ends at whatever step that is, on both event loops, and so does the process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Coroutine

import pytest
import uvloop
from msgspec.structs import replace

from node.config import NodeConfig
from node.home import NODE_KEY, VALIDATOR_KEY, init_home
from node.node import Node
from node.opened import open_home
from node.running import SIGNALS, run_until_signal
from p2p import network as network_module
from p2p.network import Network
from state.genesis_file import format_genesis
from tests.support.chain_builders import make_genesis
from tests.support.p2p_networks import TestNode

WAIT_S = 20.0
FOREVER_S = 3_600.0
"""A drain that is bounded by this waits until all sockets are gone, or fails the test."""
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
TURNS = [*range(24), 40, 80]
"""After how many turns of the loop the stop comes: before, during and after the first dials."""


@pytest.fixture(params=LOOPS.values(), ids=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[object, object, None]], None]:
    """Run a coroutine to its end in a loop of its own."""

    def run_in_loop(main: Coroutine[object, object, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main)

    return run_in_loop


@pytest.fixture
def address():
    """Where connections are taken, by the kernel, and nobody says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


async def has_ended(task: asyncio.Task[None], network: Network) -> bool:
    """Wait for the end of a task; if it does not come, let the task go, so that the test fails instead of the whole run."""
    done, _ = await asyncio.wait({task}, timeout=WAIT_S)
    network._drained.set()
    return bool(done)


@pytest.mark.parametrize("turns", TURNS)
def test_a_network_that_dials_stops_at_every_turn_of_the_loop(run, monkeypatch, address, turns):
    monkeypatch.setattr(network_module, "DRAIN_S", FOREVER_S)

    async def main() -> None:
        node = TestNode(1, persistent_peers=(address,))
        task = asyncio.ensure_future(node.network.run())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        assert await has_ended(task, node.network)
        assert task.cancelled()

    run(main())


def test_a_dial_that_comes_to_nothing_leaves_nothing_behind(run, monkeypatch, address):
    """Given a loop that reports a connection made and then no more of it, when the dial times out, then it can be dialed again."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        made = []

        async def create_connection(factory: Callable[[], asyncio.Protocol], *_: object) -> None:
            connection = factory()
            transport, _protocol = await original(asyncio.Protocol, *address.split(":"))
            connection.connection_made(transport)
            made.append(connection)
            await asyncio.Event().wait()

        original = loop.create_connection
        node = TestNode(1, persistent_peers=(address,), dial_timeout_ms=20)
        shell = type("Loop", (), {"create_connection": staticmethod(create_connection)})()
        task = asyncio.ensure_future(node.network.run())
        with monkeypatch.context() as patched:
            await node.network.listening.wait()
            patched.setattr(network_module.asyncio, "get_running_loop", lambda: _Instead(loop, shell))
            await node.until(lambda: len(made) >= 2)
        assert node.network.counters.failed_dials >= 1
        assert node.network._connections <= {made[-1]}
        task.cancel()
        assert await has_ended(task, node.network)
        assert task.cancelled()

    run(main())


class _Instead:
    """A loop of which one method is another's."""

    def __init__(self, loop: asyncio.AbstractEventLoop, shell: object) -> None:
        self._loop = loop
        self.create_connection = shell.create_connection

    def __getattr__(self, name: str) -> object:
        return getattr(self._loop, name)


def test_a_network_waits_only_so_long_for_its_last_sockets(run, monkeypatch, address):
    """Given a connection whose end its loop never reports, when the network stops, then it ends all the same."""
    monkeypatch.setattr(network_module, "DRAIN_S", 0.05)

    async def main() -> None:
        node = TestNode(1, persistent_peers=(address,))
        monkeypatch.setattr(node.network, "handle_lost", lambda _connection: None)
        task = asyncio.ensure_future(node.network.run())
        await node.until(lambda: node.network._connections)
        task.cancel()
        assert await has_ended(task, node.network)

    run(main())


@pytest.fixture
def opened(tmp_path):
    """A home that is open, of a node with one peer that never answers."""
    config = NodeConfig(p2p_listen="127.0.0.1:0", rpc_listen="127.0.0.1:0", metrics_listen="127.0.0.1:0")
    seeds = {VALIDATOR_KEY: b"v" * 32, NODE_KEY: b"n" * 32}
    home = init_home(tmp_path, format_genesis(make_genesis(1)), config, seeds, None)
    opened = open_home(home, config, None)
    yield opened
    opened.close()


def build_node(opened, address):
    """Return a node that dials an address, inside of a running loop."""
    config = NodeConfig(
        p2p_listen="127.0.0.1:0", rpc_listen="127.0.0.1:0", metrics_listen="", persistent_peers=(address,)
    )
    return Node(replace(opened, config=config), [], (0, 0), None)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 30, 50])
def test_a_node_stops_at_every_step_of_its_start(run, monkeypatch, opened, address, turns):
    monkeypatch.setattr(network_module, "DRAIN_S", FOREVER_S)

    async def main() -> None:
        node = build_node(opened, address)
        task = asyncio.ensure_future(run_until_signal(node))
        for _ in range(turns):
            await asyncio.sleep(0)
        node.stop()
        assert await has_ended(task, node.network)
        await task

    run(main())


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_stops_a_node_and_the_second_ends_the_process(run, opened, address, number):
    """Given a node, when a signal came, then signals have their default again, which is to end the process."""
    before = {one: signal.getsignal(one) for one in SIGNALS}

    async def main() -> None:
        node = build_node(opened, address)
        task = asyncio.ensure_future(run_until_signal(node))
        await asyncio.wait_for(node.network.listening.wait(), WAIT_S)
        os.kill(os.getpid(), number)
        assert await has_ended(task, node.network)
        assert node.is_interrupted
        assert [signal.getsignal(one) for one in SIGNALS] == [signal.SIG_DFL, signal.SIG_DFL]

    try:
        run(main())
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


async def test_an_error_while_a_node_stops_is_said(opened):
    node = build_node(opened, "127.0.0.1:1")
    said = []
    node.log = type("Log", (), {"error": lambda _self, event, **fields: said.append((event, fields))})()
    node.stop()
    node.handle_stray_error(asyncio.get_running_loop(), {"exception": ValueError("late")})
    assert said == [("failed_while_stopping", {"kind": "ValueError", "why": "late"})]
    assert node.ended.result() is None
    node.close()
