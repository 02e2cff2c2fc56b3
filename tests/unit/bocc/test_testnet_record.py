"""Laws of testnet.json, partitions and homes: everything is found by name, and what is not there is said."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bocc.errors import InputReason, InputRejected
from bocc.home import DEFAULT_URL, find_home, find_url
from bocc.testnet.admin import parse_partition
from bocc.testnet.record import (
    AccountRecord,
    NodeRecord,
    ProviderRecord,
    TestnetRecord,
    load_record,
    record_path,
    save_record,
)
from node.config import CONFIG_NAME, NodeConfig, render_config


def node(index: int, **changes: object) -> NodeRecord:
    plain = NodeRecord(
        name=f"node{index}",
        rpc=f"http://127.0.0.1:97{index}1",
        ws=f"ws://127.0.0.1:97{index}1/ws",
        metrics=f"http://127.0.0.1:97{index}2/metrics",
        p2p=f"127.0.0.1:97{index}0",
        node_id=f"{index:040x}",
        home=f"/nowhere/node{index}",
    )
    return msgspec.structs.replace(plain, **changes)


RECORD = TestnetRecord(
    chain_id="00" * 32,
    chain_name="bocc-local-1",
    nodes=tuple(node(index) for index in range(4)),
    accounts=(AccountRecord(name="alice", address="bocc1", secret_key_file="/nowhere/keys/alice.json"),),
)


def names(groups):
    return [[one.name for one in group] for group in groups]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BOCC_HOME", raising=False)
    monkeypatch.delenv("BOCC_NODE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "person"))


def test_record_comes_back_as_it_was_saved(tmp_path):
    nodes = tuple(node(index, home=str(tmp_path / f"node{index}"), pid=7, started_ticks=8) for index in range(4))
    record = msgspec.structs.replace(RECORD, nodes=nodes)
    save_record(tmp_path, record)
    assert load_record(tmp_path) == record


def test_absent_and_damaged_records_are_no_network(tmp_path):
    for content in (None, b"", b"{}", b"\xff"):
        if content is not None:
            record_path(tmp_path).write_bytes(content)
        with pytest.raises(InputRejected) as caught:
            load_record(tmp_path)
        assert caught.value.reason is InputReason.NO_NETWORK


@pytest.mark.parametrize("name", ["node2", "2"])
def test_node_is_found_by_name_or_number(name):
    assert RECORD.find_node(name) == node(2)


@pytest.mark.parametrize("name", ["node4", "9", "", "validator"])
def test_unknown_node_is_refused_with_those_that_exist(name):
    with pytest.raises(InputRejected) as caught:
        RECORD.find_node(name)
    assert (caught.value.reason, caught.value.bound) == (InputReason.UNKNOWN_NODE, "node0, node1, node2, node3")


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("0,1/2,3", [["node0", "node1"], ["node2", "node3"]]),
        ("node3", [["node3"], ["node0", "node1", "node2"]]),
        ("0/1/2,3", [["node0"], ["node1"], ["node2", "node3"]]),
        (" 0 , 1 / 2", [["node0", "node1"], ["node2"], ["node3"]]),
    ],
)
def test_partition_names_groups_and_the_rest_is_one_more(text, groups):
    assert names(parse_partition(text, RECORD)) == groups


@pytest.mark.parametrize(
    ("text", "reason"),
    [("0,1/1,2", InputReason.BAD_PARTITION), ("0,0", InputReason.BAD_PARTITION), ("0,/1", InputReason.UNKNOWN_NODE)],
)
def test_partition_that_makes_no_sense_is_refused(text, reason):
    with pytest.raises(InputRejected) as caught:
        parse_partition(text, RECORD)
    assert caught.value.reason is reason


def test_home_is_the_given_one_then_the_variable_then_the_network_then_the_persons(tmp_path, monkeypatch):
    person = tmp_path / "person" / ".bocc"
    assert find_home(None) == person
    (person / "testnet").mkdir(parents=True)
    save_record(person / "testnet", RECORD)
    assert find_home(None) == person / "testnet"
    monkeypatch.setenv("BOCC_HOME", "/variable")
    assert find_home(None) == Path("/variable")
    assert find_home(Path("/given")) == Path("/given")


def test_url_is_taken_as_it_is_and_names_come_from_the_network(tmp_path, monkeypatch):
    assert find_url(tmp_path, "https://node.example") == "https://node.example"
    assert find_url(tmp_path, None) == DEFAULT_URL
    save_record(tmp_path, RECORD)
    assert find_url(tmp_path, "node3") == node(3).rpc
    assert find_url(tmp_path, None) == node(0).rpc
    monkeypatch.setenv("BOCC_NODE", "node1")
    assert find_url(tmp_path, None) == node(1).rpc


def test_url_of_a_single_node_comes_from_its_configuration(tmp_path):
    (tmp_path / CONFIG_NAME).write_text(render_config(NodeConfig(rpc_listen="127.0.0.1:4711")))
    assert find_url(tmp_path, None) == "http://127.0.0.1:4711"


def test_name_without_a_network_is_refused(tmp_path):
    with pytest.raises(InputRejected) as caught:
        find_url(tmp_path, "node1")
    assert caught.value.reason is InputReason.UNKNOWN_NODE


def test_provider_is_found_by_its_name_beside_the_nodes():
    provider = ProviderRecord(address="bocc1", home="/nowhere/provider")
    second = ProviderRecord(name="provider2", address="bocc2", home="/nowhere/provider2")
    record = msgspec.structs.replace(RECORD, providers=(provider, second))
    assert record.find_process("provider") is provider
    assert record.find_process("provider2") is second
    assert record.find_process("2").name == "node2"
    assert record.with_process(msgspec.structs.replace(provider, pid=5)).providers == (
        msgspec.structs.replace(provider, pid=5),
        second,
    )
    with pytest.raises(InputRejected) as caught:
        RECORD.find_process("provider")
    assert caught.value.reason is InputReason.UNKNOWN_NODE
    with pytest.raises(InputRejected):
        record.find_node("provider")
