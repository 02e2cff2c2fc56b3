"""Policies in words: every condition as a name for programs and a sentence for people, and what was found instead.

The whole tree is listed by `list_policy`, so that anybody can read who may use a resource, and for what.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from state.address import format_address
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
    SoftwareIn,
    SubjectKind,
    TeeIn,
    UsesAtMost,
    WithDataIn,
)
from state.policy_judgement import EnclaveFacts, Facts, OrderFacts, advisories_of, count_gpus, subjects_of
from tee.evidence import EvidenceKind

NAMES: Final[Mapping[type[PolicyNode], str]] = {
    AllOf: "all_of",
    AnyOf: "any_of",
    Not: "not",
    CustomerIn: "customer_in",
    SoftwareIn: "software_in",
    WithDataIn: "with_data_in",
    TeeIn: "tee_in",
    LevelAtLeast: "level_at_least",
    AdvisoryNotIn: "advisory_not_in",
    HasGpus: "has_gpus",
    Endorsed: "endorsed",
    HardwareIn: "hardware_in",
    UsesAtMost: "uses_at_most",
    BetweenHeights: "between_heights",
    OutputTo: "output_to",
    PurposeIs: "purpose_is",
}
"""Names of nodes, as the interface shows them too."""
_SUBJECTS: Final[Mapping[SubjectKind, str]] = {
    SubjectKind.PLATFORM: "the machine",
    SubjectKind.RELEASE: "every software release",
    SubjectKind.ENCLAVE: "the enclave",
    SubjectKind.RESOURCE: "the hardware",
    SubjectKind.ACCOUNT: "the operator",
}
_PARTIES: Final[Mapping[OutputParty, str]] = {
    OutputParty.CUSTOMER: "the customer alone",
    OutputParty.OWNER: "the owner alone",
    OutputParty.BOTH: "customer and owner",
}
NOT_KNOWN: Final = "not known yet"


class ListedNode(Struct, frozen=True):
    """A node of a policy with all below it."""

    name: str
    words: str
    node: PolicyNode
    children: tuple[ListedNode, ...]
    """None below a condition."""


def list_policy(policy: tuple[PolicyNode, ...]) -> ListedNode | None:
    """Return a well-formed policy as a tree; None if it has no conditions."""
    complete: list[ListedNode] = []
    """Subtrees to the right, the next one last."""
    for node in reversed(policy):
        count = node.count if isinstance(node, AllOf | AnyOf) else int(isinstance(node, Not))
        children = tuple(complete.pop() for _ in range(count))
        complete.append(ListedNode(NAMES[type(node)], words_of(node), node, children))
    return complete[0] if complete else None


def words_of(node: PolicyNode) -> str:
    """Return what a node asks for."""
    match node:
        case AllOf():
            return "all of these hold"
        case AnyOf():
            return "at least one of these holds"
        case Not():
            return "this does not hold"
        case CustomerIn(accounts=accounts):
            return f"the customer is {_either(accounts)}"
        case SoftwareIn(releases=releases):
            names = [
                format_address(each.resource) + ("" if each.release is None else f" release {each.release}")
                for each in releases
            ]
            return f"all software is among {', '.join(names)}"
        case WithDataIn(resources=resources):
            return f"all other data is among {', '.join(map(format_address, resources))}"
        case OutputTo(party=party):
            return f"the output is sealed to {_PARTIES[party]}"
        case PurposeIs(purpose=purpose):
            return f"the purpose is {purpose}"
        case UsesAtMost(count=count):
            return f"the resource was used or promised fewer than {count} times"
        case BetweenHeights(first=first, last=last):
            return f"the height is {first} to {last}"
        case _:
            return _words_of_machine(node)


def _words_of_machine(condition: TeeIn | LevelAtLeast | AdvisoryNotIn | HasGpus | Endorsed | HardwareIn) -> str:
    match condition:
        case TeeIn(kinds=kinds):
            return f"the enclave is of kind {' or '.join(map(_kind_name, kinds))}"
        case LevelAtLeast(level=level):
            return f"the enclave's level is at least {level}"
        case AdvisoryNotIn(advisories=advisories):
            return f"none of {', '.join(advisories)} applies to the enclave"
        case HasGpus(count=count):
            return f"the enclave proved at least {count} GPUs"
        case Endorsed(subject=subject, endorser=endorser, claim=claim):
            return f"{_SUBJECTS[subject]} is endorsed as {claim} by {format_address(endorser)}"
        case HardwareIn(resources=resources):
            return f"the hardware is {_either(resources)}"


def seen_by(condition: Condition, facts: Facts) -> str:
    """Return what was found where a condition asks for something."""
    match condition:
        case CustomerIn() | SoftwareIn() | WithDataIn() | OutputTo() | PurposeIs():
            return NOT_KNOWN if facts.order is None else _seen_in_order(condition, facts.order)
        case TeeIn() | LevelAtLeast() | AdvisoryNotIn() | HasGpus():
            return NOT_KNOWN if facts.enclave is None else _seen_in_enclave(condition, facts.enclave)
        case Endorsed(subject=kind):
            subjects = subjects_of(kind, facts)
            if subjects is None:
                return NOT_KNOWN
            return f"{kind.name.lower()} {' '.join(subject.hex() for subject in subjects) or 'none'}"
        case HardwareIn():
            return NOT_KNOWN if facts.hardware is None else format_address(facts.hardware)
        case UsesAtMost():
            return f"{facts.usage_count} uses, promised ones among them"
        case BetweenHeights():
            return f"height {facts.height}"


def _seen_in_order(condition: CustomerIn | SoftwareIn | WithDataIn | OutputTo | PurposeIs, order: OrderFacts) -> str:
    match condition:
        case CustomerIn():
            return format_address(order.customer)
        case SoftwareIn():
            return _lines(order.software)
        case WithDataIn():
            return _lines(order.data)
        case OutputTo():
            return _PARTIES[order.output_to]
        case PurposeIs():
            return order.purpose or "none"


def _seen_in_enclave(condition: TeeIn | LevelAtLeast | AdvisoryNotIn | HasGpus, enclave: EnclaveFacts) -> str:
    match condition:
        case TeeIn():
            return _kind_name(enclave.record.tee)
        case LevelAtLeast():
            return f"level {enclave.level}"
        case AdvisoryNotIn():
            applying = advisories_of(enclave.record)
            return "the evidence does not tell" if applying is None else " ".join(sorted(applying)) or "none told"
        case HasGpus():
            return f"{count_gpus(enclave.record)} GPUs"


def _either(addresses: tuple[bytes, ...]) -> str:
    return " or ".join(map(format_address, addresses))


def _lines(lines: tuple[tuple[bytes, int], ...]) -> str:
    return ", ".join(f"{format_address(resource)} release {release}" for resource, release in lines) or "none"


def _kind_name(kind: int) -> str:
    return EvidenceKind(kind).name.lower() if kind in set(EvidenceKind) else str(kind)
