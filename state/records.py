"""The records of the state: accounts, validators and what belongs to them, and the chain's own books.

Each table owns one prefix byte; the raw state key of a record is that byte and its id. A record is never changed in place: a
handler writes a new one. What several validators or delegators share is kept as shares of a pool, so that a slash or a reward
touches one record however many own a part of it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from state.codec import Address, Amount, Hash, Height, PublicKey, TimeMs, UInt, Wire
from state.ledger import Table
from state.messages import AUTH_KEYS_MAX, GUARDIANS_MAX, AuthKey
from state.params import Params
from state.validators import VALIDATORS_MAX, Validators

UNUSED_RANGES_MAX: Final = 64
"""Ranges of skipped nonces that an account remembers; the lowest is forgotten first and counts as used."""
ROSTER_MAX: Final = 512
"""Validators that may be chosen for the set. A newcomer to a full roster must outbid the weakest one outside the set."""
DELEGATIONS_MAX: Final = 64
"""Validators that one account may delegate to at a time."""
UNBONDINGS_MAX: Final = 32
"""Unbonding entries that one account may wait for at a time."""
REWARD_SCALE: Final = 10**18
"""Accumulators of rewards count in 1/REWARD_SCALE ubocc per share or per unit of power."""
POWER_UNIT: Final = 10**6
"""ubocc of stake that make one unit of voting power: 1 BOCC."""

Accumulator = Annotated[bytes, Meta(min_length=16, max_length=16)]
"""Unsigned integer of 128 bits, big-endian. 10^33 is all money ever paid to one share, so 10^5 times that fits."""

NO_REWARDS: Final = bytes(16)
"""An accumulator at its beginning."""

NonceRange = tuple[UInt, UInt]
"""First and last of a range of nonces that were skipped."""


class Account(Wire, frozen=True):
    """Money and used nonces of an account. It is never deleted, because its nonces must stay used."""

    balance: Amount
    next_nonce: UInt
    """One above the highest nonce used; 0 if none was."""
    unused_nonces: Annotated[tuple[NonceRange, ...], Meta(max_length=UNUSED_RANGES_MAX)]
    """Ascending ranges below next_nonce whose nonces may still be used, once."""
    has_auth: bool
    """Whether an Auth record replaces the address' own key."""


NEW_ACCOUNT: Final = Account(balance=0, next_nonce=0, unused_nonces=(), has_auth=False)


class Auth(Wire, frozen=True):
    """Who may act for an account that its own key alone does not control."""

    keys: Annotated[tuple[AuthKey, ...], Meta(min_length=1, max_length=AUTH_KEYS_MAX)]
    """Sorted by public key, distinct."""
    threshold: Annotated[int, Meta(ge=1, le=16_000_000)]
    guardians: Annotated[tuple[Address, ...], Meta(max_length=GUARDIANS_MAX)]
    """Sorted, distinct."""
    guardian_quorum: Annotated[int, Meta(ge=0, le=GUARDIANS_MAX)]


class PendingAuth(Wire, frozen=True):
    """A change of keys that waits for its delay."""

    auth: Auth
    due_ms: TimeMs


class ValidatorStatus(IntEnum):
    """Where a validator stands."""

    CANDIDATE = 1
    """May be chosen at the next change of the set."""
    ACTIVE = 2
    """A member of the set."""
    JAILED = 3
    """Missed too many views; its operator may return it after jailed_until_ms."""
    UNBONDING = 4
    """Its operator's own stake fell below the minimum, or a full roster dropped it; more own stake returns it."""
    TOMBSTONED = 5
    """Convicted of equivocation, for ever."""


class ValidatorRecord(Wire, frozen=True):
    """A validator, under its operator's address. Own and delegated stake are delegations alike."""

    consensus_key: PublicKey
    status: ValidatorStatus
    stake: Amount
    """ubocc bonded by all delegators, the operator among them."""
    shares: UInt
    """Shares of that stake; equal to it until a slash."""
    unbonding: Amount
    """ubocc held for unbonding entries that a slash still reaches."""
    unbonding_shares: UInt
    """Sum of the shares of those entries; equal to `unbonding` until a slash."""
    power: UInt
    """In the present set; 0 outside."""
    power_paid: Accumulator
    """The chain's reward_per_power up to which this validator's rewards have been passed on to its shares."""
    reward_per_share: Accumulator
    """Rewards of one share since the beginning."""
    reward_carry: UInt
    """Rewards in 1/REWARD_SCALE ubocc that the last division by shares left over, below the shares."""
    jailed_until_ms: TimeMs


class Delegation(Wire, frozen=True):
    """Shares of one delegator in one validator; id: validator's address, delegator's address."""

    shares: UInt
    reward_paid: Accumulator
    """The validator's reward_per_share up to which `rewards` counts."""
    rewards: Amount
    """ubocc earned and not yet claimed."""


