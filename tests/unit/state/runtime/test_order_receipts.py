"""What receipts and grants count for: their own order, enclave, chain, epoch and time, and nothing else."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state.offers import ResourceKind
from state.order_messages import Erase, Fail, GrantAnswer, grant_signing_bytes
from state.receipts import EventKind
from state.records import HOLDINGS
from state.resource_records import RESOURCES
from tests.support.attesting import CUSTOMER, PROVIDER, enclave_key, expire_enclave, publish
from tests.support.chain_builders import account, make_genesis
from tests.support.order_laws import check_order_laws
from tests.support.ordering import BOND, OWNER, SECOND_MS, STRANGER, Market


@pytest.fixture
def market() -> Market:
    return Market()


def change_resource(market: Market, resource: bytes, **changes: object) -> None:
    """Change the record of a resource."""
    market.govern(
        lambda context: context.ledger.put(
            RESOURCES, resource, replace(context.ledger.get(RESOURCES, resource), **changes)
        )
    )


def test_a_beat_counts_once_and_none_may_be_left_out(market: Market) -> None:
    order = market.running()
    market.pass_time(3)
    sent = market.receipts(market.beat(order))
    assert market.reason(STRANGER, sent) == ""
    before = market.order(order)
    assert market.reason(STRANGER, sent) == "bad_receipt_signature", "the heads have moved on"
    skipping = market.beat(order, number=before.receipt_count + 1)
    assert market.report(skipping) == "receipt_number"
    assert market.order(order) == before


def test_two_receipts_of_one_order_in_one_message_both_count(market: Market) -> None:
    order = market.running()
    market.pass_time(3)
    first = market.beat(order)
    assert market.report(first, market.output(order, number=first.number + 1)) == ""
    assert market.standing(order) == ("closed", "done")
    assert market.order(order).receipt_count == 3
    check_order_laws(market)


def test_receipts_count_for_their_enclave_chain_and_order_alone(market: Market) -> None:
    market.attest(1)
    first, second = market.running(), market.running()
    assert market.report(market.beat(first), number=1) == "no_enclave"
    good = market.receipts(market.beat(first))
    moved = replace(good, receipts=(replace(good.receipts[0], order=second),))
    assert market.reason(PROVIDER, moved) == "bad_receipt_signature"
    unsigned = replace(good, signature=bytes(64))
    assert market.reason(PROVIDER, unsigned) == "bad_receipt_signature"
    other_chain = Market(make_genesis(salt=b"\x01" * 32))
    order = other_chain.running()
    assert other_chain.chain_id != market.chain_id
    foreign = other_chain.receipts(other_chain.beat(order))
    assert market.reason(PROVIDER, replace(foreign, at_height=market.height)) == "bad_receipt_signature"
    unknown = market.receipts(replace(market.beat(first), order=b"\x02" + bytes(20), number=0))
    assert market.reason(PROVIDER, unknown) == "no_order"


def expire(market: Market, number: int = 0) -> None:
    """Let an enclave expire."""
    market.govern(lambda context: expire_enclave(context, market.enclave_of(number)))


def test_a_fallen_enclave_earns_nothing_even_before_its_orders_are_reviewed(market: Market) -> None:
    order = market.running()
    market.pass_time(3)
    expire(market)
    before = market.order(order)
    sent = market.receipts(market.beat(order))
    executed = market.send(PROVIDER, sent)
    assert executed.receipts[0].reason == "enclave_not_trusted"
    assert market.standing(order) == ("stalled", "enclave_fallen")
    assert market.order(order).earned == before.earned
    market.attest(0)
    assert market.report(market.beat(order)) == ""
    assert market.standing(order) == ("running", "")
    check_order_laws(market)


def test_one_bad_receipt_costs_the_others_nothing(market: Market) -> None:
    orders = [market.running(end_by_ms=market.time_ms + 900 * SECOND_MS) for _ in range(3)]
    market.pass_time(2)
    receipts = [market.beat(order) for order in orders]
    receipts[1] = replace(receipts[1], number=99)
    executed = market.send(PROVIDER, market.receipts(*receipts))
    assert executed.receipts[0].reason == ""
    skipped = [dict(event.attributes) for event in executed.events if event.kind is EventKind.RECEIPT_SKIPPED]
    assert skipped == [{"order": orders[1], "number": 99, "reason": b"receipt_number"}]
    assert [market.order(order).receipt_count for order in orders] == [2, 1, 2]
    check_order_laws(market)


def test_a_receipt_too_late_for_its_order_leaves_the_order_ended_and_all_money_where_it_belongs(market: Market) -> None:
    """The order's end comes in the message itself, before its receipt is refused; the other receipt of the message counts."""
    late, other = market.running(attempts=1), market.running()
    market.pass_time(9)
    assert market.report(market.beat(other)) == ""
    market.pass_time(9)
    assert market.report(market.beat(other)) == ""
    executed = market.send(PROVIDER, market.receipts(market.beat(late), market.beat(other)), interval_ms=20 * SECOND_MS)
    assert executed.receipts[0].reason == ""
    assert [event.kind for event in executed.events].count(EventKind.RECEIPT_SKIPPED) == 1
    assert market.standing(late) == ("closed", "provider_fault")
    assert market.order(late).receipt_count == 1
    assert market.order(other).receipt_count == 4
    check_order_laws(market)


