"""Dense lists in the state: members numbered 0 to n-1 under a list's name, added, found and removed in constant time.

The tree has no order, so whatever must be gone through, by execution or by a reader with a cursor, stands in such a list. A removed
member's number goes to the last member. So who walks a list while members leave it walks downwards: what moves was seen already.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from state.codec import INTEGER_MAX, UInt, Wire
from state.ledger import Ledger, Overlay, Table

MEMBER_BYTES_MAX: Final = 64


class ListKind(IntEnum):
    """First byte of a list's name: what it lists."""

    COLLATERAL = 1
    """All collateral, by key; one list, no further name."""
    COHORT = 2
    """Enclaves that stand or fall with the same collateral; named by the cohort."""
    OPERATOR = 3
    """Enclaves of an operator; named by its account."""
    OWNER = 4
    """Resources of an owner; named by its account."""
    RESOURCES = 5
    """All resources; one list, no further name."""
    RELEASE = 6
    """Enclaves that run a release and are neither expired nor revoked; named by the resource and its number."""
    ORDERS = 7
    """All orders on record; one list, no further name."""
    OPEN_ORDERS = 8
    """Orders that wait for a provider; one list, no further name."""
    CUSTOMER = 9
    """Orders of a customer; named by its account."""
    PROVIDER = 10
    """Orders that an operator has accepted and that are not closed; named by its account."""
    ENCLAVE = 11
    """Orders that an enclave runs and that are not closed; named by the enclave."""
    RESOURCE = 12
    """Orders that use a resource and are not closed; named by the resource."""
    REVIEWS = 13
    """Names of lists whose orders are under review; one list, no further name."""
    PROPOSALS = 14
    """All proposals, by number; one list, no further name."""
    ENDORSER = 15
    """Endorsements by an account; named by it."""
    SUBJECT = 16
    """Endorsements of one subject; named by the digest of its kind and bytes."""
    HARDWARE = 17
    """Enclaves on a hardware resource that are neither expired nor revoked; named by the resource."""
    SERVED = 18
    """Closed orders on record that an operator was the last to serve; named by its account."""


class ListLength(Wire, frozen=True):
    """How many members a list has; never 0."""

    count: UInt


class ListMember(Wire, frozen=True):
    """The member under a number; id: name of the list, number (8 bytes)."""

    member: Annotated[bytes, Meta(max_length=MEMBER_BYTES_MAX)]


class ListPlace(Wire, frozen=True):
    """The number of a member; id: name of the list, member."""

    number: UInt


LIST_LENGTHS: Final = Table(0x38, ListLength, 16)
LIST_MEMBERS: Final = Table(0x39, ListMember, 80)
LIST_PLACES: Final = Table(0x3A, ListPlace, 16)


def list_name(kind: ListKind, name: bytes = b"") -> bytes:
    """Return the full name of a list. Names of one kind have one length, so no name is the beginning of another."""
    return bytes((kind,)) + name


def count_members(ledger: Ledger, name: bytes) -> int:
    """Return how many members a list has."""
    length = ledger.find(LIST_LENGTHS, name)
    return 0 if length is None else length.count


def member_at(ledger: Ledger, name: bytes, number: int) -> bytes:
    """Return the member under a number below the count."""
    return ledger.get(LIST_MEMBERS, name + number.to_bytes(8, "big")).member


def is_member(ledger: Ledger, name: bytes, member: bytes) -> bool:
    """Tell whether a list has a member."""
    return ledger.find(LIST_PLACES, name + member) is not None


def add_member(ledger: Overlay, name: bytes, member: bytes) -> None:
    """Add a member at the end, unless the list has it."""
    if is_member(ledger, name, member):
        return
    count = count_members(ledger, name)
    ledger.put(LIST_MEMBERS, name + count.to_bytes(8, "big"), ListMember(member=member))
    ledger.put(LIST_PLACES, name + member, ListPlace(number=count))
    ledger.put(LIST_LENGTHS, name, ListLength(count=count + 1))


def member_bytes(name: bytes, member: bytes) -> int:
    """Return how many bytes a member takes in the state at most, whatever its number and whether it is the first."""
    entry = LIST_MEMBERS.byte_count(name + bytes(8), ListMember(member=member))
    place = LIST_PLACES.byte_count(name + member, ListPlace(number=INTEGER_MAX))
    return entry + place + LIST_LENGTHS.byte_count(name, ListLength(count=INTEGER_MAX))


def remove_member(ledger: Overlay, name: bytes, member: bytes) -> None:
    """Take a member out, if it is in; the last one takes its number."""
    place = ledger.find(LIST_PLACES, name + member)
    if place is None:
        return
    last = count_members(ledger, name) - 1
    last_key = name + last.to_bytes(8, "big")
    if place.number != last:
        moved = ledger.get(LIST_MEMBERS, last_key)
        ledger.put(LIST_MEMBERS, name + place.number.to_bytes(8, "big"), moved)
        ledger.put(LIST_PLACES, name + moved.member, place)
    ledger.delete(LIST_MEMBERS, last_key)
    ledger.delete(LIST_PLACES, name + member)
    if last:
        ledger.put(LIST_LENGTHS, name, ListLength(count=last))
    else:
        ledger.delete(LIST_LENGTHS, name)
