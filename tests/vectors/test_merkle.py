"""RFC 6962 trees: roots, proofs and verdicts of the public vectors of Certificate Transparency.

The vectors are over a tree of eight leaves and its prefixes. They give leaf hashes where `verify_inclusion` takes leaves, so
the leaves are found by their hash; a hash of none of them stands for a wrong leaf. Left out are the four cases of
`single-entry`, whose leaf hashes are made up and have no leaf.
"""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from pathlib import Path

import pytest

from state import merkle

LEAVES = [bytes.fromhex(leaf) for leaf in ("", "00", "10", "2021", "3031", "40414243")] + [
    bytes.fromhex("5051525354555657"),
    bytes.fromhex("606162636465666768696a6b6c6d6e6f"),
]
LEAF_OF_HASH = {sha256(b"\0" + leaf).digest(): leaf for leaf in LEAVES}


def digest(text: str | None) -> bytes:
    return base64.b64decode(text or "")


@pytest.fixture(scope="module")
def cases(shared_dir: Path) -> dict[str, dict]:
    every = json.loads((shared_dir / "vectors/rfc6962-merkle/inclusion.json").read_text())
    return {name: case for name, case in every.items() if not name.startswith("inclusion/single-entry/")}


def test_every_proof_gets_its_verdict(cases: dict[str, dict]) -> None:
    wanted = {name: not case["wantErr"] for name, case in cases.items()}
    found = {}
    for name, case in cases.items():
        leaf_hash = digest(case["leafHash"])
        leaf = LEAF_OF_HASH.get(leaf_hash, leaf_hash)
        proof = [digest(sibling) for sibling in case["proof"] or []]
        found[name] = merkle.verify_inclusion(digest(case["root"]), leaf, case["leafIdx"], case["treeSize"], proof)
    assert len(cases) == 94
    assert {True, False} == set(wanted.values())
    assert found == wanted


def test_roots_and_proofs_of_good_cases_are_built_to_the_byte(cases: dict[str, dict]) -> None:
    good = [case for case in cases.values() if not case["wantErr"]]
    for case in good:
        leaves = LEAVES[: case["treeSize"]]
        assert merkle.root(leaves) == digest(case["root"])
        assert list(merkle.inclusion_proof(leaves, case["leafIdx"])) == [digest(text) for text in case["proof"] or []]
    assert {case["treeSize"] for case in good} >= {1, 5, 8}


def test_root_of_a_prefix_is_that_of_the_consistency_vectors(shared_dir: Path) -> None:
    cases = json.loads((shared_dir / "vectors/rfc6962-merkle/consistency.json").read_text())
    roots = {
        (case[f"size{side}"], digest(case[f"root{side}"]))
        for case in cases.values()
        if not case["wantErr"]
        for side in (1, 2)
        if case["size1"] < case["size2"]  # of equal sizes some cases compare two texts that are no digests
    }
    assert len(roots) >= 4
    assert roots == {(size, merkle.root(LEAVES[:size])) for size, _ in roots}


def test_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert merkle.root([]) == sha256(b"").digest()
