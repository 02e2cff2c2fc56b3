"""SPDM reports: the ends of lengths, and a digest of measurements that says everything about them."""

from __future__ import annotations

import pytest

from tee.errors import EvidenceRejected, Reason
from tee.nvidia import verify_gpu
from tee.spdm import REPORT_BYTES_MAX, REPORT_BYTES_MIN, parse_report
from tests.support import nvidia_pki as pki
from tests.support.nvidia_pki import NONCE, TIME_S, Report, make_block, make_field

BARE = Report(record=b"", block_count=0, opaque=b"")
FIRMWARE_FIELD = make_field(20, pki.FIRMWARE_ID)


def refusal_of(report: bytes) -> Reason:
    with pytest.raises(EvidenceRejected) as refused:
        parse_report(report)
    return refused.value.reason


def digest_of(*blocks: bytes) -> bytes:
    report = Report(record=b"".join(blocks), block_count=len(blocks))
    claims = verify_gpu(report.encode(), report.encode_chain(), NONCE, pki.make_roots(report), TIME_S)
    return claims.measurements_digest


def test_a_report_of_the_least_length_is_read() -> None:
    encoded = BARE.encode()
    assert len(encoded) == REPORT_BYTES_MIN
    assert (parse_report(encoded).measurements, parse_report(encoded).opaque) == ({}, {})
    assert refusal_of(encoded[:-1]) is Reason.LENGTH


def test_a_report_of_the_greatest_length_is_read() -> None:
    def filled(length: int) -> bytes:
        return Report(record=b"", block_count=0, opaque=make_field(9, bytes(length - REPORT_BYTES_MIN - 4))).encode()

    encoded = filled(REPORT_BYTES_MAX)
    assert len(encoded) == REPORT_BYTES_MAX == 16_384
    assert len(parse_report(encoded).opaque[9]) == REPORT_BYTES_MAX - REPORT_BYTES_MIN - 4
    assert refusal_of(filled(REPORT_BYTES_MAX + 1)) is Reason.LENGTH


def test_values_end_where_the_record_ends() -> None:
    block = make_block(1, b"value")
    assert parse_report(Report(record=block, block_count=1).encode()).measurements == {1: b"value"}
    for record_length in (len(block) - 1, len(block) + 1):
        changed = Report(record=block, block_count=1, record_length=record_length).encode()
        assert refusal_of(changed) is Reason.MEASUREMENT_BLOCK


def test_one_value_does_not_have_the_digest_of_two() -> None:
    first, second = b"\xaa" * 48, b"\xbb" * 48
    assert digest_of(make_block(1, first), make_block(2, second)) != digest_of(make_block(1, first + b"\2" + second))
    assert digest_of(make_block(1, b"")) != digest_of()


def test_the_type_of_a_value_changes_the_digest() -> None:
    block = bytearray(make_block(1, b"value"))
    before = digest_of(bytes(block))
    block[4] = 0x81
    assert digest_of(bytes(block)) != before
