"""Records of orders, of the use of resources, and of how providers have served.

What an order agreed on stands in `OrderTerms` and never changes; what moves with every receipt stands in `Order`, which is small,
for it is written with every beat. Money in `Order.held` is the order's own: it leaves to payees, to the treasury as fee, and back
to those who gave it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from state.codec import Address, Amount, Hash, Height, OptionalHash, TimeMs, UInt, Wire
from state.ledger import Table
from state.offers import DurationMs, Plan, Words
from state.order_terms import (
    AFTER_MAX,
    ATTEMPTS_MAX,
    CONTRIBUTORS_MAX,
    LINES_MAX,
    AgreedLine,
    MachineTerms,
    Mark,
    Meter,
    OptionalAddress,
    OutputOfOrder,
    ServiceEndpoint,
    Workload,
)
from state.policies import Level, OutputParty, Policy


class OrderState(IntEnum):
    """Where an order stands. No state is without a deadline."""

    OPEN = 1
    """Waits for a provider, until accept_by."""
    ACCEPTED = 2
    """An enclave is bound; waits for keys and its start, until start_by."""
    RUNNING = 3
    """Earns for proven time."""
    STALLED = 4
    """Earns nothing; may go on within its grace."""
    CLOSED = 5
    """For ever. Forgotten when its time on record is over."""


class CloseReason(IntEnum):
    """Why an order is closed."""

    DONE = 1
    """The last output came, or the ordered time is over."""
    FAILED = 2
    """The enclave said so."""
    CANCELLED = 3
    """By the customer, or by a provider whose notice is over; `closed_by` says who."""
    ACCEPT_TIMEOUT = 4
    START_TIMEOUT = 5
    GRANT_REFUSED = 6
    """An owner refused a key, or gave none in time."""
    PROVIDER_FAULT = 7
    OUT_OF_FUNDS = 8
    POLICY_REVOKED = 9
    """A resource was frozen or withdrawn by its owner."""
    GOVERNANCE = 10


class StallCause(IntEnum):
    """Why an order is stalled."""

    BEAT_MISSED = 1
    ENCLAVE_FALLEN = 2
    """Its enclave is not trusted any more, or below the order's level, or runs another program now."""
    RELEASE_REVOKED = 3
    OUT_OF_FUNDS = 4
    FUNDED_AGAIN = 5
    """It was out of funds, somebody has added some, and its enclave is to go on within the grace."""


class OrderTerms(Wire, frozen=True):
    """What an order agreed on; id: its address."""

    customer: Address
    lines: Annotated[tuple[AgreedLine, ...], Meta(min_length=1, max_length=LINES_MAX)]
    """The COMPUTE line first."""
    workload: Workload
    result_key: Hash
    output_to: OutputParty
    purpose: Words | None
    constraints: Policy
    level_min: Level
    machine: MachineTerms | None
    """What any hardware must offer; None where the COMPUTE line names one."""
    accept_window_ms: DurationMs
    """From the order to its first accept_by; a reopened order has as long again."""
    start_window_ms: DurationMs
    """From its first accept_by to its first start_by."""
    end_by_ms: TimeMs
    attempts: Annotated[int, Meta(ge=1, le=ATTEMPTS_MAX)]
    after: Annotated[tuple[Address, ...], Meta(max_length=AFTER_MAX)]
    created_ms: TimeMs
    created_height: Height


class Order(Wire, frozen=True):
    """An order as it moves; id: its address."""

    state: OrderState
    reason: CloseReason | None
    """Of a closed one."""
    cause: StallCause | None
    """Of a stalled one."""
    held: Amount
    """ubocc in escrow."""
    earned: Annotated[tuple[Amount, ...], Meta(min_length=1, max_length=LINES_MAX)]
    """ubocc that each line has earned so far, over all attempts."""
    settled: Annotated[tuple[Amount, ...], Meta(min_length=1, max_length=LINES_MAX)]
    """Of that, what has left the escrow."""
    bond_locked: Amount
    """ubocc of the customer's for the order's bytes in the state."""
    attempts_left: Annotated[int, Meta(ge=0, le=ATTEMPTS_MAX)]
    """After this one."""
    enclave: OptionalAddress
    """Bound by the last accept."""
    operator: OptionalAddress
    hardware: OptionalAddress
    plan: Plan | None
    """Of the COMPUTE line as accepted."""
    penalty_locked: Amount
    """ubocc of the operator's bond that stand for this order."""
    promised: Annotated[tuple[UInt, ...], Meta(max_length=LINES_MAX)]
    """Lines whose keys this enclave got, ascending: each is promised a use of its resource until the order starts or leaves."""
    accept_by_ms: TimeMs
    accepted_ms: TimeMs
    """By its present machine; 0 while it is open."""
    start_by_ms: TimeMs
    started_ms: TimeMs
    """Of the first start of this attempt; 0 before."""
    accrued_ms: TimeMs
    """Up to when time is paid."""
    paid_time_ms: UInt
    """Trusted time of this attempt, of which `earned` counts whole units since `earned_before`."""
    earned_before: Annotated[tuple[Amount, ...], Meta(min_length=1, max_length=LINES_MAX)]
    """`earned` when this attempt started."""
    proven_ms: TimeMs
    """Time of the block that the last receipt names."""
    settled_ms: TimeMs
    """When money last left to payees."""
    stalled_ms: TimeMs
    stop_at_ms: TimeMs
    """When it ends by somebody's notice; 0: nobody gave one."""
    stop_by: OptionalAddress
    """Who gave it."""
    closed_ms: TimeMs
    closed_by: OptionalAddress
    """Who closed it; no bytes where a deadline did."""
    receipt_count: UInt
    head: Hash
    """Of its receipts (state/order_messages.py)."""
    wheel_ms: TimeMs
    """Time of its one deadline on the wheel."""


