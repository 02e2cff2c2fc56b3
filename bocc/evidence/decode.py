"""What evidence and vendor documents say, field by field. Nothing here is verified: a forger says what he likes.

Each reader raises `EvidenceRejected` where the form is broken, with the reason that the verifier has for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from bocc.evidence.files import Document, Kind, find_quote_bytes
from bocc.evidence.names import (
    NVIDIA_FIELDS,
    PCK_CONFIGURATION,
    SGX_ATTRIBUTES,
    SGX_TYPES,
    SNP_PLATFORM,
    SNP_POLICY,
    STATUS_WORDS,
    TD_ATTRIBUTES,
    format_second,
    name_bits,
    to_plain,
)
from tee.cbor import CborError, decode_cbor
from tee.certificates import Certificate, parse_certificate, parse_revocation_list
from tee.checks import Family
from tee.claims import SnpProduct
from tee.cose import open_sign1
from tee.der import DerError
from tee.documents import QeIdentity, TcbInfo
from tee.errors import EvidenceRejected, Reason
from tee.intel_documents import Vouching, read_qe_identity, read_tcb_info
from tee.intel_quote import BODY_SGX, Quote, parse_quote, parse_report
from tee.pck import SGX_EXTENSION, parse_pck_extension
from tee.pem import PemError, split_pem_chain
from tee.signatures import EcKey
from tee.snp_report import REPORT_BYTES, SIGNING_KEY_VLEK, find_product, read_tcb
from tee.snp_report import parse_report as parse_snp_report
from tee.spdm import parse_report as parse_spdm_report
from tee.strict_json import JsonError, cut_signed_object, parse_json
from tee.vek import AMD_ARC, PRODUCT_NAMES, parse_vek

Fields = dict[str, Any]  # Values of JSON, for output alone.

_TD_BODY: Final = (
    ("tee_tcb_svn", 16),
    ("mr_seam", 48),
    ("mr_signer_seam", 48),
    ("seam_attributes", 8),
    ("td_attributes", 8),
    ("xfam", 8),
    ("mr_td", 48),
    ("mr_config_id", 48),
    ("mr_owner", 48),
    ("mr_owner_config", 48),
    ("rtmr0", 48),
    ("rtmr1", 48),
    ("rtmr2", 48),
    ("rtmr3", 48),
    ("report_data", 64),
    ("tee_tcb_svn2", 16),
    ("mr_service_td", 48),
    ("vm_id", 1),
    ("td_id", 32),
    ("device_info", 48),
    ("initial_service_td_hash", 48),
    ("initial_service_td_attributes", 8),
    ("initial_cpu_svn", 16),
    ("initial_tee_tcb_svn", 16),
    ("initial_fmspc", 12),
    ("current_service_td_hash", 48),
    ("current_service_td_attributes", 8),
)
"""Names and sizes; bodies of older types end earlier."""
_TD_INTEGERS: Final = {"td_attributes": TD_ATTRIBUTES, "xfam": {}}
_NO_VOUCHING: Final = Vouching(root=b"", signer_serial=b"", valid_from_s=0, valid_until_s=1 << 60)


def decode(kind: Kind, octets: bytes) -> Fields:
    """Return what bytes of this kind say.

    Raises:
        EvidenceRejected: their form is broken.
    """
    return _DECODERS[kind](octets)


def describe_certificate(certificate: Certificate) -> Fields:
    """Return who a certificate is about, who issued it, and when it is valid."""
    key = certificate.key
    fields: Fields = {
        "subject": certificate.common_name,
        "issuer": certificate.issuer_common_name,
        "serial": f"{certificate.serial:x}",
        "not_before": format_second(certificate.not_before_s),
        "not_after": format_second(certificate.not_after_s),
        "key": key.curve.name if isinstance(key, EcKey) else "RSA4096",
        "is_ca": certificate.is_ca,
        "sha256": certificate.fingerprint.hex(),
    }
    if SGX_EXTENSION in certificate.extensions:
        fields["sgx"] = _read_der(_describe_platform, certificate.extensions[SGX_EXTENSION].content)
    if any(oid.startswith(AMD_ARC) for oid in certificate.extensions):
        vek = _read_der(parse_vek, certificate.der)
        fields["amd"] = to_plain(
            {
                "product": vek.product_name,
                "svns": vek.svns,
                "hardware_id": vek.hardware_id,
                "csp_id": vek.csp_id,
            }
        )
    return fields


def cut_quote(octets: bytes) -> tuple[bytes, int]:
    """Return a quote as long as it says, and how many bytes stand behind it."""
    quote_bytes = find_quote_bytes(octets)
    if quote_bytes is None or quote_bytes > len(octets):
        return octets, 0
    return octets[:quote_bytes], len(octets) - quote_bytes


def split_pck_chain(quote: Quote) -> list[Certificate]:
    """Return the certificates of a quote: PCK, CA, root.

    Raises:
        EvidenceRejected: PCK_CHAIN_SHAPE, PCK_CERT_DER.
    """
    try:
        return [parse_certificate(der) for der in split_pem_chain(quote.pck_chain, 3)]
    except PemError as error:
        raise EvidenceRejected(Reason.PCK_CHAIN_SHAPE, str(error)) from error
    except DerError as error:
        raise EvidenceRejected(Reason.PCK_CERT_DER, str(error)) from error


def split_nitro_chain(document: bytes) -> list[Certificate]:
    """Return the certificates of a Nitro document, root first.

    Raises:
        EvidenceRejected: the form of the document or of a certificate is broken.
    """
    fields = _read_nitro(document)
    bundle, leaf = fields.get("cabundle"), fields.get("certificate")
    chain = [*bundle, leaf] if isinstance(bundle, list) else [leaf]
    return [_read_der(parse_certificate, der) for der in chain if isinstance(der, bytes)]


def _decode_quote(octets: bytes) -> Fields:
    whole, left_bytes = cut_quote(octets)
    quote = parse_quote(whole)
    qe_report = parse_report(quote.qe_report)
    body = _decode_enclave(quote.body) if quote.body_type == BODY_SGX else _decode_td(quote.body)
    fields: Fields = {
        "kind": f"{quote.tee.name} quote",
        "version": quote.version,
        "body_type": quote.body_type,
        "quote_bytes": len(whole),
        "bytes_behind": left_bytes,
        "qe_platform_id": quote.platform_id.hex(),
        "body": body,
        "quoting_enclave": to_plain(qe_report),
        "attestation_key": quote.attestation_key.hex(),
    }
    chain = split_pck_chain(quote)
    fields["certificates"] = [describe_certificate(certificate) for certificate in chain]
    return fields


def _decode_enclave(body: bytes) -> Fields:
    report = parse_report(body)
    fields: Fields = {name: to_plain(getattr(report, name)) for name in report.__struct_fields__}
    fields["attribute_names"] = name_bits(report.attributes[0], SGX_ATTRIBUTES)
    return fields


def _decode_td(body: bytes) -> Fields:
    fields: Fields = {}
    position = 0
    for name, size in _TD_BODY:
        octets = body[position : position + size]
        position += size
        if octets:
            fields[name] = octets.hex()
            if name in _TD_INTEGERS:
                number = int.from_bytes(octets, "little")
                fields[name] = f"{number:#x}"
                if _TD_INTEGERS[name]:
                    fields[f"{name}_names"] = name_bits(number, _TD_INTEGERS[name])
    return fields


def _describe_platform(content: bytes) -> Fields:
    extension = parse_pck_extension(content)
    fields: Fields = {name: to_plain(getattr(extension, name)) for name in extension.__struct_fields__}
    fields["sgx_type"] = SGX_TYPES[extension.sgx_type]
    fields["configuration"] = name_bits(extension.configuration, PCK_CONFIGURATION)
    fields["cpu_svn"] = list(extension.cpu_svn)
    return fields


def _decode_snp(octets: bytes) -> Fields:
    report = parse_snp_report(octets[:REPORT_BYTES])
    behind = octets[REPORT_BYTES:]
    vek = _read_der(parse_vek, behind) if behind else None
    family, model = report.fields.cpuid
    product = find_product(family, model) if report.has_cpuid else None
    if product is None and vek is not None:
        product = PRODUCT_NAMES.get(vek.product_name.partition("-")[0])
    shown = {name: field for name, field in report.fields._asdict().items() if not name.startswith("zero_")}
    fields: Fields = {"kind": "SEV-SNP report", "product": "unknown" if product is None else product.name.lower()}
    fields |= {name: to_plain(field) for name, field in shown.items()}
    fields["policy"] = f"{report.fields.policy:#x}"
    fields["platform_info"] = f"{report.fields.platform_info:#x}"
    fields["policy_names"] = name_bits(report.fields.policy >> 16 << 16, SNP_POLICY)
    fields["platform_info_names"] = name_bits(report.fields.platform_info, SNP_PLATFORM)
    fields["signing_key"] = "VLEK" if report.signing_key == SIGNING_KEY_VLEK else "VCEK"
    for name in ("reported_tcb", "committed_tcb", "current_tcb", "launch_tcb"):
        fields[name] = to_plain(read_tcb(getattr(report.fields, name), product or SnpProduct.MILAN))
    if vek is not None:
        fields["certificates"] = [describe_certificate(vek.certificate)]
    return fields


def _read_nitro(document: bytes) -> Mapping[Any, Any]:  # Any: whatever CBOR has, checked where it is used.
    try:
        payload = decode_cbor(open_sign1(document).payload)
    except CborError as error:
        raise EvidenceRejected(Reason.PAYLOAD_CBOR, str(error)) from error
    if not isinstance(payload, dict):
        raise EvidenceRejected(Reason.PAYLOAD_FIELDS, "the payload is no map")
    return payload


def _decode_nitro(document: bytes) -> Fields:
    payload = _read_nitro(document)
    fields: Fields = {"kind": "Nitro document"}
    hidden = {"certificate", "cabundle"}
    fields |= {str(name): to_plain(field) for name, field in payload.items() if name not in hidden}
    timestamp_ms = payload.get("timestamp")
    if isinstance(timestamp_ms, int):
        fields["made"] = format_second(min(max(timestamp_ms, 0), 1 << 48) // 1000)
    fields["certificates"] = [describe_certificate(certificate) for certificate in split_nitro_chain(document)]
    return fields


def _decode_nvidia(octets: bytes) -> Fields:
    report = parse_spdm_report(octets)
    opaque = {}
    for kind, content in report.opaque.items():
        text = content.rstrip(b"\0")
        is_text = len(text) > 1 and all(0x20 < octet < 0x7F for octet in text)
        opaque[NVIDIA_FIELDS.get(kind, f"type {kind}")] = text.decode() if is_text else content.hex()
    return {
        "kind": "NVIDIA report",
        "nonce": report.nonce.hex(),
        **opaque,
        "measurements": {f"block {index}": block.hex() for index, block in sorted(report.measurements.items())},
    }


def _decode_tcb_info(octets: bytes) -> Fields:
    try:
        raw, _signature = cut_signed_object(octets.strip(), "tcbInfo")
        return {"kind": "TCB info", **_plain_document(read_tcb_info(parse_json(raw), _NO_VOUCHING))}
    except JsonError as error:
        raise EvidenceRejected(Reason.TCB_INFO_FORMAT, str(error)) from error


def _decode_qe_identity(octets: bytes) -> Fields:
    try:
        raw, _signature = cut_signed_object(octets.strip(), "enclaveIdentity")
        return {"kind": "QE identity", **_plain_document(read_qe_identity(parse_json(raw), _NO_VOUCHING))}
    except JsonError as error:
        raise EvidenceRejected(Reason.QE_IDENTITY_FORMAT, str(error)) from error


def _plain_document(document: TcbInfo | QeIdentity) -> Fields:
    """Return the fields without those that only verification fills, with advisories by their names."""
    hidden = {
        "kind",
        "root",
        "signer_serial",
        "valid_from_s",
        "valid_until_s",
        "advisories",
        "levels",
        "modules",
        "issued_s",
    }
    fields: Fields = {
        name: to_plain(getattr(document, name))
        for name in document.__struct_fields__
        if name not in hidden | {"next_update_s"}
    }
    fields["issued"] = format_second(document.issued_s)
    fields["next_update"] = format_second(document.next_update_s)

    def describe_level(level: Any) -> Fields:  # Any: a level of either kind.
        shown = {name: getattr(level, name) for name in level.__struct_fields__}
        shown["status"] = STATUS_WORDS[level.status]
        shown["date"] = format_second(shown.pop("date_s"))
        for name in ("sgx_components", "tdx_components"):
            if name in shown:
                shown[name] = list(shown[name])
        shown["advisories"] = [document.advisories[place] for place in level.advisories]
        return shown

    if isinstance(document, TcbInfo):
        fields["modules"] = [
            {
                "major_version": module.major_version,
                "mr_signer": module.mr_signer.hex(),
                "attributes": module.attributes.hex(),
                "levels": [describe_level(level) for level in module.levels],
            }
            for module in document.modules
        ]
    fields["levels"] = [describe_level(level) for level in document.levels]
    return fields


def _decode_revocation_list(octets: bytes) -> Fields:
    revocations = _read_der(parse_revocation_list, octets)
    return {
        "kind": "revocation list",
        "issuer": revocations.issuer_common_name,
        "this_update": format_second(revocations.this_update_s),
        "next_update": format_second(revocations.next_update_s),
        "number": revocations.number,
        "revoked_serials": [f"{serial:x}" for serial in revocations.serials],
    }


def _decode_certificate(octets: bytes) -> Fields:
    return {"kind": "certificate", **describe_certificate(_read_der(parse_certificate, octets))}


def _read_der(parse: Callable[[bytes], Any], der: bytes) -> Any:  # Any: what the parser returns.
    try:
        return parse(der)
    except DerError as error:
        raise EvidenceRejected(Reason.CERT_DER, str(error)) from error


_DECODERS: Final[dict[Kind, Callable[[bytes], Fields]]] = {
    Family.SGX: _decode_quote,
    Family.TDX: _decode_quote,
    Family.SEV_SNP: _decode_snp,
    Family.NITRO: _decode_nitro,
    Family.NVIDIA: _decode_nvidia,
    Document.TCB_INFO: _decode_tcb_info,
    Document.QE_IDENTITY: _decode_qe_identity,
    Document.REVOCATION_LIST: _decode_revocation_list,
    Document.CERTIFICATES: _decode_certificate,
}
