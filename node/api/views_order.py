"""The JSON of orders: what they agreed on, where they stand, their money, dates, grants and receipts."""

from __future__ import annotations

from node.api.registry import AddressText, AmountText, Height, HexHash
from node.api.views import JsonObject, View
from node.api.views_trust import PolicyNodeView


class OrderDateView(View, frozen=True):
    """The next date of an order."""

    due_ms: Height
    """Block time."""
    what: str
    """accept_by, start_by, beat_due, stop_at, end_by, grace_over or keep_over."""


class OrderGrantView(View, frozen=True):
    """A key that was released for a line."""

    enclave: AddressText
    release: Height
    grant_epoch: Height
    capsule_hash: HexHash
    granted_by: AddressText
    """The owner, or an enclave of the vault."""
    height: Height
    is_valid: bool
    """Whether it counts: for the order's enclave and of its resource's present epoch."""


class OrderLineView(View, frozen=True):
    """One thing that an order uses."""

    role: str
    """compute, software, data or storage."""
    resource: AddressText | None
    """Null of any hardware while nobody has accepted."""
    is_any_hardware: bool
    """Whether the order named none: whoever accepts brings it."""
    release: Height
    plan: JsonObject | None
    """The copy that nothing changes; null of any hardware while nobody has accepted."""
    quantity: Height
    price_max: AmountText
    content_root: HexHash | None
    is_sealed: bool
    """Whether somebody must release a key before the work may start."""
    grant: OrderGrantView | None
    earned: AmountText
    """So far, over all attempts, as far as receipts prove it."""
    settled: AmountText
    """Of that, what has left the escrow."""


class OrderTermsView(View, frozen=True):
    """What an order agreed on beside its lines."""

    workload: JsonObject
    result_key: HexHash
    output_to: str
    purpose: str | None
    constraints: PolicyNodeView | None
    """What the customer asks of the enclave."""
    level_min: int
    machine: JsonObject | None
    """What any hardware must give for each unit."""
    attempts: int
    accept_window_ms: Height
    start_window_ms: Height
    end_by_ms: Height
    after: list[AddressText]
    created_ms: Height
    created_height: Height


class OrderMoneyView(View, frozen=True):
    """The money of an order."""

    held: AmountText
    """In escrow."""
    free: AmountText
    """Of that, what no line has earned."""
    contributed: AmountText
    """Ever put in."""
    earned: AmountText
    """By all lines."""
    settled: AmountText
    """Of that, what has left the escrow: to payees, and the fee to the treasury."""
    bond_locked: AmountText
    """The customer's, for the order's bytes in the state."""
    penalty_locked: AmountText
    """Of the operator's bond, for this order."""
    funded_ms: Height | None
    """Trusted time that the free money pays; null if time costs nothing, or its price is not known yet."""
    funds_out_ms: Height | None
    """When that is over, if it runs on without a break; null unless it runs."""
    low: int | None
    """20 or 5: so many percent of what was put in are left at most; null if there is more, or it is closed."""


class OrderDatesView(View, frozen=True):
    """The dates of an order. Those that have not come are null."""

    next: OrderDateView
    accept_by_ms: Height
    accepted_ms: Height | None
    """By its present machine."""
    start_by_ms: Height
    end_by_ms: Height
    started_ms: Height | None
    """Of this attempt."""
    accrued_ms: Height | None
    """Up to when time is paid."""
    paid_time_ms: Height
    """Trusted time of this attempt."""
    proven_ms: Height | None
    """Time of the block that the last receipt names."""
    settled_ms: Height | None
    stalled_ms: Height | None
    stop_at_ms: Height | None
    """When it ends by somebody's notice."""
    stop_by: AddressText | None
    closed_ms: Height | None


class OrderRunView(View, frozen=True):
    """What receipts of the present or last attempt said."""

    start_receipt: HexHash
    service: JsonObject | None
    meter: JsonObject | None
    output: JsonObject | None
    output_count: Height
    is_erased: bool
    fail_code: Height
    mark: str
    """none, good or bad."""
    usages: list[Height | None]
    """For each line, the number of its row in its resource's ledger."""


class ContributionView(View, frozen=True):
    """Money that somebody put into an order."""

    account: AddressText
    amount: AmountText


class OrderView(View, frozen=True):
    """An order after a block."""

    id: AddressText
    height: Height
    state: str
    """open, accepted, running, stalled or closed."""
    reason: str | None
    """Why it is closed."""
    cause: str | None
    """Why it is stalled."""
    closed_by: AddressText | None
    """Null where a deadline did."""
    customer: AddressText
    enclave: AddressText | None
    operator: AddressText | None
    hardware: AddressText | None
    attempts_left: int
    terms: OrderTermsView
    lines: list[OrderLineView]
    """The compute line first."""
    money: OrderMoneyView
    dates: OrderDatesView
    receipt_count: Height
    head: HexHash
    """Of its receipts; the next one signs it."""
    run: OrderRunView | None
    """Null if it never started."""
    funds: list[ContributionView]
    """In the order of giving; what is left goes back to the last first."""
    proof: JsonObject | None
    """A proof bundle of the record that moves (docs/PROOFS.md), if asked for."""
    terms_proof: JsonObject | None
    """A proof bundle of the terms, if asked for."""


class OrderLineRow(View, frozen=True):
    """One thing that an order uses, in short."""

    role: str
    resource: AddressText | None
    release: Height
    plan: int | None
    """Its number; null of any hardware."""
    quantity: Height
    price: AmountText | None
    price_max: AmountText


class OrderRow(View, frozen=True):
    """An order in a list."""

    id: AddressText
    state: str
    reason: str | None
    cause: str | None
    customer: AddressText
    operator: AddressText | None
    enclave: AddressText | None
    hardware: AddressText | None
    lines: list[OrderLineRow]
    level_min: int
    machine: JsonObject | None
    """What any hardware must give for each unit."""
    has_constraints: bool
    """Whether the customer asks for more of the enclave; `order` tells what."""
    held: AmountText
    earned: AmountText
    attempts_left: int
    created_ms: Height
    end_by_ms: Height
    next: OrderDateView


class OrdersView(View, frozen=True):
    """Orders, the newest first."""

    orders: list[OrderRow]
    cursor: str | None
    """Of the next page; a page may be shorter than asked for; null at the end."""
