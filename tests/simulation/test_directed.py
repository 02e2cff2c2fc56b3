"""The schedules that a consensus protocol is feared for, each as a story of a few views on real cores."""

from __future__ import annotations

import pytest

from consensus.messages import ConsensusMessage, Proposal, VoteMessage
from consensus.timeouts import TimingParameters
from state.votes import VoteKind
from tests.simulation.mutant_steps import connect, is_proposal, is_vote, lose, must_live, tolerate
from tests.support.consensus_cast import F, N, X, vote
from tests.support.consensus_harness import DELAY_MS, World
from tests.support.consensus_node import Node
from tests.support.consensus_toys import GENESIS_TIME_MS, set_power


def certified_kinds(world: World, view: int) -> set[VoteKind]:
    """Return the kinds of vote of which a quorum is out in a view of epoch 0."""
    return {choice[0] for choice in world.checks.certified.get((0, view), set())}


def test_a_leader_that_shows_two_halves_gets_at_most_one_notarised_and_is_convicted():
    world = World(twins=[3])
    lose(
        world,
        lambda source, target, message: (
            is_proposal(message, 1) and target.is_honest and (target.name == "v0") == source.name.endswith("'")
        ),
    )
    world.start().run_for(3_000)
    connect(world)
    must_live(world)

    assert len([choice for choice in world.checks.certified[0, 1] if choice[0] is N]) <= 1
    assert world.checks.convicted == {world["v3"].address}


def test_with_two_twins_of_four_both_halves_are_final_and_evidence_names_more_than_a_third():
    """Given a third or more of faulty power, a fork happens; then the pairs of votes convict its makers and nobody else."""
    world = World(twins=[2, 3])
    tolerate(world, "G1 agreement", "G3 exclusion", "G5 result", "G2 chain", "halt", "L4 monotone", "peers")
    side = {"v0", "v2", "v3"}
    lose(world, lambda source, target, _message: (source.name in side) != (target.name in side))
    world.start().run_for(500)
    assert any(violation.law == "G1 agreement" for violation in world.checks.tolerated_violations)

    connect(world)
    world.run_for(3_000)
    assert world.checks.convicted == {world["v2"].address, world["v3"].address}


def test_a_leader_that_nullifies_its_own_block_costs_no_timeout():
    world = World(byzantine=[3]).start("v0", "v1", "v2")
    world.say("v3", VoteMessage(vote=vote(X, 3)))

    world.run_for(25)
    assert [node.view for node in world.up] == [2, 2, 2]
    must_live(world)


def test_a_notarization_that_reaches_one_node_only_is_the_parent_of_the_next_block():
    """v2, the next leader, alone sees view 1 notarised; its proposal carries the notarization to all."""
    world = World()
    lose(world, lambda _source, target, message: is_vote(message, N, 1) and target.name != "v2")
    world.start().run_for(35)

    assert all(node.running.node.state.views[1].notarization for node in world.honest)
    assert VoteKind.NULLIFY not in certified_kinds(world, 1)
    connect(world)
    must_live(world)


def test_a_notarization_that_reaches_one_node_and_a_nullification_of_the_others_live_together():
    """v0 alone sees view 1 notarised and is cut off; the others nullify the view after their votes; both certificates hold."""
    world = World(byzantine=[3])

    def is_lost(source: Node, target: Node, message: ConsensusMessage) -> bool:
        is_cut = "v0" in {source.name, target.name} and world.time_ms > 25
        return is_cut or (is_vote(message, N, 1) and target.name != "v0") or is_vote(message, F, 1)

    lose(world, is_lost)
    world.start().run(lambda: world["v1"].view == 2, 1_500)
    assert world["v0"].running.node.state.views[1].notarization is not None
    assert world["v1"].running.node.state.views[1].nullification is not None
    assert {N, X} <= certified_kinds(world, 1)

    connect(world)
    must_live(world)
    assert F not in certified_kinds(world, 1)


def test_a_gap_of_f_dead_leaders_in_a_row_is_passed():
    world = World((1,) * 7)
    leaders = [world.validators.leader_index(0, view) for view in (2, 3)]
    world.start()
    world.run(lambda: world["v0"].view == 2, 1_000)
    for index in leaders:
        world[f"v{index}"].crash()

    must_live(world, 20)
    assert {X} == certified_kinds(world, 2) & {N, X}
    assert {X} == certified_kinds(world, 3) & {N, X}


def test_finalize_votes_that_come_five_views_late_still_make_their_block_final():
    world = World()

    def route(_source: Node, _target: Node, message: ConsensusMessage) -> int | None:
        if isinstance(message, VoteMessage) and message.vote.kind is F:
            return 100 if message.vote.view == 1 else None
        return DELAY_MS

    world.route = route
    world.start().run_for(150)

    assert min(node.view for node in world.honest) > 6
    assert {node.height for node in world.honest} == {1}
    connect(world)
    must_live(world)


