"""What a provider does next for its orders, decided by what the chain says and the time. Pure: nothing is remembered, read or sent.

A beat names the newest block and proves the time up to it. On a chain that is idle but for beats, that block is as old as the last
beat. So when half of the time that a plan allows is over, one beat makes a block, and a second one names it.

Source: runtime specification, d.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final

from msgspec import Struct

from bocc.provider.rules import Rules
from state.block import ENVELOPE_BYTES_MAX
from state.codec import encode
from state.crypto import SigningKey
from state.errors import TransactionRejected
from state.offers import Plan, PlanUnit
from state.order_messages import (
    DEAR_RECEIPTS_MAX,
    RECEIPTS_MAX,
    Beat,
    Erase,
    SendReceipts,
    WorkReceipt,
    next_head,
    receipts_signing_bytes,
)
from state.order_records import Order, OrderGrant, OrderRun, OrderState, OrderTerms
from state.order_terms import LineRole
from state.runtime.orders.accepting import check_promises
from state.runtime.orders.settlement import free_funds, penalty_bound
from state.runtime.orders.steps import NOT_ITS_MACHINES

ENVELOPE_REST_BYTES: Final = 288
"""What an envelope with receipts and one signature takes beside the receipts, at most: 260 with the longest numbers."""
DUE_PART: Final = 2
"""Beats are due when this part of the time that a plan allows is over: enough is left for two blocks."""
OPEN_SEEN_MAX: Final = 50
"""Open orders looked at in one round, so that a round stays short however many there are."""
PAUSE_FIRST_MS: Final = 200
PAUSE_MAX_MS: Final = 60_000
"""Least and most time before something that was refused is tried again."""


class Machine(Struct, frozen=True, kw_only=True):
    """The enclave that takes orders, and what its machine is offered for."""

    operator: bytes
    enclave: bytes
    hardware: bytes
    image: bytes
    release: int
    level: int
    plans: tuple[Plan, ...]
    """Open ones of its machine."""


class Task(Struct, frozen=True, kw_only=True):
    """One order and what belongs to it."""

    address: bytes
    terms: OrderTerms
    order: Order
    run: OrderRun | None = None
    grants: tuple[OrderGrant | None, ...] = ()
    """Of each line; empty means none."""
    after_roots: tuple[bytes, ...] | None = ()
    """Outputs of the orders that it waits for; None while one is missing."""


class Step(Enum):
    """What an order of ours calls for."""

    WAIT = "wait"
    """For keys, for money, for others."""
    START = "start"
    BEAT = "beat"
    FINISH = "finish"
    """Its work is done: output and erase."""
    ERASE = "erase"
    """It has ended: erase what is held of it, and say so."""
    FORGET = "forget"
    """It is another's, or nothing is left to say."""


def next_step(machine: Machine, task: Task, duration_ms: int, now_ms: int) -> Step:
    """Return what an order calls for whose work takes this long."""
    order = task.order
    if order.enclave != machine.enclave:
        return Step.FORGET
    match order.state:
        case OrderState.OPEN:
            return Step.FORGET
        case OrderState.ACCEPTED:
            return Step.START if is_ready(machine, task) else Step.WAIT
        case OrderState.RUNNING | OrderState.STALLED:
            if order.cause in NOT_ITS_MACHINES:
                return Step.WAIT
            return Step.FINISH if now_ms >= order.started_ms + duration_ms else Step.BEAT
        case OrderState.CLOSED:
            return Step.FORGET if task.run is None or task.run.is_erased else Step.ERASE


def is_ready(machine: Machine, task: Task) -> bool:
    """Tell whether all keys of an order were released to this enclave, and all that it waits for is there."""
    grants = task.grants or (None,) * len(task.terms.lines)
    return task.after_roots is not None and all(
        not line.is_sealed or (grant is not None and grant.enclave == machine.enclave)
        for line, grant in zip(task.terms.lines, grants, strict=True)
    )


def find_plan(machine: Machine, rules: Rules, task: Task, now_ms: int) -> tuple[int | None, str]:
    """Return the plan's number to accept an open order with, or None and why it is left to others."""
    terms, order, line = task.terms, task.order, task.terms.lines[0]
    customers = rules.customer_addresses
    if order.state is not OrderState.OPEN or order.accept_by_ms <= now_ms:
        return None, "not open"
    if customers and terms.customer not in customers:
        return None, "not one of our customers"
    if terms.level_min > machine.level:
        return None, "our level is too low"
    programs = [(one.resource, one.release) for one in terms.lines if one.role is LineRole.SOFTWARE]
    if programs and (machine.image, machine.release) not in programs:
        return None, "another program"
    if task.after_roots is None:
        return None, "waits for other orders"
    if any(one.is_sealed for one in terms.lines) and order.start_by_ms > now_ms + rules.key_wait_ms:
        return None, "may wait too long for its keys"
    if line.resource:
        return (0, "") if line.resource == machine.hardware else (None, "another machine")
    for plan in machine.plans:
        if plan.unit is PlanUnit.SECOND and plan.price <= line.price_max and _offers_enough(plan, terms):
            return plan.number, ""
    return None, "no plan of ours fits"


