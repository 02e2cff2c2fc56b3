"""provider.toml: the file that is written is the usual rules, and what it cannot mean is refused."""

from __future__ import annotations

import tomllib

import msgspec
import pytest

from bocc.errors import InputReason, InputRejected
from bocc.provider.rules import RULES_NAME, TEMPLATE, Rules, Terms, load_rules, open_rules
from state.address import format_address, parse_address

CUSTOMER = format_address(b"\x00" + b"\x0c" * 20)
IMAGE = format_address(b"\x01" + b"\x0c" * 20)


def test_the_file_that_is_written_says_the_usual_rules(tmp_path):
    assert open_rules(tmp_path / "home") == Rules()
    assert msgspec.convert(tomllib.loads(TEMPLATE), Rules) == Rules()
    assert set(tomllib.loads(TEMPLATE)) == set(Rules.__struct_fields__)
    assert set(tomllib.loads(TEMPLATE)["terms"]) == set(Terms.__struct_fields__)


def test_what_an_operator_writes_is_kept_and_read(tmp_path):
    text = f'accept = false\nbond = "1.5"\ncustomers = ["{CUSTOMER}"]\nimage = "{IMAGE}"\n[terms]\nprice = 7\n'
    (tmp_path / RULES_NAME).write_text(text)
    rules = open_rules(tmp_path)
    assert (rules.accept, rules.bond_amount, rules.terms.price) == (False, 1_500_000, 7)
    assert rules.customer_addresses == {parse_address(CUSTOMER)}
    assert (tmp_path / RULES_NAME).read_text() == text


@pytest.mark.parametrize(
    "text",
    [
        "accept = 1",
        "accept = true\naccept = false",
        "at_once_max = -1",
        "unknown = 1",
        'bond = "much"',
        'customers = ["alice"]',
        f'image = "{CUSTOMER}"',
        "[terms]\nbeat_every_ms = 999",
        "[terms]\nprice = -1",
    ],
)
def test_rules_that_mean_nothing_are_refused_with_their_place(tmp_path, text):
    path = tmp_path / RULES_NAME
    path.write_text(text)
    with pytest.raises(InputRejected) as caught:
        load_rules(path)
    assert caught.value.reason is InputReason.BAD_RULES
    assert str(path) in str(caught.value.seen)


def test_rules_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(InputRejected) as caught:
        load_rules(tmp_path / RULES_NAME)
    assert caught.value.reason is InputReason.BAD_RULES
