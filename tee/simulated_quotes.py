"""Quotes of the software TEE in Intel's real formats: SGX version 3 to 5, TDX version 4 and 5 with body types 2 to 4.

A recipe names every part that a verifier looks at and can replace each; what breaks before any signature is read (a length, a
missing byte) is easier broken in the finished bytes. Source: attestation specification, section 3.1.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from struct import pack
from typing import Final

from msgspec import Struct

from tee.simulated_certificates import KeyByName
from tee.simulated_documents import CURRENT_COMPONENTS, CURRENT_QE_SVN, CURRENT_TDX_SVN, SIMULATED_QE_MRSIGNER
from tee.simulated_keys import derive_bytes

QE_VENDOR: Final = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
SGX_TEE_TYPE: Final = 0
TDX_TEE_TYPE: Final = 0x81
SGX_BODY: Final = 1
TD_BODY_10: Final = 2
TD_BODY_15: Final = 3
TD_BODY_EXTENDED: Final = 4
CERTIFICATION_PEM_CHAIN: Final = 5
CERTIFICATION_QE_REPORT: Final = 6

TD_ATTRIBUTES: Final = 1 << 28
"""SEPT_VE_DISABLE alone."""
TD_DEBUG: Final = 1 << 0
TD_MIGRATABLE: Final = 1 << 29
SGX_INIT: Final = 1 << 0
SGX_DEBUG: Final = 1 << 1
SGX_MODE64: Final = 1 << 2
SGX_PROVISION_KEY: Final = 1 << 4
SGX_XFRM: Final = 0xE7


def _register(name: str) -> bytes:
    """Return a measurement of 48 bytes that stands for something of this name."""
    return derive_bytes("register", name, 32) + derive_bytes("register tail", name, 16)


SIMULATED_RTMRS: Final = (_register("rtmr0"), _register("rtmr1"), _register("rtmr2"), bytes(48))


class TdBody(Struct, frozen=True, kw_only=True):
    """What a trust domain is, as its quote reports it."""

    body_type: int = TD_BODY_10
    tee_tcb_svn: bytes = CURRENT_TDX_SVN
    """At launch, 16 bytes."""
    tee_tcb_svn2: bytes = CURRENT_TDX_SVN
    """Now, 16 bytes; body types 3 and 4."""
    mr_seam: bytes = _register("seam")
    mr_signer_seam: bytes = bytes(48)
    seam_attributes: bytes = bytes(8)
    td_attributes: int = TD_ATTRIBUTES
    xfam: int = 0x602E7
    mr_td: bytes = _register("td")
    mr_config_id: bytes = bytes(48)
    mr_owner: bytes = bytes(48)
    mr_owner_config: bytes = bytes(48)
    rtmrs: tuple[bytes, bytes, bytes, bytes] = SIMULATED_RTMRS
    mr_service_td: bytes = bytes(48)
    """Body types 3 and 4."""
    extended: bytes = bytes(237)
    """The rest of body type 4."""


class SgxBody(Struct, frozen=True, kw_only=True):
    """What an enclave is, as its report says. A quoting enclave has the same form."""

    cpu_svn: bytes = bytes(CURRENT_COMPONENTS)
    misc_select: int = 0
    flags: int = SGX_INIT | SGX_MODE64
    xfrm: int = SGX_XFRM
    mr_enclave: bytes = derive_bytes("mrenclave", "enclave", 32)
    mr_signer: bytes = derive_bytes("mrsigner", "enclave", 32)
    prod_id: int = 1
    svn: int = 1


TD_QE: Final = SgxBody(
    flags=SGX_INIT | SGX_MODE64 | SGX_PROVISION_KEY,
    mr_enclave=derive_bytes("mrenclave", "quoting enclave", 32),
    mr_signer=SIMULATED_QE_MRSIGNER,
    prod_id=2,
    svn=CURRENT_QE_SVN,
)
"""The quoting enclave that signs for trust domains."""
SGX_QE: Final = SgxBody(
    flags=TD_QE.flags,
    mr_enclave=derive_bytes("mrenclave", "sgx quoting enclave", 32),
    mr_signer=SIMULATED_QE_MRSIGNER,
    prod_id=1,
    svn=CURRENT_QE_SVN,
)
"""The quoting enclave that signs for SGX enclaves."""


class QuoteRecipe(Struct, frozen=True, kw_only=True):
    """How a quote is put together. Each field left alone is right."""

    version: int = 0
    """3 for SGX, 4 for body type 2, 5 for later ones, if 0."""
    key_type: int = 2
    tee_type: int | None = None
    body_type: int | None = None
    """Type in the descriptor of version 5."""
    body_size: int | None = None
    vendor: bytes = QE_VENDOR
    user_data: bytes = b""
    """20 bytes; the id of the machine's quoting enclave if empty."""
    qe: SgxBody | None = None
    """The quoting enclave; the right one for the body if absent."""
    authentication: bytes = bytes(range(32))
    """QE authentication data, any length up to 65,535 bytes."""
    qe_report_data: bytes | None = None
    """64 bytes in place of the hash that binds the attestation key."""
    attestation_key: str = ""
    """Name of the key that the quoting enclave vouches for; the machine's if empty."""
    quote_signed_by: str = ""
    qe_report_signed_by: str = ""
    outer_type: int = CERTIFICATION_QE_REPORT
    inner_type: int = CERTIFICATION_PEM_CHAIN
    chain: tuple[bytes, ...] = ()
    """Certificates in DER, leaf first; the machine's three if empty."""
    pem: bytes = b""
    """The whole certification text; the chain's if empty."""
    trailing: bytes = b""
    """Bytes behind the quote."""


