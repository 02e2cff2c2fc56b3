"""`bocc order open|accept|grant`: the sides of an order that are not its customer's."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import click

from bocc.cli.asking import ask, trust_option
from bocc.cli.context import Context, common_options, run
from bocc.cli.order_text import print_open_orders, print_proven_grant
from bocc.cli.output import print_json, print_line
from bocc.cli.sending import AMOUNT, Sending, sending_options
from bocc.client import Client
from bocc.errors import InputReason, InputRejected
from bocc.market.fitting import find_fit, find_penalty_bound, find_plan
from bocc.market.forms import parse_enclave, parse_order
from bocc.market.grant_proofs import prove_grant
from bocc.market.grants import ask_grant, build_grant
from state.address import format_address, parse_address
from state.genesis import Genesis
from state.genesis_file import parse_genesis
from state.order_messages import Accept

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
PAGE: Final = 20
ORDERS_MAX: Final = 200
"""Open orders looked at, the newest first."""
_UNVERIFIED: Final = (
    "Not verified: the order's enclave, its seal key, level and program are as the node says."
    " --trust GENESIS verifies them."
)


@click.command(name="open")
@click.option("--operator", required=True, metavar="ADDRESS|NAME", help="Whose enclaves.")
@click.option("--all", "shows_all", is_flag=True, help="Orders that fit none of them, too.")
@common_options
def open_orders(context: Context, operator: str, shows_all: bool) -> None:
    """List the orders that wait for a provider, and which enclave of yours fits each.

    An order fits an enclave if its level, its machine and its image are what the order asks for. Policies and constraints are
    judged when you accept: `bocc order accept ... --dry-run` tells.
    """
    address = context.address(operator)
    orders, enclaves = ask(context, lambda client: _ask_open(client, address))
    found = [(order, find_fit(order, enclaves)) for order in orders]
    shown = [(order, fit) for order, fit in found if fit is not None or shows_all]
    if context.as_json:
        print_json([{"order": order, "enclave": fit} for order, fit in shown])
    elif shown:
        print_open_orders([(order, fit or "") for order, fit in shown], time.time_ns() // 1_000_000)
    else:
        print_line(f"{len(orders)} orders are open; none of them fits an enclave of {address}.")


async def _ask_open(client: Client, operator: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return open orders, and the usable enclaves of an operator."""
    orders = await _ask_all(client, "orders", "orders", open=True)
    enclaves = await _ask_all(client, "enclaves", "enclaves", operator=operator)
    return orders, [enclave for enclave in enclaves if enclave["is_usable"]]


async def _ask_all(client: Client, method: str, part: str, **wanted: object) -> list[dict[str, Any]]:
    """Return the rows of all pages, up to ORDERS_MAX."""
    rows: list[dict[str, Any]] = []
    cursor: str | None = None
    while len(rows) < ORDERS_MAX:
        page = await client.call(method, **wanted, limit=PAGE, cursor=cursor)
        rows += page[part]
        cursor = page["cursor"]
        if cursor is None:
            break
    return rows


@click.command()
@click.argument("order", metavar="ORDER")
@click.option("--enclave", required=True, metavar="ENCLAVE", help="That shall run it.")
@click.option(
    "--plan",
    type=click.IntRange(0, 255),
    help="Yours, if it names no machine.  [default: the dearest that keeps what it asks]",
)
@click.option(
    "--penalty-max",
    type=AMOUNT,
    help="Of your bond, that may stand for the order.  [default: what its money makes of your promise now]",
)
@sending_options
def accept(sending: Sending, order: str, enclave: str, plan: int | None, penalty_max: int | None) -> int:
    """Take an open order for an enclave of yours.

    A part of your bond then stands for the order: it is the customer's if the enclave does not start in time or falls silent.
    Whoever adds money to the order raises that part; one above --penalty-max is refused.
    """
    address, machine = parse_order(order), parse_enclave(enclave)
    if plan is None or penalty_max is None:
        names = (format_address(address), format_address(machine))
        plan, bound = ask(sending.context, lambda client: _choose_plan(client, *names, plan))
        penalty_max = bound if penalty_max is None else penalty_max
    return sending.send(Accept(order=address, enclave=machine, plan=plan, penalty_max=penalty_max))


async def _choose_plan(client: Client, order: str, enclave: str, plan: int | None) -> tuple[int, int]:
    """Return the plan under which an enclave's machine may take an order, and the most that its penalty then is.

    Raises:
        InputRejected: NO_OFFER: none promises what the order asks.
    """
    told = await client.call("order", id=order)
    hardware = (await client.call("enclave", id=enclave))["hardware"]
    offered = await client.call("resource", id=hardware)
    number = find_plan(told, offered) if plan is None else plan
    penalty_max = None if number is None else find_penalty_bound(told, offered, number)
    if number is None or penalty_max is None:
        bound = "add one by `bocc resource amend --add-plans`; `bocc order show --json` tells what is asked"
        raise InputRejected(InputReason.NO_OFFER, f"no plan of {hardware} promises what the order asks", bound)
    return number, penalty_max


@click.command()
@click.argument("order", metavar="ORDER")
@click.option("--line", type=click.IntRange(0, 15), help="Which line.  [default: the one that needs a key]")
@click.option("--key-file", type=_FILE, help="File with the key, as the content was sealed with it.")
@click.option("--refuse", is_flag=True, help="Give no key; the order ends without a penalty for its provider.")
@trust_option("; what the key is sealed to is then verified")
@sending_options
def grant(
    sending: Sending, order: str, line: int | None, key_file: Path | None, refuse: bool, trust: Path | None
) -> int:
    """Release the key of your data or software to the enclave that runs an order, or refuse.

    The key is sealed to that enclave, for this line of this order alone; nobody else can open it, and the release is public. Look
    at the enclave first: `bocc query enclave ENCLAVE`. Your node says which enclave runs the order, and what its
    key is. A false node could name a key of its own and read yours; with --trust all of it is verified by proofs first.
    """
    if refuse is (key_file is not None):
        raise click.UsageError("give --key-file or --refuse")
    if refuse and trust is not None:
        raise click.UsageError("--trust verifies what a key is sealed to, and --refuse gives none: leave it out")
    key = None if key_file is None else key_file.read_bytes()
    genesis = None if trust is None else parse_genesis(trust.read_bytes())
    address = format_address(parse_order(order))
    return run(_grant(sending, address, line, key, genesis))


async def _grant(sending: Sending, order: str, line: int | None, key: bytes | None, genesis: Genesis | None) -> int:
    async with sending.context.client() as client:
        asked = await ask_grant(client, order, line)
        if genesis is not None:
            now_ms = time.time_ns() // 1_000_000
            proven = await prove_grant(client, genesis, asked, parse_address(sending.sender), now_ms)
            asked = proven.asked
            if not sending.context.as_json:
                print_proven_grant(proven, now_ms)
        elif key is not None:
            click.echo(_UNVERIFIED, err=True)
        message = build_grant(asked, key)
    return await sending.send_messages((message,))


SIDE_COMMANDS: Final = (open_orders, accept, grant)
