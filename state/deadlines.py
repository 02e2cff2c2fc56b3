"""The deadline wheel: what must happen at a time, found by reading keys, in the order of time.

Deadlines that fall into the same slot of 256 ms stand in one queue. Which slots have a queue is told by a trie of bitmaps with
256 branches and 7 levels: the node of level n and prefix p has bit b set if some slot s with s >> 8(n + 1) = p and (s >> 8n) &
255 = b has a queue. So the earliest slot is found by 7 reads whatever lies between it and now, a new deadline writes 2 records
if its slot has a queue already, and the work of a block is proportional to what is due. All of it is ordinary state under the
root:

- `WheelNode` under level (1 byte) and prefix (8 bytes): the bitmap.
- `WheelQueue` under the slot (8 bytes): numbers of the first item and of the one after the last.
- `Deadline` under the slot and the item's number (8 bytes each).

A deadline fires in the first block at or after the end of its slot, hence up to 256 ms late, never early; within a slot in the
order of arrival. It is not withdrawn: its handler looks at the subject, and does nothing if the subject has moved on. A subject
that moves often keeps one deadline and pushes the next when it fires.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from state.codec import TimeMs, UInt, Wire
from state.ledger import Ledger, Overlay, Table

SLOT_BITS: Final = 8
"""A slot is 256 ms of block time."""
LEVELS: Final = 7
"""Levels of the trie: 56 bits of slot and 8 bits within it cover every time below 2^63."""
SUBJECT_BYTES_MAX: Final = 65
"""As long as the id of a platform."""


class DeadlineKind(IntEnum):
    """What a deadline is for. Each has a row in state/runtime/dispatch.py."""

    AUTH_DUE = 1
    """A pending change of keys takes effect; subject: the account."""
    UNBONDING_DUE = 2
    """An unbonding entry returns to its owner; subject: its number."""
    EVIDENCE_OVER = 3
    """The end of an epoch is forgotten; subject: its number."""
    ENCLAVE_DUE = 4
    """A proof ends, or an expired enclave is forgotten; subject: the enclave."""
    COLLATERAL_DUE = 5
    """A document is overdue, or its grace ends; subject: its key."""
    NUMBER_DUE = 6
    """An evaluation number comes into force; subject: the root."""
    GRACE_OVER = 7
    """Machines that fell behind lose their grace; subject: the root."""
    RULES_DUE = 8
    """A date of the rules of appraisal has come; no subject."""
    RELEASE_DUE = 9
    """The notice of a deprecated release is over; subject: resource and number."""
    ENDORSEMENT_DUE = 10
    """An endorsement no longer counts; subject: its id."""
    PLATFORM_DUE = 11
    """A machine without enclaves belongs to nobody any more; subject: its id."""
    ORDER_DUE = 12
    """A date of an order has come; subject: the order."""
    PROPOSAL_DUE = 13
    """The time for votes on a proposal, or its timelock, is over; subject: its number."""
    VOTES_OVER = 14
    """Votes on a proposal that has ended are forgotten; subject: its number, and how many of its electorate are gone, 8 bytes."""


class Deadline(Wire, frozen=True):
    """Something that must happen at a time."""

    kind: DeadlineKind
    subject: Annotated[bytes, Meta(max_length=SUBJECT_BYTES_MAX)]
    """Id of the record that it is about."""
    due_ms: TimeMs


class WheelNode(Wire, frozen=True):
    """256 branches of the trie."""

    bitmap: Annotated[bytes, Meta(min_length=32, max_length=32)]
    """Bit b is bit b % 8, least significant first, of byte b // 8. Never all zero."""


class WheelQueue(Wire, frozen=True):
    """Deadlines of one slot. Never empty."""

    first: UInt
    end: UInt


WHEEL_NODES: Final = Table(0x30, WheelNode, 64)
WHEEL_QUEUES: Final = Table(0x31, WheelQueue, 32)
DEADLINES: Final = Table(0x32, Deadline, 128)


def push_deadline(ledger: Overlay, kind: DeadlineKind, subject: bytes, due_ms: int) -> None:
    """Make something happen at a block time, or at the end of this block if it is past."""
    slot = (due_ms + (1 << SLOT_BITS) - 1) >> SLOT_BITS
    slot_key = slot.to_bytes(8, "big")
    queue = ledger.find(WHEEL_QUEUES, slot_key)
    if queue is None:
        queue = WheelQueue(first=0, end=0)
        _mark(ledger, slot)
    deadline = Deadline(kind=kind, subject=subject, due_ms=due_ms)
    ledger.put(DEADLINES, slot_key + queue.end.to_bytes(8, "big"), deadline)
    ledger.put(WHEEL_QUEUES, slot_key, WheelQueue(first=queue.first, end=queue.end + 1))


def take_due(ledger: Overlay, time_ms: int) -> Deadline | None:
    """Remove and return the earliest deadline whose slot has ended by this time, or None."""
    slot = _first_slot(ledger)
    if slot is None or slot << SLOT_BITS > time_ms:
        return None
    slot_key = slot.to_bytes(8, "big")
    queue = ledger.get(WHEEL_QUEUES, slot_key)
    item_key = slot_key + queue.first.to_bytes(8, "big")
    deadline = ledger.get(DEADLINES, item_key)
    ledger.delete(DEADLINES, item_key)
    if queue.first + 1 < queue.end:
        ledger.put(WHEEL_QUEUES, slot_key, WheelQueue(first=queue.first + 1, end=queue.end))
    else:
        ledger.delete(WHEEL_QUEUES, slot_key)
        _unmark(ledger, slot)
    return deadline


def find_next_deadline_ms(ledger: Ledger) -> int | None:
    """Return the block time from which the earliest deadline fires, or None if there is none."""
    slot = _first_slot(ledger)
    return None if slot is None else slot << SLOT_BITS


def _first_slot(ledger: Ledger) -> int | None:
    """Return the earliest slot with a queue."""
    prefix = 0
    for level in reversed(range(LEVELS)):
        node = ledger.find(WHEEL_NODES, _node_key(level, prefix))
        if node is None:
            assert level == LEVELS - 1, "a set bit has a node below it"
            return None
        bits = int.from_bytes(node.bitmap, "little")
        prefix = prefix << 8 | ((bits & -bits).bit_length() - 1)
    return prefix


def _mark(ledger: Overlay, slot: int) -> None:
    """Set the bits of a slot, upwards until a node is there already."""
    for level in range(LEVELS):
        key, bit = _node_key(level, slot >> 8), 1 << (slot & 255)
        node = ledger.find(WHEEL_NODES, key)
        bits = int.from_bytes(node.bitmap, "little") if node else 0
        ledger.put(WHEEL_NODES, key, WheelNode(bitmap=(bits | bit).to_bytes(32, "little")))
        if node:
            return
        slot >>= 8


def _unmark(ledger: Overlay, slot: int) -> None:
    """Clear the bits of a slot, upwards until a node keeps others."""
    for level in range(LEVELS):
        key, bit = _node_key(level, slot >> 8), 1 << (slot & 255)
        bits = int.from_bytes(ledger.get(WHEEL_NODES, key).bitmap, "little") ^ bit
        if bits:
            ledger.put(WHEEL_NODES, key, WheelNode(bitmap=bits.to_bytes(32, "little")))
            return
        ledger.delete(WHEEL_NODES, key)
        slot >>= 8


def _node_key(level: int, prefix: int) -> bytes:
    return bytes((level,)) + prefix.to_bytes(8, "big")
