"""Handlers that read the market: resources and offers, who could use what, endorsements, providers, and the ledgers of use."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, field

from node.api.context import Call
from node.api.describe_market import (
    describe_endorsement,
    describe_offer,
    describe_provider,
    describe_resource_row,
    describe_usability,
    describe_usage,
)
from node.api.errors import ApiReason, ErrorCode, RpcError
from node.api.lookups import (
    NumberCursor,
    format_number_cursor,
    parse_account,
    parse_hex,
    parse_kind,
    parse_number_cursor,
    prove,
)
from node.api.registry import AddressText, AmountText, Height, Params
from node.api.trust_reads import ENCLAVE_CURSOR_BYTES, NUMBER_CURSOR_BYTES, Cursor, TeeName
from node.api.views_market import (
    EndorsementsView,
    MarketView,
    ProviderView,
    RecordProofView,
    ResourcesView,
    UsageProof,
    UsageView,
    WhoCanUseView,
)
from state import market_queries, offer_queries
from state.address import AddressKind
from state.market_queries import JUDGED_MAX
from state.offer_queries import OfferFilter, ResourceFilter, UsagePage
from state.offers import Capacity, GpuCount, PlanUnit, ResourceKind
from state.order_records import USAGE, usage_key
from state.policies import SubjectKind
from state.resource_records import RESOURCE_USES, ResourceStatus, numbered_key
from tee.evidence import EvidenceKind

RESOURCES_MAX: Final = 50
OFFERS_MAX: Final = 20
ENDORSEMENTS_MAX: Final = 50
USAGE_MAX: Final = 100
"""Longest pages: each holds the event loop for five milliseconds at most."""
PROVED_MAX: Final = 20
"""Rows of use that one call proves."""
SUBJECT_CHARS_MAX: Final = 130

Words = Annotated[str, Meta(max_length=32)]
CapacityAmount = Annotated[int, Meta(ge=0, le=1 << 50)]


class KindName(StrEnum):
    """Kinds of resources."""

    DATA = "data"
    SOFTWARE = "software"
    HARDWARE = "hardware"


class StatusName(StrEnum):
    """Where resources stand."""

    ACTIVE = "active"
    PAUSED = "paused"
    RETIRED = "retired"


class UnitName(StrEnum):
    """What a price is for."""

    ONCE = "once"
    SECOND = "second"
    GB_SECOND = "gb_second"
    USE = "use"


class SubjectName(StrEnum):
    """What an endorsement is about."""

    PLATFORM = "platform"
    RELEASE = "release"
    ENCLAVE = "enclave"
    RESOURCE = "resource"
    ACCOUNT = "account"


class ResourcesParams(Params, frozen=True):
    """Which resources."""

    owner: AddressText | None = None
    kind: KindName | None = None
    category: Words | None = None
    status: StatusName | None = None
    limit: Annotated[int, Meta(ge=1, le=RESOURCES_MAX)] = 20
    cursor: NumberCursor | None = None


class MarketParams(Params, frozen=True):
    """What an order needs: capacities are what one unit of a machine's plan gives at least."""

    kind: KindName | None = None
    category: Words | None = None
    tee: TeeName | None = None
    level_min: Annotated[int, Meta(ge=0, le=5)] = 0
    unit: UnitName | None = None
    price_max: AmountText | None = None
    vcpus: CapacityAmount = 0
    memory_mib: CapacityAmount = 0
    disk_mib: CapacityAmount = 0
    network_mbps: CapacityAmount = 0
    gpu_model: Words | None = None
    gpu_count: Annotated[int, Meta(ge=1, le=1_024)] = 1
    """Of that model."""
    customer: AddressText | None = None
    """Whose orders the policy must not rule out."""
    limit: Annotated[int, Meta(ge=1, le=OFFERS_MAX)] = 10
    cursor: NumberCursor | None = None


