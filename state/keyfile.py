"""Key files: one 32-byte seed on disk, encrypted with a password, or in clear for development chains only.

The outer JSON follows Web3 Secret Storage (version, uuid, kind, public key, address, path, crypto). The key is stretched by
Argon2id and the seed sealed by XChaCha20-Poly1305; everything readable in the file is associated data, so a changed header is
refused like a wrong password. A key file is never overwritten, has mode 0600, and is not read if others could have read or put it.

This is a shell file: it touches the disk. Interfaces spec 1.5.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal
from uuid import uuid4

import msgspec
from msgspec import Meta
from nacl import pwhash
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_pwhash_alg,
)
from nacl.exceptions import CryptoError

from state.address import account_address, format_address
from state.crypto import SEED_BYTES, SigningKey, tag
from state.durable import sync_directory, write_all
from state.errors import Rejected

PASSWORD_FILE_BYTES_MAX: Final = 1 << 12
"""What is read of a password file; a longer first line is cut."""
KEY_FILE_BYTES_MAX: Final = 16 << 10
"""A key file has about 700 bytes; a longer file is something else and is not read."""
KDF_MEMORY_BYTES_MAX: Final = 1 << 30
"""libsodium's "sensitive" setting. A foreign file must not make us allocate more."""
KDF_OPERATIONS_MAX: Final = 16
DEVELOPMENT_NOTE: Final = "NOT ENCRYPTED: for development chains only"

_TAG: Final = tag("keyfile")
_NONCE_BYTES: Final = 24
_FORBIDDEN_MODE: Final = 0o077


class KeyKind(StrEnum):
    """What a key is for. Each kind has its own derivation path, so one mnemonic serves a whole installation."""

    ACCOUNT = "account"
    VALIDATOR = "validator"
    """Signs consensus votes."""
    NODE = "node"
    """Identity in the peer-to-peer network."""
    PROVIDER = "provider"
    OPERATOR = "operator"
    """Account that owns a validator."""


class KeyFileReason(StrEnum):
    """Why a key file is refused."""

    NOT_FOUND = "not_found"
    """There is no such file."""
    EXISTS = "exists"
    """A key file is never overwritten."""
    NOT_REGULAR = "not_regular"
    """A symbolic link, a directory or a device."""
    FOREIGN_OWNER = "foreign_owner"
    """The file belongs to another user."""
    OPEN_TO_OTHERS = "open_to_others"
    """Group or others have access; `chmod 600` it, and think about who has read it."""
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    """Not the JSON of a key file of this version."""
    KDF_OUT_OF_RANGE = "kdf_out_of_range"
    """Asks for more memory or time than any setting of ours."""
    PASSWORD_NEEDED = "password_needed"  # noqa: S105  a reason, not a password
    """The file is encrypted and no password was given."""
    WRONG_PASSWORD = "wrong_password"  # noqa: S105  a reason, not a password
    """The password is wrong, or the file was altered."""
    WRONG_PUBLIC_KEY = "wrong_public_key"
    """The seed does not belong to the public key or address in the file."""


class KeyFileRejected(Rejected):
    """A key file that cannot or must not be used."""


class KdfStrength(StrEnum):
    """How much a guess of the password costs."""

    INTERACTIVE = "interactive"
    """64 MiB, about 0.1 s: for tests and for services that start often."""
    MODERATE = "moderate"
    """256 MiB, about 0.5 s: for people's keys."""


_KDF_COSTS: Final = {
    KdfStrength.INTERACTIVE: (pwhash.argon2id.OPSLIMIT_INTERACTIVE, pwhash.argon2id.MEMLIMIT_INTERACTIVE),
    KdfStrength.MODERATE: (pwhash.argon2id.OPSLIMIT_MODERATE, pwhash.argon2id.MEMLIMIT_MODERATE),
}

