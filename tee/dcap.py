"""Verification of Intel's quotes against stored collateral, the same for SGX and TDX.

Three signatures are checked: the CA's on the PCK certificate, the PCK's on the report of the quoting enclave, the attestation
key's on the quote. What the documents say was signed was checked when they arrived. One input has one reason on every machine,
because the checks run in this order:

1. to 3. the form of the quote (tee/intel_quote.py), then the shape and the certificates of its chain;
4. and 5. root, CA and PCK: trust, names, signatures, windows (tee/intel_chain.py);
6. the revocation lists of root and CA: present, current, without CA and PCK;
7. the SGX extension of the PCK certificate;
8. the TCB info: present, current, its signer not withdrawn, of this TEE, FMSPC and PCE;
9. for TDX, the module's identity, signer and attributes;
10. and 11. the quoting enclave's report: signed by the PCK, naming the attestation key;
12. the QE identity: present, current, its signer not withdrawn, of this TEE, and fulfilled;
13. the signature of the quote;
14. the status of all security versions (tee/tcb.py).

Source: specification of attestation, section 3.4.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, Protocol

from msgspec import Struct

from tee.claims import IntelPlatform, Tcb
from tee.der import DerError
from tee.documents import Document, IntelTee, QeIdentity, RevokedSerials, TcbInfo
from tee.errors import EvidenceRejected, Reason
from tee.intel_chain import PckChain, check_pck_chain, encode_serial
from tee.intel_collateral import (
    PCK_CRL_REASONS,
    QE_IDENTITY_REASONS,
    TCB_INFO_REASONS,
    check_document_window,
    check_list_window,
    check_signer_stands,
    find_fresh_root_crl,
)
from tee.intel_quote import EnclaveReport, Quote, parse_report
from tee.pck import SGX_EXTENSION, PckExtension, parse_pck_extension
from tee.roots import Roots
from tee.signatures import verify_p256
from tee.tcb import SecurityVersions, evaluate_tcb, find_module, find_qe_level

_MR_SIGNER_SEAM: Final = slice(64, 112)
_SEAM_ATTRIBUTES: Final = slice(112, 120)
_TEE_TCB_SVN: Final = slice(0, 16)
_TEE_TCB_SVN2: Final = slice(584, 600)
"""Behind the end of body type 2, so none there."""


class IntelCollateral(Protocol):
    """What a quote is judged by. Every document passed its check before; `root` is the SHA-256 of the quote's root certificate."""

    def root_crl(self, root: bytes, /) -> RevokedSerials | None:
        """Return the revocation list of the root."""

    def pck_crl(self, root: bytes, issuer: bytes, key: bytes, /) -> RevokedSerials | None:
        """Return the revocation list of the CA with this name, DER, and this SHA-256 of its SubjectPublicKeyInfo."""

    def tcb_info(self, root: bytes, tee: IntelTee, fmspc: bytes, /) -> TcbInfo | None:
        """Return the TCB info in force for platforms of 6 bytes FMSPC."""

    def qe_identity(self, root: bytes, tee: IntelTee, /) -> QeIdentity | None:
        """Return the QE identity in force."""


class Verdict(Struct, frozen=True, kw_only=True):
    """What a quote proves about its platform, whatever runs there."""

    platform: IntelPlatform
    tcb: Tcb
    root: bytes
    """SHA-256 of the trusted root certificate."""
    is_simulated: bool
    valid_from_s: int
    valid_until_s: int


