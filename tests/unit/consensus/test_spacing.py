"""How long after its parent a leader makes a block."""

from __future__ import annotations

import pytest

from consensus.timeouts import TimingParameters, spacing_ms


@pytest.mark.parametrize(
    ("parent_transactions", "expected"), [(0, 1), (1, 1), (2, 2), (59, 59), (60, 60), (61, 60), (10_000, 60)]
)
def test_a_leader_leaves_a_millisecond_for_each_transaction_of_the_parent_up_to_sixty(
    parent_transactions: int, expected: int
):
    assert spacing_ms(parent_transactions, TimingParameters()) == expected


def test_the_interval_of_the_genesis_is_a_floor():
    parameters = TimingParameters(min_block_interval_ms=40)

    assert [spacing_ms(count, parameters) for count in (0, 39, 50)] == [40, 40, 50]


def test_the_greatest_space_stays_below_the_least_timeout():
    parameters = TimingParameters()

    assert spacing_ms(1_000_000, parameters) * 3 < parameters.timeout_min_ms
