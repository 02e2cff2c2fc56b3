"""Readers of the market: who is not ruled out by a policy, and who said what about whom."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from state.address import format_address
from state.attestation import enclave_address
from state.market_queries import (
    EndorsementPage,
    EndorsementView,
    Usability,
    endorsements_by,
    endorsements_of,
    who_can_use,
)
from state.offers import ResourceKind
from state.policies import (
    AllOf,
    AnyOf,
    BetweenHeights,
    CustomerIn,
    Endorsed,
    HardwareIn,
    LevelAtLeast,
    Not,
    PolicyNode,
    PurposeIs,
    ReleaseName,
    SoftwareIn,
    SubjectKind,
    UsesAtMost,
)
from state.policy_judgement import Verdict, judge_policy
from state.policy_words import ListedNode
from state.resource_records import ENDORSEMENTS, RESOURCES, endorsement_key
from state.trust_messages import Endorse
from tests.support.attesting import CUSTOMER, POSTER, PROVIDER, Lab, enclave_key, publish
from tests.support.chain_builders import account
from tests.support.policies import ORDER, flatten, make_facts, policy_trees

ENCLAVES = [enclave_address(enclave_key(number).public_key) for number in range(3)]
HOUR_MS = 3_600_000
ANY_LEVEL = LevelAtLeast(level=1)
PURPOSE = PurposeIs(purpose="training")


@pytest.fixture(scope="module")
def lab() -> Lab:
    """Three machines with an enclave each, the last two on hardware of their own; the first has a data centre's word."""
    lab = Lab()
    lab.other_hardware = lab.publish(PROVIDER, publish(ResourceKind.HARDWARE))
    lab.data = lab.publish(CUSTOMER, publish(ResourceKind.DATA, release=publish(ResourceKind.SOFTWARE).release))
    for number in range(3):
        lab.attest(number, hardware=lab.other_hardware if number else lab.hardware)
    said = Endorse(
        subject_kind=SubjectKind.PLATFORM,
        subject=lab.enclave(0).platform,
        claim="data-centre",
        statement_hash=b"",
        until_ms=lab.time_ms + HOUR_MS,
    )
    about_others = (replace(said, claim=f"seen-{number}") for number in range(2))
    assert lab.reason(POSTER, said, *about_others) == ""
    return lab


def ask(lab: Lab, *policy: PolicyNode, address: bytes = b"", limit: int = 10, cursor: bytes = b"") -> Usability:
    """Ask who can use the data, or another resource, under a policy."""
    address = address or lab.data
    before = lab.ledger.get(RESOURCES, address)
    lab.govern(lambda context: context.ledger.put(RESOURCES, address, replace(before, policy=policy)))
    answer = who_can_use(lab.ledger, address, limit, cursor)
    assert answer is not None
    return answer


def listed(usability: Usability) -> dict[bytes, bool]:
    return {each.view.address: each.holds for each in usability.enclaves}


def test_everybody_can_use_what_has_no_conditions(lab: Lab) -> None:
    answer = ask(lab)
    assert (answer.conditions, answer.verdict) == (None, Verdict.TRUE)
    assert (answer.customers, answer.are_others_customers) == ((), True)
    assert (answer.software, answer.is_other_software) == ((), True)
    assert listed(answer) == dict.fromkeys(ENCLAVES, True)
    assert answer.next_cursor == b""


def test_conditions_are_listed_as_a_tree(lab: Lab) -> None:
    policy = (AllOf(count=2), CustomerIn(accounts=(account(1),)), Not(), ANY_LEVEL)
    assert ask(lab, *policy).conditions == ListedNode(
        "all_of",
        "all of these hold",
        policy[0],
        (
            ListedNode("customer_in", f"the customer is {format_address(account(1))}", policy[1], ()),
            ListedNode(
                "not",
                "this does not hold",
                policy[2],
                (ListedNode("level_at_least", "the enclave's level is at least 1", ANY_LEVEL, ()),),
            ),
        ),
    )


def test_enclaves_are_listed_that_the_policy_does_not_rule_out(lab: Lab) -> None:
    endorsed = Endorsed(subject=SubjectKind.PLATFORM, endorser=account(2), claim="data-centre")
    on_others = HardwareIn(resources=(lab.other_hardware,))
    assert listed(ask(lab, LevelAtLeast(level=2))) == {}
    assert listed(ask(lab, endorsed)) == {ENCLAVES[0]: True}
    assert listed(ask(lab, on_others)) == dict.fromkeys(ENCLAVES[1:], True)
    assert listed(ask(lab, AnyOf(count=2), endorsed, PURPOSE)) == {
        ENCLAVES[0]: True,
        ENCLAVES[1]: False,
        ENCLAVES[2]: False,
    }
    assert listed(ask(lab, AllOf(count=2), on_others, PURPOSE)) == dict.fromkeys(ENCLAVES[1:], False)


def test_hardware_is_used_by_its_own_enclaves(lab: Lab) -> None:
    assert listed(ask(lab, ANY_LEVEL, address=lab.other_hardware)) == dict.fromkeys(ENCLAVES[1:], True)


