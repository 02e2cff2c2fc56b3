"""Decisions of governance about trust have bounds of their own, whatever was voted."""

from __future__ import annotations

import pytest

from state.errors import TransactionRejected
from state.records import ONLY
from state.runtime.reasons import TransactionReason
from state.runtime.trust.documents import evaluation_of
from state.runtime.trust.rules import schedule_number, set_brake
from state.trust_records import BRAKES, BRAKES_MAX, Brake, BrakeScope
from tests.support.attesting import Lab

HOUR_MS = 3_600_000


@pytest.mark.parametrize("steps_back", [0, 1])
def test_a_number_that_is_not_above_the_one_in_force_never_comes_into_force(steps_back: int) -> None:
    lab = Lab()
    lab.attest()
    root = lab.enclave().root
    in_force = evaluation_of(lab.ledger, root).number
    with pytest.raises(TransactionRejected) as caught:
        lab.govern(lambda context: schedule_number(context, root, in_force - steps_back, lab.time_ms + 1))
    rejection = caught.value
    assert (rejection.reason, rejection.seen, rejection.bound) == (
        TransactionReason.NUMBER_NOT_HIGHER,
        in_force - steps_back,
        in_force,
    )


def test_brakes_that_have_ended_count_no_more_against_the_bound() -> None:
    lab = Lab(is_bare=True)
    end_ms = lab.time_ms + HOUR_MS
    more = Brake(scope=BrakeScope.ORDERS, subject=b"", until_ms=end_ms + HOUR_MS)
    for number in range(BRAKES_MAX):
        brake = Brake(scope=BrakeScope.TEE, subject=bytes((number,)), until_ms=end_ms)
        lab.govern(lambda context, brake=brake: set_brake(context, brake))
    with pytest.raises(TransactionRejected) as caught:
        lab.govern(lambda context: set_brake(context, more))
    assert caught.value.reason is TransactionReason.TOO_MANY_BRAKES
    # They have ended, and the block that forgets them is still to come.
    lab.time_ms = end_ms
    lab.govern(lambda context: set_brake(context, more))
    assert lab.ledger.get(BRAKES, ONLY).brakes == (more,)
