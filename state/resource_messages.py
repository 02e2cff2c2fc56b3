"""The messages that change a resource: `amend` and `assign`. They are members of `Message` (state/messages.py)."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from state.codec import Address, TimeMs, UInt, Wire
from state.offers import PAYEES_MAX, PLANS_MAX, Capacity, DurationMs, Payee, Plan
from state.policies import Policy
from state.resource_records import ReleaseStatus, ResourceStatus
from state.trust_messages import SUPERSEDED_MAX, OptionalAddress

RELEASE_CHANGES_MAX: Final = SUPERSEDED_MAX


class ReleaseChange(Wire, frozen=True):
    """Another status of a release. REVOKED is at once and for ever; CURRENT takes a deprecation back."""

    release: UInt
    status: ReleaseStatus
    notice_ms: DurationMs
    """With DEPRECATED: after which it is revoked; 0 otherwise."""


class Amend(Wire, frozen=True, tag=6):
    """Change what a resource is offered for. Scope OWN. What is None or empty stays as it is.

    Plans are immutable: they are added and closed. Running orders keep their copies.
    """

    resource: Address
    policy: Policy | None
    """() lifts all conditions."""
    payees: Annotated[tuple[Payee, ...], Meta(max_length=PAYEES_MAX)] | None
    """() gives all to the owner."""
    vault: OptionalAddress | None
    """No bytes: none any more."""
    plans_added: Annotated[tuple[Plan, ...], Meta(max_length=PLANS_MAX)]
    """Numbered on from the resource's last plan."""
    plans_closed: Annotated[tuple[Annotated[int, Meta(ge=0, le=255)], ...], Meta(max_length=PLANS_MAX)]
    """Ascending; they take no more orders."""
    releases: Annotated[tuple[ReleaseChange, ...], Meta(max_length=RELEASE_CHANGES_MAX)]
    """Ascending by number."""
    capacity: Capacity | None
    """Of hardware; not below what is in use."""
    drain_at_ms: TimeMs | None
    """When hardware stops taking orders; 0: never."""
    status: ResourceStatus | None
    """RETIRED is for ever."""
    bumps_grant_epoch: bool
    """Whether all keys granted so far shall open nothing more."""
    freezes: bool
    """Of data and software: whether every order that uses it ends, each after notice and least term of its plan; pauses it."""


class Assign(Wire, frozen=True, tag=7):
    """Give a resource to another account, which signs the envelope too. Scope OWN on both sides.

    Running orders keep their plans. Hardware with enclaves that are neither expired nor revoked stays with its operator.
    """

    resource: Address
    to: Address
    keeps_payees: bool
    """Whether income is shared as before; otherwise the new owner takes all."""
