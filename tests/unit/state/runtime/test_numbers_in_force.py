"""The evaluation number in force binds every machine of its root, whatever documents its operator brings."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state.forecasts import forecast
from state.offers import ResourceKind
from state.records import ONLY
from state.runtime.explain import Check, explain_attest
from state.runtime.reasons import EnclaveReason
from state.runtime.trust.rules import set_rules
from state.trust_messages import PutCollateral
from state.trust_records import APPRAISAL_RULES
from tee.appraisal import DenialReason
from tee.documents import CollateralKind
from tee.shortage import Shortage
from tee.simulated import qe_identity_template, recovery_template, tcb_info_template
from tee.simulated_documents import QeIdentityTemplate, TcbInfoTemplate
from tests.support.attesting import (
    CUSTOMER,
    DAY_MS,
    POSTER,
    PROVIDER,
    Lab,
    address,
    collateral_messages,
    publish,
    reasons_told,
    trust_as_vendor,
)
from tests.support.chain_builders import account, make_genesis, with_params

GRACE_MS = 15 * DAY_MS
PROMOTION_MS = 2 * DAY_MS
OLD, BEFORE, IN_FORCE = 12, 20, 22


def put(lab: Lab, template: TcbInfoTemplate | QeIdentityTemplate) -> None:
    """Put a document, which must be news."""
    if isinstance(template, TcbInfoTemplate):
        kind, body = CollateralKind.INTEL_TCB_INFO, lab.vendor.tcb_info(template)
    else:
        kind, body = CollateralKind.INTEL_QE_IDENTITY, lab.vendor.qe_identity(template)
    chain = (lab.vendor.tcb_signer, lab.vendor.root)
    assert lab.reason(POSTER, PutCollateral(kind=kind, body=body, chain=chain)) == ""


def tdx(lab: Lab, number: int) -> TcbInfoTemplate:
    """Return a TCB info of this number, by which the usual machine is up to date."""
    return replace(tcb_info_template(lab.now_s), number=number)


def identity(lab: Lab, number: int) -> QeIdentityTemplate:
    """Return a QE identity of this number."""
    return replace(qe_identity_template(lab.now_s), number=number)


def make_lab(tcb_info_number: int | None) -> Lab:
    """Return a lab with the documents of the number before, whose number in force is another kind of machine's; without enclaves.

    A lab trusts machines for longer than the grace here, so that its end is seen.
    """
    genesis = with_params(
        make_genesis(), "attestation", promotion_delay_ms=PROMOTION_MS, max_age_ms=60 * DAY_MS, tcb_grace_ms=GRACE_MS
    )
    lab = Lab(genesis, is_bare=True)
    root_crl, pck_crl, _tcb_info, qe_identity = collateral_messages(lab.vendor.collateral(lab.now_s))
    for message in (root_crl, pck_crl, qe_identity):
        assert lab.reason(POSTER, message) == ""
    if tcb_info_number is not None:
        put(lab, tdx(lab, tcb_info_number))
    lab.image = lab.publish(CUSTOMER, publish(ResourceKind.SOFTWARE))
    lab.hardware = lab.publish(PROVIDER, publish(ResourceKind.HARDWARE))
    put(lab, replace(tcb_info_template(lab.now_s, is_sgx=True), number=IN_FORCE))
    return lab


def come_into_force(lab: Lab) -> None:
    """Go on until the number in force is the highest."""
    lab.apply(interval_ms=PROMOTION_MS + 1_000)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Return a lab in which a machine was attested by documents of the number before, taken for genuine."""
    trust_as_vendor(monkeypatch)
    made = make_lab(BEFORE)
    made.attest()
    assert (made.enclave().level, made.state_of()) == (5, ("trusted", 5, ""))
    return made


