"""Intel's certificates: the chain of a platform's PCK, and the signer of TCB documents, both below one root.

Shapes are fixed, so there is no path search. A root is trusted by all its bytes. Links of the few authorities are remembered, since
they follow from bytes alone; windows do not, and are checked at each use.

Source: specification of attestation, sections 2.1, 3.1, 3.2 and 3.4 (steps 3 to 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct

from tee.certificates import KEY_CERT_SIGN, Certificate, is_signed_by, parse_certificate
from tee.der import DerError
from tee.errors import EvidenceRejected, Reason
from tee.pem import PemError, split_pem_chain
from tee.roots import INTEL_EXTENSIONS, TrustedRoot
from tee.signatures import Curve, EcKey

PCK_NAME: Final = "Intel SGX PCK Certificate"
CA_NAMES: Final = frozenset({"Intel SGX PCK Platform CA", "Intel SGX PCK Processor CA"})
TCB_SIGNER_NAME: Final = "Intel SGX TCB Signing"

AUTHORITIES_MAX: Final = 64
"""Authorities and links to remember: Intel has five, a test or a rollover a few more."""

_PEM_END: Final = b"-----END CERTIFICATE-----"


class IntelRoot(Struct, frozen=True):
    """A trusted root, read."""

    certificate: Certificate
    is_simulated: bool


class PckChain(Struct, frozen=True):
    """A PCK certificate whose names, signatures and windows hold up to a trusted root; revocation is still open."""

    pck: Certificate
    point: bytes
    """The PCK's key on P-256, x and y."""
    ca: Certificate
    root: IntelRoot


def parse_intel_certificate(der: bytes) -> Certificate:
    """Parse a certificate of Intel's profile: P-256, with the five extensions that all have.

    Raises:
        DerError: bytes of another form or profile.
    """
    certificate = parse_certificate(der)
    if not isinstance(certificate.key, EcKey) or certificate.key.curve is not Curve.P256:
        raise DerError("the key is not on P-256")
    for oid in INTEL_EXTENSIONS:
        if oid not in certificate.extensions:
            raise DerError(f"extension {oid} is missing")
    return certificate


parse_authority: Final = lru_cache(maxsize=AUTHORITIES_MAX)(parse_intel_certificate)
"""Parse the certificate of an authority; the same few come with every quote."""


@lru_cache(maxsize=AUTHORITIES_MAX)
def is_issued_by_root(der: bytes, root_der: bytes) -> bool:
    """Tell whether an authority's or signer's certificate names the root and bears its signature."""
    return is_signed_by(parse_authority(der), parse_authority(root_der))


def find_root(der: bytes, trusted: Sequence[TrustedRoot]) -> IntelRoot | None:
    """Return the trusted root that has all these bytes."""
    for root in trusted:
        if root.der == der:
            return IntelRoot(parse_authority(der), root.is_simulated)
    return None


def find_root_above(
    certificate: Certificate, named: Sequence[bytes], trusted: Sequence[TrustedRoot]
) -> IntelRoot | None:
    """Return the trusted root that a certificate belongs below: that which a chain names behind it, or one of its issuer's name.

    Among roots of one name, as on development chains, the one that signed the certificate goes before the others.
    """
    roots = [IntelRoot(parse_authority(root.der), root.is_simulated) for root in trusted]
    if named:
        return next((root for root in roots if [root.certificate.der] == list(named)), None)
    roots = [root for root in roots if root.certificate.subject == certificate.issuer]
    signers = [root for root in roots if is_issued_by_root(certificate.der, root.certificate.der)]
    return next(iter(signers + roots), None)


