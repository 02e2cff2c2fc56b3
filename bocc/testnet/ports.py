"""Ports of a local network: base + 10 x node + offset, so that a person can guess them."""

from __future__ import annotations

import socket
from collections.abc import Callable
from random import Random
from typing import Final

from bocc.errors import InputReason, InputRejected

BASE_PORT: Final = 9700
"""First choice: the RPC of node0 is 9701."""
NODE_STRIDE: Final = 10
P2P_OFFSET: Final = 0
RPC_OFFSET: Final = 1
METRICS_OFFSET: Final = 2
HOST: Final = "127.0.0.1"
_OFFSETS: Final = (P2P_OFFSET, RPC_OFFSET, METRICS_OFFSET)
_BLOCK_STRIDE: Final = 100
_BLOCKS_TRIED: Final = 200
_AUTO_FIRST, _AUTO_LAST = 10_000, 32_000
"""Below the range from which the kernel takes the ports of outgoing connections."""

Probe = Callable[[int], bool]


def is_free(port: int) -> bool:
    """Tell whether a server could listen on a port of this machine now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def block_ports(base: int, node_count: int) -> list[int]:
    """Return every port of a network at this base."""
    return [base + NODE_STRIDE * node + offset for node in range(node_count) for offset in _OFFSETS]


def require_base(base: int, node_count: int, probe: Probe = is_free) -> int:
    """Return the base that was asked for, if all its ports are free.

    Raises:
        InputRejected: PORTS_TAKEN.
    """
    ports = block_ports(base, node_count)
    if base < 1 or ports[-1] > 65_535:
        raise InputRejected(InputReason.PORTS_TAKEN, f"ports {base} to {ports[-1]}", "1 to 65535")
    taken = [port for port in ports if not probe(port)]
    if taken:
        raise InputRejected(InputReason.PORTS_TAKEN, ", ".join(map(str, taken)))
    return base


def find_base(node_count: int, first: int = BASE_PORT, probe: Probe = is_free) -> int:
    """Return the first base, from the usual one upwards, whose ports are all free.

    Raises:
        InputRejected: PORTS_TAKEN.
    """
    stride = max(_BLOCK_STRIDE, NODE_STRIDE * node_count)
    for base in range(first, min(first + stride * _BLOCKS_TRIED, 65_000), stride):
        if all(probe(port) for port in block_ports(base, node_count)):
            return base
    raise InputRejected(InputReason.PORTS_TAKEN, f"every block from {first} on")


def random_base(node_count: int, random: Random, probe: Probe = is_free) -> int:
    """Return a random base whose ports are all free; two networks that start at once hardly meet.

    Raises:
        InputRejected: PORTS_TAKEN.
    """
    for _ in range(_BLOCKS_TRIED):
        base = random.randrange(_AUTO_FIRST, _AUTO_LAST - NODE_STRIDE * node_count, NODE_STRIDE)
        if all(probe(port) for port in block_ports(base, node_count)):
            return base
    raise InputRejected(InputReason.PORTS_TAKEN, f"random blocks between {_AUTO_FIRST} and {_AUTO_LAST}")
