"""Four validators, a few views and blocks: the search for a concrete run with the very formulas of the proof.

Stakes are 2, 2, 2 and 1, so that less than a third of the stake is one validator of weight 2, quorums at 2/3 need five of
seven, and quorums at 1/2 need four: two of those can share the Byzantine validator alone.

Source: PROTOCOL, vote rules; the formulas are in `rules.py`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import z3

from tests.proof.history import ROOT, Block, History
from tests.proof.rules import Rule, Rules
from tests.proof.stake import QUORUM, Share
from tests.proof.world import Formula, Term, World

STAKES = {"anna": 2, "boris": 2, "clara": 2, "dora": 1}
BLOCKS = (ROOT, "b1", "b2", "b3")
RESULTS = ("r1", "r2")

SHRINK_MS = 300
"""Longest search for a run with one vote less; only the reader's comfort depends on it."""

Pattern = Callable[[Rules], Formula]
"""What a wanted run shows, as a formula over its certificates."""


@dataclass(frozen=True)
class Setting:
    """Who is Byzantine, how large a quorum is, and for how many views the run lasts."""

    byzantine: frozenset[str] = frozenset({"anna"})
    quorum: Share = QUORUM
    views: int = 3

    def quorums(self) -> list[frozenset[str]]:
        """Return the smallest sets of validators that make a certificate."""
        total = sum(STAKES.values())
        found: list[frozenset[str]] = []
        for size in range(1, len(STAKES) + 1):
            for names in itertools.combinations(STAKES, size):
                power = sum(STAKES[name] for name in names)
                if power * self.quorum.denominator > total * self.quorum.numerator:
                    found += [frozenset(names)] if not any(q < set(names) for q in found) else []
        return found


@functools.cache
def _enumeration(values: tuple[str, ...]) -> tuple[z3.SortRef, tuple[Term, ...]]:
    """Return the sort with exactly these values; z3 knows one sort per name, hence the cache."""
    sort, constants = z3.EnumSort("one of " + ", ".join(values), list(values))
    return sort, tuple(constants)


class SmallWorld:
    """One setting as a finite world, with the facts that the proof only assumes: stakes, quorums, who is honest."""

    def __init__(self, setting: Setting, dropped: frozenset[Rule] = frozenset()) -> None:
        self.setting = setting
        quorums = tuple("+".join(sorted(quorum)) for quorum in setting.quorums())
        listed = {"node": tuple(STAKES), "quorum": quorums, "block": BLOCKS, "result": RESULTS}
        sorts = {kind: _enumeration(values)[0] for kind, values in listed.items()}
        self.domains = {kind: _enumeration(values)[1] for kind, values in listed.items()}
        self.domains["view"] = tuple(z3.IntVal(view) for view in range(setting.views + 1))
        self.world = World({**sorts, "view": z3.IntSort()}, self.domains)
        self.rules = Rules(self.world, dropped)

    def find(self, pattern: Pattern) -> History | None:
        """Return a run that keeps the rules and shows the pattern, with few votes, or None if there is none."""
        solver = z3.Solver()
        solver.add(*self.rules.everything(), *self._facts(), pattern(self.rules))
        verdict = solver.check()
        assert verdict != z3.unknown, "a finite world is decidable"
        return self._with_few_votes(solver) if verdict == z3.sat else None

    def _with_few_votes(self, solver: z3.Solver) -> History:
        """Ask for fewer and fewer votes while z3 answers at once, so that a reader sees only what matters."""
        w, kinds = self.world, self.domains
        votes = [w.notarize(*row) for row in itertools.product(kinds["node"], kinds["view"], kinds["block"])]
        votes += [w.nullify(*row) for row in itertools.product(kinds["node"], kinds["view"])]
        votes += [
            w.finalize(*row) for row in itertools.product(kinds["node"], kinds["view"], kinds["block"], kinds["result"])
        ]
        model = solver.model()
        solver.set("timeout", SHRINK_MS)
        while True:
            count = sum(z3.is_true(model.eval(vote, model_completion=True)) for vote in votes)
            solver.add(z3.PbLe([(vote, 1) for vote in votes], count - 1))
            if solver.check() != z3.sat:
                return self._history(model)
            model = solver.model()

    def guilty_stake(self) -> Term:
        """Return the stake of all validators that signed a conflicting pair."""
        nodes = zip(STAKES.values(), self.domains["node"], strict=True)
        return z3.Sum([z3.If(self.world.innocent(node), 0, stake) for stake, node in nodes])

    def _facts(self) -> list[Formula]:
        """Return who is in which quorum, who is honest, and that honest validators sign no conflicting pair (R3 to R6)."""
        w = self.world
        nodes = dict(zip(STAKES, self.domains["node"], strict=True))
        quorums = zip(self.setting.quorums(), self.domains["quorum"], strict=True)
        members = [w.member(node, q) == (name in quorum) for quorum, q in quorums for name, node in nodes.items()]
        honest = [w.honest(node) == (name not in self.setting.byzantine) for name, node in nodes.items()]
        return [*members, *honest, w.forall("node", lambda n: z3.Implies(w.honest(n), w.innocent(n)))]

    def _history(self, model: z3.ModelRef) -> History:
        """Read a run out of a model of z3: the votes and blocks only, since certificates follow from them."""
        w = self.world

        def text(term: Term) -> str:
            return str(model.eval(term, model_completion=True))

        def votes(relation: z3.FuncDeclRef, *kinds: str) -> list[tuple[Term, ...]]:
            rows = itertools.product(*(self.domains[kind] for kind in kinds))
            return [row for row in rows if z3.is_true(model.eval(relation(*row), model_completion=True))]

        blocks = {
            text(b): Block(
                parent=text(w.parent(b)),
                view=int(text(w.view_of(b))),
                parent_view=int(text(w.parent_view(b))),
                sealing=text(w.sealing(b)) == "True",
                result=text(w.result_of(b)),
            )
            for b in self.domains["block"]
        }
        return History(
            stakes=STAKES,
            byzantine=self.setting.byzantine,
            quorum=self.setting.quorum,
            blocks=blocks,
            notarize=frozenset(
                (text(n), v.as_long(), text(b)) for n, v, b in votes(w.notarize, "node", "view", "block")
            ),
            nullify=frozenset((text(n), v.as_long()) for n, v in votes(w.nullify, "node", "view")),
            finalize=frozenset(
                (text(n), v.as_long(), text(b), text(r))
                for n, v, b, r in votes(w.finalize, "node", "view", "block", "result")
            ),
        )


