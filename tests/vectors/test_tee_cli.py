"""`bocc tee verify` on every sample of the public set: verdict, status, advisories, flags, and a failing check for each refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from bocc.cli.tee import command
from tee.checks import Family

VECTORS = 327
"""How many the set has."""
RENAMED = {"tdx/tampered/header-tee-type-0": Family.SGX}
"""Samples whose change makes them say that they are of another kind."""
OTHER_REASONS = {"tdx/synthetic/real-tdx-root-with-test-quote": "pck_chain_root_untrusted"}
"""Where the index has a word that is no reason."""
FAMILIES = {
    "sgx": Family.SGX,
    "tdx": Family.TDX,
    "snp": Family.SEV_SNP,
    "nitro": Family.NITRO,
    "nvidia": Family.NVIDIA,
}


class Verdict(NamedTuple):
    """What is compared."""

    is_authentic: bool
    status: str | None = None
    advisories: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


def load_index(shared_dir: Path, tee: str) -> list[dict[str, Any]]:
    vectors = json.loads((shared_dir / "evidence" / "index.json").read_text())["vectors"]
    assert len(vectors) == VECTORS
    return [vector for vector in vectors if vector["tee"] == tee]


def command_line(folder: Path, vector: dict[str, Any], scratch: Path) -> list[str]:
    """Return the arguments that a person would give for this sample."""

    def path(name: str) -> str:
        return str(folder / vector[name])

    arguments = ["verify", path("evidence"), "--at", str(vector["time"])]
    arguments += ["--root", path("root" if "root" in vector else "trusted_root")]
    if "collateral" in vector:
        arguments += ["--collateral", path("collateral")]
    if "vek" in vector:
        for name in ("vek", "intermediate", "ark"):
            arguments += ["--certificate", path(name)]
        if vector["crl"]:
            lists = scratch / vector["id"].replace("/", "-")
            lists.mkdir()
            (lists / "amd_crl.der").write_bytes((folder / vector["crl"]).read_bytes())
            arguments += ["--collateral", str(lists)]
    if "chain" in vector:
        arguments += ["--chain", path("chain"), "--nonce", vector["expected_nonce"]]
    return arguments


def expected_verdict(vector: dict[str, Any]) -> Verdict:
    expect = vector["expect"]
    if not expect["authentic"]:
        return Verdict(False)
    return Verdict(
        True, expect.get("tcb_status"), tuple(sorted(expect.get("advisories", ()))), tuple(sorted(expect["flags"]))
    )


def read_verdict(report: dict[str, Any]) -> Verdict:
    proven = report["proven"]
    if proven is None:
        return Verdict(False)
    tcb = proven["tcb"] or {}
    return Verdict(True, tcb.get("status"), tuple(tcb.get("advisories", ())), tuple(sorted(proven["flags"])))


def describe_order(states: list[str]) -> str:
    """Return what is wrong with the states of the checks: all hold, or all hold up to one that failed."""
    place = states.index("failed") if "failed" in states else len(states)
    is_ordered = set(states[:place]) <= {"ok", "not_given"} and set(states[place + 1 :]) <= {"not_reached"}
    return "" if is_ordered else " ".join(states)


@pytest.mark.slow
@pytest.mark.parametrize("tee", FAMILIES)
def test_every_sample_has_its_verdict_and_every_refusal_its_check_and_reason(
    shared_dir: Path, tmp_path: Path, tee: str
) -> None:
    wrong: dict[str, Any] = {}
    for vector in load_index(shared_dir, tee):
        name, expected = vector["id"], expected_verdict(vector)
        outcome = CliRunner().invoke(command, [*command_line(shared_dir / "evidence", vector, tmp_path), "--json"])
        report = json.loads(outcome.stdout)
        states = [check["state"] for check in report["checks"]]
        refusal = report["refusal"] or {}
        expected_reason = OTHER_REASONS.get(name, vector["expect"].get("reason", "").lower())
        found = (read_verdict(report), outcome.exit_code, report["kind"], refusal.get("reason", ""))
        wanted = (expected, 0 if expected.is_authentic else 1, RENAMED.get(name, FAMILIES[tee]), expected_reason)
        if found != wanted or describe_order(states) or ("failed" in states) == expected.is_authentic:
            wrong[name] = (found, wanted, states)
    assert wrong == {}


@pytest.mark.parametrize("tee", FAMILIES)
def test_every_authentic_sample_is_told_to_people_and_can_be_decoded(
    shared_dir: Path, tmp_path: Path, tee: str
) -> None:
    for vector in load_index(shared_dir, tee):
        if not vector["expect"]["authentic"]:
            continue
        outcome = CliRunner().invoke(command, command_line(shared_dir / "evidence", vector, tmp_path))
        assert outcome.stdout.splitlines()[-1].startswith("AUTHENTIC until "), vector["id"]
        decoded = CliRunner().invoke(command, ["decode", str(shared_dir / "evidence" / vector["evidence"])])
        assert decoded.stdout.startswith("Decoded only: nothing here is verified.\n\nkind "), vector["id"]
        assert (outcome.exit_code, decoded.exit_code) == (0, 0), vector["id"]
