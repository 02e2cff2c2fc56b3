"""NVIDIA reports under a root of our own: cases of each rule, each window to the second, what is claimed."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest
from msgspec.structs import replace

from tee import der_writer, nvidia, spdm
from tee.amd_roots import AMD_GENOA_ARK
from tee.certificates import parse_certificate
from tee.claims import GpuClaims
from tee.errors import Reason
from tee.nvidia import verify_gpu
from tee.roots import Roots
from tests.support import nvidia_pki as pki
from tests.support.chained_suite import ChainedSuite, make_link_cases, make_window_cases
from tests.support.nvidia_pki import (
    DEVICE,
    END_S,
    FIRMWARE_ID,
    IDENTITY,
    LEAF,
    NONCE,
    PROVISIONER,
    ROOT,
    TIME_S,
    Report,
    make_block,
    make_field,
)
from tests.support.outcomes import refusal_of
from tests.support.p384_certificates import DIGITAL_SIGNATURE, encode_key, issue

GOOD = Report()
ROOTS = pki.make_roots(GOOD)
CHAIN = GOOD.encode_chain()
BLOCK = make_block(1, bytes(48))
FIRMWARE_FIELD = make_field(20, FIRMWARE_ID)
OTHER_ID = b"\x0e" * 48


def with_blocks(*blocks: bytes, count: int | None = None) -> Report:
    return Report(record=b"".join(blocks), block_count=len(blocks) if count is None else count)


def with_leaf_extension(content: bytes, oid: str = pki.DICE) -> Report:
    return GOOD.change(LEAF, others=pki.with_extension(content, oid))


REPORTS: dict[str, tuple[Report, Reason]] = {
    "too long": (Report(tail=bytes(16 * 1024)), Reason.LENGTH),
    "too short for anything": (
        Report(record=b"", block_count=0, opaque=b"", cut_count=1),
        Reason.LENGTH,
    ),
    "request of another version": (Report(request=b"\x12\xe0\x01\xff" + NONCE + b"\0"), Reason.REQUEST),
    "other request": (Report(request=b"\x11\xe1\x01\xff" + NONCE + b"\0"), Reason.REQUEST),
    "no signature asked for": (Report(request=b"\x11\xe0\x00\xff" + NONCE + b"\0"), Reason.REQUEST),
    "one block asked for": (Report(request=b"\x11\xe0\x01\x01" + NONCE + b"\0"), Reason.REQUEST),
    "response of another version": (Report(response=b"\x12\x60\0\0"), Reason.RESPONSE),
    "other response": (Report(response=b"\x11\x61\0\0"), Reason.RESPONSE),
    "record over the end": (Report(record_length=0xFFFFFF), Reason.PARSE),
    "opaque data over the end": (Report(opaque_length=0xFFFF), Reason.PARSE),
    "signature cut": (Report(cut_count=1), Reason.PARSE),
    "signature gone": (Report(cut_count=96), Reason.PARSE),
    "length of opaque data cut": (Report(cut_count=96 + len(GOOD.opaque) + 1), Reason.PARSE),
    "fewer blocks than said": (with_blocks(BLOCK, count=2), Reason.MEASUREMENT_BLOCK),
    "more blocks than said": (with_blocks(BLOCK, make_block(2, b"v"), count=1), Reason.MEASUREMENT_BLOCK),
    "block's head cut": (with_blocks(BLOCK, b"\x02\x01\x33"), Reason.MEASUREMENT_BLOCK),
    "block over the record": (with_blocks(make_block(1, bytes(48), value_size=49)), Reason.MEASUREMENT_BLOCK),
    "block of another specification": (
        with_blocks(make_block(1, bytes(48), specification=2)),
        Reason.MEASUREMENT_BLOCK,
    ),
    "block's sizes differ": (with_blocks(make_block(1, bytes(48), size=50)), Reason.MEASUREMENT_BLOCK),
    "index twice": (with_blocks(BLOCK, BLOCK), Reason.MEASUREMENT_BLOCK),
    "field's head cut": (Report(opaque=FIRMWARE_FIELD + b"\x03\x00\x00"), Reason.OPAQUE),
    "field over the end": (Report(opaque=make_field(3, b"1", length=2)), Reason.OPAQUE),
    "field twice": (Report(opaque=FIRMWARE_FIELD + FIRMWARE_FIELD), Reason.OPAQUE),
    "driver version no text": (Report(opaque=make_field(3, b"550\n")), Reason.OPAQUE),
    "driver version with zeros inside": (Report(opaque=make_field(3, b"55\x000")), Reason.OPAQUE),
    "driver version too long": (Report(opaque=make_field(3, b"1" * 33)), Reason.OPAQUE),
    "VBIOS version too long": (Report(opaque=make_field(6, bytes(33))), Reason.OPAQUE),
    "byte behind": (Report(tail=b"\0"), Reason.TRAILING_BYTES),
    "other nonce": (Report(request=b"\x11\xe0\x01\xff" + bytes(32) + b"\0"), Reason.NONCE),
    "other root": (GOOD.change(ROOT, serial=5), Reason.ROOT_UNTRUSTED),
    "P-256 leaf": (GOOD.change(LEAF, key="p256 leaf"), Reason.CERT_KEY),
    **make_link_cases(GOOD),
    **{
        f"{GOOD.chain[position].subject} no authority": (GOOD.change(position, is_ca=False), Reason.CERT_NOT_CA)
        for position in (IDENTITY, PROVISIONER, DEVICE)
    },
    "device without constraints": (GOOD.change(DEVICE, has_constraints=False), Reason.CERT_NOT_CA),
    "device may not sign certificates": (GOOD.change(DEVICE, key_usage=DIGITAL_SIGNATURE), Reason.CERT_NOT_CA),
    "device without key usage": (GOOD.change(DEVICE, key_usage=None), Reason.CERT_NOT_CA),
    "identity allows one below": (GOOD.change(IDENTITY, path_length=1), Reason.CERT_PATH_LENGTH),
    "provisioner allows none below": (GOOD.change(PROVISIONER, path_length=0), Reason.CERT_PATH_LENGTH),
    "signed by the device key": (Report(signer="nvidia device"), Reason.SIGNATURE),
    "other firmware": (with_leaf_extension(pki.write_composite_id(OTHER_ID)), Reason.FWID_MISMATCH),
    "firmware by another digest": (
        with_leaf_extension(pki.write_composite_id(FIRMWARE_ID, "2.16.840.1.101.3.4.2.1")),
        Reason.FWID_MISMATCH,
    ),
    "leaf without firmware": (GOOD.change(LEAF, others=()), Reason.FWID_MISMATCH),
    "firmware under another name": (
        with_leaf_extension(pki.write_composite_id(FIRMWARE_ID), "2.23.133.5.4.1.1"),
        Reason.FWID_MISMATCH,
    ),
    **{
        f"chip named {name[:6]!r}": (
            GOOD.change(DEVICE, subject=name).change(LEAF, issuer=name),
            Reason.CHAIN_SHAPE,
        )
        for name in ("c" * 65, "GH100\n", "GH100\x7f", "GH100\u00e9")
    },
    "leaf's extension no DER": (with_leaf_extension(FIRMWARE_ID), Reason.FWID_MISMATCH),
    "leaf's extension with a byte behind": (
        with_leaf_extension(pki.write_composite_id(FIRMWARE_ID) + b"\0"),
        Reason.FWID_MISMATCH,
    ),
    "byte behind the firmware's parts": (
        with_leaf_extension(pki.write_composite_id(FIRMWARE_ID, behind_parts=b"\5\0")),
        Reason.FWID_MISMATCH,
    ),
    "byte behind the firmware": (
        with_leaf_extension(pki.write_composite_id(FIRMWARE_ID, behind_digest=b"\5\0")),
        Reason.FWID_MISMATCH,
    ),
    "firmware of no bytes": (
        replace(with_leaf_extension(pki.write_composite_id(b"")), opaque=make_field(20, b"")),
        Reason.FWID_MISMATCH,
    ),
}

CHAINS: dict[str, tuple[tuple[bytes, ...], Reason]] = {
    "no certificates": ((), Reason.CHAIN_SHAPE),
    "root left out": (CHAIN[:-1], Reason.CHAIN_SHAPE),
    "root twice": ((*CHAIN, CHAIN[-1]), Reason.CHAIN_SHAPE),
    "identity left out": ((*CHAIN[:3], CHAIN[4]), Reason.CHAIN_SHAPE),
    "chain too long": ((CHAIN[0] + bytes(16 * 1024), *CHAIN[1:]), Reason.LENGTH),
    "leaf with a byte behind": ((CHAIN[0] + b"\0", *CHAIN[1:]), Reason.CERT_DER),
    "root cut": ((*CHAIN[:4], CHAIN[4][:-1]), Reason.ROOT_UNTRUSTED),
    "chain in reverse": (CHAIN[::-1], Reason.ROOT_UNTRUSTED),
    "RSA authority": ((*CHAIN[:2], AMD_GENOA_ARK, *CHAIN[3:]), Reason.CERT_KEY),
    "device and leaf exchanged": ((CHAIN[1], CHAIN[0], *CHAIN[2:]), Reason.CERT_BAD_ISSUER),
}


FAULTS_IN_ORDER: dict[Reason, Callable[[Report], Report]] = {
    Reason.REQUEST: lambda report: replace(report, request=b"\x11\xe0\x00" + report.request[3:]),
    Reason.RESPONSE: lambda report: replace(report, response=b"\x11\x7f\0\0"),
    Reason.MEASUREMENT_BLOCK: lambda report: replace(report, block_count=1),
    Reason.OPAQUE: lambda report: replace(report, opaque=report.opaque + FIRMWARE_FIELD),
    Reason.TRAILING_BYTES: lambda report: replace(report, tail=b"\0"),
    Reason.NONCE: lambda report: replace(report, request=report.request[:4] + bytes(32) + report.request[36:]),
    Reason.ROOT_UNTRUSTED: lambda report: report.change(ROOT, serial=5),
    Reason.CERT_DER: lambda report: report.change(IDENTITY, others=(("1.2.3", True, b"\x05\x00"),)),
    Reason.CERT_KEY: lambda report: report.change(LEAF, key="p256 leaf"),
    Reason.CERT_BAD_ISSUER: lambda report: report.change(PROVISIONER, issuer="other"),
    Reason.CERT_VALIDITY: lambda report: report.change(LEAF, not_after_s=TIME_S - 1),
    Reason.CERT_NOT_CA: lambda report: report.change(DEVICE, key_usage=None),
    Reason.CERT_PATH_LENGTH: lambda report: report.change(IDENTITY, path_length=0),
    Reason.SIGNATURE: lambda report: replace(report, signer="nvidia device"),
    Reason.FWID_MISMATCH: lambda report: report.change(LEAF, others=()),
}
"""One fault for each stage, in the order of the specification."""


def check_report(report: Report, time_s: int = TIME_S, roots: Roots = ROOTS) -> Callable[[], GpuClaims]:
    encoded, chain = report.encode(), report.encode_chain()
    return lambda: verify_gpu(encoded, chain, NONCE, roots, time_s)


def check_chain(chain: tuple[bytes, ...]) -> Callable[[], object]:
    report = GOOD.encode()
    return lambda: verify_gpu(report, chain, NONCE, ROOTS, TIME_S)


def one_second(position: int) -> Report:
    return GOOD.change(position, not_before_s=TIME_S, not_after_s=TIME_S)


CASES: dict[str, tuple[Callable[[], object], Reason]] = {
    **{name: (check_report(report), reason) for name, (report, reason) in REPORTS.items()},
    **{name: (check_chain(chain), reason) for name, (chain, reason) in CHAINS.items()},
    **make_window_cases(
        one_second, check_report, pki.make_roots, time_s=TIME_S, early=Reason.CERT_VALIDITY, late=Reason.CERT_VALIDITY
    ),
}
ACCEPTED: dict[str, Callable[[], object]] = {"good": check_report(GOOD)}


SUITE = ChainedSuite(
    modules=(spdm, nvidia), good=GOOD, check=check_report, refused=CASES, accepted=ACCEPTED, faults=FAULTS_IN_ORDER
)


@pytest.mark.parametrize("position", range(5), ids=[form.subject for form in GOOD.chain])
def test_both_ends_of_a_window_belong_to_it(position: int) -> None:
    report = one_second(position)
    assert check_report(report, TIME_S, pki.make_roots(report))().not_after_s == TIME_S


def test_a_good_report_says_what_it_says() -> None:
    leaf = parse_certificate(issue(GOOD.chain[LEAF]))
    assert check_report(GOOD)() == GpuClaims(
        root=sha256(issue(GOOD.chain[ROOT])).digest(),
        device_key=sha256(encode_key("nvidia device")).digest(),
        chip="device",
        device_serial=b"\x01\x02\x03\x03",
        leaf_issuer=sha256(leaf.issuer).digest(),
        leaf_serial=b"\x01\x02\x03\x04",
        driver_version="550.90.07",
        vbios_version="96.00.9F.00.01",
        measurements_digest=sha256(b"\1\1\x30\0" + b"\x11" * 48 + b"\2\1\x30\0" + b"\x22" * 48).digest(),
        firmware_id=FIRMWARE_ID,
        not_after_s=END_S,
    )


def test_a_report_without_a_firmware_id_is_taken_under_any_leaf() -> None:
    report = replace(GOOD.change(LEAF, others=()), opaque=make_field(6, b"96.10.55.00.01"))
    claims = check_report(report)()
    assert (claims.firmware_id, claims.driver_version, claims.vbios_version) == (b"", "", "96.10.55.00.01")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("0074009620000000", "96.00.74.00.20"),
        ("0074009620000001", "0074009620000001"),
        ("39362e31302e35352e", "96.10.55."),
        ("39362e780000", "39362e780000"),
        ("", ""),
        ("5f" * 32, "5f" * 32),
        ("41" * 32, "A" * 32),
    ],
)
def test_vbios_versions_are_printed_as_the_vendor_does(content: str, text: str) -> None:
    assert check_report(Report(opaque=make_field(6, bytes.fromhex(content)) + FIRMWARE_FIELD))().vbios_version == text


def test_the_order_of_blocks_does_not_change_the_digest() -> None:
    blocks = [make_block(index, bytes((index,)) * 48) for index in (1, 2, 35, 64)]
    assert check_report(with_blocks(*blocks))() == check_report(with_blocks(*reversed(blocks)))()


def test_the_largest_index_and_an_empty_value_are_read() -> None:
    expected = sha256(b"\x00\x01\x00\x00" + b"\xff\x01\x01\x00v").digest()
    assert check_report(with_blocks(make_block(255, b"v"), make_block(0, b"")))().measurements_digest == expected


def test_no_root_means_no_trust() -> None:
    assert refusal_of(check_report(GOOD, roots=Roots())) is Reason.ROOT_UNTRUSTED


def test_a_remembered_link_does_not_outlive_its_window() -> None:
    """Given links above the device that were seen good, when the provisioner ends, then reports are refused."""
    report = GOOD.change(PROVISIONER, not_after_s=TIME_S)
    assert check_report(report)().not_after_s == TIME_S
    assert refusal_of(check_report(report, TIME_S + 1)) is Reason.CERT_VALIDITY


def test_further_fields_in_the_composite_id_are_refused() -> None:
    content = der_writer.write_sequence(pki.write_composite_id(FIRMWARE_ID)[3:], der_writer.write_integer(1))
    assert refusal_of(check_report(with_leaf_extension(content))) is Reason.FWID_MISMATCH
