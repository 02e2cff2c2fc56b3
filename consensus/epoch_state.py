"""The views and blocks above the final one within the current epoch, and the questions that the rules ask of them.

Invariants:
- View 0 stands for the epoch's root, which counts as notarised and final there.
- No view below the final one is kept, and of blocks only the final one and those above it.
"""

from __future__ import annotations

from typing import Final

from consensus.messages import CERTIFICATES_IN_ANSWER_MAX, NULLIFICATIONS_IN_PROPOSAL_MAX
from consensus.view_state import BlockState, ViewState
from consensus.vote_tally import VerifyVote, VoteTally
from state.block import BlockReference, EpochStart, Header, Tip
from state.certificates import Certificate
from state.validators import ValidatorSet
from state.votes import VoteKind

VIEWS_AHEAD_MAX: Final = 32
"""Votes and proposals further ahead of the current view are dropped; certificates of any view are taken."""
ANCESTORS_MAX: Final = 64
"""How far above the final block ancestors are fetched one by one; a node further behind syncs runs of blocks."""


class EpochState:
    """One epoch as one node sees it."""

    def __init__(self, tip: Tip, own_key: bytes | None, verify: VerifyVote) -> None:
        """Start from a final block, with nothing above it."""
        self.start: EpochStart = tip.epoch_start
        self.validators = ValidatorSet(tip.epoch_start.validators)
        self.own_index = self.validators.find_key(own_key)
        """Own place in the set, or None for a node that only follows."""
        self.tip: BlockReference = tip.block
        self.final_view = tip.view
        self._verify = verify
        self.views: dict[int, ViewState] = {}
        self.blocks: dict[bytes, BlockState] = {}
        self._restart_at(tip)

    def _restart_at(self, tip: Tip) -> None:
        final_block = BlockState(None)
        final_block.reference = tip.block
        final_block.next_validators = self.validators
        final_block.is_body_here = True
        final_block.is_valid = True
        self.blocks[tip.block.block_hash] = final_block
        view_state = self.view_state(tip.view)
        if tip.view > 0 and tip.certificate is not None:
            view_state.certificates[VoteKind.FINALIZE] = tip.certificate

    @property
    def number(self) -> int:
        """Number of the epoch."""
        return self.start.epoch

    def view_state(self, view: int) -> ViewState:
        """Return what is known of a view, at first nothing."""
        known = self.views.get(view)
        if known is None:
            known = ViewState(VoteTally(self.validators, self.leader_index(view), self._verify))
            self.views[view] = known
        return known

    def find_view(self, view: int) -> ViewState | None:
        """Return what is known of a view, or None if nothing is."""
        return self.views.get(view)

    def leader_index(self, view: int) -> int:
        """Return the index of the view's leader."""
        return self.validators.leader_index(self.start.root.height, view)

    def is_settled(self, view: int) -> bool:
        """Tell whether some certificate of the view is known."""
        known = self.views.get(view)
        return view <= self.final_view or (known is not None and bool(known.certificates))

    def block_hash_at(self, view: int) -> bytes | None:
        """Return the hash of the block that is notarised or final at a view, if that is known."""
        if view == self.final_view:
            return self.tip.block_hash
        known = self.views.get(view)
        certificate = None if known is None else known.block_certificate
        return None if certificate is None else certificate.block_hash

    def is_nullified(self, view: int) -> bool:
        """Tell whether the nullification of the view is known."""
        known = self.views.get(view)
        return known is not None and known.nullification is not None

    def find_parent_view(self, view: int) -> int | None:
        """Return the greatest view below with a block, if every view between is nullified; None if one of them is unsettled."""
        for earlier in range(view - 1, self.final_view - 1, -1):
            if self.block_hash_at(earlier) is not None:
                return earlier
            if not self.is_nullified(earlier):
                return None
        return None

    def first_gap(self, after_view: int, before_view: int) -> int | None:
        """Return the first view strictly between without a known nullification, or None."""
        for view in range(after_view + 1, before_view):
            if not self.is_nullified(view):
                return view
        return None

    def justification(self, parent_view: int, view: int) -> tuple[Certificate, ...]:
        """Return the certificates of the parent and of the newest nullified views between, for a proposal."""
        certificates: list[Certificate] = []
        parent = self.views.get(parent_view)
        if parent is not None and parent.block_certificate is not None:
            certificates.append(parent.block_certificate)
        for gap in range(max(parent_view + 1, view - NULLIFICATIONS_IN_PROPOSAL_MAX), view):
            nullification = self.view_state(gap).nullification
            if nullification is not None:
                certificates.append(nullification)
        return tuple(certificates)

    def certificates_from(self, first_view: int, last_view: int) -> list[Certificate]:
        """Return certificates that settle views in this range, the finalization of the final view first, bounded.

        Of a view that is notarised and nullified both are sent: a proposal may need either.
        """
        found: list[Certificate] = []
        for view in range(max(first_view, self.final_view), last_view + 1):
            known = self.views.get(view)
            if known is None:
                continue
            candidates = (
                (known.finalization,) if known.finalization is not None else (known.notarization, known.nullification)
            )
            found += [certificate for certificate in candidates if certificate is not None]
            if len(found) >= CERTIFICATES_IN_ANSWER_MAX:
                break
        return found[:CERTIFICATES_IN_ANSWER_MAX]

    def block_state(self, block_hash: bytes, header: Header | None) -> BlockState:
        """Return what is known of a block, and add its header if that was not."""
        known = self.blocks.get(block_hash)
        if known is None:
            known = BlockState(header)
            self.blocks[block_hash] = known
        elif known.header is None:
            known.header = header
        return known

    def find_executed(self, block_hash: bytes) -> BlockReference | None:
        """Return the block with its result, if it is executed here."""
        known = self.blocks.get(block_hash)
        return None if known is None else known.reference

    def is_sealing(self, block_hash: bytes) -> bool:
        """Tell whether an executed block, other than the epoch's root, changed the validator set and so ends the epoch."""
        if block_hash == self.start.root.block_hash:
            return False
        after = self.blocks[block_hash].next_validators
        assert after is not None, "asked of a block that is not executed"
        return after.set_hash != self.validators.set_hash

    def path_from_tip(self, block_hash: bytes) -> tuple[bytes, ...] | None:
        """Return the hashes of the blocks after the final one up to this one, or None if nothing known here connects the two."""
        path: list[bytes] = []
        while block_hash != self.tip.block_hash:
            path.append(block_hash)
            known = self.blocks.get(block_hash)
            if known is None or known.header is None or known.header.height <= self.tip.height:
                return None
            block_hash = known.header.parent_hash
        return tuple(reversed(path))

    def is_beside_tip(self, block_hash: bytes) -> bool:
        """Tell whether a block descends from another than the final one; False too where an ancestor is unknown here."""
        while block_hash != self.tip.block_hash:
            known = self.blocks.get(block_hash)
            if known is None or known.header is None:
                return False
            if known.header.height <= self.tip.height:
                return True
            block_hash = known.header.parent_hash
        return False

    def keep_views(self, other: EpochState) -> None:
        """Take over what another state of the same epoch knows of views above the final one; blocks have to be found again."""
        for view, known in other.views.items():
            if view > self.final_view:
                self.views[view] = known
                if known.proposal is not None:
                    self.block_state(known.proposal.vote.block_hash, known.proposal.header)

    def drop_superseded(self, finalization: Certificate) -> None:
        """Forget what lies below a finalization that is far ahead: this node syncs runs of blocks up to there.

        Otherwise it would gather every proposal and block that comes by until its sync is done. A block whose ancestors are all
        executed here, from the own log, becomes final without a sync.
        """
        block_state = self.blocks.get(finalization.block_hash)
        if block_state is None or block_state.header is None:
            return
        header = block_state.header
        is_near = header.height <= self.tip.height + ANCESTORS_MAX
        if is_near or block_state.is_executing or block_state.reference is not None:
            return
        self.views = {
            view: known for view, known in self.views.items() if view == self.final_view or view >= finalization.view
        }
        self.blocks = {
            block_hash: known
            for block_hash, known in self.blocks.items()
            if block_hash == self.tip.block_hash or known.header is None or known.header.height >= header.height
        }

    def advance(self, view: int, block_hash: bytes) -> None:
        """Make an executed block final at a view, and forget everything below it."""
        reference = self.blocks[block_hash].reference
        assert reference is not None, "only executed blocks become final"
        self.tip = reference
        self.final_view = view
        self.views = {known: state for known, state in self.views.items() if known >= view}
        named = {certificate.block_hash for state in self.views.values() for certificate in state.certificates.values()}
        kept = {block_hash: self.blocks[block_hash]}
        for known, state in sorted(self.blocks.items(), key=_height_in_order):
            header = state.header
            if header is None:
                is_wanted = known in named
            else:
                # What was executed on another branch is gone from the chain with its parent.
                is_alive = state.reference is None or header.parent_hash in kept
                is_wanted = header.height > reference.height and is_alive
            if is_wanted:
                kept[known] = state
        self.blocks = kept


def _height_in_order(item: tuple[bytes, BlockState]) -> tuple[int, bytes]:
    """Sort blocks after their parents; those of unknown height first."""
    block_hash, block_state = item
    return (-1 if block_state.header is None else block_state.header.height), block_hash
