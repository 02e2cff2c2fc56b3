"""set_auth: changes of the keys that may act for an account.

What strengthens control takes effect at once; anything else waits for `auth_delay_ms`, in which any later `set_auth` of the
account cancels it (see authorisation for the difference). A quorum of guardians may start a change too: somebody else sends and
pays, the guardians sign. It always waits, so guardians cannot take over an account whose owner is awake.
"""

from __future__ import annotations

from itertools import pairwise

from msgspec.structs import replace

from state.address import AddressKind
from state.deadlines import Deadline, DeadlineKind, push_deadline
from state.errors import TransactionRejected
from state.messages import Scope, SetAuth
from state.receipts import EventKind
from state.records import ACCOUNTS, AUTHS, PENDING_AUTHS, Auth, PendingAuth
from state.runtime.accounts.authorisation import is_strengthening, scope_weight
from state.runtime.context import Context
from state.runtime.reasons import TransactionReason


def apply_set_auth(context: Context, sender: bytes, message: SetAuth) -> None:
    """Replace the keys of the sender's account, or of another one whose guardians' quorum the transaction's authorisation found.

    Raises:
        TransactionRejected: KEYS_NOT_SORTED, UNREACHABLE_THRESHOLD, BAD_GUARDIAN_QUORUM, NOT_AN_ACCOUNT, GUARDIAN_IS_SELF.
    """
    proposed = Auth(
        keys=message.keys,
        threshold=message.threshold,
        guardians=message.guardians,
        guardian_quorum=message.guardian_quorum,
    )
    check_auth(message.account, proposed)
    present = context.ledger.find(AUTHS, message.account)
    is_recovery = message.account != sender
    _cancel_pending(context, message.account)
    if not is_recovery and is_strengthening(message.account, present, proposed):
        _install(context, message.account, proposed)
        return
    due_ms = context.time_ms + context.params.accounts.auth_delay_ms
    context.ledger.put(PENDING_AUTHS, message.account, PendingAuth(auth=proposed, due_ms=due_ms))
    push_deadline(context.ledger, DeadlineKind.AUTH_DUE, message.account, due_ms)
    context.emit(EventKind.AUTH_PENDING, account=message.account, due_ms=due_ms)


def finish_auth_change(context: Context, deadline: Deadline) -> None:
    """Put a pending change into force if it is the one whose time has come; a cancelled one left its deadline behind."""
    pending = context.ledger.find(PENDING_AUTHS, deadline.subject)
    if pending is not None and pending.due_ms <= context.time_ms:
        context.ledger.delete(PENDING_AUTHS, deadline.subject)
        _install(context, deadline.subject, pending.auth)


def check_auth(account: bytes, auth: Auth) -> None:
    """Check that keys and guardians are in order and that the owner can always act.

    Scope OWN must be reachable, and so must every scope that any key has: one that is not would be a mistake.

    Raises:
        TransactionRejected: as in apply_set_auth.
    """
    public_keys = [key.public_key for key in auth.keys]
    for names in (public_keys, list(auth.guardians)):
        if any(left >= right for left, right in pairwise(names)):
            raise TransactionRejected(TransactionReason.KEYS_NOT_SORTED)
    for scope in Scope:
        weight = scope_weight(auth.keys, scope)
        if weight < auth.threshold and (weight or scope is Scope.OWN):
            raise TransactionRejected(TransactionReason.UNREACHABLE_THRESHOLD, weight, auth.threshold)
    if not min(1, len(auth.guardians)) <= auth.guardian_quorum <= len(auth.guardians):
        seen, bound = auth.guardian_quorum, len(auth.guardians)
        raise TransactionRejected(TransactionReason.BAD_GUARDIAN_QUORUM, seen, bound)
    for guardian in auth.guardians:
        if guardian[0] != AddressKind.ACCOUNT:
            raise TransactionRejected(TransactionReason.NOT_AN_ACCOUNT, guardian.hex())
        if guardian == account:
            raise TransactionRejected(TransactionReason.GUARDIAN_IS_SELF)


def _cancel_pending(context: Context, address: bytes) -> None:
    if context.ledger.find(PENDING_AUTHS, address) is not None:
        context.ledger.delete(PENDING_AUTHS, address)
        context.emit(EventKind.AUTH_CANCELLED, account=address)


def _install(context: Context, address: bytes, auth: Auth) -> None:
    """Put keys into force. An account with guardians or a pending change exists."""
    ledger = context.ledger
    ledger.put(AUTHS, address, auth)
    ledger.put(ACCOUNTS, address, replace(ledger.get(ACCOUNTS, address), has_auth=True))
    context.emit(EventKind.AUTH_SET, account=address)
