"""The provider of `bocc testnet up`: it attests by itself, renews in time, and says everywhere that it is simulated."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from msgspec.structs import replace

from bocc.provider.place import enclave_of
from bocc.testnet.network import Network
from bocc.testnet.process import is_running, process_of
from bocc.testnet.record import load_record
from tee.collateral import PCK_CRL_FILE
from tee.simulated import pck_crl_template
from tests.integration.test_testnet_commands import bocc, told
from tests.support.attesting_live import write_folder
from tests.support.live_network import LiveNetwork, live_network, until


def shown(home):
    """Return what `bocc testnet status` says of the first provider."""
    states = json.loads(bocc("testnet", "status", "--home", home, "--json").stdout)
    (provider,) = [one for one in states if one["name"] == "provider"]
    return provider


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Run a network of two nodes and two providers, started and stopped by commands."""
    path = tmp_path_factory.mktemp("provider") / "net"
    options = ("--validators", 2, "--providers", 2, "--ports", "auto", "--detach")
    record = told("testnet", "up", "--home", path, *options)
    assert [(one["name"], one["is_simulated"]) for one in record["providers"]] == [
        ("provider", True),
        ("provider2", True),
    ]
    yield path
    processes = [process_of(one) for one in load_record(path).providers]
    assert bocc("testnet", "down", "--home", path).returncode == 0
    assert not any(map(is_running, processes))


@pytest.fixture
def attested(home):
    """The home, once the providers have enclaves that are good."""
    await_providers(home)
    return home


def await_providers(home):
    """Wait until all providers of a network run and have enclaves that are good."""
    network = Network(home)
    until(lambda: all(one.is_ready for one in network.provider_states()), network.provider_states)


def test_provider_attests_simulated_hardware_by_itself(attested):
    provider = shown(attested)
    assert (provider["name"], provider["state"], provider["enclave_state"]) == ("provider", "running", "trusted")
    assert (provider["level"], provider["is_simulated"]) == (1, True)
    assert {one["kind"] for one in told("collateral", "list", "--home", attested)["collaterals"]} == {
        "intel_root_crl",
        "intel_pck_crl",
        "intel_tcb_info",
        "intel_qe_identity",
    }


@pytest.mark.parametrize(
    "question",
    [
        ("testnet", "status"),
        ("provider", "status"),
        ("query", "enclaves"),
        ("query", "enclave", "{enclave}"),
        ("query", "forecast", "{enclave}"),
        ("collateral", "list"),
        ("testnet", "logs", "provider"),
    ],
    ids=" ".join,
)
def test_every_view_of_it_says_simulated(attested, question):
    words = [word.format(enclave=enclave_of(attested / "provider")) for word in question]
    answer = bocc(*words, "--home", attested)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "SIMULATED" in answer.stdout
    if question[1] != "logs":
        assert '"is_simulated": true' in bocc(*words, "--home", attested, "--json").stdout


def test_killed_provider_is_noticed_and_goes_on_with_the_same_enclave(attested):
    before = shown(attested)["enclave"]
    assert "provider" in told("testnet", "kill", "provider", "--home", attested)["done"]
    ended = bocc("testnet", "status", "--home", attested)
    assert ended.returncode == 1
    assert "provider stopped" in ended.stdout
    assert "provider" in told("testnet", "restart", "provider", "--home", attested)["done"]
    await_providers(attested)
    assert shown(attested)["enclave"] == before
    assert len(told("query", "enclaves", "--home", attested)["enclaves"]) == 2


