"""attest with GPUs: each is named once, is counted once on record, and counts no more when its vendor's root does not."""

from __future__ import annotations

from hashlib import sha256

import pytest
from msgspec.structs import replace

from state.attestation import gpu_nonce
from state.block import BlockReference
from state.runtime.explain import Check, explain
from state.runtime.reasons import TransactionReason
from state.runtime.trust.enclaves import release_platform
from state.runtime.trust.judgement import platforms_of
from state.runtime.trust.rules import distrust_root
from state.trust_messages import GPUS_MAX, Attest, GpuEvidence
from state.trust_records import PLATFORMS
from tests.support.attesting import FEE, PROVIDER, Lab, enclave_key, list_verifications
from tests.support.chain_builders import make_genesis
from tests.support.nvidia_pki import ROOT, Report
from tests.support.p384_certificates import issue


def make_report() -> Report:
    """Return a report whose certificates are valid at the time of the lab."""
    report = Report()
    return replace(
        report,
        chain=tuple(replace(each, not_before_s=1_700_000_000, not_after_s=1_900_000_000) for each in report.chain),
    )


NVIDIA_ROOT = issue(make_report().chain[ROOT])


@pytest.fixture
def lab() -> Lab:
    """Give a lab that trusts the maker of the GPU."""
    genesis = make_genesis()
    return Lab(replace(genesis, simulated_roots=(*genesis.simulated_roots, NVIDIA_ROOT)))


def attest_with_gpu(lab: Lab, count: int) -> Attest:
    """Return the attestation of a machine that names its one GPU so many times."""
    nonce = gpu_nonce(
        chain_id=lab.chain_id,
        sign_key=enclave_key(0).public_key,
        challenge_height=lab.height,
        challenge_hash=lab.hashes[lab.height],
    )
    report = replace(make_report(), request=b"\x11\xe0\x01\xff" + nonce + b"\x00")
    gpus = (GpuEvidence(report=report.encode(), chain=report.encode_chain()),) * count
    return lab.attest_message(bound={"gpus": gpus}, gpus=gpus)


def test_a_gpu_that_is_named_twice_is_refused(lab: Lab) -> None:
    assert lab.reason(PROVIDER, attest_with_gpu(lab, 2)) == TransactionReason.PLATFORM_REPEATED
    assert lab.find_enclave() is None
    assert lab.reason(PROVIDER, attest_with_gpu(lab, 1)) == ""
    assert lab.reason(PROVIDER, attest_with_gpu(lab, 2)) == TransactionReason.PLATFORM_REPEATED
    gpu = platforms_of(lab.enclave())[-1]
    assert lab.ledger.get(PLATFORMS, gpu).enclave_count == 1


def test_a_gpu_is_counted_off_once_when_its_enclave_gives_it_up(lab: Lab) -> None:
    lab.send(PROVIDER, attest_with_gpu(lab, 1))
    gpu = platforms_of(lab.enclave())[-1]
    assert lab.reason(PROVIDER, attest_with_gpu(lab, 0)) == ""
    assert lab.ledger.get(PLATFORMS, gpu).enclave_count == 0


def test_platforms_of_an_enclave_are_told_once_each(lab: Lab) -> None:
    lab.send(PROVIDER, attest_with_gpu(lab, 1))
    enclave = lab.enclave()
    assert platforms_of(replace(enclave, gpus=enclave.gpus * 2)) == platforms_of(enclave)


def test_a_platform_that_nobody_holds_is_not_given_up(lab: Lab) -> None:
    lab.send(PROVIDER, attest_with_gpu(lab, 1))
    gpu = platforms_of(lab.enclave())[-1]
    lab.send(PROVIDER, attest_with_gpu(lab, 0))
    with pytest.raises(AssertionError, match="a platform counts"):
        lab.govern(lambda context: release_platform(context, gpu))


def test_enclaves_with_gpus_do_not_stand_without_a_root_of_their_maker(lab: Lab) -> None:
    lab.send(PROVIDER, attest_with_gpu(lab, 1))
    lab.attest(1)
    lab.govern(lambda context: distrust_root(context, sha256(NVIDIA_ROOT).digest()))
    lab.apply()
    assert lab.state_of(0) == ("suspended", 0, "root_distrusted")
    assert lab.state_of(1) == ("trusted", 5, "")


def explain_counting(lab: Lab, monkeypatch: pytest.MonkeyPatch, *messages: Attest) -> tuple[dict[str, Check], int]:
    """Return the checks of a dry run by name, and how many times it verified evidence."""
    verified = list_verifications(monkeypatch)
    tip = BlockReference(block_hash=lab.parent_hash, height=lab.height, time_ms=lab.time_ms, result=bytes(32))
    checks = explain(lab.ledger, lab.sign(PROVIDER, *messages, fee=FEE), lab.time_ms, tip)
    return {check.name: check for check in checks}, len(verified)


def test_a_dry_run_verifies_one_gpu(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    checks, verified_count = explain_counting(lab, monkeypatch, attest_with_gpu(lab, 1))
    assert [check for check in checks.values() if not check.ok] == []
    assert verified_count == 1


@pytest.mark.parametrize("count", [2, GPUS_MAX])
def test_a_dry_run_verifies_nothing_of_an_attestation_with_more_gpus(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    checks, verified_count = explain_counting(lab, monkeypatch, attest_with_gpu(lab, count))
    refused = checks["message 0 attest: evidence"]
    assert (refused.ok, refused.reason, refused.seen, refused.bound) == (False, "too_many_gpus", str(count), "1")
    assert checks["message 0 attest"] == replace(refused, name="message 0 attest")
    assert verified_count == 0


def test_a_dry_run_verifies_evidence_that_is_refused_only_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = attest_with_gpu(lab, 1)
    (gpu,) = genuine.gpus
    checks, verified_count = explain_counting(
        lab, monkeypatch, replace(genuine, gpus=(replace(gpu, report=gpu.report[:-1]),))
    )
    assert checks["message 0 attest"].reason == checks["message 0 attest: evidence"].reason != "not_made"
    assert verified_count == 1


def test_a_dry_run_runs_no_message_of_a_transaction_with_more_large_ones_than_a_block_takes(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks, verified_count = explain_counting(lab, monkeypatch, *[attest_with_gpu(lab, 1)] * 2)
    assert checks["size"].reason == TransactionReason.TOO_MANY_LARGE_MESSAGES
    assert [name for name in checks if name.startswith("message")] == []
    assert verified_count == 0
