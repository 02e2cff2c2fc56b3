"""The chain's collateral as verifiers and judges ask for it: which document of a subject counts now.

Of documents with an evaluation number, the one with the highest number not above the number in force counts; where only higher ones
are known, the lowest of them. The newest one, whatever its number, is what a forecast looks at.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from hashlib import sha256
from typing import Final

from state.ledger import Ledger
from state.records import ONLY
from state.trust_records import (
    COLLATERAL,
    COLLATERAL_NUMBERS,
    EVALUATIONS,
    TRUSTED_ROOTS,
    Collateral,
    Evaluation,
    TrustedRoots,
    collateral_subject_key,
)
from tee.documents import CollateralKind, IntelTee, Parsed, QeIdentity, RevokedSerials, TcbInfo
from tee.roots import VENDOR_ROOTS, Roots, TrustedRoot, read_simulated_roots
from tee.vek import parse_authority

NO_EVALUATION: Final = Evaluation(number=0, since_ms=0, number_before=0, pending=())


class Choice(IntEnum):
    """Which of several evaluation numbers to look at."""

    IN_FORCE = 1
    NEWEST = 2
    BEFORE = 3
    """What counted right before the number in force came into force; none if there was nothing."""


def subject_of(document: Parsed) -> bytes:
    """Return what a document is about: one subject has one document for each evaluation number."""
    match document:
        case RevokedSerials(kind=CollateralKind.INTEL_PCK_CRL):
            return pck_crl_subject(document.root, sha256(document.issuer).digest(), document.key)
        case RevokedSerials():
            return document.root
        case TcbInfo() | QeIdentity():
            return document.subject


def pck_crl_subject(root: bytes, issuer_hash: bytes, key_hash: bytes) -> bytes:
    """Return the subject of the list of a CA: SHA-256 of its distinguished name, and of its key."""
    return root + issuer_hash + key_hash


def evaluation_of(ledger: Ledger, root: bytes) -> Evaluation:
    """Return which evaluation numbers count below a root."""
    return ledger.find(EVALUATIONS, root) or NO_EVALUATION


def find_key(ledger: Ledger, kind: CollateralKind, root: bytes, subject: bytes, choice: Choice) -> bytes | None:
    """Return the id of the document that counts, or None."""
    subject_key = collateral_subject_key(kind, subject)
    record = ledger.find(COLLATERAL_NUMBERS, subject_key)
    if record is None:
        return None
    numbers = record.numbers
    if choice is Choice.NEWEST or numbers == (0,):
        return subject_key + numbers[-1].to_bytes(8, "big")
    evaluation = evaluation_of(ledger, root)
    bound = evaluation.number
    if choice is Choice.BEFORE:
        bound = evaluation.number_before
        # What came later never counted under that number: who brings it now must not choose what was before.
        numbers = tuple(each for each in numbers if _first_seen_ms(ledger, subject_key, each) < evaluation.since_ms)
        if not numbers:
            return None
    below = [number for number in numbers if number <= bound]
    chosen = below[-1] if below else numbers[0]
    return subject_key + chosen.to_bytes(8, "big")


def _first_seen_ms(ledger: Ledger, subject_key: bytes, number: int) -> int:
    return ledger.get(COLLATERAL, subject_key + number.to_bytes(8, "big")).first_seen_ms


def is_early(ledger: Ledger, document: Parsed) -> bool:
    """Tell whether a document on record only feeds the forecast, for another one of its subject counts."""
    key = find_key(ledger, document.kind, document.root, subject_of(document), Choice.IN_FORCE)
    return key is not None and int.from_bytes(key[-8:], "big") < document.number


class ChainCollateral:
    """The collateral of a state, as the verifiers of `tee` ask for it. Remembers what it gave, so it is for one state."""

    def __init__(self, ledger: Ledger, choice: Choice = Choice.IN_FORCE) -> None:
        """Answer from this state."""
        self._ledger = ledger
        self._choice = choice
        self._found: dict[bytes, Collateral] = {}
        self._keys: dict[tuple[CollateralKind, bytes], bytes | None] = {}
        """Id of the document that counts, by kind and subject."""

    @property
    def used(self) -> tuple[Collateral, ...]:
        """Every document given so far."""
        return tuple(self._found.values())

    def root_crl(self, root: bytes) -> RevokedSerials | None:
        """Return the list of authorities that a root withdrew; the root by SHA-256 of its certificate."""
        document = self._find(CollateralKind.INTEL_ROOT_CRL, root, root)
        return document if isinstance(document, RevokedSerials) else None

    def pck_crl(self, root: bytes, issuer_name: bytes, key_hash: bytes) -> RevokedSerials | None:
        """Return the list of machines that a CA withdrew; the CA by its distinguished name, DER, and the hash of its key."""
        return self.pck_crl_of(root, sha256(issuer_name).digest(), key_hash)

    def pck_crl_of(self, root: bytes, issuer_hash: bytes, key_hash: bytes) -> RevokedSerials | None:
        """Return the same list; the CA by SHA-256 of its distinguished name and of its key, as claims have it."""
        document = self._find(CollateralKind.INTEL_PCK_CRL, root, pck_crl_subject(root, issuer_hash, key_hash))
        return document if isinstance(document, RevokedSerials) else None

    def tcb_info(self, root: bytes, tee: IntelTee, fmspc: bytes) -> TcbInfo | None:
        """Return Intel's statement on the platforms of one FMSPC."""
        document = self._find(CollateralKind.INTEL_TCB_INFO, root, root + bytes((tee,)) + fmspc)
        return document if isinstance(document, TcbInfo) else None

    def qe_identity(self, root: bytes, tee: IntelTee) -> QeIdentity | None:
        """Return Intel's statement on quoting enclaves."""
        document = self._find(CollateralKind.INTEL_QE_IDENTITY, root, root + bytes((tee,)))
        return document if isinstance(document, QeIdentity) else None

    def amd_crl(self, root: bytes) -> RevokedSerials | None:
        """Return the list of authorities that an ARK withdrew."""
        document = self._find(CollateralKind.AMD_CRL, root, root)
        return document if isinstance(document, RevokedSerials) else None

    def _find(self, kind: CollateralKind, root: bytes, subject: bytes) -> Parsed | None:
        asked = (kind, subject)
        if asked not in self._keys:
            key = self._keys[asked] = find_key(self._ledger, kind, root, subject, self._choice)
            if key is not None:
                self._found[key] = self._ledger.get(COLLATERAL, key)
        known = self._keys[asked]
        return None if known is None else self._found[known].document