def verify_quote(quote: Quote, collateral: IntelCollateral, roots: Roots, time_s: int) -> Verdict:
    """Verify a parsed quote at block time.

    Raises:
        EvidenceRejected: one reason of the steps from 3 on, in their order.
    """
    chain = check_pck_chain(quote.pck_chain, roots.intel, time_s)
    root_crl = find_fresh_root_crl(chain.root, collateral.root_crl, time_s)
    pck_crl = _find_pck_crl(chain, collateral, time_s)
    _check_revocation(chain, root_crl, pck_crl)
    extension = _read_extension(chain)
    tcb_info = _find_tcb_info(quote.tee, extension, collateral, root_crl, time_s)
    if quote.tee is IntelTee.TDX:
        _check_module(quote.body, tcb_info)
    if not verify_p256(chain.point, quote.qe_signature, quote.qe_report):
        raise EvidenceRejected(Reason.QE_REPORT_SIGNATURE, quote.qe_signature.hex())
    qe_report = parse_report(quote.qe_report)
    bound = sha256(quote.attestation_key + quote.qe_authentication).digest() + bytes(32)
    if qe_report.report_data != bound:
        raise EvidenceRejected(Reason.QE_REPORT_DATA, qe_report.report_data.hex(), bound.hex())
    qe_identity = _find_qe_identity(quote.tee, collateral, root_crl, time_s)
    _check_quoting_enclave(qe_report, qe_identity)
    if not verify_p256(quote.attestation_key, quote.signature, quote.signed):
        raise EvidenceRejected(Reason.QUOTE_SIGNATURE, quote.signature.hex())
    is_tdx = quote.tee is IntelTee.TDX
    versions = SecurityVersions(
        cpu_svn=extension.cpu_svn,
        pce_svn=extension.pce_svn,
        qe_svn=qe_report.isv_svn,
        tee_tcb_svn=quote.body[_TEE_TCB_SVN] if is_tdx else b"",
        tee_tcb_svn2=quote.body[_TEE_TCB_SVN2] if is_tdx else b"",
    )
    tcb = evaluate_tcb(versions, tcb_info, qe_identity)
    documents: tuple[Document, ...] = (root_crl, pck_crl, tcb_info, qe_identity)
    certificates = (chain.pck, chain.ca, chain.root.certificate)
    return Verdict(
        platform=_describe(quote, chain, extension, qe_report),
        tcb=tcb,
        root=chain.root.certificate.fingerprint,
        is_simulated=chain.root.is_simulated,
        valid_from_s=max(
            *[document.valid_from_s for document in documents],
            *[certificate.not_before_s for certificate in certificates],
        ),
        valid_until_s=min(
            *[document.valid_until_s for document in documents],
            *[certificate.not_after_s for certificate in certificates],
        ),
    )


def _find_pck_crl(chain: PckChain, collateral: IntelCollateral, time_s: int) -> RevokedSerials:
    root = chain.root.certificate.fingerprint
    key = sha256(chain.ca.spki).digest()
    revocations = collateral.pck_crl(root, chain.ca.subject, key)
    if revocations is None:
        raise EvidenceRejected(Reason.COLLATERAL_MISSING, f"revocation list of {chain.ca.common_name}")
    if revocations.root != root or revocations.issuer != chain.ca.subject:
        raise EvidenceRejected(Reason.PCK_CRL_ISSUER, revocations.issuer.hex(), chain.ca.subject.hex())
    if revocations.key != key:
        raise EvidenceRejected(Reason.PCK_CRL_ISSUER, revocations.key.hex(), key.hex())
    check_list_window(revocations, PCK_CRL_REASONS, time_s)
    return revocations


def _check_revocation(chain: PckChain, root_crl: RevokedSerials, pck_crl: RevokedSerials) -> None:
    if root_crl.is_revoked(chain.ca.serial):
        raise EvidenceRejected(Reason.ICA_REVOKED, f"{chain.ca.serial:x}")
    if pck_crl.is_revoked(chain.pck.serial):
        raise EvidenceRejected(Reason.PCK_REVOKED, f"{chain.pck.serial:x}")


def _read_extension(chain: PckChain) -> PckExtension:
    extension = chain.pck.extensions.get(SGX_EXTENSION)
    if extension is None:
        raise EvidenceRejected(Reason.PCK_EXTENSION, "missing")
    try:
        return parse_pck_extension(extension.content)
    except DerError as error:
        raise EvidenceRejected(Reason.PCK_EXTENSION, str(error)) from error