class Contribution(Wire, frozen=True):
    """Money that somebody put into an order."""

    account: Address
    amount: Amount


class OrderFunds(Wire, frozen=True):
    """Who gave what, in the order of giving; id: the order. What is left goes back to the last first."""

    contributions: Annotated[tuple[Contribution, ...], Meta(min_length=1, max_length=CONTRIBUTORS_MAX)]


class OrderGrant(Wire, frozen=True):
    """That the key of a line was released to an enclave; id: order, line (1 byte). Void for any other enclave or epoch."""

    enclave: Address
    release: UInt
    grant_epoch: UInt
    capsule_hash: Hash
    granted_by: Address
    """The owner, or the vault's enclave."""
    height: Height


class OrderRun(Wire, frozen=True):
    """What receipts of the present or last attempt said; id: the order."""

    usages: Annotated[tuple[UInt | None, ...], Meta(max_length=LINES_MAX)]
    """Number of each line's row in its resource's ledger; None where it has none."""
    start_count: UInt
    """Of all attempts; each has written a row for each line."""
    start_receipt: Hash
    """Digest of the order's receipts up to the start."""
    service: ServiceEndpoint | None
    meter: Meter | None
    output: OutputOfOrder | None
    output_count: UInt
    is_erased: bool
    fail_code: UInt
    mark: Mark


class UsageRow(Wire, frozen=True):
    """One use of a resource; id: resource, number (8 bytes). Numbers are contiguous, so the absence of further rows is provable."""

    order: Address
    release: UInt
    enclave: Address
    customer: Address
    height: Height
    time_ms: TimeMs
    start_receipt: Hash
    output_receipt: OptionalHash
    erase_receipt: OptionalHash


class ProviderRecord(Wire, frozen=True):
    """How an operator has served; id: its account."""

    orders_accepted: UInt
    orders_done: UInt
    provider_faults: UInt
    start_timeouts: UInt
    stalls: UInt
    served_ms: UInt
    """Trusted time."""
    earned: Amount
    """ubocc paid to its hardware's payees."""
    penalties: Amount
    marks_good: UInt
    marks_bad: UInt


class ReviewWalk(Wire, frozen=True):
    """How far the review of a list of orders has come; id: the list's name."""

    unseen_count: UInt
    """Members, from the beginning of the list, that are still to be seen."""
    is_asked_again: bool
    """Whether another review was asked for since this one began."""


USAGE_ROW_BYTES: Final = 230
"""A row of use with its key, at most; each attempt may write one for each line."""

NO_SERVICE: Final = ProviderRecord(
    orders_accepted=0,
    orders_done=0,
    provider_faults=0,
    start_timeouts=0,
    stalls=0,
    served_ms=0,
    earned=0,
    penalties=0,
    marks_good=0,
    marks_bad=0,
)

ORDER_TERMS: Final = Table(0x60, OrderTerms, 65_536)
ORDERS: Final = Table(0x61, Order, 2_048)
ORDER_FUNDS: Final = Table(0x62, OrderFunds, 1_024)
ORDER_GRANTS: Final = Table(0x63, OrderGrant, 256)
ORDER_RUNS: Final = Table(0x64, OrderRun, 2_048)
USAGE: Final = Table(0x65, UsageRow, 512)
PROVIDERS: Final = Table(0x66, ProviderRecord, 256)
REVIEW_WALKS: Final = Table(0x67, ReviewWalk, 16)


def line_key(order: bytes, line: int) -> bytes:
    """Return the id of what belongs to one line of an order."""
    return order + bytes((line,))


def usage_key(resource: bytes, number: int) -> bytes:
    """Return the id of a row of a resource's ledger."""
    return resource + number.to_bytes(8, "big")
