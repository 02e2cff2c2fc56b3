"""Networks of real nodes under measurement: what their processes cost, and quantiles of samples."""

from __future__ import annotations

import os
import tempfile
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


def at(samples: Sequence[float], percent: int) -> float:
    """Return the sample of sorted ones below which this share of them lies."""
    return samples[min(len(samples) - 1, len(samples) * percent // 100)]
