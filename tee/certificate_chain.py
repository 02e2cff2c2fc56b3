"""Certificate chains of one fixed shape, root first: what the P-384 families of AWS and NVIDIA check alike.

A chain holds the root and ends with the leaf. The root is trusted if it is one of the trusted ones byte for byte; its own
signature proves nothing and is not looked at. Links of authorities that many machines share may be remembered, since whether
one certificate bears another's signature follows from their bytes alone; windows do not, and are checked at each use.
Attestation specification, section 2.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from tee.certificates import KEY_CERT_SIGN, Certificate, is_signed_by, parse_certificate
from tee.der import DerError
from tee.errors import EvidenceRejected, Reason
from tee.roots import TrustedRoot
from tee.signatures import Curve, EcKey

LINK_CACHE_ENTRIES: Final = 512
"""Remembered links. AWS has two of them per availability zone at a time, NVIDIA two per product and one per device."""

_parse_authority = lru_cache(maxsize=LINK_CACHE_ENTRIES)(parse_certificate)


def parse_chain(chain: Sequence[bytes], shared_count: int) -> list[Certificate]:
    """Parse certificates, root first; the first `shared_count` are remembered.

    Raises:
        EvidenceRejected: CERT_DER.
    """
    certificates: list[Certificate] = []
    for position, der in enumerate(chain):
        try:
            certificates.append(_parse_authority(der) if position < shared_count else parse_certificate(der))
        except DerError as error:
            raise EvidenceRejected(Reason.CERT_DER, f"certificate {position} below the root: {error}") from error
    return certificates


def find_root(root: Certificate, trusted: Iterable[TrustedRoot]) -> TrustedRoot:
    """Return the trusted root that has all these bytes.

    Raises:
        EvidenceRejected: ROOT_UNTRUSTED.
    """
    for candidate in trusted:
        if candidate.der == root.der:
            return candidate
    raise EvidenceRejected(Reason.ROOT_UNTRUSTED, root.fingerprint.hex())


def check_keys(chain: Sequence[Certificate]) -> None:
    """Check that all keys are points of P-384.

    Raises:
        EvidenceRejected: CERT_KEY.
    """
    for position, certificate in enumerate(chain):
        if not isinstance(certificate.key, EcKey) or certificate.key.curve != Curve.P384:
            raise EvidenceRejected(Reason.CERT_KEY, f"certificate {position} below the root", Curve.P384.name)


def check_window(certificate: Certificate, time_s: int, too_early: Reason, too_late: Reason) -> None:
    """Check that a certificate is valid in this second; both ends belong to the window.

    Raises:
        EvidenceRejected: one of the two reasons given.
    """
    if time_s < certificate.not_before_s:
        raise EvidenceRejected(too_early, time_s, certificate.not_before_s)
    if time_s > certificate.not_after_s:
        raise EvidenceRejected(too_late, time_s, certificate.not_after_s)


def check_links(
    chain: Sequence[Certificate], shared_count: int, time_s: int, too_early: Reason, too_late: Reason
) -> None:
    """Check the root's window, then per link name, signature and window, downwards.

    Links among the first `shared_count` certificates are remembered.

    Raises:
        EvidenceRejected: CERT_BAD_ISSUER, or one of the two reasons given.
    """
    check_window(chain[0], time_s, too_early, too_late)
    for position in range(1, len(chain)):
        certificate, issuer = chain[position], chain[position - 1]
        is_link = (
            _is_shared_link(certificate.der, issuer.der)
            if position < shared_count
            else is_signed_by(certificate, issuer)
        )
        if not is_link:
            raise EvidenceRejected(Reason.CERT_BAD_ISSUER, f"certificate {position} below the root")
        check_window(certificate, time_s, too_early, too_late)


def check_authorities(chain: Sequence[Certificate]) -> None:
    """Check that every certificate but the leaf may sign certificates.

    Raises:
        EvidenceRejected: CERT_NOT_CA.
    """
    for position, certificate in enumerate(chain[:-1]):
        if not certificate.is_ca or not (certificate.key_usage or 0) & KEY_CERT_SIGN:
            raise EvidenceRejected(Reason.CERT_NOT_CA, f"certificate {position} below the root")


def check_path_lengths(chain: Sequence[Certificate], *, first_bounded: int) -> None:
    """Check that no authority has more authorities below it than it allows.

    From position `first_bounded` on, an authority must name a bound.

    Raises:
        EvidenceRejected: CERT_PATH_LENGTH.
    """
    for position, certificate in enumerate(chain[:-1]):
        below_count = len(chain) - 2 - position
        path_length = certificate.path_length
        if path_length is None and position < first_bounded:
            continue
        if path_length is None or path_length < below_count:
            raise EvidenceRejected(Reason.CERT_PATH_LENGTH, below_count, "none" if path_length is None else path_length)


@lru_cache(maxsize=LINK_CACHE_ENTRIES)
def _is_shared_link(der: bytes, issuer_der: bytes) -> bool:
    """Tell whether a certificate names the issuer and bears its signature."""
    return is_signed_by(_parse_authority(der), _parse_authority(issuer_der))
