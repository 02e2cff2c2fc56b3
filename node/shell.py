"""What the driver asks of the world outside: the node implements it over sockets and clocks, the simulator over virtual time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from consensus.inputs import Now, TimerKind
from p2p.channels import Channel
from state.chain import Finalized
from state.chain_branches import ExecutedBlock
from state.errors import TransactionRejected
from state.runtime.warming import EvidenceTask, Found
from state.transactions import Transaction

SignaturesVerified = Callable[[frozenset[bytes]], None]
"""Takes the envelope hashes of the transactions whose signatures are wrong."""

EvidenceVerified = Callable[[Found], None]
"""Takes what `EvidenceTask.verify` returned."""


class Shell(Protocol):
    """The outside of one node, as its driver sees it. Every method returns at once."""

    def now(self) -> Now:
        """Return both clocks."""

    def send(self, peer: str, channel: Channel, payload: bytes) -> None:
        """Send to one peer, if it is connected."""

    def broadcast(self, channel: Channel, payload: bytes) -> None:
        """Send to every connected peer."""

    def punish(self, peer: str, reason: str) -> None:
        """Count a violation against a peer."""

    def set_timer(self, kind: TimerKind, epoch: int, view: int, delay_ms: int) -> None:
        """Set or replace the timer of a kind."""

    def verify(self, transactions: Sequence[Transaction], done: SignaturesVerified) -> None:
        """Verify signatures, maybe in other threads, and call done from the driver's own."""

    def verify_block(self, transactions: Sequence[Transaction], done: SignaturesVerified) -> None:
        """As `verify`, for a block that waits for a vote: ahead of everything else."""

    def verify_evidence(self, task: EvidenceTask, done: EvidenceVerified) -> None:
        """Verify evidence, maybe in another thread, and call done from the driver's own."""

    def want_execution(self) -> None:
        """Call the driver's `execute_slice` soon, until it says that nothing is left."""

    def on_notarized(self, block: ExecutedBlock) -> None:
        """Tell subscribers about a notarised and executed block, which may still be passed over."""

    def on_final(self, finalized: Finalized) -> None:
        """Tell subscribers about blocks that are final and durable."""

    def on_refused(self, transaction: Transaction, rejection: TransactionRejected) -> None:
        """Tell those who wait for a pending transaction that no block will take it any more."""

    def on_halt(self, reason: str) -> None:
        """Agreement is broken: keep serving what is stored, and say so loudly."""
