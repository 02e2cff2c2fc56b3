"""A node's home directory: configuration, genesis, keys, the log of votes and the database.

    config.toml  genesis.json  keys/validator.json  keys/node.json  data/votes.log  data/state/  data/state.table

A home without a validator key is that of a node that only follows. keys/faucet.json, on development chains alone, holds the account
from which the RPC method `faucet` pays.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from msgspec import Struct

from node.config import CONFIG_NAME, GENESIS_NAME, NodeConfig, render_config
from node.errors import ConfigError
from node.wal import FileLog, RepairReport, repair_log
from state.chain import Chain
from state.chain_commit import ARCHIVE, PRUNED
from state.crypto import SigningKey
from state.durable import FileLock, LockHeld, replace_file, storage_fault
from state.errors import Rejected, StorageFault
from state.genesis import Genesis
from state.genesis_file import parse_genesis
from state.keyfile import KeyFileRejected, KeyKind, load_key, save_key
from state.leveldb import LevelDBStore

VALIDATOR_KEY: Final = "validator.json"
NODE_KEY: Final = "node.json"
FAUCET_KEY: Final = "faucet.json"
KINDS: Final = {VALIDATOR_KEY: KeyKind.VALIDATOR, NODE_KEY: KeyKind.NODE, FAUCET_KEY: KeyKind.ACCOUNT}
"""What each key file holds. A vote key that served as another one would sign what no guard sees."""


class Home(Struct, frozen=True):
    """The files of one node."""

    root: Path

    @property
    def keys(self) -> Path:
        """Directory of the key files."""
        return self.root / "keys"

    @property
    def data(self) -> Path:
        """Directory of everything that the node writes."""
        return self.root / "data"

    @property
    def database(self) -> Path:
        """Directory of the LevelDB database."""
        return self.data / "state"

    @property
    def table(self) -> Path:
        """Dump of the tree, which speeds up a start."""
        return self.data / "state.table"

    @property
    def votes(self) -> Path:
        """Log of the own votes."""
        return self.data / "votes.log"

    @property
    def repaired(self) -> Path:
        """Mark that votes may have been lost, in a repair or with the log; it goes when a floor is in the log."""
        return self.data / "votes.repaired"

    @property
    def unfinished(self) -> Path:
        """Names of the key files of an initialisation that is not complete, from before its first file until after its last."""
        return self.root / "unfinished"

    def load_genesis(self) -> Genesis:
        """Read and check the genesis.

        Raises:
            ConfigError: it is missing or not sound.
        """
        path = self.root / GENESIS_NAME
        try:
            return parse_genesis(path.read_bytes())
        except FileNotFoundError as error:
            raise ConfigError(f"{path} does not exist; `bocc node init --home {self.root}` makes a home") from error
        except (OSError, Rejected) as error:
            raise ConfigError(f"{path} is not usable: {error}") from error

    def load_seed(self, name: str, password: bytes | None) -> bytes | None:
        """Read a key's seed, or return None if there is no such key file.

        Raises:
            ConfigError: the file may not be used, or holds another kind of key; the text says why.
        """
        path = self.keys / name
        try:
            if not path.exists() and not path.is_symlink():
                return None
            key_file = load_key(path, password)
        except (KeyFileRejected, OSError) as error:
            raise ConfigError(f"{path}: {error}") from error
        if key_file.kind is not KINDS[name]:
            raise ConfigError(f"{path} holds a key of kind {key_file.kind}; it takes one of kind {KINDS[name]}")
        return key_file.seed


def init_home(
    root: Path,
    genesis_text: bytes,
    config: NodeConfig,
    seeds: dict[str, bytes],
    password: bytes | None = None,
) -> Home:
    """Make a home: seeds are those of `validator.json`, `node.json` and `faucet.json`; a missing node key is made.

    What an interrupted call left is deleted first. No node has run on it, because the configuration comes last.

    Raises:
        ConfigError: something is there already, or the genesis is not sound.
    """
    home = Home(root)
    keys = {NODE_KEY: os.urandom(32), **seeds}
    _clear_unfinished(home)
    if any(path.exists() for path in (root / CONFIG_NAME, home.data, *(home.keys / name for name in keys))):
        raise ConfigError(f"{root} holds a node already; nothing was changed")
    try:
        genesis = parse_genesis(genesis_text)
    except Rejected as error:
        raise ConfigError(f"the genesis is not usable: {error}") from error
    home.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace_file(home.unfinished, ["\n".join(keys).encode()])
    home.data.mkdir(mode=0o700)
    for name, seed in keys.items():
        save_key(home.keys / name, seed, KINDS[name], password if name == VALIDATOR_KEY else None)
    replace_file(root / GENESIS_NAME, [genesis_text], mode=0o644)
    validator_seed = seeds.get(VALIDATOR_KEY)
    public_key = None if validator_seed is None else SigningKey(validator_seed).public_key
    FileLog.create(home.votes, log_header(genesis.chain_id, public_key)).close()
    create_chain(home, genesis, is_archive=config.archive).close()
    replace_file(root / CONFIG_NAME, [render_config(config).encode()], mode=0o644)
    home.unfinished.unlink()
    return home


def _clear_unfinished(home: Home) -> None:
    """Delete what an initialisation wrote that ended before its configuration, and nothing that was there before it."""
    if not home.unfinished.exists() or (home.root / CONFIG_NAME).exists():
        return
    for name in home.unfinished.read_text(encoding="utf-8").splitlines():
        if name in KINDS:
            (home.keys / name).unlink(missing_ok=True)
    if home.data.exists():
        shutil.rmtree(home.data)
    home.unfinished.unlink()


def log_header(chain_id: bytes, public_key: bytes | None) -> bytes:
    """Return the first record of the log: chain and validator key for which it was made, so that no other uses it (W7)."""
    return chain_id + (public_key or b"")


def create_chain(home: Home, genesis: Genesis, *, is_archive: bool) -> Chain:
    """Make the database with the genesis state."""
    store = LevelDBStore.create(home.database)
    return Chain.create(store, genesis, retention=ARCHIVE if is_archive else PRUNED, table_path=home.table)


def open_chain(home: Home, *, is_archive: bool) -> Chain:
    """Open the database; it is never made by accident.

    Raises:
        StorageFault: it is missing, damaged or in use.
    """
    store = LevelDBStore.open(home.database)
    return Chain.open(store, retention=ARCHIVE if is_archive else PRUNED, table_path=home.table)


def open_log(home: Home, header: bytes, *, is_resumed: bool) -> FileLog:
    """Open the log of votes; a new one is begun only if the operator said after which view to resume (W6).

    Until that is in the new log, the node does not start without it: it may be stopped while it observes.

    Raises:
        StorageFault: it is missing, damaged, of another key, or in use.
    """
    if home.votes.exists() and (is_resumed or not home.repaired.exists()):
        return FileLog.open(home.votes, header)
    if not is_resumed:
        if home.repaired.exists():
            raise StorageFault(
                f"{home.votes} was repaired or begun anew, and votes may be lost. Set resume_after to observe, or to an epoch "
                "and view that this validator surely never passed"
            )
        raise StorageFault(
            f"{home.votes} is gone: this validator may have signed what it no longer knows. Set resume_after to an epoch "
            "and view that it surely never passed, well above the newest that any other node shows"
        )
    _mark_lost(home)
    return FileLog.create(home.votes, header)


def _mark_lost(home: Home) -> None:
    try:
        replace_file(home.repaired, [b"votes may be lost\n"])
    except OSError as error:
        raise storage_fault(f"writing {home.repaired}", error) from error


def repair_votes(home: Home, header: bytes) -> RepairReport:
    """Make a damaged log readable again; until a floor is set the node does not start with it.

    Raises:
        StorageFault: the log is missing, of another key, or in use, or the disk fails.
    """
    was_marked = home.repaired.exists()
    _mark_lost(home)
    report = repair_log(home.votes, header)
    if report.damaged_copy is None and not was_marked:
        home.repaired.unlink()
    return report


def reset_home(home: Home, *, is_archive: bool) -> None:
    """Drop the database and begin again at genesis; keys and votes stay, blocks come from peers.

    Raises:
        ConfigError: the node runs.
    """
    genesis = home.load_genesis()
    if home.database.exists():
        try:
            lock = FileLock(home.database.with_name(home.database.name + ".lock"))
        except LockHeld as error:
            raise ConfigError(f"{home.root} is in use by {error.process}; stop that node first") from error
        shutil.rmtree(home.database)
        lock.release()
    home.table.unlink(missing_ok=True)
    create_chain(home, genesis, is_archive=is_archive).close()
