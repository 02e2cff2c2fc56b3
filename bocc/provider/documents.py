"""Vendor documents in files, as messages for the chain.

A folder is read by the usual names of its files (tee/collateral.py); a single file by what it holds. The order is that in which the
chain can check them: the root's revocation list first, since the signers of all others are looked up in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

from msgspec import Struct

from bocc.evidence.files import FILE_BYTES_MAX, Document, find_kind, read_certificates, read_content
from bocc.evidence.folder import AMD_CRL_FILES
from state.errors import Rejected
from state.trust_messages import CHAIN_MAX, COLLATERAL_BYTES_MAX, PutCollateral
from tee.certificates import parse_certificate, parse_revocation_list
from tee.collateral import (
    PCK_CRL_CHAIN_FILE,
    PCK_CRL_FILE,
    QE_IDENTITY_FILE,
    ROOT_CRL_FILE,
    TCB_INFO_FILE,
    TCB_SIGNER_CHAIN_FILE,
)
from tee.der import DerError
from tee.documents import CollateralKind
from tee.roots import VENDOR_ROOTS
from tee.simulated_root import SIMULATED_ROOT_DER


class DocumentReason(StrEnum):
    """Why files are no vendor documents."""

    NO_DOCUMENTS = "no_documents"
    """A folder without any file of a known name."""
    NO_CHAIN = "no_chain"
    """The document needs the certificates of its signer, in a file beside it or named by an option."""
    UNKNOWN_DOCUMENT = "unknown_document"
    """Neither a revocation list nor a TCB info nor a QE identity."""
    TOO_LARGE = "document_too_large"
    """Longer than the chain takes."""


class DocumentRejected(Rejected):
    """Files that cannot be put on the chain."""


class VendorDocument(Struct, frozen=True):
    """One document, ready to be sent."""

    name: str
    """Of its file."""
    kind: CollateralKind
    body: bytes
    chain: tuple[bytes, ...]
    """Certificates in DER, signer first."""

    def message(self) -> PutCollateral:
        """Return the message that brings it to the chain."""
        return PutCollateral(kind=int(self.kind), body=self.body, chain=self.chain)


_PARTS: Final = (
    (CollateralKind.INTEL_ROOT_CRL, (ROOT_CRL_FILE,), None),
    (CollateralKind.INTEL_PCK_CRL, (PCK_CRL_FILE,), PCK_CRL_CHAIN_FILE),
    (CollateralKind.INTEL_TCB_INFO, (TCB_INFO_FILE,), TCB_SIGNER_CHAIN_FILE),
    (CollateralKind.INTEL_QE_IDENTITY, (QE_IDENTITY_FILE,), TCB_SIGNER_CHAIN_FILE),
    (CollateralKind.AMD_CRL, AMD_CRL_FILES, None),
)
"""Kind, names of the file, name of the file with its signer's certificates; in the order of sending."""
_CHAIN_FILES: Final = {kind: chain for kind, _names, chain in _PARTS}
_JSON_KINDS: Final = frozenset({CollateralKind.INTEL_TCB_INFO, CollateralKind.INTEL_QE_IDENTITY})


def split_files(files: Mapping[str, bytes]) -> tuple[VendorDocument, ...]:
    """Return the documents among files with the usual names, in the order of sending.

    Raises:
        DocumentRejected: NO_DOCUMENTS, NO_CHAIN, TOO_LARGE.
    """
    documents = []
    for kind, names, chain_name in _PARTS:
        name = next((name for name in names if name in files), None)
        if name is not None:
            documents.append(_make(name, kind, files[name], None if chain_name is None else files.get(chain_name)))
    if not documents:
        known = " ".join(name for _kind, names, _chain in _PARTS for name in names)
        raise DocumentRejected(DocumentReason.NO_DOCUMENTS, " ".join(sorted(files)) or "none", known)
    return tuple(documents)


def read_documents(path: Path, chain_path: Path | None = None) -> tuple[VendorDocument, ...]:
    """Return the documents of a folder, or the one of a file; its signer's certificates lie beside it unless named.

    Raises:
        DocumentRejected: every DocumentReason.
        OSError: a file cannot be read.
    """
    if path.is_dir():
        known = {name for _kind, names, chain in _PARTS for name in (*names, chain) if name is not None}
        return split_files({entry.name: _read(entry) for entry in path.iterdir() if entry.name in known})
    file = _read(path)
    kind = find_document_kind(file)
    chain_name = _CHAIN_FILES[kind]
    if chain_path is None and chain_name is not None and (path.parent / chain_name).is_file():
        chain_path = path.parent / chain_name
    return (_make(path.name, kind, file, None if chain_path is None else _read(chain_path)),)


def find_document_kind(file: bytes) -> CollateralKind:
    """Return what a file holds, by its content.

    Raises:
        DocumentRejected: UNKNOWN_DOCUMENT.
    """
    octets = read_content(file).octets
    match find_kind(octets):
        case Document.TCB_INFO:
            return CollateralKind.INTEL_TCB_INFO
        case Document.QE_IDENTITY:
            return CollateralKind.INTEL_QE_IDENTITY
        case Document.REVOCATION_LIST:
            return _find_list_kind(octets)
        case found:
            raise DocumentRejected(DocumentReason.UNKNOWN_DOCUMENT, found or "bytes of no known form")


def _find_list_kind(octets: bytes) -> CollateralKind:
    """Tell revocation lists apart by the name of their issuer."""
    try:
        issuer = parse_revocation_list(octets).issuer
    except DerError as error:
        raise DocumentRejected(DocumentReason.UNKNOWN_DOCUMENT, str(error)) from error
    intel_roots = (*(root.der for root in VENDOR_ROOTS.intel), SIMULATED_ROOT_DER)
    if issuer in {parse_certificate(der).subject for der in intel_roots}:
        return CollateralKind.INTEL_ROOT_CRL
    if issuer in {parse_certificate(root.der).subject for root in VENDOR_ROOTS.amd}:
        return CollateralKind.AMD_CRL
    return CollateralKind.INTEL_PCK_CRL


def _make(name: str, kind: CollateralKind, file: bytes, chain_file: bytes | None) -> VendorDocument:
    body = file.rstrip() if kind in _JSON_KINDS else read_content(file).octets
    if len(body) > COLLATERAL_BYTES_MAX:
        raise DocumentRejected(DocumentReason.TOO_LARGE, f"{name}: {len(body)} bytes", COLLATERAL_BYTES_MAX)
    chain = () if chain_file is None else read_certificates(chain_file)
    if _CHAIN_FILES[kind] is not None and not 1 <= len(chain) <= CHAIN_MAX:
        raise DocumentRejected(
            DocumentReason.NO_CHAIN, f"{name}: {len(chain)} certificates", f"{_CHAIN_FILES[kind]}, 1 to {CHAIN_MAX}"
        )
    return VendorDocument(name, kind, body, chain)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(FILE_BYTES_MAX)
