"""Microseconds of CPU per verification of evidence: with stored collateral, with nothing remembered, beside dcap-qvl, and at worst.

`python -m bench tee`. Evidence is that of the public vectors if they lie beside the checkout, otherwise made by software. Stored
collateral means that documents and vendors' authorities were met before, and the machine was not: its keys are loaded anew in
each run. Nothing remembered means that all caches are empty and the collateral comes with the evidence. dcap-qvl checks both
each time; the two run in turns, and the ratio is the median of the ratios of the pairs.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median

import dcap_qvl

from bench.tee_costly_inputs import CostlyInput, find_costly_inputs
from tee.errors import EvidenceRejected
from tee.intel_chain import check_pck_chain
from tee.intel_quote import parse_quote
from tee.roots import TrustedRoot
from tests.support.dcap_peer import write_peer_collateral
from tests.support.evidence_vectors import Vector, load_vectors, simulate_vectors
from tests.support.tee_caches import clear_caches, find_caches

SHARED = Path(__file__).resolve().parents[2] / "shared"
REAL = (
    "tdx/v4-b0c06f-uptodate#0",
    "tdx/v5-90c06f-uptodate#0",
    "sgx/v3-00606a-swh#0",
    "snp/v5-genoa",
    "nitro/2022-prod",
    "nvidia/hopper-driver-550",
)
KEYS = "tee.signatures._find_ec_key"
"""The cache of loaded keys, those of the machine among them."""
ROUNDS = 300
COLD_ROUNDS = 60
COSTLY_ROUNDS = 5
GOAL_US = 450
GOAL_RATIO = 1.5


def main() -> None:
    vectors = find_vectors()
    print(f"evidence: {', '.join(sorted({vector.origin for vector in vectors}))}; medians in us of CPU")
    print(f"{'':28}{'stored':>9}{'(p10)':>8}{'nothing':>10}{'dcap-qvl':>10}{'(p10)':>8}{'ratio':>7}")
    for vector in vectors:
        print(compare(vector))
    print("\nmost expensive inputs found, once genuine evidence was seen")
    for family, costly in group(list(find_costly_inputs())).items():
        print(f"  {family}")
        for us, each in sorted(((measure_once_seen(each), each) for each in costly), key=lambda row: -row[0]):
            note = "  (only a vendor can send it)" if each.is_signed else ""
            print(f"    {us:8.0f} us {each.size:8} bytes {us * 1000 / each.size:6.0f} ns per byte  {each.name}{note}")


def find_vectors() -> list[Vector]:
    """Return one piece of evidence per kind."""
    if not (SHARED / "evidence").is_dir():
        return simulate_vectors()
    by_name = {vector.name: vector for vector in load_vectors(SHARED)}
    return [by_name[name] for name in REAL]


def compare(vector: Vector) -> str:
    """Return the line of one kind of evidence."""
    judge = vector.prepare()
    keys = find_caches()[KEYS]
    stored: list[int] = []
    peer: list[int] = []
    ask_peer = find_peer(vector)
    for _ in range(ROUNDS):
        keys.cache_clear()
        remember_authority(vector)
        # The peer comes between, so that neither finds the processor warm from its own work.
        if ask_peer is not None:
            peer.append(clock(ask_peer))
        stored.append(clock(lambda: judge(vector.parts)))
    nothing = []
    for _ in range(COLD_ROUNDS):
        clear_caches()
        nothing.append(clock(vector.judge))
    line = f"{vector.name:28}{median(stored) / 1000:9.0f}{tenth(stored) / 1000:8.0f}{median(nothing) / 1000:10.0f}"
    if not peer:
        return line
    ratio = median(theirs / ours for ours, theirs in zip(stored, peer, strict=True))
    verdict = ""
    if vector.name.startswith("tdx") and "v4" in vector.name:
        is_met = median(stored) <= 1000 * GOAL_US and ratio >= GOAL_RATIO
        verdict = f"  goal {GOAL_US} us, {GOAL_RATIO}: {'met' if is_met else 'MISSED'}"
    return f"{line}{median(peer) / 1000:10.0f}{tenth(peer) / 1000:8.0f}{ratio:7.2f}{verdict}"


def remember_authority(vector: Vector) -> None:
    """Load the key of Intel's CA again, which all machines share."""
    if vector.files:
        roots = (TrustedRoot(der=vector.root, is_simulated=False),)
        check_pck_chain(parse_quote(vector.parts[0]).pck_chain, roots, vector.time_s)


def find_peer(vector: Vector) -> Callable[[], object] | None:
    """Return the whole check of dcap-qvl on the same input, for Intel's evidence."""
    if not vector.files:
        return None
    collateral = write_peer_collateral(vector.files)
    return lambda: dcap_qvl.verify_with_root_ca(vector.parts[0], collateral, vector.root, vector.time_s)


def clock(run: Callable[[], object]) -> int:
    """Return the nanoseconds of CPU of one run, which other processes disturb less than its duration."""
    start = time.thread_time_ns()
    run()
    return time.thread_time_ns() - start


def tenth(samples: list[int]) -> int:
    """Return the time that a tenth of the runs stayed below: what a machine does that does nothing else."""
    return sorted(samples)[len(samples) // 10]


def group(costly: list[CostlyInput]) -> dict[str, list[CostlyInput]]:
    families: dict[str, list[CostlyInput]] = {}
    for each in costly:
        families.setdefault(each.family, []).append(each)
    return families


def measure_once_seen(costly: CostlyInput) -> float:
    """Return the least CPU time of an input that was not met before, in microseconds; a warm validator is what it meets."""
    best = float("inf")
    for _ in range(COSTLY_ROUNDS):
        clear_caches()
        for vector in simulate_vectors():
            vector.judge()
        gc.collect()
        start = time.thread_time_ns()
        with suppress(EvidenceRejected):
            costly.run()
        best = min(best, (time.thread_time_ns() - start) / 1000)
    return best


if __name__ == "__main__":
    main()
