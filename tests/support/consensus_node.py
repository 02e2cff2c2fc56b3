"""One node of the toy network: the real core and log records, with toys around them, and the performer of its effects."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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
    BlockBuilt,
    BlockChecked,
    BlockExecuted,
    Input,
    Now,
    Started,
    TimerKind,
    TipAdvanced,
    WorkChanged,
)
from consensus.messages import CertificatesMessage, CertificatesRequest
from consensus.participant import Identity
from consensus.records import BlockRecord, VoteRecord
from consensus.signing import VoteSigner
from state.block import Block, BlockReference, Tip, hash_header
from tests.support.consensus_toys import (
    CHAIN_ID,
    GENESIS_TIME_MS,
    INVALID,
    ToyChain,
    ToyKey,
    ToyLog,
    hashes_of,
    verifier,
)

if TYPE_CHECKING:
    from tests.support.consensus_harness import World


class PowerLoss(Exception):
    """The node lost power between two effects."""


class Node:
    """A host with one key: what survives a crash (chain, log) and what does not (everything else)."""

    def __init__(self, world: World, name: str, address: bytes, key: ToyKey, tip: Tip, is_honest: bool) -> None:
        """Prepare a host that is still down."""
        self.world = world
        self.name = name
        self.address = address
        self.key = key
        self.is_honest = is_honest
        self.chain = ToyChain(tip)
        self.log = ToyLog()
        self.clock_offset_ms = 0
        self.flavour: tuple[bytes, ...] = ()
        """Envelopes that this node puts into every block it builds, so that the halves of a twin differ."""
        self.is_up = False
        self.incarnation = 0
        self.effects_until_power_loss: int | None = None
        self.keeps_group = False
        """What was appended before a power loss between effects had reached the disk."""
        self.floor = (0, 0)
        self.punished: list[Punish] = []
        self.halts: list[Halt] = []
        self.key_alarms: list[OwnKeyElsewhere] = []
        self.fetches = 0
        self._forget()

    def _forget(self) -> None:
        self.core: Consensus | None = None
        self.bodies: dict[bytes, Block] = {}
        self.mempool: dict[bytes, bytes] = {}
        self.timers: dict[TimerKind, int] = {}
        self.inbox: deque[Input] = deque()
        self.held: list[BuildBlock] = []
        self.asked = 0
        self.has_work = False
        self.is_syncing = False

    # life

    def start(self) -> None:
        """Start or restart the process from what is durable."""
        assert not self.is_up
        self._forget()
        self.incarnation += 1
        self.is_up = True
        self.bodies = {**self.chain.blocks, **self.log.bodies()}
        votes = [record.vote for record in self.log.durable if isinstance(record, VoteRecord)]
        position = self.chain.tip.epoch_start.epoch, self.chain.tip.view
        self.core = Consensus(
            Identity(CHAIN_ID, self.key.public_key),
            self.world.timing,
            VoteSigner(CHAIN_ID, self.key.sign, votes, max(self.floor, position)),
            verifier(self.world.is_real),
            self.chain.tip,
            tuple(self.log.durable),
        )
        self.feed(Started())
        if self.world.is_busy and self.is_up:
            self.feed(WorkChanged(is_pending=True))

    def crash(self, is_group_kept: bool = False) -> None:
        """Lose power now."""
        self.is_up = False
        self.log.crash(is_group_kept)
        self.chain.crash()
        self._forget()

    @property
    def running(self) -> Consensus:
        """The core of a node that is up."""
        assert self.core is not None, f"{self.name} is down"
        return self.core

    @property
    def view(self) -> int:
        """Its current view."""
        return self.running.node.view

    @property
    def height(self) -> int:
        """Its final height."""
        return self.chain.tip.block.height

    @property
    def now(self) -> Now:
        """Its two clocks."""
        time_ms = self.world.time_ms
        return Now(time_ms, GENESIS_TIME_MS + time_ms + self.clock_offset_ms)

    # inputs and effects

    def feed(self, event: Input) -> None:
        """Let the core handle an input and everything that follows from it at once."""
        self.inbox.append(event)
        if len(self.inbox) > 1:
            return
        try:
            while self.inbox:
                for effect in self.running.handle(self.inbox[0], self.now):
                    self._spend_power()
                    self.world.observe(self, effect)
                    _PERFORM[type(effect)](self, effect)
                self._spend_power()
                self.inbox.popleft()
                self.update_work()
        except PowerLoss:
            self.crash(self.keeps_group)
            return
        self.world.checks.after_input(self)

    def _spend_power(self) -> None:
        if self.effects_until_power_loss is None:
            return
        if self.effects_until_power_loss == 0:
            self.effects_until_power_loss = None
            raise PowerLoss
        self.effects_until_power_loss -= 1

    def update_work(self) -> None:
        """Tell the core when transactions outside of notarised blocks come or go."""
        if self.world.is_busy or not (self.mempool or self.has_work):
            return
        included = self._envelopes_below(self._newest_notarised())
        has_work = any(envelope_hash not in included for envelope_hash in self.mempool)
        if has_work != self.has_work:
            self.has_work = has_work
            self.inbox.append(WorkChanged(is_pending=has_work))

    def _newest_notarised(self) -> bytes:
        state = self.running.node.state
        for view in sorted(state.views, reverse=True):
            certificate = state.views[view].block_certificate
            if certificate is not None and certificate.block_hash in self.bodies:
                return certificate.block_hash
        return self.chain.tip.block.block_hash

    def _envelopes_below(self, block_hash: bytes) -> set[bytes]:
        included: set[bytes] = set()
        while block_hash in self.bodies:
            block = self.bodies[block_hash]
            included.update(hashes_of(block.envelopes))
            block_hash = block.header.parent_hash
        return included

    def keep_body(self, block: Block) -> None:
        """Have a whole block at hand, until a crash at least."""
        self.bodies[hash_header(block.header)] = block

    # one method for each effect

    def _persist(self, effect: Persist) -> None:
        self.log.append(effect.record)

    def _persist_block(self, effect: PersistBlock) -> None:
        block = self.bodies[effect.block_hash]
        self.log.append(BlockRecord(epoch=effect.epoch, view=effect.view, block=block))

    def _broadcast(self, effect: Broadcast) -> None:
        self.log.sync()
        self.world.broadcast(self, effect.message)

    def _send(self, effect: Send) -> None:
        self.log.sync()
        self.world.send(self, effect.peer, effect.message)

    def _send_epoch_end(self, effect: SendEpochEnd) -> None:
        certificate = self.chain.epoch_ends.get(effect.epoch)
        if certificate is not None:
            self.world.send(self, effect.peer, CertificatesMessage(certificates=(certificate,)))

    def _set_timer(self, effect: SetTimer) -> None:
        self.timers[effect.kind] = self.world.schedule_timer(self, effect)

    def _build(self, effect: BuildBlock) -> None:
        last_open_view = self.world.last_open_view
        if last_open_view is not None and effect.view > last_open_view:
            self.held.append(effect)
        else:
            self.build(effect)

    def build(self, effect: BuildBlock) -> None:
        """Choose the envelopes of a block, after saying whether there is anything to choose from."""
        self.update_work()
        included = self._envelopes_below(effect.parent_hash)
        chosen = [] if effect.must_be_empty else [h for h in self.mempool if h not in included]
        for envelope, envelope_hash in zip(self.flavour, hashes_of(self.flavour), strict=True):
            self.mempool[envelope_hash] = envelope
            chosen.append(envelope_hash)
        self.inbox.append(
            BlockBuilt(effect.epoch, effect.view, effect.parent_hash, self.now.wall_ms, tuple(dict.fromkeys(chosen)))
        )

    def build_held(self) -> None:
        """Build the blocks of views that are open by now."""
        held, self.held = self.held, []
        for effect in held:
            self._build(effect)
        if self.inbox:
            self.feed(self.inbox.popleft())

    def _fetch_block(self, effect: FetchBlock) -> None:
        self.fetches += 1
        block = self.bodies.get(effect.block_hash)
        hashes, header = effect.envelope_hashes, effect.header
        if block is None and header is not None and hashes is not None and self.mempool.keys() >= set(hashes):
            block = Block(header=header, envelopes=tuple(self.mempool[h] for h in hashes))
            self.keep_body(block)
        if block is not None:
            self.inbox.append(BlockAvailable(effect.block_hash, block.header))
        else:
            self.world.fetch(self, effect.block_hash)

    def _fetch_certificates(self, effect: FetchCertificates) -> None:
        self.asked += 1
        peers = [name for name in sorted(self.world.nodes) if name != self.name]
        request = CertificatesRequest(epoch=effect.epoch, first_view=effect.first_view, last_view=effect.last_view)
        self.world.send(self, peers[self.asked % len(peers)], request)

    def _check(self, effect: CheckBlock) -> None:
        block = self.bodies[effect.block_hash]
        is_valid = not any(envelope.startswith(INVALID) for envelope in block.envelopes)
        self.inbox.append(BlockChecked(effect.block_hash, is_valid))

    def _execute(self, effect: ExecuteBlock) -> None:
        executed = self.chain.execute(self.bodies[effect.block_hash])
        if self.world.execution_ms:
            self.world.schedule_input(self, BlockExecuted(*executed), self.world.execution_ms)
        else:
            self.inbox.append(BlockExecuted(*executed))

    def _finalize(self, effect: Finalize) -> None:
        self.log.sync()
        blocks = [self.bodies[block_hash] for block_hash in effect.block_hashes]
        references: list[BlockReference] = [self.chain.executed[h].reference for h in effect.block_hashes]
        self.world.checks.on_final(self, blocks, references, effect.certificate)
        self.chain.finalize(blocks, effect.certificate)
        self.log.drop_below(self.chain.tip)
        for block in blocks:
            for envelope_hash in hashes_of(block.envelopes):
                self.mempool.pop(envelope_hash, None)

    def _note_notarized(self, effect: Notarized) -> None:
        assert effect.block_hash in self.chain.executed, "told of a block that is not executed"

    def _report(self, effect: ReportEquivocation) -> None:
        self.world.checks.on_report(self, effect)

    def _start_sync(self, effect: StartSync) -> None:
        if not self.is_syncing:
            self.is_syncing = True
            self.world.schedule_sync(self, effect.peer)

    def finish_sync(self, other: Node | None) -> None:
        """Take over a peer's final blocks, if it still has more."""
        self.is_syncing = False
        if other is not None and self.chain.copy_from(other.chain):
            self.bodies.update(self.chain.blocks)
            self.log.drop_below(self.chain.tip)
            self.feed(TipAdvanced(self.chain.tip))

    def _punish(self, effect: Punish) -> None:
        self.punished.append(effect)
        self.world.checks.on_punish(self, effect)

    def _own_key(self, effect: OwnKeyElsewhere) -> None:
        self.key_alarms.append(effect)
        self.world.checks.on_own_key(self, effect)

    def _halt(self, effect: Halt) -> None:
        self.halts.append(effect)
        self.world.checks.on_halt(self, effect)


# Any: each method takes the effect of its own row, which a dict's type cannot say.
_PERFORM: dict[type[Effect], Callable[[Node, Any], None]] = {
    Persist: Node._persist,
    PersistBlock: Node._persist_block,
    Broadcast: Node._broadcast,
    Send: Node._send,
    SendEpochEnd: Node._send_epoch_end,
    SetTimer: Node._set_timer,
    BuildBlock: Node._build,
    FetchBlock: Node._fetch_block,
    FetchCertificates: Node._fetch_certificates,
    CheckBlock: Node._check,
    ExecuteBlock: Node._execute,
    Notarized: Node._note_notarized,
    Finalize: Node._finalize,
    ReportEquivocation: Node._report,
    StartSync: Node._start_sync,
    Punish: Node._punish,
    OwnKeyElsewhere: Node._own_key,
    Halt: Node._halt,
}
