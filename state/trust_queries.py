"""Readers of trust: collateral, enclaves, resources, endorsements, and the dry run of an attestation. They change nothing.

Lists are read by cursor, from dense lists of the state; a page may be shorter than asked although more follows, because a filter
skips members and a call looks at a bounded number of them. Forecasts stand in state/forecasts.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from state.block import BlockReference
from state.ledger import Ledger
from state.lists import ListKind, count_members, list_name, member_at
from state.policies import SubjectKind
from state.records import CHAIN_STATE, ONLY, PARAMS
from state.resource_records import (
    ENDORSEMENTS,
    RELEASES,
    RESOURCES,
    Endorsement,
    Release,
    Resource,
    endorsement_key,
    numbered_key,
)
from state.runtime.explain import Check, explain_attest
from state.runtime.trust.cohorts import enclaves_on, members_list
from state.runtime.trust.documents import is_early
from state.runtime.trust.judgement import LIVE, Judge
from state.trust_messages import Attest
from state.trust_records import (
    APPRAISAL_RULES,
    COHORT_BOOKS,
    COLLATERAL,
    COLLATERAL_BODIES,
    ENCLAVES,
    TRUST_BOOKS,
    AppraisalRules,
    Enclave,
    EnclaveState,
)
from tee.documents import Parsed

SCANNED_MAX: Final = 2_000
"""Members that one call looks at."""


class CollateralView(Struct, frozen=True):
    """One document."""

    key: bytes
    document: Parsed
    body_hash: bytes
    first_seen_ms: int
    stored_ms: int
    is_early: bool
    """Above the evaluation number in force: it feeds forecasts alone."""
    is_overdue: bool


class CollateralItem(Struct, frozen=True):
    """One document with its bytes, as a provider's verifier wants it."""

    view: CollateralView
    body: bytes
    chain: tuple[bytes, ...]
    """Certificates as they were sent, DER, signer first."""


class CollateralPage(Struct, frozen=True):
    """Some documents."""

    collaterals: tuple[CollateralView, ...]
    next_cursor: int | None
    """Where to go on; None at the end."""


class EnclaveView(Struct, frozen=True):
    """One enclave."""

    address: bytes
    enclave: Enclave
    expires_ms: int
    """When its proof ends, a change of the verifier and overdue collateral included."""
    is_usable: bool
    """Whether it is trusted, or in grace, as far as it was judged."""


class EnclaveFilter(Struct, frozen=True):
    """Which enclaves to list; None: whatever."""

    operator: bytes | None = None
    hardware: bytes | None = None
    image: bytes | None = None
    tee: int | None = None
    state: EnclaveState | None = None
    """Without an operator only those that are neither expired nor revoked are listed."""
    level_min: int = 0


class EnclavePage(Struct, frozen=True):
    """Some enclaves."""

    enclaves: tuple[EnclaveView, ...]
    next_cursor: bytes
    """Where to go on; no bytes at the end."""


def collateral(ledger: Ledger, key: bytes) -> CollateralItem | None:
    """Return a document by its key (kind, digest of the subject, evaluation number; 29 bytes), or None."""
    view = _collateral_view(ledger, key)
    if view is None:
        return None
    stored = ledger.get(COLLATERAL_BODIES, key)
    return CollateralItem(view, stored.body, stored.chain)


def collaterals(ledger: Ledger, limit: int, cursor: int = 0) -> CollateralPage:
    """Return up to `limit` documents, without their bytes, from a cursor on."""
    name = list_name(ListKind.COLLATERAL)
    count = count_members(ledger, name)
    end = min(count, cursor + limit)
    views = (_collateral_view(ledger, member_at(ledger, name, number)) for number in range(cursor, end))
    return CollateralPage(tuple(view for view in views if view is not None), end if end < count else None)


def _collateral_view(ledger: Ledger, key: bytes) -> CollateralView | None:
    record = ledger.find(COLLATERAL, key)
    if record is None:
        return None
    document = record.document
    return CollateralView(
        key=key,
        document=document,
        body_hash=record.body_hash,
        first_seen_ms=record.first_seen_ms,
        stored_ms=record.stored_ms,
        is_early=is_early(ledger, document),
        is_overdue=(document.valid_until_s + 1) * 1_000 <= ledger.get(CHAIN_STATE, ONLY).time_ms,
    )


