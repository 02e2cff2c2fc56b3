"""What proposals change, what cannot be proposed, and what fails because something else was changed since."""

from __future__ import annotations

from hashlib import sha256

import pytest
from msgspec.structs import replace

from state.address import AddressKind
from state.governance_messages import (
    ChangeValidator,
    DistrustRoot,
    EndOrder,
    ListPlatform,
    ScheduleNumber,
    SetBrake,
    SetRules,
    SpendTreasury,
    Text,
    Upgrade,
    ValidatorChange,
)
from state.governance_records import UPGRADES, DueUpgrade, ProposalState
from state.params import WorkOverride
from state.receipts import EventKind
from state.records import MONEY, ONLY, PARAMS, VALIDATORS, ValidatorStatus
from state.runtime.explain import explain
from state.runtime.reasons import EnclaveReason, TransactionReason
from state.runtime.remedies import remedy_of
from state.trust_records import (
    APPRAISAL_RULES,
    BRAKES,
    PLATFORM_LISTINGS,
    TRUSTED_ROOTS,
    Brake,
    BrakeScope,
    PlatformListing,
    PlatformVerdict,
)
from state.votes import VoteKind
from tests.support.attesting import POSTER, Lab, recovery
from tests.support.chain_builders import (
    account,
    account_key,
    make_genesis,
    make_report,
    make_vote,
    operator,
    operator_key,
    transfer,
    validator_key,
    with_params,
)
from tests.support.governing import (
    DEPOSIT,
    NO_CHANGE,
    TEXT,
    TIMELOCK_MS,
    VETO,
    YES,
    Assembly,
    change,
    powers_genesis,
    propose,
    states_told,
    vote,
)

EXECUTED, FAILED = ProposalState.EXECUTED, ProposalState.FAILED
MALFORMED, BAD_SUBJECT = TransactionReason.PAYLOAD_MALFORMED, TransactionReason.BAD_SUBJECT
PLATFORM = b"\x01" + b"\xaa" * 16
RESOURCE = bytes((AddressKind.RESOURCE,)) + bytes(20)
HOUR_MS = 3_600_000
JAIL, REMOVE = ValidatorChange


class GovernedLab(Assembly, Lab):
    """An assembly with machines."""


def brake(world: Assembly, scope: BrakeScope, subject: bytes = b"", for_ms: int = HOUR_MS) -> SetBrake:
    return SetBrake(brake=Brake(scope=scope, subject=subject, until_ms=world.time_ms + for_ms))


