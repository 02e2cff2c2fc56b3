"""Enclaves of AMD, AWS and with GPUs of NVIDIA are judged again when lists, floors, roots and brakes move, and no others are."""

from __future__ import annotations

from hashlib import sha256

import pytest
from msgspec.structs import replace

from state.records import ONLY
from state.runtime.prices import price_table
from state.runtime.trust.judgement import platforms_of
from state.runtime.trust.rules import distrust_root, list_platform, set_brake, set_rules
from state.trust_records import APPRAISAL_RULES, Brake, BrakeScope, PlatformVerdict
from tee.appraisal import SnpFloor
from tee.claims import SnpProduct, SnpTcb, Verified
from tee.evidence import EvidenceKind
from tee.roots import AWS_NITRO_ROOT, NVIDIA_DEVICE_ROOT, VENDOR_ROOTS
from tests.support import snp_pki
from tests.support.attesting import DAY_MS, FEE, POSTER, PROVIDER
from tests.support.chain_builders import account, with_params
from tests.support.vendor_machines import (
    ARK,
    LIST_S,
    NITRO_ROOT,
    NVIDIA_ROOT,
    NitroMachine,
    VendorLab,
    amd_list,
    make_gpu,
    snp_machine,
    vendors_genesis,
)

GUEST, ENCLAVE, WITH_GPU = 0, 1, 2
TRUSTED = ("trusted", 5, "")


@pytest.fixture
def lab() -> VendorLab:
    """Give a lab with a guest of AMD's, an enclave of AWS' and a guest of AMD's with a GPU; all graces last a day."""
    graces = {"collateral_grace_ms": DAY_MS, "tcb_grace_ms": DAY_MS}
    lab = VendorLab(with_params(vendors_genesis(), "attestation", **graces))
    gpus = (make_gpu(lab.nonce(WITH_GPU)),)
    message = lab.message(snp_machine(chip=1), WITH_GPU, bound={"gpus": gpus}, gpus=gpus)
    assert lab.reason(PROVIDER, message) == ""
    assert lab.refusal(snp_machine(), GUEST) == ""
    assert lab.refusal(NitroMachine(), ENCLAVE) == ""
    return lab


def states(lab: VendorLab) -> list[tuple[str, int, str]]:
    return [lab.state_of(number) for number in (GUEST, ENCLAVE, WITH_GPU)]


def test_a_list_that_withdraws_the_authority_ends_every_guest_below_it_in_the_same_block(lab: VendorLab) -> None:
    assert lab.reason(POSTER, amd_list(lab.now_s, serials=(snp_pki.ask("Genoa").serial,))) == ""
    gone = ("revoked", 0, "authority_revoked")
    assert states(lab) == [gone, TRUSTED, gone]
    assert lab.refusal(snp_machine(), GUEST) == "enclave_revoked"


def test_a_list_that_withdraws_another_authority_changes_nothing(lab: VendorLab) -> None:
    assert lab.reason(POSTER, amd_list(lab.now_s, serials=(1, 77))) == ""
    assert states(lab) == [TRUSTED] * 3


def test_a_list_that_is_overdue_leaves_guests_in_grace_then_suspends_them_until_the_next_one(lab: VendorLab) -> None:
    lab.apply(interval_ms=(snp_pki.MAY_2026 + LIST_S - lab.now_s) * 1_000 - DAY_MS)
    assert lab.refusal(snp_machine(), GUEST) == ""
    lab.apply(interval_ms=DAY_MS)
    lab.apply()
    assert lab.state_of(GUEST) == ("grace", 5, "collateral_overdue")
    lab.apply(interval_ms=DAY_MS)
    lab.apply()
    assert lab.state_of(GUEST) == ("suspended", 0, "collateral_expired")
    assert lab.reason(POSTER, amd_list(lab.now_s)) == ""
    assert lab.state_of(GUEST) == TRUSTED


def raise_floor(lab: VendorLab, svn: int, since_s: int) -> None:
    rules = lab.ledger.get(APPRAISAL_RULES, ONLY)
    tcb = SnpTcb(fmc=0, boot_loader=10, tee=0, snp=svn, microcode=0)
    floor = SnpFloor(product=SnpProduct.GENOA, since_s=since_s, tcb=tcb)
    raised = replace(rules, policy=replace(rules.policy, snp_floors=(*rules.policy.snp_floors, floor)))
    lab.govern(lambda context: set_rules(context, raised))
    lab.apply()


def test_a_floor_that_rises_gives_those_below_it_a_grace_and_then_suspends_them(lab: VendorLab) -> None:
    raise_floor(lab, 28, lab.now_s)
    behind = ("grace", 3, "behind")
    assert states(lab) == [behind, TRUSTED, behind]
    assert lab.refusal(snp_machine(svn=28), GUEST) == ""
    lab.apply(interval_ms=DAY_MS)
    lab.apply()
    assert states(lab) == [TRUSTED, TRUSTED, ("suspended", 2, "standing_too_low")]
    assert lab.refusal(snp_machine(chip=2), 3) == "standing_too_low"


