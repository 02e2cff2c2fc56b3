"""Bonds: stake, delegation, unbonding, provider bonds."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state import queries
from state.crypto import SigningKey
from state.messages import Bond, BondAction, BondPurpose, consensus_key_signing_bytes
from state.receipts import EventKind
from state.records import (
    CONSENSUS_KEYS,
    DELEGATIONS,
    DELEGATIONS_MAX,
    HOLDINGS,
    ONLY,
    ROSTER,
    UNBONDINGS,
    UNBONDINGS_MAX,
    VALIDATORS,
    ValidatorRecord,
    ValidatorStatus,
)
from state.runtime.reasons import TransactionReason
from state.runtime.staking import roster
from state.votes import VoteKind
from tests.support.chain_builders import (
    FEE,
    World,
    account,
    account_key,
    bond,
    delegate,
    make_genesis,
    make_report,
    make_vote,
    operator,
    operator_key,
    register,
    undelegate,
    validator_key,
    with_params,
)

BOCC = 10**6
STAKE = 10_000_000 * BOCC
MINIMUM = 10_000 * BOCC
ALICE, BOB = account(0), account(1)
ADD, REMOVE, CLAIM, UNJAIL = BondAction.ADD, BondAction.REMOVE, BondAction.CLAIM, BondAction.UNJAIL
VALIDATOR, DELEGATE, PROVIDER = BondPurpose.VALIDATOR, BondPurpose.DELEGATE, BondPurpose.PROVIDER


def reason_of(world: World, signer: SigningKey, *messages: Bond) -> str:
    (receipt,) = world.apply(world.sign(signer, *messages)).receipts
    return receipt.reason


def record(world: World, address: bytes) -> ValidatorRecord:
    return world.ledger.get(VALIDATORS, address)


def newcomer(world: World, index: int = 0, amount: int = MINIMUM, key: int = 9) -> Bond:
    """Return the registration of a development account as a validator."""
    return register(world.chain_id, account(index), validator_key(key), amount)


def test_a_newcomer_registers_its_key_and_joins_the_next_set() -> None:
    world = World()
    executed = world.apply(world.sign(account_key(0), newcomer(world)))
    assert executed.receipts[0].reason == ""
    assert world.ledger.get(CONSENSUS_KEYS, validator_key(9).public_key).validator == ALICE
    assert ALICE in world.ledger.get(ROSTER, ONLY).addresses
    assert record(world, ALICE).status is ValidatorStatus.ACTIVE
    member = executed.next_validators.members[executed.next_validators.find_index(ALICE)]
    assert (member.public_key, member.power) == (validator_key(9).public_key, 10_000)


def test_own_and_delegated_stake_are_one_pool() -> None:
    world = World()
    world.apply(
        world.sign(account_key(0), delegate(operator(0), 5)),
        world.sign(operator_key(0), bond(ADD, VALIDATOR, 7)),
    )
    assert (record(world, operator(0)).stake, record(world, operator(0)).shares) == (STAKE + 12, STAKE + 12)
    view = queries.find_validator(world.ledger, operator(0))
    assert view is not None
    assert view.own_stake == STAKE + 7


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        pytest.param(bond(ADD, VALIDATOR, 0), TransactionReason.ZERO_AMOUNT, id="nothing"),
        pytest.param(bond(REMOVE, DELEGATE, 0, operator(0)), TransactionReason.ZERO_AMOUNT, id="remove nothing"),
        pytest.param(bond(CLAIM, DELEGATE, 1, operator(0)), TransactionReason.UNEXPECTED_AMOUNT, id="claim some"),
        pytest.param(bond(ADD, VALIDATOR, 1, operator(0)), TransactionReason.UNEXPECTED_FIELD, id="names another"),
        pytest.param(bond(ADD, DELEGATE, 1), TransactionReason.UNEXPECTED_FIELD, id="names nobody"),
        pytest.param(bond(ADD, DELEGATE, 1, b"\x00\x01"), TransactionReason.UNEXPECTED_FIELD, id="short name"),
        pytest.param(
            bond(ADD, DELEGATE, 1, b"\x01" + operator(0)[1:]), TransactionReason.UNEXPECTED_FIELD, id="a resource"
        ),
        pytest.param(bond(ADD, PROVIDER, 1, b"\x01" * 5), TransactionReason.UNEXPECTED_FIELD, id="provider names one"),
        pytest.param(
            bond(ADD, PROVIDER, 1, b"", bytes(32), bytes(64)), TransactionReason.UNEXPECTED_FIELD, id="provider key"
        ),
        pytest.param(
            bond(ADD, VALIDATOR, MINIMUM, b"", bytes(32)), TransactionReason.UNEXPECTED_FIELD, id="key without proof"
        ),
        pytest.param(bond(ADD, VALIDATOR, MINIMUM), TransactionReason.UNEXPECTED_FIELD, id="no key"),
        pytest.param(
            bond(ADD, VALIDATOR, MINIMUM, b"", validator_key(9).public_key, bytes(64)),
            TransactionReason.BAD_PROOF,
            id="proof",
        ),
        pytest.param(
            bond(ADD, VALIDATOR, MINIMUM - 1, b"", validator_key(9).public_key, bytes(64)),
            TransactionReason.STAKE_TOO_LOW,
            id="too little stake",
        ),
        pytest.param(
            bond(ADD, VALIDATOR, MINIMUM, b"", validator_key(0).public_key, bytes(64)),
            TransactionReason.KEY_TAKEN,
            id="key of another",
        ),
        pytest.param(bond(ADD, DELEGATE, 1, BOB), TransactionReason.NO_VALIDATOR, id="no validator"),
        pytest.param(bond(REMOVE, DELEGATE, 1, BOB), TransactionReason.NO_VALIDATOR, id="remove from none"),
        pytest.param(bond(REMOVE, VALIDATOR, 1), TransactionReason.NO_VALIDATOR, id="not one oneself"),
        pytest.param(bond(REMOVE, DELEGATE, 1, operator(0)), TransactionReason.NOT_BONDED, id="not delegated"),
        pytest.param(bond(CLAIM, DELEGATE, 0, operator(0)), TransactionReason.NOT_BONDED, id="claim without"),
        pytest.param(bond(ADD, DELEGATE, 10**12, operator(0)), TransactionReason.BALANCE_TOO_LOW, id="too much"),
        pytest.param(bond(ADD, PROVIDER, 10**12), TransactionReason.BALANCE_TOO_LOW, id="too much security"),
        pytest.param(bond(REMOVE, PROVIDER, 1), TransactionReason.BOND_TOO_LOW, id="no security"),
        pytest.param(bond(CLAIM, PROVIDER), TransactionReason.WRONG_ACTION, id="claim of a provider"),
        pytest.param(bond(UNJAIL, DELEGATE, 0, operator(0)), TransactionReason.WRONG_ACTION, id="unjail another"),
        pytest.param(bond(UNJAIL, VALIDATOR), TransactionReason.NO_VALIDATOR, id="unjail nobody"),
    ],
)
def test_a_bond_that_cannot_be_is_refused_and_changes_nothing(message: Bond, reason: TransactionReason) -> None:
    world = World()
    before = world.scan()
    assert reason_of(world, account_key(0), message) == reason
    assert {**before, "balances": before["balances"] - 100_000} == world.scan()
    assert world.ledger.find(HOLDINGS, ALICE) is None


def test_a_proof_for_another_account_or_chain_is_worth_nothing() -> None:
    world = World()
    for message in (
        replace(newcomer(world), proof=newcomer(world, 1).proof),
        register(bytes(32), ALICE, validator_key(9), MINIMUM),
    ):
        assert reason_of(world, account_key(0), message) == TransactionReason.BAD_PROOF
    assert validator_key(9).sign(consensus_key_signing_bytes(world.chain_id, ALICE)) == newcomer(world).proof


def test_a_key_is_registered_once_and_never_changes() -> None:
    world = World()
    assert reason_of(world, account_key(0), newcomer(world)) == ""
    assert reason_of(world, account_key(1), newcomer(world, 1)) == TransactionReason.KEY_TAKEN
    assert reason_of(world, account_key(0), newcomer(world, key=10)) == TransactionReason.KEY_IS_FIXED


def test_unbonded_money_returns_by_itself_after_the_delay() -> None:
    world = World()
    delay = world.params.staking.unbonding_ms
    world.apply(world.sign(account_key(0), delegate(operator(0), 500)))
    executed = world.apply(world.sign(account_key(0), undelegate(operator(0), 200)))
    assert [event.kind for event in executed.events] == [EventKind.UNBONDING_STARTED]
    balance = world.balance(ALICE)
    assert queries.find_account(world.ledger, ALICE).unbondings == (
        queries.UnbondingView(0, operator(0), 200, world.time_ms + delay),
    )
    assert world.apply(interval_ms=delay - 1).events == ()
    executed = world.apply(interval_ms=257)
    assert [event.kind for event in executed.events] == [EventKind.UNBONDED]
    assert world.balance(ALICE) == balance + 200
    assert world.ledger.get(HOLDINGS, ALICE).unbondings == ()
    assert record(world, operator(0)).unbonding == 0


def test_the_last_share_takes_the_delegation_and_its_rewards_with_it() -> None:
    world = World()
    world.apply(world.sign(account_key(0), delegate(operator(0), 500)))
    assert reason_of(world, account_key(0), undelegate(operator(0), 501)) == TransactionReason.BOND_TOO_LOW
    assert reason_of(world, account_key(0), undelegate(operator(0), 500)) == ""
    assert world.ledger.find(DELEGATIONS, operator(0) + ALICE) is None
    assert world.ledger.get(HOLDINGS, ALICE).delegations == ()


def test_a_provider_bond_is_locked_and_returns_after_the_delay() -> None:
    world = World()
    start = world.balance(ALICE)
    assert reason_of(world, account_key(0), bond(ADD, PROVIDER, 900)) == ""
    assert world.ledger.get(HOLDINGS, ALICE).provider_bond == 900
    assert reason_of(world, account_key(0), bond(REMOVE, PROVIDER, 901)) == TransactionReason.BOND_TOO_LOW
    assert reason_of(world, account_key(0), bond(REMOVE, PROVIDER, 400)) == ""
    assert queries.money(world.ledger).provider_bonds == 500
    assert queries.money(world.ledger).unbonding == 400
    world.apply(interval_ms=world.params.staking.unbonding_ms + 256)
    assert world.balance(ALICE) == start - 3 * 100_000 - 500


def test_an_operator_below_the_minimum_leaves_the_set_and_returns_with_enough() -> None:
    world = World()
    world.apply(world.sign(account_key(0), newcomer(world)))
    executed = world.apply(world.sign(account_key(0), bond(REMOVE, VALIDATOR, 1)))
    assert executed.next_validators.find_index(ALICE) is None
    assert record(world, ALICE).status is ValidatorStatus.UNBONDING
    assert ALICE not in world.ledger.get(ROSTER, ONLY).addresses
    world.apply(world.sign(account_key(1), delegate(ALICE, MINIMUM)))
    assert record(world, ALICE).status is ValidatorStatus.UNBONDING
    executed = world.apply(world.sign(account_key(0), bond(ADD, VALIDATOR, 1)))
    assert executed.next_validators.find_index(ALICE) is not None


def test_everything_of_a_validator_may_leave_and_come_again() -> None:
    world = World()
    world.apply(world.sign(account_key(0), newcomer(world)))
    world.apply(world.sign(account_key(0), bond(REMOVE, VALIDATOR, MINIMUM)))
    assert (record(world, ALICE).stake, record(world, ALICE).shares) == (0, 0)
    world.apply(world.sign(account_key(0), bond(ADD, VALIDATOR, MINIMUM)))
    assert (record(world, ALICE).stake, record(world, ALICE).shares) == (MINIMUM, MINIMUM)
    assert record(world, ALICE).status is ValidatorStatus.ACTIVE


def test_nobody_leaves_whose_absence_makes_the_set_too_small() -> None:
    world = World(with_params(make_genesis(2), "consensus", validators_min=2))
    message = bond(REMOVE, VALIDATOR, STAKE)
    assert reason_of(world, operator_key(0), message) == TransactionReason.BELOW_MINIMUM_SET
    assert reason_of(world, operator_key(0), bond(REMOVE, VALIDATOR, STAKE - MINIMUM)) == ""
    world.apply(world.sign(account_key(0), newcomer(world)))
    assert reason_of(world, operator_key(0), bond(REMOVE, VALIDATOR, MINIMUM)) == ""
    assert len(world.validators) == 2


def test_an_account_waits_for_a_bounded_number_of_entries() -> None:
    world = World()
    world.apply(world.sign(account_key(0), bond(ADD, PROVIDER, 100)))
    for _ in range(UNBONDINGS_MAX // 16):
        assert reason_of(world, account_key(0), *[bond(REMOVE, PROVIDER, 1)] * 16) == ""
    last = reason_of(world, account_key(0), bond(REMOVE, PROVIDER, 1))
    assert last == TransactionReason.TOO_MANY_UNBONDINGS
    assert world.ledger.get(HOLDINGS, ALICE).provider_bond == 100 - UNBONDINGS_MAX
    world.apply(interval_ms=world.params.staking.unbonding_ms + 256)
    assert reason_of(world, account_key(0), bond(REMOVE, PROVIDER, 1)) == ""
    assert world.ledger.find(UNBONDINGS, (0).to_bytes(8, "big")) is None


def test_an_account_delegates_to_a_bounded_number_of_validators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("state.runtime.staking.delegations.DELEGATIONS_MAX", 2)
    assert DELEGATIONS_MAX > 2
    world = World()
    for index in range(2):
        assert reason_of(world, account_key(0), delegate(operator(index), 1)) == ""
    last = reason_of(world, account_key(0), delegate(operator(2), 1))
    assert last == TransactionReason.TOO_MANY_DELEGATIONS
    assert reason_of(world, account_key(0), delegate(operator(1), 1)) == ""


def test_a_newcomer_to_a_full_roster_outbids_the_weakest_outside_the_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "ROSTER_MAX", 5)
    world = World(with_params(make_genesis(4), "consensus", validators_max=4))
    assert reason_of(world, account_key(0), newcomer(world)) == ""
    equal = reason_of(world, account_key(1), newcomer(world, 1, key=10))
    assert equal == TransactionReason.ROSTER_FULL
    assert reason_of(world, account_key(1), newcomer(world, 1, MINIMUM + 1, key=10)) == ""
    assert record(world, ALICE).status is ValidatorStatus.UNBONDING
    assert len(world.ledger.get(ROSTER, ONLY).addresses) == 5
    assert BOB in world.ledger.get(ROSTER, ONLY).addresses


def test_a_full_roster_of_members_takes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "ROSTER_MAX", 4)
    world = World()
    assert reason_of(world, account_key(0), newcomer(world)) == TransactionReason.ROSTER_FULL


def test_well_known_consensus_key_is_refused_outside_development() -> None:
    for development, reason in ((True, ""), (False, TransactionReason.DEVELOPMENT_KEY)):
        world = World(replace(make_genesis(), development=development))
        assert reason_of(world, account_key(0), newcomer(world)) == reason
    own = SigningKey(b"\x07" * 32)
    assert reason_of(world, account_key(0), register(world.chain_id, ALICE, own, MINIMUM)) == ""


def test_claim_ends_a_worthless_delegation_once_its_validator_is_out_of_the_set() -> None:
    """Given a delegation of 1 ubocc that a slash leaves worth nothing; then a claim in the set keeps it, one after ends it."""
    genesis = with_params(make_genesis(), "consensus", validator_update_interval_ms=30_000)
    world = World(genesis)
    world.apply(world.sign(account_key(0), delegate(operator(0), 1)))
    votes = [make_vote(world.chain_id, validator_key(0), VoteKind.NOTARIZE, 0, 1, block) for block in (1, 2)]
    assert reason_of(world, account_key(1), make_report(operator(0), *votes)) == ""
    claim = bond(CLAIM, DELEGATE, validator=operator(0))
    assert reason_of(world, account_key(0), claim) == ""
    assert world.ledger.get(HOLDINGS, ALICE).delegations == (operator(0),)
    world.apply(interval_ms=31_000)
    before = record(world, operator(0))
    assert (before.power, before.status) == (0, ValidatorStatus.TOMBSTONED)
    assert reason_of(world, account_key(0), undelegate(operator(0), 1)) == TransactionReason.BOND_TOO_LOW
    earned = queries.find_account(world.ledger, ALICE).delegations[0].rewards
    balance = world.balance(ALICE)
    assert reason_of(world, account_key(0), claim) == ""
    assert world.balance(ALICE) == balance - FEE + earned
    assert world.ledger.get(HOLDINGS, ALICE).delegations == ()
    assert world.ledger.find(DELEGATIONS, operator(0) + ALICE) is None
    after = record(world, operator(0))
    assert (after.stake, after.shares) == (before.stake, before.shares - 1)
    assert reason_of(world, account_key(0), claim) == TransactionReason.NOT_BONDED


def test_claim_keeps_a_delegation_that_is_worth_something_of_a_validator_outside_the_set() -> None:
    world = World(with_params(make_genesis(), "consensus", validator_update_interval_ms=1_000))
    world.apply(world.sign(account_key(0), delegate(operator(0), 2)))
    epoch = world.epoch_start.epoch
    votes = [make_vote(world.chain_id, validator_key(0), VoteKind.NOTARIZE, epoch, 1, block) for block in (1, 2)]
    assert reason_of(world, account_key(1), make_report(operator(0), *votes)) == ""
    world.apply(interval_ms=2_000)
    assert record(world, operator(0)).power == 0
    assert reason_of(world, account_key(0), bond(CLAIM, DELEGATE, validator=operator(0))) == ""
    assert world.ledger.get(HOLDINGS, ALICE).delegations == (operator(0),)
