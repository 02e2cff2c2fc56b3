"""The end of a proof while collateral is overdue: put off until the grace ends, never for good, never beyond certificates."""

from __future__ import annotations

from msgspec.structs import replace

from state.attestation import enclave_address
from state.deadlines import find_next_deadline_ms
from state.runtime.trust.judgement import Judge
from state.trust_queries import EnclaveView, enclave
from state.trust_records import EnclaveState
from tests.support.attesting import DAY_MS, Lab, enclave_key
from tests.support.chain_builders import make_genesis, with_params

GRACE_MS = 20 * DAY_MS
OVERDUE_AFTER_MS = 30 * DAY_MS


def view_of(lab: Lab) -> EnclaveView:
    view = enclave(lab.ledger, enclave_address(enclave_key(0).public_key))
    assert view is not None
    return view


def overdue_lab() -> Lab:
    """Return a lab in which a proof of 7 days is 8 days old and its collateral overdue since it was 6 days old."""
    lab = Lab(with_params(make_genesis(), "attestation", collateral_grace_ms=GRACE_MS))
    start_ms = lab.time_ms
    lab.apply(interval_ms=OVERDUE_AFTER_MS - 6 * DAY_MS)
    lab.attest()
    lab.apply(interval_ms=start_ms + OVERDUE_AFTER_MS + 2 * DAY_MS - lab.time_ms)
    assert lab.state_of() == ("grace", 5, "collateral_overdue")
    return lab


def test_a_proof_is_held_while_collateral_is_overdue_and_its_end_stays_on_record() -> None:
    lab = overdue_lab()
    record = lab.enclave()
    assert record.expires_ms == record.attested_ms + 7 * DAY_MS
    assert record.expires_ms < lab.time_ms
    view = view_of(lab)
    assert view.is_usable
    assert lab.time_ms < view.expires_ms
    assert record.wheel_ms == view.expires_ms, "looked at again when the grace ends"


def test_a_held_proof_ends_with_the_grace() -> None:
    lab = overdue_lab()
    lab.apply(interval_ms=view_of(lab).expires_ms - lab.time_ms + 1_000)
    assert lab.enclave().state is EnclaveState.EXPIRED
    assert not view_of(lab).is_usable
    next_ms = find_next_deadline_ms(lab.ledger)
    assert next_ms is not None
    assert next_ms > lab.time_ms


def test_a_held_proof_is_no_longer_than_any_other_once_collateral_is_back() -> None:
    lab = overdue_lab()
    lab.put_all(lab.vendor.collateral(lab.now_s))
    lab.apply()
    assert lab.state_of() == ("expired", 0, "proof_expired")
    lab.attest()
    assert lab.state_of() == ("trusted", 5, "")


def test_a_proof_that_ended_before_its_collateral_was_overdue_is_not_held() -> None:
    lab = overdue_lab()
    early = replace(lab.enclave(), expires_ms=lab.enclave().attested_ms + 5 * DAY_MS)
    assert Judge(lab.ledger, lab.params, lab.time_ms).judge(early).state is EnclaveState.EXPIRED


def test_a_proof_is_not_held_beyond_the_certificate_of_its_machine() -> None:
    lab = overdue_lab()
    record = lab.enclave()
    end_s = record.expires_ms // 1_000 + 3_600
    platform = replace(record.claims.platform, pck_not_after_s=end_s)
    capped = replace(record, claims=replace(record.claims, platform=platform))
    judgement = Judge(lab.ledger, lab.params, record.expires_ms + 1).judge(capped)
    assert judgement.expires_ms == (end_s + 1) * 1_000
    assert judgement.state is EnclaveState.GRACE
    assert Judge(lab.ledger, lab.params, lab.time_ms).judge(capped).state is EnclaveState.EXPIRED
