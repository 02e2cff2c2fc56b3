"""Many enclaves: judged again within the budget of blocks, forecast, listed by pages, replayed to the same state."""

from __future__ import annotations

from state import queries
from state.forecasts import forecast, forecast_operator
from state.lists import ListKind
from state.offers import ResourceKind
from state.receipts import EventKind
from state.records import ONLY
from state.resource_records import numbered_key
from state.runtime.trust import documents
from state.runtime.trust.cohorts import cohort_of, enqueue_all, has_runners, id_of, join_cohort
from state.trust_messages import Publish, Supersede
from state.trust_queries import EnclaveFilter, enclaves
from state.trust_records import (
    COHORT_BOOKS,
    ENCLAVES,
    EnclaveState,
)
from tee.documents import CollateralKind
from tests.support.attesting import (
    CUSTOMER,
    DAY_MS,
    EMPTY_RELEASE,
    POSTER,
    Lab,
    address,
    collateral_messages,
    publish,
    reasons_told,
    recovery,
    trust_as_vendor,
)
from tests.support.chain_builders import account, make_genesis, with_params

HOUR_MS = 3_600_000
GRACE_MS = 15 * DAY_MS


def copy_enclaves(lab: Lab, count: int) -> None:
    """Put copies of the first enclave on record, under other names."""
    original = lab.enclave()

    def copy(context) -> None:
        for number in range(1, count):
            name = b"\x03" + number.to_bytes(20, "big")
            context.ledger.put(ENCLAVES, name, original)
            join_cohort(context.ledger, name, original)

    lab.govern(copy)


def test_ten_thousand_enclaves_are_judged_again_within_the_budget_of_their_blocks(monkeypatch) -> None:
    trust_as_vendor(monkeypatch)
    lab = Lab(with_params(make_genesis(), "attestation", promotion_delay_ms=0))
    lab.attest()
    copy_enclaves(lab, 10_000)
    lab.send(POSTER, recovery(lab))
    changed, blocks = 0, 0
    while blocks == 0 or lab.ledger.get(COHORT_BOOKS, ONLY).queue:
        executed = lab.apply()
        told = reasons_told(executed.events)
        assert set(told) <= {("grace", "behind")}
        assert len(told) <= 512
        assert (queries.next_work_ms(lab.ledger) == lab.time_ms) is bool(lab.ledger.get(COHORT_BOOKS, ONLY).queue)
        changed, blocks = changed + len(told), blocks + 1
    assert changed == 10_000
    assert blocks <= 2 * (
        10_000 // 512 + 1
    )  # once for the document, once more for its number, which came into force meanwhile
    page = enclaves(lab.ledger, EnclaveFilter(state=EnclaveState.GRACE, level_min=3), 2_000)
    assert len(page.enclaves) == 2_000
    assert not enclaves(lab.ledger, EnclaveFilter(level_min=4), 10).enclaves


def test_enclaves_that_come_and_go_meanwhile_are_all_judged(monkeypatch) -> None:
    trust_as_vendor(monkeypatch)
    genesis = with_params(make_genesis(), "attestation", promotion_delay_ms=0)
    lab = Lab(with_params(genesis, "blocks", reappraisals_max=3))
    for number in range(10):
        lab.attest(number)
    serials = tuple(sorted(lab.vendor.machine(f"machine {number}").pck_serial for number in (1, 4, 9)))
    lab.put_all(lab.vendor.collateral(lab.now_s, revoked=serials))
    lab.send(POSTER, recovery(lab))
    lab.attest(10)
    while lab.ledger.get(COHORT_BOOKS, ONLY).queue:
        lab.apply()
    states = [lab.state_of(number)[0] for number in range(11)]
    assert states == ["revoked" if number in {1, 4, 9} else "grace" for number in range(11)]
    assert len(lab.members(ListKind.COHORT, id_of(cohort_of(lab.enclave(0))))) == 8


def test_a_forecast_says_who_will_fall_when_and_for_which_component() -> None:
    lab = Lab()
    lab.attest()
    place = address(lab)
    calm = forecast(lab.ledger, place)
    assert calm is not None
    assert (calm.falls, calm.shortages, calm.due_ms) == (False, (), 0)
    lab.send(POSTER, recovery(lab))
    seen_ms = lab.time_ms
    gloomy = forecast(lab.ledger, place)
    assert gloomy is not None
    assert gloomy.falls
    assert (gloomy.state, gloomy.state_then, gloomy.status_then) == ("trusted", "suspended", "out_of_date")
    assert gloomy.due_ms == seen_ms + 30 * DAY_MS
    assert {shortage.component for shortage in gloomy.shortages} >= {"SGX component 0", "TDX component 2"}
    page = forecast_operator(lab.ledger, account(0), 10)
    assert page.forecasts == (gloomy,)
    assert page.next_cursor is None


