"""Safety for any number of validators, any stake and any number of views: one function per lemma.

The lemmas rest on two hypotheses, which `stake.py` derives from the share of Byzantine stake:

* `quorums_hold_an_honest_member` (H): every quorum that signed a certificate has an honest member. True below 2/3.
* `nobody_is_convicted` (I): there are no two certificates whose whole intersection signed conflicting pairs. True below
  1/3, where any two quorums share an honest, hence innocent, validator.

Read forwards they give safety: below 1/3 no fork exists. Read backwards they give accountability without one more line:
below 2/3 only H is left, so if a fork does exist then I is false, that is, two certificates exist whose whole intersection
(more than 1/3 of the stake, `stake.py`) signed conflicting pairs, and the two certificates are the evidence.

The argument, in the order of the functions: a view notarizes one block (L1); final implies notarized (L2); a final view
is never nullified (L3); so final and notarized in one view are the same block (SAME-VIEW) and, by induction over views,
whatever is notarized later descends from what is final (T1), and two final blocks lie on one chain (SAFETY). Nothing
notarized is built on a sealing block (T2), so a final sealing block is the last of its epoch (EPOCH). Heights rise along
the chain (H1), so a height has one final block (AGREEMENT).

A lemma may use an earlier one only by naming it in `uses`; T1, T2 and H1 take their induction hypothesis as an assumption.

Source: PROTOCOL, "Safety in five lines" and "What differs from the published protocol".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import z3

from tests.proof.rules import Rules
from tests.proof.world import Formula

TIMEOUT_MS = 20_000
"""Longest time for one lemma; all of them together take about a second."""


Hypothesis = Callable[[Rules], list[Formula]]


@dataclass(frozen=True)
class Lemma:
    """What is to be shown (`goal`), for arbitrary constants that satisfy `given`.

    `law` says the same with quantifiers, for the later lemmas that name this one in `uses`. Each lemma argues from the
    hypotheses in `rests_on` and from no others, or from heights alone: a lemma from fewer facts is stronger, and z3 does
    not wander off.
    """

    law: Formula
    given: list[Formula]
    goal: Formula
    uses: tuple[str, ...] = ()
    rests_on: tuple[Hypothesis, ...] = ()
    about_heights: bool = False


def quorums_hold_an_honest_member(rules: Rules) -> list[Formula]:
    """H: every quorum that signed a certificate has a member that obeyed R3 and R5, and what these demand."""
    w = rules.world
    member = w.forall(
        "quorum",
        lambda q: z3.Implies(w.issued(q), w.exists("node", lambda n: z3.And(w.member(n, q), w.honest(n)))),
    )
    return [member, rules.notarize_rule(), rules.finalize_rule()]


def nobody_is_convicted(rules: Rules) -> list[Formula]:
    """I: any two quorums that signed certificates share an innocent member, and what innocence is."""
    w = rules.world
    shared = w.forall(
        "quorum quorum",
        lambda p, q: z3.Implies(
            z3.And(w.issued(p), w.issued(q)),
            w.exists("node", lambda n: z3.And(w.member(n, p), w.member(n, q), w.innocent(n))),
        ),
    )
    return [shared, rules.definition_of_innocence()]


def l1_one_notarized_block_per_view(rules: Rules) -> Lemma:
    """L1: two notarizations of one view are for one block."""
    w = rules.world
    v, a, b = w.constant("view", "v"), w.constant("block", "a"), w.constant("block", "b")
    return Lemma(
        law=w.forall(
            "view block block", lambda x, c, d: z3.Implies(z3.And(w.notarized(x, c), w.notarized(x, d)), c == d)
        ),
        given=[w.notarized(v, a), w.notarized(v, b)],
        goal=a == b,
        rests_on=(nobody_is_convicted,),
    )


def l2_final_implies_notarized(rules: Rules) -> Lemma:
    """L2: a finalized block is notarized in the same view."""
    w = rules.world
    v, a, r = w.constant("view", "v"), w.constant("block", "a"), w.constant("result", "r")
    return Lemma(
        law=w.forall("view block result", lambda x, c, s: z3.Implies(w.finalized(x, c, s), w.notarized(x, c))),
        given=[w.finalized(v, a, r)],
        goal=w.notarized(v, a),
        rests_on=(quorums_hold_an_honest_member,),
    )


def l3_final_view_is_never_nullified(rules: Rules) -> Lemma:
    """L3: no view has a finalization and a nullification."""
    w = rules.world
    v, a, r = w.constant("view", "v"), w.constant("block", "a"), w.constant("result", "r")
    return Lemma(
        law=w.forall("view block result", lambda x, c, s: z3.Implies(w.finalized(x, c, s), z3.Not(w.nullified(x)))),
        given=[w.finalized(v, a, r)],
        goal=z3.Not(w.nullified(v)),
        rests_on=(nobody_is_convicted,),
    )


def final_and_notarized_in_one_view_agree(rules: Rules) -> Lemma:
    """SAME-VIEW: what is final and what is notarized in one view is one block.

    Two guards give this, each without the other: one notarize vote per view (with L2), and finalize only what was
    notarized by oneself. `test_counterexamples.py` shows that losing both is a fork.
    """
    w = rules.world
    v, a, b, r = w.constant("view", "v"), w.constant("block", "a"), w.constant("block", "b"), w.constant("result", "r")
    return Lemma(
        law=w.forall(
            "view block block result",
            lambda x, c, d, s: z3.Implies(z3.And(w.finalized(x, c, s), w.notarized(x, d)), c == d),
        ),
        given=[w.finalized(v, a, r), w.notarized(v, b)],
        goal=a == b,
        uses=("L2",),
        rests_on=(nobody_is_convicted,),
    )


def t1_later_notarized_descends_from_final(rules: Rules) -> Lemma:
    """T1: a block final at v is an ancestor of each block notarized at or after v (strong induction over the later view)."""
    w = rules.world
    v, a, r = w.constant("view", "v"), w.constant("block", "a"), w.constant("result", "r")
    later, b = w.constant("view", "later"), w.constant("block", "b")
    hypothesis = w.forall(
        "view block",
        lambda x, c: z3.Implies(z3.And(v <= x, x < later, w.notarized(x, c)), w.ancestor(a, c)),
    )
    return Lemma(
        law=w.forall(
            "view block result view block",
            lambda x, c, s, y, d: z3.Implies(z3.And(w.finalized(x, c, s), w.notarized(y, d), y >= x), w.ancestor(c, d)),
        ),
        given=[w.finalized(v, a, r), w.notarized(later, b), later >= v, hypothesis],
        goal=w.ancestor(a, b),
        uses=("L2", "L3", "SAME-VIEW"),
        rests_on=(quorums_hold_an_honest_member,),
    )


def safety_final_blocks_lie_on_one_chain(rules: Rules) -> Lemma:
    """SAFETY: of two final blocks one is an ancestor of the other."""
    w = rules.world
    u, a, r = w.constant("view", "u"), w.constant("block", "a"), w.constant("result", "r")
    v, b, s = w.constant("view", "v"), w.constant("block", "b"), w.constant("result", "s")
    return Lemma(
        law=w.forall(
            "view block result view block result",
            lambda x, c, p, y, d, q: z3.Implies(
                z3.And(w.finalized(x, c, p), w.finalized(y, d, q)), z3.Or(w.ancestor(c, d), w.ancestor(d, c))
            ),
        ),
        given=[w.finalized(u, a, r), w.finalized(v, b, s)],
        goal=z3.Or(w.ancestor(a, b), w.ancestor(b, a)),
        uses=("L2", "T1"),
    )


def t2_nothing_notarized_is_built_on_a_sealing_block(rules: Rules) -> Lemma:
    """T2: no proper ancestor of a notarized block is sealing (strong induction over the view)."""
    w = rules.world
    v, a, b = w.constant("view", "v"), w.constant("block", "a"), w.constant("block", "b")

    def law_at(x: z3.ExprRef, c: z3.ExprRef, d: z3.ExprRef) -> Formula:
        return z3.Implies(z3.And(w.notarized(x, d), w.ancestor(c, d), c != d), z3.Not(w.sealing(c)))

    return Lemma(
        law=w.forall("view block block", law_at),
        given=[
            w.notarized(v, b),
            w.ancestor(a, b),
            a != b,
            w.forall("view block block", lambda x, c, d: z3.Implies(x < v, law_at(x, c, d))),
        ],
        goal=z3.Not(w.sealing(a)),
        uses=("L2",),
        rests_on=(quorums_hold_an_honest_member,),
    )


def epoch_ends_with_its_sealing_block(rules: Rules) -> Lemma:
    """EPOCH: a final sealing block is the last final block of its epoch, so the next epoch has one root."""
    w = rules.world
    u, a, r = w.constant("view", "u"), w.constant("block", "a"), w.constant("result", "r")
    v, b, s = w.constant("view", "v"), w.constant("block", "b"), w.constant("result", "s")
    return Lemma(
        law=w.forall(
            "view block result view block result",
            lambda x, c, p, y, d, q: z3.Implies(
                z3.And(w.finalized(x, c, p), w.finalized(y, d, q), w.sealing(c), w.ancestor(c, d)), c == d
            ),
        ),
        given=[w.finalized(u, a, r), w.finalized(v, b, s), w.sealing(a), w.ancestor(a, b)],
        goal=a == b,
        uses=("L2", "T2"),
    )


def h1_height_rises_along_the_chain(rules: Rules) -> Lemma:
    """H1: a proper ancestor is lower than its descendant (strong induction over the descendant's height)."""
    w = rules.world
    a, b = w.constant("block", "a"), w.constant("block", "b")

    def law_at(c: z3.ExprRef, d: z3.ExprRef) -> Formula:
        return z3.Implies(z3.And(w.ancestor(c, d), c != d), w.height(c) < w.height(d))

    return Lemma(
        law=w.forall("block block", law_at),
        given=[
            w.ancestor(a, b),
            a != b,
            w.forall("block block", lambda c, d: z3.Implies(w.height(d) < w.height(b), law_at(c, d))),
        ],
        goal=w.height(a) < w.height(b),
        about_heights=True,
    )


def agreement_one_final_block_per_height(rules: Rules) -> Lemma:
    """AGREEMENT: two final blocks of one height are the same block."""
    w = rules.world
    u, a, r = w.constant("view", "u"), w.constant("block", "a"), w.constant("result", "r")
    v, b, s = w.constant("view", "v"), w.constant("block", "b"), w.constant("result", "s")
    return Lemma(
        law=w.forall(
            "view block result view block result",
            lambda x, c, p, y, d, q: z3.Implies(
                z3.And(w.finalized(x, c, p), w.finalized(y, d, q), w.height(c) == w.height(d)), c == d
            ),
        ),
        given=[w.finalized(u, a, r), w.finalized(v, b, s), w.height(a) == w.height(b)],
        goal=a == b,
        uses=("SAFETY", "H1"),
    )


def result_of_a_final_block_is_certified_once(rules: Rules) -> Lemma:
    """RESULT: all finalizations of a block, in whatever view, state the one result that execution gives."""
    w = rules.world
    v, a, r = w.constant("view", "v"), w.constant("block", "a"), w.constant("result", "r")
    return Lemma(
        law=w.forall("view block result", lambda x, c, s: z3.Implies(w.finalized(x, c, s), s == w.result_of(c))),
        given=[w.finalized(v, a, r)],
        goal=r == w.result_of(a),
        rests_on=(quorums_hold_an_honest_member,),
    )


def one_result_per_view_even_if_execution_diverges(rules: Rules) -> Lemma:
    """RESULT-IN-VIEW: a view finalizes one block with one result, even if honest nodes compute different results."""
    w = rules.world
    v, a, b = w.constant("view", "v"), w.constant("block", "a"), w.constant("block", "b")
    r, s = w.constant("result", "r"), w.constant("result", "s")
    return Lemma(
        law=w.forall(
            "view block block result result",
            lambda x, c, d, p, q: z3.Implies(
                z3.And(w.finalized(x, c, p), w.finalized(x, d, q)), z3.And(c == d, p == q)
            ),
        ),
        given=[w.finalized(v, a, r), w.finalized(v, b, s)],
        goal=z3.And(a == b, r == s),
        rests_on=(nobody_is_convicted,),
    )


LEMMAS: dict[str, Callable[[Rules], Lemma]] = {
    "L1": l1_one_notarized_block_per_view,
    "L2": l2_final_implies_notarized,
    "L3": l3_final_view_is_never_nullified,
    "SAME-VIEW": final_and_notarized_in_one_view_agree,
    "T1": t1_later_notarized_descends_from_final,
    "SAFETY": safety_final_blocks_lie_on_one_chain,
    "T2": t2_nothing_notarized_is_built_on_a_sealing_block,
    "EPOCH": epoch_ends_with_its_sealing_block,
    "H1": h1_height_rises_along_the_chain,
    "AGREEMENT": agreement_one_final_block_per_height,
    "RESULT": result_of_a_final_block_is_certified_once,
    "RESULT-IN-VIEW": one_result_per_view_even_if_execution_diverges,
}
"""In the order of the argument: a lemma uses only those above it."""


def prove(rules: Rules, name: str) -> z3.CheckSatResult:
    """Ask z3 for a counterexample to a lemma; `unsat` means that there is none, so the lemma holds."""
    lemma = LEMMAS[name](rules)
    solver = z3.Solver()
    solver.set("timeout", TIMEOUT_MS)
    solver.add(*rules.chain(), *(rules.heights() if lemma.about_heights else rules.certificates()))
    for hypothesis in lemma.rests_on:
        solver.add(*hypothesis(rules))
    solver.add(*(LEMMAS[used](rules).law for used in lemma.uses), *lemma.given, z3.Not(lemma.goal))
    return solver.check()
