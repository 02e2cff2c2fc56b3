"""propose and vote: changes that the validators decide on, with the power that they had when the change was proposed.

Who may vote, and with how much, is fixed when a proposal is made: bonding, delegating, jail or a slash afterwards move no vote, and
no power votes twice. Delegators follow their validator. A proposal is decided as soon as the missing votes cannot change it, and at
the latest when its time is over. What passes waits for its timelock, in which vetoes still end it; a brake has none. Shares count
as the parameters say when votes are counted, times as they say when they begin. Who voted how is forgotten some time after the
end, a few votes with each deadline, so that a block's work stays within its budget; the tallies stay.

Invariants:
- The tallies are the sums of the votes on record.
- A proposal that is under way holds its deposit, counts in `voting_count` and for its proposer, and has a deadline on the wheel.
- A proposal that has ended has its electorate until `votes_kept_until_ms` at least, and a deadline on the wheel while it has it.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from msgspec.structs import replace

from state.codec import encode
from state.deadlines import Deadline, DeadlineKind, push_deadline
from state.errors import TransactionRejected
from state.governance_messages import CastVote, Payload, Propose, VoteChoice
from state.governance_records import (
    ELECTORATES,
    GOVERNANCE_BOOKS,
    NO_PROPOSALS,
    OWN_PROPOSALS,
    PROPOSALS,
    PROPOSALS_OF_ONE_MAX,
    PROPOSALS_OF_OTHERS_MAX,
    PROPOSALS_VOTING_MAX,
    VOTES,
    Electorate,
    GovernanceBooks,
    OwnProposals,
    Proposal,
    ProposalState,
    VoteRecord,
    VotingPower,
    vote_key,
    votes_kept_until_ms,
)
from state.lists import ListKind, add_member, list_name
from state.messages import message_name
from state.receipts import EventKind
from state.records import CURRENT_SET, ONLY, number_key
from state.runtime.accounts.money import credit, credit_treasury, debit
from state.runtime.context import Context
from state.runtime.governance.ballots import final_decision, find_early_decision, is_brake, is_voted_down, recount
from state.runtime.governance.basis import find_basis
from state.runtime.governance.effects import apply_payload, check_new_payload, check_payload
from state.runtime.life_tables import PROPOSAL_STEPS, ProposalTrigger, check_step
from state.runtime.reasons import TransactionReason

PAYLOAD_BYTES_MAX: Final = 65_536
"""Larger changes are refused whatever envelopes may hold, so that a proposal always fits its record."""
VOTES_FORGOTTEN_MAX: Final = 16
"""Votes that one deadline deletes: as many records as the deadlines of other kinds touch."""


def apply_propose(context: Context, sender: bytes, message: Propose) -> None:
    """Put a change to the vote of the present validators.

    Raises:
        TransactionRejected: PROPOSAL_DEPOSIT_TOO_LOW, TOO_MANY_PROPOSALS, TOO_MANY_OWN_PROPOSALS, BALANCE_TOO_LOW, and
            those of `check_new_payload`.
    """
    ledger, governance = context.ledger, context.params.governance
    if message.deposit < governance.proposal_deposit:
        raise TransactionRejected(
            TransactionReason.PROPOSAL_DEPOSIT_TOO_LOW, message.deposit, governance.proposal_deposit
        )
    members = ledger.get(CURRENT_SET, ONLY).members
    electorate = Electorate(members=tuple(VotingPower(validator=each.address, power=each.power) for each in members))
    books = ledger.find(GOVERNANCE_BOOKS, ONLY) or NO_PROPOSALS
    _check_room(context, books, sender, is_validator=power_in(electorate, sender) > 0)
    _check_size(message.payload)
    check_new_payload(context, message.payload)
    if message.deposit:
        debit(context, sender, message.deposit)
    key, vote_until_ms = number_key(books.next_proposal), context.time_ms + governance.voting_ms
    ledger.put(PROPOSALS, key, _new_proposal(context, sender, message, electorate, vote_until_ms))
    ledger.put(ELECTORATES, key, electorate)
    add_member(ledger, list_name(ListKind.PROPOSALS), key)
    push_deadline(ledger, DeadlineKind.PROPOSAL_DUE, key, vote_until_ms)
    context.emit(
        EventKind.PROPOSED,
        proposal=books.next_proposal,
        proposer=sender,
        kind=message_name(type(message.payload)).encode(),
        vote_until_ms=vote_until_ms,
    )
    ledger.put(GOVERNANCE_BOOKS, ONLY, replace(books, next_proposal=books.next_proposal + 1))
    _count(context, sender, 1)


def _check_room(context: Context, books: GovernanceBooks, proposer: bytes, *, is_validator: bool) -> None:
    """Check that another proposal may be under way. Some places are the validators' own, so that nobody can take all."""
    own_count = _count_own(context, proposer)
    if own_count >= PROPOSALS_OF_ONE_MAX:
        raise TransactionRejected(TransactionReason.TOO_MANY_OWN_PROPOSALS, own_count, PROPOSALS_OF_ONE_MAX)
    count_max = PROPOSALS_VOTING_MAX if is_validator else PROPOSALS_OF_OTHERS_MAX
    if books.voting_count >= count_max:
        raise TransactionRejected(TransactionReason.TOO_MANY_PROPOSALS, books.voting_count, count_max)


