"""The judgement of a policy on an order: it holds, it does not, or what is known does not tell yet.

Before a provider accepts, nobody knows the machine; before anybody orders, nobody knows the customer. So there are three verdicts,
and they combine as in Kleene's logic: what is unknown decides nothing, and nothing that is decided changes when more becomes known.
A handler that releases something asks for TRUE, so whatever cannot be told denies.

A policy is judged from its last node to its first, which needs no recursion: at most 32 conditions, each a few comparisons, and 8
of them with a look-up of endorsements, at the worst for each software line of the order (`python -m bench policies`).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from operator import itemgetter
from typing import Final

from msgspec import Struct

from state.policies import (
    AdvisoryNotIn,
    AllOf,
    AnyOf,
    BetweenHeights,
    Condition,
    CustomerIn,
    Endorsed,
    HardwareIn,
    HasGpus,
    LevelAtLeast,
    Not,
    OutputParty,
    OutputTo,
    PolicyNode,
    PurposeIs,
    ReleaseName,
    SoftwareIn,
    SubjectKind,
    TeeIn,
    UsesAtMost,
    WithDataIn,
)
from state.resource_records import Endorsement, numbered_key
from state.trust_records import Enclave
from tee.claims import NitroClaims, SgxClaims, SnpClaims, TdxClaims

FindEndorsement = Callable[[bytes, SubjectKind, bytes, str], Endorsement | None]
"""Returns the endorsement by an account, of a subject, with a claim, if it is on record; whether it counts is told by its dates."""

INTEL_ADVISORY: Final = "INTEL-"
"""How names of Intel's advisories begin. Evidence tells of no others."""
GPU_CHIP: Final = "G"
"""How chips of NVIDIA's that compute are named, such as GH100; its switches, such as LS_10, are not."""


class Verdict(IntEnum):
    """What is found. Ascending: the least verdict decides where all must hold, the greatest where any may."""

    FALSE = 0
    UNKNOWN = 1
    TRUE = 2


class OrderFacts(Struct, frozen=True):
    """What an order says."""

    customer: bytes
    software: tuple[tuple[bytes, int], ...]
    """Resource and release of every SOFTWARE line."""
    data: tuple[tuple[bytes, int], ...]
    """Likewise of DATA."""
    output_to: OutputParty
    purpose: str | None
    """None: it states none."""


class EnclaveFacts(Struct, frozen=True):
    """The enclave that runs an order, or would."""

    address: bytes
    record: Enclave
    level: int
    """As of now."""


class Facts(Struct, frozen=True):
    """What a policy is judged by. Facts that are not known are None."""

    resource: bytes
    """Whose policy it is; no bytes where it is the customer's constraints."""
    usage_count: int
    """Of that resource: past ones, those promised to others, and those of the order's other lines; 0 for constraints."""
    order: OrderFacts | None
    hardware: bytes | None
    """Of the COMPUTE line as ordered or accepted."""
    enclave: EnclaveFacts | None
    height: int
    time_ms: int
    find_endorsement: FindEndorsement


class Finding(Struct, frozen=True):
    """A verdict, and the first condition that decided it."""

    verdict: Verdict
    condition: Condition | None
    """None: there are no conditions."""
    is_negated: bool
    """Whether that condition stands below an odd number of `Not`."""


HOLDS_ALWAYS: Final = Finding(Verdict.TRUE, None, is_negated=False)


def judge_policy(policy: tuple[PolicyNode, ...], facts: Facts) -> Finding:
    """Judge a well-formed policy."""
    if not policy:
        return HOLDS_ALWAYS
    found: list[tuple[Verdict, Condition, bool]] = []
    """Findings on complete subtrees to the right, the next one last."""
    for node in reversed(policy):
        if isinstance(node, AllOf | AnyOf):
            children = found[: -node.count - 1 : -1]
            del found[-node.count :]
            found.append((min if isinstance(node, AllOf) else max)(children, key=itemgetter(0)))
        elif isinstance(node, Not):
            verdict, condition, is_negated = found.pop()
            found.append((_NEGATED[verdict], condition, not is_negated))
        else:
            found.append((judge_condition(node, facts), node, False))
    ((verdict, condition, is_negated),) = found
    return Finding(verdict, condition, is_negated)


_NEGATED: Final = (Verdict.TRUE, Verdict.UNKNOWN, Verdict.FALSE)


