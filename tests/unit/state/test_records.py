"""Records: every table holds its largest record, and an account's encoding is fixed."""

from __future__ import annotations

import pytest

from state.codec import INTEGER_MAX, Wire, encode
from state.deadlines import DEADLINES, WHEEL_NODES, WHEEL_QUEUES, Deadline, DeadlineKind, WheelNode, WheelQueue
from state.development_genesis import DEVELOPMENT_PARAMS
from state.ledger import Table
from state.messages import AuthKey
from state.params import WorkOverride
from state.records import (
    ACCOUNTS,
    AUTHS,
    CHAIN_IDENTITY,
    CHAIN_STATE,
    CONSENSUS_KEYS,
    CURRENT_SET,
    DELEGATIONS,
    DELEGATIONS_MAX,
    DOWNTIMES,
    EPOCH_ENDS,
    HOLDINGS,
    MONEY,
    NEW_ACCOUNT,
    PARAMS,
    PENDING_AUTHS,
    RECENT_BLOCKS,
    ROSTER,
    ROSTER_MAX,
    UNBONDINGS,
    UNBONDINGS_MAX,
    UNUSED_RANGES_MAX,
    VALIDATORS,
    Account,
    Auth,
    ChainIdentity,
    ChainState,
    ConsensusKeyOwner,
    CurrentSet,
    Delegation,
    Downtime,
    EpochEnd,
    Holdings,
    Money,
    PendingAuth,
    RecentBlock,
    Roster,
    Unbonding,
    ValidatorRecord,
    ValidatorStatus,
)
from state.validators import POWER_MAX, VALIDATORS_MAX, Validator

MAX = INTEGER_MAX
ADDRESS = b"\x00" + b"\xff" * 20
FULL = b"\xff" * 16
LARGEST_AUTH = Auth(
    keys=(AuthKey(public_key=bytes(32), weight=1_000_000, scopes=31),) * 16,
    threshold=16_000_000,
    guardians=(ADDRESS,) * 8,
    guardian_quorum=8,
)
LARGEST_PARAMS = type(DEVELOPMENT_PARAMS)(
    fees=type(DEVELOPMENT_PARAMS.fees)(
        base=10**12,
        per_byte=10**12,
        per_work=10**12,
        signature_work=10**6,
        work_overrides=(WorkOverride(message=255, work=10**9),) * 64,
    ),
    blocks=DEVELOPMENT_PARAMS.blocks,
    consensus=DEVELOPMENT_PARAMS.consensus,
    staking=DEVELOPMENT_PARAMS.staking,
    accounts=DEVELOPMENT_PARAMS.accounts,
    attestation=DEVELOPMENT_PARAMS.attestation,
    governance=DEVELOPMENT_PARAMS.governance,
    market=DEVELOPMENT_PARAMS.market,
)
LARGEST = [
    (CHAIN_IDENTITY, ChainIdentity(chain_id=bytes(32), is_development=True)),
    (PARAMS, LARGEST_PARAMS),
    (
        CHAIN_STATE,
        ChainState(
            height=MAX,
            time_ms=MAX,
            epoch=MAX,
            recent_first=MAX,
            set_changed_ms=MAX,
            is_set_stale=True,
            reward_per_power=FULL,
            reward_carry=MAX,
            next_unbonding=MAX,
        ),
    ),
    (
        MONEY,
        Money(
            balances=MAX,
            bonded=MAX,
            unbonding=MAX,
            provider_bonds=MAX,
            fee_pool=MAX,
            storage_bonds=MAX,
            escrows=MAX,
            deposits=MAX,
            treasury=MAX,
            burned=MAX,
            issued=MAX,
        ),
    ),
    (
        CURRENT_SET,
        CurrentSet(members=(Validator(address=ADDRESS, public_key=bytes(32), power=POWER_MAX),) * VALIDATORS_MAX),
    ),
    (ROSTER, Roster(addresses=(ADDRESS,) * ROSTER_MAX)),
    (RECENT_BLOCKS, RecentBlock(block_hash=bytes(32), time_ms=MAX)),
    (EPOCH_ENDS, EpochEnd(ended_ms=MAX)),
    (
        ACCOUNTS,
        Account(balance=MAX, next_nonce=MAX, unused_nonces=((MAX, MAX),) * UNUSED_RANGES_MAX, has_auth=True),
    ),
    (AUTHS, LARGEST_AUTH),
    (PENDING_AUTHS, PendingAuth(auth=LARGEST_AUTH, due_ms=MAX)),
    (
        HOLDINGS,
        Holdings(
            provider_bond=MAX,
            provider_locked=MAX,
            delegations=(ADDRESS,) * DELEGATIONS_MAX,
            unbondings=(MAX,) * UNBONDINGS_MAX,
        ),
    ),
    (
        VALIDATORS,
        ValidatorRecord(
            consensus_key=bytes(32),
            status=ValidatorStatus.TOMBSTONED,
            stake=MAX,
            shares=MAX,
            unbonding=MAX,
            unbonding_shares=MAX,
            power=MAX,
            power_paid=FULL,
            reward_per_share=FULL,
            reward_carry=MAX,
            jailed_until_ms=MAX,
        ),
    ),
    (CONSENSUS_KEYS, ConsensusKeyOwner(validator=ADDRESS)),
    (DELEGATIONS, Delegation(shares=MAX, reward_paid=FULL, rewards=MAX)),
    (UNBONDINGS, Unbonding(owner=ADDRESS, validator=ADDRESS, amount=MAX, is_slashable=True, due_ms=MAX)),
    (DOWNTIMES, Downtime(led=MAX, missed=MAX)),
    (WHEEL_NODES, WheelNode(bitmap=FULL + FULL)),
    (WHEEL_QUEUES, WheelQueue(first=MAX, end=MAX)),
    (DEADLINES, Deadline(kind=DeadlineKind.UNBONDING_DUE, subject=bytes(64), due_ms=MAX)),
]


@pytest.mark.parametrize(("table", "record"), LARGEST, ids=[type(record).__name__ for _, record in LARGEST])
def test_a_table_holds_its_largest_record(table: Table, record: Wire) -> None:
    assert table.codec.decode(table.codec.encode(record)) == record


def test_bytes_of_an_account_never_change() -> None:
    used = Account(balance=1_000_000, next_nonce=300, unused_nonces=((0, 2), (7, 7)), has_auth=True)
    assert encode(used).hex() == "94ce000f4240cd012c929200029207" + "07c3"
    assert encode(NEW_ACCOUNT).hex() == "94000090c2"


def test_raw_key_is_the_prefix_and_the_id() -> None:
    assert ACCOUNTS.raw_key(ADDRESS) == b"\x10" + ADDRESS