def test_enclaves_are_read_page_by_page(lab: Lab) -> None:
    on_others = HardwareIn(resources=(lab.other_hardware,))
    pages = [ask(lab, on_others, limit=1)]
    while pages[-1].next_cursor:
        pages.append(ask(lab, on_others, limit=1, cursor=pages[-1].next_cursor))
    assert [list(listed(page)) for page in pages] == [[], [ENCLAVES[1]], [ENCLAVES[2]]]


@pytest.mark.parametrize("condition", [UsesAtMost(count=0), BetweenHeights(first=0, last=1)])
def test_nobody_can_use_what_a_policy_closes(lab: Lab, condition: PolicyNode) -> None:
    answer = ask(lab, AllOf(count=2), ANY_LEVEL, condition)
    assert (answer.verdict, answer.enclaves, answer.next_cursor) == (Verdict.FALSE, (), b"")


def test_the_policy_counts_for_the_next_block(lab: Lab) -> None:
    now = BetweenHeights(first=lab.height + 1, last=lab.height + 1)
    assert ask(lab, now).verdict is Verdict.TRUE


@pytest.mark.parametrize(
    ("policy", "named", "others"),
    [
        ((CustomerIn(accounts=(account(1), account(2))),), (account(1), account(2)), False),
        ((Not(), CustomerIn(accounts=(account(1),))), (), True),
        ((AnyOf(count=2), CustomerIn(accounts=(account(1),)), PURPOSE), (account(1),), True),
        (
            (AllOf(count=2), CustomerIn(accounts=(account(1), account(2))), Not(), CustomerIn(accounts=(account(2),))),
            (account(1),),
            False,
        ),
    ],
    ids=["listed", "excluded", "or else", "listed without one"],
)
def test_customers_are_named_that_the_policy_does_not_rule_out(
    lab: Lab, policy: tuple[PolicyNode, ...], named: tuple[bytes, ...], others: bool
) -> None:
    answer = ask(lab, *policy)
    assert (answer.customers, answer.are_others_customers) == (named, others)


SOME = [CustomerIn(accounts=(account(1), account(2))), CustomerIn(accounts=(account(2), account(3))), ANY_LEVEL]


@settings(max_examples=40)
@given(policy_trees(SOME).map(flatten))
def test_who_is_listed_is_who_is_not_denied_by_name_alone(lab: Lab, policy: tuple[PolicyNode, ...]) -> None:
    def may_use(customer: bytes) -> bool:
        facts = make_facts(order=replace(ORDER, customer=customer), enclave=None)
        return judge_policy(policy, facts).verdict is not Verdict.FALSE

    answer = ask(lab, *policy)
    named = dict.fromkeys(each for node in policy if isinstance(node, CustomerIn) for each in node.accounts)
    assert answer.customers == tuple(each for each in named if may_use(each))
    assert answer.are_others_customers is may_use(account(4))


def test_software_is_named_that_the_policy_does_not_rule_out(lab: Lab) -> None:
    any_release = ReleaseName(resource=lab.image, release=None)
    second = ReleaseName(resource=lab.image, release=1)
    other = ReleaseName(resource=lab.data, release=0)
    answer = ask(lab, AllOf(count=2), SoftwareIn(releases=(any_release, other)), Not(), SoftwareIn(releases=(second,)))
    assert (answer.software, answer.is_other_software) == ((any_release, other), False)
    answer = ask(lab, Not(), SoftwareIn(releases=(second,)))
    assert (answer.software, answer.is_other_software) == ((), True)


def test_software_that_names_what_runs_beside_it_names_itself_too(lab: Lab) -> None:
    itself, other = ReleaseName(resource=lab.image, release=3), ReleaseName(resource=lab.data, release=0)
    assert ask(lab, SoftwareIn(releases=(other,)), address=lab.image).software == ()
    assert ask(lab, SoftwareIn(releases=(other, itself)), address=lab.image).software == (other, itself)


def test_what_is_no_resource_is_used_by_nobody(lab: Lab) -> None:
    assert who_can_use(lab.ledger, ENCLAVES[0], 10) is None


def test_endorsements_are_read_by_endorser_and_by_subject_the_last_first(lab: Lab) -> None:
    platform = lab.enclave(0).platform
    claims = ["seen-1", "seen-0", "data-centre"]
    keys = [endorsement_key(account(2), SubjectKind.PLATFORM, platform, claim) for claim in claims]
    views = [EndorsementView(key, lab.ledger.get(ENDORSEMENTS, key), counts=True) for key in keys]
    for read in (
        lambda *page: endorsements_by(lab.ledger, account(2), *page),
        lambda *page: endorsements_of(lab.ledger, SubjectKind.PLATFORM, platform, *page),
    ):
        assert read(10) == EndorsementPage(tuple(views), None)
        assert read(2) == EndorsementPage(tuple(views[:2]), 1)
        assert read(2, 1) == EndorsementPage((views[2],), None)
        assert read(2, 99) == read(2)
    assert endorsements_by(lab.ledger, account(1), 10) == EndorsementPage((), None)
    assert endorsements_of(lab.ledger, SubjectKind.ENCLAVE, platform, 10) == EndorsementPage((), None)
