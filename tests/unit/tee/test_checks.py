"""Laws of the table of checks: it has every reason that a verifier can give, once, and it finds the check of each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tee.checks import CHECKS, Family, find_failed_check
from tee.documents import CollateralKind
from tee.errors import Reason

TEE = Path(__file__).resolve().parents[3] / "tee"
QUOTE = ("intel_quote", "intel_chain", "dcap", "tcb")
MODULES = {
    Family.SGX: (*QUOTE, "sgx"),
    Family.TDX: (*QUOTE, "tdx"),
    Family.SEV_SNP: ("sev_snp", "snp_report", "vek"),
    Family.NITRO: ("nitro", "cose", "certificate_chain"),
    Family.NVIDIA: ("nvidia", "spdm", "certificate_chain"),
}
"""Who can refuse evidence of a family. What refuses collateral is named by the document."""
NO_MODULE_IN_SGX = {
    Reason.TDX_MODULE_IDENTITY_MISSING,
    Reason.MRSIGNERSEAM,
    Reason.SEAMATTR,
    Reason.COLLATERAL_MISSING,
}


@pytest.mark.parametrize("family", Family)
def test_every_reason_that_a_verifier_names_has_a_check(family: Family) -> None:
    sources = "".join((TEE / f"{module}.py").read_text(encoding="utf-8") for module in MODULES[family])
    named = {Reason[name] for name in re.findall(r"\bReason\.([A-Z_]+)\b", sources)}
    listed = {reason for check in CHECKS[family] for reason in check.reasons}
    beyond = {Reason.COLLATERAL_MISSING} if family is Family.TDX else NO_MODULE_IN_SGX
    assert named - listed <= beyond


@pytest.mark.parametrize("family", Family)
def test_names_and_reasons_of_a_family_are_distinct(family: Family) -> None:
    reasons = [reason for check in CHECKS[family] for reason in check.reasons]
    names = [check.name for check in CHECKS[family]]
    assert (len(set(reasons)), len(set(names))) == (len(reasons), len(names))


def test_every_reason_belongs_to_some_family() -> None:
    listed = {reason for checks in CHECKS.values() for check in checks for reason in check.reasons}
    assert set(Reason) - listed == {Reason.COLLATERAL_MISSING}


def test_a_document_names_the_check_where_the_reason_does_not() -> None:
    names = {
        kind: CHECKS[Family.TDX][find_failed_check(Family.TDX, Reason.COLLATERAL_MISSING, kind)].name
        for kind in (CollateralKind.INTEL_PCK_CRL, CollateralKind.INTEL_TCB_INFO, CollateralKind.INTEL_QE_IDENTITY)
    }
    assert list(names.values()) == ["revocation", "tcb-info", "qe-identity"]
    assert CHECKS[Family.TDX][find_failed_check(Family.TDX, Reason.PARSE)].name == "form"
    assert (
        CHECKS[Family.TDX][find_failed_check(Family.TDX, Reason.PARSE, CollateralKind.INTEL_PCK_CRL)].name
        == "revocation"
    )


def test_a_reason_of_another_family_has_no_check() -> None:
    with pytest.raises(ValueError, match="no check"):
        find_failed_check(Family.NITRO, Reason.QUOTE_SIGNATURE)
