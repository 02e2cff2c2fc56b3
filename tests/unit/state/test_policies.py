"""Policies: one tree in prefix order within the bounds, or nothing."""

from __future__ import annotations

import pytest

from state.policies import (
    AllOf,
    AnyOf,
    Endorsed,
    LevelAtLeast,
    Not,
    PolicyNode,
    PurposeIs,
    SubjectKind,
    UsesAtMost,
    is_well_formed,
)

LEVEL, USES, PURPOSE = LevelAtLeast(level=4), UsesAtMost(count=3), PurposeIs(purpose="training")
ENDORSED = Endorsed(subject=SubjectKind.RELEASE, endorser=bytes(21), claim="reviewed")

WELL_FORMED: list[tuple[PolicyNode, ...]] = [
    (),
    (LEVEL,),
    (Not(), LEVEL),
    (AllOf(count=2), LEVEL, AnyOf(count=2), USES, Not(), PURPOSE),
    (Not(), Not(), Not(), Not(), LEVEL),
    (AllOf(count=32), *(LEVEL,) * 32),
    (AllOf(count=32), *(ENDORSED,) * 8, *(LEVEL,) * 24),
]
MALFORMED: list[tuple[PolicyNode, ...]] = [
    (LEVEL, LEVEL),
    (AllOf(count=2), LEVEL),
    (AllOf(count=1), LEVEL, USES),
    (Not(),),
    (Not(), Not(), Not(), Not(), Not(), LEVEL),
    (AllOf(count=9), *(ENDORSED,) * 9),
    (AllOf(count=2), AllOf(count=16), *(LEVEL,) * 16, AllOf(count=17), *(LEVEL,) * 17),
]


@pytest.mark.parametrize("policy", WELL_FORMED, ids=range(len(WELL_FORMED)))
def test_one_tree_is_well_formed(policy: tuple[PolicyNode, ...]) -> None:
    assert is_well_formed(policy)


@pytest.mark.parametrize("policy", MALFORMED, ids=range(len(MALFORMED)))
def test_anything_else_is_not(policy: tuple[PolicyNode, ...]) -> None:
    assert not is_well_formed(policy)
