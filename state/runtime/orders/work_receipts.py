"""receipt: enclaves prove that they work. One signature covers receipts of up to a thousand orders.

The signature binds a recent block, so the time up to that block is proven and no later one; and the heads of all orders named, so
receipts stand in one order for ever. What is checked for all at once: the enclave, the block, the signature. Then each receipt has
its effect; one that can have none (its order has ended meanwhile) is skipped and reported, and only if all are, the message fails.
"""

from __future__ import annotations

from hashlib import sha256

from msgspec.structs import replace

from state.crypto import verify
from state.errors import TransactionRejected
from state.order_messages import (
    DEAR_RECEIPTS_MAX,
    Beat,
    Erase,
    Fail,
    Output,
    SendReceipts,
    Start,
    WorkReceipt,
    next_head,
    receipts_signing_bytes,
)
from state.order_records import (
    ORDER_RUNS,
    ORDER_TERMS,
    ORDERS,
    CloseReason,
    Order,
    OrderRun,
    OrderState,
    OrderTerms,
    StallCause,
)
from state.order_terms import Mark, Meter, OutputOfOrder
from state.receipts import EventKind
from state.records import RecentBlock
from state.runtime.context import Context
from state.runtime.orders.accepting import find_outputs, find_trusted
from state.runtime.orders.books import end_ms, put_order
from state.runtime.orders.clock import (
    bring_up_to_date,
    find_ungranted,
    leave_at_fault,
    may_leave,
    stop_order,
)
from state.runtime.orders.fitness import is_denied_by_others, is_fit
from state.runtime.orders.ordering import NO_HEAD
from state.runtime.orders.settlement import (
    accrue,
    count_payable,
    earn_output,
    earn_starts,
    free_funds,
    is_funded,
    is_payment_due,
    pay_out,
    tell_low_funds,
)
from state.runtime.orders.steps import (
    close_order,
    has_revoked_release,
    leave_machine,
    names_program,
    reason_at_end,
    stall_order,
)
from state.runtime.orders.table import Trigger, check_allowed, check_leads_to
from state.runtime.orders.usage import end_promises, note_erase, note_output, open_usage
from state.runtime.reasons import TransactionReason
from state.runtime.trust.challenges import find_challenge
from state.trust_records import ENCLAVES, Enclave


class _Batch:
    """What all receipts of one message share."""

    __slots__ = ("at_ms", "enclave", "is_good")

    def __init__(self, enclave: bytes, at_ms: int, *, is_good: bool) -> None:
        self.enclave = enclave
        self.at_ms = at_ms
        self.is_good = is_good


def apply_receipts(context: Context, _sender: bytes, message: SendReceipts) -> None:
    """Give each receipt of an enclave its effect.

    Raises:
        TransactionRejected: TOO_MANY_RECEIPTS, NO_ENCLAVE, CHALLENGE_UNKNOWN, CHALLENGE_TOO_OLD, BAD_RECEIPT_SIGNATURE, and, if no
            receipt has an effect, the reason of the first: NO_ORDER, NO_ENCLAVE, ENCLAVE_NOT_TRUSTED, RECEIPT_NUMBER, WRONG_STATE,
            GRANT_LACKING, INPUTS_MISMATCH, NOT_CURRENT, POLICY_DENIED.
    """
    dear_count = sum(not isinstance(receipt, Beat) for receipt in message.receipts)
    if dear_count > DEAR_RECEIPTS_MAX:
        raise TransactionRejected(TransactionReason.TOO_MANY_RECEIPTS, dear_count, DEAR_RECEIPTS_MAX)
    enclave = context.ledger.find(ENCLAVES, message.enclave)
    if enclave is None:
        raise TransactionRejected(TransactionReason.NO_ENCLAVE, message.enclave.hex())
    block = find_challenge(context, message.at_height)
    heads = _check_signature(context, message, enclave, block)
    batch = _Batch(message.enclave, block.time_ms, is_good=_is_good(context, message.enclave))
    skipped: list[tuple[WorkReceipt, TransactionRejected]] = []
    for receipt, head in zip(message.receipts, heads, strict=True):
        try:
            _apply_one(context, batch, receipt, head)
        except TransactionRejected as rejection:
            skipped.append((receipt, rejection))
    if len(skipped) == len(message.receipts):
        raise skipped[0][1]
    for receipt, refusal in skipped:
        context.emit(
            EventKind.RECEIPT_SKIPPED,
            order=receipt.order,
            number=receipt.number,
            reason=str(refusal.reason).encode(),
        )
    record = context.ledger.get(ENCLAVES, message.enclave)
    if record.last_beat_ms != context.time_ms:
        context.ledger.put(ENCLAVES, message.enclave, replace(record, last_beat_ms=context.time_ms))


