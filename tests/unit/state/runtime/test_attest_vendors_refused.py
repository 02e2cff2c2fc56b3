"""attest with evidence of AMD, AWS and NVIDIA through whole blocks: every refusal with its reason, and nothing on record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as with_changes

import pytest
from msgspec.structs import replace

from state.offers import ResourceKind
from state.records import ONLY
from state.runtime.reasons import EnclaveReason, TransactionReason
from state.runtime.trust.rules import list_platform, set_rules
from state.trust_messages import Attest
from state.trust_records import APPRAISAL_RULES, PlatformVerdict
from tee.appraisal import DenialReason, PlatformClass
from tee.errors import Reason
from tee.evidence import EvidenceKind
from tests.support import nitro_pki, snp_pki
from tests.support.attesting import BOUND_TO_OTHERS, CUSTOMER, FEE, POSTER, PROVIDER, publish
from tests.support.chain_builders import account, account_key
from tests.support.vendor_machines import (
    ARK,
    Machine,
    NitroMachine,
    SnpMachine,
    VendorLab,
    amd_list,
    image,
    make_gpu,
    snp_machine,
)

STRANGER = account_key(5)
SNP, NITRO = snp_machine(), NitroMachine()
MILAN = SnpMachine(vek=snp_pki.vcek("Milan"), fields={}, product="Milan")
CLOUD = SnpMachine(vek=snp_pki.vlek("Genoa"), fields={"key_info": 1 << 2})
POLICY = 0x30000


@pytest.fixture(scope="module")
def lab() -> VendorLab:
    """Give one lab for all refusals, since a refused attestation leaves nothing behind."""
    return VendorLab()


@pytest.mark.parametrize("machine", [SNP, NITRO], ids=["SEV-SNP", "Nitro"])
@pytest.mark.parametrize(("part", "other"), BOUND_TO_OTHERS, ids=[part for part, _ in BOUND_TO_OTHERS])
def test_evidence_made_for_anything_else_is_refused(lab: VendorLab, machine: Machine, part: str, other: object) -> None:
    assert lab.refusal(machine, bound={part: other}) == TransactionReason.BINDING_MISMATCH
    assert lab.find_enclave() is None


def swapped() -> SnpMachine:
    """Return a machine below another root of the same name, which nobody trusts."""
    return with_changes(SNP, vek=snp_pki.swap_keys(SNP.vek))


def nitro(change: Callable[[nitro_pki.World], nitro_pki.World]) -> NitroMachine:
    return NitroMachine(change=change)


def end_leaf(world: nitro_pki.World) -> nitro_pki.World:
    return world.change(nitro_pki.LEAF, not_after_s=world.chain[nitro_pki.LEAF].not_before_s)


def pcrs(**changes: bytes) -> NitroMachine:
    registers = {**nitro_pki.make_fields()["pcrs"], **{int(name[3:]): value for name, value in changes.items()}}
    return NitroMachine(fields={"pcrs": registers})


REFUSALS: list[tuple[str, Machine, str]] = [
    ("another guest", SNP.saying(measurement=bytes(48)), TransactionReason.MEASUREMENT_MISMATCH),
    ("guest under debug", SNP.saying(policy=POLICY | 1 << 19), DenialReason.DEBUG),
    ("guest with a migration agent", SNP.saying(policy=POLICY | 1 << 18), DenialReason.FLAG_DENIED),
    ("guest at VMPL 1", SNP.saying(vmpl=1), DenialReason.FLAG_DENIED),
    ("memory not checked for aliases", SNP.saying(platform_info=5), DenialReason.FLAG_DENIED),
    ("chip hidden", SNP.saying(key_info=2, chip_id=bytes(64)), DenialReason.FLAG_DENIED),
    ("firmware below the floor", snp_machine(svn=22), EnclaveReason.STANDING_TOO_LOW),
    ("report of other firmware than its key", SNP.saying(reported_tcb=snp_pki.GENOA_TCB[:6] + b"\x1a\x82"), Reason.TCB_MISMATCH),
    ("key of another chip", SNP.saying(chip_id=b"\2" * 64), Reason.CHIP_ID_MISMATCH),
    ("signed by another chip", with_changes(SNP, signer="another"), Reason.REPORT_SIGNATURE),
    ("key of a root of the same name", swapped(), Reason.VEK_BAD_ISSUER),
    ("report of another product", SNP.saying(cpuid=b"\x1a\x02\x01"), Reason.PRODUCT_MISMATCH),
    ("cloud that is not listed", CLOUD, DenialReason.CLOUD_NOT_LISTED),
    ("Milan without AMD's list", MILAN, EnclaveReason.COLLATERAL_LACKING),
    ("another image", pcrs(pcr0=b"\7" * 48), TransactionReason.MEASUREMENT_MISMATCH),
    ("another application", pcrs(pcr2=b"\7" * 48), TransactionReason.MEASUREMENT_MISMATCH),
    ("document without user data", NitroMachine(fields={"user_data": None}), TransactionReason.BINDING_MISMATCH),
    ("leaf at its end", nitro(end_leaf), Reason.CERT_EXPIRED),
    ("another root of AWS", nitro(lambda world: world.change(nitro_pki.ROOT, serial=5)), Reason.ROOT_UNTRUSTED),
    ("signed by the instance", nitro(lambda world: replace(world, signer="nitro instance")), Reason.SIGNATURE),
    ("document of tomorrow", nitro(lambda world: world.put(timestamp=world.chain[-1].not_after_s * 1_000)), Reason.TIMESTAMP),
]  # fmt: skip


@pytest.mark.parametrize(("machine", "reason"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_what_proves_too_little_is_refused_by_its_reason(lab: VendorLab, machine: Machine, reason: str) -> None:
    message, balance = lab.message(machine), lab.balance(account(0))
    receipt = lab.send(PROVIDER, message).receipts[0]
    assert receipt.reason == reason
    assert (receipt.fee, lab.balance(account(0))) == (FEE, balance - FEE)
    assert lab.find_enclave() is None


def other_nonce(lab: VendorLab) -> Attest:
    return lab.message_with_gpus(make_gpu(lab.nonce(1)))


def nonce_of_before(lab: VendorLab) -> Attest:
    gpu = make_gpu(lab.nonce())
    lab.apply()
    return lab.message_with_gpus(gpu)


def not_bound(lab: VendorLab) -> Attest:
    return lab.message_with_gpus(make_gpu(lab.nonce()), bound={})


def another_bound(lab: VendorLab) -> Attest:
    return lab.message_with_gpus(make_gpu(lab.nonce()), bound={"gpus": (make_gpu(bytes(32)),)})


def bound_but_not_sent(lab: VendorLab) -> Attest:
    return lab.message(SNP, bound={"gpus": (make_gpu(lab.nonce()),)})


def signed_by_another(lab: VendorLab) -> Attest:
    return lab.message_with_gpus(make_gpu(lab.nonce(), signer="nvidia device"))


def other_root(lab: VendorLab) -> Attest:
    gpu = make_gpu(lab.nonce())
    return lab.message_with_gpus(replace(gpu, chain=(*gpu.chain[:-1], gpu.chain[-2])))


GPU_REFUSALS: list[tuple[Callable[[VendorLab], Attest], str]] = [
    (other_nonce, Reason.NONCE),
    (nonce_of_before, Reason.NONCE),
    (not_bound, TransactionReason.BINDING_MISMATCH),
    (another_bound, TransactionReason.BINDING_MISMATCH),
    (bound_but_not_sent, TransactionReason.BINDING_MISMATCH),
    (signed_by_another, Reason.SIGNATURE),
    (other_root, Reason.ROOT_UNTRUSTED),
]


@pytest.mark.parametrize(("build", "reason"), GPU_REFUSALS, ids=lambda part: getattr(part, "__name__", ""))
def test_gpus_that_are_not_fresh_bound_and_genuine_are_refused(
    lab: VendorLab, build: Callable[[VendorLab], Attest], reason: str
) -> None:
    assert lab.reason(PROVIDER, build(lab)) == reason
    assert lab.find_enclave() is None


def test_an_enclave_under_debug_is_refused_also_by_a_release_that_expects_it() -> None:
    """Debug mode zeroes the registers of the boot, so a profile can name what it shows."""
    lab = VendorLab()
    zeros = {f"pcr{index}": bytes(48) for index in range(3)}
    assert lab.refusal(pcrs(**zeros)) == TransactionReason.MEASUREMENT_MISMATCH
    lab.image = lab.publish(CUSTOMER, image({EvidenceKind.NITRO: zeros}))
    assert lab.refusal(pcrs(**zeros)) == DenialReason.DEBUG


def test_evidence_of_one_vendor_does_not_pass_for_another(lab: VendorLab) -> None:
    assert lab.refusal(SNP, tee=EvidenceKind.NITRO) == Reason.COSE_FORMAT
    assert lab.refusal(NITRO, tee=EvidenceKind.SEV_SNP) == Reason.VERSION
    assert lab.refusal(NITRO, tee=EvidenceKind.TDX) == Reason.QUOTE_VERSION
    assert lab.find_enclave() is None


def test_milan_is_refused_also_with_its_list() -> None:
    lab = VendorLab()
    assert lab.reason(POSTER, amd_list(product="Milan")) == ""
    assert lab.refusal(MILAN) == DenialReason.PRODUCT_DENIED


def test_nothing_passes_below_an_authority_that_its_list_withdraws() -> None:
    lab = VendorLab()
    assert lab.reason(POSTER, amd_list(lab.now_s, serials=(snp_pki.ask("Genoa").serial,))) == ""
    assert lab.refusal(SNP) == Reason.ASK_REVOKED
    assert lab.refusal(NITRO) == ""


def test_no_guest_of_amd_is_admitted_while_its_list_is_overdue() -> None:
    lab = VendorLab()
    lab.apply(interval_ms=(snp_pki.JULY_2026 - lab.now_s) * 1_000)
    assert lab.refusal(SNP) == Reason.CRL_EXPIRED
    assert lab.reason(POSTER, amd_list(lab.now_s)) == ""
    assert lab.refusal(SNP) == ""


@pytest.mark.parametrize("machine", [SNP, NITRO], ids=["SEV-SNP", "Nitro"])
def test_a_machine_of_another_owner_is_refused_and_an_enclave_stays_on_its_own(machine: Machine) -> None:
    lab = VendorLab()
    hardware = lab.publish(STRANGER, publish(ResourceKind.HARDWARE))
    assert lab.refusal(machine) == ""
    taken = lab.refusal(machine, 1, provider=STRANGER, hardware=hardware)
    assert taken == TransactionReason.PLATFORM_TAKEN
    other: Machine = snp_machine(chip=1) if machine is SNP else NitroMachine(fields={"module_id": "i-2-enc1"})
    assert lab.refusal(other) == TransactionReason.ENCLAVE_MOVED
    assert lab.refusal(other, 1, provider=STRANGER, hardware=hardware) == ""


def test_a_gpu_of_another_owner_is_refused() -> None:
    lab = VendorLab()
    hardware = lab.publish(STRANGER, publish(ResourceKind.HARDWARE))
    assert lab.reason(PROVIDER, lab.message_with_gpus(make_gpu(lab.nonce()))) == ""
    gpus = (make_gpu(lab.nonce(1)),)
    taken = lab.refusal(snp_machine(chip=1), 1, provider=STRANGER, hardware=hardware, bound={"gpus": gpus}, gpus=gpus)
    assert taken == TransactionReason.PLATFORM_TAKEN


def test_a_chip_on_the_deny_list_is_refused() -> None:
    lab = VendorLab()
    chip = bytes((PlatformClass.AMD_CHIP,)) + SNP.fields["chip_id"]
    lab.govern(lambda context: list_platform(context, chip, PlatformVerdict.DENIED))
    assert lab.refusal(SNP) == DenialReason.PLATFORM_DENIED
    assert lab.refusal(snp_machine(chip=1)) == ""


def test_a_gpu_with_an_older_driver_than_the_policy_asks_for_is_refused() -> None:
    lab = VendorLab()
    rules = lab.ledger.get(APPRAISAL_RULES, ONLY)
    strict = replace(rules, policy=replace(rules.policy, gpu_driver_min=(550, 90, 8)))
    lab.govern(lambda context: set_rules(context, strict))
    assert lab.reason(PROVIDER, lab.message_with_gpus(make_gpu(lab.nonce()))) == DenialReason.GPU_DRIVER_TOO_OLD


def test_a_list_below_no_trusted_root_or_no_newer_than_the_one_on_record_is_refused(lab: VendorLab) -> None:
    assert lab.reason(POSTER, amd_list(product="Turin")) == Reason.CRL_SIGNATURE
    assert lab.reason(POSTER, amd_list()) == TransactionReason.COLLATERAL_NOT_NEWER
    assert lab.reason(POSTER, replace(amd_list(), chain=(ARK.encode(),))) == TransactionReason.COLLATERAL_NOT_NEWER
