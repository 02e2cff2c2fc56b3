"""The state machines of all but orders: what may happen to releases, resources, enclaves, validators, proposals, and what follows.

Compare each table line by line with the runtime specification, d.3, and with its copy in docs/PROTOCOL.md. Handlers refuse what may
not be; `check_step` stands where a state changes. None is the state of what is not on record. The table of orders is
state/runtime/orders/table.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeVar

from state.governance_records import ProposalState
from state.records import ValidatorStatus
from state.resource_records import ReleaseStatus, ResourceStatus
from state.runtime.reasons import EnclaveReason
from state.trust_records import EnclaveState
from tee.appraisal import DenialReason

State = TypeVar("State")
Trigger = TypeVar("Trigger", bound=StrEnum)
Steps = Mapping[State, Mapping[Trigger, frozenset[State]]]
"""State -> what may happen -> the states that may follow."""


def check_step(steps: Steps[State, Trigger], before: State, trigger: Trigger, after: State) -> None:
    """Check that a change of state is one of a table.

    Raises:
        AssertionError: it is not, which is our own mistake. The text is made then only: whole fleets change in a block.
    """
    if after not in steps[before].get(trigger, ()):
        raise AssertionError(f"{trigger} leads from {before!r} to {after!r}")


class ReleaseTrigger(StrEnum):
    """What happens to a release, by its owner or by the wheel."""

    PUBLISH = "publish"
    RESTORE = "restore"
    DEPRECATE = "deprecate"
    """A notice, by an amendment or by the release that supersedes it."""
    REVOKE = "revoke"
    NOTICE_OVER = "notice_over"


_CURRENT, _DEPRECATED, _REVOKED = ReleaseStatus

RELEASE_STEPS: Final[Steps[ReleaseStatus | None, ReleaseTrigger]] = {
    None: {ReleaseTrigger.PUBLISH: frozenset({_CURRENT})},
    _CURRENT: {
        ReleaseTrigger.DEPRECATE: frozenset({_DEPRECATED}),
        ReleaseTrigger.REVOKE: frozenset({_REVOKED}),
    },
    _DEPRECATED: {
        ReleaseTrigger.RESTORE: frozenset({_CURRENT}),
        ReleaseTrigger.DEPRECATE: frozenset({_DEPRECATED}),
        ReleaseTrigger.REVOKE: frozenset({_REVOKED}),
        ReleaseTrigger.NOTICE_OVER: frozenset({_REVOKED}),
    },
    _REVOKED: {},
}
RELEASE_CHANGES: Final = {
    _CURRENT: ReleaseTrigger.RESTORE,
    _DEPRECATED: ReleaseTrigger.DEPRECATE,
    _REVOKED: ReleaseTrigger.REVOKE,
}
"""Status that an owner gives a release -> what that is."""


class ResourceTrigger(StrEnum):
    """What its owner does with a resource."""

    PUBLISH = "publish"
    PAUSE = "pause"
    RESUME = "resume"
    FREEZE = "freeze"
    """Data or software ends all its orders."""
    RETIRE = "retire"


_OFFERED, _PAUSED, _RETIRED = ResourceStatus

RESOURCE_STEPS: Final[Steps[ResourceStatus | None, ResourceTrigger]] = {
    None: {ResourceTrigger.PUBLISH: frozenset({_OFFERED})},
    _OFFERED: {
        ResourceTrigger.PAUSE: frozenset({_PAUSED}),
        ResourceTrigger.FREEZE: frozenset({_PAUSED}),
        ResourceTrigger.RETIRE: frozenset({_RETIRED}),
    },
    _PAUSED: {
        ResourceTrigger.RESUME: frozenset({_OFFERED}),
        ResourceTrigger.FREEZE: frozenset({_PAUSED}),
        ResourceTrigger.RETIRE: frozenset({_RETIRED}),
    },
    _RETIRED: {},
}
RESOURCE_CHANGES: Final = {
    _OFFERED: ResourceTrigger.RESUME,
    _PAUSED: ResourceTrigger.PAUSE,
    _RETIRED: ResourceTrigger.RETIRE,
}
"""Status that an owner gives a resource -> what that is."""


class EnclaveTrigger(StrEnum):
    """What happens to an enclave: its operator attests it, a judgement on one ground, or a date."""

    ATTEST = "attest"
    GOOD = "good"
    """Judged without reserve."""
    LATE = "late"
    """Its TCB, its documents or their numbers are behind, within the grace."""
    UNFIT = "unfit"
    """Stopped, denied, unknown, or behind for too long."""
    PROOF_OVER = "proof_over"
    WITHDRAWN = "withdrawn"
    """The vendor or the chain withdrew its machine."""
    KEEP_OVER = "keep_over"
    """The time on record of an expired enclave."""


_T, _G, _S, _X, _R = EnclaveState

ENCLAVE_STEPS: Final[Steps[EnclaveState | None, EnclaveTrigger]] = {
    None: {EnclaveTrigger.ATTEST: frozenset({_T, _G})},
    _T: {
        EnclaveTrigger.ATTEST: frozenset({_T, _G}),
        EnclaveTrigger.LATE: frozenset({_G}),
        EnclaveTrigger.UNFIT: frozenset({_S}),
        EnclaveTrigger.PROOF_OVER: frozenset({_X}),
        EnclaveTrigger.WITHDRAWN: frozenset({_R}),
    },
    _G: {
        EnclaveTrigger.ATTEST: frozenset({_T, _G}),
        EnclaveTrigger.GOOD: frozenset({_T}),
        EnclaveTrigger.UNFIT: frozenset({_S}),
        EnclaveTrigger.PROOF_OVER: frozenset({_X}),
        EnclaveTrigger.WITHDRAWN: frozenset({_R}),
    },
    _S: {
        EnclaveTrigger.ATTEST: frozenset({_T, _G}),
        EnclaveTrigger.GOOD: frozenset({_T}),
        EnclaveTrigger.LATE: frozenset({_G}),
        EnclaveTrigger.PROOF_OVER: frozenset({_X}),
        EnclaveTrigger.WITHDRAWN: frozenset({_R}),
    },
    _X: {
        EnclaveTrigger.ATTEST: frozenset({_T, _G}),
        EnclaveTrigger.KEEP_OVER: frozenset({None}),
    },
    _R: {},
}
_GROUNDS: Final[Mapping[str, EnclaveTrigger]] = {
    "": EnclaveTrigger.GOOD,
    EnclaveReason.COLLATERAL_OVERDUE: EnclaveTrigger.LATE,
    EnclaveReason.BEHIND: EnclaveTrigger.LATE,
    EnclaveReason.COLLATERAL_BEHIND: EnclaveTrigger.LATE,
    EnclaveReason.EXPIRED: EnclaveTrigger.PROOF_OVER,
    EnclaveReason.VERIFIER_CHANGED: EnclaveTrigger.PROOF_OVER,
    DenialReason.PLATFORM_DENIED: EnclaveTrigger.WITHDRAWN,
    EnclaveReason.CERTIFICATE_REVOKED: EnclaveTrigger.WITHDRAWN,
    EnclaveReason.AUTHORITY_REVOKED: EnclaveTrigger.WITHDRAWN,
}


def ground_of(reason: str) -> EnclaveTrigger:
    """Return which ground a judgement for this reason is on; every reason that is not of another ground makes unfit."""
    return _GROUNDS.get(reason, EnclaveTrigger.UNFIT)


class ValidatorTrigger(StrEnum):
    """What happens to a validator: by its operator, by others, by governance, or at the end of an epoch."""

    GENESIS = "genesis"
    REGISTER = "register"
    """Its operator's first bond binds the key; the stake of the same bond then counts as added."""
    STAKE_ADDED = "stake_added"
    """Its operator's own stake reaches the minimum again."""
    STAKE_REMOVED = "stake_removed"
    """Its operator's own stake falls below the minimum."""
    UNJAIL = "unjail"
    OUTBID = "outbid"
    """A newcomer takes its place on a full roster."""
    REPORT = "report"
    """Two votes of its convict it."""
    MISSED_VIEWS = "missed_views"
    GOVERNANCE_JAIL = "governance_jail"
    GOVERNANCE_REMOVE = "governance_remove"
    CHOSEN = "chosen"
    NOT_CHOSEN = "not_chosen"