def _find_tcb_info(
    tee: IntelTee, extension: PckExtension, collateral: IntelCollateral, root_crl: RevokedSerials, time_s: int
) -> TcbInfo:
    root = root_crl.root
    tcb_info = collateral.tcb_info(root, tee, extension.fmspc)
    if tcb_info is None:
        raise EvidenceRejected(Reason.COLLATERAL_MISSING, f"{tee.name} TCB info of {extension.fmspc.hex()}")
    check_document_window(tcb_info, TCB_INFO_REASONS, time_s)
    if tcb_info.root != root:
        raise EvidenceRejected(Reason.TCB_INFO_SIGNER, tcb_info.root.hex(), root.hex())
    check_signer_stands(tcb_info, root_crl)
    if tcb_info.tee != tee:
        raise EvidenceRejected(Reason.TCB_INFO_MISMATCH, tcb_info.tee.name, tee.name)
    seen, bound = tcb_info.fmspc + tcb_info.pce_id, extension.fmspc + extension.pce_id
    if seen != bound:
        raise EvidenceRejected(Reason.FMSPC_MISMATCH, seen.hex(), bound.hex())
    return tcb_info


def _check_module(body: bytes, tcb_info: TcbInfo) -> None:
    """Check that the TDX module at launch is signed by whom Intel says, without attributes."""
    module = find_module(tcb_info, body[_TEE_TCB_SVN])
    if body[_MR_SIGNER_SEAM] != module.mr_signer:
        raise EvidenceRejected(Reason.MRSIGNERSEAM, body[_MR_SIGNER_SEAM].hex(), module.mr_signer.hex())
    attributes = body[_SEAM_ATTRIBUTES]
    if any(attributes) or attributes != module.attributes:
        raise EvidenceRejected(Reason.SEAMATTR, attributes.hex(), module.attributes.hex())


def _find_qe_identity(tee: IntelTee, collateral: IntelCollateral, root_crl: RevokedSerials, time_s: int) -> QeIdentity:
    root = root_crl.root
    qe_identity = collateral.qe_identity(root, tee)
    if qe_identity is None:
        raise EvidenceRejected(Reason.COLLATERAL_MISSING, f"QE identity for {tee.name}")
    check_document_window(qe_identity, QE_IDENTITY_REASONS, time_s)
    if qe_identity.root != root:
        raise EvidenceRejected(Reason.QE_IDENTITY_SIGNER, qe_identity.root.hex(), root.hex())
    check_signer_stands(qe_identity, root_crl)
    if qe_identity.tee != tee:
        raise EvidenceRejected(Reason.QE_IDENTITY_MISMATCH, qe_identity.tee.name, tee.name)
    return qe_identity


def _check_quoting_enclave(report: EnclaveReport, identity: QeIdentity) -> None:
    """Check that the quoting enclave is Intel's, and not below all its levels."""
    misc_select = report.misc_select & identity.misc_select_mask
    if misc_select != identity.misc_select:
        raise EvidenceRejected(Reason.QE_MISCSELECT, f"{misc_select:08x}", f"{identity.misc_select:08x}")
    attributes = int.from_bytes(report.attributes, "big") & int.from_bytes(identity.attributes_mask, "big")
    if attributes != int.from_bytes(identity.attributes, "big"):
        raise EvidenceRejected(Reason.QE_ATTRIBUTES, f"{attributes:032x}", identity.attributes.hex())
    if report.mr_signer != identity.mr_signer:
        raise EvidenceRejected(Reason.QE_MRSIGNER, report.mr_signer.hex(), identity.mr_signer.hex())
    if report.isv_prod_id != identity.isv_prod_id:
        raise EvidenceRejected(Reason.QE_ISVPRODID, report.isv_prod_id, identity.isv_prod_id)
    find_qe_level(identity, report.isv_svn)


def _describe(quote: Quote, chain: PckChain, extension: PckExtension, qe_report: EnclaveReport) -> IntelPlatform:
    return IntelPlatform(
        ppid=extension.ppid,
        instance_id=extension.instance_id,
        fmspc=extension.fmspc,
        pce_id=extension.pce_id,
        cpu_svn=extension.cpu_svn,
        pce_svn=extension.pce_svn,
        sgx_type=extension.sgx_type,
        configuration=extension.configuration,
        pck_issuer=sha256(chain.pck.issuer).digest(),
        pck_serial=encode_serial(chain.pck.serial),
        ca_key=sha256(chain.ca.spki).digest(),
        ca_serial=encode_serial(chain.ca.serial),
        pck_not_after_s=chain.pck.not_after_s,
        qe_svn=qe_report.isv_svn,
        qe_platform_id=quote.platform_id,
    )
