"""Noise XX against public transcripts, public tables and another implementation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from noise.connection import Keypair, NoiseConnection

from p2p.errors import PeerViolation, ViolationReason
from p2p.noise import NONCE_MAX, PROTOCOL_NAME, CipherState, NoiseHandshake, Role, agree, derive_pair


@pytest.fixture(scope="module")
def transcript(shared_dir: Path) -> dict[str, object]:
    vectors = json.loads((shared_dir / "vectors/noise/cacophony-subset.json").read_text())["vectors"]
    (found,) = [vector for vector in vectors if vector["protocol_name"] == PROTOCOL_NAME.decode()]
    return found


def load_tests(shared_dir: Path, name: str) -> list[dict[str, object]]:
    table = json.loads((shared_dir / "vectors/wycheproof" / name).read_text())
    return [test for group in table["testGroups"] for test in group["tests"]]


def build_pair(prologue: bytes = b"p") -> tuple[NoiseHandshake, NoiseHandshake]:
    return (
        NoiseHandshake(Role.INITIATOR, b"\x01" * 32, b"\x02" * 32, prologue),
        NoiseHandshake(Role.RESPONDER, b"\x03" * 32, b"\x04" * 32, prologue),
    )


def test_both_roles_reproduce_the_public_transcript(transcript: dict[str, object]) -> None:
    keys = {
        name: bytes.fromhex(text)
        for name, text in transcript.items()
        if isinstance(text, str) and name != "protocol_name"
    }
    initiator = NoiseHandshake(Role.INITIATOR, keys["init_static"], keys["init_ephemeral"], keys["init_prologue"])
    responder = NoiseHandshake(Role.RESPONDER, keys["resp_static"], keys["resp_ephemeral"], keys["resp_prologue"])
    messages = [
        (bytes.fromhex(message["payload"]), bytes.fromhex(message["ciphertext"])) for message in transcript["messages"]
    ]
    ends = (initiator, responder)
    for index, (payload, ciphertext) in enumerate(messages[:3]):
        assert ends[index % 2].write_message(payload) == ciphertext
        assert ends[1 - index % 2].read_message(ciphertext) == payload
    assert initiator.handshake_hash == responder.handshake_hash == keys["handshake_hash"]
    assert initiator.remote_static == responder.static_public
    ciphers = (initiator.split(), responder.split())
    assert len(messages) > 3
    for index, (payload, ciphertext) in enumerate(messages[3:], start=3):
        send, receive = ciphers[index % 2][0], ciphers[1 - index % 2][1]
        assert send.encrypt(payload) == ciphertext
        assert receive.decrypt(ciphertext) == payload


def test_agreement_has_the_verdicts_of_the_public_table_and_refuses_zero(shared_dir: Path) -> None:
    refused = 0
    for test in load_tests(shared_dir, "x25519_test.json"):
        private, public, shared = (bytes.fromhex(test[name]) for name in ("private", "public", "shared"))
        if shared == bytes(32):
            refused += 1
            with pytest.raises(PeerViolation) as caught:
                agree(private, public)
            assert caught.value.reason is ViolationReason.WEAK_KEY
        else:
            assert agree(private, public) == shared, test["tcId"]
    assert refused > 0


def test_key_derivation_has_the_outputs_of_the_public_table(shared_dir: Path) -> None:
    checked = 0
    for test in load_tests(shared_dir, "hkdf_sha256_test.json"):
        if test["info"] or test["size"] > 64 or test["result"] != "valid":
            continue
        derived = b"".join(derive_pair(bytes.fromhex(test["salt"]), bytes.fromhex(test["ikm"])))
        assert derived[: test["size"]] == bytes.fromhex(test["okm"]), test["tcId"]
        checked += 1
    assert checked > 0


def test_the_aead_has_the_verdicts_of_the_public_table(shared_dir: Path) -> None:
    for test in load_tests(shared_dir, "chacha20_poly1305_test.json"):
        key, nonce, associated, message, ciphertext, tag = (
            bytes.fromhex(test[name]) for name in ("key", "iv", "aad", "msg", "ct", "tag")
        )
        if len(nonce) != 12:
            assert test["result"] == "invalid"
            continue
        aead = ChaCha20Poly1305(key)
        if test["result"] == "valid":
            assert aead.encrypt(nonce, message, associated) == ciphertext + tag, test["tcId"]
            assert aead.decrypt(nonce, ciphertext + tag, associated) == message
        else:
            with pytest.raises(InvalidTag):
                aead.decrypt(nonce, ciphertext + tag, associated)


@pytest.mark.parametrize("our_role", list(Role))
def test_it_talks_with_another_implementation_in_both_roles_through_rekeying(our_role: Role) -> None:
    other = NoiseConnection.from_name(PROTOCOL_NAME)
    other.set_prologue(b"prologue")
    other.set_keypair_from_private_bytes(Keypair.STATIC, b"\x05" * 32)
    ours = NoiseHandshake(our_role, b"\x06" * 32, b"\x07" * 32, b"prologue")
    if our_role is Role.INITIATOR:
        other.set_as_responder()
    else:
        other.set_as_initiator()
    other.start_handshake()
    for index in range(3):
        payload = bytes([index]) * index
        if ours.is_our_turn:
            assert bytes(other.read_message(ours.write_message(payload))) == payload
        else:
            assert ours.read_message(bytes(other.write_message(payload))) == payload
    assert ours.is_complete
    assert other.handshake_finished
    assert ours.handshake_hash == other.get_handshake_hash()
    send, receive = ours.split()
    for _ in range(2):
        for size in (0, 1, 200, 65_519):
            assert other.decrypt(send.encrypt(b"a" * size)) == b"a" * size
            assert receive.decrypt(other.encrypt(b"b" * size)) == b"b" * size
        send.rekey()
        receive.rekey()
        other.rekey_inbound_cipher()
        other.rekey_outbound_cipher()


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_changed_bit_anywhere_in_a_handshake_message_is_noticed(index: int) -> None:
    initiator, responder = build_pair()
    ends = (initiator, responder)
    for number in range(index):
        ends[1 - number % 2].read_message(ends[number % 2].write_message(b"payload"))
    message = bytearray(ends[index % 2].write_message(b"payload"))
    message[-1] ^= 1
    reader = ends[1 - index % 2]
    if index == 0:
        # The first message is not encrypted: the change shows in the answer, whose hash covers it.
        reader.read_message(bytes(message))
        message, reader = bytearray(responder.write_message(b"")), initiator
    with pytest.raises(PeerViolation) as caught:
        reader.read_message(bytes(message))
    assert caught.value.reason is ViolationReason.BAD_CIPHERTEXT


@pytest.mark.parametrize("length", [0, 1, 31])
def test_a_first_message_shorter_than_a_key_is_malformed(length: int) -> None:
    _, responder = build_pair()
    with pytest.raises(PeerViolation) as caught:
        responder.read_message(bytes(length))
    assert (caught.value.reason, caught.value.seen, caught.value.bound) == (
        ViolationReason.HANDSHAKE_MALFORMED,
        length,
        32,
    )


def test_a_low_order_ephemeral_key_is_refused() -> None:
    _, responder = build_pair()
    responder.read_message(bytes(32))
    with pytest.raises(PeerViolation) as caught:
        responder.write_message(b"")
    assert caught.value.reason is ViolationReason.WEAK_KEY


def test_different_prologues_do_not_understand_each_other() -> None:
    initiator = build_pair(b"one")[0]
    responder = build_pair(b"two")[1]
    responder.read_message(initiator.write_message(b""))
    with pytest.raises(PeerViolation):
        initiator.read_message(responder.write_message(b""))


def test_a_failed_decryption_leaves_the_nonce_and_a_replay_fails() -> None:
    send, receive = CipherState(b"k" * 32), CipherState(b"k" * 32)
    first = send.encrypt(b"one")
    with pytest.raises(PeerViolation):
        receive.decrypt(b"x" * 20)
    assert receive.decrypt(first) == b"one"
    with pytest.raises(PeerViolation) as caught:
        receive.decrypt(first)
    assert caught.value.reason is ViolationReason.BAD_CIPHERTEXT


def test_the_reserved_nonce_is_never_used() -> None:
    cipher = CipherState(b"k" * 32, nonce=NONCE_MAX - 1)
    cipher.encrypt(b"")
    with pytest.raises(AssertionError):
        cipher.encrypt(b"")
