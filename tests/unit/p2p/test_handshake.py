"""Who is at the other end."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from nacl.signing import SigningKey

from p2p import handshake as handshake_module
from p2p.errors import ConnectionRefused, PeerViolation, RefusalReason, ViolationReason
from p2p.handshake import MESSAGE_BYTES_MAX, Handshake, build_node_id
from p2p.noise import Role
from tests.unit.p2p.builders import build_handshakes, build_identity, shake_hands


class NamedKey(SigningKey):
    """Signs with one key and shows another."""

    def __init__(self, seed: bytes, shown: bytes) -> None:
        super().__init__(seed)
        self.verify_key = SigningKey(shown).verify_key


def test_both_ends_learn_each_other_and_share_keys() -> None:
    ours, theirs = build_identity(1, listen_address="10.0.0.1:7000"), build_identity(2)
    initiator, responder = build_handshakes(ours, theirs)
    shake_hands(initiator, responder)
    at_initiator, _ = initiator.finish()
    at_responder, _ = responder.finish()
    assert (at_initiator.peer_id, at_responder.peer_id) == (theirs.node_id, ours.node_id)
    assert (at_initiator.listen_address, at_responder.listen_address) == ("", "10.0.0.1:7000")
    assert at_responder.receive_cipher.decrypt(at_initiator.send_cipher.encrypt(b"x")) == b"x"
    assert at_initiator.receive_cipher.decrypt(at_responder.send_cipher.encrypt(b"y")) == b"y"


def test_node_id_is_the_tagged_hash_of_the_key() -> None:
    key = bytes(range(32))
    assert build_node_id(key) == hashlib.sha256(b"bocc/node/1" + key).hexdigest()[:40]


def test_the_stream_may_arrive_byte_by_byte_and_bytes_after_the_end_are_kept() -> None:
    initiator, responder = build_handshakes()
    answer = b"".join(responder.receive(bytes([byte])) for byte in initiator.start())
    last = b"".join(initiator.receive(bytes([byte])) for byte in answer)
    assert responder.receive(last + b"rest") == b""
    assert responder.is_complete
    assert responder.finish()[1] == b"rest"


@pytest.mark.parametrize("refusing", list(Role))
def test_another_chain_is_refused_by_both_roles(refusing: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    initiator, responder = build_handshakes(build_identity(1, b"a" * 32), build_identity(2, b"b" * 32))
    answer = responder.receive(initiator.start())
    if refusing is Role.INITIATOR:
        with pytest.raises(ConnectionRefused) as caught:
            initiator.receive(answer)
    else:
        # An initiator that does not care goes on.
        initiator._identify = lambda *_: None
        with pytest.raises(ConnectionRefused) as caught:
            responder.receive(initiator.receive(answer))
    assert caught.value.reason is RefusalReason.WRONG_CHAIN


def test_another_version_is_refused_even_when_its_payload_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    initiator, responder = build_handshakes()
    opening = initiator.start()
    responder._build_payload = lambda: b"\x00\x02" + b"something new"
    with pytest.raises(ConnectionRefused) as caught:
        initiator.receive(responder.receive(opening))
    assert (caught.value.reason, caught.value.seen, caught.value.bound) == (RefusalReason.WRONG_VERSION, 2, 1)


def test_the_own_key_is_refused() -> None:
    initiator, responder = build_handshakes(build_identity(1), build_identity(1))
    with pytest.raises(ConnectionRefused) as caught:
        shake_hands(initiator, responder)
    assert caught.value.reason is RefusalReason.OWN_KEY


def test_an_address_that_answers_with_another_identity_is_refused() -> None:
    expected = build_identity(3).node_id
    initiator, responder = build_handshakes(expected_id=expected)
    with pytest.raises(ConnectionRefused) as caught:
        shake_hands(initiator, responder)
    assert (caught.value.reason, caught.value.bound) == (RefusalReason.UNEXPECTED_ID, expected)


def test_an_expected_identity_is_accepted() -> None:
    initiator, responder = build_handshakes(expected_id=build_identity(2).node_id)
    shake_hands(initiator, responder)
    assert initiator.is_complete


@pytest.mark.parametrize("liar", list(Role))
def test_nobody_can_show_a_key_without_signing_with_it(liar: Role) -> None:
    false = msgspec.structs.replace(build_identity(1), node_key=NamedKey(b"\x01" * 32, b"\x09" * 32))
    handshakes = build_handshakes(initiator=false) if liar is Role.INITIATOR else build_handshakes(responder=false)
    with pytest.raises(PeerViolation) as caught:
        shake_hands(*handshakes)
    assert caught.value.reason is ViolationReason.BAD_SIGNATURE


@pytest.mark.parametrize("field", ["chain", "role", "static", "hash"])
def test_a_signature_from_another_context_is_refused(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = handshake_module._signed_bytes
    initiator, responder = build_handshakes()
    opening = initiator.start()

    def sign_elsewhere(chain_id: bytes, role: Role, static: bytes, digest: bytes) -> bytes:
        return real(
            bytes(32) if field == "chain" else chain_id,
            Role.INITIATOR if field == "role" else role,
            bytes(32) if field == "static" else static,
            bytes(32) if field == "hash" else digest,
        )

    monkeypatch.setattr(handshake_module, "_signed_bytes", sign_elsewhere)
    answer = responder.receive(opening)
    monkeypatch.undo()
    with pytest.raises(PeerViolation) as caught:
        initiator.receive(answer)
    assert caught.value.reason is ViolationReason.BAD_SIGNATURE


def test_a_recorded_initiator_cannot_be_replayed() -> None:
    initiator, responder = build_handshakes()
    opening = initiator.start()
    last = initiator.receive(responder.receive(opening))
    fresh = Handshake(Role.RESPONDER, build_identity(2), b"\x0d" * 32)
    fresh.receive(opening)
    with pytest.raises(PeerViolation) as caught:
        fresh.receive(last)
    assert caught.value.reason is ViolationReason.BAD_CIPHERTEXT


@pytest.mark.parametrize("length", [0, 31, 33, 65_535])
def test_the_length_of_the_opening_is_checked_before_its_bytes_come(length: int) -> None:
    _, responder = build_handshakes()
    with pytest.raises(PeerViolation) as caught:
        responder.receive(length.to_bytes(2, "big"))
    assert (caught.value.reason, caught.value.seen) == (ViolationReason.HANDSHAKE_MALFORMED, length)


@pytest.mark.parametrize("length", [31, MESSAGE_BYTES_MAX + 1])
def test_the_length_of_the_answer_is_checked_before_its_bytes_come(length: int) -> None:
    initiator, _ = build_handshakes()
    initiator.start()
    with pytest.raises(PeerViolation) as caught:
        initiator.receive(length.to_bytes(2, "big"))
    assert caught.value.reason is ViolationReason.HANDSHAKE_MALFORMED


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\x00\x01", ViolationReason.MESSAGE_MALFORMED),
        (b"\x00\x01\xc0", ViolationReason.MESSAGE_MALFORMED),
        (b"\x00\x01" + b"\x91" * 500, ViolationReason.MESSAGE_MALFORMED),
    ],
)
def test_an_identity_that_does_not_decode_is_malformed(payload: bytes, reason: ViolationReason) -> None:
    initiator, responder = build_handshakes()
    opening = initiator.start()
    responder._build_payload = lambda: payload
    with pytest.raises(PeerViolation) as caught:
        initiator.receive(responder.receive(opening))
    assert caught.value.reason is reason


def test_an_identity_in_a_longer_encoding_is_not_canonical() -> None:
    initiator, responder = build_handshakes()
    opening = initiator.start()
    build = responder._build_payload
    responder._build_payload = lambda: build().replace(b"\x94", b"\xdc\x00\x04", 1)
    with pytest.raises(PeerViolation) as caught:
        initiator.receive(responder.receive(opening))
    assert caught.value.reason is ViolationReason.MESSAGE_NOT_CANONICAL
