"""A running network of real processes that a test may break, and the ways to see that it is whole again.

Everything here blocks; a test that has other work to do meanwhile calls it in a thread.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

import msgspec

from bocc.client import Client
from bocc.rpc import DEFAULT_RETRY, RetryPolicy
from bocc.testing import FundedAccount, RunningNetwork
from bocc.testnet import layout
from bocc.testnet.network import Network, process_of
from bocc.testnet.process import is_paused, is_running, stop_processes
from bocc.testnet.record import NodeRecord
from state.development_genesis import DEVELOPMENT_PARAMS, development_genesis
from state.params import Params

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 45.0
"""What takes longer than this has failed; usual is a second or two."""
POLL_S = 0.05
LOG_LINE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T")
HASTY = RetryPolicy(attempts=1)
"""For tests that look themselves after a node that does not answer."""


class Tip(msgspec.Struct, frozen=True):
    """Where a node is."""

    height: int
    block_hash: str
    state_root: str


class Refused(Exception):
    """The node answered with a JSON-RPC error."""

    def __init__(self, error: dict) -> None:
        super().__init__(error)
        self.reason = error.get("data", {}).get("reason")


def call(node: NodeRecord, method: str, **params: object) -> dict:
    """Call a node's JSON-RPC once, without any library of ours; an OSError if nobody answers."""
    parts = urlsplit(node.rpc)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    try:
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = msgspec.json.decode(connection.getresponse().read())
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()
    if "error" in answer:
        raise Refused(answer["error"])
    return answer["result"]


def until(is_true: Callable[[], object], what: Callable[[], object], timeout_s: float = WAIT_S) -> None:
    """Wait for something that other processes bring about; say what was seen if it does not come."""
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline, what()
        time.sleep(POLL_S)


class LiveNetwork:
    """The network of one home, whose nodes are named node0, node1 and so on."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.home = network.home
        self.names = [node.name for node in network.record.nodes]
        self._running = RunningNetwork(network)
        self._log_starts: dict[str, int] = {}
        self.mark_logs()

    @property
    def accounts(self) -> tuple[FundedAccount, ...]:
        """Accounts with money."""
        return self._running.accounts

    def node(self, name: str) -> NodeRecord:
        """Addresses and process of a node."""
        return self.network.record.find_node(name)

    def client(self, name: str, retry: RetryPolicy = DEFAULT_RETRY) -> Client:
        """Return a new client of a node; use it with `async with`."""
        return Client(self.node(name).rpc, self.node(name).ws, retry)

    def call(self, name: str, method: str, **params: object) -> dict:
        """Call a node."""
        return call(self.node(name), method, **params)

    def is_running(self, name: str) -> bool:
        """Tell whether the node's process runs, paused or not."""
        return is_running(process_of(self.node(name)))

    def start(self, *names: str) -> None:
        """Start nodes and wait until they are ready."""
        if names:
            self.network.start(list(names))
            self.network.wait_ready(list(names), WAIT_S)

    def stop(self, *names: str) -> None:
        """Ask nodes to end, as an operator does, and wait for it."""
        processes = [process_of(self.node(name)) for name in names]
        assert stop_processes([process for process in processes if process]) == [], "had to be killed"

    def kill(self, *names: str) -> None:
        """End nodes at once, all before any other has noticed much."""
        for name in names:
            os.kill(self.node(name).pid, signal.SIGKILL)
        until(lambda: not any(map(self.is_running, names)), lambda: f"{names} do not end", 5.0)

    def tip(self, name: str, height: int | None = None) -> Tip:
        """Return where a node is, or was at a height."""
        block = self.call(name, "block", **({} if height is None else {"height": height}))
        return Tip(block["height"], block["hash"], block["result"]["state_root"])

    def height(self, name: str) -> int:
        """Return a node's final height."""
        return self.call(name, "status")["height"]

    def converge(self, names: Sequence[str] = (), timeout_s: float = WAIT_S) -> Tip:
        """Wait until nodes stand at one tip, none below where any of them was, and return it."""
        names = names or self.names
        seen: dict[str, object] = {}
        floor = 0

        def agree() -> bool:
            nonlocal floor
            for name in names:
                try:
                    seen[name] = self.tip(name)
                except (OSError, Refused) as error:
                    seen[name] = error
            tips = [seen[name] for name in names]
            floor = max([floor, *(tip.height for tip in tips if isinstance(tip, Tip))])
            return isinstance(tips[0], Tip) and tips[0].height == floor and all(tip == tips[0] for tip in tips)

        until(agree, lambda: f"no agreement: {seen}\n{self.errors()}", timeout_s)
        return seen[names[0]]

    def catch_up(self, name: str) -> None:
        """Wait until a node is where the others are now, while the chain may go on."""
        goal = max(self.height(other) for other in self.names if other != name)
        until(lambda: self.height(name) >= goal, lambda: f"{name} is at {self.height(name)} of {goal}\n{self.errors()}")

    def signs_above(self, name: str, view: int) -> bool:
        """Tell whether the newest certificate is of a later view and carries a node's vote."""
        try:
            validator = self.call(name, "status")["validator"]
        except OSError:
            return False
        members = self.call("node0", "validators")["validators"]
        index = next(one["index"] for one in members if one["address"] == validator)
        block = self.call("node0", "block")
        return block["header"]["view"] > view and index in (block["certificate"] or {"signers": []})["signers"]

    def restore(self) -> Tip:
        """Resume, start and connect whatever is not, and wait until all agree."""
        for name in self.names:
            process = process_of(self.node(name))
            if is_running(process) and is_paused(process):
                self.network.resume(name)
        stopped = [name for name in self.names if not self.is_running(name)]
        self.start(*stopped)
        self.network.heal()
        return self.converge()

    def mark_logs(self) -> None:
        """Forget what the logs say so far."""
        for name in self.names:
            path = self.home / name / "node.log"
            self._log_starts[name] = path.stat().st_size if path.exists() else 0

    def log(self, name: str) -> str:
        """Return what a node logged since the mark."""
        with (self.home / name / "node.log").open("rb") as log:
            log.seek(self._log_starts[name])
            return log.read().decode()

    def errors(self) -> str:
        """Return the lines of all logs since the mark that speak of errors, and tracebacks whole."""
        lines = []
        for name in self.names:
            is_inside = False
            for line in self.log(name).splitlines():
                is_inside = line.startswith("Traceback") or (is_inside and LOG_LINE.match(line) is None)
                lines += [f"{name}: {line}"] if is_inside or " ERROR " in line else []
        return "\n".join(lines)

    def peers(self, name: str) -> set[str]:
        """Return the names of the nodes that a node is connected to."""
        name_of = {node.node_id: node.name for node in self.network.record.nodes}
        return {name_of.get(peer["node_id"], peer["node_id"]) for peer in self.call(name, "net_info")["peers"]}

    def run_cli(self, *arguments: str) -> tuple[int, dict]:
        """Run a `bocc` command and return its exit code and its JSON."""
        return run_cli(*arguments, "--json")


