"""Quotes against stored collateral: what a chain keeps is checked again at each use, and the answer says how long it holds."""

from __future__ import annotations

import pytest
from msgspec import Struct
from msgspec.structs import replace

from tee.collateral import CollateralFiles
from tee.dcap import Verdict, verify_quote
from tee.documents import IntelTee, RevokedSerials
from tee.errors import EvidenceRejected, Reason
from tee.intel_quote import parse_quote
from tee.roots import Roots, TrustedRoot
from tee.simulated import (
    PLATFORM_CA_TEMPLATE,
    SimulatedCollateral,
    SimulatedVendor,
    certificate_template,
    pck_crl_template,
    platform_template,
)
from tee.simulated_quotes import SgxBody, TdBody

ISSUED_S = 1_780_272_000
NOW_S = ISSUED_S + 1000
VENDOR = SimulatedVendor()
TWIN = SimulatedVendor(b"another seed")
MACHINE = VENDOR.machine("alpha")
ROOTS = Roots(intel=tuple(TrustedRoot(der=vendor.root, is_simulated=vendor is VENDOR) for vendor in (TWIN, VENDOR)))
QUOTE = MACHINE.quote(bytes(64), TdBody())


def load(vendor: SimulatedVendor = VENDOR, *, is_sgx: bool = False) -> CollateralFiles:
    return CollateralFiles.load(vendor.collateral(ISSUED_S, is_sgx=is_sgx).files(), ROOTS, ISSUED_S)


GOOD = load()
FOREIGN = load(TWIN)
NAMES = ("root_list", "pck_list", "platform_info", "enclave_identity")


def judge(collateral: CollateralFiles = GOOD, quote: bytes = QUOTE, time_s: int = NOW_S) -> Verdict:
    return verify_quote(parse_quote(quote), collateral, ROOTS, time_s)


def reason_of(collateral: CollateralFiles = GOOD, quote: bytes = QUOTE, time_s: int = NOW_S) -> Reason:
    with pytest.raises(EvidenceRejected) as caught:
        judge(collateral, quote, time_s)
    return caught.value.reason


def changed(name: str, **fields: object) -> CollateralFiles:
    return replace(GOOD, **{name: replace(getattr(GOOD, name), **fields)})


def test_the_platform_is_described_by_its_certificate() -> None:
    platform, template = judge().platform, platform_template("alpha")
    assert (platform.ppid, platform.fmspc, platform.pce_id) == (template.ppid, template.fmspc, template.pce_id)
    assert platform.cpu_svn == bytes(template.components)
    assert platform.pck_serial == MACHINE.pck_serial.to_bytes(20, "big").lstrip(b"\0")
    assert judge().is_simulated


@pytest.mark.parametrize("name", NAMES)
def test_every_document_must_be_there(name: str) -> None:
    assert reason_of(replace(GOOD, **{name: None})) is Reason.COLLATERAL_MISSING


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("root_list", Reason.ROOT_CRL_ISSUER),
        ("pck_list", Reason.PCK_CRL_ISSUER),
        ("platform_info", Reason.TCB_INFO_SIGNER),
        ("enclave_identity", Reason.QE_IDENTITY_SIGNER),
    ],
)
def test_documents_of_another_root_with_the_same_names_do_not_count(name: str, reason: Reason) -> None:
    assert judge(GOOD).is_simulated
    assert reason_of(replace(GOOD, **{name: getattr(FOREIGN, name)})) is reason


@pytest.mark.parametrize("name", NAMES[:2])
def test_lists_of_another_issuer_do_not_count(name: str) -> None:
    assert reason_of(changed(name, issuer=b"another")).name.endswith("CRL_ISSUER")


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("root_list", "ROOT_CRL"),
        ("pck_list", "PCK_CRL"),
        ("platform_info", "TCB_INFO"),
        ("enclave_identity", "QE_IDENTITY"),
    ],
)
def test_windows_of_documents_are_checked_at_each_use(name: str, prefix: str) -> None:
    assert judge(changed(name, valid_from_s=NOW_S, valid_until_s=NOW_S)).valid_until_s == NOW_S
    assert reason_of(changed(name, valid_from_s=NOW_S + 1)).name == f"{prefix}_NOT_YET_VALID"
    assert reason_of(changed(name, valid_until_s=NOW_S - 1)).name == f"{prefix}_EXPIRED"


def test_documents_of_the_other_tee_are_a_mismatch() -> None:
    other = load(is_sgx=True)
    assert reason_of(replace(GOOD, platform_info=other.platform_info)) is Reason.TCB_INFO_MISMATCH
    assert reason_of(replace(GOOD, enclave_identity=other.enclave_identity)) is Reason.QE_IDENTITY_MISMATCH


@pytest.mark.parametrize("field", [{"fmspc": bytes(6)}, {"pce_id": b"\1\0"}])
def test_documents_of_another_platform_are_a_mismatch(field: dict[str, bytes]) -> None:
    assert reason_of(changed("platform_info", **field)) is Reason.FMSPC_MISMATCH


