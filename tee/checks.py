"""The checks of each verifier by name, in their order, for reports that people read.

A verifier stops at its first fault and says its reason. The reason names the check that failed; the checks before it hold, those
after it were not reached. A check gathers all reasons between which a verifier may change back and forth, so this reading never
calls anything good that was not looked at. The orders are those of the docstrings of the verifiers.

Source: attestation specification, sections 3.4, 4.3, 5.3 and 6.2.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from tee.documents import CollateralKind
from tee.errors import Reason


class Family(StrEnum):
    """Kinds of evidence that have a verifier each."""

    SGX = "sgx"
    TDX = "tdx"
    SEV_SNP = "sev-snp"
    NITRO = "nitro"
    NVIDIA = "nvidia"


class Check(Struct, frozen=True):
    """One step of a verifier."""

    name: str
    """Stable word for programs."""
    law: str
    """What holds if the check does."""
    reasons: tuple[Reason, ...]
    """Why it may fail. Each reason belongs to one check of a family."""
    collateral: tuple[CollateralKind, ...] = ()
    """Documents that it asks for. Whatever is wrong with them is a failure of this check."""


_QUOTE_FORM: Final = Check(
    "form",
    "known version, types and vendor, every length closes, nothing behind the quote",
    (
        Reason.LENGTH,
        Reason.QUOTE_VERSION,
        Reason.ATT_KEY_TYPE,
        Reason.TEE_TYPE,
        Reason.QE_VENDOR,
        Reason.BODY_TYPE,
        Reason.PARSE,
        Reason.TRAILING_BYTES,
        Reason.CERT_DATA_TYPE,
    ),
)
_QUOTE_CHAIN: Final = (
    Check(
        "chain", "PCK certificate, its CA and the root, in this order", (Reason.PCK_CHAIN_SHAPE, Reason.PCK_CERT_DER)
    ),
    Check("root", "the root is a trusted one, byte for byte", (Reason.PCK_CHAIN_ROOT_UNTRUSTED, Reason.ROOT_UNTRUSTED)),
    Check(
        "issuers",
        "the root signed the CA, the CA signed the PCK certificate",
        (Reason.ICA_NOT_CA, Reason.ICA_BAD_ISSUER, Reason.PCK_BAD_ISSUER),
    ),
    Check("validity", "all three are valid at that time", (Reason.PCK_CERT_NOT_YET_VALID, Reason.PCK_CERT_EXPIRED)),
    Check(
        "revocation",
        "both revocation lists are genuine and current, and name neither certificate",
        (
            Reason.ROOT_CRL_ISSUER,
            Reason.ROOT_CRL_SIGNATURE,
            Reason.ROOT_CRL_EXPIRED,
            Reason.ROOT_CRL_NOT_YET_VALID,
            Reason.PCK_CRL_ISSUER,
            Reason.PCK_CRL_SIGNATURE,
            Reason.PCK_CRL_EXPIRED,
            Reason.PCK_CRL_NOT_YET_VALID,
            Reason.ICA_REVOKED,
            Reason.PCK_REVOKED,
        ),
        (CollateralKind.INTEL_ROOT_CRL, CollateralKind.INTEL_PCK_CRL),
    ),
    Check("platform", "the PCK certificate names platform and security versions", (Reason.PCK_EXTENSION,)),
    Check(
        "tcb-info",
        "Intel's TCB info is genuine and current, and speaks of this kind of platform",
        (
            Reason.TCB_INFO_FORMAT,
            Reason.TCB_INFO_SIGNER,
            Reason.TCB_INFO_SIGNER_REVOKED,
            Reason.TCB_INFO_SIGNATURE,
            Reason.TCB_INFO_EXPIRED,
            Reason.TCB_INFO_NOT_YET_VALID,
            Reason.TCB_INFO_MISMATCH,
            Reason.FMSPC_MISMATCH,
        ),
        (CollateralKind.INTEL_TCB_INFO,),
    ),
)
_TDX_MODULE: Final = Check(
    "module",
    "the TDX module is one that Intel signed",
    (Reason.TDX_MODULE_IDENTITY_MISSING, Reason.MRSIGNERSEAM, Reason.SEAMATTR),
)
_QUOTE_SIGNATURES: Final = (
    Check("qe-report", "the platform's PCK key signed the quoting enclave's report", (Reason.QE_REPORT_SIGNATURE,)),
    Check("attestation-key", "the quoting enclave vouches for the attestation key", (Reason.QE_REPORT_DATA,)),
    Check(
        "qe-identity",
        "the quoting enclave is the one that Intel's current identity describes",
        (
            Reason.QE_IDENTITY_FORMAT,
            Reason.QE_IDENTITY_SIGNER,
            Reason.QE_IDENTITY_SIGNER_REVOKED,
            Reason.QE_IDENTITY_SIGNATURE,
            Reason.QE_IDENTITY_EXPIRED,
            Reason.QE_IDENTITY_NOT_YET_VALID,
            Reason.QE_IDENTITY_MISMATCH,
            Reason.QE_MISCSELECT,
            Reason.QE_ATTRIBUTES,
            Reason.QE_MRSIGNER,
            Reason.QE_ISVPRODID,
            Reason.QE_TCB_NOT_SUPPORTED,
        ),
        (CollateralKind.INTEL_QE_IDENTITY,),
    ),
    Check("quote-signature", "the attestation key signed the quote", (Reason.QUOTE_SIGNATURE,)),
    Check(
        "tcb-level",
        "a level of the TCB info is reached",
        (Reason.TCB_NOT_SUPPORTED, Reason.TDX_MODULE_TCB_NOT_SUPPORTED),
    ),
)
_SEV_SNP: Final = (
    Check(
        "form",
        "report of known version, algorithm and key, reserved bits and bytes as they must be",
        (Reason.LENGTH, Reason.VERSION, Reason.SIG_ALGO, Reason.SIGNING_KEY, Reason.RESERVED),
    ),
    Check("certificates", "VEK, ASK and ARK have their form and keys", (Reason.CERT_DER, Reason.CERT_KEY)),
    Check(
        "issuers",
        "the ARK is a trusted root, byte for byte; it signed the ASK, and that the VEK",
        (Reason.ROOT_UNTRUSTED, Reason.ASK_BAD_ISSUER, Reason.VEK_BAD_ISSUER),
    ),
    Check(
        "validity",
        "all three are valid at that time",
        (
            Reason.ARK_NOT_YET_VALID,
            Reason.ARK_EXPIRED,
            Reason.ASK_NOT_YET_VALID,
            Reason.ASK_EXPIRED,
            Reason.VEK_NOT_YET_VALID,
            Reason.VEK_EXPIRED,
        ),
    ),
    Check("key-kind", "names fit the key that signed: a chip's (VCEK) or a cloud's (VLEK)", (Reason.VEK_KIND,)),
    Check(
        "revocation",
        "AMD's revocation list is genuine and current, and does not name the ASK",
        (
            Reason.CRL_SIGNATURE,
            Reason.CRL_NOT_YET_VALID,
            Reason.CRL_EXPIRED,
            Reason.ASK_REVOKED,
            Reason.VEK_REVOKED,
        ),
        (CollateralKind.AMD_CRL,),
    ),
    Check("product", "processor, chain and VEK are of one product", (Reason.PRODUCT_MISMATCH,)),
    Check("key-versions", "the VEK was made for exactly the reported TCB", (Reason.TCB_MISMATCH, Reason.TCB_RESERVED)),
    Check("chip", "the VEK belongs to the reporting chip, or to a cloud", (Reason.CHIP_ID_MISMATCH,)),
    Check("report-signature", "the VEK signed the report", (Reason.REPORT_SIGNATURE,)),
    Check("tcb-order", "reported, committed and current TCB ascend", (Reason.TCB_ORDER,)),
)
_NITRO: Final = (
    Check("size", "at most 16 KiB", (Reason.LENGTH,)),
    Check(
        "envelope",
        "one COSE_Sign1 with ES384, nothing unprotected, nothing behind it",
        (
            Reason.COSE_FORMAT,
            Reason.TRAILING_BYTES,
            Reason.COSE_ALGORITHM,
            Reason.COSE_UNPROTECTED,
            Reason.SIGNATURE_FORMAT,
        ),
    ),
    Check("payload", "one strict map with all fields in range", (Reason.PAYLOAD_CBOR, Reason.PAYLOAD_FIELDS)),
    Check("root", "the root is a trusted one, byte for byte", (Reason.ROOT_UNTRUSTED,)),
    Check("certificates", "every certificate has its form", (Reason.CERT_DER,)),
    Check("keys", "all keys are on P-384", (Reason.CERT_KEY,)),
    Check(
        "issuers",
        "each certificate is signed by the one above it, and valid at that time",
        (Reason.CERT_BAD_ISSUER, Reason.CERT_NOT_YET_VALID, Reason.CERT_EXPIRED),
    ),
    Check("extensions", "constraints and key usage are there", (Reason.CERT_EXTENSIONS,)),
    Check("authorities", "all but the leaf may sign certificates", (Reason.CERT_NOT_CA,)),
    Check("path-lengths", "no authority has more below it than it allows", (Reason.CERT_PATH_LENGTH,)),
    Check("leaf", "the leaf may sign documents and no certificates", (Reason.LEAF_USAGE,)),
    Check("signature", "the leaf signed the document", (Reason.SIGNATURE,)),
    Check("timestamp", "made in the life of the leaf, and not in the future", (Reason.TIMESTAMP,)),
)
_NVIDIA: Final = (
    Check("size", "report and chain have at most 16 KiB each", (Reason.LENGTH,)),
    Check("request", "all measurements were asked for, signed", (Reason.REQUEST,)),
    Check(
        "response",
        "blocks and fields fill the response, nothing behind it",
        (Reason.RESPONSE, Reason.PARSE, Reason.MEASUREMENT_BLOCK, Reason.OPAQUE, Reason.TRAILING_BYTES),
    ),
    Check("nonce", "the report answers the nonce that was asked", (Reason.NONCE,)),
    Check("chain", "five certificates, the device key's with a name", (Reason.CHAIN_SHAPE,)),
    Check("root", "the root is a trusted one of genuine hardware, byte for byte", (Reason.ROOT_UNTRUSTED,)),
    Check("certificates", "every certificate has its form", (Reason.CERT_DER,)),
    Check("keys", "all keys are on P-384", (Reason.CERT_KEY,)),
    Check(
        "issuers",
        "each certificate is signed by the one above it, and valid at that time",
        (Reason.CERT_BAD_ISSUER, Reason.CERT_VALIDITY),
    ),
    Check("authorities", "all but the leaf may sign certificates", (Reason.CERT_NOT_CA,)),
    Check("path-lengths", "no authority has more below it than it allows", (Reason.CERT_PATH_LENGTH,)),
    Check("signature", "the device's leaf signed the report", (Reason.SIGNATURE,)),
    Check("firmware", "the leaf was made for the firmware that the report names", (Reason.FWID_MISMATCH,)),
)

CHECKS: Final[dict[Family, tuple[Check, ...]]] = {
    Family.SGX: (_QUOTE_FORM, *_QUOTE_CHAIN, *_QUOTE_SIGNATURES),
    Family.TDX: (_QUOTE_FORM, *_QUOTE_CHAIN, _TDX_MODULE, *_QUOTE_SIGNATURES),
    Family.SEV_SNP: _SEV_SNP,
    Family.NITRO: _NITRO,
    Family.NVIDIA: _NVIDIA,
}


def find_failed_check(family: Family, reason: Reason, asked: CollateralKind | None = None) -> int:
    """Return the place of the check that a rejection belongs to.

    asked is the document whose absence or fault was the cause, if that was it: the reason alone does not tell, because lists and
    missing documents share theirs.

    Raises:
        ValueError: no check of this family has the reason.
    """
    for place, check in enumerate(CHECKS[family]):
        if asked in check.collateral if asked is not None else reason in check.reasons:
            return place
    raise ValueError(f"no check of {family} fails with {reason}")
