"""Intel's collateral, checked once when it arrives: revocation lists, TCB infos, QE identities.

Checks run in one order: size and envelope, the chain of the signer, the signature over the bytes as sent, the format, the window.
What passes is signed by an authority below a trusted root that was valid at this block time. Whether a document is newer than the
one that is stored (issued later) is for whoever stores it.

Source: specification of attestation, sections 3.3 and 12.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple, TypeVar

from tee.certificates import (
    CRL_SIGN,
    Certificate,
    RevocationList,
    SignedList,
    is_signed_by,
    open_revocation_list,
    parse_revocation_list,
)
from tee.der import DerError
from tee.documents import SERIAL_BYTES, CollateralKind, QeIdentity, RevokedSerials, TcbInfo
from tee.errors import EvidenceRejected, Reason
from tee.intel_chain import (
    TCB_SIGNER_NAME,
    IntelRoot,
    check_ca,
    check_window,
    encode_serial,
    find_root_above,
    is_issued_by_root,
    parse_authority,
)
from tee.intel_documents import Vouching, read_qe_identity, read_tcb_info
from tee.roots import TrustedRoot
from tee.signatures import EcKey, verify_p256
from tee.strict_json import JsonError, cut_signed_object, parse_json

DocumentType = TypeVar("DocumentType", TcbInfo, QeIdentity)
RootCrlFinder = Callable[[bytes], RevokedSerials | None]
"""Answers the stored revocation list of a root, by the SHA-256 of its certificate."""


class CrlReasons(NamedTuple):
    """How the faults of one kind of revocation list are called."""

    issuer: Reason
    signature: Reason
    expired: Reason
    not_yet_valid: Reason


class DocumentReasons(NamedTuple):
    """How the faults of one kind of JSON document are called."""

    format: Reason
    signer: Reason
    signer_revoked: Reason
    signature: Reason
    expired: Reason
    not_yet_valid: Reason


ROOT_CRL_REASONS: Final = CrlReasons(
    Reason.ROOT_CRL_ISSUER, Reason.ROOT_CRL_SIGNATURE, Reason.ROOT_CRL_EXPIRED, Reason.ROOT_CRL_NOT_YET_VALID
)
PCK_CRL_REASONS: Final = CrlReasons(
    Reason.PCK_CRL_ISSUER, Reason.PCK_CRL_SIGNATURE, Reason.PCK_CRL_EXPIRED, Reason.PCK_CRL_NOT_YET_VALID
)
TCB_INFO_REASONS: Final = DocumentReasons(
    Reason.TCB_INFO_FORMAT,
    Reason.TCB_INFO_SIGNER,
    Reason.TCB_INFO_SIGNER_REVOKED,
    Reason.TCB_INFO_SIGNATURE,
    Reason.TCB_INFO_EXPIRED,
    Reason.TCB_INFO_NOT_YET_VALID,
)
QE_IDENTITY_REASONS: Final = DocumentReasons(
    Reason.QE_IDENTITY_FORMAT,
    Reason.QE_IDENTITY_SIGNER,
    Reason.QE_IDENTITY_SIGNER_REVOKED,
    Reason.QE_IDENTITY_SIGNATURE,
    Reason.QE_IDENTITY_EXPIRED,
    Reason.QE_IDENTITY_NOT_YET_VALID,
)


def check_root_crl(body: bytes, chain: Sequence[bytes], trusted: Sequence[TrustedRoot], time_s: int) -> RevokedSerials:
    """Check the revocation list of a root; the chain is empty, or the root.

    Raises:
        EvidenceRejected: PARSE, ROOT_CRL_ISSUER, ROOT_CRL_SIGNATURE, PARSE (what is signed), ROOT_CRL_EXPIRED,
            ROOT_CRL_NOT_YET_VALID, PCK_CERT_EXPIRED, PCK_CERT_NOT_YET_VALID (of the root).
    """
    signed = _open_list(body)
    candidates = [IntelRoot(parse_authority(root.der), root.is_simulated) for root in trusted]
    candidates = [root for root in candidates if root.certificate.subject == signed.issuer]
    candidates = [root for root in candidates if not chain or [root.certificate.der] == list(chain)]
    if not candidates:
        raise EvidenceRejected(Reason.ROOT_CRL_ISSUER, signed.issuer_common_name)
    root = next((root for root in candidates if _is_list_of(signed, root.certificate)), None)
    if root is None:
        raise EvidenceRejected(Reason.ROOT_CRL_SIGNATURE, signed.issuer_common_name)
    revocations = _parse_list(body)
    check_window(root.certificate, time_s)
    return _store_list(CollateralKind.INTEL_ROOT_CRL, revocations, (root.certificate,), ROOT_CRL_REASONS, time_s)


def check_pck_crl(
    body: bytes, chain: Sequence[bytes], trusted: Sequence[TrustedRoot], find_root_crl: RootCrlFinder, time_s: int
) -> RevokedSerials:
    """Check the revocation list of a Platform or Processor CA; the chain is that CA, and the root unless left out.

    Raises:
        EvidenceRejected: PARSE, PCK_CHAIN_SHAPE, PCK_CERT_DER, PCK_CHAIN_ROOT_UNTRUSTED, ICA_NOT_CA, ICA_BAD_ISSUER,
            PCK_CERT_EXPIRED, PCK_CERT_NOT_YET_VALID, PCK_CRL_ISSUER, PCK_CRL_SIGNATURE, PARSE (what is signed),
            COLLATERAL_MISSING, ROOT_CRL_EXPIRED, ROOT_CRL_NOT_YET_VALID, ICA_REVOKED, PCK_CRL_EXPIRED, PCK_CRL_NOT_YET_VALID.
    """
    signed = _open_list(body)
    if len(chain) not in {1, 2}:
        raise EvidenceRejected(Reason.PCK_CHAIN_SHAPE, len(chain), "1 or 2 certificates")
    try:
        ca = parse_authority(chain[0])
    except DerError as error:
        raise EvidenceRejected(Reason.PCK_CERT_DER, str(error)) from error
    root = find_root_above(ca, chain[1:], trusted)
    if root is None:
        raise EvidenceRejected(Reason.PCK_CHAIN_ROOT_UNTRUSTED, ca.issuer_common_name)
    check_ca(ca, root)
    for certificate in (root.certificate, ca):
        check_window(certificate, time_s)
    if signed.issuer != ca.subject:
        raise EvidenceRejected(Reason.PCK_CRL_ISSUER, signed.issuer_common_name, ca.common_name)
    if not _is_list_of(signed, ca):
        raise EvidenceRejected(Reason.PCK_CRL_SIGNATURE, signed.issuer_common_name)
    revocations = _parse_list(body)
    if find_fresh_root_crl(root, find_root_crl, time_s).is_revoked(ca.serial):
        raise EvidenceRejected(Reason.ICA_REVOKED, f"{ca.serial:x}")
    issuers = (ca, root.certificate)
    return _store_list(CollateralKind.INTEL_PCK_CRL, revocations, issuers, PCK_CRL_REASONS, time_s)


def check_tcb_info(
    body: bytes, chain: Sequence[bytes], trusted: Sequence[TrustedRoot], find_root_crl: RootCrlFinder, time_s: int
) -> TcbInfo:
    """Check a TCB info as Intel's service answers it; the chain is its signer, and the root unless left out.

    Raises:
        EvidenceRejected: TCB_INFO_FORMAT, TCB_INFO_SIGNER, COLLATERAL_MISSING, ROOT_CRL_EXPIRED, ROOT_CRL_NOT_YET_VALID,
            TCB_INFO_SIGNER_REVOKED, TCB_INFO_SIGNATURE, TCB_INFO_EXPIRED, TCB_INFO_NOT_YET_VALID.
    """
    return _check_document(body, "tcbInfo", read_tcb_info, chain, trusted, find_root_crl, TCB_INFO_REASONS, time_s)


def check_qe_identity(
    body: bytes, chain: Sequence[bytes], trusted: Sequence[TrustedRoot], find_root_crl: RootCrlFinder, time_s: int
) -> QeIdentity:
    """Check the identity of a quoting enclave as Intel's service answers it; the chain is that of a TCB info.

    Raises:
        EvidenceRejected: QE_IDENTITY_FORMAT, QE_IDENTITY_SIGNER, COLLATERAL_MISSING, ROOT_CRL_EXPIRED, ROOT_CRL_NOT_YET_VALID,
            QE_IDENTITY_SIGNER_REVOKED, QE_IDENTITY_SIGNATURE, QE_IDENTITY_EXPIRED, QE_IDENTITY_NOT_YET_VALID.
    """
    reasons = QE_IDENTITY_REASONS
    return _check_document(body, "enclaveIdentity", read_qe_identity, chain, trusted, find_root_crl, reasons, time_s)


def check_document_window(document: TcbInfo | QeIdentity, reasons: DocumentReasons, time_s: int) -> None:
    """Check that a document may be used in this second; both ends count.

    Raises:
        EvidenceRejected: the reasons given for a document that is not yet or no longer valid.
    """
    if time_s < document.valid_from_s:
        raise EvidenceRejected(reasons.not_yet_valid, time_s, document.valid_from_s)
    if time_s > document.valid_until_s:
        raise EvidenceRejected(reasons.expired, time_s, document.valid_until_s)


def check_signer_stands(document: TcbInfo | QeIdentity, root_crl: RevokedSerials) -> None:
    """Check that the root has not withdrawn the signer of a document since it was taken in.

    Raises:
        EvidenceRejected: TCB_INFO_SIGNER_REVOKED, QE_IDENTITY_SIGNER_REVOKED.
    """
    if root_crl.is_revoked(int.from_bytes(document.signer_serial, "big")):
        reasons = TCB_INFO_REASONS if isinstance(document, TcbInfo) else QE_IDENTITY_REASONS
        raise EvidenceRejected(reasons.signer_revoked, document.signer_serial.hex())


def check_list_window(revocations: RevokedSerials, reasons: CrlReasons, time_s: int) -> None:
    """Check that a revocation list may be used in this second; the second of the next list does not count.

    Raises:
        EvidenceRejected: the reasons given for a list that is not yet or no longer valid.
    """
    if time_s < revocations.valid_from_s:
        raise EvidenceRejected(reasons.not_yet_valid, time_s, revocations.valid_from_s)
    if time_s > revocations.valid_until_s:
        raise EvidenceRejected(reasons.expired, time_s, revocations.valid_until_s)


def find_fresh_root_crl(root: IntelRoot, find_root_crl: RootCrlFinder, time_s: int) -> RevokedSerials:
    """Return the stored revocation list of a root, which must be there and current.

    Raises:
        EvidenceRejected: COLLATERAL_MISSING, ROOT_CRL_ISSUER, ROOT_CRL_EXPIRED, ROOT_CRL_NOT_YET_VALID.
    """
    fingerprint = root.certificate.fingerprint
    revocations = find_root_crl(fingerprint)
    if revocations is None:
        raise EvidenceRejected(Reason.COLLATERAL_MISSING, f"revocation list of root {fingerprint.hex()}")
    if revocations.root != fingerprint or revocations.issuer != root.certificate.subject:
        raise EvidenceRejected(Reason.ROOT_CRL_ISSUER, revocations.root.hex(), fingerprint.hex())
    check_list_window(revocations, ROOT_CRL_REASONS, time_s)
    return revocations


def _open_list(body: bytes) -> SignedList:
    try:
        return open_revocation_list(body)
    except DerError as error:
        raise EvidenceRejected(Reason.PARSE, str(error)) from error


def _parse_list(body: bytes) -> RevocationList:
    try:
        revocations = parse_revocation_list(body)
    except DerError as error:
        raise EvidenceRejected(Reason.PARSE, str(error)) from error
    if revocations.number is None or not revocations.has_authority_key_id:
        raise EvidenceRejected(Reason.PARSE, "a revocation list without number or authority key id")
    return revocations


def _is_list_of(signed: SignedList, issuer: Certificate) -> bool:
    return bool((issuer.key_usage or 0) & CRL_SIGN) and is_signed_by(signed, issuer)


def _store_list(
    kind: CollateralKind,
    revocations: RevocationList,
    issuers: Sequence[Certificate],
    reasons: CrlReasons,
    time_s: int,
) -> RevokedSerials:
    """Return the form that a chain stores, if it is valid now; the first issuer signed it, the last one is the root."""
    stored = RevokedSerials(
        kind=kind,
        root=issuers[-1].fingerprint,
        issued_s=revocations.this_update_s,
        next_update_s=revocations.next_update_s,
        valid_from_s=max(revocations.this_update_s, *(issuer.not_before_s for issuer in issuers)),
        valid_until_s=min(revocations.next_update_s - 1, *(issuer.not_after_s for issuer in issuers)),
        issuer=revocations.issuer,
        key=b"" if kind is CollateralKind.INTEL_ROOT_CRL else sha256(issuers[0].spki).digest(),
        serials=b"".join([serial.to_bytes(SERIAL_BYTES, "big") for serial in revocations.serials]),
    )
    check_list_window(stored, reasons, time_s)
    return stored


def _check_document(
    body: bytes,
    member: str,
    read: Callable[[dict[str, Any], Vouching], DocumentType],
    chain: Sequence[bytes],
    trusted: Sequence[TrustedRoot],
    find_root_crl: RootCrlFinder,
    reasons: DocumentReasons,
    time_s: int,
) -> DocumentType:
    """Check envelope, signer and signature of a document before its members are read, and its window after that."""
    try:
        raw, signature = cut_signed_object(body, member)
    except JsonError as error:
        raise EvidenceRejected(reasons.format, str(error)) from error
    signer, root = _check_signer(chain, trusted, reasons, time_s)
    if find_fresh_root_crl(root, find_root_crl, time_s).is_revoked(signer.serial):
        raise EvidenceRejected(reasons.signer_revoked, f"{signer.serial:x}")
    # Invariant: parse_authority lets no other kind of key pass.
    assert isinstance(signer.key, EcKey)
    if not verify_p256(signer.key.point, signature, raw):
        raise EvidenceRejected(reasons.signature, signature.hex())
    vouching = Vouching(
        root=root.certificate.fingerprint,
        signer_serial=encode_serial(signer.serial),
        valid_from_s=max(signer.not_before_s, root.certificate.not_before_s),
        valid_until_s=min(signer.not_after_s, root.certificate.not_after_s),
    )
    try:
        document = read(parse_json(raw), vouching)
    except JsonError as error:
        raise EvidenceRejected(reasons.format, str(error)) from error
    check_document_window(document, reasons, time_s)
    return document


def _check_signer(
    chain: Sequence[bytes], trusted: Sequence[TrustedRoot], reasons: DocumentReasons, time_s: int
) -> tuple[Certificate, IntelRoot]:
    """Check that the chain is a valid signer of TCB documents below a trusted root."""
    if len(chain) not in {1, 2}:
        raise EvidenceRejected(reasons.signer, len(chain), "1 or 2 certificates")
    try:
        signer = parse_authority(chain[0])
    except DerError as error:
        raise EvidenceRejected(reasons.signer, str(error)) from error
    if signer.common_name != TCB_SIGNER_NAME or signer.is_ca:
        raise EvidenceRejected(reasons.signer, signer.common_name, TCB_SIGNER_NAME)
    root = find_root_above(signer, chain[1:], trusted)
    if root is None or not is_issued_by_root(signer.der, root.certificate.der):
        raise EvidenceRejected(reasons.signer, signer.issuer_common_name, "a trusted root")
    for certificate in (root.certificate, signer):
        if not certificate.not_before_s <= time_s <= certificate.not_after_s:
            window = f"{certificate.not_before_s} to {certificate.not_after_s}"
            raise EvidenceRejected(reasons.signer, f"{certificate.common_name} at {time_s}", window)
    return signer, root
