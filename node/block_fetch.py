"""Getting whole blocks that are not final yet: from the mempool, and what it lacks from peers. Sans-IO; time is an argument.

A proposal names envelopes by hash. What is neither pending nor pinned is asked for in one request from whoever surely has it, then
from others. A block known by hash alone is asked for header and list first.

Invariants:
- Nothing is taken that was not asked for, and everything is checked against a hash known before.
- Whole blocks stay until they are final or passed over, because consensus works with them; of the others at most BLOCKS_MAX.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Final

from node.block_messages import BlockAnswer, BlockMessage, BlockRequest, EnvelopesAnswer, EnvelopesRequest
from state import merkle
from state.block import BLOCK_BYTES_MAX, Block, Header, hash_header
from state.errors import Malformed
from state.transactions import Transaction, hash_envelope, parse_transaction

RETRY_MS: Final = 500
"""Without a whole block after this, the next peer is asked."""
BLOCKS_MAX: Final = 256
"""Blocks known here at once, above which those that are not whole make room; consensus names at most one for each view."""

Outgoing = tuple[str, BlockMessage]
"""Peer and message."""


class PendingBlock:
    """A block above the final one: what is known of it, and what of it is here."""

    __slots__ = (
        "asked_ms",
        "envelope_hashes",
        "header",
        "peer",
        "received_bytes",
        "transactions",
        "unverified",
        "wanted",
    )

    def __init__(self, peer: str) -> None:
        """Start with nothing but the peer that named it."""
        self.header: Header | None = None
        self.envelope_hashes: tuple[bytes, ...] | None = None
        self.transactions: dict[bytes, Transaction] = {}
        """What is here, by envelope hash."""
        self.wanted: set[bytes] = set()
        """Envelopes that came neither from the mempool nor from a peer yet."""
        self.unverified: set[bytes] = set()
        """Envelopes that came from peers for this block and whose signatures were not verified yet."""
        self.peer = peer
        """Who named it, or was asked last."""
        self.asked_ms: int | None = None
        self.received_bytes = 0
        """Of the envelopes that came from peers; a block that needs more than a block may have is never whole."""

    @property
    def is_whole(self) -> bool:
        """Tell whether header, list and all envelopes are here."""
        return self.header is not None and self.envelope_hashes is not None and not self.wanted

    def ordered(self) -> list[Transaction]:
        """Return the transactions of a whole block in its order."""
        assert self.envelope_hashes is not None, "asked of a block whose list is unknown"
        return [self.transactions[envelope_hash] for envelope_hash in self.envelope_hashes]

    def encoded(self) -> Block:
        """Return a whole block with the bytes of its envelopes."""
        assert self.header is not None, "asked of a block whose header is unknown"
        return Block(header=self.header, envelopes=tuple(one.encoded for one in self.ordered()))


class BlockFetcher:
    """All blocks above the final one of which anything is known here."""

    def __init__(self, chain_id: bytes, find: Callable[[bytes], Transaction | None]) -> None:
        """Start empty; find looks an envelope hash up among verified transactions that are pending or pinned."""
        self._chain_id = chain_id
        self._find = find
        self._blocks: dict[bytes, PendingBlock] = {}

    def find_block(self, block_hash: bytes) -> PendingBlock | None:
        """Return what is here of a block."""
        return self._blocks.get(block_hash)

    def whole_block(self, block_hash: bytes) -> PendingBlock:
        """Return a block that is known to be whole."""
        block = self._blocks[block_hash]
        assert block.is_whole, "consensus works with whole blocks only"
        return block

    def add_known(self, header: Header, transactions: list[Transaction]) -> None:
        """Take a whole block of which every signature was verified before, from the log."""
        block = self._blocks.setdefault(hash_header(header), PendingBlock(""))
        block.header = header
        block.envelope_hashes = tuple(transaction.envelope_hash for transaction in transactions)
        block.transactions = {transaction.envelope_hash: transaction for transaction in transactions}
        block.wanted = set()
        block.unverified = set()

    def want(
        self, block_hash: bytes, header: Header | None, hashes: tuple[bytes, ...] | None, peer: str
    ) -> PendingBlock:
        """Begin or go on to fetch a block, with what is known of it now."""
        block = self._blocks.get(block_hash)
        if block is None:
            self._make_room()
            block = self._blocks[block_hash] = PendingBlock(peer)
        if block.header is None and header is not None:
            block.header = header
        if block.envelope_hashes is None and hashes is not None:
            self._take_list(block, hashes)
        return block

    def _make_room(self) -> None:
        """Drop the oldest block that is not whole, if there are many: consensus asks for it again, but relies on whole ones."""
        if len(self._blocks) >= BLOCKS_MAX:
            oldest = next(iter(self.incomplete()), None)
            if oldest is not None:
                del self._blocks[oldest]

    def _take_list(self, block: PendingBlock, hashes: tuple[bytes, ...]) -> None:
        block.envelope_hashes = hashes
        for envelope_hash in hashes:
            transaction = self._find(envelope_hash)
            if transaction is None:
                block.wanted.add(envelope_hash)
            else:
                block.transactions[envelope_hash] = transaction

    def requests(self, block_hash: bytes, peers: list[str], now_ms: int) -> list[Outgoing]:
        """Return what to ask now for a block that is not whole: at once, then another peer every half second."""
        block = self._blocks.get(block_hash)
        if block is None:
            return []  # it was passed over meanwhile
        is_early = block.asked_ms is not None and now_ms - block.asked_ms < RETRY_MS
        if block.is_whole or is_early or not peers:
            return []
        if block.asked_ms is not None or block.peer not in peers:
            block.peer = _peer_after(block.peer, peers)
        block.asked_ms = now_ms
        if block.header is None or block.envelope_hashes is None:
            return [(block.peer, BlockRequest(block_hash=block_hash))]
        wanted = dict.fromkeys(one for one in block.envelope_hashes if one in block.wanted)
        return [(block.peer, EnvelopesRequest(block_hash=block_hash, envelope_hashes=tuple(wanted)))]

    def incomplete(self) -> list[bytes]:
        """Return the hashes of the blocks that still lack something, oldest first."""
        return [block_hash for block_hash, block in self._blocks.items() if not block.is_whole]

    def take_block(self, answer: BlockAnswer) -> bytes | None:
        """Take header and list of a block that lacks them; return its hash, or None if nothing wanted it."""
        block_hash = hash_header(answer.header)
        block = self._blocks.get(block_hash)
        if block is None or (block.header is not None and block.envelope_hashes is not None):
            return None
        is_list_right = (
            len(answer.envelope_hashes) == answer.header.tx_count
            and merkle.root(answer.envelope_hashes) == answer.header.tx_root
        )
        block.header = answer.header
        if is_list_right:
            self._take_list(block, answer.envelope_hashes)
            block.asked_ms = None
        return block_hash

    def take_envelopes(self, answer: EnvelopesAnswer) -> bool:
        """Take envelopes that a block lacks; False if one of them is no canonical envelope, which no correct node sends."""
        block = self._blocks.get(answer.block_hash)
        if block is None:
            return True
        for encoded in answer.envelopes:
            envelope_hash = hash_envelope(encoded)
            is_too_much = block.received_bytes + len(encoded) > BLOCK_BYTES_MAX
            if envelope_hash not in block.wanted or is_too_much:
                continue
            try:
                transaction = parse_transaction(encoded, self._chain_id)
            except Malformed:
                return False
            block.received_bytes += len(encoded)
            block.wanted.discard(envelope_hash)
            block.transactions[envelope_hash] = transaction
            block.unverified.add(envelope_hash)
        return True

    def offer(self, transaction: Transaction) -> list[bytes]:
        """Give a transaction just admitted to the blocks that lack it; return the hashes of those that are whole now."""
        whole: list[bytes] = []
        for block_hash, block in self._blocks.items():
            if transaction.envelope_hash in block.wanted:
                block.wanted.discard(transaction.envelope_hash)
                block.transactions[transaction.envelope_hash] = transaction
                if block.is_whole:
                    whole.append(block_hash)
        return whole

    def answer_block(self, request: BlockRequest) -> BlockAnswer | None:
        """Return header and list of a block, if they are here."""
        block = self._blocks.get(request.block_hash)
        if block is None or block.header is None or block.envelope_hashes is None:
            return None
        return BlockAnswer(header=block.header, envelope_hashes=block.envelope_hashes)

    def find_envelopes(self, request: EnvelopesRequest) -> list[bytes]:
        """Return those of the envelopes asked for that are here, each once."""
        block = self._blocks.get(request.block_hash)
        if block is None:
            return []
        found = [block.transactions.get(envelope_hash) for envelope_hash in dict.fromkeys(request.envelope_hashes)]
        return [transaction.encoded for transaction in found if transaction is not None]

    def forget_below(self, final_height: int, kept_hashes: frozenset[bytes]) -> list[bytes]:
        """Drop the blocks at or below a final height, except some; return their hashes."""
        return self._drop(
            lambda block_hash, block: (
                block_hash not in kept_hashes and block.header is not None and block.header.height <= final_height
            )
        )

    def forget_unwanted(self, wanted_hashes: Container[bytes]) -> list[bytes]:
        """Drop the blocks that consensus does not name any more, and return their hashes; peers have what it names again."""
        return self._drop(lambda block_hash, _block: block_hash not in wanted_hashes)

    def _drop(self, is_gone: Callable[[bytes, PendingBlock], bool]) -> list[bytes]:
        gone = [block_hash for block_hash, block in self._blocks.items() if is_gone(block_hash, block)]
        for block_hash in gone:
            del self._blocks[block_hash]
        return gone


def _peer_after(peer: str, peers: list[str]) -> str:
    """Return the peer after this one in the list, the first one if it is not there."""
    return peers[(peers.index(peer) + 1) % len(peers)] if peer in peers else peers[0]
