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

from consensus.epoch_state import VIEWS_AHEAD_MAX
from consensus.records import RECORD_CODEC, FloorRecord, LogRecord, signing_floor
from node.config import NodeConfig
from node.errors import SignerFault
from node.home import Home
from node.node import Node, check_disk
from node.opened import OpenedHome, open_home

SWITCH_INTERVAL_S: Final = 0.0002
"""How long a thread may keep the interpreter while another waits for it. The default of 5 ms would cost every vote as much, and
would let a busy loop starve the threads that verify signatures, which wait for the interpreter after each one."""
GC_THRESHOLD: Final = 50_000
"""Allocations between collections of the youngest objects; the records of a block are no cycles."""
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def find_loop_factory(config: NodeConfig) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the faster event loop, if it is wanted and installed."""
    if not config.use_uvloop or importlib.util.find_spec("uvloop") is None:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    return factory


def run_node(home: Home, config: NodeConfig, password: bytes | None) -> None:
    """Run a node until a signal ends it.

    Raises:
        ConfigError, SignerFault, StorageFault: what the operator must look after.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(GC_THRESHOLD, 20, 50)
    if home.data.is_dir():
        check_disk(home, config)
    opened = open_home(home, config, password)
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
    """W6: follow the network without signing until this node is in step; return a position that it surely never passed.

    None if a signal came. The margin covers views that others have entered and this node has not heard of.

    Raises:
        SignerFault: somebody else votes with this node's key.
    """
    node = Node(opened, records, (0, 0), None)
    seconds = 2 * opened.chain.params().consensus.timer_max_ms // 1_000
    node.log.warning("observing", seconds=seconds, why="resume_after is observe; nothing is signed until then")
    async with asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(_stop_when_in_step(node, seconds))
        await run_until_signal(node)
        watch.cancel()
    if node.is_interrupted:
        return None
    if node.driver.halted is not None:
        raise SignerFault(f"{node.driver.halted}; stop the other process before this node may sign")
    core = node.driver.consensus.node
    node.log.warning("observed", epoch=core.state.number, view=core.view, margin=VIEWS_AHEAD_MAX)
    return core.state.number, core.view + VIEWS_AHEAD_MAX


async def _stop_when_in_step(node: Node, seconds: int) -> None:
    """Stop a node once it was connected and in step with its peers' claims for some seconds on end."""
    calm_s = 0
    while calm_s < seconds and node.driver.halted is None:
        await asyncio.sleep(1)
        syncing, tip = node.driver.syncing, node.driver.chain.tip.block
        is_in_step = bool(syncing.claims) and not syncing.is_active and max(syncing.claims.values()) <= tip.height + 1
        calm_s = calm_s + 1 if is_in_step else 0
    node.stop()
