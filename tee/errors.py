"""Why evidence or collateral is refused: one flat list of stable reasons, with what was seen and what was allowed.

The order of checks is fixed by each verifier's docstring, so one input has one reason on every machine.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Every ground on which a vendor's bytes are refused. The words are stable; people's explanations are in the documents."""

    # forms that several vendors share
    LENGTH = "length"
    PARSE = "parse"
    TRAILING_BYTES = "trailing_bytes"
    CERT_DER = "cert_der"
    CERT_KEY = "cert_key"
    CERT_BAD_ISSUER = "cert_bad_issuer"
    CERT_NOT_CA = "cert_not_ca"
    CERT_NOT_YET_VALID = "cert_not_yet_valid"
    CERT_EXPIRED = "cert_expired"
    ROOT_UNTRUSTED = "root_untrusted"
    SIGNATURE = "signature"
    COLLATERAL_MISSING = "collateral_missing"

    # Intel SGX and TDX: the quote
    QUOTE_VERSION = "quote_version"
    ATT_KEY_TYPE = "att_key_type"
    TEE_TYPE = "tee_type"
    BODY_TYPE = "body_type"
    QE_VENDOR = "qe_vendor"
    CERT_DATA_TYPE = "cert_data_type"
    PCK_CHAIN_SHAPE = "pck_chain_shape"
    PCK_CERT_DER = "pck_cert_der"
    PCK_CHAIN_ROOT_UNTRUSTED = "pck_chain_root_untrusted"
    ICA_NOT_CA = "ica_not_ca"
    ICA_BAD_ISSUER = "ica_bad_issuer"
    PCK_BAD_ISSUER = "pck_bad_issuer"
    ICA_REVOKED = "ica_revoked"
    PCK_REVOKED = "pck_revoked"
    PCK_CERT_EXPIRED = "pck_cert_expired"
    PCK_CERT_NOT_YET_VALID = "pck_cert_not_yet_valid"
    PCK_EXTENSION = "pck_extension"
    FMSPC_MISMATCH = "fmspc_mismatch"
    QE_REPORT_SIGNATURE = "qe_report_signature"
    QE_REPORT_DATA = "qe_report_data"
    QE_MISCSELECT = "qe_miscselect"
    QE_ATTRIBUTES = "qe_attributes"
    QE_MRSIGNER = "qe_mrsigner"
    QE_ISVPRODID = "qe_isvprodid"
    QE_TCB_NOT_SUPPORTED = "qe_tcb_not_supported"
    QUOTE_SIGNATURE = "quote_signature"
    MRSIGNERSEAM = "mrsignerseam"
    SEAMATTR = "seamattr"
    TDX_MODULE_IDENTITY_MISSING = "tdx_module_identity_missing"
    TDX_MODULE_TCB_NOT_SUPPORTED = "tdx_module_tcb_not_supported"
    TCB_NOT_SUPPORTED = "tcb_not_supported"

    # documents of Intel: lists, TCB infos, identities
    ROOT_CRL_ISSUER = "root_crl_issuer"
    ROOT_CRL_SIGNATURE = "root_crl_signature"
    ROOT_CRL_EXPIRED = "root_crl_expired"
    ROOT_CRL_NOT_YET_VALID = "root_crl_not_yet_valid"
    PCK_CRL_ISSUER = "pck_crl_issuer"
    PCK_CRL_SIGNATURE = "pck_crl_signature"
    PCK_CRL_EXPIRED = "pck_crl_expired"
    PCK_CRL_NOT_YET_VALID = "pck_crl_not_yet_valid"
    TCB_INFO_FORMAT = "tcb_info_format"
    TCB_INFO_SIGNER = "tcb_info_signer"
    TCB_INFO_SIGNER_REVOKED = "tcb_info_signer_revoked"
    TCB_INFO_SIGNATURE = "tcb_info_signature"
    TCB_INFO_EXPIRED = "tcb_info_expired"
    TCB_INFO_NOT_YET_VALID = "tcb_info_not_yet_valid"
    TCB_INFO_MISMATCH = "tcb_info_mismatch"
    QE_IDENTITY_FORMAT = "qe_identity_format"
    QE_IDENTITY_SIGNER = "qe_identity_signer"
    QE_IDENTITY_SIGNER_REVOKED = "qe_identity_signer_revoked"
    QE_IDENTITY_SIGNATURE = "qe_identity_signature"
    QE_IDENTITY_EXPIRED = "qe_identity_expired"
    QE_IDENTITY_NOT_YET_VALID = "qe_identity_not_yet_valid"
    QE_IDENTITY_MISMATCH = "qe_identity_mismatch"

    # AMD SEV-SNP
    VERSION = "version"
    SIG_ALGO = "sig_algo"
    SIGNING_KEY = "signing_key"
    RESERVED = "reserved"
    ASK_BAD_ISSUER = "ask_bad_issuer"
    VEK_BAD_ISSUER = "vek_bad_issuer"
    ARK_EXPIRED = "ark_expired"
    ARK_NOT_YET_VALID = "ark_not_yet_valid"
    ASK_EXPIRED = "ask_expired"
    ASK_NOT_YET_VALID = "ask_not_yet_valid"
    VEK_EXPIRED = "vek_expired"
    VEK_NOT_YET_VALID = "vek_not_yet_valid"
    VEK_KIND = "vek_kind"
    CRL_SIGNATURE = "crl_signature"
    CRL_EXPIRED = "crl_expired"
    CRL_NOT_YET_VALID = "crl_not_yet_valid"
    ASK_REVOKED = "ask_revoked"
    VEK_REVOKED = "vek_revoked"
    PRODUCT_MISMATCH = "product_mismatch"
    TCB_RESERVED = "tcb_reserved"
    TCB_MISMATCH = "tcb_mismatch"
    CHIP_ID_MISMATCH = "chip_id_mismatch"
    REPORT_SIGNATURE = "report_signature"
    TCB_ORDER = "tcb_order"

    # AWS Nitro Enclaves
    COSE_FORMAT = "cose_format"
    COSE_ALGORITHM = "cose_algorithm"
    COSE_UNPROTECTED = "cose_unprotected"
    SIGNATURE_FORMAT = "signature_format"
    PAYLOAD_CBOR = "payload_cbor"
    PAYLOAD_FIELDS = "payload_fields"
    CERT_EXTENSIONS = "cert_extensions"
    CERT_PATH_LENGTH = "cert_path_length"
    LEAF_USAGE = "leaf_usage"
    TIMESTAMP = "timestamp"

    # NVIDIA
    REQUEST = "request"
    RESPONSE = "response"
    MEASUREMENT_BLOCK = "measurement_block"
    OPAQUE = "opaque"
    NONCE = "nonce"
    CHAIN_SHAPE = "chain_shape"
    CERT_VALIDITY = "cert_validity"
    FWID_MISMATCH = "fwid_mismatch"


class EvidenceRejected(Exception):
    """A vendor's bytes do not prove what they claim."""

    def __init__(self, reason: Reason, seen: int | str = "", bound: int | str = "") -> None:
        """Say what was seen and what was allowed; bytes are given in hex by the caller."""
        super().__init__(f"{reason.value}: seen {seen}" + (f", allowed {bound}" if bound != "" else ""))
        self.reason = reason
        self.seen = seen
        self.bound = bound
