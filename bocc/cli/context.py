"""Options that every command takes, and what follows from them: the home, the node, the keys, the form of the output."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import click

from bocc.client import Client
from bocc.errors import InputReason, InputRejected
from bocc.home import find_home, find_url
from bocc.wallet import Keyring
from state import keyfile
from state.address import VALIDATOR_PREFIX, format_address, parse_address
from state.crypto import PUBLIC_KEY_BYTES
from state.keyfile import KeyFile

PASSWORD_VARIABLE: Final = "BOCC_PASSWORD_FILE"  # noqa: S105  the name of a variable

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Context:
    """What one command was told about its surroundings."""

    given_home: Path | None
    node: str | None
    as_json: bool

    @property
    def home(self) -> Path:
        """The home directory in use."""
        return find_home(self.given_home)

    @property
    def keyring(self) -> Keyring:
        """The keys of the home."""
        return Keyring(self.home)

    def client(self) -> Client:
        """Return a client of the node in use; call it within the event loop."""
        return Client(find_url(self.home, self.node))

    def address(self, text: str) -> str:
        """Return the address that a text is, or that the key of this name has.

        Raises:
            InputRejected: UNKNOWN_NAME.
            AddressRejected: it looks like an address and is none.
        """
        names = self.keyring.names()
        if text in names:
            return self.keyring.describe(text).address
        if "1" not in text:
            raise InputRejected(
                InputReason.UNKNOWN_NAME, text, f"an address, or one of {', '.join(names) or 'no keys'}"
            )
        return format_address(parse_address(text))

    def account(self, text: str) -> bytes:
        """Return the 21 bytes of an account named by its key or its address.

        Raises:
            InputRejected: UNKNOWN_NAME.
            AddressRejected: it looks like an address and is none of an account.
        """
        return parse_address(self.address(text))

    def public_key(self, text: str) -> bytes:
        """Return the public key of a name in the keyring, or of 64 hex digits.

        Raises:
            ValueError: neither of the two.
        """
        if text in self.keyring.names():
            return self.keyring.describe(text).public_key
        public_key = bytes.fromhex(text)
        if len(public_key) != PUBLIC_KEY_BYTES:
            raise ValueError("a public key has 64 hex digits")
        return public_key

    def validator_address(self, text: str) -> bytes:
        """Return the 21 bytes of a validator named by its operator's key, by bocc1... or by boccval1....

        Raises:
            InputRejected: UNKNOWN_NAME.
            AddressRejected: none of them.
        """
        if text.startswith(VALIDATOR_PREFIX + "1"):
            return parse_address(text, VALIDATOR_PREFIX)
        return parse_address(self.address(text))

    def load_key(self, name: str, password_file: Path | None) -> KeyFile:
        """Return a key with its seed, asking for the password if there is one and no file gives it."""
        if not self.keyring.describe(name).is_encrypted:
            return self.keyring.load(name)
        return self.keyring.load(name, read_password(password_file, f"Password of {name}"))


def common_options(
    command: Callable[Concatenate[Context, Parameters], Answer],
) -> Callable[..., Answer]:
    """Give a command --home, --node and --json, and pass them as one `Context` before its own parameters."""

    @click.option(
        "--home",
        type=click.Path(path_type=Path),
        help="Home of a testnet or node.  [default: $BOCC_HOME, ~/.bocc/testnet, ~/.bocc]",
    )
    @click.option("--node", metavar="URL|NAME", help="Node to talk to: a URL, or a name such as node1.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON, errors included.")
    @functools.wraps(command)
    def wrapped(
        home: Path | None, node: str | None, as_json: bool, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Answer:
        return command(Context(home, node, as_json), *args, **kwargs)

    return wrapped


def run(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run asynchronous work to its end."""
    return asyncio.run(work)


def password_option(function: Callable[Parameters, Answer]) -> Callable[Parameters, Answer]:
    """Give a command --password-file."""
    return click.option(
        "--password-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        envvar=PASSWORD_VARIABLE,
        show_envvar=True,
        help="File whose first line is the password.",
    )(function)


def read_password(password_file: Path | None, prompt: str, *, confirm: bool = False) -> bytes:
    """Return a password from the first line of a file, or from the terminal; never from the command line.

    Raises:
        click.UsageError: there is neither a file nor a terminal, or the password is empty.
    """
    if password_file is not None:
        password = keyfile.read_password(password_file)
    elif sys.stdin.isatty():
        password = click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True).encode()
    else:
        raise click.UsageError(f"a password is needed: give --password-file or set {PASSWORD_VARIABLE}")
    if not password:
        raise click.UsageError("the password is empty")
    return password