def test_a_sealing_block_proposed_again_may_become_final_twice():
    """Finalize votes of view 1 are slow, so the sealing block is proposed and finalized again; one epoch begins, once."""
    world = World()

    def route(_source: Node, _target: Node, message: ConsensusMessage) -> int | None:
        return 60 if is_vote(message, F, 1) else DELAY_MS

    world.route = route
    world.start()
    world.submit(set_power(0, 2))
    world.run_for(55)
    finals = {choice for view in (1, 2, 3) for choice in world.checks.certified[0, view] if choice[0] is F}

    assert len(finals) == 1
    assert certified_kinds(world, 2) >= {N, F}
    must_live(world, 8)
    assert set(world.checks.sets) == {0, 1}


def test_a_set_change_that_removes_the_next_leader():
    world = World((1,) * 5).start()
    world.run_to_height(3)
    leader = world.validators.leader_index(0, world["v0"].view + 1)
    world.submit(set_power(leader, 0))

    must_live(world, 12)
    assert len(world.checks.sets[1]) == 4
    assert world[f"v{leader}"].running.node.state.own_index is None
    assert world[f"v{leader}"].height >= 12


def test_a_set_change_that_adds_a_third_less_one_unit_of_silent_power():
    world = World((10, 10, 10, 10), followers=1)
    world.start("v0", "v1", "v2", "v3").run_to_height(3)
    world.submit(set_power(4, 19))

    must_live(world, 20)
    assert world.checks.sets[1].total_power == 59


def test_two_set_changes_in_consecutive_blocks():
    world = World().start()
    world.run_to_height(2)
    world.submit(set_power(0, 2))
    world.run(lambda: 1 in world.checks.sets, 5_000)
    world.submit(set_power(1, 2))

    must_live(world, 10)
    assert [sum(world.checks.sets[epoch].members[i].power for i in range(4)) for epoch in (0, 1, 2)] == [4, 5, 6]


def test_a_validator_that_left_is_still_convicted_and_only_it():
    """Given v3 with a twin that contradicts itself in the epoch in which it leaves, its pair stays evidence afterwards."""
    world = World((1,) * 5, twins=[3]).start()
    world.submit(set_power(3, 0))
    must_live(world, 10)

    assert 1 in world.checks.sets
    assert world.checks.sets[1].find_index(world["v3"].address) is None
    assert world.checks.convicted == {world["v3"].address}


@pytest.mark.parametrize("effect_index", range(0, 60, 1))
def test_power_loss_of_the_whole_cluster_at_each_effect(effect_index: int):
    """Every node stops after the same number of effects, anywhere in the first blocks, and all start again."""
    world = World()
    for node in world.nodes.values():
        node.effects_until_power_loss = effect_index
    world.start()
    world.submit(b"transfer")
    world.run_for(400)
    for node in world.nodes.values():
        node.effects_until_power_loss = None
        if not node.is_up:
            node.start()

    must_live(world)
    assert not world.checks.convicted


def test_the_same_key_on_two_hosts_is_noticed_by_both():
    world = World(twins=[1]).start()
    world.run_for(500)

    assert world["v1"].key_alarms
    assert world["v1'"].key_alarms
    assert not world["v0"].key_alarms


@pytest.mark.parametrize("offset_ms", [-10_000, 10_000])
def test_clocks_ten_seconds_off_on_f_nodes_stop_nobody(offset_ms: int):
    world = World((1,) * 7)
    for name in ("v0", "v1"):
        world[name].clock_offset_ms = offset_ms
    world.start()

    must_live(world, 20)
    newest = max(reference.time_ms for reference in world.checks.chain.values())
    assert newest <= GENESIS_TIME_MS + world.time_ms + world.timing.precision_ms


def test_a_leader_whose_clock_is_ten_seconds_fast_has_no_block_in_the_chain():
    world = World()
    world["v3"].clock_offset_ms = 10_000
    world.start()
    must_live(world, 12)

    proposers = {header.proposer for header in world.checks.headers}
    assert world["v3"].address not in proposers


def test_an_idle_chain_and_then_one_transaction():
    world = World(is_busy=False).start()
    world.run_for(600_000)
    assert not world["v0"].log.durable
    world.submit(b"transfer")

    assert world.run_to_height(1, 3 * DELAY_MS)
    world.run_for(600_000)
    assert {node.height for node in world.honest} == {1}


def test_a_transaction_known_to_one_follower_of_the_leader_only():
    world = World(is_busy=False).start()
    world.run_for(5_000)
    world.submit(b"transfer", "v1")

    assert world.run(lambda: not world["v1"].mempool, 8_000)


def test_a_node_that_was_away_for_a_thousand_blocks_comes_back():
    world = World().start("v1", "v2", "v3")
    assert world.run_to_height(1_000, 100_000)
    world["v0"].start()

    assert world.run_to_height(1_010, 60_000)


