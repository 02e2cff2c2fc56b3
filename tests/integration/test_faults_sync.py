"""Nodes that come late: wiped ones, new ones, ones that only follow. All take the chain from the others and stay in step."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from msgspec.structs import replace

from bocc.client import Client
from consensus.messages import MESSAGE_CODEC, Status
from p2p.channels import Channel
from state.address import account_address, format_address
from state.crypto import SigningKey, tagged_hash
from tests.support.live_network import call, further_node, live_network, node_process, run_cli, until
from tests.support.live_siege import hostile_peer
from tests.support.live_traffic import BackgroundTraffic

BLOCKS = 300


def hasten(params):
    return replace(params, consensus=replace(params.consensus, timer_max_ms=1_000))


@pytest.fixture(scope="module")
def module_net(tmp_path_factory):
    """A network whose chain is not longer than this needs, and whose views never last longer than a second."""
    with live_network(tmp_path_factory.mktemp("sync") / "net", change=hasten) as net:
        yield net


@pytest.fixture
def net(module_net):
    """A whole network before and after the test."""
    module_net.mark_logs()
    yield module_net
    module_net.restore()
    assert module_net.errors() == ""


def reset(net, name):
    return run_cli("node", "reset", "--yes", "--home", str(net.home / name), "--json")


async def grow(net, name):
    """Let the chain have hundreds of blocks."""
    async with BackgroundTraffic(net, name) as traffic:
        await asyncio.to_thread(until, lambda: net.height("node0") >= BLOCKS, lambda: net.height("node0"))
    return traffic


async def test_a_wiped_node_takes_hundreds_of_blocks_and_has_everything_again(net):
    traffic = await grow(net, "wiped")
    tip = await asyncio.to_thread(net.converge)
    net.stop("node1")
    assert reset(net, "node1")[0] == 0
    await asyncio.to_thread(net.start, "node1")
    await asyncio.to_thread(net.converge)
    assert net.tip("node1", tip.height) == tip
    first = net.call("node1", "block", height=1)
    assert first == net.call("node0", "block", height=1) | {"certificate": first["certificate"]}
    await traffic.check()


async def test_a_node_that_is_wiped_under_load_catches_up_with_a_chain_that_runs_away(net):
    async with BackgroundTraffic(net, "wiped-under-load"):
        for name in ("node2", "node0"):
            await asyncio.to_thread(net.kill, name)
            assert (await asyncio.to_thread(reset, net, name))[0] == 0
            await asyncio.to_thread(net.start, name)


def test_the_home_of_a_running_node_is_not_wiped(net):
    code, answer = reset(net, "node3")
    assert code == 1
    assert f"in use by process {net.node('node3').pid}" in answer["error"]["message"]
    assert net.converge().height > 0


async def test_a_validator_that_lost_its_votes_may_observe_where_it_can_sign_again(net):
    """Given a validator without its log, when resume_after is observe, then it follows for a while and signs above what it saw."""
    net.stop("node3")
    home = net.home / "node3"
    (home / "data" / "votes.log").unlink()
    before = net.call("node0", "status")["view"]
    async with BackgroundTraffic(net, "observed"):
        with node_process(home, "resume_after=observe") as process:
            await asyncio.to_thread(process.until_logged, "observed")
            await asyncio.to_thread(until, lambda: net.signs_above("node3", before), lambda: process.output)
            os.kill(process.pid, signal.SIGTERM)
            assert await asyncio.to_thread(process.end) == 0
        seen = int(process.output.rpartition(" observed ")[2].partition("view=")[2].split()[0])
        await asyncio.to_thread(net.start, "node3")
    assert seen >= before
    assert "ERROR   bocc" not in process.output


async def lie(peer):
    """Claim again and again a height that nobody has."""
    while True:
        claim = Status(epoch=0, view=1, final_height=10**6, final_hash=os.urandom(32))
        peer.send(Channel.STATUS, MESSAGE_CODEC.encode(claim))
        await asyncio.sleep(0.2)


async def test_a_peer_that_lies_about_its_height_keeps_no_observing_validator_from_signing(net):
    net.stop("node3")
    home = net.home / "node3"
    (home / "data" / "votes.log").unlink()
    async with BackgroundTraffic(net, "lied-to"):
        with node_process(home, "resume_after=observe") as process:
            await asyncio.to_thread(process.until_logged, " started ")
            async with hostile_peer(net, "node3") as liar, hostile_peer(net, "node3") as other:
                lies = [asyncio.ensure_future(lie(peer)) for peer in (liar, other)]
                await asyncio.to_thread(process.until_logged, " observed ")
                for task in lies:
                    task.cancel()
            os.kill(process.pid, signal.SIGTERM)
            assert await asyncio.to_thread(process.end) == 0
        await asyncio.to_thread(net.start, "node3")


async def test_an_observing_validator_believes_no_single_peer_that_it_has_come_far_enough(net):
    """Given one peer that claims no more than this validator has, then it signs nothing before two thirds of the power went on."""
    net.stop("node3", "node1", "node0")
    home = net.home / "node3"
    (home / "data" / "votes.log").unlink()
    with node_process(home, "resume_after=observe") as process:
        await asyncio.to_thread(process.until_logged, 'waits_for="a block made since the start')
        await asyncio.to_thread(until, lambda: process.output.count("waits_for") == 2, lambda: process.output)
        assert " observed " not in process.output
        await asyncio.to_thread(net.start, "node0", "node1")
        async with BackgroundTraffic(net, "believed"):
            await asyncio.to_thread(process.until_logged, " observed ")
        os.kill(process.pid, signal.SIGTERM)
        assert await asyncio.to_thread(process.end) == 0
    await asyncio.to_thread(net.start, "node3")


async def test_a_new_node_without_a_key_follows_serves_clients_and_survives_kill_9(net, tmp_path):
    home = tmp_path / "observer"
    payee = format_address(account_address(SigningKey(tagged_hash(b"observer", b"")).public_key))
    with further_node(net, home) as (process, node):
        until(lambda: call(node, "status")["height"] >= net.height("node0"), lambda: process.output)
        assert call(node, "status")["validator"] is None
        async with Client(node.rpc) as client:
            outcome = await client.transfer(net.accounts[8].key, payee, 4)
            assert outcome.has_succeeded
            assert (await client.block(outcome.height))["hash"] == net.call("node0", "block", height=outcome.height)[
                "hash"
            ]
        os.kill(process.pid, signal.SIGKILL)
        assert process.end() == -signal.SIGKILL
    async with BackgroundTraffic(net, "without-observer"):
        await asyncio.sleep(1.0)
    (home / "data" / "votes.log").unlink()  # a node without a key has no votes to lose
    with node_process(home) as process:
        process.until_logged("started")
        until(lambda: call(node, "block")["hash"] == net.call("node0", "block")["hash"], lambda: process.output)
        assert call(node, "account", address=payee)["balance"] == "4"
        os.kill(process.pid, signal.SIGTERM)
        assert process.end() == 0
