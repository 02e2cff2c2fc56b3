"""Keys of people and nodes: mnemonic (BIP-39), derivation (SLIP-10 for Ed25519) and the keyring of a home directory.

Derivation paths are `m/44'/9797'/KIND'/INDEX'`, all hardened: account 0', validator 1', node 2', provider 3', operator 4'. A
keyring is the folder `keys/` of a home with one key file (state/keyfile.py) per name. Interfaces spec 1.5.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from mnemonic import Mnemonic

from state.crypto import SigningKey
from state.errors import Rejected
from state.keyfile import KdfStrength, KeyDescription, KeyFile, KeyKind, describe_key, load_key, save_key

DEVELOPMENT_MNEMONIC: Final = "test test test test test test test test test test test junk"
"""Public on purpose: the keys of every development chain. A chain that is not marked development refuses them."""
COIN_TYPE: Final = 9797
MNEMONIC_BITS: Final = 256
"""24 words."""
HARDENED: Final = 1 << 31
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_KIND_INDEX: Final = {
    KeyKind.ACCOUNT: 0,
    KeyKind.VALIDATOR: 1,
    KeyKind.NODE: 2,
    KeyKind.PROVIDER: 3,
    KeyKind.OPERATOR: 4,
}


class WalletReason(StrEnum):
    """Why a wallet refuses."""

    BAD_MNEMONIC = "bad_mnemonic"
    """A word is not in the list, the count is wrong, or the checksum does not fit: look for a typing error."""
    BAD_PATH = "bad_path"
    """Not a path of hardened steps such as m/44'/9797'/0'/0'."""
    BAD_NAME = "bad_name"
    """Key names are lower-case letters, digits, - and _, at most 32 characters."""


class WalletRejected(Rejected):
    """A mnemonic, path or name that cannot be used."""


@dataclass(frozen=True, slots=True)
class ExtendedKey:
    """A node of the SLIP-10 tree: a private key, which is an Ed25519 seed, and its chain code."""

    seed: bytes = field(repr=False)
    chain_code: bytes = field(repr=False)

    def child(self, index: int) -> ExtendedKey:
        """Return the hardened child with this index, 0 .. 2^31-1."""
        assert 0 <= index < HARDENED
        digest = hmac.digest(self.chain_code, b"\0" + self.seed + (index | HARDENED).to_bytes(4, "big"), "sha512")
        return ExtendedKey(digest[:32], digest[32:])


def master_key(seed: bytes) -> ExtendedKey:
    """Return the root of the tree of a BIP-39 seed.

    Source: SLIP-0010, master key generation for the curve ed25519.
    """
    digest = hmac.digest(b"ed25519 seed", seed, "sha512")
    return ExtendedKey(digest[:32], digest[32:])


def derive(seed: bytes, path: str) -> bytes:
    """Return the 32-byte Ed25519 seed at a path such as m/44'/9797'/0'/0' below a BIP-39 seed.

    Raises:
        WalletRejected: BAD_PATH.
    """
    key = master_key(seed)
    for index in _parse_path(path):
        key = key.child(index)
    return key.seed


def derivation_path(kind: KeyKind, index: int = 0) -> str:
    """Return the default path of the index-th key of a kind."""
    return f"m/44'/{COIN_TYPE}'/{_KIND_INDEX[kind]}'/{index}'"


def new_mnemonic() -> str:
    """Return 24 random words."""
    return str(Mnemonic("english").generate(MNEMONIC_BITS))


def mnemonic_seed(words: str, passphrase: str = "") -> bytes:
    """Return the 64-byte seed of a mnemonic; letter case and spaces between words do not matter.

    Raises:
        WalletRejected: BAD_MNEMONIC. The words are not repeated in it.
    """
    normalised = " ".join(words.lower().split())
    if not Mnemonic("english").check(normalised):
        raise WalletRejected(WalletReason.BAD_MNEMONIC, f"{len(normalised.split())} words")
    return bytes(Mnemonic.to_seed(normalised, passphrase))


def development_key(kind: KeyKind, index: int) -> SigningKey:
    """Return the public, well-known key of development chains."""
    return SigningKey(development_seed(kind, index))


def development_seed(kind: KeyKind, index: int) -> bytes:
    """Return the seed of the well-known development key, 32 bytes."""
    return derive(mnemonic_seed(DEVELOPMENT_MNEMONIC), derivation_path(kind, index))


class Keyring:
    """The named keys of one home directory."""

    def __init__(self, home: Path) -> None:
        self.directory = home / "keys"

    def path(self, name: str) -> Path:
        """Return where the key file of a name is or would be.

        Raises:
            WalletRejected: BAD_NAME.
        """
        if not _NAME.fullmatch(name):
            raise WalletRejected(WalletReason.BAD_NAME, name, "a-z, 0-9, - and _, at most 32")
        return self.directory / f"{name}.json"

    def names(self) -> list[str]:
        """Return the names of all keys, sorted."""
        return sorted(path.stem for path in self.directory.glob("*.json") if _NAME.fullmatch(path.stem))

    def add(
        self,
        name: str,
        seed: bytes,
        kind: KeyKind,
        password: bytes | None,
        kdf: KdfStrength = KdfStrength.MODERATE,
        path: str | None = None,
    ) -> KeyDescription:
        """Store a key under a new name; without password it stands in clear, which development chains alone accept.

        Raises:
            WalletRejected: BAD_NAME.
            KeyFileRejected: EXISTS.
        """
        key_path = self.path(name)
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return save_key(key_path, seed, kind, password, kdf, path)

    def describe(self, name: str) -> KeyDescription:
        """Return what is known of a key without its password.

        Raises:
            WalletRejected: BAD_NAME.
            KeyFileRejected: every reason of `describe_key`.
        """
        return describe_key(self.path(name))

    def load(self, name: str, password: bytes | None = None) -> KeyFile:
        """Return a key with its seed.

        Raises:
            WalletRejected: BAD_NAME.
            KeyFileRejected: every reason of `load_key`.
        """
        return load_key(self.path(name), password)


def _parse_path(path: str) -> list[int]:
    head, *steps = path.split("/")
    if head != "m" or not all(re.fullmatch(r"(0|[1-9][0-9]{0,9})'", step) for step in steps):
        raise WalletRejected(WalletReason.BAD_PATH, path, "m/44'/9797'/0'/0'")
    indices = [int(step[:-1]) for step in steps]
    if any(index >= HARDENED for index in indices):
        raise WalletRejected(WalletReason.BAD_PATH, path, "indices below 2^31")
    return indices
