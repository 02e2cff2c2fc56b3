"""Real, altered and self-made SEV-SNP evidence of the public set: verdict, flags and reason of every vector.

Where a note of the index allows another reason too, ours is still the one that it lists first, so there is no table of exceptions.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from tee.amd_collateral import check_amd_crl
from tee.certificates import parse_revocation_list
from tee.claims import Flag, SnpClaims
from tee.documents import RevokedSerials
from tee.errors import EvidenceRejected
from tee.roots import VENDOR_ROOTS, TrustedRoot
from tee.sev_snp import verify_sev_snp, verify_snp

VECTORS = 65
"""How many the set has."""
REAL_REPORTS = ("v2-milan", "v2-milan-debug", "v5-milan-gcp-with-crl", "v3-milan-vlek-aws", "v5-genoa", "v5-turin")
SIGNED_BYTES = 0x2A0


class Sample(NamedTuple):
    """A vector's files."""

    report: bytes
    vek: bytes
    ask: bytes
    ark: bytes
    trusted: bytes
    crl: bytes | None
    time_s: int


class Verdict(NamedTuple):
    """What a verifier says: no reason means authentic."""

    reason: str
    flags: tuple[str, ...]


def load_index(shared_dir: Path) -> list[dict]:
    index = json.loads((shared_dir / "evidence" / "index.json").read_text())
    return [vector for vector in index["vectors"] if vector["tee"] == "snp"]


def load_sample(shared_dir: Path, vector: dict) -> Sample:
    def read(name: str) -> bytes:
        return (shared_dir / "evidence" / vector[name]).read_bytes()

    return Sample(
        report=read("evidence"),
        vek=read("vek"),
        ask=read("intermediate"),
        ark=read("ark"),
        trusted=read("trusted_root"),
        crl=read("crl") if vector["crl"] else None,
        time_s=vector["time"],
    )


def verify(sample: Sample, crl_time_s: int | None = None) -> SnpClaims:
    """Take in the list, in its first second if none is named, and verify the report."""
    crl = None
    if sample.crl is not None:
        if crl_time_s is None:
            crl_time_s = parse_revocation_list(sample.crl).this_update_s
        crl = check_amd_crl(sample.crl, (sample.ark,), crl_time_s)
    trusted = (TrustedRoot(der=sample.trusted, is_simulated=False),)
    claims = verify_snp(sample.report, sample.vek, sample.ask, sample.ark, trusted, crl, sample.time_s).claims
    assert isinstance(claims, SnpClaims)
    return claims


def judge(sample: Sample, crl_time_s: int | None = None) -> Verdict:
    try:
        claims = verify(sample, crl_time_s)
    except EvidenceRejected as rejection:
        return Verdict(rejection.reason.name, ())
    return Verdict("", tuple(f"VMPL_{claims.vmpl}" if flag is Flag.VMPL else flag.value for flag in claims.flags))


def expected_verdict(vector: dict) -> Verdict:
    expect = vector["expect"]
    return Verdict("" if expect["authentic"] else expect["reason"], tuple(expect["flags"]))


def tabulate(rows: Iterable[tuple[str, Verdict, Verdict]]) -> str:
    return "\n".join(
        f"{'agrees' if seen == expected else 'DIFFERS':8}{name:46}{seen.reason or 'authentic'} {' '.join(seen.flags)}"
        + ("" if seen == expected else f" where {expected} was expected")
        for name, seen, expected in rows
    )


def test_every_vector_has_its_verdict_flags_and_reason(
    shared_dir: Path, record_property: pytest.RecordProperty
) -> None:
    vectors = load_index(shared_dir)
    rows = [(vector["id"], judge(load_sample(shared_dir, vector)), expected_verdict(vector)) for vector in vectors]
    print(tabulate(rows))
    agreeing = sum(seen == expected for _, seen, expected in rows)
    record_property("figures", f"{agreeing} of {len(rows)} vectors agree in verdict, flags and reason")
    assert len(rows) == VECTORS
    assert [(name, seen) for name, seen, _ in rows] == [(name, expected) for name, _, expected in rows]


