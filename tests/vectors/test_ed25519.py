"""Ed25519: the verdict of the one verifier of the chain on every public edge case, pinned.

Libraries disagree on these signatures. A chain whose nodes disagree splits, so a change of any verdict, by a new libsodium
or another binding, must fail here and is a change of protocol.
"""

from __future__ import annotations

import json
from pathlib import Path

from state.crypto import verify

SPECCHECK_ACCEPTED = {3}
"""Case 3 has mixed-order points and verifies without cofactor; the other eleven are refused."""


def test_speccheck_verdicts_are_those_of_libsodium(shared_dir: Path) -> None:
    cases = json.loads((shared_dir / "vectors/ed25519-speccheck/cases.json").read_text())
    accepted = {
        number
        for number, case in enumerate(cases)
        if verify(*(bytes.fromhex(case[part]) for part in ("pub_key", "signature", "message")))
    }
    assert len(cases) == 12
    assert accepted == SPECCHECK_ACCEPTED


def test_no_low_order_or_non_canonical_point_is_accepted(shared_dir: Path) -> None:
    vectors = json.loads((shared_dir / "vectors/ed25519-zip215/cases.json").read_text())
    message = vectors["message_utf8"].encode()
    accepted = [
        case
        for case in vectors["cases"]
        if verify(bytes.fromhex(case["pub_key"]), bytes.fromhex(case["signature"]), message)
    ]
    assert len(vectors["cases"]) == 196
    assert accepted == []


def test_wycheproof_verdicts_hold_for_signatures_of_every_length(shared_dir: Path) -> None:
    vectors = json.loads((shared_dir / "vectors/wycheproof/ed25519_test.json").read_text())
    wanted, found = {}, {}
    for group in vectors["testGroups"]:
        public_key = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            wanted[case["tcId"]] = case["result"] == "valid"
            found[case["tcId"]] = verify(public_key, bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]))
    assert len(wanted) == vectors["numberOfTests"] == 151
    assert found == wanted


def test_key_of_wrong_length_verifies_nothing(shared_dir: Path) -> None:
    vectors = json.loads((shared_dir / "vectors/wycheproof/ed25519_test.json").read_text())
    group = vectors["testGroups"][0]
    case = next(case for case in group["tests"] if case["result"] == "valid")
    public_key, signature, message = (
        bytes.fromhex(text) for text in (group["publicKey"]["pk"], case["sig"], case["msg"])
    )
    assert verify(public_key, signature, message)
    assert not any(verify(key, signature, message) for key in (b"", public_key[:-1], public_key + b"\0"))