def upgrade(height: int = 100, protocol: int = 2, *, verifier_changed: bool = False) -> Upgrade:
    return Upgrade(height=height, protocol=protocol, software="bocc 2.0", verifier_changed=verifier_changed)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        pytest.param(lambda _world: NO_CHANGE, MALFORMED, id="no parameters"),
        pytest.param(lambda world: change(world.params, "fees"), MALFORMED, id="the same parameters"),
        pytest.param(lambda world: change(world.params, "consensus", timer_min_ms=9_000), MALFORMED, id="out of order"),
        pytest.param(lambda world: change(world.params, "governance", veto_bp=0), MALFORMED, id="ungovernable"),
        pytest.param(
            lambda world: change(world.params, "fees", per_work=10**9), MALFORMED, id="votes that nobody can pay"
        ),
        pytest.param(lambda world: change(world.params, "blocks", work_max=1_000), MALFORMED, id="too little work"),
        pytest.param(
            lambda world: change(world.params, "fees", work_overrides=(WorkOverride(message=1, work=10**9),)),
            MALFORMED,
            id="too much work for one message",
        ),
        pytest.param(lambda _world: ListPlatform(platform=b"\x09\x01", verdict=None), BAD_SUBJECT, id="no machine"),
        pytest.param(
            lambda world: ScheduleNumber(root=bytes(32), number=0, due_ms=world.time_ms + HOUR_MS),
            TransactionReason.NUMBER_NOT_HIGHER,
            id="number in force",
        ),
        pytest.param(
            lambda world: ScheduleNumber(root=bytes(32), number=1, due_ms=world.time_ms),
            TransactionReason.UNTIL_PAST,
            id="number from the past",
        ),
        pytest.param(lambda _world: upgrade(16), TransactionReason.TOO_LATE, id="upgrade without notice"),
        pytest.param(lambda _world: upgrade(protocol=1), MALFORMED, id="no upgrade"),
        pytest.param(
            lambda _world: ChangeValidator(validator=account(0), change=JAIL),
            TransactionReason.NO_VALIDATOR,
            id="nobody",
        ),
        pytest.param(
            lambda _world: SpendTreasury(to=RESOURCE, amount=1), TransactionReason.NOT_AN_ACCOUNT, id="to a resource"
        ),
        pytest.param(
            lambda _world: SpendTreasury(to=account(1), amount=0), TransactionReason.ZERO_AMOUNT, id="no money"
        ),
        pytest.param(
            lambda world: SpendTreasury(to=account(1), amount=world.ledger.get(MONEY, ONLY).treasury + 1),
            TransactionReason.TREASURY_TOO_LOW,
            id="too much money",
        ),
        pytest.param(lambda world: brake(world, BrakeScope.ORDERS, b"\x01"), BAD_SUBJECT, id="orders of somebody"),
        pytest.param(lambda world: brake(world, BrakeScope.ATTESTATIONS, b"\x01"), BAD_SUBJECT, id="one attestation"),
        pytest.param(lambda world: brake(world, BrakeScope.TEE), BAD_SUBJECT, id="no tee"),
        pytest.param(lambda world: brake(world, BrakeScope.PRODUCT, bytes(2)), BAD_SUBJECT, id="no product"),
        pytest.param(lambda world: brake(world, BrakeScope.PLATFORM, b"\x01"), BAD_SUBJECT, id="no platform"),
        pytest.param(lambda world: brake(world, BrakeScope.RELEASE, RESOURCE), BAD_SUBJECT, id="a resource"),
        pytest.param(
            lambda world: brake(world, BrakeScope.ORDERS, for_ms=0),
            TransactionReason.UNTIL_PAST,
            id="brake of the past",
        ),
        pytest.param(
            lambda world: brake(world, BrakeScope.ORDERS, for_ms=72 * HOUR_MS + 1_001),
            TransactionReason.BRAKE_TOO_LONG,
            id="long brake",
        ),
        pytest.param(lambda _world: EndOrder(order=bytes(21)), TransactionReason.NO_ORDER, id="no order"),
        pytest.param(lambda _world: Text(statement_hash=bytes(31)), MALFORMED, id="no digest"),
    ],
)
def test_what_cannot_be_applied_now_cannot_be_proposed(payload, reason: str) -> None:
    world = Assembly()
    assert world.reason_of(payload(world)) == reason


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(lambda world: change(world.params, "market", fee_bp=0), id="parameters"),
        pytest.param(lambda _world: ListPlatform(platform=PLATFORM, verdict=None), id="machine"),
        pytest.param(lambda world: ScheduleNumber(root=bytes(32), number=1, due_ms=world.time_ms + 1_001), id="number"),
        pytest.param(lambda _world: upgrade(17), id="upgrade"),
        pytest.param(lambda world: brake(world, BrakeScope.ORDERS, for_ms=72 * HOUR_MS), id="brake"),
        pytest.param(lambda world: brake(world, BrakeScope.PRODUCT, bytes(6)), id="brake of a product"),
        pytest.param(lambda world: brake(world, BrakeScope.RELEASE, RESOURCE + bytes(8)), id="brake of a release"),
        pytest.param(
            lambda world: SpendTreasury(to=account(1), amount=world.ledger.get(MONEY, ONLY).treasury), id="all money"
        ),
        pytest.param(lambda _world: Text(statement_hash=bytes(32)), id="text"),
    ],
)
def test_what_stands_at_the_bound_can_be_proposed(payload) -> None:
    world = Assembly()
    assert world.reason_of(payload(world)) == ""


