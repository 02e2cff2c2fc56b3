"""Whole networks of cores without faults: timing, silence, determinism."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from consensus.inputs import TimingChanged
from consensus.timeouts import TimingParameters
from tests.support.consensus_harness import DELAY_MS, World
from tests.support.consensus_random import PROFILES, Profile, random_run

TOP = Path(__file__).resolve().parents[3]


def test_four_validators_finalize_a_hundred_blocks_at_two_delays_each_and_three_to_the_first():
    world = World().start()

    assert world.run_to_height(1, 1_000)
    assert world.time_ms == 3 * DELAY_MS + 1  # the leader waits a millisecond until its clock passes genesis

    assert world.run_to_height(100)
    assert world.time_ms == (2 * 99 + 3) * DELAY_MS + 1
    world.checks.check_ancestry()


def test_a_block_costs_one_proposal_and_two_votes_of_each_validator():
    world = World().start()
    assert world.run_to_height(100)

    broadcasts = {kind: count // 3 for kind, count in world.sent.items()}
    assert 100 <= broadcasts["Proposal"] <= 101
    assert broadcasts["VoteMessage"] <= 100 * (3 + 4) + 4
    assert broadcasts["CertificatesMessage"] <= 4  # answers to the first status


def test_real_signatures_and_real_bytes_change_nothing():
    heights = []
    for is_real in (False, True):
        world = World(is_real=is_real).start()
        assert world.run_to_height(8)
        heights.append((world.time_ms, world.sent))

    assert heights[0] == heights[1]


def test_the_same_calls_give_the_same_trace():
    hashes = set()
    for _ in range(2):
        world = World(twins=[3])
        world.keep_trace()
        world.start()
        world.run_for(300)
        hashes.add(world.trace_hash)

    assert len(hashes) == 1


RUN = """
from tests.support.consensus_random import PROFILES, RandomRun
run = RandomRun(3, PROFILES[-1])
run.world.keep_trace()
print(run.run().trace_hash)
"""


def test_the_order_of_sets_and_dicts_does_not_matter():
    """The same seed gives the same trace whatever PYTHONHASHSEED is."""
    hashes = {
        subprocess.run(
            [sys.executable, "-c", RUN],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(TOP)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "random")
    }

    assert len(hashes) == 1


@pytest.mark.parametrize("profile", PROFILES, ids=[profile.name for profile in PROFILES])
@pytest.mark.parametrize("seed", range(5))
def test_random_runs_of_each_profile_are_safe_and_live(seed: int, profile: Profile):
    world = random_run(seed, profile)

    assert bool(world.checks.convicted) <= profile.has_twin


def test_an_idle_chain_says_only_where_it_is():
    world = World(is_busy=False).start()
    world.run_for(60_000)

    assert set(world.sent) == {"Status"}
    assert world.sent["Status"] == 12 * (1 + 30)  # at the start, and every 2 s


def test_a_transaction_on_an_idle_chain_is_final_after_three_delays_and_nothing_follows():
    world = World(is_busy=False).start()
    world.run_for(5_000)
    world.submit(b"transfer")
    start_ms = world.time_ms

    assert world.run_to_height(1, 1_000)
    assert world.time_ms - start_ms == 3 * DELAY_MS
    world.run_for(60_000)
    assert {node.height for node in world.honest} == {1}
    assert world.sent["Proposal"] == 3


def test_a_transaction_known_to_one_node_only_is_final_when_that_node_leads():
    world = World(is_busy=False).start()
    world.run_for(5_000)
    world.submit(b"transfer", "v0")  # which leads view 4

    assert world.run(lambda: not world["v0"].mempool, 10_000)
    world.run_for(60_000)
    assert {node.height for node in world.honest} == {4}  # the other leaders woke up for empty blocks


@pytest.mark.parametrize("powers", [(1,), (1, 1), (2, 1, 1), (5, 1, 1, 1, 1, 1, 1), (10, 7, 4, 4, 3)])
def test_any_powers_agree(powers):
    world = World(powers).start()

    assert world.run_to_height(20)


def test_a_follower_finalizes_and_signs_nothing():
    world = World(followers=1).start()

    assert world.run_to_height(20)
    assert world["v4"].height >= 20
    assert not world["v4"].log.durable


def test_a_dead_leader_costs_one_timeout():
    timing = TimingParameters(timeout_min_ms=200, timeout_first_ms=200)
    world = World(timing=timing).start()
    assert world.run_to_height(20)
    world["v1"].crash()
    start_ms = world.time_ms

    height = max(node.height for node in world.up)
    assert world.run_to_height(height + 4)
    lost_ms = world.time_ms - start_ms - 4 * 2 * DELAY_MS
    assert 200 - 2 * DELAY_MS <= lost_ms <= 200 + 3 * DELAY_MS


def test_timing_that_governance_changes_counts_from_then_on():
    world = World(timing=TimingParameters(timeout_min_ms=200, timeout_first_ms=200)).start()
    assert world.run_to_height(20)
    for node in world.up:
        node.feed(TimingChanged(TimingParameters(timeout_min_ms=900, timeout_first_ms=900)))
    world["v1"].crash()
    start_ms = world.time_ms
    height = max(node.height for node in world.up)
    assert world.run_to_height(height + 4)
    assert 900 - 2 * DELAY_MS <= world.time_ms - start_ms - 4 * 2 * DELAY_MS <= 900 + 3 * DELAY_MS


def test_leaders_that_leave_time_between_blocks_lose_no_view_by_it():
    """A view that times out counts against its leader, so validators that all do what governance asks would be jailed."""
    world = World(timing=TimingParameters(timeout_min_ms=200, timeout_first_ms=200)).start()
    assert world.run_to_height(20)
    for node in world.up:
        node.feed(
            TimingChanged(TimingParameters(timeout_min_ms=200, timeout_first_ms=200, min_block_interval_ms=1_000))
        )
    assert world.run_to_height(30)
    assert {node.view - node.height for node in world.up} == {1}


def test_a_leader_that_is_gone_costs_no_timeout_any_more():
    timing = TimingParameters(timeout_min_ms=200, timeout_first_ms=200)
    world = World(timing=timing).start()
    world["v1"].crash()
    assert world.run_to_height(20)
    start_ms = world.time_ms

    assert world.run_to_height(40)
    assert world.time_ms - start_ms <= 20 * 2 * DELAY_MS + 7 * 3 * DELAY_MS


def test_more_than_a_third_of_silent_power_stops_the_chain_and_its_return_goes_on_with_it():
    world = World((3, 2, 2, 2)).start()
    assert world.run_to_height(5)
    world["v0"].crash()  # exactly a third
    height = max(node.height for node in world.honest)

    assert not world.run_to_height(height + 2, 60_000)
    world["v0"].start()
    assert world.run_to_height(height + 10, 30_000)


def test_a_third_less_one_unit_of_silent_power_stops_nothing():
    world = World((10, 7, 7, 7)).start()
    world["v0"].crash()

    assert world.run_to_height(20)
