"""Amounts of money as people write them: `5` and `0.25` are BOCC, `5ubocc` is the unit (10^-6 BOCC) of the chain."""

from __future__ import annotations

import re
from typing import Final

from bocc.errors import InputReason, InputRejected
from state.codec import INTEGER_MAX

UBOCC_PER_BOCC: Final = 1_000_000
DECIMALS: Final = 6
_BOCC: Final = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,6}))?(?: ?bocc)?", re.IGNORECASE | re.ASCII)
_UBOCC: Final = re.compile(r"([0-9]{1,20}) ?ubocc", re.IGNORECASE | re.ASCII)
_HINT: Final = "5, 0.25 or 5ubocc"


def parse_amount(text: str) -> int:
    """Return the ubocc of an amount such as 5, 0.25, 5BOCC or 5ubocc.

    Raises:
        InputRejected: BAD_AMOUNT, AMOUNT_TOO_LARGE.
    """
    stripped = text.strip()
    if units := _UBOCC.fullmatch(stripped):
        amount = int(units[1])
    elif coins := _BOCC.fullmatch(stripped):
        amount = int(coins[1]) * UBOCC_PER_BOCC + int((coins[2] or "").ljust(DECIMALS, "0"))
    else:
        raise InputRejected(InputReason.BAD_AMOUNT, repr(text[:40]), _HINT)
    if amount > INTEGER_MAX:
        raise InputRejected(InputReason.AMOUNT_TOO_LARGE, amount, INTEGER_MAX)
    return amount


def format_amount(ubocc: int) -> str:
    """Return an amount for people, exact, without trailing zeros: 5_250_000 -> `5.25 BOCC`."""
    whole, fraction = divmod(ubocc, UBOCC_PER_BOCC)
    decimals = f"{fraction:0{DECIMALS}d}".rstrip("0")
    return f"{whole:,}.{decimals} BOCC" if decimals else f"{whole:,} BOCC"
