"""Laws of reading evidence: one content however it is written, and its kind by the first bytes."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote
from uuid import UUID

import pytest

from bocc.evidence.files import (
    Document,
    Form,
    find_der_bytes,
    find_kind,
    find_quote_bytes,
    find_vek_name,
    read_certificate_table,
    read_certificates,
    read_content,
)
from tee.checks import Family
from tee.simulated import SimulatedVendor
from tee.simulated_quotes import SgxBody, write_pem
from tests.support.simulated_world import ISSUED_S, REPORT_DATA
from tests.support.snp_cases import GENOA, VLEK

VENDOR = SimulatedVendor()
MACHINE = VENDOR.machine("alpha")
TDX = MACHINE.quote(REPORT_DATA)
SGX = MACHINE.quote(REPORT_DATA, SgxBody())
REPORT = GENOA.report.encode()
COLLATERAL = VENDOR.collateral(ISSUED_S)


@pytest.mark.parametrize(
    ("file", "form"),
    [
        (TDX, Form.BINARY),
        (TDX.hex().encode(), Form.HEX),
        (b"0x" + TDX.hex().upper().encode() + b"\n", Form.HEX),
        (b64encode(TDX), Form.BASE64),
        (b64encode(TDX)[:100] + b"\r\n" + b64encode(TDX)[100:] + b"\n", Form.BASE64),
    ],
    ids=["binary", "hex", "hex with mark", "base64", "base64 in lines"],
)
def test_a_quote_is_the_same_in_every_form(file: bytes, form: Form) -> None:
    content = read_content(file)
    assert (content.octets, content.form, content.file_bytes) == (TDX, form, len(file))


def test_pem_inside_a_quote_does_not_make_it_pem() -> None:
    assert b"-----BEGIN CERTIFICATE-----" in TDX
    assert read_content(TDX).form is Form.BINARY


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        (TDX, Family.TDX),
        (SGX, Family.SGX),
        (b"\x09" + TDX[1:], Family.TDX),
        (REPORT, Family.SEV_SNP),
        (b"\x09" + REPORT[1:], Family.SEV_SNP),
        (b"\x84\x44", Family.NITRO),
        (b"\xd2\x84", Family.NITRO),
        (b"\x11\xe0\x01\xff" + bytes(60), Family.NVIDIA),
        (COLLATERAL.tcb_info, Document.TCB_INFO),
        (COLLATERAL.qe_identity, Document.QE_IDENTITY),
        (COLLATERAL.pck_crl, Document.REVOCATION_LIST),
        (VENDOR.root, Document.CERTIFICATES),
        (b"", None),
        (b"hello", None),
        (b'{"other": 1}', None),
    ],
)
def test_kind_is_found_also_where_a_field_is_wrong(octets: bytes, kind: object) -> None:
    assert find_kind(octets) is kind


def test_certificates_come_in_their_order_from_pem_from_headers_and_from_der() -> None:
    chain = (VENDOR.tcb_signer, VENDOR.root)
    pem = write_pem(chain)
    assert read_certificates(pem) == chain
    assert read_certificates(b"Subject: somebody\n" + pem.replace(b"\n", b"\r\n")) == chain
    assert read_certificates(quote(pem).encode()) == chain
    assert read_certificates(VENDOR.root) == (VENDOR.root,)


def test_lengths_are_those_that_the_bytes_name() -> None:
    assert find_quote_bytes(TDX + bytes(70)) == len(TDX)
    assert find_quote_bytes(SGX) == len(SGX)
    assert find_quote_bytes(TDX[:600]) is None
    vek = GENOA.vek.encode()
    assert find_der_bytes(vek + b"behind") == len(vek)
    assert find_der_bytes(b"0") is None


def test_table_of_certificates_is_read_by_name_and_the_report_says_which_counts() -> None:
    vlek = "a8074bc2-a25a-483e-aae6-39c045a0b8a1"
    vcek = "63da758d-e664-4564-adc5-f4b93be8accd"
    heads = [(vcek, 72, 3), (vlek, 75, 2)]
    table = b"".join(
        UUID(guid).bytes_le + start.to_bytes(4, "little") + size.to_bytes(4, "little") for guid, start, size in heads
    )
    assert read_certificate_table(table + bytes(24) + b"abcde") == {"VCEK": b"abc", "VLEK": b"de"}
    assert read_certificate_table(b"") == {}
    assert (find_vek_name(REPORT), find_vek_name(VLEK.report.encode())) == ("VCEK", "VLEK")
