"""Files with evidence or vendor documents: their bytes, whatever form they are written in, and what they are.

Evidence lies about in binary, hex, base64 and PEM. Reading is lenient, because verification of the bytes that come out is not.
The kind follows from the first bytes, also where other bytes are wrong, so that a broken file is told what is broken.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from enum import StrEnum
from typing import Final
from urllib.parse import unquote_to_bytes
from uuid import UUID

from msgspec import Struct

from tee.checks import Family
from tee.intel_quote import BODY_BYTES, BODY_SGX, BODY_TD_1_0, HEADER_BYTES, INTEL_QE_VENDOR, KEY_TYPE_P256, TEE_TYPES
from tee.snp_report import SIGNING_KEY_VLEK

FILE_BYTES_MAX: Final = 1 << 20
"""Longest file. The longest document of a vendor has 256 KiB, in hex twice that."""

_HEX: Final = re.compile(rb"(?:0[xX])?((?:[0-9A-Fa-f]{2})+)")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_PEM: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END \1-----")
_BLANKS: Final = re.compile(rb"\s+")
_PEM_MARK: Final = b"-----BEGIN "
_PEM_CERTIFICATE: Final = b"CERTIFICATE"
_PERCENT_MARK: Final = b"-----BEGIN%20"
"""How PEM begins in the headers of Intel's answers."""
_TABLE_ENTRY_BYTES: Final = 24
_TABLE_NAMES: Final = {
    UUID(guid).bytes_le: name
    for name, guid in (
        ("VCEK", "63da758d-e664-4564-adc5-f4b93be8accd"),
        ("VLEK", "a8074bc2-a25a-483e-aae6-39c045a0b8a1"),
        ("ASK", "4ab7b379-bbac-4fe4-a02f-05aef327c782"),
        ("ARK", "c0b406a4-a803-4952-9743-3fb6014cd0ae"),
        ("CRL", "92f81bc3-5811-4d3d-97ff-d19f88dc67ea"),
    )
}
_KEY_INFO_AT: Final = 0x48
_DER_SEQUENCE: Final = 0x30


class Form(StrEnum):
    """How the bytes were written."""

    BINARY = "binary"
    HEX = "hex"
    BASE64 = "base64"
    PEM = "PEM"


class Document(StrEnum):
    """Documents of vendors, which are no evidence by themselves."""

    TCB_INFO = "tcb-info"
    QE_IDENTITY = "qe-identity"
    REVOCATION_LIST = "revocation-list"
    CERTIFICATES = "certificates"


Kind = Family | Document


class Content(Struct, frozen=True):
    """What a file holds."""

    octets: bytes
    """The bytes of evidence or document; of PEM the first block."""
    form: Form
    file_bytes: int


def read_content(file: bytes) -> Content:
    """Return the bytes that a file stands for."""
    if _is_pem(file) and (blocks := _PEM.findall(file)):
        return Content(_decode_base64(blocks[0][1]) or b"", Form.PEM, len(file))
    text = _BLANKS.sub(b"", file)
    if len(text) >= HEADER_BYTES:
        if found := _HEX.fullmatch(text):
            return Content(bytes.fromhex(found[1].decode()), Form.HEX, len(file))
        if _BASE64.fullmatch(text) and (decoded := _decode_base64(text)) is not None:
            return Content(decoded, Form.BASE64, len(file))
    return Content(file, Form.BINARY, len(file))


def read_certificates(file: bytes) -> tuple[bytes, ...]:
    """Return the certificates of a file in the order in which they stand: PEM blocks, or one in DER, hex or base64.

    PEM may be percent-encoded, as Intel's service sends it in headers.
    """
    if _PERCENT_MARK in file:
        file = unquote_to_bytes(file)
    if _is_pem(file):
        blocks = [_decode_base64(body) for label, body in _PEM.findall(file) if label == _PEM_CERTIFICATE]
        return tuple(block for block in blocks if block is not None)
    return (read_content(file).octets,)


