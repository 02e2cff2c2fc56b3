"""Parameters of the chain: first given by the genesis, later changed by governance alone.

Every group is a wire struct; the genesis file spells the same fields by name. Values that must fit each other are checked by
`check_params`, both when a change is proposed and when it is applied. Times are milliseconds of block time, shares are basis
points.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from state.block import BLOCK_BYTES_MAX, BLOCK_TRANSACTIONS_MAX, ENVELOPE_BYTES_MAX
from state.codec import Amount, Wire
from state.errors import Rejected
from state.validators import VALIDATORS_MAX

BASIS_POINTS: Final = 10_000
"""The whole, in basis points."""
DURATION_MS_MAX: Final = 366 * 86_400_000
"""No delay or window of the chain is longer than a year, so sums with block time stay far from 2^63."""

MOMENT_MS: Final = 1_000
"""Least time for people or networks to do something: no message crosses the world and is answered in much less."""
TIMER_MS_MAX: Final = 600_000
"""Longest view, so also the longest wait for a block of a leader that works."""

BasisPoints = Annotated[int, Meta(ge=0, le=BASIS_POINTS)]
DurationMs = Annotated[int, Meta(ge=0, le=DURATION_MS_MAX)]
Price = Annotated[int, Meta(ge=0, le=10**12)]


class WorkOverride(Wire, frozen=True):
    """Another work charge for one kind of message than the table of work has."""

    message: Annotated[int, Meta(ge=1, le=255)]
    """Tag of the message."""
    work: Annotated[int, Meta(ge=1, le=10**9)]


class FeeParams(Wire, frozen=True):
    """What a transaction costs: base + per byte + per unit of work. One unit is a microsecond of the reference machine."""

    base: Price
    """ubocc per transaction."""
    per_byte: Price
    """ubocc per byte of the envelope."""
    per_work: Price
    """ubocc per unit of work."""
    signature_work: Annotated[int, Meta(ge=1, le=10**6)]
    """Work of verifying one signature of an envelope."""
    work_overrides: Annotated[tuple[WorkOverride, ...], Meta(max_length=64)]
    """Sorted by message, distinct."""


class BlockParams(Wire, frozen=True):
    """Limits of blocks and envelopes."""

    bytes_max: Annotated[int, Meta(ge=1 << 10, le=BLOCK_BYTES_MAX)]
    """Sum of the envelopes' bytes in a block."""
    transactions_max: Annotated[int, Meta(ge=1, le=BLOCK_TRANSACTIONS_MAX)]
    work_max: Annotated[int, Meta(ge=1_000, le=10**9)]
    """Sum of work in a block, so that the worst block executes in a fraction of a second."""
    envelope_bytes_max: Annotated[int, Meta(ge=1 << 10, le=ENVELOPE_BYTES_MAX)]
    """Largest envelope of ordinary messages."""
    large_envelope_bytes_max: Annotated[int, Meta(ge=1 << 10, le=ENVELOPE_BYTES_MAX)]
    """Largest envelope with a message that the table of work marks as large (collateral)."""
    expiry_ahead_ms_max: DurationMs
    """How far ahead of the clock a transaction may expire, at admission."""
    deadlines_max: Annotated[int, Meta(ge=1, le=10_000)]
    """Deadlines handled at the end of one block; the rest carries over."""
    reappraisals_max: Annotated[int, Meta(ge=1, le=10_000)]
    """Enclaves re-appraised at the end of one block; the rest carries over."""
    order_reviews_max: Annotated[int, Meta(ge=1, le=10_000)]
    """Orders reviewed at the end of one block, because their enclave fell or a resource was withdrawn; the rest carries over."""


