"""Records of trust: vendors' collateral, enclaves and their machines, and the rules by which the chain judges them.

What governance changes (rules, lists, roots, brakes) is a record of its own each, with the defaults of the genesis until then.
`verification_root` stands for everything that a verifier's answer depends on beside evidence and time, so that answers can be kept.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from state.codec import Address, Hash, Height, PublicKey, TimeMs, UInt, Wire
from state.crypto import tag, tagged_hash
from state.ledger import Table
from state.trust_messages import CERTIFICATE_BYTES_MAX, CHAIN_MAX, COLLATERAL_BYTES_MAX, GPUS_MAX
from tee.appraisal import Policy
from tee.claims import Claims, GpuClaims
from tee.documents import CollateralKind, Parsed

NUMBERS_MAX: Final = 8
"""Evaluation numbers of one subject that are kept side by side; Intel serves two or three."""
COHORTS_MAX: Final = 1_024
"""Kinds of machines at a time; Intel has some sixty FMSPCs."""
BRAKES_MAX: Final = 32
SIMULATED_ROOTS_MAX: Final = 12
"""Enough for every family: one of Intel's, AWS' and NVIDIA's, three products of AMD's with two CAs each."""
ROOTS_DISTRUSTED_MAX: Final = 32
VERIFIER_CHANGES_MAX: Final = 16
"""Changes of the verifier whose proofs may still be counted; one needs a vote of days."""

PlatformId = Annotated[bytes, Meta(min_length=2, max_length=65)]
"""Class byte and id (tee/appraisal.py)."""
CohortId = Annotated[bytes, Meta(min_length=20, max_length=20)]

_COLLATERAL_TAG: Final = tag("collateral")
_COHORT_TAG: Final = tag("cohort")


class CollateralNumbers(Wire, frozen=True):
    """Evaluation numbers under which documents of one kind and subject are kept; id: collateral_subject_key."""

    numbers: Annotated[tuple[UInt, ...], Meta(min_length=1, max_length=NUMBERS_MAX)]
    """Ascending; just 0 for lists, which have none."""


class Collateral(Wire, frozen=True):
    """A vendor's document, checked; id: collateral_key."""

    document: Parsed
    body_hash: Hash
    first_seen_ms: TimeMs
    """When this subject's first document of this number came."""
    stored_ms: TimeMs


class CollateralBody(Wire, frozen=True):
    """The bytes of that document, for those who verify elsewhere; id: collateral_key."""

    body: Annotated[bytes, Meta(max_length=COLLATERAL_BYTES_MAX)]
    chain: Annotated[tuple[Annotated[bytes, Meta(max_length=CERTIFICATE_BYTES_MAX)], ...], Meta(max_length=CHAIN_MAX)]


class PendingNumber(Wire, frozen=True):
    """An evaluation number that comes into force by itself."""

    number: UInt
    due_ms: TimeMs


class Evaluation(Wire, frozen=True):
    """Which evaluation number counts below a root; id: SHA-256 of the root certificate.

    Documents above the number in force feed the forecast alone: nobody can force Intel's early collateral onto the fleet.
    """

    number: UInt
    """In force."""
    since_ms: TimeMs
    number_before: UInt
    """In force before; 0 if there was none. Who was behind under it already has no grace."""
    pending: Annotated[tuple[PendingNumber, ...], Meta(max_length=NUMBERS_MAX)]
    """Ascending by number."""


class EnclaveState(IntEnum):
    """Where an enclave stands."""

    TRUSTED = 1
    GRACE = 2
    """Behind the newest TCB, or its collateral is overdue; still good until the grace ends."""
    SUSPENDED = 3
    """Good for nothing until it is renewed or judged better."""
    EXPIRED = 4
    """Its proof is too old; renewing it brings it back."""
    REVOKED = 5
    """For ever: the vendor or the chain withdrew its machine."""


