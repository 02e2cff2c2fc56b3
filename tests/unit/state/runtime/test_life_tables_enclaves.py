"""The state machine of enclaves, whole: every state with an attestation by everybody, every ground of a judgement, and every date.

Enclave 0 is looked at. Blocks judge one enclave each, and others come before it, so that an attestation can find it as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from itertools import product

import pytest
from msgspec.structs import replace

from state.offers import ResourceKind
from state.records import ONLY
from state.runtime.life_tables import ENCLAVE_STEPS, EnclaveTrigger, ground_of
from state.runtime.reasons import EnclaveReason
from state.runtime.trust.rules import set_rules
from state.trust_records import APPRAISAL_RULES, Enclave, EnclaveState
from tee.appraisal import DenialReason
from tee.errors import Reason
from tee.simulated import qe_identity_template, tcb_info_template
from tests.support.attesting import DAY_MS, POSTER, PROVIDER, Lab, collateral_messages, publish, recovery
from tests.support.chain_builders import account_key, make_genesis, with_params
from tests.support.step_tables import listed

TRUSTED, GRACE, SUSPENDED, EXPIRED, REVOKED = EnclaveState
ATTEST, GOOD, LATE, UNFIT, PROOF_OVER, WITHDRAWN, KEEP_OVER = EnclaveTrigger
RIVAL = account_key(4)
OTHERS = 4
AGE_MS = 7 * DAY_MS
KEEP_MS = 20 * DAY_MS
GENESIS = with_params(
    with_params(make_genesis(), "blocks", reappraisals_max=1),
    "attestation",
    max_age_ms=AGE_MS,
    promotion_delay_ms=0,
    enclave_keep_ms=KEEP_MS,
)


def set_listing(lab: Lab, *, is_required: bool) -> None:
    """Let governance ask for machines on its list, where none is, or ask no more."""
    rules = lab.ledger.get(APPRAISAL_RULES, ONLY)
    changed = replace(rules, policy=replace(rules.policy, is_listing_required=is_required))
    lab.govern(lambda context: set_rules(context, changed))


def put_good_documents(lab: Lab) -> None:
    """Bring documents of a high number by which the machines are up to date."""
    tcb_info = replace(tcb_info_template(lab.now_s), number=99)
    identity = replace(qe_identity_template(lab.now_s), number=99)
    for message in collateral_messages(lab.vendor.collateral(lab.now_s, tcb_info=tcb_info, qe_identity=identity)):
        lab.send(POSTER, message)


def become_good(lab: Lab) -> None:
    put_good_documents(lab)
    set_listing(lab, is_required=False)


def become_late(lab: Lab) -> None:
    """Bring documents by which the machines are behind, for a grace; their number is in force a slot later."""
    lab.send(POSTER, recovery(lab))
    lab.apply(interval_ms=300)
    set_listing(lab, is_required=False)


def become_unfit(lab: Lab) -> None:
    set_listing(lab, is_required=True)


def outlast_proof(lab: Lab) -> None:
    lab.apply(interval_ms=AGE_MS + 1_000)


def withdraw(lab: Lab) -> None:
    """Have the vendor revoke the certificate of the first machine."""
    revoked = (lab.vendor.machine("machine 0").pck_serial,)
    lab.send(POSTER, collateral_messages(lab.vendor.collateral(lab.now_s, revoked=revoked))[1])


EVENTS: dict[EnclaveTrigger, Callable[[Lab], None]] = {
    GOOD: become_good,
    LATE: become_late,
    UNFIT: become_unfit,
    PROOF_OVER: outlast_proof,
    WITHDRAWN: withdraw,
}
PATHS: dict[EnclaveState | None, EnclaveTrigger | None] = {
    None: None,
    TRUSTED: None,
    GRACE: LATE,
    SUSPENDED: UNFIT,
    EXPIRED: PROOF_OVER,
    REVOKED: WITHDRAWN,
}
"""What brings a trusted enclave there."""


def finish_walks(lab: Lab) -> None:
    """Let all enclaves be judged."""
    for _ in range(2 * (OTHERS + 1) + 1):
        lab.apply(interval_ms=300)


def state_of(lab: Lab) -> EnclaveState | None:
    enclave = lab.find_enclave()
    return None if enclave is None else enclave.state


def without_deadline(enclave: Enclave | None) -> Enclave | None:
    """Return what an enclave says but when the wheel comes to it: once more after it was revoked."""
    return None if enclave is None else replace(enclave, wheel_ms=0)


def lab_with(state: EnclaveState | None) -> Lab:
    """Return a lab whose enclave 0 is in this state."""
    lab = Lab(GENESIS)
    for number in range(state is None, OTHERS + 1):
        lab.attest(number)
    trigger = PATHS[state]
    if trigger is not None:
        EVENTS[trigger](lab)
        finish_walks(lab)
    assert state_of(lab) is state
    return lab


LEADS_TO: dict[tuple[EnclaveState | None, EnclaveTrigger], tuple[EnclaveState, str]] = {
    (TRUSTED, LATE): (GRACE, "behind"),
    (TRUSTED, UNFIT): (SUSPENDED, "platform_not_listed"),
    (TRUSTED, PROOF_OVER): (EXPIRED, "proof_expired"),
    (TRUSTED, WITHDRAWN): (REVOKED, "certificate_revoked"),
    (GRACE, GOOD): (TRUSTED, ""),
    (GRACE, UNFIT): (SUSPENDED, "platform_not_listed"),
    (GRACE, PROOF_OVER): (EXPIRED, "proof_expired"),
    (GRACE, WITHDRAWN): (REVOKED, "certificate_revoked"),
    (SUSPENDED, GOOD): (TRUSTED, ""),
    (SUSPENDED, LATE): (GRACE, "behind"),
    (SUSPENDED, PROOF_OVER): (EXPIRED, "proof_expired"),
    (SUSPENDED, WITHDRAWN): (REVOKED, "certificate_revoked"),
}
"""Where each ground leads; what is not here changes nothing."""


@pytest.mark.parametrize("trigger", EVENTS)
@pytest.mark.parametrize("state", PATHS)
def test_every_ground_leads_where_the_table_says_or_nowhere(
    state: EnclaveState | None, trigger: EnclaveTrigger
) -> None:
    lab = lab_with(state)
    before = lab.find_enclave()
    EVENTS[trigger](lab)
    finish_walks(lab)
    after = lab.find_enclave()
    if (state, trigger) in LEADS_TO:
        assert after is not None
        assert (after.state, after.reason) == LEADS_TO[state, trigger]
        assert ground_of(after.reason) is trigger
    else:
        assert state_of(lab) is state
        assert state in {TRUSTED, GRACE, SUSPENDED} or without_deadline(after) == without_deadline(before)


ATTESTED: dict[tuple[EnclaveState | None, EnclaveState], Callable[[Lab], object]] = {
    (None, TRUSTED): lambda _lab: None,
    (None, GRACE): become_late,
    (TRUSTED, TRUSTED): lambda _lab: None,
    (TRUSTED, GRACE): become_late,
    (GRACE, TRUSTED): become_good,
    (GRACE, GRACE): lambda _lab: None,
    (SUSPENDED, TRUSTED): become_good,
    (SUSPENDED, GRACE): become_late,
    (EXPIRED, TRUSTED): lambda _lab: None,
    (EXPIRED, GRACE): become_late,
}
"""State before, state after an attestation -> what has changed right before it."""


@pytest.mark.parametrize(("before", "after"), ATTESTED)
def test_an_attestation_leads_to_what_holds_now(before: EnclaveState | None, after: EnclaveState) -> None:
    lab = lab_with(before)
    ATTESTED[before, after](lab)
    assert state_of(lab) is before, "nobody has judged it yet"
    lab.attest()
    assert state_of(lab) is after
    finish_walks(lab)
    assert state_of(lab) is after


@pytest.mark.parametrize("state", PATHS)
def test_only_its_operator_attests_an_enclave_and_only_one_that_is_not_revoked(state: EnclaveState | None) -> None:
    lab = lab_with(state)
    rivals = lab.publish(RIVAL, publish(ResourceKind.HARDWARE))
    before = lab.find_enclave()
    assert lab.reason(RIVAL, lab.attest_message(provider=RIVAL)) == "not_owner"
    by_rival = lab.attest_message(provider=RIVAL, hardware=rivals)
    expected = {None: "platform_taken", REVOKED: "enclave_revoked"}.get(state, "enclave_moved")
    if state is None:
        by_rival = lab.attest_message(provider=RIVAL, hardware=rivals, machine="machine 1")
    assert lab.reason(RIVAL, by_rival) == expected
    if state is REVOKED:
        assert lab.reason(PROVIDER, lab.attest_message()) == "enclave_revoked"
    assert lab.find_enclave() == before


@pytest.mark.parametrize("state", [EXPIRED, REVOKED])
def test_only_an_expired_enclave_is_forgotten(state: EnclaveState) -> None:
    lab = lab_with(state)
    expires_ms = lab.enclave().expires_ms
    lab.apply(interval_ms=expires_ms + KEEP_MS - 1_000 - lab.time_ms)
    assert state_of(lab) is state
    lab.apply(interval_ms=2_000)
    assert state_of(lab) is (None if state is EXPIRED else REVOKED)


def test_the_table_lists_what_is_tried_here_and_nothing_else() -> None:
    assert listed(ENCLAVE_STEPS) == {
        *((state, trigger, after) for (state, trigger), (after, _) in LEADS_TO.items()),
        *((before, ATTEST, after) for before, after in ATTESTED),
        (EXPIRED, KEEP_OVER, None),
    }
    assert ENCLAVE_STEPS.keys() == {None, *EnclaveState}


def test_every_reason_of_a_judgement_is_on_one_ground() -> None:
    """Whatever is not named here makes unfit, also what verifiers and policies may say in times to come."""
    reasons: tuple[StrEnum, ...] = (*EnclaveReason, *DenialReason, *Reason)
    grounds = {
        LATE: {"behind", "collateral_overdue", "collateral_behind"},
        PROOF_OVER: {"proof_expired", "verifier_changed"},
        WITHDRAWN: {"platform_denied", "certificate_revoked", "authority_revoked"},
    }
    for ground, reason in product((LATE, PROOF_OVER, WITHDRAWN, GOOD), reasons):
        assert (ground_of(reason) is ground) is (reason in grounds.get(ground, ()))
    assert ground_of("") is GOOD
