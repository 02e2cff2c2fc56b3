"""A simulated host: disks that survive a crash, a process that does not, and the shell of its driver over virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from consensus.core import Consensus
from consensus.inputs import Now, TimerFired, TimerKind
from consensus.participant import Identity
from consensus.records import RECORD_CODEC, LogRecord, VoteRecord, signing_floor
from consensus.signing import VoteSigner
from node.admission import RuntimeRules, Source
from node.driver import Driver, DriverParts
from node.mempool import Mempool
from node.own_account import OwnAccount, report_message
from node.shell import EvidenceVerified, Shell, SignaturesVerified
from node.timing import timing_of
from node.wal import Log
from p2p.channels import Channel
from state.chain import Chain, Finalized
from state.chain_branches import ExecutedBlock
from state.chain_execution import BeginExecution
from state.errors import TransactionRejected
from state.messages import Report
from state.runtime.dispatch import HANDLERS
from state.runtime.execute import BlockExecution
from state.runtime.warming import EvidenceTask, Found
from state.store import Store
from state.transactions import Transaction
from state.votes import Vote
from tests.simulation.bounds import Rate
from tests.simulation.crashing import CrashPoint, SimulatedLog, SimulatedStore
from tests.support.chain_builders import GENESIS_TIME_MS

if TYPE_CHECKING:
    from state.crypto import SigningKey
    from tests.simulation.adversary import Adversary
    from tests.simulation.world import World

TICK_MS = 100


class UnscrupulousDriver(Driver):
    """The driver of a twin: it goes on though its key signs elsewhere."""

    def _halt(self, reason: str) -> None:
        if "signs elsewhere" not in reason:
            super()._halt(reason)


class Host:
    """A machine with its keys, its disks, and its process while that runs."""

    def __init__(self, world: World, name: str, keys: HostKeys, *, is_honest: bool) -> None:
        """Prepare a machine that is down."""
        self.world = world
        self.name = name
        self.keys = keys
        self.is_honest = is_honest
        self.adversary: Adversary | None = None
        self.driver_type: type[Driver] = Driver
        self.begin_execution: BeginExecution = BlockExecution
        self.clock_offset_ms = 0
        self.floor = (0, 0)
        self.incarnation = 0
        self.crashes = 0
        self.operations_left: int | None = None
        self.driver: Driver | None = None
        self.peers: dict[str, None] = {}
        self.rate = Rate(self)
        self._backup: tuple[list[tuple[bytes, bytes]], int] | None = None
        self.reporter = OwnAccount(world.genesis.chain_id, keys.node)
        self.make_disks()

    def make_disks(self) -> None:
        """Have new, empty disks."""
        self.log = SimulatedLog(self.spend)
        self.store = SimulatedStore(self.spend)
        self.is_new = True

    @property
    def is_up(self) -> bool:
        """Tell whether the process runs."""
        return self.driver is not None

    @property
    def running(self) -> Driver:
        """The driver of a host that is up."""
        assert self.driver is not None, f"{self.name} is down"
        return self.driver

    @property
    def height(self) -> int:
        """Height of the newest final block of a host that is up."""
        return self.running.chain.tip.block.height

    @property
    def address(self) -> bytes | None:
        """The validator's name, or None for a host without validator keys."""
        return self.keys.address

    def spend(self) -> None:
        """Count an operation, at which the power may fail."""
        if self.operations_left is not None:
            self.operations_left -= 1
            if self.operations_left < 0:
                self.operations_left = None
                raise CrashPoint

    def build(self, store: Store, log: Log, shell: Shell, *, is_new: bool) -> Driver:
        """Make the process from what is on the disks."""
        world = self.world
        begin = self.begin_execution
        chain = (
            Chain.create(store, world.genesis, begin_execution=begin)
            if is_new
            else Chain.open(store, begin_execution=begin)
        )
        records = tuple(RECORD_CODEC.decode(record) for record in log.records())
        signer = self._signer(chain, records)
        timing = timing_of(chain.params().consensus)
        verify = world.signatures.verify
        public_key = None if self.address is None else self.keys.validator.public_key
        consensus = Consensus(Identity(chain.chain_id, public_key), timing, signer, verify, chain.tip, records)
        parts = DriverParts(chain, consensus, log, Mempool(RuntimeRules()), shell, verify, self.report)
        return self.driver_type(parts, records, is_push_mode=world.is_push_mode)

    def _signer(self, chain: Chain, records: Sequence[LogRecord]) -> VoteSigner:
        votes = [record.vote for record in records if isinstance(record, VoteRecord)]
        position = chain.tip.epoch_start.epoch, chain.tip.view
        sign = self.world.signatures.signer(self.keys.validator)
        return VoteSigner(chain.chain_id, sign, votes, max(self.floor, position, signing_floor(records)))

    def start(self) -> None:
        """Start the process."""
        self.incarnation += 1
        self.peers = {}
        shell = SimulatedShell(self)
        try:
            self.driver = self.build(self.store, self.log, shell, is_new=self.is_new)
            self.is_new = False
            self.world.checks.on_start(self)
            self.driver.start()
        except CrashPoint:
            self.crash()
            return
        self.world.schedule(TICK_MS, self._tick, self.incarnation)

    def crash(self) -> None:
        """Lose power now."""
        self.driver = None
        self.crashes += 1
        self.operations_left = None
        self.log.crash(was_group_written=self.log.is_syncing and self.world.chance.random() < 0.5)
        self.store.crash()
        self.world.on_crash(self)

    def wipe(self) -> None:
        """Lose the disks; a validator then signs nothing where it may have signed before (W6)."""
        self.lose_power()
        self.make_disks()
        epoch, view = self.world.checks.newest_position
        self.floor = epoch, view + 1
        self.world.checks.on_rollback(self, 0)

    def reset_store(self) -> None:
        """Lose the database and keep the log of votes, as `bocc node reset` does."""
        self.lose_power()
        self.store = SimulatedStore(self.spend)
        self.is_new = True
        self.world.checks.on_rollback(self, 0)

    def restore_store(self) -> None:
        """Get back an old copy of the database, and keep the log of votes."""
        if self._backup is None:
            return
        self.lose_power()
        records, height = self._backup
        self.store = SimulatedStore(self.spend)
        self.store.write(records)
        self.world.checks.on_rollback(self, height)

    def back_up(self) -> None:
        """Copy the database of a host that is up."""
        self._backup = self.store.items(), self.height

    def lose_power(self) -> None:
        """Crash, unless it is down already."""
        if self.is_up:
            self.crash()

    def enter(self, action: object, *arguments: object) -> None:
        """Let the process do something, at which it may lose power."""
        if self.driver is None:
            return
        try:
            action(*arguments)  # type: ignore[operator]
        except CrashPoint:
            self.crash()
        else:
            self.world.checks.after_step(self)

    def _tick(self, incarnation: int) -> None:
        if incarnation == self.incarnation and self.driver is not None:
            self.enter(self.driver.tick)
            self.world.schedule(TICK_MS, self._tick, incarnation)

    def add_peer(self, peer: str) -> None:
        """Be connected to another host."""
        if self.driver is not None:
            if peer in self.peers:
                self.remove_peer(peer)
            self.peers[peer] = None
            self.enter(self.running.add_peer, peer)

    def remove_peer(self, peer: str) -> None:
        """Lose a connection."""
        if self.driver is not None and peer in self.peers:
            del self.peers[peer]
            self.enter(self.running.remove_peer, peer)

    def receive(self, peer: str, session: int, channel: Channel, payload: bytes) -> None:
        """Take a message from a connection that still exists."""
        world = self.world
        if self.driver is not None and peer in self.peers and world.links.session(self.name, peer) == session:
            self.enter(self.driver.receive, peer, channel, payload)

    def submit(self, transaction: Transaction) -> TransactionRejected | None:
        """Take a transaction from a user, and tell how it was refused, if it was."""
        refusals: list[TransactionRejected] = []

        def admit() -> None:
            intake = self.running.intake
            try:
                intake.admit(transaction, Source.LOCAL)
            except TransactionRejected as rejection:
                refusals.append(rejection)
            else:
                intake.publish([transaction])

        self.enter(admit)
        return refusals[0] if refusals else None

    def report(self, validator: bytes, first: Vote, second: Vote) -> bool:
        """Get evidence into a block."""
        world = self.world
        world.checks.on_report(self, validator, first, second)
        if Report not in HANDLERS or not world.signatures.is_real:
            return True
        message = report_message(validator, first, second)
        now = world.wall_ms(self)
        transaction = self.reporter.build(self.running.chain.ledger, message, now)
        world.workload.expect(transaction)
        world.schedule(0, self.submit, transaction)
        return True