class WhoCanUseParams(Params, frozen=True):
    """Which resource, and a page of enclaves."""

    resource: AddressText
    limit: Annotated[int, Meta(ge=1, le=JUDGED_MAX)] = 20
    cursor: Cursor | None = None


class UsageParams(Params, frozen=True):
    """Which rows, both ends included, and whether to prove them."""

    resource: AddressText
    first: Height = field(default=0, name="from")
    last: Height | None = field(default=None, name="to")
    """Null: up to the end."""
    limit: Annotated[int, Meta(ge=1, le=USAGE_MAX)] = 20
    prove: bool = False
    """A call proves twenty rows at most."""


class ProviderParams(Params, frozen=True):
    """Which account."""

    account: AddressText


class EndorsementsParams(Params, frozen=True):
    """By whom, or of whom: either an endorser, or a subject and its kind."""

    endorser: AddressText | None = None
    subject_kind: SubjectName | None = None
    subject: Annotated[str, Meta(max_length=SUBJECT_CHARS_MAX)] | None = None
    """An address, of a release that of its resource; of a platform its id in hex."""
    release: Height | None = None
    """Number of a release."""
    limit: Annotated[int, Meta(ge=1, le=ENDORSEMENTS_MAX)] = 20
    cursor: NumberCursor | None = None


def read_resources(call: Call, params: ResourcesParams) -> ResourcesView:
    """Return the resources that fit all given conditions, a page at a time."""
    wanted = ResourceFilter(
        owner=None if params.owner is None else parse_account(params.owner),
        kind=None if params.kind is None else ResourceKind[params.kind.name],
        category=params.category,
        status=None if params.status is None else ResourceStatus[params.status.name],
    )
    cursor = parse_number_cursor(params.cursor)
    page = offer_queries.resources(call.node.chain.ledger, wanted, params.limit, cursor)
    return ResourcesView(
        resources=[describe_resource_row(view) for view in page.resources],
        cursor=format_number_cursor(page.next_cursor),
    )


def read_market(call: Call, params: MarketParams) -> MarketView:
    """Return what takes orders now and fits: open plans with something free, levels of machines, and how providers served."""
    gpus = () if params.gpu_model is None else (GpuCount(model=params.gpu_model, count=params.gpu_count),)
    wanted = OfferFilter(
        kind=None if params.kind is None else ResourceKind[params.kind.name],
        category=params.category,
        tee=None if params.tee is None else EvidenceKind[params.tee.name],
        level_min=params.level_min,
        unit=None if params.unit is None else PlanUnit[params.unit.name],
        price_max=None if params.price_max is None else int(params.price_max),
        capacity=Capacity(
            vcpus=params.vcpus,
            memory_mib=params.memory_mib,
            disk_mib=params.disk_mib,
            network_mbps=params.network_mbps,
            gpus=gpus,
        ),
        customer=None if params.customer is None else parse_account(params.customer),
    )
    cursor = parse_number_cursor(params.cursor)
    page = offer_queries.market(call.node.chain.ledger, wanted, params.limit, cursor)
    return MarketView(
        offers=[describe_offer(offer) for offer in page.offers], cursor=format_number_cursor(page.next_cursor)
    )


def read_who_can_use(call: Call, params: WhoCanUseParams) -> WhoCanUseView:
    """Return who is not ruled out by a resource's policy: customers, software, and a page of enclaves."""
    chain, address = call.node.chain, parse_kind(params.resource, AddressKind.RESOURCE)
    cursor = b"" if params.cursor is None else parse_hex(params.cursor)
    if params.cursor is not None and len(cursor) not in {NUMBER_CURSOR_BYTES, ENCLAVE_CURSOR_BYTES}:
        bound = "a cursor that this node gave"
        raise RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_CURSOR, params.cursor, bound)
    usability = market_queries.who_can_use(chain.ledger, address, params.limit, cursor)
    if usability is None:
        raise _no_resource(params.resource)
    return describe_usability(address, usability, chain.tip.block.height)


