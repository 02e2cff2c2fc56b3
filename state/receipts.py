"""What execution leaves behind: one receipt for each transaction, and events for each transition.

Receipts stand under the receipts root of the block's result, in the order of the transactions. Events are derived facts for the
event log; how many a transaction has stands in its receipt.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Annotated, Final

from msgspec import Meta

from state.block import BLOCK_TRANSACTIONS_MAX
from state.codec import Amount, Codec, Hash, UInt, Wire
from state.runtime.reasons import TransactionReason

REASON_CHARS_MAX: Final = 64


class ReceiptStatus(IntEnum):
    """How a transaction ended."""

    OK = 1
    """All messages were applied."""
    FAILED = 2
    """No message was applied; `reason` says why, `fee` what it cost all the same."""


class Receipt(Wire, frozen=True):
    """The outcome of one transaction."""

    tx_id: Hash
    status: ReceiptStatus
    reason: Annotated[str, Meta(max_length=REASON_CHARS_MAX)]
    """Value of the reason's enumeration; empty if the status is OK."""
    message_index: UInt
    """Index of the message that failed; 0 if none was run."""
    fee: Amount
    """ubocc charged."""
    work: UInt
    """Units of work counted towards the block's limit."""
    event_count: UInt

    @property
    def is_settling(self) -> bool:
        """Whether this is the fate of its tx_id.

        An envelope whose keys do not authorise its body settles nothing: anybody can make one with the tx_id of somebody else's.
        """
        return self.reason != TransactionReason.UNAUTHORISED


RECEIPT_CODEC: Final = Codec(Receipt, 256)


