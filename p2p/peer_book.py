"""Addresses worth dialing.

# Invariant: at most `ENTRIES_MAX` addresses, at most `GROUP_MAX` of one subnet (loopback excepted), at most
# `SOURCE_MAX` told by one peer; so neither one liar nor one network can fill the book.

An address is *proven* once a handshake with it succeeded, and then only gives way after many failures. The book is kept
in memory; its owner stores `encode()` and brings it back with `PeerBook.decode`.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from random import Random
from typing import Annotated

import msgspec
from msgspec import Meta

from p2p import codec
from p2p.address import LISTEN_ADDRESS_CHARS_MAX, LOOPBACK_GROUP, Address, build_group, find_dialable
from p2p.errors import BookReason, PeerBookRejected, PeerViolation

ENTRIES_MAX = 1_000
GROUP_MAX = 64
SOURCE_MAX = 64
PROVEN_FAILURES_MAX = 10
"""A proven address that failed this often may give way like any other."""
RETRY_MIN_MS = 30_000
RETRY_MAX_MS = 3_600_000
_RETRY_DOUBLINGS_MAX = 7


class StoredEntry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """One address on disk; times are not kept, because clocks start anew."""

    address: Annotated[str, Meta(max_length=LISTEN_ADDRESS_CHARS_MAX)]
    source: Annotated[str, Meta(max_length=40)]
    is_proven: bool


class StoredBook(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=1):
    """The whole book on disk; the tag is its version."""

    entries: Annotated[list[StoredEntry], Meta(max_length=ENTRIES_MAX)]


_decoder: "msgspec.msgpack.Decoder[StoredBook]" = msgspec.msgpack.Decoder(StoredBook)


class PeerBook:
    """A bounded set of addresses, spread over subnets and sources."""

    def __init__(self) -> None:
        self._entries: dict[Address, _Entry] = {}

    @classmethod
    def decode(cls, stored: bytes) -> "PeerBook":
        """Read what `encode` wrote.

        Raises:
            PeerBookRejected: MALFORMED.
        """
        try:
            entries = codec.decode(_decoder, stored).entries
        except PeerViolation as error:
            raise PeerBookRejected(BookReason.MALFORMED, error.seen) from error
        book = cls()
        for entry in entries:
            address = find_dialable(entry.address, allows_private=True)
            if address is None:
                raise PeerBookRejected(BookReason.MALFORMED, entry.address)
            book.add(address, entry.source, 0)
            if entry.is_proven:
                book.note_connected(address)
        return book

    def encode(self) -> bytes:
        """Return the book as bytes, sorted by address."""
        entries = [
            StoredEntry(address=str(address), source=entry.source, is_proven=entry.is_proven)
            for address, entry in sorted(self._entries.items(), key=lambda item: item[0])
        ]
        return codec.encode(StoredBook(entries=entries))

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, address: Address) -> bool:
        return address in self._entries

    def add(self, address: Address, source: str, now_ms: int) -> bool:
        """Remember an address that the peer `source` told, and return whether it is new and found a place."""
        if address in self._entries:
            return False
        group = build_group(address.host)
        has_place = (
            self._has_room(SOURCE_MAX, lambda entry: entry.source == source)
            and (group == LOOPBACK_GROUP or self._has_room(GROUP_MAX, lambda entry: entry.group == group))
            and self._has_room(ENTRIES_MAX, lambda _: True)
        )
        if has_place:
            self._entries[address] = _Entry(group=group, source=source, heard_ms=now_ms)
        return has_place

    def remove(self, address: Address) -> None:
        """Forget an address, if it is known."""
        self._entries.pop(address, None)

    def note_connected(self, address: Address) -> None:
        """Note that a handshake with this address succeeded."""
        entry = self._entries.get(address)
        if entry is not None:
            entry.is_proven = True
            entry.failures = 0

    def note_tried(self, address: Address, now_ms: int) -> None:
        """Note a dial; each one without success in between makes the next come later."""
        entry = self._entries.get(address)
        if entry is not None:
            doublings = min(entry.failures, _RETRY_DOUBLINGS_MAX)
            entry.next_ms = now_ms + min(RETRY_MAX_MS, RETRY_MIN_MS << doublings)
            entry.failures += 1

    def choose(self, now_ms: int, excluded: AbstractSet[Address], rng: Random) -> Address | None:
        """Return an address to dial now: a subnet by chance, then an address in it by chance."""
        groups: dict[str, list[Address]] = {}
        for address, entry in self._entries.items():
            if entry.next_ms <= now_ms and address not in excluded:
                groups.setdefault(entry.group, []).append(address)
        if not groups:
            return None
        return rng.choice(groups[rng.choice(sorted(groups))])

    def sample(self, count: int, rng: Random) -> list[Address]:
        """Return up to `count` addresses by chance, to tell another peer."""
        addresses = sorted(self._entries)
        return rng.sample(addresses, min(count, len(addresses)))

    def _has_room(self, bound: int, belongs: "Callable[[_Entry], bool]") -> bool:
        """Return whether one more entry of this kind fits, after the worst one gave way where that is fair."""
        members = [address for address, entry in self._entries.items() if belongs(entry)]
        if len(members) < bound:
            return True
        worst = max(members, key=lambda address: self._entries[address].badness())
        if not self._entries[worst].is_replaceable:
            return False
        del self._entries[worst]
        return True


class _Entry(msgspec.Struct, kw_only=True):
    group: str
    source: str
    heard_ms: int
    next_ms: int = 0
    failures: int = 0
    is_proven: bool = False

    @property
    def is_replaceable(self) -> bool:
        return self.failures > (PROVEN_FAILURES_MAX if self.is_proven else 0)

    def badness(self) -> tuple[bool, int, int]:
        return self.is_replaceable, self.failures, -self.heard_ms
