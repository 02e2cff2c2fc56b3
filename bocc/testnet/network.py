"""The operations of `bocc testnet` on the network of one home directory.

Everything is found through testnet.json, so any process may continue what another one began. Changes of the record happen under a
lock. Nothing here needs the nodes to cooperate, except a partition.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from bocc.errors import InputReason, InputRejected
from bocc.testnet import admin
from bocc.testnet.health import probe_page, probe_status
from bocc.testnet.process import (
    ProcessName,
    ProcessRecord,
    is_paused,
    is_running,
    process_of,
    reap_children,
    send_signal,
    start_module,
    stop_processes,
    wait_for_end,
)
from bocc.testnet.provider import ProviderState, provider_state, start_provider
from bocc.testnet.record import LoadRecord, NodeRecord, ProviderRecord, TestnetRecord, load_record, save_record
from state.durable import FileLock, LockHeld

READY_TIMEOUT_S: Final = 60.0
LOG_NAME: Final = "node.log"
LOAD_LOG_NAME: Final = "load.log"
_LOCK_NAME: Final = "testnet.lock"
_LOCK_TIMEOUT_S: Final = 15.0
_POLL_S: Final = 0.05
_LOG_TAIL_LINES: Final = 8


class NodeState(msgspec.Struct, frozen=True, kw_only=True):
    """How one node is, as far as it can be told from outside."""

    name: str
    state: str
    """running, paused or stopped."""
    is_ready: bool
    pid: int | None
    height: int | None
    view: int | None
    peers: int | None
    rpc: str


class Network:
    """The local network of one home. Objects hold no state of their own besides the place."""

    def __init__(self, home: Path) -> None:
        self.home = home

    @property
    def record(self) -> TestnetRecord:
        """What testnet.json says now.

        Raises:
            InputRejected: NO_NETWORK.
        """
        return load_record(self.home)

    def running(self) -> list[NodeRecord]:
        """Return the nodes whose processes run, paused ones included."""
        return [node for node in self.record.nodes if is_running(process_of(node))]

    def start(self, names: list[str] | None = None) -> None:
        """Start the nodes with these names, all without; those that run already are left alone."""
        with self._changing():
            record = self.record
            chosen = [record.find_node(name) for name in names] if names is not None else list(record.nodes)
            for node in chosen:
                if not is_running(process_of(node)):
                    record = record.with_process(_start_node(node))
                    save_record(self.home, record)

    def start_providers(self, names: list[str] | None = None) -> None:
        """Start the providers with these names, all without, unless they run already. They attest in their own time."""
        with self._changing():
            record = self.record
            for provider in record.providers:
                is_wanted = names is None or provider.name in names
                if is_wanted and not is_running(process_of(provider)):
                    record = record.with_process(start_provider(self.home, provider))
                    save_record(self.home, record)

    def start_load(self, transfers_per_second: int) -> None:
        """Start the load generator in a process of its own."""
        with self._changing():
            arguments = ["--home", str(self.home), "--rate", str(transfers_per_second)]
            process = start_module("bocc.load", arguments, self.home / LOAD_LOG_NAME, hash_seed=0)
            load = LoadRecord(pid=process.pid, started_ticks=process.started_ticks)
            save_record(self.home, msgspec.structs.replace(self.record, load=load))

    def stop(self) -> list[str]:
        """Stop the load generator, the providers and all nodes; return the names of nodes that had to be killed."""
        with self._changing():
            record = self.record
            users: list[ProcessRecord] = [*record.providers, *([] if record.load is None else [record.load])]
            stop_processes([process for process in map(process_of, users) if process])
            name_by_process = {process: node.name for node in record.nodes if (process := process_of(node))}
            late = stop_processes(list(name_by_process))
            nodes = tuple(msgspec.structs.replace(node, pid=None, started_ticks=None) for node in record.nodes)
            providers = tuple(msgspec.structs.replace(one, pid=None, started_ticks=None) for one in record.providers)
            save_record(self.home, msgspec.structs.replace(record, nodes=nodes, providers=providers, load=None))
            reap_children()
            return [name_by_process[process] for process in late]

    def kill(self, name: str) -> None:
        """End a node or a provider at once, in the middle of whatever it does.

        Raises:
            InputRejected: UNKNOWN_NODE, NOT_RUNNING.
        """
        process = self._signal(name, signal.SIGKILL)
        wait_for_end([process], timeout_s=5.0)

    def pause(self, name: str) -> None:
        """Freeze a node; its connections stay open and silent.

        Raises:
            InputRejected: UNKNOWN_NODE, NOT_RUNNING.
        """
        self._signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a frozen node go on.

        Raises:
            InputRejected: UNKNOWN_NODE, NOT_RUNNING.
        """
        self._signal(name, signal.SIGCONT)

    def restart(self, name: str) -> None:
        """Stop a node or a provider if it runs, and start it again.

        Raises:
            InputRejected: UNKNOWN_NODE.
        """
        record = self.record.find_process(name)
        process = process_of(record)
        stop_processes([process] if process else [])
        if isinstance(record, ProviderRecord):
            self.start_providers([name])
        else:
            self.start([name])

    def partition(self, text: str) -> list[list[str]]:
        """Cut the links between groups such as 0,1/2,3 and return the names in each group.

        Raises:
            InputRejected: BAD_PARTITION, UNKNOWN_NODE, ADMIN_REFUSED.
        """
        groups = admin.parse_partition(text, self.record)
        admin.partition(groups)
        return [[node.name for node in group] for group in groups]

    def heal(self) -> None:
        """Restore all links between running nodes; a node that starts has none cut.

        Raises:
            InputRejected: ADMIN_REFUSED.
        """
        admin.heal(self.running())

    def states(self) -> list[NodeState]:
        """Ask every node how it is."""
        return [_node_state(node) for node in self.record.nodes]

    def provider_states(self) -> list[ProviderState]:
        """Ask how every provider is."""
        record = self.record
        nodes = self.running() or list(record.nodes)
        return [provider_state(provider, nodes[0].rpc) for provider in record.providers]

    def has_provider_ended(self) -> bool:
        """Tell whether a provider was started and has ended without being stopped."""
        return any(one.pid is not None and not is_running(process_of(one)) for one in self.record.providers)

    def wait_ready(
        self,
        names: list[str] | None = None,
        timeout_s: float = READY_TIMEOUT_S,
        report: Callable[[str], None] = lambda _: None,
    ) -> int:
        """Wait until the nodes are ready and have a final block, and return the least of their heights.

        Raises:
            InputRejected: NODE_DIED with the end of its log, NOT_READY with what is missing.
        """
        deadline = time.monotonic() + timeout_s
        record = self.record
        waiting = [record.find_node(name) for name in names] if names is not None else list(record.nodes)
        heights: list[int] = []
        while waiting:
            for node in list(waiting):
                if not is_running(process_of(node)):
                    raise InputRejected(InputReason.NODE_DIED, f"{node.name}\n{log_tail(node)}")
                height, missing = _readiness(node)
                if not missing:
                    waiting.remove(node)
                    heights.append(height)
                    report(f"{node.name} is ready")
                elif time.monotonic() > deadline:
                    raise InputRejected(InputReason.NOT_READY, f"{node.name}: {missing}", f"{timeout_s:.0f} s")
            time.sleep(_POLL_S if waiting else 0)
        return min(heights)

    def _signal(self, name: str, number: signal.Signals) -> ProcessName:
        record = self.record.find_process(name)
        process = process_of(record)
        if process is None or not send_signal(process, number):
            raise InputRejected(InputReason.NOT_RUNNING, record.name)
        return process

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock of the record, waiting a little for another command to finish."""
        deadline = time.monotonic() + _LOCK_TIMEOUT_S
        while True:
            try:
                lock = FileLock(self.home / _LOCK_NAME)
            except LockHeld as error:
                if time.monotonic() > deadline:
                    raise InputRejected(InputReason.ALREADY_RUNNING, str(error)) from error
                time.sleep(_POLL_S)
                continue
            with lock:
                yield
            return


def _readiness(node: NodeRecord) -> tuple[int, str]:
    """Return the height of a node and what it lacks to be ready; no text if nothing."""
    probe = probe_page(node.rpc, "/readyz")
    if not probe.is_good:
        return 0, str(probe.detail)
    height = int((probe_status(node.rpc) or {}).get("height", 0))
    return height, "" if height else "no block is final yet"


def log_tail(node: NodeRecord) -> str:
    """Return the last lines of a node's log."""
    path = Path(node.home) / LOG_NAME
    if not path.exists():
        return "(no log)"
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - 8192), os.SEEK_SET)
        lines = log.read().decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-_LOG_TAIL_LINES:])


def _start_node(node: NodeRecord) -> NodeRecord:
    hash_seed = Random(node.home).randrange(1, 1 << 32)
    process = start_module("node", ["--home", node.home], Path(node.home) / LOG_NAME, hash_seed)
    return msgspec.structs.replace(node, pid=process.pid, started_ticks=process.started_ticks)


def _node_state(node: NodeRecord) -> NodeState:
    process = process_of(node)
    if process is None or not is_running(process):
        return _silent_state(node, "stopped")
    if is_paused(process):
        return _silent_state(node, "paused")
    status = probe_status(node.rpc) or {}
    return NodeState(
        name=node.name,
        state="running",
        is_ready=probe_page(node.rpc, "/readyz").is_good,
        pid=node.pid,
        height=status.get("height"),
        view=status.get("view"),
        peers=status.get("peers"),
        rpc=node.rpc,
    )


def _silent_state(node: NodeRecord, state: str) -> NodeState:
    pid = node.pid if state == "paused" else None
    return NodeState(
        name=node.name, state=state, is_ready=False, pid=pid, height=None, view=None, peers=None, rpc=node.rpc
    )
