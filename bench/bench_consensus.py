"""Processor time of one validator for one block, in networks of 4, 16, 64 and 100 validators with Ed25519 signatures.

The whole network runs in virtual time in this process, with the real driver, chain and log in memory. A few of its validators are
measured: their signatures are made and verified for themselves alone, and what the simulation itself costs is taken off. Each
block holds one transfer, so these are the costs of agreement.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from p2p.channels import Channel
from state.crypto import verify
from tests.simulation.host import Host
from tests.simulation.profiles import Profile, Work
from tests.simulation.world import World

SIZES = (4, 16, 64, 100)
MEASURED_MAX = 6
BLOCKS = 16
WARM_BLOCKS = 3
LIMIT_MS = 60_000


class Meter:
    """Processor time of some hosts of a world, without the world's own."""

    def __init__(self, world: World, hosts: list[Host]) -> None:
        """Stand between these hosts and the world."""
        self.spent_ns = 0
        self.verified = 0
        self.received = 0
        self.is_running = False
        self._is_inside = False
        self._names = {host.name for host in hosts}
        self._transmit = world.transmit
        world.transmit = self._send  # type: ignore[method-assign]
        world.on_wire = lambda _host, _channel, _payload: None  # type: ignore[method-assign]
        world.checks.after_step = lambda _host: None  # type: ignore[method-assign]
        self._remembered = world.signatures.verify
        world.signatures.verify = self._verify  # type: ignore[method-assign]
        for host in hosts:
            host.enter = self._metered(host.enter)  # type: ignore[method-assign]

    def _metered(self, enter: Callable[..., None]) -> Callable[..., None]:
        def metered(action: object, *arguments: Any) -> None:  # Any: whatever the host is to do
            started = time.process_time_ns()
            self._is_inside = True
            enter(action, *arguments)
            self._is_inside = False
            if self.is_running:
                self.spent_ns += time.process_time_ns() - started

        return metered

    def _verify(self, public_key: bytes, signature: bytes, message: bytes) -> bool:
        """Verify anew for a measured host, once for all others."""
        if not self._is_inside:
            return self._remembered(public_key, signature, message)
        self.verified += self.is_running
        return verify(public_key, signature, message)

    def _send(self, source: Host, target: str, channel: Channel, payload: bytes) -> None:
        started = time.process_time_ns()
        if self.is_running and target in self._names:
            self.received += 1
        self._transmit(source, target, channel, payload)
        if self.is_running and self._is_inside:
            self.spent_ns -= time.process_time_ns() - started


def final_transfer(world: World) -> None:
    """Send a transfer, and run until it is final everywhere."""
    height = world.checks.height + 1
    world.workload.send_transfer()
    if not world.run(LIMIT_MS, lambda: all(host.height >= height for host in world.honest)):
        raise SystemExit(f"no block in {LIMIT_MS} ms of virtual time")


def measure(size: int) -> None:
    world = World(0, Profile(name="bench", powers=(1,) * size, work=Work.IDLE, is_real=True))
    names = list(world.hosts)
    measured = names[:: max(1, size // MEASURED_MAX)][:MEASURED_MAX]
    world.checks.wire.check_certificate = lambda _certificate: None  # type: ignore[method-assign]
    world.checks.wire.is_nullified = lambda _epoch, _view: True  # type: ignore[method-assign]
    meter = Meter(world, [world.hosts[name] for name in measured])
    world.start()
    world.run(1_000)
    for _ in range(WARM_BLOCKS):
        final_transfer(world)
    first = world.checks.height
    meter.is_running = True
    for _ in range(BLOCKS):
        final_transfer(world)
    blocks = world.checks.height - first
    shares = blocks * len(measured)
    print(
        f"  {size:4} validators: {meter.spent_ns / shares / 1e6:8.2f} ms per block and validator, "
        f"{meter.received / shares:7.1f} messages in, {meter.verified / shares:7.1f} signatures verified",
        flush=True,
    )


def main() -> None:
    for size in SIZES:
        measure(size)


if __name__ == "__main__":
    sys.exit(main())
