"""Canonical schedules for exhaustive exploration: who leads each view, who hears which half of the twin, and what is lost.

Four validators; v3 is a twin, with the halves v3 and v3'. In each view the network has one pattern:

- a partition: some of the honest nodes with one half, the others with the other half, nothing between the sides;
- a split twin: the honest nodes hear each other, and each of them hears one half of the twin;
- everybody hears everybody, but the halves each other;
- one honest node hears nobody;

and, on top of it, all notarize votes or all finalize votes of the view may be lost. The first three are the alphabet `sides`, with
the fourth it is `networks`, with lost votes `all`. Schedules that differ by a renaming of honest
nodes or by an exchange of the halves are one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations, permutations, product
from typing import NamedTuple

from consensus.messages import ConsensusMessage, VoteMessage
from state.votes import VoteKind
from tests.support.consensus_harness import DELAY_MS
from tests.support.consensus_node import Node

HONEST = ("v0", "v1", "v2")
HALVES = ("v3", "v3'")
NAMES = (*HONEST, *HALVES)
TWIN_INDEX = 3

Renaming = tuple[str, ...]
"""The new names of NAMES, in their order."""
Link = frozenset[str]
"""Two names that hear each other."""


class Pattern(NamedTuple):
    """What a view's network is like."""

    links: frozenset[Link]
    lost: VoteKind | None

    def delay(self, source: Node, target: Node, message: ConsensusMessage) -> int | None:
        """Say whether a message arrives, as a route of the world."""
        if frozenset((source.name, target.name)) not in self.links:
            return None
        if isinstance(message, VoteMessage) and message.vote.kind is self.lost:
            return None
        return DELAY_MS

    def renamed(self, renaming: Renaming) -> Pattern:
        """Return the pattern with other names."""
        names = dict(zip(NAMES, renaming, strict=True))
        return Pattern(frozenset(frozenset(names[name] for name in link) for link in self.links), self.lost)

    @property
    def sort_key(self) -> tuple[list[list[str]], int]:
        """Something to choose a representative by."""
        return sorted(sorted(link) for link in self.links), self.lost or 0


def _links_within(*groups: tuple[str, ...]) -> frozenset[Link]:
    return frozenset(frozenset(pair) for group in groups for pair in combinations(group, 2))


def all_links() -> frozenset[Link]:
    """Return the links of a whole network; the halves of the twin never hear each other."""
    return _links_within(NAMES) - {frozenset(HALVES)}


def _sides() -> Iterator[frozenset[Link]]:
    first, second = HALVES
    for count in range(len(HONEST) + 1):
        for side in combinations(HONEST, count):
            others = tuple(name for name in HONEST if name not in side)
            yield _links_within((first, *side), (second, *others))
            to_halves = [(first, name) for name in side] + [(second, name) for name in others]
            yield _links_within(HONEST, *to_halves)


def _isolations() -> Iterator[frozenset[Link]]:
    for isolated in HONEST:
        yield frozenset(link for link in all_links() if isolated not in link)


def _ordered(found: Iterable[Pattern]) -> tuple[Pattern, ...]:
    return tuple(sorted(set(found), key=lambda pattern: pattern.sort_key))


def alphabet(name: str) -> tuple[Pattern, ...]:
    """Return the patterns that a view may have, in a fixed order: sides, networks or all."""
    sides = [Pattern(links, None) for links in [*_sides(), all_links()]]
    if name == "sides":
        return _ordered(sides)
    networks = [*sides, *(Pattern(links, None) for links in _isolations())]
    if name == "networks":
        return _ordered(networks)
    losses = (None, VoteKind.NOTARIZE, VoteKind.FINALIZE)
    return _ordered(Pattern(network.links, lost) for network, lost in product(networks, losses))


def renamings(leaders: tuple[int, ...]) -> tuple[Renaming, ...]:
    """Return the renamings that leave the leaders of all views as they are."""
    fixed = {f"v{index}" for index in leaders}
    return tuple(
        (*honest, *halves)
        for honest in permutations(HONEST)
        for halves in permutations(HALVES)
        if all(new == old for old, new in zip(HONEST, honest, strict=True) if old in fixed)
    )


def canonical_leaders(views: int) -> tuple[tuple[int, ...], ...]:
    """Return who may lead the first views: the twin or honest nodes, which are named in the order of their first turn."""
    found: list[tuple[int, ...]] = []
    for leaders in product((TWIN_INDEX, 0, 1, 2), repeat=views):
        honest = list(dict.fromkeys(index for index in leaders if index != TWIN_INDEX))
        if honest == list(range(len(honest))):
            found.append(leaders)
    return tuple(found)


def representatives(
    patterns: tuple[Pattern, ...], group: tuple[Renaming, ...]
) -> tuple[tuple[Pattern, tuple[Renaming, ...]], ...]:
    """Return one pattern of each class under the renamings, with the renamings that leave it as it is."""
    chosen: list[tuple[Pattern, tuple[Renaming, ...]]] = []
    seen: set[Pattern] = set()
    for pattern in patterns:
        if pattern in seen:
            continue
        seen.update(pattern.renamed(renaming) for renaming in group)
        chosen.append((pattern, tuple(renaming for renaming in group if pattern.renamed(renaming) == pattern)))
    return tuple(chosen)
