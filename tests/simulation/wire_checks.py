"""What must hold of every message at the moment at which it leaves a host: L1, L2 and L5, and G3 over all votes ever sent.

Everything is recomputed from the bytes. Votes of Byzantine hosts count towards quorums too: agreement must not depend on who heard
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from consensus.messages import MESSAGE_CODEC, CertificatesMessage, Proposal, VoteMessage
from consensus.records import RECORD_CODEC, VoteRecord
from node.block_messages import BLOCK_MESSAGE_CODEC, HeadersAnswer
from p2p.channels import Channel
from state.certificates import CERTIFICATE_CODEC, Certificate, certificate_votes, verify_certificate
from state.errors import Malformed, VoteRejected
from state.validators import ValidatorSet
from state.votes import Vote, VoteKind, are_conflicting, check_vote_fields, vote_signing_bytes
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from tests.simulation.host import Host
    from tests.simulation.world import World

Position = tuple[int, int]
"""Epoch and view."""
SEEN_MAX = 100_000


class WireChecks:
    """An observer of everything that is sent."""

    def __init__(self, world: World) -> None:
        """Watch a world."""
        self._world = world
        self.sets: dict[int, ValidatorSet] = {}
        """Validators of each epoch that began."""
        self.quorums: dict[Position, dict[VoteKind, set[bytes]]] = {}
        """What has a quorum of votes on the wire, whether or not anybody collected them: block hashes by kind."""
        self.newest: Position = (0, 0)
        """Highest position of a vote of an honest host."""
        self.certificates = 0
        self._power: dict[Position, dict[tuple[VoteKind, bytes, bytes], int]] = {}
        self._counted: set[tuple[Position, VoteKind, bytes, bytes, int]] = set()
        self._signed: dict[tuple[str, Position], list[Vote]] = {}
        self._seen: set[tuple[str, bytes]] = set()
        self._valid_certificates: set[bytes] = set()

    def on_wire(self, host: Host, channel: Channel, payload: bytes) -> None:
        """Look at a message, unless this host sent the very same one before."""
        if channel not in {Channel.CONSENSUS, Channel.SYNC} or (host.name, payload) in self._seen:
            return
        if len(self._seen) > SEEN_MAX:
            self._seen.clear()
        self._seen.add((host.name, payload))
        try:
            if channel is Channel.SYNC:
                self._look_at_run(host, payload)
            else:
                self._look_at_consensus(host, payload)
        except Malformed:
            if host.is_honest:
                raise

    def _look_at_run(self, host: Host, payload: bytes) -> None:
        message = BLOCK_MESSAGE_CODEC.decode(payload)
        if isinstance(message, HeadersAnswer):
            self._look_at_certificates(host, message.certificates)

    def _look_at_consensus(self, host: Host, payload: bytes) -> None:
        message = MESSAGE_CODEC.decode(payload)
        match message:
            case VoteMessage():
                self._look_at_vote(host, message.vote)
            case Proposal():
                self._look_at_vote(host, message.vote)
                self._look_at_certificates(host, message.justify)
            case CertificatesMessage():
                self._look_at_certificates(host, message.certificates)
            case _:
                pass

    def _look_at_certificates(self, host: Host, certificates: Sequence[Certificate]) -> None:
        """See certificates, also those that hold votes which a Byzantine host showed to nobody before."""
        for certificate in certificates:
            try:
                self.check_certificate(certificate)
            except Violation:
                if host.is_honest:
                    raise

    def check_certificate(self, certificate: Certificate) -> None:
        """L5: what an honest host stores and sends verifies, from its bytes, against the set of its epoch."""
        encoded = CERTIFICATE_CODEC.encode(certificate)
        if encoded in self._valid_certificates:
            return
        validators = self.sets.get(certificate.epoch)
        if validators is None:
            raise Violation("L5 quorum", f"a certificate of epoch {certificate.epoch}, which nobody has entered")
        world = self._world
        try:
            verify_certificate(
                world.genesis.chain_id, certificate, validators, certificate.epoch, world.signatures.verify
            )
        except VoteRejected as rejected:
            raise Violation("L5 quorum", f"{rejected}: {certificate}") from rejected
        self._valid_certificates.add(encoded)
        self.certificates += 1
        for vote in certificate_votes(certificate, validators):
            self._count(vote, validators)

    def _look_at_vote(self, host: Host, vote: Vote) -> None:
        validators = self.sets.get(vote.epoch)
        if validators is None or vote.validator >= len(validators):
            if host.is_honest:
                raise Violation("G8 epoch", f"{host.name} votes in an epoch that nobody has entered: {vote}")
            return
        member = validators.members[vote.validator]
        if host.is_honest:
            if member.address != host.address:
                raise Violation("L1 signer", f"{host.name} sends a vote of another validator: {vote}")
            self._check_own_vote(host, vote)
        elif not self._is_valid(vote, member.public_key):
            return
        self._count(vote, validators)

    def _is_valid(self, vote: Vote, public_key: bytes) -> bool:
        try:
            check_vote_fields(vote.kind, vote.block_hash, vote.result)
        except VoteRejected:
            return False
        message = vote_signing_bytes(
            self._world.genesis.chain_id, vote.kind, vote.epoch, vote.view, vote.block_hash, vote.result
        )
        return self._world.signatures.verify(public_key, vote.signature, message)

    def _check_own_vote(self, host: Host, vote: Vote) -> None:
        position = vote.epoch, vote.view
        self.newest = max(self.newest, position)
        earlier = self._signed.setdefault((host.name, position), [])
        if vote not in earlier:
            if not self._is_valid(vote, host.keys.validator.public_key):
                raise Violation("L1 signer", f"{host.name} sends a vote with a wrong signature: {vote}")
            for other in earlier:
                if are_conflicting(vote, other):
                    raise Violation("L1 signer", f"{host.name} signed {other} and {vote}")
            if vote.kind is VoteKind.NOTARIZE and any(other.kind is VoteKind.NULLIFY for other in earlier):
                raise Violation("L1 signer", f"{host.name} notarized a view that it had nullified: {vote}")
            earlier.append(vote)
        self._check_durable(host, vote)

    def _check_durable(self, host: Host, vote: Vote) -> None:
        """L2: the vote is in the log before it is on the wire, or its view is final in the store."""
        if host.log.has_durable(RECORD_CODEC.encode(VoteRecord(vote=vote))):
            return
        tip = host.running.chain.tip
        if (vote.epoch, vote.view) > (tip.epoch_start.epoch, tip.view):
            raise Violation("L2 log before wire", f"{host.name} sends a vote that is not durable: {vote}")

    def _count(self, vote: Vote, validators: ValidatorSet) -> None:
        """G3: no view is both finalised and nullified, or notarised for two blocks."""
        position = vote.epoch, vote.view
        entry = position, vote.kind, vote.block_hash, vote.result, vote.validator
        if entry in self._counted:
            return
        self._counted.add(entry)
        powers = self._power.setdefault(position, {})
        choice = vote.kind, vote.block_hash, vote.result
        powers[choice] = powers.get(choice, 0) + validators.members[vote.validator].power
        if not validators.is_quorum(powers[choice]):
            return
        quorums = self.quorums.setdefault(position, {})
        quorums.setdefault(vote.kind, set()).add(vote.block_hash + vote.result)
        if VoteKind.NULLIFY in quorums and VoteKind.FINALIZE in quorums:
            raise Violation("G3 exclusion", f"view {position} is finalised and nullified")
        for kind in (VoteKind.NOTARIZE, VoteKind.FINALIZE):
            if len(quorums.get(kind, ())) > 1:
                raise Violation("G3 exclusion", f"view {position} has two quorums to {kind.name.lower()}")
        blocks = {one[:32] for kind in (VoteKind.NOTARIZE, VoteKind.FINALIZE) for one in quorums.get(kind, ())}
        if len(blocks) > 1:
            raise Violation("G3 exclusion", f"view {position} has quorums for two blocks")

    def is_nullified(self, epoch: int, view: int) -> bool:
        """Tell whether a quorum nullified the view on the wire."""
        return VoteKind.NULLIFY in self.quorums.get((epoch, view), {})