def run_cli(*arguments: str) -> tuple[int, dict]:
    """Run a `bocc` command, and return its exit code and the JSON that it prints, if it is asked for."""
    command = [sys.executable, "-m", "bocc", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, msgspec.json.decode(done.stdout) if "--json" in arguments else {}


class NodeProcess:
    """A node started by hand, because its end is what a test is about."""

    def __init__(self, process: subprocess.Popen, log: Path) -> None:
        self.pid = process.pid
        self._process = process
        self._log = log

    @property
    def output(self) -> str:
        """What it printed so far."""
        return self._log.read_text()

    def end(self, timeout_s: float = WAIT_S) -> int:
        """Wait for its end and return the exit code."""
        return self._process.wait(timeout_s)

    def until_logged(self, text: str) -> None:
        """Wait for a line in its log."""
        until(lambda: text in self.output or self._process.poll() is not None, lambda: self.output)
        assert text in self.output, self.output

    def close(self) -> None:
        """Kill it if it runs, with everything that it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(WAIT_S)


@contextmanager
def node_process(
    home: Path,
    *settings: str,
    wrapper: Sequence[str] = (),
    environment: dict[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> Iterator[NodeProcess]:
    """Run a node by hand while the context lasts. Settings are NAME=VALUE; a wrapper is a command that runs it."""
    log = home / "by-hand.log"
    arguments = [word for setting in settings for word in ("--set", setting)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*wrapper, sys.executable, "-m", "node", "--home", str(home), *arguments],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            preexec_fn=before,
        )
    running = NodeProcess(process, log)
    try:
        yield running
    finally:
        running.close()


@contextmanager
def further_node(net: LiveNetwork, home: Path, *arguments: str) -> Iterator[tuple[NodeProcess, NodeRecord]]:
    """Make the home of one more node by the command line, and run it beside the others, connected to all of them."""
    port = 10 * len(net.names) + int(net.node("node0").p2p.rpartition(":")[2])
    settings = (f"p2p_listen=127.0.0.1:{port}", f"rpc_listen=127.0.0.1:{port + 1}", "metrics_listen=")
    options = [*arguments, *(word for setting in settings for word in ("--set", setting))]
    for node in net.network.record.nodes:
        options += ["--peer", f"{node.node_id}@{node.p2p}"]
    genesis = str(net.home / "node0" / "genesis.json")
    code, made = run_cli("node", "init", "--home", str(home), "--genesis", genesis, *options, "--json")
    assert code == 0, made
    rpc = f"http://127.0.0.1:{port + 1}"
    node = NodeRecord(
        name=home.name, rpc=rpc, ws="", metrics="", p2p=f"127.0.0.1:{port}", node_id=made["node_id"], home=str(home)
    )
    with node_process(home) as process:
        process.until_logged("started")
        yield process, node


@contextmanager
def live_network(
    home: Path,
    validators: int = 4,
    change: Callable[[Params], Params] = lambda params: params,
    *,
    has_provider: bool = False,
) -> Iterator[LiveNetwork]:
    """Run a network of its own, with changed parameters, with or without its provider, and leave no process behind."""
    params = change(DEVELOPMENT_PARAMS)

    def build_genesis(*arguments: object, **named: object) -> object:
        return msgspec.structs.replace(development_genesis(*arguments, **named), params=params)

    network = Network(home)
    with mock.patch.object(layout, "development_genesis", build_genesis):
        layout.prepare_network(
            network, layout.Layout(validators, takes_any_port=True, provider_count=int(has_provider))
        )
    try:
        network.start()
        network.wait_ready()
        network.start_providers()
        yield LiveNetwork(network)
    finally:
        network.stop()
        assert processes_of(home) == []


def processes_of(home: Path) -> list[str]:
    """Return the command lines of running processes that name a home."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(home).encode() in b" ".join(words) and entry.parent.name != str(os.getpid()):
            found.append(b" ".join(words).decode())
    return found
