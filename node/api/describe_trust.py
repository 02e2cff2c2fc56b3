"""Records of trust as results."""

from __future__ import annotations

from typing import Any

from node.api.describe import describe, describe_address, describe_fields, describe_optional_address
from node.api.views import JsonObject
from node.api.views_trust import (
    SIMULATED_NOTICE,
    CollateralView,
    EnclaveView,
    ForecastView,
    PayeeView,
    PlanView,
    PolicyNodeView,
    ReleaseView,
    ResourceView,
    ShortageView,
)
from state.forecasts import Forecast
from state.offer_queries import PlanView as StoredPlan
from state.policies import PolicyNode
from state.policy_words import ListedNode, list_policy
from state.resource_records import Release, Resource, ResourceUse
from state.runtime.trust.profiles import measurements
from state.trust_queries import CollateralItem
from state.trust_queries import CollateralView as StoredCollateral
from state.trust_queries import EnclaveView as StoredEnclave
from tee.claims import Claims
from tee.documents import SERIAL_BYTES, Parsed, QeIdentity, RevokedSerials, TcbInfo
from tee.evidence import EvidenceKind


def notice_of(is_simulated: bool) -> str | None:
    """Return what people must be told about something that rests on simulated hardware."""
    return SIMULATED_NOTICE if is_simulated else None


def describe_tee(kind: int) -> str:
    """Return the name of a kind of evidence."""
    return EvidenceKind(kind).name.lower()


def describe_claims(claims: Claims) -> JsonObject:
    """Return claims by name, after the kind of evidence that they come from."""
    return describe_fields(claims)


def describe_collateral(
    view: StoredCollateral, simulated: frozenset[bytes], item: CollateralItem | None = None
) -> CollateralView:
    """Return a document; with its bytes if they are given."""
    document = view.document
    is_simulated = document.root in simulated
    return CollateralView(
        key=view.key.hex(),
        kind=document.kind.name.lower(),
        number=document.number,
        root=document.root.hex(),
        **_subject(document),
        issued_ms=document.issued_s * 1_000,
        next_update_ms=document.next_update_s * 1_000,
        overdue_ms=(document.valid_until_s + 1) * 1_000,
        is_overdue=view.is_overdue,
        is_early=view.is_early,
        first_seen_ms=view.first_seen_ms,
        stored_ms=view.stored_ms,
        is_simulated=is_simulated,
        notice=notice_of(is_simulated),
        body_hash=view.body_hash.hex(),
        body=None if item is None else item.body.hex(),
        chain=None if item is None else [der.hex() for der in item.chain],
    )


