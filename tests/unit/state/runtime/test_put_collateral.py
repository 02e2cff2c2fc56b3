"""put_collateral: what is news, what comes back, which number counts, and when."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state.codec import encode
from state.lists import ListKind
from state.messages import Transfer
from state.receipts import EventKind
from state.records import ONLY
from state.runtime.prices import price_table
from state.runtime.reasons import TransactionReason
from state.runtime.trust.documents import ChainCollateral, Choice, evaluation_of
from state.runtime.trust.rules import schedule_number
from state.trust_messages import PutCollateral
from state.trust_queries import collateral, collaterals
from state.trust_records import COLLATERAL, COLLATERAL_NUMBERS, EVALUATIONS, NUMBERS_MAX, TRUST_BOOKS
from tee.documents import CollateralKind, IntelTee
from tee.errors import Reason
from tee.simulated import TCB_SIGNER_TEMPLATE, SimulatedVendor, tcb_info_template
from tee.simulated_documents import SIMULATED_FMSPC
from tests.support.attesting import CUSTOMER, DAY_MS, FEE, POSTER, Lab, collateral_messages, recovery, trust_as_vendor
from tests.support.chain_builders import account, make_genesis, with_params

DELAY_MS = 30 * DAY_MS
NUMBER = tcb_info_template(0).number


def tcb_info(lab: Lab, number: int = NUMBER, issued_s: int | None = None) -> PutCollateral:
    """Return the TCB info of the usual platform with an evaluation number, issued now."""
    template = replace(tcb_info_template(lab.now_s if issued_s is None else issued_s), number=number)
    chain = (lab.vendor.tcb_signer, lab.vendor.root)
    return PutCollateral(kind=CollateralKind.INTEL_TCB_INFO, body=lab.vendor.tcb_info(template), chain=chain)


def root_of(lab: Lab) -> bytes:
    """Return the fingerprint of the vendor's root, as the first document names it."""
    return lab.ledger.get(COLLATERAL, lab.members(ListKind.COLLATERAL)[0]).document.root


def number_of(lab: Lab, choice: Choice = Choice.IN_FORCE) -> int:
    document = ChainCollateral(lab.ledger, choice).tcb_info(root_of(lab), IntelTee.TDX, SIMULATED_FMSPC)
    return 0 if document is None else document.number


def test_news_of_a_vendor_brings_its_least_fee_back_and_no_bid_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    trust_as_vendor(monkeypatch)
    lab = Lab(is_bare=True)
    before = lab.balance(account(2))
    for message in collateral_messages(lab.vendor.collateral(lab.now_s)):
        transaction = lab.sign(POSTER, message, fee=FEE)
        receipt = lab.apply(transaction).receipts[0]
        assert receipt.reason == ""
        assert receipt.fee == FEE - price_table(lab.params).fee(transaction)
        before -= receipt.fee
    assert lab.balance(account(2)) == before
    assert len(collaterals(lab.ledger, 10).collaterals) == 4


