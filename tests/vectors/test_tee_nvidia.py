"""Reports of NVIDIA devices, and altered ones: verdict and reason as the index of the vectors says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tee.claims import GpuClaims
from tee.errors import EvidenceRejected
from tee.nvidia import verify_gpu
from tee.pem import split_pem_chain
from tee.roots import VENDOR_ROOTS, Roots, TrustedRoot


def read_vectors(shared_dir: Path) -> list[dict[str, Any]]:
    index = json.loads((shared_dir / "evidence" / "index.json").read_text())
    return [vector for vector in index["vectors"] if vector["tee"] == "nvidia"]


def verify(folder: Path, vector: dict[str, Any]) -> GpuClaims:
    root = TrustedRoot(der=(folder / vector["trusted_root"]).read_bytes(), is_simulated=False)
    assert root in VENDOR_ROOTS.nvidia
    pem = (folder / vector["chain"]).read_bytes()
    chain = tuple(split_pem_chain(pem, pem.count(b"-----BEGIN")))
    report = (folder / vector["evidence"]).read_bytes()
    return verify_gpu(report, chain, bytes.fromhex(vector["expected_nonce"]), Roots(nvidia=(root,)), vector["time"])


def test_every_vector_has_its_verdict_and_reason(shared_dir: Path) -> None:
    """No vector needs one of the alternatives that its note allows. Reports have no flags."""
    differing = []
    vectors = read_vectors(shared_dir)
    for vector in vectors:
        try:
            verify(shared_dir / "evidence", vector)
            seen = "authentic"
        except EvidenceRejected as refusal:
            seen = refusal.reason.name
        expected = vector["expect"].get("reason", "authentic")
        assert vector["expect"]["flags"] == []
        assert vector["expect"]["authentic"] == (expected == "authentic")
        if seen != expected:
            differing.append((vector["id"], seen, expected))
        print(f"{vector['id']:45} {seen:20} {'agrees' if seen == expected else expected}")
    assert differing == []
    assert len(vectors) == 21


def test_claims_are_those_of_the_index(shared_dir: Path) -> None:
    compared = 0
    for vector in read_vectors(shared_dir):
        measured = vector["measured"]["independent"]
        if not measured["ok"]:
            continue
        claims = verify(shared_dir / "evidence", vector)
        assert claims.device_key.hex() == measured["device_key_sha256"]
        assert claims.driver_version == (measured["driver"] or "")
        assert claims.chip == measured["leaf"].removesuffix("FMC LF") + "BROM"
        assert bool(claims.firmware_id) == measured["fwid_in_report"]
        compared += 1
    assert compared == 4


def test_versions_are_printed_as_the_vendor_prints_them(shared_dir: Path) -> None:
    versions = {
        vector["id"]: (claims.driver_version, claims.vbios_version)
        for vector in read_vectors(shared_dir)
        if vector["kind"] == "real" and vector["expect"]["authentic"]
        for claims in [verify(shared_dir / "evidence", vector)]
    }
    assert versions == {
        "nvidia/hopper-driver-550": ("550.90.07", "96.00.9F.00.01"),
        "nvidia/hopper-driver-580": ("580.159.03", "96.00.74.00.20"),
        "nvidia/switch-ls10": ("", "96.10.55.00.01"),
    }