_CANDIDATE, _ACTIVE, _JAILED, _UNBONDING, _TOMBSTONED = ValidatorStatus

VALIDATOR_STEPS: Final[Steps[ValidatorStatus | None, ValidatorTrigger]] = {
    None: {
        ValidatorTrigger.GENESIS: frozenset({_ACTIVE}),
        ValidatorTrigger.REGISTER: frozenset({_UNBONDING}),
    },
    _CANDIDATE: {
        ValidatorTrigger.STAKE_REMOVED: frozenset({_UNBONDING}),
        ValidatorTrigger.OUTBID: frozenset({_UNBONDING}),
        ValidatorTrigger.REPORT: frozenset({_TOMBSTONED}),
        ValidatorTrigger.MISSED_VIEWS: frozenset({_JAILED}),
        ValidatorTrigger.GOVERNANCE_JAIL: frozenset({_JAILED}),
        ValidatorTrigger.GOVERNANCE_REMOVE: frozenset({_UNBONDING}),
        ValidatorTrigger.CHOSEN: frozenset({_ACTIVE}),
    },
    _ACTIVE: {
        ValidatorTrigger.STAKE_REMOVED: frozenset({_UNBONDING}),
        ValidatorTrigger.REPORT: frozenset({_TOMBSTONED}),
        ValidatorTrigger.MISSED_VIEWS: frozenset({_JAILED}),
        ValidatorTrigger.GOVERNANCE_JAIL: frozenset({_JAILED}),
        ValidatorTrigger.GOVERNANCE_REMOVE: frozenset({_UNBONDING}),
        ValidatorTrigger.NOT_CHOSEN: frozenset({_CANDIDATE}),
    },
    _JAILED: {
        ValidatorTrigger.STAKE_REMOVED: frozenset({_UNBONDING}),
        ValidatorTrigger.UNJAIL: frozenset({_CANDIDATE}),
        ValidatorTrigger.OUTBID: frozenset({_UNBONDING}),
        ValidatorTrigger.REPORT: frozenset({_TOMBSTONED}),
        ValidatorTrigger.GOVERNANCE_JAIL: frozenset({_JAILED}),
        ValidatorTrigger.GOVERNANCE_REMOVE: frozenset({_UNBONDING}),
    },
    _UNBONDING: {
        ValidatorTrigger.STAKE_ADDED: frozenset({_CANDIDATE, _JAILED}),
        ValidatorTrigger.REPORT: frozenset({_TOMBSTONED}),
        ValidatorTrigger.GOVERNANCE_JAIL: frozenset({_UNBONDING}),
        ValidatorTrigger.GOVERNANCE_REMOVE: frozenset({_UNBONDING}),
    },
    _TOMBSTONED: {},
}
"""A validator is never forgotten: its key stays bound, and its unbonding entries count shares of its record."""


