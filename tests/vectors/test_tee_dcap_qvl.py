"""Another verifier, dcap-qvl in Rust, on the same SGX and TDX evidence: where it answers otherwise, and why.

It stands for the reading of Intel's rules by other people. Where both accept, status and advisories must be equal; every other
answer is listed here with its cause, and a listed difference that goes away must leave the list.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.dcap_peer import PeerVerdict, judge_with_peer
from tests.support.intel_vectors import INTEL_VECTORS, STATUS_WORDS, Verdict, judge, load_samples

DEBUG = "Debug mode is enabled"
NO_SEPT_VE = "SEPT_VE_DISABLE is not enabled"
SERVICE_TD = "Invalid MR service TD"
REVOKED = "TCB status is invalid: Revoked"
AUTHENTICATION_DATA = "Invalid QE auth data length"

STRICTER_PEER = {
    # Policy that is built into the peer: what we call authentic, with a flag or a bad status, it refuses outright.
    "tdx/v4-50806f-debug#0": DEBUG,
    "tdx/v4-50806f-debug#1": DEBUG,
    "sgx/v3-00606a-debug#0": DEBUG,
    "sgx/v3-00a067110000-debug#0": DEBUG,
    "tdx/synthetic/td-debug": DEBUG,
    "tdx/v4-00806f05-azure-no-sept-ve#0": NO_SEPT_VE,
    "tdx/v4-00806f05-azure-no-sept-ve#1": NO_SEPT_VE,
    "tdx/synthetic/td-no-sept-ve": NO_SEPT_VE,
    "tdx/synthetic/td-migratable": "TD migration is enabled",
    "tdx/synthetic/td-reserved-bit-40": "Reserved bits in TD attributes are set",
    "tdx/v5-90c06f-mrservicetd#0": SERVICE_TD,
    "tdx/v5-90c06f-mrservicetd#1": SERVICE_TD,
    "tdx/v5-90c06f-mrservicetd#2": SERVICE_TD,
    "tdx/synthetic/mrservicetd": SERVICE_TD,
    "tdx/synthetic/platform-revoked": REVOKED,
    "tdx/synthetic/qe-revoked": REVOKED,
    # The peer demands 32 bytes, as in all real quotes; Intel's library allows any length.
    "tdx/synthetic/qe-auth-empty": AUTHENTICATION_DATA,
    "tdx/synthetic/qe-auth-64": AUTHENTICATION_DATA,
}
"""What we accept and the peer refuses, with its words."""

LENIENT_PEER = {
    # Parts that nobody signs have one form with us, so that evidence has one encoding.
    "tdx/v4-b0c06f-uptodate#trailing": "TRAILING_BYTES",
    "sgx/tampered/trailing-byte": "TRAILING_BYTES",
    "tdx/tampered/outer-cert-type-5": "CERT_DATA_TYPE",
    "tdx/tampered/chain-junk-between": "PCK_CHAIN_SHAPE",
    "tdx/tampered/chain-leaf-twice": "PCK_CHAIN_SHAPE",
    # The peer takes the root from its own store and does not look at that of the quote.
    "tdx/tampered/chain-without-root": "PCK_CHAIN_SHAPE",
    "tdx/synthetic/root-other-key-same-name": "PCK_CHAIN_ROOT_UNTRUSTED",
    # Fields that the peer does not compare: PCEID, version of the TCB info, name of its signer, second half of REPORTDATA.
    "tdx/synthetic/pceid-mismatch": "FMSPC_MISMATCH",
    "tdx/synthetic/version-4": "TCB_INFO_FORMAT",
    "tdx/synthetic/tcb-signer-named-pck": "TCB_INFO_SIGNER",
    "tdx/synthetic/qe-report-data-upper-half": "QE_REPORT_DATA",
    # Limits: nesting of JSON, 32 as with Intel against 128; start of a revocation list, which the peer does not read.
    "tdx/synthetic/json-nested-100-deep": "TCB_INFO_FORMAT",
    "tdx/synthetic/pck-crl-future": "PCK_CRL_NOT_YET_VALID",
}
"""What the peer accepts and we refuse, with our reason."""


def is_same(ours: Verdict, peer: PeerVerdict) -> bool:
    """Tell whether both refuse, or both accept with the same status and advisories."""
    if ours.status is None or not peer.is_accepted:
        return ours.status is None and not peer.is_accepted
    return (ours.status, ours.advisories) == (STATUS_WORDS[peer.status], peer.advisories)


def test_the_peer_differs_in_the_listed_cases_only_and_never_in_status(
    shared_dir: Path, record_property: pytest.RecordProperty
) -> None:
    stricter: dict[str, str] = {}
    lenient: dict[str, str] = {}
    otherwise: list[str] = []
    agreeing = 0
    for sample in load_samples(shared_dir):
        ours = judge(sample)
        peer = judge_with_peer(sample.quote, sample.files, sample.root, sample.time_s)
        assert is_same(ours, peer) == sample.peer_agrees, f"{sample.name}: not what the index measured"
        if is_same(ours, peer):
            agreeing += 1
        elif ours.status is None:
            lenient[sample.name] = ours.reason
        elif not peer.is_accepted:
            stricter[sample.name] = peer.error.removeprefix("Verification failed: ")
        else:
            otherwise.append(sample.name)
    record_property(
        "figures",
        f"{agreeing} agree, {len(stricter)} we accept and it refuses, {len(lenient)} it accepts and we refuse",
    )
    assert otherwise == []
    assert stricter == STRICTER_PEER
    assert lenient == LENIENT_PEER
    assert agreeing == INTEL_VECTORS - len(STRICTER_PEER) - len(LENIENT_PEER)
