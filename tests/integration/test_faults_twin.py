"""A validator key that runs twice: its votes conflict, the others convict it, and the chain goes on without it."""

from __future__ import annotations

import asyncio
import shutil

import pytest
from msgspec.structs import replace

from node.config import CONFIG_NAME, load_config, render_config
from node.home import NODE_KEY
from state.keyfile import KeyKind, save_key
from tests.support.live_network import live_network, node_process, until
from tests.support.live_traffic import BackgroundTraffic

CONVICT = "node3"


@pytest.fixture
def net(tmp_path):
    """A network of its own, because a conviction is for ever."""
    with live_network(tmp_path / "twin") as net:
        yield net


def copy_home(net, name, copy):
    """Copy the home of a stopped node as a careless operator does, with another identity and ports of its own."""
    shutil.copytree(net.home / name, copy)
    (copy / "keys" / NODE_KEY).unlink()
    save_key(copy / "keys" / NODE_KEY, bytes(range(32)), KeyKind.NODE, None)
    port = 10 * len(net.names) + int(net.node("node0").p2p.rpartition(":")[2])
    others = tuple(f"{node.node_id}@{node.p2p}" for node in net.network.record.nodes if node.name != name)
    config = replace(
        load_config(copy, environment={}),
        p2p_listen=f"127.0.0.1:{port}",
        rpc_listen=f"127.0.0.1:{port + 1}",
        metrics_listen="",
        persistent_peers=others,
    )
    (copy / CONFIG_NAME).write_text(render_config(config))


def is_convicted(net):
    """Tell whether the convict is out of the set, on every honest node."""
    sets = [net.call(name, "validators")["validators"] for name in ("node0", "node1", "node2")]
    return all(len(members) == 3 for members in sets)


async def test_a_key_that_signs_twice_is_reported_convicted_and_slashed_and_no_honest_node_is_accused(net, tmp_path):
    """Given a copied home, when original and copy run at once under load, then a report lands and three go on."""
    key = next(one for one in net.call("node0", "validators")["validators"] if one["address"] == convict_of(net))
    net.stop(CONVICT)
    copy_home(net, CONVICT, tmp_path / "copy")
    net.start(CONVICT)
    with node_process(tmp_path / "copy") as twin:
        await asyncio.to_thread(twin.until_logged, "started")
        async with BackgroundTraffic(net, "twin"):
            await asyncio.to_thread(until, lambda: is_convicted(net), lambda: net.errors() + twin.output)
            await asyncio.sleep(1.0)
    events = [event for event in all_events(net) if event["kind"] == "slashed"]
    assert [event["attributes"]["validator"] for event in events] == [key["address"]]
    assert int(events[0]["attributes"]["amount"]) == int(key["stake"]) * 5 // 100
    accused = [line for name in net.names for line in net.log(name).splitlines() if "equivocation" in line]
    assert accused
    assert len({line.rpartition("validator=")[2].split()[0] for line in accused}) == 1
    assert "Traceback" not in "".join(net.log(name) for name in net.names) + twin.output


def convict_of(net):
    return net.call(CONVICT, "status")["validator"]


def all_events(net):
    """Return every event of the chain."""
    events, cursor = [], "0"
    while True:
        page = net.call("node0", "events", after=cursor, limit=500)
        events += page["events"]
        if not page["events"]:
            return events
        cursor = page["cursor"]
