"""The state machines of releases and resources, whole: every state with everything that their owner does, with others, and dates.

What the table lists happens; all else is refused and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from msgspec.structs import replace

from state.crypto import SigningKey
from state.messages import Message
from state.offers import ResourceKind
from state.resource_records import RELEASES, RESOURCES, ReleaseStatus, ResourceStatus, numbered_key
from state.runtime.life_tables import (
    RELEASE_STEPS,
    RESOURCE_STEPS,
    ReleaseTrigger,
    ResourceTrigger,
    check_step,
)
from state.trust_messages import Supersede
from tests.support.amending import amend, release_change
from tests.support.attesting import CUSTOMER, DAY_MS, EMPTY_RELEASE, POSTER, Lab, publish
from tests.support.step_tables import listed

CURRENT, DEPRECATED, REVOKED = ReleaseStatus
ACTIVE, PAUSED, RETIRED = ResourceStatus
NOTICE_MS = 2 * DAY_MS
ANOTHER = publish(ResourceKind.DATA, release=EMPTY_RELEASE)
NOBODYS = b"\x01" + bytes(20)

PATHS: dict[ReleaseStatus | None, tuple[ReleaseStatus, ...]] = {
    None: (),
    CURRENT: (),
    DEPRECATED: (DEPRECATED,),
    REVOKED: (REVOKED,),
}
"""What the owner does with a new release to bring it there."""


class Shelf(Lab):
    """A lab with data that has one release."""

    def __init__(self) -> None:
        super().__init__(is_bare=True)
        self.data = self.publish(CUSTOMER, ANOTHER)

    def release(self, number: int = 0) -> ReleaseStatus | None:
        """Return where a release of the data stands, None if there is none of this number."""
        record = self.ledger.find(RELEASES, numbered_key(self.data, number))
        return None if record is None else record.status

    def status(self) -> ResourceStatus:
        """Return where the data stands."""
        return self.ledger.get(RESOURCES, self.data).status

    def change(self, status: ReleaseStatus, number: int = 0) -> Message:
        """Return the change of a release."""
        notice_ms = NOTICE_MS if status is DEPRECATED else 0
        return amend(self.data, releases=(release_change(number, status, notice_ms),))

    def supersede(self) -> Message:
        """Return a newer release."""
        return replace(ANOTHER, resource=self.data, supersedes=Supersede.ALL, notice_ms=NOTICE_MS)


RELEASE_LEADS: dict[tuple[ReleaseStatus | None, ReleaseTrigger], ReleaseStatus] = {
    (None, ReleaseTrigger.PUBLISH): CURRENT,
    (CURRENT, ReleaseTrigger.DEPRECATE): DEPRECATED,
    (CURRENT, ReleaseTrigger.REVOKE): REVOKED,
    (DEPRECATED, ReleaseTrigger.RESTORE): CURRENT,
    (DEPRECATED, ReleaseTrigger.DEPRECATE): DEPRECATED,
    (DEPRECATED, ReleaseTrigger.REVOKE): REVOKED,
    (DEPRECATED, ReleaseTrigger.NOTICE_OVER): REVOKED,
}
RELEASE_REFUSALS: dict[ReleaseStatus | None, str] = {
    None: "no_release",
    CURRENT: "unexpected_field",
    REVOKED: "release_status_final",
}
CHANGES = {
    ReleaseTrigger.RESTORE: CURRENT,
    ReleaseTrigger.DEPRECATE: DEPRECATED,
    ReleaseTrigger.REVOKE: REVOKED,
}


def shelf_with(status: ReleaseStatus | None) -> tuple[Shelf, int]:
    """Return data with a release in this state, and its number; of None the number that comes next."""
    shelf = Shelf()
    for each in PATHS[status]:
        assert shelf.reason(CUSTOMER, shelf.change(each)) == ""
    number = 1 if status is None else 0
    assert shelf.release(number) is status
    return shelf, number


@pytest.mark.parametrize("trigger", CHANGES)
@pytest.mark.parametrize("status", PATHS)
def test_every_change_of_a_release_does_what_the_table_says_or_nothing(
    status: ReleaseStatus | None, trigger: ReleaseTrigger
) -> None:
    shelf, number = shelf_with(status)
    message = shelf.change(CHANGES[trigger], number)
    assert shelf.reason(POSTER, message) == "not_owner"
    assert shelf.release(number) is status
    expected = RELEASE_LEADS.get((status, trigger))
    assert shelf.reason(CUSTOMER, message) == ("" if expected else RELEASE_REFUSALS[status])
    assert shelf.release(number) is (expected or status)


@pytest.mark.parametrize("status", PATHS)
def test_a_newer_release_deprecates_only_a_current_one(status: ReleaseStatus | None) -> None:
    shelf, number = shelf_with(status)
    assert shelf.reason(POSTER, shelf.supersede()) == "not_owner"
    assert shelf.reason(CUSTOMER, shelf.supersede()) == ""
    expected = {None: RELEASE_LEADS[None, ReleaseTrigger.PUBLISH], CURRENT: DEPRECATED}
    assert shelf.release(number) is expected.get(status, status)


@pytest.mark.parametrize("status", PATHS)
def test_the_end_of_a_notice_revokes_only_a_deprecated_release(status: ReleaseStatus | None) -> None:
    shelf, number = shelf_with(status)
    shelf.apply(interval_ms=NOTICE_MS - 2_000)
    assert shelf.release(number) is status
    shelf.apply(interval_ms=3_000)
    assert shelf.release(number) is RELEASE_LEADS.get((status, ReleaseTrigger.NOTICE_OVER), status)


RESOURCE_PATHS: dict[ResourceStatus, tuple[ResourceStatus, ...]] = {ACTIVE: (), PAUSED: (PAUSED,), RETIRED: (RETIRED,)}
RESOURCE_LEADS: dict[tuple[ResourceStatus | None, ResourceTrigger], ResourceStatus] = {
    (None, ResourceTrigger.PUBLISH): ACTIVE,
    (ACTIVE, ResourceTrigger.PAUSE): PAUSED,
    (ACTIVE, ResourceTrigger.FREEZE): PAUSED,
    (ACTIVE, ResourceTrigger.RETIRE): RETIRED,
    (PAUSED, ResourceTrigger.RESUME): ACTIVE,
    (PAUSED, ResourceTrigger.FREEZE): PAUSED,
    (PAUSED, ResourceTrigger.RETIRE): RETIRED,
}
RESOURCE_REFUSALS = {
    ACTIVE: "unexpected_field",
    PAUSED: "unexpected_field",
    RETIRED: "resource_not_active",
}
AMENDMENTS: dict[ResourceTrigger, Callable[[bytes], Message]] = {
    ResourceTrigger.PAUSE: lambda address: amend(address, status=PAUSED),
    ResourceTrigger.RESUME: lambda address: amend(address, status=ACTIVE),
    ResourceTrigger.FREEZE: lambda address: amend(address, freezes=True),
    ResourceTrigger.RETIRE: lambda address: amend(address, status=RETIRED),
}


@pytest.mark.parametrize("trigger", AMENDMENTS)
@pytest.mark.parametrize("status", RESOURCE_PATHS)
def test_every_change_of_a_resource_does_what_the_table_says_or_nothing(
    status: ResourceStatus, trigger: ResourceTrigger
) -> None:
    shelf = Shelf()
    assert shelf.status() is RESOURCE_LEADS[None, ResourceTrigger.PUBLISH]
    for each in RESOURCE_PATHS[status]:
        assert shelf.reason(CUSTOMER, amend(shelf.data, status=each)) == ""
    message = AMENDMENTS[trigger](shelf.data)
    assert shelf.reason(POSTER, message) == "not_owner"
    assert shelf.status() is status
    expected = RESOURCE_LEADS.get((status, trigger))
    assert shelf.reason(CUSTOMER, message) == ("" if expected else RESOURCE_REFUSALS[status])
    assert shelf.status() is (expected or status)


@pytest.mark.parametrize("trigger", AMENDMENTS)
@pytest.mark.parametrize("signer", [CUSTOMER, POSTER], ids=["one", "another"])
def test_what_is_no_resource_does_not_change(signer: SigningKey, trigger: ResourceTrigger) -> None:
    shelf = Shelf()
    assert shelf.reason(signer, AMENDMENTS[trigger](NOBODYS)) == "no_resource"
    assert shelf.ledger.find(RESOURCES, NOBODYS) is None


def test_the_tables_list_what_is_tried_here_and_nothing_else() -> None:
    assert listed(RELEASE_STEPS) == {(*tried, after) for tried, after in RELEASE_LEADS.items()}
    assert listed(RESOURCE_STEPS) == {(*tried, after) for tried, after in RESOURCE_LEADS.items()}
    assert RELEASE_STEPS.keys() == {None, *ReleaseStatus}
    assert RESOURCE_STEPS.keys() == {None, *ResourceStatus}


@pytest.mark.parametrize(("before", "after"), [*product(RELEASE_STEPS, RELEASE_STEPS)])
def test_a_step_that_is_not_of_the_table_stops_the_node(
    before: ReleaseStatus | None, after: ReleaseStatus | None
) -> None:
    for trigger in ReleaseTrigger:
        if RELEASE_LEADS.get((before, trigger), "none") == after:
            check_step(RELEASE_STEPS, before, trigger, after)
        else:
            with pytest.raises(AssertionError, match=f"^{trigger} leads from "):
                check_step(RELEASE_STEPS, before, trigger, after)