def judge_condition(condition: Condition, facts: Facts) -> Verdict:
    """Judge one condition."""
    match condition:
        case CustomerIn() | SoftwareIn() | WithDataIn() | OutputTo() | PurposeIs():
            if facts.order is None:
                return Verdict.UNKNOWN
            return _verdict(_order_meets(condition, facts.order, facts.resource))
        case TeeIn() | LevelAtLeast() | HasGpus():
            return Verdict.UNKNOWN if facts.enclave is None else _verdict(_enclave_meets(condition, facts.enclave))
        case AdvisoryNotIn():
            return Verdict.UNKNOWN if facts.enclave is None else _judge_advisories(condition, facts.enclave.record)
        case Endorsed():
            return _judge_endorsed(condition, facts)
        case HardwareIn():
            return Verdict.UNKNOWN if facts.hardware is None else _verdict(facts.hardware in condition.resources)
        case UsesAtMost():
            return _verdict(facts.usage_count < condition.count)
        case BetweenHeights():
            return _verdict(condition.first <= facts.height <= condition.last)


def _verdict(holds: bool) -> Verdict:
    return Verdict.TRUE if holds else Verdict.FALSE


def _order_meets(
    condition: CustomerIn | SoftwareIn | WithDataIn | OutputTo | PurposeIs, order: OrderFacts, resource: bytes
) -> bool:
    match condition:
        case CustomerIn():
            return order.customer in condition.accounts
        case SoftwareIn():
            return bool(order.software) and _are_named(order.software, condition.releases)
        case WithDataIn():
            return all(other == resource or other in condition.resources for other, _release in order.data)
        case OutputTo():
            return order.output_to == condition.party
        case PurposeIs():
            return order.purpose == condition.purpose


def _are_named(lines: tuple[tuple[bytes, int], ...], releases: tuple[ReleaseName, ...]) -> bool:
    """Tell whether every line is among these releases: a policy that allows a program does not allow what is loaded beside it."""
    named = {(release.resource, release.release) for release in releases}
    return all(line in named or (line[0], None) in named for line in lines)


def _enclave_meets(condition: TeeIn | LevelAtLeast | HasGpus, enclave: EnclaveFacts) -> bool:
    match condition:
        case TeeIn():
            return enclave.record.tee in condition.kinds
        case LevelAtLeast():
            return enclave.level >= condition.level
        case HasGpus():
            return count_gpus(enclave.record) >= condition.count


def count_gpus(enclave: Enclave) -> int:
    """Return how many GPUs an enclave proved; switches do not count."""
    return sum(gpu.chip.startswith(GPU_CHIP) for gpu in enclave.gpus)


def advisories_of(enclave: Enclave) -> frozenset[str] | None:
    """Return Intel's advisories that apply to an enclave, at its launch or now; None where the evidence does not tell.

    None of them applies to AMD's machines. Who knows what is below Nitro?
    """
    match enclave.claims:
        case SgxClaims(tcb=tcb) | TdxClaims(tcb=tcb):
            return frozenset(tcb.advisories) | frozenset(tcb.current_advisories)
        case SnpClaims():
            return frozenset()
        case NitroClaims():
            return None


def _judge_advisories(condition: AdvisoryNotIn, enclave: Enclave) -> Verdict:
    """Only Intel tells, and only of its own: any other name leaves it open, so that a list never promises what nobody checks."""
    applying = advisories_of(enclave)
    if applying is None:
        return Verdict.UNKNOWN
    if not applying.isdisjoint(condition.advisories):
        return Verdict.FALSE
    is_told = all(advisory.startswith(INTEL_ADVISORY) for advisory in condition.advisories)
    return Verdict.TRUE if is_told else Verdict.UNKNOWN


def _judge_endorsed(condition: Endorsed, facts: Facts) -> Verdict:
    """Every part of this kind must be endorsed, and there must be one."""
    subjects = subjects_of(condition.subject, facts)
    if subjects is None:
        return Verdict.UNKNOWN
    return _verdict(bool(subjects) and all(is_endorsed(condition, subject, facts) for subject in subjects))


def subjects_of(kind: SubjectKind, facts: Facts) -> tuple[bytes, ...] | None:
    """Return the parts of an order that endorsements of this kind are about; None where they are not known.

    They are: the machine's lasting id, each software line's release, the enclave, the hardware, the operator.
    """
    if kind is SubjectKind.RELEASE:
        return None if facts.order is None else tuple(numbered_key(*line) for line in facts.order.software)
    if kind is SubjectKind.RESOURCE:
        return None if facts.hardware is None else (facts.hardware,)
    if facts.enclave is None:
        return None
    match kind:
        case SubjectKind.PLATFORM:
            platform = facts.enclave.record.platform
            return (platform,) if platform else ()
        case SubjectKind.ENCLAVE:
            return (facts.enclave.address,)
        case SubjectKind.ACCOUNT:
            return (facts.enclave.record.operator,)


def is_endorsed(condition: Endorsed, subject: bytes, facts: Facts) -> bool:
    """Tell whether an endorsement as the condition asks for counts now."""
    endorsement = facts.find_endorsement(condition.endorser, condition.subject, subject, condition.claim)
    return endorsement is not None and endorsement.from_ms <= facts.time_ms <= endorsement.until_ms
