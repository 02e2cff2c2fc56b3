"""endorse: what accounts say about machines, releases, enclaves, resources and each other, with a date, revocable.

The chain keeps the claim and a digest of the statement; what it is worth is for those to judge whose policies name the endorser.
An endorsement leaves the state when it no longer counts. Each has one deadline on the wheel, however often it is replaced; one that
finds its endorsement prolonged waits on, and one that is replaced by a shorter one leaves when the longer would have.

Its endorser pays a bond for its bytes and its places in the lists of endorser and subject, and has it back when it leaves.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from state.address import ADDRESS_BYTES, AddressKind
from state.codec import INTEGER_MAX
from state.deadlines import Deadline, DeadlineKind, push_deadline
from state.errors import TransactionRejected
from state.lists import ListKind, add_member, list_name, member_bytes, remove_member
from state.policies import SubjectKind
from state.receipts import EventKind
from state.resource_records import ENDORSEMENTS, Endorsement, endorsement_key, subject_name
from state.runtime.accounts.money import credit, debit
from state.runtime.context import Context
from state.runtime.reasons import TransactionReason
from state.trust_messages import Endorse
from tee.appraisal import PlatformClass

ENDORSEMENT_MS_MAX: Final = 5 * 365 * 86_400_000
"""How far ahead an endorsement may count: five years."""
_ADDRESS_KINDS = {
    SubjectKind.ENCLAVE: AddressKind.ENCLAVE,
    SubjectKind.RESOURCE: AddressKind.RESOURCE,
    SubjectKind.RELEASE: AddressKind.RESOURCE,
    SubjectKind.ACCOUNT: AddressKind.ACCOUNT,
}


def apply_endorse(context: Context, sender: bytes, message: Endorse) -> None:
    """Put an endorsement on record, replace an older one of the same claim, or take it back.

    Raises:
        TransactionRejected: BAD_SUBJECT, UNEXPECTED_FIELD, UNTIL_PAST, UNTIL_TOO_LATE, NOT_ENDORSED, BALANCE_TOO_LOW.
    """
    if not _is_subject(message.subject_kind, message.subject):
        raise TransactionRejected(TransactionReason.BAD_SUBJECT, message.subject.hex(), message.subject_kind.name)
    if len(message.statement_hash) not in {0, 32}:
        raise TransactionRejected(TransactionReason.UNEXPECTED_FIELD, message.statement_hash.hex(), "32 bytes or none")
    key = endorsement_key(sender, message.subject_kind, message.subject, message.claim)
    before = context.ledger.find(ENDORSEMENTS, key)
    if message.until_ms == 0:
        if before is None:
            raise TransactionRejected(TransactionReason.NOT_ENDORSED, message.claim)
        _remove(context, key, before)
        _emit(context, EventKind.ENDORSEMENT_REVOKED, before, 0)
        return
    if message.until_ms <= context.time_ms:
        raise TransactionRejected(TransactionReason.UNTIL_PAST, message.until_ms, context.time_ms)
    latest_ms = context.time_ms + ENDORSEMENT_MS_MAX
    if message.until_ms > latest_ms:
        raise TransactionRejected(TransactionReason.UNTIL_TOO_LATE, message.until_ms, latest_ms)
    endorsement = Endorsement(
        endorser=sender,
        subject_kind=message.subject_kind,
        subject=message.subject,
        claim=message.claim,
        statement_hash=message.statement_hash,
        from_ms=context.time_ms,
        until_ms=message.until_ms,
        bond_locked=0 if before is None else before.bond_locked,
        wheel_ms=message.until_ms + 1 if before is None else before.wheel_ms,
    )
    if before is None:
        endorsement = _add(context, key, endorsement)
    context.ledger.put(ENDORSEMENTS, key, endorsement)
    _emit(context, EventKind.ENDORSED, endorsement, endorsement.until_ms)


def finish_endorsement(context: Context, deadline: Deadline) -> None:
    """Delete an endorsement that no longer counts; wait on if it was prolonged."""
    key = deadline.subject
    endorsement = context.ledger.find(ENDORSEMENTS, key)
    if endorsement is None or endorsement.wheel_ms != deadline.due_ms:
        return
    if endorsement.until_ms < context.time_ms:
        _remove(context, key, endorsement)
        _emit(context, EventKind.ENDORSEMENT_ENDED, endorsement, endorsement.until_ms)
        return
    due_ms = endorsement.until_ms + 1
    push_deadline(context.ledger, DeadlineKind.ENDORSEMENT_DUE, key, due_ms)
    context.ledger.put(ENDORSEMENTS, key, replace(endorsement, wheel_ms=due_ms))


def _add(context: Context, key: bytes, endorsement: Endorsement) -> Endorsement:
    """Take the bond of an endorsement that was not there, put it into lists and on the wheel; return it with its bond."""
    largest = replace(
        endorsement,
        statement_hash=bytes(32),
        from_ms=INTEGER_MAX,
        until_ms=INTEGER_MAX,
        bond_locked=INTEGER_MAX,
        wheel_ms=INTEGER_MAX,
    )
    byte_count = ENDORSEMENTS.byte_count(key, largest)
    for name in _lists_of(endorsement):
        add_member(context.ledger, name, key)
        byte_count += member_bytes(name, key)
    bond = byte_count * context.params.market.storage_bond_per_byte
    if bond:
        debit(context, endorsement.endorser, bond)
    push_deadline(context.ledger, DeadlineKind.ENDORSEMENT_DUE, key, endorsement.wheel_ms)
    return replace(endorsement, bond_locked=bond)


def _remove(context: Context, key: bytes, endorsement: Endorsement) -> None:
    """Delete an endorsement, take it out of its lists and give its bond back."""
    context.ledger.delete(ENDORSEMENTS, key)
    for name in _lists_of(endorsement):
        remove_member(context.ledger, name, key)
    if endorsement.bond_locked:
        credit(context, endorsement.endorser, endorsement.bond_locked)


def _lists_of(endorsement: Endorsement) -> tuple[bytes, bytes]:
    subject = subject_name(endorsement.subject_kind, endorsement.subject)
    return list_name(ListKind.ENDORSER, endorsement.endorser), list_name(ListKind.SUBJECT, subject)


def _is_subject(kind: SubjectKind, subject: bytes) -> bool:
    """Tell whether bytes can name something of this kind; whether it exists does not matter."""
    if kind is SubjectKind.PLATFORM:
        return 2 <= len(subject) <= 65 and subject[0] in set(PlatformClass)
    size = ADDRESS_BYTES + 8 if kind is SubjectKind.RELEASE else ADDRESS_BYTES
    return len(subject) == size and subject[0] == _ADDRESS_KINDS[kind]


def _emit(context: Context, event: EventKind, endorsement: Endorsement, until_ms: int) -> None:
    context.emit(
        event,
        endorser=endorsement.endorser,
        subject_kind=endorsement.subject_kind.name.lower().encode(),
        subject=endorsement.subject,
        claim=endorsement.claim.encode(),
        until_ms=until_ms,
    )
