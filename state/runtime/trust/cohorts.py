"""Cohorts: enclaves that stand or fall with the same collateral, and the queue of those that must be judged again.

A document that moves concerns whole cohorts, so it puts a few names into the queue, however many enclaves there are. The walk
through a cohort goes downwards and remembers how many members it has not seen: members that join were just judged, and one that
takes the place of another that left was seen already.

A walk is never begun anew, or who moves something in every block would keep its end out of reach. What is asked for meanwhile is
another walk, behind those that wait already. What a block asks for is put into the queue once, at its end.
"""

from __future__ import annotations

from bisect import insort

from msgspec.structs import replace

from state.errors import TransactionRejected
from state.ledger import Ledger, Overlay
from state.lists import ListKind, add_member, count_members, list_name, remove_member
from state.records import ONLY
from state.resource_records import numbered_key
from state.runtime.context import Concern, Context
from state.runtime.reasons import TransactionReason
from state.runtime.trust.judgement import product_of
from state.trust_records import (
    COHORT_BOOKS,
    COHORTS,
    COHORTS_MAX,
    ENCLAVES,
    Cohort,
    Cohorts,
    Enclave,
    cohort_id,
)
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


def runners_list(enclave: Enclave) -> bytes:
    """Return the name of the list of enclaves that run the same release."""
    return list_name(ListKind.RELEASE, numbered_key(enclave.image, enclave.release))


def enclaves_on(hardware: bytes) -> bytes:
    """Return the name of the list of enclaves on a hardware resource."""
    return list_name(ListKind.HARDWARE, hardware)


def has_runners(ledger: Ledger, release_key: bytes) -> bool:
    """Tell whether an enclave that is neither expired nor revoked runs a release; by its image's address and its number."""
    return count_members(ledger, list_name(ListKind.RELEASE, release_key)) > 0


def join_cohort(ledger: Overlay, address: bytes, enclave: Enclave) -> None:
    """Make an enclave a member of its cohort, which is made if there is none, and of those with its release and its hardware.

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
    before, runners = ledger.find(ENCLAVES, address), runners_list(enclave)
    if before is not None and runners_list(before) != runners:
        remove_member(ledger, runners_list(before), address)
    add_member(ledger, runners, address)
    add_member(ledger, enclaves_on(enclave.hardware), address)


def leave_cohort(ledger: Overlay, address: bytes, enclave: Enclave) -> None:
    """Take an enclave out of its cohort, which stays until room is needed, and from those with its release and its hardware."""
    remove_member(ledger, members_list(id_of(cohort_of(enclave))), address)
    remove_member(ledger, runners_list(enclave), address)
    remove_member(ledger, enclaves_on(enclave.hardware), address)


def _without_empty(ledger: Overlay, books: Cohorts) -> Cohorts:
    """Forget cohorts without members if there is no room for another one."""
    if len(books.ids) < COHORTS_MAX:
        return books
    kept = dict.fromkeys(identity for identity in books.ids if count_members(ledger, members_list(identity)))
    for identity in books.ids:
        if identity not in kept:
            ledger.delete(COHORTS, identity)
    queue, again = (tuple(identity for identity in names if identity in kept) for names in (books.queue, books.again))
    return Cohorts(ids=tuple(kept), queue=queue, again=again)


def enqueue(context: Context, concern: Concern) -> None:
    """Have every cohort judged again that this concerns, from the end of this block on."""
    context.concerns.append(concern)


def enqueue_all(context: Context) -> None:
    """Have every enclave judged again."""
    enqueue(context, _is_any)


def _is_any(_cohort: Cohort) -> bool:
    return True


def queue_concerned(context: Context) -> None:
    """Put all cohorts into the queue that something in this block concerns; those whose walk is under way get another one."""
    concerns, ledger = context.concerns, context.ledger
    context.concerns = []
    if not concerns:
        return
    if _is_any in concerns:
        concerns = [_is_any]
    books = ledger.get(COHORT_BOOKS, ONLY)
    queue, again = dict.fromkeys(books.queue), dict.fromkeys(books.again)
    for identity in books.ids:
        cohort = ledger.get(COHORTS, identity)
        count = count_members(ledger, members_list(identity))
        if not count or not any(concern(cohort) for concern in concerns):
            continue
        if identity not in queue:
            queue[identity] = None
            ledger.put(COHORTS, identity, replace(cohort, unseen_count=count))
        elif cohort.unseen_count < count:
            again[identity] = None
    ledger.put(COHORT_BOOKS, ONLY, replace(books, queue=tuple(queue), again=tuple(again)))


def queue_again(ledger: Overlay) -> None:
    """Put cohorts whose walk has ended to the end of the queue if another was asked for meanwhile."""
    books = ledger.get(COHORT_BOOKS, ONLY)
    queue, again = dict.fromkeys(books.queue), []
    for identity in books.again:
        if identity in queue:
            again.append(identity)
        elif count := count_members(ledger, members_list(identity)):
            queue[identity] = None
            ledger.put(COHORTS, identity, replace(ledger.get(COHORTS, identity), unseen_count=count))
    if len(again) != len(books.again):
        ledger.put(COHORT_BOOKS, ONLY, replace(books, queue=tuple(queue), again=tuple(again)))


def has_queue(ledger: Ledger) -> bool:
    """Tell whether a re-appraisal is under way."""
    return bool(ledger.get(COHORT_BOOKS, ONLY).queue)
