"""Laws of a network's files: each chain is its own, nothing of others is touched, a half-written network does not stay."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import msgspec
import pytest

from bocc.errors import InputReason, InputRejected
from bocc.testnet import layout as layout_module
from bocc.testnet.layout import Layout, prepare_network, write_network
from bocc.testnet.network import Network
from bocc.testnet.record import load_record, save_record
from bocc.wallet import Keyring, development_key
from node.home import Home
from state.genesis_file import parse_genesis
from state.keyfile import KeyKind

SMALL = Layout(validators=2, takes_any_port=True)
PROVIDING = Layout(validators=1, takes_any_port=True, provider_count=1)
FRESH = Layout(validators=1, takes_any_port=True, is_fresh=True, provider_count=1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "net"


def files(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}


def test_networks_share_keys_but_no_chain(tmp_path):
    first, second = (write_network(Network(tmp_path / name), SMALL) for name in ("a", "b"))
    assert first.chain_id != second.chain_id
    assert [account.address for account in first.accounts] == [account.address for account in second.accounts]


def test_nodes_know_each_other_and_nobody_else(home):
    record = write_network(Network(home), SMALL)
    for node, other in (record.nodes, record.nodes[::-1]):
        config = tomllib.loads((Path(node.home) / "config.toml").read_text())
        assert config["persistent_peers"] == [f"{other.node_id}@{other.p2p}"]
        assert f"http://{config['rpc_listen']}" == node.rpc


def test_every_node_has_the_genesis_and_its_own_keys(home):
    record = write_network(Network(home), SMALL)
    genesis = [parse_genesis((Path(node.home) / "genesis.json").read_bytes()) for node in record.nodes]
    assert {one.chain_id.hex() for one in genesis} == {record.chain_id}
    keys = {Keyring(Path(node.home)).describe("validator").public_key for node in record.nodes}
    assert keys == {validator.consensus_key for validator in genesis[0].validators}
    assert keys == {development_key(KeyKind.VALIDATOR, index).public_key for index in range(2)}


def test_accounts_of_the_record_open_with_their_files(home):
    record = write_network(Network(home), SMALL)
    for account in record.accounts:
        assert Keyring(home).load(account.name).address == account.address


def test_second_writing_needs_to_be_wanted(home):
    before = write_network(Network(home), SMALL)
    with pytest.raises(InputRejected) as caught:
        write_network(Network(home), SMALL)
    assert caught.value.reason is InputReason.NETWORK_EXISTS
    after = write_network(Network(home), Layout(validators=1, takes_any_port=True, is_fresh=True))
    assert after.chain_id != before.chain_id
    assert not (home / "node1").exists()


def test_stopped_network_is_prepared_without_touching_its_chain(home):
    before = write_network(Network(home), SMALL)
    content = files(home)
    assert prepare_network(Network(home), Layout()) == before
    assert files(home) == content


def test_moved_ports_change_addresses_alone(home):
    before = write_network(Network(home), SMALL)
    after = prepare_network(Network(home), Layout(takes_any_port=True))
    assert (after.chain_id, len(after.nodes)) == (before.chain_id, 2)
    config = tomllib.loads((home / "node0/config.toml").read_text())
    assert f"http://{config['rpc_listen']}" == after.nodes[0].rpc


def test_other_number_of_nodes_is_refused(home):
    write_network(Network(home), SMALL)
    with pytest.raises(InputRejected) as caught:
        prepare_network(Network(home), Layout(validators=3))
    assert caught.value.reason is InputReason.BAD_VALIDATOR_COUNT


@pytest.mark.parametrize("name", ["keys/alice.json", "node1/config.toml"])
def test_files_of_somebody_else_are_never_touched(home, name):
    (home / name).parent.mkdir(parents=True)
    (home / name).write_bytes(b"mine")
    before = files(home)
    for is_fresh in (False, True):
        with pytest.raises(InputRejected) as caught:
            write_network(Network(home), Layout(validators=2, takes_any_port=True, is_fresh=is_fresh))
        assert caught.value.reason is InputReason.HOME_OCCUPIED
    assert files(home) == before


def test_interrupted_writing_leaves_nothing_and_can_be_repeated(home, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(layout_module, "save_record", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_network(Network(home), SMALL)
    assert files(home) == {}
    assert write_network(Network(home), SMALL) == load_record(home)


def test_copy_of_a_network_has_nothing_to_do_with_the_original(tmp_path):
    home, copy = tmp_path / "net", tmp_path / "copy"
    original = write_network(Network(home), SMALL)
    running = original.with_process(msgspec.structs.replace(original.nodes[0], pid=1, started_ticks=1))
    save_record(home, running)
    shutil.copytree(home, copy)
    before = files(home)
    record = prepare_network(Network(copy), Layout(takes_any_port=True))
    assert [node.home for node in record.nodes] == [str(copy / node.name) for node in record.nodes]
    assert [node.pid for node in record.nodes] == [None, None]
    assert {Path(account.secret_key_file).parent for account in record.accounts} == {copy / "keys"}
    assert load_record(copy) == record
    config = tomllib.loads((copy / "node0" / "config.toml").read_text())
    assert f"http://{config['rpc_listen']}" == record.nodes[0].rpc
    assert files(home) == before
    assert load_record(home) == running


def test_network_that_is_named_through_a_link_keeps_its_processes(tmp_path):
    record = write_network(Network(tmp_path / "net"), SMALL)
    running = record.with_process(msgspec.structs.replace(record.nodes[0], pid=1, started_ticks=1))
    save_record(tmp_path / "net", running)
    (tmp_path / "link").symlink_to(tmp_path / "net")
    assert load_record(tmp_path / "link") == running


@pytest.mark.parametrize("name", ["../victim", "node", "node0/..", "node0\n", "victim"])
def test_record_whose_node_names_lead_elsewhere_is_refused(home, tmp_path, name):
    record = write_network(Network(home), SMALL)
    (tmp_path / "victim").mkdir()
    save_record(home, msgspec.structs.replace(record, nodes=(msgspec.structs.replace(record.nodes[0], name=name),)))
    with pytest.raises(InputRejected) as caught:
        write_network(Network(home), Layout(validators=2, takes_any_port=True, is_fresh=True))
    assert caught.value.reason is InputReason.NO_NETWORK
    assert (tmp_path / "victim").is_dir()


def test_each_node_has_what_a_node_needs(home):
    record = write_network(Network(home), SMALL)
    for node in record.nodes:
        assert Home(Path(node.home)).votes.exists()
        assert Home(Path(node.home)).database.is_dir()


def test_network_has_a_provider_only_if_it_is_wanted(home):
    assert write_network(Network(home), SMALL).providers == ()
    record = write_network(Network(home), FRESH)
    (provider,) = record.providers
    assert provider.home == str(home / "provider")
    assert Keyring(home).load("provider").address == provider.address


def test_provider_is_added_to_a_network_that_goes_on_and_never_taken_away(home):
    write_network(Network(home), SMALL)
    added = prepare_network(Network(home), Layout(takes_any_port=True, provider_count=1))
    assert [one.name for one in added.providers] == ["provider"]
    assert prepare_network(Network(home), Layout(takes_any_port=True)).providers == added.providers
    more = prepare_network(Network(home), Layout(takes_any_port=True, provider_count=3))
    assert more.providers[:1] == added.providers
    assert [one.name for one in more.providers] == ["provider", "provider2", "provider3"]
    assert [Keyring(home).load(one.name).address for one in more.providers] == [one.address for one in more.providers]
    assert load_record(home).providers == more.providers


def test_provider_never_takes_the_place_of_something_else(home):
    write_network(Network(home), SMALL)
    (home / "provider").mkdir()
    (home / "provider" / "thesis.txt").write_text("mine")
    before = files(home)
    for work in (
        lambda: prepare_network(Network(home), Layout(takes_any_port=True, provider_count=1)),
        lambda: write_network(Network(home), FRESH),
    ):
        with pytest.raises(InputRejected) as caught:
            work()
        assert caught.value.reason is InputReason.HOME_OCCUPIED
    assert (home / "provider" / "thesis.txt").read_text() == "mine"
    assert before["provider/thesis.txt"] == b"mine"


def test_fresh_network_forgets_what_the_provider_of_the_old_one_kept(home):
    record = write_network(Network(home), PROVIDING)
    Path(record.providers[0].home).mkdir()
    (home / "provider" / "published.json").write_text("{}")
    write_network(Network(home), FRESH)
    assert not (home / "provider").exists()


def test_copy_of_a_network_does_not_own_the_originals_provider(tmp_path):
    home, copy = tmp_path / "net", tmp_path / "copy"
    original = write_network(Network(home), PROVIDING)
    running = original.with_process(msgspec.structs.replace(original.providers[0], pid=1, started_ticks=1))
    save_record(home, running)
    shutil.copytree(home, copy)
    (provider,) = load_record(copy).providers
    assert (provider.home, provider.pid, provider.started_ticks) == (str(copy / "provider"), None, None)
    assert load_record(home) == running