def _count_own(context: Context, proposer: bytes) -> int:
    own = context.ledger.find(OWN_PROPOSALS, proposer)
    return 0 if own is None else own.count


def _count(context: Context, proposer: bytes, change: int) -> None:
    """Count a proposal that comes under way, or one that ends, among all and for its proposer."""
    ledger, own_count = context.ledger, _count_own(context, proposer) + change
    books = ledger.get(GOVERNANCE_BOOKS, ONLY)
    ledger.put(GOVERNANCE_BOOKS, ONLY, replace(books, voting_count=books.voting_count + change))
    if own_count:
        ledger.put(OWN_PROPOSALS, proposer, OwnProposals(count=own_count))
    else:
        ledger.delete(OWN_PROPOSALS, proposer)


def _check_size(payload: Payload) -> None:
    byte_count = len(encode(payload))
    if byte_count > PAYLOAD_BYTES_MAX:
        raise TransactionRejected(TransactionReason.PAYLOAD_MALFORMED, f"{byte_count} bytes", PAYLOAD_BYTES_MAX)


def _new_proposal(
    context: Context, proposer: bytes, message: Propose, electorate: Electorate, vote_until_ms: int
) -> Proposal:
    return Proposal(
        proposer=proposer,
        title=message.title,
        payload=message.payload,
        basis=find_basis(context.ledger, message.payload),
        deposit=message.deposit,
        state=ProposalState.VOTING,
        reason="",
        created_ms=context.time_ms,
        created_height=context.height,
        vote_until_ms=vote_until_ms,
        execute_at_ms=0,
        decided_ms=0,
        power_total=sum(member.power for member in electorate.members),
        power_yes=0,
        power_no=0,
        power_abstain=0,
        power_veto=0,
    )


def power_in(electorate: Electorate, operator: bytes) -> int:
    """Return the power that an operator's validator votes with, 0 if it may not vote."""
    members = electorate.members
    index = bisect_left(members, operator, key=_validator_of)
    return members[index].power if index < len(members) and members[index].validator == operator else 0


def _validator_of(member: VotingPower) -> bytes:
    return member.validator


def apply_vote(context: Context, sender: bytes, message: CastVote) -> None:
    """Count a validator's vote in the place of its vote before, and decide if that settles it.

    Raises:
        TransactionRejected: NO_PROPOSAL, VOTING_OVER, NO_POWER.
    """
    ledger, number = context.ledger, message.proposal
    proposal = ledger.find(PROPOSALS, number_key(number))
    if proposal is None:
        raise TransactionRejected(TransactionReason.NO_PROPOSAL, number)
    trigger = ProposalTrigger.VETO if message.choice is VoteChoice.VETO else ProposalTrigger.VOTE
    _check_open(context, proposal, trigger)
    power = power_in(ledger.get(ELECTORATES, number_key(number)), sender)
    if not power:
        raise TransactionRejected(TransactionReason.NO_POWER, sender.hex())
    before = ledger.find(VOTES, vote_key(number, sender))
    proposal = recount(proposal, power, before.choice if before else None, message.choice)
    ledger.put(PROPOSALS, number_key(number), proposal)
    ledger.put(VOTES, vote_key(number, sender), VoteRecord(choice=message.choice, power=power, time_ms=context.time_ms))
    choice = message.choice.name.lower().encode()
    context.emit(EventKind.VOTED, proposal=number, validator=sender, choice=choice, power=power)
    if proposal.state is ProposalState.PASSED:
        if is_voted_down(proposal, context.params.governance):
            _end(context, number, proposal, trigger, ProposalState.VETOED)
        return
    decision = find_early_decision(proposal, context.params.governance)
    if decision is not None:
        _decide(context, number, proposal, trigger, decision.reason)


def _check_open(context: Context, proposal: Proposal, trigger: ProposalTrigger) -> None:
    """Check that a vote may still come: any until the time for votes is over, then vetoes until the end of the timelock."""
    is_voting = proposal.state is ProposalState.VOTING
    until_ms = proposal.vote_until_ms if is_voting else proposal.execute_at_ms
    if trigger not in PROPOSAL_STEPS[proposal.state] or context.time_ms > until_ms:
        raise TransactionRejected(TransactionReason.VOTING_OVER, proposal.state.name.lower())


