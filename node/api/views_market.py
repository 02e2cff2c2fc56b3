"""The JSON of the market: offers, who could use what, who said what about whom, how providers serve, and the ledgers of use.

What rests on the software TEE is marked, as in views_trust.
"""

from __future__ import annotations

from node.api.registry import AddressText, AmountText, Height, HexBytes, HexHash
from node.api.views import JsonObject, View
from node.api.views_trust import PlanView, PolicyNodeView


class ResourceRow(View, frozen=True):
    """A resource in a list."""

    id: AddressText
    owner: AddressText
    kind: str
    category: str
    title: str
    status: str
    is_frozen: bool
    """Whether its owner had all orders with it ended."""
    has_policy: bool
    """Whether it has conditions; `resource` tells which."""
    plan_count: Height
    release_count: Height
    usage_count: Height
    capacity: JsonObject | None
    in_use: JsonObject | None
    created_ms: Height


class ResourcesView(View, frozen=True):
    """Resources, the newest first."""

    resources: list[ResourceRow]
    cursor: str | None
    """Of the next page; a page may be shorter than asked for; null at the end."""


class EnclaveRow(View, frozen=True):
    """An enclave in short."""

    id: AddressText
    operator: AddressText
    hardware: AddressText
    image: AddressText
    release: Height
    tee: str
    state: str
    level: int
    is_simulated: bool
    gpu_count: int
    """GPUs and switches that it proved."""
    expires_ms: Height


class OfferView(View, frozen=True):
    """A resource that takes orders, with the plans that fit."""

    id: AddressText
    owner: AddressText
    kind: str
    category: str
    title: str
    has_policy: bool
    """Whether it has conditions; `resource` tells which, `explain` whether an order meets them."""
    plans: list[PlanView]
    """The open ones that fit, the newest first."""
    release: Height | None
    """The newest that takes orders; null of machines."""
    tees: list[str]
    """Of a machine's usable enclaves, or of the release's profiles."""
    level: int | None
    """The best of the machine's usable enclaves; null without one, and of what is no machine."""
    is_simulated: bool
    """Whether any of these enclaves is simulated."""
    notice: str | None
    enclaves: list[EnclaveRow]
    """Usable ones among the machine's newest eight, the best first."""
    capacity: JsonObject | None
    in_use: JsonObject | None
    provider: JsonObject | None
    """How a machine's owner has served."""


class MarketView(View, frozen=True):
    """Offers, the newest first."""

    offers: list[OfferView]
    cursor: str | None
    """Of the next page; a page may be shorter than asked for; null at the end."""


class UsableEnclaveView(View, frozen=True):
    """An enclave that a policy does not rule out."""

    enclave: EnclaveRow
    holds: bool
    """Whether the policy holds for it whatever an order says."""


class NamedReleaseView(View, frozen=True):
    """A resource, or one release of it."""

    resource: AddressText
    release: Height | None
    """Null: any."""


class WhoCanUseView(View, frozen=True):
    """Who is not ruled out by a resource's policy, before anybody orders."""

    resource: AddressText
    height: Height
    policy: PolicyNodeView | None
    verdict: str
    """false: nobody can; true: everybody; unknown: it depends on the order."""
    customers: list[AddressText]
    """Of those that the policy names."""
    are_others_customers: bool
    software: list[NamedReleaseView]
    """Of what the policy names."""
    is_other_software: bool
    is_simulated: bool
    """Whether any of the enclaves is simulated."""
    notice: str | None
    enclaves: list[UsableEnclaveView]
    """Usable ones, a page of them."""
    cursor: str | None


class UsageRowView(View, frozen=True):
    """One use of a resource."""

    number: Height
    order: AddressText
    release: Height
    enclave: AddressText
    customer: AddressText
    height: Height
    time_ms: Height
    start_receipt: HexHash
    output_receipt: HexHash | None
    erase_receipt: HexHash | None


class RecordProofView(View, frozen=True):
    """Proof of a record, or of its absence, under the state root that a bundle beside it leads to."""

    key: HexBytes
    value: HexBytes | None
    proof: HexBytes


class UsageProof(View, frozen=True):
    """Proof that these rows stand in the ledger, and how many it has (docs/PROOFS.md)."""

    use: JsonObject
    """A bundle of the record of the resource's use, whose count says how many rows there are."""
    rows: list[RecordProofView]
    """Of each row, in their order, after the same block."""
    absent: RecordProofView | None
    """That no row follows the last of all; null unless the page reaches the end of the ledger."""


class UsageView(View, frozen=True):
    """A part of the ledger of a resource's use. Numbers have no gaps."""

    resource: AddressText
    height: Height
    usage_count: Height
    """Rows there are, numbered from 0."""
    rows: list[UsageRowView]
    next: Height | None
    """Number to go on from; null when nothing more was asked for."""
    proof: UsageProof | None


class ProviderView(View, frozen=True):
    """How an account provides, and how it has served."""

    account: AddressText
    height: Height
    bond: AmountText
    """Free of claims."""
    bond_locked: AmountText
    """For orders in progress."""
    service: JsonObject
    """Counts of orders, faults and marks, trusted time in ms, and money as decimal strings; zeros for who never served."""
    running_orders: Height
    """Accepted and not closed."""
    hardware: list[AddressText]
    is_hardware_whole: bool
    """False if it owns more resources than were looked at; `resources` lists all."""
    enclaves: dict[str, int]
    """How many by state."""
    enclave_count: Height
    are_enclaves_whole: bool
    """False if it has more than were looked at; `enclaves` lists all."""


class EndorsementView(View, frozen=True):
    """What an account says about something."""

    id: HexHash
    endorser: AddressText
    subject_kind: str
    """platform, release, enclave, resource or account."""
    subject: str
    """An address, of a release that of its resource; of a platform its id in hex."""
    release: Height | None
    """Of a release."""
    claim: str
    statement_hash: HexHash | None
    from_ms: Height
    until_ms: Height
    counts: bool
    """Whether its time is not over."""
    bond_locked: AmountText


class EndorsementsView(View, frozen=True):
    """Endorsements, the newest first."""

    endorsements: list[EndorsementView]
    cursor: str | None