def test_what_is_known_pays_its_fee_and_changes_nothing() -> None:
    lab = Lab()
    message, before = tcb_info(lab, issued_s=lab.genesis.time_ms // 1_000), lab.balance(account(2))
    receipt = lab.send(POSTER, message).receipts[0]
    assert (receipt.reason, receipt.fee) == (TransactionReason.COLLATERAL_NOT_NEWER, FEE)
    assert lab.balance(account(2)) == before - FEE


def test_news_with_anything_else_pays_its_fee() -> None:
    lab = Lab()
    lab.apply()
    executed = lab.send(POSTER, tcb_info(lab), Transfer(to=account(3), amount=1))
    assert (executed.receipts[0].reason, executed.receipts[0].fee) == ("", FEE)


def test_documents_of_simulated_hardware_pay_their_fee() -> None:
    lab = Lab(is_bare=True)
    executed = lab.put_all(lab.vendor.collateral(lab.now_s))
    assert [each.receipts[0].fee for each in executed] == [FEE] * 4


def test_whoever_brings_the_first_document_of_a_vendor_does_not_choose_the_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trust_as_vendor(monkeypatch)
    lab = Lab(is_bare=True)
    messages = collateral_messages(lab.vendor.collateral(lab.now_s))
    lab.send(POSTER, messages[0])
    early = lab.send(CUSTOMER, recovery(lab))
    assert dict(early.events[-1].attributes)["is_early"] == 0, "counts as long as there is no lower one"
    assert number_of(lab) == NUMBER + 1
    for message in messages[1:]:
        assert lab.reason(POSTER, message) == ""
    root = root_of(lab)
    assert (evaluation_of(lab.ledger, root).number, number_of(lab)) == (0, NUMBER)
    assert [view.is_early for view in collaterals(lab.ledger, 10).collaterals].count(True) == 1
    lab.apply(interval_ms=DELAY_MS)
    assert evaluation_of(lab.ledger, root).number == NUMBER + 1


def test_the_verification_root_covers_what_a_document_owes_to_the_chain_of_its_signer() -> None:
    roots = set()
    for day_count in (5, 6):
        lab = Lab()
        end_s = lab.now_s + day_count * DAY_MS // 1_000
        lab.apply()
        message = tcb_info(lab)
        signer = SimulatedVendor(tcb_signer=replace(TCB_SIGNER_TEMPLATE, not_after_s=end_s)).tcb_signer
        assert lab.reason(POSTER, replace(message, chain=(signer, lab.vendor.root))) == ""
        roots.add(lab.ledger.get(TRUST_BOOKS, ONLY).verification_root)
    assert len(roots) == 2


def test_a_document_that_follows_too_soon_is_stored_but_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    trust_as_vendor(monkeypatch)
    lab = Lab(with_params(make_genesis(), "attestation", news_interval_ms=DAY_MS))
    lab.apply()
    least = price_table(lab.params).fee(lab.sign(POSTER, tcb_info(lab), fee=FEE))
    soon = lab.send(POSTER, tcb_info(lab)).receipts[0]
    assert (soon.reason, soon.fee) == ("", FEE)
    lab.apply(interval_ms=DAY_MS)
    later = lab.send(POSTER, tcb_info(lab)).receipts[0]
    assert (later.reason, later.fee) == ("", FEE - least)


def test_an_unknown_kind_is_refused_unread() -> None:
    lab = Lab()
    message = replace(tcb_info(lab), kind=6)
    assert lab.reason(POSTER, message) == TransactionReason.UNKNOWN_COLLATERAL


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda _lab, message: replace(message, body=message.body[:-1]), Reason.TCB_INFO_FORMAT, id="cut"),
        pytest.param(lambda _lab, message: replace(message, chain=()), Reason.TCB_INFO_SIGNER, id="no signer"),
        pytest.param(
            lambda _lab, message: replace(message, chain=(SimulatedVendor(b"other").tcb_signer,)),
            Reason.TCB_INFO_SIGNER,
            id="another vendor",
        ),
        pytest.param(
            lambda lab, _message: tcb_info(lab, issued_s=lab.now_s + 100),
            Reason.TCB_INFO_NOT_YET_VALID,
            id="from the future",
        ),
        pytest.param(
            lambda lab, _message: tcb_info(lab, issued_s=lab.now_s - 31 * 86_400), Reason.TCB_INFO_EXPIRED, id="expired"
        ),
    ],
)
def test_what_the_vendor_did_not_sign_for_now_is_refused(change, reason) -> None:
    lab = Lab()
    lab.apply()
    assert lab.reason(POSTER, change(lab, tcb_info(lab))) == reason


def test_a_higher_number_waits_for_its_delay_and_feeds_the_forecast_alone() -> None:
    lab = Lab()
    lab.apply()
    executed = lab.send(POSTER, recovery(lab))
    assert dict(executed.events[-1].attributes)["is_early"] == 1
    assert (number_of(lab), number_of(lab, Choice.NEWEST), number_of(lab, Choice.BEFORE)) == (NUMBER, NUMBER + 1, 0)
    lab.apply(interval_ms=DELAY_MS - 1_000)
    assert number_of(lab) == NUMBER
    lab.apply(interval_ms=2_000)
    assert (number_of(lab), number_of(lab, Choice.BEFORE)) == (NUMBER + 1, NUMBER)
    evaluation = evaluation_of(lab.ledger, root_of(lab))
    assert (evaluation.since_ms, evaluation.pending) == (lab.time_ms, ())


