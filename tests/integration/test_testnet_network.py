"""Stories of a running network of four nodes: agreement, loss of nodes, partitions, many clients at once.

All share the network of the plugin's fixture; each leaves it whole.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, aclosing

import pytest

from bocc.client import Wait
from bocc.errors import RpcRejected
from bocc.light import verify_file
from bocc.wallet import development_key
from state.address import account_address, format_address, parse_address
from state.crypto import SigningKey, tagged_hash
from state.genesis_file import parse_genesis
from state.keyfile import KeyKind
from state.messages import Transfer
from state.proof_bundle import VerifiedState, VerifiedTransaction
from state.records import ACCOUNTS

NODES = range(4)


def fresh_address(name: str) -> str:
    """Return an address that no other test pays."""
    return format_address(account_address(SigningKey(tagged_hash(b"test", name.encode())).public_key))


async def wait_for_balance(net, address: str, balance: int, nodes=NODES) -> None:
    """Wait until nodes show a balance; the test's own timeout ends it."""
    async with AsyncExitStack() as stack:
        for node in nodes:
            client = await stack.enter_async_context(net.client(node))
            while await client.balance(address) != balance:
                await client.events(after=(await client.status())["cursor"], wait_ms=200)


async def test_transfer_through_one_node_is_final_on_all(bocc_net):
    alice, bob = bocc_net.accounts[0], fresh_address("bob")
    async with bocc_net.client(0) as client:
        outcome = await client.transfer(alice.key, bob, 5_000_000)
    assert outcome.has_succeeded
    await wait_for_balance(bocc_net, bob, 5_000_000)


async def test_every_node_has_the_same_blocks(bocc_net):
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(bocc_net.client(node)) for node in NODES]
        height = min([(await client.status())["height"] for client in clients])
        blocks = [await client.block(height) for client in clients]
    assert {(block["hash"], block["result_hash"]) for block in blocks} == {
        (blocks[0]["hash"], blocks[0]["result_hash"])
    }


async def test_killed_node_leaves_the_chain_running_and_comes_back_in_step(bocc_net):
    alice, bob = bocc_net.accounts[0], fresh_address("killed")
    bocc_net.kill(1)
    async with bocc_net.client(0) as client:
        for _ in range(5):
            assert (await client.transfer(alice.key, bob, 1)).has_succeeded
        bocc_net.restart(1)
        await wait_for_balance(bocc_net, bob, 5)
        assert (await client.transfer(alice.key, bob, 1)).has_succeeded
    await wait_for_balance(bocc_net, bob, 6)


async def test_frozen_node_catches_up(bocc_net):
    alice, bob = bocc_net.accounts[0], fresh_address("frozen")
    bocc_net.pause(2)
    try:
        async with bocc_net.client(0) as client:
            for _ in range(3):
                assert (await client.transfer(alice.key, bob, 1)).has_succeeded
    finally:
        bocc_net.resume(2)
    await wait_for_balance(bocc_net, bob, 3)


async def test_halved_network_stands_still_and_goes_on_when_healed(bocc_net):
    alice, bob = bocc_net.accounts[0], fresh_address("halved")
    bocc_net.partition("0,1/2,3")
    async with bocc_net.client(0) as client:
        stuck = await client.transfer(alice.key, bob, 7, timeout_s=2)
        assert stuck.status == "pending"
        bocc_net.heal()
        assert (await client.tx_wait(stuck.tx_id)).has_succeeded
    await wait_for_balance(bocc_net, bob, 7)


async def test_power_loss_of_all_nodes_loses_nothing_that_was_final(bocc_net):
    alice, bob = bocc_net.accounts[0], fresh_address("power")
    async with bocc_net.client(3) as client:
        outcome = await client.transfer(alice.key, bob, 9)
    for node in NODES:
        bocc_net.kill(node)
    for node in NODES:
        bocc_net.start(node)
    bocc_net.wait_ready()
    async with bocc_net.client(3) as client:
        assert (await client.tx(outcome.tx_id))["height"] == outcome.height
        assert (await client.transfer(alice.key, bob, 1)).has_succeeded
    await wait_for_balance(bocc_net, bob, 10)