def test_documents_of_a_signer_that_the_root_withdrew_since_do_not_count() -> None:
    for name, reason in (
        ("enclave_identity", Reason.QE_IDENTITY_SIGNER_REVOKED),
        ("platform_info", Reason.TCB_INFO_SIGNER_REVOKED),
    ):
        signer = VENDOR.tcb_signer_serial.to_bytes(20, "big").lstrip(b"\0")
        assert getattr(GOOD, name).signer_serial == signer
        revoking = issued_by(VENDOR.collateral(ISSUED_S, revoked_authorities=(5, VENDOR.tcb_signer_serial)))
        another = "platform_info" if name == "enclave_identity" else "enclave_identity"
        mixed = {another: replace(getattr(GOOD, another), signer_serial=b"\6")}
        assert reason_of(replace(GOOD, root_list=revoking, **mixed)) is reason
        unsigned = changed(name, signer_serial=b"\5")
        assert judge(unsigned).is_simulated
        assert reason_of(replace(unsigned, root_list=revoking, **mixed)) is reason


def test_the_list_of_an_authority_does_not_count_for_another_of_the_same_name() -> None:
    second = SimulatedVendor(platform_ca=replace(PLATFORM_CA_TEMPLATE, key="platform ca 2"))
    certificate = replace(certificate_template("alpha"), issuer_key="platform ca 2")
    quote = second.machine("alpha", None, certificate).quote(bytes(64), TdBody())
    assert reason_of(quote=quote) is Reason.PCK_CRL_ISSUER
    own = second.collateral(ISSUED_S, pck_crl=replace(pck_crl_template(ISSUED_S), issuer_key="platform ca 2"))
    collateral = CollateralFiles.load(own.files(), ROOTS, ISSUED_S)
    assert collateral.pck_list.issuer == GOOD.pck_list.issuer
    assert reason_of(collateral) is Reason.PCK_CRL_ISSUER
    platform = judge(collateral, quote).platform
    assert platform.ca_key == collateral.pck_list.key != judge().platform.ca_key == GOOD.pck_list.key
    assert platform.ca_serial == second.platform_ca_serial.to_bytes(20, "big").lstrip(b"\0")


def issued_by(collateral: SimulatedCollateral) -> RevokedSerials | None:
    """Return the root's list alone, as it is stored."""
    return CollateralFiles.load({"root_ca_crl.der": collateral.root_crl}, ROOTS, ISSUED_S).root_list


def test_the_answer_holds_for_the_intersection_of_all_windows() -> None:
    verdict = judge()
    assert (verdict.valid_from_s, verdict.valid_until_s) == (ISSUED_S, GOOD.pck_list.valid_until_s)
    later = changed("enclave_identity", valid_from_s=ISSUED_S + 7, valid_until_s=NOW_S + 7)
    assert (judge(later).valid_from_s, judge(later).valid_until_s) == (ISSUED_S + 7, NOW_S + 7)


class Asked(Struct):
    """Collateral that writes down which documents are asked for."""

    questions: list[tuple[object, ...]]

    def root_crl(self, root: bytes, /) -> object:
        self.questions.append((root,))
        return GOOD.root_list

    def pck_crl(self, root: bytes, issuer: bytes, key: bytes, /) -> object:
        self.questions.append((root, issuer, key))
        return GOOD.pck_list

    def tcb_info(self, root: bytes, tee: IntelTee, fmspc: bytes, /) -> object:
        self.questions.append((root, tee, fmspc))
        return GOOD.platform_info

    def qe_identity(self, root: bytes, tee: IntelTee, /) -> object:
        self.questions.append((root, tee))
        return GOOD.enclave_identity


def test_documents_are_asked_for_by_the_keys_under_which_they_are_stored() -> None:
    asked = Asked([])
    verify_quote(parse_quote(QUOTE), asked, ROOTS, NOW_S)
    root, (crl_root, issuer, key), (info_root, tee, fmspc), (identity_root, identity_tee) = asked.questions
    assert root == (GOOD.root_list.root,)
    assert crl_root + issuer + key == GOOD.pck_list.subject
    assert info_root + bytes([tee]) + fmspc == GOOD.platform_info.subject
    assert identity_root + bytes([identity_tee]) == GOOD.enclave_identity.subject


@pytest.mark.parametrize("value", [bytes(47) + b"\1", bytes(7) + b"\1"], ids=["signer", "attributes"])
def test_the_module_must_be_that_of_the_identity(value: bytes) -> None:
    name, reason = ("mr_signer_seam", Reason.MRSIGNERSEAM) if len(value) == 48 else ("seam_attributes", Reason.SEAMATTR)
    quote = MACHINE.quote(bytes(64), TdBody(**{name: value}))
    assert reason_of(quote=quote) is reason
    modules = tuple(
        replace(module, mr_signer=value) if len(value) == 48 else replace(module, attributes=value)
        for module in GOOD.platform_info.modules
    )
    assert reason_of(changed("platform_info", modules=modules)) is reason
    both = changed("platform_info", modules=modules)
    # Attributes must be zero, whatever the identity allows; a signer must only be the one that it names.
    if len(value) == 48:
        assert judge(both, quote).tcb.module_status == judge().tcb.module_status
    else:
        assert reason_of(both, quote) is reason


def test_an_enclave_has_no_module() -> None:
    quote = MACHINE.quote(bytes(64), SgxBody())
    assert judge(load(is_sgx=True), quote).tcb.status == judge().tcb.status