def read_usage(call: Call, params: UsageParams) -> UsageView:
    """Return rows of the ledger of a resource's use, with proof on request that these are all there are."""
    chain, address = call.node.chain, parse_kind(params.resource, AddressKind.RESOURCE)
    limit = min(params.limit, PROVED_MAX) if params.prove else params.limit
    page = offer_queries.usage(chain.ledger, address, params.first, params.last, limit)
    if page is None:
        raise _no_resource(params.resource)
    return UsageView(
        resource=params.resource,
        height=chain.tip.block.height,
        usage_count=page.count,
        rows=[describe_usage(number, row) for number, row in page.rows],
        next=page.next_number,
        proof=_prove_usage(call, address, params, page) if params.prove else None,
    )


def _prove_usage(call: Call, address: bytes, params: UsageParams, page: UsagePage) -> UsageProof:
    is_end = page.next_number is None and (params.last is None or params.last >= page.count)
    return UsageProof(
        use=prove(call, RESOURCE_USES, address),
        rows=[_prove_row(call, address, number) for number, _row in page.rows],
        absent=_prove_row(call, address, page.count) if is_end else None,
    )


def _prove_row(call: Call, address: bytes, number: int) -> RecordProofView:
    shown = call.proofs.prove_record(USAGE.raw_key(usage_key(address, number)), call.node.chain.tip.block.height)
    return RecordProofView(key=shown.key, value=shown.value, proof=shown.proof)


def _no_resource(address: str) -> RpcError:
    return RpcError(ErrorCode.NOT_FOUND, ApiReason.NO_SUCH_RESOURCE, address)


def read_provider(call: Call, params: ProviderParams) -> ProviderView:
    """Return how an account provides: its bond, hardware, enclaves and running orders, and how it has served."""
    chain, account = call.node.chain, parse_account(params.account)
    return describe_provider(account, offer_queries.provider(chain.ledger, account), chain.tip.block.height)


def read_endorsements(call: Call, params: EndorsementsParams) -> EndorsementsView:
    """Return what an account says of others, or what is said of a subject, a page at a time."""
    ledger, cursor = call.node.chain.ledger, parse_number_cursor(params.cursor)
    is_of_subject = params.subject is not None and params.subject_kind is not None
    if (params.endorser is not None) is is_of_subject:
        raise RpcError(
            ErrorCode.INVALID_PARAMS, ApiReason.BAD_PARAMS, None, "either endorser, or subject_kind and subject"
        )
    if params.endorser is not None:
        page = market_queries.endorsements_by(ledger, parse_account(params.endorser), params.limit, cursor)
    else:
        kind, subject = _parse_subject(params)
        page = market_queries.endorsements_of(ledger, kind, subject, params.limit, cursor)
    return EndorsementsView(
        endorsements=[describe_endorsement(view) for view in page.endorsements],
        cursor=format_number_cursor(page.next_cursor),
    )


def _parse_subject(params: EndorsementsParams) -> tuple[SubjectKind, bytes]:
    """Return the kind and the bytes of a subject."""
    assert params.subject_kind is not None, "checked before"
    kind, text = SubjectKind[params.subject_kind.name], params.subject or ""
    if (kind is SubjectKind.RELEASE) is (params.release is None):
        bound = "the number of a release, with that kind alone"
        raise RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_PARAMS, params.release, bound)
    match kind:
        case SubjectKind.PLATFORM:
            return kind, parse_hex(text)
        case SubjectKind.RELEASE:
            return kind, numbered_key(parse_kind(text, AddressKind.RESOURCE), params.release or 0)
        case SubjectKind.ENCLAVE:
            return kind, parse_kind(text, AddressKind.ENCLAVE)
        case SubjectKind.RESOURCE:
            return kind, parse_kind(text, AddressKind.RESOURCE)
        case SubjectKind.ACCOUNT:
            return kind, parse_account(text)