def test_overdue_document_is_renewed_by_the_provider_and_the_level_held_meanwhile(attested, tmp_path):
    """Given a list that ended while all providers were down, when one is back, then it renews the list and nothing else."""
    net = LiveNetwork(Network(attested))
    enclave = {"id": enclave_of(attested / "provider")}

    def look():
        answer = net.call("node0", "enclave", **enclave)
        return {name: answer[name] for name in ("state", "reason", "level", "is_usable", "attested_ms")}

    before = look()
    for name in ("provider", "provider2"):
        told("testnet", "kill", name, "--home", attested)
    (issued_ms,) = (
        one["issued_ms"]
        for one in told("collateral", "list", "--home", attested)["collaterals"]
        if one["kind"] == "intel_pck_crl"
    )
    ends_s = int(time.time()) + 4
    ending = replace(pck_crl_template(issued_ms // 1_000 + 1), next_update_s=ends_s)
    document = write_folder(tmp_path / "documents", 0, pck_crl=ending) / PCK_CRL_FILE
    assert told("collateral", "put", document, "--from", "alice", "--home", attested)[0]["result"] == "stored"
    until(lambda: look()["state"] == "grace", look)
    assert look() == {**before, "state": "grace", "reason": "collateral_overdue"}

    told("testnet", "restart", "provider", "--home", attested)
    until(lambda: look()["state"] == "trusted", look)
    assert look() == before
    renewed = net.call("node0", "events", topics=["collateral_updated"])["events"][4:]
    assert [(one["attributes"]["kind"], one["attributes"]["next_update_ms"] > ends_s * 1_000) for one in renewed] == [
        ("intel_pck_crl", False),
        ("intel_pck_crl", True),
    ]
    told("testnet", "restart", "provider2", "--home", attested)
    await_providers(attested)


ORDER = """\
[compute]
any = true
price_max = "0.01"
[[software]]
category = "simulated-tee"
[workload]
args_file = "args.json"
args_reference = 'data:,{"seconds":0}'
[terms]
end_by = "1h"
level_min = 1
"""


def test_an_order_is_served_and_its_output_opens_by_commands_alone(attested, tmp_path):
    """Given two machines with one image, when an order is created by command, then it is done and its output says SIMULATED."""
    enclaves = told("query", "enclaves", "--home", attested)["enclaves"]
    assert (len(enclaves), len({one["image"] for one in enclaves})) == (2, 1)
    (tmp_path / "order.toml").write_text(ORDER)
    (tmp_path / "args.json").write_text('{"seconds":0}')
    order = told("order", "create", tmp_path / "order.toml", "--from", "alice", "--home", attested)["order"]

    def look():
        return told("order", "show", order, "--home", attested)

    until(lambda: look()["state"] == "closed", look)
    assert look()["reason"] == "done"
    output = bocc("order", "output", order, "--key-file", tmp_path / "order.result.key", "--home", attested)
    assert output.returncode == 0, output.stderr
    assert "SIMULATED" in output.stdout


def test_a_second_machine_attests_by_one_command(attested):
    ended = bocc("provider", "attest", "--from", "alice", "--home", attested)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.count("SIMULATED") == 2
    assert told("provider", "status", "--operator", "alice", "--home", attested)["enclaves"][0]["is_simulated"]


def test_a_network_without_provider_starts_none(tmp_path):
    path = tmp_path / "net"
    try:
        record = told(
            "testnet", "up", "--home", path, "--validators", 1, "--ports", "auto", "--no-provider", "--detach"
        )
        assert record["providers"] == []
        assert len(json.loads(bocc("testnet", "status", "--home", path, "--json").stdout)) == 1
    finally:
        bocc("testnet", "down", "--home", path)


def test_proof_is_renewed_in_time(tmp_path):
    """Given proofs that live six seconds, when nobody does anything, then the enclave is never expired."""
    with live_network(
        tmp_path / "net",
        validators=1,
        change=lambda params: replace(params, attestation=replace(params.attestation, max_age_ms=6_000)),
        has_provider=True,
    ) as net:

        def ask():
            (state,) = net.network.provider_states()
            return state

        until(lambda: ask().is_ready, ask)
        first_ms = ask().expires_ms
        until(lambda: ask().expires_ms > first_ms + 6_000, ask)
        events = net.call("node0", "events", topics=["attested", "enclave_changed"])["events"]
    attested = [event["attributes"] for event in events if event["kind"] == "attested"]
    assert [one["is_renewal"] for one in attested] == [0] + [1] * (len(attested) - 1)
    assert {event["attributes"]["state"] for event in events if event["kind"] == "enclave_changed"} == {"trusted"}


def test_provider_process_tells_when_the_network_has_none(tmp_path):
    with live_network(tmp_path / "net", validators=1) as net:
        command = [sys.executable, "-m", "bocc.provider", "--home", str(net.home)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "has no provider" in ended.stderr
