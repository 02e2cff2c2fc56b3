"""The performer of effects: feeds the consensus core and does, in order, what it asks for. The same code in node and simulator.

Everything here runs in one thread and returns at once; executions are done in slices. What takes time or leaves the process goes
through the Shell.

Invariants:
- What persists is on disk before anything later in the same step is sent (W1).
- Only whole blocks are voted on, and their bodies are pinned until they are final or passed over.
- A storage fault is not caught: the process ends, and a restart decides by replay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from consensus.core import Consensus
from consensus.effects import (
    Broadcast,
    BuildBlock,
    CheckBlock,
    Effect,
    ExecuteBlock,
    FetchBlock,
    FetchCertificates,
    Finalize,
    Halt,
    Notarized,
    OwnKeyElsewhere,
    Persist,
    PersistBlock,
    Punish,
    ReportEquivocation,
    Send,
    SendEpochEnd,
    SetTimer,
    StartSync,
)
from consensus.inputs import (
    BlockAvailable,
    BlockExecuted,
    Input,
    MessageReceived,
    Started,
    TimingChanged,
    TipAdvanced,
    WorkChanged,
)
from consensus.messages import MESSAGE_CODEC, CertificatesMessage, CertificatesRequest, ConsensusMessage, Status
from consensus.records import BlockRecord, LogRecord
from node.block_checks import BlockChecks
from node.block_fetch import BlockFetcher
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
from node.block_server import BlockServer
from node.catch_up import ProvenRun
from node.convictions import Convictions, Report
from node.executor import Executor
from node.intake import TransactionIntake
from node.mempool import Mempool
from node.proposer import build_block, has_due_work
from node.shell import Shell
from node.syncing import Syncing
from node.timing import timing_of
from node.vote_log import VoteLog
from node.wal import Log
from p2p.channels import Channel
from p2p.errors import PeerViolation
from state.block import Block, hash_header
from state.certificates import Certificate, Verify
from state.chain import Chain
from state.chain_branches import ExecutedBlock
from state.errors import Malformed
from state.ledger import Ledger
from state.transactions import Transaction, parse_transaction


class DriverParts(Struct, frozen=True):
    """What a driver is made of."""

    chain: Chain
    consensus: Consensus
    log: Log
    mempool: Mempool[Ledger]
    shell: Shell
    verify: Verify
    report: Report


class Driver:
    """One node, but for its sockets, clocks and threads."""

    def __init__(self, parts: DriverParts, records: Sequence[LogRecord], *, is_push_mode: bool) -> None:
        """Take up the blocks in the log; nothing is sent before `start`."""
        self.chain = parts.chain
        self.consensus = parts.consensus
        self.mempool = parts.mempool
        self._log = VoteLog(parts.log, records)
        self._shell = parts.shell
        self._inputs: deque[Input] = deque()
        self._is_handling = False
        self._has_work = False
        self._is_work_stale = True
        self._peers: list[str] = []
        self._next_peer = 0
        self._convictions = Convictions(parts.report)
        self.halted: str | None = None
        self.executor = Executor(self.chain)
        self.fetcher = BlockFetcher(self.chain.chain_id, self.mempool.find)
        self._server = BlockServer(self.fetcher, self.chain, self._shell.send)
        self.intake = TransactionIntake(
            self.chain,
            self.mempool,
            self._shell,
            self._on_admitted,
            self._on_selectable,
            is_push_mode=is_push_mode,
        )
        self.syncing = Syncing(self.chain, self.executor, self._shell, parts.verify, self._commit_run, self._halt)
        self._checks = BlockChecks(self.chain, self.consensus, self.fetcher, self._shell, self.handle)
        for record in records:
            if isinstance(record, BlockRecord):
                self._restore_block(record.block)

    def _restore_block(self, block: Block) -> None:
        """Pin a block from the log, which was checked before it got there."""
        if block.header.height <= self.chain.tip.block.height:
            return
        transactions = [parse_transaction(encoded, self.chain.chain_id) for encoded in block.envelopes]
        self.fetcher.add_known(block.header, transactions)
        self.mempool.bodies.pin(hash_header(block.header), transactions)

    def start(self) -> None:
        """Begin to take part."""
        self.handle(Started())

    def add_peer(self, peer: str) -> None:
        """Take a connected peer into account and tell it where this node is."""
        self._peers.append(peer)
        self.intake.add_peer(peer)
        self._shell.send(peer, Channel.STATUS, MESSAGE_CODEC.encode(self.consensus.status))

    def remove_peer(self, peer: str) -> None:
        """Forget a peer that is gone."""
        if peer in self._peers:
            self._peers.remove(peer)
        self.syncing.forget_peer(peer)
        self._server.forget_peer(peer)
        self.intake.remove_peer(peer)

    def receive(self, peer: str, channel: Channel, payload: bytes) -> None:
        """Take a message of a peer; whatever it is, it costs at most the peer. Of a peer that is gone already it is nothing."""
        if peer not in self._peers:
            return
        try:
            match channel:
                case Channel.CONSENSUS | Channel.STATUS:
                    self._receive_consensus(peer, MESSAGE_CODEC.decode(payload))
                case Channel.BODIES | Channel.SYNC:
                    self._receive_block_message(peer, channel, BLOCK_MESSAGE_CODEC.decode(payload))
                case Channel.TRANSACTIONS:
                    self.intake.receive(peer, payload)
                case Channel.PEERS:
                    self._shell.punish(peer, "unexpected_channel")
        except Malformed as malformed:
            self._shell.punish(peer, malformed.reason.value)
        except PeerViolation as violation:
            self._shell.punish(peer, str(violation.reason))

    def _receive_consensus(self, peer: str, message: ConsensusMessage) -> None:
        if isinstance(message, Status):
            self.syncing.note_status(peer, message)
        self.handle(MessageReceived(peer, message))

    def _receive_block_message(self, peer: str, channel: Channel, message: BlockMessage) -> None:
        match message:
            case BlockAnswer():
                block_hash = self.fetcher.take_block(message)
                if block_hash is not None:
                    self._go_on_fetching(block_hash)
            case EnvelopesAnswer():
                if not self.fetcher.take_envelopes(message):
                    self._shell.punish(peer, "malformed_transaction")
                if self.fetcher.find_block(message.block_hash) is not None:
                    self._go_on_fetching(message.block_hash)
            case HeadersAnswer() | BodyAnswer():
                self.syncing.receive(peer, message)
            case BlockRequest() | EnvelopesRequest() | HeadersRequest() | BodyRequest():
                self._server.ask(peer, channel, message, self._shell.now().mono_ms)

    def tick(self) -> None:
        """Ask again for what did not come, drop what nobody wants any more; called about ten times a second."""
        for block_hash in self.fetcher.forget_unwanted(self.consensus.node.state.blocks):
            self.mempool.bodies.unpin(block_hash)
        for block_hash in self.fetcher.incomplete():
            self._ask_for(block_hash)
        self._server.serve(self._shell.now().mono_ms)
        self._convictions.tick()
        self.intake.tick()
        self.syncing.settle()
        self.syncing.tick()
        self._is_work_stale = True
        self._drain()

    def execute_slice(self) -> bool:
        """Do the next part of what is to be executed; return whether anything is left."""
        self.executor.run_slice()
        self._drain()
        return not self.executor.is_idle

    def handle(self, event: Input) -> None:
        """Feed an input to consensus and perform everything that follows from it."""
        self._inputs.append(event)
        self._drain()

    def _drain(self) -> None:
        if self._is_handling:
            return
        self._is_handling = True
        try:
            while self.halted is None and (self._inputs or self._is_work_stale):
                if self._inputs:
                    for effect in self.consensus.handle(self._inputs.popleft(), self._shell.now()):
                        self._perform(effect)
                else:
                    self._update_work()
        finally:
            self._is_handling = False

    def _update_work(self) -> None:
        """Tell consensus when there begins or ends to be something to agree on."""
        self._is_work_stale = False
        has_work = has_due_work(self.chain, self.mempool, self.consensus, self._shell.now().wall_ms)
        if has_work != self._has_work:
            self._has_work = has_work
            self._inputs.append(WorkChanged(has_work))

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Persist():
                self._log.append(effect.record)
            case PersistBlock():
                self._persist_block(effect)
            case Broadcast():
                self._send(None, effect.message)
            case Send():
                self._send(effect.peer, effect.message)
            case SendEpochEnd():
                self._send_epoch_end(effect)
            case SetTimer():
                self._shell.set_timer(effect.kind, effect.epoch, effect.view, effect.delay_ms)
            case BuildBlock():
                self._build_block(effect)
            case FetchBlock():
                self.fetcher.want(effect.block_hash, effect.header, effect.envelope_hashes, effect.peer)
                self._go_on_fetching(effect.block_hash)
            case FetchCertificates():
                self._fetch_certificates(effect)
            case CheckBlock():
                self._checks.check(effect.block_hash)
            case ExecuteBlock():
                self._execute_block(effect.block_hash)
            case Notarized():
                if self.chain.is_executed(effect.block_hash):
                    self._shell.on_notarized(self.chain.executed(effect.block_hash))
            case Finalize():
                self._finalize(effect.block_hashes, effect.certificate)
            case ReportEquivocation():
                self._convictions.add(effect)
            case StartSync():
                self.syncing.start(effect.peer, effect.height)
            case Punish():
                self._shell.punish(effect.peer, effect.reason)
            case OwnKeyElsewhere():
                self._halt(
                    f"the validator key signs elsewhere too: view {effect.vote.view} of epoch {effect.vote.epoch}"
                )
            case Halt():
                self._halt(effect.reason)

    def _persist_block(self, effect: PersistBlock) -> None:
        block = self.fetcher.whole_block(effect.block_hash)
        self.mempool.bodies.pin(effect.block_hash, block.ordered())
        self._log.append(BlockRecord(epoch=effect.epoch, view=effect.view, block=block.encoded()))

    def _send(self, peer: str | None, message: ConsensusMessage) -> None:
        """W1: make durable, then send."""
        self._log.sync()
        channel = Channel.STATUS if isinstance(message, Status) else Channel.CONSENSUS
        payload = MESSAGE_CODEC.encode(message)
        if peer is None:
            self._shell.broadcast(channel, payload)
        else:
            self._shell.send(peer, channel, payload)

    def _send_epoch_end(self, effect: SendEpochEnd) -> None:
        epoch = self.chain.views.find_epoch(effect.epoch)
        if epoch is not None and epoch.end is not None:
            self._send(effect.peer, CertificatesMessage(certificates=(epoch.end.certificate,)))

    def _fetch_certificates(self, effect: FetchCertificates) -> None:
        """Ask one peer after the other, a different one each time."""
        if self._peers:
            self._next_peer = (self._next_peer + 1) % len(self._peers)
            request = CertificatesRequest(epoch=effect.epoch, first_view=effect.first_view, last_view=effect.last_view)
            self._send(self._peers[self._next_peer], request)

    def _build_block(self, effect: BuildBlock) -> None:
        built = build_block(self.chain, self.mempool, self.consensus, effect, self._shell.now().wall_ms)
        self._update_work()
        if built is not None:
            self._inputs.append(built)

    def _go_on_fetching(self, block_hash: bytes) -> None:
        block = self.fetcher.find_block(block_hash)
        if block is None:
            return  # it was passed over while another was handled
        if block.is_whole and block.header is not None:
            self.handle(BlockAvailable(block_hash, block.header))
        else:
            self._ask_for(block_hash)

    def _ask_for(self, block_hash: bytes) -> None:
        for peer, message in self.fetcher.requests(block_hash, self._peers, self._shell.now().mono_ms):
            self._shell.send(peer, Channel.BODIES, BLOCK_MESSAGE_CODEC.encode(message))

    def _execute_block(self, block_hash: bytes) -> None:
        block = self.fetcher.whole_block(block_hash)
        assert block.header is not None, "a whole block has its header"
        transactions = block.ordered()
        self.mempool.bodies.pin(block_hash, transactions)
        self.executor.submit(block_hash, block.header, transactions, self._on_executed)
        if not self.executor.run_short():
            self._shell.want_execution()

    def _on_executed(self, block: ExecutedBlock) -> None:
        self._inputs.append(BlockExecuted(block.reference, block.next_validators))
        self._is_work_stale = True

    def _on_admitted(self, transaction: Transaction) -> None:
        for block_hash in self.fetcher.offer(transaction):
            self._go_on_fetching(block_hash)
        self._on_selectable()

    def _on_selectable(self) -> None:
        """Take note that there is more to make a block of."""
        if not self._has_work:
            self._is_work_stale = True
            self._drain()

    def _finalize(self, path: Sequence[bytes], certificate: Certificate) -> None:
        transactions = [one for block_hash in path for one in self.fetcher.whole_block(block_hash).ordered()]
        self._commit(path, certificate, transactions)

    def _commit_run(self, run: ProvenRun) -> None:
        height = self.chain.tip.block.height
        path = [hash_header(header) for header in run.headers if header.height > height]
        if path:
            self._commit(path, run.certificate, self.syncing.transactions_above(run, height))
            # Before all else: on what the chain dropped, consensus would ask for blocks, checks and executions.
            self._inputs.appendleft(TipAdvanced(self.chain.tip))

    def _commit(self, path: Sequence[bytes], certificate: Certificate, transactions: list[Transaction]) -> None:
        """W4: one batch for all newly final blocks; then drop what only unfinal blocks needed."""
        before = self.chain.params().consensus
        finalized = self.chain.finalize(path, certificate)
        if self.chain.params().consensus != before:
            self._inputs.append(TimingChanged(timing_of(self.chain.params().consensus)))
        tip = self.chain.tip.block
        self.intake.settle(finalized, transactions)
        for block_hash in self.fetcher.forget_below(tip.height, frozenset(path[-1:])):
            self.mempool.bodies.unpin(block_hash)
        self._is_work_stale = True
        self._shell.on_final(finalized)
        self._log.compact(self.chain.epoch_start.epoch, self.chain.tip.view)

    def _halt(self, reason: str) -> None:
        self.halted = reason
        self._shell.on_halt(reason)