# Patterns: what goes wrong.


def fork(rules: Rules) -> Formula:
    """Two final blocks of which neither descends from the other: SAFETY fails."""
    w = rules.world
    return w.exists(
        "view block result view block result",
        lambda u, a, r, v, b, s: z3.And(
            w.finalized(u, a, r), w.finalized(v, b, s), z3.Not(w.ancestor(a, b)), z3.Not(w.ancestor(b, a))
        ),
    )


def epoch_overrun(rules: Rules) -> Formula:
    """A final sealing block and a final block built on it: EPOCH fails."""
    w = rules.world
    return w.exists(
        "view block result view block result",
        lambda u, a, r, v, b, s: z3.And(
            w.finalized(u, a, r), w.finalized(v, b, s), w.sealing(a), w.ancestor(a, b), a != b
        ),
    )


def two_results(rules: Rules) -> Formula:
    """One block finalized with two results: RESULT fails."""
    w = rules.world
    return w.exists(
        "view view block result result",
        lambda u, v, a, r, s: z3.And(w.finalized(u, a, r), w.finalized(v, a, s), r != s),
    )


def two_notarized_blocks_in_a_view(rules: Rules) -> Formula:
    """One view notarizes two blocks: L1 fails."""
    w = rules.world
    return w.exists("view block block", lambda v, a, b: z3.And(w.notarized(v, a), w.notarized(v, b), a != b))


def final_view_is_nullified(rules: Rules) -> Formula:
    """One view is both final and nullified: L3 fails."""
    w = rules.world
    return w.exists("view block result", lambda v, a, r: z3.And(w.finalized(v, a, r), w.nullified(v)))


def two_results_in_one_view(rules: Rules) -> Formula:
    """One view finalizes one block with two results: RESULT-IN-VIEW fails."""
    w = rules.world
    return w.exists(
        "view block result result", lambda v, a, r, s: z3.And(w.finalized(v, a, r), w.finalized(v, a, s), r != s)
    )


# Patterns: what a healthy run shows. If one of them were impossible, the rules would forbid progress or contradict
# themselves, and the proof would be about nothing.


def two_final_blocks(rules: Rules) -> Formula:
    """Two blocks become final, one on the other."""
    w = rules.world
    return w.exists(
        "view block result view block result",
        lambda u, a, r, v, b, s: z3.And(
            w.finalized(u, a, r), w.finalized(v, b, s), w.ancestor(a, b), a != b, a != w.root
        ),
    )


def nullified_view_between_final_ones(rules: Rules) -> Formula:
    """A leader fails between two final blocks."""
    w = rules.world
    return w.exists(
        "view block result view block result view",
        lambda u, a, r, v, b, s, x: z3.And(
            w.finalized(u, a, r), w.finalized(v, b, s), a != b, u < x, x < v, w.nullified(x)
        ),
    )


def view_notarized_and_nullified(rules: Rules) -> Formula:
    """One part of the network saw a notarization, another gave up on the view, and later a block is final."""
    w = rules.world
    return w.exists(
        "view block view block result",
        lambda x, a, v, b, r: z3.And(w.notarized(x, a), w.nullified(x), x > 0, w.finalized(v, b, r)),
    )


def notarized_block_is_abandoned(rules: Rules) -> Formula:
    """A notarized block loses against a final one: a notarization alone is no promise."""
    w = rules.world
    return w.exists(
        "view block view block result",
        lambda x, a, v, b, r: z3.And(w.notarized(x, a), w.finalized(v, b, r), v > x, z3.Not(w.ancestor(a, b))),
    )


def sealing_block_finalized_twice(rules: Rules) -> Formula:
    """A sealing block is proposed again, and both views finalize it."""
    w = rules.world
    return w.exists(
        "view view block result",
        lambda u, v, a, r: z3.And(w.finalized(u, a, r), w.finalized(v, a, r), u < v, w.sealing(a)),
    )


def chain_of_three_final_at_both_ends(rules: Rules) -> Formula:
    """The first and the last of three blocks are final by certificates of their own, the one between only as an ancestor."""
    w = rules.world
    return w.exists(
        "block block block result result",
        lambda a, b, c, r, s: z3.And(
            w.parent(c) == b,
            w.parent(b) == a,
            a != w.root,
            w.finalized(z3.IntVal(1), a, r),
            w.notarized(z3.IntVal(2), b),
            w.finalized(z3.IntVal(3), c, s),
        ),
    )
