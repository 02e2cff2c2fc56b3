"""All verdicts on all worlds of simulated hardware, as bytes and as one digest."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from msgspec import msgpack

from tee.errors import EvidenceRejected
from tests.support.simulated_judge import judge
from tests.support.simulated_late_faults import ALL_FAULTS
from tests.support.simulated_world import SGX_WORLD, TDX_15_WORLD, TDX_WORLD, World


def verdict_bytes(world: World) -> bytes:
    """Return a verdict as bytes: what was verified, or the whole rejection."""
    try:
        return msgpack.encode(judge(world))
    except EvidenceRejected as rejection:
        return msgpack.encode((rejection.reason, rejection.seen, rejection.bound))


def digest_verdicts() -> str:
    """Return SHA-256 over all verdicts and the evidence that they are on, in hex."""
    digest = sha256()
    for world in _worlds():
        files = world.files()
        for part in (world.quote(), *(files[name] for name in sorted(files)), verdict_bytes(world)):
            digest.update(len(part).to_bytes(4, "big") + part)
    return digest.hexdigest()


def _worlds() -> Iterator[World]:
    yield from (TDX_WORLD, TDX_15_WORLD, SGX_WORLD)
    yield from (fault.world() for fault in ALL_FAULTS)
