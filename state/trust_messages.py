"""The messages that bring trust into the chain: resources, endorsements, vendors' collateral, attestations.

They are members of `Message` (state/messages.py), apart only for the length of the file. What an enclave signs, and what its
evidence binds to, is computed by state/attestation.py.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from state.codec import Address, Hash, Height, OptionalHash, PublicKey, Signature, TimeMs, UInt, Wire
from state.offers import (
    PAYEES_MAX,
    PLANS_MAX,
    Capacity,
    DurationMs,
    Payee,
    Plan,
    ReleaseBody,
    ResourceKind,
    Title,
    Words,
)
from state.policies import Policy, SubjectKind

SUPERSEDED_MAX: Final = 16
COLLATERAL_BYTES_MAX: Final = 256 << 10
"""One document of a vendor."""
CERTIFICATE_BYTES_MAX: Final = 4 << 10
CHAIN_MAX: Final = 3
"""Certificates that come with a document, signer first."""
EVIDENCE_BYTES_MAX: Final = 24 << 10
GPU_REPORT_BYTES_MAX: Final = 16 << 10
GPU_CHAIN_MAX: Final = 5
GPUS_MAX: Final = 8
"""GPUs of one enclave, as many as a machine of their vendor has."""

OptionalAddress = Annotated[bytes, Meta(max_length=21)]
"""An address, or no bytes; the handler checks that it is one of the two."""


class Supersede(IntEnum):
    """Which older releases a new one replaces."""

    NONE = 0
    ALL = 1
    LISTED = 2


class Publish(Wire, frozen=True, tag=5):
    """Offer a new resource, or a new release of one. Scope OWN. The sender owns it.

    For a new release, only `resource`, `release`, `supersedes` and what belongs to them are filled.
    """

    resource: OptionalAddress
    """The resource that gets a release; no bytes for a new one."""
    kind: ResourceKind
    category: Words
    """Class of the resource for those who look for one."""
    title: Title
    meta_hash: OptionalHash
    """Digest of a description kept elsewhere."""
    release: ReleaseBody | None
    """Of data or software; hardware has none."""
    capacity: Capacity | None
    """Of hardware; others have none."""
    policy: Policy
    """Who may use it; prefix order."""
    plans: Annotated[tuple[Plan, ...], Meta(max_length=PLANS_MAX)]
    """Numbered from 0 in their order."""
    payees: Annotated[tuple[Payee, ...], Meta(max_length=PAYEES_MAX)]
    """Sorted, distinct, shares sum to 10,000; none: the owner takes all."""
    vault: OptionalAddress
    """Resource whose enclaves may grant in the owner's place."""
    derived_from: OptionalAddress
    """Order whose output this is."""
    supersedes: Supersede
    superseded: Annotated[tuple[UInt, ...], Meta(max_length=SUPERSEDED_MAX)]
    """Numbers of older releases, ascending; only with LISTED."""
    notice_ms: DurationMs
    """After which superseded releases are revoked."""


class Endorse(Wire, frozen=True, tag=8):
    """State a claim about a machine, release, enclave, resource or account, or take it back. Scope GOVERN."""

    subject_kind: SubjectKind
    subject: Annotated[bytes, Meta(min_length=1, max_length=80)]
    claim: Words
    statement_hash: OptionalHash
    """Digest of the statement in full."""
    until_ms: TimeMs
    """Last time at which it counts; 0 takes it back."""


class PutCollateral(Wire, frozen=True, tag=9):
    """Bring a document that a vendor signed. Any scope, anybody; the fee comes back if it is news."""

    kind: Annotated[int, Meta(ge=1, le=255)]
    """Kind of document (tee/documents.py)."""
    body: Annotated[bytes, Meta(min_length=1, max_length=COLLATERAL_BYTES_MAX)]
    chain: Annotated[
        tuple[Annotated[bytes, Meta(min_length=1, max_length=CERTIFICATE_BYTES_MAX)], ...],
        Meta(max_length=CHAIN_MAX),
    ]
    """Certificates, DER, signer first; the root may be left out."""


class GpuEvidence(Wire, frozen=True):
    """What one GPU reports, and the certificates of its key."""

    report: Annotated[bytes, Meta(min_length=1, max_length=GPU_REPORT_BYTES_MAX)]
    """SPDM request and response."""
    chain: Annotated[
        tuple[Annotated[bytes, Meta(min_length=1, max_length=CERTIFICATE_BYTES_MAX)], ...],
        Meta(min_length=1, max_length=GPU_CHAIN_MAX),
    ]
    """DER, leaf first."""


class Attest(Wire, frozen=True, tag=10):
    """Prove that an enclave runs a release on a machine, or renew the proof. Scope OPERATE; the sender owns the machine."""

    hardware: Address
    image: Address
    """The software that booted."""
    release: UInt
    tee: Annotated[int, Meta(ge=1, le=255)]
    """Kind of evidence (tee/evidence.py)."""
    evidence: Annotated[bytes, Meta(min_length=1, max_length=EVIDENCE_BYTES_MAX)]
    gpus: Annotated[tuple[GpuEvidence, ...], Meta(max_length=GPUS_MAX)]
    sign_key: PublicKey
    """Ed25519 key of the enclave: its name and its receipts."""
    seal_key: Hash
    """X25519 key to which grants are sealed."""
    challenge_height: Height
    """A recent block, whose hash the evidence binds."""
    signature: Signature
    """Of sign_key over (tag bocc/attest/1, chain id, sender, hardware, SHA-256 of the evidence)."""
