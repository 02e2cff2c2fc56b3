"""Every node of a policy has a name and words, and every condition tells what it found."""

from __future__ import annotations

from typing import get_args

import pytest

from node.api.describe import describe_fields
from state.address import format_address
from state.policies import (
    AdvisoryNotIn,
    AllOf,
    AnyOf,
    BetweenHeights,
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
from state.policy_words import NAMES, NOT_KNOWN, list_policy, seen_by, words_of
from tests.support.policies import (
    APP,
    AUDITOR,
    CUSTOMER,
    HARDWARE,
    LOADER,
    OPERATOR,
    OTHER_DATA,
    PLATFORM,
    THIS,
    UNKNOWN_FACTS,
    make_facts,
)


def text(address: bytes) -> str:
    return format_address(address)


CONDITIONS = [
    (
        CustomerIn(accounts=(OPERATOR, AUDITOR)),
        f"the customer is {text(OPERATOR)} or {text(AUDITOR)}",
        text(CUSTOMER),
    ),
    (
        SoftwareIn(releases=(ReleaseName(resource=LOADER, release=None), ReleaseName(resource=APP, release=6))),
        f"all software is among {text(LOADER)}, {text(APP)} release 6",
        f"{text(LOADER)} release 2, {text(APP)} release 7",
    ),
    (
        WithDataIn(resources=(APP,)),
        f"all other data is among {text(APP)}",
        f"{text(THIS)} release 0, {text(OTHER_DATA)} release 1",
    ),
    (TeeIn(kinds=(1, 3, 99)), "the enclave is of kind sgx or sev_snp or 99", "tdx"),
    (LevelAtLeast(level=5), "the enclave's level is at least 5", "level 4"),
    (
        AdvisoryNotIn(advisories=("INTEL-SA-00001", "INTEL-SA-00009")),
        "none of INTEL-SA-00001, INTEL-SA-00009 applies to the enclave",
        "INTEL-SA-00001 INTEL-SA-00002",
    ),
    (HasGpus(count=2), "the enclave proved at least 2 GPUs", "1 GPUs"),
    (
        Endorsed(subject=SubjectKind.PLATFORM, endorser=AUDITOR, claim="data-centre"),
        f"the machine is endorsed as data-centre by {text(AUDITOR)}",
        f"platform {PLATFORM.hex()}",
    ),
    (HardwareIn(resources=(APP,)), f"the hardware is {text(APP)}", text(HARDWARE)),
    (OutputTo(party=OutputParty.BOTH), "the output is sealed to customer and owner", "the customer alone"),
    (PurposeIs(purpose="search"), "the purpose is search", "training"),
]
ALWAYS_KNOWN = [
    (UsesAtMost(count=5), "the resource was used or promised fewer than 5 times", "5 uses, promised ones among them"),
    (BetweenHeights(first=1, last=9), "the height is 1 to 9", "height 100"),
]
OPERATORS = {
    AllOf(count=1): "all of these hold",
    AnyOf(count=1): "at least one of these holds",
    Not(): "this does not hold",
}


@pytest.mark.parametrize(
    ("condition", "words", "seen"),
    [*CONDITIONS, *ALWAYS_KNOWN],
    ids=[NAMES[type(row[0])] for row in (*CONDITIONS, *ALWAYS_KNOWN)],
)
def test_a_condition_says_what_it_asks_for_and_what_it_found(condition: PolicyNode, words: str, seen: str) -> None:
    assert (words_of(condition), seen_by(condition, make_facts())) == (words, seen)


def test_what_is_not_known_is_said_to_be_so() -> None:
    assert {seen_by(condition, UNKNOWN_FACTS) for condition, _, _ in CONDITIONS} == {NOT_KNOWN}


def test_every_node_has_the_name_by_which_the_interface_shows_it() -> None:
    nodes = [*OPERATORS, *(row[0] for row in (*CONDITIONS, *ALWAYS_KNOWN))]
    assert {type(node): describe_fields(node)["kind"] for node in nodes} == NAMES
    assert set(NAMES) == set(get_args(PolicyNode))


def test_a_policy_is_listed_in_the_order_of_its_nodes() -> None:
    policy = (AllOf(count=2), AnyOf(count=2), TeeIn(kinds=(1,)), UsesAtMost(count=5), Not(), LevelAtLeast(level=5))
    root = list_policy(policy)
    assert root is not None
    either, negation = root.children
    listed = [
        root.node,
        either.node,
        *(each.node for each in either.children),
        negation.node,
        negation.children[0].node,
    ]
    assert listed == list(policy)
    assert [root.words, either.words, negation.words] == list(OPERATORS.values())
    assert list_policy(()) is None
