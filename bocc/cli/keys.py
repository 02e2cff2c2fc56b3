"""`bocc keys`: the keyring of a home."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final, TextIO

import click

from bocc.cli.context import Context, common_options, password_option, read_password, run
from bocc.cli.failures import ExitCode
from bocc.cli.output import print_fields, print_json, print_line, print_table
from bocc.wallet import derivation_path, derive, mnemonic_seed, new_mnemonic
from state.address import account_address, format_address
from state.crypto import text_signing_bytes, verify
from state.keyfile import KdfStrength, KeyDescription, KeyKind, save_key

CHAIN_ID_BYTES: Final = 32
PLAIN_WARNING: Final = "The key is not encrypted: use it on development chains only."


@click.group()
def command() -> None:
    """Make, show and recover keys.

    Keys are files in the folder keys/ of the home, encrypted with a password. The mnemonic of a new key is shown once and stored
    nowhere: whoever has it has the key. No secret is ever read from the command line.
    """


kind_option = click.option(
    "--kind", type=click.Choice([str(kind) for kind in KeyKind]), default=str(KeyKind.ACCOUNT), show_default=True
)
index_option = click.option(
    "--index", type=click.IntRange(0, (1 << 31) - 1), default=0, show_default=True, help="Which key of the mnemonic."
)
kdf_option = click.option(
    "--kdf",
    type=click.Choice([str(strength) for strength in KdfStrength]),
    default=str(KdfStrength.MODERATE),
    show_default=True,
    help="How much each guess of the password costs.",
)
chain_option = click.option(
    "--chain-id", "chain", metavar="HEX", help="Chain for which the text is signed; asked of the node without."
)
plain_option = click.option("--plain", is_flag=True, help="Do not encrypt: for development chains only.")


@command.command()
@click.argument("name")
@kind_option
@index_option
@kdf_option
@plain_option
@password_option
@common_options
def add(context: Context, name: str, kind: str, index: int, kdf: str, plain: bool, password_file: Path | None) -> None:
    """Make a new key and show its mnemonic once."""
    context.keyring.path(name)
    words = new_mnemonic()
    added = _store(context, name, words, KeyKind(kind), index, KdfStrength(kdf), plain, password_file)
    if context.as_json:
        print_json(_as_json(name, added) | {"mnemonic": words})
        return
    print_fields(_as_json(name, added))
    print_line("\nWrite these 24 words down; they are shown only now and are the key:\n")
    print_line(f"  {words}\n")
    if plain:
        print_line(PLAIN_WARNING)


@command.command()
@click.argument("name")
@click.option(
    "--mnemonic-file",
    type=click.File("r"),
    help="File with the words, - for the standard input; asked for on the terminal without.",
)
@kind_option
@index_option
@kdf_option
@plain_option
@password_option
@common_options
def recover(
    context: Context,
    name: str,
    mnemonic_file: TextIO | None,
    kind: str,
    index: int,
    kdf: str,
    plain: bool,
    password_file: Path | None,
) -> None:
    """Make a key again from its mnemonic."""
    context.keyring.path(name)
    if mnemonic_file is not None:
        words = mnemonic_file.read()
    elif sys.stdin.isatty():
        words = click.prompt("Mnemonic", hide_input=True, err=True)
    else:
        raise click.UsageError("the mnemonic is needed: give --mnemonic-file FILE, or - for the standard input")
    recovered = _store(context, name, words, KeyKind(kind), index, KdfStrength(kdf), plain, password_file)
    _print_key(context, name, recovered)


@command.command(name="list")
@common_options
def list_keys(context: Context) -> None:
    """List the keys of the home."""
    ring = context.keyring
    keys = [_as_json(name, ring.describe(name)) for name in ring.names()]
    if context.as_json:
        print_json(keys)
    elif keys:
        print_table(
            ("name", "kind", "address", "encrypted"),
            [(key["name"], key["kind"], key["address"], "yes" if key["encrypted"] else "no") for key in keys],
        )
    else:
        print_line(f"No keys in {ring.directory}. `bocc keys add NAME` makes one.")


@command.command()
@click.argument("name")
@common_options
def show(context: Context, name: str) -> None:
    """Show kind, address and public key of a key."""
    _print_key(context, name, context.keyring.describe(name))


@command.command()
@click.argument("name")
@click.option("--to", "target", type=click.Path(path_type=Path), help="New key file to write.")
@click.option(
    "--new-password-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Password of the new file; asked for on the terminal without.",
)
@click.option("--seed", "show_seed", is_flag=True, help="Print the secret seed in hex instead.")
@kdf_option
@password_option
@common_options
def export(
    context: Context,
    name: str,
    target: Path | None,
    new_password_file: Path | None,
    show_seed: bool,
    kdf: str,
    password_file: Path | None,
) -> None:
    """Copy a key into a new key file with another password, or print its seed."""
    if (target is None) != show_seed:
        raise click.UsageError("give either --to FILE or --seed")
    key = context.load_key(name, password_file)
    if target is None:
        if context.as_json:
            print_json(_as_json(name, context.keyring.describe(name)) | {"seed": key.seed.hex()})
        else:
            print_line(key.seed.hex())
        return
    password = read_password(new_password_file, "Password of the new file", confirm=True)
    written = save_key(target, key.seed, key.kind, password, KdfStrength(kdf), key.derivation_path)
    _print_key(context, name, written)


@command.command(name="sign-message")
@click.argument("name")
@click.argument("text")
@chain_option
@password_option
@common_options
def sign_message(context: Context, name: str, text: str, chain: str | None, password_file: Path | None) -> None:
    """Sign a text, to show who holds a key. No signature of a text is one of a transaction, whatever the text says."""
    key = context.load_key(name, password_file).signing_key()
    chain_id = _chain_id(context, chain)
    signature = key.sign(text_signing_bytes(chain_id, text))
    signed = {
        "text": text,
        "chain_id": chain_id.hex(),
        "public_key": key.public_key.hex(),
        "signature": signature.hex(),
    }
    if context.as_json:
        print_json(signed)
    else:
        print_fields(signed)


@command.command(name="verify-message")
@click.argument("text")
@click.option("--public-key", required=True, metavar="NAME|HEX", help="Key that is said to have signed.")
@click.option("--signature", required=True, metavar="HEX", help="The 128 hex digits of the signature.")
@chain_option
@common_options
def verify_message(context: Context, text: str, public_key: str, signature: str, chain: str | None) -> int:
    """Tell whether a signature of a text is a key's."""
    try:
        key, signature_bytes = context.public_key(public_key), bytes.fromhex(signature)
    except ValueError as error:
        raise click.UsageError(f"a key has 64 hex digits, a signature 128: {error}") from error
    is_good = verify(key, signature_bytes, text_signing_bytes(_chain_id(context, chain), text))
    if context.as_json:
        print_json({"is_valid": is_good, "address": format_address(account_address(key))})
    elif is_good:
        print_line(f"signed by {format_address(account_address(key))}")
    else:
        print_line("NOT signed by this key: another text, key or chain")
    return ExitCode.DONE if is_good else ExitCode.REFUSED


