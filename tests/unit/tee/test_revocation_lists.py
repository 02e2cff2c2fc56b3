"""Revocation lists: genuine ones are read, and what speaks for another issuer or for a part only is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tee import der_writer as w
from tee.certificates import (
    REVOCATION_LIST_BYTES_MAX,
    REVOKED_MAX,
    RevocationList,
    is_signed_by,
    parse_certificate,
    parse_revocation_list,
)
from tee.der import DerError
from tee.signatures import SignatureAlgorithm
from tests.support.certificate_forms import (
    AUTHORITY_KEY_ID,
    CRITICAL,
    ECDSA_SHA384,
    LIST_NUMBER,
    OTHER_KEY,
    write_certificate,
    write_entry,
    write_extension,
    write_list,
    write_name,
    write_spki,
)
from tests.support.vendor_files import REAL_COLLATERAL, find_roots, read_evidence, read_pck_chain


def write_reason(code: int) -> bytes:
    return write_extension("2.5.29.21", w.write_integer(code, w.ENUMERATED))


def test_every_part_of_a_list_is_told() -> None:
    der = write_list(write_entry(9, write_reason(1)), write_entry(3), write_entry(9), write_entry(0))
    parsed = parse_revocation_list(der)
    assert parsed == RevocationList(
        der=der,
        tbs=parsed.tbs,
        issuer=write_name("Issuer"),
        issuer_common_name="Issuer",
        this_update_s=1_700_000_000,
        next_update_s=1_702_592_000,
        algorithm=SignatureAlgorithm.ECDSA_SHA256,
        signature=parsed.signature,
        number=1,
        has_authority_key_id=True,
        serials=(0, 3, 9),
    )
    assert [serial for serial in range(-1, 12) if parsed.is_revoked(serial)] == [0, 3, 9]


def test_a_list_is_signed_by_the_name_and_the_key_of_its_issuer() -> None:
    parsed = parse_revocation_list(write_list(write_entry(1)))
    issuer = write_name("Issuer")
    assert is_signed_by(parsed, parse_certificate(write_certificate(subject=issuer)))
    assert not is_signed_by(parsed, parse_certificate(write_certificate()))
    assert not is_signed_by(parsed, parse_certificate(write_certificate(subject=issuer, spki=write_spki(OTHER_KEY))))


def test_genuine_lists_of_intel_are_signed_by_their_authorities(shared_dir: Path) -> None:
    _leaf, platform, root = map(parse_certificate, read_pck_chain(shared_dir))
    of_root, of_platform = (
        parse_revocation_list(read_evidence(shared_dir, f"{REAL_COLLATERAL}/{name}.der"))
        for name in ("root_ca_crl", "pck_crl")
    )
    assert is_signed_by(of_root, root)
    assert is_signed_by(of_platform, platform)
    assert not is_signed_by(of_platform, root)
    assert (of_root.serials, of_root.number, of_root.has_authority_key_id) == ((), 1, True)
    assert (len(of_platform.serials), of_platform.number) == (44, 1)
    assert list(of_platform.serials) == sorted(of_platform.serials)


def test_genuine_list_of_amd_is_signed_by_its_root(shared_dir: Path) -> None:
    roots = find_roots(shared_dir)
    parsed = parse_revocation_list(read_evidence(shared_dir, "snp/v5-milan-gcp-with-crl/crl.der"))
    assert is_signed_by(parsed, parse_certificate(roots["amd-milan-ark"]))
    assert not is_signed_by(parsed, parse_certificate(roots["amd-genoa-ark"]))
    assert (parsed.issuer_common_name, parsed.number, parsed.serials) == ("ARK-Milan", 9, ())


def test_number_and_key_id_may_be_absent_and_that_is_told() -> None:
    without_number = w.write_context(0, w.write_sequence(AUTHORITY_KEY_ID))
    without_id = w.write_context(0, w.write_sequence(LIST_NUMBER))
    assert parse_revocation_list(write_list(extensions=without_number)).number is None
    assert not parse_revocation_list(write_list(extensions=without_id)).has_authority_key_id


def write_extra(extension: bytes) -> bytes:
    """Write a list with one more extension."""
    return write_list(extensions=w.write_context(0, w.write_sequence(LIST_NUMBER, AUTHORITY_KEY_ID, extension)))


@pytest.mark.parametrize(
    ("der", "why"),
    [
        pytest.param(write_list(version=b""), "tag", id="version-1"),
        pytest.param(write_list(version=w.write_integer(2)), "version 2", id="version-3"),
        pytest.param(write_list(algorithm=ECDSA_SHA384), "differ", id="algorithms-differ"),
        pytest.param(write_list(next_update=b""), "time belongs", id="no-next-update"),
        pytest.param(write_list(extensions=b""), "cut off", id="no-extensions"),
        pytest.param(write_list(rest=b"\x05\x00"), "left over", id="bytes-behind-extensions"),
        pytest.param(write_list(entries=w.write_sequence()), "present and empty", id="empty-list-of-revoked"),
        pytest.param(write_list(write_entry(-1)), "negative", id="negative-serial"),
        pytest.param(write_list(w.write_sequence(w.write_integer(1))), "cut off", id="entry-without-time"),
        pytest.param(write_list(write_entry(1) + b"\x05\x00"), "tag", id="something-between-entries"),
        pytest.param(write_list(write_entry(1, write_reason(8))), "takes a revocation back", id="removed-from-list"),
        pytest.param(write_list(write_entry(1, write_extension("2.5.29.29", b""))), "indirect", id="other-issuer"),
        pytest.param(
            write_list(write_entry(1, write_extension("2.5.29.24", b"", CRITICAL))),
            "understood",
            id="critical-in-entry",
        ),
        pytest.param(write_list(write_entry(1, write_extension("2.5.29.21", b"\x02\x01\x01"))), "tag", id="no-reason"),
        pytest.param(write_extra(write_extension("2.5.29.27", b"")), "delta", id="delta"),
        pytest.param(write_extra(write_extension("2.5.29.28", b"")), "limited", id="limited-in-scope"),
        pytest.param(write_extra(write_extension("2.5.29.28", b"", CRITICAL)), "understood", id="critical"),
        pytest.param(write_extra(LIST_NUMBER), "repeats", id="repeated-extension"),
        pytest.param(write_list() + b"\x00", "left over", id="trailing-byte"),
    ],
)
def test_a_list_of_another_form_or_scope_is_refused(der: bytes, why: str) -> None:
    with pytest.raises(DerError, match=why):
        parse_revocation_list(der)


def test_size_and_number_of_entries_are_bounded() -> None:
    entries = [write_entry(serial) for serial in range(REVOKED_MAX + 1)]
    assert len(parse_revocation_list(write_list(*entries[:-1])).serials) == REVOKED_MAX
    with pytest.raises(DerError, match="10000 revoked"):
        parse_revocation_list(write_list(*entries))
    with pytest.raises(DerError, match="allowed"):
        parse_revocation_list(bytes(REVOCATION_LIST_BYTES_MAX + 1))
