"""The deadline wheel."""

from __future__ import annotations

from random import Random

import pytest

from state.codec import INTEGER_MAX
from state.deadlines import (
    DEADLINES,
    WHEEL_NODES,
    WHEEL_QUEUES,
    Deadline,
    DeadlineKind,
    find_next_deadline_ms,
    push_deadline,
    take_due,
)
from state.ledger import BaseLedger, Overlay
from state.store import MemoryStore

KIND = DeadlineKind.AUTH_DUE


@pytest.fixture
def ledger() -> Overlay:
    return Overlay(BaseLedger(MemoryStore()))


def push(ledger: Overlay, subject: int, due_ms: int) -> None:
    push_deadline(ledger, KIND, subject.to_bytes(4, "big"), due_ms)


def take_all(ledger: Overlay, time_ms: int) -> list[int]:
    taken = []
    while (deadline := take_due(ledger, time_ms)) is not None:
        taken.append(int.from_bytes(deadline.subject, "big"))
    return taken


def test_an_empty_wheel_has_nothing_due_and_nothing_next(ledger: Overlay) -> None:
    assert take_due(ledger, INTEGER_MAX) is None
    assert find_next_deadline_ms(ledger) is None
    assert ledger.changes() == {}


@pytest.mark.parametrize("due_ms", [0, 1, 255, 256, 257, 1_750_000_000_001, INTEGER_MAX])
def test_a_deadline_never_fires_early_and_at_most_256_ms_late(ledger: Overlay, due_ms: int) -> None:
    push(ledger, 1, due_ms)
    fires_ms = find_next_deadline_ms(ledger)
    assert fires_ms is not None
    assert due_ms <= fires_ms < due_ms + 256
    assert take_due(ledger, fires_ms - 1) is None
    assert take_due(ledger, fires_ms) == Deadline(kind=KIND, subject=b"\0\0\0\1", due_ms=due_ms)


def test_deadlines_of_one_slot_keep_the_order_of_arrival(ledger: Overlay) -> None:
    for subject, due_ms in ((1, 900), (2, 800), (3, 1_000)):
        push(ledger, subject, due_ms)
    assert take_all(ledger, 1_024) == [1, 2, 3]


def test_deadlines_come_in_the_order_of_their_slots_whatever_the_order_of_pushing(ledger: Overlay) -> None:
    random = Random(5)
    times = [random.randrange(1 << random.randrange(1, 63)) for _ in range(500)]
    for subject, due_ms in enumerate(times):
        push(ledger, subject, due_ms)
    expected = sorted(range(500), key=lambda subject: ((times[subject] + 255) >> 8, subject))
    assert take_all(ledger, INTEGER_MAX + 1) == expected


def test_a_used_up_wheel_leaves_no_record(ledger: Overlay) -> None:
    for subject in range(50):
        push(ledger, subject, subject * 1_000_000_007)
    take_all(ledger, INTEGER_MAX)
    assert ledger.changes() == {}


def test_only_what_is_due_is_taken_and_the_rest_stays(ledger: Overlay) -> None:
    for subject, due_ms in ((1, 256), (2, 512), (3, 1 << 40)):
        push(ledger, subject, due_ms)
    assert take_all(ledger, 511) == [1]
    assert find_next_deadline_ms(ledger) == 512
    assert take_all(ledger, 1 << 39) == [2]
    assert find_next_deadline_ms(ledger) == 1 << 40


def test_a_deadline_pushed_while_its_slot_is_taken_waits_behind(ledger: Overlay) -> None:
    push(ledger, 1, 256)
    push(ledger, 2, 256)
    assert take_due(ledger, 256) is not None
    push(ledger, 3, 256)
    assert take_all(ledger, 256) == [2, 3]


def test_the_wheel_is_ordinary_state(ledger: Overlay) -> None:
    push(ledger, 1, 256)
    prefixes = {raw_key[:1] for raw_key in ledger.changes()}
    assert prefixes == {WHEEL_NODES.prefix, WHEEL_QUEUES.prefix, DEADLINES.prefix}


def test_work_does_not_grow_with_time_that_passed(ledger: Overlay) -> None:
    reads = 0

    class CountingParent:
        def find_raw(self, raw_key: bytes) -> object:
            nonlocal reads
            reads += 1
            return ledger.find_raw(raw_key)

    push(ledger, 1, 1 << 20)
    push(ledger, 2, 1 << 50)
    above = Overlay(CountingParent())
    assert take_due(above, 1 << 62) is not None
    assert take_due(above, 1 << 62) is not None
    assert reads < 40
