"""Proposals and votes: who may, when, with how much, and where the deposit goes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state.governance_messages import ListPlatform, SpendTreasury, VoteChoice
from state.governance_records import (
    VOTES,
    Proposal,
    ProposalState,
    VoteRecord,
    vote_key,
)
from state.lists import ListKind, count_members, list_name, member_at
from state.messages import AuthKey, BondAction, BondPurpose, Scope, SetAuth
from state.receipts import EventKind
from state.records import MONEY, ONLY, number_key
from state.runtime.reasons import TransactionReason
from tests.support.chain_builders import account, account_key, bond, delegate, operator, operator_key, transfer
from tests.support.governing import (
    ABSTAIN,
    DEPOSIT,
    NO,
    NO_CHANGE,
    TEXT,
    TIMELOCK_MS,
    VETO,
    VOTING_MS,
    YES,
    Assembly,
    powers_genesis,
    propose,
    states_told,
    vote,
)

VOTING, PASSED, EXECUTED, FAILED, REJECTED, VETOED = ProposalState
OVER = TransactionReason.VOTING_OVER
SLOT_MS = 256


def treasury(world: Assembly) -> int:
    return world.ledger.get(MONEY, ONLY).treasury


def test_a_proposal_stands_with_those_who_may_vote_and_its_deposit_is_locked() -> None:
    world = Assembly(powers_genesis(10, 20, 30, 40))
    balance = world.balance(account(0))
    executed = world.apply(world.sign(account_key(0), propose(title="say something")))
    assert world.proposal() == Proposal(
        proposer=account(0),
        title="say something",
        payload=TEXT,
        basis=b"",
        deposit=DEPOSIT,
        state=VOTING,
        reason="",
        created_ms=world.time_ms,
        created_height=1,
        vote_until_ms=world.time_ms + VOTING_MS,
        execute_at_ms=0,
        decided_ms=0,
        power_total=100 * 10**6,
        power_yes=0,
        power_no=0,
        power_abstain=0,
        power_veto=0,
    )
    assert world.balance(account(0)) == balance - DEPOSIT - executed.receipts[0].fee
    assert (world.ledger.get(MONEY, ONLY).deposits, world.scan()["deposits"]) == (DEPOSIT, DEPOSIT)
    assert dict(executed.events[0].attributes) == {
        "proposal": 1,
        "proposer": account(0),
        "kind": b"text",
        "vote_until_ms": world.time_ms + VOTING_MS,
    }
    name = list_name(ListKind.PROPOSALS)
    assert (count_members(world.ledger, name), member_at(world.ledger, name, 0)) == (1, number_key(1))


def test_a_deposit_below_the_parameter_or_beyond_the_balance_is_refused() -> None:
    world = Assembly()
    assert world.reason_of(TEXT, DEPOSIT - 1) == TransactionReason.PROPOSAL_DEPOSIT_TOO_LOW
    assert world.reason_of(TEXT, 10**15) == TransactionReason.BALANCE_TOO_LOW
    assert world.reason_of(TEXT, DEPOSIT + 1) == ""


def test_proposing_and_voting_need_the_scope_of_governance() -> None:
    world = Assembly(powers_genesis(60, 40))
    keys = (
        AuthKey(public_key=account_key(5).public_key, weight=1, scopes=31 - Scope.GOVERN),
        AuthKey(public_key=account_key(6).public_key, weight=1, scopes=int(Scope.GOVERN)),
    )
    auth = SetAuth(
        account=operator(0),
        keys=tuple(sorted(keys, key=lambda key: key.public_key)),
        threshold=1,
        guardians=(),
        guardian_quorum=0,
    )
    world.apply(world.sign(operator_key(0), auth))
    world.apply(interval_ms=60_000)
    for signer, reason in ((account_key(5), TransactionReason.UNAUTHORISED), (account_key(6), "")):
        (receipt,) = world.apply(world.sign(signer, propose(), vote(YES), sender=operator(0))).receipts
        assert receipt.reason == reason
    assert world.tallies() == (60 * 10**6, 0, 0, 0)


def test_votes_count_with_the_power_of_their_validator_and_tell_what_was_said() -> None:
    world = Assembly(powers_genesis(10, 20, 30, 40))
    world.propose()
    executed = world.apply(
        *(world.sign(operator_key(index), vote(choice)) for index, choice in enumerate((YES, NO, ABSTAIN)))
    )
    assert world.tallies() == (10 * 10**6, 20 * 10**6, 30 * 10**6, 0)
    assert [dict(event.attributes) for event in executed.events] == [
        {"proposal": 1, "validator": operator(index), "choice": choice, "power": power * 10**6}
        for index, choice, power in ((0, b"yes", 10), (1, b"no", 20), (2, b"abstain", 30))
    ]
    assert world.ledger.get(VOTES, vote_key(1, operator(2))) == VoteRecord(
        choice=ABSTAIN, power=30 * 10**6, time_ms=world.time_ms
    )


def test_who_is_no_validator_and_what_is_no_proposal_gets_no_vote() -> None:
    world = Assembly()
    world.propose()
    (receipt,) = world.apply(world.sign(account_key(0), vote(YES))).receipts
    assert receipt.reason == TransactionReason.NO_POWER
    for number in (0, 2, (1 << 63) - 1):
        assert world.vote(0, YES, number) == TransactionReason.NO_PROPOSAL


def test_a_validator_with_several_keys_has_one_vote() -> None:
    """Keys of one account vote in its name, and two accounts cannot share a consensus key: the last vote counts alone."""
    world = Assembly(powers_genesis(30, 70))
    world.propose()
    world.apply(world.sign(operator_key(0), *(vote(choice) for choice in (YES, YES, NO, ABSTAIN, YES, NO))))
    assert world.tallies() == (0, 30 * 10**6, 0, 0)


def test_what_most_power_wants_passes_at_once_and_is_executed_after_the_timelock() -> None:
    world = Assembly(powers_genesis(50, 1, 49))
    balance = world.balance(account(0))
    world.propose()
    assert world.vote(0, YES) == ""
    assert world.standing() == (VOTING, "")
    executed = world.apply(world.sign(operator_key(1), vote(YES)))
    assert states_told(executed.events) == [(1, "passed", "")]
    proposal = world.proposal()
    assert (proposal.state, proposal.execute_at_ms, proposal.decided_ms) == (PASSED, world.time_ms + TIMELOCK_MS, 0)
    assert (proposal.deposit, world.books.voting_count) == (DEPOSIT, 1)
    world.apply(interval_ms=TIMELOCK_MS - 1)
    assert world.standing() == (PASSED, "")
    executed = world.apply(interval_ms=SLOT_MS)
    assert states_told(executed.events) == [(1, "executed", "")]
    assert (world.proposal().decided_ms, world.proposal().deposit) == (world.time_ms, 0)
    assert world.balance(account(0)) == balance - 100_000
    assert (world.books.voting_count, world.scan()["deposits"]) == (0, 0)


@pytest.mark.parametrize(
    ("votes", "state", "reason"),
    [
        pytest.param({}, REJECTED, TransactionReason.QUORUM_MISSED, id="nobody"),
        pytest.param({0: YES}, REJECTED, TransactionReason.QUORUM_MISSED, id="too few"),
        pytest.param({0: YES, 1: ABSTAIN}, PASSED, "", id="with abstentions"),
        pytest.param({0: YES, 1: NO}, REJECTED, TransactionReason.MAJORITY_MISSED, id="not more"),
    ],
)
def test_at_the_end_the_votes_decide(votes: dict[int, VoteChoice], state: ProposalState, reason: str) -> None:
    world = Assembly(powers_genesis(20, 20, 60))
    world.propose()
    until_ms = world.proposal().vote_until_ms
    for index, choice in votes.items():
        assert world.vote(index, choice) == ""
    world.apply(interval_ms=until_ms - world.time_ms - 1)
    assert world.standing() == (VOTING, "")
    world.apply(interval_ms=SLOT_MS)
    assert world.standing() == (state, reason)
    world.apply(interval_ms=TIMELOCK_MS + 2 * SLOT_MS)
    assert world.standing() == ((EXECUTED, "") if state is PASSED else (state, reason))


def test_the_last_moment_of_voting_and_of_the_timelock_still_counts() -> None:
    world = Assembly(powers_genesis(30, 30, 40))
    world.propose()
    until_ms = world.proposal().vote_until_ms
    world.vote(0, YES)
    assert world.vote(1, YES, interval_ms=until_ms - world.time_ms) == ""
    assert world.standing() == (PASSED, "")
    assert world.vote(2, VETO, interval_ms=TIMELOCK_MS) == ""
    assert world.standing() == (VETOED, "")


def test_votes_after_their_time_count_no_more_although_the_wheel_has_not_turned() -> None:
    """A slot of the wheel ends up to 256 ms after the time."""
    world = Assembly(powers_genesis(30, 70))
    world.propose()
    until_ms = world.proposal().vote_until_ms
    world.apply(interval_ms=until_ms - world.time_ms)
    late_ms = 0
    while world.standing() == (VOTING, ""):
        late_ms += 1
        assert world.vote(1, YES, interval_ms=1) == OVER
        if late_ms > SLOT_MS:
            raise AssertionError("the wheel does not turn")
    assert world.standing() == (REJECTED, TransactionReason.QUORUM_MISSED)


def test_vetoes_within_the_timelock_end_what_passed_and_the_treasury_keeps_the_deposit() -> None:
    world = Assembly(powers_genesis(60, 20, 20))
    before = treasury(world)
    world.propose()
    world.vote(0, YES)
    for choice in (YES, NO, ABSTAIN):
        assert world.vote(1, choice) == OVER
    assert world.vote(1, VETO) == ""
    assert (world.standing(), world.tallies()) == ((PASSED, ""), (60 * 10**6, 0, 0, 20 * 10**6))
    assert world.vote(2, VETO) == ""
    assert (world.standing(), treasury(world)) == ((VETOED, ""), before + DEPOSIT)
    assert world.books.voting_count == 0
    world.apply(interval_ms=VOTING_MS + TIMELOCK_MS)
    assert world.standing() == (VETOED, "")


def test_who_said_yes_may_still_veto() -> None:
    world = Assembly(powers_genesis(60, 40))
    world.propose()
    world.vote(0, YES)
    assert world.vote(0, VETO) == ""
    assert (world.standing(), world.tallies()) == ((VETOED, ""), (0, 0, 0, 60 * 10**6))


def test_enough_vetoes_reject_at_once_and_the_treasury_keeps_the_deposit() -> None:
    world = Assembly(powers_genesis(66, 34))
    before = treasury(world)
    world.propose()
    assert world.vote(1, VETO) == ""
    assert world.standing() == (REJECTED, TransactionReason.VOTED_DOWN)
    assert (treasury(world), world.scan()["deposits"]) == (before + DEPOSIT, 0)


def test_a_rejected_proposal_gives_its_deposit_back() -> None:
    world = Assembly(powers_genesis(50, 50))
    balance = world.balance(account(0))
    world.propose()
    world.vote(0, NO)
    assert world.standing() == (REJECTED, TransactionReason.MAJORITY_MISSED)
    assert world.balance(account(0)) == balance - 100_000


def test_power_that_moves_after_the_proposal_votes_once() -> None:
    """When a validator that voted sends its stake to another, which votes too, then each counts as it stood before."""
    world = Assembly(powers_genesis(40, 20, 40))
    world.propose()
    world.vote(0, NO)
    world.apply(world.sign(operator_key(0), bond(BondAction.REMOVE, BondPurpose.VALIDATOR, 40 * 10**12 - 1)))
    world.apply(world.sign(account_key(0), transfer(account(1), 1), delegate(operator(1), 900_000 * 10**6)))
    world.apply(interval_ms=2_000)
    assert world.validators.find_index(operator(0)) is None
    assert world.vote(1, YES) == ""
    assert (world.tallies(), world.tallies()) == ((20 * 10**6, 40 * 10**6, 0, 0), world.recounted())
    assert world.vote(0, YES) == ""
    assert world.tallies() == (60 * 10**6, 0, 0, 0)


def test_who_joins_the_set_later_has_no_vote_on_what_is_under_way() -> None:
    world = Assembly(powers_genesis(50, 50))
    world.propose()
    world.apply(world.sign(account_key(0), delegate(operator(0), 10**6)))
    assert world.validators.total_power > world.proposal().power_total
    number = world.propose()
    assert world.proposal(number).power_total == world.validators.total_power
    assert world.vote(0, YES, 1) == world.vote(0, YES, number) == ""
    assert (world.tallies(1)[0], world.tallies(number)[0]) == (50 * 10**6, 50 * 10**6 + 1)


def test_a_vote_on_what_is_decided_is_late_whoever_casts_it() -> None:
    world = Assembly(powers_genesis(34, 66))
    world.propose()
    world.vote(0, VETO)
    (receipt,) = world.apply(world.sign(account_key(0), vote(YES))).receipts
    assert receipt.reason == OVER


def test_a_failing_transaction_leaves_neither_proposal_nor_vote() -> None:
    world = Assembly(powers_genesis(51, 49))
    world.propose()
    before = dict(world.state)
    spend = SpendTreasury(to=account(1), amount=10**15)
    (receipt,) = world.apply(world.sign(operator_key(0), vote(YES), propose(), propose(spend))).receipts
    assert (receipt.reason, receipt.message_index) == (TransactionReason.TREASURY_TOO_LOW, 2)
    governance = {key for key in (*before, *world.state) if 0x68 <= key[0] <= 0x6D}
    assert {key: before.get(key) for key in governance} == {key: world.state.get(key) for key in governance}
    assert world.own_counts() == {account(0): 1}


def test_shares_count_as_the_parameters_say_when_votes_are_counted() -> None:
    world = Assembly(powers_genesis(40, 60, timelock_ms=0))
    number = world.propose()
    params = world.params.governance
    from_now = replace(params, pass_bp=3_000, quorum_bp=1_000)
    second = world.propose(replace(NO_CHANGE, governance=from_now))
    world.vote(1, YES, second)
    world.apply()
    assert world.params.governance == from_now
    assert world.vote(0, YES, number) == ""
    assert world.standing(number)[0] in {PASSED, EXECUTED}


def test_a_proposal_without_a_timelock_is_executed_in_its_block_or_the_next() -> None:
    world = Assembly(powers_genesis(60, 40, timelock_ms=0))
    world.propose()
    world.vote(0, YES)
    world.apply()
    assert world.standing() == (EXECUTED, "")


def test_a_payload_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("state.runtime.governance.proposals.PAYLOAD_BYTES_MAX", 20)
    world = Assembly()
    assert world.reason_of(TEXT) == ""
    assert world.reason_of(ListPlatform(platform=b"\x01" * 17, verdict=None)) == TransactionReason.PAYLOAD_MALFORMED


def test_many_proposals_end_in_one_block_each_once() -> None:
    world = Assembly(powers_genesis(60, 40))
    numbers = [world.propose(proposer=index % 2) for index in range(5)]
    world.apply(*(world.sign(operator_key(0), *(vote(YES, number) for number in numbers)),))
    executed = world.apply(interval_ms=TIMELOCK_MS + SLOT_MS)
    told = [event for event in executed.events if event.kind is EventKind.PROPOSAL_STATE]
    assert [dict(event.attributes)["proposal"] for event in told] == numbers
    world.apply(interval_ms=VOTING_MS)
    assert world.books.voting_count == 0
