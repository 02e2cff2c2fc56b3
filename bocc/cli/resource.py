"""`bocc resource`: offer data, software and hardware, change the offer, and see who uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from bocc.cli.asking import ask, prove_option
from bocc.cli.context import Context, common_options, run
from bocc.cli.output import print_json, print_line
from bocc.cli.query_market import usage
from bocc.cli.query_trust import cursor_option, limit_option, print_more, print_notice
from bocc.cli.resource_amend import amend
from bocc.cli.resource_text import print_resource, print_resources, print_who_can_use
from bocc.cli.sending import Sending, outcome_code, print_outcome, sending_options
from bocc.durations import parse_duration
from bocc.market.forms import parse_resource, read_form
from bocc.market.resource_file import SEALED_SUFFIX, ReleaseForm, ResourceForm, build_publish, build_release_publish
from bocc.market.resource_templates import TEMPLATES
from bocc.policy_text import format_told_policy
from state.address import format_address
from state.resource_messages import Assign
from state.trust_messages import Publish, Supersede

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def command() -> None:
    """Offer data, software and machines, change what is offered, and see who uses it.

    \b
      bocc resource init data > resource.toml      say what you offer
      bocc resource publish resource.toml --from alice --dry-run
      bocc resource publish resource.toml --from alice
      bocc resource usage RESOURCE                 who used it, and which enclave proved what

    Others order it by `bocc order`. What sealed data need is `bocc order grant`.
    """  # noqa: D301  \b is click's mark for lines that keep their breaks


@command.command()
@click.argument("kind", type=click.Choice(list(TEMPLATES)))
def init(kind: str) -> None:
    """Print a file to fill in for a KIND of resource, with comments."""
    click.echo(TEMPLATES[kind], nl=False)


@command.command()
@click.argument("file", type=_FILE)
@sending_options
def publish(sending: Sending, file: Path) -> int:
    """Offer what FILE says, and print the address that the chain gives it.

    The content of a release stays where it is; the chain gets its SHA-256. With key_file it is sealed first, to a file beside it.
    """
    form = read_form(file, ResourceForm, sending.context.account)
    return run(_publish(sending, build_publish(form, file.parent, keeps=not sending.is_dry_run), form.release))


async def _publish(sending: Sending, message: Publish, release: ReleaseForm | None) -> int:
    """Send a new resource and tell its address, and which files of its release were sealed with which key."""
    if sending.sends_nothing:
        return await sending.send_messages((message,))
    async with sending.context.client() as client:
        outcome = await sending.submit(client, (message,))
        address: str | None = None
        if outcome.has_succeeded:
            # The newest resource of the owner, unless another command of its published at the same time.
            page = await client.call("resources", owner=sending.sender, limit=1)
            address = next((row["id"] for row in page["resources"] if row["title"] == message.title), None)
    if sending.context.as_json:
        print_json({"resource": address, **msgspec.to_builtins(outcome)})
        return outcome_code(outcome, sending.wait)
    code = print_outcome(sending.context, outcome, sending.wait)
    if address is not None:
        print_line(f"Published: {address}")
        if release is not None and release.key_file is not None:
            print_line(f"Sealed: {release.content}{SEALED_SUFFIX}; its key is in {release.key_file}: keep it.")
    return code


@command.command()
@click.argument("resource", metavar="RESOURCE")
@click.argument("file", type=_FILE)
@click.option(
    "--supersede",
    default="all",
    show_default=True,
    metavar="all|none|N,N",
    help="Which older releases it replaces: after the notice they are revoked.",
)
@click.option("--notice", default="30d", show_default=True, metavar="DURATION", help="How long those still count.")
@sending_options
def release(sending: Sending, resource: str, file: Path, supersede: str, notice: str) -> int:
    """Add the release that FILE says to a resource of yours; all else in FILE stays as it is on the chain."""
    form = read_form(file, ResourceForm, sending.context.account)
    superseded = _parse_superseded(supersede)
    notice_ms = 0 if superseded is Supersede.NONE else parse_duration(notice)
    keeps = not sending.is_dry_run
    return sending.send(
        build_release_publish(form, file.parent, parse_resource(resource), superseded, notice_ms, keeps=keeps)
    )


def _parse_superseded(text: str) -> Supersede | tuple[int, ...]:
    """Return which releases are replaced."""
    if text in {"all", "none"}:
        return Supersede[text.upper()]
    try:
        return tuple(sorted({int(number) for number in text.split(",")}))
    except ValueError as error:
        raise click.BadParameter(f"{text}: all, none, or numbers as in 0,2", param_hint="--supersede") from error


@command.command()
@click.argument("resource", metavar="RESOURCE")
@click.argument("to", metavar="ADDRESS|NAME")
@click.option("--keep-payees", is_flag=True, help="Share the income as before; otherwise all of it is the new owner's.")
@sending_options
def assign(sending: Sending, resource: str, to: str, keep_payees: bool) -> int:
    """Give a resource of yours to another account, which must sign too.

    \b
    If its key is in another home, they sign one after the other:
      bocc resource assign RESOURCE ADDRESS --from owner --out assign.json
      bocc tx sign assign.json --from other         in the other home, after a look at it
      bocc tx send assign.json                      by either

    --cosigner names it if it is here. Running orders go on. A machine with live enclaves stays with its operator.
    """  # noqa: D301  \b is click's mark for lines that keep their breaks
    message = Assign(resource=parse_resource(resource), to=sending.context.account(to), keeps_payees=keep_payees)
    return sending.send(message)


@command.command(name="list")
@click.option("--owner", metavar="ADDRESS|NAME")
@click.option("--kind", type=click.Choice(list(TEMPLATES)))
@click.option("--category", metavar="WORD")
@click.option("--status", type=click.Choice(("active", "paused", "retired")))
@limit_option(50)
@cursor_option
@common_options
def list_resources(
    context: Context,
    owner: str | None,
    kind: str | None,
    category: str | None,
    status: str | None,
    limit: int,
    cursor: str | None,
) -> None:
    """List resources, the newest first. What takes orders now: `bocc query market`."""
    wanted: dict[str, Any] = {
        "owner": None if owner is None else context.address(owner),
        "kind": kind,
        "category": category,
        "status": status,
    }
    told = ask(context, lambda client: client.call("resources", **wanted, limit=limit, cursor=cursor))
    if context.as_json:
        print_json(told)
        return
    print_resources(told["resources"])
    print_more(told["cursor"])


@command.command()
@click.argument("resource", metavar="RESOURCE")
@prove_option
@click.option("--policy", "is_policy", is_flag=True, help="Its policy alone, as a text that `amend --policy` takes.")
@common_options
def show(context: Context, resource: str, prove: bool, is_policy: bool) -> None:
    """Show a resource: its policy, its plans, its releases, what is in use."""
    address = format_address(parse_resource(resource))
    told = ask(context, lambda client: client.call("resource", id=address, prove=prove or None))
    if is_policy:
        print_line(format_told_policy(told["policy"]))
    elif context.as_json or prove:
        print_json(told)
    else:
        print_resource(told)


@command.command(name="who-can-use")
@click.argument("resource", metavar="RESOURCE")
@limit_option(100)
@cursor_option
@common_options
def who_can_use(context: Context, resource: str, limit: int, cursor: str | None) -> None:
    """Show who is not ruled out by a resource's policy: customers, software, enclaves. Nothing of an order is known yet."""
    address = format_address(parse_resource(resource))
    told = ask(context, lambda client: client.call("who_can_use", resource=address, limit=limit, cursor=cursor))
    if context.as_json:
        print_json(told)
        return
    print_notice(told)
    print_who_can_use(told)
    print_more(told["cursor"])


for other_command in (amend, usage):
    command.add_command(other_command)
