"""grant: the owner of a line releases its key to the enclave that runs the order, or refuses.

Who released what to which enclave is public. The policy is judged again, as of now, and a use is promised. The capsule itself
travels in the transaction; the state keeps its digest.
"""

from __future__ import annotations

from hashlib import sha256

from state.crypto import verify
from state.errors import TransactionRejected
from state.order_messages import Grant, GrantAnswer, grant_signing_bytes
from state.order_records import ORDER_GRANTS, CloseReason, OrderGrant, OrderTerms, line_key
from state.order_terms import AgreedLine
from state.receipts import EventKind
from state.resource_records import RELEASES, RESOURCES, ReleaseStatus, Resource, numbered_key
from state.runtime.context import Context
from state.runtime.orders.accepting import check_runs, find_trusted
from state.runtime.orders.books import find_order, patience_ms, put_order, with_time_to_start
from state.runtime.orders.clock import bring_up_to_date, find_ungranted
from state.runtime.orders.policies import check_line_may_run
from state.runtime.orders.steps import close_order
from state.runtime.orders.table import Trigger, check_allowed
from state.runtime.orders.usage import promise_use
from state.runtime.reasons import TransactionReason


def apply_grant(context: Context, sender: bytes, message: Grant) -> None:
    """Release the key of a line, or refuse it.

    Raises:
        TransactionRejected: NO_ORDER, WRONG_STATE, NO_LINE, UNEXPECTED_FIELD, NOT_OWNER, NO_ENCLAVE, BAD_VAULT, GRANT_STALE,
            NOT_CURRENT, ENCLAVE_NOT_TRUSTED, WRONG_PROGRAM, POLICY_DENIED.
    """
    address = message.order
    terms, order = find_order(context.ledger, address)
    order = bring_up_to_date(context, address, terms, order)
    is_refusal = message.answer is GrantAnswer.REFUSE
    check_allowed(order.state, Trigger.REFUSE if is_refusal else Trigger.GRANT)
    line = _find_line(terms, message.line)
    if is_refusal is bool(message.capsule):
        raise TransactionRejected(TransactionReason.UNEXPECTED_FIELD, len(message.capsule), "a capsule, or a refusal")
    resource = context.ledger.get(RESOURCES, line.resource)
    granted_by = _check_granter(context, sender, message, resource)
    if (message.enclave, message.grant_epoch) != (order.enclave, resource.grant_epoch):
        seen = f"{message.enclave.hex()} epoch {message.grant_epoch}"
        raise TransactionRejected(
            TransactionReason.GRANT_STALE, seen, f"{order.enclave.hex()} epoch {resource.grant_epoch}"
        )
    if is_refusal:
        context.emit(EventKind.GRANT_REFUSED, order=address, line=message.line, resource=line.resource)
        reason = CloseReason.GRANT_REFUSED
        order = close_order(context, address, terms, order, reason, trigger=Trigger.REFUSE, closed_by=granted_by)
        put_order(context, address, terms, order)
        return
    check_runs(terms, find_trusted(context, order.enclave))
    _check_not_revoked(context, line)
    check_line_may_run(context, terms, order, message.line)
    capsule_hash = sha256(message.capsule).digest()
    grant = OrderGrant(
        enclave=message.enclave,
        release=line.release,
        grant_epoch=message.grant_epoch,
        capsule_hash=capsule_hash,
        granted_by=granted_by,
        height=context.height,
    )
    was_ungranted = find_ungranted(context, address, terms, order) is not None
    context.ledger.put(ORDER_GRANTS, line_key(address, message.line), grant)
    order = promise_use(context, terms, order, message.line)
    if was_ungranted and find_ungranted(context, address, terms, order) is None:
        order = with_time_to_start(context, terms, order, patience_ms(order))
    put_order(context, address, terms, order)
    context.emit(
        EventKind.GRANTED,
        order=address,
        line=message.line,
        resource=line.resource,
        enclave=message.enclave,
        grant_epoch=message.grant_epoch,
        capsule_hash=capsule_hash,
    )


def _find_line(terms: OrderTerms, index: int) -> AgreedLine:
    if index >= len(terms.lines) or not terms.lines[index].is_sealed:
        raise TransactionRejected(TransactionReason.NO_LINE, index)
    return terms.lines[index]


def _check_granter(context: Context, sender: bytes, message: Grant, resource: Resource) -> bytes:
    """Return who answers: the owner, or a trusted enclave of the resource's vault that has signed this answer."""
    if not message.vault_enclave:
        if message.vault_signature:
            raise TransactionRejected(TransactionReason.UNEXPECTED_FIELD, "a signature without a vault's enclave")
        if resource.owner != sender:
            raise TransactionRejected(TransactionReason.NOT_OWNER, sender.hex(), resource.owner.hex())
        return sender
    enclave = find_trusted(context, message.vault_enclave)
    release = context.ledger.get(RELEASES, numbered_key(enclave.image, enclave.release))
    if enclave.image != resource.vault or release.status is not ReleaseStatus.CURRENT:
        raise TransactionRejected(TransactionReason.BAD_VAULT, enclave.image.hex(), resource.vault.hex())
    if not verify(enclave.sign_key, message.vault_signature, grant_signing_bytes(context.chain_id, message)):
        raise TransactionRejected(TransactionReason.BAD_VAULT, "signature")
    return message.vault_enclave


def _check_not_revoked(context: Context, line: AgreedLine) -> None:
    status = context.ledger.get(RELEASES, numbered_key(line.resource, line.release)).status
    if status is ReleaseStatus.REVOKED:
        raise TransactionRejected(TransactionReason.NOT_CURRENT, status.name.lower())