def test_parameters_change_for_the_blocks_after() -> None:
    world = Assembly()
    transaction = world.sign(account_key(1), transfer(account(2), 1))
    price = world.price(transaction)
    executed = world.enact(change(world.params, "fees", base=world.params.fees.base + 7))
    assert [event.kind for event in executed.events] == [EventKind.PROPOSAL_STATE, EventKind.PARAMS_CHANGED]
    assert (world.price(transaction), world.standing()) == (price + 7, (EXECUTED, ""))


def test_groups_that_are_left_out_stay() -> None:
    world = Assembly()
    before = world.params
    world.enact(replace(change(world.params, "market", fee_bp=3), accounts=replace(before.accounts, auth_delay_ms=5)))
    changed = replace(
        before, market=replace(before.market, fee_bp=3), accounts=replace(before.accounts, auth_delay_ms=5)
    )
    assert world.ledger.get(PARAMS, ONLY) == changed


def test_parameters_that_no_longer_fit_others_that_passed_meanwhile_fail_and_the_deposit_comes_back() -> None:
    world = Assembly(powers_genesis(60, 40))
    first = world.propose(change(world.params, "staking", unbonding_ms=200_000))
    second = world.propose(change(world.params, "consensus", validator_update_interval_ms=20_000))
    balance = world.balance(account(0))
    for number in (first, second):
        world.vote(0, YES, number)
    world.apply(interval_ms=TIMELOCK_MS + 4_000)
    assert (world.standing(first), world.standing(second)) == ((EXECUTED, ""), (FAILED, MALFORMED))
    assert world.balance(account(0)) == balance + 2 * DEPOSIT
    assert world.params.consensus.validator_update_interval_ms == 1_000


def test_enclaves_are_judged_anew_when_the_parameters_of_attestation_change() -> None:
    world = GovernedLab(with_params(make_genesis(), "attestation", promotion_delay_ms=0))
    world.attest()
    assert world.reason(POSTER, recovery(world)) == ""
    world.apply()
    assert world.state_of()[0] == "grace"
    world.enact(change(world.params, "attestation", tcb_grace_ms=0))
    assert world.state_of()[0] == "grace"
    world.apply()
    assert world.state_of() == ("suspended", 2, EnclaveReason.STANDING_TOO_LOW)


def test_a_smaller_set_is_chosen_when_its_bound_changes() -> None:
    world = Assembly(powers_genesis(40, 30, 20, 10))
    world.enact(change(world.params, "consensus", validators_max=2))
    world.apply()
    world.apply()
    assert {member.address for member in world.validators.members} == {operator(0), operator(1)}


def test_the_treasury_pays_once_and_what_it_cannot_pay_any_more_fails() -> None:
    world = Assembly(powers_genesis(60, 40))
    treasury = world.ledger.get(MONEY, ONLY).treasury
    spending = SpendTreasury(to=account(20), amount=treasury - 5)
    for number in (world.propose(spending), world.propose(spending)):
        world.vote(0, YES, number)
    world.apply(interval_ms=TIMELOCK_MS + 2_000)
    assert (world.standing(1), world.standing(2)) == ((EXECUTED, ""), (FAILED, TransactionReason.TREASURY_TOO_LOW))
    assert (world.balance(account(20)), world.ledger.get(MONEY, ONLY).treasury) == (treasury - 5, 5)


