"""The process of a node: its loop, its signals, and the observation that precedes signing where votes may be lost (W6).

The first signal stops the node in order; the second ends the process at once, which loses nothing that was acknowledged.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import importlib.util
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from consensus.epoch_state import VIEWS_AHEAD_MAX
from consensus.inputs import Now
from consensus.records import RECORD_CODEC, FloorRecord, LogRecord, signing_floor
from node.config import NodeConfig
from node.errors import SignerFault
from node.home import Home
from node.node import Node, check_disk
from node.opened import OpenedHome, open_home
from node.outside import now
from state.errors import UpgradeNeeded
from state.protocol import check_protocol

SWITCH_INTERVAL_S: Final = 0.0002
"""How long a thread may keep the interpreter while another waits for it. The default of 5 ms would cost every vote as much, and
would let a busy loop starve the threads that verify signatures, which wait for the interpreter after each one."""
GC_THRESHOLD: Final = 50_000
"""Allocations between collections of the youngest objects; the records of a block are no cycles."""
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
SAY_EVERY_S: Final = 5


class Observation(Struct, frozen=True):
    """What must be seen before a key whose votes may be lost signs again.

    A block that is final here and was made after the observation began carries signatures of more than two thirds of the power,
    all given since then. Any view that this key ever voted in, which was before, followed a certificate of as much power. The
    two have more than a third in common, so a correct validator that had come as far then signed this block: it is not behind.
    What peers merely claim proves nothing in either direction, neither that the node lags nor that it does not.
    """

    began: Now
    seconds: int
    """For how long at least; whoever else votes with this key is heard meanwhile."""
    precision_ms: int
    """By how much clocks may differ."""

    def find_lack(self, tip_time_ms: int, present: Now) -> str | None:
        """Say what is still to be waited for, or nothing."""
        if tip_time_ms <= self.began.wall_ms + self.precision_ms:
            return "a block made since the start that two thirds of the power signed"
        left_s = self.seconds - (present.mono_ms - self.began.mono_ms) // 1_000
        return f"{left_s} s without a vote of this key from elsewhere" if left_s > 0 else None


def find_loop_factory(config: NodeConfig) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the faster event loop, if it is wanted and installed."""
    if not config.use_uvloop or importlib.util.find_spec("uvloop") is None:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    return factory


def run_node(home: Home, config: NodeConfig, password: bytes | None) -> None:
    """Run a node until a signal ends it.

    Raises:
        ConfigError, SignerFault, StorageFault, UpgradeNeeded: what the operator must look after.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(GC_THRESHOLD, 20, 50)
    if home.data.is_dir():
        check_disk(home, config)
    opened = open_home(home, config, password)
    try:
        check_protocol(opened.chain.ledger, opened.chain.tip.block.height + 1)
    except UpgradeNeeded:
        opened.close()
        raise
    with asyncio.Runner(loop_factory=find_loop_factory(config)) as runner:
        runner.run(_main(opened))


async def _main(opened: OpenedHome) -> None:
    records: list[LogRecord] = [RECORD_CODEC.decode(encoded) for encoded in opened.log.records()]
    try:
        floor = opened.resume_after or await observe(opened, records)
        if floor is None:
            return
        if floor > signing_floor(records):
            records.append(FloorRecord(epoch=floor[0], view=floor[1]))
            opened.log.append(RECORD_CODEC.encode(records[-1]))
            opened.log.sync()
            opened.home.repaired.unlink(missing_ok=True)
        node = Node(opened, records, floor, opened.sign)
        gc.freeze()
        await run_until_signal(node)
    finally:
        opened.close()


async def run_until_signal(node: Node) -> None:
    """Run a node until it ends or a signal ends it."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(node.handle_stray_error)

    def stop() -> None:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        node.interrupt()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        await node.run()
    finally:
        node.close()


async def observe(opened: OpenedHome, records: Sequence[LogRecord]) -> tuple[int, int] | None:
    """W6: follow the network without signing until it is proven where it is; return a position that this key surely never passed.

    None if a signal came. The margin covers views that others have entered and this node has not heard of.

    Raises:
        SignerFault: somebody else votes with this node's key.
    """
    node = Node(opened, records, (0, 0), None)
    params = opened.chain.params().consensus
    observation = Observation(now(), 2 * params.timer_max_ms // 1_000, params.precision_ms)
    node.log.warning(
        "observing", seconds=observation.seconds, why="resume_after is observe; nothing is signed until then"
    )
    async with asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(_stop_when_proven(node, observation))
        await run_until_signal(node)
        watch.cancel()
    if node.is_interrupted:
        return None
    if node.driver.halted is not None:
        raise SignerFault(f"{node.driver.halted}; stop the other process before this node may sign")
    core = node.driver.consensus.node
    node.log.warning("observed", epoch=core.state.number, view=core.view, margin=VIEWS_AHEAD_MAX)
    return core.state.number, core.view + VIEWS_AHEAD_MAX


async def _stop_when_proven(node: Node, observation: Observation) -> None:
    """Stop a node once nothing is lacking, and say now and then what is."""
    seconds = 0
    while node.driver.halted is None:
        await asyncio.sleep(1)
        seconds += 1
        tip = node.driver.chain.tip.block
        lack = observation.find_lack(tip.time_ms, now())
        if lack is None:
            break
        if seconds % SAY_EVERY_S == 0:
            node.log.info("observing", waits_for=lack, height=tip.height, peers=len(node.network.peers))
    node.stop()
