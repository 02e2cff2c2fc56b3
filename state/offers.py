"""What resources consist of and offer: releases with their measurements and provenance, plans, capacity, shares of income.

These parts stand in messages and in records alike (runtime specification, d.1). A profile names registers as the claims of
tee/claims.py do; state/runtime/trust/profiles.py compares them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from state.codec import Address, Amount, Hash, OptionalHash, UInt, Wire
from state.params import BASIS_POINTS, DURATION_MS_MAX

REGISTERS_MAX: Final = 40
"""Registers of one profile: Nitro has 32 PCRs, TDX a dozen fields."""
ATTRIBUTES_MAX: Final = 8
PROFILES_MAX: Final = 8
LOCATORS_MAX: Final = 8
PLANS_MAX: Final = 16
PAYEES_MAX: Final = 16
GPU_MODELS_MAX: Final = 8

RegisterName = Annotated[str, Meta(min_length=1, max_length=16, pattern=r"^[a-z0-9_]+\Z")]
Words = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[a-z0-9_.-]+\Z")]
"""A short machine-readable name, such as a class of resources or a claim. Patterns end in \\Z: $ lets a line end pass."""
Title = Annotated[str, Meta(min_length=1, max_length=64)]
Locator = Annotated[str, Meta(min_length=1, max_length=256)]
DurationMs = Annotated[int, Meta(ge=0, le=DURATION_MS_MAX)]
BasisPoints = Annotated[int, Meta(ge=0, le=BASIS_POINTS)]


class ResourceKind(IntEnum):
    """What a resource is."""

    DATA = 1
    SOFTWARE = 2
    HARDWARE = 3


class Register(Wire, frozen=True):
    """A measurement that an enclave must have."""

    name: RegisterName
    """`mr_td`, `rtmr0`, `pcr4`, ...: state/runtime/trust/profiles.py lists those of each TEE."""
    expected: Annotated[bytes, Meta(min_length=1, max_length=64)]


class AttributeRule(Wire, frozen=True):
    """Bits of an attribute that an enclave must have: attribute & mask = expected."""

    name: RegisterName
    """`td_attributes`, `xfam`, `attributes`, `misc_select`, `policy`, `platform_info`."""
    mask: Annotated[bytes, Meta(min_length=1, max_length=16)]
    expected: Annotated[bytes, Meta(min_length=1, max_length=16)]
    """As long as the mask, and no bit outside of it. Numbers are big-endian, as wide as the attribute."""


class Profile(Wire, frozen=True):
    """How an enclave of one TEE that runs a release measures."""

    tee: Annotated[int, Meta(ge=1, le=255)]
    """Kind of evidence (tee/evidence.py)."""
    registers: Annotated[tuple[Register, ...], Meta(min_length=1, max_length=REGISTERS_MAX)]
    """Sorted by name, distinct; at least those that identify the program, never its signer alone."""
    attributes: Annotated[tuple[AttributeRule, ...], Meta(max_length=ATTRIBUTES_MAX)]
    """Sorted by name, distinct."""
    svn_min: Annotated[int, Meta(ge=0, lt=1 << 32)]
    """Least security version of the program: ISVSVN of SGX, guest SVN of SNP; 0 for others."""


class GpuCount(Wire, frozen=True):
    """GPUs of one model."""

    model: Words
    count: Annotated[int, Meta(ge=1, le=1_024)]


class Capacity(Wire, frozen=True):
    """Amounts of what a machine has, an order takes, or a release needs."""

    vcpus: Annotated[int, Meta(ge=0, le=1 << 20)]
    memory_mib: Annotated[int, Meta(ge=0, le=1 << 40)]
    disk_mib: Annotated[int, Meta(ge=0, le=1 << 50)]
    network_mbps: Annotated[int, Meta(ge=0, le=1 << 30)]
    gpus: Annotated[tuple[GpuCount, ...], Meta(max_length=GPU_MODELS_MAX)]
    """Sorted by model, distinct."""


NO_CAPACITY: Final = Capacity(vcpus=0, memory_mib=0, disk_mib=0, network_mbps=0, gpus=())


class Provenance(Wire, frozen=True):
    """Where a release comes from, so that anybody may make it again."""

    source_uri: Annotated[str, Meta(max_length=256)]
    commit: Annotated[bytes, Meta(max_length=32)]
    recipe_hash: OptionalHash


class ReleaseBody(Wire, frozen=True):
    """One release of data or software."""

    content_root: Hash
    sealed_root: OptionalHash
    """Of the encrypted form; none if it is public."""
    size: UInt
    """Bytes of the content."""
    locators: Annotated[tuple[Locator, ...], Meta(max_length=LOCATORS_MAX)]
    key_commit: OptionalHash
    """Commitment to the key of the encrypted form."""
    profiles: Annotated[tuple[Profile, ...], Meta(max_length=PROFILES_MAX)]
    """Of software that boots; an enclave must fit one of them."""
    requirements: Capacity
    provenance: Provenance


class PlanUnit(IntEnum):
    """What a price is for."""

    ONCE = 1
    SECOND = 2
    GB_SECOND = 3
    USE = 4


class ServiceLevel(Wire, frozen=True):
    """What a provider promises, and what breaking it costs."""

    beat_every_ms: DurationMs
    grace_ms: DurationMs
    penalty_bp: BasisPoints


class Plan(Wire, frozen=True):
    """Terms under which a resource can be ordered. Immutable; orders keep a copy."""

    number: Annotated[int, Meta(ge=0, le=255)]
    unit: PlanUnit
    price: Amount
    """ubocc per unit."""
    min_term_ms: DurationMs
    max_term_ms: DurationMs
    """After which an order ends by itself; 0: never."""
    capacity: Capacity
    """What one unit takes of a machine."""
    stock: UInt
    """How many may run at a time; 0: as many as fit."""
    service_level: ServiceLevel
    notice_ms: DurationMs
    keep_after_ms: DurationMs
    """How long data is kept after the money is out."""


class Payee(Wire, frozen=True):
    """An account's share of a resource's income."""

    account: Address
    share_bp: Annotated[int, Meta(ge=1, le=BASIS_POINTS)]
