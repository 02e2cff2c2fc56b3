"""Stored documents: keys, sizes, and revocation by binary search."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import msgpack

from tee.documents import SERIAL_BYTES, CollateralKind, Parsed, RevokedSerials


def listing(*serials: int) -> RevokedSerials:
    return RevokedSerials(
        kind=CollateralKind.INTEL_PCK_CRL,
        root=b"r" * 32,
        issued_s=1,
        next_update_s=10,
        valid_from_s=1,
        valid_until_s=9,
        issuer=b"issuer",
        key=b"k" * 32,
        serials=b"".join(serial.to_bytes(SERIAL_BYTES, "big") for serial in sorted(serials)),
    )


SERIALS = st.integers(0, (1 << 160) - 1)


@given(st.sets(SERIALS, max_size=40), SERIALS)
def test_exactly_the_listed_serials_are_revoked(serials: set[int], other: int) -> None:
    revocations = listing(*serials)
    assert all(revocations.is_revoked(serial) for serial in serials)
    assert revocations.is_revoked(other) == (other in serials)


@pytest.mark.parametrize("serial", [0, 1, 1 << 160, 1 << 2000])
def test_an_empty_list_revokes_nothing(serial: int) -> None:
    assert not listing().is_revoked(serial)


def test_a_serial_longer_than_any_is_not_revoked() -> None:
    assert not listing((1 << 160) - 1).is_revoked((1 << 161) - 1)


def test_lists_are_keyed_by_root_issuer_and_key_without_a_number() -> None:
    assert (listing().subject, listing().number, listing().this_update_s) == (b"r" * 32 + b"issuer" + b"k" * 32, 0, 1)


def test_a_stored_document_says_which_kind_it_is() -> None:
    assert msgpack.decode(msgpack.encode(listing(5)), type=Parsed) == listing(5)