def read_certificate_table(octets: bytes) -> dict[str, bytes]:
    """Return the certificates of the table that Linux gives with an SEV-SNP report (`auxblob`), by their names.

    Other bytes have none. Entries of 24 bytes (GUID, offset, length) end with zeros. Names: VCEK, VLEK, ASK, ARK, CRL.
    """
    found: dict[str, bytes] = {}
    position = 0
    while (name := _TABLE_NAMES.get(octets[position : position + 16])) is not None:
        start, size = _read_number(octets, position + 16, 4), _read_number(octets, position + 20, 4)
        found[name] = octets[start : start + size]
        position += _TABLE_ENTRY_BYTES
    return found


def find_kind(octets: bytes) -> Kind | None:
    """Return what bytes look like by their beginning, or None."""
    if _looks_like_quote(octets):
        return Family.SGX if TEE_TYPES.get(_read_number(octets, 4, 4)) == TEE_TYPES[0] else Family.TDX
    first = octets[0] if octets else 0
    if len(octets) >= HEADER_BYTES and 0 < _read_number(octets, 0, 4) <= 0xFF:
        return Family.SEV_SNP
    if 0x10 <= first <= 0x1F:
        return Family.NVIDIA
    if 0x80 <= first <= 0x9F or 0xC0 <= first <= 0xDB:
        return Family.NITRO
    if first == _DER_SEQUENCE:
        return _find_der_kind(octets)
    text = octets.lstrip()
    if text.startswith(b"{"):
        if b'"enclaveIdentity"' in text:
            return Document.QE_IDENTITY
        return Document.TCB_INFO if b'"tcbInfo"' in text else None
    return None


def find_vek_name(report: bytes) -> str:
    """Return which kind of key signed an SEV-SNP report by its own word: VCEK or VLEK."""
    signing_key = _read_number(report, _KEY_INFO_AT, 4) >> 2 & 7
    return "VLEK" if signing_key == SIGNING_KEY_VLEK else "VCEK"


def find_quote_bytes(octets: bytes) -> int | None:
    """Return how long a quote says that it is, or None where the bytes end before they say it."""
    start = HEADER_BYTES
    if _read_number(octets, 0, 2) == 5:
        start += 6
        body_bytes = BODY_BYTES.get(_read_number(octets, HEADER_BYTES, 2), len(octets))
    else:
        body_bytes = BODY_BYTES[BODY_TD_1_0 if _read_number(octets, 4, 4) else BODY_SGX]
    end = start + body_bytes + 4
    return None if len(octets) < end else end + _read_number(octets, end - 4, 4)


def find_der_bytes(octets: bytes) -> int | None:
    """Return how long a DER sequence with a length of two octets is, as certificates are, or None for other bytes."""
    if len(octets) < 4 or octets[:2] != b"\x30\x82":
        return None
    return 4 + int.from_bytes(octets[2:4], "big")


def _is_pem(file: bytes) -> bool:
    """Tell text with PEM blocks from quotes, which carry such text among other bytes."""
    return _PEM_MARK in file and file.isascii() and b"\0" not in file


def _looks_like_quote(octets: bytes) -> bool:
    if len(octets) < 28:
        return False
    is_known = _read_number(octets, 0, 2) in {3, 4, 5} and _read_number(octets, 2, 2) == KEY_TYPE_P256
    return is_known or octets[12:28] == INTEL_QE_VENDOR


def _find_der_kind(octets: bytes) -> Document:
    """Tell a certificate, whose signed part begins with its version in a context tag, from a revocation list."""
    inner = octets[_head_bytes(octets) :]
    return Document.CERTIFICATES if inner[_head_bytes(inner) :][:1] == b"\xa0" else Document.REVOCATION_LIST


def _head_bytes(octets: bytes) -> int:
    """Return the size of tag and length of a DER element."""
    if len(octets) < 2:
        return 2
    return 2 + (octets[1] & 0x7F if octets[1] & 0x80 else 0)


def _read_number(octets: bytes, start: int, size: int) -> int:
    return int.from_bytes(octets[start : start + size], "little")


def _decode_base64(text: bytes) -> bytes | None:
    try:
        return b64decode(_BLANKS.sub(b"", text), validate=True)
    except Base64Error:
        return None