class Enclave(Wire, frozen=True):
    """A program on a machine that proved itself; id: its address, from its signing key."""

    hardware: Address
    operator: Address
    image: Address
    release: UInt
    tee: Annotated[int, Meta(ge=1, le=255)]
    platform: Annotated[bytes, Meta(max_length=65)]
    """Lasting id of the machine; no bytes where the evidence hides it."""
    sign_key: PublicKey
    seal_key: Hash
    claims: Claims
    """As proven; their TCB as last judged."""
    gpus: Annotated[tuple[GpuClaims, ...], Meta(max_length=GPUS_MAX)]
    is_simulated: bool
    """Its processor or a GPU is under a root of simulated hardware."""
    root: Hash
    """SHA-256 of the root certificate that its processor's evidence is under."""
    evidence_hash: Hash
    verification_root: Hash
    """Of the collateral under which the evidence was verified."""
    challenge_height: Height
    attested_ms: TimeMs
    attested_height: Height
    expires_ms: TimeMs
    level: Annotated[int, Meta(ge=0, le=5)]
    standing: Annotated[int, Meta(ge=0, le=5)]
    """The level that it would have if it were not simulated; what its state follows."""
    state: EnclaveState
    reason: Annotated[str, Meta(max_length=64)]
    """Why it is not trusted; empty if it is."""
    wheel_ms: TimeMs
    """Time of its one deadline on the wheel."""
    last_beat_ms: TimeMs
    """Of the last receipt; 0: none yet."""


class Platform(Wire, frozen=True):
    """Whose machine this is, and as what it is offered; id: platform id."""

    owner: Address
    hardware: Address
    """The resource that it stands for; another one has to wait until no enclave is left, or one capacity would be sold twice."""
    enclave_count: UInt
    """Enclaves on it that are neither expired nor revoked."""
    free_from_ms: TimeMs
    """Time from which another owner may claim it, if no enclave is left; 0 while there are some."""


class PlatformVerdict(IntEnum):
    """On which list a platform stands."""

    ALLOWED = 1
    DENIED = 2


class PlatformListing(Wire, frozen=True):
    """A machine on a list of governance; id: platform id."""

    verdict: PlatformVerdict


class Cohort(Wire, frozen=True):
    """Enclaves that depend on the same collateral; id: digest of the other fields. Members stand in a list of its name."""

    tee: Annotated[int, Meta(ge=1, le=255)]
    root: Hash
    product: Annotated[bytes, Meta(max_length=16)]
    """FMSPC, or AMD's product as one byte; none for Nitro."""
    issuer: Annotated[bytes, Meta(max_length=32)]
    """SHA-256 of the name of the issuer of machines' certificates; none for Nitro."""
    unseen_count: UInt
    """Members, from the beginning of the list, that the re-appraisal under way has still to see."""


class Cohorts(Wire, frozen=True):
    """All cohorts, and those whose re-appraisal is under way."""

    ids: Annotated[tuple[CohortId, ...], Meta(max_length=COHORTS_MAX)]
    """Sorted."""
    queue: Annotated[tuple[CohortId, ...], Meta(max_length=COHORTS_MAX)]
    """In the order in which they were asked for, distinct."""
    again: Annotated[tuple[CohortId, ...], Meta(max_length=COHORTS_MAX)]
    """Of the queue: those asked for once more since their walk began; they go to its end when it is over. Distinct."""


class VerifierChange(Wire, frozen=True):
    """A change of the verifier: proofs from before it end before long."""

    changed_ms: TimeMs
    ends_ms: TimeMs
    """Of proofs that are as old as the change or older."""


class TrustBooks(Wire, frozen=True):
    """What changes what evidence proves."""

    verification_root: Hash
    """Moves on with every document, number in force and change of roots."""
    verifier_changes: Annotated[tuple[VerifierChange, ...], Meta(max_length=VERIFIER_CHANGES_MAX)]
    """In their order. Each ends the proofs from before it at its own time, whatever change comes after it."""

    def verifier_end_ms(self, attested_ms: int) -> int | None:
        """Return when a proof ends because the verifier changed after it; None if it did not."""
        return min((each.ends_ms for each in self.verifier_changes if attested_ms <= each.changed_ms), default=None)


