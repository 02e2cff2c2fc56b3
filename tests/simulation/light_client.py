"""L7: a light client that knows nothing but the genesis believes every final block.

It goes from epoch to epoch by the certificate of each one's last block, and takes a block by the certificate of that block or of a
descendant, with the headers between.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from state.block import RESULT_CODEC, BlockResult, Header, hash_header, hash_result
from state.certificates import CERTIFICATE_CODEC, verify_certificate
from state.chain_views import ChainViews, FinalityProof
from state.codec import encode
from state.errors import VoteRejected
from state.genesis import genesis_state
from state.stored import EPOCH_RECORD
from state.validators import ValidatorSet
from state.votes import VoteKind
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from tests.simulation.host import Host


class LightClient:
    """Verifies what one host serves."""

    def __init__(self, host: Host) -> None:
        """Know the genesis."""
        world = host.world
        self._name = host.name
        self._views: ChainViews = host.running.chain.views
        self._chain_id = world.genesis.chain_id
        self._verify = world.signatures.verify
        self._sets = {0: genesis_state(world.genesis)[1]}

    def check_all(self, height: int, from_height: int = 1) -> None:
        """Verify the proofs of all heights up to this one."""
        last_epoch = self._views.header_at(height).header.epoch if height else 0
        for epoch in range(last_epoch):
            self._learn_epoch(epoch)
        for number in range(from_height, height + 1):
            proof = self._views.finality_of(number)
            if proof is None:
                raise Violation("L7 light client", f"{self._name} has no proof of height {number}")
            self._check_proof(number, proof)

    def _learn_epoch(self, epoch: int) -> None:
        """Take the validators of the next epoch from the block that ended this one."""
        stored = self._views.find_epoch(epoch)
        following = self._views.find_epoch(epoch + 1)
        if stored is None or stored.end is None or following is None:
            raise Violation("L7 light client", f"{self._name} cannot prove the end of epoch {epoch}")
        end = EPOCH_RECORD.decode(EPOCH_RECORD.encode(stored)).end
        assert end is not None
        self._check_certified(end.header, end.block_result, CERTIFICATE_CODEC.encode(end.certificate), epoch)
        validators = ValidatorSet(following.start.validators)
        if validators.set_hash != end.block_result.next_validators_hash:
            raise Violation("L7 light client", f"{self._name} serves other validators than epoch {epoch} chose")
        self._sets[epoch + 1] = validators

    def _check_certified(self, header: Header, block_result: BlockResult, encoded: bytes, epoch: int) -> None:
        certificate = CERTIFICATE_CODEC.decode(encoded)
        try:
            verify_certificate(self._chain_id, certificate, self._sets[epoch], epoch, self._verify)
        except VoteRejected as rejected:
            raise Violation("L7 light client", f"{self._name} serves a bad certificate: {rejected}") from rejected
        seen = certificate.kind, certificate.block_hash, certificate.result
        if seen != (VoteKind.FINALIZE, hash_header(header), hash_result(block_result)):
            raise Violation("L7 light client", f"{self._name} serves {certificate} for {header}")

    def _check_proof(self, height: int, proof: FinalityProof) -> None:
        headers = proof.headers
        for one, following in pairwise(headers):
            if following.parent_hash != hash_header(one):
                raise Violation("L7 light client", f"{self._name} serves headers that do not link at {height}")
        certificate = CERTIFICATE_CODEC.decode(CERTIFICATE_CODEC.encode(proof.certificate))
        last = headers[-1]
        try:
            verify_certificate(self._chain_id, certificate, self._sets[last.epoch], last.epoch, self._verify)
        except VoteRejected as rejected:
            raise Violation("L7 light client", f"{self._name} serves a bad certificate: {rejected}") from rejected
        block_result = RESULT_CODEC.decode(encode(proof.block_result))
        result = certificate.result if len(headers) == 1 else headers[1].parent_result
        is_right = (
            headers[0].height == height
            and certificate.block_hash == hash_header(last)
            and certificate.kind is VoteKind.FINALIZE
            and hash_result(block_result) == result
            and all(header.epoch == last.epoch for header in headers)
        )
        if not is_right:
            raise Violation("L7 light client", f"{self._name} serves a wrong proof of height {height}")
