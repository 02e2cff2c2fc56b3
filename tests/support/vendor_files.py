"""Genuine certificates and lists among the public evidence."""

from __future__ import annotations

from pathlib import Path

from tee.pem import split_pem_chain

REAL_QUOTE = "tdx/v4-b0c06f-uptodate/quote.bin"
REAL_VCEK = "snp/v5-genoa/vcek.der"
REAL_COLLATERAL = "tdx/collateral/b0c06f-2025-06"


def read_evidence(shared_dir: Path, path: str) -> bytes:
    return (shared_dir / "evidence" / path).read_bytes()


def read_pck_chain(shared_dir: Path) -> list[bytes]:
    """Return leaf, intermediate and root of a genuine quote."""
    quote = read_evidence(shared_dir, REAL_QUOTE)
    return split_pem_chain(quote[quote.index(b"-----BEGIN") :], 3)


def find_roots(shared_dir: Path) -> dict[str, bytes]:
    """Return the vendors' authorities by file name."""
    return {path.stem: path.read_bytes() for path in sorted((shared_dir / "evidence" / "roots").glob("*.der"))}
