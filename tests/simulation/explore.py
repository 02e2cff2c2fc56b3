"""Exhaustive exploration of the real core over all canonical schedules of a few views (schedules.py).

A schedule gives each view a leader and a pattern of the network. A view is played to its end: its leader may build, everything
that gets through is delivered, then the timer of everybody still in it fires, and everything that follows is delivered. States that
differ in names and times only are one, so all schedules are covered with far fewer runs. After the scripted views everybody hears
everybody, and the network must go on. The invariants of consensus_checks.py hold at every step, or a Violation names the schedule.

    python -m tests.simulation.explore --views 3
"""

from __future__ import annotations

import argparse
import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import NamedTuple
from unittest.mock import patch

import msgspec

from consensus.inputs import TimerFired, TimerKind
from consensus.view_state import ViewState
from consensus.vote_tally import Choice
from state.block import Header
from state.validators import ValidatorSet
from tests.simulation.schedules import (
    TWIN_INDEX,
    Pattern,
    Renaming,
    all_links,
    alphabet,
    canonical_leaders,
    renamings,
    representatives,
)
from tests.support.consensus_checks import Violation
from tests.support.consensus_harness import Route, World
from tests.support.consensus_node import Node

PAUSE_MS = 5_000
"""Between two views, so that limits per second do not connect them."""
BLOCKS_TO_RECOVER = 1
VIEWS_TO_RECOVER = 8
"""Within so many views of a whole network everybody must have so many more final blocks."""
WHOLE = Pattern(all_links(), None)


class Reached(NamedTuple):
    """A state of the network, and how to get there."""

    world: bytes
    group: tuple[Renaming, ...]
    schedules: int
    path: tuple[Pattern, ...]


class Totals(NamedTuple):
    """What an exploration did."""

    schedules: int
    views_played: int
    end_states: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.schedules:,} schedules covered by playing {self.views_played:,} views; "
            f"{self.end_states:,} different ends, all safe and live; {self.seconds:.1f} s"
        )


def explore(views: int, patterns: str) -> Totals:
    """Explore all canonical schedules of so many views over an alphabet of patterns.

    Raises:
        Violation: a schedule breaks an invariant.
    """
    explorer = Explorer(alphabet(patterns))
    start = time.perf_counter()
    for leaders in canonical_leaders(views):
        explorer.explore(leaders)
    seconds = time.perf_counter() - start
    return Totals(explorer.schedules, explorer.views_played, explorer.end_states, seconds)


@contextmanager
def led_by(leaders: tuple[int, ...]) -> Iterator[None]:
    """Let these validators lead views 1, 2, ...; the schedule of the protocol goes on after them."""
    scheduled = ValidatorSet.leader_index

    def leader_index(self: ValidatorSet, root_height: int, view: int) -> int:
        return leaders[view - 1] if 0 < view <= len(leaders) else scheduled(self, root_height, view)

    with patch.object(ValidatorSet, "leader_index", leader_index):
        yield


def play_view(world: World, view: int, route: Route) -> None:
    """Play one view to its end."""
    world.route = route
    world.last_open_view = view
    for node in world.nodes.values():
        node.build_held()
    world.deliver_all()
    for node in world.nodes.values():
        if node.view <= view:
            node.feed(TimerFired(TimerKind.VIEW, node.running.node.state.number, node.view))
    world.deliver_all()
    world.time_ms += PAUSE_MS


def start_world() -> World:
    """Return four validators, one of them a twin, before the first view."""
    world = World(twins=[TWIN_INDEX])
    world.last_open_view = 0
    world.route = WHOLE.delay
    world.start()
    world.deliver_all()
    return world


class _Names:
    """Names of blocks that do not depend on the time: view, proposer, content, parent. History below all tips is one name."""

    def __init__(self, world: World) -> None:
        self._headers: dict[bytes, Header] = {}
        for node in world.nodes.values():
            for block_hash, block in node.bodies.items():
                self._headers[block_hash] = block.header
            for block_hash, known in node.running.node.state.blocks.items():
                if known.header is not None:
                    self._headers[block_hash] = known.header
        lowest = min(world.nodes.values(), key=lambda node: node.height)
        self._names: dict[bytes, bytes] = {b"": b"", lowest.chain.tip.block.block_hash: b"base"}

    def __getitem__(self, block_hash: bytes) -> bytes:
        name = self._names.get(block_hash)
        if name is None:
            header = self._headers.get(block_hash)
            if header is None:
                return block_hash
            parts = header.view, header.proposer, header.tx_root, self[header.parent_hash]
            name = sha256(msgspec.msgpack.encode(parts)).digest()
            self._names[block_hash] = name
        return name


def fingerprint(world: World, goal: int = 0) -> bytes:
    """Return a digest of everything that the future depends on, with the distance from a height to be reached."""
    names = _Names(world)
    everybody = [(goal - node.height if goal else 0, _node_state(node, names)) for node in world.nodes.values()]
    return sha256(msgspec.msgpack.encode(everybody)).digest()


