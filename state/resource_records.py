"""Records of resources: what is offered, its releases, its plans, and what others say about all of it.

Fields are those of the runtime specification, d.1. Releases, plans and the place in lists are records of their own, so that a
resource stays small however old it gets.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from state.codec import Address, Amount, OptionalHash, TimeMs, UInt, Wire
from state.crypto import tag, tagged_hash
from state.ledger import Table
from state.offers import PAYEES_MAX, Capacity, Payee, Plan, ReleaseBody, ResourceKind, Title, Words
from state.policies import Policy, SubjectKind
from state.trust_messages import OptionalAddress

_ENDORSEMENT_TAG: Final = tag("endorsement")
_SUBJECT_TAG: Final = tag("endorsed-subject")


class ResourceStatus(IntEnum):
    """Where a resource stands."""

    ACTIVE = 1
    PAUSED = 2
    """Takes no new orders; its owner may resume it."""
    RETIRED = 3
    """For ever."""


class Resource(Wire, frozen=True):
    """Data, software or hardware that somebody offers; id: its address."""

    owner: Address
    kind: ResourceKind
    category: Words
    title: Title
    meta_hash: OptionalHash
    status: ResourceStatus
    policy: Policy
    plan_count: UInt
    """Plans ever made; numbered from 0."""
    release_count: UInt
    """Releases ever made; numbered from 0."""
    payees: Annotated[tuple[Payee, ...], Meta(max_length=PAYEES_MAX)]
    vault: OptionalAddress
    derived_from: OptionalAddress
    grant_epoch: UInt
    """Goes up when keys granted so far shall open nothing more."""
    bond_locked: Amount
    """ubocc that stand for its bytes in the state."""
    capacity: Capacity | None
    """Of hardware."""
    in_use: Capacity | None
    """Of that, what orders take."""
    drain_at_ms: TimeMs
    """When hardware stops taking orders; 0: never."""
    created_ms: TimeMs
    frozen_ms: TimeMs
    """When its owner had all orders with it ended; 0: they go on."""


class ResourceUse(Wire, frozen=True):
    """How often a resource was used, on record from its publication; id: its address."""

    count: UInt
    """Rows of its ledger of use, numbered from 0."""
    promised: UInt
    """Uses that granted keys promise: of each order that is accepted and has not started, one for each line in its `promised`."""


class ReleaseStatus(IntEnum):
    """Where a release stands."""

    CURRENT = 1
    DEPRECATED = 2
    """Still good until `until_ms`."""
    REVOKED = 3
    """No enclave with it is trusted any more."""


class Release(Wire, frozen=True):
    """One release; id: resource, number (8 bytes)."""

    status: ReleaseStatus
    until_ms: TimeMs
    """End of a deprecated release; 0 for others."""
    body: ReleaseBody
    created_ms: TimeMs


class PlanRecord(Wire, frozen=True):
    """One plan; id: resource, number (8 bytes)."""

    plan: Plan
    is_open: bool
    """Whether new orders may name it."""
    in_use: UInt
    """Units that orders hold; the stock, if there is one, bounds them."""


class ResourceBooks(Wire, frozen=True):
    """Numbers that name new resources."""

    next_resource: UInt


class Endorsement(Wire, frozen=True):
    """What an account says about something; id: digest of endorser, kind of subject, subject and claim."""

    endorser: Address
    subject_kind: SubjectKind
    subject: Annotated[bytes, Meta(max_length=80)]
    claim: Words
    statement_hash: OptionalHash
    from_ms: TimeMs
    until_ms: TimeMs
    """Last time at which it counts."""
    bond_locked: Amount
    """ubocc of the endorser's for its bytes in the state."""
    wheel_ms: TimeMs
    """Time of its one deadline on the wheel."""


RESOURCES: Final = Table(0x40, Resource, 65_536)
RELEASES: Final = Table(0x41, Release, 65_536)
PLANS: Final = Table(0x42, PlanRecord, 2_048)
RESOURCE_BOOKS: Final = Table(0x43, ResourceBooks, 16)
ENDORSEMENTS: Final = Table(0x44, Endorsement, 512)
RESOURCE_USES: Final = Table(0x45, ResourceUse, 32)

NO_USE: Final = ResourceUse(count=0, promised=0)
"""Of a resource that was never used."""


def numbered_key(resource: bytes, number: int) -> bytes:
    """Return the id of a release or a plan."""
    return resource + number.to_bytes(8, "big")


def endorsement_key(endorser: bytes, subject_kind: SubjectKind, subject: bytes, claim: str) -> bytes:
    """Return the id of an endorsement, 32 bytes."""
    return tagged_hash(_ENDORSEMENT_TAG, endorser + bytes((subject_kind, len(subject))) + subject + claim.encode())


def subject_name(subject_kind: SubjectKind, subject: bytes) -> bytes:
    """Return what a list of endorsements calls its subject, 32 bytes."""
    return tagged_hash(_SUBJECT_TAG, bytes((subject_kind,)) + subject)