def _check_signature(context: Context, message: SendReceipts, enclave: Enclave, block: RecentBlock) -> list[bytes]:
    """Check the enclave's signature over the receipts in their place after those before; return the head with each of them.

    That is the order's head if the receipt counts: numbers have no gaps, so none counts behind one of its order that does not.
    """
    heads: list[bytes] = []
    heads_after: list[bytes] = []
    reached: dict[bytes, tuple[bytes, int]] = {}
    """Head and next number of each order."""
    for receipt in message.receipts:
        place = reached.get(receipt.order)
        if place is None:
            order = context.ledger.find(ORDERS, receipt.order)
            place = NO_HEAD if order is None else order.head, receipt.number
        head, number = place
        if receipt.number != number:
            raise TransactionRejected(TransactionReason.RECEIPT_NUMBER, receipt.number, number)
        head_after = next_head(head, receipt, message.at_height)
        reached[receipt.order] = head_after, number + 1
        heads.append(head)
        heads_after.append(head_after)
    signed = receipts_signing_bytes(
        context.chain_id,
        enclave=message.enclave,
        at_height=message.at_height,
        at_hash=block.block_hash,
        heads=tuple(heads),
        receipts=message.receipts,
    )
    if not verify(enclave.sign_key, message.signature, signed):
        raise TransactionRejected(TransactionReason.BAD_RECEIPT_SIGNATURE, message.enclave.hex())
    return heads_after


def _is_good(context: Context, address: bytes) -> bool:
    """Tell whether the enclave is trusted or in grace by the collateral of this block."""
    try:
        find_trusted(context, address)
    except TransactionRejected:
        return False
    return True


def _apply_one(context: Context, batch: _Batch, receipt: WorkReceipt, head: bytes) -> None:
    """Check one receipt against its order and give it its effect. Nothing is written before all checks have passed."""
    address = receipt.order
    found = context.ledger.find(ORDERS, address)
    if found is None:
        raise TransactionRejected(TransactionReason.NO_ORDER, address.hex())
    terms, order = context.ledger.get(ORDER_TERMS, address), found
    if order.enclave != batch.enclave:
        raise TransactionRejected(TransactionReason.NO_ENCLAVE, batch.enclave.hex(), order.enclave.hex())
    if receipt.number != order.receipt_count:
        raise TransactionRejected(TransactionReason.RECEIPT_NUMBER, receipt.number, order.receipt_count)
    trigger = _trigger_of(receipt)
    order = bring_up_to_date(context, address, terms, order)
    if order is not found:
        put_order(context, address, terms, order)
        order = context.ledger.get(ORDERS, address)
    check_allowed(order.state, trigger)
    if trigger is not Trigger.ERASE:
        _check_fit(context, batch, terms, order)
    is_denied = False
    if isinstance(receipt, Start):
        _check_start(context, address, terms, order, receipt)
        is_denied = is_denied_by_others(context, terms, order)
    if order.cause is StallCause.OUT_OF_FUNDS and trigger in {Trigger.BEAT, Trigger.OUTPUT}:
        raise TransactionRejected(TransactionReason.DEPOSIT_TOO_LOW, free_funds(order))
    if isinstance(receipt, Erase) and not order.started_ms:
        raise TransactionRejected(TransactionReason.WRONG_STATE, "never started", "an order that ran")
    order = replace(order, head=head, receipt_count=order.receipt_count + 1)
    match receipt:
        case Start() if is_denied:
            reason = CloseReason.POLICY_REVOKED
            order = leave_machine(context, address, terms, order, reason, trigger=Trigger.START_DENIED)
        case Start():
            order = _start(context, address, terms, order, receipt)
        case Beat():
            order = _work(context, address, terms, order, batch, trigger)
            _note_meter(context, address, receipt.meter)
        case Output():
            order = _output(context, address, terms, order, batch, receipt)
        case Fail():
            order = _fail(context, address, terms, order, batch, receipt)
        case Erase():
            _erase(context, address, terms, order)
    put_order(context, address, terms, order)


