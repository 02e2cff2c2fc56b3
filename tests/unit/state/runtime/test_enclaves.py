"""The life of enclaves: every transition, its reason and its event; outages, brakes, expiry, and whole fleets judged again."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state.deadlines import find_next_deadline_ms
from state.errors import TransactionRejected
from state.lists import ListKind
from state.offers import ResourceKind
from state.receipts import EventKind
from state.records import ONLY
from state.resource_records import numbered_key
from state.runtime.reasons import EnclaveReason, TransactionReason
from state.runtime.trust.cohorts import cohort_of, id_of
from state.runtime.trust.documents import ChainCollateral
from state.runtime.trust.judgement import Judge
from state.runtime.trust.rules import (
    distrust_root,
    list_platform,
    note_verifier_change,
    set_brake,
    set_rules,
)
from state.trust_messages import Supersede
from state.trust_queries import enclave
from state.trust_records import (
    APPRAISAL_RULES,
    COLLATERAL_NUMBERS,
    Brake,
    BrakeScope,
    EnclaveState,
    PlatformVerdict,
)
from tee.appraisal import DenialReason
from tee.claims import TcbStatus
from tee.documents import IntelTee
from tee.simulated import (
    PLATFORM_CA_TEMPLATE,
    TCB_SIGNER_TEMPLATE,
    SimulatedVendor,
    pck_crl_template,
    qe_identity_template,
    recovery_template,
    tcb_info_template,
)
from tests.support.attesting import (
    CUSTOMER,
    DAY_MS,
    EMPTY_RELEASE,
    POSTER,
    PROVIDER,
    Lab,
    address,
    collateral_messages,
    publish,
    reasons_told,
    recovery,
    td_profile,
    trust_as_vendor,
)
from tests.support.chain_builders import account, make_genesis, with_params

HOUR_MS = 3_600_000
GRACE_MS = 15 * DAY_MS


def keep_fresh(lab: Lab, number: int | None = None) -> None:
    """Bring all documents of now, with the TCB info of a recovery if a number is given."""
    template = None if number is None else replace(recovery_template(lab.now_s), number=number)
    lab.put_all(lab.vendor.collateral(lab.now_s, tcb_info=template))


def test_a_recovery_puts_a_machine_into_grace_and_then_suspends_it() -> None:
    lab = Lab(with_params(make_genesis(), "attestation", promotion_delay_ms=DAY_MS, max_age_ms=60 * DAY_MS))
    lab.attest()
    lab.send(POSTER, recovery(lab))
    assert lab.state_of() == ("trusted", 5, "")
    events = lab.apply(interval_ms=DAY_MS + 1_000).events
    assert reasons_told(events) == [("grace", "behind")]
    assert lab.state_of() == ("grace", 3, EnclaveReason.BEHIND)
    assert lab.enclave().claims.tcb.status is TcbStatus.OUT_OF_DATE
    assert lab.enclave().level == 1
    lab.apply(interval_ms=GRACE_MS - HOUR_MS)
    assert lab.state_of()[0] == "grace"
    assert reasons_told(lab.apply(interval_ms=HOUR_MS + 1_000).events) == [("suspended", "standing_too_low")]


def test_levels_fall_with_the_standing_of_genuine_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    trust_as_vendor(monkeypatch)
    lab = Lab(with_params(make_genesis(), "attestation", promotion_delay_ms=0, tcb_grace_ms=HOUR_MS))
    lab.attest()
    lab.send(POSTER, recovery(lab))
    lab.apply()
    assert (lab.enclave().level, lab.state_of()) == (3, ("grace", 3, "behind"))
    lab.apply(interval_ms=HOUR_MS + 1_000)
    assert (lab.enclave().level, lab.state_of()) == (2, ("suspended", 2, "standing_too_low"))


def test_a_document_by_which_a_machine_does_stand_better_lifts_it_again() -> None:
    lab = Lab(with_params(make_genesis(), "attestation", promotion_delay_ms=0, tcb_grace_ms=0))
    lab.attest()
    lab.send(POSTER, recovery(lab))
    lab.apply()
    assert lab.state_of()[0] == "suspended"
    better = replace(tcb_info_template(lab.now_s), number=99)
    identity = replace(qe_identity_template(lab.now_s), number=99)
    lab.put_all(lab.vendor.collateral(lab.now_s, tcb_info=better, qe_identity=identity))
    lab.apply()
    assert lab.state_of() == ("trusted", 5, "")


def test_a_revoked_certificate_ends_its_enclave_for_ever() -> None:
    lab = Lab()
    lab.attest(0)
    lab.attest(1)
    serial = lab.vendor.machine("machine 0").pck_serial
    executed = lab.put_all(lab.vendor.collateral(lab.now_s, revoked=(serial,)))
    assert reasons_told(executed[1].events) == [("revoked", "certificate_revoked")]
    assert lab.state_of(1) == ("trusted", 5, "")
    lab.apply()
    lab.put_all(lab.vendor.collateral(lab.now_s))
    assert lab.state_of(0) == ("revoked", 0, "certificate_revoked")
    assert lab.reason(PROVIDER, lab.attest_message(0)) == TransactionReason.ENCLAVE_REVOKED


def test_a_revoked_authority_ends_every_enclave_below_it() -> None:
    lab = Lab()
    lab.attest(0)
    lab.attest(1)
    collateral = lab.vendor.collateral(lab.now_s, revoked_authorities=(lab.vendor.platform_ca_serial,))
    lab.send(POSTER, collateral_messages(collateral)[0])
    assert [lab.state_of(number)[2] for number in (0, 1)] == ["authority_revoked", "authority_revoked"]


def test_an_authority_is_judged_by_the_certificate_in_the_quote_and_the_list_by_its_key() -> None:
    lab = Lab()
    lab.attest(0)
    first, second = lab.vendor, SimulatedVendor(platform_ca=replace(PLATFORM_CA_TEMPLATE, key="platform ca 2"))
    crl = replace(pck_crl_template(lab.now_s), issuer_key="platform ca 2")
    lab.send(POSTER, collateral_messages(second.collateral(lab.now_s, pck_crl=crl))[1])
    assert lab.state_of() == ("trusted", 5, "")
    crl = replace(crl, this_update_s=lab.now_s, serials=(first.machine("machine 0").pck_serial,))
    lab.send(POSTER, collateral_messages(second.collateral(lab.now_s, pck_crl=crl))[1])
    assert lab.state_of() == ("trusted", 5, ""), "the list of another CA of this name"
    revoking = first.collateral(lab.now_s, revoked_authorities=(second.platform_ca_serial,))
    lab.send(POSTER, collateral_messages(revoking)[0])
    assert lab.state_of() == ("trusted", 5, "")
    revoking = first.collateral(lab.now_s, revoked_authorities=(first.platform_ca_serial,))
    lab.send(POSTER, collateral_messages(revoking)[0])
    assert lab.state_of() == ("revoked", 0, "authority_revoked")


def test_documents_of_a_revoked_signer_vouch_for_nobody_until_others_come() -> None:
    lab = Lab()
    lab.attest(0)
    revoking = lab.vendor.collateral(lab.now_s, revoked_authorities=(lab.vendor.tcb_signer_serial,))
    lab.send(POSTER, collateral_messages(revoking)[0])
    assert lab.state_of() == ("suspended", 0, "tcb_info_signer_revoked")
    assert lab.reason(PROVIDER, lab.attest_message(1)) == "tcb_info_signer_revoked"
    lab.vendor = SimulatedVendor(tcb_signer=replace(TCB_SIGNER_TEMPLATE, key="the next signer"))
    anew = lab.vendor.collateral(
        lab.now_s,
        tcb_info=replace(tcb_info_template(lab.now_s), signed_by="the next signer"),
        qe_identity=replace(qe_identity_template(lab.now_s), signed_by="the next signer"),
    )
    messages = collateral_messages(anew)
    lab.send(POSTER, messages[2])
    assert lab.state_of() == ("suspended", 0, "qe_identity_signer_revoked")
    lab.send(POSTER, messages[3])
    assert lab.state_of() == ("trusted", 5, "")


def test_an_outage_of_the_vendor_holds_levels_admits_nobody_and_ends_with_its_grace() -> None:
    lab = Lab()
    lab.apply(interval_ms=25 * DAY_MS)
    lab.attest(0)
    events = lab.apply(interval_ms=5 * DAY_MS).events
    assert reasons_told(events) == [("grace", "collateral_overdue")]
    assert lab.state_of() == ("grace", 5, "collateral_overdue")
    assert lab.reason(PROVIDER, lab.attest_message(1)) == "pck_crl_expired"
    # Its proof would end now; the provider could not renew it, so it is held until the grace ends.
    lab.apply(interval_ms=3 * DAY_MS)
    assert lab.state_of() == ("grace", 5, "collateral_overdue")
    lab.apply(interval_ms=5 * DAY_MS)
    assert lab.state_of()[0] in {"suspended", "expired"}


def test_collateral_that_comes_back_ends_an_outage() -> None:
    lab = Lab()
    lab.apply(interval_ms=25 * DAY_MS)
    lab.attest(0)
    lab.apply(interval_ms=5 * DAY_MS)
    keep_fresh(lab)
    assert lab.state_of() == ("trusted", 5, "")
    lab.attest(1)


def test_long_overdue_collateral_suspends() -> None:
    lab = Lab(with_params(make_genesis(), "attestation", max_age_ms=90 * DAY_MS))
    lab.attest()
    lab.apply(interval_ms=30 * DAY_MS)
    events = lab.apply(interval_ms=7 * DAY_MS + 1_000).events
    assert reasons_told(events) == [("suspended", "collateral_expired")]
    keep_fresh(lab)
    assert lab.state_of() == ("trusted", 5, "")


def test_a_proof_ends_is_remembered_and_forgotten() -> None:
    lab = Lab()
    lab.attest()
    place = address(lab)
    events = lab.apply(interval_ms=7 * DAY_MS + 1_000).events
    assert reasons_told(events) == [("expired", "proof_expired")]
    assert lab.members(ListKind.COHORT, id_of(cohort_of(lab.enclave()))) == []
    lab.apply(interval_ms=29 * DAY_MS)
    assert lab.enclave().state is EnclaveState.EXPIRED
    events = lab.apply(interval_ms=DAY_MS + 2_000).events
    assert EventKind.ENCLAVE_FORGOTTEN in [event.kind for event in events]
    assert enclave(lab.ledger, place) is None
    assert lab.members(ListKind.OPERATOR, account(0)) == []


def test_an_expired_enclave_comes_back_by_renewal_and_expires_again() -> None:
    lab = Lab()
    lab.attest()
    lab.apply(interval_ms=7 * DAY_MS + 1_000)
    lab.attest()
    assert lab.state_of() == ("trusted", 5, "")
    lab.apply(interval_ms=6 * DAY_MS)
    assert lab.state_of()[0] == "trusted"
    lab.apply(interval_ms=DAY_MS + 1_000)
    assert lab.state_of()[0] == "expired"


def test_a_renewal_puts_the_end_off() -> None:
    lab = Lab()
    lab.attest()
    lab.apply(interval_ms=6 * DAY_MS)
    lab.attest()
    lab.apply(interval_ms=6 * DAY_MS)
    assert lab.state_of()[0] == "trusted"
    lab.apply(interval_ms=DAY_MS + 1_000)
    assert lab.state_of()[0] == "expired"


BRAKES = [
    (BrakeScope.TEE, lambda _lab: b"\x02"),
    (BrakeScope.PRODUCT, lambda lab: lab.enclave().claims.platform.fmspc),
    (BrakeScope.PLATFORM, lambda lab: lab.enclave().platform),
    (BrakeScope.RELEASE, lambda lab: numbered_key(lab.image, 0)),
]


@pytest.mark.parametrize(("scope", "subject"), BRAKES, ids=[scope.name.lower() for scope, _ in BRAKES])
def test_a_brake_suspends_what_it_names_and_ends_by_itself(scope, subject) -> None:
    lab = Lab()
    lab.attest()
    lab.govern(
        lambda context: set_brake(context, Brake(scope=scope, subject=subject(lab), until_ms=lab.time_ms + HOUR_MS))
    )
    lab.apply()
    assert lab.state_of() == ("suspended", 0, "braked")
    lab.apply(interval_ms=HOUR_MS)
    lab.apply()
    assert lab.state_of() == ("trusted", 5, "")


def test_a_brake_is_bounded_in_time() -> None:
    lab = Lab()
    brake = Brake(scope=BrakeScope.ATTESTATIONS, subject=b"", until_ms=lab.time_ms + 72 * HOUR_MS + 1)
    with pytest.raises(TransactionRejected) as caught:
        lab.govern(lambda context: set_brake(context, brake))
    assert caught.value.reason is TransactionReason.BRAKE_TOO_LONG


def test_a_denied_machine_is_revoked() -> None:
    lab = Lab()
    lab.attest()
    platform = lab.enclave().platform
    lab.govern(lambda context: list_platform(context, platform, PlatformVerdict.DENIED))
    lab.apply()
    assert lab.state_of() == ("revoked", 0, DenialReason.PLATFORM_DENIED)


def test_a_policy_that_asks_for_listed_machines_suspends_all_others() -> None:
    lab = Lab()
    lab.attest(0)
    lab.attest(1)
    rules = lab.ledger.get(APPRAISAL_RULES, ONLY)
    strict = replace(rules, policy=replace(rules.policy, is_listing_required=True))
    platform = lab.enclave(0).platform
    lab.govern(
        lambda context: list_platform(context, platform, PlatformVerdict.ALLOWED),
        lambda context: set_rules(context, strict),
    )
    lab.apply()
    assert [lab.state_of(number)[0] for number in (0, 1)] == ["trusted", "suspended"]
    assert lab.state_of(1)[2] == DenialReason.PLATFORM_NOT_LISTED


def test_a_distrusted_root_suspends_everything_below_it() -> None:
    lab = Lab()
    lab.attest()
    root = lab.enclave().root
    lab.govern(lambda context: distrust_root(context, root))
    lab.apply()
    assert lab.state_of() == ("suspended", 0, "root_distrusted")


def test_a_proof_below_a_distrusted_root_ends_and_takes_no_deadline_of_later_blocks() -> None:
    lab = Lab()
    lab.attest()
    root = lab.enclave().root
    lab.govern(lambda context: distrust_root(context, root))
    events = lab.apply(interval_ms=7 * DAY_MS + 1_000).events
    assert reasons_told(events) == [("expired", "proof_expired")]
    next_ms = find_next_deadline_ms(lab.ledger)
    assert next_ms is not None
    assert next_ms > lab.time_ms
    lab.apply(interval_ms=31 * DAY_MS)
    assert lab.find_enclave() is None


def test_a_proof_whose_collateral_is_lacking_ends_like_any_other() -> None:
    lab = Lab()
    lab.attest()
    enclave, documents = lab.enclave(), ChainCollateral(lab.ledger)
    documents.tcb_info(enclave.root, IntelTee.TDX, enclave.claims.platform.fmspc)
    (lacking,) = documents._found
    lab.govern(lambda context: context.ledger.delete(COLLATERAL_NUMBERS, lacking[:-8]))
    judge = Judge(lab.ledger, lab.params, lab.time_ms)
    assert judge.judge(enclave).reason is EnclaveReason.COLLATERAL_LACKING
    judge = Judge(lab.ledger, lab.params, enclave.expires_ms)
    assert judge.judge(enclave).state is EnclaveState.EXPIRED


def test_a_machine_is_withdrawn_for_ever_even_while_other_collateral_is_lacking() -> None:
    lab = Lab()
    lab.attest()
    enclave, documents = lab.enclave(), ChainCollateral(lab.ledger)
    lab.put_all(lab.vendor.collateral(lab.now_s, revoked=(lab.vendor.machine("machine 0").pck_serial,)))
    documents.tcb_info(enclave.root, IntelTee.TDX, enclave.claims.platform.fmspc)
    (lacking,) = documents._found
    lab.govern(lambda context: context.ledger.delete(COLLATERAL_NUMBERS, lacking[:-8]))
    judge = Judge(lab.ledger, lab.params, enclave.expires_ms)
    assert judge.judge(enclave).reason is EnclaveReason.CERTIFICATE_REVOKED


def test_an_enclave_that_is_judged_alive_at_its_end_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab()
    lab.attest()
    alive = Judge(lab.ledger, lab.params, lab.time_ms).judge(lab.enclave())
    monkeypatch.setattr(Judge, "judge", lambda _judge, _enclave: alive)
    lab.apply(interval_ms=7 * DAY_MS + 1_000)
    assert lab.state_of() == ("expired", 0, "proof_expired")
    next_ms = find_next_deadline_ms(lab.ledger)
    assert next_ms is not None
    assert next_ms > lab.time_ms


def test_a_change_of_the_verifier_ends_older_proofs_within_a_day() -> None:
    lab = Lab()
    lab.attest(0)
    lab.govern(note_verifier_change)
    lab.apply()
    lab.attest(1)
    view = enclave(lab.ledger, address(lab, 0))
    assert view is not None
    assert view.expires_ms < view.enclave.expires_ms
    lab.apply(interval_ms=DAY_MS + 1_000)
    lab.apply()
    assert lab.state_of(0) == ("expired", 0, "verifier_changed")
    assert lab.state_of(1) == ("trusted", 5, "")


def test_a_superseded_release_suspends_its_enclaves_when_the_notice_is_over() -> None:
    lab = Lab()
    lab.attest()
    newer = publish(
        ResourceKind.SOFTWARE,
        resource=lab.image,
        release=replace(EMPTY_RELEASE, profiles=(td_profile(),)),
        supersedes=Supersede.ALL,
        notice_ms=HOUR_MS,
    )
    assert lab.reason(CUSTOMER, newer) == ""
    lab.apply(interval_ms=HOUR_MS - 10_000)
    assert lab.state_of()[0] == "trusted"
    lab.apply(interval_ms=20_000)
    assert lab.state_of() == ("suspended", 0, "release_revoked")
    lab.send(PROVIDER, lab.attest_message(0, release=1))
    assert lab.state_of() == ("trusted", 5, "")
