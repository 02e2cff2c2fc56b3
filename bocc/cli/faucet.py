"""`bocc faucet`: money on development chains."""

from __future__ import annotations

import click

from bocc.amounts import format_amount, parse_amount
from bocc.cli.asking import ask
from bocc.cli.context import Context, common_options
from bocc.cli.output import print_json, print_line
from bocc.cli.sending import AMOUNT


@click.command()
@click.argument("address", metavar="ADDRESS|NAME")
@click.option("--amount", type=AMOUNT, default=parse_amount("100"), help="5 and 0.25 are BOCC.  [default: 100]")
@common_options
def command(context: Context, address: str, amount: int) -> None:
    """Give money to an account on a development chain."""
    named = context.address(address)
    told = ask(context, lambda client: client.faucet(named, amount))
    if context.as_json:
        print_json(told)
    else:
        print_line(f"{format_amount(amount)} for {named}: {told.get('status', 'sent')}")