def _trigger_of(receipt: WorkReceipt) -> Trigger:
    match receipt:
        case Start():
            return Trigger.START
        case Beat():
            return Trigger.BEAT
        case Output(is_last=is_last):
            return Trigger.LAST_OUTPUT if is_last else Trigger.OUTPUT
        case Fail():
            return Trigger.FAIL
        case Erase():
            return Trigger.ERASE


def _check_fit(context: Context, batch: _Batch, terms: OrderTerms, order: Order) -> None:
    """Check that the enclave may earn for this order, and that all that the order uses still stands."""
    if not batch.is_good or not is_fit(context, terms, order):
        enclave = context.ledger.get(ENCLAVES, batch.enclave)
        seen = f"{enclave.state.name.lower()} level {enclave.level}"
        raise TransactionRejected(TransactionReason.ENCLAVE_NOT_TRUSTED, seen, f"level {terms.level_min}")
    if has_revoked_release(context, terms):
        raise TransactionRejected(TransactionReason.NOT_CURRENT, "revoked")


def _check_start(context: Context, address: bytes, terms: OrderTerms, order: Order, receipt: Start) -> None:
    """Check that all keys were released to this enclave, and exactly what was ordered was loaded."""
    ungranted = find_ungranted(context, address, terms, order)
    if ungranted is not None:
        raise TransactionRejected(TransactionReason.GRANT_LACKING, ungranted)
    expected = [line.content_root for line in terms.lines if line.content_root]
    expected += [output.root for output in find_outputs(context, terms)]
    if receipt.inputs != tuple(expected):
        seen, bound = (sha256(b"".join(roots)).hexdigest() for roots in (receipt.inputs, expected))
        raise TransactionRejected(TransactionReason.INPUTS_MISMATCH, f"inputs {seen}", bound)
    if receipt.args_digest != terms.workload.args_digest:
        seen, bound = receipt.args_digest.hex(), terms.workload.args_digest.hex()
        raise TransactionRejected(TransactionReason.INPUTS_MISMATCH, f"arguments {seen}", bound)


def _start(context: Context, address: bytes, terms: OrderTerms, order: Order, receipt: Start) -> Order:
    """The work runs from now: what is paid once is earned, unless an attempt before has earned it; time counts from here."""
    check_leads_to(order.state, Trigger.START, OrderState.RUNNING)
    before = context.ledger.find(ORDER_RUNS, address)
    order = replace(
        order,
        state=OrderState.RUNNING,
        started_ms=context.time_ms,
        accrued_ms=context.time_ms,
        paid_time_ms=0,
        earned_before=order.earned,
        proven_ms=context.time_ms,
        settled_ms=context.time_ms,
    )
    if before is None:
        order = earn_starts(terms, order)
    order = end_promises(context, terms, order)
    usages = open_usage(context, address, terms, order)
    run = OrderRun(
        usages=usages,
        start_count=1 if before is None else before.start_count + 1,
        start_receipt=order.head,
        service=receipt.service,
        meter=None,
        output=None if before is None else before.output,
        output_count=0 if before is None else before.output_count,
        is_erased=False,
        fail_code=0,
        mark=Mark.NONE,
    )
    context.ledger.put(ORDER_RUNS, address, run)
    context.emit(EventKind.ORDER_STARTED, order=address, enclave=order.enclave, operator=order.operator)
    return order


def _work(context: Context, address: bytes, terms: OrderTerms, order: Order, batch: _Batch, trigger: Trigger) -> Order:
    """The enclave was at work up to the block that the receipt names: pay for it, or resume a stalled order."""
    if order.state is OrderState.STALLED:
        check_leads_to(order.state, trigger, OrderState.RUNNING)
        context.emit(EventKind.RESUMED, order=address, enclave=order.enclave)
        order = replace(
            order,
            state=OrderState.RUNNING,
            cause=None,
            stalled_ms=0,
            accrued_ms=context.time_ms,
        )
    before = order
    order = accrue(terms, order, batch.at_ms)
    order = replace(order, proven_ms=max(order.proven_ms, batch.at_ms))
    if order.earned != before.earned:
        tell_low_funds(context, address, terms, before, order)
        if is_payment_due(context, order):
            order = pay_out(context, address, terms, order, count_payable(context, terms, order))
    return _end_if_over(context, address, terms, order)


