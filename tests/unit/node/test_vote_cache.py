"""Laws of the memory of verified votes: it never tells another verdict than the signature's."""

from __future__ import annotations

import pytest

from node import vote_cache
from node.vote_cache import VoteVerifier
from state.crypto import SigningKey

KEY = SigningKey(b"k" * 32)
OTHER = SigningKey(b"o" * 32)
MESSAGE = b"message"
SIGNATURE = KEY.sign(MESSAGE)


def test_what_verified_once_is_not_verified_again():
    verify = VoteVerifier()
    assert [verify(KEY.public_key, SIGNATURE, MESSAGE) for _ in range(3)] == [True] * 3
    assert verify.verified_count == 1


def test_failure_is_not_remembered():
    verify = VoteVerifier()
    assert [verify(KEY.public_key, bytes(64), MESSAGE) for _ in range(2)] == [False] * 2
    assert verify.verified_count == 2
    assert verify(KEY.public_key, SIGNATURE, MESSAGE)


@pytest.mark.parametrize(
    "changed",
    [
        (OTHER.public_key, SIGNATURE, MESSAGE),
        (KEY.public_key, OTHER.sign(MESSAGE), MESSAGE),
        (KEY.public_key, SIGNATURE, MESSAGE + b"!"),
        (KEY.public_key, SIGNATURE + MESSAGE[:1], MESSAGE[1:]),
    ],
    ids=["another key", "another signature", "another message", "another border between the two"],
)
def test_memory_of_one_signature_says_nothing_about_another(changed):
    verify = VoteVerifier()
    assert verify(KEY.public_key, SIGNATURE, MESSAGE)
    assert not verify(*changed)


def test_memory_is_bounded_and_forgets_the_oldest_first(monkeypatch):
    monkeypatch.setattr(vote_cache, "VERIFIED_MAX", 2)
    verify = VoteVerifier()
    messages = [bytes([number]) for number in range(3)]
    signed = [(KEY.public_key, KEY.sign(message), message) for message in messages]
    assert [verify(*one) for one in signed] == [True] * 3
    assert verify.verified_count == 3
    assert verify(*signed[2])
    assert verify(*signed[1])
    assert verify.verified_count == 3
    assert verify(*signed[0])
    assert verify.verified_count == 4
