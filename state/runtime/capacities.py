"""Arithmetic of capacities: sums, multiples, differences, and whether one fits into another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from state.errors import TransactionRejected
from state.offers import Capacity, GpuCount
from state.runtime.reasons import TransactionReason

SCALARS: Final = ("vcpus", "memory_mib", "disk_mib", "network_mbps")
"""Fields of a capacity that are one amount each."""


def scale_capacity(capacity: Capacity, quantity: int) -> Capacity:
    """Return a multiple of a capacity, which may be more than any record can hold."""
    return _combine(capacity, capacity, lambda amount, _: amount * quantity)


def subtract_capacity(minuend: Capacity, part: Capacity) -> Capacity:
    """Return what is left of a capacity of which a part is taken away that it holds."""
    return _combine(minuend, part, lambda amount, taken: amount - taken)


def add_capacity(in_use: Capacity, more: Capacity, limit: Capacity) -> Capacity:
    """Return the sum of two capacities, within a limit.

    Raises:
        TransactionRejected: CAPACITY_TOO_LOW.
    """
    total = _combine(in_use, more, lambda amount, added: amount + added)
    check_capacity_fits(total, limit)
    return total


def sum_capacity(first: Capacity, second: Capacity) -> Capacity:
    """Return the sum of what two programs need beside each other."""
    return _combine(first, second, lambda amount, other: amount + other)


def check_capacity_fits(needed: Capacity, limit: Capacity) -> None:
    """Check that a capacity has at least what is needed of everything.

    Raises:
        TransactionRejected: CAPACITY_TOO_LOW.
    """
    for name in SCALARS:
        if getattr(needed, name) > getattr(limit, name):
            seen, bound = f"{name} {getattr(needed, name)}", f"{name} {getattr(limit, name)}"
            raise TransactionRejected(TransactionReason.CAPACITY_TOO_LOW, seen, bound)
    counts = {gpu.model: gpu.count for gpu in limit.gpus}
    for gpu in needed.gpus:
        if gpu.count > counts.get(gpu.model, 0):
            seen, bound = f"{gpu.model} {gpu.count}", f"{gpu.model} {counts.get(gpu.model, 0)}"
            raise TransactionRejected(TransactionReason.CAPACITY_TOO_LOW, seen, bound)


def _combine(first: Capacity, second: Capacity, operation: Callable[[int, int], int]) -> Capacity:
    counts = [{gpu.model: gpu.count for gpu in capacity.gpus} for capacity in (first, second)]
    totals = {model: operation(counts[0].get(model, 0), counts[1].get(model, 0)) for model in counts[0] | counts[1]}
    return Capacity(
        vcpus=operation(first.vcpus, second.vcpus),
        memory_mib=operation(first.memory_mib, second.memory_mib),
        disk_mib=operation(first.disk_mib, second.disk_mib),
        network_mbps=operation(first.network_mbps, second.network_mbps),
        gpus=tuple(GpuCount(model=model, count=totals[model]) for model in sorted(totals) if totals[model]),
    )