def test_a_node_that_was_away_for_an_epoch_comes_back():
    world = World().start("v1", "v2", "v3")
    world.run_to_height(5)
    world.submit(set_power(1, 2))
    world.run_to_height(12)
    world["v0"].start()

    must_live(world)
    assert world["v0"].running.node.state.number == 1


def test_a_node_one_block_behind_in_the_old_epoch_is_let_in_by_the_certificate_that_ended_it():
    """v0 loses power after its votes for the sealing block, and the others enter the next epoch without it."""
    world = World()
    lose(world, lambda source, _target, message: source.name == "v0" and is_vote(message, F, 1))
    world.start()
    world.submit(set_power(1, 2))
    world.run_for(22)
    world["v0"].crash()
    world.run_for(100)
    world["v0"].start()
    connect(world)

    must_live(world)
    assert not world["v0"].halts


@pytest.mark.parametrize("late", ["v2", "v3"])
def test_the_first_proposal_of_an_epoch_may_come_before_its_receiver_is_there(late: str):
    """Of three that are all needed, one hears the finalize votes late and so the next epoch's first messages early."""
    world = World()
    world.route = lambda _source, target, message: (
        25 if target.name == late and isinstance(message, VoteMessage) and message.vote.kind is F else DELAY_MS
    )
    world.start("v1", "v2", "v3")
    world.submit(set_power(1, 2))

    assert world.run_to_height(3, 150)
    assert {node.core.node.state.number for node in world.up} == {1}


def test_a_third_less_one_unit_of_unequal_power_is_silent():
    world = World((9, 9, 7, 3)).start("v0", "v1", "v2")

    assert world.run_to_height(30)


@pytest.mark.parametrize("faulty", [1, 2])
def test_other_results_on_up_to_f_nodes_stop_only_these(faulty: int):
    world = World((1,) * 7)
    tolerate(world, "halt")
    for index in range(faulty):
        world[f"v{index}"].chain.twist = b"broken"
    world.start().run_for(5_000)

    for index in range(faulty):
        assert world[f"v{index}"].halts[0].reason.startswith("state divergence at height 1")
        world[f"v{index}"].crash()
    must_live(world, 10)


def test_other_results_on_more_than_f_nodes_stop_finality_and_make_no_fork():
    world = World((1,) * 7)
    for index in range(3):
        world[f"v{index}"].chain.twist = b"broken"
    world.start().run_for(5_000)

    assert {node.height for node in world.honest} == {0}
    assert all(F not in kinds for kinds in (certified_kinds(world, view) for view in range(1, 20)))
    assert not world.checks.convicted


def test_other_results_on_more_than_f_nodes_do_not_keep_the_network_busy_with_failing_views():
    """Every leader's block is false to too many, so each view fails at once: leaders take their time."""
    world = World((1,) * 7)
    for index in range(3):
        world[f"v{index}"].chain.twist = b"broken"
    world.start().run_for(20_000)

    assert {node.height for node in world.honest} == {0}
    assert all(15 <= node.core.node.view <= 40 for node in world.honest)


def test_the_first_block_after_many_failed_views_is_not_later_than_its_timeout_allows():
    world = World()
    lose(world, lambda _source, _target, message: isinstance(message, Proposal))
    world.start().run_for(120_000)
    assert {node.height for node in world.honest} == {0}
    assert all(node.core.node.failed_views > 10 for node in world.honest)

    connect(world)
    assert world.run_to_height(1, 10_000)
    must_live(world, 20)


def test_blocks_that_wait_for_finality_are_followed_by_empty_ones_only():
    world = World(is_busy=False)
    lose(world, lambda _source, _target, message: isinstance(message, VoteMessage) and message.vote.kind is F)
    world.start()
    for number in range(30):
        world.submit(f"transfer {number}".encode())
        world.run_for(40)

    sizes = [len(block.envelopes) for block in world["v0"].bodies.values()]
    assert sum(1 for size in sizes if size) <= 10
    connect(world)
    must_live(world, 4)
    assert world.run(lambda: not world["v0"].mempool, 5_000)


def test_a_slow_network_finds_its_timeout():
    """Messages take 400 ms, and the first timeout is half of what a view needs."""
    world = World(timing=TimingParameters(timeout_first_ms=400))
    world.route = lambda _source, _target, _message: 400
    world.start()

    assert world.run_to_height(12, 60_000)
    start_ms = world.time_ms
    assert world.run_to_height(22, 60_000)
    assert world.time_ms - start_ms <= 10 * 2 * 400 + 400


def test_proposals_that_never_arrive_from_one_leader_cost_only_its_views():
    world = World()
    lose(world, lambda source, _target, message: isinstance(message, Proposal) and source.name == "v1")
    world.start()

    must_live(world, 20)
    assert world["v1"].height >= 19
