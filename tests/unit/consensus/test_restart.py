"""W1, W2, W5: what a node knows after a power failure, wherever it comes."""

from __future__ import annotations

import pytest

from consensus.effects import Broadcast, Effect, Persist, PersistBlock
from consensus.messages import Proposal, Status, VoteMessage
from consensus.records import (
    RECORD_CODEC,
    BlockRecord,
    FloorRecord,
    NotarizationRecord,
    ProposalRecord,
    VoteRecord,
    record_position,
    signing_floor,
)
from state.block import Block
from state.votes import Vote, VoteKind, are_conflicting
from tests.simulation.mutant_steps import connect, is_vote, lose
from tests.support.consensus_cast import F, N, X, certificate, child_header, proposal_of, vote
from tests.support.consensus_harness import World
from tests.support.consensus_node import Node
from tests.support.consensus_toys import genesis_tip, toy_set

ROOT = genesis_tip(toy_set((1, 1, 1, 1))).block
HEADER = child_header(ROOT, 4, 3)


def sent_by(world: World, name: str) -> list[object]:
    """Gather what a node broadcasts from now on."""
    messages: list[object] = []

    def trace(node: Node, effect: Effect) -> None:
        if node.name == name and isinstance(effect, Broadcast):
            messages.append(effect.message)

    world.tracer = trace
    return messages


def cut_off(*names: str) -> World:
    """Return a started world in which these nodes hear nobody but the proposal of view 1."""
    world = World()
    lose(world, lambda _s, target, message: target.name in names and not isinstance(message, Proposal))
    return world.start()


def test_a_node_restarts_in_the_view_of_its_highest_vote():
    world = World()
    lose(world, lambda _source, _target, message: isinstance(message, Proposal))
    world.start().run_for(10_000)
    view = world["v0"].view
    voted = max(world["v0"].running.node.signer.signed_views(0))
    world["v0"].crash()
    lose(world, lambda _source, target, _message: target.name == "v0")
    world["v0"].start()

    assert voted <= world["v0"].view <= view
    assert world["v0"].view > 3


def test_a_node_restarts_beyond_views_that_it_knows_to_be_notarised():
    world = World()
    lose(world, lambda _source, _target, message: is_vote(message, F, 1))
    world.start().run_for(25)
    assert world["v0"].view == 2
    world["v0"].crash()
    lose(world, lambda _source, target, _message: target.name == "v0")
    world.run_for(20)
    world["v0"].start()

    assert world["v0"].view == 2
    assert world["v0"].running.node.state.views[1].notarization is not None


def test_a_node_restarts_above_its_final_view():
    world = World().start()
    world.run_to_height(7)
    final_view = world["v0"].running.node.state.final_view
    world["v0"].crash()
    world["v0"].start()

    assert world["v0"].view > final_view
    assert world["v0"].height >= 7


def test_after_a_restart_the_same_votes_are_said_again_and_none_against_them():
    world = cut_off("v0")
    world.run_for(15)
    before = [record.vote for record in world["v0"].log.durable if isinstance(record, VoteRecord)]
    assert [(one.kind, one.view) for one in before] == [(N, 1)]
    world["v0"].crash()
    messages = sent_by(world, "v0")
    world["v0"].start()

    assert [type(message) for message in messages] == [Status, VoteMessage]
    assert isinstance(messages[1], VoteMessage)
    assert messages[1].vote == before[0]


def test_a_leader_says_its_proposal_again_and_makes_no_other():
    world = cut_off("v0", "v1", "v2")
    world.run_for(5)
    (first,) = [record.proposal for record in world["v3"].log.durable if isinstance(record, ProposalRecord)]
    world["v3"].crash()
    messages = sent_by(world, "v3")
    world["v3"].start()
    world.run_for(1)

    assert [message for message in messages if isinstance(message, Proposal)] == [first]


def test_a_second_restart_equals_the_first():
    world = World().start()
    world.run_to_height(5)
    world["v0"].crash()
    lose(world, lambda _source, _target, _message: True)
    told = []
    for _ in range(2):
        messages = sent_by(world, "v0")
        world["v0"].start()
        told.append(list(messages))
        world["v0"].crash()

    assert told[0] == told[1]


