"""Laws of policies as texts: what is written is read back, and what is wrong is told with its line."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from bocc.errors import InputReason, InputRejected
from bocc.policy_text import format_policy, format_told_policy, parse_policy
from node.api.describe_trust import describe_policy
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
    PurposeIs,
    ReleaseName,
    SoftwareIn,
    SubjectKind,
    TeeIn,
    UsesAtMost,
    WithDataIn,
)
from state.policy_words import NAMES

ACCOUNT, OTHER = (bytes(1) + bytes([number]) * 20 for number in (1, 2))
RESOURCE = b"\x01" + bytes(20)
CONDITIONS = (
    CustomerIn(accounts=(ACCOUNT, OTHER)),
    SoftwareIn(releases=(ReleaseName(resource=RESOURCE, release=None), ReleaseName(resource=RESOURCE, release=3))),
    WithDataIn(resources=(RESOURCE,)),
    TeeIn(kinds=(2, 3)),
    LevelAtLeast(level=4),
    AdvisoryNotIn(advisories=("INTEL-SA-00615",)),
    HasGpus(count=8),
    Endorsed(subject=SubjectKind.PLATFORM, endorser=ACCOUNT, claim="data-centre"),
    HardwareIn(resources=(RESOURCE,)),
    UsesAtMost(count=100),
    BetweenHeights(first=1, last=9),
    OutputTo(party=OutputParty.BOTH),
    PurposeIs(purpose="research"),
)
"""One of each kind."""


def trees(depth: int) -> some.SearchStrategy:
    conditions = some.sampled_from(CONDITIONS).map(lambda condition: (condition,))
    if depth == 0:
        return conditions
    below = trees(depth - 1)
    groups = some.tuples(some.sampled_from((AllOf, AnyOf)), some.lists(below, min_size=1, max_size=2)).map(
        lambda pair: (pair[0](count=len(pair[1])), *(node for child in pair[1] for node in child))
    )
    return conditions | groups | below.map(lambda child: (Not(), *child))


@given(trees(3).filter(lambda tree: sum(isinstance(node, Endorsed) for node in tree) <= 8))
def test_every_policy_is_read_back(policy):
    assert parse_policy(format_policy(policy)) == policy


def test_every_kind_of_condition_has_a_text():
    assert {type(condition) for condition in CONDITIONS} | {AllOf, AnyOf, Not} == set(NAMES)
    for condition in CONDITIONS:
        assert parse_policy(format_policy((condition,))) == (condition,)


@given(trees(2).filter(lambda tree: sum(isinstance(node, Endorsed) for node in tree) <= 8))
def test_policy_that_a_node_tells_is_the_same_text(policy):
    assert format_told_policy(msgspec.to_builtins(describe_policy(policy))) == format_policy(policy)


def test_no_text_is_a_policy_that_always_holds():
    assert parse_policy(" # nothing asked \n") == ()
    assert format_policy(()) == ""


def test_accounts_may_have_names():
    assert parse_policy("customer_in(alice)", {"alice": ACCOUNT}.__getitem__) == (CustomerIn(accounts=(ACCOUNT,)),)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("level_at_least(9)", "level_at_least(9) in line 1"),
        ("all_of(\n  level_at_least(4)\n  has_gpus(1)\n)", "has_gpus in line 3"),
        ("all_of(\n  level_at_lest(4)\n)", "level_at_lest in line 2"),
        ("level_at_least(4) has_gpus(1)", "has_gpus in line 1"),
        ("all_of(level_at_least(4)", "the end in line 1"),
        ("level_at_least(", "the end in line 1"),
        ("level_at_least 4", "4 in line 1"),
        ("level_at_least((4))", "4 in line 1"),
        ("all_of()", "all_of of 0 in line 1"),
        ("not(level_at_least(1), level_at_least(2))", "not of 2 in line 1"),
        ("tee_in(sgx, trustzone)", "tee_in(sgx, trustzone) in line 1"),
        ("customer_in()", "customer_in() in line 1"),
        ("customer_in(boccres1x)", "customer_in(boccres1x) in line 1"),
        ("endorsed(platform, claim)", "endorsed(platform, claim) in line 1"),
        ("between_heights(1)", "between_heights(1) in line 1"),
        ("level_at_least(1, 2)", "level_at_least(1, 2) in line 1"),
        ("purpose_is(Research)", "purpose_is(Research) in line 1"),
        ("\n$", "'$' in line 2"),
        ("not(" * 20, "not in line 1"),
        ("not(" * 5 + "level_at_least(1)" + ")" * 5, "6 nodes"),
        (f"hardware_in({format_address(ACCOUNT)})", f"hardware_in({format_address(ACCOUNT)}) in line 1"),
        ("#" * 100_001, "100001 characters"),
    ],
)
def test_what_is_no_policy_is_refused_with_its_line(text, seen):
    with pytest.raises(InputRejected) as caught:
        parse_policy(text)
    assert (caught.value.reason, caught.value.seen) == (InputReason.BAD_POLICY, seen)
