"""The JSON of trust: vendors' documents, enclaves, forecasts, appraisals, resources.

What rests on the software TEE is marked: `is_simulated` is true and `notice` says so in words for people.
"""

from __future__ import annotations

from typing import Final

from node.api.registry import AddressText, AmountText, Height, HexBytes, HexHash
from node.api.views import JsonObject, View
from node.api.views_node import CheckView

SIMULATED_NOTICE: Final = "SIMULATED: the software TEE proves nothing about any hardware"


class CollateralView(View, frozen=True):
    """A vendor's document."""

    key: HexBytes
    """Kind, digest of the subject, evaluation number: 29 bytes."""
    kind: str
    """intel_root_crl, intel_pck_crl, intel_tcb_info, intel_qe_identity or amd_crl."""
    number: Height
    """Evaluation number; 0 for lists."""
    root: HexHash
    """SHA-256 of the root certificate that vouches for it."""
    tee: str | None
    """sgx or tdx, where the document is about one of them."""
    fmspc: HexBytes | None
    issuer: HexBytes | None
    """Distinguished name of a list's issuer, DER."""
    entry_count: int
    """Serial numbers of a list, levels of a statement."""
    issued_ms: Height
    next_update_ms: Height
    overdue_ms: Height
    """Block time from which it is overdue, its signers' certificates included."""
    is_overdue: bool
    is_early: bool
    """Above the evaluation number in force: it feeds forecasts alone."""
    first_seen_ms: Height
    stored_ms: Height
    is_simulated: bool
    notice: str | None
    body_hash: HexHash
    body: HexBytes | None
    """The document itself; null in lists."""
    chain: list[HexBytes] | None
    """Certificates as they were sent, DER, signer first; null in lists."""


class CollateralsView(View, frozen=True):
    """Documents, without their bytes."""

    collaterals: list[CollateralView]
    cursor: str | None
    """Of the next page; null at the end."""


class EnclaveView(View, frozen=True):
    """A program on a machine that proved itself."""

    id: AddressText
    height: Height
    operator: AddressText
    hardware: AddressText
    image: AddressText
    release: Height
    tee: str
    platform: HexBytes | None
    """Lasting id of the machine, class byte first; null where the evidence hides it."""
    sign_key: HexHash
    seal_key: HexHash
    state: str
    """trusted, grace, suspended, expired or revoked."""
    reason: str | None
    """Why it is not simply trusted."""
    level: int
    """0 to 5; always 1 for simulated hardware."""
    standing: int
    """By status alone: what its state follows. No level."""
    is_usable: bool
    """Whether it counts now."""
    is_simulated: bool
    notice: str | None
    root: HexHash
    measurements: dict[str, HexBytes]
    """By register."""
    claims: JsonObject
    """As proven; their TCB as last judged."""
    gpus: list[JsonObject]
    evidence_hash: HexHash
    challenge_height: Height
    attested_height: Height
    attested_ms: Height
    expires_ms: Height
    last_beat_ms: Height | None
    proof: JsonObject | None
    """A proof bundle of the record (docs/PROOFS.md), if asked for."""


class EnclavesView(View, frozen=True):
    """Enclaves, without proofs."""

    enclaves: list[EnclaveView]
    cursor: str | None
    """Of the next page, which may be shorter than asked for; null at the end."""


class ShortageView(View, frozen=True):
    """A component that is too old."""

    component: str
    seen: int
    needed: int


class ForecastView(View, frozen=True):
    """How an enclave will stand if its machine is not updated."""

    enclave: AddressText
    state: str
    standing: int
    falls: bool
    """Whether it will stand lower than now."""
    state_then: str
    standing_then: int
    """When everything known is in force and no grace is left."""
    reason_then: str | None
    status_then: str | None
    """Intel's word."""
    due_ms: Height | None
    """Block time from which it counts; null if it does already."""
    shortages: list[ShortageView]
    overdue_ms: Height | None
    """Block time from which its collateral is overdue, unless a later document comes."""
    expires_ms: Height
    is_simulated: bool
    notice: str | None


class ForecastsView(View, frozen=True):
    """Forecasts of one enclave, or of an operator's."""

    forecasts: list[ForecastView]
    """Those of enclaves that are over have none."""
    cursor: str | None


class AppraisalView(View, frozen=True):
    """What would become of evidence now."""

    ok: bool
    """Whether all checks hold."""
    is_simulated: bool
    notice: str | None
    enclave: AddressText | None
    """Whose attestation was tried; null if only the evidence was looked at."""
    level: int | None
    standing: int | None
    claims: JsonObject | None
    """Null if the evidence is refused."""
    checks: list[CheckView]
    """By name, in their order: `seen` is what was found, `bound` what is expected."""


class ReleaseView(View, frozen=True):
    """One release of a resource."""

    number: Height
    status: str
    until_ms: Height | None
    """End of a deprecated release."""
    created_ms: Height
    body: JsonObject


class PolicyNodeView(View, frozen=True):
    """A node of a policy with all below it."""

    name: str
    words: str
    """What it asks for."""
    node: JsonObject
    """Its fields; nothing but its kind where it combines others."""
    children: list[PolicyNodeView]
    """None below a condition."""


class PlanView(View, frozen=True):
    """Terms under which a resource can be ordered, and what is left of them."""

    plan: JsonObject
    is_open: bool
    """Whether new orders may name it."""
    in_use: Height
    """Units that orders hold."""
    stock_left: Height | None
    """Null: no stock bounds them."""
    free: Height | None
    """Units that stock and a machine's free capacity leave; null if nothing bounds them."""


class PayeeView(View, frozen=True):
    """An account's share of a resource's income."""

    account: AddressText
    share_bp: int


class ResourceView(View, frozen=True):
    """Data, software or hardware that somebody offers."""

    id: AddressText
    height: Height
    owner: AddressText
    kind: str
    category: str
    title: str
    status: str
    capacity: JsonObject | None
    in_use: JsonObject | None
    plan_count: Height
    release_count: Height
    releases: list[ReleaseView]
    """The newest ones, newest first."""
    plans: list[PlanView]
    """The newest ones, newest first."""
    policy: PolicyNodeView | None
    """Null: no conditions."""
    payees: list[PayeeView]
    """Without any, all goes to the owner."""
    vault: AddressText | None
    """The software whose enclaves may release keys in the owner's place."""
    derived_from: AddressText | None
    """The order whose output it is."""
    meta_hash: HexHash | None
    usage_count: Height
    """Rows of its ledger of use."""
    promised_count: Height
    """Uses that granted keys promise to orders that have not started; policies count them, too."""
    grant_epoch: Height
    frozen_ms: Height | None
    """When its owner had all orders with it ended."""
    drain_at_ms: Height | None
    """When hardware stops taking orders."""
    bond_locked: AmountText
    created_ms: Height
    proof: JsonObject | None
    """A proof bundle of the record (docs/PROOFS.md), if asked for."""
