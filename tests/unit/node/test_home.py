"""Laws of a node's home: made once, never overwritten, and no log of votes that forgets in silence."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from node import home as home_module
from node.config import CONFIG_NAME, GENESIS_NAME, NodeConfig, load_config
from node.errors import ConfigError
from node.home import (
    FAUCET_KEY,
    NODE_KEY,
    VALIDATOR_KEY,
    Home,
    create_chain,
    init_home,
    log_header,
    open_chain,
    open_log,
    repair_votes,
    reset_home,
)
from node.wal import FileLog, LogMismatch
from state.crypto import SigningKey
from state.errors import StorageFault
from state.genesis_file import format_genesis
from state.keyfile import KeyKind, describe_key, load_key, save_key
from tests.support.chain_builders import make_genesis

GENESIS = make_genesis(1)
GENESIS_TEXT = format_genesis(GENESIS)
SEED = b"v" * 32
HEADER = log_header(GENESIS.chain_id, SigningKey(SEED).public_key)
CONFIG = NodeConfig(archive=True, rpc_listen="127.0.0.1:0")


def make_home(root, seeds=None, **fields):
    return init_home(root, GENESIS_TEXT, CONFIG, {VALIDATOR_KEY: SEED} if seeds is None else seeds, **fields)


def files_in(root):
    """Return every file with its content."""
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def damage(path):
    """Change a byte before the last record of a log."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def append(home, *records):
    log = FileLog.open(home.votes, HEADER)
    for record in records:
        log.append(record)
        log.sync()
    log.close()


def test_home_has_everything_that_a_node_needs(tmp_path):
    home = make_home(tmp_path / "home", {VALIDATOR_KEY: SEED, NODE_KEY: b"n" * 32, FAUCET_KEY: b"f" * 32})
    assert home == Home(tmp_path / "home")
    assert load_config(home.root, {}, {}) == CONFIG
    assert home.load_genesis() == GENESIS
    kinds = {name: load_key(home.keys / name).kind for name in (VALIDATOR_KEY, NODE_KEY, FAUCET_KEY)}
    assert kinds == {VALIDATOR_KEY: KeyKind.VALIDATOR, NODE_KEY: KeyKind.NODE, FAUCET_KEY: KeyKind.ACCOUNT}
    assert home.load_seed(VALIDATOR_KEY, None) == SEED
    log = open_log(home, HEADER, is_resumed=False)
    assert log.records() == ()
    log.close()
    chain = open_chain(home, is_archive=True)
    assert (chain.chain_id, chain.tip.block.height) == (GENESIS.chain_id, 0)
    chain.close()


def test_keys_and_data_are_closed_to_others(tmp_path):
    home = make_home(tmp_path / "home")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home.keys, home.data, *home.keys.iterdir())}
    assert modes == {"keys": 0o700, "data": 0o700, VALIDATOR_KEY: 0o600, NODE_KEY: 0o600}


def test_node_key_is_made_if_none_is_given_and_another_one_in_each_home(tmp_path):
    seeds = [make_home(tmp_path / name, {}).load_seed(NODE_KEY, None) for name in ("one", "two")]
    assert None not in seeds
    assert seeds[0] != seeds[1]


def test_home_without_a_validator_key_is_that_of_a_node_that_only_follows(tmp_path):
    home = make_home(tmp_path, {})
    assert home.load_seed(VALIDATOR_KEY, None) is None
    log = open_log(home, log_header(GENESIS.chain_id, None), is_resumed=False)
    log.close()


def test_password_encrypts_the_validator_key_alone(tmp_path):
    home = make_home(tmp_path, password=b"word")
    assert describe_key(home.keys / VALIDATOR_KEY).is_encrypted
    assert not describe_key(home.keys / NODE_KEY).is_encrypted
    assert home.load_seed(VALIDATOR_KEY, b"word") == SEED
    with pytest.raises(ConfigError, match="wrong_password"):
        home.load_seed(VALIDATOR_KEY, b"other")


def test_home_is_made_once(tmp_path):
    make_home(tmp_path)
    before = files_in(tmp_path)
    with pytest.raises(ConfigError) as caught:
        make_home(tmp_path, {VALIDATOR_KEY: b"w" * 32})
    assert str(caught.value) == f"{tmp_path} holds a node already; nothing was changed"
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("left", [CONFIG_NAME, f"keys/{NODE_KEY}", f"keys/{VALIDATOR_KEY}"])
def test_whatever_is_left_of_a_home_is_not_overwritten(tmp_path, left):
    (tmp_path / "keys").mkdir()
    (tmp_path / left).write_text("something")
    with pytest.raises(ConfigError, match="nothing was changed"):
        make_home(tmp_path)
    assert files_in(tmp_path) == {(tmp_path / left).relative_to(tmp_path): b"something"}


