"""How long a view may take, and which block times are timely."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.timeouts import (
    FAILED_VIEWS_MIN,
    GROWTH_EXPONENT_MAX,
    MARGIN_MS,
    SAMPLES_MAX,
    SAMPLES_MIN,
    TimingParameters,
    ViewTimeout,
    grow,
    is_timely,
    pause_ms,
)

PARAMETERS = TimingParameters()
PARENT_MS = 1_000_000
RECEIVED_MS = 2_000_000


def timeout_after(samples: list[int], parameters: TimingParameters = PARAMETERS) -> ViewTimeout:
    timeout = ViewTimeout(parameters)
    for sample in samples:
        timeout.observe(sample)
    return timeout


@pytest.mark.parametrize(
    ("failed_views", "expected"), [(0, 1_000), (1, 1_500), (2, 2_250), (3, 3_375), (5, 7_593), (6, 8_000), (99, 8_000)]
)
def test_first_value_grows_by_a_half_for_each_failed_view_up_to_the_maximum(failed_views: int, expected: int):
    assert ViewTimeout(PARAMETERS).timeout_ms(failed_views) == expected


def test_the_first_value_holds_until_enough_views_were_notarised():
    assert timeout_after([20] * (SAMPLES_MIN - 1)).timeout_ms(0) == 1_000
    assert timeout_after([100] * SAMPLES_MIN).timeout_ms(0) == 4 * 100 + MARGIN_MS


@pytest.mark.parametrize(("sample", "expected"), [(0, 200), (37, 200), (38, 202), (500, 2_050), (5_000, 8_000)])
def test_timeout_is_four_medians_and_a_margin_within_bounds(sample: int, expected: int):
    assert timeout_after([sample] * 10).timeout_ms(0) == expected


def test_fewer_than_half_of_the_views_cannot_move_the_timeout_far():
    honest = [20] * 17
    slow = [8_000] * 15

    assert timeout_after(honest + slow).timeout_ms(0) == timeout_after(honest).timeout_ms(0)


def test_other_parameters_bound_the_samples_so_far():
    timeout = timeout_after([20] * 10)
    timeout.adopt(TimingParameters(timeout_min_ms=700, timeout_first_ms=900, timeout_max_ms=1_000))
    assert [timeout.timeout_ms(failed_views) for failed_views in (0, 1)] == [700, 1_000]


@pytest.mark.parametrize(("failed_views", "expected"), [(0, 3_200), (1, 3_300), (99, 11_000)])
def test_the_least_interval_between_blocks_comes_on_top_of_any_timeout(failed_views: int, expected: int):
    parameters = TimingParameters(min_block_interval_ms=3_000)
    assert timeout_after([20] * 10, parameters).timeout_ms(failed_views) == expected


def test_old_views_are_forgotten():
    assert timeout_after([5_000] * 50 + [100] * SAMPLES_MAX).timeout_ms(0) == 450


def test_a_clock_that_runs_backwards_counts_as_no_time():
    assert timeout_after([-5] * 10).timeout_ms(0) == PARAMETERS.timeout_min_ms


def test_growth_is_exact_and_its_exponent_bounded():
    assert grow(1_000, 20) == 1_000 * 3**20 // 2**20
    assert grow(1_000, 10**9) == grow(1_000, GROWTH_EXPONENT_MAX)


@pytest.mark.parametrize(
    ("failed_views", "validator_count", "expected"),
    [(0, 4, 0), (FAILED_VIEWS_MIN, 4, 0), (9, 4, 961), (10, 4, 1_000), (99, 4, 1_000), (30, 30, 0), (31, 30, 1_000)],
)
def test_leaders_pause_once_more_views_failed_than_dead_leaders_explain(
    failed_views: int, validator_count: int, expected: int
):
    assert pause_ms(failed_views, validator_count, PARAMETERS) == expected


@given(st.integers(0, 60), st.integers(1, 20), st.lists(st.integers(0, 20_000), max_size=10), st.integers(1, 1_000))
def test_a_pause_is_at_most_an_eighth_of_anybodys_timeout(
    failed_views: int, validator_count: int, samples: list[int], minimum_ms: int
):
    parameters = TimingParameters(timeout_min_ms=minimum_ms)
    timeout_ms = timeout_after(samples, parameters).timeout_ms(failed_views)
    assert pause_ms(failed_views, validator_count, parameters) * 8 <= timeout_ms


@given(st.integers(0, 10_000), st.integers(0, 40))
def test_growth_never_shrinks(duration_ms: int, failed_views: int):
    assert grow(duration_ms, failed_views) <= grow(duration_ms, failed_views + 1)


@pytest.mark.parametrize(
    ("time_ms", "failed_views", "expected"),
    [
        (RECEIVED_MS + 500, 0, True),
        (RECEIVED_MS + 501, 0, False),
        (RECEIVED_MS + 501, 9, False),
        (RECEIVED_MS - 2_500, 0, True),
        (RECEIVED_MS - 2_501, 0, False),
        (RECEIVED_MS - 3_500, 1, True),
        (RECEIVED_MS - 3_501, 1, False),
    ],
)
def test_timely_at_the_millisecond_on_both_ends(time_ms: int, failed_views: int, expected: bool):
    assert is_timely(time_ms, RECEIVED_MS, PARENT_MS, failed_views, PARAMETERS) is expected


def test_a_block_is_strictly_later_than_its_parent():
    assert not is_timely(PARENT_MS, PARENT_MS, PARENT_MS, 0, PARAMETERS)
    assert is_timely(PARENT_MS + 1, PARENT_MS, PARENT_MS, 0, PARAMETERS)
