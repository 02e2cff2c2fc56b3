"""assign: a resource gets another owner, who has signed too: state/runtime/rules.py sees to it before anything is paid.

Whatever the resource holds goes along: its bond, and what orders have earned and not paid out yet.
"""

from __future__ import annotations

from msgspec.structs import replace

from state.address import AddressKind
from state.errors import TransactionRejected
from state.lists import ListKind, add_member, count_members, list_name, remove_member
from state.offers import NO_CAPACITY
from state.receipts import EventKind
from state.resource_messages import Assign
from state.resource_records import RESOURCES, Resource
from state.runtime.context import Context
from state.runtime.offers.resources import find_changeable
from state.runtime.reasons import TransactionReason
from state.runtime.trust.cohorts import enclaves_on


def apply_assign(context: Context, sender: bytes, message: Assign) -> None:
    """Give a resource of the sender's to another account.

    Raises:
        TransactionRejected: NOT_AN_ACCOUNT, UNEXPECTED_FIELD, NO_RESOURCE, NOT_OWNER, RESOURCE_NOT_ACTIVE, RESOURCE_IN_USE.
    """
    address, ledger = message.resource, context.ledger
    if message.to[0] != AddressKind.ACCOUNT:
        raise TransactionRejected(TransactionReason.NOT_AN_ACCOUNT, message.to.hex())
    if message.to == sender:
        raise TransactionRejected(TransactionReason.UNEXPECTED_FIELD, message.to.hex(), "another account")
    resource = find_changeable(context, sender, address)
    _check_unused(context, address, resource)
    remove_member(ledger, list_name(ListKind.OWNER, sender), address)
    add_member(ledger, list_name(ListKind.OWNER, message.to), address)
    payees = resource.payees if message.keeps_payees else ()
    ledger.put(RESOURCES, address, replace(resource, owner=message.to, payees=payees))
    context.emit(EventKind.ASSIGNED, resource=address, owner=sender, to=message.to)


def _check_unused(context: Context, address: bytes, resource: Resource) -> None:
    """RESOURCE_IN_USE: hardware stays with its operator while enclaves on it live or orders hold a part of it."""
    enclave_count = count_members(context.ledger, enclaves_on(address))
    if enclave_count:
        raise TransactionRejected(TransactionReason.RESOURCE_IN_USE, f"{enclave_count} enclaves", 0)
    if resource.in_use is not None and resource.in_use != NO_CAPACITY:
        raise TransactionRejected(TransactionReason.RESOURCE_IN_USE, "orders", "no capacity in use")
