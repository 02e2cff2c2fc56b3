"""The words in which the vote rules are written for the theorem prover, over two universes.

One text of the rules (`rules.py`) serves two purposes. Over the *unbounded* universe validators, quorums, blocks and
execution results are uninterpreted sorts and views are integers: what z3 proves there holds for any number of validators,
any distribution of stake and any length of a run. Over a *finite* universe every quantifier is written out over a handful
of named values: what z3 finds there is a concrete run, which `history.py` recomputes without z3.

A world describes one epoch and a finished run: which votes were ever signed and which certificates ever existed. Time is
absent on purpose. Every rule for a vote in a view asks only for certificates of earlier views (R3) or for the notarization
of the same view (R5), so the votes can always be put in an order in which each was allowed when it was signed.

Source: PROTOCOL, objects and vote rules R3, R5, R6, R10.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import z3

Formula = z3.BoolRef
Term = z3.ExprRef


class World:
    """Sorts, relations and quantifiers of one universe."""

    def __init__(self, sorts: Mapping[str, z3.SortRef], domains: Mapping[str, Sequence[Term]] | None = None) -> None:
        self.sorts = dict(sorts)
        self.domains = domains
        node, quorum, block, result, view = (self.sorts[s] for s in ("node", "quorum", "block", "result", "view"))
        truth = z3.BoolSort()

        # Votes: who signed what.
        self.notarize = z3.Function("notarize", node, view, block, truth)
        self.nullify = z3.Function("nullify", node, view, truth)
        self.finalize = z3.Function("finalize", node, view, block, result, truth)

        # Certificates, each with the quorum that signed it.
        self.notarized = z3.Function("notarized", view, block, truth)
        self.nullified = z3.Function("nullified", view, truth)
        self.finalized = z3.Function("finalized", view, block, result, truth)
        self.notarizers = z3.Function("notarizers", view, block, quorum)
        self.nullifiers = z3.Function("nullifiers", view, quorum)
        self.finalizers = z3.Function("finalizers", view, block, result, quorum)
        self.member = z3.Function("member", node, quorum, truth)
        self.issued = z3.Function("issued", quorum, truth)

        self.honest = z3.Function("honest", node, truth)
        self.innocent = z3.Function("innocent", node, truth)

        # Blocks: what a header says and what execution says about it.
        self.parent = z3.Function("parent", block, block)
        self.view_of = z3.Function("view_of", block, view)
        self.parent_view = z3.Function("parent_view", block, view)
        self.height = z3.Function("height", block, z3.IntSort())
        self.sealing = z3.Function("sealing", block, truth)
        self.result_of = z3.Function("result_of", block, result)
        self.ancestor = z3.Function("ancestor", block, block, truth)
        self.reproposed_from = z3.Function("reproposed_from", node, view, block, view)
        self.root = domains["block"][0] if domains else z3.Const("root", block)

    def forall(self, sorts: str, body: Callable[..., Formula]) -> Formula:
        """Say that `body` holds for all values of the sorts, named in one string."""
        if self.domains is None:
            bound = self._fresh(sorts)
            return z3.ForAll(bound, body(*bound))
        return z3.And([body(*values) for values in self._tuples(sorts)])

    def exists(self, sorts: str, body: Callable[..., Formula]) -> Formula:
        """Say that `body` holds for some values of the sorts, named in one string."""
        if self.domains is None:
            bound = self._fresh(sorts)
            return z3.Exists(bound, body(*bound))
        return z3.Or([body(*values) for values in self._tuples(sorts)])

    def constant(self, sort: str, name: str) -> Term:
        """Return an arbitrary value of a sort, for the statement of a lemma."""
        return z3.Const(name, self.sorts[sort])

    def _fresh(self, sorts: str) -> list[Term]:
        return [z3.FreshConst(self.sorts[sort], sort) for sort in sorts.split()]

    def _tuples(self, sorts: str) -> itertools.product[tuple[Term, ...]]:
        assert self.domains is not None, "only a finite world can be listed"
        return itertools.product(*(self.domains[sort] for sort in sorts.split()))


def unbounded_world() -> World:
    """Return the universe with any number of validators, blocks and views."""
    names = {"node": "Node", "quorum": "Quorum", "block": "Block", "result": "Result"}
    sorts: dict[str, z3.SortRef] = {sort: z3.DeclareSort(name) for sort, name in names.items()}
    return World({**sorts, "view": z3.IntSort()})