def test_data_of_an_earlier_node_is_not_overwritten(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(ConfigError, match="nothing was changed"):
        make_home(tmp_path)
    assert files_in(tmp_path) == {}


@pytest.mark.parametrize("step", ["save_key", "create_chain", "render_config"])
def test_interrupted_initialisation_can_be_repeated(tmp_path, monkeypatch, step):
    def interrupted(*_args, **_fields):
        raise KeyboardInterrupt

    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / FAUCET_KEY).write_text("of somebody else")
    with monkeypatch.context() as patched:
        patched.setattr(home_module, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            make_home(tmp_path, {VALIDATOR_KEY: b"w" * 32})
    with pytest.raises(ConfigError, match="does not exist"):
        load_config(tmp_path, environment={})
    home = make_home(tmp_path)
    assert home.load_seed(VALIDATOR_KEY, None) == SEED
    FileLog.open(home.votes, HEADER).close()
    assert (tmp_path / "keys" / FAUCET_KEY).read_text() == "of somebody else"
    assert not home.unfinished.exists()


def test_mark_of_an_initialisation_does_not_open_a_complete_home(tmp_path):
    home = make_home(tmp_path)
    home.unfinished.write_text(VALIDATOR_KEY)
    before = files_in(tmp_path)
    with pytest.raises(ConfigError, match="nothing was changed"):
        make_home(tmp_path)
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("failing", ["exists", "open"])
def test_key_file_that_may_not_be_read_is_told(tmp_path, monkeypatch, failing):
    home = make_home(tmp_path)

    def denied(*_args, **_fields):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(*((Path, "exists", denied) if failing == "exists" else (os, "open", denied)))
    with pytest.raises(ConfigError, match="Permission denied"):
        home.load_seed(VALIDATOR_KEY, None)


def test_genesis_that_is_not_sound_makes_no_home(tmp_path):
    with pytest.raises(ConfigError, match="the genesis is not usable"):
        init_home(tmp_path / "home", b"{}", CONFIG, {})
    assert not (tmp_path / "home").exists()


def test_missing_genesis_is_told_with_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError) as caught:
        Home(tmp_path).load_genesis()
    expected = f"{tmp_path / GENESIS_NAME} does not exist; `bocc node init --home {tmp_path}` makes a home"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"\xff", GENESIS_TEXT[:-20]], ids=["empty", "no genesis", "no text", "torn"]
)
def test_damaged_genesis_is_refused(tmp_path, text):
    (tmp_path / GENESIS_NAME).write_bytes(text)
    with pytest.raises(ConfigError, match=f"{GENESIS_NAME} is not usable"):
        Home(tmp_path).load_genesis()


def test_missing_key_is_none_and_a_link_to_nowhere_is_not(tmp_path):
    home = make_home(tmp_path)
    assert home.load_seed(FAUCET_KEY, None) is None
    (home.keys / FAUCET_KEY).symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="not_regular"):
        home.load_seed(FAUCET_KEY, None)


@pytest.mark.parametrize("name", [NODE_KEY, FAUCET_KEY])
def test_validator_key_serves_as_no_other_key(tmp_path, name):
    """Given the vote key under another name, then nothing is signed with it there, as no guard would see it."""
    home = make_home(tmp_path)
    (home.keys / name).unlink(missing_ok=True)
    save_key(home.keys / name, SEED, KeyKind.VALIDATOR, None)
    with pytest.raises(ConfigError, match="holds a key of kind validator; it takes one of kind"):
        home.load_seed(name, None)


def test_log_of_a_home_is_for_its_chain_and_its_key():
    other = make_genesis(1, salt=b"s" * 32).chain_id
    headers = {
        log_header(GENESIS.chain_id, None),
        log_header(GENESIS.chain_id, SigningKey(SEED).public_key),
        log_header(GENESIS.chain_id, SigningKey(b"w" * 32).public_key),
        log_header(other, None),
    }
    assert len(headers) == 4


def test_log_of_another_key_is_refused(tmp_path):
    home = make_home(tmp_path)
    with pytest.raises(LogMismatch):
        open_log(home, log_header(GENESIS.chain_id, SigningKey(b"w" * 32).public_key), is_resumed=True)


def test_missing_log_is_refused_with_what_to_do(tmp_path):
    home = make_home(tmp_path)
    home.votes.unlink()
    with pytest.raises(StorageFault) as caught:
        open_log(home, HEADER, is_resumed=False)
    assert str(caught.value) == (
        f"{home.votes} is gone: this validator may have signed what it no longer knows. Set resume_after to an epoch "
        "and view that it surely never passed, well above the newest that any other node shows"
    )
    assert not home.votes.exists()


def test_missing_log_is_begun_anew_where_the_operator_said_from_where_to_resume(tmp_path):
    home = make_home(tmp_path)
    home.votes.unlink()
    log = open_log(home, HEADER, is_resumed=True)
    assert log.records() == ()
    log.close()


