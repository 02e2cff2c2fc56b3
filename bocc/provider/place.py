"""What a software provider keeps in its home: the secret of its enclave, the names of what it published, outputs of orders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from state.address import AddressKind, format_address, parse_address
from state.attestation import enclave_address
from state.durable import replace_file
from state.keyfile import KeyKind, describe_key, load_key, save_key

SIMULATED: Final = "SIMULATED"
"""The word that every output about the software TEE bears."""
ENCLAVE_KEY_NAME: Final = "enclave.json"
PUBLISHED_NAME: Final = "published.json"
WORK_NAME: Final = "work"
OUTPUTS_NAME: Final = "outputs"
OUTPUTS_MAX: Final = 1_000
"""Outputs kept for customers to fetch; the oldest go first."""
ORDER_PREFIX: Final = "boccord"
_SEED_BYTES: Final = 32


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """Resources of this provider on one chain."""

    chain_id: str
    hardware: str
    image: str


def provider_home(home: Path, machine: str) -> Path:
    """Return the folder of a software provider in a home; that of the local network's own has just its name."""
    return home / (machine if machine == "provider" else f"provider-{machine}")


def open_secret(home: Path) -> bytes:
    """Return the 32 secret bytes of the enclave, drawn at the first call. They stand in clear: nothing real depends on them."""
    path = home / ENCLAVE_KEY_NAME
    if not path.exists():
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        save_key(path, os.urandom(_SEED_BYTES), KeyKind.PROVIDER, password=None)
    return load_key(path).seed


def enclave_of(home: Path) -> str | None:
    """Return the address of the enclave, or None before it has a secret."""
    path = home / ENCLAVE_KEY_NAME
    if not path.exists():
        return None
    return format_address(enclave_address(describe_key(path).public_key))


def load_published(home: Path, chain_id: bytes) -> Published | None:
    """Return what was published on this chain, or None if nothing was."""
    path = home / PUBLISHED_NAME
    if not path.exists():
        return None
    published = msgspec.json.decode(path.read_bytes(), type=Published)
    return published if published.chain_id == chain_id.hex() else None


def save_published(home: Path, published: Published) -> None:
    """Keep what was published, in one step."""
    replace_file(home / PUBLISHED_NAME, [msgspec.json.encode(published)])


class Workshop:
    """Where a provider works: a file for each order that it holds something of, and the sealed outputs of others."""

    def __init__(self, home: Path) -> None:
        self._work = home / WORK_NAME
        self._outputs = home / OUTPUTS_NAME

    def hold(self, order: bytes) -> None:
        """Note that something of an order is here, so that its erasure is told even after a crash."""
        self._work.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._work / format_address(order)).touch(mode=0o600)

    def held(self) -> list[bytes]:
        """Return the orders of which something is here."""
        if not self._work.is_dir():
            return []
        names = [path.name for path in self._work.iterdir() if path.name.startswith(f"{ORDER_PREFIX}1")]
        return sorted(parse_address(name, ORDER_PREFIX, AddressKind.ORDER) for name in names)

    def erase(self, order: bytes) -> None:
        """Erase whatever is here of an order, but its sealed output."""
        (self._work / format_address(order)).unlink(missing_ok=True)

    def save_output(self, order: bytes, sealed: bytes) -> str:
        """Keep a sealed output and return where it is."""
        self._outputs.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._outputs / f"{format_address(order)}.sealed"
        replace_file(path, [sealed])
        others = sorted(self._outputs.iterdir(), key=lambda other: other.stat().st_mtime_ns)
        for old in others[:-OUTPUTS_MAX]:
            old.unlink(missing_ok=True)
        return path.resolve().as_uri()
