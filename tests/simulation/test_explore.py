"""All canonical schedules of a few views are safe and let a whole network go on; so do those that broke other protocols."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.simulation.explore import PAUSE_MS, VIEWS_TO_RECOVER, explore, led_by, play_view
from tests.simulation.mutant_table import Change
from tests.simulation.mutants import applied
from tests.simulation.schedules import (
    HALVES,
    HONEST,
    Pattern,
    all_links,
    alphabet,
    canonical_leaders,
    renamings,
    representatives,
)
from tests.support.consensus_checks import Violation
from tests.support.consensus_harness import DELAY_MS, World
from tests.support.consensus_node import Node

TOLD = "{} views over {}: {}"


@pytest.mark.timeout(900)
def test_all_schedules_of_three_views_are_safe_and_live(capsys: pytest.CaptureFixture[str]):
    totals = explore(3, "sides")

    with capsys.disabled():
        print(f"\n{TOLD.format(3, 'sides', totals)}")
    assert totals.schedules > 10_000


def test_all_schedules_of_two_views_with_lost_votes_are_safe_and_live(capsys: pytest.CaptureFixture[str]):
    totals = explore(2, "all")

    with capsys.disabled():
        print(f"\n{TOLD.format(2, 'all', totals)}")
    assert totals.schedules > 4_000


def test_exploration_finds_a_guard_that_is_off():
    change = Change(
        "consensus.signing:VoteSigner.may_sign",
        "return not any(are_conflicting(vote, other) for other in signed.values())",
        "return True",
    )
    with applied(change), pytest.raises(Violation, match=r"(?s)L1 signer.*view 1, led by v3"):
        explore(2, "all")


def test_renamings_keep_leaders_and_classes_are_disjoint():
    patterns = alphabet("all")

    assert len(patterns) == 54
    assert canonical_leaders(2) == ((3, 3), (3, 0), (0, 3), (0, 0), (0, 1))
    assert len(renamings((3, 3))) == 12
    assert len(renamings((3, 0, 1))) == 2
    chosen = representatives(patterns, renamings((3, 3)))
    covered = [{pattern.renamed(renaming) for renaming in renamings((3, 3))} for pattern, _ in chosen]
    assert set().union(*covered) == set(patterns)
    assert sum(len(orbit) for orbit in covered) == len(patterns)
    for (_, group), orbit in zip(chosen, covered, strict=True):
        assert len(group) * len(orbit) == 12


# schedules from elsewhere: a leader and groups that hear each other for each round


Schedule = list[tuple[int, list[list[int]], Mapping[int, list[int]]]]
"""For each round: leader, groups of instances, and what a firewall takes out: sender -> receivers that do not hear it."""


def asonnino(path: Path) -> tuple[int, int, Schedule]:
    """Return validators, twins and the schedule of a file of the Python twins simulator."""
    read = json.loads(path.read_text())
    (scenario,) = read["scenarios"]
    rounds: Schedule = []
    for number in sorted(scenario["round_leaders"], key=int):
        firewall = {int(k): v for k, v in scenario.get("firewall", {}).get(number, {}).items()}
        leader = scenario["round_leaders"][number][0] % read["num_of_nodes"]
        rounds.append((leader, scenario["round_partitions"][number], firewall))
    return read["num_of_nodes"], read["num_of_twins"], rounds


def relab(path: Path) -> tuple[int, int, Schedule]:
    """Return validators, twins and the schedule of relab's file, whose replicas count from 1."""
    read = json.loads(path.read_text())
    (scenario,) = read["scenarios"]
    rounds: Schedule = [
        (step["leader"] - 1, [[member["ReplicaID"] - 1 for member in group] for group in step["partitions"]], {})
        for step in scenario
    ]
    return read["num_nodes"], read["num_twins"], rounds


def replay(validators: int, twins: int, rounds: Schedule) -> None:
    """Play the schedule on our core: instance i >= validators is the other half of the twin i - validators."""
    names = [f"v{index}" for index in range(validators)] + [f"v{index}'" for index in range(twins)]
    world = World((1,) * validators, twins=range(twins))
    world.last_open_view = 0
    with led_by(tuple(leader for leader, _, _ in rounds)):
        world.start()
        world.deliver_all()
        for view, (_, groups, firewall) in enumerate(rounds, 1):
            play_round(world, view, names, groups, firewall)
        height = max(node.height for node in world.honest)
        for view in range(len(rounds) + 1, len(rounds) + 1 + VIEWS_TO_RECOVER):
            play_round(world, max(view, *[node.view for node in world.honest]), names, [list(range(len(names)))], {})
    assert min(node.height for node in world.honest) > height
    world.checks.check_ancestry()


def play_round(
    world: World, view: int, names: list[str], groups: list[list[int]], firewall: Mapping[int, list[int]]
) -> None:
    def route(source: Node, target: Node, _message: object) -> int | None:
        sender, receiver = names.index(source.name), names.index(target.name)
        is_together = any(sender in group and receiver in group for group in groups)
        return DELAY_MS if is_together and receiver not in firewall.get(sender, []) else None

    play_view(world, view, route)


@pytest.mark.parametrize(
    ("file", "reader"),
    [("asonnino-fhs.json", asonnino), ("asonnino-streamlet.json", asonnino), ("relab-fhsbug.json", relab)],
)
def test_schedules_that_broke_other_protocols_are_safe_and_live(shared_dir: Path, file: str, reader):
    replay(*reader(shared_dir / "vectors" / "twins-scenarios" / file))


def test_a_whole_network_finalizes_in_every_view():
    world = World(twins=[3])
    world.last_open_view = 0
    world.start()
    world.deliver_all()
    for view in range(1, 6):
        before_ms = world.time_ms
        play_view(world, view, Pattern(all_links(), None).delay)
        assert {node.height for node in world.honest} == {view}
        assert world.time_ms - before_ms <= PAUSE_MS + 8 * DELAY_MS
    assert {node.name for node in world.nodes.values()} == {*HONEST, *HALVES}
