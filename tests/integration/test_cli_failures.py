"""What the command says when something goes wrong: one line, a next step, a code; as JSON where JSON is asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from state.address import account_address, format_address, parse_address
from state.crypto import SigningKey

NOWHERE = "http://127.0.0.1:1"
ENVIRONMENT = {name: text for name, text in os.environ.items() if not name.startswith("BOCC_")}


def bocc(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bocc", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=ENVIRONMENT, check=False)


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("query", "status", "--node", NOWHERE), 3, "unreachable"),
        (("query", "nonsense"), 2, "usage"),
        (("keys", "add"), 2, "usage"),
        (("keys", "show", "nobody"), 1, "not_found"),
        (("keys", "show", "../etc"), 1, "bad_name"),
        (("query", "account", "bocc1qq", "--node", NOWHERE), 1, "bad_bech32m"),
        (("testnet", "status"), 1, "no_network"),
        (("testnet", "kill", "node0"), 1, "no_network"),
        (("faucet", "alice", "--amount", "-1"), 1, "bad_amount"),
        (("node", "run"), 1, None),
        (("node", "reset", "--yes"), 1, "configuration"),
        (("proof", "verify", sys.executable, "--trust", sys.executable), 1, "genesis_bad_file"),
    ],
    ids=lambda one: " ".join(one)[:30] if isinstance(one, tuple) else "",
)
def test_failure_has_a_code_and_a_reason_in_both_forms(tmp_path, arguments, code, reason):
    shown = bocc(*arguments, "--home", tmp_path)
    assert (shown.returncode, shown.stdout if reason else "") == (code, "")
    assert "Traceback" not in shown.stderr
    if reason:
        assert shown.stderr.startswith("bocc: ")
        printed = bocc(*arguments, "--home", tmp_path, "--json")
        error = json.loads(printed.stdout)["error"]
        assert (printed.returncode, error["exit_code"], error["reason"]) == (code, code, reason)


def test_reader_that_goes_away_is_no_traceback(tmp_path):
    command = f"{sys.executable} -m bocc keys list --home {tmp_path} | true"
    ended = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "group", [(), ("testnet",), ("keys",), ("tx",), ("query",), ("faucet",), ("node",), ("proof",)]
)
def test_help_shows_each_command(group):
    shown = bocc(*group, "--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith("Usage:")


def test_node_home_is_made_once_and_says_who_it_is(tmp_path):
    made = bocc("node", "init", "--validator", "--plain", "--home", tmp_path / "home", "--json")
    document = json.loads(made.stdout)
    assert len(document["mnemonic"].split()) == 24
    assert len(document["node_id"]) == 40
    again = bocc("node", "init", "--home", tmp_path / "home")
    assert again.returncode == 1
    assert "holds a node already" in again.stderr
    repaired = bocc("node", "repair-log", "--home", tmp_path / "home", "--json")
    assert json.loads(repaired.stdout)["dropped_bytes"] == 0
    assert bocc("node", "reset", "--yes", "--home", tmp_path / "home").returncode == 0


def test_validator_key_of_a_public_chain_is_never_stored_in_clear(tmp_path):
    """Given a sound genesis that is not marked as development, when a plain validator key is asked for, then nothing is made."""
    told = bocc("node", "init", "--home", tmp_path / "dev", "--json")
    assert told.returncode == 0
    genesis = json.loads((tmp_path / "dev" / "genesis.json").read_text())
    strangers = sorted(format_address(account_address(bytes([number]) * 32)) for number in range(40))
    genesis |= {"development": False, "accounts": [], "simulated_roots": []}
    for number, validator in enumerate(genesis["validators"]):
        key = SigningKey(bytes([number + 1]) * 32).public_key.hex()
        validator |= {"operator": strangers[number], "consensus_key": key}
    genesis["validators"].sort(key=lambda validator: parse_address(validator["operator"]))
    (tmp_path / "public.json").write_text(json.dumps(genesis))
    arguments = ("node", "init", "--validator", "--plain", "--genesis", tmp_path / "public.json")
    refused = bocc(*arguments, "--home", tmp_path / "home")
    assert refused.returncode == 2
    assert not (tmp_path / "home").exists()
