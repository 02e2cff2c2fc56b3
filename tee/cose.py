"""COSE_Sign1 in the one form that Nitro documents have: ES384, nothing unprotected, no detached payload.

The outer array, the protected header's frame and the unprotected header are signed by nobody, so exactly one form of them is
accepted, but for tag 18 in front, which standards allow and AWS does not send.

Source: the evidence specification, section 5.1, after RFC 9052, section 4.2.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tee.cbor import ARRAY, BYTES, MAP, CborError, read_head, read_string
from tee.errors import EvidenceRejected, Reason

SIGNATURE_BYTES: Final = 96
_TAG_SIGN1: Final = b"\xd2"
_ELEMENTS: Final = 4
_PROTECTED_ES384: Final = bytes.fromhex("a1013822")
"""The map {1: -35}."""
_CONTEXT: Final = b"\x84\x6aSignature1\x44" + _PROTECTED_ES384 + b"\x40"
"""What is signed before the payload: array of four, context, protected header, and no external data."""


class CoseSign1(NamedTuple):
    """The parts of a message."""

    payload: bytes
    signed: bytes
    """The bytes that the signature covers."""
    signature: bytes
    """r, then s, 48 bytes each, big endian."""


def open_sign1(message: bytes) -> CoseSign1:
    """Take a message apart.

    What follows an unprotected header with entries is not looked at.

    Raises:
        EvidenceRejected: in this order COSE_FORMAT, TRAILING_BYTES, COSE_ALGORITHM, COSE_UNPROTECTED, SIGNATURE_FORMAT.

    Source: the evidence specification, sections 5.1 and 5.3.
    """
    try:
        protected, unprotected_count, position = _read_headers(message)
        framed_payload, payload, signature = b"", b"", b""
        if unprotected_count == 0:
            start = position
            payload, position = read_string(message, start, BYTES)
            framed_payload = message[start:position]
            signature, position = read_string(message, position, BYTES)
    except CborError as error:
        raise EvidenceRejected(Reason.COSE_FORMAT, str(error)) from error
    if unprotected_count == 0 and position != len(message):
        raise EvidenceRejected(Reason.TRAILING_BYTES, len(message) - position, 0)
    if protected != _PROTECTED_ES384:
        raise EvidenceRejected(Reason.COSE_ALGORITHM, protected[: len(_PROTECTED_ES384) + 1].hex(), "a1013822")
    if unprotected_count:
        raise EvidenceRejected(Reason.COSE_UNPROTECTED, unprotected_count, 0)
    if len(signature) != SIGNATURE_BYTES:
        raise EvidenceRejected(Reason.SIGNATURE_FORMAT, len(signature), SIGNATURE_BYTES)
    return CoseSign1(payload, _CONTEXT + framed_payload, signature)


def _read_headers(message: bytes) -> tuple[bytes, int, int]:
    """Read the protected header; return it, the number of unprotected entries, and where the first of them would be.

    Raises:
        CborError: another form.
    """
    position = len(_TAG_SIGN1) if message.startswith(_TAG_SIGN1) else 0
    major, count, position = read_head(message, position)
    if major != ARRAY or count != _ELEMENTS:
        raise CborError("the message is no array of four")
    protected, position = read_string(message, position, BYTES)
    major, count, position = read_head(message, position)
    if major != MAP or count is None:
        raise CborError("the unprotected header is no map of definite length")
    return protected, count, position
