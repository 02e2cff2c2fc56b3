"""Parts of X.509 that certificates and revocation lists share: the signed envelope, names, extensions, serial numbers.

Attestation specification, section 2.1; RFC 5280 for the layout.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from msgspec import Struct

from tee.der import BOOLEAN, IA5_STRING, PRINTABLE_STRING, SEQUENCE, SET, UTF8_STRING, DerError, DerReader
from tee.signatures import SignatureAlgorithm

EXTENSIONS_MAX: Final = 32
"""Most extensions of a certificate or list; AMD's certificates have 13."""
SERIAL_BYTES_MAX: Final = 20
"""Longest serial number without its sign octet. RFC 5280, section 4.1.2.2."""
NAME_BYTES_MAX: Final = 1024
"""Longest name that is searched; the vendors' longest has 131 bytes. It also bounds the memory of what is remembered."""

_TEXT_TAGS: Final = frozenset({UTF8_STRING, PRINTABLE_STRING, IA5_STRING})
_COMMON_NAME: Final = "2.5.4.3"
_PSS_FIXED: Final = (
    "300d06096086480165030402020500a11c301a06092a864886f70d010108300d06096086480165030402020500a203020130"
)
_ALGORITHMS: Final = {
    bytes.fromhex("300a06082a8648ce3d040302"): SignatureAlgorithm.ECDSA_SHA256,
    bytes.fromhex("300a06082a8648ce3d040303"): SignatureAlgorithm.ECDSA_SHA384,
    bytes.fromhex("304106092a864886f70d01010a3034a00f" + _PSS_FIXED): SignatureAlgorithm.RSA_PSS_SHA384,
    # AMD's older certificates spell out the trailer field, although it has its default value.
    bytes.fromhex("304606092a864886f70d01010a3039a00f" + _PSS_FIXED + "a303020101"): SignatureAlgorithm.RSA_PSS_SHA384,
}


class Extension(Struct, frozen=True, gc=False):
    """An extension as it stands; a vendor's own ones need not hold DER."""

    is_critical: bool
    content: bytes


class Signed(Struct, frozen=True):
    """What certificates and lists have in common: a signed part, an algorithm, a signature."""

    tbs: bytes
    algorithm_der: bytes
    algorithm: SignatureAlgorithm
    signature: bytes


def open_signed(der: bytes, bytes_max: int) -> tuple[Signed, DerReader]:
    """Split a certificate or list into its three parts; also return a reader of the fields in its signed part."""
    if len(der) > bytes_max:
        raise DerError(f"{len(der)} bytes where {bytes_max} are allowed")
    outside = DerReader(der)
    parts = outside.enter(SEQUENCE)
    outside.finish()
    tbs = parts.read_whole(SEQUENCE)
    algorithm_der = parts.read_whole(SEQUENCE)
    signature = parts.read_bit_string()
    parts.finish()
    algorithm = _ALGORITHMS.get(algorithm_der)
    if algorithm is None:
        raise DerError("a signature algorithm that no vendor uses")
    return Signed(tbs, algorithm_der, algorithm, signature), DerReader(tbs).enter(SEQUENCE)


def read_serial(fields: DerReader) -> int:
    """Read a serial number."""
    serial = fields.read_unsigned()
    if serial >> (8 * SERIAL_BYTES_MAX):
        raise DerError("a serial number is too long")
    return serial


def read_extensions(fields: DerReader, tag: int, understood: frozenset[str]) -> dict[str, Extension]:
    """Read a list of extensions under an explicit tag, none twice, none critical that is not understood."""
    wrapped = fields.enter(tag)
    extensions = read_extension_list(wrapped, understood)
    wrapped.finish()
    return extensions


def read_extension_list(fields: DerReader, understood: frozenset[str]) -> dict[str, Extension]:
    """Read a list of extensions, at least one."""
    entries = fields.enter(SEQUENCE)
    if entries.is_at_end:
        raise DerError("a list of extensions is empty")
    extensions: dict[str, Extension] = {}
    while not entries.is_at_end:
        entry = entries.enter(SEQUENCE)
        oid = entry.read_oid()
        is_critical = entry.peek() == BOOLEAN
        if is_critical and not entry.read_boolean():
            raise DerError("a default value is spelled out")
        content = entry.read_octets()
        entry.finish()
        if oid in extensions or len(extensions) == EXTENSIONS_MAX:
            raise DerError("an extension repeats, or there are too many")
        if is_critical and oid not in understood:
            raise DerError(f"a critical extension is not understood: {oid}")
        extensions[oid] = Extension(is_critical, content)
    return extensions


@lru_cache(maxsize=256)
def find_common_name(name: bytes) -> str:
    """Return the common name in a Name of DER, or none; a Name with two is refused. Few names occur, again and again."""
    if len(name) > NAME_BYTES_MAX:
        raise DerError(f"a name of {len(name)} bytes where {NAME_BYTES_MAX} are allowed")
    outside = DerReader(name)
    parts = outside.enter(SEQUENCE)
    outside.finish()
    found = ""
    while not parts.is_at_end:
        attributes = parts.enter(SET)
        if attributes.is_at_end:
            raise DerError("a part of a name is empty")
        while not attributes.is_at_end:
            attribute = attributes.enter(SEQUENCE)
            oid = attribute.read_oid()
            tag, text, _whole = attribute.read_element()
            attribute.finish()
            if oid == _COMMON_NAME:
                if found or tag not in _TEXT_TAGS:
                    raise DerError("a name has two common names, or one that is no text")
                found = _decode_text(text)
    return found


def _decode_text(text: bytes) -> str:
    """Decode a common name, which is not empty."""
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DerError("a common name is not UTF-8") from error
    if not decoded:
        raise DerError("a common name is empty")
    return decoded
