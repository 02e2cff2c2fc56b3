"""Certificate chains of one fixed shape, root first: what the P-384 families of AWS and NVIDIA check alike.

A chain holds the root and ends with the leaf. The root is trusted if it is one of the trusted ones byte for byte, which is looked
at before anything is parsed; its own signature proves nothing. Authorities that many machines share are remembered with their link,
since whether one certificate bears another's signature follows from their bytes alone, and only once it held, so nobody fills the
memory with what a vendor never signed. Windows do not follow from bytes, and are checked at each use.
Attestation specification, section 2.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from tee.certificates import KEY_CERT_SIGN, Certificate, is_signed_by, parse_certificate
from tee.der import DerError
from tee.errors import EvidenceRejected, Reason
from tee.roots import TrustedRoot
from tee.signatures import Curve, EcKey

LINK_CACHE_ENTRIES: Final = 512
"""Remembered links. AWS has two of them per availability zone at a time, NVIDIA two per product and one per device."""

ROOT_CACHE_ENTRIES: Final = 16

_parse_root = lru_cache(maxsize=ROOT_CACHE_ENTRIES)(parse_certificate)


class Chain(NamedTuple):
    """Certificates, root first, and what is known of the links among the shared ones."""

    certificates: list[Certificate]
    broken: int | None
    """Position of the first shared certificate that its issuer did not sign; the shared ones above it are well linked."""


class _LinkBroken(Exception):
    """A certificate does not name the issuer, or does not bear its signature."""

    def __init__(self, certificate: Certificate) -> None:
        super().__init__(certificate.common_name)
        self.certificate = certificate


def parse_chain(chain: Sequence[bytes], shared_count: int) -> Chain:
    """Parse certificates, root first, which must be trusted; the first `shared_count` are remembered if they are well linked.

    Raises:
        EvidenceRejected: CERT_DER.
    """
    certificates: list[Certificate] = []
    broken: int | None = None
    for position, der in enumerate(chain):
        try:
            if position == 0:
                certificates.append(_parse_root(der))
            elif position < shared_count and broken is None:
                certificates.append(_read_linked(der, chain[position - 1]))
            else:
                certificates.append(parse_certificate(der))
        except _LinkBroken as link:
            certificates.append(link.certificate)
            broken = position
        except DerError as error:
            raise EvidenceRejected(Reason.CERT_DER, f"certificate {position} below the root: {error}") from error
    return Chain(certificates, broken)


def find_root(der: bytes, trusted: Iterable[TrustedRoot]) -> TrustedRoot:
    """Return the trusted root that has all these bytes.

    Raises:
        EvidenceRejected: ROOT_UNTRUSTED.
    """
    for candidate in trusted:
        if candidate.der == der:
            return candidate
    raise EvidenceRejected(Reason.ROOT_UNTRUSTED, sha256(der).hexdigest())


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


def check_links(chain: Chain, shared_count: int, time_s: int, too_early: Reason, too_late: Reason) -> None:
    """Check the root's window, then per link name, signature and window, downwards.

    Links among the first `shared_count` certificates, as many as for `parse_chain`, were looked at there.

    Raises:
        EvidenceRejected: CERT_BAD_ISSUER, or one of the two reasons given.
    """
    certificates = chain.certificates
    check_window(certificates[0], time_s, too_early, too_late)
    for position in range(1, len(certificates)):
        certificate = certificates[position]
        is_linked = (
            position != chain.broken
            if position < shared_count
            else is_signed_by(certificate, certificates[position - 1])
        )
        if not is_linked:
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
def _read_linked(der: bytes, issuer_der: bytes) -> Certificate:
    """Return a certificate that names its issuer and bears its signature; a failure is not remembered.

    Raises:
        DerError: bytes of another form.
        _LinkBroken: it does not.
    """
    certificate = parse_certificate(der)
    if not is_signed_by(certificate, parse_certificate(issuer_der)):
        raise _LinkBroken(certificate)
    return certificate
