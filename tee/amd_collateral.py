"""AMD's revocation lists: each is issued by the root of a product and names CAs below it.

VCEKs all have serial number 0 and cannot be listed one by one; chips are shut out by their ids and their TCB.
Source: attestation specification, sections 4.2 and 4.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from tee.certificate_chain import check_window
from tee.certificates import CRL_SIGN, Certificate, is_signed_by, open_revocation_list, parse_revocation_list
from tee.der import DerError
from tee.documents import SERIAL_BYTES, CollateralKind, RevokedSerials
from tee.errors import EvidenceRejected, Reason
from tee.vek import parse_authority

_List = TypeVar("_List")


def check_amd_crl(body: bytes, arks: Iterable[bytes], time_s: int) -> RevokedSerials:
    """Check a revocation list of AMD's at block time and return what the chain stores of it.

    Args:
        body: the list in DER, at most 256 KiB.
        arks: trusted roots in DER; the list is that of the first among them that signed it.
        time_s: seconds since 1970.

    Raises:
        EvidenceRejected: PARSE, CRL_SIGNATURE, PARSE (what is signed), ARK_NOT_YET_VALID, ARK_EXPIRED, CRL_NOT_YET_VALID,
            CRL_EXPIRED, in this order.
    """
    signed = _read(open_revocation_list, body)
    signer = next((ark for ark in map(parse_authority, arks) if _may_revoke(ark) and is_signed_by(signed, ark)), None)
    if signer is None:
        raise EvidenceRejected(Reason.CRL_SIGNATURE, signed.issuer_common_name)
    revocations = _read(parse_revocation_list, body)
    check_window(signer, time_s, Reason.ARK_NOT_YET_VALID, Reason.ARK_EXPIRED)
    check_crl_window(revocations.this_update_s, revocations.next_update_s, time_s)
    return RevokedSerials(
        kind=CollateralKind.AMD_CRL,
        root=signer.fingerprint,
        issued_s=revocations.this_update_s,
        next_update_s=revocations.next_update_s,
        valid_from_s=max(revocations.this_update_s, signer.not_before_s),
        valid_until_s=min(revocations.next_update_s - 1, signer.not_after_s),
        issuer=revocations.issuer,
        key=b"",
        serials=b"".join(serial.to_bytes(SERIAL_BYTES, "big") for serial in revocations.serials),
    )


def _read(parse: Callable[[bytes], _List], body: bytes) -> _List:
    try:
        return parse(body)
    except DerError as error:
        raise EvidenceRejected(Reason.PARSE, str(error)) from error


def check_crl_window(this_update_s: int, next_update_s: int, time_s: int) -> None:
    """Check that a list is current: its first second counts, the second of the next list does not.

    Raises:
        EvidenceRejected: CRL_NOT_YET_VALID, CRL_EXPIRED.
    """
    if time_s < this_update_s:
        raise EvidenceRejected(Reason.CRL_NOT_YET_VALID, time_s, this_update_s)
    if time_s >= next_update_s:
        raise EvidenceRejected(Reason.CRL_EXPIRED, time_s, next_update_s)


def _may_revoke(ark: Certificate) -> bool:
    return ark.is_ca and ark.key_usage is not None and bool(ark.key_usage & CRL_SIGN)
