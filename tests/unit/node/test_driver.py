"""What the driver tells consensus of blocks that become final, and in which order."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.inputs import TimingChanged, TipAdvanced
from node.admission import RuntimeRules
from node.block_fetch import BlockFetcher
from node.block_server import answer
from node.driver import Driver, DriverParts
from node.mempool import Mempool
from node.timing import timing_of
from node.wal import MemoryLog
from state.chain import Chain
from state.crypto import verify
from tests.support.certified import follow
from tests.support.fixture_chain import FixtureChain
from tests.support.governing import NO_CHANGE, YES, powers_genesis, propose, vote
from tests.support.recording_shell import RecordingShell
from tests.support.upgrading import ballot

GENESIS = powers_genesis(60, 40, timelock_ms=0)
SLOWER = replace(GENESIS.params.consensus, timer_min_ms=777)


def slowed_chain() -> Chain:
    """Return a chain on which governance has changed a timer: height 1 proposes, 2 decides, 3 applies it."""
    fixture = FixtureChain(GENESIS)
    fixture.add(fixture.sign(0, propose(replace(NO_CHANGE, consensus=SLOWER)), nonce=0))
    fixture.add(ballot(fixture, 0, vote(YES)))
    for _ in range(3):
        fixture.add()
    return fixture.chain


class SyncingDriver:
    """A driver on a chain at genesis, what its consensus was told, and how it gets a run of blocks."""

    def __init__(self) -> None:
        chain = FixtureChain(GENESIS).chain
        self.shell = RecordingShell(wall_ms=GENESIS.time_ms)
        self.core = follow(chain)
        self.told = []
        handle = self.core.handle

        def note_and_handle(event, now):
            self.told.append(event)
            return handle(event, now)

        self.core.handle = note_and_handle
        parts = DriverParts(
            chain=chain,
            consensus=self.core,
            log=MemoryLog(),
            mempool=Mempool(RuntimeRules()),
            shell=self.shell,
            verify=verify,
            report=lambda *_votes: True,
        )
        self.driver = Driver(parts, [], is_push_mode=True)

    def sync(self, source: Chain) -> None:
        """Fetch and apply one run."""
        fetcher = BlockFetcher(source.chain_id, lambda _hash: None)
        self.driver.syncing.start("peer", source.tip.block.height)
        while asked := self.shell.take_block_messages():
            for peer, _channel, request in asked:
                for reply in answer(request, fetcher, source):
                    self.driver.syncing.receive(peer, reply)
        while self.driver.execute_slice():
            pass


def test_consensus_moves_to_a_synced_tip_before_it_goes_on_by_the_timing_there() -> None:
    source, syncing = slowed_chain(), SyncingDriver()
    syncing.sync(source)
    moved = [event for event in syncing.told if isinstance(event, TipAdvanced | TimingChanged)]
    assert moved == [TipAdvanced(source.tip), TimingChanged(timing_of(SLOWER))]
    assert syncing.core.node.timing.timeout_min_ms == 777