Hex16 = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
Hex24 = Annotated[str, Meta(pattern=r"^[0-9a-f]{48}\Z")]
Hex32 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Hex48 = Annotated[str, Meta(pattern=r"^[0-9a-f]{96}\Z")]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the JSON objects in a key file."""


class _Argon2id(_Part, frozen=True, tag="argon2id", tag_field="name"):
    salt: Hex16
    operations: Annotated[int, Meta(ge=1)]
    memory_bytes: Annotated[int, Meta(ge=8192)]


class _XChaCha20Poly1305(_Part, frozen=True, tag="xchacha20-poly1305", tag_field="name"):
    nonce: Hex24


class _Crypto(_Part, frozen=True):
    kdf: _Argon2id
    cipher: _XChaCha20Poly1305
    ciphertext: Hex48


class _Plain(_Part, frozen=True):
    note: str
    seed: Hex32


class _Document(_Part, frozen=True, omit_defaults=True):
    version: Literal["bocc-1"]
    uuid: Annotated[str, Meta(max_length=36)]
    kind: KeyKind
    public_key: Hex32
    address: Annotated[str, Meta(max_length=90)]
    path: Annotated[str, Meta(max_length=64)] | None = None
    crypto: _Crypto | None = None
    plain: _Plain | None = None


@dataclass(frozen=True, slots=True)
class KeyDescription:
    """What a key file tells without its password."""

    kind: KeyKind
    public_key: bytes
    address: str
    """bech32m text of the account that this key controls at first."""
    derivation_path: str | None
    is_encrypted: bool


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key that was read. Its seed does not appear in its text form."""

    seed: bytes = field(repr=False)
    kind: KeyKind
    public_key: bytes
    address: str
    derivation_path: str | None
    is_encrypted: bool

    def signing_key(self) -> SigningKey:
        """Return the Ed25519 key pair."""
        return SigningKey(self.seed)