def _end_if_over(context: Context, address: bytes, terms: OrderTerms, order: Order) -> Order:
    """End an order of which all time until its end is paid; stall one whose escrow pays nothing more."""
    if order.accrued_ms >= end_ms(terms, order):
        reason = reason_at_end(context, address, order)
        return close_order(context, address, terms, order, reason, trigger=Trigger.END_BY)
    if order.stop_at_ms and order.accrued_ms >= order.stop_at_ms:
        return stop_order(context, address, terms, order)
    if not is_funded(terms, order):
        cause = StallCause.OUT_OF_FUNDS
        return stall_order(context, address, order, cause, context.time_ms, trigger=Trigger.FUNDS_OUT)
    return order


def _output(context: Context, address: bytes, terms: OrderTerms, order: Order, batch: _Batch, receipt: Output) -> Order:
    """The work gave something: what is paid by output is earned, and the last one ends the order."""
    trigger = Trigger.LAST_OUTPUT if receipt.is_last else Trigger.OUTPUT
    run = context.ledger.get(ORDER_RUNS, address)
    output = OutputOfOrder(root=receipt.root, reference=receipt.reference)
    context.ledger.put(
        ORDER_RUNS,
        address,
        replace(run, output=output, output_count=run.output_count + 1, meter=receipt.meter or run.meter),
    )
    note_output(context, address, terms, order)
    context.emit(
        EventKind.OUTPUT, order=address, enclave=order.enclave, root=receipt.root, is_last=int(receipt.is_last)
    )
    if order.state is OrderState.STALLED and not receipt.is_last:
        order = _work(context, address, terms, order, batch, trigger)
    if order.state is not OrderState.RUNNING and not receipt.is_last:
        return order
    if order.state is OrderState.RUNNING:
        order = accrue(terms, order, batch.at_ms)
        order = replace(order, proven_ms=max(order.proven_ms, batch.at_ms))
    order = earn_output(terms, order)
    if receipt.is_last:
        return close_order(context, address, terms, order, CloseReason.DONE, trigger=trigger)
    return _end_if_over(context, address, terms, order)


def _fail(context: Context, address: bytes, terms: OrderTerms, order: Order, batch: _Batch, receipt: Fail) -> Order:
    """The enclave gives up: what it has proven is paid. If the order names its program, that is the order's end.

    A program that the order does not name is the provider's: then it is as if the provider left, except that a key or arguments
    which do not open must cost it nothing.
    """
    if order.started_ms:
        run = context.ledger.get(ORDER_RUNS, address)
        context.ledger.put(ORDER_RUNS, address, replace(run, fail_code=receipt.code))
    if order.state is OrderState.RUNNING:
        order = accrue(terms, order, batch.at_ms)
    if names_program(terms):
        return close_order(context, address, terms, order, CloseReason.FAILED, trigger=Trigger.FAIL)
    if order.state is OrderState.ACCEPTED or may_leave(context, address, terms, order):
        return leave_machine(context, address, terms, order, CloseReason.FAILED, trigger=Trigger.FAIL)
    return leave_at_fault(context, address, terms, order, Trigger.FAIL)


def _erase(context: Context, address: bytes, terms: OrderTerms, order: Order) -> None:
    """The enclave has erased what it held; also told after the order's end."""
    run = context.ledger.get(ORDER_RUNS, address)
    context.ledger.put(ORDER_RUNS, address, replace(run, is_erased=True))
    note_erase(context, address, terms, order)
    context.emit(EventKind.ERASED, order=address, enclave=order.enclave)


def _note_meter(context: Context, address: bytes, meter: Meter | None) -> None:
    if meter is not None:
        run = context.ledger.get(ORDER_RUNS, address)
        context.ledger.put(ORDER_RUNS, address, replace(run, meter=meter))
