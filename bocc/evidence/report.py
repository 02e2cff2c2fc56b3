"""The verdict on one piece of evidence, with everything that it rests on: checks, status and its cause, claims, windows.

The verdict is that of the verifiers of the package `tee`; this module only asks them and explains. Names of the fields are stable:
`bocc tee verify --json` prints this struct.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from bocc.evidence.folder import CollateralFolder
from bocc.evidence.names import to_plain
from bocc.evidence.windows import Window, find_chain, find_windows
from tee.appraisal import (
    DEFAULT_POLICY,
    NO_REGISTRIES,
    Denial,
    appraise,
    find_gpu_denial,
    find_snp_floors,
    gpu_id,
    platform_ids,
)
from tee.certificates import parse_certificate
from tee.checks import CHECKS, Family, find_failed_check
from tee.claims import Claims, Flag, GpuClaims, NitroClaims, SgxClaims, SnpClaims, TdxClaims, Verified
from tee.collateral import CollateralFiles
from tee.der import DerError
from tee.documents import CollateralKind, QeIdentity, TcbInfo
from tee.errors import EvidenceRejected, Reason
from tee.evidence import EvidenceKind, verify
from tee.intel_quote import parse_quote, parse_report
from tee.nvidia import verify_gpu
from tee.pck import SGX_EXTENSION, parse_pck_extension
from tee.roots import VENDOR_ROOTS, Roots, TrustedRoot
from tee.sev_snp import verify_snp
from tee.shortage import Shortage, find_intel_shortages, find_snp_shortages
from tee.simulated_root import SIMULATED_ROOT
from tee.snp_report import parse_report as parse_snp_report
from tee.tcb import SecurityVersions

_KINDS: Final = {
    Family.SGX: EvidenceKind.SGX,
    Family.TDX: EvidenceKind.TDX,
    Family.NITRO: EvidenceKind.NITRO,
    Family.SEV_SNP: EvidenceKind.SEV_SNP,
}
_TOO_OLD: Final = frozenset(
    {Reason.TCB_NOT_SUPPORTED, Reason.TDX_MODULE_TCB_NOT_SUPPORTED, Reason.QE_TCB_NOT_SUPPORTED}
)
"""Refusals of genuine evidence whose versions are below all levels."""
_MEASUREMENTS: Final = frozenset(
    {
        "mr_enclave",
        "mr_signer",
        "isv_prod_id",
        "isv_svn",
        "mr_seam",
        "mr_td",
        "mr_config_id",
        "mr_owner",
        "mr_owner_config",
        "rtmrs",
        "mr_service_td",
        "measurement",
        "host_data",
        "id_key_digest",
        "author_key_digest",
        "pcrs",
        "driver_version",
        "vbios_version",
        "measurements_digest",
        "firmware_id",
    }
)
"""Claims on what runs; the others say where and how."""

_BITS: Final = frozenset({"td_attributes", "xfam", "policy", "platform_info", "misc_select"})
"""Claims whose numbers are sets of bits."""


class Case(Struct, frozen=True, kw_only=True):
    """One piece of evidence, and what to judge it by."""

    family: Family
    evidence: bytes
    certificates: tuple[bytes, ...] = ()
    """For SEV-SNP: the VEK, then perhaps the ASK and the ARK, where they do not stand behind the report. DER."""
    chain: tuple[bytes, ...] = ()
    """For NVIDIA: leaf first, DER."""
    nonce: bytes = b""
    """For NVIDIA: what was asked."""
    files: Mapping[str, bytes]
    roots: Roots
    time_s: int


class CheckState(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAILED = "failed"
    NOT_REACHED = "not_reached"
    NOT_GIVEN = "not_given"
    """There was no document to check by, and the verifier does not insist."""


class CheckOutcome(Struct, frozen=True):
    """One check of the report."""

    name: str
    law: str
    state: CheckState


class Refusal(Struct, frozen=True):
    """Why evidence is refused."""

    reason: str
    seen: str
    bound: str
    check: str
    """Name of the check that failed."""


class Proven(Struct, frozen=True, kw_only=True):
    """What authentic evidence proves, in words and hex."""

    tcb: Any  # Any: a JSON object, or None where the vendor signs no status; likewise the others
    flags: tuple[str, ...]
    platform_ids: tuple[str, ...]
    """As registries name them, class byte first."""
    platform: Any
    measurements: dict[str, Any]
    report_data: str
    other: dict[str, Any]
    """Claims that none of the others shows."""
    valid_from_s: int
    valid_until_s: int
    """First and last second of the intersection of all windows that the verdict rests on."""
    appraisal: dict[str, Any]
    """Level or denial under the default policy of this release."""


class Report(Struct, frozen=True, kw_only=True):
    """The whole answer."""

    is_authentic: bool
    kind: Family
    time_s: int
    is_simulated: bool
    """The evidence is below the root of the software TEE, which everybody can sign for."""
    is_vendor_root: bool
    """The root is one of the vendors' own."""
    root_name: str
    root_sha256: str
    """Both empty where the evidence is too broken to tell."""
    refusal: Refusal | None
    checks: tuple[CheckOutcome, ...]
    gaps: tuple[Shortage, ...]
    """Security versions short of the best level, also where evidence is refused because it reaches none."""
    proven: Proven | None
    windows: tuple[Window, ...]