def write_pem(chain: tuple[bytes, ...]) -> bytes:
    """Return certificates as PEM blocks in this order, lines of 64 characters, each block ended by a line feed."""
    return b"".join(_pem_block(certificate) for certificate in chain)


def _pem_block(certificate: bytes) -> bytes:
    text = b64encode(certificate)
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return b"\n".join((b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----", b""))


def write_td_body(body: TdBody, report_data: bytes) -> bytes:
    """Return 584, 648 or 885 bytes by the body's type."""
    base = b"".join(
        (
            body.tee_tcb_svn,
            body.mr_seam,
            body.mr_signer_seam,
            body.seam_attributes,
            pack("<QQ", body.td_attributes, body.xfam),
            body.mr_td,
            body.mr_config_id,
            body.mr_owner,
            body.mr_owner_config,
            *body.rtmrs,
            report_data,
        )
    )
    if body.body_type == TD_BODY_10:
        return base
    return (
        base + body.tee_tcb_svn2 + body.mr_service_td + (body.extended if body.body_type == TD_BODY_EXTENDED else b"")
    )


def write_sgx_report(body: SgxBody, report_data: bytes) -> bytes:
    """Return a report of 384 bytes."""
    return b"".join(
        (
            body.cpu_svn,
            pack("<I28xQQ", body.misc_select, body.flags, body.xfrm),
            body.mr_enclave,
            bytes(32),
            body.mr_signer,
            bytes(96),
            pack("<HH60x", body.prod_id, body.svn),
            report_data,
        )
    )


def write_quote(
    machine: str,
    chain: tuple[bytes, ...],
    keys: KeyByName,
    report_data: bytes,
    body: TdBody | SgxBody,
    recipe: QuoteRecipe,
) -> bytes:
    """Return a quote of the named machine over 64 bytes of report data.

    The machine signs with the keys `attestation/NAME` and `pck/NAME`; `chain` is its PCK certificate and that one's issuers.
    """
    version = recipe.version or _usual_version(body)
    signed = _header(machine, version, body, recipe) + _signed_body(version, body, report_data, recipe)
    attestation_key = keys(recipe.attestation_key or f"attestation/{machine}")
    qe_report = write_sgx_report(
        recipe.qe or (TD_QE if isinstance(body, TdBody) else SGX_QE),
        hashlib.sha256(attestation_key.point + recipe.authentication).digest() + bytes(32)
        if recipe.qe_report_data is None
        else recipe.qe_report_data,
    )
    pem = recipe.pem or write_pem(recipe.chain or chain)
    certification = b"".join(
        (
            qe_report,
            keys(recipe.qe_report_signed_by or f"pck/{machine}").sign_raw(qe_report),
            pack("<H", len(recipe.authentication)),
            recipe.authentication,
            pack("<HI", recipe.inner_type, len(pem)),
            pem,
        )
    )
    if version > 3:  # later versions wrap what version 3 has plainly
        certification = pack("<HI", recipe.outer_type, len(certification)) + certification
    signer = keys(recipe.quote_signed_by) if recipe.quote_signed_by else attestation_key
    section = signer.sign_raw(signed) + attestation_key.point + certification
    return signed + pack("<I", len(section)) + section + recipe.trailing


def _usual_version(body: TdBody | SgxBody) -> int:
    if isinstance(body, SgxBody):
        return 3
    return 4 if body.body_type == TD_BODY_10 else 5


def _header(machine: str, version: int, body: TdBody | SgxBody, recipe: QuoteRecipe) -> bytes:
    tee_type = TDX_TEE_TYPE if isinstance(body, TdBody) else SGX_TEE_TYPE
    if recipe.tee_type is not None:
        tee_type = recipe.tee_type
    user_data = recipe.user_data or derive_bytes("quoting enclave", machine, 16) + bytes(4)
    return pack("<HHI4x", version, recipe.key_type, tee_type) + recipe.vendor + user_data


def _signed_body(version: int, body: TdBody | SgxBody, report_data: bytes, recipe: QuoteRecipe) -> bytes:
    """Return the body, behind its descriptor in version 5."""
    if isinstance(body, TdBody):
        body_type, report = body.body_type, write_td_body(body, report_data)
    else:
        body_type, report = SGX_BODY, write_sgx_report(body, report_data)
    if version < 5:
        return report
    stated_type = body_type if recipe.body_type is None else recipe.body_type
    stated_size = len(report) if recipe.body_size is None else recipe.body_size
    return pack("<HI", stated_type, stated_size) + report
