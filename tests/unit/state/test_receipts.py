"""Receipts and events: the largest of each can be read back."""

from __future__ import annotations

import re
from random import Random

import pytest

from state.codec import INTEGER_MAX
from state.errors import Malformed
from state.receipts import (
    EVENT_CODEC,
    REASON_CHARS_MAX,
    RECEIPT_CODEC,
    TEXT_ATTRIBUTES,
    Event,
    EventKind,
    Receipt,
    ReceiptStatus,
)
from state.runtime.reasons import BlockReason, TransactionReason
from tests.support.runtime_history import advance, make_world


def largest_event(attribute_bytes: int) -> Event:
    attributes = tuple(("n" * 32, bytes(attribute_bytes)) for _ in range(16))
    return Event(kind=EventKind.UNBONDING_STARTED, tx_index=9_999, attributes=attributes)


def test_the_largest_receipt_and_event_can_be_read_back() -> None:
    receipt = Receipt(
        tx_id=bytes(32),
        status=ReceiptStatus.FAILED,
        reason="x" * REASON_CHARS_MAX,
        message_index=15,
        fee=INTEGER_MAX,
        work=INTEGER_MAX,
        event_count=INTEGER_MAX,
    )
    assert RECEIPT_CODEC.decode(RECEIPT_CODEC.encode(receipt)) == receipt
    event = largest_event(128)
    assert EVENT_CODEC.decode(EVENT_CODEC.encode(event)) == event
    with pytest.raises(Malformed):
        EVENT_CODEC.decode(EVENT_CODEC.encode(largest_event(129)))


def test_every_reason_fits_a_receipt() -> None:
    reasons = [*TransactionReason, *BlockReason]
    assert all(re.fullmatch(r"[a-z_]+", reason) and len(reason) <= REASON_CHARS_MAX for reason in reasons)
    assert len(set(reasons)) == len(reasons)


def test_what_execution_emits_can_be_read_back_and_texts_are_where_they_are_announced() -> None:
    world, random = make_world(), Random(11)
    events: list[Event] = []
    apply = world.apply
    world.apply = lambda *given, **named: events.extend((executed := apply(*given, **named)).events) or executed
    for _ in range(120):
        advance(world, random)
    for event in events:
        assert EVENT_CODEC.decode(EVENT_CODEC.encode(event)) == event
        for name, member in event.attributes:
            if name in TEXT_ATTRIBUTES:
                assert re.fullmatch(r"[a-z_]+", member.decode())
    assert len({event.kind for event in events}) >= 8
