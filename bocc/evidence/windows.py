"""When what a verdict rests on is valid: the certificates of the evidence, and the vendor documents that were used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from bocc.evidence.decode import split_nitro_chain, split_pck_chain
from tee.certificates import Certificate, is_signed_by, parse_certificate
from tee.checks import Family
from tee.der import DerError
from tee.documents import CollateralKind, Parsed
from tee.errors import EvidenceRejected
from tee.intel_quote import parse_quote
from tee.roots import Roots, TrustedRoot
from tee.snp_report import REPORT_BYTES

_DOCUMENTS: Final = {
    CollateralKind.INTEL_ROOT_CRL: "revocation list of the root",
    CollateralKind.INTEL_PCK_CRL: "revocation list of PCK certificates",
    CollateralKind.INTEL_TCB_INFO: "TCB info",
    CollateralKind.INTEL_QE_IDENTITY: "QE identity",
    CollateralKind.AMD_CRL: "revocation list of AMD",
}

NamedCertificate = tuple[str, Certificate]
"""What a certificate is in its chain, and the certificate."""


class Window(Struct, frozen=True):
    """First and last second of something."""

    what: str
    from_s: int
    until_s: int


def find_chain(
    family: Family, evidence: bytes, certificates: tuple[bytes, ...], chain: tuple[bytes, ...], roots: Roots
) -> tuple[NamedCertificate, ...]:
    """Return the certificates that evidence rests on, leaf first; none where they cannot be read. They need not be good."""
    try:
        match family:
            case Family.SGX | Family.TDX:
                found = split_pck_chain(parse_quote(evidence))
            case Family.SEV_SNP:
                found = _find_snp_chain(certificates or (evidence[REPORT_BYTES:],), roots.amd)
            case Family.NITRO:
                found = split_nitro_chain(evidence)[::-1]
            case Family.NVIDIA:
                found = [parse_certificate(der) for der in chain]
    except (DerError, EvidenceRejected):
        return ()
    return tuple(
        (certificate.common_name or f"certificate {place}", certificate) for place, certificate in enumerate(found)
    )


def find_windows(chain: tuple[NamedCertificate, ...], documents: Mapping[CollateralKind, Parsed]) -> tuple[Window, ...]:
    """Return the windows of certificates, leaf first, then those of documents."""
    windows = [Window(name, certificate.not_before_s, certificate.not_after_s) for name, certificate in chain]
    windows += [
        Window(_DOCUMENTS[kind], document.valid_from_s, document.valid_until_s)
        for kind, document in sorted(documents.items())
    ]
    return tuple(windows)


def _find_snp_chain(certificates: tuple[bytes, ...], trusted: tuple[TrustedRoot, ...]) -> list[Certificate]:
    """Return VEK, ASK and ARK; those that are not given come from the trusted roots."""
    chain = [parse_certificate(der) for der in certificates]
    known = [(root.der, *root.intermediates) for root in trusted]
    candidates = [parse_certificate(der) for ders in known for der in ders]
    while chain[-1].issuer != chain[-1].subject:
        issuers = [each for each in candidates if is_signed_by(chain[-1], each)]
        if not issuers:
            break
        chain.append(issuers[0])
    return chain
