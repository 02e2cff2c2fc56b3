"""`bocc order`: order work, follow it, pay for it, end it; and the other sides of it, of providers and owners."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from bocc.cli.asking import ask, prove_option
from bocc.cli.context import Context, common_options, run
from bocc.cli.order_sides import SIDE_COMMANDS
from bocc.cli.order_text import print_draft, print_order, print_orders
from bocc.cli.order_watch import output, watch
from bocc.cli.output import print_json, print_line
from bocc.cli.query_trust import cursor_option, limit_option, print_more
from bocc.cli.sending import (
    POSITIVE_AMOUNT,
    Sending,
    outcome_code,
    print_checks,
    print_outcome,
    print_written,
    sending_options,
)
from bocc.durations import format_duration
from bocc.market.drafts import draft_order, find_result_key
from bocc.market.forms import parse_enclave, parse_order, parse_resource, read_form
from bocc.market.order_file import OrderForm, check_shape
from bocc.market.order_template import TEMPLATE, simulated_template
from node.api.describe_chain import describe_body
from state.address import format_address, parse_address
from state.order_messages import Close, Fund, order_address
from state.order_terms import Mark
from state.transactions import Transaction

_STATES: Final = ("open", "accepted", "running", "stalled", "closed")
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def command() -> None:
    """Order work on data, software and machines, and follow it to its end.

    \b
    As a customer:
      bocc order init > order.toml            say what you want
      bocc order validate order.toml          check it without a node
      bocc order create order.toml --from alice --dry-run
      bocc order create order.toml --from alice
      bocc order watch ORDER
      bocc order output ORDER --key-file order.result.key

    As a provider: `open`, `accept`. As an owner of sealed data or software: `grant`.
    """  # noqa: D301  \b is click's mark for lines that keep their breaks


@command.command()
@click.option("--simulated", is_flag=True, help="One that the SIMULATED provider of a local network takes as it is.")
def init(simulated: bool) -> None:
    """Print an order to fill in, with comments."""
    click.echo(simulated_template() if simulated else TEMPLATE, nl=False)


@command.command()
@click.argument("file", type=_FILE)
@common_options
def validate(context: Context, file: Path) -> None:
    """Check an order's FILE without a node: names, types, dates, shape. Exit code 1 if something is wrong."""
    now_ms = time.time_ns() // 1_000_000
    form = read_form(file, OrderForm, context.account)
    dates = check_shape(form, now_ms)
    lines = [want.place for want in form.wants()]
    if context.as_json:
        print_json({"lines": lines, **msgspec.to_builtins(dates)})
        return
    duration = format_duration(dates.end_by_ms - now_ms)
    print_line(f"{file} is well formed: {', '.join(lines)}; over {duration} from now.")


@command.command()
@click.argument("file", type=_FILE)
@sending_options
def create(sending: Sending, file: Path) -> int:
    """Order what FILE asks for.

    Lines that name no resource take the cheapest offer of the market that fits. Releases, plans and prices are pinned as they are
    now. The order's address is printed before it is sent. With --dry-run the exact transaction and every check of the node are
    shown, and nothing is sent.
    """
    return run(_create(sending, file))


