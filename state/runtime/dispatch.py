"""Dispatch: one row for each kind of message and for each kind of deadline.

A new message needs its struct in state/messages.py, a handler beside the ones here, and a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from state.deadlines import Deadline, DeadlineKind
from state.messages import Bond, Message, Report, Scope, SetAuth, Transfer
from state.runtime.accounts import apply_transfer
from state.runtime.attestations import apply_attest
from state.runtime.auth_changes import apply_set_auth, finish_auth_change
from state.runtime.authorisation import ANY_SCOPE
from state.runtime.collateral import apply_put_collateral, finish_collateral, finish_grace, finish_number
from state.runtime.context import Context
from state.runtime.enclaves import finish_enclave, forget_platform
from state.runtime.endorsements import apply_endorse, finish_endorsement
from state.runtime.equivocation import apply_report
from state.runtime.resources import apply_publish, finish_release
from state.runtime.staking import apply_bond
from state.runtime.trust_rules import finish_rules
from state.runtime.unbonding import finish_unbonding
from state.runtime.validator_updates import forget_epoch
from state.trust_messages import (
    COLLATERAL_BYTES_MAX,
    GPUS_MAX,
    SUPERSEDED_MAX,
    Attest,
    Endorse,
    Publish,
    PutCollateral,
    Supersede,
)
from tee.evidence import EvidenceKind


class Handler(Struct, frozen=True):
    """How a kind of message is authorised, priced and applied."""

    scope: Scope
    """Scope in which the sender's keys must reach the threshold."""
    work: int
    """Units charged unless the parameters override it: microseconds as bench/bench_runtime.py measures them."""
    apply: Callable[[Context, bytes, Any], None]
    """Handler of context, sender and message. Any: each row's function takes its own kind of message."""
    is_large: bool = False
    """Whether envelopes with it may be larger than ordinary ones. An envelope has one such message at most."""
    extra_work: Callable[[Any], int] | None = None
    """Units beside `work` that depend on the message."""
    extra_work_max: int = 0


EVIDENCE_WORK: Final = {
    EvidenceKind.SGX: 0,
    EvidenceKind.TDX: 0,
    EvidenceKind.SEV_SNP: 600,
    EvidenceKind.NITRO: 3_600,
}
"""What verifying evidence costs beside an Intel quote's share in the work of `Attest`."""
GPU_WORK: Final = 3_400
"""Four certificates and a report, P-384."""


def attest_work(message: Attest) -> int:
    """Return what the vendors' signatures of an attestation cost; an unknown kind is refused unread."""
    kind = EvidenceKind(message.tee) if message.tee in set(EvidenceKind) else EvidenceKind.TDX
    return EVIDENCE_WORK[kind] + len(message.gpus) * GPU_WORK


SUPERSEDED_WORK: Final = 70
"""What it costs to deprecate a release, and to revoke it when its notice is over: four records touched, and both ways run."""


def publish_work(message: Publish) -> int:
    """Return what superseding costs; ALL counts as many as it may reach."""
    count = SUPERSEDED_MAX if message.supersedes is Supersede.ALL else len(message.superseded)
    return count * SUPERSEDED_WORK


def collateral_work(message: PutCollateral) -> int:
    """Return what reading a document costs: a revocation list of 6,000 entries has 210 KB and takes 80 ms."""
    return len(message.body) * 2 // 5


HANDLERS: Final[Mapping[type[Message], Handler]] = {
    Transfer: Handler(scope=Scope.FUND, work=40, apply=apply_transfer),
    SetAuth: Handler(scope=Scope.OWN, work=150, apply=apply_set_auth),
    Bond: Handler(scope=Scope.FUND, work=300, apply=apply_bond),
    Report: Handler(scope=ANY_SCOPE, work=400, apply=apply_report),
    Publish: Handler(
        scope=Scope.OWN,
        work=200,
        apply=apply_publish,
        extra_work=publish_work,
        extra_work_max=SUPERSEDED_MAX * SUPERSEDED_WORK,
    ),
    Endorse: Handler(scope=Scope.GOVERN, work=220, apply=apply_endorse),
    PutCollateral: Handler(
        scope=ANY_SCOPE,
        work=600,
        apply=apply_put_collateral,
        is_large=True,
        extra_work=collateral_work,
        extra_work_max=COLLATERAL_BYTES_MAX * 2 // 5,
    ),
    Attest: Handler(
        scope=Scope.OPERATE,
        work=900,
        apply=apply_attest,
        is_large=True,
        extra_work=attest_work,
        extra_work_max=max(EVIDENCE_WORK.values()) + GPUS_MAX * GPU_WORK,
    ),
}

DEADLINE_HANDLERS: Final[Mapping[DeadlineKind, Callable[[Context, Deadline], None]]] = {
    DeadlineKind.AUTH_DUE: finish_auth_change,
    DeadlineKind.UNBONDING_DUE: finish_unbonding,
    DeadlineKind.EVIDENCE_OVER: forget_epoch,
    DeadlineKind.ENCLAVE_DUE: finish_enclave,
    DeadlineKind.COLLATERAL_DUE: finish_collateral,
    DeadlineKind.NUMBER_DUE: finish_number,
    DeadlineKind.GRACE_OVER: finish_grace,
    DeadlineKind.RULES_DUE: finish_rules,
    DeadlineKind.RELEASE_DUE: finish_release,
    DeadlineKind.ENDORSEMENT_DUE: finish_endorsement,
    DeadlineKind.PLATFORM_DUE: forget_platform,
}


def required_scope(message: Message, sender: bytes) -> Scope:
    """Return the scope that a message needs of its sender. To recover another account, its guardians sign; the sender only pays."""
    if type(message) is SetAuth and message.account != sender:
        return ANY_SCOPE
    return HANDLERS[type(message)].scope
