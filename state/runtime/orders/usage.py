"""The ledger of use: one row for each start of an order with a resource, numbered without gaps; and uses that keys promise.

How many rows a resource has stands in a small record of its own, which each start writes: a proof of it proves that no further
row exists. A key that is granted to an enclave promises one use to its line: policies count it, so a use is never promised twice.

Invariant: what is promised of a resource is the number of lines with it in `Order.promised`, over all orders; only accepted orders
have any.
"""

from __future__ import annotations

from msgspec.structs import replace

from state.order_records import ORDER_RUNS, USAGE, Order, OrderTerms, UsageRow, usage_key
from state.receipts import EventKind
from state.resource_records import RESOURCE_USES
from state.runtime.context import Context
from state.runtime.orders.books import resource_of


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


def promise_use(context: Context, terms: OrderTerms, order: Order, line_index: int) -> Order:
    """Promise a use to a line whose key is granted to the order's enclave; a key that is granted again promises nothing more."""
    if line_index in order.promised:
        return order
    _move_promised(context, terms.lines[line_index].resource, 1)
    return replace(order, promised=tuple(sorted((*order.promised, line_index))))


def end_promises(context: Context, terms: OrderTerms, order: Order) -> Order:
    """Take back what an order was promised: it starts, which uses it, or leaves its enclave."""
    if not order.promised:
        return order
    for index in order.promised:
        _move_promised(context, terms.lines[index].resource, -1)
    return replace(order, promised=())


def _move_promised(context: Context, resource: bytes, amount: int) -> None:
    use = context.ledger.get(RESOURCE_USES, resource)
    context.ledger.put(RESOURCE_USES, resource, replace(use, promised=use.promised + amount))


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
