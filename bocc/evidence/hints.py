"""What a person can do about a refusal: one sentence for each that has a remedy."""

from __future__ import annotations

import shlex
from typing import Final

from bocc.evidence.decode import cut_quote
from bocc.evidence.files import Content, Form, find_der_bytes
from bocc.evidence.folder import INTEL_FILES
from bocc.evidence.report import Case, Report
from bocc.evidence.windows import find_chain
from tee.checks import Family
from tee.der import DerError
from tee.errors import EvidenceRejected, Reason
from tee.pck import SGX_EXTENSION, parse_pck_extension
from tee.snp_report import REPORT_BYTES
from tee.spdm import parse_report

_READERS: Final = {
    Form.BINARY: "head -c {size} {name}",
    Form.HEX: "xxd -r -p {name} | head -c {size}",
    Form.BASE64: "base64 -d {name} | head -c {size}",
    Form.PEM: "head -c {size} {name}",
}
_HINTS: Final = {
    Reason.CERT_DATA_TYPE: "only quotes with their PCK chain (type 5) can be verified offline: let the quoting library embed it",
    Reason.PCK_CRL_ISSUER: "the list is of another CA than the PCK's: fetch the one of its issuer, ca=platform or ca=processor",
    Reason.TCB_INFO_MISMATCH: "the folder has the documents of the other TEE; fetch those below /tdx/ or /sgx/ of Intel's service",
    Reason.QE_IDENTITY_MISMATCH: "the folder has the identity of the other TEE's quoting enclave",
    Reason.FMSPC_MISMATCH: "the TCB info is of another kind of platform; fetch the one of this quote's FMSPC (`bocc tee decode`)",
    Reason.TCB_NOT_SUPPORTED: "the platform is older than every level that Intel knows: update its firmware",
    Reason.TDX_MODULE_TCB_NOT_SUPPORTED: "the TDX module is older than every level that Intel knows: update it",
    Reason.QE_TCB_NOT_SUPPORTED: "the quoting enclave is older than every level that Intel knows: update it",
    Reason.TDX_MODULE_IDENTITY_MISSING: "Intel's TCB info does not know this TDX module: fetch a newer one",
    Reason.NONCE: "the report answers another nonce: give the one that was sent to the device",
    Reason.CHAIN_SHAPE: "NVIDIA's chain has five certificates, leaf first, root included",
    Reason.VEK_BAD_ISSUER: "the VEK is of another product or root than those trusted; --root and --certificate give others",
    Reason.TCB_MISMATCH: "the VEK is for other firmware versions: fetch it from AMD again, with the reported TCB",
    Reason.CHIP_ID_MISMATCH: "the VEK is that of another chip",
    Reason.FWID_MISMATCH: "read report and chain from one start of the device; how Blackwell names firmware is not read yet",
    Reason.TIMESTAMP: "the document is from the future of this time: look at the clock, or at --at",
}

_DOCUMENTS_EXPIRED: Final = frozenset(
    {
        Reason.ROOT_CRL_EXPIRED,
        Reason.PCK_CRL_EXPIRED,
        Reason.TCB_INFO_EXPIRED,
        Reason.QE_IDENTITY_EXPIRED,
        Reason.CRL_EXPIRED,
    }
)
"""The evidence is as good as ever; what the vendor says of it is not."""


def find_hint(report: Report, case: Case, content: Content, name: str) -> str:
    """Return a remedy for the refusal that a report tells, or nothing. The name is that of the file."""
    if report.refusal is None:
        return ""
    reason = Reason(report.refusal.reason)
    if report.is_simulated and report.refusal.check == "root":
        return "this is the root of the software TEE, which proves nothing; --simulated trusts it nevertheless"
    if reason is Reason.COLLATERAL_MISSING:
        names = ", ".join(INTEL_FILES)
        return f"give --collateral DIR with {names}, as Intel's service gives them out for {_name_platform(case)}"
    if reason in {Reason.TRAILING_BYTES, Reason.CERT_DER} and (size := _find_size(case)) is not None:
        command = _READERS[content.form].format(size=size, name=shlex.quote(name))
        return f"cut the file where the evidence ends: {command} > evidence.bin"
    if reason is Reason.CERT_DER and case.family is Family.SEV_SNP and len(case.evidence) == REPORT_BYTES:
        return "give the chip's certificate: --certificate VCEK, or append its DER to the report"
    if reason in _DOCUMENTS_EXPIRED:
        return "get this document from the vendor anew, or judge at a time at which it was good (--at)"
    if "expired" in reason.value:
        return "make the evidence anew, or judge it at the time at which it was made (--at)"
    if "not_yet_valid" in reason.value:
        return "look at the clock, or at --at: this is before the time of what the evidence rests on"
    if "untrusted" in reason.value and report.is_vendor_root:
        return "this root is a vendor's, but not the one that --root trusts in its place"
    if "untrusted" in reason.value:
        return "the root is none of the vendors'; --root FILE trusts another one, for tests"
    return _HINTS.get(reason, "")


def _name_platform(case: Case) -> str:
    """Return what the vendor's service must be asked for."""
    chain = find_chain(case.family, case.evidence, (), (), case.roots)
    extension = chain[0][1].extensions.get(SGX_EXTENSION) if chain else None
    try:
        fmspc = "" if extension is None else parse_pck_extension(extension.content).fmspc.hex()
    except DerError:
        fmspc = ""
    return f"FMSPC {fmspc}, below /{case.family.value}/" if fmspc else "this platform"


def _find_size(case: Case) -> int | None:
    """Return how long evidence is that has bytes behind it."""
    if case.family in {Family.SGX, Family.TDX}:
        whole, left_bytes = cut_quote(case.evidence)
        return len(whole) if left_bytes else None
    if case.family is Family.SEV_SNP:
        certificate_bytes = find_der_bytes(case.evidence[REPORT_BYTES:])
        size = REPORT_BYTES + (certificate_bytes or 0)
        return size if certificate_bytes and size < len(case.evidence) else None
    if case.family is Family.NVIDIA:
        try:
            parse_report(case.evidence)
        except EvidenceRejected as rejection:
            if rejection.reason is Reason.TRAILING_BYTES:
                return len(case.evidence) - int(rejection.seen)
    return None
