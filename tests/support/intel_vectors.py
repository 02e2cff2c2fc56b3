"""The public vectors of SGX and TDX: their files, what they expect, and our verdict on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from tee.claims import SgxClaims, TcbStatus, TdxClaims, Verified
from tee.collateral import CollateralFiles
from tee.errors import EvidenceRejected
from tee.evidence import EvidenceKind, verify
from tee.roots import Roots, TrustedRoot

INTEL_VECTORS = 176
"""How many the set has."""
REAL_TDX = "tdx/v4-b0c06f-uptodate#0"
REAL_TDX_1_5 = "tdx/v5-90c06f-mrservicetd#0"
REAL_SGX = "sgx/v3-00606a-swh#0"

STATUS_WORDS = {
    "": None,
    "UpToDate": TcbStatus.UP_TO_DATE,
    "SWHardeningNeeded": TcbStatus.SW_HARDENING_NEEDED,
    "ConfigurationNeeded": TcbStatus.CONFIGURATION_NEEDED,
    "ConfigurationAndSWHardeningNeeded": TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
    "TDRelaunchAdvised": TcbStatus.TD_RELAUNCH_ADVISED,
    "TDRelaunchAdvisedConfigurationNeeded": TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED,
    "OutOfDate": TcbStatus.OUT_OF_DATE,
    "OutOfDateConfigurationNeeded": TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
    "Revoked": TcbStatus.REVOKED,
}


class Verdict(NamedTuple):
    """A status with advisories and flags, or a reason."""

    status: TcbStatus | None = None
    advisories: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    reason: str = ""


class Sample(NamedTuple):
    """A vector with its files."""

    name: str
    origin: str
    """Real, derived or synthetic."""
    kind: EvidenceKind
    quote: bytes
    files: dict[str, bytes]
    root: bytes
    time_s: int
    expected: Verdict
    note: str
    facts: dict
    peer_agrees: bool
    """Whether dcap-qvl was measured to accept what is expected to be accepted, and nothing else."""

    @property
    def roots(self) -> Roots:
        return Roots(intel=(TrustedRoot(der=self.root, is_simulated=False),))


def load_samples(shared_dir: Path) -> list[Sample]:
    folder = shared_dir / "evidence"
    vectors = json.loads((folder / "index.json").read_text())["vectors"]
    return [_load(folder, vector) for vector in vectors if vector["tee"] in {"sgx", "tdx"}]


def find_sample(shared_dir: Path, name: str) -> Sample:
    return next(sample for sample in load_samples(shared_dir) if sample.name == name)


def _load(folder: Path, vector: dict) -> Sample:
    expect = vector["expect"]
    expected = (
        Verdict(STATUS_WORDS[expect["tcb_status"]], tuple(sorted(expect["advisories"])), tuple(expect["flags"]))
        if expect["authentic"]
        else Verdict(reason=expect["reason"])
    )
    return Sample(
        name=vector["id"],
        origin=vector["kind"],
        kind=EvidenceKind[vector["tee"].upper()],
        quote=(folder / vector["evidence"]).read_bytes(),
        files={path.name: path.read_bytes() for path in sorted((folder / vector["collateral"]).iterdir())},
        root=(folder / vector["root"]).read_bytes(),
        time_s=vector["time"],
        expected=expected,
        note=expect.get("note", ""),
        facts=vector.get("facts", {}),
        peer_agrees=vector["dcap_qvl_agrees"],
    )


def load_collateral(sample: Sample) -> CollateralFiles:
    return CollateralFiles.load(sample.files, sample.roots, sample.time_s)


def verify_sample(sample: Sample) -> Verified:
    """Take the collateral in, in the second in which the quote is judged, and judge it."""
    return verify(sample.kind, sample.quote, load_collateral(sample), sample.roots, sample.time_s)


def judge(sample: Sample) -> Verdict:
    try:
        verified = verify_sample(sample)
    except EvidenceRejected as rejection:
        return Verdict(reason=rejection.reason.name)
    claims = verified.claims
    assert isinstance(claims, SgxClaims | TdxClaims)
    return Verdict(claims.tcb.status, claims.tcb.advisories, tuple(flag.value for flag in claims.flags))
