"""Counting the votes of one view: lazy verification, quorums, conflicting pairs.

Invariants:
- Only verified votes count, and only they occupy a validator's place.
- Unverified votes are bounded per sending peer and choice, so nobody can fill another's place with junk.
- A signature is verified when it could complete a quorum or a third of nullify power, when it is the first or the leader's own
  nullify, or when it conflicts with another vote of its validator; otherwise never.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from state.validators import ValidatorSet
from state.votes import Vote, VoteKind, are_conflicting

VerifyVote = Callable[[Vote], bool]
VOTES_PER_VALIDATOR_MAX: Final = 4
"""One of each kind and one that conflicts, which is all that a conviction needs."""

Choice = tuple[VoteKind, bytes, bytes]
"""What a vote is for within its view: kind, block hash, result."""

NULLIFY_CHOICE: Final[Choice] = (VoteKind.NULLIFY, b"", b"")
Sender = tuple[str, int]
"""A peer, and the index of the validator whose vote it sent."""


class Outcome(NamedTuple):
    """What taking votes led to."""

    conflicts: tuple[tuple[Vote, Vote], ...]
    """Pairs of verified votes that convict their signer."""
    liars: tuple[str, ...]
    """Peers that sent a vote whose signature is wrong."""
    has_counted: bool
    """More votes count than before."""


NOTHING: Final = Outcome((), (), has_counted=False)


def _join(first: Outcome, second: Outcome) -> Outcome:
    """Return what two steps led to."""
    return Outcome(
        first.conflicts + second.conflicts, first.liars + second.liars, first.has_counted or second.has_counted
    )


def choice_of(vote: Vote) -> Choice:
    """Return what the vote is for."""
    return vote.kind, vote.block_hash, vote.result


class VoteTally:
    """The votes of one (epoch, view)."""

    __slots__ = ("_by_validator", "_leader", "_pending", "_power", "_validators", "_verified", "_verify", "_waiting")

    def __init__(self, validators: ValidatorSet, leader: int, verify: VerifyVote) -> None:
        """Start without votes; leader is the index whose nullify vote is acted on at once."""
        self._validators = validators
        self._leader = leader
        self._verify = verify
        self._verified: dict[Choice, dict[int, Vote]] = {}
        self._power: dict[Choice, int] = {}
        self._by_validator: dict[int, list[Vote]] = {}
        self._pending: dict[Choice, dict[Sender, Vote]] = {}
        self._waiting: dict[int, dict[tuple[str, Choice], Vote]] = {}
        """The same votes, by the validator whose they claim to be."""

    def votes_for(self, choice: Choice) -> dict[int, Vote]:
        """Return the verified votes for a choice, by validator."""
        return self._verified.get(choice, {})

    def choices(self, kind: VoteKind) -> list[Choice]:
        """Return what verified votes of this kind are for, in a fixed order."""
        return sorted(choice for choice in self._verified if choice[0] is kind)

    def power_of(self, choice: Choice) -> int:
        """Return the verified power behind a choice."""
        return self._power.get(choice, 0)

    def has_nullify(self) -> bool:
        """Tell whether any nullify vote is known; the first one is verified at once, so that junk wakes nobody."""
        return NULLIFY_CHOICE in self._verified

    def add_verified(self, votes: Iterable[Vote]) -> Outcome:
        """Count votes whose signatures were verified elsewhere: own ones, and those inside certificates.

        With them, votes that wait may have become enough for a quorum, or contradictions: nothing else may come to have them
        verified.
        """
        outcome = Outcome((), (), has_counted=True)
        for vote in votes:
            outcome = _join(outcome, Outcome(tuple(self._count(vote)), (), has_counted=True))
            outcome = _join(outcome, self._settle(self._waiting_rivals(vote)))
            outcome = _join(outcome, self._settle_urgent(vote))
        return outcome

    def offer(self, vote: Vote, peer: str) -> Outcome:
        """Take a vote from a peer, and verify what has become worth it."""
        choice = choice_of(vote)
        is_known = vote.validator in self.votes_for(choice)
        if is_known or len(self._by_validator.get(vote.validator, ())) >= VOTES_PER_VALIDATOR_MAX:
            return NOTHING
        sender = peer, vote.validator
        if sender in self._pending.get(choice, {}):
            return NOTHING
        rivals = self._rivals(vote)
        self._pending.setdefault(choice, {})[sender] = vote
        self._waiting.setdefault(vote.validator, {})[peer, choice] = vote
        outcome = NOTHING if rivals is None else self._settle([*rivals, (peer, vote)])
        return _join(outcome, self._settle_urgent(vote))

    def _settle_urgent(self, vote: Vote) -> Outcome:
        """Verify what waits for the choice of a vote that just came, if that can reach a threshold."""
        choice = choice_of(vote)
        pending = self._pending.get(choice)
        if not pending or not self._is_urgent(vote, choice):
            return NOTHING
        return self._settle([(slot[0], waiting) for slot, waiting in pending.items()])

    def _rivals(self, vote: Vote) -> list[tuple[str, Vote]] | None:
        """Return the unverified votes that conflict with this one; None if nothing does, verified or not."""
        waiting = self._waiting_rivals(vote)
        verified = self._by_validator.get(vote.validator, ())
        if waiting or any(are_conflicting(vote, other) for other in verified):
            return waiting
        return None

    def _waiting_rivals(self, vote: Vote) -> list[tuple[str, Vote]]:
        waiting = self._waiting.get(vote.validator, {})
        return [(peer, other) for (peer, _), other in waiting.items() if are_conflicting(vote, other)]

    def _is_urgent(self, vote: Vote, choice: Choice) -> bool:
        """Tell whether the votes for this choice, verified and not, reach a threshold that the verified ones do not."""
        validators, members = self._validators, self._validators.members
        verified, verified_power = self.votes_for(choice), self.power_of(choice)
        if validators.is_quorum(verified_power):
            return False
        hopeful = {sender[1] for sender in self._pending[choice]}
        possible_power = verified_power + sum(members[index].power for index in hopeful if index not in verified)
        if validators.is_quorum(possible_power):
            return True
        if vote.kind is not VoteKind.NULLIFY:
            return False
        is_third_new = validators.is_third(possible_power) and not validators.is_third(verified_power)
        return not verified or is_third_new or vote.validator == self._leader

    def _settle(self, votes: list[tuple[str, Vote]]) -> Outcome:
        """Verify these votes, count the good ones, name the senders of the others."""
        conflicts: list[tuple[Vote, Vote]] = []
        liars: list[str] = []
        for peer, vote in votes:
            choice = choice_of(vote)
            waiting = self._pending[choice]
            del waiting[peer, vote.validator]
            if not waiting:
                del self._pending[choice]
            del self._waiting[vote.validator][peer, choice]
            if vote.validator in self.votes_for(choice):
                continue
            if self._verify(vote):
                conflicts += self._count(vote)
            else:
                liars.append(peer)
        return Outcome(tuple(conflicts), tuple(liars), has_counted=len(liars) < len(votes))

    def _count(self, vote: Vote) -> list[tuple[Vote, Vote]]:
        """Add a verified vote; return the pairs in which it conflicts with earlier ones of its validator."""
        choice = choice_of(vote)
        earlier = self._by_validator.setdefault(vote.validator, [])
        if vote.validator in self.votes_for(choice) or len(earlier) >= VOTES_PER_VALIDATOR_MAX:
            return []
        conflicts = [(other, vote) for other in earlier if are_conflicting(other, vote)]
        earlier.append(vote)
        self._verified.setdefault(choice, {})[vote.validator] = vote
        self._power[choice] = self.power_of(choice) + self._validators.members[vote.validator].power
        return conflicts
