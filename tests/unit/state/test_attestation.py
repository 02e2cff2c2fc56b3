"""The binding: bytes that never change, because enclaves in the field make them."""

from __future__ import annotations

import re
from hashlib import sha256, sha512

from state.attestation import attest_signing_bytes, enclave_address, gpu_nonce, hash_gpu_evidence, report_data
from state.runtime.reasons import EnclaveReason, TransactionReason
from state.runtime.remedies import ENCLAVE_REMEDIES, VERIFIER_REMEDIES, remedy_of
from state.trust_messages import GpuEvidence
from tee.appraisal import DenialReason
from tee.errors import Reason

CHAIN, OPERATOR, HARDWARE = b"c" * 32, b"\0" + b"o" * 20, b"\1" + b"h" * 20
SIGN, SEAL, BLOCK = b"s" * 32, b"e" * 32, b"b" * 32
GPUS = (GpuEvidence(report=b"r", chain=(b"x", b"y")),)


def prefixed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def test_report_data_is_the_digest_of_its_parts_each_after_its_length() -> None:
    made = report_data(
        chain_id=CHAIN,
        operator=OPERATOR,
        hardware=HARDWARE,
        sign_key=SIGN,
        seal_key=SEAL,
        gpus=GPUS,
        challenge_height=7,
        challenge_hash=BLOCK,
    )
    gpu_digest = sha256(b"bocc/gpu-evidence/1" + bytes.fromhex("9192c4017292c40178c40179")).digest()
    assert hash_gpu_evidence(GPUS) == gpu_digest
    height = (7).to_bytes(8, "big")
    parts = (b"bocc/report-data/1", CHAIN, OPERATOR, HARDWARE, SIGN, SEAL, gpu_digest, height, BLOCK)
    assert made == sha512(prefixed(*parts)).digest()


def test_no_gpu_has_a_digest_too() -> None:
    assert hash_gpu_evidence(()) == sha256(b"bocc/gpu-evidence/1\x90").digest()


def test_nonce_of_gpus() -> None:
    made = gpu_nonce(chain_id=CHAIN, sign_key=SIGN, challenge_height=7, challenge_hash=BLOCK)
    parts = (b"bocc/gpu-nonce/1", CHAIN, SIGN, (7).to_bytes(8, "big"), BLOCK)
    assert made == sha256(prefixed(*parts)).digest()


def test_what_an_enclave_signs_and_its_name() -> None:
    signed = attest_signing_bytes(CHAIN, OPERATOR, HARDWARE, b"evidence")
    assert signed == b"bocc/attest/1" + CHAIN + OPERATOR + HARDWARE + sha256(b"evidence").digest()
    assert enclave_address(SIGN) == b"\3" + sha256(b"bocc/enclave/1" + SIGN).digest()[:20]


def test_no_two_families_of_reasons_share_a_word_and_each_has_a_remedy() -> None:
    families = (TransactionReason, EnclaveReason, DenialReason, Reason)
    words = [reason.value for family in families for reason in family]
    assert len(words) == len(set(words))
    assert set(ENCLAVE_REMEDIES) == set(EnclaveReason)
    assert all(remedy_of(reason) for family in families for reason in family)
    assert all(len(word) <= 64 for word in words)


def test_a_withdrawal_or_a_document_that_ended_asks_for_more_than_the_same_bytes_again() -> None:
    withdrawn = {reason for reason in Reason if reason.value.endswith("_revoked")}
    overdue = {reason for reason in Reason if re.fullmatch("((root_|pck_)?crl|tcb_info|qe_identity)_expired", reason)}
    assert set(VERIFIER_REMEDIES) == withdrawn | overdue | {Reason.COLLATERAL_MISSING}
    signer = remedy_of(Reason.TCB_INFO_SIGNER_REVOKED)
    assert signer == remedy_of(Reason.QE_IDENTITY_SIGNER_REVOKED)
    assert "signed anew" in signer
