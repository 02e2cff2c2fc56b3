"""Laws of process handling: only our own processes get signals, and none is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bocc.testnet.process import (
    ProcessName,
    is_paused,
    is_running,
    name_process,
    reap_children,
    send_signal,
    start_module,
    stop_processes,
    wait_for_end,
)

SLEEPER = "import signal, time; signal.signal(signal.SIGTERM, {handler}); print('up', flush=True); time.sleep(60)"


@pytest.fixture
def sleeper() -> Iterator[ProcessName]:
    yield from run_sleeper("lambda *_: exit(0)")


@pytest.fixture
def stubborn() -> Iterator[ProcessName]:
    yield from run_sleeper("signal.SIG_IGN")


def run_sleeper(handler: str) -> Iterator[ProcessName]:
    with subprocess.Popen([sys.executable, "-c", SLEEPER.format(handler=handler)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        name = name_process(child.pid)
        assert name is not None
        yield name
        child.kill()


def test_process_is_known_by_pid_and_start_time(sleeper):
    assert is_running(sleeper)
    assert name_process(os.getpid()) != sleeper


def test_stranger_with_the_same_pid_gets_no_signal(sleeper):
    earlier = ProcessName(sleeper.pid, sleeper.started_ticks - 1)
    assert not is_running(earlier)
    assert not send_signal(earlier, signal.SIGKILL)
    assert stop_processes([earlier]) == []
    assert is_running(sleeper)


def test_absent_process_is_not_running():
    assert not is_running(None)
    assert name_process(2**22 + 1) is None


def test_zombie_has_ended(sleeper):
    assert send_signal(sleeper, signal.SIGKILL)
    assert wait_for_end([sleeper], timeout_s=10) == []
    assert not is_running(sleeper)


def test_frozen_process_is_seen_and_still_stops(sleeper):
    send_signal(sleeper, signal.SIGSTOP)
    os.waitpid(sleeper.pid, os.WUNTRACED)
    assert is_paused(sleeper)
    assert stop_processes([sleeper], timeout_s=10) == []
    assert not is_running(sleeper)


def test_process_that_ignores_the_request_is_killed_and_named(stubborn):
    assert stop_processes([stubborn], timeout_s=0.2) == [stubborn]
    assert not is_running(stubborn)


@pytest.fixture
def environment_of_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the environment that a module of ours gets, as a module named `spy` sees it."""
    (tmp_path / "spy.py").write_text("import os, json; print(json.dumps(dict(os.environ)), flush=True)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("BOCC_RPC_LISTEN", "127.0.0.1:1")
    name = start_module("spy", [], tmp_path / "log", hash_seed=17)
    assert wait_for_end([name], timeout_s=20) == []
    reap_children()
    seen: dict[str, str] = json.loads((tmp_path / "log").read_text())
    return seen


def test_child_gets_its_hash_seed_and_no_setting_meant_for_one_node(environment_of_child):
    assert environment_of_child["PYTHONHASHSEED"] == "17"
    assert "PYTHONDONTWRITEBYTECODE" not in environment_of_child
    assert "BOCC_RPC_LISTEN" not in environment_of_child
