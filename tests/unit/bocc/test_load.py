"""Laws of the load generator: valid transfers, distinct nonces, a steady rate, and honest counts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from bocc.client import Client
from bocc.load import ACCOUNTS, LoadGenerator, spenders_of
from bocc.rpc import RetryPolicy
from bocc.wallet import development_key
from state.development_genesis import DEVELOPMENT_PARAMS
from state.keyfile import KeyKind
from state.runtime.prices import price_table
from state.transactions import parse_transaction
from tests.support.fake_chain import CHAIN_ID, FakeChain
from tests.support.fake_node import FakeNode, Refusal, fake_node

FUNDER = development_key(KeyKind.ACCOUNT, 9)


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    async with fake_node() as fake:
        yield fake


@pytest.fixture
def chain(node: FakeNode) -> FakeChain:
    return FakeChain(node)


@pytest.fixture
async def client(node: FakeNode) -> AsyncIterator[Client]:
    async with Client(node.url, retry=RetryPolicy(attempts=1)) as one:
        yield one


def transactions(body: bytes):
    return [parse_transaction(bytes.fromhex(call["params"]["tx"]), CHAIN_ID) for call in json.loads(body)]


async def test_accounts_are_funded_where_they_are_poor(chain, client):
    await LoadGenerator.prepare([client], FUNDER, count=20)
    paid = [message.to for one in chain.taken.values() for message in one.body.messages]
    assert sorted(paid) == sorted(spender.address for spender in spenders_of(CHAIN_ID, 20))


async def test_transfers_are_valid_and_pay_enough(chain, client):
    generator = await LoadGenerator.prepare([client], FUNDER, count=20)
    for transaction in transactions(generator.next_body(50)):
        assert transaction.has_valid_signatures()
        assert transaction.body.fee >= price_table(DEVELOPMENT_PARAMS).fee(transaction)


async def test_no_account_uses_a_nonce_twice_and_money_moves_in_a_circle(chain, client):
    generator = await LoadGenerator.prepare([client], FUNDER, count=20)
    sent = [one for _ in range(3) for one in transactions(generator.next_body(50))]
    assert len({(one.body.sender, one.body.nonce) for one in sent}) == 150
    assert min(one.body.nonce for one in sent) == chain.next_nonce
    addresses = [spender.address for spender in spenders_of(CHAIN_ID, 20)]
    following = dict(zip(addresses, addresses[1:] + addresses[:1], strict=True))
    assert all(one.body.messages[0].to == following[one.body.sender] for one in sent)


async def test_refusals_are_counted_by_reason(chain, node, client):
    generator = await LoadGenerator.prepare([client], FUNDER, count=20)

    def submit(**_):
        raise Refusal(-32005, "intake_full")

    node.methods["tx_submit"] = submit
    count = await generator.run(1_000, duration_s=0.3)
    assert (count.taken, count.refused) == (0, generator.reasons["intake_full"])
    assert count.refused > 0


async def test_taken_transactions_are_counted(chain, client):
    generator = await LoadGenerator.prepare([client], FUNDER, count=20)
    funded = len(chain.taken)
    count = await generator.run(1_000, duration_s=0.3)
    assert count.taken == len(chain.taken) - funded > 0
    assert count.refused == 0


def test_accounts_belong_to_their_chain():
    first, second = spenders_of(CHAIN_ID), spenders_of(bytes(32))
    assert len({one.address for one in (*first, *second)}) == 2 * ACCOUNTS
