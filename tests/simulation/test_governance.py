"""Networks whose validators change how they agree: the timing of consensus, and the software."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from consensus.timeouts import TimingParameters
from node.logs import EventLog
from node.timing import timing_of
from node.upgrade_notice import LINGER_MS, UpgradeWatch
from state import protocol
from state.building import build_transaction
from state.crypto import SigningKey
from state.errors import UpgradeNeeded
from state.governance_messages import Payload, Upgrade
from state.messages import Message
from tests.simulation import world as world_module
from tests.simulation.host import Host
from tests.simulation.profiles import Profile, Work
from tests.simulation.world import World, make_genesis
from tests.support.chain_builders import (
    GENESIS_TIME_MS,
    account,
    account_key,
    delegate,
    operator,
    operator_key,
    transfer,
    with_params,
)
from tests.support.governing import NO_CHANGE, YES, propose, vote

QUIET = Profile(name="quiet", work=Work.IDLE)
LIMIT_MS = 60_000
DEADLINE_MS = 1_000
"""Until what is decided without a timelock is in force, in a block that nobody has to ask for."""
HEIGHT = 24
BOCC = 10**6


class Governed:
    """A network in which nothing happens but what is sent, and what is decided comes into force without a timelock."""

    def __init__(self, profile: Profile, patch: pytest.MonkeyPatch) -> None:
        def make_hasty_genesis(seed: int, profile: Profile):
            return with_params(make_genesis(seed, profile), "governance", timelock_ms=0)

        patch.setattr(world_module, "make_genesis", make_hasty_genesis)
        self.world = World(1, profile)
        self.world.restarts_after_ms = None
        self.world.start()
        self.world.run(100)
        self._nonces: dict[bytes, int] = {}

    def send(self, key: SigningKey, sender: bytes, *messages: Message) -> None:
        """Send a transaction to somebody."""
        world = self.world
        nonce = self._nonces.get(sender, 0)
        self._nonces[sender] = nonce + 1
        transaction = build_transaction(
            chain_id=world.genesis.chain_id,
            keys=(key,),
            sender=sender,
            nonce=nonce,
            expires_at_ms=GENESIS_TIME_MS + world.time_ms + 600_000,
            messages=messages,
            params=world.genesis.params,
        )
        world.workload.send(transaction)

    def settle(self) -> None:
        """Wait until all that was sent is final, and everybody who runs is in step."""
        world = self.world
        assert world.run(LIMIT_MS, lambda: not world.workload.pending and len({host.height for host in world.up}) == 1)

    def pay(self) -> None:
        """Have a block made."""
        self.send(account_key(8), account(8), transfer(account(9), 1))
        self.settle()

    def decide(self, payload: Payload, number: int = 1) -> None:
        """Propose a change and have most validators agree to it."""
        self.send(account_key(7), account(7), propose(payload))
        self.settle()
        for index in range(3):
            self.send(operator_key(index), operator(index), vote(YES, number))
        self.settle()
        self.world.run(DEADLINE_MS)

    def timings(self) -> set[TimingParameters]:
        """Return by what the consensus of those who run goes."""
        return {host.running.consensus.node.timing for host in self.world.up}


class Outdated:
    """A host whose software speaks the first protocol only, while all others have that of the second."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.why: str | None = None
        """What it said when it ended."""
        self._watch = UpgradeWatch(host.running.chain, EventLog("simulation"))
        self._act = host.enter
        host.enter = self.enter  # type: ignore[method-assign]

    def enter(self, action: object, *arguments: object) -> None:
        """Let the process act as the old software does, and end as a node does."""
        if not self.host.is_up:
            return
        with pytest.MonkeyPatch.context() as older:
            older.setattr(protocol, "PROTOCOL_VERSION", 1)
            try:
                self._act(action, *arguments)
                self._watch.tick(self.host.world.time_ms)
            except UpgradeNeeded as needed:
                self.why = str(needed)
                self.host.crash()

    def install(self) -> None:
        """Start the new software."""
        self.host.enter = self._act  # type: ignore[method-assign]
        self.host.world.start_host(self.host)


def test_all_go_on_by_the_timing_that_governance_changes_whenever_they_learn_of_it(monkeypatch):
    """Given a follower that is away, when timers change, then those who vote, who start again and who fetch blocks later agree on
    them, and blocks go on; also when timers change far and back again."""
    network = Governed(replace(QUIET, followers=1), monkeypatch)
    world, follower = network.world, network.world.hosts["f0"]
    before = world.genesis.params.consensus
    slow = replace(
        before, timer_min_ms=3_000, timer_first_ms=4_000, timer_max_ms=5_000, precision_ms=400, message_delay_ms=100
    )
    fast = replace(before, timer_min_ms=30, timer_first_ms=60, timer_max_ms=1_000, min_block_interval_ms=400)
    follower.crash()
    for number, params in enumerate((slow, fast, before), start=1):
        network.decide(replace(NO_CHANGE, consensus=params), number)
        assert network.timings() == {timing_of(params)}
        world.hosts["v1"].crash()
        network.pay()
        world.start_host(world.hosts["v1"])
        network.settle()
        assert network.timings() == {timing_of(params)}
        if params is fast:
            world.start_host(follower)
            network.settle()
            assert network.timings() == {timing_of(params)}
    assert len({host.height for host in world.honest}) == 1


@pytest.mark.parametrize("is_sealing", [False, True], ids=["in an epoch", "where an epoch ends"])
@pytest.mark.parametrize("old_count", [1, 2, 4])
def test_those_with_the_new_software_go_on_if_they_are_a_quorum_and_wait_for_others_if_not(
    old_count, is_sealing, monkeypatch
):
    """Given old software on some of four, then all come to the last block below the upgrade; the old ones end, the chain goes on
    meanwhile if three are left, and with new software all are in step again."""
    monkeypatch.setattr(protocol, "PROTOCOL_VERSION", 2)
    network = Governed(QUIET, monkeypatch)
    world = network.world
    old = [Outdated(world.hosts[f"v{index}"]) for index in range(old_count)]
    network.decide(Upgrade(height=HEIGHT, protocol=2, software="bocc 2.0", verifier_changed=False))
    while world.checks.height < HEIGHT - 2:
        network.pay()
    if is_sealing:
        network.send(account_key(6), account(6), delegate(operator(0), 100 * BOCC))
        network.settle()
    else:
        network.pay()
    assert [host.height for host in world.honest] == [HEIGHT - 1] * 4
    assert {host.running.chain.epoch_start.epoch for host in world.honest} == {int(is_sealing)}

    network.send(account_key(8), account(8), transfer(account(9), 1))
    world.run(3 * LINGER_MS)
    is_quorum = old_count == 1
    assert [host.is_up for host in world.honest] == [index >= old_count for index in range(4)]
    assert all(outdated.why is not None and f"block {HEIGHT} needs protocol 2" in outdated.why for outdated in old)
    assert (world.checks.height >= HEIGHT) == is_quorum
    if is_quorum:
        for _ in range(8):
            network.pay()
    for outdated in old:
        outdated.install()
    network.settle()
    network.pay()
    assert len({host.height for host in world.honest}) == 1
    assert world.checks.height > HEIGHT