def test_lists_are_refused_at_intake_as_they_are_at_use(shared_dir: Path) -> None:
    for vector in load_index(shared_dir):
        sample = load_sample(shared_dir, vector)
        if sample.crl is not None:
            assert judge(sample, crl_time_s=sample.time_s) == expected_verdict(vector), vector["id"]


def test_claims_equal_the_facts_that_the_index_measured(shared_dir: Path) -> None:
    compared = 0
    for vector in load_index(shared_dir):
        measured = vector["measured"]["independent"]
        if vector["expect"]["authentic"] and "measurement" in measured:
            claims = verify(load_sample(shared_dir, vector))
            names = {"bl": "boot_loader", "tee": "tee", "snp": "snp", "uc": "microcode", "fmc": "fmc"}
            assert claims.product.name.lower() == measured["product"]
            assert claims.report_version == measured["report_version"]
            assert claims.is_vlek == (measured["signing_key"] == "VLEK")
            assert claims.measurement.hex() == measured["measurement"]
            assert claims.current_mitigations == measured["mit_vector"]
            for name, svn in measured["reported_tcb"].items():
                assert getattr(claims.reported, names[name]) == svn
            compared += 1
    assert compared >= len(REAL_REPORTS)


def find_real(shared_dir: Path, name: str) -> Sample:
    return next(load_sample(shared_dir, each) for each in load_index(shared_dir) if each["id"] == f"snp/{name}")


class NoLists:
    """A chain that stores no revocation list."""

    def amd_crl(self, root: bytes, /) -> RevokedSerials | None:
        return None


@pytest.mark.parametrize("name", REAL_REPORTS)
def test_real_reports_verify_under_our_own_roots(shared_dir: Path, name: str) -> None:
    sample = find_real(shared_dir, name)
    answer = verify_sev_snp(sample.report + sample.vek, NoLists(), VENDOR_ROOTS, sample.time_s)
    assert not answer.is_simulated
    assert answer.claims == verify(sample._replace(crl=None))
    assert answer.valid_from_s <= sample.time_s <= answer.valid_until_s


def run_openssl(*arguments: str | Path) -> str:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("there is no openssl command here to compare with")
    done = subprocess.run([program, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=30)
    return (done.stdout + done.stderr).strip()


@pytest.mark.parametrize("name", REAL_REPORTS)
def test_openssl_finds_the_same_chains_and_signatures_good(shared_dir: Path, tmp_path: Path, name: str) -> None:
    sample = find_real(shared_dir, name)
    assert judge(sample).reason == ""
    for part in ("vek", "ask", "ark"):
        (tmp_path / part).write_bytes(getattr(sample, part))
        run_openssl("x509", "-inform", "der", "-in", tmp_path / part, "-out", tmp_path / f"{part}.pem")
    chain = ("-CAfile", tmp_path / "ark.pem", "-untrusted", tmp_path / "ask.pem", tmp_path / "vek.pem")
    assert run_openssl("verify", "-attime", str(sample.time_s), *chain).endswith(": OK")
    key = run_openssl("x509", "-in", tmp_path / "vek.pem", "-noout", "-pubkey")
    (tmp_path / "key.pem").write_text(key + "\n")
    check = ("dgst", "-sha384", "-verify", tmp_path / "key.pem", "-signature", tmp_path / "signature")
    (tmp_path / "signature").write_bytes(encode_signature(sample.report))
    (tmp_path / "signed").write_bytes(sample.report[:SIGNED_BYTES])
    assert run_openssl(*check, tmp_path / "signed") == "Verified OK"
    (tmp_path / "signed").write_bytes(sample.report[: SIGNED_BYTES - 1] + b"\x01")
    assert run_openssl(*check, tmp_path / "signed").startswith("Verification failure")


def encode_signature(report: bytes) -> bytes:
    """Return r and s of a report in the form that openssl reads."""
    numbers = b""
    for place in (0x2A0, 0x2E8):
        octets = int.from_bytes(report[place : place + 72], "little")
        content = octets.to_bytes(octets.bit_length() // 8 + 1, "big")
        numbers += bytes((2, len(content))) + content
    return bytes((0x30, len(numbers))) + numbers
