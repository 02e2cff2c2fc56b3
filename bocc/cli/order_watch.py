"""`bocc order watch|output`: what happens to an order, and what came out of it."""

from __future__ import annotations

import os
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import click
from rich.live import Live
from rich.text import Text

from bocc.cli.asking import ask
from bocc.cli.context import Context, common_options, run
from bocc.cli.failures import ExitCode
from bocc.cli.order_text import event_line, order_rows, print_order
from bocc.cli.output import build_table, console, print_json, print_json_line, print_line, printable
from bocc.client import Client
from bocc.errors import InputReason, InputRejected
from bocc.market.drafts import read_result_key
from bocc.market.forms import parse_order
from bocc.sealed import open_output
from state.address import format_address

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_PRIVATE_MODE: Final = 0o600


@click.command()
@click.argument("order", metavar="ORDER")
@common_options
def watch(context: Context, order: str) -> int:
    """Show what happens to an order, from its beginning as far as the node remembers, until it is closed or Ctrl-C.

    On a terminal, below the events, where it stands. Exit code 0 if it was done, 1 if it was closed for another reason. With --json
    one line for each event, the order last.
    """
    return run(_watch(context, format_address(parse_order(order))))


async def _watch(context: Context, address: str) -> int:
    async with context.client() as client:
        told = await client.call("order", id=address)
        if told["state"] != "closed":
            if is_terminal() and not context.as_json:
                await _draw_events(client, address, told)
            else:
                await _print_events(context, client, address)
            told = await client.call("order", id=address)
    if context.as_json:
        print_json_line(told)
    else:
        print_line("")
        print_order(told)
    return ExitCode.DONE if told["reason"] == "done" else ExitCode.REFUSED


def is_terminal() -> bool:
    """Tell whether a table can be drawn again and again."""
    return sys.stdout.isatty()


async def _print_events(context: Context, client: Client, address: str) -> None:
    """Print each event of an order until the one that closes it."""
    async for event in client.follow(topics=(f"order:{address}",)):
        if context.as_json:
            print_json_line(event)
        else:
            print_line(event_line(event))
        if event["kind"] == "order_closed":
            return


async def _draw_events(client: Client, address: str, told: dict[str, Any]) -> None:
    """Do the same above a table of where the order stands, which is drawn again with each event."""
    screen = console()
    with Live(build_table(("", ""), order_rows(told)), console=screen, transient=True) as live:
        async for event in client.follow(topics=(f"order:{address}",)):
            screen.print(Text(printable(event_line(event))))
            if event["kind"] == "order_closed":
                return
            live.update(build_table(("", ""), order_rows(await client.call("order", id=address))))


@click.command()
@click.argument("order", metavar="ORDER")
@click.option("--key-file", type=_FILE, required=True, help="As `bocc order create` wrote it beside the order's file.")
@click.option(
    "--sealed", "sealed_path", type=_FILE, help="The sealed output, if its reference is no file on this machine."
)
@click.option("--save", "path", type=click.Path(path_type=Path, dir_okay=False), help="Write it there.")
@common_options
def output(context: Context, order: str, key_file: Path, sealed_path: Path | None, path: Path | None) -> None:
    """Open what came out of an order: its last output, checked against the digest on the chain.

    It is sealed to the result key of the order, so only who has that key can read it. A terminal shows texts alone, with what would
    steer it escaped; a file or another program gets the bytes as they are.
    """
    address = parse_order(order)
    key = read_result_key(key_file).private_bytes_raw()
    chain_id, told = ask(context, lambda client: _ask_output(client, format_address(address)))
    sealed = (sealed_path or _local_path(told["reference"])).read_bytes()
    content = open_output(sealed, key, chain_id, address)
    if sha256(content).hexdigest() != told["root"]:
        raise InputRejected(InputReason.BAD_OUTPUT, sha256(content).hexdigest(), told["root"])
    shown = _as_text(content) if path is None and not context.as_json and is_terminal() else content
    if path is not None:
        _write_private(path, content)
    if context.as_json:
        print_json({"root": told["root"], "bytes": len(content), "saved": None if path is None else str(path)})
    elif path is not None:
        print_line(f"{len(content)} bytes in {path}, with the digest that the enclave signed: {told['root']}")
    else:
        click.echo(shown, nl=False)


def _as_text(content: bytes) -> str:
    """Return an output as a terminal may show it: nothing in it colours, moves or hides anything.

    Raises:
        InputRejected: BAD_OUTPUT: it is no text.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InputRejected(InputReason.BAD_OUTPUT, f"{len(content)} bytes that are no text", "--save FILE, or a pipe")
    return "".join(
        character if character.isprintable() or character in "\n\t" else ascii(character)[1:-1] for character in text
    )


async def _ask_output(client: Client, address: str) -> tuple[bytes, dict[str, Any]]:
    """Return the chain's identity, and root and reference of an order's last output.

    Raises:
        InputRejected: BAD_OUTPUT: there is none.
    """
    told = await client.call("order", id=address)
    found = None if told["run"] is None else told["run"]["output"]
    if found is None:
        raise InputRejected(
            InputReason.BAD_OUTPUT, f"none yet, the order is {told['state']}", "an order with an output"
        )
    return await client.chain_id(), found


def _local_path(reference: str) -> Path:
    """Return the file of this machine that a reference names.

    Raises:
        InputRejected: BAD_OUTPUT: it is elsewhere, or no file: whoever served the order may name a pipe or a device without an end.
    """
    parts = urlsplit(reference)
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
        raise InputRejected(InputReason.BAD_OUTPUT, reference or "no reference", "fetch it, and give --sealed FILE")
    path = Path(unquote(parts.path))
    if not path.is_file():
        raise InputRejected(
            InputReason.BAD_OUTPUT, f"{reference}: no file of this machine", "fetch it, and give --sealed FILE"
        )
    return path


def _write_private(path: Path, content: bytes) -> None:
    """Write what was sealed so that nobody else on this machine can read it."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE_MODE), "wb") as file:
        file.write(content)
