"""The genesis: what a chain begins with, and the state before its first block.

The chain id is SHA-256 of a tag and the canonical bytes, so every value of a genesis separates its chain from all others; a
random salt keeps apart two local networks with the same accounts. The file for people is read and written by
state/genesis_file.py. A chain that is not marked as development refuses the keys whose private halves everybody knows.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Final

from msgspec import Meta
from msgspec.structs import replace

from state.address import AddressKind, format_address
from state.codec import Address, Amount, Codec, Hash, PublicKey, TimeMs, Wire, encode
from state.crypto import is_usable_key, tag, tagged_hash
from state.development import is_development_address, is_development_key
from state.errors import Rejected
from state.ledger import RecordType, Table
from state.params import Params, check_params
from state.records import (
    ACCOUNTS,
    CHAIN_IDENTITY,
    CHAIN_STATE,
    CONSENSUS_KEYS,
    CURRENT_SET,
    DELEGATIONS,
    HOLDINGS,
    MONEY,
    NEW_HOLDINGS,
    NO_REWARDS,
    ONLY,
    PARAMS,
    POWER_UNIT,
    ROSTER,
    ROSTER_MAX,
    VALIDATORS,
    Account,
    ChainIdentity,
    ChainState,
    ConsensusKeyOwner,
    CurrentSet,
    Delegation,
    Money,
    Roster,
    ValidatorRecord,
    ValidatorStatus,
)
from state.resource_records import RESOURCE_BOOKS, ResourceBooks
from state.runtime.prices import check_votes_payable, check_work_fits
from state.trust_messages import CERTIFICATE_BYTES_MAX
from state.trust_records import (
    APPRAISAL_RULES,
    BRAKES,
    COHORT_BOOKS,
    SIMULATED_ROOTS_MAX,
    TRUST_BOOKS,
    TRUSTED_ROOTS,
    AppraisalRules,
    Brakes,
    Cohorts,
    TrustBooks,
    TrustedRoots,
)
from state.validators import Validator, ValidatorSet
from tee.appraisal import DEFAULT_POLICY, LEVEL_GRACE
from tee.roots import read_simulated_roots

SUPPLY_MAX: Final = 10**15
"""ubocc: no chain issues more than 10^9 BOCC, so sums and products of money stay far from 2^63."""
TIME_MS_MAX: Final = 1 << 50
"""No chain begins later than in the year 37000, so sums of block times and durations stay far from 2^63."""
GENESIS_ACCOUNTS_MAX: Final = 50_000
GENESIS_BYTES_MAX: Final = 8 << 20

_CHAIN_TAG: Final = tag("chain")


class GenesisAccount(Wire, frozen=True):
    """An account that has money from the beginning."""

    address: Address
    balance: Amount


class GenesisValidator(Wire, frozen=True):
    """A validator of the first set."""

    operator: Address
    """Account that runs it; the validator's name."""
    consensus_key: PublicKey
    stake: Amount
    """ubocc bonded by the operator, beside the balance of its account."""


class Genesis(Wire, frozen=True):
    """What a chain begins with."""

    chain_name: Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[a-z0-9-]+\Z")]
    development: bool
    """Whether well-known keys, simulated machines and fault injection are allowed."""
    salt: Hash
    """Random, so that no two networks share signatures."""
    time_ms: TimeMs
    params: Params
    simulated_roots: Annotated[
        tuple[Annotated[bytes, Meta(min_length=1, max_length=CERTIFICATE_BYTES_MAX)], ...],
        Meta(max_length=SIMULATED_ROOTS_MAX),
    ]
    """Root certificates of simulated hardware, DER, each named as the vendor's root that it stands for; AMD's CAs below their
    ARKs too. Of development chains only, and for ever."""
    treasury: Amount
    """ubocc that governance may spend."""
    accounts: Annotated[tuple[GenesisAccount, ...], Meta(max_length=GENESIS_ACCOUNTS_MAX)]
    """Sorted by address, distinct."""
    validators: Annotated[tuple[GenesisValidator, ...], Meta(min_length=1, max_length=ROSTER_MAX)]
    """Sorted by operator, distinct."""

    @property
    def chain_id(self) -> bytes:
        """Digest of the canonical bytes, 32 bytes; signed with everything."""
        return hash_genesis(self)


GENESIS_CODEC: Final = Codec(Genesis, GENESIS_BYTES_MAX)


def hash_genesis(genesis: Genesis) -> bytes:
    """Return the chain id of a genesis, 32 bytes."""
    return tagged_hash(_CHAIN_TAG, encode(genesis))