async def test_many_clients_of_one_account_do_not_disturb_each_other(bocc_net):
    alice, bob = bocc_net.accounts[0], fresh_address("parallel")
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(bocc_net.client(node)) for node in (*NODES, *NODES)]
        outcomes = await asyncio.gather(*(client.transfer(alice.key, bob, 1) for client in clients for _ in range(25)))
    assert all(outcome.has_succeeded for outcome in outcomes)
    assert len({outcome.tx_id for outcome in outcomes}) == 200
    await wait_for_balance(bocc_net, bob, 200)


async def test_events_arrive_once_and_in_order_across_a_restart_of_their_node(bocc_net):
    alice, bob = bocc_net.accounts[1], fresh_address("events")
    async with bocc_net.client(0) as payer, bocc_net.client(2) as follower:
        start = (await follower.status())["cursor"]
        topics = [f"account:{bob}"]
        amounts = []
        async with aclosing(follower.subscribe(start, topics)) as stream:
            for amount in range(1, 7):
                assert (await payer.transfer(alice.key, bob, amount)).has_succeeded
                if amount == 3:
                    bocc_net.kill(2)
                    bocc_net.restart(2)
                amounts.append(int((await anext(stream))["attributes"]["amount"]))
        assert amounts == [1, 2, 3, 4, 5, 6]
        page = await follower.events(start, topics=topics)
        assert [int(event["attributes"]["amount"]) for event in page["events"]] == amounts


async def test_proofs_verify_offline_from_the_genesis_alone(bocc_net, bocc_client):
    alice, bob = bocc_net.accounts[1], fresh_address("proved")
    outcome = await bocc_client.transfer(alice.key, bob, 3)
    genesis = parse_genesis((bocc_net.home / "node0/genesis.json").read_bytes())
    account = await bocc_client.account(bob, prove=True)
    fact = verify_file(encode_json(account), genesis)
    assert isinstance(fact, VerifiedState)
    assert ACCOUNTS.codec.decode(fact.value).balance == 3
    paid = verify_file(encode_json(await bocc_client.tx(outcome.tx_id, prove=True)), genesis)
    assert isinstance(paid, VerifiedTransaction)
    assert (paid.transaction.tx_id.hex(), paid.height, paid.index) == (outcome.tx_id, outcome.height, outcome.index)
    absent = verify_file(encode_json(await bocc_client.account(fresh_address("nobody"), prove=True)), genesis)
    assert absent.value is None


def encode_json(answer: dict) -> bytes:
    return json.dumps(answer).encode()


async def test_refusals_carry_reason_and_bound(bocc_net, bocc_client):
    poor = development_key(KeyKind.ACCOUNT, 15)
    with pytest.raises(RpcRejected) as caught:
        await bocc_client.transfer(poor, bocc_net.accounts[0].address, 1)
    assert caught.value.reason == "cannot_pay"


async def test_faucet_pays(bocc_client):
    carol = fresh_address("faucet")
    await bocc_client.faucet(carol, 5_000_000)
    assert await bocc_client.balance(carol) == 5_000_000


async def test_transaction_may_be_sent_without_waiting_and_asked_for_later(bocc_net, bocc_client):
    alice, bob = bocc_net.accounts[1], fresh_address("later")
    sent = await bocc_client.transfer(alice.key, bob, 1, wait=Wait.NONE)
    assert (await bocc_client.tx_wait(sent.tx_id)).has_succeeded


async def test_same_transaction_through_two_nodes_is_executed_once(bocc_net):
    alice, bob = bocc_net.accounts[1], fresh_address("once")
    async with bocc_net.client(0) as first, bocc_net.client(1) as second:
        transaction = await first.build(alice.key, [Transfer(to=parse_address(bob), amount=4)])
        outcomes = await asyncio.gather(first.submit(transaction), second.submit(transaction))
    assert {(outcome.tx_id, outcome.height) for outcome in outcomes} == {(outcomes[0].tx_id, outcomes[0].height)}
    await wait_for_balance(bocc_net, bob, 4)
