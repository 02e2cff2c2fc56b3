"""Forecasts: how enclaves will stand when what is known already comes into force, and which component is short.

Intel's early documents and floors of AMD with later dates are known before they count. A forecast judges the same claims by them
as of now, without a grace: what ends of itself until then, a proof or a document, is told apart.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from state.ledger import Ledger, Overlay
from state.lists import ListKind, count_members, list_name, member_at
from state.records import CHAIN_STATE, ONLY, PARAMS
from state.runtime.trust.documents import ChainCollateral, Choice, evaluation_of
from state.runtime.trust.judgement import LIVE, Judge, Judgement
from state.trust_records import APPRAISAL_RULES, ENCLAVES, EVALUATIONS, Enclave
from tee.appraisal import find_snp_floors
from tee.claims import NitroClaims, SgxClaims, SnpClaims, TdxClaims
from tee.documents import IntelTee, QeIdentity, TcbInfo
from tee.shortage import Shortage, find_intel_shortages, find_snp_shortages
from tee.tcb import get_versions


class Forecast(Struct, frozen=True):
    """What is in store for one enclave, if its machine is not updated."""

    enclave: bytes
    state: str
    standing: int
    """As they are now."""
    state_then: str
    standing_then: int
    """When everything known is in force and no grace is left."""
    reason_then: str
    status_then: str
    """Intel's word; empty for other machines."""
    due_ms: int
    """Block time from which it counts, 0 if it does already."""
    shortages: tuple[Shortage, ...]
    """What has to be updated, and documents of too low a number that have to be brought anew."""
    overdue_ms: int
    """Block time from which the first document that it rests on is overdue, unless a later one comes; 0 if it rests on none."""
    expires_ms: int

    @property
    def falls(self) -> bool:
        """Whether it will stand lower than now."""
        return self.standing_then < self.standing


class ForecastPage(Struct, frozen=True):
    """Forecasts of an operator's enclaves."""

    forecasts: tuple[Forecast, ...]
    next_cursor: int | None
    """Where to go on; None at the end."""


def forecast(ledger: Ledger, address: bytes) -> Forecast | None:
    """Return the forecast of an enclave, or None if there is none that could fall."""
    enclave = ledger.find(ENCLAVES, address)
    if enclave is None or enclave.state not in LIVE:
        return None
    time_ms = ledger.get(CHAIN_STATE, ONLY).time_ms
    then = _judge_then(ledger, enclave, time_ms)
    return Forecast(
        enclave=address,
        state=enclave.state.name.lower(),
        standing=enclave.standing,
        state_then=then.state.name.lower(),
        standing_then=then.standing,
        reason_then="" if then.reason is None else str(then.reason),
        status_then="" if then.tcb is None else then.tcb.status.name.lower(),
        due_ms=_due_ms(ledger, enclave, time_ms),
        shortages=_find_shortages(ledger, enclave),
        overdue_ms=_overdue_ms(ledger, enclave),
        expires_ms=enclave.expires_ms,
    )


def forecast_operator(ledger: Ledger, operator: bytes, limit: int, cursor: int = 0) -> ForecastPage:
    """Return the forecasts of up to `limit` enclaves of an operator, from a cursor on."""
    name = list_name(ListKind.OPERATOR, operator)
    end = min(count_members(ledger, name), cursor + limit)
    found = (forecast(ledger, member_at(ledger, name, number)) for number in range(cursor, end))
    forecasts = tuple(each for each in found if each is not None)
    return ForecastPage(forecasts, end if end < count_members(ledger, name) else None)


def _judge_then(ledger: Ledger, enclave: Enclave, time_ms: int) -> Judgement:
    """Judge an enclave by the newest documents, by the highest number that comes into force and by the floors of all dates."""
    params, rules = ledger.get(PARAMS, ONLY), ledger.get(APPRAISAL_RULES, ONLY)
    floors = tuple(replace(floor, since_s=0) for floor in rules.policy.snp_floors)
    then = Overlay(ledger)
    then.put(APPRAISAL_RULES, ONLY, replace(rules, policy=replace(rules.policy, snp_floors=floors)))
    evaluation = evaluation_of(ledger, enclave.root)
    if evaluation.pending:
        then.put(EVALUATIONS, enclave.root, replace(evaluation, number=evaluation.pending[-1].number, pending=()))
    without_grace = replace(params, attestation=replace(params.attestation, tcb_grace_ms=0))
    return Judge(then, without_grace, time_ms, Choice.NEWEST).judge(enclave)


def _due_ms(ledger: Ledger, enclave: Enclave, time_ms: int) -> int:
    """Return from when the newest rules count for an enclave, 0 if they do already."""
    match enclave.claims:
        case SgxClaims() | TdxClaims():
            pending = evaluation_of(ledger, enclave.root).pending
            return pending[-1].due_ms if pending else 0
        case SnpClaims(product=product):
            floors = ledger.get(APPRAISAL_RULES, ONLY).policy.snp_floors
            last_ms = max((floor.since_s * 1_000 for floor in floors if floor.product is product), default=0)
            return last_ms if last_ms > time_ms else 0
        case NitroClaims():
            return 0


def _find_shortages(ledger: Ledger, enclave: Enclave) -> tuple[Shortage, ...]:
    match enclave.claims:
        case SgxClaims() | TdxClaims():
            collateral, tee = ChainCollateral(ledger, Choice.NEWEST), IntelTee(enclave.tee)
            tcb_info = collateral.tcb_info(enclave.root, tee, enclave.claims.platform.fmspc)
            qe_identity = collateral.qe_identity(enclave.root, tee)
            if tcb_info is None or qe_identity is None:
                return ()
            short = find_intel_shortages(get_versions(enclave.claims), tcb_info, qe_identity)
            return *_find_old_documents(ledger, enclave.root, tcb_info, qe_identity), *short
        case SnpClaims():
            policy = ledger.get(APPRAISAL_RULES, ONLY).policy
            return find_snp_shortages(enclave.claims, find_snp_floors(enclave.claims.product, policy))
        case NitroClaims():
            return ()


def _find_old_documents(ledger: Ledger, root: bytes, tcb_info: TcbInfo, qe_identity: QeIdentity) -> Iterator[Shortage]:
    """Yield the newest documents that are from before the highest number that is known."""
    evaluation = evaluation_of(ledger, root)
    needed = max(evaluation.number, *(each.number for each in evaluation.pending), 0)
    for part, document in (("TCB info", tcb_info), ("QE identity", qe_identity)):
        if document.number < needed:
            yield Shortage(part, "evaluation number", document.number, needed)


def _overdue_ms(ledger: Ledger, enclave: Enclave) -> int:
    collateral = ChainCollateral(ledger)
    match enclave.claims:
        case SgxClaims(platform=platform) | TdxClaims(platform=platform):
            collateral.root_crl(enclave.root)
            collateral.pck_crl_of(enclave.root, platform.pck_issuer, platform.ca_key)
            collateral.tcb_info(enclave.root, IntelTee(enclave.tee), platform.fmspc)
            collateral.qe_identity(enclave.root, IntelTee(enclave.tee))
        case SnpClaims():
            collateral.amd_crl(enclave.root)
        case NitroClaims():
            pass
    return min(((each.document.valid_until_s + 1) * 1_000 for each in collateral.used), default=0)
