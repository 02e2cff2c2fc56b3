"""Laws of governance that hold after every block of any history of proposals, votes, moving stake and passing time."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from msgspec.structs import replace

from state.governance_messages import ChangeValidator, SpendTreasury, ValidatorChange, VoteChoice
from state.governance_records import ELECTORATES, PROPOSALS, VOTES, Proposal, ProposalState, votes_kept_until_ms
from state.messages import BondAction, BondPurpose
from state.records import MONEY, ONLY, number_key
from state.runtime.reasons import TransactionReason
from state.transactions import Transaction
from tests.support.chain_builders import account, account_key, bond, delegate, operator, operator_key, with_params
from tests.support.governing import NO_CHANGE, TEXT, Assembly, powers_genesis, propose, vote

SEEDS = range(4)
BLOCKS = 120
POWERS = (30, 25, 20, 15, 10)
UNDER_WAY = {ProposalState.VOTING, ProposalState.PASSED}
FOLLOWS = {
    ProposalState.VOTING: {*ProposalState} - {ProposalState.VETOED},
    ProposalState.PASSED: {ProposalState.PASSED, ProposalState.EXECUTED, ProposalState.FAILED, ProposalState.VETOED},
}


def make_assembly() -> Assembly:
    genesis = powers_genesis(*POWERS, voting_ms=20_000, timelock_ms=8_000)
    return Assembly(with_params(genesis, "consensus", validators_min=2, validator_update_interval_ms=3_000))


def random_payload(world: Assembly, random: Random):
    params = world.params
    match random.randrange(5):
        case 0:
            return SpendTreasury(to=account(3), amount=random.choice((1, 10**6, 10**14)))
        case 1:
            changes = ValidatorChange(random.randint(1, 2))
            return ChangeValidator(validator=operator(random.randrange(len(POWERS))), change=changes)
        case 2:
            return with_group(params, random)
        case _:
            return TEXT


def with_group(params, random: Random):
    """Return a change of the shares by which votes are counted."""
    shares = replace(
        params.governance, pass_bp=random.choice((3_000, 5_000, 7_000)), quorum_bp=random.choice((0, 4_000))
    )
    return replace(NO_CHANGE, governance=shares)


def random_transactions(world: Assembly, random: Random) -> list[Transaction]:
    """Return what each of some accounts does in a block."""
    transactions = []
    if random.random() < 0.3:
        proposer = account_key(random.choice((0, 0, 2)))
        transactions.append(world.sign(proposer, propose(random_payload(world, random))))
    count = world.books.next_proposal if world.ledger.find(PROPOSALS, number_key(1)) else 0
    for index in range(len(POWERS)):
        if count and random.random() < 0.4:
            choice, number = random.choice((1, 1, 1, 2, 3, 4)), random.randint(max(1, count - 4), count)
            transactions.append(world.sign(operator_key(index), vote(VoteChoice(choice), number)))
    if random.random() < 0.3:
        target = operator(random.randrange(len(POWERS)))
        transactions.append(world.sign(account_key(1), delegate(target, 10**12)))
    if random.random() < 0.1:
        leaving = bond(BondAction.REMOVE, BondPurpose.VALIDATOR, 10**12 * random.randint(1, 9))
        index = random.randrange(len(POWERS))
        nonce = world.account(operator(index)).next_nonce + 1
        transactions.append(world.sign(operator_key(index), leaving, nonce=nonce))
    return transactions


def check_votes(world: Assembly, number: int, proposal: Proposal) -> None:
    """Check the votes on a proposal against its tallies while they are on record, and that all are gone in the end."""
    electorate = world.ledger.find(ELECTORATES, number_key(number))
    if electorate is None:
        assert proposal.decided_ms
        assert votes_kept_until_ms(proposal) <= world.time_ms
        assert not [key for key in world.state if key.startswith(VOTES.prefix + number_key(number))]
        return
    assert proposal.power_total == sum(member.power for member in electorate.members)
    if not proposal.decided_ms or world.time_ms < votes_kept_until_ms(proposal):
        assert world.tallies(number) == world.recounted(number)


def check_laws(world: Assembly, before: dict[int, Proposal]) -> dict[int, Proposal]:
    """Check every proposal against its votes, its electorate and what it was before; return them by number."""
    found = {
        int.from_bytes(key[1:], "big"): world.ledger.find_raw(key)
        for key in sorted(world.state)
        if key[:1] == PROPOSALS.prefix
    }
    assert sorted(found) == list(range(1, len(found) + 1))
    for number, proposal in found.items():
        check_votes(world, number, proposal)
        assert sum(world.tallies(number)) <= proposal.power_total
        assert (proposal.deposit > 0, proposal.decided_ms == 0) == (proposal.state in UNDER_WAY,) * 2
        earlier = before.get(number)
        if earlier is not None:
            assert proposal.state in FOLLOWS.get(earlier.state, {earlier.state})
            assert earlier.state in UNDER_WAY or proposal == earlier
    under_way = [proposal for proposal in found.values() if proposal.state in UNDER_WAY]
    if found:
        assert (world.books.voting_count, world.books.next_proposal) == (len(under_way), len(found) + 1)
    assert world.own_counts() == Counter(proposal.proposer for proposal in under_way)
    assert world.ledger.get(MONEY, ONLY).deposits == sum(proposal.deposit for proposal in under_way)
    dates = [each.vote_until_ms if each.state is ProposalState.VOTING else each.execute_at_ms for each in under_way]
    assert all(world.time_ms < date_ms + 256 for date_ms in dates)
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_laws_of_governance_hold_after_every_block(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("state.governance_records.VOTES_KEPT_MS", 40_000)
    monkeypatch.setattr("state.runtime.governance.proposals.VOTES_FORGOTTEN_MAX", 2)
    world, random = make_assembly(), Random(seed)
    found: dict[int, Proposal] = {}
    reasons: Counter[str] = Counter()
    for _ in range(BLOCKS):
        executed = world.apply(*random_transactions(world, random), interval_ms=random.choice((300, 1_000, 5_000)))
        reasons.update(receipt.reason for receipt in executed.receipts)
        found = check_laws(world, found)
    states = Counter(proposal.state for proposal in found.values())
    forgotten = sum(world.ledger.find(ELECTORATES, number_key(number)) is None for number in found)
    met = (states[ProposalState.EXECUTED], states[ProposalState.REJECTED], reasons[TransactionReason.VOTING_OVER])
    assert min(*met, forgotten) > 0
