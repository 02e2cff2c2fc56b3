"""SPDM 1.1 measurement reports of NVIDIA devices: request and signed response in one byte string, field by field.

A report is the verifier's request (37 bytes), then the device's response: a header, blocks of measurements, the device's nonce,
opaque data in type-length-value form, and a signature over everything before it. Integers are little endian. All of it is
signed but the signature; the lengths must close exactly, indices and types occur once. Nothing here is cryptography; that
follows in tee/nvidia.py.

Source: the evidence specification, section 6.1, after DMTF DSP0274 1.1.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tee.errors import EvidenceRejected, Reason

REPORT_BYTES_MAX: Final = 16 * 1024
"""Longest report; real ones have 2,168 to 4,274 bytes."""
REQUEST_BYTES: Final = 37
NONCE_BYTES: Final = 32
SIGNATURE_BYTES: Final = 96
_HEADER_BYTES: Final = 8
_OPAQUE_LENGTH_BYTES: Final = 2
REPORT_BYTES_MIN: Final = REQUEST_BYTES + _HEADER_BYTES + NONCE_BYTES + _OPAQUE_LENGTH_BYTES + SIGNATURE_BYTES
"""A report without measurements and opaque data."""

_VERSION_1_1: Final = 0x11
_GET_MEASUREMENTS: Final = 0xE0
_MEASUREMENTS: Final = 0x60
_SIGN: Final = 1 << 0
"""Bit of the request's first parameter that asks for a signature."""
_ALL_BLOCKS: Final = 0xFF
_DMTF: Final = 1
"""Specification of a block whose content is a type, a size and a value."""
_BLOCK_HEAD_BYTES: Final = 4
_VALUE_HEAD_BYTES: Final = 3
_FIELD_HEAD_BYTES: Final = 4


class MeasurementReport(NamedTuple):
    """The parts of a report."""

    nonce: bytes
    """Of the request."""
    measurements: dict[int, bytes]
    """Values by index, in the order of the report."""
    measurement_types: dict[int, int]
    """What each value is, in DMTF's numbers, by index."""
    opaque: dict[int, bytes]
    """Fields by type, in the order of the report."""
    signed: bytes
    signature: bytes
    """r, then s, 48 bytes each, big endian."""


def parse_report(report: bytes) -> MeasurementReport:
    """Parse a report that ends with its signature.

    Raises:
        EvidenceRejected: in this order LENGTH, REQUEST, RESPONSE, PARSE (the record reaches over the end), MEASUREMENT_BLOCK,
            PARSE (nonce or opaque data reach over the end), OPAQUE, PARSE (signature), TRAILING_BYTES.

    Source: the evidence specification, section 6.2.
    """
    if not REPORT_BYTES_MIN <= len(report) <= REPORT_BYTES_MAX:
        raise EvidenceRejected(Reason.LENGTH, len(report), f"{REPORT_BYTES_MIN} to {REPORT_BYTES_MAX}")
    _check_request(report)
    _check_response(report)
    position = REQUEST_BYTES + _HEADER_BYTES
    record = _cut(report, position, int.from_bytes(report[REQUEST_BYTES + 5 : position], "little"))
    measurements, measurement_types = _read_blocks(record, report[REQUEST_BYTES + 4])
    position += len(record)
    opaque_length = _cut(report, position + NONCE_BYTES, _OPAQUE_LENGTH_BYTES)
    position += NONCE_BYTES + _OPAQUE_LENGTH_BYTES
    opaque = _cut(report, position, int.from_bytes(opaque_length, "little"))
    fields = _read_fields(opaque)
    position += len(opaque)
    signature = _cut(report, position, SIGNATURE_BYTES)
    left_count = len(report) - position - SIGNATURE_BYTES
    if left_count:
        raise EvidenceRejected(Reason.TRAILING_BYTES, left_count, 0)
    return MeasurementReport(
        report[4 : 4 + NONCE_BYTES], measurements, measurement_types, fields, report[:position], signature
    )


def _check_request(report: bytes) -> None:
    """Check that the request asks for all measurements, signed."""
    version, code, options, selection = report[:4]
    if version != _VERSION_1_1 or code != _GET_MEASUREMENTS or not options & _SIGN or selection != _ALL_BLOCKS:
        raise EvidenceRejected(Reason.REQUEST, report[:4].hex(), "11e001ff")


def _check_response(report: bytes) -> None:
    """Check that the response is one of measurements."""
    head = report[REQUEST_BYTES : REQUEST_BYTES + 2]
    if head != bytes((_VERSION_1_1, _MEASUREMENTS)):
        raise EvidenceRejected(Reason.RESPONSE, head.hex(), "1160")


def _cut(report: bytes, start: int, length: int) -> bytes:
    """Return that many bytes from there on."""
    if len(report) - start < length:
        raise EvidenceRejected(Reason.PARSE, length, max(len(report) - start, 0))
    return report[start : start + length]


def _read_blocks(record: bytes, count: int) -> tuple[dict[int, bytes], dict[int, int]]:
    """Read as many blocks as the header says, which fill the record; return values and types."""
    measurements: dict[int, bytes] = {}
    types: dict[int, int] = {}
    position = 0
    for _block in range(count):
        head = record[position : position + _BLOCK_HEAD_BYTES + _VALUE_HEAD_BYTES]
        if len(head) != _BLOCK_HEAD_BYTES + _VALUE_HEAD_BYTES:
            raise EvidenceRejected(Reason.MEASUREMENT_BLOCK, "a block is cut off")
        index, specification = head[0], head[1]
        size, value_size = int.from_bytes(head[2:4], "little"), int.from_bytes(head[5:7], "little")
        if specification != _DMTF:
            raise EvidenceRejected(Reason.MEASUREMENT_BLOCK, f"block {index}: specification {specification}", _DMTF)
        if size != _VALUE_HEAD_BYTES + value_size:
            raise EvidenceRejected(Reason.MEASUREMENT_BLOCK, f"block {index}: a value of {value_size} in {size}")
        if index in measurements:
            raise EvidenceRejected(Reason.MEASUREMENT_BLOCK, f"block {index} occurs twice")
        position += len(head)
        measurements[index] = record[position : position + value_size]
        types[index] = head[_BLOCK_HEAD_BYTES]
        position += value_size
    # A value that is cut off ends here too, for then the position lies behind the record.
    if position != len(record):
        raise EvidenceRejected(Reason.MEASUREMENT_BLOCK, f"blocks of {position} bytes", len(record))
    return measurements, types


def _read_fields(opaque: bytes) -> dict[int, bytes]:
    """Read fields of type, length and value, which fill the opaque data."""
    fields: dict[int, bytes] = {}
    position = 0
    while position < len(opaque):
        kind = int.from_bytes(opaque[position : position + 2], "little")
        length = int.from_bytes(opaque[position + 2 : position + _FIELD_HEAD_BYTES], "little")
        if kind in fields:
            raise EvidenceRejected(Reason.OPAQUE, f"field {kind} occurs twice")
        position += _FIELD_HEAD_BYTES
        fields[kind] = opaque[position : position + length]
        position += length
    # A head or content that is cut off ends here, for then the position lies behind the data.
    if position != len(opaque):
        raise EvidenceRejected(Reason.OPAQUE, f"fields of {position} bytes", len(opaque))
    return fields