class GenesisReason(StrEnum):
    """Why a genesis is refused."""

    BAD_FILE = "genesis_bad_file"
    """Not JSON, or a member is missing, unknown, of the wrong type or out of range; `seen` says where."""
    NOT_SORTED = "genesis_not_sorted"
    """Accounts or validators are not ascending by address and distinct."""
    NOT_AN_ACCOUNT = "genesis_not_an_account"
    """An address names something else than an account."""
    TIME_TOO_LATE = "genesis_time_too_late"
    """The time is so late that sums with it could exceed what a time can be."""
    UNUSABLE_KEY = "genesis_unusable_key"
    """No signature can verify under a validator's consensus key."""
    KEY_TWICE = "genesis_key_twice"
    """Two validators have one consensus key."""
    WRONG_VALIDATOR_COUNT = "genesis_wrong_validator_count"
    """Fewer or more validators than the parameters allow."""
    STAKE_TOO_LOW = "genesis_stake_too_low"
    """A validator's stake is below the minimum of the parameters."""
    SUPPLY_TOO_LARGE = "genesis_supply_too_large"
    """More money than a chain may issue."""
    SIMULATED_ROOT = "genesis_simulated_root"
    """A root of simulated hardware on a chain that is not marked as development, or one that no family could have."""
    DEVELOPMENT_KEY = "genesis_development_key"
    """A well-known key on a chain that is not marked as development."""


class GenesisRejected(Rejected):
    """A genesis that no chain may begin with."""


def check_genesis(genesis: Genesis) -> None:
    """Check that a genesis is sound.

    Raises:
        GenesisRejected: any reason but BAD_FILE.
        ParamsRejected: the parameters do not fit each other.
    """
    check_params(genesis.params)
    check_work_fits(genesis.params)
    check_votes_payable(genesis.params)
    if genesis.time_ms > TIME_MS_MAX:
        raise GenesisRejected(GenesisReason.TIME_TOO_LATE, genesis.time_ms, TIME_MS_MAX)
    operators = [validator.operator for validator in genesis.validators]
    _check_addresses([account.address for account in genesis.accounts])
    _check_addresses(operators)
    keys = [validator.consensus_key for validator in genesis.validators]
    if len(set(keys)) != len(keys):
        raise GenesisRejected(GenesisReason.KEY_TWICE)
    consensus, stake_min = genesis.params.consensus, genesis.params.staking.own_stake_min
    if not consensus.validators_min <= len(keys) <= consensus.validators_max:
        bound = f"{consensus.validators_min} to {consensus.validators_max}"
        raise GenesisRejected(GenesisReason.WRONG_VALIDATOR_COUNT, len(keys), bound)
    for validator in genesis.validators:
        if not is_usable_key(validator.consensus_key):
            raise GenesisRejected(GenesisReason.UNUSABLE_KEY, validator.consensus_key.hex())
        if validator.stake < stake_min:
            raise GenesisRejected(GenesisReason.STAKE_TOO_LOW, validator.stake, stake_min)
    issued = initial_money(genesis).issued
    if issued > SUPPLY_MAX:
        raise GenesisRejected(GenesisReason.SUPPLY_TOO_LARGE, issued, SUPPLY_MAX)
    if not genesis.development:
        _check_no_development_keys(genesis)
    _check_simulated_roots(genesis)


def _check_addresses(addresses: list[bytes]) -> None:
    for left, right in pairwise(addresses):
        if left >= right:
            raise GenesisRejected(GenesisReason.NOT_SORTED, format_address(right), f"above {format_address(left)}")
    for address in addresses:
        if address[0] != AddressKind.ACCOUNT:
            raise GenesisRejected(GenesisReason.NOT_AN_ACCOUNT, address.hex())


def _check_simulated_roots(genesis: Genesis) -> None:
    for der in genesis.simulated_roots:
        if not genesis.development:
            raise GenesisRejected(GenesisReason.SIMULATED_ROOT, hashlib.sha256(der).hexdigest())
    try:
        read_simulated_roots(genesis.simulated_roots)
    except ValueError as error:
        raise GenesisRejected(GenesisReason.SIMULATED_ROOT, str(error)) from error


def _check_no_development_keys(genesis: Genesis) -> None:
    addresses = [account.address for account in genesis.accounts]
    for address in (*addresses, *(validator.operator for validator in genesis.validators)):
        if is_development_address(address):
            raise GenesisRejected(GenesisReason.DEVELOPMENT_KEY, format_address(address))
    for validator in genesis.validators:
        if is_development_key(validator.consensus_key):
            raise GenesisRejected(GenesisReason.DEVELOPMENT_KEY, validator.consensus_key.hex())


