"""`bocc query enclave|enclaves|forecast|resource`: what a chain knows of confidential hardware."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from bocc.cli.asking import ask, prove_option
from bocc.cli.context import Context, common_options
from bocc.cli.output import format_time, print_fields, print_json, print_line, print_table

_TEES: Final = ("sgx", "tdx", "sev_snp", "nitro")
_STATES: Final = ("trusted", "grace", "suspended", "expired", "revoked")


def limit_option(limit_max: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command --limit."""
    return click.option("--limit", type=click.IntRange(1, limit_max), default=20, show_default=True)


cursor_option = click.option("--cursor", help="Of an earlier page, to go on from there.")


@click.command()
@click.argument("address", metavar="ENCLAVE")
@prove_option
@common_options
def enclave(context: Context, address: str, prove: bool) -> None:
    """Show an enclave: level, state, measurements, dates."""
    told = ask(context, lambda client: client.call("enclave", id=address, prove=prove or None))
    if context.as_json or prove:
        print_json(told)
        return
    times = {name: format_time(told[name]) for name in ("attested_ms", "expires_ms")}
    print_notice(told)
    print_fields(
        {name: content for name, content in (told | times).items() if name not in {"claims", "proof", "notice"}}
    )
    print_line("The claims in full: --json")


@click.command()
@click.option("--operator", metavar="ADDRESS|NAME", help="Whose; those that are over too.")
@click.option("--hardware", metavar="RESOURCE")
@click.option("--image", metavar="RESOURCE", help="Which software they run.")
@click.option("--tee", type=click.Choice(_TEES))
@click.option("--state", type=click.Choice(_STATES))
@click.option("--level-min", type=click.IntRange(0, 5), help="Least level.")
@limit_option(50)
@cursor_option
@common_options
def enclaves(
    context: Context,
    operator: str | None,
    hardware: str | None,
    image: str | None,
    tee: str | None,
    state: str | None,
    level_min: int | None,
    limit: int,
    cursor: str | None,
) -> None:
    """List enclaves; without --operator only those that are neither expired nor revoked."""
    wanted: dict[str, Any] = {
        "operator": None if operator is None else context.address(operator),
        "hardware": hardware,
        "image": image,
        "tee": tee,
        "state": state,
        "level_min": level_min,
    }
    told = ask(context, lambda client: client.call("enclaves", **wanted, limit=limit, cursor=cursor))
    if context.as_json:
        print_json(told)
        return
    print_enclaves(told["enclaves"])
    print_more(told["cursor"])


@click.command()
@click.argument("address", metavar="ENCLAVE", required=False)
@click.option("--operator", metavar="ADDRESS|NAME", help="All enclaves of this account instead of one.")
@limit_option(25)
@cursor_option
@common_options
def forecast(context: Context, address: str | None, operator: str | None, limit: int, cursor: str | None) -> None:
    """Tell how enclaves will stand by what is known already, and which component is short."""
    if (address is None) is (operator is None):
        raise click.UsageError("give an ENCLAVE or --operator")
    named = None if operator is None else context.address(operator)
    told = ask(
        context, lambda client: client.call("forecast", enclave=address, operator=named, limit=limit, cursor=cursor)
    )
    if context.as_json:
        print_json(told)
        return
    print_forecasts(told["forecasts"])
    print_more(told["cursor"])


@click.command()
@click.argument("address", metavar="RESOURCE")
@prove_option
@common_options
def resource(context: Context, address: str, prove: bool) -> None:
    """Show data, software or hardware on offer."""
    told = ask(context, lambda client: client.call("resource", id=address, prove=prove or None))
    if context.as_json or prove:
        print_json(told)
    else:
        print_fields(told)


def print_enclaves(enclaves: Sequence[dict[str, Any]]) -> None:
    """Print a table of enclaves, simulated ones marked in each line."""
    print_table(
        ("enclave", "tee", "hardware", "state", "level", "until", "reason"),
        [
            (
                one["id"],
                f"{one['tee']} SIMULATED" if one["is_simulated"] else one["tee"],
                one["hardware"],
                one["state"],
                one["level"],
                format_time(one["expires_ms"]),
                one["reason"],
            )
            for one in enclaves
        ],
    )


def print_forecasts(forecasts: Sequence[dict[str, Any]]) -> None:
    """Print a table of forecasts: who falls, when, and what is short."""
    print_table(
        ("enclave", "now", "then", "falls", "when", "short of", "renew documents before"),
        [
            (
                f"{one['enclave']} SIMULATED" if one["is_simulated"] else one["enclave"],
                f"{one['state']}, standing {one['standing']}",
                f"{one['state_then']}, standing {one['standing_then']}",
                "FALLS" if one["falls"] else "no",
                "" if not one["falls"] else "now" if one["due_ms"] is None else format_time(one["due_ms"]),
                ", ".join(f"{short['component']} {short['seen']} < {short['needed']}" for short in one["shortages"]),
                None if one["overdue_ms"] is None else format_time(one["overdue_ms"]),
            )
            for one in forecasts
        ],
    )


def print_notice(told: dict[str, Any]) -> None:
    """Print what people must be told about simulated hardware, if there is anything."""
    if told.get("notice"):
        print_line(f"{told['notice']}\n")


def print_more(cursor: str | None) -> None:
    """Print how to go on with a list, if it goes on."""
    if cursor:
        print_line(f"More: --cursor {cursor}")


TRUST_COMMANDS: Final = (enclave, enclaves, forecast, resource)