def _subject(document: Parsed) -> dict[str, Any]:
    subject: dict[str, Any] = {"tee": None, "fmspc": None, "issuer": None, "entry_count": 0}
    match document:
        case TcbInfo(tee=tee, fmspc=fmspc, levels=levels):
            subject |= {"tee": tee.name.lower(), "fmspc": fmspc.hex(), "entry_count": len(levels)}
        case QeIdentity(tee=tee, levels=levels):
            subject |= {"tee": tee.name.lower(), "entry_count": len(levels)}
        case RevokedSerials(issuer=issuer, serials=serials):
            subject |= {"issuer": issuer.hex(), "entry_count": len(serials) // SERIAL_BYTES}
    return subject


def describe_enclave(view: StoredEnclave, height: int, proof: JsonObject | None = None) -> EnclaveView:
    """Return an enclave after a block."""
    enclave = view.enclave
    return EnclaveView(
        id=describe_address(view.address),
        height=height,
        operator=describe_address(enclave.operator),
        hardware=describe_address(enclave.hardware),
        image=describe_address(enclave.image),
        release=enclave.release,
        tee=describe_tee(enclave.tee),
        platform=enclave.platform.hex() or None,
        sign_key=enclave.sign_key.hex(),
        seal_key=enclave.seal_key.hex(),
        state=enclave.state.name.lower(),
        reason=enclave.reason or None,
        level=enclave.level,
        standing=enclave.standing,
        is_usable=view.is_usable,
        is_simulated=enclave.is_simulated,
        notice=notice_of(enclave.is_simulated),
        root=enclave.root.hex(),
        measurements={name: measured.hex() for name, measured in measurements(enclave.tee, enclave.claims)},
        claims=describe_claims(enclave.claims),
        gpus=[describe_fields(gpu) for gpu in enclave.gpus],
        evidence_hash=enclave.evidence_hash.hex(),
        challenge_height=enclave.challenge_height,
        attested_height=enclave.attested_height,
        attested_ms=enclave.attested_ms,
        expires_ms=view.expires_ms,
        last_beat_ms=enclave.last_beat_ms or None,
        proof=proof,
    )


def describe_forecast(forecast: Forecast, *, is_simulated: bool) -> ForecastView:
    """Return what is in store for an enclave."""
    return ForecastView(
        enclave=describe_address(forecast.enclave),
        state=forecast.state,
        standing=forecast.standing,
        falls=forecast.falls,
        state_then=forecast.state_then,
        standing_then=forecast.standing_then,
        reason_then=forecast.reason_then or None,
        status_then=forecast.status_then or None,
        due_ms=forecast.due_ms or None,
        shortages=[
            ShortageView(component=shortage.name, seen=shortage.seen, needed=shortage.needed)
            for shortage in forecast.shortages
        ],
        overdue_ms=forecast.overdue_ms or None,
        expires_ms=forecast.expires_ms,
        is_simulated=is_simulated,
        notice=notice_of(is_simulated),
    )


def describe_release(number: int, release: Release) -> ReleaseView:
    """Return a release under its number."""
    return ReleaseView(
        number=number,
        status=release.status.name.lower(),
        until_ms=release.until_ms or None,
        created_ms=release.created_ms,
        body=describe_fields(release.body),
    )


def describe_policy(policy: tuple[PolicyNode, ...]) -> PolicyNodeView | None:
    """Return a policy as a tree with words; None if it has no conditions."""
    listed = list_policy(policy)
    return None if listed is None else describe_listed(listed)


def describe_listed(listed: ListedNode) -> PolicyNodeView:
    """Return a node of a policy with all below it, at most four levels."""
    return PolicyNodeView(
        name=listed.name,
        words=listed.words,
        node=describe_fields(listed.node),
        children=[describe_listed(child) for child in listed.children],
    )


def describe_plan(view: StoredPlan) -> PlanView:
    """Return a plan with what is left of it."""
    record, stock = view.record, view.record.plan.stock
    return PlanView(
        plan=describe_fields(record.plan),
        is_open=record.is_open,
        in_use=record.in_use,
        stock_left=stock - record.in_use if stock else None,
        free=view.free,
    )


def describe_resource(
    address: bytes,
    resource: Resource,
    use: ResourceUse,
    releases: list[ReleaseView],
    plans: list[PlanView],
    height: int,
    proof: JsonObject | None,
) -> ResourceView:
    """Return a resource with some of its releases and plans."""
    return ResourceView(
        id=describe_address(address),
        height=height,
        owner=describe_address(resource.owner),
        kind=resource.kind.name.lower(),
        category=resource.category,
        title=resource.title,
        status=resource.status.name.lower(),
        capacity=describe("capacity", resource.capacity),
        in_use=describe("in_use", resource.in_use),
        plan_count=resource.plan_count,
        release_count=resource.release_count,
        releases=releases,
        plans=plans,
        policy=describe_policy(resource.policy),
        payees=[
            PayeeView(account=describe_address(payee.account), share_bp=payee.share_bp) for payee in resource.payees
        ],
        vault=describe_optional_address(resource.vault),
        derived_from=describe_optional_address(resource.derived_from),
        meta_hash=resource.meta_hash.hex() or None,
        usage_count=use.count,
        promised_count=use.promised,
        grant_epoch=resource.grant_epoch,
        frozen_ms=resource.frozen_ms or None,
        drain_at_ms=resource.drain_at_ms or None,
        bond_locked=str(resource.bond_locked),
        created_ms=resource.created_ms,
        proof=proof,
    )
