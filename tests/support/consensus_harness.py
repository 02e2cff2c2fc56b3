"""A network of real consensus cores under virtual time, in one thread, with every choice in the hands of the test.

Messages are delivered in the order of their times, then of their sending. Nothing is random here: `route` decides for each message
after how many milliseconds it arrives, or that it is lost. The same calls give the same run, byte for byte (`trace_hash`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from heapq import heappop, heappush
from typing import NamedTuple, Protocol

import msgspec

from consensus.effects import Effect, SetTimer
from consensus.inputs import BlockAvailable, Input, MessageReceived, TimerFired
from consensus.messages import MESSAGE_CODEC, ConsensusMessage
from consensus.timeouts import TimingParameters
from state.validators import ValidatorSet
from tests.support.consensus_checks import Checks
from tests.support.consensus_node import Node
from tests.support.consensus_toys import genesis_tip, hashes_of, key_of, toy_address, toy_set

DELAY_MS = 10

Route = Callable[[Node, Node, ConsensusMessage], int | None]
"""Delay of a message in milliseconds, or None if it is lost."""


class Hasher(Protocol):
    """What hashlib returns."""

    def update(self, content: bytes, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the digest so far."""


class Delivery(NamedTuple):
    """A message on its way."""

    source: str
    target: str
    message: ConsensusMessage


class Alarm(NamedTuple):
    """A timer that runs, or did until it was replaced."""

    target: str
    incarnation: int
    timer: SetTimer


class Arrival(NamedTuple):
    """An input that comes later: a body that was fetched, an execution that took its time."""

    target: str
    incarnation: int
    event: Input


class SyncDone(NamedTuple):
    """A block sync that ends."""

    target: str
    incarnation: int
    source: str


class Happening(NamedTuple):
    """Something that the test planned."""

    action: Callable[[], None]


Event = Delivery | Alarm | Arrival | SyncDone | Happening


def constant_route(_source: Node, _target: Node, _message: ConsensusMessage) -> int | None:
    """Deliver everything after the usual delay."""
    return DELAY_MS


