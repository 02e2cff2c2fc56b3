"""What holds of all orders after every block, found by going through the whole state.

Each law is computed from the orders alone and compared with what the engine keeps elsewhere: money, bonds, slices, stock, lists,
rows of use, deadlines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from state import queries
from state.deadlines import DEADLINES, DeadlineKind
from state.ledger import RecordType, Table
from state.lists import LIST_LENGTHS, ListKind, count_members, list_name, member_at
from state.offers import NO_CAPACITY, Capacity
from state.order_records import (
    ORDER_FUNDS,
    ORDER_GRANTS,
    ORDER_TERMS,
    ORDERS,
    REVIEW_WALKS,
    USAGE,
    Order,
    OrderState,
    OrderTerms,
    line_key,
)
from state.policies import UsesAtMost
from state.records import HOLDINGS
from state.resource_records import PLANS, RESOURCE_USES, RESOURCES, ResourceUse, numbered_key
from state.runtime.capacities import scale_capacity, sum_capacity
from state.runtime.orders.books import next_date, plans_of, resource_of
from state.runtime.orders.table import TRANSITIONS
from tests.support.chain_builders import World

SLOT_MS = 256
"""How late a deadline may fire."""


def check_order_laws(world: World) -> None:
    """Check every law of orders on a world's state."""
    orders = {address: (world.ledger.get(ORDER_TERMS, address), order) for address, order in rows(world, ORDERS)}
    assert orders.keys() == dict(rows(world, ORDER_TERMS)).keys() == dict(rows(world, ORDER_FUNDS)).keys()
    _check_money(world, orders)
    _check_bonds(world, orders)
    _check_slices(world, orders)
    _check_lists(world, orders)
    _check_usage(world, orders)
    _check_dates(world, orders)


_Orders = dict[bytes, tuple[OrderTerms, Order]]


def rows(world: World, table: Table[RecordType]) -> Iterator[tuple[bytes, RecordType]]:
    """Yield id and record of everything in a table."""
    for raw_key in sorted(world.state):
        if raw_key[:1] == table.prefix:
            yield raw_key[1:], world.ledger.find_raw(raw_key)


def _check_money(world: World, orders: _Orders) -> None:
    """All money is somewhere; an escrow is what was put in less what has left; a closed order holds nothing."""
    money = queries.money(world.ledger)
    classes = world.scan()
    assert sum(classes.values()) + money.fee_pool + money.treasury + money.burned == money.issued
    assert classes.get("escrows", 0) == money.escrows == sum(order.held for _, order in orders.values())
    for address, (_, order) in orders.items():
        given = sum(part.amount for part in world.ledger.get(ORDER_FUNDS, address).contributions)
        assert all(0 <= settled <= earned for settled, earned in zip(order.settled, order.earned, strict=True))
        assert sum(order.earned) <= given
        if order.state is OrderState.CLOSED:
            assert (order.held, order.penalty_locked, order.settled) == (0, 0, order.earned)
        else:
            assert order.held == given - sum(order.settled)


def _check_bonds(world: World, orders: _Orders) -> None:
    """What is locked of a provider's bond is what its orders ask for."""
    locked: Counter[bytes] = Counter()
    for _, order in orders.values():
        locked[order.operator] += order.penalty_locked
        assert order.operator or not order.penalty_locked
    found = {address: holdings.provider_locked for address, holdings in rows(world, HOLDINGS)}
    assert {address: amount for address, amount in found.items() if amount} == +locked


def _check_slices(world: World, orders: _Orders) -> None:
    """What is in use of machines and plans is what orders that are not closed hold."""
    in_use: dict[bytes, Capacity] = {}
    stock: Counter[bytes] = Counter()
    for terms, order in orders.values():
        if order.state is OrderState.CLOSED:
            continue
        for line, plan in zip(terms.lines, plans_of(terms, order), strict=True):
            if plan is None:
                continue
            resource = resource_of(order, line)
            stock[numbered_key(resource, plan.number)] += line.quantity
            if order.hardware and world.ledger.get(RESOURCES, resource).capacity is not None:
                taken = scale_capacity(plan.capacity, line.quantity)
                in_use[resource] = sum_capacity(in_use.get(resource, NO_CAPACITY), taken)
    found = {address: resource.in_use for address, resource in rows(world, RESOURCES)}
    for address, capacity in found.items():
        assert capacity is None or capacity == in_use.get(address, NO_CAPACITY)
    assert {key: plan.in_use for key, plan in rows(world, PLANS) if plan.in_use} == dict(stock)


