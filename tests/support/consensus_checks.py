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
from consensus.vote_tally import NULLIFY_CHOICE, Choice, choice_of
from state.block import Block, BlockReference, Header, hash_header
from state.certificates import CERTIFICATE_CODEC, Certificate, certificate_votes, verify_certificate
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
        self._verified: set[bytes] = set()
        self._headers: dict[bytes, Header] = {}
        self._position: dict[str, tuple[int, int, int]] = {}
        self.tolerated: set[str] = set()
        """Laws that a scenario breaks on purpose; what breaks them is kept in `tolerated_violations`."""
        self.tolerated_violations: list[Violation] = []

    @property
    def headers(self) -> list[Header]:
        """The headers of all final blocks."""
        return list(self._headers.values())

    def _fail(self, law: str, text: str) -> None:
        violation = Violation(law, text)
        if law not in self.tolerated:
            raise violation
        self.tolerated_violations.append(violation)

    # what goes over the wire

    def on_wire(self, node: Node, message: ConsensusMessage) -> None:
        """Look at a message at the moment at which it leaves a node."""
        if node.is_up:
            self._note_set(node)
        if isinstance(message, CertificatesMessage):
            for certificate in message.certificates:
                self.check_certificate(node, certificate)
            return
        if isinstance(message, Proposal):
            for certificate in message.justify:
                self.check_certificate(node, certificate)
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
                self._fail("L1 signer", f"{node.name} signed {other} and {vote}")
        if vote.kind is VoteKind.NOTARIZE and any(other.kind is VoteKind.NULLIFY for other in earlier):
            self._fail("L1 signer", f"{node.name} notarized a view that it had nullified: {vote}")
        earlier.append(vote)
        self._check_durable(node, vote)

    def _check_durable(self, node: Node, vote: Vote) -> None:
        """L2: before a vote leaves, it and what it rests on are durable; a vote at the final view needs no log."""
        tip = node.chain.tip
        if (vote.epoch, vote.view) <= (tip.epoch_start.epoch, tip.view):
            return
        records = node.log.durable
        if not any(isinstance(record, VoteRecord) and record.vote == vote for record in records):
            self._fail("L2 log before wire", f"{node.name} sent {vote} that is not in its log")
        if vote.kind is VoteKind.NOTARIZE:
            named = [
                r for r in records if isinstance(r, ProposalRecord) and r.proposal.vote.block_hash == vote.block_hash
            ]
            bodies = [
                r for r in records if isinstance(r, BlockRecord) and hash_header(r.block.header) == vote.block_hash
            ]
            if not named or not bodies:
                self._fail("L2 log before wire", f"{node.name} sent {vote} without proposal and block in its log")
        if vote.kind is VoteKind.FINALIZE and not any(
            isinstance(r, NotarizationRecord) and r.certificate.view == vote.view for r in records
        ):
            self._fail("L2 log before wire", f"{node.name} sent {vote} without the notarization in its log")

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
                self._fail("G3 exclusion", f"view {position} has quorums for {other} and {choice}")
        certified.add(choice)

    def check_certificate(self, node: Node, certificate: Certificate) -> None:
        """L5: every certificate of an honest node verifies from its bytes against the set of its epoch; its votes count."""
        encoded = CERTIFICATE_CODEC.encode(certificate)
        if encoded in self._verified or not node.is_honest:
            return
        decoded = CERTIFICATE_CODEC.decode(encoded)
        validators = self.sets[certificate.epoch]
        try:
            verify_certificate(CHAIN_ID, decoded, validators, certificate.epoch, verifier(self._world.is_real))
        except VoteRejected as rejected:
            self._fail("L5 quorum", f"{node.name} relies on {certificate}: {rejected}")
            return
        self._verified.add(encoded)
        for vote in certificate_votes(certificate, validators):
            self._count(vote, validators)

    # what becomes final

    def on_final(
        self, node: Node, blocks: Sequence[Block], references: Sequence[BlockReference], certificate: Certificate
    ) -> None:
        """Compare newly final blocks with what is final elsewhere."""
        if not node.is_honest:
            return
        self.check_certificate(node, certificate)
        if certificate.result != references[-1].result:
            self._fail("G5 result", f"{node.name} computed another result than {certificate}")
        before = node.chain.tip.block
        position = certificate.epoch, certificate.view
        for block, reference in zip(blocks, references, strict=True):
            header = block.header
            if (header.height, header.parent_hash) != (before.height + 1, before.block_hash):
                self._fail("G2 chain", f"{node.name}: {header} does not follow {before}")
            if header.time_ms <= before.time_ms:
                self._fail("G2 chain", f"{node.name}: {header} is not later than {before}")
            if header.parent_result != before.result:
                self._fail("G5 result", f"{node.name}: {header} carries another result than {before}")
            known = self.chain.setdefault(header.height, reference)
            if known.block_hash != reference.block_hash:
                self._fail("G1 agreement", f"{node.name} has {reference} where {known} is final")
            if known.result != reference.result:
                self._fail("G5 result", f"{node.name} has {reference} where {known} is final")
            self.views.setdefault(header.height, position)
            self._headers[reference.block_hash] = header
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
            self._fail("L4 monotone", f"{node.name} went from {self._position[node.name]} to {position}")
        self._position[node.name] = position

    def _note_set(self, node: Node) -> None:
        """G8: an epoch has the same validators everywhere."""
        state = node.running.node.state
        known = self.sets.setdefault(state.number, state.validators)
        if known.members != state.validators.members:
            self._fail("G8 epoch", f"{node.name} has other validators in epoch {state.number}")

    def on_report(self, node: Node, effect: ReportEquivocation) -> None:
        """G7: evidence never names an honest validator, and convinces anybody."""
        if not are_conflicting(effect.first, effect.second):
            self._fail("G7 accountability", f"{effect} proves nothing")
        if effect.validator in self._world.honest_addresses:
            self._fail("G7 accountability", f"{node.name} accuses an honest validator: {effect}")
        self.convicted.add(effect.validator)
        self.reports.append(effect)

    def on_punish(self, node: Node, effect: Punish) -> None:
        """A correct peer is never punished."""
        if node.is_honest and effect.peer in self._world.nodes and self._world.nodes[effect.peer].is_honest:
            self._fail("peers", f"{node.name} punishes the correct {effect.peer}: {effect.reason}")

    def on_own_key(self, node: Node, effect: OwnKeyElsewhere) -> None:
        """Only twins ever see their own key elsewhere."""
        if node.is_honest:
            self._fail("own key", f"{node.name} believes that its key is used elsewhere: {effect.vote}")

    def on_halt(self, node: Node, effect: Halt) -> None:
        """An honest node stops only when agreement is broken, which a scenario has to expect."""
        if node.is_honest:
            self._fail("halt", f"{node.name}: {effect.reason}")

    def check_ancestry(self) -> None:
        """G4: the parent of a final block is notarised at its parent view, and every view between is nullified."""
        for header in self._headers.values():
            for view in range(max(1, header.parent_view), header.view):
                certified = self.certified.get((header.epoch, view), set())
                if view > header.parent_view and NULLIFY_CHOICE not in certified:
                    self._fail("G4 ancestry", f"{header} passes over view {view}, which nobody nullified")
                if view == header.parent_view and not any(choice[1] == header.parent_hash for choice in certified):
                    self._fail("G4 ancestry", f"the parent of {header} is not notarised")
        for low, high in pairwise(sorted(self.views)):
            if self.views[low] > self.views[high]:
                self._fail("G4 ancestry", f"height {high} became final before {low}")
