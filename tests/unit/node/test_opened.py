"""Laws of taking hold of a home: everything belongs together, one process has it, and a failure leaves nothing locked."""

from __future__ import annotations

import os

import pytest
from msgspec.structs import replace

from consensus.records import FloorRecord, VoteRecord
from node.config import CONFIG_NAME, GENESIS_NAME, NodeConfig
from node.errors import ConfigError, SignerFault
from node.home import FAUCET_KEY, NODE_KEY, VALIDATOR_KEY, init_home
from node.opened import build_consensus, open_home
from node.timing import timing_of
from node.wal import LogMismatch
from state.address import account_address
from state.crypto import SigningKey, verify
from state.errors import StorageFault
from state.genesis_file import format_genesis
from state.keyfile import KeyKind, save_key
from state.votes import VoteKind
from tests.support.chain_builders import make_genesis, make_vote

GENESIS = make_genesis(1)
OTHER = make_genesis(1, salt=b"s" * 32)
SEED = b"v" * 32
NODE_SEED = b"n" * 32
FAUCET_SEED = b"f" * 32
CONFIG = NodeConfig()
SEEDS = {VALIDATOR_KEY: SEED, NODE_KEY: NODE_SEED}


def make_home(root, seeds=SEEDS, genesis=GENESIS, password=None):
    return init_home(root, format_genesis(genesis), CONFIG, seeds, password)


def opened_once(home, config=CONFIG, password=None):
    """Open and close a home, and return what it was."""
    opened = open_home(home, config, password)
    opened.close()
    return opened


def test_opened_home_holds_keys_log_and_chain(tmp_path):
    home = make_home(tmp_path, SEEDS | {FAUCET_KEY: FAUCET_SEED})
    opened = open_home(home, CONFIG, None)
    assert (opened.home, opened.config, opened.genesis) == (home, CONFIG, GENESIS)
    assert (opened.node_seed, opened.faucet_seed) == (NODE_SEED, FAUCET_SEED)
    assert opened.public_key == SigningKey(SEED).public_key
    assert opened.sign is not None
    assert verify(opened.public_key, opened.sign(b"message"), b"message")
    assert (opened.chain.chain_id, opened.log.records()) == (GENESIS.chain_id, ())
    opened.close()


def test_home_without_a_validator_key_only_follows(tmp_path):
    opened = opened_once(make_home(tmp_path, {}))
    assert (opened.signer, opened.sign, opened.public_key, opened.faucet_seed) == (None, None, None, None)


def test_encrypted_key_needs_its_password(tmp_path):
    home = make_home(tmp_path, password=b"word")
    with pytest.raises(SignerFault, match="password_needed"):
        open_home(home, CONFIG, None)
    assert opened_once(home, password=b"word").public_key == SigningKey(SEED).public_key


@pytest.mark.parametrize(
    ("setting", "position"),
    [("", (0, 0)), ("3,70", (3, 70)), ("0,0", (0, 0)), (f"{10**17},7", (10**17, 7)), ("observe", None)],
)
def test_validator_resumes_after_what_the_operator_says(tmp_path, setting, position):
    config = replace(CONFIG, resume_after=setting)
    assert opened_once(make_home(tmp_path), config).resume_after == position


def test_node_that_only_follows_has_nothing_to_observe(tmp_path):
    config = replace(CONFIG, resume_after="observe")
    assert opened_once(make_home(tmp_path, {}), config).resume_after == (0, 0)


@pytest.mark.parametrize("setting", ["3,70", "observe"])
def test_lost_log_is_begun_anew_only_where_the_operator_says_from_where_to_resume(tmp_path, setting):
    home = make_home(tmp_path)
    home.votes.unlink()
    with pytest.raises(StorageFault, match="is gone: this validator may have signed what it no longer knows"):
        open_home(home, CONFIG, None)
    opened = opened_once(home, replace(CONFIG, resume_after=setting))
    assert opened.log.records() == ()
    with pytest.raises(StorageFault, match="begun anew, and votes may be lost"):
        open_home(home, CONFIG, None)


def test_node_that_only_follows_has_no_votes_to_lose(tmp_path):
    home = make_home(tmp_path, {})
    home.votes.unlink()
    opened_once(home)
    opened_once(home)


def test_missing_node_key_is_told(tmp_path):
    home = make_home(tmp_path)
    (home.keys / NODE_KEY).unlink()
    with pytest.raises(ConfigError) as caught:
        open_home(home, CONFIG, None)
    assert str(caught.value) == f"{home.keys / NODE_KEY} is missing; `bocc node init` makes a node key"


def test_log_of_another_key_is_refused(tmp_path):
    """Given a validator key that was put in another's place, then the votes in the log do not count for it."""
    home = make_home(tmp_path)
    (home.keys / VALIDATOR_KEY).unlink()
    save_key(home.keys / VALIDATOR_KEY, b"w" * 32, KeyKind.VALIDATOR, None)
    with pytest.raises(LogMismatch):
        open_home(home, CONFIG, None)


def test_log_of_a_validator_does_not_serve_a_node_that_only_follows(tmp_path):
    home = make_home(tmp_path)
    (home.keys / VALIDATOR_KEY).unlink()
    with pytest.raises(LogMismatch):
        open_home(home, CONFIG, None)


def test_log_of_another_chain_is_refused(tmp_path):
    home = make_home(tmp_path)
    (home.root / GENESIS_NAME).write_bytes(format_genesis(OTHER))
    with pytest.raises(LogMismatch):
        open_home(home, CONFIG, None)


