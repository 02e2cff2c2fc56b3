"""Policies as handlers apply them: an order may be placed unless a policy denies it, and runs only where all of them hold.

Whose policies count is for the handlers to say. A refusal names the policy, the condition that decided it and what was found.
"""

from __future__ import annotations

from functools import partial

from state.address import format_address
from state.errors import TransactionRejected
from state.ledger import Ledger
from state.order_records import OrderTerms
from state.order_terms import AgreedLine, LineRole
from state.policies import PolicyNode, SubjectKind
from state.policy_judgement import Facts, FindEndorsement, Finding, OrderFacts, Verdict, judge_policy
from state.policy_words import NAMES, seen_by, words_of
from state.resource_records import ENDORSEMENTS, Endorsement, endorsement_key
from state.runtime.reasons import TransactionReason


def check_not_denied(policy: tuple[PolicyNode, ...], facts: Facts) -> None:
    """Check that a policy does not deny what is known so far; what is not known may still come right.

    Raises:
        TransactionRejected: POLICY_DENIED.
    """
    finding = judge_policy(policy, facts)
    if finding.verdict is Verdict.FALSE:
        raise _denied(finding, facts)


def check_holds(policy: tuple[PolicyNode, ...], facts: Facts) -> None:
    """Check that a policy holds. What cannot be told denies.

    Raises:
        TransactionRejected: POLICY_DENIED.
    """
    finding = judge_policy(policy, facts)
    if finding.verdict is not Verdict.TRUE:
        raise _denied(finding, facts)


def _denied(finding: Finding, facts: Facts) -> TransactionRejected:
    assert finding.condition is not None, "what has no conditions holds"
    condition, negation = finding.condition, "not: " if finding.is_negated else ""
    whose = f"policy of {format_address(facts.resource)}" if facts.resource else "constraints"
    seen = f"{whose}: {negation}{NAMES[type(condition)]}: {seen_by(condition, facts)}"
    return TransactionRejected(TransactionReason.POLICY_DENIED, seen, negation + words_of(condition))


def order_facts(terms: OrderTerms) -> OrderFacts:
    """Return what an order says to policies."""
    return OrderFacts(
        customer=terms.customer,
        software=_lines_of(terms.lines, LineRole.SOFTWARE),
        data=_lines_of(terms.lines, LineRole.DATA),
        output_to=terms.output_to,
        purpose=terms.purpose,
    )


def _lines_of(lines: tuple[AgreedLine, ...], role: LineRole) -> tuple[tuple[bytes, int], ...]:
    return tuple((line.resource, line.release) for line in lines if line.role is role)


def endorsements_in(ledger: Ledger) -> FindEndorsement:
    """Return the look-up of endorsements on record."""
    return partial(_find_endorsement, ledger)


def _find_endorsement(
    ledger: Ledger, endorser: bytes, kind: SubjectKind, subject: bytes, claim: str
) -> Endorsement | None:
    return ledger.find(ENDORSEMENTS, endorsement_key(endorser, kind, subject, claim))
