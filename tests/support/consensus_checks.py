"""What must hold in every run, recomputed from the bytes that nodes send and the blocks that they make final.

Names as in the consensus spec, section 5. The votes of Byzantine nodes count here too: agreement does not depend on who heard them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from consensus.effects import Halt, OwnKeyElsewhere, Punish, ReportEquivocation
from consensus.messages import CertificatesMessage, ConsensusMessage, Proposal, VoteMessage
from consensus.records import BlockRecord, NotarizationRecord, ProposalRecord, VoteRecord
from consensus.vote_tally import Choice, choice_of
from state.block import Block, BlockReference, hash_header
from state.certificates import CERTIFICATE_CODEC, Certificate, verify_certificate
from state.errors import VoteRejected
from state.validators import ValidatorSet
from state.votes import Vote, VoteKind, are_conflicting
from tests.support.consensus_toys import CHAIN_ID, verifier

if TYPE_CHECKING:
    from tests.support.consensus_harness import World
    from tests.support.consensus_node import Node


class Violation(AssertionError):
    """An invariant does not hold."""

    def __init__(self, law: str, text: str) -> None:
        """Name the law that is broken."""
        super().__init__(f"{law}: {text}")
        self.law = law


class Checks:
    """An observer of the whole network."""

    def __init__(self, world: World) -> None:
        """Watch a world."""
        self._world = world
        self.chain: dict[int, BlockReference] = {}
        """The block of each height that became final first anywhere."""
        self.views: dict[int, tuple[int, int]] = {}
        """(epoch, view) of the finalization by which a height became final first."""
        self.sets: dict[int, ValidatorSet] = {}
        self.certified: dict[tuple[int, int], set[Choice]] = {}
        """What has a quorum of votes on the wire, whether or not anybody collected them."""
        self.convicted: set[bytes] = set()
        """Addresses that evidence names."""
        self.reports: list[ReportEquivocation] = []
        self._signers: dict[tuple[int, int], dict[Choice, set[int]]] = {}
        self._signed: dict[tuple[str, int, int], list[Vote]] = {}
        self._position: dict[str, tuple[int, int, int]] = {}
        self.may_halt = False
        self.may_share_keys = False

    # what goes over the wire

    def on_wire(self, node: Node, message: ConsensusMessage) -> None:
        """Look at a message at the moment at which it leaves a node."""
        self._note_set(node)
        if isinstance(message, CertificatesMessage):
            for certificate in message.certificates:
                self._check_certificate(certificate)
            return
        if not isinstance(message, Proposal | VoteMessage):
            return
        vote = message.vote
        validators = self.sets.get(vote.epoch)
        assert validators is not None, "nobody votes in an epoch that no node has entered"
        if validators.members[vote.validator].address != node.address:
            return
        self._check_own_vote(node, vote, message)
        self._count(vote, validators)

    def _check_own_vote(self, node: Node, vote: Vote, message: ConsensusMessage) -> None:
        position = node.name, vote.epoch, vote.view
        earlier = self._signed.setdefault(position, [])
        if not node.is_honest or vote in earlier:
            return
        for other in earlier:
            if are_conflicting(vote, other) or {vote.kind, other.kind} == {VoteKind.NULLIFY, VoteKind.FINALIZE}:
                raise Violation("L1 signer", f"{node.name} signed {other} and {vote}")
        if vote.kind is VoteKind.NOTARIZE and any(other.kind is VoteKind.NULLIFY for other in earlier):
            raise Violation("L1 signer", f"{node.name} notarized a view that it had nullified: {vote}")
        earlier.append(vote)
        self._check_durable(node, vote)

    def _check_durable(self, node: Node, vote: Vote) -> None:
        """L2: before a vote leaves, it and what it rests on are durable; a vote at the final view needs no log."""
        tip = node.chain.tip
        if (vote.epoch, vote.view) <= (tip.epoch_start.epoch, tip.view):
            return
        records = node.log.durable
        if not any(isinstance(record, VoteRecord) and record.vote == vote for record in records):
            raise Violation("L2 log before wire", f"{node.name} sent {vote} that is not in its log")
        if vote.kind is VoteKind.NOTARIZE:
            named = [
                r for r in records if isinstance(r, ProposalRecord) and r.proposal.vote.block_hash == vote.block_hash
            ]
            bodies = [
                r for r in records if isinstance(r, BlockRecord) and hash_header(r.block.header) == vote.block_hash
            ]
            if not named or not bodies:
                raise Violation("L2 log before wire", f"{node.name} sent {vote} without proposal and block in its log")
        if vote.kind is VoteKind.FINALIZE and not any(
            isinstance(r, NotarizationRecord) and r.certificate.view == vote.view for r in records
        ):
            raise Violation("L2 log before wire", f"{node.name} sent {vote} without the notarization in its log")

    def _count(self, vote: Vote, validators: ValidatorSet) -> None:
        position, choice = (vote.epoch, vote.view), choice_of(vote)
        signers = self._signers.setdefault(position, {}).setdefault(choice, set())
        if vote.validator in signers:
            return
        signers.add(vote.validator)
        if validators.is_quorum(sum(validators.members[index].power for index in signers)):
            self._note_certified(position, choice)

    def _note_certified(self, position: tuple[int, int], choice: Choice) -> None:
        """G3: no view has two notarised blocks, nor a finalization and a nullification."""
        certified = self.certified.setdefault(position, set())
        for other in certified:
            kinds = {other[0], choice[0]}
            is_double = choice[0] is other[0] and choice != other
            if is_double or kinds == {VoteKind.NULLIFY, VoteKind.FINALIZE}:
                raise Violation("G3 exclusion", f"view {position} has quorums for {other} and {choice}")
        certified.add(choice)

    def _check_certificate(self, certificate: Certificate) -> None:
        """L5: every certificate that a node keeps or sends verifies from its bytes against the set of its epoch."""
        decoded = CERTIFICATE_CODEC.decode(CERTIFICATE_CODEC.encode(certificate))
        validators = self.sets[certificate.epoch]
        try:
            verify_certificate(CHAIN_ID, decoded, validators, certificate.epoch, verifier(self._world.is_real))
        except VoteRejected as rejected:
            raise Violation("L5 quorum", f"{certificate}: {rejected}") from rejected

    # what becomes final

    def on_final(
        self, node: Node, blocks: Sequence[Block], references: Sequence[BlockReference], certificate: Certificate
    ) -> None:
        """Compare newly final blocks with what is final elsewhere."""
        if not node.is_honest:
            return
        self._check_certificate(certificate)
        if certificate.result != references[-1].result:
            raise Violation("G5 result", f"{node.name} computed another result than {certificate}")
        before = node.chain.tip.block
        position = certificate.epoch, certificate.view
        for block, reference in zip(blocks, references, strict=True):
            header = block.header
            if (header.height, header.parent_hash) != (before.height + 1, before.block_hash):
                raise Violation("G2 chain", f"{node.name}: {header} does not follow {before}")
            if header.time_ms <= before.time_ms:
                raise Violation("G2 chain", f"{node.name}: {header} is not later than {before}")
            if header.parent_result != before.result:
                raise Violation("G5 result", f"{node.name}: {header} carries another result than {before}")
            known = self.chain.setdefault(header.height, reference)
            if known.block_hash != reference.block_hash:
                raise Violation("G1 agreement", f"{node.name} has {reference} where {known} is final")
            if known.result != reference.result:
                raise Violation("G5 result", f"{node.name} has {reference} where {known} is final")
            self.views.setdefault(header.height, position)
            before = reference

    # everything else

    def after_input(self, node: Node) -> None:
        """L4: positions never go back."""
        if not node.is_up:
            return
        self._note_set(node)
        state = node.running.node.state
        position = state.number, state.final_view, node.height
        if position < self._position.get(node.name, position):
            raise Violation("L4 monotone", f"{node.name} went from {self._position[node.name]} to {position}")
        self._position[node.name] = position

    def _note_set(self, node: Node) -> None:
        """G8: an epoch has the same validators everywhere."""
        state = node.running.node.state
        known = self.sets.setdefault(state.number, state.validators)
        if known.members != state.validators.members:
            raise Violation("G8 epoch", f"{node.name} has other validators in epoch {state.number}")

    def on_report(self, node: Node, effect: ReportEquivocation) -> None:
        """G7: evidence never names an honest validator, and convinces anybody."""
        if not are_conflicting(effect.first, effect.second):
            raise Violation("G7 accountability", f"{effect} proves nothing")
        if effect.validator in self._world.honest_addresses:
            raise Violation("G7 accountability", f"{node.name} accuses an honest validator: {effect}")
        self.convicted.add(effect.validator)
        self.reports.append(effect)

    def on_punish(self, node: Node, effect: Punish) -> None:
        """A correct peer is never punished."""
        if node.is_honest and effect.peer in self._world.nodes and self._world.nodes[effect.peer].is_honest:
            raise Violation("peers", f"{node.name} punishes the correct {effect.peer}: {effect.reason}")

    def on_own_key(self, node: Node, effect: OwnKeyElsewhere) -> None:
        """Only twins ever see their own key elsewhere."""
        if node.is_honest and not self.may_share_keys:
            raise Violation("own key", f"{node.name} believes that its key is used elsewhere: {effect.vote}")

    def on_halt(self, node: Node, effect: Halt) -> None:
        """An honest node stops only when agreement is broken, which a scenario has to expect."""
        if node.is_honest and not self.may_halt:
            raise Violation("halt", f"{node.name}: {effect.reason}")

    def check_ancestry(self) -> None:
        """G4: between the views of consecutive final blocks, no view had a finalization of anything else."""
        final_hashes = {reference.block_hash for reference in self.chain.values()}
        for (epoch, view), choices in self.certified.items():
            for kind, block_hash, _ in choices:
                if kind is VoteKind.FINALIZE and self.chain and block_hash not in final_hashes:
                    last = max(self.views.values())
                    if (epoch, view) < last:
                        raise Violation(
                            "G4 ancestry", f"{block_hash.hex()} of view {view} was finalized, but is not final"
                        )
        for low, high in pairwise(sorted(self.views)):
            if self.views[low] > self.views[high]:
                raise Violation("G4 ancestry", f"height {high} became final before {low}")