def roots_of(ledger: Ledger) -> Roots:
    """Return whom the chain trusts: the vendors' own roots without those that governance distrusts, and simulated ones."""
    return _merge_roots(ledger.get(TRUSTED_ROOTS, ONLY))


@lru_cache(maxsize=8)
def _merge_roots(record: TrustedRoots) -> Roots:
    simulated = read_simulated_roots(record.simulated)
    return Roots(
        intel=_trusted(VENDOR_ROOTS.intel + simulated.intel, record),
        amd=_trusted(VENDOR_ROOTS.amd + simulated.amd, record),
        aws=_trusted(VENDOR_ROOTS.aws + simulated.aws, record),
        nvidia=_trusted(VENDOR_ROOTS.nvidia + simulated.nvidia, record),
    )


def _trusted(roots: tuple[TrustedRoot, ...], record: TrustedRoots) -> tuple[TrustedRoot, ...]:
    return tuple(root for root in roots if sha256(root.der).digest() not in record.distrusted)


@lru_cache(maxsize=8)
def roots_by_fingerprint(roots: Roots) -> dict[bytes, TrustedRoot]:
    """Return the trusted roots of all families, by SHA-256 of their certificates."""
    every = (*roots.intel, *roots.amd, *roots.aws, *roots.nvidia)
    return {sha256(root.der).digest(): root for root in every}


def simulated_roots(ledger: Ledger) -> frozenset[bytes]:
    """Return the fingerprints of the roots of simulated hardware that the chain trusts, of every family."""
    by_fingerprint = roots_by_fingerprint(roots_of(ledger))
    return frozenset(fingerprint for fingerprint, root in by_fingerprint.items() if root.is_simulated)


@lru_cache(maxsize=16)
def amd_authorities(root: TrustedRoot) -> dict[bytes, int]:
    """Return the serial numbers of the authorities below an ARK, by SHA-256 of their names."""
    authorities = [parse_authority(der) for der in root.intermediates]
    return {sha256(authority.subject).digest(): authority.serial for authority in authorities}
