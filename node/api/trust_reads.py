"""Handlers that read trust: vendors' documents, enclaves, forecasts, resources, and the dry run of evidence."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from node.api.context import Call
from node.api.describe_trust import (
    describe_claims,
    describe_collateral,
    describe_enclave,
    describe_forecast,
    describe_plan,
    describe_release,
    describe_resource,
    notice_of,
)
from node.api.errors import ApiReason, ErrorCode, RpcError
from node.api.lookups import parse_account, parse_hex, parse_kind, parse_number_cursor, prove
from node.api.node_reads import describe_checks
from node.api.registry import AddressText, Height, HexBytes, HexHash, Params
from node.api.views_trust import (
    AppraisalView,
    CollateralsView,
    CollateralView,
    EnclavesView,
    EnclaveView,
    ForecastsView,
    ForecastView,
    ResourceView,
)
from state import forecasts, offer_queries, trust_queries
from state.address import AddressKind, format_address
from state.attestation import enclave_address
from state.resource_records import RESOURCE_USES, RESOURCES
from state.runtime.explain import GPUS_TRIED_MAX, Check
from state.runtime.remedies import remedy_of
from state.runtime.trust.documents import simulated_roots
from state.runtime.trust.evidence import SHARED_CACHE, Answer
from state.trust_messages import CERTIFICATE_BYTES_MAX, EVIDENCE_BYTES_MAX, GPU_REPORT_BYTES_MAX, Attest, GpuEvidence
from state.trust_queries import EnclaveFilter
from state.trust_records import ENCLAVES, EnclaveState
from tee.appraisal import NO_REGISTRIES, Denial, Level, appraise
from tee.errors import EvidenceRejected
from tee.evidence import EvidenceKind

COLLATERALS_MAX: Final = 100
ENCLAVES_MAX: Final = 50
FORECASTS_MAX: Final = 25
"""Longest pages: each holds the event loop for five milliseconds at most."""
RELEASES_SHOWN: Final = 16
PLANS_SHOWN: Final = 32
COLLATERAL_KEY_BYTES: Final = 29
ENCLAVE_CURSOR_BYTES: Final = 28
NUMBER_CURSOR_BYTES: Final = 8
"""Within the list of an operator, or of a machine."""

Cursor = Annotated[str, Meta(max_length=2 * ENCLAVE_CURSOR_BYTES)]


class TeeName(StrEnum):
    """Kinds of evidence, as `tee` names them."""

    SGX = "sgx"
    TDX = "tdx"
    SEV_SNP = "sev_snp"
    NITRO = "nitro"


class StateName(StrEnum):
    """States of enclaves."""

    TRUSTED = "trusted"
    GRACE = "grace"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    REVOKED = "revoked"


class CollateralParams(Params, frozen=True):
    """Which document, by its key."""

    key: Annotated[HexBytes, Meta(min_length=2 * COLLATERAL_KEY_BYTES, max_length=2 * COLLATERAL_KEY_BYTES)]


class PageParams(Params, frozen=True):
    """A page of a list."""

    limit: Annotated[int, Meta(ge=1, le=COLLATERALS_MAX)] = 20
    cursor: Cursor | None = None


class EnclaveParams(Params, frozen=True):
    """Which enclave, and whether to prove it."""

    id: AddressText
    prove: bool = False


class EnclavesParams(Params, frozen=True):
    """Which enclaves; without an operator only those that are neither expired nor revoked."""

    operator: AddressText | None = None
    hardware: AddressText | None = None
    image: AddressText | None = None
    tee: TeeName | None = None
    state: StateName | None = None
    level_min: Annotated[int, Meta(ge=0, le=5)] = 0
    limit: Annotated[int, Meta(ge=1, le=ENCLAVES_MAX)] = 20
    cursor: Cursor | None = None


class ForecastParams(Params, frozen=True):
    """An enclave, or the operator of some."""

    enclave: AddressText | None = None
    operator: AddressText | None = None
    limit: Annotated[int, Meta(ge=1, le=FORECASTS_MAX)] = 20
    cursor: Cursor | None = None


class GpuEvidenceParams(Struct, frozen=True, forbid_unknown_fields=True):
    """What one GPU reports, and the certificates of its key, DER, leaf first."""

    report: Annotated[HexBytes, Meta(min_length=2, max_length=2 * GPU_REPORT_BYTES_MAX)]
    chain: Annotated[
        tuple[Annotated[HexBytes, Meta(max_length=2 * CERTIFICATE_BYTES_MAX)], ...], Meta(min_length=1, max_length=5)
    ]


class AppraiseParams(Params, frozen=True):
    """Evidence, and whose attestation it shall be; without the names only the evidence itself is judged."""

    evidence: Annotated[HexBytes, Meta(min_length=2, max_length=2 * EVIDENCE_BYTES_MAX)]
    tee: TeeName
    operator: AddressText | None = None
    hardware: AddressText | None = None
    image: AddressText | None = None
    release: Height = 0
    sign_key: HexHash | None = None
    seal_key: HexHash | None = None
    challenge_height: Height | None = None
    signature: Annotated[HexBytes, Meta(min_length=128, max_length=128)] | None = None
    gpus: Annotated[tuple[GpuEvidenceParams, ...], Meta(max_length=GPUS_TRIED_MAX)] = ()


class ResourceParams(Params, frozen=True):
    """Which resource, and whether to prove it."""

    id: AddressText
    prove: bool = False


def read_collateral(call: Call, params: CollateralParams) -> CollateralView:
    """Return a vendor's document with its bytes and the certificates that came with it."""
    ledger = call.node.chain.ledger
    item = trust_queries.collateral(ledger, parse_hex(params.key))
    if item is None:
        raise RpcError(ErrorCode.NOT_FOUND, ApiReason.NO_COLLATERAL, params.key)
    return describe_collateral(item.view, simulated_roots(ledger), item)


