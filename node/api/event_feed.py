"""Events of final blocks for long polls and subscriptions, read from the persisted log, the newest from memory.

There is no queue per reader: a reader is a cursor into the log, so a slow one costs nothing but its own connection, and nothing is
lost when it returns. The driver tells of final blocks and never waits for a reader. A cursor is the decimal sequence number of the
last event that a reader has seen; callers treat it as opaque.

Topics: `tx` (events of transactions), `block` (of the work at the end of blocks), `account:<address>`, `order:<address>`,
`resource:<address>`, `enclave:<address>` (events that name it), and each kind of event by its name. An event matches topics if it
has any of them; without topics every event matches.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from msgspec import Struct

from node.api.describe import describe_attributes
from node.api.errors import ApiReason, ErrorCode, RpcError
from node.api.turns import Turns
from state.address import HUMAN_PREFIX, AddressKind, AddressRejected, parse_address
from state.chain import Finalized
from state.chain_history import HistoryReason, HistoryRejected
from state.chain_views import ChainViews
from state.receipts import EventKind
from state.stored import StoredEvent

NEWEST_MAX: Final = 4_096
"""Events kept in memory for readers that are up to date."""
SLICE_EVENTS: Final = 256
"""Events looked at in one piece, about a millisecond."""
SLICE_FOUND: Final = 32
"""Events described in one piece: two to three milliseconds, most of it for addresses."""
NEWEST_SHARE_S: Final = 0.003
"""Part of a turn of the loop for all readers at the end of the log together."""
LOG_SHARE_S: Final = 0.003
"""Part of a turn of the loop for all searches of the log together."""
SCAN_MAX: Final = 20_000
"""Events looked at for one page; a page may be empty and still move its cursor on."""
TOPICS_MAX: Final = 16
_NAMED_TOPICS: Final = {
    "account": AddressKind.ACCOUNT,
    "order": AddressKind.ORDER,
    "resource": AddressKind.RESOURCE,
    "enclave": AddressKind.ENCLAVE,
}
"""Topics of what an address names, which follows after a colon."""
HEAD_TOPIC: Final = "head"
"""Of subscriptions only: the newest final block, whenever it changes. It is not in the log and has no cursor of its own."""
_PLAIN_TOPICS: Final = frozenset({"tx", "block", HEAD_TOPIC, *(kind.value for kind in EventKind)})


class Topics(Struct, frozen=True):
    """What a reader wants to see."""

    names: frozenset[str]
    addresses: frozenset[bytes]
    """Of accounts, orders, resources, enclaves."""

    def match(self, stored: StoredEvent) -> bool:
        """Tell whether an event has one of the topics, or none is asked for."""
        names, addresses, event = self.names, self.addresses, stored.event
        if not names and not addresses:
            return True
        if event.kind.value in names or ("block" if event.tx_index is None else "tx") in names:
            return True
        return bool(addresses) and any(attribute in addresses for _, attribute in event.attributes)


class EventView(Struct, frozen=True):
    """One event of a final block."""

    cursor: str
    """Continue after it with this."""
    height: int
    time_ms: int
    tx_index: int | None
    """Of the transaction in its block; null for work at the end of the block."""
    kind: str
    attributes: dict[str, Any]  # JSON by the event's kind


class Page(Struct, frozen=True):
    """Events after a cursor, and where to go on."""

    events: list[EventView]
    cursor: str
    """Last event looked at, whether it matched or not."""
    has_more: bool
    """Whether the log goes on after the cursor already."""


class EventFeed:
    """The log of events with its newest entries in memory."""

    def __init__(self, views: ChainViews) -> None:
        """Begin at the end of the log."""
        self._views = views
        self._newest: deque[tuple[int, StoredEvent]] = deque(maxlen=NEWEST_MAX)
        self._last_sequence = views.status().next_sequence - 1
        self._changed = asyncio.Event()
        self._newest_turns = Turns(NEWEST_SHARE_S)
        self._log_turns = Turns(LOG_SHARE_S)
        """Readers at the end of the log do not wait for those that search all of it."""

    @property
    def last_sequence(self) -> int:
        """Sequence number of the newest event; 0 if there was none yet."""
        return self._last_sequence

    def on_final(self, finalized: Finalized) -> None:
        """Take the events of newly final blocks, and wake those who wait for any or for a block."""
        self._newest.extend(finalized.events)
        if finalized.events:
            self._last_sequence = finalized.events[-1][0]
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self) -> None:
        """Wait for the next final block."""
        await self._changed.wait()

    def read(self, after: int, limit: int) -> list[tuple[int, StoredEvent]]:
        """Return events after a sequence number, oldest first.

        Raises:
            RpcError: PRUNED with the earliest cursor that would do; INVALID_PARAMS with BAD_CURSOR beyond the end.
        """
        if self._newest and after + 1 >= self._newest[0][0]:
            if after > self._last_sequence:
                raise RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_CURSOR, after, self._last_sequence)
            start = after + 1 - self._newest[0][0]
            return list(islice(self._newest, start, start + limit))
        try:
            return self._views.events(after, limit)
        except HistoryRejected as rejection:
            raise _cursor_error(rejection) from rejection

    async def page(self, after: int, topics: Topics, limit: int) -> Page:
        """Return the next events that match, as far as one page goes.

        Raises:
            RpcError: as for `read`.
        """
        found: list[EventView] = []
        start = after
        while True:
            is_near = after >= self._last_sequence or bool(self._newest and after + 1 >= self._newest[0][0])
            async with (self._newest_turns if is_near else self._log_turns).taking():
                last = self._read_slice(after, topics, limit, found)
            if last == after or len(found) >= limit or last - start >= SCAN_MAX:
                return Page(found, str(last), last < self._last_sequence)
            after = last

    def _read_slice(self, after: int, topics: Topics, limit: int, found: list[EventView]) -> int:
        """Add some of the events that match; return the last one looked at."""
        goal = min(limit, len(found) + SLICE_FOUND)
        for sequence, stored in self.read(after, SLICE_EVENTS):
            after = sequence
            if topics.match(stored):
                found.append(describe_event(sequence, stored))
                if len(found) == goal:
                    break
        return after


def _cursor_error(rejection: HistoryRejected) -> RpcError:
    if rejection.reason is HistoryReason.PRUNED:
        earliest = str(rejection.bound)
        return RpcError(ErrorCode.PRUNED, ApiReason.PRUNED, rejection.seen, rejection.bound, earliest=earliest)
    return RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_CURSOR, rejection.seen, rejection.bound)


def parse_cursor(text: str) -> int:
    """Return the sequence number that a cursor stands for.

    Raises:
        RpcError: INVALID_PARAMS, BAD_CURSOR.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_CURSOR, text, "a cursor that this node gave")
    return int(text)