@pytest.mark.parametrize("is_group_kept", [False, True])
@pytest.mark.parametrize("effect_index", range(90))
def test_power_loss_at_each_effect_of_one_node_leads_to_no_contradiction(effect_index: int, is_group_kept: bool):
    """The records of the step are lost, or were written just before; either way the node goes on as if nothing happened."""
    world = World(twins=[3])
    world["v0"].effects_until_power_loss = effect_index
    world["v0"].keeps_group = is_group_kept
    signed: list[Vote] = []

    def trace(node: Node, effect: Effect) -> None:
        if node.name == "v0" and isinstance(effect, Broadcast) and isinstance(effect.message, VoteMessage | Proposal):
            signed.append(effect.message.vote)

    world.tracer = trace
    world.start().run_for(100)
    world["v0"].effects_until_power_loss = None
    if not world["v0"].is_up:
        world["v0"].start()

    assert world.run_to_height(8, 30_000)
    assert not any(are_conflicting(one, other) for one in signed for other in signed)


def test_what_a_vote_rests_on_is_logged_before_it_and_all_before_it_is_sent():
    world = World()
    order: list[str] = []

    def trace(node: Node, effect: Effect) -> None:
        if node.name == "v0" and isinstance(effect, Persist | PersistBlock | Broadcast):
            told = effect.record if isinstance(effect, Persist) else effect
            told = effect.message if isinstance(effect, Broadcast) else told
            order.append(type(told).__name__)

    world.tracer = trace
    world.start().run_for(22)

    assert order == [
        "Status",
        *("ProposalRecord", "PersistBlock", "VoteRecord", "VoteMessage"),
        *("NotarizationRecord", "VoteRecord", "VoteMessage"),
    ]


def test_a_forged_certificate_in_a_logged_proposal_is_not_believed():
    header = child_header(ROOT, 3, 0)
    forged = certificate(X, 2, signers=(0, 1))
    world = World()
    proposal = proposal_of(header, justify=[forged])
    own = vote(N, 0, 3, proposal.vote.block_hash)
    block = BlockRecord(epoch=0, view=3, block=Block(header=header, envelopes=()))
    world["v0"].log.durable = [ProposalRecord(proposal=proposal), block, VoteRecord(vote=own)]
    world.start("v0")

    assert world["v0"].view == 3
    assert not world["v0"].running.node.state.is_nullified(2)


def test_records_of_another_epoch_or_of_final_views_are_passed_over():
    world = World()
    old = VoteRecord(vote=vote(X, 0, 5, epoch=7))
    world["v0"].log.durable = [old]
    world.start("v0")

    assert world["v0"].view == 1


def test_after_the_end_of_an_epoch_votes_of_the_old_one_do_not_move_the_view():
    world = World().start()
    world.run_to_height(3)
    connect(world)
    world["v0"].crash()
    world["v0"].log.durable = [*world["v0"].log.durable, VoteRecord(vote=vote(X, 0, 900, epoch=3))]
    world["v0"].start()

    assert world["v0"].view < 100


RECORDS = [
    (VoteRecord(vote=vote(N, 0, 4)), (0, 4)),
    (ProposalRecord(proposal=proposal_of(HEADER)), (0, 4)),
    (BlockRecord(epoch=2, view=9, block=Block(header=HEADER, envelopes=(b"envelope",))), (2, 9)),
    (NotarizationRecord(certificate=certificate(N, 6)), (0, 6)),
    (FloorRecord(epoch=3, view=1), (3, 1)),
]


@pytest.mark.parametrize(("record", "position"), RECORDS, ids=lambda one: type(one).__name__)
def test_records_have_one_form_and_a_position(record, position):
    assert RECORD_CODEC.decode(RECORD_CODEC.encode(record)) == record
    assert record_position(record) == position


def test_the_floor_of_a_log_is_the_highest_in_it():
    assert signing_floor([]) == (0, 0)
    assert signing_floor([FloorRecord(epoch=1, view=9), RECORDS[0][0], FloorRecord(epoch=2, view=1)]) == (2, 1)


def test_every_kind_of_vote_is_logged():
    world = World().start()
    lose(world, lambda _source, _target, message: isinstance(message, Proposal) and message.view == 2)
    world.run_for(1_200)
    kinds: set[VoteKind] = set()
    for node in world.honest:
        kinds |= {record.vote.kind for record in node.log.durable if isinstance(record, VoteRecord)}

    assert kinds <= {N, X, F}
    assert F in kinds
