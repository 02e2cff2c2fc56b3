"""Nodes that die, freeze, lose each other or their power, under load: what was acknowledged as final stays, once, on all."""

from __future__ import annotations

import asyncio
import os
import signal
from random import Random

import pytest

from bocc.client import Wait
from state.address import account_address, format_address
from state.crypto import SigningKey, tagged_hash
from tests.support.live_network import node_process, run_cli
from tests.support.live_traffic import BackgroundTraffic, heights_gained

KILLS = 8


def address_of(name):
    return format_address(account_address(SigningKey(tagged_hash(b"faults-processes", name.encode())).public_key))


async def test_any_node_killed_at_random_moments_again_and_again_costs_nothing_that_was_final(net):
    """Given payers on all nodes, when one node after the other dies of SIGKILL and returns, then every ledger agrees."""
    chance = Random(9)
    async with BackgroundTraffic(net, "kills") as traffic:
        for _ in range(KILLS):
            name = chance.choice(net.names)
            await asyncio.sleep(chance.uniform(0.0, 0.6))
            await asyncio.to_thread(net.kill, name)
            await asyncio.sleep(chance.uniform(0.0, 0.4))
            await asyncio.to_thread(net.start, name)
    assert len(traffic.payments) > 10 * KILLS
    assert len(traffic.acknowledged) == len(traffic.payments)


async def test_one_dead_node_of_four_does_not_stop_the_chain(net):
    async with BackgroundTraffic(net, "one-dead") as traffic:
        await asyncio.to_thread(net.kill, "node2")
        assert await heights_gained(net, "node0", 2.0) >= 4
        await asyncio.to_thread(net.start, "node2")
    assert traffic.unreachable_count > 0


@pytest.mark.parametrize("moment", range(2))
async def test_all_nodes_killed_at_once_under_load_go_on_from_what_was_final(net, moment):
    chance = Random(moment)
    async with BackgroundTraffic(net, f"power-{moment}") as traffic:
        await asyncio.sleep(0.8 + chance.uniform(0.0, 0.2))
        await asyncio.to_thread(net.kill, *net.names)
        acknowledged = len(traffic.acknowledged)
        await asyncio.to_thread(net.start, *net.names)
        await asyncio.sleep(0.5)
    assert acknowledged > 0
    assert len(traffic.acknowledged) > acknowledged


async def test_a_frozen_node_catches_up_and_two_frozen_ones_only_delay_the_chain(net):
    async with BackgroundTraffic(net, "frozen"):
        await asyncio.to_thread(net.network.pause, "node3")
        assert await heights_gained(net, "node0", 2.0) >= 4
        await asyncio.to_thread(net.network.pause, "node1")
        await asyncio.sleep(1.0)
        assert await heights_gained(net, "node0", 1.0) == 0
        await asyncio.to_thread(net.network.resume, "node1")
        await asyncio.to_thread(net.network.resume, "node3")
        await asyncio.sleep(2.0)


async def test_a_chain_split_in_halves_stands_still_and_loses_nothing_when_healed(net):
    async with BackgroundTraffic(net, "halves"):
        await asyncio.to_thread(net.network.partition, "0,1/2,3")
        await asyncio.sleep(0.5)
        before = [await asyncio.to_thread(net.tip, name) for name in net.names]
        await asyncio.sleep(2.0)
        assert [await asyncio.to_thread(net.tip, name) for name in net.names] == before
        await asyncio.to_thread(net.network.heal)
        await asyncio.sleep(1.0)


async def test_three_of_four_go_on_without_the_one_that_is_cut_off_and_take_it_back(net):
    async with BackgroundTraffic(net, "cut-off"):
        await asyncio.to_thread(net.network.partition, "0,1,2/3")
        alone = await asyncio.to_thread(net.tip, "node3")
        assert await heights_gained(net, "node0", 2.0) >= 4
        assert (await asyncio.to_thread(net.height, "node3")) <= alone.height + 1
        await asyncio.to_thread(net.network.heal)
        await asyncio.sleep(1.0)


async def test_nodes_that_are_asked_to_stop_end_at_once_and_start_in_step(net):
    async with net.client("node0") as client:
        outcome = await client.transfer(net.accounts[8].key, address_of("stop"), 3, wait=Wait.FINAL)
    before = await asyncio.to_thread(net.converge)
    await asyncio.to_thread(net.stop, *net.names)
    await asyncio.to_thread(net.start, *net.names)
    assert (await asyncio.to_thread(net.converge)).height >= before.height
    for name in net.names:
        async with net.client(name) as client:
            assert (await client.tx(outcome.tx_id))["height"] == outcome.height


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_node_with_exit_code_0(net, number):
    net.stop("node1")
    with node_process(net.home / "node1") as process:
        process.until_logged("started")
        os.kill(process.pid, number)
        assert process.end() == 0
        assert "ERROR" not in process.output


def test_a_second_process_on_a_home_in_use_is_refused_and_named_who_has_it(net):
    for name in ("node0", "node3"):
        pid = net.node(name).pid
        with node_process(net.home / name) as second:
            assert second.end() == 1
            assert f"in use by process {pid}" in second.output
            assert "Traceback" not in second.output
    assert net.converge().height > 0


def test_a_second_network_runs_beside_the_first_and_neither_notices_the_other(net, tmp_path):
    home = ("--home", str(tmp_path / "second"), "--json")
    try:
        code, record = run_cli("testnet", "up", "--ports", "auto", "--no-provider", "--detach", *home)
        assert code == 0
        assert record["chain_id"] != net.network.record.chain_id
        transfer = ("tx", "transfer", "--from", "alice", "--to", "bob", "--amount", "1", "--wait", "final")
        assert run_cli(*transfer, *home)[0] == 0
        assert run_cli(*transfer, "--home", str(net.home), "--json")[0] == 0
        code, states = run_cli("testnet", "status", *home)
        nodes = [one for one in states if "peers" in one]  # the provider has none
        assert (code, [(one["state"], one["peers"]) for one in nodes]) == (0, [("running", 3)] * 4)
        assert all(net.peers(name) == {*net.names} - {name} for name in net.names)
        assert run_cli("testnet", "up", "--detach", *home)[1]["error"]["reason"] == "already_running"
    finally:
        assert run_cli("testnet", "down", *home) == (0, {"stopped": True, "killed": []})