def judge(case: Case) -> Report:
    """Verify evidence and tell everything that the answer rests on."""
    folder = CollateralFolder(case.files, case.roots, case.time_s)
    answer: Verified | GpuClaims | EvidenceRejected
    try:
        answer = _verify(case, folder)
    except EvidenceRejected as rejection:
        answer = rejection
    chain = find_chain(case.family, case.evidence, case.certificates, case.chain, case.roots)
    windows = find_windows(chain, folder.answered)
    root = chain[-1][1] if chain else None
    known = (*_list_roots(case.roots), SIMULATED_ROOT)
    refusal, failed = None, None
    if isinstance(answer, EvidenceRejected):
        failed = find_failed_check(case.family, answer.reason, folder.asked)
        check = CHECKS[case.family][failed].name
        refusal = Refusal(answer.reason.value, str(answer.seen), str(answer.bound), check)
    return Report(
        is_authentic=refusal is None,
        kind=case.family,
        time_s=case.time_s,
        is_simulated=root is not None and any(each.der == root.der and each.is_simulated for each in known),
        is_vendor_root=root is not None and any(each.der == root.der for each in _list_roots(VENDOR_ROOTS)),
        root_name="" if root is None else root.common_name,
        root_sha256="" if root is None else root.fingerprint.hex(),
        refusal=refusal,
        checks=_list_checks(case.family, failed, folder),
        gaps=_find_gaps(case, folder, answer),
        proven=None if isinstance(answer, EvidenceRejected) else _prove(case, answer, windows),
        windows=windows,
    )


def _prove(case: Case, answer: Verified | GpuClaims, windows: tuple[Window, ...]) -> Proven:
    """Sort the claims into what people look for."""
    claims = answer.claims if isinstance(answer, Verified) else answer
    fields = {name: getattr(claims, name) for name in claims.__struct_fields__}
    report_data = fields.pop("report_data", b"") or fields.pop("user_data", b"")
    flags = fields.pop("flags", ())
    if isinstance(answer, Verified):
        valid_from_s, valid_until_s = answer.valid_from_s, answer.valid_until_s
    else:
        valid_from_s, valid_until_s = max(each.from_s for each in windows), min(each.until_s for each in windows)
    return Proven(
        tcb=to_plain(fields.pop("tcb", None)),
        flags=tuple(f"VMPL_{fields['vmpl']}" if flag is Flag.VMPL else flag.value for flag in flags),
        platform_ids=_list_platform_ids(claims),
        platform=to_plain(fields.pop("platform", None)),
        measurements=_unfold({name: fields[name] for name in fields if name in _MEASUREMENTS}),
        report_data=report_data.hex(),
        other=_unfold({name: fields[name] for name in fields if name not in _MEASUREMENTS}),
        valid_from_s=valid_from_s,
        valid_until_s=valid_until_s,
        appraisal=_appraise(case, answer),
    )


