"""Messages that change a resource, with nothing in them but what a test names."""

from __future__ import annotations

from msgspec.structs import replace

from state.resource_messages import Amend, Assign, ReleaseChange
from state.resource_records import ReleaseStatus


def amend(resource: bytes, **changes: object) -> Amend:
    """Return an amendment that changes what is named, and nothing else."""
    plain = Amend(
        resource=resource,
        policy=None,
        payees=None,
        vault=None,
        plans_added=(),
        plans_closed=(),
        releases=(),
        capacity=None,
        drain_at_ms=None,
        status=None,
        bumps_grant_epoch=False,
        freezes=False,
    )
    return replace(plain, **changes)


def release_change(number: int, status: ReleaseStatus, notice_ms: int = 0) -> ReleaseChange:
    """Return another status of a release."""
    return ReleaseChange(release=number, status=status, notice_ms=notice_ms)


def assign(resource: bytes, to: bytes, *, keeps_payees: bool = False) -> Assign:
    """Return the assignment of a resource."""
    return Assign(resource=resource, to=to, keeps_payees=keeps_payees)
