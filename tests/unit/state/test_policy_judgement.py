"""Policies are judged condition by condition on what is known, and combine as in Kleene's logic."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from state.order_terms import LINES_MAX
from state.policies import (
    POLICY_ENDORSEMENTS_MAX,
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
    is_well_formed,
)
from state.policy_judgement import (
    HOLDS_ALWAYS,
    EnclaveFacts,
    Facts,
    Finding,
    Verdict,
    judge_condition,
    judge_policy,
)
from state.resource_records import numbered_key
from tests.support.claims import NITRO, SNP
from tests.support.policies import (
    APP,
    AUDITOR,
    CUSTOMER,
    ENCLAVE,
    ENCLAVE_ADDRESS,
    HARDWARE,
    LOADER,
    NOW_MS,
    OPERATOR,
    ORDER,
    OTHER_DATA,
    PLATFORM,
    THIS,
    UNKNOWN_FACTS,
    Endorsements,
    Tree,
    endorsement,
    flatten,
    make_facts,
    policy_trees,
)

FALSE, UNKNOWN, TRUE = Verdict.FALSE, Verdict.UNKNOWN, Verdict.TRUE
LOADER_RELEASE, APP_RELEASE = numbered_key(LOADER, 2), numbered_key(APP, 7)


def software(*names: tuple[bytes, int | None]) -> SoftwareIn:
    return SoftwareIn(releases=tuple(ReleaseName(resource=name, release=release) for name, release in names))


def endorsed(kind: SubjectKind, **changes: object) -> Endorsed:
    return replace(Endorsed(subject=kind, endorser=AUDITOR, claim="reviewed"), **changes)


def facts_with(**changes: object) -> Facts:
    """Return the facts with another order or enclave."""
    of_order = {name: value for name, value in changes.items() if name in {"customer", "software", "data", "purpose"}}
    of_enclave = {name: value for name, value in changes.items() if name not in of_order}
    return make_facts(
        order=replace(ORDER, **of_order), enclave=EnclaveFacts(ENCLAVE_ADDRESS, replace(ENCLAVE, **of_enclave), 4)
    )


HOLDING: list[tuple[str, Condition, Facts]] = [
    ("customer", CustomerIn(accounts=(OPERATOR, CUSTOMER)), make_facts()),
    ("software", software((APP, 7), (LOADER, 2)), make_facts()),
    ("software of any release", software((LOADER, None), (APP, None)), make_facts()),
    ("other data", WithDataIn(resources=(OTHER_DATA,)), make_facts()),
    ("no other data", WithDataIn(resources=(OTHER_DATA,)), facts_with(data=((THIS, 0), (THIS, 1)))),
    ("kind of enclave", TeeIn(kinds=(1, 2)), make_facts()),
    ("level", LevelAtLeast(level=4), make_facts()),
    ("other advisory", AdvisoryNotIn(advisories=("INTEL-SA-00003",)), make_facts()),
    ("Intel's advisory on AMD", AdvisoryNotIn(advisories=("INTEL-SA-00001",)), facts_with(claims=SNP)),
    ("GPUs", HasGpus(count=1), make_facts()),
    ("hardware", HardwareIn(resources=(THIS, HARDWARE)), make_facts()),
    ("hardware as ordered", HardwareIn(resources=(HARDWARE,)), make_facts(enclave=None)),
    ("uses", UsesAtMost(count=6), make_facts()),
    ("first height", BetweenHeights(first=100, last=101), make_facts()),
    ("last height", BetweenHeights(first=99, last=100), make_facts()),
    ("output", OutputTo(party=OutputParty.CUSTOMER), make_facts()),
    ("purpose", PurposeIs(purpose="training"), make_facts()),
]
FAILING: list[tuple[str, Condition, Facts]] = [
    ("customer", CustomerIn(accounts=(OPERATOR,)), make_facts()),
    ("software beside what is named", software((APP, 7)), make_facts()),
    ("software of another release", software((APP, 7), (LOADER, 1)), make_facts()),
    ("no software", software((APP, None)), facts_with(software=())),
    ("other data", WithDataIn(resources=(APP,)), make_facts()),
    ("all data is other data for constraints", WithDataIn(resources=(OTHER_DATA,)), make_facts(resource=b"")),
    ("kind of enclave", TeeIn(kinds=(1, 3)), make_facts()),
    ("level", LevelAtLeast(level=5), make_facts()),
    ("advisory at launch", AdvisoryNotIn(advisories=("INTEL-SA-00001",)), make_facts()),
    ("advisory now", AdvisoryNotIn(advisories=("AMD-SB-1", "INTEL-SA-00002")), make_facts()),
    ("a switch is no GPU", HasGpus(count=2), make_facts()),
    ("hardware", HardwareIn(resources=(THIS,)), make_facts()),
    ("uses", UsesAtMost(count=5), make_facts()),
    ("before the heights", BetweenHeights(first=101, last=200), make_facts()),
    ("after the heights", BetweenHeights(first=0, last=99), make_facts()),
    ("output", OutputTo(party=OutputParty.BOTH), make_facts()),
    ("purpose", PurposeIs(purpose="search"), make_facts()),
    ("no purpose", PurposeIs(purpose="training"), facts_with(purpose=None)),
]
NOT_TOLD: list[tuple[str, Condition, Facts]] = [
    ("customer", CustomerIn(accounts=(CUSTOMER,)), UNKNOWN_FACTS),
    ("software", software((APP, 7)), UNKNOWN_FACTS),
    ("other data", WithDataIn(resources=(OTHER_DATA,)), UNKNOWN_FACTS),
    ("output", OutputTo(party=OutputParty.CUSTOMER), UNKNOWN_FACTS),
    ("purpose", PurposeIs(purpose="training"), UNKNOWN_FACTS),
    ("kind of enclave", TeeIn(kinds=(2,)), make_facts(enclave=None)),
    ("level", LevelAtLeast(level=1), make_facts(enclave=None)),
    ("advisory", AdvisoryNotIn(advisories=("INTEL-SA-00003",)), make_facts(enclave=None)),
    ("advisory of nobody who tells", AdvisoryNotIn(advisories=("AMD-SB-3019",)), facts_with(claims=SNP)),
    ("below Nitro", AdvisoryNotIn(advisories=("INTEL-SA-00003",)), facts_with(claims=NITRO)),
    ("GPUs", HasGpus(count=1), make_facts(enclave=None)),
    ("hardware", HardwareIn(resources=(HARDWARE,)), make_facts(enclave=None, hardware=None)),
]
TABLE = [(*row, verdict) for verdict, rows in ((TRUE, HOLDING), (FALSE, FAILING), (UNKNOWN, NOT_TOLD)) for row in rows]


@pytest.mark.parametrize(
    ("condition", "facts", "expected"),
    [pytest.param(*row[1:], id=f"{row[3].name.lower()}: {row[0]}") for row in TABLE],
)
def test_a_condition_is_judged_by_what_is_known(condition: Condition, facts: Facts, expected: Verdict) -> None:
    assert judge_condition(condition, facts) is expected


SUBJECTS = [
    (SubjectKind.PLATFORM, (PLATFORM,)),
    (SubjectKind.RELEASE, (LOADER_RELEASE, APP_RELEASE)),
    (SubjectKind.ENCLAVE, (ENCLAVE_ADDRESS,)),
    (SubjectKind.RESOURCE, (HARDWARE,)),
    (SubjectKind.ACCOUNT, (OPERATOR,)),
]


@pytest.mark.parametrize(("kind", "subjects"), SUBJECTS, ids=[kind.name.lower() for kind, _ in SUBJECTS])
def test_an_endorsement_counts_for_its_part_of_the_order_within_its_dates(
    kind: SubjectKind, subjects: tuple[bytes, ...]
) -> None:
    records = [endorsement(kind, subject) for subject in subjects]

    def judged(*known: object, asked: Endorsed | None = None, **changes: object) -> Verdict:
        return judge_condition(asked or endorsed(kind), make_facts(find_endorsement=Endorsements(*known), **changes))

    assert judged(*records) is TRUE
    assert judged(*records[1:]) is FALSE
    assert judged(*records[1:], replace(records[0], from_ms=NOW_MS + 1, until_ms=NOW_MS + 1)) is FALSE
    assert judged(*records[1:], replace(records[0], from_ms=NOW_MS - 1, until_ms=NOW_MS - 1)) is FALSE
    assert judged(*records, asked=endorsed(kind, endorser=OPERATOR)) is FALSE
    assert judged(*records, asked=endorsed(kind, claim="audited")) is FALSE
    assert judged(*records, order=None, hardware=None, enclave=None) is UNKNOWN


@pytest.mark.parametrize(
    ("kind", "facts"),
    [(SubjectKind.RELEASE, facts_with(software=())), (SubjectKind.PLATFORM, facts_with(platform=b""))],
)
def test_what_an_order_does_not_have_is_not_endorsed(kind: SubjectKind, facts: Facts) -> None:
    assert judge_condition(endorsed(kind), facts) is FALSE


def test_a_policy_without_conditions_holds() -> None:
    assert judge_policy((), UNKNOWN_FACTS) == HOLDS_ALWAYS


YES, NO, OPEN = UsesAtMost(count=6), UsesAtMost(count=5), LevelAtLeast(level=4)
NO_TOO, OPEN_TOO = UsesAtMost(count=4), LevelAtLeast(level=3)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param((AllOf(count=3), YES, NO, NO_TOO), Finding(FALSE, NO, is_negated=False), id="first that fails"),
        pytest.param((AllOf(count=3), OPEN, YES, NO), Finding(FALSE, NO, is_negated=False), id="false before unknown"),
        pytest.param((AllOf(count=3), YES, OPEN, OPEN_TOO), Finding(UNKNOWN, OPEN, is_negated=False), id="unknown"),
        pytest.param((AnyOf(count=2), NO, NO_TOO), Finding(FALSE, NO, is_negated=False), id="none of them"),
        pytest.param((AnyOf(count=3), NO, OPEN, YES), Finding(TRUE, YES, is_negated=False), id="one of them"),
        pytest.param((AnyOf(count=2), NO, OPEN), Finding(UNKNOWN, OPEN, is_negated=False), id="perhaps one of them"),
        pytest.param((Not(), YES), Finding(FALSE, YES, is_negated=True), id="negated"),
        pytest.param((Not(), Not(), NO), Finding(FALSE, NO, is_negated=False), id="negated twice"),
        pytest.param((Not(), OPEN), Finding(UNKNOWN, OPEN, is_negated=True), id="negated unknown"),
        pytest.param(
            (AllOf(count=2), AnyOf(count=2), NO, YES, Not(), AllOf(count=2), YES, YES),
            Finding(FALSE, YES, is_negated=True),
            id="nested",
        ),
    ],
)
def test_a_finding_names_the_first_condition_that_decided_it(policy: tuple[PolicyNode, ...], expected: Finding) -> None:
    facts = make_facts(enclave=None)
    assert judge_policy(policy, facts) == expected


TREES = policy_trees([YES, NO, OPEN])


def judge_naively(tree: Tree, facts: Facts) -> Verdict:
    """Judge a tree as Kleene's tables say, from above to below."""
    if not isinstance(tree, tuple):
        return judge_condition(tree, facts)
    kind, below = tree
    if kind == "not":
        return {TRUE: FALSE, FALSE: TRUE, UNKNOWN: UNKNOWN}[judge_naively(below, facts)]
    verdicts = {judge_naively(child, facts) for child in below}
    decisive, other = (FALSE, TRUE) if kind == "all" else (TRUE, FALSE)
    if decisive in verdicts:
        return decisive
    return UNKNOWN if UNKNOWN in verdicts else other


