"""What binds evidence to the chain: report data, GPU nonces, and what an enclave signs. For handlers and for providers alike.

Every part of a digest is preceded by its length, 4 bytes big-endian, so no two lists of parts have one preimage.
Source: attestation specification, section 9.
"""

from __future__ import annotations

from hashlib import sha256, sha512
from typing import Final

from state.address import AddressKind
from state.codec import encode
from state.crypto import signing_bytes, tag, tagged_hash
from state.trust_messages import GpuEvidence

_REPORT_DATA_TAG: Final = tag("report-data")
_GPU_NONCE_TAG: Final = tag("gpu-nonce")
_GPU_EVIDENCE_TAG: Final = tag("gpu-evidence")
_ATTEST_TAG: Final = tag("attest")
_ENCLAVE_TAG: Final = tag("enclave")


def enclave_address(sign_key: bytes) -> bytes:
    """Return the 21-byte address of the enclave that holds this Ed25519 key."""
    return bytes((AddressKind.ENCLAVE,)) + tagged_hash(_ENCLAVE_TAG, sign_key)[:20]


def report_data(
    *,
    chain_id: bytes,
    operator: bytes,
    hardware: bytes,
    sign_key: bytes,
    seal_key: bytes,
    gpus: tuple[GpuEvidence, ...],
    challenge_height: int,
    challenge_hash: bytes,
) -> bytes:
    """Return the 64 bytes that evidence must carry: REPORTDATA of Intel, REPORT_DATA of AMD, user_data of Nitro."""
    parts = (
        _REPORT_DATA_TAG,
        chain_id,
        operator,
        hardware,
        sign_key,
        seal_key,
        hash_gpu_evidence(gpus),
        challenge_height.to_bytes(8, "big"),
        challenge_hash,
    )
    return sha512(_join(parts)).digest()


def gpu_nonce(*, chain_id: bytes, sign_key: bytes, challenge_height: int, challenge_hash: bytes) -> bytes:
    """Return the 32-byte nonce that each GPU of an enclave must have been asked with."""
    parts = (_GPU_NONCE_TAG, chain_id, sign_key, challenge_height.to_bytes(8, "big"), challenge_hash)
    return sha256(_join(parts)).digest()


def hash_gpu_evidence(gpus: tuple[GpuEvidence, ...]) -> bytes:
    """Return the digest of all GPU evidence, 32 bytes, also of none."""
    return tagged_hash(_GPU_EVIDENCE_TAG, encode(gpus))


def attest_signing_bytes(chain_id: bytes, operator: bytes, hardware: bytes, evidence: bytes) -> bytes:
    """Return what an enclave's key signs to agree to an attestation in its name."""
    return signing_bytes(_ATTEST_TAG, chain_id, operator + hardware + sha256(evidence).digest())


def _join(parts: tuple[bytes, ...]) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
