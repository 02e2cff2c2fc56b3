"""`bocc gov`: propose changes, vote on them, and see how they stand."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import msgspec

from bocc.amounts import format_amount
from bocc.cli.asking import ask
from bocc.cli.context import Context, common_options
from bocc.cli.output import format_time, print_fields, print_json, print_line, print_table
from bocc.cli.sending import Sending, sending_options
from bocc.client import Client
from bocc.governance import PAYLOADS, Present, parse_proposal
from bocc.pricing import parse_params
from bocc.proposal_templates import template
from state.address import parse_address
from state.governance_messages import CastVote, VoteChoice
from state.trust_records import APPRAISAL_RULES

CHOICES = [choice.name.lower() for choice in VoteChoice]


@click.group()
def command() -> None:
    """Propose changes and vote on them.

    Everybody may propose; validators vote, each by the account of its operator. `bocc gov template KIND > change.toml` writes what
    `bocc gov propose change.toml --from NAME` sends.
    """


@command.command(name="template")
@click.argument("kind", type=click.Choice(list(PAYLOADS)))
@common_options
def write_template(context: Context, kind: str) -> None:
    """Print a document for a kind of change, with comments and the present values."""
    present = ask(context, ask_present)
    print_line(template(kind, present, time.time_ns() // 1_000_000).rstrip())


@command.command()
@click.argument("document", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@sending_options
def propose(sending: Sending, document: Path) -> int:
    """Put a change to the vote.

    DOCUMENT is TOML, as `bocc gov template` prints it. The deposit comes back when the proposal ends, unless it is vetoed. With
    --dry-run the node tells whether the change can be applied.
    """
    context = sending.context
    present = ask(context, ask_present)
    message = parse_proposal(document.read_bytes(), present, lambda name: parse_address(context.address(name)))
    return sending.send(message)


@command.command()
@click.argument("number", type=click.IntRange(min=1))
@click.argument("choice", type=click.Choice(CHOICES))
@sending_options
def vote(sending: Sending, number: int, choice: str) -> int:
    """Vote as a validator; a later vote takes the place of the one before."""
    return sending.send(CastVote(proposal=number, choice=VoteChoice[choice.upper()]))


@command.command(name="list")
@click.option("--limit", type=click.IntRange(1, 20), default=10, show_default=True)
@click.option("--cursor", help="Of an earlier page, to go on from there.")
@common_options
def list_proposals(context: Context, limit: int, cursor: str | None) -> None:
    """List proposals, newest first."""
    told = ask(context, lambda client: client.call("proposals", limit=limit, cursor=cursor))
    if context.as_json:
        print_json(told)
        return
    print_table(
        ("number", "state", "kind", "yes", "no", "veto", "until", "title"),
        [
            (
                one["number"],
                one["state"],
                one["kind"],
                *(_share(one["power"], name) for name in ("yes", "no", "veto")),
                format_time(one["execute_at_ms"] or one["vote_until_ms"]),
                one["title"],
            )
            for one in told["proposals"]
        ],
    )
    if told["cursor"]:
        print_line(f"Older ones: --cursor {told['cursor']}")


@command.command()
@click.argument("number", type=click.IntRange(min=1))
@common_options
def show(context: Context, number: int) -> None:
    """Show a proposal, what it changes of what is in force now, how it stands, and who has voted."""
    told = ask(context, lambda client: client.call("proposal", number=number))
    if context.as_json:
        print_json(told)
        return
    proposal, changes = told["proposal"], told["changes"]
    power, is_stale = proposal.pop("power"), proposal.pop("is_stale")
    if changes:
        proposal.pop("payload")
    times = {name: format_time(proposal[name]) for name in proposal if name.endswith("_ms") and proposal[name]}
    shares = {name: _share(power, name) for name in CHOICES}
    deposit = format_amount(int(proposal["deposit"]))
    shown = {**proposal, **times, "deposit": deposit, "power": power["total"], **shares}
    print_fields({name: content for name, content in shown.items() if content is not None})
    if is_stale:
        print_line("\nIt will fail (basis_moved): what it replaces was changed since it was proposed. Propose it anew.")
    if changes:
        print_line("")
        print_table(
            ("changes", "present", "proposed"),
            [(one["name"], _text(one["present"]), _text(one["proposed"])) for one in changes],
        )
    _print_voters(told)


def _print_voters(told: dict[str, Any]) -> None:
    """Print who may vote and how they do, as far as that is on record."""
    print_line("")
    if told["voters"] is None:
        print_line("Who voted how is no longer on record.")
        return
    print_table(
        ("validator", "power", "vote", "time"),
        [
            (one["validator"], one["power"], one["choice"], format_time(one["time_ms"]) if one["time_ms"] else None)
            for one in told["voters"]
        ],
    )
    if told["cursor"]:
        print_line("There are more: --json shows the cursor of `proposal`.")


def _text(value: object) -> str:
    """Return any value of a record for people, in full: where the difference is, nobody knows."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


async def ask_present(client: Client) -> Present:
    """Ask for the parameters and the rules of appraisal in force."""
    told = await client.state_proof(APPRAISAL_RULES.prefix.hex())
    return Present(
        params=parse_params(await client.params()),
        rules=APPRAISAL_RULES.codec.decode(bytes.fromhex(told["value"])),
    )


def _share(power: dict[str, Any], name: str) -> str:
    """Return a tally as a share of all power, for people: rounded down to hundredths of a percent."""
    hundredths = power[name] * 10_000 // power["total"]
    return f"{hundredths // 100}.{hundredths % 100:02d} %"