class HostKeys:
    """The keys of a host."""

    def __init__(self, node: SigningKey, validator: SigningKey, address: bytes | None) -> None:
        """Address is the operator's account, or None for a host that only follows."""
        self.node = node
        self.validator = validator
        self.address = address


class SimulatedShell:
    """The outside of one process, over virtual time."""

    def __init__(self, host: Host) -> None:
        """Belong to the present incarnation of a host."""
        self._host = host
        self._world = host.world
        self._incarnation = host.incarnation
        self._timers: dict[TimerKind, int] = {}
        self._timer_serial = 0
        self._is_executing = False

    def now(self) -> Now:
        """Return both clocks."""
        time_ms = self._world.events.time_ms
        return Now(time_ms, GENESIS_TIME_MS + time_ms + self._host.clock_offset_ms)

    def send(self, peer: str, channel: Channel, payload: bytes) -> None:
        """Send to one peer, if it is connected."""
        self._host.spend()
        self._world.on_wire(self._host, channel, payload)
        if peer in self._host.peers:
            self._world.transmit(self._host, peer, channel, payload)

    def broadcast(self, channel: Channel, payload: bytes) -> None:
        """Send to every connected peer."""
        self._world.on_wire(self._host, channel, payload)
        for peer in self._host.peers:
            self._host.spend()
            self._world.transmit(self._host, peer, channel, payload)

    def punish(self, peer: str, reason: str) -> None:
        """Count a violation against a peer."""
        self._world.checks.on_punish(self._host, peer, reason)

    def set_timer(self, kind: TimerKind, epoch: int, view: int, delay_ms: int) -> None:
        """Set or replace the timer of a kind."""
        self._host.spend()
        event = TimerFired(kind, epoch, view)
        self._timer_serial += 1
        self._timers[kind] = self._timer_serial
        self._world.schedule(delay_ms, self._fire, event, self._timer_serial)

    def _fire(self, event: TimerFired, serial: int) -> None:
        host = self._host
        if host.incarnation == self._incarnation and host.is_up and self._timers.get(event.kind) == serial:
            host.enter(host.running.handle, event)

    def verify_block(self, transactions: Sequence[Transaction], done: SignaturesVerified) -> None:
        """Verify as all others."""
        self.verify(transactions, done)

    def verify(self, transactions: Sequence[Transaction], done: SignaturesVerified) -> None:
        """Verify signatures at once or a little later."""
        wrong = self._world.signatures.find_wrong(transactions)
        if self._world.chance.random() < 0.5:
            done(wrong)
        else:
            self._world.schedule(1 + int(self._world.chance.random() * 3), self._finish_verification, done, wrong)

    def verify_evidence(self, task: EvidenceTask, done: EvidenceVerified) -> None:
        """Verify evidence a little later."""
        self._world.schedule(1 + int(self._world.chance.random() * 30), self._finish_evidence, done, task.verify())

    def _finish_evidence(self, done: EvidenceVerified, found: Found) -> None:
        if self._host.incarnation == self._incarnation:
            self._host.enter(done, found)

    def _finish_verification(self, done: SignaturesVerified, wrong: frozenset[bytes]) -> None:
        if self._host.incarnation == self._incarnation:
            self._host.enter(done, wrong)

    def want_execution(self) -> None:
        """Call the driver's `execute_slice` until nothing is left."""
        if not self._is_executing:
            self._is_executing = True
            self._world.schedule(1, self._execute)

    def _execute(self) -> None:
        host = self._host
        if host.incarnation != self._incarnation or not host.is_up:
            return
        self._is_executing = False
        host.enter(self._execute_slice)

    def _execute_slice(self) -> None:
        if self._host.running.execute_slice():
            self.want_execution()

    def on_notarized(self, block: ExecutedBlock) -> None:
        """See a block that may still be passed over."""
        self._world.checks.on_notarized(self._host, block)

    def on_final(self, finalized: Finalized) -> None:
        """See blocks that are final."""
        self._world.checks.on_final(self._host, finalized)
        self._world.has_news = True

    def on_refused(self, _transaction: Transaction, _rejection: TransactionRejected) -> None:
        """Nobody waits in a simulation."""

    def on_halt(self, reason: str) -> None:
        """See that agreement is broken."""
        self._world.checks.on_halt(self._host, reason)
