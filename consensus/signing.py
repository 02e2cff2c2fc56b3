"""The guard before the key: which votes one validator may sign in one view (guards W1 to W7, consensus spec 4.7).

| asked   | refused if, in the same (epoch, view)                    |
|---------|----------------------------------------------------------|
| N(h)    | X signed, or N(h') signed, or F(h', r) signed, h' != h   |
| X       | F signed                                                 |
| F(h, r) | X signed, or another F signed, or N(h') signed, h' != h  |
| any     | (epoch, view) at or below the floor                      |

The same question again gets the same vote. Everything signed since the floor comes back from the log at a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from state.votes import Vote, VoteKind, are_conflicting, vote_signing_bytes

Sign = Callable[[bytes], bytes]
"""Makes the 64-byte signature of a message: the only contact with the key."""


class VoteSigner:
    """Signs votes of one validator, never two that conflict."""

    def __init__(self, chain_id: bytes, sign: Sign | None, signed: Iterable[Vote], floor: tuple[int, int]) -> None:
        """Take up what was signed before; nothing is signed at or below the floor (epoch, view), or without sign."""
        self._chain_id = chain_id
        self._sign = sign
        self._floor = floor
        self._votes: dict[tuple[int, int], dict[VoteKind, Vote]] = {}
        for vote in signed:
            self._votes.setdefault((vote.epoch, vote.view), {})[vote.kind] = vote

    def find_vote(self, epoch: int, view: int, kind: VoteKind) -> Vote | None:
        """Return the vote of this kind that was signed in the view, if any."""
        return self._votes.get((epoch, view), {}).get(kind)

    def has_signed(self, epoch: int, view: int, kind: VoteKind) -> bool:
        """Tell whether a vote of this kind was signed in the view."""
        return self.find_vote(epoch, view, kind) is not None

    def is_at_or_below_floor(self, epoch: int, view: int) -> bool:
        """Tell whether own votes of a position may have been made and forgotten."""
        return (epoch, view) <= self._floor

    def may_sign(self, vote: Vote) -> bool:
        """Tell whether this unsigned vote conflicts with nothing signed and lies above the floor."""
        position = vote.epoch, vote.view
        if position <= self._floor:
            return False
        signed = self._votes.get(position, {})
        if vote.kind is VoteKind.NOTARIZE and VoteKind.NULLIFY in signed:
            return False
        return not any(are_conflicting(vote, other) for other in signed.values())

    def sign(
        self, kind: VoteKind, epoch: int, view: int, block_hash: bytes, result: bytes, validator: int
    ) -> Vote | None:
        """Return the signed vote, or None if the guard refuses it. The caller persists it before it shows it to anybody."""
        unsigned = Vote(
            kind=kind,
            epoch=epoch,
            view=view,
            block_hash=block_hash,
            result=result,
            validator=validator,
            signature=bytes(64),
        )
        earlier = self.find_vote(epoch, view, kind)
        if earlier is not None:
            return earlier if (earlier.block_hash, earlier.result) == (block_hash, result) else None
        if self._sign is None or not self.may_sign(unsigned):
            return None
        message = vote_signing_bytes(self._chain_id, kind, epoch, view, block_hash, result)
        vote = Vote(
            kind=kind,
            epoch=epoch,
            view=view,
            block_hash=block_hash,
            result=result,
            validator=validator,
            signature=self._sign(message),
        )
        self._votes.setdefault((epoch, view), {})[kind] = vote
        return vote

    def raise_floor(self, epoch: int, view: int) -> None:
        """Sign nothing new at or below (epoch, view), and forget what was signed below it."""
        self._floor = max(self._floor, (epoch, view))
        self._votes = {position: votes for position, votes in self._votes.items() if position >= self._floor}

    def signed_views(self, epoch: int) -> list[int]:
        """Return the views of the epoch in which anything is signed, ascending, from the floor on."""
        return sorted(view for signed_epoch, view in self._votes if signed_epoch == epoch)

    def votes_in(self, epoch: int, views: Iterable[int]) -> list[Vote]:
        """Return the own votes in these views, in their order, notarize before nullify before finalize."""
        return [
            votes[kind] for view in views for votes in [self._votes.get((epoch, view), {})] for kind in sorted(votes)
        ]
