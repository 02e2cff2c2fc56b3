"""The SGX extension of a PCK certificate: which platform it is, and at which security versions Intel certified it.

The extension is a sequence of pairs of object identifier and value. Unknown identifiers are passed over, since newer parts carry
further entries; repeated ones are refused. Five entries stand under the Processor CA, seven under the Platform CA.

Source: specification of attestation, section 3.2.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from msgspec import Struct

from tee.der import BOOLEAN, ENUMERATED, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, DerError, DerReader

SGX_EXTENSION: Final = "1.2.840.113741.1.13.1"

COMPONENTS: Final = 16
PPID_BYTES: Final = 16
INSTANCE_ID_BYTES: Final = 16
CPU_SVN_BYTES: Final = 16
FMSPC_BYTES: Final = 6
PCE_ID_BYTES: Final = 2
SGX_TYPES: Final = 3
"""0 standard, 1 scalable, 2 scalable with integrity."""

_PAIR_BYTES_MIN: Final = 6
"""Three heads of two bytes."""
_ARC: Final = bytes.fromhex("2a864886f84d010d01")
"""The identifier of the extension, encoded; those of its entries begin so."""
_PPID, _TCB, _PCE_ID, _FMSPC, _SGX_TYPE, _INSTANCE_ID, _CONFIGURATION = (_ARC + bytes([n]) for n in range(1, 8))
_SVNS: Final = tuple(_TCB + bytes([n]) for n in range(1, COMPONENTS + 1))
_PCE_SVN: Final = _TCB + bytes([COMPONENTS + 1])
_CPU_SVN: Final = _TCB + bytes([COMPONENTS + 2])
_OPTIONS: Final = tuple(_CONFIGURATION + bytes([n]) for n in range(1, 4))


class PckExtension(Struct, frozen=True, gc=False):
    """What a PCK certificate says about its platform."""

    ppid: bytes
    cpu_svn: bytes
    """The sixteen components by which levels are compared, one byte each; not the raw CPUSVN, whose meaning Intel maps by FMSPC."""
    pce_svn: int
    pce_id: bytes
    fmspc: bytes
    sgx_type: int
    instance_id: bytes
    """16 bytes, or none under the Processor CA."""
    configuration: int
    """Bits: 1 dynamic platform, 2 cached keys, 4 SMT."""


def parse_pck_extension(content: bytes) -> PckExtension:
    """Read the content of the extension.

    Raises:
        DerError: not DER, or an entry is missing, repeated or out of range.
    """
    outside = DerReader(content)
    entries = _read_entries(outside.read(SEQUENCE))
    outside.finish()
    cpu_svn, pce_svn = _read_tcb(_find(entries, _TCB, SEQUENCE))
    return PckExtension(
        ppid=_read_octets(entries, _PPID, PPID_BYTES),
        cpu_svn=cpu_svn,
        pce_svn=pce_svn,
        pce_id=_read_octets(entries, _PCE_ID, PCE_ID_BYTES),
        fmspc=_read_octets(entries, _FMSPC, FMSPC_BYTES),
        sgx_type=_read_number(entries, _SGX_TYPE, SGX_TYPES - 1, ENUMERATED),
        instance_id=_read_octets(entries, _INSTANCE_ID, INSTANCE_ID_BYTES) if _INSTANCE_ID in entries else b"",
        configuration=_read_configuration(entries),
    )


@lru_cache(maxsize=256)
def _read_tcb(content: bytes) -> tuple[bytes, int]:
    """Read the components and PCESVN. Machines of one model at one level have the same bytes here, half of the extension."""
    tcb = _read_entries(content)
    _read_octets(tcb, _CPU_SVN, CPU_SVN_BYTES)
    return bytes([_read_number(tcb, oid, 0xFF) for oid in _SVNS]), _read_number(tcb, _PCE_SVN, 0xFFFF)


_Entries = dict[bytes, tuple[int, bytes]]
"""By encoded identifier: tag and content of the value."""


def _read_entries(sequence: bytes) -> _Entries:
    """Read pairs of identifier and value, which fill a sequence.

    Short lengths are read in place, because each quote brings thirty pairs; below 128 bytes DER has no other form.
    """
    entries: _Entries = {}
    position, end = 0, len(sequence)
    while position < end:
        start = position
        if end - start < _PAIR_BYTES_MIN:
            raise DerError("a pair of the SGX extension is cut off")
        if sequence[start + 1] < 0x80:
            position = start + 2 + sequence[start + 1]
            value_at = start + 4 + sequence[start + 3]
            if (
                sequence[start] != SEQUENCE
                or sequence[start + 2] != OBJECT_IDENTIFIER
                or not value_at + 2 <= position <= end
                or value_at + 2 + sequence[value_at + 1] != position
            ):
                raise DerError("a pair of the SGX extension has another form")
            oid, tag, content = sequence[start + 4 : value_at], sequence[value_at], sequence[value_at + 2 : position]
        else:
            whole = DerReader(sequence, start).read_whole(SEQUENCE)
            position = start + len(whole)
            oid, tag, content = _split_long_pair(whole)
        if oid in entries:
            raise DerError(f"an entry of the SGX extension repeats: {oid.hex()}")
        entries[oid] = tag, content
    return entries


def _split_long_pair(whole: bytes) -> tuple[bytes, int, bytes]:
    """Return identifier, tag and content of the value."""
    pair = DerReader(whole).enter(SEQUENCE)
    oid = pair.read(OBJECT_IDENTIFIER)
    tag, content, _whole = pair.read_element()
    pair.finish()
    return oid, tag, content


def _find(entries: _Entries, oid: bytes, tag: int) -> bytes:
    """Return the value of an entry that must be there."""
    found = entries.get(oid)
    if found is None or found[0] != tag:
        raise DerError(f"an entry of the SGX extension is missing or of another type: {oid.hex()}")
    return found[1]


def _read_octets(entries: _Entries, oid: bytes, size: int) -> bytes:
    octets = _find(entries, oid, OCTET_STRING)
    if len(octets) != size:
        raise DerError(f"an entry of the SGX extension has {len(octets)} bytes, not {size}: {oid.hex()}")
    return octets


def _read_number(entries: _Entries, oid: bytes, maximum: int, tag: int = INTEGER) -> int:
    """Read a number from 0 to 65,535 at most, in the shortest form that is not negative."""
    octets = _find(entries, oid, tag)
    number = int.from_bytes(octets, "big")
    if number > maximum or len(octets) != number.bit_length() // 8 + 1:
        raise DerError(f"an entry of the SGX extension is no number from 0 to {maximum}: {oid.hex()}")
    return number


def _read_configuration(entries: _Entries) -> int:
    """Return the three options as bits, none where there is no configuration."""
    if _CONFIGURATION not in entries:
        return 0
    options = _read_entries(_find(entries, _CONFIGURATION, SEQUENCE))
    bits = 0
    for place, oid in enumerate(_OPTIONS):
        octets = _find(options, oid, BOOLEAN)
        if octets not in {b"\x00", b"\xff"}:
            raise DerError(f"an option of the SGX extension is neither 00 nor FF: {oid.hex()}")
        bits |= (octets[0] & 1) << place
    return bits