def _check_lists(world: World, orders: _Orders) -> None:
    """An order stands in exactly the lists that its state calls for."""
    expected: dict[bytes, set[bytes]] = {}

    def place(address: bytes, kind: ListKind, name: bytes = b"") -> None:
        expected.setdefault(list_name(kind, name), set()).add(address)

    for address, (terms, order) in orders.items():
        place(address, ListKind.ORDERS)
        place(address, ListKind.CUSTOMER, terms.customer)
        if order.state is OrderState.CLOSED:
            if order.operator:
                place(address, ListKind.SERVED, order.operator)
            continue
        if order.state is OrderState.OPEN:
            place(address, ListKind.OPEN_ORDERS)
            assert (order.enclave, order.operator, order.hardware, order.plan) == (b"", b"", b"", None)
        else:
            place(address, ListKind.PROVIDER, order.operator)
            place(address, ListKind.ENCLAVE, order.enclave)
        for line in terms.lines:
            if resource_of(order, line):
                place(address, ListKind.RESOURCE, resource_of(order, line))
    kinds = (
        ListKind.ORDERS,
        ListKind.OPEN_ORDERS,
        ListKind.CUSTOMER,
        ListKind.PROVIDER,
        ListKind.SERVED,
        ListKind.ENCLAVE,
        ListKind.RESOURCE,
    )
    found = {}
    for name, _ in rows(world, LIST_LENGTHS):
        if name[0] in kinds:
            members = [member_at(world.ledger, name, number) for number in range(count_members(world.ledger, name))]
            assert len(set(members)) == len(members)
            found[name] = set(members)
    assert found == expected
    reviews = list_name(ListKind.REVIEWS)
    waiting = {member_at(world.ledger, reviews, number) for number in range(count_members(world.ledger, reviews))}
    assert waiting == dict(rows(world, REVIEW_WALKS)).keys()


def _check_usage(world: World, orders: _Orders) -> None:
    """Every resource has a count of its rows of use, which have no gaps, and of the lines whose keys wait for a start.

    No key opens more uses than a policy allows that nobody has changed since.
    """
    counts: Counter[bytes] = Counter()
    for key, _ in rows(world, USAGE):
        assert int.from_bytes(key[21:], "big") == counts[key[:21]]
        counts[key[:21]] += 1
    promised: Counter[bytes] = Counter()
    for address, (terms, order) in orders.items():
        indexes = [index for index in range(len(terms.lines)) if _is_promised(world, address, order, index)]
        assert order.promised == tuple(indexes)
        promised.update(terms.lines[index].resource for index in indexes)
    uses = dict(rows(world, RESOURCE_USES))
    resources = dict(rows(world, RESOURCES))
    assert uses == {address: ResourceUse(count=counts[address], promised=promised[address]) for address in resources}
    for address, resource in resources.items():
        for limit in resource.policy[:1]:
            assert not isinstance(limit, UsesAtMost) or counts[address] + promised[address] <= limit.count


def _is_promised(world: World, address: bytes, order: Order, index: int) -> bool:
    """Tell whether a line's key is with an enclave that has not started; whether it still opens anything is no matter."""
    grant = world.ledger.find(ORDER_GRANTS, line_key(address, index))
    return order.state is OrderState.ACCEPTED and grant is not None and grant.enclave == order.enclave


def _check_dates(world: World, orders: _Orders) -> None:
    """Each order's next date is one of its state's, has not passed, and the wheel fires no later."""
    waiting = {
        (deadline.subject, deadline.due_ms)
        for _, deadline in rows(world, DEADLINES)
        if deadline.kind is DeadlineKind.ORDER_DUE
    }
    for address, (terms, order) in orders.items():
        date_ms, trigger = next_date(world.params, terms, order)
        assert trigger in TRANSITIONS[order.state]
        assert (address, order.wheel_ms) in waiting
        assert order.wheel_ms <= date_ms
        assert world.time_ms < date_ms + SLOT_MS