def encode_serial(serial: int) -> bytes:
    """Return a serial number in its fewest bytes, big endian, unsigned."""
    return serial.to_bytes((serial.bit_length() + 7) // 8, "big")


def check_pck_chain(pem: bytes, trusted: Sequence[TrustedRoot], time_s: int) -> PckChain:
    """Check the chain of a quote: PCK, Platform or Processor CA, root, in this order.

    Raises:
        EvidenceRejected: PCK_CHAIN_SHAPE, PCK_CERT_DER, PCK_CHAIN_ROOT_UNTRUSTED, ICA_NOT_CA, ICA_BAD_ISSUER, PCK_BAD_ISSUER,
            PCK_CERT_NOT_YET_VALID, PCK_CERT_EXPIRED.
    """
    try:
        pck_der, ca_der, root_der = _split_chain(pem)
    except PemError as error:
        raise EvidenceRejected(Reason.PCK_CHAIN_SHAPE, str(error)) from error
    try:
        pck, ca = parse_intel_certificate(pck_der), parse_authority(ca_der)
        parse_authority(root_der)
    except DerError as error:
        raise EvidenceRejected(Reason.PCK_CERT_DER, str(error)) from error
    if pck.common_name != PCK_NAME or pck.is_ca:
        raise EvidenceRejected(Reason.PCK_CHAIN_SHAPE, pck.common_name, PCK_NAME)
    root = find_root(root_der, trusted)
    if root is None:
        raise EvidenceRejected(Reason.PCK_CHAIN_ROOT_UNTRUSTED, parse_authority(root_der).fingerprint.hex())
    check_ca(ca, root)
    if not is_signed_by(pck, ca):
        raise EvidenceRejected(Reason.PCK_BAD_ISSUER, pck.issuer_common_name, ca.common_name)
    for certificate in (root.certificate, ca, pck):
        check_window(certificate, time_s)
    # Invariant: parse_intel_certificate lets no other kind of key pass.
    assert isinstance(pck.key, EcKey)
    return PckChain(pck, pck.key.point, ca, root)


def _split_chain(pem: bytes) -> tuple[bytes, bytes, bytes]:
    """Return PCK, CA and root, as `split_pem_chain` cuts them; the text of the last two is the same in many quotes."""
    end = pem.find(_PEM_END)
    if end < 0:
        raise PemError("no block ends")
    end += len(_PEM_END)
    end += pem.startswith(b"\n", end)
    (pck,) = split_pem_chain(pem[:end], 1)
    return pck, *_split_authorities(pem[end:])


@lru_cache(maxsize=AUTHORITIES_MAX)
def _split_authorities(pem: bytes) -> tuple[bytes, bytes]:
    ca, root = split_pem_chain(pem, 2)
    return ca, root


def check_ca(ca: Certificate, root: IntelRoot) -> None:
    """Check that an authority may issue PCK certificates in the name of a root.

    Raises:
        EvidenceRejected: ICA_NOT_CA, PCK_CHAIN_SHAPE, ICA_BAD_ISSUER.
    """
    if not ca.is_ca or not (ca.key_usage or 0) & KEY_CERT_SIGN:
        raise EvidenceRejected(Reason.ICA_NOT_CA, ca.common_name)
    if ca.common_name not in CA_NAMES:
        raise EvidenceRejected(Reason.PCK_CHAIN_SHAPE, ca.common_name, ", ".join(sorted(CA_NAMES)))
    if not is_issued_by_root(ca.der, root.certificate.der):
        raise EvidenceRejected(Reason.ICA_BAD_ISSUER, ca.issuer_common_name, root.certificate.common_name)


def check_window(certificate: Certificate, time_s: int) -> None:
    """Check that a certificate of a PCK chain is valid in this second; both ends count.

    Raises:
        EvidenceRejected: PCK_CERT_NOT_YET_VALID, PCK_CERT_EXPIRED.
    """
    if time_s < certificate.not_before_s:
        raise EvidenceRejected(Reason.PCK_CERT_NOT_YET_VALID, time_s, certificate.not_before_s)
    if time_s > certificate.not_after_s:
        raise EvidenceRejected(Reason.PCK_CERT_EXPIRED, time_s, certificate.not_after_s)
