"""Laws of health: what makes a node not live or not ready, each alone, with the value and the bound."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from node.api.health import judge_liveness, judge_readiness
from state.errors import StorageFault
from tests.support.fixture_chain import FixtureNode


def failing(health):
    assert health.ok == (not [check for check in health.checks if not check.ok])
    return [(check.name, check.seen, check.bound) for check in health.checks if not check.ok]


def test_healthy_node_is_live_and_ready():
    node = FixtureNode()
    assert failing(judge_liveness(node)) == []
    assert failing(judge_readiness(node)) == []


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"loop_lag_ms": 5_001}, ("loop_lag_ms", 5_001, 5_000)),
        ({"driver_age_ms": 15_001}, ("driver_age_ms", 15_001, 15_000)),
        ({"halted": "two certificates"}, ("agreement", "two certificates", "not broken")),
    ],
)
def test_node_that_does_not_move_is_neither_live_nor_ready(facts, expected):
    node = FixtureNode()
    node.facts = replace(node.facts, **facts)
    assert failing(judge_liveness(node)) == [expected]
    assert failing(judge_readiness(node)) == [expected]


def not_ready(node):
    assert failing(judge_liveness(node)) == []
    return failing(judge_readiness(node))


def test_syncing_node_is_live_and_not_ready():
    node = FixtureNode()
    node.is_syncing = True
    assert not_ready(node) == [("syncing", "yes", "no")]


def test_lonely_node_is_not_ready_unless_it_is_meant_to_be_alone():
    node = FixtureNode()
    node.connected = ()
    assert not_ready(node) == [("peers", 0, 1)]
    node.facts = replace(node.facts, peers_needed=0)
    assert not_ready(node) == []


@pytest.mark.parametrize(("claim", "is_ready"), [(6, True), (7, False), (0, True)])
def test_node_behind_its_peers_is_not_ready(claim, is_ready):
    node = FixtureNode()
    node.claimed_height = claim
    assert not_ready(node) == ([] if is_ready else [("blocks_behind", 3, 2)])


def test_old_head_is_not_ready_unless_the_chain_may_be_idle():
    node = FixtureNode()
    node.wall_ms = node.chain.tip.block.time_ms + 120_001
    assert not_ready(node) == [("head_age_ms", 120_001, 120_000)]
    node.facts = replace(node.facts, head_age_ms_max=0)
    assert not_ready(node) == []


def test_clock_behind_the_head_is_no_age():
    node = FixtureNode()
    node.wall_ms = 0
    assert not_ready(node) == []


def test_broken_database_is_not_ready_and_stops_the_node():
    node = FixtureNode()

    def fail():
        raise StorageFault("damaged")

    node.chain.views.status = fail
    assert not_ready(node) == [("database", "fails", "answers")]
    assert [str(failure) for failure in node.failures] == ["damaged"]
