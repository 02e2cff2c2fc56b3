"""provider.toml: which orders a provider takes, on which terms it offers its machine, and which files it may read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from bocc.amounts import parse_amount
from bocc.errors import InputReason, InputRejected
from bocc.provider.attesting import parse_resource
from state.address import AddressRejected, parse_address
from state.durable import replace_file
from state.params import BASIS_POINTS, DURATION_MS_MAX

RULES_NAME: Final = "provider.toml"
TEMPLATE: Final = """\
# Which orders this provider of simulated hardware takes, and on which terms. Read at the start; unknown names are refused.

# Whether it takes orders at all. Orders that it has taken go on.
accept = true
# Orders that may run at a time.
at_once_max = 8
# How long an order may wait here for its keys: until then it keeps its slice and its part of the bond, and nobody pays.
key_wait_ms = 3600000
# Addresses of the customers whose orders it takes; none: of everybody.
customers = []
# Folders from which inputs and arguments named by file:// are read, beside the home of the network.
folders = []
# BOCC that stand for promises: what falls below is added.
bond = "50"
# Software that the enclave boots, as published by somebody; none: an image of its own.
image = ""

# Terms under which the machine is published; of a machine that is published already they do not change.
[terms]
# ubocc per second of a slice, paid for proven time alone.
price = 1000
# ubocc for a whole piece of work, paid with its first output, and the longest that a piece may take.
piece_price = 20000
piece_term_ms = 600000
min_term_ms = 1000
beat_every_ms = 3000
grace_ms = 10000
# Penalty in 1/10000 of what is not served.
penalty_bp = 1000
notice_ms = 10000
keep_after_ms = 60000
"""

_Duration = Annotated[int, Meta(ge=0, le=DURATION_MS_MAX)]
_Price = Annotated[int, Meta(ge=0, le=10**12)]


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Terms of the machine's plans."""

    price: _Price = 1_000
    """ubocc per second."""
    piece_price: _Price = 20_000
    """ubocc for a whole piece of work."""
    piece_term_ms: Annotated[int, Meta(ge=1, le=DURATION_MS_MAX)] = 600_000
    """The longest that a piece may take."""
    min_term_ms: _Duration = 1_000
    beat_every_ms: Annotated[int, Meta(ge=1_000, le=DURATION_MS_MAX)] = 3_000
    grace_ms: _Duration = 10_000
    penalty_bp: Annotated[int, Meta(ge=0, le=BASIS_POINTS)] = 1_000
    notice_ms: _Duration = 10_000
    keep_after_ms: _Duration = 60_000


USUAL_TERMS: Final = Terms()


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a provider does and does not take."""

    accept: bool = True
    at_once_max: Annotated[int, Meta(ge=0, le=1_000)] = 8
    key_wait_ms: _Duration = 3_600_000
    customers: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    bond: str = "50"
    image: str = ""
    terms: Terms = USUAL_TERMS

    @property
    def bond_amount(self) -> int:
        """The bond in ubocc."""
        return parse_amount(self.bond)

    @property
    def customer_addresses(self) -> frozenset[bytes]:
        """The customers whose orders are taken; none: everybody's."""
        return frozenset(parse_address(text) for text in self.customers)


def load_rules(path: Path) -> Rules:
    """Return the rules in a file.

    Raises:
        InputRejected: BAD_RULES.
    """
    try:
        rules = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Rules, strict=True)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputRejected(InputReason.BAD_RULES, f"{path}: {error}") from error
    try:
        _check_texts(rules)
    except (InputRejected, AddressRejected) as error:
        raise InputRejected(InputReason.BAD_RULES, f"{path}: {error}") from error
    return rules


def open_rules(home: Path) -> Rules:
    """Return the rules in a provider's home, where a file with the usual ones is written if there is none.

    Raises:
        InputRejected: BAD_RULES.
    """
    path = home / RULES_NAME
    if not path.exists():
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, [TEMPLATE.encode()])
    return load_rules(path)


def _check_texts(rules: Rules) -> None:
    """Check what stands in rules as text: an amount, addresses."""
    parse_amount(rules.bond)
    for customer in rules.customers:
        parse_address(customer)
    if rules.image:
        parse_resource(rules.image)
