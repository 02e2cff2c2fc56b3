"""Asking peers for addresses.

One question per peer and minute, in each direction. An answer is only taken from a peer that was asked, once, and holds
at most `ADDRESSES_MAX` literal addresses. A node that does not take part ignores questions and asks none.
"""

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from p2p import codec
from p2p.address import LISTEN_ADDRESS_CHARS_MAX, Address, find_dialable
from p2p.errors import PeerViolation, ViolationReason

ADDRESSES_MAX = 100
ASK_INTERVAL_MS = 65_000
"""Between two of our questions to a peer; longer than what is tolerated, because clocks and lines vary."""
ANSWER_INTERVAL_MS = 60_000
"""Shortest time between two questions of a peer that we tolerate."""

AddressText = Annotated[str, Meta(max_length=LISTEN_ADDRESS_CHARS_MAX)]


class AskAddresses(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=0):
    """Asks for addresses."""


class TellAddresses(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """Answers `AskAddresses`."""

    addresses: Annotated[list[AddressText], Meta(max_length=ADDRESSES_MAX)]


PeersMessage = AskAddresses | TellAddresses

_decoder: "msgspec.msgpack.Decoder[PeersMessage]" = msgspec.msgpack.Decoder(PeersMessage)


class AddressExchange:
    """Who was asked, and who asked, lately."""

    def __init__(self, *, is_enabled: bool, allows_private: bool) -> None:
        self._is_enabled = is_enabled
        self._allows_private = allows_private
        self._peers: dict[str, _Turn] = {}

    def add_peer(self, peer_id: str) -> None:
        """Take a connected peer into account."""
        self._peers[peer_id] = _Turn()

    def remove_peer(self, peer_id: str) -> None:
        """Forget a peer that is gone."""
        self._peers.pop(peer_id, None)

    def take_due(self, now_ms: int) -> list[str]:
        """Return the peers to send `encode_question()` to now."""
        if not self._is_enabled:
            return []
        due = [peer_id for peer_id, turn in self._peers.items() if turn.ask_ms <= now_ms]
        for peer_id in due:
            self._peers[peer_id].ask_ms = now_ms + ASK_INTERVAL_MS
            self._peers[peer_id].is_asked = True
        return due

    def handle(
        self, peer_id: str, payload: bytes, now_ms: int, choose: Callable[[int], list[Address]]
    ) -> tuple[bytes, list[Address]]:
        """Take a message and return the answer to send, possibly none, and the addresses learned.

        `choose` returns up to that many addresses to tell.

        Raises:
            PeerViolation: MESSAGE_MALFORMED, MESSAGE_NOT_CANONICAL, UNASKED, REQUESTED_TOO_OFTEN.
        """
        message = codec.decode(_decoder, payload)
        turn = self._peers[peer_id]
        match message:
            case AskAddresses():
                return self._answer(turn, now_ms, choose), []
            case TellAddresses(addresses):
                if not turn.is_asked:
                    raise PeerViolation(ViolationReason.UNASKED, len(addresses))
                turn.is_asked = False
                found = (find_dialable(text, allows_private=self._allows_private) for text in addresses)
                return b"", [address for address in found if address is not None]

    def _answer(self, turn: "_Turn", now_ms: int, choose: Callable[[int], list[Address]]) -> bytes:
        if now_ms < turn.answer_ms:
            raise PeerViolation(ViolationReason.REQUESTED_TOO_OFTEN, turn.answer_ms - now_ms)
        turn.answer_ms = now_ms + ANSWER_INTERVAL_MS
        if not self._is_enabled:
            return b""
        return codec.encode(TellAddresses([str(address) for address in choose(ADDRESSES_MAX)]))


def encode_question() -> bytes:
    """Return the message that asks for addresses."""
    return codec.encode(AskAddresses())


class _Turn(msgspec.Struct):
    ask_ms: int = 0
    answer_ms: int = 0
    is_asked: bool = False