class World:
    """The network, its clock, and everybody in it."""

    def __init__(
        self,
        powers: Sequence[int] = (1, 1, 1, 1),
        *,
        followers: int = 0,
        twins: Iterable[int] = (),
        byzantine: Iterable[int] = (),
        timing: TimingParameters | None = None,
        is_real: bool = False,
        is_busy: bool = True,
    ) -> None:
        """Set up validators v0, v1, ...; a twin v0 also has a second instance v0' with the same key."""
        self.timing = timing or TimingParameters()
        self.is_real = is_real
        self.is_busy = is_busy
        """There is always work; otherwise only what `submit` brings."""
        self.time_ms = 0
        self.execution_ms = 0
        self.route: Route = constant_route
        self.last_open_view: int | None = None
        """Blocks of later views are not built yet, if given."""
        self.checks = Checks(self)
        self.validators: ValidatorSet = toy_set(powers, is_real)
        self.sent: dict[str, int] = {}
        self.nodes: dict[str, Node] = {}
        self.tracer: Callable[[Node, Effect], None] | None = None
        self._trace: Hasher | None = None
        self._queue: list[tuple[int, int, Event]] = []
        self._serial = 0
        twins = set(twins)
        unfaithful = twins | set(byzantine)
        for index in range(len(powers) + followers):
            self._add(f"v{index}", index, is_honest=index not in unfaithful)
            if index in twins:
                self._add(f"v{index}'", index, is_honest=False)
        self.honest_addresses = {node.address for node in self.nodes.values() if node.is_honest}

    def _add(self, name: str, index: int, *, is_honest: bool) -> None:
        key = key_of(f"v{index}", self.is_real)
        node = Node(self, name, toy_address(index), key, genesis_tip(self.validators), is_honest)
        if name.endswith("'"):
            node.flavour = (b"of the other half",)
        self.nodes[name] = node

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    @property
    def honest(self) -> list[Node]:
        """The nodes that follow the protocol."""
        return [node for node in self.nodes.values() if node.is_honest]

    @property
    def up(self) -> list[Node]:
        """The honest nodes that have power."""
        return [node for node in self.honest if node.is_up]

    @property
    def trace_hash(self) -> str:
        """Digest of every effect so far, with its time and node, since `keep_trace`."""
        assert self._trace is not None, "keep_trace comes first"
        return self._trace.hexdigest()

    def keep_trace(self) -> None:
        """Begin to hash what happens."""
        self._trace = sha256()

    def observe(self, node: Node, effect: Effect) -> None:
        """See an effect before it is performed."""
        if self._trace is not None:
            line = self.time_ms, node.name, type(effect).__name__, effect
            self._trace.update(msgspec.msgpack.encode(line))
        if self.tracer is not None:
            self.tracer(node, effect)

    # what nodes ask of the world

    def broadcast(self, source: Node, message: ConsensusMessage) -> None:
        """Send to everybody else."""
        self.checks.on_wire(source, message)
        message = self._over_the_wire(message)
        for target in self.nodes.values():
            if target is not source:
                self._dispatch(source, target, message)

    def send(self, source: Node, target: str, message: ConsensusMessage) -> None:
        """Send to one node."""
        self.checks.on_wire(source, message)
        if target in self.nodes:
            self._dispatch(source, self.nodes[target], self._over_the_wire(message))

    def _over_the_wire(self, message: ConsensusMessage) -> ConsensusMessage:
        return MESSAGE_CODEC.decode(MESSAGE_CODEC.encode(message)) if self.is_real else message

    def _dispatch(self, source: Node, target: Node, message: ConsensusMessage) -> None:
        kind = type(message).__name__
        self.sent[kind] = self.sent.get(kind, 0) + 1
        delay_ms = self.route(source, target, message)
        if delay_ms is not None:
            self.schedule(delay_ms, Delivery(source.name, target.name, message))

    def fetch(self, node: Node, block_hash: bytes) -> None:
        """Find a body at a node that has it and can be reached in both directions; it takes a round trip."""
        for other in self.nodes.values():
            if other is node or not other.is_up or block_hash not in other.bodies:
                continue
            there = self.route(node, other, node.running.status)
            back = self.route(other, node, other.running.status)
            if there is not None and back is not None:
                node.keep_body(other.bodies[block_hash])
                event = BlockAvailable(block_hash, other.bodies[block_hash].header)
                self.schedule_input(node, event, there + back)
                return

    def _is_heard(self, source: Node | None, target: Node) -> bool:
        return source is not None and self.route(source, target, source.running.status) is not None

    def schedule_input(self, node: Node, event: Input, delay_ms: int) -> None:
        """Give a node an input later, unless it crashes before."""
        self.schedule(delay_ms, Arrival(node.name, node.incarnation, event))

    def schedule_timer(self, node: Node, timer: SetTimer) -> int:
        """Run a timer; return its serial number."""
        return self.schedule(timer.delay_ms, Alarm(node.name, node.incarnation, timer))

    def schedule_sync(self, node: Node, peer: str) -> None:
        """Let a block sync take four round trips."""
        self.schedule(8 * DELAY_MS, SyncDone(node.name, node.incarnation, peer))

    def schedule(self, delay_ms: int, event: Event) -> int:
        """Put an event into the queue; return its serial number."""
        self._serial += 1
        heappush(self._queue, (self.time_ms + delay_ms, self._serial, event))
        return self._serial

    # running

    def start(self, *names: str) -> World:
        """Start these nodes, or all of them."""
        self.checks.sets.setdefault(0, self.validators)
        for name in names or tuple(self.nodes):
            self.nodes[name].start()
        return self

    def crash_all(self) -> None:
        """Let everything lose power at once."""
        for node in self.nodes.values():
            if node.is_up:
                node.crash()

    def say(self, source: str, message: ConsensusMessage, *targets: str) -> None:
        """Let a Byzantine node say something to some nodes, or to all."""
        self.checks.on_wire(self.nodes[source], message)
        for target in targets or tuple(self.nodes):
            if target != source:
                self.schedule(DELAY_MS, Delivery(source, target, message))

    def submit(self, envelope: bytes, *names: str) -> None:
        """Put an envelope into the mempools of these nodes, or of all."""
        (envelope_hash,) = hashes_of([envelope])
        for name in names or sorted(self.nodes):
            node = self.nodes[name]
            if node.is_up:
                node.mempool[envelope_hash] = envelope
                node.update_work()
                if node.inbox:
                    node.feed(node.inbox.popleft())

    def at(self, time_ms: int, action: Callable[[], None]) -> None:
        """Plan something for a time."""
        self.schedule(time_ms - self.time_ms, Happening(action))

    def step(self) -> bool:
        """Let the next event happen; tell whether there was one."""
        if not self._queue:
            return False
        self.time_ms, serial, event = heappop(self._queue)
        self._happen(serial, event)
        return True

    def _happen(self, serial: int, event: Event) -> None:
        match event:
            case Delivery(source, target, message):
                node = self.nodes[target]
                if node.is_up:
                    node.feed(MessageReceived(source, message))
            case Alarm(target, incarnation, timer):
                node = self.nodes[target]
                if node.is_up and node.incarnation == incarnation and node.timers.get(timer.kind) == serial:
                    node.feed(TimerFired(timer.kind, timer.epoch, timer.view))
            case Arrival(target, incarnation, arrived):
                node = self.nodes[target]
                if node.is_up and node.incarnation == incarnation:
                    node.feed(arrived)
            case SyncDone(target, incarnation, source):
                node, other = self.nodes[target], self.nodes.get(source)
                if node.is_up and node.incarnation == incarnation:
                    is_up = other is not None and other.is_up
                    node.finish_sync(other if is_up and self._is_heard(other, node) else None)
            case Happening(action):
                action()

    def deliver_all(self) -> None:
        """Deliver what is on its way and what follows from it, while no timer fires: those that run are forgotten."""
        while self._queue:
            time_ms, serial, event = heappop(self._queue)
            if not isinstance(event, Alarm):
                self.time_ms = time_ms
                self._happen(serial, event)

    def run(self, until: Callable[[], bool], limit_ms: int) -> bool:
        """Run until a condition holds; give up after this much virtual time, and tell which it was."""
        end_ms = self.time_ms + limit_ms
        while not until():
            if not self._queue or self._queue[0][0] > end_ms:
                return False
            self.step()
        return True

    def run_for(self, duration_ms: int) -> None:
        """Run for some time."""
        end_ms = self.time_ms + duration_ms
        while self._queue and self._queue[0][0] <= end_ms:
            self.step()
        self.time_ms = end_ms

    def run_to_height(self, height: int, limit_ms: int = 60_000) -> bool:
        """Run until every honest node that is up has this height final."""
        return self.run(lambda: all(node.height >= height for node in self.up), limit_ms)