def find_penalty_bound(machine: Machine, task: Task, number: int) -> int:
    """Return the highest penalty of an order, as it is funded now, that is taken under this plan of `find_plan`."""
    plan = task.terms.lines[0].plan or next(plan for plan in machine.plans if plan.number == number)
    return penalty_bound(free_funds(task.order), plan)


def is_too_long(terms: OrderTerms, duration_ms: int, now_ms: int) -> bool:
    """Tell whether work that is paid with its output could not give it in time; what is paid by time just ends."""
    plan = terms.lines[0].plan
    if plan is None or plan.unit is not PlanUnit.ONCE:
        return False
    return now_ms + duration_ms > terms.end_by_ms or 0 < plan.max_term_ms < duration_ms


def _offers_enough(plan: Plan, terms: OrderTerms) -> bool:
    try:
        check_promises(terms, plan)
    except TransactionRejected:
        return False
    return True


def open_window(count: int, turn: int, most: int = OPEN_SEEN_MAX) -> list[int]:
    """Return the numbers of the open orders to look at in a round: the last ones, and in turn as many of the others."""
    if count <= most:
        return list(range(count))
    half = most // 2
    older = count - half
    start = turn * half % older
    return [*range(start, min(start + half, older)), *range(older, count)]


def beats_due_ms(tasks: Sequence[Task]) -> int | None:
    """Return when running orders must prove more of their time; None if none has to. What was stalled resumes at once."""
    dates_ms = [
        0 if task.order.state is OrderState.STALLED else task.order.proven_ms + interval_ms
        for task in tasks
        if (interval_ms := beat_interval_ms(task))
    ]
    return min(dates_ms, default=None)


def beat_interval_ms(task: Task) -> int:
    """Return after how much time an order that runs must prove it; 0 if it need not."""
    plan = task.order.plan
    return 0 if plan is None else plan.service_level.beat_every_ms // DUE_PART


def beat(task: Task) -> Beat:
    """Return the next beat of an order."""
    return Beat(order=task.address, number=task.order.receipt_count, meter=None)


def erase(task: Task, number: int | None = None) -> Erase:
    """Return the receipt that an order's content is erased; number: if other receipts of the same message come before."""
    return Erase(order=task.address, number=task.order.receipt_count if number is None else number)


def sign_receipts(
    key: SigningKey,
    enclave: bytes,
    *,
    chain_id: bytes,
    at_height: int,
    at_hash: bytes,
    heads: dict[bytes, bytes],
    receipts: Sequence[WorkReceipt],
    envelope_bytes_max: int = ENVELOPE_BYTES_MAX,
) -> SendReceipts:
    """Return the message with the first receipts of one enclave that fit; heads are those of their orders by address."""
    chosen = _first_that_fit(receipts, envelope_bytes_max - ENVELOPE_REST_BYTES)
    before: list[bytes] = []
    head_of = dict(heads)
    for receipt in chosen:
        before.append(head_of[receipt.order])
        head_of[receipt.order] = next_head(before[-1], receipt, at_height)
    signed = receipts_signing_bytes(
        chain_id, enclave=enclave, at_height=at_height, at_hash=at_hash, heads=tuple(before), receipts=chosen
    )
    return SendReceipts(enclave=enclave, at_height=at_height, receipts=chosen, signature=key.sign(signed))


def _first_that_fit(receipts: Sequence[WorkReceipt], bytes_max: int) -> tuple[WorkReceipt, ...]:
    """Return as many of the first receipts as one message may carry, by their number, their kind and their bytes; one at least."""
    dear_count = byte_count = 0
    for index, receipt in enumerate(receipts[:RECEIPTS_MAX]):
        dear_count += not isinstance(receipt, Beat)
        byte_count += len(encode(receipt))
        if index and (dear_count > DEAR_RECEIPTS_MAX or byte_count > bytes_max):
            return tuple(receipts[:index])
    return tuple(receipts[:RECEIPTS_MAX])


class Pauses:
    """What was refused, and when it may be tried again: later after each refusal."""

    def __init__(self) -> None:
        self._paused: dict[bytes, tuple[int, int]] = {}
        """Refusals in a row and the time of the next attempt, by order."""

    def refuse(self, address: bytes, now_ms: int) -> int:
        """Note a refusal, and return when the next attempt may be."""
        count = self._paused.get(address, (0, 0))[0]
        until_ms = now_ms + min(PAUSE_FIRST_MS << min(count, 16), PAUSE_MAX_MS)
        self._paused[address] = count + 1, until_ms
        return until_ms

    def forget(self, address: bytes) -> None:
        """Note that something went well."""
        self._paused.pop(address, None)

    def keep(self, addresses: set[bytes]) -> None:
        """Forget everything but these."""
        self._paused = {address: paused for address, paused in self._paused.items() if address in addresses}

    def until_ms(self, address: bytes) -> int:
        """Return from when on something may be tried."""
        return self._paused.get(address, (0, 0))[1]