def read_collaterals(call: Call, params: PageParams) -> CollateralsView:
    """Return the vendors' documents that the chain holds, without their bytes, a page at a time."""
    ledger = call.node.chain.ledger
    page = trust_queries.collaterals(ledger, params.limit, parse_number_cursor(params.cursor) or 0)
    simulated = simulated_roots(ledger)
    return CollateralsView(
        collaterals=[describe_collateral(view, simulated) for view in page.collaterals],
        cursor=None if page.next_cursor is None else str(page.next_cursor),
    )


def read_enclave(call: Call, params: EnclaveParams) -> EnclaveView:
    """Return an enclave with its level, state, claims and dates, with proof on request."""
    chain, address = call.node.chain, parse_kind(params.id, AddressKind.ENCLAVE)
    view = trust_queries.enclave(chain.ledger, address)
    if view is None:
        raise RpcError(ErrorCode.NOT_FOUND, ApiReason.NO_ENCLAVE, params.id)
    proof = prove(call, ENCLAVES, address) if params.prove else None
    return describe_enclave(view, chain.tip.block.height, proof)


def read_enclaves(call: Call, params: EnclavesParams) -> EnclavesView:
    """Return the enclaves that fit all given conditions, a page at a time."""
    chain = call.node.chain
    wanted = EnclaveFilter(
        operator=None if params.operator is None else parse_account(params.operator),
        hardware=None if params.hardware is None else parse_kind(params.hardware, AddressKind.RESOURCE),
        image=None if params.image is None else parse_kind(params.image, AddressKind.RESOURCE),
        tee=None if params.tee is None else EvidenceKind[params.tee.name],
        state=None if params.state is None else EnclaveState[params.state.name],
        level_min=params.level_min,
    )
    cursor = b"" if params.cursor is None else parse_hex(params.cursor)
    is_numbered = wanted.operator is not None or wanted.hardware is not None
    if params.cursor is not None and len(cursor) != (NUMBER_CURSOR_BYTES if is_numbered else ENCLAVE_CURSOR_BYTES):
        raise _bad_cursor(params.cursor)
    page = trust_queries.enclaves(chain.ledger, wanted, params.limit, cursor)
    height = chain.tip.block.height
    return EnclavesView(
        enclaves=[describe_enclave(view, height) for view in page.enclaves], cursor=page.next_cursor.hex() or None
    )


def read_forecast(call: Call, params: ForecastParams) -> ForecastsView:
    """Return how an enclave, or each of an operator, will stand by what is known already, and which component is short."""
    ledger = call.node.chain.ledger
    if (params.enclave is None) is (params.operator is None):
        raise RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_PARAMS, None, "either enclave or operator")
    if params.operator is not None:
        cursor = parse_number_cursor(params.cursor) or 0
        page = forecasts.forecast_operator(ledger, parse_account(params.operator), params.limit, cursor)
        found, next_cursor = page.forecasts, page.next_cursor
    else:
        address = parse_kind(params.enclave or "", AddressKind.ENCLAVE)
        if ledger.find(ENCLAVES, address) is None:
            raise RpcError(ErrorCode.NOT_FOUND, ApiReason.NO_ENCLAVE, params.enclave)
        forecast = forecasts.forecast(ledger, address)
        found, next_cursor = (() if forecast is None else (forecast,)), None
    return ForecastsView(
        forecasts=[_describe_forecast(call, forecast) for forecast in found],
        cursor=None if next_cursor is None else str(next_cursor),
    )


def _describe_forecast(call: Call, forecast: forecasts.Forecast) -> ForecastView:
    enclave = call.node.chain.ledger.get(ENCLAVES, forecast.enclave)
    return describe_forecast(forecast, is_simulated=enclave.is_simulated)


def read_resource(call: Call, params: ResourceParams) -> ResourceView:
    """Return a resource with its policy, its newest releases and plans, and what is in use, with proof on request."""
    chain, address = call.node.chain, parse_kind(params.id, AddressKind.RESOURCE)
    resource = trust_queries.resource(chain.ledger, address)
    if resource is None:
        raise RpcError(ErrorCode.NOT_FOUND, ApiReason.NO_SUCH_RESOURCE, params.id)
    numbers = range(resource.release_count)[::-1][:RELEASES_SHOWN]
    pairs = ((number, trust_queries.release(chain.ledger, address, number)) for number in numbers)
    releases = [describe_release(number, release) for number, release in pairs if release is not None]
    plans = [describe_plan(view) for view in offer_queries.plans(chain.ledger, address, resource, PLANS_SHOWN)]
    proof = prove(call, RESOURCES, address) if params.prove else None
    use = chain.ledger.get(RESOURCE_USES, address)
    return describe_resource(address, resource, use, releases, plans, chain.tip.block.height, proof)


