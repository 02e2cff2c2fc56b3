"""Laws of sending: one transaction whatever gets lost, exact fees, and time as a result instead of an error."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from msgspec.structs import replace

from bocc.client import CALL_WAIT_S, Client, Wait
from bocc.errors import AnswerMalformed, RpcRejected
from bocc.pricing import parse_params
from bocc.rpc import RetryPolicy
from state.address import account_address, format_address, parse_address
from state.crypto import SigningKey
from state.development_genesis import DEVELOPMENT_PARAMS
from state.messages import Transfer
from state.params import Params
from state.runtime.prices import price_table
from state.transactions import parse_transaction
from tests.support.fake_chain import CHAIN_ID, FakeChain, named
from tests.support.fake_node import FakeNode, Refusal, fake_node

KEY = SigningKey(bytes(32))
ALICE = format_address(account_address(KEY.public_key))
BOB = format_address(account_address(SigningKey(bytes(range(32))).public_key))


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    async with fake_node() as fake:
        yield fake


@pytest.fixture
def chain(node: FakeNode) -> FakeChain:
    return FakeChain(node)


@pytest.fixture
async def client(node: FakeNode) -> AsyncIterator[Client]:
    async with Client(node.url, retry=RetryPolicy(attempts=3, first_pause_s=0.0)) as one:
        yield one


async def test_transfer_is_signed_by_its_key_and_pays_exactly_the_price(chain, client):
    outcome = await client.transfer(KEY, BOB, 7)
    (transaction,) = chain.taken.values()
    assert outcome.has_succeeded
    assert (outcome.tx_id, outcome.height, outcome.receipt) == (transaction.tx_id.hex(), 7, chain.receipt)
    assert transaction.body.messages == (
        Transfer(to=account_address(SigningKey(bytes(range(32))).public_key), amount=7),
    )
    assert transaction.body.fee == price_table(DEVELOPMENT_PARAMS).fee(transaction)


@pytest.mark.parametrize("memo_bytes", [0, 1, 31, 32, 255, 256])
async def test_fee_is_never_below_the_price_whatever_the_size(chain, client, memo_bytes):
    transaction = await client.build(KEY, [Transfer(to=bytes(21), amount=1)], memo=bytes(memo_bytes))
    assert 0 <= transaction.body.fee - price_table(DEVELOPMENT_PARAMS).fee(transaction) <= 20


async def test_given_fee_is_kept(chain, client):
    transaction = await client.build(KEY, [Transfer(to=bytes(21), amount=1)], fee=1)
    assert transaction.body.fee == 1


async def test_transactions_of_one_client_have_distinct_nonces_above_the_used_ones(chain, client):
    for _ in range(3):
        await client.transfer(KEY, BOB, 7)
    nonces = [transaction.body.nonce for transaction in chain.taken.values()]
    assert nonces == list(range(nonces[0], nonces[0] + 3))
    assert nonces[0] >= 5


async def test_chain_id_and_parameters_are_asked_for_once(node, chain, client):
    await client.transfer(KEY, BOB, 7)
    await client.transfer(KEY, BOB, 7)
    asked = [method for method, _ in node.calls]
    assert (asked.count("status"), asked.count("params"), asked.count("account")) == (1, 1, 1)


async def test_lost_answer_to_a_submission_does_not_send_twice(node, chain, client):
    take = chain.submit

    def take_and_lose_the_answer(**params):
        node.methods["tx_submit"] = take
        take(**params)
        raise web.HTTPServiceUnavailable

    node.methods["tx_submit"] = take_and_lose_the_answer
    outcome = await client.transfer(KEY, BOB, 7)
    assert outcome.has_succeeded
    assert len(chain.taken) == 1


async def test_nonce_that_another_client_took_is_replaced(node, chain, client):
    answers = itertools.chain([Refusal(-32003, "nonce_used", seen=5)])

    def submit(**params):
        for refusal in answers:
            chain.next_nonce = 1 << 30
            raise refusal
        return chain.submit(**params)

    node.methods["tx_submit"] = submit
    outcome = await client.transfer(KEY, BOB, 7)
    (transaction,) = chain.taken.values()
    assert outcome.has_succeeded
    assert transaction.body.nonce >= 1 << 30


async def test_prices_that_went_up_are_asked_for_again_unless_the_fee_was_given(node, chain, client):
    await client.transfer(KEY, BOB, 7)
    dearer = replace(DEVELOPMENT_PARAMS, fees=replace(DEVELOPMENT_PARAMS.fees, base=1_000_000))
    node.methods["params"] = lambda: named(dearer)

    def submit(tx, **waiting):
        if parse_transaction(bytes.fromhex(tx), CHAIN_ID).body.fee < 1_000_000:
            raise Refusal(-32003, "fee_too_low")
        return chain.submit(tx, **waiting)

    node.methods["tx_submit"] = submit
    assert (await client.transfer(KEY, BOB, 7)).has_succeeded
    with pytest.raises(RpcRejected) as caught:
        await client.send(KEY, (Transfer(to=parse_address(BOB), amount=7),), fee=5)
    assert caught.value.reason == "fee_too_low"


async def test_endless_nonce_trouble_ends_in_the_refusal(node, chain, client):
    def submit(**_):
        raise Refusal(-32003, "nonce_used")

    node.methods["tx_submit"] = submit
    with pytest.raises(RpcRejected) as caught:
        await client.transfer(KEY, BOB, 7)
    assert caught.value.reason == "nonce_used"


async def test_used_nonce_of_our_own_final_transaction_is_no_error(node, chain, client):
    """Given our first attempt became final unheard, when the second is refused for its nonce, then the outcome is the first's."""

    def submit(**params):
        chain.submit(**params)
        raise Refusal(-32003, "nonce_used")

    node.methods["tx_submit"] = submit
    outcome = await client.transfer(KEY, BOB, 7)
    assert outcome.has_succeeded
    assert len(chain.taken) == 1


