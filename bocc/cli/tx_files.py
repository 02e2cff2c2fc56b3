"""`bocc tx show|sign|send`: transactions in files, for keys that are not in one place."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Final

import click
from msgspec import Struct

from bocc.cli.asking import ask, trust_option
from bocc.cli.context import Context, common_options, password_option, run
from bocc.cli.output import print_json
from bocc.cli.sending import (
    dry_run_option,
    print_checks,
    print_outcome,
    print_written,
    timeout_option,
    wait_option,
)
from bocc.cli.tx_text import describe_tx_file, print_tx_file
from bocc.client import Client, Wait
from bocc.light import describe_record
from bocc.tx_file import (
    FILE_BYTES_MAX,
    Party,
    TxFile,
    TxFileReason,
    TxFileRejected,
    add_signature,
    check_ready,
    format_tx_file,
    parse_tx_file,
    parties_of,
)
from state.address import account_address, format_address, parse_address
from state.genesis_file import parse_genesis

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


class Signers(Struct, frozen=True):
    """Whose signatures a transaction may have."""

    accounts: frozenset[bytes]
    """Those whose keys are known by the address alone."""
    public_keys: frozenset[bytes]

    def include(self, public_key: bytes) -> bool:
        """Tell whether a key is one of theirs."""
        return public_key in self.public_keys or account_address(public_key) in self.accounts


@click.command()
@click.argument("file", type=_FILE)
@common_options
def show(context: Context, file: Path) -> None:
    """Show a transaction in a FILE, as `--out` of a command wrote it: what it does, for whom, who has signed. Asks no node."""
    tx_file, now_ms = _read(file), _now_ms()
    if context.as_json:
        print_json(describe_tx_file(tx_file, now_ms))
    else:
        print_tx_file(tx_file, now_ms)


@click.command()
@click.argument("file", type=_FILE)
@click.option("--from", "name", required=True, metavar="NAME", help="Key that signs.")
@click.option("--account", metavar="ADDRESS|NAME", help="With --trust: for whom, if it is not the account of the key.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it there instead of to FILE.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@trust_option("; then no node is asked which chain this is, and whose the key is")
@password_option
@common_options
def sign(
    context: Context,
    file: Path,
    name: str,
    account: str | None,
    out: Path | None,
    is_sure: bool,
    trust: Path | None,
    password_file: Path | None,
) -> int:
    """Add a signature to the transaction in a FILE, after showing it.

    Refused are a transaction for another chain, one that has expired, and a key of nobody who must agree.
    """
    if account is not None and trust is None:
        raise click.UsageError("--account belongs to --trust: a node tells whose the key is")
    tx_file, now_ms = _read(file), _now_ms()
    key = context.load_key(name, password_file).signing_key()
    if trust is None:
        chain_id, signers = ask(context, lambda client: _ask_signers(client, parties_of(tx_file.body)))
    else:
        chain_id = parse_genesis(trust.read_bytes()).chain_id
        signers = _named_signers(tx_file, key.public_key, None if account is None else context.account(account))
    check_ready(tx_file, chain_id, now_ms)
    if not signers.include(key.public_key):
        bound = "; ".join(f"{party.role}: {describe_record(party.account)}" for party in parties_of(tx_file.body))
        raise TxFileRejected(
            TxFileReason.NO_SIGNER, f"{name}, {format_address(account_address(key.public_key))}", bound
        )
    signed = add_signature(tx_file, key)
    if not context.as_json:
        print_tx_file(tx_file, now_ms)
    if not is_sure:
        _confirm(context, name)
    path = out or file
    _write(path, signed)
    return print_written(context, path, signed)


@click.command()
@click.argument("file", type=_FILE)
@timeout_option
@wait_option
@dry_run_option
@common_options
def send(context: Context, file: Path, timeout_s: float, wait: str, is_dry_run: bool) -> int:
    """Send the transaction in a FILE once all have signed it. No key is needed; sent twice it is still one transaction."""
    return run(_send(context, _read(file), Wait(wait), timeout_s, is_dry_run=is_dry_run))


async def _send(context: Context, file: TxFile, wait: Wait, timeout_s: float, *, is_dry_run: bool) -> int:
    async with context.client() as client:
        check_ready(file, await client.chain_id(), _now_ms())
        if not file.signatures:
            raise TxFileRejected(TxFileReason.BAD_FILE, "no signature", "one at least")
        if is_dry_run:
            return print_checks(context, await client.explain(file.transaction))
        return print_outcome(context, await client.submit(file.transaction, wait, timeout_s), wait)


async def _ask_signers(client: Client, parties: tuple[Party, ...]) -> tuple[bytes, Signers]:
    """Return the chain of a node, and the keys that the parties of a transaction have now."""
    accounts: list[str] = []
    for party in parties:
        address = format_address(party.account)
        auth = await _ask_auth(client, address) if party.is_guarded else None
        accounts += [address] if not party.is_guarded else auth["guardians"] if auth else []
    own: set[bytes] = set()
    public_keys: set[bytes] = set()
    for account in accounts:
        auth = await _ask_auth(client, account)
        if auth is None:
            own.add(parse_address(account))
        else:
            public_keys |= {bytes.fromhex(key["public_key"]) for key in auth["keys"]}
    return await client.chain_id(), Signers(frozenset(own), frozenset(public_keys))


async def _ask_auth(client: Client, account: str) -> dict[str, Any] | None:
    """Return the keys and guardians of an account; None as long as the key of its address alone decides."""
    auth: dict[str, Any] | None = (await client.account(account))["auth"]
    return auth


def _named_signers(file: TxFile, public_key: bytes, account: bytes | None) -> Signers:
    """Return the parties of a transaction without asking anybody; an account that the user names as the key's is believed.

    Who guards an account only a node can tell.
    """
    parties = parties_of(file.body)
    accounts = frozenset(party.account for party in parties if not party.is_guarded)
    is_named = account in accounts or (account is not None and any(party.is_guarded for party in parties))
    return Signers(accounts, frozenset({public_key} if is_named else ()))


def _confirm(context: Context, name: str) -> None:
    """Ask whether what was shown shall be signed.

    Raises:
        click.UsageError: there is no terminal to ask at.
        click.Abort: it shall not.
    """
    if context.as_json or not sys.stdin.isatty():
        raise click.UsageError("look at it with `bocc tx show`, then give --yes")
    click.confirm(f"\nSign it with {name}?", abort=True, err=True)


def _read(path: Path) -> TxFile:
    with path.open("rb") as stream:
        return parse_tx_file(stream.read(FILE_BYTES_MAX + 1))


def _write(path: Path, file: TxFile) -> None:
    """Put a transaction in the place of what is there, whole or not at all."""
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(format_tx_file(file))
    beside.replace(path)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


FILE_COMMANDS: Final = (show, sign, send)
