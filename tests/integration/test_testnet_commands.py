"""`bocc testnet` and its neighbours as people use them: one process per command, exit codes, files, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bocc.testnet.network import Network
from bocc.testnet.process import is_running, process_of
from bocc.testnet.record import TestnetRecord, load_record

ENVIRONMENT = {name: text for name, text in os.environ.items() if not name.startswith("BOCC_")}


def bocc(*arguments: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "bocc", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=90,
        input=stdin,
        env=ENVIRONMENT,
        check=False,
    )


def told(*arguments: object) -> Any:
    """Run one command that must do well, and return its JSON."""
    ended = bocc(*arguments, "--json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run a network of two nodes, started and stopped by commands."""
    path = tmp_path_factory.mktemp("commands") / "net"
    record = told("testnet", "up", "--home", path, "--validators", 2, "--ports", "auto", "--no-provider", "--detach")
    processes = [process_of(node) for node in load_record(path).nodes]
    assert len(record["nodes"]) == 2
    yield path
    assert bocc("testnet", "down", "--home", path).returncode == 0
    assert not any(is_running(process) for process in processes)


@pytest.fixture
def record(home: Path) -> TestnetRecord:
    return load_record(home)


def test_record_holds_what_programs_need(home, record):
    document = json.loads((home / "testnet.json").read_text())
    assert document["chain_id"] == record.chain_id
    node = document["nodes"][0]
    assert {"name", "pid", "rpc", "ws", "metrics", "p2p", "home"} <= node.keys()
    assert node["rpc"].startswith("http://127.0.0.1:")
    account = document["accounts"][0]
    assert {"name", "address", "secret_key_file"} == account.keys()
    assert Path(account["secret_key_file"]).stat().st_mode & 0o777 == 0o600