def _node_state(node: Node, names: _Names) -> object:
    core = node.running.node
    state = core.state
    views = [_view_state(view, state.views[view], names) for view in sorted(state.views)]
    blocks = sorted(
        (names[block_hash], known.is_body_here, known.is_valid is True, known.reference is not None)
        for block_hash, known in state.blocks.items()
    )
    signed = [
        (vote.view, vote.kind, names[vote.block_hash])
        for vote in core.signer.votes_in(state.number, core.signer.signed_views(state.number))
    ]
    held = sorted(effect.view for effect in node.held)
    return core.view, state.final_view, names[state.tip.block_hash], views, blocks, signed, held


def _view_state(view: int, known: ViewState, names: _Names) -> object:
    def name(choice: Choice) -> tuple[int, bytes]:
        return choice[0], names[choice[1]]

    tally = known.tally
    open_choices = [choice for choice in {*tally._verified, *tally._pending} if choice[0] not in known.certificates]
    verified = sorted((name(choice), sorted(tally.votes_for(choice))) for choice in open_choices)
    pending = sorted((name(choice), sorted(tally._pending.get(choice, ()))) for choice in open_choices)
    proposal = b"" if known.proposal is None else names[known.proposal.vote.block_hash]
    certificates = sorted((kind, names[found.block_hash]) for kind, found in known.certificates.items())
    return view, proposal, certificates, verified, pending, known.has_asked_for_block


class Explorer:
    """Explores level by level: all states after the first view, then after the second, and so on."""

    def __init__(self, patterns: tuple[Pattern, ...]) -> None:
        """Explore over these patterns of the network."""
        self._patterns = patterns
        self._recovering: set[bytes] = set()
        self.views_played = 0
        self.schedules = 0
        self.end_states = 0

    def explore(self, leaders: tuple[int, ...]) -> None:
        """Explore all schedules with these leaders.

        Raises:
            Violation: one of them breaks an invariant; the text has the schedule.
        """
        with led_by(leaders):
            level = [Reached(pickle.dumps(start_world()), renamings(leaders), 1, ())]
            for view in range(1, len(leaders)):
                level = self._next_level(level, view, leaders)
            for reached in level:
                for pattern, _ in representatives(self._patterns, reached.group):
                    self.schedules += reached.schedules
                    self._end(reached, pattern, leaders)

    def _next_level(self, level: list[Reached], view: int, leaders: tuple[int, ...]) -> list[Reached]:
        following: dict[bytes, Reached] = {}
        for reached in level:
            for pattern, group in representatives(self._patterns, reached.group):
                world: World = pickle.loads(reached.world)
                path = (*reached.path, pattern)
                with telling(leaders, path):
                    self._play(world, view, pattern)
                mark = fingerprint(world)
                known = following.get(mark)
                if known is None:
                    following[mark] = Reached(pickle.dumps(world), group, reached.schedules, path)
                else:
                    following[mark] = known._replace(schedules=known.schedules + reached.schedules)
        return list(following.values())

    def _end(self, reached: Reached, pattern: Pattern, leaders: tuple[int, ...]) -> None:
        """Play the last scripted view, then whole networks until everybody has two more final blocks."""
        world: World = pickle.loads(reached.world)
        with telling(leaders, (*reached.path, pattern)):
            self._play(world, len(leaders), pattern)
            goal = max(node.height for node in world.honest) + BLOCKS_TO_RECOVER
            for played in range(VIEWS_TO_RECOVER):
                mark = fingerprint(world, goal)
                if mark in self._recovering:
                    return
                self._recovering.add(mark)
                self.end_states += not played
                if min(node.height for node in world.honest) >= goal:
                    world.checks.check_ancestry()
                    return
                self._play(world, max(node.view for node in world.nodes.values()), WHOLE)
            places = [(node.name, node.view, node.height) for node in world.nodes.values()]
            raise Violation(
                "G9 liveness", f"not at height {goal} after {VIEWS_TO_RECOVER} views that all heard: {places}"
            )

    def _play(self, world: World, view: int, pattern: Pattern) -> None:
        self.views_played += 1
        play_view(world, view, pattern.delay)


@contextmanager
def telling(leaders: tuple[int, ...], path: tuple[Pattern, ...]) -> Iterator[None]:
    """Add the schedule to a violation."""
    try:
        yield
    except Violation as violation:
        steps = zip(leaders, path, strict=False)
        lines = [f"view {view}, led by v{led}: {describe(pattern)}" for view, (led, pattern) in enumerate(steps, 1)]
        raise Violation(violation.law, "\n".join([str(violation), *lines])) from violation


def describe(pattern: Pattern) -> str:
    """Say who hears whom, and what is lost."""
    links = ", ".join("-".join(sorted(link)) for link in sorted(pattern.links, key=sorted))
    return f"{links or 'nobody hears anybody'}; lost: {pattern.lost.name.lower() if pattern.lost else 'nothing'}"


def main(arguments: list[str] | None = None) -> int:
    """Explore, and print how much of it there was."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.explore",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--patterns", choices=["sides", "networks", "all"], default="networks")
    chosen = parser.parse_args(arguments)
    try:
        print(f"{chosen.views} views over {chosen.patterns}: {explore(chosen.views, chosen.patterns)}")
    except Violation as violation:
        print(violation)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
