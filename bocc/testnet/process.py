"""Processes of a local network: started in sessions of their own, recognised by pid and start time, never by name.

A pid alone may belong to a stranger after a while; the start time from /proc makes sure that only our process gets a signal.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import bocc

STOP_TIMEOUT_S: Final = 10.0
"""A node writes nothing of importance while it stops; after this it is killed, which it survives as well."""
_POLL_S: Final = 0.02
_DROPPED_VARIABLES: Final = ("PYTHONDONTWRITEBYTECODE", "BOCC_")
_STARTTIME_FIELD: Final = 19
"""Of /proc/PID/stat after the command's closing bracket, counted from 0 at the state."""


@dataclass(frozen=True, slots=True)
class ProcessName:
    """One process of this machine until it reboots."""

    pid: int
    started_ticks: int


def name_process(pid: int) -> ProcessName | None:
    """Return the name of a running process, or None if it has ended; a zombie has ended."""
    try:
        content = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = content.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else ProcessName(pid, int(fields[_STARTTIME_FIELD]))


class ProcessRecord(Protocol):
    """What is on record about a process."""

    @property
    def pid(self) -> int | None:
        """None if it was not started."""

    @property
    def started_ticks(self) -> int | None:
        """Start time in clock ticks since boot."""


def process_of(record: ProcessRecord) -> ProcessName | None:
    """Return the name of the process that a record speaks of, running or not."""
    if record.pid is None or record.started_ticks is None:
        return None
    return ProcessName(record.pid, record.started_ticks)


def is_running(name: ProcessName | None) -> bool:
    """Tell whether exactly this process still runs."""
    return name is not None and name_process(name.pid) == name


def is_paused(name: ProcessName) -> bool:
    """Tell whether the process was stopped by a signal and waits to go on."""
    try:
        content = Path(f"/proc/{name.pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return content.rpartition(")")[2].split()[0] in "Tt"


def send_signal(name: ProcessName | None, number: signal.Signals) -> bool:
    """Send a signal to exactly this process; tell whether it was there to get it."""
    if name is None or not is_running(name):
        return False
    os.kill(name.pid, number)
    return True


def stop_processes(names: list[ProcessName], timeout_s: float = STOP_TIMEOUT_S) -> list[ProcessName]:
    """Ask processes to end and wait for it; kill those that take too long and return their names."""
    for name in names:
        send_signal(name, signal.SIGTERM)
        send_signal(name, signal.SIGCONT)
    late = wait_for_end(names, timeout_s)
    for name in late:
        send_signal(name, signal.SIGKILL)
    wait_for_end(late, timeout_s)
    return late


def wait_for_end(names: list[ProcessName], timeout_s: float) -> list[ProcessName]:
    """Wait until all processes have ended, and return those that have not when time is up."""
    deadline = time.monotonic() + timeout_s
    running = [name for name in names if is_running(name)]
    while running and time.monotonic() < deadline:
        reap_children()
        time.sleep(_POLL_S)
        running = [name for name in running if is_running(name)]
    return running


def reap_children() -> None:
    """Take the exit codes of our own ended processes, so that none stays a zombie."""
    for child in list(_children):
        if child.poll() is not None:
            _children.remove(child)


def start_module(module: str, arguments: list[str], log: Path, hash_seed: int) -> ProcessName:
    """Start a module of ours under this Python in a session of its own, its output appended to a log file.

    The hash seed differs between nodes, so that a dependence on it shows. Bytecode is written even where the environment forbids
    it: otherwise each process compiles everything again at each start. Settings for one node (BOCC_...) do not reach all of them.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED_VARIABLES)}
    environment["PYTHONHASHSEED"] = str(hash_seed)
    package_root = str(Path(bocc.__file__).resolve().parents[1])
    search_path = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = f"{package_root}{os.pathsep}{search_path}" if search_path else package_root
    with log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603  our own interpreter and module, no shell
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    _children.append(child)
    name = name_process(child.pid)
    return name or ProcessName(child.pid, 0)


_children: list[subprocess.Popen[bytes]] = []
"""Processes that this one started and has not seen end. Only their parent can reap them."""