class Unbonding(Wire, frozen=True):
    """Money on its way back to its owner; id: number of the entry, 8 bytes."""

    owner: Address
    validator: Annotated[bytes, Meta(max_length=21)]
    """Whose stake it was; no bytes for a provider's bond."""
    amount: Amount
    """ubocc, or shares of the validator's `unbonding` if it can still be slashed."""
    is_slashable: bool
    due_ms: TimeMs


class Holdings(Wire, frozen=True):
    """What an account has bonded, by reference; id: its address."""

    provider_bond: Amount
    """ubocc, free of claims."""
    provider_locked: Amount
    """ubocc that stand for orders in progress."""
    delegations: Annotated[tuple[Address, ...], Meta(max_length=DELEGATIONS_MAX)]
    """Validators delegated to, in the order of the first delegation."""
    unbondings: Annotated[tuple[UInt, ...], Meta(max_length=UNBONDINGS_MAX)]
    """Numbers of unbonding entries, ascending."""


NEW_HOLDINGS: Final = Holdings(provider_bond=0, provider_locked=0, delegations=(), unbondings=())


class Downtime(Wire, frozen=True):
    """Views that a validator led and missed in its present window; id: its address."""

    led: UInt
    missed: UInt


class ConsensusKeyOwner(Wire, frozen=True):
    """The validator that registered a consensus key; id: the key. A key has one owner for ever."""

    validator: Address


class EpochEnd(Wire, frozen=True):
    """When an epoch ended; id: its number, 8 bytes. Kept for the evidence window."""

    ended_ms: TimeMs


class RecentBlock(Wire, frozen=True):
    """Hash and time of a block within the challenge window; id: its height, 8 bytes."""

    block_hash: Hash
    time_ms: TimeMs


class ChainIdentity(Wire, frozen=True):
    """What never changes."""

    chain_id: Hash
    is_development: bool


class ChainState(Wire, frozen=True):
    """The books that every block moves on."""

    height: Height
    """Of the last block executed; 0 at genesis."""
    time_ms: TimeMs
    epoch: UInt
    """Of the next block."""
    recent_first: Height
    """Height of the oldest recent block on record; above `height` if there is none."""
    set_changed_ms: TimeMs
    """Block time of the last change of the validator set."""
    is_set_stale: bool
    """Whether stake or standing of a validator changed since the set was chosen."""
    reward_per_power: Accumulator
    """Fees paid to one unit of power since the beginning."""
    reward_carry: UInt
    """Fees in 1/REWARD_SCALE ubocc that the last division by total power left over, below the total power."""
    next_unbonding: UInt
    """Number of the next unbonding entry."""


class Money(Wire, frozen=True):
    """Where all money is. The sum of everything but `issued` equals `issued` after every block."""

    balances: Amount
    bonded: Amount
    unbonding: Amount
    provider_bonds: Amount
    fee_pool: Amount
    """Fees and rewards that nobody has claimed yet; fractions lost in rounding stay here."""
    storage_bonds: Amount
    """Of resources, endorsements and orders, for their bytes in the state."""
    escrows: Amount
    """Of orders that are not closed."""
    deposits: Amount
    """Of proposals that are not decided."""
    treasury: Amount
    burned: Amount
    issued: Amount


class CurrentSet(Wire, frozen=True):
    """The validator set of the next block."""

    members: Validators


class Roster(Wire, frozen=True):
    """Validators among which the set is chosen, and those in jail that may return. Sorted, distinct."""

    addresses: Annotated[tuple[Address, ...], Meta(max_length=ROSTER_MAX)]


ONLY: Final = b""
"""Id of the single record of a table."""

CHAIN_IDENTITY: Final = Table(0x01, ChainIdentity, 64)
PARAMS: Final = Table(0x02, Params, 4_096)
CHAIN_STATE: Final = Table(0x03, ChainState, 256)
MONEY: Final = Table(0x04, Money, 128)
CURRENT_SET: Final = Table(0x05, CurrentSet, VALIDATORS_MAX * 80)
ROSTER: Final = Table(0x06, Roster, ROSTER_MAX * 24 + 16)
RECENT_BLOCKS: Final = Table(0x07, RecentBlock, 64)
EPOCH_ENDS: Final = Table(0x08, EpochEnd, 16)
ACCOUNTS: Final = Table(0x10, Account, 2_048)
AUTHS: Final = Table(0x11, Auth, 2_048)
PENDING_AUTHS: Final = Table(0x12, PendingAuth, 2_048)
HOLDINGS: Final = Table(0x13, Holdings, 4_096)
VALIDATORS: Final = Table(0x20, ValidatorRecord, 256)
CONSENSUS_KEYS: Final = Table(0x21, ConsensusKeyOwner, 32)
DELEGATIONS: Final = Table(0x22, Delegation, 64)
UNBONDINGS: Final = Table(0x23, Unbonding, 128)
DOWNTIMES: Final = Table(0x24, Downtime, 32)


def number_key(number: int) -> bytes:
    """Return the id of a record that a number names, 8 bytes."""
    return number.to_bytes(8, "big")
