"""From an order's file to the message that orders it: offers chosen, releases and plans pinned, money computed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import Struct
from msgspec.structs import replace

from bocc.client import Client
from bocc.errors import InputReason, InputRejected
from bocc.market.costs import Costs, compute_costs, order_bond
from bocc.market.offers import Choice, choose_offers, constraints_of
from bocc.market.order_file import OrderForm, build_workload, check_shape, output_party
from state.address import format_address
from state.order_messages import PlaceOrder
from state.runtime.orders.ordering import build_terms

RESULT_KEY_SUFFIX: Final = ".result.key"
"""Of the file beside an order's with the private part of its result key."""
_KEY_MODE: Final = 0o600


class Draft(Struct, frozen=True):
    """What an order asks of whom, and for how much."""

    message: PlaceOrder
    choices: tuple[Choice, ...]
    costs: Costs
    duration_ms: int
    """From now to the end of the ordered time."""


async def draft_order(
    client: Client, form: OrderForm, folder: Path, *, customer: bytes, result_key: bytes, now_ms: int
) -> Draft:
    """Return the order that a file asks for, as the market stands now.

    Raises:
        InputRejected: BAD_FILE, NO_OFFER.
        RpcRejected: the node refuses; a resource is unknown.
        NodeUnreachable: no answer after all attempts.
        OSError: the file with the arguments cannot be read.
    """
    dates = check_shape(form, now_ms)
    workload = build_workload(form.workload, folder)
    duration_ms = dates.end_by_ms - now_ms
    choices = await choose_offers(client, form, format_address(customer), duration_ms)
    is_any = not choices[0].line.resource
    unpaid = PlaceOrder(
        lines=tuple(choice.line for choice in choices),
        workload=workload,
        result_key=result_key,
        output_to=output_party(form.terms),
        purpose=form.terms.purpose,
        constraints=constraints_of(form),
        level_min=form.terms.level_min,
        machine=form.compute.machine_terms() if is_any else None,
        deposit=0,
        accept_by_ms=dates.accept_by_ms,
        start_by_ms=dates.start_by_ms,
        end_by_ms=dates.end_by_ms,
        attempts=form.terms.attempts,
        after=tuple(sorted(bytes(order) for order in form.terms.after)),
    )
    agreed = tuple(choice.agreed for choice in choices)
    height = int((await client.status())["height"])
    bond = order_bond(build_terms(unpaid, agreed, customer, now_ms, height), await client.price_params())
    costs = compute_costs(agreed, duration_ms, bond)
    deposit = costs.whole if form.terms.deposit is None else int(form.terms.deposit)
    if deposit < costs.least:
        raise InputRejected(
            InputReason.BAD_FILE, f"terms.deposit: {deposit}ubocc", f"at least {costs.least}ubocc, the least cost"
        )
    message = replace(unpaid, deposit=deposit)
    return Draft(message, tuple(choices), costs, duration_ms)


def find_result_key(form: OrderForm, order_path: Path, *, keeps: bool) -> tuple[bytes, Path | None]:
    """Return the X25519 key to which the output shall be sealed, and the file with its private part if it is ours.

    Without a key in the order's file one is made; it is written beside that file if it shall be kept, and found there next time.

    Raises:
        InputRejected: BAD_FILE: the file of the key holds something else.
    """
    if form.terms.result_key is not None:
        return bytes(form.terms.result_key), None
    path = order_path.with_suffix(RESULT_KEY_SUFFIX)
    if path.exists():
        return read_result_key(path).public_key().public_bytes_raw(), path
    key = X25519PrivateKey.generate()
    if keeps:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _KEY_MODE)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key.private_bytes_raw().hex() + "\n")
    return key.public_key().public_bytes_raw(), path


def read_result_key(path: Path) -> X25519PrivateKey:
    """Return the private key in a file that `find_result_key` wrote.

    Raises:
        InputRejected: BAD_FILE: it holds something else.
    """
    try:
        return X25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text(encoding="ascii").strip()))
    except ValueError as error:
        raise InputRejected(InputReason.BAD_FILE, str(path), "64 hex digits, the key of an output") from error
