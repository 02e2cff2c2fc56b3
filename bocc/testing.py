"""A running local network for tests: what the pytest fixture `bocc_net` gives.

async def test_payment(bocc_net):
    alice, bob = bocc_net.accounts[:2]
    async with bocc_net.client(0) as client:
        outcome = await client.transfer(alice.key, bob.address, 5_000_000)
        assert outcome.has_succeeded
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bocc.client import Client
from bocc.testnet.layout import Layout, prepare_network
from bocc.testnet.network import Network
from bocc.testnet.record import AccountRecord, NodeRecord
from state.crypto import SigningKey
from state.keyfile import load_key


@dataclass(frozen=True, slots=True)
class FundedAccount:
    """An account with money and its key."""

    name: str
    address: str
    key: SigningKey = field(repr=False)


class RunningNetwork:
    """Nodes of one development chain on this machine. Nodes are named by index or by name."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.accounts = tuple(_load_account(account) for account in network.record.accounts)

    @property
    def home(self) -> Path:
        """Directory of the network: homes and logs of the nodes, testnet.json."""
        return self._network.home

    @property
    def nodes(self) -> tuple[NodeRecord, ...]:
        """Names, processes and addresses of the nodes."""
        return self._network.record.nodes

    def client(self, node: int | str = 0) -> Client:
        """Return a new client of a node; use it with `async with`."""
        record = self._network.record.find_node(str(node))
        return Client(record.rpc, record.ws)

    def kill(self, node: int | str) -> None:
        """End a node at once, as a power failure would."""
        self._network.kill(str(node))

    def start(self, node: int | str) -> None:
        """Start a node that was killed, without waiting for it."""
        self._network.start([str(node)])

    def wait_ready(self) -> None:
        """Wait until every node is ready."""
        self._network.wait_ready()

    def restart(self, node: int | str) -> None:
        """Stop a node if it runs, start it, and wait until it is ready."""
        self._network.restart(str(node))
        self._network.wait_ready([str(node)])

    def pause(self, node: int | str) -> None:
        """Freeze a node."""
        self._network.pause(str(node))

    def resume(self, node: int | str) -> None:
        """Let a frozen node go on."""
        self._network.resume(str(node))

    def partition(self, groups: str) -> None:
        """Cut the links between groups such as 0,1/2,3."""
        self._network.partition(groups)

    def heal(self) -> None:
        """Restore all links."""
        self._network.heal()


@contextmanager
def running_network(validators: int = 4) -> Iterator[RunningNetwork]:
    """Run a new network on free ports in a temporary home, ready when it is given; nothing of it remains afterwards."""
    with tempfile.TemporaryDirectory(prefix="bocc-net-") as directory:
        network = Network(Path(directory))
        prepare_network(network, Layout(validators, takes_any_port=True))
        try:
            network.start()
            network.wait_ready()
            yield RunningNetwork(network)
        finally:
            network.stop()


def _load_account(account: AccountRecord) -> FundedAccount:
    key = load_key(Path(account.secret_key_file)).signing_key()
    return FundedAccount(account.name, account.address, key)
