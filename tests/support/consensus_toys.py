"""Small stand-ins for everything around the consensus core: keys, execution, storage, the log.

- Stand-in signatures cost a hash each; real Ed25519 is one argument away.
- The toy chain gives every block a result that depends on its parent's result and on the block, and changes the validator set by
  envelopes that say so. What is final is durable; executed blocks above it are not.
- The log keeps groups of records as the real one does: a crash keeps or loses what was appended since the last sync as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from typing import NamedTuple

from consensus.records import BlockRecord, LogRecord, VoteRecord, record_position
from state.block import Block, BlockReference, EpochStart, Header, Tip, genesis_block_hash, hash_header
from state.certificates import Certificate, Verify
from state.crypto import SigningKey
from state.crypto import verify as verify_ed25519
from state.transactions import hash_envelope
from state.validators import Validator, ValidatorSet

CHAIN_ID = sha256(b"toy chain").digest()
GENESIS_TIME_MS = 1_700_000_000_000
INVALID = b"invalid"
"""An envelope that begins like this makes its block invalid."""
SET = b"set"
"""An envelope that begins like this sets a validator's power; see `set_power`."""


class ToyKey(NamedTuple):
    """A key pair of either kind of signature."""

    public_key: bytes
    sign: partial[bytes]


def _stand_in_signature(public_key: bytes, message: bytes) -> bytes:
    return sha256(public_key + message).digest() * 2


