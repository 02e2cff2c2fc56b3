"""R4, R8, R9: what certificates do to one node."""

from __future__ import annotations

import pytest

from consensus import epoch_state
from consensus.effects import Effect, Finalize, Halt, SetTimer
from consensus.inputs import BlockExecuted, MessageReceived, TimerKind, TipAdvanced
from consensus.messages import CertificatesMessage
from state.block import Block, BlockReference, Header, Tip, hash_header
from state.certificates import Certificate
from tests.support.consensus_cast import F, N, X, certificate, child_header
from tests.support.consensus_harness import World
from tests.support.consensus_node import Node
from tests.support.consensus_toys import ToyChain, genesis_tip, toy_set


class Story:
    """v0 alone, with blocks one on the other whose results it can compute."""

    def __init__(self) -> None:
        self.world = World(is_busy=False, byzantine=[1, 2, 3])
        self.world.checks.tolerated.add("halt")
        self.world.start("v0")
        self.effects: list[Effect] = []
        self.world.tracer = lambda _node, effect: self.effects.append(effect)
        self.shadow = ToyChain(genesis_tip(toy_set((1, 1, 1, 1))))
        self.chain: list[BlockReference] = [self.shadow.tip.block]
        for view in range(1, 6):
            header = child_header(self.chain[-1], view, view - 1)
            self.chain.append(self.shadow.execute(Block(header=header, envelopes=())).reference)
            self.give(header)

    def give(self, header: Header) -> None:
        self.node.keep_body(Block(header=header, envelopes=()))

    @property
    def node(self) -> Node:
        return self.world["v0"]

    def certificate(self, kind: object, view: int) -> Certificate:
        reference = self.chain[view]
        return certificate(kind, view, reference.block_hash, reference.result)  # type: ignore[arg-type]

    def hear(self, *found: Certificate) -> list[Effect]:
        self.effects.clear()
        self.node.feed(MessageReceived("peer", CertificatesMessage(certificates=found)))
        return self.effects


@pytest.fixture
def story() -> Story:
    return Story()


def finalized(effects: list[Effect]) -> list[tuple[bytes, ...]]:
    return [effect.block_hashes for effect in effects if isinstance(effect, Finalize)]


def test_a_certificate_of_a_later_view_moves_the_view_and_an_earlier_one_does_not(story: Story):
    story.hear(certificate(X, 4))
    assert story.node.view == 5
    story.hear(certificate(X, 2))
    assert story.node.view == 5


def test_failed_views_are_counted_until_a_block_is_notarised(story: Story):
    story.hear(certificate(X, 1), certificate(X, 2))
    assert story.node.running.node.failed_views == 2
    story.hear(story.certificate(N, 3))
    assert story.node.running.node.failed_views == 0


def test_a_finalization_alone_makes_its_block_and_all_ancestors_final_in_one_step(story: Story):
    effects = story.hear(story.certificate(F, 3))

    assert finalized(effects) == [tuple(one.block_hash for one in story.chain[1:4])]
    assert (story.node.height, story.node.view) == (3, 4)


def test_a_finalization_waits_for_the_execution_of_its_block(story: Story):
    story.world.execution_ms = 30
    assert finalized(story.hear(story.certificate(F, 1))) == []
    story.effects.clear()
    story.world.run_for(30)

    assert finalized(story.effects) == [(story.chain[1].block_hash,)]


def test_of_several_finalizations_the_newest_executed_one_decides(story: Story):
    effects = story.hear(story.certificate(F, 1), story.certificate(F, 3))

    assert finalized(effects)[-1][-1] == story.chain[3].block_hash
    assert sum(len(path) for path in finalized(effects)) == 3


def test_an_old_finalization_changes_nothing(story: Story):
    story.hear(story.certificate(F, 3))

    assert story.hear(story.certificate(F, 1)) == []


def test_another_result_than_the_certified_one_halts_for_good(story: Story):
    reference = story.chain[1]
    (halt,) = [
        effect
        for effect in story.hear(certificate(F, 1, reference.block_hash, b"other".ljust(32)))
        if isinstance(effect, Halt)
    ]

    assert halt.reason.startswith("state divergence at height 1")
    assert story.hear(certificate(X, 9)) == []
    assert story.node.view != 10


def test_a_finalization_beside_the_final_block_halts(story: Story):
    """Only a third of faulty power can make it: two blocks of one height are final."""
    story.hear(story.certificate(F, 1))
    header = child_header(story.chain[0], 5, 0, delay_ms=99)
    story.give(header)
    effects = story.hear(certificate(F, 5, hash_header(header)))

    assert [effect.reason[:16] for effect in effects if isinstance(effect, Halt)] == ["fork at height 1"]


def test_a_final_block_far_ahead_whose_ancestors_are_executed_here_is_no_fork(
    story: Story, monkeypatch: pytest.MonkeyPatch
):
    """Given a node that executed a long chain from its log, when its newest block is finalized, then all of it is final."""
    monkeypatch.setattr(epoch_state, "ANCESTORS_MAX", 2)
    story.hear(*(story.certificate(N, view) for view in range(1, 6)))
    effects = story.hear(story.certificate(F, 5))

    assert finalized(effects) == [tuple(block.block_hash for block in story.chain[1:])]
    assert not any(isinstance(effect, Halt) for effect in effects)


def test_a_notarization_sets_the_lag_timer(story: Story):
    effects = story.hear(story.certificate(N, 1))

    assert [e.view for e in effects if isinstance(e, SetTimer) and e.kind is TimerKind.LAG] == [2]


def test_sync_moves_the_final_block_and_keeps_what_is_known_above(story: Story):
    story.hear(certificate(X, 5))
    story.world.checks.tolerated.add("L4 monotone")
    reference = story.chain[3]
    tip = Tip(
        epoch_start=story.node.chain.tip.epoch_start, view=3, block=reference, certificate=story.certificate(F, 3)
    )
    story.node.chain.tip = tip
    story.node.feed(TipAdvanced(tip))
    state = story.node.running.node.state

    assert (state.final_view, state.tip, story.node.view) == (3, reference, 6)
    assert state.is_nullified(5)


def test_sync_to_an_older_block_changes_nothing(story: Story):
    story.hear(story.certificate(F, 3))
    tip = Tip(epoch_start=story.node.chain.tip.epoch_start, view=1, block=story.chain[1], certificate=None)
    story.node.feed(TipAdvanced(tip))

    assert story.node.running.node.state.tip == story.chain[3]


def test_sync_into_a_later_epoch_begins_there(story: Story):
    story.hear(certificate(X, 5))
    start = story.node.chain.tip.epoch_start
    later = type(start)(epoch=4, root=story.chain[2], validators=start.validators)
    tip = Tip(epoch_start=later, view=7, block=story.chain[3], certificate=story.certificate(F, 3))
    story.node.chain.tip = tip
    story.node.feed(TipAdvanced(tip))
    core = story.node.running.node

    assert (core.state.number, core.view, core.failed_views) == (4, 8, 0)
    assert sorted(core.state.views) == [7, 8]


def test_an_execution_that_comes_late_is_passed_over(story: Story):
    story.hear(story.certificate(F, 2))
    story.effects.clear()
    story.node.feed(BlockExecuted(story.chain[1], toy_set((1, 1, 1, 1))))

    assert story.effects == []
