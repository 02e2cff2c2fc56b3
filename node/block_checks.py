"""Checking a whole block: its transactions against the parent's state, then the signatures that nobody verified here yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from consensus.core import Consensus
from consensus.inputs import BlockChecked, Input
from node.block_fetch import BlockFetcher, PendingBlock
from node.shell import Shell
from state.chain import Chain
from state.errors import BlockRejected
from state.protocol import is_spoken
from state.runtime.execute import check_block
from state.transactions import Transaction


class BlockChecks:
    """Answers CheckBlock, at once or when the signatures are verified."""

    def __init__(
        self,
        chain: Chain,
        consensus: Consensus,
        fetcher: BlockFetcher,
        shell: Shell,
        answer: Callable[[Input], None],
    ) -> None:
        """Give verdicts to answer."""
        self._chain = chain
        self._consensus = consensus
        self._fetcher = fetcher
        self._shell = shell
        self._answer = answer

    def check(self, block_hash: bytes) -> None:
        """Begin to check a whole block whose parent is executed: the cheap rules first, which also bound the signatures.

        A block of a protocol that this software does not speak gets no verdict.
        """
        block = self._fetcher.whole_block(block_hash)
        assert block.header is not None, "a whole block has its header"
        if not is_spoken(self._chain.ledger_at(block.header.parent_hash), block.header.height):
            return
        if not self._is_valid_on_parent(block):
            self._answer(BlockChecked(block_hash, is_valid=False))
            return
        unverified = [one for one in block.ordered() if one.envelope_hash in block.unverified]
        if unverified:
            self._shell.verify_block(unverified, lambda wrong: self._take_verdict(block_hash, unverified, wrong))
        else:
            self._answer(BlockChecked(block_hash, is_valid=True))

    def _take_verdict(self, block_hash: bytes, verified: Sequence[Transaction], wrong: frozenset[bytes]) -> None:
        block = self._fetcher.find_block(block_hash)
        if block is not None:
            block.unverified -= {one.envelope_hash for one in verified} - wrong
        self._answer(BlockChecked(block_hash, is_valid=not wrong))

    def _is_valid_on_parent(self, block: PendingBlock) -> bool:
        header = block.header
        assert header is not None, "a whole block has its header"
        parent = self._consensus.node.state.find_executed(header.parent_hash)
        assert parent is not None, "consensus has blocks checked whose parent is executed"
        try:
            check_block(self._chain.ledger_at(header.parent_hash), header, parent.time_ms, block.ordered())
        except BlockRejected:
            return False
        return True
