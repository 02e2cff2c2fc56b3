"""Cohorts: enclaves that stand or fall with the same collateral, and the queue of those that must be judged again.

A document that moves concerns whole cohorts, so it puts a few names into the queue, however many enclaves there are. The walk
through a cohort goes downwards and remembers how many members it has not seen: members that join were just judged, and one that
takes the place of another that left was seen already.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable

from msgspec.structs import replace

from state.errors import TransactionRejected
from state.ledger import Ledger, Overlay
from state.lists import ListKind, add_member, count_members, list_name, remove_member
from state.records import ONLY
from state.runtime.judgement import product_of
from state.runtime.reasons import TransactionReason
from state.trust_records import COHORT_BOOKS, COHORTS, COHORTS_MAX, Cohort, Cohorts, Enclave, cohort_id
from tee.claims import NitroClaims, SgxClaims, SnpClaims, TdxClaims


def cohort_of(enclave: Enclave) -> Cohort:
    """Return the cohort that an enclave belongs to, as it is when nobody is in it."""
    match enclave.claims:
        case SgxClaims(platform=platform) | TdxClaims(platform=platform):
            issuer = platform.pck_issuer
        case SnpClaims(vek_issuer=vek_issuer):
            issuer = vek_issuer
        case NitroClaims():
            issuer = b""
    product = product_of(enclave.claims)
    return Cohort(tee=enclave.tee, root=enclave.root, product=product, issuer=issuer, unseen_count=0)


def id_of(cohort: Cohort) -> bytes:
    """Return the id of a cohort."""
    return cohort_id(cohort.tee, cohort.root, cohort.product, cohort.issuer)


def members_list(identity: bytes) -> bytes:
    """Return the name of the list of a cohort's members."""
    return list_name(ListKind.COHORT, identity)


def join_cohort(ledger: Overlay, address: bytes, enclave: Enclave) -> None:
    """Make an enclave a member of its cohort, which is made if there is none.

    Raises:
        TransactionRejected: TOO_MANY_COHORTS.
    """
    cohort = cohort_of(enclave)
    identity = id_of(cohort)
    if ledger.find(COHORTS, identity) is None:
        books = _without_empty(ledger, ledger.get(COHORT_BOOKS, ONLY))
        if len(books.ids) >= COHORTS_MAX:
            raise TransactionRejected(TransactionReason.TOO_MANY_COHORTS, len(books.ids), COHORTS_MAX)
        ids = list(books.ids)
        insort(ids, identity)
        ledger.put(COHORT_BOOKS, ONLY, replace(books, ids=tuple(ids)))
        ledger.put(COHORTS, identity, cohort)
    add_member(ledger, members_list(identity), address)


def leave_cohort(ledger: Overlay, address: bytes, enclave: Enclave) -> None:
    """Take an enclave out of its cohort; the cohort stays until room is needed."""
    remove_member(ledger, members_list(id_of(cohort_of(enclave))), address)


def _without_empty(ledger: Overlay, books: Cohorts) -> Cohorts:
    """Forget cohorts without members if there is no room for another one."""
    if len(books.ids) < COHORTS_MAX:
        return books
    kept = tuple(identity for identity in books.ids if count_members(ledger, members_list(identity)))
    for identity in set(books.ids) - set(kept):
        ledger.delete(COHORTS, identity)
    return Cohorts(ids=kept, queue=tuple(identity for identity in books.queue if identity in kept))


def enqueue(ledger: Overlay, concerns: Callable[[Cohort], bool]) -> None:
    """Have every cohort judged again that this concerns, from its beginning if its turn had come before."""
    books = ledger.get(COHORT_BOOKS, ONLY)
    queue = list(books.queue)
    for identity in books.ids:
        cohort = ledger.get(COHORTS, identity)
        count = count_members(ledger, members_list(identity))
        if count and concerns(cohort):
            ledger.put(COHORTS, identity, replace(cohort, unseen_count=count))
            if identity not in queue:
                queue.append(identity)
    if len(queue) != len(books.queue):
        ledger.put(COHORT_BOOKS, ONLY, replace(books, queue=tuple(queue)))


def enqueue_all(ledger: Overlay) -> None:
    """Have every enclave judged again."""
    enqueue(ledger, lambda _cohort: True)


def has_queue(ledger: Ledger) -> bool:
    """Tell whether a re-appraisal is under way."""
    return bool(ledger.get(COHORT_BOOKS, ONLY).queue)