class ConsensusParams(Wire, frozen=True):
    """Timing of consensus and size of the validator set."""

    heartbeat_ms: DurationMs
    """An idle chain makes a block after this long; 0 = never."""
    min_block_interval_ms: DurationMs
    timer_min_ms: DurationMs
    timer_first_ms: DurationMs
    timer_max_ms: DurationMs
    precision_ms: DurationMs
    """How far clocks of correct nodes may be apart."""
    message_delay_ms: DurationMs
    """How long a proposal may travel and still be timely."""
    validator_update_interval_ms: DurationMs
    """Least block time between two changes of the validator set."""
    validators_max: Annotated[int, Meta(ge=1, le=VALIDATORS_MAX)]
    validators_min: Annotated[int, Meta(ge=1, le=VALIDATORS_MAX)]
    """No jail and no leaving makes the set smaller than this."""


class StakingParams(Wire, frozen=True):
    """Bonds, and what misbehaviour costs."""

    own_stake_min: Annotated[int, Meta(ge=10**6, le=10**15)]
    """ubocc that an operator keeps bonded itself for its validator to be a candidate."""
    unbonding_ms: DurationMs
    """Longer than evidence_age_ms and validator_update_interval_ms together: an operator whose stake leaves may stay in the set for
    an interval and be convicted for as long as evidence counts, and until then its stake is still there."""
    evidence_age_ms: DurationMs
    """How long after the end of its epoch a pair of conflicting votes convicts."""
    slash_bp: BasisPoints
    """Share of bonded, delegated and unbonding stake that an equivocation costs."""
    reporter_bp: BasisPoints
    """Share of the slash that goes to the reporter; the rest is burned."""
    downtime_window: Annotated[int, Meta(ge=1, le=10**6)]
    """Views led after which the count of missed ones starts anew."""
    downtime_bp: Annotated[int, Meta(ge=1, le=BASIS_POINTS)]
    """Share of the window that must be missed for jail."""
    jail_ms: DurationMs


class AccountParams(Wire, frozen=True):
    """Rules of accounts."""

    auth_delay_ms: DurationMs
    """How long a weakening change of keys waits, and can be cancelled."""


class AttestationParams(Wire, frozen=True):
    """Windows of attestation, all in block time."""

    max_age_ms: DurationMs
    """Longest life of an enclave's attestation."""
    challenge_window_ms: DurationMs
    """Age of the block that an evidence may name as its challenge."""
    collateral_grace_ms: DurationMs
    """How long overdue collateral is still used."""
    tcb_grace_ms: DurationMs
    """How long a machine below the newest TCB keeps level 3."""
    promotion_delay_ms: DurationMs
    """When a higher evaluation number comes into force after it is first seen."""
    collateral_age_ms_max: DurationMs
    """Age since their issue at which Intel's documents admit no new attestation, whatever end they name."""
    news_interval_ms: DurationMs
    """A document returns its fee if it was issued at least this long after the one that it replaces."""
    verifier_cap_ms: DurationMs
    """How long proofs of before a change of the verifier still count."""
    platform_enclaves_max: Annotated[int, Meta(ge=1, le=10_000)]
    """Enclaves on one machine at a time."""
    platform_notice_ms: DurationMs
    """How long a machine without enclaves stays its last owner's."""
    enclave_keep_ms: DurationMs
    """How long an expired enclave is remembered."""


class GovernanceParams(Wire, frozen=True):
    """How proposals pass."""

    voting_ms: DurationMs
    timelock_ms: DurationMs
    quorum_bp: BasisPoints
    pass_bp: BasisPoints
    veto_bp: BasisPoints
    brake_bp: BasisPoints
    """Share of all power that a brake needs."""
    brake_ms_max: DurationMs
    proposal_deposit: Amount
    """ubocc that a proposal locks."""


class MarketParams(Wire, frozen=True):
    """Rules of resources and orders."""

    storage_bond_per_byte: Price
    """ubocc that a stored byte of a resource, an endorsement or an order locks."""
    fee_bp: BasisPoints
    """Share of what orders pay that goes to the treasury."""
    settle_every_ms: DurationMs
    """How long a running order's earnings may wait in its escrow before a receipt pays them out."""
    order_keep_ms: DurationMs
    """How long a closed order is remembered, and may be marked."""
    beat_ms_min: DurationMs
    """Least time between beats that a plan may ask for."""


