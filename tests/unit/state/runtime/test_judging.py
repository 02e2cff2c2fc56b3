"""The judge of a block and the ends that changes of the verifier set: what one judgement may take from another."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest
from msgspec.structs import replace

from state.deadlines import Deadline, DeadlineKind
from state.records import ONLY
from state.runtime.context import Context
from state.runtime.trust.collateral import finish_number
from state.runtime.trust.documents import evaluation_of
from state.runtime.trust.enclaves import judge_of
from state.runtime.trust.judgement import Judge
from state.runtime.trust.rules import distrust_root, note_verifier_change, schedule_number, set_brake, set_rules
from state.trust_queries import enclave
from state.trust_records import APPRAISAL_RULES, TRUST_BOOKS, Brake, BrakeScope, VerifierChange
from tests.support.attesting import DAY_MS, Lab, address
from tests.support.chain_builders import make_genesis, with_params

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def lab() -> Lab:
    """Return a lab with documents; nothing is put on record here for good."""
    return Lab()


def other_rules(context: Context) -> None:
    """Put another policy into force."""
    set_rules(context, replace(context.ledger.get(APPRAISAL_RULES, ONLY), standing_min=4))


def other_number(context: Context) -> None:
    """Put a higher number into force."""
    root = sha256(Lab(is_bare=True).vendor.root).digest()
    schedule_number(context, root, evaluation_of(context.ledger, root).number + 1, context.time_ms)
    finish_number(context, Deadline(kind=DeadlineKind.NUMBER_DUE, subject=root, due_ms=context.time_ms))


def brake(context: Context) -> None:
    """Stop one kind of evidence."""
    set_brake(context, Brake(scope=BrakeScope.TEE, subject=b"\x02", until_ms=context.time_ms + HOUR_MS))


def distrust(context: Context) -> None:
    """Distrust a root."""
    distrust_root(context, bytes(32))


def other_params(context: Context) -> None:
    """Judge by other parameters."""
    context.params = replace(context.params, attestation=replace(context.params.attestation, tcb_grace_ms=1))


@pytest.mark.parametrize("change", [other_rules, other_number, brake, distrust, note_verifier_change, other_params])
def test_a_block_goes_on_with_its_judge_until_something_changes_that_it_loaded(
    lab: Lab, change: Callable[[Context], None]
) -> None:
    judges: list[Judge] = []

    def look(context: Context) -> None:
        judges.append(judge_of(context))

    class Stop(Exception):
        """Nothing of this becomes final."""

    def stop(_context: Context) -> None:
        raise Stop

    with pytest.raises(Stop):
        lab.govern(look, look, change, look, look, stop)
    assert [judge is judges[0] for judge in judges] == [True, True, False, False]
    assert judges[2] is judges[3]


def test_proofs_that_end_in_one_block_have_one_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(with_params(make_genesis(), "attestation", max_age_ms=HOUR_MS))
    for number in range(3):
        lab.attest(number)
    made = []
    monkeypatch.setattr("state.runtime.trust.enclaves.Judge", lambda *given: made.append(given) or Judge(*given))
    lab.apply(interval_ms=2 * HOUR_MS)
    assert [lab.state_of(number)[0] for number in range(3)] == ["expired"] * 3
    assert len(made) == 1


def test_a_second_change_of_the_verifier_does_not_prolong_proofs_from_before_the_first() -> None:
    lab = Lab()
    lab.attest(0)
    lab.govern(note_verifier_change)
    first_ms = lab.time_ms
    lab.apply(interval_ms=DAY_MS - HOUR_MS)
    lab.attest(1)
    lab.govern(note_verifier_change)
    second_ms = lab.time_ms
    lab.apply()
    lab.attest(2)
    ends = [enclave(lab.ledger, address(lab, number)).expires_ms for number in range(3)]
    assert ends == [first_ms + DAY_MS, second_ms + DAY_MS, lab.enclave(2).expires_ms]
    for interval_ms, states in ((HOUR_MS, "expired trusted trusted"), (DAY_MS, "expired expired trusted")):
        lab.apply(interval_ms=interval_ms)
        lab.apply()
        assert [lab.state_of(number)[0] for number in range(3)] == states.split()
    assert lab.state_of(1) == ("expired", 0, "verifier_changed")


def test_a_change_of_the_verifier_is_forgotten_when_it_has_been_over_for_as_long_again() -> None:
    lab = Lab(is_bare=True)
    lab.govern(note_verifier_change)
    first_ms = lab.time_ms
    for time_ms, kept in ((first_ms + 2 * DAY_MS - 1, 2), (first_ms + 2 * DAY_MS, 2)):
        lab.time_ms = time_ms
        lab.govern(note_verifier_change)
        changes = lab.ledger.get(TRUST_BOOKS, ONLY).verifier_changes
        assert len(changes) == kept
        assert changes[-1] == VerifierChange(changed_ms=time_ms, ends_ms=time_ms + DAY_MS)
