"""Stories of whole networks that random storms tell too rarely, or only by accident."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from node.driver import Driver
from p2p.channels import Channel
from state.records import ACCOUNTS
from state.runtime.execute import BlockExecution, Executed
from tests.simulation.bounds import usage
from tests.simulation.host import Host
from tests.simulation.light_client import LightClient
from tests.simulation.profiles import PROFILE_BY_NAME, Misconduct, Profile, Work
from tests.simulation.stake_script import StakeScript
from tests.simulation.world import World
from tests.support.chain_builders import account

CALM = PROFILE_BY_NAME["calm"]
QUIET = Profile(name="quiet", work=Work.IDLE)
"""Nothing happens but what the story says."""
PATIENCE_MS = 60_000


def started(profile: Profile, seed: int = 1) -> World:
    """Return a world whose hosts are connected, and in which hosts that crash stay down."""
    world = World(seed, profile)
    world.restarts_after_ms = None
    world.start()
    world.run(100)
    return world


def grow(world: World, height: int, *names: str) -> None:
    """Let a world run until these hosts, or all honest ones, have a height final."""
    waited = [world.hosts[name] for name in names] or world.honest
    assert world.run(PATIENCE_MS, lambda: all(host.is_up and host.height >= height for host in waited)), [
        (host.name, host.height if host.is_up else "down") for host in waited
    ]


class WrongExecution(BlockExecution):
    """An execution with a fault: it gives somebody a ubocc after the books were checked."""

    def finish(self) -> Executed:
        executed = super().finish()
        ledger = self._context.ledger
        record = ledger.get(ACCOUNTS, account(9))
        ledger.put(ACCOUNTS, account(9), replace(record, balance=record.balance + 1))
        return executed


def break_execution(host: Host) -> None:
    """Restart a host with the faulty execution."""
    host.begin_execution = WrongExecution
    host.lose_power()
    host.world.start_host(host)


def test_a_node_far_behind_fetches_runs_of_blocks_and_does_not_walk_back_block_by_block() -> None:
    """Given a chain of 300 blocks, when an empty follower joins and gets no answers to its questions for runs of blocks,
    then it keeps few blocks at a time; and once it gets answers, it is soon in step."""
    world = started(replace(CALM, followers=1))
    late = world.hosts["f0"]
    late.crash()
    grow(world, 300, "v0", "v1", "v2", "v3")
    late.wipe()
    world.links.lost_channels = frozenset({Channel.SYNC})
    world.start_host(late)
    world.run(4_000)
    kept = usage(late)
    assert kept["blocks"] < 80, kept
    assert kept["fetched blocks"] < 80, kept
    world.links.lost_channels = frozenset()
    grow(world, 300, "f0")


def test_a_wrong_result_on_one_node_stops_that_node_alone() -> None:
    """Given one of four whose execution differs, then it halts with the height and both results; the others go on."""
    world = started(CALM)
    grow(world, 3)
    world.checks.may_halt = True
    break_execution(world.hosts["v1"])
    height = world.checks.height
    grow(world, height + 20, "v0", "v2", "v3")
    halted = world.hosts["v1"].running.halted
    assert halted is not None
    assert "state divergence at height" in halted
    assert [world.hosts[name].running.halted for name in ("v0", "v2", "v3")] == [None] * 3
    assert world.hosts["v1"].height <= height + 1


def test_wrong_results_on_more_than_a_third_stop_finality_and_make_no_fork() -> None:
    """Given two of four whose execution differs, then nothing becomes final any more, and nobody accuses anybody."""
    world = started(CALM)
    grow(world, 3)
    world.checks.may_halt = True
    world.checks.is_bounded = False  # every view has a proposal, which stays until something is final
    for name in ("v1", "v2"):
        break_execution(world.hosts[name])
    world.run(500)
    height = world.checks.height
    world.run(2_500)
    assert world.checks.height == height
    assert world.checks.convicted == set()


def test_a_key_on_two_hosts_stops_both_and_the_chain_goes_on() -> None:
    """Given the validator key of v0 on a second host, then each of the two notices and stops, and three of four go on."""
    world = World(1, replace(CALM, byzantine=(Misconduct.TWIN,)))
    first, second = world.hosts["v0"], world.hosts["v0'"]
    for host in (first, second):
        host.driver_type = Driver
    world.start()
    world.schedule(30, world.connect, "v0", "v0'")
    grow(world, 12, "v1", "v2", "v3")
    for host in (first, second):
        assert host.running.halted is not None, host.name
        assert "signs elsewhere" in host.running.halted
    assert {host.running.halted for host in world.honest} == {None}


def test_one_transaction_told_to_one_node_is_final_everywhere_in_one_block_without_a_timeout() -> None:
    """Given an idle chain, then one gossip and three delays later it is final, and no empty block follows."""
    world = started(QUIET)
    world.run(5_000)
    start_ms = world.time_ms
    world.workload.send_transfer(world.hosts["v2"])
    grow(world, 1)
    assert world.time_ms - start_ms <= 60
    world.run(10_000)
    assert world.checks.height == 1


def test_an_idle_chain_says_nothing_but_where_it_is() -> None:
    """Given nothing to do, then the only messages are a status every two seconds."""
    world = started(QUIET)
    world.workload.send_transfer()
    grow(world, 1)
    world.run(3_000)
    before = world.messages
    world.run(20_000)
    assert world.messages - before == 4 * 3 * 10


def test_three_of_four_keep_the_pace_when_one_is_dead() -> None:
    """Given a dead validator, then no transaction waits for a timeout: its views are passed over at once, and no vote waits
    for a retry, though all that are left have to vote."""
    world = started(QUIET)
    alive = ("v0", "v1", "v2")
    world.hosts["v3"].crash()
    latencies_ms = []
    for _ in range(40):
        start_ms, height = world.time_ms, world.checks.height
        world.workload.send_transfer(world.hosts["v0"])
        grow(world, height + 1, *alive)
        latencies_ms.append(world.time_ms - start_ms)
        world.run(400)
    assert max(latencies_ms[20:]) <= 100, latencies_ms


def test_a_follower_that_lost_its_disks_comes_back_over_several_epochs() -> None:
    """Given set changes, when a follower's disks are wiped, then it syncs from genesis, one certificate an epoch."""
    world = World(3, replace(PROFILE_BY_NAME["stake"], crashes=0, partitions=0, isolations=0, loss_permille=0))
    world.restarts_after_ms = None
    world.start()
    script = StakeScript(world)
    for _ in range(4):
        world.run(1_500)
        script.play()
    follower = world.hosts["f0"]
    follower.wipe()
    world.start_host(follower)
    grow(world, world.checks.height + 3)
    assert follower.running.chain.epoch_start.epoch >= 4
    LightClient(follower).check_all(follower.height)


@pytest.mark.parametrize("operation", range(0, 96, 3))
def test_power_fails_everywhere_at_any_operation(operation: int) -> None:
    """Given four nodes in the middle of agreement, when the power of each fails at its n-th operation from now, then what was
    final stays final, and all go on together."""
    world = started(QUIET, seed=operation)
    for _ in range(3):
        world.workload.send_transfer()
    grow(world, 1)
    for host in world.honest:
        host.operations_left = operation
    world.workload.send_transfer()
    world.run(400)
    for host in world.honest:
        host.lose_power()
    for host in world.honest:
        host.operations_left = None
        world.start_host(host)
    world.workload.send_transfer()
    assert world.run(PATIENCE_MS, lambda: not world.workload.pending)
    grow(world, world.checks.height)