class Params(Wire, frozen=True):
    """All parameters, one record of the state."""

    fees: FeeParams
    blocks: BlockParams
    consensus: ConsensusParams
    staking: StakingParams
    accounts: AccountParams
    attestation: AttestationParams
    governance: GovernanceParams
    market: MarketParams


class ParamsReason(StrEnum):
    """Why a set of parameters is refused."""

    OUT_OF_ORDER = "params_out_of_order"
    """Two values that must ascend do not, or a list is not sorted and distinct."""
    TOO_SHORT = "params_too_short"
    """A time is zero that must pass, or a window is shorter than another that must fit into it."""
    UNGOVERNABLE = "params_ungovernable"
    """Nothing could pass or be paid any more, or views take for ever, or a brake needs less than most of the power."""
    TOO_LITTLE_WORK = "params_too_little_work"
    """A block has less work than a legal transaction may need."""


class ParamsRejected(Rejected):
    """Parameters that no chain may have."""


def check_params(params: Params) -> None:
    """Check that parameters which depend on each other fit. What depends on prices is checked by state/runtime/prices.py.

    Raises:
        ParamsRejected: OUT_OF_ORDER, TOO_SHORT, UNGOVERNABLE.
    """
    consensus, staking, blocks = params.consensus, params.staking, params.blocks
    for name, low, high in (
        ("timer_min_ms, timer_first_ms", consensus.timer_min_ms, consensus.timer_first_ms),
        ("timer_first_ms, timer_max_ms", consensus.timer_first_ms, consensus.timer_max_ms),
        ("validators_min, validators_max", consensus.validators_min, consensus.validators_max),
        ("min_block_interval_ms, timer_max_ms", consensus.min_block_interval_ms, consensus.timer_max_ms),
        ("envelope_bytes_max", blocks.envelope_bytes_max, blocks.large_envelope_bytes_max),
        ("large_envelope_bytes_max, bytes_max", blocks.large_envelope_bytes_max, blocks.bytes_max),
    ):
        if low > high:
            raise ParamsRejected(ParamsReason.OUT_OF_ORDER, f"{name}: {low} above {high}")
    kinds = [override.message for override in params.fees.work_overrides]
    if kinds != sorted(set(kinds)):
        raise ParamsRejected(ParamsReason.OUT_OF_ORDER, f"work_overrides: {kinds}")
    for name, duration_ms, longer_than_ms in (
        ("timer_min_ms", consensus.timer_min_ms, 0),
        ("precision_ms", consensus.precision_ms, 0),
        ("message_delay_ms", consensus.message_delay_ms, 0),
        ("timer_max_ms", consensus.timer_max_ms, MOMENT_MS - 1),
        ("voting_ms", params.governance.voting_ms, MOMENT_MS - 1),
        ("beat_ms_min", params.market.beat_ms_min, 0),
        ("order_keep_ms", params.market.order_keep_ms, 0),
        ("expiry_ahead_ms_max", blocks.expiry_ahead_ms_max, MOMENT_MS - 1),
        ("unbonding_ms", staking.unbonding_ms, staking.evidence_age_ms + consensus.validator_update_interval_ms),
    ):
        if duration_ms <= longer_than_ms:
            raise ParamsRejected(ParamsReason.TOO_SHORT, f"{name} {duration_ms}", longer_than_ms + 1)
    _check_governable(params)


def _check_governable(params: Params) -> None:
    """Check that governance could still repair what it has changed: what it asks can be reached, paid, and comes into a block."""
    governance = params.governance
    for name, value, least, most in (
        ("pass_bp", governance.pass_bp, 0, BASIS_POINTS - 1),
        ("veto_bp", governance.veto_bp, 1, BASIS_POINTS),
        ("brake_bp", governance.brake_bp, BASIS_POINTS // 2 + 1, BASIS_POINTS),
        ("timer_max_ms", params.consensus.timer_max_ms, 0, TIMER_MS_MAX),
        ("proposal_deposit", governance.proposal_deposit, 0, params.staking.own_stake_min),
    ):
        if not least <= value <= most:
            raise ParamsRejected(ParamsReason.UNGOVERNABLE, f"{name} {value}", f"{least} to {most}")
