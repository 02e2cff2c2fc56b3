"""The leaders that the protocol document prints are those of the code: another implementation checks itself by them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from state.validators import Validator, ValidatorSet

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "PROTOCOL.md"
ROW = re.compile(r"^\| ([\d ]+) \| (\d+) \| (\d+) \| (\d+) \| ([\d ]+) \|$", re.MULTILINE)


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split()]


def printed_rows() -> list[tuple[list[int], int, int, int, list[int]]]:
    """Return powers, height of the root, slots, stride and leaders of each printed vector."""
    section = DOCUMENT.read_text(encoding="utf-8").partition("<!-- leaders -->")[2].partition("\n\n")[0]
    return [
        (numbers(powers), int(root), int(slots), int(stride), numbers(leaders))
        for powers, root, slots, stride, leaders in ROW.findall(section)
    ]


def build_set(powers: list[int]) -> ValidatorSet:
    """Return a set whose addresses ascend with the index."""
    return ValidatorSet(
        tuple(
            Validator(address=bytes((0, index)) + bytes(19), public_key=bytes(32), power=power)
            for index, power in enumerate(powers)
        )
    )


def test_document_has_vectors_of_equal_and_unequal_powers() -> None:
    assert {tuple(row[0]) for row in printed_rows()} >= {(10,) * 4, (1,) * 7, (1_000, 300, 330), (10, 20, 30, 40)}


@pytest.mark.parametrize("row", printed_rows(), ids=lambda row: f"{row[0]}@{row[1]}")
def test_printed_leaders_are_those_of_the_schedule(row: tuple[list[int], int, int, int, list[int]]) -> None:
    powers, root_height, slots, stride, leaders = row
    validators = build_set(powers)
    assert validators._schedule[:2] == (slots, stride)
    assert [validators.leader_index(root_height, view) for view in range(1, 21)] == leaders


@pytest.mark.parametrize("row", printed_rows(), ids=lambda row: f"{row[0]}@{row[1]}")
def test_each_validator_leads_as_many_views_of_a_round_as_its_power(
    row: tuple[list[int], int, int, int, list[int]],
) -> None:
    powers, root_height, slots, _, _ = row
    validators = build_set(powers)
    led = Counter(validators.leader_index(root_height, view) for view in range(1, slots + 1))
    assert [led[index] * sum(powers) for index in range(len(powers))] == [power * slots for power in powers]