class EventKind(StrEnum):
    """One per transition of a record. Each names its attributes; addresses and keys are bytes, money and times integers."""

    TRANSFERRED = "transferred"
    """sender, to, amount"""
    AUTH_PENDING = "auth_pending"
    """account, due_ms"""
    AUTH_SET = "auth_set"
    """account"""
    AUTH_CANCELLED = "auth_cancelled"
    """account"""
    BONDED = "bonded"
    """owner, purpose, validator, amount"""
    UNBONDING_STARTED = "unbonding_started"
    """owner, purpose, validator, amount, unbonding (its number), due_ms"""
    UNBONDED = "unbonded"
    """owner, validator, amount, unbonding"""
    REWARDS_CLAIMED = "rewards_claimed"
    """owner, validator, amount"""
    VALIDATOR_STATUS = "validator_status"
    """validator, status (lower-case name)"""
    SLASHED = "slashed"
    """validator, amount, reporter, reward"""
    VALIDATORS_CHANGED = "validators_changed"
    """members, power: count and total of the next set"""
    PUBLISHED = "published"
    """resource, owner, kind (lower-case name)"""
    RELEASED = "released"
    """resource, release (number), content_root"""
    RELEASE_STATUS = "release_status"
    """resource, release, status (lower-case name), until_ms"""
    ENDORSED = "endorsed"
    """endorser, subject_kind (lower-case name), subject, claim, until_ms"""
    ENDORSEMENT_REVOKED = "endorsement_revoked"
    """endorser, subject_kind, subject, claim, until_ms (0)"""
    ENDORSEMENT_ENDED = "endorsement_ended"
    """endorser, subject_kind, subject, claim, until_ms: its date is over, and it leaves the state"""
    COLLATERAL_UPDATED = "collateral_updated"
    """collateral (its key), kind (lower-case name), number, is_early (0, 1: it feeds the forecast alone), issued_ms,
    next_update_ms"""
    COLLATERAL_OVERDUE = "collateral_overdue"
    """collateral, kind, grace_end_ms"""
    NUMBER_SEEN = "number_seen"
    """root, number (of an evaluation), due_ms (when it comes into force)"""
    NUMBER_IN_FORCE = "number_in_force"
    """root, number"""
    ATTESTED = "attested"
    """enclave, operator, hardware, image, release, is_renewal, is_simulated (0, 1), expires_ms"""
    ENCLAVE_CHANGED = "enclave_changed"
    """enclave, operator, state (lower-case name), level, standing, reason"""
    ENCLAVE_FORGOTTEN = "enclave_forgotten"
    """enclave, operator"""
    REAPPRAISED = "reappraised"
    """cohort: all its enclaves have been judged again"""
    RULES_CHANGED = "rules_changed"
    """what (policy, platforms, roots, verifier)"""
    BRAKED = "braked"
    """scope (lower-case name), subject, until_ms"""
    AMENDED = "amended"
    """resource, owner"""
    PLAN_STATUS = "plan_status"
    """resource, plan (number), is_open (0, 1)"""
    RESOURCE_STATUS = "resource_status"
    """resource, status (lower-case name)"""
    GRANT_EPOCH = "grant_epoch"
    """resource, grant_epoch"""
    FROZEN = "frozen"
    """resource"""
    ASSIGNED = "assigned"
    """resource, owner (before), to"""
    ORDERED = "ordered"
    """order, customer, deposit, accept_by_ms"""
    FUNDED = "funded"
    """order, account, amount, held"""
    ACCEPTED = "accepted"
    """order, enclave, operator, hardware, penalty, start_by_ms"""
    GRANTED = "granted"
    """order, line, resource, enclave, grant_epoch, capsule_hash"""
    GRANT_REFUSED = "grant_refused"
    """order, line, resource"""
    ORDER_STARTED = "order_started"
    """order, enclave, operator"""
    OUTPUT = "output"
    """order, enclave, root, is_last (0, 1)"""
    ERASED = "erased"
    """order, enclave"""
    RECEIPT_SKIPPED = "receipt_skipped"
    """order, number, reason: one of many receipts had no effect"""
    USED = "used"
    """resource, number (of its ledger's row), order, release, enclave"""
    SETTLED = "settled"
    """order, amount (to payees), fee (to the treasury), held"""
    LOW_FUNDS = "low_funds"
    """order, share (percent of the deposit that is left: 20 or 5), held, funds_out_ms"""
    STALLED = "stalled"
    """order, enclave, cause (lower-case name)"""
    RESUMED = "resumed"
    """order, enclave"""
    REOPENED = "reopened"
    """order, attempts_left, accept_by_ms"""
    NOTICE_GIVEN = "notice_given"
    """order, account (who gave it), stop_at_ms"""
    PENALISED = "penalised"
    """order, operator, customer, amount"""
    ORDER_CLOSED = "order_closed"
    """order, customer, reason (lower-case name), account (who closed it; none: a deadline), refund"""
    MARKED = "marked"
    """order, operator, mark (lower-case name)"""
    ORDER_FORGOTTEN = "order_forgotten"
    """order, customer"""
    PROPOSED = "proposed"
    """proposal (number), proposer, kind (lower-case name of the payload), vote_until_ms"""
    VOTED = "voted"
    """proposal, validator, choice (lower-case name), power"""
    PROPOSAL_STATE = "proposal_state"
    """proposal, state (lower-case name), reason, execute_at_ms"""
    PARAMS_CHANGED = "params_changed"
    """proposal"""
    UPGRADE_DUE = "upgrade_due"
    """height (of the block that needs the new software), protocol"""
    DEADLINE_FAILED = "deadline_failed"
    """deadline (kind), subject, reason"""


TEXT_ATTRIBUTES: Final = frozenset(
    {
        "cause",
        "choice",
        "claim",
        "deadline",
        "kind",
        "mark",
        "purpose",
        "reason",
        "scope",
        "state",
        "status",
        "subject_kind",
        "what",
    }
)
"""Attributes whose bytes are ASCII text; bytes of all others are addresses, keys and digests."""

Attribute = tuple[Annotated[str, Meta(min_length=1, max_length=32)], UInt | Annotated[bytes, Meta(max_length=128)]]
"""Name and value."""


class Event(Wire, frozen=True):
    """One transition."""

    kind: EventKind
    tx_index: Annotated[int, Meta(ge=0, lt=BLOCK_TRANSACTIONS_MAX)] | None
    """Index of the transaction in its block; None for work at the end of the block."""
    attributes: Annotated[tuple[Attribute, ...], Meta(max_length=16)]


EVENT_CODEC: Final = Codec(Event, 1 << 12)
