"""A node that cannot start as it is configured: exit code 1 and one line that says what to change, never a traceback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack

import msgspec
import pytest

from node.config import NodeConfig
from node.home import VALIDATOR_KEY, init_home
from state.development_genesis import development_genesis
from state.genesis_file import format_genesis
from state.keyfile import KdfStrength, KeyKind, save_key
from tests.support.live_network import ROOT, node_process, run_cli

PASSWORD = b"correct horse"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home that was never started, on ports that are free."""
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        ports = [one.getsockname()[1] for one in taken]
    config = NodeConfig(
        rpc_listen=f"127.0.0.1:{ports[0]}", metrics_listen=f"127.0.0.1:{ports[1]}", p2p_listen=f"127.0.0.1:{ports[2]}"
    )
    genesis = development_genesis("bocc-configuration", 1, bytes(32), 1_700_000_000_000)
    home = tmp_path_factory.mktemp("made") / "home"
    init_home(home, format_genesis(genesis), config, {})
    return home


@pytest.fixture
def home(made, tmp_path):
    """A home of the test's own."""
    shutil.copytree(made, tmp_path / "home")
    return tmp_path / "home"


def refusal(home, *settings, **how):
    """Run a node that must refuse to start, and return what it says."""
    with node_process(home, *settings, **how) as process:
        assert process.end() == 1, process.output
        assert "Traceback" not in process.output
        assert process.output.count(" stopped ") == process.output.count("\n") == 1
        return process.output


def append(home, text):
    with (home / "config.toml").open("a") as config:
        config.write(text)


def replace_line(home, name, text):
    lines = (home / "config.toml").read_text().splitlines()
    (home / "config.toml").write_text("\n".join(text if line.startswith(name + " =") else line for line in lines))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda home: append(home, "\nrpc_listne = 1\n"), "rpc_listne"),
        (lambda home: append(home, "\n[table]\n"), "table"),
        (lambda home: append(home, "\nthis is no toml\n"), "cannot be read"),
        (lambda home: replace_line(home, "archive", 'archive = "yes"'), "archive"),
        (lambda home: replace_line(home, "disk_free_min_mib", "disk_free_min_mib = -1"), "disk_free_min_mib"),
        (lambda home: replace_line(home, "log_level", 'log_level = "loud"'), "log_level"),
        (lambda home: replace_line(home, "rpc_listen", 'rpc_listen = "here"'), "rpc_listen"),
        (lambda home: replace_line(home, "rpc_listen", 'rpc_listen = "127.0.0.1:70000"'), "at most 65535"),
        (lambda home: replace_line(home, "resume_after", 'resume_after = "soon"'), "resume_after"),
        (lambda home: replace_line(home, "persistent_peers", 'persistent_peers = ["nobody"]'), "nobody"),
        (lambda home: (home / "config.toml").unlink(), "config.toml does not exist; `bocc node init"),
        (lambda home: (home / "genesis.json").unlink(), "genesis.json does not exist; `bocc node init"),
        (lambda home: (home / "genesis.json").write_text("{}"), "genesis.json is not usable"),
        (lambda home: (home / "keys" / "node.json").unlink(), "node.json is missing"),
        (lambda home: (home / "keys" / "node.json").write_text("{"), "node.json: malformed"),
        (lambda home: (home / "keys" / "node.json").chmod(0o644), "open_to_others"),
        (lambda home: shutil.rmtree(home / "data" / "state"), "there is no database"),
    ],
    ids=["unknown", "table", "no-toml", "no-bool", "negative", "no-level", "no-address", "port", "no-view", "no-peer",
         "no-config", "no-genesis", "bad-genesis", "no-node-key", "bad-node-key", "open-node-key", "no-database"],
)  # fmt: skip
def test_what_is_wrong_in_a_home_is_named(home, change, text):
    change(home)
    assert text in refusal(home)


@pytest.mark.parametrize(
    ("settings", "environment", "text"),
    [
        (("no_such=1",), {}, "there is no setting no_such; known are"),
        (("archive=maybe",), {}, "'maybe' is neither true nor false"),
        (("disk_free_min_mib=few",), {}, "'few' is no number"),
        ((), {"BOCC_NO_SUCH": "1"}, "BOCC_NO_SUCH"),
        ((), {"BOCC_LOG_LEVEL": "loud"}, "log_level"),
        ((), {"BOCC_PASSWORD_FILE": "/nowhere/at/all"}, "the password file /nowhere/at/all cannot be read"),
    ],
)
def test_what_is_wrong_in_flags_and_environment_is_named(home, settings, environment, text):
    assert text in refusal(home, *settings, environment=environment)


@pytest.mark.parametrize("name", ["rpc_listen", "metrics_listen", "p2p_listen"])
def test_a_taken_port_is_named(home, name):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert address in refusal(home, f"{name}={address}")


@pytest.fixture
def with_validator(home):
    """A home whose validator key is encrypted."""
    seed = bytes(range(32))
    save_key(home / "keys" / VALIDATOR_KEY, seed, KeyKind.VALIDATOR, PASSWORD, KdfStrength.INTERACTIVE)
    return home


def password_file(tmp_path, password):
    path = tmp_path / "password"
    path.write_bytes(password)
    return {"BOCC_PASSWORD_FILE": str(path)}


def link(key):
    """Put a link to the key in its place."""
    key.rename(key.with_name("elsewhere.json"))
    key.symlink_to("elsewhere.json")


@pytest.mark.parametrize(
    ("change", "password", "text"),
    [
        (lambda _: None, None, "password_needed"),
        (lambda _: None, b"wrong", "wrong_password"),
        (lambda key: key.chmod(0o644), PASSWORD, "open_to_others"),
        (lambda key: key.write_bytes(key.read_bytes()[:-40]), PASSWORD, "malformed"),
        (link, PASSWORD, "not_regular"),
        (lambda key: key.unlink() or save_key(key, bytes(32), KeyKind.ACCOUNT, None), PASSWORD, "of kind account"),
        (lambda _: None, PASSWORD, "is the log of another chain or another validator key"),
    ],
    ids=["no-password", "wrong-password", "mode-644", "cut", "link", "other-kind", "log-of-another-key"],
)
def test_a_validator_key_that_must_not_be_used_is_refused(with_validator, tmp_path, change, password, text):
    change(with_validator / "keys" / VALIDATOR_KEY)
    environment = {} if password is None else password_file(tmp_path, password)
    said = refusal(with_validator, environment=environment)
    assert text in said
    assert PASSWORD.decode() not in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_key_of_another_user_is_refused(with_validator, tmp_path):
    os.chown(with_validator / "keys" / VALIDATOR_KEY, 12_345, 12_345)
    assert "foreign_owner" in refusal(with_validator, environment=password_file(tmp_path, PASSWORD))


def test_well_known_keys_are_refused_on_a_chain_that_is_not_marked_development(tmp_path):
    genesis = development_genesis("bocc-public", 4, bytes(32), 1_700_000_000_000)
    path = tmp_path / "genesis.json"
    path.write_bytes(format_genesis(msgspec.structs.replace(genesis, development=False)))
    code, answer = run_cli("node", "init", "--home", str(tmp_path / "home"), "--genesis", str(path), "--json")
    assert code == 1
    assert answer["error"]["reason"] == "genesis_development_key"
    assert not (tmp_path / "home" / "data").exists()


def test_the_command_line_ends_with_the_same_code_and_line(home):
    append(home, "\nrpc_listne = 1\n")
    command = [sys.executable, "-m", "bocc", "node", "run", "--home", str(home)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "rpc_listne" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
