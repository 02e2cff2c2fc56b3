"""A shell that performs nothing and remembers what it was asked for; time and verification are in the hands of the test."""

from __future__ import annotations

from collections.abc import Sequence

from consensus.inputs import Now, TimerKind
from node.block_messages import BLOCK_MESSAGE_CODEC, BlockMessage
from node.shell import EvidenceVerified, SignaturesVerified
from node.verification import find_wrong
from p2p.channels import Channel
from state.chain import Finalized
from state.chain_branches import ExecutedBlock
from state.errors import TransactionRejected
from state.runtime.warming import EvidenceTask
from state.transactions import Transaction


class RecordingShell:
    """Implements node.shell.Shell."""

    def __init__(self, mono_ms: int = 0, wall_ms: int = 0) -> None:
        self.mono_ms = mono_ms
        self.wall_ms = wall_ms
        self.sent: list[tuple[str, Channel, bytes]] = []
        self.broadcasts: list[tuple[Channel, bytes]] = []
        self.punished: list[tuple[str, str]] = []
        self.timers: list[tuple[TimerKind, int, int, int]] = []
        self.verifications: list[tuple[list[Transaction], SignaturesVerified]] = []
        """What waits for `finish_verifications`."""
        self.evidence: list[tuple[EvidenceTask, EvidenceVerified]] = []
        """What waits for `finish_evidence`."""
        self.executions_wanted = 0
        self.notarized: list[ExecutedBlock] = []
        self.finalized: list[Finalized] = []
        self.halts: list[str] = []
        self.refused: list[tuple[Transaction, str]] = []

    def now(self) -> Now:
        return Now(self.mono_ms, self.wall_ms)

    def send(self, peer: str, channel: Channel, payload: bytes) -> None:
        self.sent.append((peer, channel, payload))

    def broadcast(self, channel: Channel, payload: bytes) -> None:
        self.broadcasts.append((channel, payload))

    def punish(self, peer: str, reason: str) -> None:
        self.punished.append((peer, reason))

    def set_timer(self, kind: TimerKind, epoch: int, view: int, delay_ms: int) -> None:
        self.timers.append((kind, epoch, view, delay_ms))

    def verify_block(self, transactions: Sequence[Transaction], done: SignaturesVerified) -> None:
        """Verify as all others."""
        self.verify(transactions, done)

    def verify(self, transactions: Sequence[Transaction], done: SignaturesVerified) -> None:
        self.verifications.append((list(transactions), done))

    def verify_evidence(self, task: EvidenceTask, done: EvidenceVerified) -> None:
        self.evidence.append((task, done))

    def want_execution(self) -> None:
        self.executions_wanted += 1

    def on_notarized(self, block: ExecutedBlock) -> None:
        self.notarized.append(block)

    def on_final(self, finalized: Finalized) -> None:
        self.finalized.append(finalized)

    def on_refused(self, transaction: Transaction, rejection: TransactionRejected) -> None:
        self.refused.append((transaction, rejection.reason))

    def on_halt(self, reason: str) -> None:
        self.halts.append(reason)

    def finish_verifications(self) -> None:
        """Verify what waits, really."""
        waiting, self.verifications = self.verifications, []
        for transactions, done in waiting:
            done(find_wrong(transactions))

    def finish_evidence(self) -> None:
        """Verify the evidence that waits, really, and what is asked for meanwhile."""
        while self.evidence:
            task, done = self.evidence.pop(0)
            done(task.verify())

    def take_block_messages(self) -> list[tuple[str, Channel, BlockMessage]]:
        """Return and forget the messages about blocks that were sent."""
        sent, self.sent = self.sent, []
        return [(peer, channel, BLOCK_MESSAGE_CODEC.decode(payload)) for peer, channel, payload in sent]
