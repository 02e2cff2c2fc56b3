"""NVIDIA GPUs and switches: a signed measurement report and the device's certificate chain, to claims.

Order of checks (specification, section 6.2): length, request, response, blocks, opaque data, nothing left over (tee/spdm.py);
nonce; five certificates of at most 16 KiB together, the root, their DER, P-384 keys; per link downwards name and signature,
then validity at the given time; authorities, path lengths; the report's signature; firmware id.

Revocation is not seen here: NVIDIA answers by OCSP alone, so a chain keeps deny lists by the issuer and serial of the claims.
A report does not prove where the device is; the nonce shows that it is fresh, and the processor's evidence must name its hash.

The firmware id is compared with the extension 2.23.133.5.4.1 of the leaf, the form of Hopper. Blackwell's leaves have a list of
ids under 2.23.133.5.4.1.1 instead; that form is not read, so a report that names a firmware id under such a leaf is refused.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

from tee.certificate_chain import (
    check_authorities,
    check_keys,
    check_links,
    check_path_lengths,
    find_root,
    parse_chain,
)
from tee.certificates import Certificate
from tee.claims import GpuClaims
from tee.der import SEQUENCE, DerError, DerReader
from tee.errors import EvidenceRejected, Reason
from tee.roots import Roots
from tee.signatures import EcKey, verify_p384
from tee.spdm import MeasurementReport, parse_report

CHAIN_CERTIFICATES: Final = 5
"""Leaf of the firmware, device key, provisioner, product family, root."""
CHAIN_BYTES_MAX: Final = 16 * 1024
"""Longest chain, in DER; real ones have about 3.4 KiB."""
_SHARED_CERTIFICATES: Final = 4
"""Root, product family, provisioner, and the device key, which a device shows with each of its reports."""

_DRIVER_VERSION: Final = 3
_VBIOS_VERSION: Final = 6
_FIRMWARE_ID: Final = 20
FIRMWARE_ID_BYTES: Final = 48
_DRIVER_VERSION_BYTES_MAX: Final = 32
_VBIOS_VERSION_BYTES_MAX: Final = 32
_VBIOS_NUMBER_BYTES: Final = 8

_CHIP: Final = re.compile(r"[ -~]{1,64}", re.ASCII)
_DICE_EXTENSION: Final = "2.23.133.5.4.1"
_SHA384: Final = "2.16.840.1.101.3.4.2.2"


def verify_gpu(report: bytes, chain: tuple[bytes, ...], nonce: bytes, roots: Roots, time_s: int) -> GpuClaims:
    """Verify a report, with its chain in DER, leaf first, against the nonce of 32 bytes that was asked for.

    Raises:
        EvidenceRejected: in this order what `parse_report` raises, OPAQUE (versions of driver and VBIOS), NONCE, CHAIN_SHAPE,
            LENGTH (of the chain), ROOT_UNTRUSTED, CERT_DER, CERT_KEY, CERT_BAD_ISSUER or CERT_VALIDITY per link,
            CERT_NOT_CA, CERT_PATH_LENGTH, SIGNATURE, FWID_MISMATCH, CHAIN_SHAPE (name of the device key).

    Source: the evidence specification, section 6.2.
    """
    parts = parse_report(report)
    driver_version = _read_driver_version(parts.opaque.get(_DRIVER_VERSION, b""))
    vbios_version = _format_vbios_version(parts.opaque.get(_VBIOS_VERSION, b""))
    _check_nonce(parts, nonce)
    _check_shape(chain)
    find_root(chain[-1], roots.nvidia)
    parsed = parse_chain(chain[::-1], _SHARED_CERTIFICATES)
    certificates = parsed.certificates
    check_keys(certificates)
    check_links(parsed, _SHARED_CERTIFICATES, time_s, Reason.CERT_VALIDITY, Reason.CERT_VALIDITY)
    check_authorities(certificates)
    check_path_lengths(certificates, first_bounded=CHAIN_CERTIFICATES)
    leaf = certificates[-1]
    _check_signature(parts, leaf)
    _check_firmware_id(parts, leaf)
    device = certificates[-2]
    if _CHIP.fullmatch(device.common_name) is None:
        raise EvidenceRejected(Reason.CHAIN_SHAPE, "the name of the device key", "1 to 64 printable characters")
    return GpuClaims(
        root=certificates[0].fingerprint,
        device_key=sha256(device.spki).digest(),
        chip=device.common_name,
        device_serial=_encode_serial(device.serial),
        leaf_issuer=sha256(leaf.issuer).digest(),
        leaf_serial=_encode_serial(leaf.serial),
        driver_version=driver_version,
        vbios_version=vbios_version,
        measurements_digest=_digest_measurements(parts),
        firmware_id=parts.opaque.get(_FIRMWARE_ID, b""),
        not_after_s=min(certificate.not_after_s for certificate in certificates),
    )


def _check_nonce(parts: MeasurementReport, nonce: bytes) -> None:
    """Check that the report answers the question that was asked."""
    if parts.nonce != nonce:
        raise EvidenceRejected(Reason.NONCE, parts.nonce.hex(), nonce.hex())


def _check_shape(chain: tuple[bytes, ...]) -> None:
    """Check the number of certificates and their bytes together."""
    if len(chain) != CHAIN_CERTIFICATES:
        raise EvidenceRejected(Reason.CHAIN_SHAPE, len(chain), CHAIN_CERTIFICATES)
    chain_bytes = sum(map(len, chain))
    if chain_bytes > CHAIN_BYTES_MAX:
        raise EvidenceRejected(Reason.LENGTH, chain_bytes, CHAIN_BYTES_MAX)


def _check_signature(parts: MeasurementReport, leaf: Certificate) -> None:
    """Check the leaf's signature over request and response."""
    # Invariant: check_keys has seen that the key is a point of P-384.
    assert isinstance(leaf.key, EcKey)
    if not verify_p384(leaf.key.point, parts.signature, parts.signed):
        raise EvidenceRejected(Reason.SIGNATURE)


