"""Laws of addresses: bech32m as BIP-350 has it, and one text for each address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.address import AddressRejected, bech32m_decode, bech32m_encode


@pytest.mark.parametrize(
    ("text", "prefix", "payload"),
    [
        ("A1LQFN3A", "a", ""),
        ("a1lqfn3a", "a", ""),
        ("?1v759aa", "?", ""),
        ("abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx", "abcdef", "ffbbcdeb38bdab49ca307b9ac5a928398a418820"),
        (
            "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
            "split",
            "c5f38b70305f519bf66d85fb6cf03058f3dde463ecd7918f2dc743918f2d",
        ),
    ],
)
def test_valid_texts_of_bip_350_are_read_and_written(text, prefix, payload):
    assert bech32m_decode(text) == (prefix, bytes.fromhex(payload))
    assert bech32m_encode(prefix, bytes.fromhex(payload)) == text.lower()


@pytest.mark.parametrize(
    "text",
    ["M1VUXWEZ", "16plkw9", "1p2gdwpf", "au1s5cgom", "in1muywd", "mm1crxm3i", "y1b0jsk6g", "lt1igcx5c0", "a1lQfn3a"],
)
def test_invalid_texts_of_bip_350_are_refused(text):
    with pytest.raises(AddressRejected):
        bech32m_decode(text)


@given(st.binary(max_size=40), st.sampled_from(["bocc", "boccres", "boccord"]))
def test_what_is_written_is_read_and_a_changed_character_is_noticed(payload, prefix):
    text = bech32m_encode(prefix, payload)
    assert bech32m_decode(text) == (prefix, payload)
    changed = text[:-1] + ("q" if text[-1] != "q" else "p")
    with pytest.raises(AddressRejected):
        bech32m_decode(changed)
