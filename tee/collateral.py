"""Vendor documents: taken in with one check, and handed to verifiers.

A chain checks each document once, when it arrives, and stores what `check_collateral` returns; a folder of files does the same in
memory. Verifiers see both through one protocol.

Source: specification of attestation, sections 1.1, 3.3 and 4.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct

from tee.amd_collateral import check_amd_crl
from tee.dcap import IntelCollateral
from tee.documents import CollateralKind, IntelTee, Parsed, QeIdentity, RevokedSerials, TcbInfo
from tee.errors import EvidenceRejected, Reason
from tee.intel_collateral import (
    RootCrlFinder,
    check_pck_crl,
    check_qe_identity,
    check_root_crl,
    check_tcb_info,
)
from tee.pem import PemError, split_pem_chain
from tee.roots import Roots
from tee.sev_snp import AmdCollateral

ROOT_CRL_FILE: Final = "root_ca_crl.der"
PCK_CRL_FILE: Final = "pck_crl.der"
PCK_CRL_CHAIN_FILE: Final = "pck_crl_issuer_chain.pem"
TCB_INFO_FILE: Final = "tcb_info.json"
QE_IDENTITY_FILE: Final = "qe_identity.json"
TCB_SIGNER_CHAIN_FILE: Final = "tcb_signing_chain.pem"
AMD_CRL_FILE: Final = "amd_crl.der"
"""Names of files in a folder of collateral; chains hold two certificates, the root last."""


class Collateral(IntelCollateral, AmdCollateral, Protocol):
    """What verifiers ask for, whoever keeps it. None where there is no document."""


def check_collateral(
    kind: CollateralKind,
    body: bytes,
    chain: Sequence[bytes],
    roots: Roots,
    find_root_crl: RootCrlFinder,
    time_s: int,
) -> Parsed:
    """Check one vendor document at block time and return what a chain stores of it.

    The caller stores it under its kind, subject and number, if it was issued later than what is stored there.

    Args:
        kind: which document.
        body: a revocation list in DER, at most 256 KiB, or a document as Intel's service answers it, at most 64 KiB.
        chain: certificates in DER, the signer first; the root may end it or be left out. Of AMD's lists, the root or nothing.
        roots: whom to trust.
        find_root_crl: the stored revocation list of an Intel root, by the SHA-256 of its certificate.
        time_s: seconds since 1970.

    Raises:
        EvidenceRejected: as the check of this kind says.
    """
    match kind:
        case CollateralKind.INTEL_ROOT_CRL:
            return check_root_crl(body, chain, roots.intel, time_s)
        case CollateralKind.INTEL_PCK_CRL:
            return check_pck_crl(body, chain, roots.intel, find_root_crl, time_s)
        case CollateralKind.INTEL_TCB_INFO:
            return check_tcb_info(body, chain, roots.intel, find_root_crl, time_s)
        case CollateralKind.INTEL_QE_IDENTITY:
            return check_qe_identity(body, chain, roots.intel, find_root_crl, time_s)
        case CollateralKind.AMD_CRL:
            return check_amd_crl(body, [root.der for root in roots.amd if list(chain) in ([], [root.der])], time_s)


class CollateralFiles(Struct, frozen=True, kw_only=True):
    """A folder of files: at most one document of each kind, handed out whatever subject is asked for.

    So a verifier that meets the document of another platform says what is wrong with it.
    """

    root_list: RevokedSerials | None = None
    pck_list: RevokedSerials | None = None
    platform_info: TcbInfo | None = None
    enclave_identity: QeIdentity | None = None
    amd_list: RevokedSerials | None = None

    @classmethod
    def load(cls, files: Mapping[str, bytes], roots: Roots, time_s: int) -> CollateralFiles:
        """Check the files of a folder, by their names; each may be absent.

        Raises:
            EvidenceRejected: the first fault, in the order root list, PCK list, TCB info, QE identity, AMD list.
        """
        root_list, pck_list, platform_info, enclave_identity, amd_list = None, None, None, None, None

        def find_root_crl(_root: bytes) -> RevokedSerials | None:
            return root_list

        if ROOT_CRL_FILE in files:
            root_list = check_root_crl(files[ROOT_CRL_FILE], (), roots.intel, time_s)
        if PCK_CRL_FILE in files:
            chain = _read_chain(files, PCK_CRL_CHAIN_FILE, Reason.PCK_CHAIN_SHAPE)
            pck_list = check_pck_crl(files[PCK_CRL_FILE], chain, roots.intel, find_root_crl, time_s)
        if TCB_INFO_FILE in files:
            chain = _read_chain(files, TCB_SIGNER_CHAIN_FILE, Reason.TCB_INFO_SIGNER)
            platform_info = check_tcb_info(files[TCB_INFO_FILE], chain, roots.intel, find_root_crl, time_s)
        if QE_IDENTITY_FILE in files:
            chain = _read_chain(files, TCB_SIGNER_CHAIN_FILE, Reason.QE_IDENTITY_SIGNER)
            enclave_identity = check_qe_identity(files[QE_IDENTITY_FILE], chain, roots.intel, find_root_crl, time_s)
        if AMD_CRL_FILE in files:
            amd_list = check_amd_crl(files[AMD_CRL_FILE], [root.der for root in roots.amd], time_s)
        return cls(
            root_list=root_list,
            pck_list=pck_list,
            platform_info=platform_info,
            enclave_identity=enclave_identity,
            amd_list=amd_list,
        )

    def root_crl(self, _root: bytes, /) -> RevokedSerials | None:
        """Return the revocation list of Intel's root."""
        return self.root_list

    def pck_crl(self, _root: bytes, _issuer: bytes, _key: bytes, /) -> RevokedSerials | None:
        """Return the revocation list of a Platform or Processor CA."""
        return self.pck_list

    def tcb_info(self, _root: bytes, _tee: IntelTee, _fmspc: bytes, /) -> TcbInfo | None:
        """Return the TCB info."""
        return self.platform_info

    def qe_identity(self, _root: bytes, _tee: IntelTee, /) -> QeIdentity | None:
        """Return the QE identity."""
        return self.enclave_identity

    def amd_crl(self, _root: bytes, /) -> RevokedSerials | None:
        """Return the revocation list of a root of AMD's."""
        return self.amd_list


def _read_chain(files: Mapping[str, bytes], name: str, reason: Reason) -> list[bytes]:
    """Return a chain of two certificates, the root last, or none where the file is absent."""
    pem = files.get(name)
    if pem is None:
        return []
    try:
        return split_pem_chain(pem, 2)
    except PemError as error:
        raise EvidenceRejected(reason, str(error)) from error
