"""COSE_Sign1: what is signed, to the byte, for every size of the payload's head."""

from __future__ import annotations

import pytest

from tee.cose import CoseSign1, open_sign1
from tee.errors import EvidenceRejected, Reason
from tests.support.nitro_pki import PROTECTED, encode_cbor, frame

SIGNATURE = bytes(range(96))


@pytest.mark.parametrize("size", [0, 1, 23, 24, 255, 256, 4000, 65_535, 65_536])
@pytest.mark.parametrize("head", [b"\x84", b"\xd2\x84"], ids=["plain", "tag 18"])
def test_the_signature_covers_context_header_and_payload(head: bytes, size: int) -> None:
    payload = bytes(size)
    message = frame(head=head, payload=encode_cbor(payload), signature=encode_cbor(SIGNATURE))
    signed = encode_cbor(["Signature1", PROTECTED, b"", payload])
    assert open_sign1(message) == CoseSign1(payload, signed, SIGNATURE)


def test_a_refusal_says_what_was_seen_and_allowed() -> None:
    message = frame(payload=b"\x40", signature=encode_cbor(SIGNATURE), tail=b"abc")
    with pytest.raises(EvidenceRejected) as refusal:
        open_sign1(message)
    assert (refusal.value.reason, refusal.value.seen, refusal.value.bound) == (Reason.TRAILING_BYTES, 3, 0)


def test_nothing_behind_unprotected_entries_is_read() -> None:
    message = frame(unprotected=b"\xa1\x04\x41k", payload=b"", signature=b"", tail=b"\xff")
    with pytest.raises(EvidenceRejected) as refusal:
        open_sign1(message)
    assert (refusal.value.reason, refusal.value.seen) == (Reason.COSE_UNPROTECTED, 1)