async def _create(sending: Sending, file: Path) -> int:
    context, customer = sending.context, parse_address(sending.sender)
    form = read_form(file, OrderForm, context.account)
    result_key, key_path = find_result_key(form, file, keeps=not sending.is_dry_run)
    async with context.client() as client:
        draft = await draft_order(
            client,
            form,
            file.parent,
            customer=customer,
            result_key=result_key,
            now_ms=time.time_ns() // 1_000_000,
        )
        chain_id = await client.chain_id()

        def name_of(transaction: Transaction) -> str:
            return format_address(order_address(chain_id, customer, transaction.body.nonce, 0))

        if sending.is_dry_run:
            transaction = await sending.build(client, (draft.message,))
            checks = await client.explain(transaction)
            body = msgspec.to_builtins(describe_body(transaction))
            if context.as_json:
                named_tx = {"order": name_of(transaction), "tx": transaction.encoded.hex()}
                return print_checks(context, checks | named_tx | {"body": body})
            print_json(body)
            print_line("")
            print_draft(draft, transaction.body.fee, name_of(transaction))
            print_line("")
            return print_checks(context, checks)

        named: list[str] = []

        def tell(transaction: Transaction) -> None:
            named[:] = [name_of(transaction)]
            if not context.as_json:
                print_draft(draft, transaction.body.fee, named[0])
                print_line("")

        if sending.out is not None:
            written = await sending.write(client, sending.out, (draft.message,))
            tell(written.transaction)
            code = print_written(context, sending.out, written)
            if key_path is not None and not context.as_json:
                print_line(f"The output will be sealed to the key in {key_path}: keep it.")
            return code
        outcome = await sending.submit(client, (draft.message,), tell)
    if context.as_json:
        key_file = None if key_path is None else str(key_path)
        print_json({"order": named[0], "key_file": key_file, **msgspec.to_builtins(outcome)})
        return outcome_code(outcome, sending.wait)
    code = print_outcome(context, outcome, sending.wait)
    if outcome.has_succeeded:
        if key_path is not None:
            print_line(f"The output will be sealed to the key in {key_path}: keep it.")
        print_line(f"Follow it: bocc order watch {named[0]}")
    return code


@command.command(name="list")
@click.option("--customer", metavar="ADDRESS|NAME", help="Whose orders.")
@click.option(
    "--operator", metavar="ADDRESS|NAME", help="Those that it has accepted; with --state closed, those that it served."
)
@click.option("--enclave", metavar="ENCLAVE", help="Those that it works on.")
@click.option("--resource", metavar="RESOURCE", help="Those that use it and are not closed.")
@click.option("--open", "is_open", is_flag=True, help="Those that wait for a provider.")
@click.option("--state", type=click.Choice(_STATES))
@limit_option(20)
@cursor_option
@common_options
def list_orders(
    context: Context,
    customer: str | None,
    operator: str | None,
    enclave: str | None,
    resource: str | None,
    is_open: bool,
    state: str | None,
    limit: int,
    cursor: str | None,
) -> None:
    """List orders, the newest first: all on record, or those of one party."""
    wanted: dict[str, Any] = {
        "customer": None if customer is None else context.address(customer),
        "operator": None if operator is None else context.address(operator),
        "enclave": None if enclave is None else format_address(parse_enclave(enclave)),
        "resource": None if resource is None else format_address(parse_resource(resource)),
        "open": is_open or None,
        "state": state,
    }
    told = ask(context, lambda client: client.call("orders", **wanted, limit=limit, cursor=cursor))
    if context.as_json:
        print_json(told)
        return
    print_orders(told["orders"])
    print_more(told["cursor"])


@command.command()
@click.argument("order", metavar="ORDER")
@prove_option
@common_options
def show(context: Context, order: str, prove: bool) -> None:
    """Show an order: state, lines, money, dates, keys, receipts."""
    address = format_address(parse_order(order))
    told = ask(context, lambda client: client.call("order", id=address, prove=prove or None))
    if context.as_json or prove:
        print_json(told)
    else:
        print_order(told)


@command.command()
@click.argument("order", metavar="ORDER")
@click.argument("amount", type=POSITIVE_AMOUNT)
@sending_options
def fund(sending: Sending, order: str, amount: int) -> int:
    """Add money to an order's escrow. Anybody may; what is left at the end goes back to who gave last first."""
    return sending.send(Fund(order=parse_order(order), amount=amount))


@command.command()
@click.argument("order", metavar="ORDER")
@sending_options
def close(sending: Sending, order: str) -> int:
    """End an order, as its customer, its provider, or the owner of one of its lines.

    A customer's order ends at once: least terms of what has started are paid, the rest comes back. The notice of a provider or an
    owner runs first, as long as the plan says.
    """
    return sending.send(Close(order=parse_order(order), mark=Mark.NONE))


@command.command(name="mark")
@click.argument("order", metavar="ORDER")
@click.argument("mark", type=click.Choice(("good", "bad")))
@sending_options
def mark_order(sending: Sending, order: str, mark: str) -> int:
    """Say once what you, its customer, think of a closed order; it counts in the provider's statistics."""
    return sending.send(Close(order=parse_order(order), mark=Mark[mark.upper()]))


for other_command in (watch, output, *SIDE_COMMANDS):
    command.add_command(other_command)