def _unfold(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Return claims in plain form: registers one by one, fields of bits in hex."""
    plain: dict[str, Any] = {}
    for name, claim in claims.items():
        if name == "rtmrs":
            plain |= {f"rtmr{index}": register.hex() for index, register in enumerate(claim)}
        elif name == "pcrs":
            plain |= {f"pcr{index}": register.hex() for index, register in claim}
        elif name in _BITS:
            plain[name] = f"{claim:#x}"
        else:
            plain[name] = to_plain(claim)
    return plain


def _verify(case: Case, folder: CollateralFolder) -> Verified | GpuClaims:
    if case.family is Family.NVIDIA:
        return verify_gpu(case.evidence, case.chain, case.nonce, case.roots, case.time_s)
    if case.family is Family.SEV_SNP:
        return _verify_snp(case, folder)
    return verify(_KINDS[case.family], case.evidence, folder, case.roots, case.time_s)


def _verify_snp(case: Case, folder: CollateralFolder) -> Verified:
    """Verify a report; a fault of the revocation list shows in its place, behind the checks that come before it."""
    fault: EvidenceRejected | None = None
    lists = CollateralFiles()
    try:
        lists = CollateralFiles(amd_list=folder.amd_crl(b""))
    except EvidenceRejected as rejection:
        fault = rejection
    try:
        verified = _verify_snp_chain(case, lists)
    except EvidenceRejected as rejection:
        place = find_failed_check(case.family, rejection.reason)
        if fault is None or place < find_failed_check(case.family, fault.reason, CollateralKind.AMD_CRL):
            folder.asked = None
            raise
        raise fault from rejection
    if fault is not None:
        raise fault
    return verified


def _verify_snp_chain(case: Case, lists: CollateralFiles) -> Verified:
    if not case.certificates:
        return verify(EvidenceKind.SEV_SNP, case.evidence, lists, case.roots, case.time_s)
    parse_snp_report(case.evidence)
    vek, *above = case.certificates
    if not above:
        return verify(EvidenceKind.SEV_SNP, case.evidence + vek, lists, case.roots, case.time_s)
    ark = above[1] if len(above) > 1 else _find_ark(above[0], case.roots.amd)
    return verify_snp(case.evidence, vek, above[0], ark, case.roots.amd, lists.amd_list, case.time_s)


def _find_ark(ask: bytes, trusted: tuple[TrustedRoot, ...]) -> bytes:
    """Return the trusted root that an ASK names as its issuer, or any where it is none's."""
    try:
        issuer = parse_certificate(ask).issuer
    except DerError:
        issuer = b""
    named = [root.der for root in trusted if parse_certificate(root.der).subject == issuer]
    return next(iter([*named, *(root.der for root in trusted)]), b"")


def _list_roots(roots: Roots) -> tuple[TrustedRoot, ...]:
    return (*roots.intel, *roots.amd, *roots.aws, *roots.nvidia)


def _list_checks(family: Family, failed: int | None, folder: CollateralFolder) -> tuple[CheckOutcome, ...]:
    outcomes = []
    for place, check in enumerate(CHECKS[family]):
        if failed is not None and place >= failed:
            state = CheckState.FAILED if place == failed else CheckState.NOT_REACHED
        elif CollateralKind.AMD_CRL in check.collateral and CollateralKind.AMD_CRL not in folder.answered:
            state = CheckState.NOT_GIVEN
        else:
            state = CheckState.OK
        outcomes.append(CheckOutcome(check.name, check.law, state))
    return tuple(outcomes)


def _list_platform_ids(claims: Claims | GpuClaims) -> tuple[str, ...]:
    match claims:
        case GpuClaims():
            return (gpu_id(claims).hex(),)
        case SgxClaims() | TdxClaims() | SnpClaims() | NitroClaims():
            return tuple(platform.hex() for platform in platform_ids(claims))


def _find_gaps(
    case: Case, folder: CollateralFolder, answer: Verified | GpuClaims | EvidenceRejected
) -> tuple[Shortage, ...]:
    """Return the versions that are short, where the evidence is genuine as far as that is known."""
    if isinstance(answer, Verified) and isinstance(answer.claims, SnpClaims):
        floors = find_snp_floors(answer.claims.product, DEFAULT_POLICY)
        return find_snp_shortages(answer.claims, (floor for floor in floors if floor.since_s <= case.time_s))
    tcb_info = folder.answered.get(CollateralKind.INTEL_TCB_INFO)
    qe_identity = folder.answered.get(CollateralKind.INTEL_QE_IDENTITY)
    if not isinstance(tcb_info, TcbInfo) or not isinstance(qe_identity, QeIdentity):
        return ()
    if isinstance(answer, EvidenceRejected) and answer.reason not in _TOO_OLD:
        return ()
    return find_intel_shortages(_read_versions(case), tcb_info, qe_identity)


def _read_versions(case: Case) -> SecurityVersions:
    """Return the versions of a quote whose form, chain and extension hold."""
    quote = parse_quote(case.evidence)
    pck = find_chain(case.family, case.evidence, (), (), case.roots)[0][1]
    extension = parse_pck_extension(pck.extensions[SGX_EXTENSION].content)
    is_tdx = case.family is Family.TDX
    return SecurityVersions(
        cpu_svn=extension.cpu_svn,
        pce_svn=extension.pce_svn,
        qe_svn=parse_report(quote.qe_report).isv_svn,
        tee_tcb_svn=quote.body[:16] if is_tdx else b"",
        tee_tcb_svn2=quote.body[584:600] if is_tdx else b"",
    )


def _appraise(case: Case, answer: Verified | GpuClaims) -> dict[str, object]:
    """Appraise by the default policy, without registries and without grace."""
    if isinstance(answer, GpuClaims):
        denial = find_gpu_denial(answer, DEFAULT_POLICY, NO_REGISTRIES)
        return {"is_denied": False} if denial is None else _describe_denial(denial)
    is_simulated = answer.is_simulated
    outcome = appraise(answer.claims, DEFAULT_POLICY, NO_REGISTRIES, case.time_s, is_simulated=is_simulated, grace_s=0)
    if isinstance(outcome, Denial):
        return _describe_denial(outcome)
    return {"is_denied": False, "level": outcome.level, "open_advisories": list(outcome.open_advisories)}


def _describe_denial(denial: Denial) -> dict[str, object]:
    return {"is_denied": True, "reason": denial.reason.value, "seen": denial.seen, "bound": denial.bound}
