"""Lists of orders that wait for a review, because what they depend on has changed: an enclave fell, a resource was withdrawn.

A list is walked downwards, as cohorts are (state/runtime/trust/cohorts.py): who leaves or joins meanwhile was seen or need not be.
A walk is never begun anew; what is asked for meanwhile is another walk, behind those that wait.
"""

from __future__ import annotations

from msgspec.structs import replace

from state.ledger import Ledger, Overlay
from state.lists import ListKind, add_member, count_members, list_name
from state.order_records import REVIEW_WALKS, ReviewWalk

REVIEWS = list_name(ListKind.REVIEWS)


def orders_of_enclave(enclave: bytes) -> bytes:
    """Return the name of the list of orders that an enclave runs."""
    return list_name(ListKind.ENCLAVE, enclave)


def orders_of_resource(resource: bytes) -> bytes:
    """Return the name of the list of orders that use a resource."""
    return list_name(ListKind.RESOURCE, resource)


def ask_review(ledger: Overlay, orders: bytes) -> None:
    """Have all orders of a list reviewed, at the end of this block and of those after it."""
    count = count_members(ledger, orders)
    if not count:
        return
    walk = ledger.find(REVIEW_WALKS, orders)
    if walk is None:
        add_member(ledger, REVIEWS, orders)
        ledger.put(REVIEW_WALKS, orders, ReviewWalk(unseen_count=count, is_asked_again=False))
    elif walk.unseen_count < count and not walk.is_asked_again:
        ledger.put(REVIEW_WALKS, orders, replace(walk, is_asked_again=True))


def has_reviews(ledger: Ledger) -> bool:
    """Tell whether orders wait for a review."""
    return count_members(ledger, REVIEWS) > 0
