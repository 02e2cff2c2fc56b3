"""Laws of `bocc keys`: secrets are shown when asked for and at no other time, and never taken from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from bocc.cli.keys import command
from bocc.wallet import DEVELOPMENT_MNEMONIC, Keyring, development_key
from state.crypto import text_signing_bytes
from state.keyfile import KeyFileReason, KeyFileRejected, KeyKind
from state.messages import Transfer
from state.transactions import Body, body_signing_bytes

Run = Callable[..., Result]


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_bytes(b"secret\nsecond line\n")
    return path


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def invoke(*arguments: object, stdin: str | None = None, **environment: str) -> Result:
        home = ["--home", str(tmp_path / "home")]
        texts = [str(argument) for argument in arguments] + home
        return CliRunner().invoke(command, texts, input=stdin, env=environment)

    return invoke


def told(outcome: Result) -> Any:
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    return json.loads(outcome.stdout)


def test_new_key_opens_with_its_password_and_recovers_from_its_mnemonic(run, password_file, tmp_path):
    added = told(run("add", "bob", "--password-file", password_file, "--kdf", "interactive", "--json"))
    words = tmp_path / "words"
    words.write_text(added.pop("mnemonic"))
    recovered = told(run("recover", "again", "--mnemonic-file", words, "--plain", "--json"))
    ring = Keyring(tmp_path / "home")
    assert ring.load("bob", b"secret").seed == ring.load("again").seed
    assert recovered | {"name": "bob", "encrypted": True} == added


def test_mnemonic_and_seed_are_not_stored_or_shown_again(run, tmp_path):
    words = told(run("add", "bob", "--plain", "--json"))["mnemonic"]
    shown = run("show", "bob").stdout + run("list").stdout + (tmp_path / "home/keys/bob.json").read_text()
    assert words.split()[0] + " " + words.split()[1] not in shown
    seed = Keyring(tmp_path / "home").load("bob").seed.hex()
    assert seed not in run("show", "bob").stdout
    assert seed not in run("list").stdout


def test_password_may_come_from_the_environment(run, password_file, tmp_path):
    run("add", "bob", "--kdf", "interactive", BOCC_PASSWORD_FILE=str(password_file))
    assert Keyring(tmp_path / "home").load("bob", b"secret").is_encrypted


def test_without_terminal_and_password_file_nothing_is_made(run, tmp_path):
    outcome = run("add", "bob")
    assert outcome.exit_code == 2
    assert "--password-file" in outcome.output
    assert Keyring(tmp_path / "home").names() == []


def test_empty_password_is_refused(run, tmp_path):
    (tmp_path / "empty").write_bytes(b"\n")
    assert run("add", "bob", "--password-file", tmp_path / "empty").exit_code == 2


def test_mnemonic_may_come_from_the_standard_input(run):
    recovered = told(
        run("recover", "bob", "--mnemonic-file", "-", "--plain", "--json", stdin=DEVELOPMENT_MNEMONIC + "\n")
    )
    assert recovered["public_key"] == development_key(KeyKind.ACCOUNT, 0).public_key.hex()


@pytest.mark.parametrize(("kind", "index"), [("validator", 3), ("operator", 0), ("node", 1)])
def test_kind_and_index_choose_the_path(run, kind, index):
    arguments = ("recover", "bob", "--mnemonic-file", "-", "--plain", "--json", "--kind", kind, "--index", index)
    recovered = told(run(*arguments, stdin=DEVELOPMENT_MNEMONIC))
    assert recovered["public_key"] == development_key(KeyKind(kind), index).public_key.hex()


def test_key_of_the_same_name_is_never_replaced(run):
    before = told(run("add", "bob", "--plain", "--json"))["address"]
    outcome = run("add", "bob", "--plain")
    assert isinstance(outcome.exception, KeyFileRejected)
    assert outcome.exception.reason is KeyFileReason.EXISTS
    assert told(run("show", "bob", "--json"))["address"] == before


def test_list_is_sorted_and_says_what_is_encrypted(run, password_file):
    run("add", "bob", "--plain")
    run("add", "alice", "--password-file", password_file, "--kdf", "interactive")
    listed = told(run("list", "--json"))
    assert [(key["name"], key["encrypted"]) for key in listed] == [("alice", True), ("bob", False)]


def test_list_of_a_new_home_says_how_to_begin(run):
    assert "bocc keys add" in run("list").stdout


def test_exported_file_has_the_key_under_the_new_password(run, tmp_path, password_file):
    run("add", "bob", "--plain")
    target = tmp_path / "copy.json"
    told(run("export", "bob", "--to", target, "--new-password-file", password_file, "--kdf", "interactive", "--json"))
    (tmp_path / "other/keys").mkdir(parents=True)
    target.rename(tmp_path / "other/keys/copy.json")
    copy = Keyring(tmp_path / "other").load("copy", b"secret")
    assert copy.seed == Keyring(tmp_path / "home").load("bob").seed


def test_exported_seed_is_the_seed(run, tmp_path):
    run("add", "bob", "--plain")
    assert run("export", "bob", "--seed").stdout.strip() == Keyring(tmp_path / "home").load("bob").seed.hex()


@pytest.mark.parametrize("arguments", [[], ["--seed", "--to", "file"]])
def test_export_wants_one_form(run, arguments):
    run("add", "bob", "--plain")
    assert run("export", "bob", *arguments).exit_code == 2


def test_no_command_takes_a_secret_as_an_argument():
    """A secret on the command line is visible to every user of the machine and stays in the shell's history."""
    secret_words = ("password", "mnemonic", "seed", "secret")
    for sub in command.commands.values():
        for parameter in sub.params:
            if isinstance(parameter, click.Argument):
                assert not any(word in parameter.name for word in secret_words)
            elif any(word in parameter.name for word in secret_words):
                assert parameter.is_flag or parameter.name.endswith("_file")


CHAIN = "11" * 32


@pytest.fixture
def plain_key(run) -> Run:
    told(run("add", "bob", "--plain", "--json"))
    return run


def test_a_signed_text_is_shown_to_be_its_signers_and_no_other_text_chain_or_key_is(plain_key):
    run = plain_key
    signed = told(run("sign-message", "bob", "I hold this key", "--chain-id", CHAIN, "--json"))
    told(run("add", "eve", "--plain", "--json"))

    def verdict(text, key, chain):
        outcome = run(
            "verify-message",
            text,
            "--public-key",
            key,
            "--signature",
            signed["signature"],
            "--chain-id",
            chain,
            "--json",
        )
        return json.loads(outcome.stdout)["is_valid"]

    assert verdict("I hold this key", "bob", CHAIN)
    assert verdict("I hold this key", signed["public_key"], CHAIN)
    assert not verdict("I hold that key", "bob", CHAIN)
    assert not verdict("I hold this key", "eve", CHAIN)
    assert not verdict("I hold this key", "bob", "22" * 32)


def test_no_signature_of_a_text_is_one_of_a_transaction():
    chain_id = bytes.fromhex(CHAIN)
    body = Body(
        sender=bytes(21), nonce=0, expires_at_ms=1, fee=1, messages=(Transfer(to=bytes(21), amount=1),), memo=b""
    )
    assert not text_signing_bytes(chain_id, "").startswith(body_signing_bytes(chain_id, body)[:16])


@pytest.mark.parametrize("chain", ["xx", "11"])
def test_a_chain_id_that_is_none_is_wrong_usage(plain_key, chain):
    outcome = plain_key("sign-message", "bob", "text", "--chain-id", chain)
    assert outcome.exit_code == 2
