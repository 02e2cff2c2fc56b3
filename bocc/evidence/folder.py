"""A folder of vendor documents as a verifier's collateral: each document is checked when it is asked for, at the same time.

So a fault of a document shows at the check that needs it, with the document's own reason. Names of the files are those of
`INTEL_FILES` and `AMD_CRL_FILES`; what is absent is absent. One folder holds the documents for one piece of evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from bocc.evidence.files import FILE_BYTES_MAX, read_certificates, read_content
from tee.amd_collateral import check_amd_crl
from tee.collateral import (
    AMD_CRL_FILE,
    PCK_CRL_CHAIN_FILE,
    PCK_CRL_FILE,
    QE_IDENTITY_FILE,
    ROOT_CRL_FILE,
    TCB_INFO_FILE,
    TCB_SIGNER_CHAIN_FILE,
)
from tee.documents import CollateralKind, IntelTee, Parsed, QeIdentity, RevokedSerials, TcbInfo
from tee.intel_collateral import check_pck_crl, check_qe_identity, check_root_crl, check_tcb_info
from tee.roots import Roots

INTEL_FILES: Final = (
    ROOT_CRL_FILE,
    PCK_CRL_FILE,
    PCK_CRL_CHAIN_FILE,
    TCB_INFO_FILE,
    QE_IDENTITY_FILE,
    TCB_SIGNER_CHAIN_FILE,
)
AMD_CRL_FILES: Final = (AMD_CRL_FILE, "crl.der")
"""Names of AMD's list; the second is that of the link from which AMD gives it out."""

Answer = TypeVar("Answer", RevokedSerials, TcbInfo, QeIdentity)


def load_files(folder: Path | None) -> dict[str, bytes]:
    """Return the files of a folder that have a known name; none without a folder."""
    if folder is None:
        return {}
    present = [name for name in (*INTEL_FILES, *AMD_CRL_FILES) if (folder / name).is_file()]
    loaded = {}
    for name in present:
        with (folder / name).open("rb") as file:
            loaded[name] = file.read(FILE_BYTES_MAX)
    return loaded


class CollateralFolder:
    """Answers a verifier from files, and remembers what it answered."""

    def __init__(self, files: Mapping[str, bytes], roots: Roots, time_s: int) -> None:
        """Take the files as they are; nothing is looked at before it is asked for."""
        self._files = files
        self._roots = roots
        self._time_s = time_s
        self.asked: CollateralKind | None = None
        """The document that was asked for last and is absent or refused."""
        self.answered: dict[CollateralKind, Parsed] = {}
        """Documents that were asked for and are good."""

    def root_crl(self, root: bytes, /) -> RevokedSerials | None:
        """Return the revocation list of Intel's root."""
        del root
        return self._answer(CollateralKind.INTEL_ROOT_CRL, ROOT_CRL_FILE, self._check_root_crl)

    def pck_crl(self, root: bytes, issuer: bytes, key: bytes, /) -> RevokedSerials | None:
        """Return the revocation list of the CA of PCK certificates."""
        del root, issuer, key
        return self._answer(CollateralKind.INTEL_PCK_CRL, PCK_CRL_FILE, self._check_pck_crl)

    def tcb_info(self, root: bytes, tee: IntelTee, fmspc: bytes, /) -> TcbInfo | None:
        """Return the TCB info, of whatever platform it is."""
        del root, tee, fmspc
        return self._answer(CollateralKind.INTEL_TCB_INFO, TCB_INFO_FILE, self._check_tcb_info)

    def qe_identity(self, root: bytes, tee: IntelTee, /) -> QeIdentity | None:
        """Return the QE identity, of whatever TEE it is."""
        del root, tee
        return self._answer(CollateralKind.INTEL_QE_IDENTITY, QE_IDENTITY_FILE, self._check_qe_identity)

    def amd_crl(self, root: bytes, /) -> RevokedSerials | None:
        """Return AMD's revocation list; without one, revocation is not checked."""
        del root
        present = [name for name in AMD_CRL_FILES if name in self._files]
        return self._answer(CollateralKind.AMD_CRL, present[0], self._check_amd_crl) if present else None

    def _answer(self, kind: CollateralKind, name: str, check: Callable[[bytes], Answer]) -> Answer | None:
        self.asked = kind
        if name not in self._files:
            return None
        document = check(self._files[name])
        self.answered[kind] = document
        self.asked = None
        return document

    def _chain(self, name: str) -> tuple[bytes, ...]:
        return read_certificates(self._files[name]) if name in self._files else ()

    def _find_root_crl(self, root: bytes) -> RevokedSerials | None:
        """Return the list for the checks of other documents, which come after the root's own."""
        del root
        found = self.answered.get(CollateralKind.INTEL_ROOT_CRL)
        return found if isinstance(found, RevokedSerials) else None

    def _check_root_crl(self, body: bytes) -> RevokedSerials:
        return check_root_crl(read_content(body).octets, (), self._roots.intel, self._time_s)

    def _check_pck_crl(self, body: bytes) -> RevokedSerials:
        chain = self._chain(PCK_CRL_CHAIN_FILE)
        octets = read_content(body).octets
        return check_pck_crl(octets, chain, self._roots.intel, self._find_root_crl, self._time_s)

    def _check_tcb_info(self, body: bytes) -> TcbInfo:
        chain = self._chain(TCB_SIGNER_CHAIN_FILE)
        return check_tcb_info(body.rstrip(), chain, self._roots.intel, self._find_root_crl, self._time_s)

    def _check_qe_identity(self, body: bytes) -> QeIdentity:
        chain = self._chain(TCB_SIGNER_CHAIN_FILE)
        return check_qe_identity(body.rstrip(), chain, self._roots.intel, self._find_root_crl, self._time_s)

    def _check_amd_crl(self, body: bytes) -> RevokedSerials:
        arks = [root.der for root in self._roots.amd]
        return check_amd_crl(read_content(body).octets, arks, self._time_s)
