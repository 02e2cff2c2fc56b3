"""Networks of real nodes under measurement: what their processes cost, and quantiles of samples."""

from __future__ import annotations

import math
import os
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bocc.testnet.layout import Layout, prepare_network
from bocc.testnet.network import Network
from bocc.testnet.record import NodeRecord

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@contextmanager
def fresh_network() -> Iterator[Network]:
    """Make the homes of four validators, which the caller starts; nothing of them remains afterwards."""
    with tempfile.TemporaryDirectory(prefix="bocc-bench-") as directory:
        network = Network(Path(directory) / "net")
        prepare_network(network, Layout(4, takes_any_port=True))
        try:
            yield network
        finally:
            network.stop()


def cpu_s(node: NodeRecord) -> float:
    """Return the seconds of CPU that a node has used."""
    parts = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / TICKS_PER_SECOND


def memory_mib(node: NodeRecord) -> float:
    """Return the resident memory of a node."""
    for line in Path(f"/proc/{node.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def loop_lags(node: NodeRecord) -> dict[float, float]:
    """Return how many times a node's loop was late, by the bounds of its histogram, each with all below it."""
    with urllib.request.urlopen(node.metrics, timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    buckets = [line for line in lines if line.startswith("bocc_loop_lag_seconds_bucket")]
    return {float(line.split('le="')[1].split('"')[0]): float(line.rpartition(" ")[2]) for line in buckets}


class Meter:
    """The CPU that nodes use from now on, and how late their loops are."""

    def __init__(self, nodes: Sequence[NodeRecord]) -> None:
        self._nodes = nodes
        self._before = [cpu_s(node) for node in nodes]
        self._lags = [loop_lags(node) for node in nodes]
        self._started = time.monotonic()

    def show(self, count: int) -> str:
        """Return the cores in use since the start, and what each of so many things cost a node."""
        elapsed = time.monotonic() - self._started
        spent = [cpu_s(node) - before for node, before in zip(self._nodes, self._before, strict=True)]
        cores = ", ".join(f"{each / elapsed:.2f}" for each in spent)
        per_each_ms = sum(spent) / len(spent) / count * 1000
        return (
            f"nodes {cores} cores, {per_each_ms:.2f} ms of a node for each, loops at most {self._latest_ms()} ms late"
        )

    def _latest_ms(self) -> str:
        """Return the bound below which every loop's lag has stayed since the start."""
        latest_s = 0.0
        for node, before in zip(self._nodes, self._lags, strict=True):
            late = {bound: count - before[bound] for bound, count in loop_lags(node).items()}
            latest_s = max(latest_s, min(bound for bound, count in late.items() if count == late[math.inf]))
        return f"{latest_s * 1000:.0f}"


def at(samples: Sequence[float], percent: int) -> float:
    """Return the sample of sorted ones below which this share of them lies."""
    return samples[min(len(samples) - 1, len(samples) * percent // 100)]