def finish_proposal(context: Context, deadline: Deadline) -> None:
    """Decide a proposal whose time for votes is over, or apply one whose timelock is; do nothing if it has moved on."""
    number = int.from_bytes(deadline.subject, "big")
    proposal = context.ledger.get(PROPOSALS, deadline.subject)
    if proposal.state is ProposalState.VOTING:
        decision = final_decision(proposal, context.params.governance)
        _decide(context, number, proposal, ProposalTrigger.VOTE_UNTIL, decision.reason)
    elif proposal.state is ProposalState.PASSED and proposal.execute_at_ms <= context.time_ms:
        _execute(context, number, proposal, ProposalTrigger.EXECUTE_AT)


def _decide(
    context: Context,
    number: int,
    proposal: Proposal,
    trigger: ProposalTrigger,
    rejection: TransactionReason | None,
) -> None:
    """Reject a proposal, apply a brake, or let another change wait for the end of its timelock."""
    if rejection is not None:
        _end(context, number, proposal, trigger, ProposalState.REJECTED, rejection)
    elif is_brake(proposal.payload):
        _execute(context, number, proposal, trigger)
    else:
        check_step(PROPOSAL_STEPS, proposal.state, trigger, ProposalState.PASSED)
        execute_at_ms = context.time_ms + context.params.governance.timelock_ms
        passed = replace(proposal, state=ProposalState.PASSED, execute_at_ms=execute_at_ms)
        context.ledger.put(PROPOSALS, number_key(number), passed)
        push_deadline(context.ledger, DeadlineKind.PROPOSAL_DUE, number_key(number), execute_at_ms)
        _emit_state(context, number, passed)


def _execute(context: Context, number: int, proposal: Proposal, trigger: ProposalTrigger) -> None:
    """Apply what has passed. What other changes have made impossible since fails; all is checked before anything is written."""
    if find_basis(context.ledger, proposal.payload) != proposal.basis:
        _end(context, number, proposal, trigger, ProposalState.FAILED, TransactionReason.BASIS_MOVED)
        return
    try:
        check_payload(context, proposal.payload)
    except TransactionRejected as rejection:
        _end(context, number, proposal, trigger, ProposalState.FAILED, rejection.reason)
        return
    _end(context, number, proposal, trigger, ProposalState.EXECUTED)
    apply_payload(context, number, proposal.payload)


def _end(
    context: Context,
    number: int,
    proposal: Proposal,
    trigger: ProposalTrigger,
    state: ProposalState,
    reason: str = "",
) -> None:
    """End a proposal: its deposit goes back, or to the treasury if it was vetoed. Its votes are forgotten later."""
    check_step(PROPOSAL_STEPS, proposal.state, trigger, state)
    is_vetoed = state is ProposalState.VETOED or reason == TransactionReason.VOTED_DOWN
    if is_vetoed:
        credit_treasury(context, proposal.deposit)
    elif proposal.deposit:
        credit(context, proposal.proposer, proposal.deposit)
    ended = replace(proposal, deposit=0, state=state, reason=str(reason), decided_ms=context.time_ms)
    context.ledger.put(PROPOSALS, number_key(number), ended)
    _count(context, proposal.proposer, -1)
    _forget_later(context, number_key(number), 0, votes_kept_until_ms(ended))
    _emit_state(context, number, ended)


def forget_votes(context: Context, deadline: Deadline) -> None:
    """Delete some votes on a proposal that ended long ago; the next block goes on, and the last ones take the electorate along."""
    ledger, number, gone_count = context.ledger, deadline.subject[:8], int.from_bytes(deadline.subject[8:], "big")
    members = ledger.get(ELECTORATES, number).members
    stop = gone_count + VOTES_FORGOTTEN_MAX
    for member in members[gone_count:stop]:
        ledger.delete(VOTES, vote_key(int.from_bytes(number, "big"), member.validator))
    if stop < len(members):
        _forget_later(context, number, stop, context.time_ms + 1)
    else:
        ledger.delete(ELECTORATES, number)


def _forget_later(context: Context, number: bytes, gone_count: int, due_ms: int) -> None:
    push_deadline(context.ledger, DeadlineKind.VOTES_OVER, number + number_key(gone_count), due_ms)


def _emit_state(context: Context, number: int, proposal: Proposal) -> None:
    context.emit(
        EventKind.PROPOSAL_STATE,
        proposal=number,
        state=proposal.state.name.lower().encode(),
        reason=proposal.reason.encode(),
        execute_at_ms=proposal.execute_at_ms,
    )
