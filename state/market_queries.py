"""Readers of the market: who could use a resource now, and what was said about whom. They change nothing.

Who could use a resource follows from its policy alone: nothing is known of an order that nobody has placed, so what is found is who
is not ruled out. Whether a certain order is let in is told by the dry run of its transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from operator import and_, or_
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from state.ledger import Ledger
from state.lists import ListKind, count_members, list_name, member_at
from state.offers import ResourceKind
from state.policies import AllOf, AnyOf, Condition, CustomerIn, Not, PolicyNode, ReleaseName, SoftwareIn, SubjectKind
from state.policy_judgement import EnclaveFacts, Facts, Verdict, judge_condition, judge_policy
from state.policy_words import ListedNode, list_policy
from state.records import CHAIN_STATE, ONLY
from state.resource_records import ENDORSEMENTS, RESOURCE_USES, RESOURCES, Endorsement, Resource, subject_name
from state.runtime.policy import endorsements_in
from state.trust_queries import EnclaveFilter, EnclaveView, enclaves

JUDGED_MAX: Final = 100
"""Enclaves that one call judges by a policy, some fifty microseconds each."""


class Usability(Struct, frozen=True):
    """Who could use a resource now, as far as its policy says."""

    conditions: ListedNode | None
    """None: its policy has none."""
    verdict: Verdict
    """With nothing known of an order: FALSE if nobody could, TRUE if everybody could."""
    customers: tuple[bytes, ...]
    """Of the accounts that the policy names, those that are not ruled out."""
    are_others_customers: bool
    """Whether accounts that it does not name are not ruled out."""
    software: tuple[ReleaseName, ...]
    """Of the software that the policy names, what is not ruled out alone in its order."""
    is_other_software: bool
    """Likewise of software that it does not name."""
    enclaves: tuple[UsableEnclave, ...]
    """Usable enclaves that the policy does not rule out."""
    next_cursor: bytes
    """Where to go on with enclaves; no bytes at the end. A page may be short although more follows."""


class UsableEnclave(Struct, frozen=True):
    """An enclave that a policy does not rule out."""

    view: EnclaveView
    holds: bool
    """Whether the policy holds for it whatever the order says."""


class EndorsementView(Struct, frozen=True):
    """One endorsement."""

    key: bytes
    endorsement: Endorsement
    counts: bool
    """Whether its time is not over; it is taken off the record soon after."""


class EndorsementPage(Struct, frozen=True):
    """Some endorsements, the last one of their list first."""

    endorsements: tuple[EndorsementView, ...]
    next_cursor: int | None
    """Where to go on; None at the end."""


def who_can_use(ledger: Ledger, address: bytes, limit: int, cursor: bytes = b"") -> Usability | None:
    """Return who could use a resource, with up to `limit` enclaves from a cursor on; None if there is no such resource."""
    resource = ledger.find(RESOURCES, address)
    if resource is None:
        return None
    policy, facts = resource.policy, _facts(ledger, address, resource)
    verdict = judge_policy(policy, facts).verdict
    customers, are_others_customers = _customers(policy)
    software, is_other_software = _software(policy, address if resource.kind is ResourceKind.SOFTWARE else None)
    found: tuple[UsableEnclave, ...] = ()
    next_cursor = b""
    if verdict is not Verdict.FALSE:
        # A machine is used where it is; all else may go anywhere.
        wanted = EnclaveFilter(hardware=address if resource.kind is ResourceKind.HARDWARE else None)
        page = enclaves(ledger, wanted, min(limit, JUDGED_MAX), cursor)
        found, next_cursor = tuple(_usable(policy, facts, page.enclaves)), page.next_cursor
    return Usability(
        conditions=list_policy(policy),
        verdict=verdict,
        customers=customers,
        are_others_customers=are_others_customers,
        software=software,
        is_other_software=is_other_software,
        enclaves=found,
        next_cursor=next_cursor,
    )


def _facts(ledger: Ledger, address: bytes, resource: Resource) -> Facts:
    """Return what is known before anybody orders: for the next block, at the time of the last one."""
    chain_state, use = ledger.get(CHAIN_STATE, ONLY), ledger.get(RESOURCE_USES, address)
    return Facts(
        resource=address,
        usage_count=use.count + use.promised,
        order=None,
        hardware=address if resource.kind is ResourceKind.HARDWARE else None,
        enclave=None,
        height=chain_state.height + 1,
        time_ms=chain_state.time_ms,
        find_endorsement=endorsements_in(ledger),
    )


def _usable(policy: tuple[PolicyNode, ...], facts: Facts, views: tuple[EnclaveView, ...]) -> Iterator[UsableEnclave]:
    for view in views:
        if view.is_usable:
            known = EnclaveFacts(address=view.address, record=view.enclave, level=view.enclave.level)
            verdict = judge_policy(policy, replace(facts, hardware=view.enclave.hardware, enclave=known)).verdict
            if verdict is not Verdict.FALSE:
                yield UsableEnclave(view, verdict is Verdict.TRUE)


def may_be_customer(ledger: Ledger, address: bytes, resource: Resource, customer: bytes) -> bool:
    """Tell whether a resource's policy does not rule an account's orders out, whatever else they say."""
    facts = _facts(ledger, address, resource)

    def allowed_by(condition: Condition) -> int | None:
        if isinstance(condition, CustomerIn):
            return int(customer in condition.accounts)
        verdict = judge_condition(condition, facts)
        return None if verdict is Verdict.UNKNOWN else int(verdict is Verdict.TRUE)

    return bool(_find_possible(resource.policy, 1, allowed_by))


def _customers(policy: tuple[PolicyNode, ...]) -> tuple[tuple[bytes, ...], bool]:
    """Return the customers that a policy names and does not rule out, and whether others are not ruled out."""
    named = dict.fromkeys(each for node in policy if isinstance(node, CustomerIn) for each in node.accounts)
    bits = {account: 1 << number for number, account in enumerate(named)}

    def allowed_by(condition: Condition) -> int | None:
        return _union(bits[each] for each in condition.accounts) if isinstance(condition, CustomerIn) else None

    possible = _find_possible(policy, len(named) + 1, allowed_by)
    return tuple(each for each, bit in bits.items() if possible & bit), bool(possible >> len(named))


def _software(policy: tuple[PolicyNode, ...], itself: bytes | None) -> tuple[tuple[ReleaseName, ...], bool]:
    """Likewise for software, each alone in its order, or beside the resource itself, which must be named in some release then."""
    named = dict.fromkeys(each for node in policy if isinstance(node, SoftwareIn) for each in node.releases)
    bits = {name: 1 << number for number, name in enumerate(named)}
    bits_by_resource: dict[bytes, int] = {}
    for name, bit in bits.items():
        bits_by_resource[name.resource] = bits_by_resource.get(name.resource, 0) | bit

    def allowed_by(condition: Condition) -> int | None:
        if not isinstance(condition, SoftwareIn):
            return None
        if itself is not None and all(each.resource != itself for each in condition.releases):
            return 0
        return _union(
            bits_by_resource[each.resource] if each.release is None else bits[each] for each in condition.releases
        )

    possible = _find_possible(policy, len(named) + 1, allowed_by)
    return tuple(each for each, bit in bits.items() if possible & bit), bool(possible >> len(named))


def _find_possible(policy: tuple[PolicyNode, ...], count: int, allowed_by: Callable[[Condition], int | None]) -> int:
    """Return for which of `count` candidates, one bit each, a policy may hold, all of them judged at once.

    `allowed_by` tells for which a condition holds; None: it says nothing of candidates, so it may hold and may fail.
    """
    everybody = (1 << count) - 1
    found: list[tuple[int, int]] = []
    """For whom subtrees to the right may hold, and may fail; the next one last."""
    for node in reversed(policy):
        if isinstance(node, AllOf | AnyOf):
            may_hold, may_fail = zip(*(found.pop() for _ in range(node.count)), strict=True)
            holding, failing = (and_, or_) if isinstance(node, AllOf) else (or_, and_)
            found.append((reduce(holding, may_hold), reduce(failing, may_fail)))
        elif isinstance(node, Not):
            found.append(found.pop()[::-1])
        else:
            allowed = allowed_by(node)
            found.append((everybody, everybody) if allowed is None else (allowed, everybody & ~allowed))
    return found[0][0] if found else everybody


def _union(bits: Iterable[int]) -> int:
    return reduce(or_, bits, 0)


def endorsements_by(ledger: Ledger, endorser: bytes, limit: int, cursor: int | None = None) -> EndorsementPage:
    """Return up to `limit` endorsements by an account, from a cursor on."""
    return _page(ledger, list_name(ListKind.ENDORSER, endorser), limit, cursor)


def endorsements_of(
    ledger: Ledger, subject_kind: SubjectKind, subject: bytes, limit: int, cursor: int | None = None
) -> EndorsementPage:
    """Return up to `limit` endorsements of a subject, from a cursor on."""
    return _page(ledger, list_name(ListKind.SUBJECT, subject_name(subject_kind, subject)), limit, cursor)


def _page(ledger: Ledger, name: bytes, limit: int, cursor: int | None) -> EndorsementPage:
    """Walk a list downwards, so that a reader misses nothing that stays while others leave."""
    count = count_members(ledger, name)
    end = count if cursor is None else min(cursor, count)
    start = max(0, end - limit)
    time_ms = ledger.get(CHAIN_STATE, ONLY).time_ms
    views = []
    for number in range(end - 1, start - 1, -1):
        key = member_at(ledger, name, number)
        record = ledger.get(ENDORSEMENTS, key)
        views.append(EndorsementView(key, record, record.until_ms >= time_ms))
    return EndorsementPage(tuple(views), start or None)
