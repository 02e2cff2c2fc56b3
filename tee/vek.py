"""AMD's certificates: the endorsement key of a chip or a cloud (VCEK, VLEK), the CA above it (ASK, ASVK), and the root (ARK).

A VEK is issued for one chip, or one cloud, at exactly one TCB: the key is derived from those security versions, so the report must
carry the same ones. Its extensions stand as bare DER values, except the hardware id, which is raw bytes that may look like DER.
Source: attestation specification, section 4.2, after AMD 57230.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from tee.certificates import KEY_CERT_SIGN, Certificate, is_signed_by, parse_certificate
from tee.claims import SnpProduct
from tee.der import IA5_STRING, DerError, DerReader
from tee.errors import EvidenceRejected, Reason
from tee.signatures import Curve, EcKey, PublicKey, RsaKey

AMD_ARC: Final = "1.3.6.1.4.1.3704.1."
"""Object identifiers of the extensions begin so; what they are called below is the rest."""
_PRODUCT_NAME: Final = "2"
_HARDWARE_ID: Final = "4"
_CSP_ID: Final = "5"

SVN_FMC: Final = "3.9"
SVN_BOOT_LOADER: Final = "3.1"
SVN_TEE: Final = "3.2"
SVN_SNP: Final = "3.3"
SVN_MICROCODE: Final = "3.8"
SVN_SPARES: Final = ("3.4", "3.5", "3.6", "3.7")
"""Components without a meaning; Turin has no 3.4."""
_SVNS: Final = frozenset({SVN_FMC, SVN_BOOT_LOADER, SVN_TEE, SVN_SNP, SVN_MICROCODE, *SVN_SPARES})

VCEK_NAME: Final = "SEV-VCEK"
VLEK_NAME: Final = "SEV-VLEK"
PRODUCT_NAMES: Final = {"Milan": SnpProduct.MILAN, "Genoa": SnpProduct.GENOA, "Turin": SnpProduct.TURIN}
ARK_PRODUCTS: Final = {f"ARK-{name}": product for name, product in PRODUCT_NAMES.items()}
ASK_PRODUCTS: Final = {f"SEV-{name}": product for name, product in PRODUCT_NAMES.items()}
ASVK_PRODUCTS: Final = {f"SEV-VLEK-{name}": product for name, product in PRODUCT_NAMES.items()}
"""Common names of the roots, of the issuers of VCEKs, of the issuers of VLEKs."""

_SVN_MAX: Final = 255
"""A report gives each component one byte."""
_TEXT: Final = re.compile(rb"[ -~]{0,64}")
"""Names of products and providers, which become claims; real ones have up to 31 characters."""
_AUTHORITIES_MAX: Final = 32
"""Certificates of CAs, and links between them, to remember: AMD has nine."""


class Vek(NamedTuple):
    """A VCEK or VLEK with the extensions that are AMD's own."""

    certificate: Certificate
    point: bytes
    """Its key on P-384, x and y."""
    product_name: str
    """Such as Milan-B0; empty where there is none."""
    svns: dict[str, int]
    """Security versions by the names above."""
    hardware_id: bytes | None
    csp_id: str
    """Cloud provider; empty where there is none."""


class SnpChain(NamedTuple):
    """A VEK whose issuers are checked up to a trusted root; not yet the times, names and revocations."""

    vek: Vek
    ask: Certificate
    ark: Certificate


def parse_vek(der: bytes) -> Vek:
    """Parse a VEK certificate and those extensions of AMD's that are present.

    Raises:
        DerError: the certificate or an extension has another form.
        EvidenceRejected: CERT_KEY.
    """
    certificate = parse_certificate(der)
    product_name, csp_id, hardware_id = "", "", None
    svns: dict[str, int] = {}
    for oid, extension in certificate.extensions.items():
        if not oid.startswith(AMD_ARC):
            continue
        suffix = oid.removeprefix(AMD_ARC)
        if suffix == _PRODUCT_NAME:
            product_name = _read_text(extension.content)
        elif suffix == _HARDWARE_ID:
            hardware_id = extension.content
        elif suffix == _CSP_ID:
            csp_id = _read_text(extension.content)
        elif suffix in _SVNS:
            svns[suffix] = _read_unsigned(extension.content)
    if not isinstance(certificate.key, EcKey) or certificate.key.curve is not Curve.P384:
        raise EvidenceRejected(Reason.CERT_KEY, f"VEK has {_describe_key(certificate.key)}", "P384")
    return Vek(certificate, certificate.key.point, product_name, svns, hardware_id, csp_id)


def _read_text(content: bytes) -> str:
    reader = DerReader(content)
    text = reader.read(IA5_STRING)
    reader.finish()
    if _TEXT.fullmatch(text) is None:
        raise DerError("an IA5String is longer than 64 characters or not printable")
    return text.decode("ascii")


def _read_unsigned(content: bytes) -> int:
    reader = DerReader(content)
    number = reader.read_unsigned()
    reader.finish()
    if number > _SVN_MAX:
        raise DerError("a security version is above 255")
    return number


def _describe_key(key: PublicKey) -> str:
    return key.curve.name if isinstance(key, EcKey) else "RSA"


@lru_cache(maxsize=_AUTHORITIES_MAX)
def parse_authority(der: bytes) -> Certificate:
    """Parse the certificate of a CA; the same few come with every report.

    Raises:
        DerError: bytes of another form.
        EvidenceRejected: CERT_KEY.
    """
    certificate = parse_certificate(der)
    if not isinstance(certificate.key, RsaKey):
        raise EvidenceRejected(Reason.CERT_KEY, f"CA has {_describe_key(certificate.key)}", "RSA")
    return certificate


@lru_cache(maxsize=_AUTHORITIES_MAX)
def is_ask_of(ask_der: bytes, ark_der: bytes) -> bool:
    """Say whether an ARK that may issue CAs issued this ASK or ASVK. Remembered: one RSA signature for each pair."""
    ark = parse_authority(ark_der)
    return _may_issue(ark) and ark.path_length != 0 and is_signed_by(parse_authority(ask_der), ark)


def is_vek_of(vek: Certificate, ask: Certificate) -> bool:
    """Say whether an ASK or ASVK that may issue certificates issued this VEK."""
    return _may_issue(ask) and is_signed_by(vek, ask)


def _may_issue(ca: Certificate) -> bool:
    return ca.is_ca and ca.key_usage is not None and bool(ca.key_usage & KEY_CERT_SIGN)