def test_rules_lists_and_roots_change() -> None:
    world = GovernedLab()
    world.attest()
    rules = replace(world.ledger.get(APPRAISAL_RULES, ONLY), standing_min=5)
    root = sha256(world.vendor.root).digest()
    world.enact(SetRules(rules=rules))
    assert world.ledger.get(APPRAISAL_RULES, ONLY) == rules
    world.enact(ListPlatform(platform=PLATFORM, verdict=PlatformVerdict.DENIED))
    assert world.ledger.get(PLATFORM_LISTINGS, PLATFORM) == PlatformListing(verdict=PlatformVerdict.DENIED)
    world.enact(ListPlatform(platform=PLATFORM, verdict=None))
    assert world.ledger.find(PLATFORM_LISTINGS, PLATFORM) is None
    world.enact(DistrustRoot(fingerprint=root))
    assert world.ledger.get(TRUSTED_ROOTS, ONLY).distrusted == (root,)
    assert world.state_of()[2] == EnclaveReason.ROOT_DISTRUSTED


def test_too_many_distrusted_roots_fail_when_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("state.runtime.trust.rules.ROOTS_DISTRUSTED_MAX", 1)
    world = Assembly()
    first, second = (world.propose(DistrustRoot(fingerprint=bytes([index]) * 32)) for index in (1, 2))
    for number in (first, second):
        for index in range(3):
            world.vote(index, YES, number)
    world.apply(interval_ms=TIMELOCK_MS + 2_000)
    assert (world.standing(first), world.standing(second)) == (
        (EXECUTED, ""),
        (FAILED, TransactionReason.TOO_MANY_ROOTS),
    )


def test_a_brake_holds_in_the_block_of_the_deciding_vote_and_has_no_timelock() -> None:
    world = GovernedLab()
    world.attest()
    world.propose(brake(world, BrakeScope.TEE, b"\x02"))
    for index in (0, 1):
        assert world.vote(index, YES) == ""
    assert world.ledger.get(BRAKES, ONLY).brakes == ()
    executed = world.apply(world.sign(operator_key(2), vote(YES)))
    assert states_told(executed.events) == [(1, "executed", "")]
    assert [each.scope for each in world.ledger.get(BRAKES, ONLY).brakes] == [BrakeScope.TEE]
    assert world.state_of()[2] == EnclaveReason.BRAKED


def test_a_brake_that_has_ended_before_it_was_decided_fails() -> None:
    world = Assembly(powers_genesis(70, 30))
    world.propose(brake(world, BrakeScope.ORDERS, for_ms=5_000))
    world.vote(0, YES, interval_ms=5_000)
    assert world.standing() == (FAILED, TransactionReason.UNTIL_PAST)


def test_a_brake_that_a_majority_wants_is_not_enough() -> None:
    world = Assembly(powers_genesis(66, 1, 33))
    world.propose(brake(world, BrakeScope.ORDERS))
    world.vote(0, YES)
    world.vote(2, VETO)
    assert world.standing() == (ProposalState.VOTING, "")
    world.apply(interval_ms=world.proposal().vote_until_ms - world.time_ms + 256)
    assert world.standing() == (ProposalState.REJECTED, TransactionReason.MAJORITY_MISSED)


def test_governance_jails_a_validator_which_may_return() -> None:
    world = Assembly(powers_genesis(40, 40, 20))
    world.enact(ChangeValidator(validator=operator(2), change=JAIL))
    record = world.ledger.get(VALIDATORS, operator(2))
    assert (record.status, record.jailed_until_ms) == (
        ValidatorStatus.JAILED,
        world.time_ms + world.params.staking.jail_ms,
    )
    world.apply()
    assert world.validators.find_index(operator(2)) is None


def test_jail_reaches_a_validator_that_has_left_and_never_grows_shorter() -> None:
    world = Assembly(powers_genesis(40, 40, 20))
    world.enact(ChangeValidator(validator=operator(2), change=REMOVE))
    assert world.ledger.get(VALIDATORS, operator(2)).status is ValidatorStatus.UNBONDING
    world.apply()
    assert world.validators.find_index(operator(2)) is None
    world.enact(ChangeValidator(validator=operator(2), change=JAIL))
    record = world.ledger.get(VALIDATORS, operator(2))
    assert (record.status, record.jailed_until_ms) == (
        ValidatorStatus.UNBONDING,
        world.time_ms + world.params.staking.jail_ms,
    )


