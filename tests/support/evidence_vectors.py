"""Evidence of every family in one form, with its judge: the public vectors, or evidence made by software where these are absent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import msgpack

from tee.amd_collateral import check_amd_crl
from tee.certificates import parse_revocation_list
from tee.collateral import CollateralFiles
from tee.errors import EvidenceRejected
from tee.evidence import EvidenceKind, verify
from tee.nitro import verify_nitro
from tee.nvidia import verify_gpu
from tee.pem import split_pem_chain
from tee.roots import Roots, TrustedRoot
from tee.sev_snp import verify_snp
from tests.support import nitro_pki, nvidia_pki, snp_cases
from tests.support.simulated_judge import roots_of
from tests.support.simulated_world import SGX_WORLD, TDX_15_WORLD, TDX_WORLD, World

Parts = tuple[bytes, ...]
Judge = Callable[[Parts], object]
"""Returns claims, or raises EvidenceRejected."""


class Vector(NamedTuple):
    """One piece of evidence."""

    name: str
    family: str
    origin: str
    """Real, derived, synthetic or simulated."""
    parts: Parts
    """Bytes that a provider sends: a quote; report and VEK; a document; report and chain in DER, leaf first."""
    prepare: Callable[[], Judge]
    """Takes the collateral in, and returns the judge of evidence under it."""
    files: Mapping[str, bytes]
    """Collateral of Intel's."""
    root: bytes
    time_s: int

    def judge(self) -> object:
        """Return the claims, with the collateral taken in just before."""
        return self.prepare()(self.parts)

    def verdict(self) -> bytes:
        """Return the verdict as bytes: the claims, or the whole refusal."""
        try:
            return msgpack.encode(self.judge())
        except EvidenceRejected as rejection:
            return msgpack.encode((rejection.reason, rejection.seen, rejection.bound))


def load_vectors(shared_dir: Path) -> list[Vector]:
    """Return all vectors of the public set, in its order."""
    folder = shared_dir / "evidence"
    return [_load(folder, entry) for entry in json.loads((folder / "index.json").read_text())["vectors"]]


def simulate_vectors() -> list[Vector]:
    """Return good evidence of each family, made by software."""
    worlds = (("tdx-v4", TDX_WORLD), ("tdx-v5", TDX_15_WORLD), ("sgx-v3", SGX_WORLD))
    return [
        *[_simulate_intel(name, world) for name, world in worlds],
        _simulate_snp(),
        _simulate_nitro(),
        _simulate_nvidia(),
    ]


def _load(folder: Path, entry: dict[str, Any]) -> Vector:
    def read(name: str) -> bytes:
        return (folder / entry[name]).read_bytes()

    family, time_s = entry["tee"], entry["time"]
    files: dict[str, bytes] = {}
    match family:
        case "snp":
            parts: Parts = (read("evidence"), read("vek"))
            root = read("trusted_root")
            crl = read("crl") if entry["crl"] else None
            prepare = _prepare_snp(read("intermediate"), read("ark"), root, crl, time_s)
        case "nitro":
            parts, root = (read("evidence"),), read("trusted_root")
            prepare = _prepare_nitro(root, time_s)
        case "nvidia":
            pem, root = read("chain"), read("trusted_root")
            parts = (read("evidence"), *split_pem_chain(pem, pem.count(b"-----BEGIN")))
            prepare = _prepare_nvidia(root, bytes.fromhex(entry["expected_nonce"]), time_s)
        case _:
            parts, root = (read("evidence"),), read("root")
            files = {path.name: path.read_bytes() for path in sorted((folder / entry["collateral"]).iterdir())}
            roots = Roots(intel=(TrustedRoot(der=root, is_simulated=False),))
            prepare = _prepare_intel(EvidenceKind[family.upper()], files, roots, time_s)
    return Vector(entry["id"], family, entry["kind"], parts, prepare, files, root, time_s)


def _prepare_intel(kind: EvidenceKind, files: Mapping[str, bytes], roots: Roots, time_s: int) -> Callable[[], Judge]:
    def prepare() -> Judge:
        collateral = CollateralFiles.load(files, roots, time_s)
        return lambda parts: verify(kind, parts[0], collateral, roots, time_s)

    return prepare


def _prepare_snp(ask: bytes, ark: bytes, root: bytes, crl: bytes | None, time_s: int) -> Callable[[], Judge]:
    trusted = (TrustedRoot(der=root, is_simulated=False),)

    def prepare() -> Judge:
        stored = None if crl is None else check_amd_crl(crl, (ark,), parse_revocation_list(crl).this_update_s)
        return lambda parts: verify_snp(parts[0], parts[1], ask, ark, trusted, stored, time_s)

    return prepare


def _prepare_nitro(root: bytes, time_s: int) -> Callable[[], Judge]:
    roots = Roots(aws=(TrustedRoot(der=root, is_simulated=False),))
    return lambda: lambda parts: verify_nitro(parts[0], roots, time_s)


def _prepare_nvidia(root: bytes, nonce: bytes, time_s: int) -> Callable[[], Judge]:
    roots = Roots(nvidia=(TrustedRoot(der=root, is_simulated=False),))
    return lambda: lambda parts: verify_gpu(parts[0], parts[1:], nonce, roots, time_s)


def _simulate_intel(name: str, world: World) -> Vector:
    kind = EvidenceKind.SGX if world is SGX_WORLD else EvidenceKind.TDX
    root, files = world.vendor().root, world.files()
    prepare = _prepare_intel(kind, files, roots_of(root), world.time_s)
    return Vector(name, kind.name.lower(), "simulated", (world.quote(),), prepare, files, root, world.time_s)


def _simulate_snp() -> Vector:
    made = snp_cases.GENOA.encode()
    prepare = _prepare_snp(made.ask, made.ark, made.ark, made.crl, made.time_s)
    return Vector("snp-genoa", "snp", "simulated", (made.report, made.vek), prepare, {}, made.ark, made.time_s)


def _simulate_nitro() -> Vector:
    world = nitro_pki.World()
    root = nitro_pki.make_roots(world).aws[0].der
    prepare = _prepare_nitro(root, nitro_pki.TIME_S)
    return Vector("nitro", "nitro", "simulated", (world.encode(),), prepare, {}, root, nitro_pki.TIME_S)


def _simulate_nvidia() -> Vector:
    report = nvidia_pki.Report()
    root = nvidia_pki.make_roots(report).nvidia[0].der
    parts = (report.encode(), *report.encode_chain())
    prepare = _prepare_nvidia(root, nvidia_pki.NONCE, nvidia_pki.TIME_S)
    return Vector("nvidia-hopper", "nvidia", "simulated", parts, prepare, {}, root, nvidia_pki.TIME_S)
