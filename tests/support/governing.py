"""A chain whose validators decide: proposals, votes, and what became of them."""

from __future__ import annotations

from msgspec.structs import replace

from state.genesis import Genesis
from state.governance_messages import CastVote, ChangeParams, Payload, Propose, Text, VoteChoice
from state.governance_records import (
    ELECTORATES,
    GOVERNANCE_BOOKS,
    OWN_PROPOSALS,
    PROPOSALS,
    VOTES,
    GovernanceBooks,
    Proposal,
    ProposalState,
    vote_key,
)
from state.params import Params
from state.receipts import Event, EventKind
from state.records import ONLY, number_key
from state.runtime.execute import Executed
from tests.support.chain_builders import World, account_key, make_genesis, operator, operator_key, with_params

DEPOSIT = 100 * 10**6
VOTING_MS = 120_000
TIMELOCK_MS = 60_000
TEXT = Text(statement_hash=b"")
NO_CHANGE = ChangeParams(
    fees=None,
    blocks=None,
    consensus=None,
    staking=None,
    accounts=None,
    attestation=None,
    governance=None,
    market=None,
)
YES, NO, ABSTAIN, VETO = VoteChoice


def propose(payload: Payload = TEXT, deposit: int = DEPOSIT, title: str = "a change") -> Propose:
    """Return a proposal."""
    return Propose(title=title, payload=payload, deposit=deposit)


def vote(choice: VoteChoice, number: int = 1) -> CastVote:
    """Return a vote."""
    return CastVote(proposal=number, choice=choice)


def change(params: Params, group: str, **values: object) -> ChangeParams:
    """Return the change of some parameters of a group."""
    return replace(NO_CHANGE, **{group: replace(getattr(params, group), **values)})


def powers_genesis(*powers: int, **governance: int) -> Genesis:
    """Return a genesis whose validators have these millions of power, in the order of development operators."""
    genesis = make_genesis(len(powers))
    stakes = {operator(index): power * 10**12 for index, power in enumerate(powers)}
    validators = tuple(replace(each, stake=stakes[each.operator]) for each in genesis.validators)
    before, after = (sum(each.stake for each in members) for members in (genesis.validators, validators))
    changed = replace(genesis, validators=validators, treasury=genesis.treasury + before - after)
    return with_params(changed, "governance", **governance)


class Assembly(World):
    """A world in which development account 0 proposes and development operators vote."""

    def propose(self, payload: Payload = TEXT, deposit: int = DEPOSIT, proposer: int = 0) -> int:
        """Put a change to the vote, which must be allowed, and return its number."""
        executed = self.apply(self.sign(account_key(proposer), propose(payload, deposit)))
        assert executed.receipts[0].reason == "", executed.receipts[0]
        return self.books.next_proposal - 1

    def vote(self, index: int, choice: VoteChoice, number: int = 1, interval_ms: int = 1_000) -> str:
        """Let an operator vote, and return why it may not."""
        transaction = self.sign(operator_key(index), vote(choice, number))
        return self.apply(transaction, interval_ms=interval_ms).receipts[0].reason

    def reason_of(self, payload: Payload, deposit: int = DEPOSIT) -> str:
        """Return why a change cannot be proposed."""
        executed, _overlay = self.execute([self.sign(account_key(0), propose(payload, deposit))], self.header(1))
        return executed.receipts[0].reason

    def enact(self, payload: Payload) -> Executed:
        """Propose a change, have every validator say yes, and return the block at the end of the timelock."""
        number = self.propose(payload)
        for index in range(len(self.validators.members)):
            if self.proposal(number).state is not ProposalState.VOTING:
                break
            assert self.vote(index, YES, number) == ""
        assert self.proposal(number).state is ProposalState.PASSED
        return self.apply(interval_ms=TIMELOCK_MS + 256)

    @property
    def books(self) -> GovernanceBooks:
        """The books of governance."""
        return self.ledger.get(GOVERNANCE_BOOKS, ONLY)

    def own_counts(self) -> dict[bytes, int]:
        """Return how many proposals each account has under way, by the counts on record."""
        prefix = OWN_PROPOSALS.prefix
        return {key[1:]: self.ledger.find_raw(key).count for key in sorted(self.state) if key[:1] == prefix}

    def proposal(self, number: int = 1) -> Proposal:
        """Return a proposal."""
        return self.ledger.get(PROPOSALS, number_key(number))

    def standing(self, number: int = 1) -> tuple[ProposalState, str]:
        """Return where a proposal stands, and why."""
        proposal = self.proposal(number)
        return proposal.state, proposal.reason

    def tallies(self, number: int = 1) -> tuple[int, int, int, int]:
        """Return the tallies on record, in the order of the choices."""
        proposal = self.proposal(number)
        return proposal.power_yes, proposal.power_no, proposal.power_abstain, proposal.power_veto

    def recounted(self, number: int = 1) -> tuple[int, ...]:
        """Count all votes on record anew, each with the power that the electorate gives it."""
        tallies = dict.fromkeys(VoteChoice, 0)
        for member in self.ledger.get(ELECTORATES, number_key(number)).members:
            record = self.ledger.find(VOTES, vote_key(number, member.validator))
            if record is not None:
                assert record.power == member.power
                tallies[record.choice] += member.power
        return tuple(tallies.values())


def states_told(events: tuple[Event, ...]) -> list[tuple[int, str, str]]:
    """Return number, state and reason of every step of a proposal that events tell."""
    told = [dict(event.attributes) for event in events if event.kind is EventKind.PROPOSAL_STATE]
    return [(each["proposal"], each["state"].decode(), each["reason"].decode()) for each in told]