def save_key(
    path: Path,
    seed: bytes,
    kind: KeyKind,
    password: bytes | None,
    kdf: KdfStrength = KdfStrength.MODERATE,
    derivation_path: str | None = None,
) -> KeyDescription:
    """Write a new key file with mode 0600, durable when this returns; without password the seed stands in it in clear.

    Raises:
        KeyFileRejected: EXISTS.
        OSError: the directory is not writable.
    """
    assert len(seed) == SEED_BYTES
    public_key = SigningKey(seed).public_key
    document = _Document(
        version="bocc-1",
        uuid=str(uuid4()),
        kind=kind,
        public_key=public_key.hex(),
        address=format_address(account_address(public_key)),
        path=derivation_path,
    )
    if password is None:
        document = msgspec.structs.replace(document, plain=_Plain(note=DEVELOPMENT_NOTE, seed=seed.hex()))
    else:
        document = msgspec.structs.replace(document, crypto=_encrypt(document, seed, password, kdf))
    _write_new(path, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    return _describe(document)


def load_key(path: Path, password: bytes | None = None) -> KeyFile:
    """Read a key file; the password may be absent if the file is not encrypted.

    Raises:
        KeyFileRejected: any reason but EXISTS.
    """
    document = _read_document(path)
    if document.plain is not None:
        seed = bytes.fromhex(document.plain.seed)
    elif password is None:
        raise KeyFileRejected(KeyFileReason.PASSWORD_NEEDED, str(path))
    else:
        seed = _decrypt(document, path, password)
    description = _describe(document)
    public_key = SigningKey(seed).public_key
    if public_key != description.public_key or format_address(account_address(public_key)) != description.address:
        raise KeyFileRejected(KeyFileReason.WRONG_PUBLIC_KEY, str(path))
    return KeyFile(
        seed=seed,
        kind=description.kind,
        public_key=public_key,
        address=description.address,
        derivation_path=description.derivation_path,
        is_encrypted=description.is_encrypted,
    )


def read_password(path: Path) -> bytes:
    """Return the password in a file: its first line, without the line break; later lines are notes.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return file.read(PASSWORD_FILE_BYTES_MAX).split(b"\n", 1)[0].rstrip(b"\r")


def describe_key(path: Path) -> KeyDescription:
    """Read what a key file says about its key. Nothing proves it before `load_key`.

    Raises:
        KeyFileRejected: NOT_FOUND, NOT_REGULAR, FOREIGN_OWNER, OPEN_TO_OTHERS, TOO_LARGE, MALFORMED.
    """
    return _describe(_read_document(path))


def _describe(document: _Document) -> KeyDescription:
    return KeyDescription(
        kind=document.kind,
        public_key=bytes.fromhex(document.public_key),
        address=document.address,
        derivation_path=document.path,
        is_encrypted=document.crypto is not None,
    )


def _encrypt(document: _Document, seed: bytes, password: bytes, strength: KdfStrength) -> _Crypto:
    operations, memory_bytes = _KDF_COSTS[strength]
    kdf = _Argon2id(salt=os.urandom(16).hex(), operations=operations, memory_bytes=memory_bytes)
    cipher = _XChaCha20Poly1305(nonce=os.urandom(_NONCE_BYTES).hex())
    sealed = crypto_aead_xchacha20poly1305_ietf_encrypt(
        seed, _associated_data(document, kdf, cipher), bytes.fromhex(cipher.nonce), _stretch(password, kdf)
    )
    return _Crypto(kdf=kdf, cipher=cipher, ciphertext=sealed.hex())


def _decrypt(document: _Document, path: Path, password: bytes) -> bytes:
    crypto = document.crypto
    assert crypto is not None, "the reader accepts exactly one of crypto and plain"
    if crypto.kdf.memory_bytes > KDF_MEMORY_BYTES_MAX:
        raise KeyFileRejected(KeyFileReason.KDF_OUT_OF_RANGE, crypto.kdf.memory_bytes, KDF_MEMORY_BYTES_MAX)
    if crypto.kdf.operations > KDF_OPERATIONS_MAX:
        raise KeyFileRejected(KeyFileReason.KDF_OUT_OF_RANGE, crypto.kdf.operations, KDF_OPERATIONS_MAX)
    try:
        return crypto_aead_xchacha20poly1305_ietf_decrypt(
            bytes.fromhex(crypto.ciphertext),
            _associated_data(document, crypto.kdf, crypto.cipher),
            bytes.fromhex(crypto.cipher.nonce),
            _stretch(password, crypto.kdf),
        )
    except CryptoError as error:
        raise KeyFileRejected(KeyFileReason.WRONG_PASSWORD, str(path)) from error


def _associated_data(document: _Document, kdf: _Argon2id, cipher: _XChaCha20Poly1305) -> bytes:
    header = msgspec.structs.replace(document, crypto=None, plain=None)
    return _TAG + msgspec.json.encode([header, kdf, cipher])


def _stretch(password: bytes, kdf: _Argon2id) -> bytes:
    return crypto_pwhash_alg(
        32, password, bytes.fromhex(kdf.salt), kdf.operations, kdf.memory_bytes, pwhash.argon2id.ALG
    )


def _read_document(path: Path) -> _Document:
    encoded = _read_private(path)
    try:
        document = msgspec.json.decode(encoded, type=_Document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise KeyFileRejected(KeyFileReason.MALFORMED, f"{path}: {error}") from error
    if (document.crypto is None) == (document.plain is None):
        raise KeyFileRejected(KeyFileReason.MALFORMED, f"{path}: needs exactly one of `crypto` and `plain`")
    return document


def _read_private(path: Path) -> bytes:
    """Return the bytes of a regular file that only its owner, us, can read or write."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise KeyFileRejected(KeyFileReason.NOT_FOUND, str(path)) from error
    except OSError as error:
        if path.is_symlink():
            raise KeyFileRejected(KeyFileReason.NOT_REGULAR, f"{path} is a symbolic link") from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileRejected(KeyFileReason.NOT_REGULAR, str(path))
        if status.st_uid != os.geteuid():
            raise KeyFileRejected(KeyFileReason.FOREIGN_OWNER, f"{path} of user {status.st_uid}", os.geteuid())
        if status.st_mode & _FORBIDDEN_MODE:
            raise KeyFileRejected(KeyFileReason.OPEN_TO_OTHERS, f"{path} with mode {status.st_mode & 0o777:o}", "600")
        if status.st_size > KEY_FILE_BYTES_MAX:
            raise KeyFileRejected(KeyFileReason.TOO_LARGE, status.st_size, KEY_FILE_BYTES_MAX)
        return os.read(descriptor, KEY_FILE_BYTES_MAX)
    finally:
        os.close(descriptor)


def _write_new(path: Path, content: bytes) -> None:
    """Create the file with all of its content or not at all; a link, unlike a rename, never replaces an older file."""
    unfinished = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.link(unfinished, path)
    except FileExistsError as error:
        raise KeyFileRejected(KeyFileReason.EXISTS, str(path)) from error
    finally:
        unfinished.unlink()
    sync_directory(path.parent)