class ProposalTrigger(StrEnum):
    """What happens to a proposal: a message, or a date."""

    PROPOSE = "propose"
    VOTE = "vote"
    """Yes, no or abstain."""
    VETO = "veto"
    VOTE_UNTIL = "vote_until"
    EXECUTE_AT = "execute_at"


_VOTING, _PASSED, _EXECUTED, _FAILED, _REJECTED, _VETOED = ProposalState

PROPOSAL_STEPS: Final[Steps[ProposalState | None, ProposalTrigger]] = {
    None: {ProposalTrigger.PROPOSE: frozenset({_VOTING})},
    _VOTING: {
        ProposalTrigger.VOTE: frozenset({_VOTING, _PASSED, _EXECUTED, _FAILED, _REJECTED}),
        ProposalTrigger.VETO: frozenset({_VOTING, _PASSED, _EXECUTED, _FAILED, _REJECTED}),
        ProposalTrigger.VOTE_UNTIL: frozenset({_PASSED, _EXECUTED, _FAILED, _REJECTED}),
    },
    _PASSED: {
        ProposalTrigger.VETO: frozenset({_PASSED, _VETOED}),
        ProposalTrigger.EXECUTE_AT: frozenset({_EXECUTED, _FAILED}),
    },
    _EXECUTED: {},
    _FAILED: {},
    _REJECTED: {},
    _VETOED: {},
}
"""Only brakes and ends of orders are executed, or fail, right at their votes."""
