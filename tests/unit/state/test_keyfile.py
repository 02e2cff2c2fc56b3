"""Laws of key files: a seed comes back exactly, or a typed reason does."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from state.keyfile import (
    KDF_MEMORY_BYTES_MAX,
    KdfStrength,
    KeyFileReason,
    KeyFileRejected,
    KeyKind,
    describe_key,
    load_key,
    save_key,
)

SEED = bytes(range(32))
PASSWORD = b"correct horse"


@pytest.fixture
def encrypted(tmp_path: Path) -> Path:
    path = tmp_path / "alice.json"
    save_key(path, SEED, KeyKind.ACCOUNT, PASSWORD, KdfStrength.INTERACTIVE, "m/44'/9797'/0'/0'")
    return path


def reason_of(path: Path, password: bytes | None = PASSWORD) -> KeyFileReason:
    with pytest.raises(KeyFileRejected) as caught:
        load_key(path, password)
    return caught.value.reason


def edit(file: Path, /, **changes: object) -> None:
    document = json.loads(file.read_text())
    for name, changed in changes.items():
        *parents, leaf = name.split("__")
        target = document
        for parent in parents:
            target = target[parent]
        target[leaf] = changed
    file.write_text(json.dumps(document))


def test_encrypted_seed_comes_back_with_its_password(encrypted):
    key = load_key(encrypted, PASSWORD)
    assert (key.seed, key.kind, key.derivation_path, key.is_encrypted) == (
        SEED,
        KeyKind.ACCOUNT,
        "m/44'/9797'/0'/0'",
        True,
    )
    assert key.signing_key().public_key == key.public_key


def test_seed_stands_neither_in_an_encrypted_file_nor_in_the_text_of_a_key(encrypted):
    assert SEED.hex() not in encrypted.read_text()
    assert SEED.hex() not in repr(load_key(encrypted, PASSWORD))
    assert repr(SEED) not in repr(load_key(encrypted, PASSWORD))


def test_plain_file_says_that_it_is_for_development(tmp_path):
    path = tmp_path / "dev.json"
    save_key(path, SEED, KeyKind.VALIDATOR, None)
    assert "development" in path.read_text()
    assert load_key(path).seed == SEED
    assert not describe_key(path).is_encrypted


def test_description_needs_no_password(encrypted):
    described, key = describe_key(encrypted), load_key(encrypted, PASSWORD)
    assert (described.public_key, described.address) == (key.public_key, key.address)


def test_new_file_is_private_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        save_key(tmp_path / "key.json", SEED, KeyKind.NODE, None)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key.json").stat().st_mode) == 0o600


def test_existing_file_is_never_replaced_and_no_unfinished_file_stays(encrypted):
    content = encrypted.read_bytes()
    with pytest.raises(KeyFileRejected) as caught:
        save_key(encrypted, bytes(32), KeyKind.ACCOUNT, None)
    assert caught.value.reason is KeyFileReason.EXISTS
    assert encrypted.read_bytes() == content
    assert list(encrypted.parent.iterdir()) == [encrypted]


def test_wrong_password_has_its_own_reason(encrypted):
    assert reason_of(encrypted, b"correct hors") is KeyFileReason.WRONG_PASSWORD


def test_encrypted_file_needs_a_password(encrypted):
    assert reason_of(encrypted, None) is KeyFileReason.PASSWORD_NEEDED


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("kind", "validator"),
        ("uuid", "00000000-0000-4000-8000-000000000000"),
        ("path", "m/44'/9797'/0'/1'"),
        ("address", "bocc1other"),
        ("crypto__kdf__salt", "00" * 16),
        ("crypto__cipher__nonce", "00" * 24),
        ("crypto__ciphertext", "00" * 48),
    ],
)
def test_any_change_of_an_encrypted_file_is_refused(encrypted, field, changed):
    edit(encrypted, **{field: changed})
    assert reason_of(encrypted) is KeyFileReason.WRONG_PASSWORD


def test_public_key_of_a_plain_file_must_fit_its_seed(tmp_path):
    path = tmp_path / "dev.json"
    save_key(path, SEED, KeyKind.ACCOUNT, None)
    edit(path, public_key="00" * 32)
    assert reason_of(path) is KeyFileReason.WRONG_PUBLIC_KEY


def test_address_of_a_plain_file_must_fit_its_seed(tmp_path):
    path = tmp_path / "dev.json"
    save_key(path, SEED, KeyKind.ACCOUNT, None)
    edit(path, address="bocc1other")
    assert reason_of(path) is KeyFileReason.WRONG_PUBLIC_KEY


@pytest.mark.parametrize(
    ("field", "changed"),
    [("crypto__kdf__memory_bytes", KDF_MEMORY_BYTES_MAX + 1), ("crypto__kdf__operations", 17)],
)
def test_foreign_file_cannot_make_us_spend_memory_or_time(encrypted, field, changed):
    edit(encrypted, **{field: changed})
    assert reason_of(encrypted) is KeyFileReason.KDF_OUT_OF_RANGE


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xfe", b"[" * 5000, b'{"version":"bocc-2"}'],
    ids=["empty", "cut", "array", "not_utf8", "nested", "other_version"],
)
def test_other_content_is_malformed(encrypted, content):
    encrypted.write_bytes(content)
    assert reason_of(encrypted) is KeyFileReason.MALFORMED


@pytest.mark.parametrize("field", ["unknown", "crypto__unknown", "crypto__kdf__unknown"])
def test_unknown_fields_are_malformed(encrypted, field):
    edit(encrypted, **{field: 1})
    assert reason_of(encrypted) is KeyFileReason.MALFORMED


@pytest.mark.parametrize("field", ["public_key", "crypto__kdf__salt", "crypto__cipher__nonce", "crypto__ciphertext"])
def test_hex_with_a_line_end_is_malformed(encrypted, field):
    part = json.loads(encrypted.read_bytes())
    for name in field.split("__"):
        part = part[name]
    edit(encrypted, **{field: part + "\n"})
    assert reason_of(encrypted) is KeyFileReason.MALFORMED


def test_file_with_both_or_neither_form_of_the_seed_is_malformed(encrypted):
    edit(encrypted, plain={"note": "", "seed": SEED.hex()})
    assert reason_of(encrypted) is KeyFileReason.MALFORMED
    edit(encrypted, plain=None, crypto=None)
    assert reason_of(encrypted) is KeyFileReason.MALFORMED


def test_oversized_file_is_refused_unread(encrypted):
    encrypted.write_bytes(b" " * 20_000)
    assert reason_of(encrypted) is KeyFileReason.TOO_LARGE


def test_missing_file_and_directory_have_reasons(tmp_path):
    assert reason_of(tmp_path / "absent.json") is KeyFileReason.NOT_FOUND
    assert reason_of(tmp_path) is KeyFileReason.NOT_REGULAR


def test_symbolic_link_and_pipe_are_refused(encrypted):
    link, pipe = encrypted.with_name("link.json"), encrypted.with_name("pipe.json")
    link.symlink_to(encrypted)
    os.mkfifo(pipe, 0o600)
    assert reason_of(link) is KeyFileReason.NOT_REGULAR
    assert reason_of(pipe) is KeyFileReason.NOT_REGULAR


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_file_that_others_can_touch_is_refused(encrypted, mode):
    encrypted.chmod(mode)
    assert reason_of(encrypted) is KeyFileReason.OPEN_TO_OTHERS


def test_file_of_another_user_is_refused(encrypted, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    assert reason_of(encrypted) is KeyFileReason.FOREIGN_OWNER
