"""Blocks of a proven run into the chain: execute, compare with what is certified, commit, and tell consensus.

A run may overlap with what consensus makes final meanwhile; both are the same chain, so what is final already is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from consensus.messages import Status
from node.block_messages import BLOCK_MESSAGE_CODEC, BlockMessage, BodyAnswer, HeadersAnswer
from node.catch_up import CatchUp, ProvenRun, SyncFailure
from node.executor import Executor
from node.shell import Shell
from p2p.channels import Channel
from state.block import hash_header
from state.certificates import Verify
from state.chain import Chain
from state.chain_branches import ExecutedBlock
from state.transactions import Transaction

CLAIMS_MAX: Final = 1_000


class Syncing:
    """Decides when to fetch runs from whom, and applies them."""

    def __init__(
        self,
        chain: Chain,
        executor: Executor,
        shell: Shell,
        verify: Verify,
        commit: Callable[[ProvenRun], None],
        halt: Callable[[str], None],
    ) -> None:
        """Commit is given a run whose blocks are executed with the certified results."""
        self._chain = chain
        self._executor = executor
        self._shell = shell
        self._commit = commit
        self._halt = halt
        self._catch_up = CatchUp(chain.chain_id, verify)
        self._applying: ProvenRun | None = None
        self._claims: dict[str, int] = {}
        """Final heights that peers claim to have; nothing but a hint whom to ask."""

    @property
    def is_active(self) -> bool:
        """Tell whether a run is being fetched or applied."""
        return self._catch_up.is_active or self._applying is not None

    @property
    def claims(self) -> Mapping[str, int]:
        """Final heights that connected peers claim."""
        return self._claims

    @property
    def best_claim(self) -> int:
        """Return the height that half of the connected peers claim at least, or the own one: no single peer moves it far."""
        claims = sorted(self._claims.values(), reverse=True)
        claimed = claims[len(claims) // 2] if claims else 0
        return max(self._chain.tip.block.height, claimed)

    def note_status(self, peer: str, status: Status) -> None:
        """Remember what a peer claims."""
        if peer in self._claims or len(self._claims) < CLAIMS_MAX:
            self._claims[peer] = status.final_height

    def forget_peer(self, peer: str) -> None:
        """Drop the claim of a peer that is gone, and turn to another at once if a run was being fetched from it.

        It is not passed over when it comes back: its connection failed, not its answer.
        """
        self._claims.pop(peer, None)
        if self._catch_up.is_asking(peer):
            self._catch_up.stop()
            self._ask_next()

    def start(self, peer: str, height: int) -> None:
        """Fetch from a peer that claims to be at a height, unless something is under way."""
        self._claims[peer] = height
        if not self.is_active:
            self._send(self._catch_up.start(peer, self._chain.tip, self._shell.now().mono_ms))

    def tick(self) -> None:
        """Pass over a peer that makes no progress, and go on with the next that claims to be ahead."""
        now_ms = self._shell.now().mono_ms
        if self._catch_up.is_overdue(now_ms):
            self._catch_up.fail(now_ms)
        self._ask_next()

    def _ask_next(self) -> None:
        """Begin a run from the first peer that claims to be ahead and did not fail lately, unless one is under way."""
        if self.is_active:
            return
        now_ms, own_height = self._shell.now().mono_ms, self._chain.tip.block.height
        for peer, height in self._claims.items():
            if height > own_height + 1 and not self._catch_up.is_active:
                self._send(self._catch_up.start(peer, self._chain.tip, now_ms))

    def receive(self, peer: str, message: HeadersAnswer | BodyAnswer) -> None:
        """Take an answer; what proves nothing costs the peer its turn, and a lie its standing."""
        now_ms = self._shell.now().mono_ms
        try:
            if isinstance(message, HeadersAnswer):
                self._send(self._catch_up.take_headers(peer, message, now_ms))
            else:
                self._send(self._catch_up.take_body(peer, message, now_ms))
            run = self._catch_up.take_run()
        except SyncFailure as failure:
            self._catch_up.fail(now_ms)
            self._claims.pop(peer, None)
            self._shell.punish(peer, failure.reason)
            return
        if run is not None:
            self._apply(run)

    def _apply(self, run: ProvenRun) -> None:
        self._applying = run
        for header, transactions in zip(run.headers, run.transactions, strict=True):
            self._executor.submit(hash_header(header), header, transactions, self._on_executed)
        self._shell.want_execution()

    def _on_executed(self, block: ExecutedBlock) -> None:
        run = self._applying
        if run is None:
            return
        index = block.header.height - run.headers[0].height
        if not 0 <= index < len(run.headers) or run.headers[index] != block.header:
            return  # of a run that consensus overtook
        is_last = index == len(run.headers) - 1
        certified = run.certificate.result if is_last else run.headers[index + 1].parent_result
        if block.result_hash != certified:
            self._applying = None
            self._halt(
                f"state divergence at height {block.header.height}: executing the block gave "
                f"{block.result_hash.hex()} here, {certified.hex()} is certified"
            )
        elif is_last:
            self._applying = None
            self._commit(run)

    def settle(self) -> None:
        """Forget a run that consensus overtook, so that the next can begin."""
        run = self._applying
        if run is not None and run.headers[-1].height <= self._chain.tip.block.height:
            self._applying = None

    def transactions_above(self, run: ProvenRun, height: int) -> list[Transaction]:
        """Return the transactions of a run's blocks above a height, in order."""
        return [
            transaction
            for header, transactions in zip(run.headers, run.transactions, strict=True)
            if header.height > height
            for transaction in transactions
        ]

    def _send(self, outgoing: list[tuple[str, BlockMessage]]) -> None:
        for peer, message in outgoing:
            self._shell.send(peer, Channel.SYNC, BLOCK_MESSAGE_CODEC.encode(message))
