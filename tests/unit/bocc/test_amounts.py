"""Laws of amounts as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bocc.amounts import format_amount, parse_amount
from bocc.errors import InputReason, InputRejected


@pytest.mark.parametrize(
    ("text", "ubocc"),
    [
        ("5", 5_000_000),
        ("0.25", 250_000),
        ("0.000001", 1),
        ("5ubocc", 5),
        ("5 uBOCC", 5),
        (" 5 BOCC ", 5_000_000),
        ("1.50bocc", 1_500_000),
        ("0", 0),
        ("9223372036854.775807", (1 << 63) - 1),
        ("9223372036854775807ubocc", (1 << 63) - 1),
    ],
)
def test_amount_means_bocc_unless_it_names_the_unit(text, ubocc):
    assert parse_amount(text) == ubocc


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-5",
        "+5",
        "5.",
        ".5",
        "1e6",
        "0.0000001",
        "5.5ubocc",
        "5,000",
        "0x5",
        "\N{ARABIC-INDIC DIGIT FIVE}",
        "5 eth",
        "inf",
        "1_000",
        "5\n5",
    ],
)
def test_other_text_is_refused_with_an_example(text):
    with pytest.raises(InputRejected) as caught:
        parse_amount(text)
    assert caught.value.reason is InputReason.BAD_AMOUNT
    assert "5ubocc" in str(caught.value)


@pytest.mark.parametrize("text", ["9223372036854.775808", "9223372036854775808ubocc", "9" * 20])
def test_amount_beyond_the_wire_is_refused(text):
    with pytest.raises(InputRejected) as caught:
        parse_amount(text)
    assert caught.value.reason is InputReason.AMOUNT_TOO_LARGE


@given(st.integers(0, (1 << 63) - 1))
def test_formatted_amount_parses_to_itself(ubocc):
    assert parse_amount(format_amount(ubocc).replace(",", "")) == ubocc