def test_database_of_another_chain_is_refused(tmp_path):
    home = make_home(tmp_path / "home")
    other = make_home(tmp_path / "other", genesis=OTHER)
    home.database.rename(tmp_path / "aside")
    other.database.rename(home.database)
    with pytest.raises(ConfigError) as caught:
        open_home(home, CONFIG, None)
    expected = f"{home.database} is of chain {OTHER.chain_id.hex()}, the genesis of {GENESIS.chain_id.hex()}"
    assert str(caught.value) == expected


def public_genesis():
    """Return a genesis that is no development chain's, with keys that are not public."""
    validator = replace(
        GENESIS.validators[0],
        operator=account_address(SigningKey(b"o" * 32).public_key),
        consensus_key=SigningKey(SEED).public_key,
    )
    return replace(GENESIS, development=False, simulated_roots=(), accounts=(), validators=(validator,))


def test_key_in_clear_signs_on_development_chains_only(tmp_path):
    home = make_home(tmp_path, genesis=public_genesis())
    with pytest.raises(SignerFault, match="holds the key in clear, which only a development chain allows"):
        open_home(home, CONFIG, None)


def test_faucet_exists_on_development_chains_only(tmp_path):
    home = make_home(tmp_path, {NODE_KEY: NODE_SEED, FAUCET_KEY: FAUCET_SEED}, genesis=public_genesis())
    with pytest.raises(ConfigError, match="a faucet exists on development chains only"):
        open_home(home, CONFIG, None)


def test_home_serves_one_node_at_a_time(tmp_path):
    home = make_home(tmp_path)
    opened = open_home(home, CONFIG, None)
    with pytest.raises(
        SignerFault, match=f"is in use by process {os.getpid()}: a validator that runs twice is punished"
    ):
        open_home(home, CONFIG, None)
    opened.close()
    opened_once(home)


def test_home_of_a_follower_serves_one_node_at_a_time(tmp_path):
    home = make_home(tmp_path, {})
    opened = open_home(home, CONFIG, None)
    with pytest.raises(StorageFault, match=f"is in use by process {os.getpid()}"):
        open_home(home, CONFIG, None)
    opened.close()


def lose_node_key(home):
    (home.keys / NODE_KEY).rename(home.root / "aside")
    return lambda: (home.root / "aside").rename(home.keys / NODE_KEY)


def lose_log(home):
    home.votes.rename(home.root / "aside")
    return lambda: (home.root / "aside").rename(home.votes)


def lose_database(home):
    home.database.rename(home.root / "aside")
    return lambda: (home.root / "aside").rename(home.database)


@pytest.mark.parametrize("lose", [lose_node_key, lose_log, lose_database])
def test_home_that_did_not_open_is_not_locked_and_opens_once_it_is_mended(tmp_path, lose):
    home = make_home(tmp_path)
    mend = lose(home)
    for _ in range(2):
        with pytest.raises((ConfigError, StorageFault)) as caught:
            open_home(home, CONFIG, None)
        assert "in use" not in str(caught.value)
    mend()
    opened_once(home)


def test_consensus_takes_up_votes_and_signs_nothing_at_or_below_the_higher_of_two_floors(tmp_path):
    opened = open_home(make_home(tmp_path), CONFIG, None)
    earlier = make_vote(GENESIS.chain_id, SigningKey(SEED), VoteKind.NOTARIZE, 0, 9, block=1)
    records = [FloorRecord(epoch=0, view=5), VoteRecord(vote=earlier)]
    for floor, lowest in (((0, 3), 6), ((0, 7), 8)):
        signer = build_consensus(opened, records, floor, opened.sign, verify).node.signer
        assert signer.find_vote(0, 9, VoteKind.NOTARIZE) == earlier
        assert signer.sign(VoteKind.NULLIFY, 0, lowest - 1, b"", b"", 0) is None
        assert signer.sign(VoteKind.NULLIFY, 0, lowest, b"", b"", 0) is not None
        assert signer.sign(VoteKind.NOTARIZE, 0, 9, b"B" * 32, b"", 0) is None
    opened.close()


def test_consensus_without_the_key_signs_nothing(tmp_path):
    opened = open_home(make_home(tmp_path), CONFIG, None)
    signer = build_consensus(opened, [], (0, 0), None, verify).node.signer
    assert signer.sign(VoteKind.NULLIFY, 0, 1, b"", b"", 0) is None
    opened.close()


def test_home_that_a_node_has_opened_is_never_cleared_by_an_initialisation(tmp_path):
    """Given power lost just before an initialisation was through, when a node ran, then a second one deletes nothing."""
    home = make_home(tmp_path)
    home.unfinished.write_text(f"{NODE_KEY}\n{VALIDATOR_KEY}")
    opened_once(home)
    (home.root / CONFIG_NAME).unlink()
    with pytest.raises(ConfigError, match="nothing was changed"):
        make_home(tmp_path)
    assert home.load_seed(VALIDATOR_KEY, None) == SEED
    assert home.votes.exists()


def test_times_are_those_of_the_chain():
    params = GENESIS.params.consensus
    timing = timing_of(params)
    seen = (timing.timeout_min_ms, timing.timeout_first_ms, timing.timeout_max_ms)
    assert seen == (params.timer_min_ms, params.timer_first_ms, params.timer_max_ms)
    assert (timing.precision_ms, timing.message_delay_ms) == (params.precision_ms, params.message_delay_ms)
    assert timing.min_block_interval_ms == params.min_block_interval_ms
