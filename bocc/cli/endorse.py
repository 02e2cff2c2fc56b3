"""`bocc endorse`: state a claim about a machine, a release, an enclave, a resource or an account, for policies to ask for."""

from __future__ import annotations

import re
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import click
from msgspec import Struct

from bocc.cli.asking import ask
from bocc.cli.context import Context, common_options
from bocc.cli.output import format_time, print_json, print_table
from bocc.cli.query_trust import cursor_option, limit_option, print_more
from bocc.cli.sending import Sending, sending_options
from bocc.durations import parse_duration
from bocc.errors import InputReason, InputRejected
from bocc.market.forms import parse_enclave, parse_resource
from state.address import ADDRESS_BYTES, format_address
from state.policies import SubjectKind
from state.resource_records import numbered_key
from state.trust_messages import Endorse

_PLATFORM: Final = re.compile(r"(?:[0-9a-f]{2}){2,80}", re.ASCII)
_HINT: Final = "an account, boccres1..., boccres1...:RELEASE, boccenc1..., or the hex of a platform as enclaves show it"
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


class Subject(Struct, frozen=True):
    """What an endorsement is about."""

    kind: SubjectKind
    octets: bytes

    def asked(self) -> dict[str, object]:
        """Return it as a node reads it."""
        asked: dict[str, object] = {"subject_kind": self.kind.name.lower()}
        if self.kind is SubjectKind.PLATFORM:
            return asked | {"subject": self.octets.hex()}
        number = self.octets[ADDRESS_BYTES:]
        release = int.from_bytes(number, "big") if number else None
        return asked | {"subject": format_address(self.octets[:ADDRESS_BYTES]), "release": release}


def parse_subject(context: Context, text: str) -> Subject:
    """Return what a text names.

    Raises:
        InputRejected: BAD_SUBJECT, UNKNOWN_NAME.
        AddressRejected: it looks like an address and is none.
    """
    if text.startswith("boccres1"):
        address, _, number = text.partition(":")
        if not number:
            return Subject(SubjectKind.RESOURCE, parse_resource(address))
        if not (number.isascii() and number.isdecimal() and len(number) <= 18):
            raise InputRejected(InputReason.BAD_SUBJECT, text, "a number after the colon")
        return Subject(SubjectKind.RELEASE, numbered_key(parse_resource(address), int(number)))
    if text.startswith("boccenc1"):
        return Subject(SubjectKind.ENCLAVE, parse_enclave(text))
    if _PLATFORM.fullmatch(text) and text not in context.keyring.names():
        return Subject(SubjectKind.PLATFORM, bytes.fromhex(text))
    if text.startswith("bocc1") or text in context.keyring.names():
        return Subject(SubjectKind.ACCOUNT, context.account(text))
    raise InputRejected(InputReason.BAD_SUBJECT, text, _HINT)


class EndorseGroup(click.Group):
    """A group whose first word may be a subject instead of a command: `bocc endorse SUBJECT CLAIM`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take what is no command of the group for the arguments of `claim`."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["claim", *args]
        return super().parse_args(ctx, args)


@click.group(cls=EndorseGroup)
def command() -> None:
    """State claims about others, which policies may ask for.

    \b
      bocc endorse SUBJECT CLAIM --from NAME [--until 90d] [--statement FILE]
      bocc endorse SUBJECT CLAIM --from NAME --revoke
      bocc endorse SUBJECT CLAIM --help               all options
      bocc endorse list --endorser NAME

    SUBJECT is an account, a resource (boccres1...), a release (boccres1...:3), an enclave (boccenc1...), or a machine or GPU by the
    hex of its platform. CLAIM is a word such as reproduced or data-centre.
    """  # noqa: D301  \b is click's mark for lines that keep their breaks


@command.command(hidden=True)
@click.argument("subject", metavar="SUBJECT")
@click.argument("word", metavar="CLAIM")
@click.option("--until", default="90d", show_default=True, metavar="DURATION", help="How long it counts.")
@click.option("--statement", type=_FILE, help="File with the statement in full; the chain gets its SHA-256.")
@click.option("--revoke", is_flag=True, help="Take the claim back.")
@sending_options
def claim(sending: Sending, subject: str, word: str, until: str, statement: Path | None, revoke: bool) -> int:
    """State a CLAIM about a SUBJECT, replace an older one, or take it back. It locks a bond until it no longer counts."""
    if revoke and statement is not None:
        raise click.UsageError("what is taken back has no statement")
    named = parse_subject(sending.context, subject)
    now_ms = time.time_ns() // 1_000_000
    return sending.send(
        Endorse(
            subject_kind=named.kind,
            subject=named.octets,
            claim=word,
            statement_hash=b"" if statement is None else sha256(statement.read_bytes()).digest(),
            until_ms=0 if revoke else now_ms + parse_duration(until),
        )
    )


@command.command(name="list")
@click.option("--endorser", metavar="ADDRESS|NAME", help="What this account says.")
@click.option("--subject", metavar="SUBJECT", help="What is said about this.")
@limit_option(50)
@cursor_option
@common_options
def list_endorsements(
    context: Context, endorser: str | None, subject: str | None, limit: int, cursor: str | None
) -> None:
    """List what an account says about others, or what is said about a SUBJECT."""
    if (endorser is None) is (subject is None):
        raise click.UsageError("give --endorser or --subject")
    asked: dict[str, Any] = (
        {"endorser": context.address(endorser)}
        if endorser is not None
        else parse_subject(context, subject or "").asked()
    )
    told = ask(context, lambda client: client.call("endorsements", **asked, limit=limit, cursor=cursor))
    if context.as_json:
        print_json(told)
        return
    print_table(
        ("endorser", "says", "of", "until", "counts"),
        [
            (
                one["endorser"],
                one["claim"],
                one["subject"] if one["release"] is None else f"{one['subject']}:{one['release']}",
                format_time(one["until_ms"]),
                "yes" if one["counts"] else "no",
            )
            for one in told["endorsements"]
        ],
    )
    print_more(told["cursor"])