def test_lists_of_enclaves_are_filtered_and_paged() -> None:
    lab = Lab()
    for number in range(5):
        lab.attest(number)
    seen, cursor = [], b""
    while True:
        page = enclaves(lab.ledger, EnclaveFilter(), 2, cursor)
        seen += [view.address for view in page.enclaves]
        if not page.next_cursor:
            break
        cursor = page.next_cursor
    assert sorted(seen) == sorted(lab.members(ListKind.OPERATOR, account(0)))
    mine = enclaves(lab.ledger, EnclaveFilter(operator=account(0), hardware=lab.hardware), 3)
    assert [
        len(mine.enclaves),
        len(enclaves(lab.ledger, EnclaveFilter(operator=account(0)), 9, mine.next_cursor).enclaves),
    ] == [3, 2]
    assert not enclaves(lab.ledger, EnclaveFilter(operator=account(3)), 9).enclaves
    there = enclaves(lab.ledger, EnclaveFilter(hardware=lab.hardware), 3)
    rest = enclaves(lab.ledger, EnclaveFilter(hardware=lab.hardware), 9, there.next_cursor)
    both = {view.address for view in (*there.enclaves, *rest.enclaves)}
    assert (len(there.enclaves), len(both), rest.next_cursor) == (3, 5, b"")
    assert not enclaves(lab.ledger, EnclaveFilter(hardware=lab.image), 9).enclaves
    assert not enclaves(lab.ledger, EnclaveFilter(image=lab.hardware), 9).enclaves


def test_a_history_replayed_gives_the_same_state() -> None:
    def play() -> dict[bytes, bytes]:
        lab = Lab(with_params(make_genesis(), "attestation", promotion_delay_ms=HOUR_MS))
        for number in range(3):
            lab.attest(number)
        lab.send(POSTER, recovery(lab))
        lab.apply(interval_ms=HOUR_MS + 1_000)
        lab.put_all(lab.vendor.collateral(lab.now_s, revoked=(lab.vendor.machine("machine 1").pck_serial,)))
        lab.apply(interval_ms=8 * DAY_MS)
        return lab.state

    assert play() == play()


def end_release(resource: bytes, kind: ResourceKind, number: int) -> Publish:
    """Return a release that ends an older one at once."""
    return publish(
        kind,
        resource=resource,
        release=EMPTY_RELEASE,
        supersedes=Supersede.LISTED,
        superseded=(number,),
        notice_ms=0,
    )


def test_the_end_of_a_release_that_no_enclave_runs_has_nobody_judged_again() -> None:
    lab = Lab()
    lab.attest()
    for kind in (ResourceKind.DATA, ResourceKind.SOFTWARE):
        resource = lab.publish(CUSTOMER, publish(kind, release=EMPTY_RELEASE))
        kinds = [
            event.kind for event in (*lab.send(CUSTOMER, end_release(resource, kind, 0)).events, *lab.apply().events)
        ]
        assert EventKind.RELEASE_STATUS in kinds
        assert EventKind.REAPPRAISED not in kinds


def test_an_enclave_that_moved_on_to_another_release_is_not_judged_when_the_old_one_ends() -> None:
    lab = Lab()
    lab.attest()
    old = numbered_key(lab.image, 0)
    assert has_runners(lab.ledger, old)
    lab.send(CUSTOMER, publish(ResourceKind.SOFTWARE, resource=lab.image))
    lab.attest(release=1)
    assert (has_runners(lab.ledger, old), has_runners(lab.ledger, numbered_key(lab.image, 1))) == (False, True)
    lab.apply(interval_ms=400 * DAY_MS)
    assert lab.find_enclave() is None
    assert not has_runners(lab.ledger, numbered_key(lab.image, 1))


def test_nobody_can_hold_up_a_walk_by_asking_for_it_again_and_again() -> None:
    lab = Lab(with_params(make_genesis(), "blocks", reappraisals_max=2))
    for number in range(6):
        lab.attest(number)
    serial = lab.vendor.machine("machine 0").pck_serial
    for message in collateral_messages(lab.vendor.collateral(lab.now_s, revoked=(serial,)))[:2]:
        lab.send(POSTER, message)
    for _ in range(6):
        lab.govern(enqueue_all)
        lab.apply()
    assert lab.state_of(0) == ("revoked", 0, "certificate_revoked")


def test_what_moves_during_a_walk_is_seen_by_every_enclave() -> None:
    lab = Lab(with_params(make_genesis(), "blocks", reappraisals_max=2))
    for number in range(6):
        lab.attest(number)
    lab.govern(enqueue_all)
    lab.apply()
    serial = lab.vendor.machine("machine 5").pck_serial
    message = collateral_messages(lab.vendor.collateral(lab.now_s, revoked=(serial,)))[1]
    lab.send(POSTER, message)
    assert lab.state_of(5)[0] == "trusted", "was judged before the list came"
    books = lab.ledger.get(COHORT_BOOKS, ONLY)
    assert books.again == books.queue
    while lab.ledger.get(COHORT_BOOKS, ONLY).queue:
        lab.apply()
    assert lab.state_of(5) == ("revoked", 0, "certificate_revoked")
    assert lab.ledger.get(COHORT_BOOKS, ONLY).again == ()


def test_a_block_goes_through_the_cohorts_once_whatever_it_has_judged_again(monkeypatch) -> None:
    lab = Lab()
    lab.attest()
    looked = []
    monkeypatch.setattr("state.runtime.trust.cohorts.count_members", lambda *names: looked.append(names) or 0)
    lab.govern(*[enqueue_all] * 256)
    assert len(looked) == 1


def test_documents_of_a_cohort_are_looked_for_once_in_a_block(monkeypatch) -> None:
    lab = Lab()
    for number in range(3):
        lab.attest(number)
    asked = []

    def find_key(_ledger, kind, _root, subject, choice):
        asked.append((kind, subject, choice))
        return genuine(_ledger, kind, _root, subject, choice)

    genuine = documents.find_key
    monkeypatch.setattr(documents, "find_key", find_key)
    lab.govern(enqueue_all)
    lab.apply()
    assert len(asked) == len(set(asked)) == len(CollateralKind) - 1  # all but AMD's
