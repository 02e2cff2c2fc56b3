"""The ledger of use: one row for each start of an order with a resource, numbered without gaps.

How many rows a resource has stands in a small record of its own, which each start writes: a proof of it proves that no further
row exists.
"""

from __future__ import annotations

from msgspec.structs import replace

from state.order_records import ORDER_RUNS, USAGE, Order, OrderTerms, UsageRow, usage_key
from state.receipts import EventKind
from state.resource_records import RESOURCE_USES
from state.runtime.context import Context
from state.runtime.order_books import resource_of


def open_usage(context: Context, address: bytes, terms: OrderTerms, order: Order) -> tuple[int, ...]:
    """Write a row for each line of an order that has just started, and return their numbers."""
    ledger, numbers = context.ledger, []
    for line in terms.lines:
        name = resource_of(order, line)
        use = ledger.get(RESOURCE_USES, name)
        number = use.count
        row = UsageRow(
            order=address,
            release=line.release,
            enclave=order.enclave,
            customer=terms.customer,
            height=context.height,
            time_ms=context.time_ms,
            start_receipt=order.head,
            output_receipt=b"",
            erase_receipt=b"",
        )
        ledger.put(USAGE, usage_key(name, number), row)
        ledger.put(RESOURCE_USES, name, replace(use, count=number + 1))
        numbers.append(number)
        context.emit(
            EventKind.USED,
            resource=name,
            number=number,
            order=address,
            release=line.release,
            enclave=order.enclave,
        )
    return tuple(numbers)


def note_output(context: Context, address: bytes, terms: OrderTerms, order: Order) -> None:
    """Put the receipt of an output, the order's head, into the rows of its present start."""
    for name, number in _rows(context, address, terms, order):
        row = context.ledger.get(USAGE, usage_key(name, number))
        context.ledger.put(USAGE, usage_key(name, number), replace(row, output_receipt=order.head))


def note_erase(context: Context, address: bytes, terms: OrderTerms, order: Order) -> None:
    """Put the receipt of an erasure, the order's head, into the rows of its last start."""
    for name, number in _rows(context, address, terms, order):
        row = context.ledger.get(USAGE, usage_key(name, number))
        context.ledger.put(USAGE, usage_key(name, number), replace(row, erase_receipt=order.head))


def _rows(context: Context, address: bytes, terms: OrderTerms, order: Order) -> list[tuple[bytes, int]]:
    run = context.ledger.get(ORDER_RUNS, address)
    rows = zip(terms.lines, run.usages, strict=True)
    return [(resource_of(order, line), number) for line, number in rows if number is not None]