def test_no_change_makes_the_set_smaller_than_its_minimum() -> None:
    world = Assembly(with_params(powers_genesis(50, 50), "consensus", validators_min=2))
    for kind in ValidatorChange:
        taken_out = ChangeValidator(validator=operator(1), change=kind)
        assert world.reason_of(taken_out) == TransactionReason.BELOW_MINIMUM_SET


def test_what_would_make_the_set_too_small_by_now_fails() -> None:
    world = Assembly(with_params(powers_genesis(60, 20, 20), "consensus", validators_min=2))
    for index in (1, 2):
        number = world.propose(ChangeValidator(validator=operator(index), change=JAIL))
        world.vote(0, YES, number)
    world.apply(interval_ms=TIMELOCK_MS + 2_000)
    assert (world.standing(1), world.standing(2)) == ((EXECUTED, ""), (FAILED, TransactionReason.BELOW_MINIMUM_SET))


def test_a_convict_stays_convicted() -> None:
    world = Assembly()
    votes = (make_vote(world.chain_id, validator_key(1), VoteKind.NOTARIZE, 0, 1, block) for block in (1, 2))
    (receipt,) = world.apply(world.sign(account_key(1), make_report(operator(1), *votes))).receipts
    assert receipt.reason == ""
    for kind in ValidatorChange:
        assert world.reason_of(ChangeValidator(validator=operator(1), change=kind)) == TransactionReason.TOMBSTONED


def test_an_upgrade_is_due_until_its_height_and_the_last_that_passed_holds() -> None:
    world = Assembly(powers_genesis(60, 40))
    first, second = world.propose(upgrade(40, 2)), world.propose(upgrade(30, 3))
    for number in (first, second):
        world.vote(0, YES, number)
    executed = world.apply(interval_ms=TIMELOCK_MS + 2_000)
    told = [dict(event.attributes) for event in executed.events if event.kind is EventKind.UPGRADE_DUE]
    assert told == [{"height": 40, "protocol": 2}, {"height": 30, "protocol": 3}]
    due = DueUpgrade(height=30, protocol=3, software="bocc 2.0", verifier_changed=False, is_done=False)
    assert world.ledger.get(UPGRADES, ONLY) == due


def test_an_upgrade_that_comes_too_soon_by_now_fails() -> None:
    world = Assembly(powers_genesis(60, 40))
    world.propose(upgrade(18))
    world.vote(0, YES)
    for _ in range(3):
        world.apply(interval_ms=TIMELOCK_MS // 2)
    assert world.standing() == (FAILED, TransactionReason.TOO_LATE)


def test_text_changes_nothing() -> None:
    world = Assembly()
    world.enact(TEXT)
    assert world.standing() == (EXECUTED, "")


def test_the_dry_run_tells_whether_a_change_can_be_applied_and_whether_a_vote_counts() -> None:
    world = Assembly()
    treasury = world.ledger.get(MONEY, ONLY).treasury
    spending = SpendTreasury(to=account(1), amount=treasury + 1)
    transaction = world.sign(account_key(0), propose(), vote(YES), propose(spending))
    checks = {check.name: check for check in explain(world.ledger, transaction, world.time_ms)}
    assert checks["message 0 propose"].ok
    refused = checks["message 1 vote"]
    assert (refused.reason, refused.remedy) == (TransactionReason.NO_POWER, remedy_of(TransactionReason.NO_POWER))
    alone = explain(world.ledger, world.sign(account_key(0), propose(spending)), world.time_ms)[-1]
    assert (alone.reason, alone.seen, alone.bound) == ("treasury_too_low", str(treasury + 1), str(treasury))