def test_governance_may_put_a_number_into_force_earlier() -> None:
    lab = Lab()
    lab.apply()
    lab.send(POSTER, recovery(lab))
    root, due_ms = root_of(lab), lab.time_ms + 60_000
    lab.govern(lambda context: schedule_number(context, root, NUMBER + 1, due_ms))
    lab.apply(interval_ms=60_000)
    assert number_of(lab) == NUMBER
    lab.apply(interval_ms=1_000)
    assert number_of(lab) == NUMBER + 1
    lab.apply(interval_ms=DELAY_MS)
    assert number_of(lab) == NUMBER + 1


def test_of_too_many_numbers_that_wait_the_highest_gives_way_to_governance() -> None:
    lab = Lab()
    root, due_ms = root_of(lab), lab.time_ms + DELAY_MS
    numbers = [*range(NUMBER + 2, NUMBER + 2 + NUMBERS_MAX), NUMBER + 1]
    for number in numbers:
        lab.govern(lambda context, number=number: schedule_number(context, root, number, due_ms))
    evaluation = lab.ledger.get(EVALUATIONS, root)
    assert [pending.number for pending in evaluation.pending] == [*range(NUMBER + 1, NUMBER + 1 + NUMBERS_MAX)]
    assert EVALUATIONS.codec.decode(encode(evaluation)) == evaluation


def test_numbers_stand_side_by_side_and_the_lowest_makes_room() -> None:
    lab = Lab()
    for number in range(NUMBER + 1, NUMBER + NUMBERS_MAX + 1):
        lab.apply()
        assert lab.reason(POSTER, tcb_info(lab, number)) == ""
    keys = [key for key in lab.members(ListKind.COLLATERAL) if key[0] == CollateralKind.INTEL_TCB_INFO]
    assert sorted(int.from_bytes(key[21:], "big") for key in keys) == list(range(NUMBER + 1, NUMBER + NUMBERS_MAX + 1))
    assert lab.ledger.get(COLLATERAL_NUMBERS, keys[0][:21]).numbers == tuple(
        range(NUMBER + 1, NUMBER + NUMBERS_MAX + 1)
    )
    assert lab.reason(POSTER, tcb_info(lab, NUMBER)) == TransactionReason.NUMBER_TOO_LOW


def test_a_document_is_served_with_the_bytes_that_came() -> None:
    lab = Lab()
    message = collateral_messages(lab.vendor.collateral(lab.genesis.time_ms // 1_000))[1]
    (key,) = [key for key in lab.members(ListKind.COLLATERAL) if key[0] == CollateralKind.INTEL_PCK_CRL]
    item = collateral(lab.ledger, key)
    assert item is not None
    assert (item.body, item.chain) == (message.body, message.chain)
    assert (item.view.is_early, item.view.is_overdue) == (False, False)
    assert collateral(lab.ledger, b"\x02" + bytes(28)) is None


def test_a_document_that_is_not_renewed_is_told_overdue_once_and_again_when_its_grace_ends() -> None:
    lab = Lab()
    kinds = [event.kind for event in lab.apply(interval_ms=30 * DAY_MS).events]
    assert kinds.count(EventKind.COLLATERAL_OVERDUE) == 3  # the root's list lives a year
    assert sum(view.is_overdue for view in collaterals(lab.ledger, 10).collaterals) == 3
    assert EventKind.COLLATERAL_OVERDUE not in [event.kind for event in lab.apply(interval_ms=DAY_MS).events]
    kinds = [event.kind for event in lab.apply(interval_ms=6 * DAY_MS).events]
    assert kinds.count(EventKind.COLLATERAL_OVERDUE) == 3


def test_pages_of_collateral_follow_one_another() -> None:
    lab = Lab()
    first = collaterals(lab.ledger, 3)
    assert (len(first.collaterals), first.next_cursor) == (3, 3)
    second = collaterals(lab.ledger, 3, 3)
    assert (len(second.collaterals), second.next_cursor) == (1, None)