def initial_money(genesis: Genesis) -> Money:
    """Return where the money of a genesis is; `issued` is its sum."""
    balances = sum(account.balance for account in genesis.accounts)
    bonded = sum(validator.stake for validator in genesis.validators)
    return Money(
        balances=balances,
        bonded=bonded,
        unbonding=0,
        provider_bonds=0,
        fee_pool=0,
        storage_bonds=0,
        escrows=0,
        deposits=0,
        treasury=genesis.treasury,
        burned=0,
        issued=balances + bonded + genesis.treasury,
    )


class _Records(dict[bytes, bytes]):
    """Encoded records by raw state key."""

    def put(self, table: Table[RecordType], key: bytes, record: RecordType) -> None:
        """Add a record."""
        self[table.raw_key(key)] = encode(record)


def genesis_state(genesis: Genesis) -> tuple[dict[bytes, bytes], ValidatorSet]:
    """Return the state before the first block, encoded by raw state key, and the first validator set.

    The genesis must have passed `check_genesis`.
    """
    records = _Records()
    records.put(CHAIN_IDENTITY, ONLY, ChainIdentity(chain_id=genesis.chain_id, is_development=genesis.development))
    records.put(PARAMS, ONLY, genesis.params)
    records.put(MONEY, ONLY, initial_money(genesis))
    records.put(CHAIN_STATE, ONLY, _chain_state(genesis))
    _put_trust(records, genesis)
    for account in genesis.accounts:
        record = Account(balance=account.balance, next_nonce=0, unused_nonces=(), has_auth=False)
        records.put(ACCOUNTS, account.address, record)
    for validator in genesis.validators:
        _put_validator(records, validator)
    members = tuple(
        Validator(address=validator.operator, public_key=validator.consensus_key, power=validator.stake // POWER_UNIT)
        for validator in genesis.validators
    )
    records.put(CURRENT_SET, ONLY, CurrentSet(members=members))
    records.put(ROSTER, ONLY, Roster(addresses=tuple(member.address for member in members)))
    return records, ValidatorSet(members)


def _put_trust(records: _Records, genesis: Genesis) -> None:
    """Trust begins with the vendors' own roots, the default policy, and neither collateral nor enclaves."""
    records.put(RESOURCE_BOOKS, ONLY, ResourceBooks(next_resource=0))
    records.put(TRUST_BOOKS, ONLY, TrustBooks(verification_root=genesis.chain_id, verifier_changes=()))
    records.put(TRUSTED_ROOTS, ONLY, TrustedRoots(simulated=genesis.simulated_roots, distrusted=()))
    records.put(APPRAISAL_RULES, ONLY, AppraisalRules(policy=DEFAULT_POLICY, standing_min=LEVEL_GRACE))
    records.put(BRAKES, ONLY, Brakes(brakes=()))
    records.put(COHORT_BOOKS, ONLY, Cohorts(ids=(), queue=(), again=()))


def _chain_state(genesis: Genesis) -> ChainState:
    return ChainState(
        height=0,
        time_ms=genesis.time_ms,
        epoch=0,
        recent_first=0,
        set_changed_ms=genesis.time_ms,
        is_set_stale=False,
        reward_per_power=NO_REWARDS,
        reward_carry=0,
        next_unbonding=0,
    )


def _put_validator(records: _Records, validator: GenesisValidator) -> None:
    record = ValidatorRecord(
        consensus_key=validator.consensus_key,
        status=ValidatorStatus.ACTIVE,
        stake=validator.stake,
        shares=validator.stake,
        unbonding=0,
        unbonding_shares=0,
        power=validator.stake // POWER_UNIT,
        power_paid=NO_REWARDS,
        reward_per_share=NO_REWARDS,
        reward_carry=0,
        jailed_until_ms=0,
    )
    operator = validator.operator
    records.put(VALIDATORS, operator, record)
    records.put(CONSENSUS_KEYS, validator.consensus_key, ConsensusKeyOwner(validator=operator))
    delegation = Delegation(shares=validator.stake, reward_paid=NO_REWARDS, rewards=0)
    records.put(DELEGATIONS, operator + operator, delegation)
    records.put(HOLDINGS, operator, replace(NEW_HOLDINGS, delegations=(operator,)))
