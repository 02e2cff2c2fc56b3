"""The vote rules as formulas, each under its own name so that it can be taken away.

Two kinds of good behaviour are told apart, because accountability needs the difference:

* a validator is *innocent* if it signed no conflicting pair of votes in one view. That is what R10 convicts for, and what
  two signatures prove to anybody;
* a validator is *honest* if it also obeyed the rules that no signature pair can show: R3 on what may be notarized and
  R5 on when to finalize.

Source: PROTOCOL, R3 (parent, gap, sealing), R5, R10, and the refusals of the signer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import z3

from tests.proof.world import Formula, Term, World


class Rule(StrEnum):
    """Every rule that a mutant can drop."""

    ONE_NOTARIZE = "one notarize vote per view"
    """R10: never notarize(v, a) and notarize(v, b)."""
    NULLIFY_EXCLUDES_FINALIZE = "nullify and finalize exclude each other"
    """R10: never nullify(v) and finalize(v, a, r)."""
    ONE_FINALIZE = "one finalize vote per view"
    """R10: never finalize(v, a, r) and finalize(v, b, s)."""
    NOTARIZE_BINDS_FINALIZE = "finalize only what was notarized by oneself"
    """R10: never notarize(v, a) and finalize(v, b, r)."""
    PARENT_CERTIFIED = "the parent has a certificate at the parent view"
    """R3a."""
    GAP_NULLIFIED = "every view between parent and block is nullified"
    """R3b."""
    SEALING_HAS_NO_CHILD = "nothing is built on a sealing block"
    """R3d."""
    FINALIZE_NEEDS_NOTARIZATION = "finalize only a notarized block"
    """R5."""
    FINALIZE_CARRIES_RESULT = "finalize carries the result of execution"
    """R5."""


@dataclass(frozen=True)
class Rules:
    """The rules over one world, without those that a mutant dropped."""

    world: World
    dropped: frozenset[Rule] = frozenset()

    def everything(self) -> list[Formula]:
        """Return all that is true of a run."""
        conduct = [self.definition_of_innocence(), self.notarize_rule(), self.finalize_rule()]
        return [*self.certificates(), *self.chain(), *self.heights(), *conduct]

    # Conduct that signature pairs show.

    def definition_of_innocence(self) -> Formula:
        """R10: who is innocent signed no conflicting pair in any view."""
        w = self.world
        return w.forall("node", lambda n: w.innocent(n) == self.signed_no_conflicting_pair(n))

    def signed_no_conflicting_pair(self, node: Term) -> Formula:
        """Say that no two votes of a validator in one view are a pair of R10."""
        w = self.world
        pairs: dict[Rule, Callable[[], Formula]] = {
            Rule.ONE_NOTARIZE: lambda: w.forall(
                "view block block",
                lambda v, a, b: z3.Implies(z3.And(w.notarize(node, v, a), w.notarize(node, v, b)), a == b),
            ),
            Rule.NULLIFY_EXCLUDES_FINALIZE: lambda: w.forall(
                "view block result", lambda v, a, r: z3.Not(z3.And(w.nullify(node, v), w.finalize(node, v, a, r)))
            ),
            Rule.ONE_FINALIZE: lambda: w.forall(
                "view block block result result",
                lambda v, a, b, r, s: z3.Implies(
                    z3.And(w.finalize(node, v, a, r), w.finalize(node, v, b, s)), z3.And(a == b, r == s)
                ),
            ),
            Rule.NOTARIZE_BINDS_FINALIZE: lambda: w.forall(
                "view block block result",
                lambda v, a, b, r: z3.Implies(z3.And(w.notarize(node, v, a), w.finalize(node, v, b, r)), a == b),
            ),
        }
        return z3.And([pair() for rule, pair in pairs.items() if rule not in self.dropped])

    # Conduct that only the validator itself knows of.

    def notarize_rule(self) -> Formula:
        """R3: an honest notarize vote is for a new block on a certified parent, or for a sealing block again."""
        w = self.world

        def new_block(v: Term, b: Term) -> Formula:
            u = w.parent_view(b)
            return z3.And(
                b != w.root,
                w.view_of(b) == v,
                u >= 0,
                u < v,
                self._unless(Rule.PARENT_CERTIFIED, lambda: self.certified(u, w.parent(b))),
                self._unless(Rule.GAP_NULLIFIED, lambda: self.nullified_between(u, v)),
                self._unless(Rule.SEALING_HAS_NO_CHILD, lambda: z3.Not(w.sealing(w.parent(b)))),
            )

        def again(n: Term, v: Term, b: Term) -> Formula:
            u = w.reproposed_from(n, v, b)
            return z3.And(
                w.sealing(b),
                u > 0,
                u < v,
                self._unless(Rule.PARENT_CERTIFIED, lambda: self.certified(u, b)),
                self._unless(Rule.GAP_NULLIFIED, lambda: self.nullified_between(u, v)),
            )

        return w.forall(
            "node view block",
            lambda n, v, b: z3.Implies(
                z3.And(w.honest(n), w.notarize(n, v, b)), z3.And(v > 0, z3.Or(new_block(v, b), again(n, v, b)))
            ),
        )

    def finalize_rule(self) -> Formula:
        """R5: an honest finalize vote is for a notarized block, and states what execution gave."""
        w = self.world
        return w.forall(
            "node view block result",
            lambda n, v, b, r: z3.Implies(
                z3.And(w.honest(n), w.finalize(n, v, b, r)),
                z3.And(
                    v > 0,
                    self._unless(Rule.FINALIZE_NEEDS_NOTARIZATION, lambda: w.notarized(v, b)),
                    self._unless(Rule.FINALIZE_CARRIES_RESULT, lambda: r == w.result_of(b)),
                ),
            ),
        )

    def certified(self, view: Term, block: Term) -> Formula:
        """Say that a notarization or a finalization of the block exists at this view (R3a)."""
        w = self.world
        return z3.Or(w.notarized(view, block), w.exists("result", lambda r: w.finalized(view, block, r)))

    def nullified_between(self, low: Term, high: Term) -> Formula:
        """Say that every view strictly between the two has a nullification (R3b)."""
        w = self.world
        return w.forall("view", lambda x: z3.Implies(z3.And(low < x, x < high), w.nullified(x)))

    # What certificates and blocks are.

    def certificates(self) -> list[Formula]:
        """Return: a certificate exists only with the votes of a quorum; at view 0 the root counts as notarized."""
        w = self.world
        signed_by = {
            "notarization": w.forall(
                "view block node",
                lambda v, b, n: z3.Implies(
                    z3.And(w.notarized(v, b), v > 0, w.member(n, w.notarizers(v, b))), w.notarize(n, v, b)
                ),
            ),
            "nullification": w.forall(
                "view node",
                lambda v, n: z3.Implies(z3.And(w.nullified(v), w.member(n, w.nullifiers(v))), w.nullify(n, v)),
            ),
            "finalization": w.forall(
                "view block result node",
                lambda v, b, r, n: z3.Implies(
                    z3.And(w.finalized(v, b, r), w.member(n, w.finalizers(v, b, r))), w.finalize(n, v, b, r)
                ),
            ),
        }
        issued = [
            w.forall(
                "view block", lambda v, b: z3.Implies(z3.And(w.notarized(v, b), v > 0), w.issued(w.notarizers(v, b)))
            ),
            w.forall("view", lambda v: z3.Implies(w.nullified(v), w.issued(w.nullifiers(v)))),
            w.forall(
                "view block result", lambda v, b, r: z3.Implies(w.finalized(v, b, r), w.issued(w.finalizers(v, b, r)))
            ),
        ]
        views = [
            w.forall(
                "view block", lambda v, b: z3.Implies(w.notarized(v, b), z3.Or(v > 0, z3.And(v == 0, b == w.root)))
            ),
            w.notarized(z3.IntVal(0), w.root),
            w.forall("view", lambda v: z3.Implies(w.nullified(v), v > 0)),
            w.forall("view block result", lambda v, b, r: z3.Implies(w.finalized(v, b, r), v > 0)),
        ]
        return [*signed_by.values(), *issued, *views]

    def chain(self) -> list[Formula]:
        """Return: blocks form a tree below the root by parent hash, and `ancestor` is its order."""
        w = self.world
        return [
            w.parent(w.root) == w.root,
            z3.Not(w.sealing(w.root)),
            w.forall("block", lambda a: w.ancestor(a, a)),
            w.forall("block", lambda a: w.ancestor(w.parent(a), a)),
            w.forall("block", lambda a: z3.Implies(w.ancestor(a, w.root), a == w.root)),
            w.forall(
                "block block block",
                lambda a, b, c: z3.Implies(z3.And(w.ancestor(a, b), w.ancestor(b, c)), w.ancestor(a, c)),
            ),
            w.forall(
                "block block", lambda a, b: z3.Implies(z3.And(w.ancestor(a, b), a != b), w.ancestor(a, w.parent(b)))
            ),
        ]

    def heights(self) -> list[Formula]:
        """Return: a block is one higher than its parent (R3d), and nothing is lower than the root."""
        w = self.world
        return [
            w.height(w.root) == 0,
            w.forall("block", lambda a: w.height(a) >= 0),
            w.forall("block", lambda a: z3.Implies(a != w.root, w.height(a) == w.height(w.parent(a)) + 1)),
        ]

    def _unless(self, rule: Rule, requirement: Callable[[], Formula]) -> Formula:
        return z3.BoolVal(val=True) if rule in self.dropped else requirement()
