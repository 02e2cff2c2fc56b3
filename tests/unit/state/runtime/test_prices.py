"""Prices: every message has a work charge, and a fee is base, bytes and work."""

from __future__ import annotations

from typing import get_args

from msgspec.structs import replace

from state.deadlines import DeadlineKind
from state.messages import Message, Scope
from state.params import WorkOverride
from state.runtime.dispatch import DEADLINE_HANDLERS, HANDLERS
from state.runtime.prices import PriceTable, message_tag, price_table
from state.runtime.work import WORK
from tests.support.chain_builders import World, account, account_key, delegate, operator, transfer


def test_every_message_and_every_deadline_has_a_row() -> None:
    assert set(HANDLERS) == set(WORK) == set(get_args(Message))
    assert set(DEADLINE_HANDLERS) == set(DeadlineKind)
    assert all(0 <= handler.scope <= sum(Scope) for handler in HANDLERS.values())


def test_tags_of_messages_are_distinct() -> None:
    tags = [message_tag(message_type) for message_type in HANDLERS]
    assert len(set(tags)) == len(tags)


def test_a_fee_is_base_bytes_and_work() -> None:
    world = World()
    transaction = world.sign([account_key(0), account_key(1)], transfer(account(1), 5), delegate(operator(0), 5))
    prices, fees = price_table(world.params), world.params.fees
    assert prices.work(transaction) == 2 * 60 + 40 + 300
    assert prices.fee(transaction) == fees.base + 10 * len(transaction.encoded) + 460


def test_parameters_override_the_work_of_a_message() -> None:
    world = World()
    override = WorkOverride(message=1, work=7)
    params = replace(world.params, fees=replace(world.params.fees, work_overrides=(override,)))
    assert PriceTable(params).work(world.sign(account_key(0), transfer(account(1), 5))) == 67
