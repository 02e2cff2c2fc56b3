"""Each kind of evidence meets its own verifier."""

from __future__ import annotations

import pytest

from tee.claims import SgxClaims, SnpClaims, TdxClaims
from tee.collateral import CollateralFiles
from tee.documents import IntelTee
from tee.errors import EvidenceRejected, Reason
from tee.evidence import EvidenceKind, verify
from tee.roots import Roots, TrustedRoot
from tee.simulated import SimulatedVendor
from tee.simulated_quotes import SgxBody, TdBody
from tests.support import snp_pki
from tests.support.snp_cases import GENOA
from tests.support.snp_verdicts import trust

NOW_S = 1_780_272_000
VENDOR = SimulatedVendor()
INTEL = Roots(intel=(TrustedRoot(der=VENDOR.root, is_simulated=True),))


@pytest.mark.parametrize(
    ("kind", "body", "claims"),
    [(EvidenceKind.SGX, SgxBody(), SgxClaims), (EvidenceKind.TDX, TdBody(), TdxClaims)],
)
def test_quotes_of_intel_are_verified(kind: EvidenceKind, body: SgxBody | TdBody, claims: type) -> None:
    files = VENDOR.collateral(NOW_S, is_sgx=kind is EvidenceKind.SGX).files()
    collateral = CollateralFiles.load(files, INTEL, NOW_S)
    verified = verify(kind, VENDOR.machine("alpha").quote(bytes(64), body), collateral, INTEL, NOW_S)
    assert isinstance(verified.claims, claims)
    assert verified.is_simulated


def test_reports_of_amd_are_verified() -> None:
    evidence = GENOA.report.encode() + GENOA.vek.encode()
    roots = Roots(amd=trust(GENOA))
    files = CollateralFiles.load({"amd_crl.der": GENOA.crl.encode()}, roots, snp_pki.JUNE_2026)
    assert isinstance(verify(EvidenceKind.SEV_SNP, evidence, files, roots, snp_pki.JUNE_2026).claims, SnpClaims)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (EvidenceKind.SGX, Reason.PARSE),
        (EvidenceKind.TDX, Reason.PARSE),
        (EvidenceKind.SEV_SNP, Reason.LENGTH),
        (EvidenceKind.NITRO, Reason.COSE_FORMAT),
    ],
)
def test_each_verifier_refuses_a_byte_in_its_own_words(kind: EvidenceKind, reason: Reason) -> None:
    with pytest.raises(EvidenceRejected) as caught:
        verify(kind, b"\0", CollateralFiles(), INTEL, NOW_S)
    assert caught.value.reason is reason


def test_the_tees_of_intel_have_the_numbers_of_their_evidence() -> None:
    assert {tee.name: tee.value for tee in IntelTee} == {"SGX": EvidenceKind.SGX, "TDX": EvidenceKind.TDX}
