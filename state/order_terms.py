"""What orders consist of: lines, the work, who may open its output. These parts stand in messages and in records alike.

Source: runtime specification, d.1.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from state.codec import Amount, Hash, OptionalHash, UInt, Wire
from state.offers import BasisPoints, Capacity, DurationMs, Plan

LINES_MAX: Final = 16
AFTER_MAX: Final = 8
INPUTS_MAX: Final = 16
"""Inputs of a start: an order's lines with content, and the outputs that it waits for, together."""
"""Orders whose outputs one order waits for."""
ATTEMPTS_MAX: Final = 16
CONTRIBUTORS_MAX: Final = 16
QUANTITY_MAX: Final = 1_000_000

OptionalAddress = Annotated[bytes, Meta(max_length=21)]
"""An address, or no bytes; the handler checks that it is one of the two."""
Reference = Annotated[str, Meta(max_length=256)]
"""Where something is kept, for those who fetch it; the chain does not look."""


class LineRole(IntEnum):
    """What a line of an order is for."""

    DATA = 1
    SOFTWARE = 2
    COMPUTE = 3
    """The machine that runs the work; each order has one such line, its first."""
    STORAGE = 4
    """A machine that keeps something; no enclave of it speaks for the order."""


class OrderLine(Wire, frozen=True):
    """One thing that an order uses, as the customer asks for it."""

    role: LineRole
    resource: OptionalAddress
    """No bytes: any hardware that fits; for COMPUTE alone."""
    release: UInt
    """Of DATA and SOFTWARE; 0 for others."""
    plan: Annotated[int, Meta(ge=0, le=255)]
    """Number of the resource's plan; 0 for any hardware."""
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]
    """Units of the plan at a time: machines' slices, gigabytes."""
    price_max: Amount
    """ubocc per unit at most, so that a change of plans cannot overtake an order."""


class MachineTerms(Wire, frozen=True):
    """What any hardware must offer and promise where an order names none: who accepts brings a plan of its own making."""

    capacity: Capacity
    """For each unit, at least."""
    beat_every_ms_max: DurationMs
    """Proof at least this often; some is always needed."""
    grace_ms_max: DurationMs
    penalty_bp_min: BasisPoints
    notice_ms_min: DurationMs
    """So that no provider leaves at will without a penalty."""
    min_term_ms_max: DurationMs
    """So that no plan makes leaving as dear as the whole deposit."""


class AgreedLine(Wire, frozen=True):
    """A line with the plan that it runs under, which nothing changes later."""

    role: LineRole
    resource: OptionalAddress
    release: UInt
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]
    price_max: Amount
    plan: Plan | None
    """None for any hardware: whoever accepts brings it."""
    content_root: OptionalHash
    """Of the release; the start receipt must name it. No bytes for hardware."""
    is_sealed: bool
    """Whether somebody must release a key before the work may start."""


class Workload(Wire, frozen=True):
    """What shall be done, by digests; the arguments themselves travel sealed."""

    args_digest: Hash
    """The start receipt must name it."""
    args_reference: Reference
    manifest_root: OptionalHash


class Mark(IntEnum):
    """What a customer thinks of a closed order."""

    NONE = 0
    GOOD = 1
    BAD = 2


class ServiceEndpoint(Wire, frozen=True):
    """Where a running order serves, so that clients may pin its key from the chain."""

    domain: Annotated[str, Meta(min_length=1, max_length=128)]
    tls_key: Hash
    """SHA-256 of the public key of its TLS certificate."""


class Meter(Wire, frozen=True):
    """What the work has used since it started, by the enclave's own count."""

    cpu_ms: UInt
    gpu_ms: UInt
    storage_gb_s: UInt
    network_bytes: UInt


class OutputOfOrder(Wire, frozen=True):
    """What an order gave."""

    root: Hash
    reference: Reference
    """Where its sealed form is."""
