"""A concrete run, judged without the theorem prover.

z3 finds a run; this module says in plain Python which certificates its votes make, which rules its honest validators broke,
who is guilty, and what is final. Nothing here is shared with `rules.py` but the names of the rules, so a mistake in the
formulas cannot hide itself: a counterexample counts only if both readings of the rules agree on it.

Source: PROTOCOL, R3, R5, R10.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from tests.proof.rules import Rule
from tests.proof.stake import Share

ROOT = "root"


@dataclass(frozen=True)
class Block:
    """A header as far as the vote rules read it, with what execution says about the block."""

    parent: str
    view: int
    parent_view: int
    sealing: bool
    result: str


@dataclass(frozen=True)
class History:
    """All blocks and votes of one epoch, with the stake behind them."""

    stakes: dict[str, int]
    byzantine: frozenset[str]
    quorum: Share
    blocks: dict[str, Block]
    notarize: frozenset[tuple[str, int, str]]
    nullify: frozenset[tuple[str, int]]
    finalize: frozenset[tuple[str, int, str, str]]

    def is_quorum(self, signers: set[str]) -> bool:
        """Say whether these validators make a certificate."""
        power = sum(self.stakes[name] for name in signers)
        return power * self.quorum.denominator > sum(self.stakes.values()) * self.quorum.numerator

    def notarized(self) -> set[tuple[int, str]]:
        """Return (view, block) of each notarization; the root has one at view 0."""
        kinds = {(view, block) for _, view, block in self.notarize}
        made = {kind for kind in kinds if self.is_quorum({n for n, *vote in self.notarize if tuple(vote) == kind})}
        return made | {(0, ROOT)}

    def nullified(self) -> set[int]:
        """Return each nullified view."""
        views = {view for _, view in self.nullify}
        return {view for view in views if self.is_quorum({n for n, v in self.nullify if v == view})}

    def finalized(self) -> set[tuple[int, str, str]]:
        """Return (view, block, result) of each finalization."""
        kinds = {(view, block, result) for _, view, block, result in self.finalize}
        return {kind for kind in kinds if self.is_quorum({n for n, *vote in self.finalize if tuple(vote) == kind})}

    def ancestors(self, block: str) -> list[str]:
        """Return the block and all blocks below it, newest first, down to the root."""
        line = [block]
        while line[-1] != ROOT:
            line.append(self.blocks[line[-1]].parent)
        return line

    def forks(self) -> set[tuple[str, str]]:
        """Return pairs of final blocks neither of which descends from the other."""
        blocks = sorted({block for _, block, _ in self.finalized()})
        return {
            (a, b)
            for a, b in itertools.combinations(blocks, 2)
            if a not in self.ancestors(b) and b not in self.ancestors(a)
        }

    def epochs_overrun(self) -> set[tuple[str, str]]:
        """Return pairs of a final sealing block and a final block built on it in the same epoch."""
        blocks = {block for _, block, _ in self.finalized()}
        return {(a, b) for b in blocks for a in self.ancestors(b)[1:] if a in blocks and self.blocks[a].sealing}

    def result_conflicts(self) -> set[str]:
        """Return final blocks whose finalizations state different results."""
        by_block: dict[str, set[str]] = {}
        for _, block, result in self.finalized():
            by_block.setdefault(block, set()).add(result)
        return {block for block, results in by_block.items() if len(results) > 1}

    def conflicts(self, node: str) -> set[Rule]:
        """Return which kinds of conflicting pairs a validator signed."""
        notarized = [(view, block) for n, view, block in self.notarize if n == node]
        finalized = [(view, block, result) for n, view, block, result in self.finalize if n == node]
        nullified = {view for n, view in self.nullify if n == node}
        found = set()
        if len({view for view, _ in notarized}) < len(notarized):
            found.add(Rule.ONE_NOTARIZE)
        if len({view for view, _, _ in finalized}) < len(finalized):
            found.add(Rule.ONE_FINALIZE)
        if any(view in nullified for view, _, _ in finalized):
            found.add(Rule.NULLIFY_EXCLUDES_FINALIZE)
        if any(u == v and a != b for u, a in notarized for v, b, _ in finalized):
            found.add(Rule.NOTARIZE_BINDS_FINALIZE)
        return found

    def guilty_stake(self) -> int:
        """Return the stake of all validators with a conflicting pair."""
        return sum(stake for node, stake in self.stakes.items() if self.conflicts(node))

    def broken_rules(self) -> set[Rule]:
        """Return the rules that honest validators did not keep."""
        honest = self.stakes.keys() - self.byzantine
        broken = {rule for node in honest for rule in self.conflicts(node)}
        for node, view, block in self.notarize:
            if node in honest:
                broken |= self._notarize_breaks(view, block)
        for node, view, block, result in self.finalize:
            if node in honest and (view, block) not in self.notarized():
                broken.add(Rule.FINALIZE_NEEDS_NOTARIZATION)
            if node in honest and result != self.blocks[block].result:
                broken.add(Rule.FINALIZE_CARRIES_RESULT)
        return broken

    def _certified(self) -> set[tuple[int, str]]:
        return self.notarized() | {(view, block) for view, block, _ in self.finalized()}

    def _notarize_breaks(self, view: int, name: str) -> set[Rule]:
        """Return the parts of R3 that speak against this vote: for the best reading, as new block or as re-proposal."""
        readings = []
        block = self.blocks[name]
        if name != ROOT and block.view == view and 0 <= block.parent_view < view:
            broken = self._link_breaks(block.parent_view, block.parent, view)
            if self.blocks[block.parent].sealing:
                broken.add(Rule.SEALING_HAS_NO_CHILD)
            readings.append(broken)
        if block.sealing:
            readings += [self._link_breaks(from_view, name, view) for from_view in range(1, view)]
        assert readings, f"no rule lets anybody notarize {name} in view {view}"
        return min(readings, key=len)

    def _link_breaks(self, parent_view: int, parent: str, view: int) -> set[Rule]:
        broken = set()
        if (parent_view, parent) not in self._certified():
            broken.add(Rule.PARENT_CERTIFIED)
        if not set(range(parent_view + 1, view)) <= self.nullified():
            broken.add(Rule.GAP_NULLIFIED)
        return broken

    def describe(self) -> str:
        """Tell the run view by view, for a reader."""
        lines = [f"stakes {self.stakes}, Byzantine {sorted(self.byzantine)}"]
        voted = {vote[2] for vote in (*self.notarize, *self.finalize)}
        for name in sorted({name for block in voted for name in self.ancestors(block)} - {ROOT}):
            block = self.blocks[name]
            seal = ", sealing" if block.sealing else ""
            lines.append(f"{name}: view {block.view}, on {block.parent} of view {block.parent_view}{seal}")
        votes = [(view, f"{node} notarize {block}") for node, view, block in self.notarize]
        votes += [(view, f"{node} nullify") for node, view in self.nullify]
        votes += [(view, f"{node} finalize {block} {result}") for node, view, block, result in self.finalize]
        for view, group in itertools.groupby(sorted(votes), key=lambda vote: vote[0]):
            lines.append(f"view {view}: " + "; ".join(text for _, text in group))
        lines.append(f"notarized {sorted(self.notarized())}, nullified {sorted(self.nullified())}")
        lines.append(f"final {sorted(self.finalized())}")
        return "\n".join(lines)
