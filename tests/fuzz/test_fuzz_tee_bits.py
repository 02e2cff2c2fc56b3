"""Every single bit of genuine evidence counts: changed alone, it is refused.

`make test` tries a sample of the bits; `make fuzz`, which names a number of rounds, all of them.
"""

from __future__ import annotations

import random
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tee.errors import EvidenceRejected
from tests.support.evidence_vectors import Vector, load_vectors

PARTS: Final = {
    "tdx/v4-b0c06f-uptodate#0": 1,
    "tdx/v5-90c06f-uptodate#0": 1,
    "sgx/v3-00606a-swh#0": 1,
    "snp/v5-genoa": 2,
    "snp/v5-turin": 2,
    "snp/v3-milan-vlek-aws": 2,
    "nitro/2022-prod": 1,
    "nitro/2026-prod-indefinite-map": 1,
    "nvidia/hopper-driver-550": 6,
}
"""Evidence whose bits are changed, and of how many parts it consists."""

SAMPLED_BITS: Final = 400
"""Bits to try in each part by default."""


@cache
def find_vector(shared_dir: Path, name: str) -> Vector:
    return next(vector for vector in load_vectors(shared_dir) if vector.name == name)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "number"), [(name, part) for name, count in PARTS.items() for part in range(count)])
def test_every_single_bit_of_genuine_evidence_counts(
    shared_dir: Path,
    request: pytest.FixtureRequest,
    record_property: pytest.RecordProperty,
    name: str,
    number: int,
) -> None:
    vector = find_vector(shared_dir, name)
    judge = vector.prepare()
    assert judge(vector.parts)
    part = vector.parts[number]
    places = range(8 * len(part))
    if request.config.getoption("rounds", None) is None:
        places = random.Random(f"{name} {number}").sample(places, SAMPLED_BITS)
    reasons: Counter[str] = Counter()
    for place in places:
        changed = bytearray(part)
        changed[place // 8] ^= 1 << place % 8
        try:
            judge((*vector.parts[:number], bytes(changed), *vector.parts[number + 1 :]))
        except EvidenceRejected as rejection:
            reasons[rejection.reason.name] += 1
        else:
            pytest.fail(f"bit {place} of part {number} of {name} is not checked")
    record_property("figures", f"{len(places)} of {8 * len(part)} bits refused, for {len(reasons)} reasons")
    assert reasons.total() == len(places)


def test_the_sweep_covers_all_parts_of_one_real_sample_of_each_family(shared_dir: Path) -> None:
    vectors = [find_vector(shared_dir, name) for name in PARTS]
    assert {vector.family for vector in vectors} == {vector.family for vector in load_vectors(shared_dir)}
    assert {vector.origin for vector in vectors} == {"real"}
    assert [len(vector.parts) for vector in vectors] == list(PARTS.values())
