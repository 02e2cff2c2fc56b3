"""Chains of certificates in PEM, matched whole: blocks in one form and nothing around them.

Nobody signs the text of PEM, so it has one accepted form but for what both occurs in genuine quotes: lines of 64 characters
end with a line feed, the line feed behind each block is optional, and so is one NUL at the end. Attestation specification,
sections 2.5 and 3.1.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from typing import Final

CHAIN_BYTES_MAX: Final = 16 * 1024
"""Longest chain; quotes carry 3.7 KiB, graphics processors 5 KiB."""
LINE_CHARACTERS: Final = 64

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----\n"
_END: Final = b"-----END CERTIFICATE-----"


class PemError(ValueError):
    """The bytes are not the chain that is asked for."""


def split_pem_chain(pem: bytes, count: int) -> list[bytes]:
    """Split a chain of exactly `count` certificates, at most 16 KiB of text, into their DER in the order given.

    Raises:
        PemError: another number of blocks, another form of one, or bytes around them.
    """
    if len(pem) > CHAIN_BYTES_MAX:
        raise PemError(f"{len(pem)} bytes where {CHAIN_BYTES_MAX} are allowed")
    certificates: list[bytes] = []
    position = 0
    while len(certificates) < count:
        end = pem.find(_END, position)
        if end < 0 or not pem.startswith(_BEGIN, position):
            raise PemError(f"{len(certificates)} blocks where {count} belong, or bytes around one")
        certificates.append(_decode_lines(pem[position + len(_BEGIN) : end]))
        position = end + len(_END)
        position += pem.startswith(b"\n", position)
    if pem[position:] not in {b"", b"\x00"}:
        raise PemError("bytes follow the last block")
    return certificates


def _decode_lines(lines: bytes) -> bytes:
    """Decode the lines of one block, which must be those that encode the result."""
    try:
        der = a2b_base64(lines)
    except Base64Error as error:
        raise PemError("a block is not base64") from error
    text = b2a_base64(der, newline=False)
    if (
        not der
        or b"".join([text[at : at + LINE_CHARACTERS] + b"\n" for at in range(0, len(text), LINE_CHARACTERS)]) != lines
    ):
        raise PemError("a block is not base64 in its one form")
    return der
