"""report: conviction of a validator by two votes that no correct validator signs both.

The conviction is for ever: the validator leaves the next set and can never return, its stake loses a share, bonded, delegated and
unbonding alike, a part of which goes to the reporter. The rest is burned, so that convicting has no other winner.
Votes of an epoch convict as long as it runs and for evidence_age_ms after its end.
"""

from __future__ import annotations

from msgspec.structs import replace

from state.codec import encode
from state.errors import TransactionRejected, VoteRejected
from state.messages import Report
from state.params import BASIS_POINTS
from state.receipts import EventKind
from state.records import EPOCH_ENDS, MONEY, ONLY, VALIDATORS, ValidatorRecord, ValidatorStatus, number_key
from state.runtime.accounts.money import credit
from state.runtime.context import Context
from state.runtime.life_tables import ValidatorTrigger
from state.runtime.reasons import TransactionReason
from state.runtime.staking.delegations import find_validator
from state.runtime.staking.rewards import settle_validator
from state.runtime.staking.roster import leave_roster, set_status
from state.votes import are_conflicting, check_vote_fields, is_vote_signed_by


def apply_report(context: Context, sender: bytes, message: Report) -> None:
    """Convict a validator, slash it and reward the sender.

    Raises:
        TransactionRejected: NO_VALIDATOR, TOMBSTONED, VOTES_NOT_SORTED, BAD_VOTE, NOT_CONFLICTING, EVIDENCE_FROM_FUTURE,
            EVIDENCE_TOO_OLD.
    """
    validator = find_validator(context, message.validator)
    if validator.status is ValidatorStatus.TOMBSTONED:
        raise TransactionRejected(TransactionReason.TOMBSTONED, message.validator.hex())
    _check_pair(message)
    _check_age(context, message.first.epoch)
    for vote in (message.first, message.second):
        if not is_vote_signed_by(context.chain_id, vote, validator.consensus_key):
            raise TransactionRejected(TransactionReason.BAD_VOTE, vote.signature.hex())
    _slash(context, message.validator, settle_validator(context, validator), sender)


def _check_pair(message: Report) -> None:
    """Check that both votes are well-formed, in order, and conflict."""
    if encode(message.first) >= encode(message.second):
        raise TransactionRejected(TransactionReason.VOTES_NOT_SORTED)
    for vote in (message.first, message.second):
        try:
            check_vote_fields(vote.kind, vote.block_hash, vote.result)
        except VoteRejected as rejection:
            raise TransactionRejected(TransactionReason.BAD_VOTE, rejection.seen, rejection.bound) from rejection
    if not are_conflicting(message.first, message.second):
        raise TransactionRejected(TransactionReason.NOT_CONFLICTING)


def _check_age(context: Context, epoch: int) -> None:
    """Check that the epoch of the votes runs or ended within the evidence window."""
    if epoch > context.epoch:
        raise TransactionRejected(TransactionReason.EVIDENCE_FROM_FUTURE, epoch, context.epoch)
    if epoch == context.epoch:
        return
    end = context.ledger.find(EPOCH_ENDS, number_key(epoch))
    bound = context.time_ms - context.params.staking.evidence_age_ms
    if end is None or end.ended_ms < bound:
        raise TransactionRejected(TransactionReason.EVIDENCE_TOO_OLD, epoch, bound)


def _slash(context: Context, address: bytes, validator: ValidatorRecord, reporter: bytes) -> None:
    """Take the share of all stake, pay the reporter, burn the rest, and tombstone."""
    ledger, staking = context.ledger, context.params.staking
    from_stake = validator.stake * staking.slash_bp // BASIS_POINTS
    from_unbonding = validator.unbonding * staking.slash_bp // BASIS_POINTS
    slashed = from_stake + from_unbonding
    reward = slashed * staking.reporter_bp // BASIS_POINTS
    money = ledger.get(MONEY, ONLY)
    ledger.put(MONEY, ONLY, replace(money, burned=money.burned + slashed - reward))
    credit(context, reporter, reward)
    leave_roster(context, address)
    slashed_validator = replace(
        validator, stake=validator.stake - from_stake, unbonding=validator.unbonding - from_unbonding
    )
    context.emit(EventKind.SLASHED, validator=address, amount=slashed, reporter=reporter, reward=reward)
    convict = set_status(context, address, slashed_validator, ValidatorTrigger.REPORT, ValidatorStatus.TOMBSTONED)
    ledger.put(VALIDATORS, address, convict)
