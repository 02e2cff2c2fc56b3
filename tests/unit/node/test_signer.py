"""Laws of the validator's key file in use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from node.errors import SignerFault
from node.signer import FileSigner
from state.crypto import SigningKey, verify
from state.keyfile import KdfStrength, KeyKind, save_key

SEED = bytes(range(32))
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def path(tmp_path):
    save_key(tmp_path / "validator.json", SEED, KeyKind.VALIDATOR, None)
    return tmp_path / "validator.json"


def test_signatures_are_those_of_the_key_in_the_file(path):
    signer = FileSigner.open(path, None)
    assert signer.public_key == SigningKey(SEED).public_key
    assert verify(signer.public_key, signer.sign(b"vote"), b"vote")
    signer.close()


def test_encrypted_key_needs_its_password(tmp_path):
    path = tmp_path / "validator.json"
    save_key(path, SEED, KeyKind.VALIDATOR, b"word", KdfStrength.INTERACTIVE)
    for password, reason in ((None, "password_needed"), (b"other", "wrong_password")):
        with pytest.raises(SignerFault, match=reason):
            FileSigner.open(path, password)
    signer = FileSigner.open(path, b"word")
    assert signer.public_key == SigningKey(SEED).public_key
    signer.close()


def test_key_that_others_can_read_is_refused(path):
    path.chmod(0o640)
    with pytest.raises(SignerFault, match="open_to_others"):
        FileSigner.open(path, None)


def test_symbolic_link_to_a_key_is_refused(path):
    link = path.with_name("link.json")
    link.symlink_to(path)
    with pytest.raises(SignerFault, match="not_regular"):
        FileSigner.open(link, None)


def test_missing_key_is_refused_in_words(path):
    with pytest.raises(SignerFault, match="not_found"):
        FileSigner.open(path.with_name("other.json"), None)


def test_key_of_another_kind_does_not_sign_votes(tmp_path):
    save_key(tmp_path / "node.json", SEED, KeyKind.NODE, None)
    with pytest.raises(SignerFault, match="kind node"):
        FileSigner.open(tmp_path / "node.json", None)


def test_key_in_use_is_refused_to_this_and_other_processes_until_it_is_closed(path):
    signer = FileSigner.open(path, None)
    with pytest.raises(SignerFault, match=f"in use by process {os.getpid()}"):
        FileSigner.open(path, None)
    program = (
        "import pathlib\nfrom node.signer import FileSigner\nfrom node.errors import SignerFault\n"
        f"try:\n    FileSigner.open(pathlib.Path({str(path)!r}), None)\n"
        "except SignerFault as fault:\n    print(fault)\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"in use by process {os.getpid()}" in answer.stdout
    signer.close()
    FileSigner.open(path, None).close()
