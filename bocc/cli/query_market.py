"""`bocc query market|provider|usage`: what is on offer, how providers serve, and who used a resource."""

from __future__ import annotations

from typing import Any, Final

import click

from bocc.amounts import format_amount
from bocc.cli.asking import ask
from bocc.cli.context import Context, common_options
from bocc.cli.output import print_fields, print_json
from bocc.cli.query_trust import cursor_option, limit_option, print_more
from bocc.cli.resource_text import print_offers, print_usage
from bocc.cli.sending import AMOUNT
from bocc.durations import format_duration
from bocc.market.forms import parse_resource
from state.address import format_address

_TEES: Final = ("sgx", "tdx", "sev_snp", "nitro")
_AMOUNT_OF: Final = click.IntRange(min=0)


@click.command()
@click.option("--kind", type=click.Choice(("data", "software", "hardware")))
@click.option("--category", metavar="WORD")
@click.option("--tee", type=click.Choice(_TEES))
@click.option("--level-min", type=click.IntRange(0, 5), help="Least level of a machine's best enclave.")
@click.option("--unit", type=click.Choice(("once", "second", "gb_second", "use")))
@click.option("--price-max", type=AMOUNT, help="Per unit.")
@click.option("--vcpus", type=_AMOUNT_OF, help="Of one unit, at least; so for the following.")
@click.option("--memory-mib", type=_AMOUNT_OF)
@click.option("--disk-mib", type=_AMOUNT_OF)
@click.option("--network-mbps", type=_AMOUNT_OF)
@click.option("--gpu", "gpu_model", metavar="MODEL")
@click.option("--gpu-count", type=click.IntRange(1, 1_024))
@click.option("--customer", metavar="ADDRESS|NAME", help="Whom policies must not rule out.")
@limit_option(20)
@cursor_option
@common_options
def market(
    context: Context, /, price_max: int | None, customer: str | None, **wanted: Any
) -> None:  # options as the node names them
    """Show what takes orders now: open plans with something free, and how their providers serve."""
    asked = wanted | {
        "price_max": None if price_max is None else str(price_max),
        "customer": None if customer is None else context.address(customer),
    }
    told = ask(context, lambda client: client.call("market", **asked))
    if context.as_json:
        print_json(told)
        return
    print_offers(told["offers"])
    print_more(told["cursor"])


@click.command()
@click.argument("account", metavar="ADDRESS|NAME")
@common_options
def provider(context: Context, account: str) -> None:
    """Show how an account provides: bond, machines, enclaves, running orders, and how it has served."""
    address = context.address(account)
    told = ask(context, lambda client: client.call("provider", account=address))
    if context.as_json:
        print_json(told)
        return
    service = dict(told["service"])
    for name in ("earned", "penalties"):
        service[name] = format_amount(int(service[name]))
    service["served"] = format_duration(service.pop("served_ms"))
    money = {name: format_amount(int(told[name])) for name in ("bond", "bond_locked")}
    print_fields({**told, **money, "service": service})


@click.command()
@click.argument("resource", metavar="RESOURCE")
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True, help="Number of the first row.")
@click.option("--last", type=click.IntRange(min=0), help="Number of the last row.")
@click.option("--prove", is_flag=True, help="With proofs of these rows and of how many there are.")
@limit_option(100)
@common_options
def usage(context: Context, resource: str, first: int, last: int | None, prove: bool, limit: int) -> None:
    """Show who used a resource: the ledger of its uses, numbered without gaps."""
    asked: dict[str, object] = {"resource": format_address(parse_resource(resource)), "from": first, "to": last}
    told = ask(context, lambda client: client.call("usage", **asked, limit=limit, prove=prove or None))
    if context.as_json or prove:
        print_json(told)
    else:
        print_usage(told)


MARKET_COMMANDS: Final = (market, provider, usage)
