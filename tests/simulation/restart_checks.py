"""L3: what a host does after a restart follows from its disks alone, and the log holds what each vote rests on (W2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from consensus.inputs import Now, TimerKind
from consensus.records import RECORD_CODEC, BlockRecord, NotarizationRecord, ProposalRecord, VoteRecord, record_position
from node.shell import EvidenceVerified, SignaturesVerified
from p2p.channels import Channel
from state.block import hash_header
from state.chain import Finalized
from state.chain_branches import ExecutedBlock
from state.errors import TransactionRejected
from state.runtime.warming import EvidenceTask
from state.transactions import Transaction
from state.votes import VoteKind
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from tests.simulation.host import Host


class RecordingShell:
    """A shell that notes what a driver wants, and does nothing."""

    def __init__(self, now: Now) -> None:
        """Stop the clocks."""
        self._now = now
        self.wishes: list[tuple[object, ...]] = []

    def now(self) -> Now:
        """Return the same time again and again."""
        return self._now

    def send(self, peer: str, channel: Channel, payload: bytes) -> None:
        """Note a message."""
        self.wishes.append(("send", peer, channel, payload))

    def broadcast(self, channel: Channel, payload: bytes) -> None:
        """Note a message."""
        self.wishes.append(("broadcast", channel, payload))

    def punish(self, peer: str, reason: str) -> None:
        """Note a punishment."""
        self.wishes.append(("punish", peer, reason))

    def set_timer(self, kind: TimerKind, epoch: int, view: int, delay_ms: int) -> None:
        """Note a timer."""
        self.wishes.append(("timer", kind, epoch, view, delay_ms))

    def verify_block(self, transactions: Sequence[Transaction], done: SignaturesVerified) -> None:
        """Verify as all others."""
        self.verify(transactions, done)

    def verify(self, transactions: Sequence[Transaction], done: SignaturesVerified) -> None:
        """Say that all signatures are right."""
        done(frozenset())

    def verify_evidence(self, task: EvidenceTask, done: EvidenceVerified) -> None:
        """Verify at once."""
        done(task.verify())

    def want_execution(self) -> None:
        """Note that something waits."""
        self.wishes.append(("execute",))

    def on_notarized(self, block: ExecutedBlock) -> None:
        """Note a block."""
        self.wishes.append(("notarized", block.block_hash))

    def on_final(self, finalized: Finalized) -> None:
        """Note blocks."""
        self.wishes.append(("final", finalized.tip.block))

    def on_refused(self, transaction: Transaction, _rejection: TransactionRejected) -> None:
        """Note a transaction that no block will take."""
        self.wishes.append(("refused", transaction.tx_id))

    def on_halt(self, reason: str) -> None:
        """Note a halt."""
        self.wishes.append(("halt", reason))


def check_restart(host: Host) -> None:
    """Start twice from copies of the disks and compare; check the log against itself."""
    check_log(host)
    first, second = wishes_after_start(host), wishes_after_start(host)
    if first != second:
        raise Violation("L3 replay", f"{host.name} starts in two ways: {first} and {second}")


def wishes_after_start(host: Host) -> list[tuple[object, ...]]:
    """Return what a process wants first, made from a copy of the disks."""
    world = host.world
    shell = RecordingShell(Now(world.time_ms, world.wall_ms(host)))
    driver = host.build(host.store.copy(), host.log.copy(), shell, is_new=False)
    driver.start()
    return shell.wishes


def check_log(host: Host) -> None:
    """W2: each notarize vote above the tip has its proposal and block in the log, each finalize vote its notarization."""
    tip = host.running.chain.tip
    epoch, view = tip.epoch_start.epoch, tip.view
    records = [RECORD_CODEC.decode(record) for record in host.log.records()]
    proposals = {
        (record.proposal.view, record.proposal.vote.block_hash)
        for record in records
        if isinstance(record, ProposalRecord)
    }
    bodies = {hash_header(record.block.header) for record in records if isinstance(record, BlockRecord)}
    bodies.add(tip.block.block_hash)
    notarized = {
        (record.certificate.view, record.certificate.block_hash)
        for record in records
        if isinstance(record, NotarizationRecord)
    }
    for record in records:
        if not isinstance(record, VoteRecord) or record_position(record) <= (epoch, view):
            continue
        vote = record.vote
        if vote.kind is VoteKind.NOTARIZE:
            if (vote.view, vote.block_hash) not in proposals:
                raise Violation("W2 support", f"{host.name} has no proposal for {vote}")
            if vote.block_hash not in bodies and host.running.chain.views.find_height(vote.block_hash) is None:
                raise Violation("W2 support", f"{host.name} has no block for {vote}")
        if vote.kind is VoteKind.FINALIZE and (vote.view, vote.block_hash) not in notarized:
            raise Violation("W2 support", f"{host.name} has no notarization for {vote}")
