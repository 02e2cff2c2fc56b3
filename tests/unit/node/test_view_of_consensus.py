"""Laws of the picture of agreement that the API shows."""

from __future__ import annotations

from consensus.core import Consensus
from consensus.inputs import MessageReceived, Now
from consensus.messages import CertificatesMessage, VoteMessage
from consensus.participant import Identity
from consensus.signing import VoteSigner
from consensus.timeouts import TimingParameters
from node import view_of_consensus
from node.api.context import ConsensusSnapshot, ViewSeen, VotesSeen
from node.view_of_consensus import take_snapshot
from state.block import hash_header
from tests.support.consensus_cast import HASH_A, HASH_B, F, N, X, certificate, child_header, proposal_of, vote
from tests.support.consensus_toys import CHAIN_ID, GENESIS_TIME_MS, genesis_tip, toy_address, toy_set, verify_stand_in

TIMING = TimingParameters(
    timeout_min_ms=100,
    timeout_first_ms=1_000,
    timeout_max_ms=8_000,
    precision_ms=500,
    message_delay_ms=2_000,
    min_block_interval_ms=0,
)
LEADERS = [toy_address(index) for index in (0, 3, 2, 1)]
"""By view modulo four."""
TIP = genesis_tip(toy_set([1, 1, 1, 1]))


def core_that_heard(*messages):
    """Return the core of a node that only follows, after these messages."""
    signer = VoteSigner(CHAIN_ID, None, [], (0, 0))
    core = Consensus(Identity(CHAIN_ID, None), TIMING, signer, verify_stand_in, TIP, [])
    for message in messages:
        core.handle(MessageReceived("peer", message), Now(0, GENESIS_TIME_MS))
    return core


def snapshot_after(*messages):
    return take_snapshot(core_that_heard(*messages), 1_500)


def said(*votes):
    return [VoteMessage(vote=one) for one in votes]


def certified(*certificates):
    return CertificatesMessage(certificates=tuple(certificates))


def seen(view, proposal=None, certificates=(), votes=()):
    return ViewSeen(
        view=view, leader=LEADERS[view % 4], proposal=proposal, certificates=tuple(certificates), votes=tuple(votes)
    )


def votes_seen(kind, block_hash, power):
    return VotesSeen(kind=kind, block_hash=block_hash, power=power)


def test_at_the_start_nothing_is_seen():
    assert snapshot_after() == ConsensusSnapshot(
        epoch=0,
        view=1,
        leader=LEADERS[1],
        failed_views=0,
        timeout_ms=1_500,
        is_halted=False,
        total_power=4,
        views=(),
    )


def test_only_verified_votes_are_shown():
    assert snapshot_after(*said(vote(N, 3), vote(N, 0))).views == (seen(1),)


def test_votes_are_summed_by_kind_and_block():
    """Given a certificate in which three validators speak, then their votes show beside a nullify vote of the fourth."""
    snapshot = snapshot_after(certified(certificate(N)), *said(vote(X, 3), vote(X, 1, view=3)))
    assert snapshot.view == 2
    assert snapshot.leader == LEADERS[2]
    assert snapshot.views == (
        seen(
            1,
            certificates=["notarize"],
            votes=[votes_seen("notarize", HASH_A, 3), votes_seen("nullify", b"", 1)],
        ),
        seen(2),
        seen(3, votes=[votes_seen("nullify", b"", 1)]),
    )


def test_both_blocks_of_a_leader_that_proposed_two_are_shown():
    core = core_that_heard()
    core.node.count([vote(N, 3), vote(N, 0)])
    core.node.count([vote(N, 1, block_hash=HASH_B)])
    (first,) = take_snapshot(core, 0).views
    assert first.votes == (votes_seen("notarize", HASH_A, 2), votes_seen("notarize", HASH_B, 1))


def test_certificates_are_named_in_the_order_of_their_kinds():
    snapshot = snapshot_after(certified(certificate(F)), certified(certificate(X)), certified(certificate(N)))
    assert snapshot.views[0].certificates == ("notarize", "nullify", "finalize")


def test_proposal_is_shown_by_its_hash():
    header = child_header(TIP.block, 1, 0)
    (first,) = snapshot_after(proposal_of(header)).views
    assert first.proposal == hash_header(header)


def test_failed_views_are_counted():
    snapshot = snapshot_after(certified(certificate(X, 1)), certified(certificate(X, 2)))
    assert (snapshot.view, snapshot.failed_views) == (3, 2)


def test_of_many_views_the_newest_are_shown(monkeypatch):
    monkeypatch.setattr(view_of_consensus, "VIEWS_MAX", 2)
    snapshot = snapshot_after(*(certified(certificate(X, view)) for view in (1, 2, 3)))
    assert [one.view for one in snapshot.views] == [3, 4]


def test_halted_core_is_shown_as_such():
    core = core_that_heard()
    core.node.halt("fork")
    assert take_snapshot(core, 0).is_halted


def test_powers_and_leaders_are_those_of_the_validator_set():
    tip = genesis_tip(toy_set([5, 0, 2]))
    signer = VoteSigner(CHAIN_ID, None, [], (0, 0))
    core = Consensus(Identity(CHAIN_ID, None), TIMING, signer, verify_stand_in, tip, [])
    core.node.count([vote(X, 0)])
    snapshot = take_snapshot(core, 0)
    assert snapshot.total_power == 7
    assert snapshot.views[0].votes == (votes_seen("nullify", b"", 5),)
    expected = core.node.state.validators.members[core.node.state.leader_index(1)].address
    assert snapshot.leader == snapshot.views[0].leader == expected
