"""A home with its files open: keys, log and database, checked to belong together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from msgspec import Struct

from consensus.core import Consensus
from consensus.participant import Identity
from consensus.records import LogRecord, VoteRecord, signing_floor
from consensus.signing import Sign, VoteSigner
from node.config import NodeConfig
from node.errors import ConfigError, SignerFault
from node.home import FAUCET_KEY, NODE_KEY, VALIDATOR_KEY, Home, log_header, open_chain, open_log
from node.signer import FileSigner
from node.timing import timing_of
from node.wal import FileLog
from state.certificates import Verify
from state.chain import Chain
from state.genesis import Genesis
from state.keyfile import describe_key


class OpenedHome(Struct, frozen=True):
    """What a running node has taken hold of."""

    home: Home
    config: NodeConfig
    genesis: Genesis
    chain: Chain
    log: FileLog
    signer: FileSigner | None
    """None for a node that only follows."""
    node_seed: bytes
    faucet_seed: bytes | None

    @property
    def sign(self) -> Sign | None:
        """The contact with the validator key; None for a node that only follows."""
        return None if self.signer is None else self.signer.sign

    @property
    def public_key(self) -> bytes | None:
        """The validator key's public half."""
        return None if self.signer is None else self.signer.public_key

    @property
    def resume_after(self) -> tuple[int, int] | None:
        """Epoch and view at or below which nothing may be signed (W6); None if the network has to be asked."""
        setting = self.config.resume_after
        if setting == "observe" and self.signer is not None:
            return None
        epoch, _, view = (setting if "," in setting else "0,0").partition(",")
        return int(epoch), int(view)

    def close(self) -> None:
        """Close database, log and key."""
        self.chain.close()
        self.log.close()
        if self.signer is not None:
            self.signer.close()


def open_home(home: Home, config: NodeConfig, password: bytes | None) -> OpenedHome:
    """Open keys, log and database of a home.

    Raises:
        ConfigError: something in the home is missing or does not fit.
        SignerFault: the validator key may not be used.
        StorageFault: the disk or the database fails, or another process uses the home.
    """
    with ExitStack() as taken:
        opened = _take_home(home, config, password, taken)
        taken.pop_all()
    return opened


def _take_home(home: Home, config: NodeConfig, password: bytes | None, taken: ExitStack) -> OpenedHome:
    """Open one after another, and leave what to close if a later one fails."""
    # Who runs has its configuration: no later `init` may take keys and votes for what an interrupted one left.
    home.unfinished.unlink(missing_ok=True)
    genesis = home.load_genesis()
    key_path = home.keys / VALIDATOR_KEY
    signer = FileSigner.open(key_path, password) if key_path.exists() or key_path.is_symlink() else None
    if signer is not None:
        taken.callback(signer.close)
        if not genesis.development and not describe_key(key_path).is_encrypted:
            raise SignerFault(
                f"{key_path} holds the key in clear, which only a development chain allows; make an encrypted one"
            )
    node_seed = home.load_seed(NODE_KEY, None)
    if node_seed is None:
        raise ConfigError(f"{home.keys / NODE_KEY} is missing; `bocc node init` makes a node key")
    faucet_seed = home.load_seed(FAUCET_KEY, None)
    if faucet_seed is not None and not genesis.development:
        raise ConfigError(f"{home.keys / FAUCET_KEY}: a faucet exists on development chains only")
    header = log_header(genesis.chain_id, None if signer is None else signer.public_key)
    # Who has no key has no votes to lose.
    log = open_log(home, header, is_resumed=signer is None or bool(config.resume_after))
    taken.callback(log.close)
    chain = open_chain(home, is_archive=config.archive)
    taken.callback(chain.close)
    if chain.chain_id != genesis.chain_id:
        raise ConfigError(
            f"{home.database} is of chain {chain.chain_id.hex()}, the genesis of {genesis.chain_id.hex()}"
        )
    return OpenedHome(home, config, genesis, chain, log, signer, node_seed, faucet_seed)


def build_consensus(
    opened: OpenedHome, records: Sequence[LogRecord], floor: tuple[int, int], sign: Sign | None, verify: Verify
) -> Consensus:
    """Return consensus as tip and log left it; nothing is signed at or below the floor or without sign."""
    chain = opened.chain
    votes = [record.vote for record in records if isinstance(record, VoteRecord)]
    signer = VoteSigner(chain.chain_id, sign, votes, max(floor, signing_floor(records)))
    identity = Identity(chain.chain_id, opened.public_key)
    return Consensus(identity, timing_of(chain.params().consensus), signer, verify, chain.tip, records)