def appraise_evidence(call: Call, params: AppraiseParams) -> AppraisalView:
    """Return every check that evidence would meet in an attestation now, with what was found and what is expected."""
    node = call.node
    ledger, now_ms = node.chain.ledger, node.now_ms()
    names = (params.operator, params.hardware, params.image, params.sign_key, params.seal_key, params.challenge_height)
    is_whole = None not in names
    if not is_whole and any(name is not None for name in names):
        missing = [name for name in _NAMES if getattr(params, name) is None]
        raise RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_PARAMS, f"without {' '.join(missing)}", "all or none")
    attest = _attest_of(params)
    answer = _find_answer(call, attest, now_ms)
    level = None if isinstance(answer, EvidenceRejected) else _find_level(call, answer, now_ms)
    if is_whole:
        sender = parse_account(params.operator or "")
        checks = trust_queries.appraise(ledger, sender, attest, now_ms, node.chain.tip.block)
    else:
        checks = _evidence_checks(answer, level)
    is_simulated = isinstance(answer, Answer) and answer.is_simulated
    return AppraisalView(
        ok=all(check.ok for check in checks),
        is_simulated=is_simulated,
        notice=notice_of(is_simulated),
        enclave=format_address(enclave_address(attest.sign_key)) if is_whole else None,
        level=level.level if isinstance(level, Level) else None,
        standing=level.standing if isinstance(level, Level) else None,
        claims=describe_claims(answer.claims) if isinstance(answer, Answer) else None,
        checks=describe_checks(checks),
    )


_NAMES: Final = ("operator", "hardware", "image", "sign_key", "seal_key", "challenge_height")
"""What binds evidence to an attestation."""
_NOBODY: Final = bytes(21)


def _attest_of(params: AppraiseParams) -> Attest:
    """Return the attestation that these parameters describe; what is not given is empty, and not looked at."""
    gpus = tuple(
        GpuEvidence(report=parse_hex(gpu.report), chain=tuple(map(parse_hex, gpu.chain))) for gpu in params.gpus
    )
    return Attest(
        hardware=parse_kind(params.hardware, AddressKind.RESOURCE) if params.hardware else _NOBODY,
        image=parse_kind(params.image, AddressKind.RESOURCE) if params.image else _NOBODY,
        release=params.release,
        tee=EvidenceKind[params.tee.name],
        evidence=parse_hex(params.evidence),
        gpus=gpus,
        sign_key=parse_hex(params.sign_key or bytes(32).hex()),
        seal_key=parse_hex(params.seal_key or bytes(32).hex()),
        challenge_height=params.challenge_height or 0,
        signature=parse_hex(params.signature or bytes(64).hex()),
    )


def _find_answer(call: Call, attest: Attest, now_ms: int) -> Answer | EvidenceRejected:
    """Return what the processor's evidence proves, or why it is refused. GPUs are judged in a whole attestation alone."""
    alone = msgspec.structs.replace(attest, gpus=())
    try:
        return SHARED_CACHE.verify(call.node.chain.ledger, alone, bytes(32), now_ms // 1_000)
    except EvidenceRejected as rejection:
        return rejection


def _find_level(call: Call, answer: Answer, now_ms: int) -> Level | Denial:
    """Return the level by policy, without a grace and without the chain's lists of machines."""
    policy = trust_queries.rules(call.node.chain.ledger).policy
    return appraise(answer.claims, policy, NO_REGISTRIES, now_ms // 1_000, is_simulated=answer.is_simulated, grace_s=0)


def _evidence_checks(answer: Answer | EvidenceRejected, level: Level | Denial | None) -> tuple[Check, ...]:
    if isinstance(answer, EvidenceRejected):
        return (_failed("evidence", answer.reason, answer.seen, answer.bound),)
    found = f"valid from {answer.valid_from_s} to {answer.valid_until_s}"
    evidence = Check("evidence", ok=True, seen=f"SIMULATED, {found}" if answer.is_simulated else found)
    match level:
        case Level():
            simulated = "SIMULATED, " if answer.is_simulated else ""
            judged = Check("policy", ok=True, seen=f"{simulated}level {level.level}, standing {level.standing}")
        case Denial():
            judged = _failed("policy", level.reason, level.seen, level.bound)
        case None:
            return (evidence,)
    return evidence, judged


def _failed(name: str, reason: StrEnum, seen: object, bound: object) -> Check:
    shown = ["" if each is None else str(each) for each in (seen, bound)]
    return Check(name, ok=False, reason=str(reason), seen=shown[0], bound=shown[1], remedy=remedy_of(reason))


def _bad_cursor(text: str) -> RpcError:
    return RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_CURSOR, text, "a cursor that this node gave")