@settings(max_examples=80)
@given(TREES)
def test_policies_combine_as_in_kleenes_logic(tree: Tree) -> None:
    policy, facts = flatten(tree), make_facts(enclave=None)
    finding = judge_policy(policy, facts)
    assert finding.verdict is judge_naively(tree, facts)
    assert finding.condition in policy
    own = judge_condition(finding.condition, facts)
    assert finding.verdict == (TRUE - own if finding.is_negated else own)


@settings(max_examples=80)
@given(TREES, st.sampled_from([0, 3, 4, 5]))
def test_what_is_decided_stays_so_when_more_becomes_known(tree: Tree, level: int) -> None:
    before = judge_policy(flatten(tree), make_facts(enclave=None)).verdict
    after = judge_policy(flatten(tree), make_facts(enclave=EnclaveFacts(ENCLAVE_ADDRESS, ENCLAVE, level))).verdict
    assert after is not UNKNOWN
    assert before in {UNKNOWN, after}


def test_the_dearest_policy_looks_up_each_release_once_for_each_claim() -> None:
    lines = tuple((LOADER, number) for number in range(LINES_MAX - 1))
    claims = [f"claim-{number}" for number in range(POLICY_ENDORSEMENTS_MAX)]
    records = [endorsement(SubjectKind.RELEASE, numbered_key(*line), claim=claim) for line in lines for claim in claims]
    conditions = [endorsed(SubjectKind.RELEASE, claim=claim) for claim in claims]
    policy = (Not(), Not(), Not(), AllOf(count=len(conditions)), *conditions)
    assert is_well_formed(policy)
    known = Endorsements(*records)
    facts = make_facts(order=replace(ORDER, software=lines), find_endorsement=known)
    assert judge_policy(policy, facts) == Finding(FALSE, conditions[0], is_negated=True)
    assert known.calls == len(records)
