"""What orders take in the state: no record can be longer than its table says, and an order's bond pays for all its bytes."""

from __future__ import annotations

import pytest

from state.codec import INTEGER_MAX
from state.deadlines import DEADLINES, WHEEL_NODES, WHEEL_QUEUES, Deadline, DeadlineKind, WheelNode, WheelQueue
from state.ledger import Table
from state.lists import ListKind, list_name, member_bytes
from state.offers import Capacity, GpuCount, Plan, PlanUnit, ServiceLevel
from state.order_records import (
    ORDER_FUNDS,
    ORDER_GRANTS,
    ORDER_RUNS,
    ORDER_TERMS,
    ORDERS,
    USAGE,
    CloseReason,
    Contribution,
    Order,
    OrderFunds,
    OrderGrant,
    OrderRun,
    OrderState,
    OrderTerms,
    StallCause,
    UsageRow,
)
from state.order_terms import (
    AFTER_MAX,
    ATTEMPTS_MAX,
    CONTRIBUTORS_MAX,
    LINES_MAX,
    QUANTITY_MAX,
    AgreedLine,
    LineRole,
    MachineTerms,
    Mark,
    Meter,
    OutputOfOrder,
    ServiceEndpoint,
    Workload,
)
from state.params import DURATION_MS_MAX
from state.policies import AllOf, OutputParty, ReleaseName, SoftwareIn
from state.records import RECENT_BLOCKS
from state.runtime.orders.ordering import stored_bytes
from tests.support.attesting import PROVIDER
from tests.support.chain_builders import make_genesis, with_params
from tests.support.order_laws import rows
from tests.support.ordering import OWNER, SECOND_MS, Market

ADDRESS, DIGEST, WIDE = b"\xff" * 21, b"\xff" * 32, "\U0001f512"
CAPACITY = Capacity(
    vcpus=1 << 20,
    memory_mib=1 << 40,
    disk_mib=1 << 50,
    network_mbps=1 << 30,
    gpus=tuple(GpuCount(model="m" * 31 + str(index), count=1_024) for index in range(8)),
)
PLAN = Plan(
    number=255,
    unit=PlanUnit.USE,
    price=INTEGER_MAX,
    min_term_ms=DURATION_MS_MAX,
    max_term_ms=DURATION_MS_MAX,
    capacity=CAPACITY,
    stock=INTEGER_MAX,
    service_level=ServiceLevel(beat_every_ms=DURATION_MS_MAX, grace_ms=DURATION_MS_MAX, penalty_bp=10_000),
    notice_ms=DURATION_MS_MAX,
    keep_after_ms=DURATION_MS_MAX,
)
NAMED = SoftwareIn(releases=tuple(ReleaseName(resource=ADDRESS, release=INTEGER_MAX) for _ in range(16)))
POLICY = (AllOf(count=32), *(NAMED,) * 32)


def longest_order(line_count: int) -> Order:
    """Return the longest record of an order of some lines."""
    return Order(
        state=OrderState.CLOSED,
        reason=CloseReason.GOVERNANCE,
        cause=StallCause.OUT_OF_FUNDS,
        plan=PLAN,
        attempts_left=ATTEMPTS_MAX,
        head=DIGEST,
        promised=tuple(range(line_count)),
        **dict.fromkeys(("earned", "settled", "earned_before"), (INTEGER_MAX,) * line_count),
        **dict.fromkeys(("enclave", "operator", "hardware", "stop_by", "closed_by"), ADDRESS),
        **dict.fromkeys(("held", "bond_locked", "penalty_locked", "paid_time_ms", "receipt_count"), INTEGER_MAX),
        **{name: INTEGER_MAX for name in Order.__struct_fields__ if name.endswith("_ms") and name != "paid_time_ms"},
    )


def longest_terms(line_count: int, attempts: int) -> OrderTerms:
    """Return the longest terms of an order of some lines."""
    line = AgreedLine(
        role=LineRole.DATA,
        resource=ADDRESS,
        release=INTEGER_MAX,
        quantity=QUANTITY_MAX,
        price_max=INTEGER_MAX,
        plan=PLAN,
        content_root=DIGEST,
        is_sealed=True,
    )
    return OrderTerms(
        customer=ADDRESS,
        lines=(line,) * line_count,
        workload=Workload(args_digest=DIGEST, args_reference=WIDE * 256, manifest_root=DIGEST),
        result_key=DIGEST,
        output_to=OutputParty.BOTH,
        purpose="p" * 32,
        constraints=POLICY,
        level_min=5,
        machine=MachineTerms(
            capacity=CAPACITY,
            beat_every_ms_max=DURATION_MS_MAX,
            grace_ms_max=DURATION_MS_MAX,
            penalty_bp_min=10_000,
            notice_ms_min=DURATION_MS_MAX,
            min_term_ms_max=DURATION_MS_MAX,
        ),
        accept_window_ms=DURATION_MS_MAX,
        start_window_ms=DURATION_MS_MAX,
        end_by_ms=INTEGER_MAX,
        attempts=attempts,
        after=(ADDRESS,) * AFTER_MAX,
        created_ms=INTEGER_MAX,
        created_height=INTEGER_MAX,
    )