def enclave(ledger: Ledger, address: bytes) -> EnclaveView | None:
    """Return an enclave, or None."""
    record = ledger.find(ENCLAVES, address)
    if record is None:
        return None
    cap_ms = ledger.get(TRUST_BOOKS, ONLY).verifier_end_ms(record.attested_ms)
    params, time_ms = ledger.get(PARAMS, ONLY), ledger.get(CHAIN_STATE, ONLY).time_ms
    expires_ms = record.expires_ms
    if record.state in LIVE and expires_ms <= time_ms:
        # Only overdue collateral keeps a proof beyond its own end.
        expires_ms = Judge(ledger, params, time_ms).judge(record).expires_ms
    if cap_ms is not None:
        expires_ms = min(expires_ms, cap_ms)
    is_judged_good = record.state in {EnclaveState.TRUSTED, EnclaveState.GRACE}
    is_usable = is_judged_good and time_ms < expires_ms
    return EnclaveView(address, record, expires_ms, is_usable)


def enclaves(ledger: Ledger, wanted: EnclaveFilter, limit: int, cursor: bytes = b"") -> EnclavePage:
    """Return up to `limit` enclaves that a filter lets pass, from a cursor on."""
    found: list[EnclaveView] = []
    for scanned, (place, address) in enumerate(_places(ledger, wanted, cursor)):
        if len(found) >= limit or scanned >= SCANNED_MAX:
            return EnclavePage(tuple(found), place)
        view = enclave(ledger, address)
        if view is not None and _passes(view.enclave, wanted):
            found.append(view)
    return EnclavePage(tuple(found), b"")


def _places(ledger: Ledger, wanted: EnclaveFilter, cursor: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Return cursors and addresses of the shortest list that has all that is wanted."""
    if wanted.operator is not None:
        return _numbered_places(ledger, list_name(ListKind.OPERATOR, wanted.operator), cursor)
    if wanted.hardware is not None:
        return _numbered_places(ledger, enclaves_on(wanted.hardware), cursor)
    return _live_places(ledger, cursor)


def _numbered_places(ledger: Ledger, name: bytes, cursor: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield cursor and address of the enclaves of one list."""
    for number in range(int.from_bytes(cursor[:8], "big"), count_members(ledger, name)):
        yield number.to_bytes(8, "big"), member_at(ledger, name, number)


def _live_places(ledger: Ledger, cursor: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield cursor (cohort and number) and address of all enclaves that are judged again when something moves."""
    for identity in ledger.get(COHORT_BOOKS, ONLY).ids:
        if identity < cursor[:20]:
            continue
        name = members_list(identity)
        first = int.from_bytes(cursor[20:28], "big") if identity == cursor[:20] else 0
        for number in range(first, count_members(ledger, name)):
            yield identity + number.to_bytes(8, "big"), member_at(ledger, name, number)


def _passes(record: Enclave, wanted: EnclaveFilter) -> bool:
    pairs = (
        (wanted.operator, record.operator),
        (wanted.hardware, record.hardware),
        (wanted.image, record.image),
        (wanted.tee, record.tee),
        (wanted.state, record.state),
    )
    return record.level >= wanted.level_min and all(asked is None or asked == seen for asked, seen in pairs)


def appraise(
    ledger: Ledger, sender: bytes, attest: Attest, wall_ms: int, tip: BlockReference | None = None
) -> tuple[Check, ...]:
    """Return every check of an attestation by this sender, as of now: what was found and what is expected.

    The tip, if given, may be the challenge too: the next block puts it on record.
    """
    return tuple(explain_attest(ledger, sender, attest, wall_ms, tip))


def rules(ledger: Ledger) -> AppraisalRules:
    """Return the policy in force."""
    return ledger.get(APPRAISAL_RULES, ONLY)


def resource(ledger: Ledger, address: bytes) -> Resource | None:
    """Return a resource, or None."""
    return ledger.find(RESOURCES, address)


def release(ledger: Ledger, address: bytes, number: int) -> Release | None:
    """Return a release of a resource, or None."""
    return ledger.find(RELEASES, numbered_key(address, number))


def endorsement(
    ledger: Ledger, endorser: bytes, subject_kind: SubjectKind, subject: bytes, claim: str
) -> Endorsement | None:
    """Return what an account says about a subject under a claim, if it still counts."""
    record = ledger.find(ENDORSEMENTS, endorsement_key(endorser, subject_kind, subject, claim))
    return record if record is not None and record.until_ms >= ledger.get(CHAIN_STATE, ONLY).time_ms else None