def test_a_message_of_nothing_but_late_receipts_fails_and_the_wheel_does_the_same(market: Market) -> None:
    late = market.running(attempts=1)
    market.pass_time(11)
    assert market.report(market.beat(late), interval_ms=30 * SECOND_MS) == "wrong_state"
    assert market.standing(late) == ("closed", "provider_fault")
    check_order_laws(market)


def test_a_grant_counts_for_one_epoch_and_one_enclave(market: Market) -> None:
    market.attest(1)
    order = market.accepted()
    stale = market.grant_message(order)
    change_resource(market, market.data, grant_epoch=1)
    assert market.reason(OWNER, stale) == "grant_stale"
    assert market.reason(OWNER, market.grant_message(order)) == ""
    change_resource(market, market.data, grant_epoch=2)
    assert market.report(market.start(order)) == "grant_lacking"
    assert market.reason(OWNER, market.grant_message(order)) == ""
    assert market.reason(PROVIDER, market.close(order)) == ""
    assert market.reason(PROVIDER, market.accept_message(order, 1)) == ""
    assert market.report(market.start(order), number=1) == "grant_lacking"
    former = market.grant_message(order, enclave=market.enclave_of(0))
    assert market.reason(OWNER, former) == "grant_stale"


def test_no_key_is_given_in_time_the_order_ends_and_the_provider_pays_nothing(market: Market) -> None:
    order = market.accepted()
    market.pass_time(121)
    assert market.standing(order) == ("closed", "grant_refused")
    assert market.ledger.get(HOLDINGS, account(0)).provider_bond == BOND
    check_order_laws(market)


@pytest.fixture
def vaulted() -> tuple[Market, bytes]:
    """A market whose data has a vault, an image of its own, which enclave 1 runs; enclave 0 runs the order's."""
    market = Market()
    vault = market.publish(OWNER, publish(ResourceKind.SOFTWARE))
    market.attest(1, image=vault)
    change_resource(market, market.data, vault=vault)
    return market, market.accepted()


def vault_grant(market: Market, order: bytes, number: int = 1, key: int = 1, **changes: object) -> object:
    """Return a release of the key by the vault's enclave, signed with an enclave's key."""
    grant = market.grant_message(order, vault_enclave=market.enclave_of(number), **changes)
    return replace(grant, vault_signature=enclave_key(key).sign(grant_signing_bytes(market.chain_id, grant)))


def test_an_enclave_of_the_vault_answers_for_the_owner(vaulted: tuple[Market, bytes]) -> None:
    market, order = vaulted
    assert market.reason(STRANGER, vault_grant(market, order)) == ""
    assert market.report(market.start(order)) == ""
    check_order_laws(market)


def test_nobody_but_the_vault_answers_for_the_owner(vaulted: tuple[Market, bytes]) -> None:
    market, order = vaulted
    assert market.reason(STRANGER, vault_grant(market, order, number=0, key=0)) == "bad_vault", "another image"
    assert market.reason(STRANGER, vault_grant(market, order, key=0)) == "bad_vault", "another key"
    good = vault_grant(market, order)
    assert market.reason(STRANGER, replace(good, capsule=b"another")) == "bad_vault", "another capsule"
    assert market.reason(STRANGER, replace(good, vault_enclave=b"")) == "unexpected_field"
    refusal = replace(good, answer=GrantAnswer.REFUSE, capsule=b"")
    assert market.reason(STRANGER, refusal) == "bad_vault", "another answer"
    expire(market, 1)
    assert market.reason(STRANGER, good) == "enclave_not_trusted"
    assert market.reason(OWNER, market.grant_message(order)) == "", "the owner may still answer itself"


def test_an_order_waits_for_the_output_of_another_and_loads_exactly_that(market: Market) -> None:
    first = market.place()
    second = market.place(after=(first,))
    assert market.reason(PROVIDER, market.accept_message(second)) == "after_pending"
    assert market.reason(PROVIDER, market.accept_message(first)) == ""
    assert market.reason(OWNER, market.grant_message(first)) == ""
    assert market.report(market.start(first)) == ""
    assert market.report(market.output(first)) == ""
    assert market.reason(PROVIDER, market.accept_message(second)) == ""
    assert market.reason(OWNER, market.grant_message(second)) == ""
    assert market.report(market.start(second)) == "inputs_mismatch"
    good = market.start(second)
    assert market.report(replace(good, inputs=(*good.inputs, b"\x0f" * 32))) == ""
    assert market.reason(STRANGER, market.order_message(after=(first,))) == "after_malformed"
    failed = market.place()
    assert market.reason(CUSTOMER, market.close(failed)) == ""
    assert market.reason(CUSTOMER, market.order_message(after=(failed,))) == "after_pending"


def test_an_erasure_counts_after_the_end_and_only_where_something_was_loaded(market: Market) -> None:
    order = market.accepted()
    erase = Erase(order=order, number=0)
    assert market.report(erase) == "wrong_state"
    assert market.reason(OWNER, market.grant_message(order)) == ""
    assert market.report(market.start(order)) == ""
    assert market.report(market.output(order)) == ""
    assert market.report(Erase(order=order, number=2)) == ""
    assert market.run(order).is_erased


def test_an_enclave_that_never_started_erases_nothing_of_the_one_before(market: Market) -> None:
    market.attest(1)
    order = market.running()
    market.pass_time(11)
    market.pass_time(21)
    assert market.reason(PROVIDER, market.accept_message(order, 1)) == ""
    run = market.run(order)
    assert market.report(Fail(order=order, number=1, code=9), number=1) == ""
    assert market.report(Erase(order=order, number=2), number=1) == "wrong_state"
    assert market.run(order) == run