def longest_run(line_count: int) -> OrderRun:
    """Return the longest record of what receipts said."""
    return OrderRun(
        usages=(INTEGER_MAX,) * line_count,
        start_count=INTEGER_MAX,
        start_receipt=DIGEST,
        service=ServiceEndpoint(domain=WIDE * 128, tls_key=DIGEST),
        meter=Meter(cpu_ms=INTEGER_MAX, gpu_ms=INTEGER_MAX, storage_gb_s=INTEGER_MAX, network_bytes=INTEGER_MAX),
        output=OutputOfOrder(root=DIGEST, reference=WIDE * 256),
        output_count=INTEGER_MAX,
        is_erased=True,
        fail_code=INTEGER_MAX,
        mark=Mark.BAD,
    )


FUNDS = OrderFunds(contributions=(Contribution(account=ADDRESS, amount=INTEGER_MAX),) * CONTRIBUTORS_MAX)
GRANT = OrderGrant(
    enclave=ADDRESS,
    release=INTEGER_MAX,
    grant_epoch=INTEGER_MAX,
    capsule_hash=DIGEST,
    granted_by=ADDRESS,
    height=INTEGER_MAX,
)
ROW = UsageRow(
    order=ADDRESS,
    release=INTEGER_MAX,
    enclave=ADDRESS,
    customer=ADDRESS,
    height=INTEGER_MAX,
    time_ms=INTEGER_MAX,
    start_receipt=DIGEST,
    output_receipt=DIGEST,
    erase_receipt=DIGEST,
)


@pytest.mark.parametrize(
    ("table", "record"),
    [
        (ORDERS, longest_order(LINES_MAX)),
        (ORDER_TERMS, longest_terms(LINES_MAX, ATTEMPTS_MAX)),
        (ORDER_RUNS, longest_run(LINES_MAX)),
        (ORDER_FUNDS, FUNDS),
        (ORDER_GRANTS, GRANT),
        (USAGE, ROW),
    ],
    ids=lambda each: type(each).__name__,
)
def test_the_longest_record_can_be_read_back(table: Table, record: object) -> None:
    assert table.codec.decode(table.codec.encode(record)) == record


@pytest.mark.parametrize("attempts", [1, ATTEMPTS_MAX])
@pytest.mark.parametrize("line_count", [1, LINES_MAX])
def test_a_bond_pays_for_every_byte_that_an_order_can_take(line_count: int, attempts: int) -> None:
    terms = longest_terms(line_count, attempts)
    names = [list_name(ListKind.ORDERS)]
    kinds = (ListKind.CUSTOMER, ListKind.PROVIDER, ListKind.ENCLAVE, *(ListKind.RESOURCE,) * line_count)
    names += [list_name(kind, ADDRESS) for kind in kinds]
    deadline = Deadline(kind=DeadlineKind.ORDER_DUE, subject=ADDRESS, due_ms=INTEGER_MAX)
    slot_bytes = DEADLINES.byte_count(bytes(16), deadline)
    slot_bytes += WHEEL_QUEUES.byte_count(bytes(8), WheelQueue(first=INTEGER_MAX, end=INTEGER_MAX))
    byte_count = (
        ORDERS.byte_count(ADDRESS, longest_order(line_count))
        + ORDER_TERMS.byte_count(ADDRESS, terms)
        + ORDER_FUNDS.byte_count(ADDRESS, FUNDS)
        + ORDER_RUNS.byte_count(ADDRESS, longest_run(line_count))
        + ORDER_GRANTS.byte_count(ADDRESS + b"\x0f", GRANT) * line_count
        + USAGE.byte_count(ADDRESS + bytes(8), ROW) * line_count * attempts
        + sum(member_bytes(name, ADDRESS) for name in names)
        + 3 * slot_bytes
        + 7 * WHEEL_NODES.byte_count(bytes(9), WheelNode(bitmap=bytes(32)))
    )
    assert byte_count <= stored_bytes(terms) < byte_count * 11 // 10


def state_bytes(market: Market) -> int:
    """Return the bytes of the whole state with its keys, without the recent blocks, which come and go with every block."""
    return sum(len(key) + len(value) for key, value in market.state.items() if key[:1] != RECENT_BLOCKS.prefix)


def live(market: Market) -> list[int]:
    """Let an order run to its output and be forgotten; return the bytes of the state before, at each step, and after."""
    sizes = [state_bytes(market)]
    order = market.place()
    for signer, make in (
        (PROVIDER, market.accept_message),
        (OWNER, market.grant_message),
        (PROVIDER, lambda order: market.receipts(market.start(order))),
        (OWNER, lambda order: market.fund(order, 1)),
        (PROVIDER, lambda order: market.receipts(market.output(order))),
    ):
        sizes.append(state_bytes(market))
        assert market.reason(signer, make(order)) == ""
    sizes.append(state_bytes(market))
    assert sizes[-1] - sizes[0] < stored_bytes(market.terms(order))
    market.pass_time(31)
    market.pass_time(500)
    assert market.members(ListKind.ORDERS) == []
    return [*sizes, state_bytes(market)]


def test_an_order_takes_less_than_its_bond_pays_and_leaves_nothing_but_rows_of_use() -> None:
    market = Market(with_params(make_genesis(), "market", order_keep_ms=30 * SECOND_MS))
    live(market)
    rows_before = dict(rows(market, USAGE))
    before, *during, after = live(market)
    written = {key: row for key, row in rows(market, USAGE) if key not in rows_before}
    assert len(written) == 3
    assert max(during) - before > 1_500
    numbers = 32
    """Bytes by which nonces, heights and sums may have grown."""
    assert 0 <= after - before - sum(USAGE.byte_count(key, row) for key, row in written.items()) < numbers
