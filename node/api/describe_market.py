"""What the market holds as results: offers, usability, endorsements, providers, and the use of resources."""

from __future__ import annotations

from collections.abc import Iterable

from node.api.describe import describe, describe_address, describe_fields
from node.api.describe_trust import describe_listed, describe_plan, describe_tee, notice_of
from node.api.views import JsonObject
from node.api.views_market import (
    EnclaveRow,
    EndorsementView,
    NamedReleaseView,
    OfferView,
    ProviderView,
    ResourceRow,
    UsableEnclaveView,
    UsageRowView,
    WhoCanUseView,
)
from state.address import ADDRESS_BYTES
from state.market_queries import EndorsementView as StoredEndorsement
from state.market_queries import Usability
from state.offer_queries import Offer, ResourceView
from state.offer_queries import ProviderView as StoredProvider
from state.order_records import ProviderRecord, UsageRow
from state.policies import SubjectKind
from state.trust_queries import EnclaveView

_SERVICE_MONEY = ("earned", "penalties")


def describe_resource_row(view: ResourceView) -> ResourceRow:
    """Return a resource in a list."""
    resource = view.resource
    return ResourceRow(
        id=describe_address(view.address),
        owner=describe_address(resource.owner),
        kind=resource.kind.name.lower(),
        category=resource.category,
        title=resource.title,
        status=resource.status.name.lower(),
        is_frozen=bool(resource.frozen_ms),
        has_policy=bool(resource.policy),
        plan_count=resource.plan_count,
        release_count=resource.release_count,
        usage_count=view.use.count,
        capacity=describe("capacity", resource.capacity),
        in_use=describe("in_use", resource.in_use),
        created_ms=resource.created_ms,
    )


def describe_enclave_row(view: EnclaveView) -> EnclaveRow:
    """Return an enclave in short."""
    enclave = view.enclave
    return EnclaveRow(
        id=describe_address(view.address),
        operator=describe_address(enclave.operator),
        hardware=describe_address(enclave.hardware),
        image=describe_address(enclave.image),
        release=enclave.release,
        tee=describe_tee(enclave.tee),
        state=enclave.state.name.lower(),
        level=enclave.level,
        is_simulated=enclave.is_simulated,
        gpu_count=len(enclave.gpus),
        expires_ms=view.expires_ms,
    )


def describe_offer(offer: Offer) -> OfferView:
    """Return an offer with what people must know before they order."""
    resource, is_simulated = offer.resource, _is_any_simulated(offer.enclaves)
    return OfferView(
        id=describe_address(offer.address),
        owner=describe_address(resource.owner),
        kind=resource.kind.name.lower(),
        category=resource.category,
        title=resource.title,
        has_policy=bool(resource.policy),
        plans=[describe_plan(view) for view in offer.plans],
        release=offer.release,
        tees=[describe_tee(tee) for tee in offer.tees],
        level=max((view.enclave.level for view in offer.enclaves), default=None),
        is_simulated=is_simulated,
        notice=notice_of(is_simulated),
        enclaves=[describe_enclave_row(view) for view in offer.enclaves],
        capacity=describe("capacity", resource.capacity),
        in_use=describe("in_use", resource.in_use),
        provider=None if offer.provider is None else describe_service(offer.provider),
    )


def _is_any_simulated(views: Iterable[EnclaveView]) -> bool:
    return any(view.enclave.is_simulated for view in views)


def describe_service(record: ProviderRecord) -> JsonObject:
    """Return how a provider has served."""
    told = describe_fields(record)
    return told | {name: str(getattr(record, name)) for name in _SERVICE_MONEY}


def describe_provider(account: bytes, view: StoredProvider, height: int) -> ProviderView:
    """Return how an account provides."""
    return ProviderView(
        account=describe_address(account),
        height=height,
        bond=str(view.bond),
        bond_locked=str(view.bond_locked),
        service=describe_service(view.service),
        running_orders=view.running_count,
        hardware=[describe_address(address) for address in view.hardware],
        is_hardware_whole=view.are_all_resources_seen,
        enclaves={state.name.lower(): count for state, count in sorted(view.enclaves_by_state.items())},
        enclave_count=view.enclave_count,
        are_enclaves_whole=view.are_all_enclaves_seen,
    )


def describe_usability(address: bytes, usability: Usability, height: int) -> WhoCanUseView:
    """Return who could use a resource."""
    is_simulated = _is_any_simulated(usable.view for usable in usability.enclaves)
    return WhoCanUseView(
        resource=describe_address(address),
        height=height,
        policy=None if usability.conditions is None else describe_listed(usability.conditions),
        verdict=usability.verdict.name.lower(),
        customers=[describe_address(customer) for customer in usability.customers],
        are_others_customers=usability.are_others_customers,
        software=[
            NamedReleaseView(resource=describe_address(name.resource), release=name.release)
            for name in usability.software
        ],
        is_other_software=usability.is_other_software,
        is_simulated=is_simulated,
        notice=notice_of(is_simulated),
        enclaves=[
            UsableEnclaveView(enclave=describe_enclave_row(usable.view), holds=usable.holds)
            for usable in usability.enclaves
        ],
        cursor=usability.next_cursor.hex() or None,
    )


def describe_endorsement(view: StoredEndorsement) -> EndorsementView:
    """Return what an account says about something."""
    said = view.endorsement
    is_release = said.subject_kind is SubjectKind.RELEASE
    is_platform = said.subject_kind is SubjectKind.PLATFORM
    return EndorsementView(
        id=view.key.hex(),
        endorser=describe_address(said.endorser),
        subject_kind=said.subject_kind.name.lower(),
        subject=said.subject.hex() if is_platform else describe_address(said.subject[:ADDRESS_BYTES]),
        release=int.from_bytes(said.subject[ADDRESS_BYTES:], "big") if is_release else None,
        claim=said.claim,
        statement_hash=said.statement_hash.hex() or None,
        from_ms=said.from_ms,
        until_ms=said.until_ms,
        counts=view.counts,
        bond_locked=str(said.bond_locked),
    )


def describe_usage(number: int, row: UsageRow) -> UsageRowView:
    """Return a row of a resource's ledger under its number."""
    return UsageRowView(
        number=number,
        order=describe_address(row.order),
        release=row.release,
        enclave=describe_address(row.enclave),
        customer=describe_address(row.customer),
        height=row.height,
        time_ms=row.time_ms,
        start_receipt=row.start_receipt.hex(),
        output_receipt=row.output_receipt.hex() or None,
        erase_receipt=row.erase_receipt.hex() or None,
    )
