"""Transactions through four real nodes: one outcome everywhere, whoever takes them in and however often."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from random import Random

import pytest

from bocc.client import Wait
from bocc.errors import RpcRejected
from state.address import account_address, format_address, parse_address
from state.building import build_transaction
from state.crypto import SigningKey, tagged_hash
from state.messages import Transfer
from tests.support.live_network import run_cli


def address_of(name):
    return account_address(SigningKey(tagged_hash(b"network-transactions", name.encode())).public_key)


async def build(client, key, nonce, to, amount=1, **changes):
    """Return a transfer with a nonce of our choice."""
    return build_transaction(
        chain_id=await client.chain_id(),
        keys=(key,),
        sender=account_address(key.public_key),
        nonce=nonce,
        expires_at_ms=changes.pop("expires_at_ms", (await client.status())["block_time_ms"] + 600_000),
        messages=(Transfer(to=to, amount=amount),),
        params=await client.price_params(),
        **changes,
    )


async def clients_of(stack, net):
    return [await stack.enter_async_context(net.client(name)) for name in net.names]


@pytest.mark.parametrize("name", ["node0", "node1", "node2", "node3"])
async def test_a_transfer_sent_to_any_node_is_final_on_all_in_the_same_block(net, name):
    to = address_of(f"any-{name}")
    async with AsyncExitStack() as stack:
        clients = await clients_of(stack, net)
        outcome = await clients[net.names.index(name)].transfer(net.accounts[0].key, format_address(to), 7)
        assert outcome.has_succeeded
        seen = [await client.tx_wait(outcome.tx_id) for client in clients]
        blocks = [await client.block(outcome.height) for client in clients]
        assert {(one.height, one.index) for one in seen} == {(outcome.height, outcome.index)}
        assert len({(block["hash"], block["result"]["state_root"]) for block in blocks}) == 1
        assert blocks[0]["tx_ids"][outcome.index] == outcome.tx_id
        assert {await client.balance(format_address(to)) for client in clients} == {7}


async def test_two_hundred_transactions_of_one_account_in_any_order_through_all_nodes_are_all_final(net):
    """Given nonces in random order over all nodes, when they are sent at once, then each is final once."""
    key, to = net.accounts[3].key, address_of("two-hundred")
    async with AsyncExitStack() as stack:
        clients = await clients_of(stack, net)
        first = await clients[0].next_nonce(net.accounts[3].address)
        transactions = [await build(clients[0], key, first + index, to, index + 1) for index in range(200)]
        order = Random(200).sample(range(200), 200)
        outcomes = await asyncio.gather(
            *(clients[place % 4].submit(transactions[index]) for place, index in enumerate(order))
        )
        assert all(outcome.has_succeeded for outcome in outcomes)
        assert len({(outcome.height, outcome.index) for outcome in outcomes}) == 200
        net_tip = await asyncio.to_thread(net.converge)
        assert net_tip.height >= max(outcome.height for outcome in outcomes)
        for client in clients:
            assert await client.balance(format_address(to)) == 200 * 201 // 2
            assert await client.next_nonce(net.accounts[3].address) == first + 200


async def test_skipped_nonces_are_used_later_and_none_waits_for_another(net):
    key, to = net.accounts[4].key, address_of("skipped")
    async with net.client("node1") as client:
        first = await client.next_nonce(net.accounts[4].address)
        for offset in (5, 2, 9, 0):
            assert (await client.submit(await build(client, key, first + offset, to))).has_succeeded
        assert await client.next_nonce(net.accounts[4].address) == first + 10
        used = await build(client, key, first + 5, to, 2)
        with pytest.raises(RpcRejected) as caught:
            await client.submit(used)
        assert caught.value.reason == "nonce_used"


async def test_one_transaction_handed_to_all_nodes_again_and_again_is_executed_once(net):
    key, to = net.accounts[5].key, address_of("again")
    async with AsyncExitStack() as stack:
        clients = await clients_of(stack, net)
        transaction = await build(clients[0], key, await clients[0].next_nonce(net.accounts[5].address), to, 11)
        outcomes = await asyncio.gather(*(client.submit(transaction) for client in clients for _ in range(5)))
        outcomes += [await client.submit(transaction) for client in clients]
        assert {(one.tx_id, one.status, one.height, one.index) for one in outcomes} == {
            (transaction.tx_id.hex(), "final", outcomes[0].height, outcomes[0].index)
        }
        await asyncio.to_thread(net.converge)
        assert {await client.balance(format_address(to)) for client in clients} == {11}


@pytest.mark.parametrize(
    ("wait", "reached"),
    [
        (Wait.NONE, {"received", "pending", "notarized", "final"}),
        (Wait.CHECKED, {"pending", "notarized", "final"}),
        (Wait.NOTARIZED, {"notarized", "final"}),
        (Wait.FINAL, {"final"}),
    ],
)
async def test_each_level_of_waiting_answers_when_it_is_reached(net, wait, reached):
    async with net.client("node2") as client:
        outcome = await client.transfer(net.accounts[6].key, format_address(address_of("wait")), 1, wait=wait)
        assert outcome.status in reached
        assert outcome.provisional == (outcome.status == "notarized")
        assert (await client.tx_wait(outcome.tx_id)).has_succeeded


async def test_without_a_quorum_waiting_ends_with_the_level_reached_and_no_error(net):
    """Given two of four nodes frozen, when a transfer waits, then the answer is pending; resumed, it becomes final."""
    to = format_address(address_of("pending"))
    async with net.client("node0") as client:
        await client.chain_id()
        for name in ("node2", "node3"):
            await asyncio.to_thread(net.network.pause, name)
        outcome = await client.transfer(net.accounts[6].key, to, 1, wait=Wait.FINAL, timeout_s=1.0)
        assert outcome.status == "pending"
        for name in ("node2", "node3"):
            await asyncio.to_thread(net.network.resume, name)
        assert (await client.tx_wait(outcome.tx_id)).has_succeeded


@pytest.mark.parametrize(
    ("amount", "reason"), [(0, "zero_amount"), (10**15, "balance_too_low"), ((1 << 63) - 1, "balance_too_low")]
)
async def test_an_amount_that_cannot_move_fails_in_a_receipt_and_costs_the_fee(net, amount, reason):
    account = net.accounts[7]
    async with net.client("node0") as client:
        to = format_address(address_of("amounts"))
        before = await client.balance(account.address)
        outcome = await client.transfer(account.key, to, amount)
        assert (outcome.status, outcome.receipt["status"], outcome.receipt["reason"]) == ("final", "failed", reason)
        assert await client.balance(account.address) == before - int(outcome.receipt["fee"])
        assert await client.balance(to) == 0


async def test_a_transfer_to_oneself_costs_the_fee_alone(net):
    account = net.accounts[7]
    async with net.client("node3") as client:
        before = await client.balance(account.address)
        outcome = await client.transfer(account.key, account.address, 5_000)
        assert outcome.has_succeeded
        assert await client.balance(account.address) == before - int(outcome.receipt["fee"])


async def test_transactions_of_another_chain_and_expired_ones_are_refused(net):
    key, to = net.accounts[7].key, address_of("refused")
    async with net.client("node0") as client:
        nonce = await client.next_nonce(net.accounts[7].address)
        now_ms = (await client.status())["block_time_ms"]
        for changes, reason in (
            ({"expires_at_ms": now_ms - 1}, "expired"),
            ({"expires_at_ms": now_ms + 7_200_000}, "expires_too_late"),
            ({"fee": 1}, "fee_too_low"),
        ):
            with pytest.raises(RpcRejected) as caught:
                await client.submit(await build(client, key, nonce, to, **changes))
            assert caught.value.reason == reason
        foreign = build_transaction(
            chain_id=bytes(32),
            keys=(key,),
            sender=account_address(key.public_key),
            nonce=nonce,
            expires_at_ms=now_ms + 60_000,
            messages=(Transfer(to=to, amount=1),),
            params=await client.price_params(),
        )
        with pytest.raises(RpcRejected) as caught:
            await client.submit(foreign)
        assert caught.value.reason == "bad_signature"
        assert await client.balance(format_address(to)) == 0


def test_the_command_line_moves_money_and_prints_what_happened(net):
    to = format_address(address_of("cli"))
    home = ("--home", str(net.home))
    code, sent = run_cli("tx", "transfer", "--from", "alice", "--to", to, "--amount", "1.5", "--json", *home)
    assert (code, sent["status"], sent["receipt"]["status"]) == (0, "final", "ok")
    code, shown = run_cli("query", "account", to, "--node", "node2", "--json", *home)
    assert (code, shown["balance"]) == (0, "1500000")
    assert parse_address(shown["address"]) == address_of("cli")