def _chain_id(context: Context, chain: str | None) -> bytes:
    """Return the chain id given in hex, or that of the node in use."""
    if chain is None:
        return run(_ask_chain_id(context))
    try:
        chain_id = bytes.fromhex(chain)
    except ValueError as error:
        raise click.BadParameter("not hexadecimal", param_hint="--chain-id") from error
    if len(chain_id) != CHAIN_ID_BYTES:
        raise click.BadParameter(f"{len(chain_id)} bytes instead of {CHAIN_ID_BYTES}", param_hint="--chain-id")
    return chain_id


async def _ask_chain_id(context: Context) -> bytes:
    async with context.client() as client:
        return await client.chain_id()


def _store(
    context: Context,
    name: str,
    words: str,
    kind: KeyKind,
    index: int,
    kdf: KdfStrength,
    plain: bool,
    password_file: Path | None,
) -> KeyDescription:
    path = derivation_path(kind, index)
    seed = derive(mnemonic_seed(words), path)
    password = None if plain else read_password(password_file, f"New password of {name}", confirm=True)
    return context.keyring.add(name, seed, kind, password, kdf, path)


def _print_key(context: Context, name: str, key: KeyDescription) -> None:
    if context.as_json:
        print_json(_as_json(name, key))
    else:
        print_fields(_as_json(name, key))


def _as_json(name: str, key: KeyDescription) -> dict[str, object]:
    return {
        "name": name,
        "kind": str(key.kind),
        "address": key.address,
        "public_key": key.public_key.hex(),
        "path": key.derivation_path,
        "encrypted": key.is_encrypted,
    }