def test_who_brings_an_older_document_gets_no_more_than_the_grace_and_nothing_after_it() -> None:
    lab = make_lab(None)
    come_into_force(lab)
    put(lab, tdx(lab, OLD))
    lab.attest()
    assert lab.state_of() == ("grace", 3, EnclaveReason.COLLATERAL_BEHIND)
    lab.apply(interval_ms=GRACE_MS)
    assert lab.state_of() == ("suspended", 0, DenialReason.EVALUATION_NUMBER_TOO_LOW)
    assert lab.reason(PROVIDER, lab.attest_message()) == DenialReason.EVALUATION_NUMBER_TOO_LOW
    put(lab, replace(recovery_template(lab.now_s), number=IN_FORCE))
    put(lab, identity(lab, IN_FORCE))
    lab.apply()
    assert lab.state_of() == ("suspended", 2, EnclaveReason.STANDING_TOO_LOW)


def test_a_machine_rests_on_documents_of_the_number_before_for_the_grace(lab: Lab) -> None:
    lab.apply(interval_ms=PROMOTION_MS - DAY_MS)
    assert lab.state_of() == ("trusted", 5, "")
    in_force = lab.apply(interval_ms=DAY_MS)
    assert reasons_told(in_force.events) == [("grace", "collateral_behind")]
    assert (lab.enclave().level, lab.state_of()) == (3, ("grace", 3, "collateral_behind"))
    lab.apply(interval_ms=GRACE_MS - 1_000)
    assert lab.state_of()[0] == "grace"
    over = lab.apply(interval_ms=1_256)
    assert reasons_told(over.events) == [("suspended", "evaluation_number_too_low")]
    assert lab.enclave().level == 0


def test_both_documents_of_the_number_in_force_lift_a_machine_again(lab: Lab) -> None:
    come_into_force(lab)
    put(lab, tdx(lab, IN_FORCE))
    assert lab.state_of() == ("grace", 3, "collateral_behind"), "the QE identity is still the old one"
    put(lab, identity(lab, IN_FORCE))
    assert (lab.enclave().level, lab.state_of()) == (5, ("trusted", 5, ""))


def test_a_machine_that_is_out_of_date_by_the_older_document_is_told_so(lab: Lab) -> None:
    put(lab, replace(recovery_template(lab.now_s), number=BEFORE))
    come_into_force(lab)
    assert lab.state_of() == ("suspended", 2, EnclaveReason.STANDING_TOO_LOW)


def test_no_grace_is_left_where_the_rules_ask_for_more_than_the_grace_gives(lab: Lab) -> None:
    rules = lab.ledger.get(APPRAISAL_RULES, ONLY)
    lab.govern(lambda context: set_rules(context, replace(rules, standing_min=4)))
    come_into_force(lab)
    assert lab.state_of() == ("suspended", 0, DenialReason.EVALUATION_NUMBER_TOO_LOW)


def test_a_refusal_tells_the_number_that_has_to_be_brought() -> None:
    lab = make_lab(OLD)
    come_into_force(lab)
    lab.apply(interval_ms=GRACE_MS)
    lab.apply()
    message = lab.attest_message(challenge_height=lab.height - 1)
    checks = explain_attest(lab.ledger, account(0), message, lab.time_ms)
    assert [check for check in checks if not check.ok] == [
        Check(
            name="judgement",
            ok=False,
            reason="evaluation_number_too_low",
            seen=str(OLD),
            bound=str(IN_FORCE),
            remedy="fetch the vendor's documents of the allowed evaluation number or a later one, and put them on the chain",
        )
    ]


def test_a_forecast_tells_ahead_which_documents_will_be_too_old(lab: Lab) -> None:
    seen_ms = lab.time_ms
    told = forecast(lab.ledger, address(lab))
    assert told is not None
    assert (told.state, told.standing, told.falls) == ("trusted", 5, True)
    assert (told.state_then, told.standing_then, told.reason_then) == ("suspended", 0, "evaluation_number_too_low")
    assert seen_ms < told.due_ms <= seen_ms + PROMOTION_MS
    assert told.shortages == (
        Shortage("TCB info", "evaluation number", BEFORE, IN_FORCE),
        Shortage("QE identity", "evaluation number", BEFORE, IN_FORCE),
    )
    put(lab, tdx(lab, IN_FORCE))
    put(lab, identity(lab, IN_FORCE))
    calm = forecast(lab.ledger, address(lab))
    assert calm is not None
    assert (calm.falls, calm.state_then, calm.shortages) == (False, "trusted", ())