async def test_other_refusals_are_not_repeated(node, chain, client):
    def submit(**_):
        raise Refusal(-32003, "cannot_pay", seen=0, bound=3310)

    node.methods["tx_submit"] = submit
    with pytest.raises(RpcRejected) as caught:
        await client.transfer(KEY, BOB, 7)
    assert (caught.value.reason, caught.value.bound) == ("cannot_pay", 3310)
    assert [method for method, _ in node.calls].count("tx_submit") == 1


@pytest.mark.parametrize("wait", [Wait.NOTARIZED, Wait.FINAL])
async def test_time_that_is_up_is_a_result(chain, client, wait):
    chain.status = "pending"
    outcome = await client.transfer(KEY, BOB, 7, wait=wait, timeout_s=0.01)
    assert (outcome.status, outcome.is_final, outcome.has_reached(wait)) == ("pending", False, False)


async def test_long_wait_is_cut_into_calls_that_servers_allow(node, chain, client):
    chain.status = "pending"
    waits = []

    def wait(tx_id, level, timeout_ms):
        waits.append(timeout_ms)
        chain.status = "final" if len(waits) == 3 else "pending"
        return chain.outcome(tx_id)

    node.methods["tx_wait"] = wait
    outcome = await client.transfer(KEY, BOB, 7, timeout_s=10 * CALL_WAIT_S)
    assert outcome.has_succeeded
    assert waits == [int(CALL_WAIT_S * 1000)] * 3


@pytest.mark.parametrize(
    ("status", "reached"),
    [
        ("received", {Wait.NONE}),
        ("pending", {Wait.NONE, Wait.CHECKED}),
        ("notarized", {Wait.NONE, Wait.CHECKED, Wait.NOTARIZED}),
        ("final", set(Wait)),
        ("unknown", set()),
    ],
)
async def test_states_are_ordered(chain, client, status, reached):
    chain.status = status
    outcome = await client.transfer(KEY, BOB, 7, wait=Wait.NONE, timeout_s=0)
    assert {level for level in Wait if outcome.has_reached(level)} == reached


async def test_failed_receipt_is_final_without_success(chain, client):
    chain.receipt["status"] = "failed"
    outcome = await client.transfer(KEY, BOB, 7)
    assert (outcome.is_final, outcome.has_succeeded) == (True, False)


async def test_batch_of_submissions_answers_each(chain, client):
    first = await client.build(KEY, [Transfer(to=bytes(21), amount=1)])
    second = await client.build(KEY, [Transfer(to=bytes(21), amount=2)])
    answers = await client.submit_many([first, first, second])
    assert [getattr(answer, "reason", None) for answer in answers] == [None, "duplicate", None]


async def test_balance_is_an_integer(chain, client):
    assert await client.balance(ALICE) == 12


def test_parameters_by_name_are_the_parameters():
    assert parse_params(named(DEVELOPMENT_PARAMS)) == DEVELOPMENT_PARAMS


def test_parameters_with_decimal_strings_are_the_parameters():
    document = named(DEVELOPMENT_PARAMS)
    document["fees"]["base"] = str(document["fees"]["base"])
    assert parse_params(document) == DEVELOPMENT_PARAMS


@pytest.mark.parametrize("document", [None, {}, [], {**named(DEVELOPMENT_PARAMS), "fees": {}}, "params"])
def test_parameters_of_another_version_are_malformed(document):
    with pytest.raises(AnswerMalformed):
        parse_params(document)


def test_parameters_may_have_more_members_than_this_version_knows():
    document = named(DEVELOPMENT_PARAMS) | {"later": 1}
    assert isinstance(parse_params(document), Params)


@pytest.mark.parametrize(
    ("url", "ws"),
    [("http://127.0.0.1:9701", "ws://127.0.0.1:9701/ws"), ("https://host/", "wss://host/ws")],
)
def test_websocket_is_beside_the_rpc(url, ws):
    assert Client(url).ws == ws