class TrustedRoots(Wire, frozen=True):
    """Roots beside and without those that the software brings."""

    simulated: Annotated[
        tuple[Annotated[bytes, Meta(max_length=CERTIFICATE_BYTES_MAX)], ...], Meta(max_length=SIMULATED_ROOTS_MAX)
    ]
    """Certificates of simulated hardware; only a development genesis gives any, and nothing adds one later."""
    distrusted: Annotated[tuple[Hash, ...], Meta(max_length=ROOTS_DISTRUSTED_MAX)]
    """Fingerprints of vendors' roots that count no more."""


class AppraisalRules(Wire, frozen=True):
    """The policy for all enclaves."""

    policy: Policy
    standing_min: Annotated[int, Meta(ge=2, le=5)]
    """Least standing of an attestation; below it an enclave is suspended."""


class BrakeScope(IntEnum):
    """What an emergency brake stops."""

    ATTESTATIONS = 1
    """All new attestations; no subject."""
    ORDERS = 2
    """All new orders; no subject."""
    TEE = 3
    """One kind of evidence, one byte."""
    PRODUCT = 4
    """An FMSPC, or AMD's product as one byte."""
    PLATFORM = 5
    """A platform id."""
    RELEASE = 6
    """Address of the resource and number, 8 bytes."""


class Brake(Wire, frozen=True):
    """One brake. It ends by itself."""

    scope: BrakeScope
    subject: Annotated[bytes, Meta(max_length=65)]
    until_ms: TimeMs


class Brakes(Wire, frozen=True):
    """The brakes that hold."""

    brakes: Annotated[tuple[Brake, ...], Meta(max_length=BRAKES_MAX)]


COLLATERAL_NUMBERS: Final = Table(0x50, CollateralNumbers, 128)
COLLATERAL: Final = Table(0x51, Collateral, COLLATERAL_BYTES_MAX + 4_096)
COLLATERAL_BODIES: Final = Table(0x52, CollateralBody, COLLATERAL_BYTES_MAX + 16_384)
EVALUATIONS: Final = Table(0x53, Evaluation, 256)
ENCLAVES: Final = Table(0x54, Enclave, 131_072)
PLATFORMS: Final = Table(0x55, Platform, 96)
PLATFORM_LISTINGS: Final = Table(0x56, PlatformListing, 8)
COHORTS: Final = Table(0x57, Cohort, 128)
COHORT_BOOKS: Final = Table(0x58, Cohorts, COHORTS_MAX * 66 + 16)
TRUST_BOOKS: Final = Table(0x59, TrustBooks, 512)
TRUSTED_ROOTS: Final = Table(0x5A, TrustedRoots, 65_536)
APPRAISAL_RULES: Final = Table(0x5B, AppraisalRules, 65_536)
BRAKES: Final = Table(0x5C, Brakes, BRAKES_MAX * 96)


def collateral_subject_key(kind: CollateralKind, subject: bytes) -> bytes:
    """Return the id of all documents of one kind and subject, 21 bytes."""
    return bytes((kind,)) + tagged_hash(_COLLATERAL_TAG, subject)[:20]


def collateral_key(kind: CollateralKind, subject: bytes, number: int) -> bytes:
    """Return the id of one document, 29 bytes: kind, digest of the subject, evaluation number."""
    return collateral_subject_key(kind, subject) + number.to_bytes(8, "big")


def cohort_id(tee: int, root: bytes, product: bytes, issuer: bytes) -> bytes:
    """Return the id of a cohort, 20 bytes."""
    return tagged_hash(_COHORT_TAG, bytes((tee,)) + root + bytes((len(product),)) + product + issuer)[:20]