def test_a_floor_of_a_later_date_counts_from_that_date(lab: VendorLab) -> None:
    raise_floor(lab, 28, lab.now_s + 86_400)
    assert states(lab) == [TRUSTED] * 3
    lab.apply(interval_ms=DAY_MS)
    lab.apply()
    assert states(lab) == [("grace", 3, "behind"), TRUSTED, ("grace", 3, "behind")]


@pytest.mark.parametrize(
    ("root", "concerned"),
    [
        pytest.param(ARK.encode(), {GUEST, WITH_GPU}, id="ARK"),
        pytest.param(NITRO_ROOT, {ENCLAVE}, id="AWS"),
        pytest.param(NVIDIA_ROOT, {WITH_GPU}, id="NVIDIA"),
        pytest.param(VENDOR_ROOTS.amd[1].der, set(), id="AMD's own"),
        pytest.param(AWS_NITRO_ROOT, set(), id="AWS' own"),
        pytest.param(NVIDIA_DEVICE_ROOT, set(), id="NVIDIA's own"),
    ],
)
def test_distrust_of_a_root_suspends_exactly_what_is_below_it(lab: VendorLab, root: bytes, concerned: set[int]) -> None:
    lab.govern(lambda context: distrust_root(context, sha256(root).digest()))
    lab.apply()
    gone = ("suspended", 0, "root_distrusted")
    assert states(lab) == [gone if number in concerned else TRUSTED for number in (GUEST, ENCLAVE, WITH_GPU)]


@pytest.mark.parametrize(
    ("scope", "subject", "concerned"),
    [
        (BrakeScope.TEE, bytes((EvidenceKind.SEV_SNP,)), {GUEST, WITH_GPU}),
        (BrakeScope.TEE, bytes((EvidenceKind.NITRO,)), {ENCLAVE}),
        (BrakeScope.PRODUCT, bytes((SnpProduct.GENOA,)), {GUEST, WITH_GPU}),
        (BrakeScope.PRODUCT, bytes((SnpProduct.TURIN,)), set()),
    ],
    ids=["SEV-SNP", "Nitro", "Genoa", "Turin"],
)
def test_a_brake_stops_its_kind_of_machine(
    lab: VendorLab, scope: BrakeScope, subject: bytes, concerned: set[int]
) -> None:
    brake = Brake(scope=scope, subject=subject, until_ms=lab.time_ms + 3_600_000)
    lab.govern(lambda context: set_brake(context, brake))
    lab.apply()
    stopped = ("suspended", 0, "braked")
    assert states(lab) == [stopped if number in concerned else TRUSTED for number in (GUEST, ENCLAVE, WITH_GPU)]
    lab.apply(interval_ms=3_600_000)
    lab.apply()
    assert states(lab) == [TRUSTED] * 3


def test_a_gpu_on_the_deny_list_ends_the_enclave_that_has_it(lab: VendorLab) -> None:
    gpu = platforms_of(lab.enclave(WITH_GPU))[-1]
    lab.govern(lambda context: list_platform(context, gpu, PlatformVerdict.DENIED))
    lab.apply()
    assert states(lab) == [TRUSTED, TRUSTED, ("revoked", 0, "platform_denied")]


def test_a_list_of_simulated_hardware_pays_its_fee() -> None:
    lab = VendorLab()
    lab.apply()
    transaction = lab.sign(POSTER, amd_list(lab.now_s), fee=FEE)
    before = lab.balance(account(2))
    receipt = lab.apply(transaction).receipts[0]
    assert (receipt.reason, receipt.fee) == ("", FEE)
    assert price_table(lab.params).fee(transaction) < FEE == before - lab.balance(account(2))


def test_a_simulated_gpu_makes_its_enclave_simulated(lab: VendorLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a guest below a genuine root of AMD's, when it names a simulated GPU, then the enclave is simulated as a whole."""
    monkeypatch.setattr("tee.sev_snp.Verified", lambda **fields: Verified(**{**fields, "is_simulated": False}))
    assert lab.refusal(snp_machine(), GUEST) == ""
    assert (lab.enclave(GUEST).level, lab.enclave(GUEST).is_simulated) == (5, False)
    gpus = (make_gpu(lab.nonce(WITH_GPU)),)
    message = lab.message(snp_machine(chip=1), WITH_GPU, bound={"gpus": gpus}, gpus=gpus)
    assert lab.reason(PROVIDER, message) == ""
    assert (lab.enclave(WITH_GPU).level, lab.enclave(WITH_GPU).is_simulated) == (1, True)
