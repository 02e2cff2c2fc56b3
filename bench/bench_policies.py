"""Microseconds that one judgement of a policy takes: a typical one, and the dearest that anybody can make.

`python -m bench policies`. The dearest one has 24 full lists of software, and asks 8 claims of each of the 15 releases that an
order may name, all on record, so nothing is decided early; records are decoded already, as those of recent blocks are.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

from msgspec.structs import replace

from state.ledger import BaseLedger, Overlay
from state.order_terms import LINES_MAX
from state.policies import (
    NAMES_MAX,
    POLICY_CONDITIONS_MAX,
    POLICY_ENDORSEMENTS_MAX,
    AllOf,
    CustomerIn,
    Endorsed,
    LevelAtLeast,
    PolicyNode,
    ReleaseName,
    SoftwareIn,
    SubjectKind,
)
from state.policy_judgement import Facts, Verdict, judge_policy
from state.resource_records import ENDORSEMENTS, Endorsement, endorsement_key, numbered_key
from state.runtime.policy import endorsements_in
from state.store import MemoryStore
from tests.support.policies import (
    APP,
    AUDITOR,
    CUSTOMER,
    LOADER,
    ORDER,
    PLATFORM,
    account,
    endorsement,
    make_facts,
)

ROUNDS = 1_000
LINES = tuple((LOADER, number) for number in range(LINES_MAX - 1))
CLAIMS = [f"claim-{number}" for number in range(POLICY_ENDORSEMENTS_MAX)]


def facts_with(records: Sequence[Endorsement], software: tuple[tuple[bytes, int], ...] = ORDER.software) -> Facts:
    """Return facts about an order with this software and these endorsements."""
    overlay = Overlay(BaseLedger(MemoryStore()))
    for each in records:
        overlay.put(ENDORSEMENTS, endorsement_key(each.endorser, each.subject_kind, each.subject, each.claim), each)
    return make_facts(order=replace(ORDER, software=software), find_endorsement=endorsements_in(overlay))


def typical() -> tuple[tuple[PolicyNode, ...], Facts]:
    """Return a policy that names a customer, software, a level and who must vouch for the machine."""
    names = (ReleaseName(resource=LOADER, release=None), ReleaseName(resource=APP, release=7))
    policy = (
        AllOf(count=4),
        CustomerIn(accounts=(CUSTOMER,)),
        SoftwareIn(releases=names),
        LevelAtLeast(level=4),
        Endorsed(subject=SubjectKind.PLATFORM, endorser=AUDITOR, claim="reviewed"),
    )
    return policy, facts_with([endorsement(SubjectKind.PLATFORM, PLATFORM)])


def dearest() -> tuple[tuple[PolicyNode, ...], Facts]:
    """Return a policy of long lists and many claims, and an order that meets all of them."""
    others = tuple(ReleaseName(resource=account(number), release=number) for number in range(NAMES_MAX - 1))
    allowed = SoftwareIn(releases=(*others, ReleaseName(resource=LOADER, release=None)))
    claimed = [Endorsed(subject=SubjectKind.RELEASE, endorser=AUDITOR, claim=claim) for claim in CLAIMS]
    conditions = (*(allowed,) * (POLICY_CONDITIONS_MAX - len(claimed)), *claimed)
    records = [endorsement(SubjectKind.RELEASE, numbered_key(*line), claim=claim) for line in LINES for claim in CLAIMS]
    return (AllOf(count=POLICY_CONDITIONS_MAX), *conditions), facts_with(records, LINES)


def main() -> None:
    """Print the microseconds of each judgement."""
    for name, (policy, facts) in (
        ("typical, 4 conditions", typical()),
        ("dearest, 32 conditions", dearest()),
    ):
        assert judge_policy(policy, facts).verdict is Verdict.TRUE, name
        samples = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            judge_policy(policy, facts)
            samples.append((time.perf_counter() - started) * 1e6)
        print(f"policy evaluation, {name:24} {median(samples):8.1f} us")


if __name__ == "__main__":
    main()