def _check_firmware_id(parts: MeasurementReport, leaf: Certificate) -> None:
    """Check that the firmware that the report names is the one that the leaf was made for.

    Reports of old drivers (535) and of switches name none.
    """
    firmware_id = parts.opaque.get(_FIRMWARE_ID)
    if firmware_id is None:
        return
    expected = _find_firmware_id(leaf)
    if len(firmware_id) != FIRMWARE_ID_BYTES or firmware_id != expected:
        raise EvidenceRejected(Reason.FWID_MISMATCH, firmware_id.hex(), "none" if expected is None else expected.hex())


def _find_firmware_id(leaf: Certificate) -> bytes | None:
    """Return the id of the DICE extension: version, key of the layer below, and a SHA-384 with its algorithm."""
    extension = leaf.extensions.get(_DICE_EXTENSION)
    if extension is None:
        return None
    outside = DerReader(extension.content)
    try:
        fields = outside.enter(SEQUENCE)
        outside.finish()
        fields.read_unsigned()
        fields.read(SEQUENCE)
        measurement = fields.enter(SEQUENCE)
        fields.finish()
        algorithm, digest = measurement.read_oid(), measurement.read_octets()
        measurement.finish()
    except DerError as error:
        raise EvidenceRejected(Reason.FWID_MISMATCH, f"the leaf's extension: {error}") from error
    return digest if algorithm == _SHA384 else None


def _encode_serial(serial: int) -> bytes:
    """Return a serial number in its fewest bytes, big endian."""
    return serial.to_bytes((serial.bit_length() + 7) // 8, "big")


def _read_driver_version(content: bytes) -> str:
    """Return the text before the closing zero bytes; switches have none."""
    text = content.rstrip(b"\0")
    if len(text) > _DRIVER_VERSION_BYTES_MAX or any(not 0x21 <= octet <= 0x7E for octet in text):
        raise EvidenceRejected(Reason.OPAQUE, f"driver version {content.hex()}")
    return text.decode("ascii")


def _format_vbios_version(content: bytes) -> str:
    """Return the version as NVIDIA prints it, such as 96.00.9F.00.01; a form that is not known, in hex.

    GPUs give a number of eight bytes, little endian: the lower four are the first four parts, the fifth byte is the last part.
    Switches give the text.
    """
    if len(content) > _VBIOS_VERSION_BYTES_MAX:
        raise EvidenceRejected(Reason.OPAQUE, f"VBIOS version of {len(content)} bytes", _VBIOS_VERSION_BYTES_MAX)
    if len(content) == _VBIOS_NUMBER_BYTES and not any(content[5:]):
        return ".".join(f"{octet:02X}" for octet in (*content[3::-1], content[4]))
    text = content.rstrip(b"\0")
    if text and all(octet == 0x2E or 0x30 <= octet <= 0x39 or 0x41 <= octet <= 0x46 for octet in text):
        return text.decode("ascii")
    return content.hex()


def _digest_measurements(parts: MeasurementReport) -> bytes:
    """Return the SHA-256 over all blocks by index: index, type, length in two bytes, little endian, and value."""
    digest = sha256()
    for index in sorted(parts.measurements):
        value = parts.measurements[index]
        digest.update(bytes((index, parts.measurement_types[index])) + len(value).to_bytes(2, "little") + value)
    return digest.digest()