def test_log_begun_anew_is_refused_until_a_floor_is_in_it(tmp_path):
    """Given a node that was stopped while it observed, when resume_after is empty at the next start, then it does not sign."""
    home = make_home(tmp_path)
    home.votes.unlink()
    open_log(home, HEADER, is_resumed=True).close()
    with pytest.raises(StorageFault, match="was repaired or begun anew, and votes may be lost"):
        open_log(home, HEADER, is_resumed=False)
    open_log(home, HEADER, is_resumed=True).close()
    home.repaired.unlink()
    open_log(home, HEADER, is_resumed=False).close()


def test_log_that_is_there_is_opened_with_its_records_though_the_operator_said_from_where_to_resume(tmp_path):
    home = make_home(tmp_path)
    append(home, b"vote")
    log = open_log(home, HEADER, is_resumed=True)
    assert log.records() == (b"vote",)
    log.close()
    assert not home.repaired.exists()


def test_repaired_log_is_refused_until_a_floor_is_in_it(tmp_path):
    home = make_home(tmp_path)
    append(home, b"first" * 20, b"second" * 20, b"third" * 20)
    damage(home.votes)
    with pytest.raises(StorageFault, match="repair-log"):
        open_log(home, HEADER, is_resumed=False)
    report = repair_votes(home, HEADER)
    assert (report.kept_records < 3, report.dropped_bytes > 0) == (True, True)
    with pytest.raises(StorageFault, match="votes may be lost"):
        open_log(home, HEADER, is_resumed=False)
    log = open_log(home, HEADER, is_resumed=True)
    assert len(log.records()) == report.kept_records
    log.close()


def test_second_repair_of_a_log_that_is_whole_now_does_not_clear_the_first(tmp_path):
    home = make_home(tmp_path)
    append(home, b"first" * 20, b"second" * 20, b"third" * 20)
    damage(home.votes)
    repair_votes(home, HEADER)
    assert repair_votes(home, HEADER).damaged_copy is None
    with pytest.raises(StorageFault, match="votes may be lost"):
        open_log(home, HEADER, is_resumed=False)


def test_repair_of_a_whole_log_changes_nothing(tmp_path):
    home = make_home(tmp_path)
    append(home, b"vote")
    report = repair_votes(home, HEADER)
    assert (report.kept_records, report.dropped_bytes, report.damaged_copy) == (1, 0, None)
    log = open_log(home, HEADER, is_resumed=False)
    assert log.records() == (b"vote",)
    log.close()


def test_disk_that_fails_is_a_fault_of_storage(tmp_path):
    home = make_home(tmp_path)
    home.votes.unlink()
    home.repaired.with_name(home.repaired.name + ".new").mkdir()
    with pytest.raises(StorageFault, match=r"votes\.repaired"):
        open_log(home, HEADER, is_resumed=True)


def test_database_is_never_made_by_accident(tmp_path):
    with pytest.raises(StorageFault, match="there is no database"):
        open_chain(Home(tmp_path), is_archive=False)


def test_database_is_never_made_over_another(tmp_path):
    home = make_home(tmp_path)
    with pytest.raises(StorageFault, match="exists already"):
        create_chain(home, GENESIS, is_archive=False)


def test_reset_drops_the_database_and_keeps_keys_votes_and_settings(tmp_path):
    home = make_home(tmp_path)
    append(home, b"vote")
    home.table.write_bytes(b"table")
    kept = [home.votes, *sorted(home.keys.iterdir()), home.root / CONFIG_NAME, home.root / GENESIS_NAME]
    before = [path.read_bytes() for path in kept]
    marker = home.database / "marker"
    marker.write_bytes(b"old")
    reset_home(home, is_archive=False)
    assert [path.read_bytes() for path in kept] == before
    assert not marker.exists()
    chain = open_chain(home, is_archive=False)
    assert chain.tip.block.height == 0
    chain.close()
    log = open_log(home, HEADER, is_resumed=False)
    assert log.records() == (b"vote",)
    log.close()


def test_reset_makes_a_database_where_none_is(tmp_path):
    home = make_home(tmp_path)
    reset_home(home, is_archive=False)
    for path in home.database.iterdir():
        path.unlink()
    home.database.rmdir()
    reset_home(home, is_archive=False)
    open_chain(home, is_archive=False).close()


def test_home_of_a_running_node_is_not_reset(tmp_path):
    home = make_home(tmp_path)
    chain = open_chain(home, is_archive=True)
    with pytest.raises(ConfigError, match=r"is in use by process \d+; stop that node first"):
        reset_home(home, is_archive=True)
    assert chain.tip.block.height == 0
    chain.close()
    open_chain(home, is_archive=True).close()


def test_home_without_a_genesis_is_not_reset(tmp_path):
    home = make_home(tmp_path)
    (home.root / GENESIS_NAME).unlink()
    with pytest.raises(ConfigError, match="does not exist"):
        reset_home(home, is_archive=True)
    open_chain(home, is_archive=True).close()