def test_rpc_takes_a_post_as_curl_sends_it(record):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "status", "params": {}}).encode()
    request = urllib.request.Request(record.nodes[0].rpc, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        status = json.load(response)["result"]
    assert status["chain_id"] == record.chain_id


def test_metrics_are_served(record):
    with urllib.request.urlopen(record.nodes[0].metrics, timeout=10) as response:
        assert b"bocc_" in response.read()


def test_transfer_is_final_and_seen_through_the_other_node(home, record):
    before = int(told("query", "account", "bob", "--home", home)["balance"])
    outcome = told("tx", "transfer", "--from", "alice", "--to", "bob", "--amount", 5, "--home", home)
    assert (outcome["status"], outcome["receipt"]["status"]) == ("final", "ok")
    assert told(
        "tx", "transfer", "--from", "alice", "--to", "bob", "--amount", "5ubocc", "--home", home, "--node", "node1"
    )
    after = int(told("query", "account", "bob", "--home", home)["balance"])
    assert after - before == 5_000_005


@pytest.mark.parametrize(
    "question",
    [
        ("status",),
        ("params",),
        ("genesis",),
        ("validators",),
        ("block",),
        ("block", "1"),
        ("blocks", "--limit", "3"),
        ("account", "alice"),
        ("account", "alice", "--prove"),
        ("mempool",),
        ("net",),
        ("consensus",),
        ("events",),
        ("proof", "02"),
    ],
    ids=" ".join,
)
def test_every_query_answers_for_people_and_for_programs(home, question):
    assert told("query", *question, "--home", home) is not None
    shown = bocc("query", *question, "--home", home)
    assert (shown.returncode, shown.stderr) == (0, "")


def test_transaction_and_block_are_found_by_name(home):
    outcome = told("faucet", "carol", "--amount", 1, "--home", home)
    found = told("query", "tx", outcome["tx_id"], "--home", home)
    block = told("query", "block", found["block_hash"], "--home", home)
    assert (block["height"], block["tx_ids"]) == (outcome["height"], [outcome["tx_id"]])


def test_dry_run_and_explain_send_nothing(home):
    before = told("query", "account", "dave", "--home", home)["balance"]
    checks = told("tx", "transfer", "--from", "dave", "--to", "bob", "--amount", 1, "--dry-run", "--home", home)
    assert all(check["ok"] for check in checks["checks"])
    assert told("query", "account", "dave", "--home", home)["balance"] == before


def test_proof_is_verified_without_network(home, tmp_path):
    proof = tmp_path / "proof.json"
    proof.write_text(json.dumps(told("query", "account", "alice", "--prove", "--home", home)))
    genesis = home / "node0" / "genesis.json"
    assert told("proof", "verify", proof, "--trust", genesis)["record"]["balance"] > 0
    other = tmp_path / "other.json"
    other.write_text(genesis.read_text().replace("bocc-local-1", "bocc-local-2"))
    assert bocc("proof", "verify", proof, "--trust", other).returncode == 1


def test_second_network_runs_beside_the_first(home, record, tmp_path):
    other = tmp_path / "other"
    try:
        second = told("testnet", "up", "--home", other, "--validators", 1, "--detach")
        assert second["chain_id"] != record.chain_id
        assert not {node["rpc"] for node in second["nodes"]} & {node.rpc for node in record.nodes}
        assert told("query", "status", "--home", home)["chain_id"] == record.chain_id
    finally:
        assert bocc("testnet", "down", "--home", other).returncode == 0


def test_stopped_network_goes_on_where_it_was_on_other_ports_if_needed(tmp_path):
    path = tmp_path / "net"
    try:
        first = told("testnet", "up", "--home", path, "--validators", 1, "--ports", "auto", "--detach")
        outcome = told("tx", "transfer", "--from", "alice", "--to", "bob", "--amount", 5, "--home", path)
        told("testnet", "down", "--home", path)
        with socket.socket() as squatter:
            squatter.bind(("127.0.0.1", int(first["nodes"][0]["rpc"].rpartition(":")[2])))
            squatter.listen()
            second = told("testnet", "up", "--home", path, "--detach")
        assert second["chain_id"] == first["chain_id"]
        assert second["nodes"][0]["rpc"] != first["nodes"][0]["rpc"]
        assert told("query", "tx", outcome["tx_id"], "--home", path)["height"] == outcome["height"]
    finally:
        bocc("testnet", "down", "--home", path)


def test_ctrl_c_stops_every_node(tmp_path):
    path = tmp_path / "net"
    command = [sys.executable, "-m", "bocc", "testnet", "up", "--home", path, "--validators", "2", "--ports", "auto"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as up:
        assert up.stdout is not None
        assert any("Ctrl-C" in line for line in up.stdout)
        record = load_record(path)
        processes = [process_of(one) for one in record.members]
        assert all(is_running(process) for process in processes)
        up.send_signal(signal.SIGINT)
        assert up.wait(timeout=30) == 0
    assert not any(is_running(process) for process in processes)


def test_kill_restart_pause_resume_name_the_node(home):
    for verb, name in (("kill", "node1"), ("restart", "1"), ("pause", "node1"), ("resume", "1")):
        assert "node1" in told("testnet", verb, name, "--home", home)["done"]
    assert "node0 |" in bocc("testnet", "logs", "--home", home).stdout


def test_running_network_is_not_started_twice(home):
    ended = bocc("testnet", "up", "--home", home, "--detach")
    assert ended.returncode == 1
    assert "already running" in ended.stderr
    assert len(Network(home).running()) == 2


def test_second_node_process_on_a_home_is_refused_and_harms_nothing(home, record):
    ended = bocc("node", "run", "--home", record.nodes[0].home)
    assert ended.returncode == 1
    assert told("query", "status", "--home", home)["chain_id"] == record.chain_id


def test_taken_ports_are_not_silently_changed_when_chosen(record, tmp_path):
    base = int(record.nodes[0].p2p.rpartition(":")[2])
    ended = bocc("testnet", "up", "--home", tmp_path, "--base-port", base, "--detach", "--json")
    error = json.loads(ended.stdout)["error"]
    assert (ended.returncode, error["reason"]) == (1, "ports_taken")


def test_health_is_an_exit_code(home):
    assert told("health", "--home", home)["health"] == "ready"
    assert bocc("health", "--node", "http://127.0.0.1:1").returncode == 3
