"""Laws of the entry point: where the password comes from, and what ends a process how."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from bocc.cli.context import read_password as read_password_of_command
from node import __main__ as entry
from node.__main__ import FAULTS, find_password, flatten, main
from node.config import CONFIG_NAME, NodeConfig, render_config
from node.errors import ConfigError, SignerFault
from node.home import Home, init_home
from node.opened import open_home
from node.wal import LogMismatch
from p2p.errors import ConfigError as NetworkConfigError
from p2p.errors import ConfigReason
from state.errors import StorageFault, UpgradeNeeded
from state.genesis_file import format_genesis
from tests.support.upgrading import GENESIS, HEIGHT, UpgradingChain


@pytest.mark.parametrize("content", [b"secret", b"secret\n", b"secret\r\n", b"secret\nnote\n"])
def test_node_and_command_read_the_same_password_from_a_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    assert find_password(path) == read_password_of_command(path, "Password") == b"secret"


def test_password_file_may_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOCC_PASSWORD_FILE", raising=False)
    assert find_password(None) is None
    path = tmp_path / "password"
    path.write_bytes(b" of two words \n")
    monkeypatch.setenv("BOCC_PASSWORD_FILE", str(path))
    assert find_password(None) == b" of two words "


def test_absent_password_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        find_password(tmp_path / "absent")


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """Give the process its own logging back."""
    root, own = logging.getLogger(), logging.getLogger("bocc")
    kept = root.handlers[:], root.level, own.level
    yield
    root.handlers[:] = kept[0]
    root.setLevel(kept[1])
    own.setLevel(kept[2])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logging_restored: None) -> Path:
    """Return a home with a configuration, in an environment without settings."""
    for variable in ("BOCC_PASSWORD_FILE", "BOCC_LOG_FORMAT"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / CONFIG_NAME).write_text(render_config(NodeConfig(log_format="json")))
    return tmp_path


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Home, NodeConfig, bytes | None]]:
    """Run nothing, and return what would have been run."""
    started: list[tuple[Home, NodeConfig, bytes | None]] = []
    monkeypatch.setattr(entry, "run_node", lambda *arguments: started.append(arguments))
    return started


def stop_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Have the node end with an error."""

    def run_node(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(entry, "run_node", run_node)


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """Return the lines of the log in JSON."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_node_that_a_signal_stopped_ends_with_0(home: Path, runs: list[object]) -> None:
    assert main(["--home", str(home)]) == 0
    assert runs == [(Home(home), NodeConfig(log_format="json"), None)]


def test_flags_and_password_reach_the_node(home: Path, runs: list[object]) -> None:
    password = home / "password"
    password.write_bytes(b"word\n")
    flags = ["--set", "archive=true", "--set", "p2p_advertised=a=b", "--set", "archive=false"]
    assert main(["--home", str(home), *flags, "--password-file", str(password)]) == 0
    assert runs == [(Home(home), NodeConfig(log_format="json", p2p_advertised="a=b"), b"word")]


FAULTS_OF_ALL_KINDS = {
    "configuration": ConfigError("rpc_listen: taken"),
    "network": NetworkConfigError(ConfigReason.ADDRESS_UNAVAILABLE, "127.0.0.1:1"),
    "key": SignerFault("the key is in use"),
    "storage": StorageFault("the disk is full"),
    "log": LogMismatch("another chain"),
    "software": UpgradeNeeded("block 20 needs protocol 2"),
}


def test_every_kind_of_fault_has_a_case_here() -> None:
    assert {type(fault) for fault in FAULTS_OF_ALL_KINDS.values()} >= set(FAULTS)


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("fault", FAULTS_OF_ALL_KINDS.values(), ids=FAULTS_OF_ALL_KINDS)
def test_fault_of_the_surroundings_is_logged_once_and_ends_with_1(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: Exception, depth: int
) -> None:
    error = fault
    for _ in range(depth):
        error = ExceptionGroup("of tasks", [error])
    stop_with(monkeypatch, error)
    assert main(["--home", str(home)]) == 1
    (line,) = written(capsys)
    expected = {"level": "error", "event": "stopped", "kind": type(fault).__name__, "why": str(fault)}
    assert {name: line[name] for name in expected} == expected


def test_node_that_is_too_old_for_its_chain_does_not_start_and_leaves_its_home_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, logging_restored: None
) -> None:
    """Given a home at the last block before an upgrade, then each start ends with 1 and says what to install."""
    monkeypatch.delenv("BOCC_PASSWORD_FILE", raising=False)
    config = NodeConfig(log_format="json")
    home = init_home(tmp_path / "home", format_genesis(GENESIS), config, {})
    opened = open_home(home, config, None)
    UpgradingChain(chain=opened.chain).go_to(HEIGHT - 1)
    opened.close()
    for _ in range(2):
        assert main(["--home", str(home.root)]) == 1
        (line,) = written(capsys)
        assert (line["event"], line["kind"]) == ("stopped", "UpgradeNeeded")
        assert "install bocc 2.0 or newer" in str(line["why"])


@pytest.mark.parametrize(
    "error",
    [
        AssertionError("impossible"),
        KeyError("mistake"),
        ExceptionGroup("of tasks", [AssertionError("impossible")]),
        ExceptionGroup("of tasks", [StorageFault("full"), ExceptionGroup("deeper", [AssertionError("impossible")])]),
    ],
    ids=["assertion", "mistake", "in a task", "beside a fault"],
)
def test_mistake_of_our_own_is_a_crash(home: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    stop_with(monkeypatch, error)
    with pytest.raises(type(error)) as caught:
        main(["--home", str(home)])
    assert caught.value is error


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--set", "archive"], "--set archive: write NAME=VALUE"),
        (["--set", "archive=maybe"], "--set archive: 'maybe' is neither true nor false"),
        (["--password-file", "/nowhere"], "the password file /nowhere cannot be read: No such file or directory"),
        (["--home", "/nowhere"], "/nowhere/config.toml does not exist; `bocc node init --home /nowhere` makes a home"),
    ],
    ids=["flag without value", "flag with a bad value", "no password file", "no home"],
)
def test_what_the_operator_named_wrongly_is_said_and_starts_nothing(
    home: Path, runs: list[object], capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    assert main(["--home", str(home), *arguments]) == 1
    assert why in capsys.readouterr().err
    assert runs == []


@pytest.mark.parametrize("arguments", [[], ["--home"], ["--home", "/h", "--fast"]], ids=["none", "no value", "unknown"])
def test_wrong_arguments_are_a_wrong_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str], logging_restored: None
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m node" in capsys.readouterr().err


def test_faults_in_nested_groups_are_found_in_their_order() -> None:
    first, second, third = ConfigError("1"), StorageFault("2"), KeyError("3")
    assert flatten(ExceptionGroup("", [first, ExceptionGroup("", [second, third])])) == [first, second, third]
