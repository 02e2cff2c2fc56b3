"""Access policies of resources: a tree of conditions on an order, small enough to judge in microseconds and to list.

A policy is stored in prefix order: a node of `AllOf`, `AnyOf` or `Not` is followed by its children, each with all below it. No wire
struct is recursive, so nesting is checked here: at most 4 levels and 32 conditions, 8 of which ask for endorsements. A policy
without nodes always holds; where keys must be released, the owner's grant still decides each order.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from state.codec import Address, Height, UInt, Wire
from state.offers import Words

POLICY_DEPTH_MAX: Final = 4
POLICY_CONDITIONS_MAX: Final = 32
POLICY_ENDORSEMENTS_MAX: Final = 8
"""Conditions that ask for endorsements. They alone read the state, some of them once for each line of an order."""
POLICY_NODES_MAX: Final = 64
NAMES_MAX: Final = 16
"""Accounts, resources or words that one condition lists."""

Addresses = Annotated[tuple[Address, ...], Meta(min_length=1, max_length=NAMES_MAX)]
Level = Annotated[int, Meta(ge=0, le=5)]
Advisory = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[A-Z0-9-]+\Z")]


class AllOf(Wire, frozen=True, tag=1):
    """Every one of the next `count` subtrees holds."""

    count: Annotated[int, Meta(ge=1, le=POLICY_CONDITIONS_MAX)]


class AnyOf(Wire, frozen=True, tag=2):
    """At least one of the next `count` subtrees holds."""

    count: Annotated[int, Meta(ge=1, le=POLICY_CONDITIONS_MAX)]


class Not(Wire, frozen=True, tag=3):
    """The next subtree does not hold."""


class CustomerIn(Wire, frozen=True, tag=4):
    """The customer is one of these accounts."""

    accounts: Addresses


class ReleaseName(Wire, frozen=True):
    """A resource, or one release of it."""

    resource: Address
    release: UInt | None
    """None: any."""


class SoftwareIn(Wire, frozen=True, tag=5):
    """The order has software, and all of it is among these; so software that asks for this names itself too."""

    releases: Annotated[tuple[ReleaseName, ...], Meta(min_length=1, max_length=NAMES_MAX)]


class WithDataIn(Wire, frozen=True, tag=6):
    """All other data of the order is among these resources."""

    resources: Addresses


class TeeIn(Wire, frozen=True, tag=7):
    """The enclave is of one of these kinds (tee/evidence.py)."""

    kinds: Annotated[tuple[Annotated[int, Meta(ge=1, le=255)], ...], Meta(min_length=1, max_length=8)]


class LevelAtLeast(Wire, frozen=True, tag=8):
    """The enclave's level reaches this."""

    level: Level


class AdvisoryNotIn(Wire, frozen=True, tag=9):
    """None of these advisories applies to the enclave. Intel alone tells, so this holds of no machine for names of others."""

    advisories: Annotated[tuple[Advisory, ...], Meta(min_length=1, max_length=NAMES_MAX)]


class HasGpus(Wire, frozen=True, tag=10):
    """The enclave proved at least this many GPUs; switches do not count."""

    count: Annotated[int, Meta(ge=1, le=64)]


class SubjectKind(IntEnum):
    """What an endorsement is about."""

    PLATFORM = 1
    """A machine's or GPU's lasting id: class byte and id (tee/appraisal.py)."""
    RELEASE = 2
    """Address of a resource and number of the release, 8 bytes."""
    ENCLAVE = 3
    RESOURCE = 4
    ACCOUNT = 5


class Endorsed(Wire, frozen=True, tag=11):
    """This account endorses, with this claim, the part of the order that is of this kind, and all of them if there are several."""

    subject: SubjectKind
    """PLATFORM: the machine; RELEASE: every software line's; ENCLAVE; RESOURCE: the hardware; ACCOUNT: the operator."""
    endorser: Address
    claim: Words


class HardwareIn(Wire, frozen=True, tag=12):
    """The order runs on one of these machines."""

    resources: Addresses


class UsesAtMost(Wire, frozen=True, tag=13):
    """Past uses of the resource, those promised to others and those of the order's other lines are fewer than this."""

    count: UInt


class BetweenHeights(Wire, frozen=True, tag=14):
    """The block's height lies in this range, both ends included."""

    first: Height
    last: Height


class OutputParty(IntEnum):
    """Who may open the output of an order."""

    CUSTOMER = 1
    OWNER = 2
    BOTH = 3


class OutputTo(Wire, frozen=True, tag=15):
    """The output is sealed to this party, and to nobody else."""

    party: OutputParty


class PurposeIs(Wire, frozen=True, tag=16):
    """The order states this purpose."""

    purpose: Words


Condition = (
    CustomerIn
    | SoftwareIn
    | WithDataIn
    | TeeIn
    | LevelAtLeast
    | AdvisoryNotIn
    | HasGpus
    | Endorsed
    | HardwareIn
    | UsesAtMost
    | BetweenHeights
    | OutputTo
    | PurposeIs
)
PolicyNode = AllOf | AnyOf | Not | Condition
Policy = Annotated[tuple[PolicyNode, ...], Meta(max_length=POLICY_NODES_MAX)]


def is_well_formed(policy: tuple[PolicyNode, ...]) -> bool:
    """Tell whether the nodes are one tree within the bounds, or none."""
    missing: list[int] = []
    """Children that each open node still waits for, outermost first."""
    conditions = endorsements = 0
    for index, node in enumerate(policy):
        if index and not missing:
            return False
        if missing:
            missing[-1] -= 1
        children = _count_children(node)
        if children:
            missing.append(children)
            if len(missing) > POLICY_DEPTH_MAX:
                return False
        else:
            conditions += 1
            endorsements += isinstance(node, Endorsed)
        while missing and missing[-1] == 0:
            missing.pop()
    return not missing and conditions <= POLICY_CONDITIONS_MAX and endorsements <= POLICY_ENDORSEMENTS_MAX


def _count_children(node: PolicyNode) -> int:
    """Return how many subtrees follow a node; none after a condition."""
    if isinstance(node, AllOf | AnyOf):
        return node.count
    return 1 if isinstance(node, Not) else 0
