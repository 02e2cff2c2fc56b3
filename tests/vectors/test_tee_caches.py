"""What tee remembers changes no byte of a verdict: all public vectors, with nothing remembered and with everything."""

from __future__ import annotations

from pathlib import Path

from tests.support.evidence_vectors import Vector, load_vectors, simulate_vectors
from tests.support.tee_caches import clear_caches, find_caches


def verdict_with_nothing_remembered(vector: Vector) -> bytes:
    clear_caches()
    return vector.verdict()


def compare(vectors: list[Vector]) -> int:
    """Compare verdicts with empty caches, caches that others filled, and in the other order; return how many there are."""
    cold = {vector.name: verdict_with_nothing_remembered(vector) for vector in vectors}
    assert len(cold) == len(vectors)
    clear_caches()
    assert {vector.name: vector.verdict() for vector in vectors} == cold
    assert {vector.name: vector.verdict() for vector in reversed(vectors)} == cold
    return len(cold)


def test_public_vectors_have_the_same_verdict_bytes_whatever_was_verified_before(shared_dir: Path) -> None:
    assert compare(load_vectors(shared_dir)) == 327


def test_simulated_evidence_has_the_same_verdict_bytes_whatever_was_verified_before() -> None:
    assert compare(simulate_vectors()) == 6


def test_every_cache_is_found_and_is_filled_by_the_evidence_of_all_families() -> None:
    clear_caches()
    assert all(cache.cache_info().currsize == 0 for cache in find_caches().values())
    for vector in simulate_vectors():
        vector.judge()
    assert [name for name, cache in find_caches().items() if not cache.cache_info().currsize] == []


def test_every_cache_is_bounded() -> None:
    assert {
        name: cache.cache_info().maxsize for name, cache in find_caches().items() if not cache.cache_info().maxsize
    } == {}
