"""Policies as handlers apply them: what is denied, what may still come right, and what a refusal says."""

from __future__ import annotations

import pytest

from state.address import format_address
from state.errors import TransactionRejected
from state.order_records import OrderTerms
from state.order_terms import AgreedLine, LineRole, Workload
from state.policies import CustomerIn, LevelAtLeast, Not, OutputParty, PolicyNode, PurposeIs, SubjectKind
from state.policy_judgement import Facts
from state.runtime.policy import check_holds, check_not_denied, endorsements_in, order_facts
from state.runtime.reasons import TransactionReason
from state.trust_messages import Endorse
from tests.support.attesting import PROVIDER, Lab
from tests.support.chain_builders import account
from tests.support.policies import (
    APP,
    CUSTOMER,
    HARDWARE,
    LOADER,
    OPERATOR,
    ORDER,
    OTHER_DATA,
    THIS,
    UNKNOWN_FACTS,
    make_facts,
)

LEVEL = LevelAtLeast(level=5)


def refusal(check: object, policy: tuple[PolicyNode, ...], facts: Facts) -> tuple[object, ...]:
    with pytest.raises(TransactionRejected) as caught:
        check(policy, facts)
    return caught.value.reason, caught.value.seen, caught.value.bound


def test_what_is_not_known_denies_nothing_before_it_must_hold() -> None:
    check_not_denied((LEVEL,), UNKNOWN_FACTS)
    assert refusal(check_holds, (LEVEL,), UNKNOWN_FACTS) == (
        TransactionReason.POLICY_DENIED,
        f"policy of {format_address(THIS)}: level_at_least: not known yet",
        "the enclave's level is at least 5",
    )


def test_what_holds_passes() -> None:
    check_not_denied((), UNKNOWN_FACTS)
    check_holds((), UNKNOWN_FACTS)
    check_holds((PurposeIs(purpose="training"),), make_facts())


@pytest.mark.parametrize("check", [check_not_denied, check_holds])
def test_a_refusal_names_whose_policy_it_is_the_condition_and_what_was_found(check: object) -> None:
    assert refusal(check, (LEVEL,), make_facts(resource=b"")) == (
        TransactionReason.POLICY_DENIED,
        "constraints: level_at_least: level 4",
        "the enclave's level is at least 5",
    )
    customer = format_address(CUSTOMER)
    reason, seen, bound = refusal(check, (Not(), CustomerIn(accounts=(CUSTOMER,))), make_facts(resource=b""))
    assert (reason, seen) == (TransactionReason.POLICY_DENIED, f"constraints: not: customer_in: {customer}")
    assert bound == f"not: the customer is {customer}"


def agreed(role: LineRole, resource: bytes, release: int) -> AgreedLine:
    return AgreedLine(
        role=role,
        resource=resource,
        release=release,
        quantity=1,
        price_max=0,
        plan=None,
        content_root=b"",
        is_sealed=False,
    )


def test_an_order_tells_policies_its_customer_and_its_lines_of_software_and_data() -> None:
    terms = OrderTerms(
        customer=CUSTOMER,
        lines=(
            agreed(LineRole.COMPUTE, HARDWARE, 0),
            agreed(LineRole.DATA, THIS, 0),
            agreed(LineRole.SOFTWARE, LOADER, 2),
            agreed(LineRole.STORAGE, OPERATOR, 0),
            agreed(LineRole.SOFTWARE, APP, 7),
            agreed(LineRole.DATA, OTHER_DATA, 1),
        ),
        workload=Workload(args_digest=bytes(32), args_reference="", manifest_root=b""),
        result_key=bytes(32),
        output_to=OutputParty.CUSTOMER,
        purpose="training",
        constraints=(),
        level_min=0,
        machine=None,
        accept_window_ms=0,
        start_window_ms=0,
        end_by_ms=0,
        attempts=1,
        after=(),
        created_ms=0,
        created_height=0,
    )
    assert order_facts(terms) == ORDER


def test_endorsements_are_looked_up_in_the_state() -> None:
    lab = Lab(is_bare=True)
    message = Endorse(
        subject_kind=SubjectKind.RESOURCE,
        subject=HARDWARE,
        claim="reviewed",
        statement_hash=b"",
        until_ms=lab.time_ms + 60_000,
    )
    assert lab.reason(PROVIDER, message) == ""
    find = endorsements_in(lab.ledger)
    found = find(account(0), SubjectKind.RESOURCE, HARDWARE, "reviewed")
    assert found is not None
    assert (found.endorser, found.until_ms) == (account(0), message.until_ms)
    assert find(account(0), SubjectKind.RESOURCE, HARDWARE, "audited") is None
