"""attest with evidence of AMD, AWS and NVIDIA through whole blocks: what comes on record, and how it is renewed and ends."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from state.lists import ListKind
from state.receipts import EventKind
from state.records import ONLY
from state.runtime.trust.judgement import platforms_of
from state.trust_records import PLATFORMS, TRUST_BOOKS, EnclaveState, Platform
from tee.appraisal import PlatformClass
from tee.claims import NitroClaims, SnpClaims, SnpProduct
from tee.errors import Reason
from tests.support import nitro_pki
from tests.support.attesting import DAY_MS, PROVIDER, address
from tests.support.chain_builders import account
from tests.support.vendor_machines import (
    ARK,
    ASK,
    MODULE_ID,
    NITRO_ROOT,
    NVIDIA_ROOT,
    Machine,
    NitroMachine,
    VendorLab,
    make_gpu,
    snp_machine,
)

CHIP = bytes((PlatformClass.AMD_CHIP,)) + b"\1" * 64
INSTANCE = bytes((PlatformClass.NITRO_INSTANCE,)) + b"i-0123456789abcdef0"
MACHINES = [
    pytest.param(snp_machine(), CHIP, ARK.encode(), id="SEV-SNP"),
    pytest.param(NitroMachine(), INSTANCE, NITRO_ROOT, id="Nitro"),
]


@pytest.fixture
def lab() -> VendorLab:
    return VendorLab()


@pytest.mark.parametrize(("machine", "platform", "root"), MACHINES)
def test_a_machine_of_every_vendor_is_trusted_at_level_one_under_its_own_root(
    lab: VendorLab, machine: Machine, platform: bytes, root: bytes
) -> None:
    message = lab.message(machine)
    verification_root = lab.ledger.get(TRUST_BOOKS, ONLY).verification_root
    executed = lab.send(PROVIDER, message)
    enclave = lab.enclave()
    assert executed.receipts[0].reason == ""
    assert (enclave.state, enclave.level, enclave.standing, enclave.reason) == (EnclaveState.TRUSTED, 1, 5, "")
    assert (enclave.is_simulated, enclave.root) == (True, sha256(root).digest())
    assert (enclave.platform, platforms_of(enclave)) == (platform, (platform,))
    assert lab.ledger.get(PLATFORMS, platform) == Platform(
        owner=account(0), hardware=enclave.hardware, enclave_count=1, free_from_ms=0
    )
    assert (enclave.evidence_hash, enclave.verification_root) == (
        sha256(message.evidence).digest(),
        verification_root,
    )
    assert (enclave.attested_height, enclave.expires_ms) == (lab.height, lab.time_ms + 7 * DAY_MS)
    assert [event.kind for event in executed.events] == [EventKind.ATTESTED, EventKind.ENCLAVE_CHANGED]
    assert dict(executed.events[0].attributes)["is_simulated"] == 1


def test_the_claims_of_a_guest_of_amd_are_kept(lab: VendorLab) -> None:
    assert lab.refusal(snp_machine()) == ""
    claims = lab.enclave().claims
    assert isinstance(claims, SnpClaims)
    assert (claims.product, claims.chip_id, claims.measurement) == (SnpProduct.GENOA, b"\1" * 64, b"M" * 48)
    assert (claims.reported.snp, claims.vek_not_after_s, claims.flags) == (27, ASK.not_after_s, ())


def test_the_claims_of_an_enclave_of_aws_are_kept(lab: VendorLab) -> None:
    made_s = lab.now_s
    assert lab.refusal(NitroMachine()) == ""
    claims = lab.enclave().claims
    assert isinstance(claims, NitroClaims)
    assert (claims.module_id, claims.timestamp_ms, claims.flags) == (MODULE_ID, made_s * 1_000, ())
    assert claims.pcrs == tuple(nitro_pki.make_fields()["pcrs"].items())
    assert claims.leaf_not_after_s == made_s + 3 * nitro_pki.HOUR_S // 2


def test_a_gpu_comes_on_record_under_the_root_of_its_maker(lab: VendorLab) -> None:
    assert lab.reason(PROVIDER, lab.message_with_gpus(make_gpu(lab.nonce()))) == ""
    enclave = lab.enclave()
    (gpu,) = enclave.gpus
    name = bytes((PlatformClass.GPU,)) + gpu.device_key
    assert (gpu.root, gpu.driver_version, gpu.chip) == (sha256(NVIDIA_ROOT).digest(), "550.90.07", "device")
    assert platforms_of(enclave) == (CHIP, name)
    assert lab.ledger.get(PLATFORMS, name).owner == account(0)
    assert (enclave.level, enclave.is_simulated) == (1, True)


@pytest.mark.parametrize(("machine", "platform", "root"), MACHINES)
def test_a_renewal_changes_the_enclave_in_place(lab: VendorLab, machine: Machine, platform: bytes, root: bytes) -> None:
    assert lab.refusal(machine) == ""
    before, name = lab.enclave(), address(lab)
    lab.apply(interval_ms=DAY_MS)
    executed = lab.send(PROVIDER, lab.message(machine))
    after = lab.enclave()
    assert dict(executed.events[0].attributes)["is_renewal"] == 1
    assert (after.expires_ms, after.root) == (lab.time_ms + 7 * DAY_MS, sha256(root).digest())
    assert after.challenge_height > before.challenge_height
    assert lab.members(ListKind.OPERATOR, account(0)) == [name]
    assert lab.ledger.get(PLATFORMS, platform).enclave_count == 1


@pytest.mark.parametrize(("machine", "platform", "root"), MACHINES)
def test_a_proof_ends_after_its_longest_life_and_its_machine_is_free_after_the_notice(
    lab: VendorLab, machine: Machine, platform: bytes, root: bytes
) -> None:
    assert lab.refusal(machine) == ""
    lab.apply(interval_ms=7 * DAY_MS)
    lab.apply()
    assert lab.state_of() == ("expired", 0, "proof_expired")
    assert lab.enclave().root == sha256(root).digest()
    record = lab.ledger.get(PLATFORMS, platform)
    assert (record.enclave_count, record.free_from_ms > lab.time_ms) == (0, True)
    assert lab.refusal(machine) == ""
    assert lab.state_of() == ("trusted", 5, "")


def test_a_proof_of_amd_ends_with_the_certificate_of_its_chip(lab: VendorLab) -> None:
    end_s = lab.now_s + 3_600
    machine = snp_machine()
    short = replace(machine, vek=replace(machine.vek, not_after_s=end_s))
    assert lab.refusal(short) == ""
    assert lab.enclave().expires_ms == (end_s + 1) * 1_000
    lab.apply(interval_ms=3_600_000)
    lab.apply()
    assert lab.state_of() == ("expired", 0, "proof_expired")
    assert lab.refusal(short) == Reason.VEK_EXPIRED
