"""Graces and waivers: who has a grace when a number comes into force, and how long a waiver may last."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest
from msgspec.structs import replace

from state.codec import INTEGER_MAX
from state.deadlines import find_next_deadline_ms
from state.offers import ResourceKind
from state.records import ONLY
from state.runtime.reasons import EnclaveReason
from state.runtime.trust.documents import Choice, evaluation_of, find_key
from state.runtime.trust.rules import set_rules
from state.trust_messages import PutCollateral
from state.trust_records import APPRAISAL_RULES
from tee.appraisal import Waiver
from tee.documents import CollateralKind, IntelTee
from tee.simulated import recovery_template, tcb_info_template
from tee.simulated_documents import SIMULATED_FMSPC, TcbInfoTemplate
from tests.support.attesting import CUSTOMER, DAY_MS, POSTER, PROVIDER, Lab, collateral_messages, publish
from tests.support.chain_builders import make_genesis, with_params


def put(lab: Lab, template: TcbInfoTemplate) -> None:
    """Put a TCB info, which must be news."""
    chain = (lab.vendor.tcb_signer, lab.vendor.root)
    message = PutCollateral(kind=CollateralKind.INTEL_TCB_INFO, body=lab.vendor.tcb_info(template), chain=chain)
    assert lab.reason(POSTER, message) == ""


def bring_nothing(_lab: Lab) -> None:
    """Leave it at the document by which the machine is behind."""


def bring_an_old_document(lab: Lab) -> None:
    """Bring one of a lower number than was in force before, by which the machine is up to date."""
    put(lab, replace(tcb_info_template(lab.now_s), number=12))


@pytest.mark.parametrize("bring", [bring_nothing, bring_an_old_document])
def test_a_machine_that_was_behind_from_the_beginning_has_no_grace(bring: Callable[[Lab], None]) -> None:
    lab = Lab(with_params(make_genesis(), "attestation", promotion_delay_ms=DAY_MS), is_bare=True)
    root_crl, pck_crl, _tcb_info, qe_identity = collateral_messages(lab.vendor.collateral(lab.now_s))
    for message in (root_crl, pck_crl, qe_identity):
        assert lab.reason(POSTER, message) == ""
    lab.image = lab.publish(CUSTOMER, publish(ResourceKind.SOFTWARE))
    lab.hardware = lab.publish(PROVIDER, publish(ResourceKind.HARDWARE))
    put(lab, replace(tcb_info_template(lab.now_s, is_sgx=True), number=21))
    lab.apply(interval_ms=DAY_MS)
    put(lab, replace(recovery_template(lab.now_s), number=22))
    assert lab.reason(PROVIDER, lab.attest_message()) == EnclaveReason.STANDING_TOO_LOW
    lab.apply(interval_ms=DAY_MS)
    bring(lab)
    lab.apply()
    assert lab.reason(PROVIDER, lab.attest_message()) == EnclaveReason.STANDING_TOO_LOW
    root = sha256(lab.vendor.root).digest()
    subject = root + bytes((IntelTee.TDX,)) + SIMULATED_FMSPC
    assert (evaluation_of(lab.ledger, root).number, evaluation_of(lab.ledger, root).number_before) == (22, 21)
    before = find_key(lab.ledger, CollateralKind.INTEL_TCB_INFO, root, subject, Choice.BEFORE)
    assert before is not None
    assert int.from_bytes(before[-8:], "big") == 22


def test_a_waiver_may_last_for_ever() -> None:
    lab = Lab()
    lab.attest()
    rules, next_ms = lab.ledger.get(APPRAISAL_RULES, ONLY), find_next_deadline_ms(lab.ledger)
    for until_s in (INTEGER_MAX // 1_000, INTEGER_MAX):
        lasting = replace(rules, policy=replace(rules.policy, waivers=(Waiver(advisory="A", until_s=until_s),)))
        lab.govern(lambda context, lasting=lasting: set_rules(context, lasting))
    lab.apply()
    assert (lab.state_of(), find_next_deadline_ms(lab.ledger)) == (("trusted", 5, ""), next_ms)