def verify_stand_in(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Verify a stand-in signature, which anybody could forge: only for networks in which nobody tries."""
    return signature == sha256(public_key + message).digest() * 2


def stand_in_key(name: str) -> ToyKey:
    """Return the stand-in key of a name."""
    public_key = sha256(name.encode()).digest()
    return ToyKey(public_key, partial(_stand_in_signature, public_key))


def ed25519_key(name: str) -> ToyKey:
    """Return a real key made from a name."""
    key = SigningKey(sha256(name.encode()).digest())
    return ToyKey(key.public_key, partial(SigningKey.sign, key))


def key_of(name: str, is_real: bool) -> ToyKey:
    """Return the key of a name, of the wanted kind."""
    return ed25519_key(name) if is_real else stand_in_key(name)


def verifier(is_real: bool) -> Verify:
    """Return the verifier for the wanted kind of keys."""
    return verify_ed25519 if is_real else verify_stand_in


def toy_address(index: int) -> bytes:
    """Return the address of the validator with this number; addresses are in the order of the numbers."""
    return bytes([1, index]) + bytes(19)


def toy_set(powers: Sequence[int], is_real: bool = False) -> ValidatorSet:
    """Return a validator set v0, v1, ... with these powers; those of power 0 are left out."""
    return ValidatorSet(
        tuple(
            Validator(address=toy_address(index), public_key=key_of(f"v{index}", is_real).public_key, power=power)
            for index, power in enumerate(powers)
            if power
        )
    )


def genesis_tip(validators: ValidatorSet) -> Tip:
    """Return the tip of a chain that has nothing but its genesis."""
    root = BlockReference(
        block_hash=genesis_block_hash(CHAIN_ID),
        height=0,
        time_ms=GENESIS_TIME_MS,
        result=sha256(b"genesis result").digest(),
    )
    return Tip(
        epoch_start=EpochStart(epoch=0, root=root, validators=validators.members), view=0, block=root, certificate=None
    )


def set_power(index: int, power: int, salt: str = "", is_real: bool = False) -> bytes:
    """Return an envelope that gives validator v<index> this power, or removes it with power 0."""
    public_key = key_of(f"v{index}", is_real).public_key
    return SET + toy_address(index) + public_key + power.to_bytes(8, "big") + salt.encode()


def apply_envelopes(validators: ValidatorSet, envelopes: Sequence[bytes]) -> ValidatorSet:
    """Return the set after these envelopes; one that would leave nobody changes nothing."""
    members = {member.address: member for member in validators.members}
    for envelope in envelopes:
        if not envelope.startswith(SET):
            continue
        address, public_key = envelope[3:24], envelope[24:56]
        power = int.from_bytes(envelope[56:64], "big")
        if power:
            members[address] = Validator(address=address, public_key=public_key, power=power)
        elif len(members) > 1:
            members.pop(address, None)
    changed = tuple(members[address] for address in sorted(members))
    return validators if changed == validators.members else ValidatorSet(changed)


class Executed(NamedTuple):
    """A block after execution."""

    reference: BlockReference
    next_validators: ValidatorSet


class ToyChain:
    """What one node has of the chain: final blocks, which survive crashes, and executed ones above, which do not."""

    def __init__(self, tip: Tip) -> None:
        """Start at genesis."""
        self.tip = tip
        self.final: list[BlockReference] = [tip.block]
        self.blocks: dict[bytes, Block] = {}
        self.epoch_ends: dict[int, Certificate] = {}
        self.executed: dict[bytes, Executed] = {}
        self.twist = b""
        """A faulty machine: this goes into every result that it computes."""

    def parent_of(self, header: Header) -> Executed | None:
        """Return the executed parent of a header."""
        if header.parent_hash == self.tip.block.block_hash:
            return Executed(self.tip.block, ValidatorSet(self.tip.epoch_start.validators))
        return self.executed.get(header.parent_hash)

    def execute(self, block: Block) -> Executed:
        """Execute a block whose parent is executed."""
        block_hash = hash_header(block.header)
        known = self.executed.get(block_hash)
        if known is not None:
            return known
        parent = self.parent_of(block.header)
        assert parent is not None, "the core executes children after their parents"
        validators = apply_envelopes(parent.next_validators, block.envelopes)
        result = sha256(parent.reference.result + block_hash + validators.set_hash + self.twist).digest()
        reference = BlockReference(
            block_hash=block_hash, height=block.header.height, time_ms=block.header.time_ms, result=result
        )
        self.executed[block_hash] = Executed(reference, validators)
        return self.executed[block_hash]

    def finalize(self, blocks: Sequence[Block], certificate: Certificate) -> None:
        """Make executed blocks final, oldest first, in one step with the tip (W4)."""
        for block in blocks:
            block_hash = hash_header(block.header)
            self.final.append(self.executed[block_hash].reference)
            self.blocks[block_hash] = block
        last = self.executed[certificate.block_hash]
        start = self.tip.epoch_start
        if last.next_validators.members == start.validators:
            self.tip = Tip(epoch_start=start, view=certificate.view, block=last.reference, certificate=certificate)
        else:
            self.epoch_ends[start.epoch] = certificate
            following = EpochStart(epoch=start.epoch + 1, root=last.reference, validators=last.next_validators.members)
            self.tip = Tip(epoch_start=following, view=0, block=last.reference, certificate=certificate)
        self.executed = {
            known: done for known, done in self.executed.items() if done.reference.height > last.reference.height
        }

    def copy_from(self, other: ToyChain) -> bool:
        """Block sync: take over the other's final chain if it is longer; tell whether it was."""
        if other.tip.block.height <= self.tip.block.height:
            return False
        self.tip = other.tip
        self.final = list(other.final)
        self.blocks = dict(other.blocks)
        self.epoch_ends = dict(other.epoch_ends)
        self.executed = {}
        return True

    def crash(self) -> None:
        """Lose what is not durable."""
        self.executed = {}


class ToyLog:
    """The write-ahead log: records up to the last sync survive a crash."""

    def __init__(self) -> None:
        """Start empty."""
        self.durable: list[LogRecord] = []
        self.group: list[LogRecord] = []

    def append(self, record: LogRecord) -> None:
        """Add a record to the current group."""
        self.group.append(record)

    def sync(self) -> None:
        """Make the current group durable."""
        if self.group:
            self.durable += self.group
            self.group = []

    def drop_below(self, tip: Tip) -> None:
        """Forget records of views below the tip's (W4)."""
        position = tip.epoch_start.epoch, tip.view
        self.durable = [record for record in self.durable if record_position(record) >= position]

    def crash(self, is_group_kept: bool = False) -> None:
        """Lose the current group, or keep it whole: the crash came just after its last byte, a vote's, was written."""
        if is_group_kept and self.group and isinstance(self.group[-1], VoteRecord):
            self.sync()
        self.group = []

    def bodies(self) -> dict[bytes, Block]:
        """Return the blocks that the log holds."""
        return {
            hash_header(record.block.header): record.block for record in self.durable if isinstance(record, BlockRecord)
        }


def hashes_of(envelopes: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the names of envelopes, in their order."""
    return tuple(hash_envelope(envelope) for envelope in envelopes)
