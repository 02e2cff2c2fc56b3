"""The messages of governance: `propose` and `vote`, and what a proposal may change. They are members of `Message`."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

from msgspec import Meta

from state.codec import Address, Amount, Hash, Height, OptionalHash, TimeMs, UInt, Wire
from state.offers import Title
from state.params import (
    AccountParams,
    AttestationParams,
    BlockParams,
    ConsensusParams,
    FeeParams,
    GovernanceParams,
    MarketParams,
    StakingParams,
)
from state.trust_records import AppraisalRules, Brake, PlatformId, PlatformVerdict


class ChangeParams(Wire, frozen=True, tag=1):
    """Kind params: replace groups of parameters; None stays. Checked when proposed and when applied."""

    fees: FeeParams | None
    blocks: BlockParams | None
    consensus: ConsensusParams | None
    staking: StakingParams | None
    accounts: AccountParams | None
    attestation: AttestationParams | None
    governance: GovernanceParams | None
    market: MarketParams | None


class SetRules(Wire, frozen=True, tag=2):
    """Kind roots: the policy for all enclaves: floors, graces, waivers with dates."""

    rules: AppraisalRules


class ListPlatform(Wire, frozen=True, tag=3):
    """Kind roots: put a machine on the list of the allowed or of the denied, or take it off."""

    platform: PlatformId
    verdict: PlatformVerdict | None


class DistrustRoot(Wire, frozen=True, tag=4):
    """Kind roots: let nothing new be proven below a vendor's root."""

    fingerprint: Hash
    """SHA-256 of its certificate."""


class ScheduleNumber(Wire, frozen=True, tag=5):
    """Kind roots: put an evaluation number into force at another time than by its default delay."""

    root: Hash
    number: UInt
    due_ms: TimeMs


class Upgrade(Wire, frozen=True, tag=6):
    """Kind upgrade: from a height on, nodes need a software that speaks this protocol; older ones stop before it."""

    height: Height
    protocol: Annotated[int, Meta(ge=1, le=1 << 31)]
    software: Annotated[str, Meta(min_length=1, max_length=64)]
    """Name of the release, for people."""
    verifier_changed: bool
    """Whether evidence is verified otherwise from then on: every proof from before ends within the cap."""


class ValidatorChange(IntEnum):
    """What governance does to a validator."""

    JAIL = 1
    """As for downtime; its operator may return it."""
    REMOVE = 2
    """Off the roster, as if its own stake had fallen below the minimum."""


class ChangeValidator(Wire, frozen=True, tag=7):
    """Kind validator: take a validator out of the set."""

    validator: Address
    change: ValidatorChange


class SpendTreasury(Wire, frozen=True, tag=8):
    """Kind treasury: pay an account."""

    to: Address
    amount: Amount


class SetBrake(Wire, frozen=True, tag=9):
    """Kind brake: stop something at once; two thirds of the power, no timelock, ends by itself."""

    brake: Brake


class EndOrder(Wire, frozen=True, tag=10):
    """Kind brake: end one order, with the reason `governance`; needs what a brake needs."""

    order: Address


class Text(Wire, frozen=True, tag=11):
    """Kind text: say something, and change nothing."""

    statement_hash: OptionalHash


Payload = (
    ChangeParams
    | SetRules
    | ListPlatform
    | DistrustRoot
    | ScheduleNumber
    | Upgrade
    | ChangeValidator
    | SpendTreasury
    | SetBrake
    | EndOrder
    | Text
)


class VoteChoice(IntEnum):
    """What a vote says."""

    YES = 1
    NO = 2
    ABSTAIN = 3
    """Counts towards the quorum alone."""
    VETO = 4
    """Counts as NO; enough of them reject, also within the timelock."""


class Propose(Wire, frozen=True, tag=17):
    """Propose a change to the validators. Scope GOVERN. The deposit comes back unless the proposal is vetoed."""

    title: Title
    payload: Payload
    deposit: Amount
    """ubocc; at least the parameter's."""


class CastVote(Wire, frozen=True, tag=18):
    """Vote with the power that the sender's validator had when the proposal was made. Scope GOVERN. A later vote replaces it."""

    proposal: UInt
    choice: VoteChoice
