"""The verdict of another verifier: dcap-qvl, a library in Rust, under a root of our choice."""

from __future__ import annotations

import json
from collections.abc import Mapping

import dcap_qvl
from msgspec import Struct


class PeerVerdict(Struct, frozen=True):
    """What the peer says: a status with advisories, or why it refuses."""

    status: str = ""
    advisories: tuple[str, ...] = ()
    error: str = ""

    @property
    def is_accepted(self) -> bool:
        return not self.error


def judge_with_peer(quote: bytes, files: Mapping[str, bytes], root: bytes, time_s: int) -> PeerVerdict:
    """Return the peer's verdict on a quote with a folder of collateral."""
    try:
        report = dcap_qvl.verify_with_root_ca(quote, write_peer_collateral(files), root, time_s)
    except ValueError as error:
        return PeerVerdict(error=" ".join(str(error).split()))
    return PeerVerdict(status=report.status, advisories=tuple(sorted(report.advisory_ids)))


def write_peer_collateral(files: Mapping[str, bytes]) -> dcap_qvl.QuoteCollateralV3:
    """Return a folder of collateral in the form that the peer takes."""
    tcb_info, tcb_info_signature = _cut(files["tcb_info.json"])
    identity, identity_signature = _cut(files["qe_identity.json"])
    signer_chain = files["tcb_signing_chain.pem"].decode()
    return dcap_qvl.QuoteCollateralV3.from_json(
        json.dumps(
            {
                "pck_crl_issuer_chain": files["pck_crl_issuer_chain.pem"].decode(),
                "root_ca_crl": files["root_ca_crl.der"].hex(),
                "pck_crl": files["pck_crl.der"].hex(),
                "tcb_info_issuer_chain": signer_chain,
                "tcb_info": tcb_info,
                "tcb_info_signature": tcb_info_signature,
                "qe_identity_issuer_chain": signer_chain,
                "qe_identity": identity,
                "qe_identity_signature": identity_signature,
            }
        )
    )


def _cut(document: bytes) -> tuple[str, str]:
    """Return the signed text and the signature of an answer of Intel's service, as the peer wants them."""
    text = document.decode()
    end = text.rindex(',"signature":"')
    return text[text.index(":") + 1 : end], text[end + len(',"signature":"') : text.rindex('"')]
