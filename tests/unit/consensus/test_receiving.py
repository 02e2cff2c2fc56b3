"""What peers send: bounds, malformed things, forged things. Nothing of it raises, and nothing of it grows memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from consensus.effects import Effect, OwnKeyElsewhere, Punish, ReportEquivocation, Send, StartSync
from consensus.epoch_state import VIEWS_AHEAD_MAX
from consensus.inputs import MessageReceived
from consensus.messages import (
    CertificatesMessage,
    CertificatesRequest,
    ConsensusMessage,
    Proposal,
    Status,
    VoteMessage,
)
from state.block import Block
from state.codec import INTEGER_MAX
from tests.support.consensus_cast import (
    HASH_A,
    HASH_B,
    F,
    N,
    X,
    certificate,
    child_header,
    proposal_of,
    vote,
)
from tests.support.consensus_harness import World
from tests.support.consensus_node import Node


class Hearing:
    """v0 alone, and what it does when it hears something."""

    def __init__(self) -> None:
        self.world = World(byzantine=[1, 2, 3])
        self.world.start("v0")
        self.effects: list[Effect] = []
        self.world.tracer = self._note

    def _note(self, _node: Node, effect: Effect) -> None:
        self.effects.append(effect)

    @property
    def node(self) -> Node:
        return self.world["v0"]

    def hear(self, message: ConsensusMessage, peer: str = "peer") -> list[Effect]:
        self.effects = []
        self.node.feed(MessageReceived(peer, message))
        return self.effects

    def views(self) -> list[int]:
        return sorted(self.node.running.node.state.views)


@pytest.fixture
def hearing() -> Hearing:
    return Hearing()


HEADER = child_header(World().validators and Hearing().node.chain.tip.block, 1, 0)
PROPOSAL = proposal_of(HEADER)


# bounds (spec 4.8)


def test_votes_are_taken_up_to_32_views_ahead_of_the_current_one(hearing: Hearing):
    hearing.hear(VoteMessage(vote=vote(N, 1, 1 + VIEWS_AHEAD_MAX)))
    hearing.hear(VoteMessage(vote=vote(N, 1, 2 + VIEWS_AHEAD_MAX)))

    assert 1 + VIEWS_AHEAD_MAX in hearing.views()
    assert 2 + VIEWS_AHEAD_MAX not in hearing.views()


def test_the_bound_moves_with_the_view_and_not_with_the_final_one(hearing: Hearing):
    hearing.hear(CertificatesMessage(certificates=(certificate(X, 50),)))
    hearing.hear(VoteMessage(vote=vote(N, 1, 51 + VIEWS_AHEAD_MAX)))

    assert 51 + VIEWS_AHEAD_MAX in hearing.views()


def test_proposals_are_taken_up_to_32_views_ahead(hearing: Hearing):
    for view in (1 + VIEWS_AHEAD_MAX, 2 + VIEWS_AHEAD_MAX):
        header = child_header(hearing.node.chain.tip.block, view, 0)
        hearing.hear(proposal_of(header))

    state = hearing.node.running.node.state
    assert state.views[1 + VIEWS_AHEAD_MAX].proposal is not None
    assert 2 + VIEWS_AHEAD_MAX not in state.views


def test_certificates_are_taken_of_any_view(hearing: Hearing):
    hearing.hear(CertificatesMessage(certificates=(certificate(X, 10**12),)))

    assert hearing.node.view == 10**12 + 1


def test_votes_of_view_0_and_of_views_below_the_final_one_are_dropped(hearing: Hearing):
    hearing.node.running.node.state.final_view = 5
    before = hearing.views()
    for view in (0, 4):
        hearing.hear(VoteMessage(vote=vote(N, 1, view)))

    assert hearing.views() == before


@pytest.mark.parametrize("epoch", [1, INTEGER_MAX])
def test_votes_of_later_epochs_mean_nothing_yet(hearing: Hearing, epoch: int):
    assert hearing.hear(VoteMessage(vote=vote(N, 1, 1, epoch=epoch))) == []


def test_only_the_first_proposal_of_a_leader_is_kept(hearing: Hearing):
    hearing.hear(PROPOSAL)
    for number in range(20):
        hearing.hear(proposal_of(structs.replace(HEADER, time_ms=HEADER.time_ms + number)))

    state = hearing.node.running.node.state
    assert state.views[1].proposal == PROPOSAL
    assert len(state.blocks) == 2  # the root and the first


def test_a_flood_of_votes_of_one_validator_is_bounded(hearing: Hearing):
    for number in range(200):
        hearing.hear(VoteMessage(vote=vote(N, 1, 1, bytes([number]) * 32)))

    tally = hearing.node.running.node.state.views[1].tally
    assert sum(len(tally.votes_for(choice)) for choice in tally.choices(N)) == 4


# malformed and forged things


def wrong_fields() -> list[VoteMessage]:
    good = {kind: vote(kind, 1) for kind in (N, X, F)}
    return [
        VoteMessage(vote=structs.replace(good[X], block_hash=HASH_A)),
        VoteMessage(vote=structs.replace(good[X], result=HASH_A)),
        VoteMessage(vote=structs.replace(good[N], result=HASH_A)),
        VoteMessage(vote=structs.replace(good[N], block_hash=b"")),
        VoteMessage(vote=structs.replace(good[N], block_hash=b"short")),
        VoteMessage(vote=structs.replace(good[F], result=b"")),
        VoteMessage(vote=structs.replace(good[F], block_hash=b"")),
    ]


@pytest.mark.parametrize("message", wrong_fields(), ids=lambda message: message.vote.kind.name)
def test_a_vote_with_wrong_fields_costs_its_sender(hearing: Hearing, message: VoteMessage):
    assert hearing.hear(message) == [Punish("peer", "wrong_fields")]


def test_a_vote_of_nobody_costs_its_sender(hearing: Hearing):
    assert hearing.hear(VoteMessage(vote=structs.replace(vote(N, 1), validator=4))) == [
        Punish("peer", "unknown_validator")
    ]


@pytest.mark.parametrize(
    "message",
    [
        structs.replace(PROPOSAL, vote=vote(N, 3, 1, PROPOSAL.vote.block_hash, is_forged=True)),
        structs.replace(PROPOSAL, vote=vote(N, 1, 1, PROPOSAL.vote.block_hash)),
        structs.replace(PROPOSAL, vote=structs.replace(vote(X, 3), block_hash=PROPOSAL.vote.block_hash)),
        structs.replace(PROPOSAL, header=structs.replace(HEADER, height=9)),
        structs.replace(PROPOSAL, parent_view=1),
    ],
    ids=["forged", "not the leader", "under a nullify signature", "another header", "on itself"],
)
def test_a_proposal_that_no_leader_signed_costs_its_sender_and_is_not_voted_on(hearing: Hearing, message: Proposal):
    (punished,) = hearing.hear(message)

    assert isinstance(punished, Punish)
    assert hearing.node.running.node.current.proposal is None


def forged_certificates() -> dict[str, Callable[[], object]]:
    good = certificate(X, 1)
    return {
        "no_quorum": lambda: certificate(X, 1, signers=(0, 1)),
        "bad_signature": lambda: structs.replace(good, signatures=(bytes(64), *good.signatures[1:])),
        "bad_bitmap": lambda: structs.replace(good, signers=good.signers + b"\0"),
        "unknown_validator": lambda: structs.replace(good, signers=b"\xf1"),
        "wrong_fields": lambda: structs.replace(good, block_hash=HASH_A),
    }


@pytest.mark.parametrize("reason", list(forged_certificates()))
def test_a_forged_certificate_costs_its_sender_and_changes_nothing(hearing: Hearing, reason: str):
    found = forged_certificates()[reason]()

    assert hearing.hear(CertificatesMessage(certificates=(found,))) == [Punish("peer", reason)]
    assert hearing.node.view == 1


def test_a_proposal_with_a_forged_certificate_is_not_kept(hearing: Hearing):
    header = child_header(hearing.node.chain.tip.block, 2, 0)
    forged = structs.replace(certificate(X, 1), signatures=(bytes(64),) * 3)

    assert hearing.hear(proposal_of(header, justify=[forged])) == [Punish("peer", "bad_signature")]
    assert hearing.node.running.node.state.find_view(2) is None or (
        hearing.node.running.node.state.views[2].proposal is None
    )


def test_what_follows_a_forged_certificate_is_not_believed(hearing: Hearing):
    message = CertificatesMessage(certificates=(certificate(X, 1, signers=(0, 1)), certificate(X, 2)))
    hearing.hear(message)

    assert hearing.node.view == 1


def test_a_certificate_that_is_known_costs_no_verification(hearing: Hearing):
    hearing.hear(CertificatesMessage(certificates=(certificate(X, 1),)))
    forged_twin = structs.replace(certificate(X, 1), signatures=(bytes(64),) * 3)

    assert hearing.hear(CertificatesMessage(certificates=(forged_twin,))) == []


def test_votes_inside_a_certificate_convict(hearing: Hearing):
    hearing.hear(VoteMessage(vote=vote(N, 1, 1, HASH_B)))
    effects = hearing.hear(CertificatesMessage(certificates=(certificate(N, 1, HASH_A, signers=(1, 2, 3)),)))
    reports = [effect for effect in effects if isinstance(effect, ReportEquivocation)]

    assert [{one.first.block_hash, one.second.block_hash} for one in reports] == [{HASH_A, HASH_B}]


# the own key


@pytest.mark.parametrize("message", [VoteMessage(vote=vote(N, 0, 4)), VoteMessage(vote=vote(X, 0, 1))])
def test_an_own_vote_that_this_node_did_not_sign_is_noticed(hearing: Hearing, message: VoteMessage):
    hearing.world.checks.tolerated.add("own key")

    assert hearing.hear(message) == [OwnKeyElsewhere(message.vote)]


def test_an_own_vote_that_comes_back_or_is_forged_means_nothing(hearing: Hearing):
    hearing.node.keep_body(Block(header=HEADER, envelopes=()))
    hearing.hear(PROPOSAL)
    own = hearing.node.running.node.signer.find_vote(0, 1, N)
    assert own is not None

    assert hearing.hear(VoteMessage(vote=own)) == []
    assert hearing.hear(VoteMessage(vote=vote(N, 0, 2, is_forged=True))) == []


# whatever comes

UINTS = st.sampled_from([0, 1, 2, 3, 33, 34, 1_000, INTEGER_MAX])
HASHES = st.sampled_from([b"", HASH_A, HASH_B, PROPOSAL.vote.block_hash, b"x"])
KINDS = st.sampled_from([N, X, F])
SIGNATURES = st.sampled_from([bytes(64), vote(N, 1).signature, vote(X, 3).signature])
VOTES = st.one_of(
    st.builds(
        lambda kind, view, index, block_hash, result, epoch, signature: structs.replace(
            vote(kind, 1),
            view=view,
            validator=index,
            block_hash=block_hash,
            result=result,
            epoch=epoch,
            signature=signature,
        ),
        KINDS,
        UINTS,
        st.integers(0, 5),
        HASHES,
        HASHES,
        st.sampled_from([0, 0, 0, 1, INTEGER_MAX]),
        SIGNATURES,
    ),
    st.builds(lambda kind, index, view: vote(kind, index, view), KINDS, st.integers(1, 3), st.integers(1, 4)),
)
CERTIFICATES = st.one_of(
    st.builds(lambda kind, view: certificate(kind, view), KINDS, st.integers(1, 5)),
    st.builds(
        lambda kind, view, epoch, signers, block_hash, count: structs.replace(
            certificate(kind, 1),
            view=view,
            epoch=epoch,
            signers=signers,
            block_hash=block_hash,
            signatures=(bytes(64),) * count,
        ),
        KINDS,
        UINTS,
        st.sampled_from([0, 1]),
        st.binary(min_size=1, max_size=3),
        HASHES,
        st.integers(1, 5),
    ),
)
PROPOSALS = st.builds(
    lambda view, parent_view, justify, one, height, header_view: structs.replace(
        PROPOSAL,
        view=view,
        parent_view=parent_view,
        justify=tuple(justify),
        vote=one,
        header=structs.replace(HEADER, height=height, view=header_view),
    ),
    UINTS,
    UINTS,
    st.lists(CERTIFICATES, max_size=3),
    VOTES,
    UINTS,
    UINTS,
)
MESSAGES = st.one_of(
    st.builds(lambda one: VoteMessage(vote=one), VOTES),
    st.builds(
        lambda many: CertificatesMessage(certificates=tuple(many)), st.lists(CERTIFICATES, min_size=1, max_size=3)
    ),
    PROPOSALS,
    st.just(PROPOSAL),
    st.builds(
        lambda epoch, view, height: Status(epoch=epoch, view=view, final_height=height, final_hash=HASH_A),
        UINTS,
        UINTS,
        UINTS,
    ),
    st.builds(
        lambda epoch, first, last: CertificatesRequest(epoch=epoch, first_view=first, last_view=last),
        UINTS,
        UINTS,
        UINTS,
    ),
)


@given(st.lists(st.tuples(MESSAGES, st.sampled_from(["v1", "v2", "v3", "stranger"])), max_size=12))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_that_peers_send_raises_or_makes_the_node_contradict_itself(talk: list[tuple[ConsensusMessage, str]]):
    hearing = Hearing()
    # Three of four are Byzantine here: what their certificates contradict is not this node's doing.
    hearing.world.checks.tolerated |= {"G3 exclusion", "G7 accountability", "peers", "halt", "own key"}
    for message, peer in talk:
        hearing.hear(message, peer)
        sent = [effect for effect in hearing.effects if isinstance(effect, Send | StartSync)]
        assert len(sent) <= 2
    hearing.world.run_for(3_000)

    state = hearing.node.running.node.state
    assert len(state.views) <= 50
    assert len(state.blocks) <= 40
