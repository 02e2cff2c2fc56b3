"""Governance ends orders, and stops new ones."""

from __future__ import annotations

from state.governance_messages import EndOrder, SetBrake
from state.governance_records import ProposalState
from state.order_records import ORDERS, CloseReason, OrderState
from state.runtime.reasons import TransactionReason
from state.trust_records import Brake, BrakeScope
from tests.support.attesting import CUSTOMER
from tests.support.governing import YES, Assembly
from tests.support.ordering import Market

EXECUTED, FAILED = ProposalState.EXECUTED, ProposalState.FAILED


class GovernedMarket(Assembly, Market):
    """An assembly with orders."""


def test_governance_ends_an_order_with_what_it_has_earned() -> None:
    world = GovernedMarket()
    order = world.place()
    world.propose(EndOrder(order=order))
    for index in range(3):
        assert world.vote(index, YES) == ""
    record = world.ledger.get(ORDERS, order)
    assert (record.state, record.reason, record.closed_by, record.held) == (
        OrderState.CLOSED,
        CloseReason.GOVERNANCE,
        b"",
        0,
    )
    assert world.standing() == (EXECUTED, "")
    assert world.reason_of(EndOrder(order=order)) == TransactionReason.WRONG_STATE


def test_an_order_that_ended_before_the_decision_fails() -> None:
    world = GovernedMarket()
    order = world.place()
    world.propose(EndOrder(order=order))
    world.vote(0, YES)
    world.apply(interval_ms=61_000)
    assert world.ledger.get(ORDERS, order).state is OrderState.CLOSED
    world.vote(1, YES)
    world.vote(2, YES)
    assert world.standing() == (FAILED, TransactionReason.WRONG_STATE)


def test_a_brake_stops_new_orders_and_no_running_one() -> None:
    world = GovernedMarket()
    order = world.place()
    brake = Brake(scope=BrakeScope.ORDERS, subject=b"", until_ms=world.time_ms + 20_000)
    world.propose(SetBrake(brake=brake))
    for index in range(3):
        assert world.vote(index, YES) == ""
    assert world.reason(CUSTOMER, world.order_message()) == TransactionReason.ORDERS_BRAKED
    assert world.ledger.get(ORDERS, order).state is OrderState.OPEN
    world.apply(interval_ms=20_000)
    assert world.reason(CUSTOMER, world.order_message()) == ""
