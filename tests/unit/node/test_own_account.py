"""Laws of the transactions that a node signs itself."""

from __future__ import annotations

import pytest

from node.own_account import EXPIRY_MS, OwnAccount, report_message
from state.codec import encode
from state.runtime.prices import price_table
from state.votes import VoteKind, are_conflicting
from tests.support.chain_builders import World, account, account_key, make_report, make_vote, transfer, validator_key

WALL_MS = 1_750_000_000_500
PAYMENT = transfer(account(1), 5)


def own(index=0, world=None):
    world = world or World()
    return OwnAccount(world.chain_id, account_key(index)), world


def test_transaction_is_signed_for_its_chain_and_pays_the_price_in_force():
    account_, world = own()
    transaction = account_.build(world.ledger, PAYMENT, WALL_MS)
    assert account_.address == account(0)
    assert (transaction.body.sender, transaction.body.messages) == (account(0), (PAYMENT,))
    assert transaction.body.expires_at_ms == WALL_MS + EXPIRY_MS
    assert transaction.body.fee == price_table(world.params).fee(transaction)
    assert transaction.has_valid_signatures()
    assert world.apply(transaction).receipts[0].reason == ""


def test_each_nonce_is_used_once_though_none_is_final_yet():
    account_, world = own()
    transactions = [account_.build(world.ledger, PAYMENT, WALL_MS) for _ in range(3)]
    assert [one.body.nonce for one in transactions] == [0, 1, 2]
    assert [receipt.reason for receipt in world.apply(*transactions).receipts] == ["", "", ""]


def test_nonces_go_on_after_what_the_account_used_before():
    account_, world = own()
    world.apply(world.sign(account_key(0), PAYMENT, nonce=41))
    assert account_.build(world.ledger, PAYMENT, WALL_MS).body.nonce == 42
    assert account_.build(world.ledger, PAYMENT, WALL_MS).body.nonce == 43


def test_account_that_the_chain_does_not_know_begins_with_the_first_nonce():
    account_, world = own(index=60)
    assert world.account(account(60)).next_nonce == 0
    assert account_.build(world.ledger, PAYMENT, WALL_MS).body.nonce == 0


@pytest.mark.parametrize("kind", [VoteKind.NOTARIZE, VoteKind.FINALIZE])
def test_report_has_one_form_in_whichever_order_the_votes_were_seen(kind):
    world = World()
    key = validator_key(0)
    votes = [make_vote(world.chain_id, key, kind, 0, 3, block) for block in (1, 2)]
    assert are_conflicting(*votes)
    validator = world.validators.members[0].address
    expected = make_report(validator, *votes)
    assert report_message(validator, votes[0], votes[1]) == expected
    assert report_message(validator, votes[1], votes[0]) == expected
    assert encode(expected.first) < encode(expected.second)
