"""From shares of stake to the two hypotheses of the safety proof, exactly, for any distribution of stake.

Two quorums P, Q and the set B of Byzantine validators cut the validators into eight regions (in P or not, in Q or not, in B
or not). A statement about the stake of intersections depends only on the stake of the regions, and any eight non-negative
integers are the regions of some validator set. So linear arithmetic over eight integers decides such a statement for all
validator sets at once.

Source: PROTOCOL, "power(signers) * 3 > total * 2".
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import z3

from tests.proof.world import Formula, Term


@dataclass(frozen=True)
class Share:
    """A fraction of the total stake."""

    numerator: int
    denominator: int


QUORUM = Share(2, 3)
"""A certificate needs strictly more than this share."""
THIRD = Share(1, 3)
"""Below this share of Byzantine stake nothing forks."""


class Stake:
    """The stake of two quorums and of the Byzantine validators, as sums over the eight regions."""

    def __init__(self) -> None:
        self.regions = {
            place: z3.Int(
                "stake_" + "".join(letter if inside else "-" for letter, inside in zip("PQB", place, strict=True))
            )
            for place in itertools.product((False, True), repeat=3)
        }
        self.total = self.of()

    def of(self, *, in_p: bool | None = None, in_q: bool | None = None, byzantine: bool | None = None) -> Term:
        """Add up the regions that match; None matches both."""
        wanted = (in_p, in_q, byzantine)
        return z3.Sum(
            [
                amount
                for place, amount in self.regions.items()
                if all(want is None or want == inside for want, inside in zip(wanted, place, strict=True))
            ]
        )

    def possible(self) -> list[Formula]:
        """Return: no region is negative and there is some stake."""
        return [*(amount >= 0 for amount in self.regions.values()), self.total > 0]

    def above(self, amount: Term, share: Share) -> Formula:
        """Say that an amount is strictly more than a share of the total."""
        return amount * share.denominator > self.total * share.numerator

    def below(self, amount: Term, share: Share) -> Formula:
        """Say that an amount is strictly less than a share of the total."""
        return amount * share.denominator < self.total * share.numerator

    def two_quorums(self, quorum: Share = QUORUM) -> list[Formula]:
        """Return: P and Q are both quorums."""
        return [self.above(self.of(in_p=True), quorum), self.above(self.of(in_q=True), quorum)]


def two_quorums_share_more_than_a_third(stake: Stake, quorum: Share = QUORUM) -> list[Formula]:
    """Return the denial of: the intersection of two quorums holds more than a third of the stake."""
    return [*stake.possible(), *stake.two_quorums(quorum), z3.Not(stake.above(stake.of(in_p=True, in_q=True), THIRD))]


def below_a_third_two_quorums_share_an_honest_member(stake: Stake, quorum: Share = QUORUM) -> list[Formula]:
    """Return the denial of: if B is below a third, two quorums share stake outside B. This gives I."""
    return [
        *stake.possible(),
        *stake.two_quorums(quorum),
        stake.below(stake.of(byzantine=True), THIRD),
        stake.of(in_p=True, in_q=True, byzantine=False) == 0,
    ]


def below_two_thirds_every_quorum_has_an_honest_member(stake: Stake, quorum: Share = QUORUM) -> list[Formula]:
    """Return the denial of: if B is below two thirds, a quorum has stake outside B. This gives H."""
    return [
        *stake.possible(),
        stake.above(stake.of(in_p=True), quorum),
        stake.below(stake.of(byzantine=True), QUORUM),
        stake.of(in_p=True, byzantine=False) == 0,
    ]


def honest_third_blocks_a_quorum(stake: Stake, quorum: Share = QUORUM) -> list[Formula]:
    """Return the denial of: if B is below a third, B is no quorum, and all the others together are one."""
    byzantine = stake.of(byzantine=True)
    return [
        *stake.possible(),
        stake.below(byzantine, THIRD),
        z3.Or(stake.above(byzantine, quorum), z3.Not(stake.above(stake.of(byzantine=False), quorum))),
    ]


STAKE_LAWS = {
    law.__name__: law
    for law in (
        two_quorums_share_more_than_a_third,
        below_a_third_two_quorums_share_an_honest_member,
        below_two_thirds_every_quorum_has_an_honest_member,
        honest_third_blocks_a_quorum,
    )
}
"""Each entry states a denial: z3 must find it unsatisfiable."""


def counterexample(denial: list[Formula]) -> z3.ModelRef | None:
    """Return stakes for which a law fails, or None if it holds for all."""
    solver = z3.Solver()
    solver.add(*denial)
    verdict = solver.check()
    assert verdict != z3.unknown, "linear arithmetic is decidable"
    return solver.model() if verdict == z3.sat else None
