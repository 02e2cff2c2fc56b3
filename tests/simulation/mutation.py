"""Changes to messages: of bytes, and of single fields, after which votes and headers are signed and hashed anew where that fits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random

from msgspec.structs import asdict, replace

from consensus.messages import (
    MESSAGE_CODEC,
    CertificatesMessage,
    CertificatesRequest,
    ConsensusMessage,
    Proposal,
    Status,
    VoteMessage,
)
from node.block_messages import (
    BLOCK_MESSAGE_CODEC,
    BlockAnswer,
    BlockMessage,
    BlockRequest,
    BodyAnswer,
    BodyRequest,
    EnvelopesAnswer,
    EnvelopesRequest,
    HeadersAnswer,
    HeadersRequest,
)
from p2p.channels import Channel
from state.block import Header, hash_header
from state.certificates import Certificate
from state.errors import Malformed
from state.votes import Vote, VoteKind, vote_signing_bytes

REMEMBERED_MAX = 64
NUMBERS = (0, 1, 2, 7, 1 << 16, 1 << 32, (1 << 53) + 1, (1 << 63) - 1)


class Mutator:
    """Makes wrong messages out of right ones."""

    def __init__(self, chain_id: bytes, sign: Callable[[bytes], bytes], chance: Random) -> None:
        """Sign with a Byzantine validator's key."""
        self._chain_id = chain_id
        self._sign = sign
        self._chance = chance
        self._earlier: dict[Channel, deque[bytes]] = {channel: deque(maxlen=REMEMBERED_MAX) for channel in Channel}
        self._hashes: deque[bytes] = deque([bytes(32), b"\xff" * 32], maxlen=REMEMBERED_MAX)

    def remember(self, channel: Channel, payload: bytes) -> None:
        """Keep a message, to be repeated later."""
        self._earlier[channel].append(payload)

    def mutate(self, channel: Channel, payload: bytes) -> bytes:
        """Return another payload."""
        chance = self._chance
        kind = chance.random()
        if kind < 0.2:
            return self._change_bytes(payload)
        if kind < 0.3:
            return chance.choice(self._earlier[channel])
        if channel in {Channel.CONSENSUS, Channel.STATUS}:
            try:
                message = MESSAGE_CODEC.decode(payload)
            except Malformed:
                return payload
            return MESSAGE_CODEC.encode(self._change_consensus(message))
        if channel in {Channel.BODIES, Channel.SYNC}:
            try:
                block_message = BLOCK_MESSAGE_CODEC.decode(payload)
            except Malformed:
                return payload
            return BLOCK_MESSAGE_CODEC.encode(self._change_block_message(block_message))
        return self._change_bytes(payload)

    def _change_bytes(self, payload: bytes) -> bytes:
        chance, changed = self._chance, bytearray(payload)
        position = chance.randrange(len(changed))
        match chance.randrange(5):
            case 0:
                changed[position] ^= 1 << chance.randrange(8)
            case 1:
                changed[position] = chance.randrange(256)
            case 2:
                del changed[position:]
            case 3:
                changed += bytes(chance.randrange(256) for _ in range(1 + chance.randrange(40)))
            case _:
                changed = changed[position:] + changed[:position]
        return bytes(changed) or b"\x00"

    def _number(self, near: int) -> int:
        chance = self._chance
        if chance.random() < 0.6:
            return max(0, near + chance.randint(-3, 3))
        return chance.choice(NUMBERS)

    def _hash(self) -> bytes:
        return self._chance.choice(self._hashes)

    # Consensus.

    def _change_consensus(self, message: ConsensusMessage) -> ConsensusMessage:
        chance = self._chance
        match message:
            case VoteMessage():
                return VoteMessage(vote=self._change_vote(message.vote))
            case Proposal():
                return self._change_proposal(message)
            case CertificatesMessage():
                certificates = list(message.certificates)
                index = chance.randrange(len(certificates))
                certificates[index] = self._change_certificate(certificates[index])
                return CertificatesMessage(certificates=tuple(certificates))
            case Status() | CertificatesRequest():
                return self._change_number(message)

    def _change_number(self, message: Status | CertificatesRequest) -> ConsensusMessage:
        numbers = [name for name, value in asdict(message).items() if isinstance(value, int)]
        name = self._chance.choice(numbers)
        return replace(message, **{name: self._number(getattr(message, name))})

    def _change_vote(self, vote: Vote) -> Vote:
        chance = self._chance
        if vote.block_hash:
            self._hashes.append(vote.block_hash)
        match chance.randrange(7):
            case 0:
                vote = replace(vote, view=self._number(vote.view))
            case 1:
                vote = replace(vote, epoch=self._number(vote.epoch))
            case 2 if vote.block_hash:
                vote = replace(vote, block_hash=self._hash())
            case 3 if vote.kind is VoteKind.FINALIZE:
                vote = replace(vote, result=self._hash())
            case 4:
                vote = replace(vote, kind=VoteKind.NULLIFY, block_hash=b"", result=b"")
            case 5:
                return replace(vote, validator=min(999, self._number(vote.validator)))
            case _:
                return replace(vote, signature=bytes(chance.randrange(256) for _ in range(64)))
        return self._sign_vote(vote)

    def _sign_vote(self, vote: Vote) -> Vote:
        message = vote_signing_bytes(self._chain_id, vote.kind, vote.epoch, vote.view, vote.block_hash, vote.result)
        return replace(vote, signature=self._sign(message))

    def _change_certificate(self, certificate: Certificate) -> Certificate:
        chance = self._chance
        match chance.randrange(6):
            case 0:
                return replace(certificate, view=self._number(certificate.view))
            case 1:
                return replace(certificate, epoch=self._number(certificate.epoch))
            case 2:
                return replace(certificate, kind=chance.choice(list(VoteKind)))
            case 3:
                return replace(certificate, signatures=certificate.signatures[:-1] or certificate.signatures)
            case 4:
                signers = bytearray(certificate.signers)
                signers[chance.randrange(len(signers))] ^= 1 << chance.randrange(8)
                return replace(certificate, signers=bytes(signers))
            case _:
                return replace(certificate, block_hash=self._hash())

    def _change_proposal(self, proposal: Proposal) -> Proposal:
        chance = self._chance
        match chance.randrange(6):
            case 0:
                hashes = list(proposal.envelope_hashes)
                chance.shuffle(hashes)
                return replace(proposal, envelope_hashes=tuple(hashes[: chance.randrange(len(hashes) + 1)]))
            case 1:
                return replace(proposal, justify=proposal.justify[: chance.randrange(len(proposal.justify) + 1)])
            case 2:
                return replace(proposal, parent_view=self._number(proposal.parent_view))
            case 3:
                return replace(proposal, view=self._number(proposal.view))
            case _:
                header = self._change_header(proposal.header)
                vote = self._sign_vote(replace(proposal.vote, block_hash=hash_header(header)))
                return replace(proposal, header=header, vote=vote)

    def _change_header(self, header: Header) -> Header:
        chance = self._chance
        name = chance.choice([name for name in asdict(header) if name not in {"version", "proposer", "tx_count"}])
        value = getattr(header, name)
        if name == "time_ms":
            return replace(header, time_ms=header.time_ms + chance.choice((-60_000, -3, 1, 400, 60_000)))
        return replace(header, **{name: self._number(value) if isinstance(value, int) else self._hash()})

    # Blocks.

    def _change_block_message(self, message: BlockMessage) -> BlockMessage:
        chance = self._chance
        match message:
            case BlockRequest():
                return BlockRequest(block_hash=self._hash())
            case BlockAnswer():
                if chance.random() < 0.5:
                    return replace(message, header=self._change_header(message.header))
                return replace(message, envelope_hashes=message.envelope_hashes[:-1])
            case EnvelopesRequest():
                return replace(message, block_hash=self._hash())
            case EnvelopesAnswer() | BodyAnswer():
                return replace(message, envelopes=self._change_envelopes(message.envelopes))
            case HeadersRequest():
                return HeadersRequest(first_height=self._number(message.first_height))
            case BodyRequest():
                return BodyRequest(height=self._number(message.height), first_index=self._number(message.first_index))
            case HeadersAnswer():
                return self._change_run(message)

    def _change_envelopes(self, envelopes: tuple[bytes, ...]) -> tuple[bytes, ...]:
        chance = self._chance
        if not envelopes or chance.random() < 0.3:
            return envelopes[:-1]
        index = chance.randrange(len(envelopes))
        return (*envelopes[:index], self._change_bytes(envelopes[index]), *envelopes[index + 1 :])

    def _change_run(self, message: HeadersAnswer) -> HeadersAnswer:
        chance = self._chance
        if not message.headers:
            return message
        match chance.randrange(4):
            case 0:
                return replace(message, headers=message.headers[:-1])
            case 1:
                return replace(message, certificates=())
            case 2:
                certificates = tuple(self._change_certificate(one) for one in message.certificates)
                return replace(message, certificates=certificates)
            case _:
                index = chance.randrange(len(message.headers))
                changed = self._change_header(message.headers[index])
                return replace(message, headers=(*message.headers[:index], changed, *message.headers[index + 1 :]))
