"""Nitro documents of AWS, altered ones and made-up ones: verdict, flags and reason as the index of the vectors says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tee.errors import EvidenceRejected
from tee.nitro import verify_nitro
from tee.roots import VENDOR_ROOTS, Roots, TrustedRoot

AWS_ROOT = "roots/aws-nitro-root-g1.der"


def read_vectors(shared_dir: Path) -> list[dict[str, Any]]:
    index = json.loads((shared_dir / "evidence" / "index.json").read_text())
    return [vector for vector in index["vectors"] if vector["tee"] == "nitro"]


def judge(folder: Path, vector: dict[str, Any]) -> dict[str, Any]:
    """Return the verdict in the words of the index."""
    root = TrustedRoot(der=(folder / vector["trusted_root"]).read_bytes(), is_simulated=False)
    document = (folder / vector["evidence"]).read_bytes()
    try:
        verified = verify_nitro(document, Roots(aws=(root,)), vector["time"])
    except EvidenceRejected as refusal:
        return {"authentic": False, "flags": [], "reason": refusal.reason.name}
    return {"authentic": True, "flags": [flag.value for flag in verified.claims.flags]}


def test_every_vector_has_its_verdict_flags_and_reason(shared_dir: Path) -> None:
    """No vector needs one of the alternatives that its note allows."""
    differing = []
    vectors = read_vectors(shared_dir)
    for vector in vectors:
        expected = {
            key: vector["expect"].get(key) for key in ("authentic", "flags", "reason") if key in vector["expect"]
        }
        seen = judge(shared_dir / "evidence", vector)
        if seen != expected:
            differing.append((vector["id"], seen, expected))
        said = seen.get("reason", "authentic " + " ".join(seen["flags"]))
        print(f"{vector['id']:55} {said:20} {'agrees' if seen == expected else expected}")
    assert differing == []
    assert len(vectors) == 65


def test_claims_are_those_of_the_index(shared_dir: Path) -> None:
    folder = shared_dir / "evidence"
    compared = 0
    for vector in read_vectors(shared_dir):
        measured = vector["measured"]["independent"]
        if not measured["ok"]:
            continue
        root = TrustedRoot(der=(folder / vector["trusted_root"]).read_bytes(), is_simulated=False)
        claims = verify_nitro((folder / vector["evidence"]).read_bytes(), Roots(aws=(root,)), vector["time"]).claims
        registers = dict(claims.pcrs)
        seen = {
            "module_id": claims.module_id,
            "timestamp_ms": claims.timestamp_ms,
            "pcr0": registers[0].hex(),
            "pcr_indices": [index for index, register in registers.items() if any(register)],
            **{name: len(getattr(claims, name)) or None for name in ("public_key", "user_data", "nonce")},
        }
        assert seen == {name: measured[name] for name in seen}, vector["id"]
        compared += 1
    assert compared == 13


def test_vendor_roots_take_what_the_root_of_aws_signed(shared_dir: Path) -> None:
    folder = shared_dir / "evidence"
    vectors = [vector for vector in read_vectors(shared_dir) if vector["trusted_root"] == AWS_ROOT]
    for vector in vectors:
        document = (folder / vector["evidence"]).read_bytes()
        if vector["expect"]["authentic"]:
            assert not verify_nitro(document, VENDOR_ROOTS, vector["time"]).is_simulated
        else:
            with pytest.raises(EvidenceRejected):
                verify_nitro(document, VENDOR_ROOTS, vector["time"])
    assert vectors
