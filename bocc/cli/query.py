"""`bocc query`: ask a node."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from bocc.amounts import format_amount
from bocc.cli.asking import answer, ask, height_option, prove_option
from bocc.cli.context import Context, common_options, run
from bocc.cli.output import format_time, print_fields, print_json, print_json_line, print_line, print_table
from bocc.cli.query_market import MARKET_COMMANDS
from bocc.cli.query_trust import TRUST_COMMANDS
from bocc.cli.sending import print_checks
from node.api.describe_chain import describe_body
from state.transactions import parse_transaction


@click.group()
def command() -> None:
    """Ask a node about chain, accounts and network.

    Amounts are in ubocc (10^-6 BOCC). With --json every answer is the node's own.
    """


@command.command()
@common_options
def status(context: Context) -> None:
    """Show height, view, peers and whether the node is syncing."""
    answer(context, lambda client: client.status())


@command.command()
@common_options
def params(context: Context) -> None:
    """Show the parameters in force."""
    answer(context, lambda client: client.params())


@command.command()
@common_options
def genesis(context: Context) -> None:
    """Print the genesis document."""
    print_json(ask(context, lambda client: client.genesis()))


@command.command()
@height_option
@common_options
def validators(context: Context, height: int | None) -> None:
    """Show the validator set."""
    told = ask(context, lambda client: client.validators(height))
    if context.as_json:
        print_json(told)
        return
    members = told["validators"]
    print_table(
        ("index", "address", "power", "public key"),
        [(index, one["address"], one["power"], one["public_key"]) for index, one in enumerate(members)],
    )


@command.command()
@click.argument("height_or_hash", required=False)
@common_options
def block(context: Context, height_or_hash: str | None) -> None:
    """Show a block by height or hash, the newest without either."""
    if height_or_hash is None or height_or_hash.isdecimal():
        height = None if height_or_hash is None else int(height_or_hash)
        answer(context, lambda client: client.block(height))
    else:
        answer(context, lambda client: client.block(block_hash=height_or_hash))


@command.command()
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True)
@click.option("--cursor", help="Of an earlier page, to go on from there.")
@common_options
def blocks(context: Context, limit: int, cursor: str | None) -> None:
    """List recent blocks, newest first."""
    told = ask(context, lambda client: client.blocks(limit, cursor))
    if context.as_json:
        print_json(told)
        return
    print_table(
        ("height", "view", "transactions", "time", "hash"),
        [
            (one["height"], one["view"], one["tx_count"], format_time(one["time_ms"]), one["hash"])
            for one in told["blocks"]
        ],
    )
    if told.get("cursor"):
        print_line(f"Older ones: --cursor {told['cursor']}")


@command.command()
@click.argument("tx_id")
@prove_option
@common_options
def tx(context: Context, tx_id: str, prove: bool) -> None:
    """Show a transaction of a final block."""
    told = ask(context, lambda client: client.tx(tx_id, prove=prove))
    if context.as_json:
        print_json(told)
        return
    if told["body"] is None:
        # A node tells none that is long; the envelope says the same, whatever the chain.
        transaction = parse_transaction(bytes.fromhex(told["envelope"]), b"")
        told["body"] = msgspec.to_builtins(describe_body(transaction))
    print_fields(told)


@command.command()
@click.argument("address", metavar="ADDRESS|NAME")
@height_option
@prove_option
@common_options
def account(context: Context, address: str, height: int | None, prove: bool) -> None:
    """Show balance, nonces and keys of an account."""
    named = context.address(address)
    told = ask(context, lambda client: client.account(named, height, prove=prove))
    if context.as_json or prove:
        print_json(told)
    else:
        balance = f"{told['balance']} ubocc = {format_amount(int(told['balance']))}"
        ranges = f"{len(told['unused_nonces'])} ranges" if told["unused_nonces"] else None
        print_fields(told | {"balance": balance, "unused_nonces": ranges})


@command.command()
@click.argument("key", metavar="HEX")
@height_option
@common_options
def proof(context: Context, key: str, height: int | None) -> None:
    """Print the record under a raw state key, or its absence, with its proof."""
    print_json(ask(context, lambda client: client.state_proof(key, height)))


@command.command()
@common_options
def mempool(context: Context) -> None:
    """Show what waits for a block."""
    answer(context, lambda client: client.mempool())


@command.command()
@common_options
def net(context: Context) -> None:
    """Show the peers of the node."""
    answer(context, lambda client: client.net_info())


@command.command()
@common_options
def consensus(context: Context) -> None:
    """Show the progress of the current view."""
    answer(context, lambda client: client.consensus_state())


@command.command()
@click.option("--after", metavar="CURSOR", help="Only events after this one; from the beginning without.")
@click.option("--topic", "topics", multiple=True, help="Only events of this topic. Repeatable.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=100, show_default=True)
@click.option("--follow", "-f", is_flag=True, help="Go on with each new event, one JSON line each, until Ctrl-C.")
@common_options
def events(context: Context, after: str | None, topics: tuple[str, ...], limit: int, follow: bool) -> None:
    """Show events of final blocks."""
    if follow:
        run(_follow(context, after, topics))
        return
    told = ask(context, lambda client: client.events(after, limit, topics))
    if context.as_json:
        print_json(told)
        return
    for event in told["events"]:
        print_json_line(event)


async def _follow(context: Context, after: str | None, topics: tuple[str, ...]) -> None:
    async with context.client() as client:
        async for event in client.follow(after, topics):
            print_json_line(event)


@command.command()
@click.argument("transaction", metavar="HEX|FILE")
@common_options
def explain(context: Context, transaction: str) -> int:
    """Let a node check a signed transaction without sending it: each rule, what it saw, and what would help.

    TRANSACTION is the envelope in hex, or a file that holds it. For a new one use `bocc tx ... --dry-run`.
    """
    path = Path(transaction)
    encoded = path.read_text(encoding="ascii").strip() if path.is_file() else transaction
    return print_checks(context, ask(context, lambda client: client.call("explain", tx=encoded)))


for other_command in (*TRUST_COMMANDS, *MARKET_COMMANDS):
    command.add_command(other_command)