def parse_topics(topics: Iterable[str]) -> Topics:
    """Return what the texts of a call stand for.

    Raises:
        RpcError: INVALID_PARAMS, BAD_TOPIC.
    """
    texts = frozenset(topics)
    if len(texts) > TOPICS_MAX:
        raise RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_TOPIC, f"{len(texts)} topics", TOPICS_MAX)
    return Topics(texts & _PLAIN_TOPICS, frozenset(_parse_named(topic) for topic in texts - _PLAIN_TOPICS))


def _parse_named(topic: str) -> bytes:
    kinds = " ".join(sorted(kind.value for kind in EventKind))
    bound = f"tx, block, account:<address>, also order, resource, enclave, in subscriptions head, or a kind of event: {kinds}"
    error = RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_TOPIC, topic, bound)
    name, _, text = topic.partition(":")
    kind = _NAMED_TOPICS.get(name)
    if kind is None:
        raise error
    try:
        return parse_address(text, HUMAN_PREFIX[kind], kind)
    except AddressRejected as rejection:
        raise error from rejection


def describe_event(sequence: int, stored: StoredEvent) -> EventView:
    """Return the JSON form of an event of the log."""
    return EventView(
        cursor=str(sequence),
        height=stored.height,
        time_ms=stored.time_ms,
        tx_index=stored.event.tx_index,
        kind=stored.event.kind.value,
        attributes=describe_attributes(stored.event.attributes),
    )
