"""Quotes cut into their parts: every form is read back whole, and every byte has its place."""

from __future__ import annotations

import pytest

from tee.documents import IntelTee
from tee.errors import EvidenceRejected, Reason
from tee.intel_quote import BODY_BYTES, QUOTE_BYTES_MAX, Quote, parse_quote, parse_report
from tee.simulated import SimulatedVendor
from tee.simulated_quotes import QuoteRecipe, SgxBody, TdBody

REPORT_DATA = bytes(range(64))
BODIES = {
    "SGX version 3": (SgxBody(), 3, IntelTee.SGX, 1),
    "SGX version 4": (SgxBody(), 4, IntelTee.SGX, 1),
    "SGX version 5": (SgxBody(), 5, IntelTee.SGX, 1),
    "TDX version 4": (TdBody(), 4, IntelTee.TDX, 2),
    "TDX version 5, 1.0": (TdBody(body_type=2), 5, IntelTee.TDX, 2),
    "TDX version 5, 1.5": (TdBody(body_type=3), 5, IntelTee.TDX, 3),
    "TDX version 5, extended": (TdBody(body_type=4), 5, IntelTee.TDX, 4),
}


def write(body: TdBody | SgxBody, **recipe: object) -> bytes:
    return SimulatedVendor().machine("alpha").quote(REPORT_DATA, body, QuoteRecipe(**recipe))


def reason_of(quote: bytes) -> Reason:
    with pytest.raises(EvidenceRejected) as caught:
        parse_quote(quote)
    return caught.value.reason


@pytest.mark.parametrize("name", BODIES)
def test_every_form_of_quote_is_read(name: str) -> None:
    body, version, tee, body_type = BODIES[name]

    quote = parse_quote(write(body, version=version))

    assert (quote.version, quote.tee, quote.body_type) == (version, tee, body_type)
    assert len(quote.body) == BODY_BYTES[body_type]
    assert quote.signed.endswith(quote.body)
    assert len(quote.signed) == 48 + (6 if version == 5 else 0) + len(quote.body)
    assert parse_report(quote.qe_report).report_data[32:] == bytes(32)
    assert quote.pck_chain.count(b"BEGIN") == 3


@pytest.mark.parametrize("size", [0, 1, 32, 64, 1000])
def test_authentication_data_of_any_length_is_read(size: int) -> None:
    assert parse_quote(write(TdBody(), authentication=bytes(size))).qe_authentication == bytes(size)


def test_report_of_an_enclave_is_read_field_by_field() -> None:
    body = SgxBody(misc_select=0x01020304, flags=5, xfrm=0xE7, prod_id=0x0102, svn=0x0304)

    report = parse_report(parse_quote(write(body)).body)

    assert (report.misc_select, report.isv_prod_id, report.isv_svn) == (0x01020304, 0x0102, 0x0304)
    assert report.attributes == (5).to_bytes(8, "little") + (0xE7).to_bytes(8, "little")
    assert (report.cpu_svn, report.mr_enclave, report.mr_signer) == (body.cpu_svn, body.mr_enclave, body.mr_signer)
    assert report.report_data == REPORT_DATA


@pytest.mark.parametrize("name", BODIES)
def test_no_prefix_of_a_quote_is_a_quote(name: str) -> None:
    body, version, _, _ = BODIES[name]
    quote = write(body, version=version)
    assert {reason_of(quote[:length]) for length in range(0, len(quote), 7)} == {Reason.PARSE}


def test_nothing_may_follow_the_signature_section() -> None:
    assert reason_of(write(TdBody()) + b"\0") is Reason.TRAILING_BYTES


def test_reasons_come_in_the_order_of_the_fields() -> None:
    """Given a quote with every fault, when they are mended one by one, then each has its turn."""
    faults = {
        "version": (2, Reason.QUOTE_VERSION),
        "key_type": (3, Reason.ATT_KEY_TYPE),
        "tee_type": (7, Reason.TEE_TYPE),
        "vendor": (bytes(16), Reason.QE_VENDOR),
        "trailing": (b"\0", Reason.TRAILING_BYTES),
        "outer_type": (5, Reason.CERT_DATA_TYPE),
        "inner_type": (1, Reason.CERT_DATA_TYPE),
    }
    names = list(faults)
    for position, name in enumerate(names):
        recipe = {each: faults[each][0] for each in names[position:]}
        assert reason_of(write(TdBody(), **recipe)) is faults[name][1]


def test_length_is_looked_at_first() -> None:
    assert reason_of(bytes(QUOTE_BYTES_MAX)) is Reason.QUOTE_VERSION
    assert reason_of(bytes(QUOTE_BYTES_MAX + 1)) is Reason.LENGTH


def test_platform_id_is_the_first_part_of_the_user_data() -> None:
    quote: Quote = parse_quote(write(TdBody(), user_data=bytes(range(20))))
    assert quote.platform_id == bytes(range(16))
