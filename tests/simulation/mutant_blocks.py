"""Runs of a few views that need the rules for blocks, the verification of what comes in, or the limits on what goes out.

Each goes wrong (a Violation) as soon as its guard is off, and well with it. Four validators lead in the order v3, v2, v1, v0 from
view 1 on; a message takes 10 ms, the first timer is 1 s.
"""

from __future__ import annotations

from msgspec import structs

from consensus.effects import FetchBlock, FetchCertificates
from consensus.inputs import MessageReceived
from consensus.messages import CertificatesMessage, ConsensusMessage, Proposal, VoteMessage
from state.block import Block, BlockReference, Header, hash_header
from state.certificates import Certificate, build_certificate
from tests.simulation.mutant_steps import (
    connect,
    is_proposal,
    is_vote,
    lose,
    must_live,
    tolerate,
)
from tests.support.consensus_cast import HASH_A, HASH_B, F, N, X, certificate, child_header, proposal_of, vote
from tests.support.consensus_checks import Violation
from tests.support.consensus_harness import DELAY_MS, World
from tests.support.consensus_node import Node
from tests.support.consensus_toys import GENESIS_TIME_MS, set_power

# which blocks are notarised


def _block_at(world: World, view: int) -> BlockReference:
    state = world["v0"].running.node.state
    block_hash = state.block_hash_at(view)
    assert block_hash is not None, "no block there"
    executed = state.find_executed(block_hash)
    assert executed is not None, "not executed there"
    return executed


def leader_skips_a_notarised_block() -> None:
    """v1 leads view 3 and builds on the block of view 1, as if that of view 2 were not there; nothing is final yet."""
    world = World(byzantine=[1])
    world.route = lambda _source, _target, message: (
        300 if isinstance(message, VoteMessage) and message.vote.kind is F else DELAY_MS
    )
    world.start("v0", "v2", "v3").run(lambda: world["v0"].view == 3, 1_000)
    header = child_header(_block_at(world, 1), 3, 1, delay_ms=45)
    notarization = world["v0"].running.node.state.view_state(1).notarization
    assert notarization is not None, "the parent is notarised"
    _publish(world, header, "v1", notarization)
    world.run_for(2_000)
    must_live(world)


def _publish(world: World, header: Header, leader: str, *justify: Certificate) -> None:
    """Let a Byzantine leader propose an empty block of its own making, and give everybody its body."""
    for node in world.up:
        node.keep_body(Block(header=header, envelopes=()))
    world.say(leader, proposal_of(header, justify=justify))


def leader_builds_on_a_block_without_notarization() -> None:
    """Two voted for the block of view 1, then all nullified the view; v2 leads view 2 and builds on that block."""
    world = World(byzantine=[2])
    lose(world, lambda _source, target, message: is_proposal(message, 1) and target.name == "v1")
    world.start("v0", "v1", "v3").run_for(40)
    (executed,) = world["v0"].chain.executed.values()
    world.run(lambda: world["v0"].running.node.has_signed(1, X), 3_000)
    world.say("v2", VoteMessage(vote=vote(X, 2)))
    world.run(lambda: all(node.view == 2 for node in world.up), 3_000)
    header = child_header(executed.reference, 2, 1, delay_ms=world.time_ms)
    _publish(world, header, "v2")
    world.say("v2", VoteMessage(vote=proposal_of(header).vote))
    world.run_for(2_000)
    must_live(world)


def leader_with_a_fast_clock() -> None:
    """The clock of v3, who leads view 1, is ten seconds fast."""
    world = World()
    world["v3"].clock_offset_ms = 10_000
    world.start()
    must_live(world, 8)
    for reference in world.checks.chain.values():
        if reference.time_ms > GENESIS_TIME_MS + world.time_ms + world.timing.precision_ms:
            raise Violation("G2 chain", f"{reference} comes from the future")


def sealing_block_without_final_votes() -> None:
    """The block of view 1 gives v0 nearly all the power; only v0 sees it final, and goes on alone in the next epoch."""
    world = World()
    is_early = [True]

    def is_lost(source: Node, target: Node, message: ConsensusMessage) -> bool:
        is_cut = is_early[0] and source.name == "v0" and world.time_ms > 25
        return is_cut or (is_vote(message, F, 1) and target.name != "v0")

    lose(world, is_lost)
    world.start()
    world.submit(set_power(0, 100))
    world.run_for(900)
    is_early[0] = False
    must_live(world)


# quorums, signatures, results


def two_of_seven_are_twins_in_a_partition() -> None:
    """Seven validators, two of them twins with a half on each side: five on one side, four on the other."""
    world = World((1,) * 7, twins=[5, 6])
    side = {"v0", "v1", "v2", "v5", "v6"}
    lose(world, lambda source, target, _message: (source.name in side) != (target.name in side))
    world.start().run_for(3_000)
    connect(world)
    must_live(world)


def forged_votes() -> None:
    """A peer sends votes in the name of v1 that contradict each other."""
    world = World().start()
    for target in ("v0", "v2", "v3"):
        for block_hash in (HASH_A, HASH_B):
            forged = VoteMessage(vote=vote(N, 1, 3, block_hash, is_forged=True))
            world[target].feed(MessageReceived("stranger", forged))
    must_live(world)


def forged_certificate() -> None:
    """A peer sends a finalization with the signatures of one validator only."""
    world = World(byzantine=[3])
    world.start().run_for(12)
    single = build_certificate([vote(F, 3)], world.validators)
    world["v0"].feed(MessageReceived("stranger", CertificatesMessage(certificates=(single,))))
    for kept in world["v0"].running.node.state.view_state(1).certificates.values():
        world.checks.check_certificate(world["v0"], kept)
    must_live(world)


def one_node_computes_otherwise() -> None:
    """v0 has a broken machine and gets other results: it must stop, and the others go on."""
    world = World()
    world["v0"].chain.twist = b"broken"
    tolerate(world, "halt")
    world.start()
    world.run_for(2_000)
    if not world["v0"].halts:
        raise Violation("G5 result", "v0 did not notice that it computes otherwise")
    world["v0"].crash()
    must_live(world)


def equivocation_before_any_quorum() -> None:
    """v3 sends two votes for different blocks, and nothing else happens in that view that would need them."""
    world = World(byzantine=[3]).start("v0", "v1", "v2")
    for block_hash in (HASH_A, HASH_B):
        world.say("v3", VoteMessage(vote=vote(N, 3, 1, block_hash)))
    world.run_for(100)
    if world["v3"].address not in world.checks.convicted:
        raise Violation("G7 accountability", "a validator contradicted itself before all, and nobody noticed")
    must_live(world)


def contradiction_completes_a_quorum() -> None:
    """The vote that completes a quorum comes from a validator that voted for something else before."""
    world = World(byzantine=[3]).start("v0")
    say_n = [vote(N, 3, 1, HASH_B), vote(N, 1, 1, HASH_A), vote(N, 2, 1, HASH_A), vote(N, 3, 1, HASH_A)]
    for one in say_n:
        world["v0"].feed(MessageReceived(f"v{one.validator}", VoteMessage(vote=one)))
    if world["v0"].view != 2:
        raise Violation("G9 liveness", "three votes for one block are here, and v0 does not count them")


def proposal_under_a_nullify_signature() -> None:
    """Somebody makes a proposal in the name of v3, who leads view 1, out of its nullify vote."""
    world = World(byzantine=[3]).start("v0", "v1", "v2")
    header = child_header(_block_at(world, 0), 1, 0)
    for node in world.up:
        node.keep_body(Block(header=header, envelopes=()))
        node.feed(MessageReceived("stranger", _under_a_nullify_signature(header)))
        if node.running.node.has_signed(1, N):
            raise Violation("G6 validity", f"{node.name} notarized a block that the leader never proposed")
    must_live(world)


def _under_a_nullify_signature(header: Header) -> Proposal:
    honest = proposal_of(header)
    forged = structs.replace(vote(X, 3), block_hash=hash_header(header))
    return structs.replace(honest, vote=forged)


def one_transaction_on_an_idle_chain() -> None:
    """One transaction comes to a silent chain; after it there must be silence again."""
    world = World(is_busy=False).start()
    world.run_for(5_000)
    world.submit(b"transfer")
    if not world.run_to_height(1, 1_000):
        raise Violation("G9 liveness", "the transaction is not final")
    world.run_for(20_000)
    if world["v0"].height != 1:
        raise Violation("idle", f"{world['v0'].height - 1} empty blocks follow the transaction")


def own_vote_comes_last() -> None:
    """Three of four are alive, and v0 gets the proposal after the vote of v1."""
    world = World(byzantine=[2])
    world.route = lambda _source, target, message: 40 if is_proposal(message, 1) and target.name == "v0" else DELAY_MS
    world.start("v0", "v1", "v3").run_for(45)
    if world["v0"].view != 2:
        raise Violation("G9 liveness", "v0 has three votes for one block, its own among them, and does not count them")


# message debt


def thousand_questions() -> None:
    """A peer sends the same nullify vote of a settled view a thousand times within a second."""
    world = World().start()
    world.run_to_height(3)
    before = world.sent.get("CertificatesMessage", 0)
    old = VoteMessage(vote=vote(X, 1, 1))
    for _ in range(1_000):
        world["v0"].feed(MessageReceived("v1", old))
    if world.sent.get("CertificatesMessage", 0) - before > 1:
        raise Violation("G10 message debt", "the same peer gets the same answer again and again")


def body_withheld() -> None:
    """Nobody has the transactions of the block of view 1, for ten seconds with many votes."""
    world = World(byzantine=[3])
    asked = [0]

    def count(_node: Node, effect: object) -> None:
        asked[0] += isinstance(effect, FetchBlock)

    world.tracer = count
    world.start("v0")
    header = child_header(_block_at(world, 0), 1, 0, envelopes=[b"withheld"])
    world.say("v3", proposal_of(header, envelopes=[b"withheld"]), "v0")
    world.say("v3", CertificatesMessage(certificates=(certificate(N, 1, hash_header(header)),)), "v0")
    _keep_talking(world)
    if asked[0] > 2 * 10 * 5:
        raise Violation("G10 message debt", f"asked {asked[0]} times for two blocks in ten seconds")


def _keep_talking(world: World) -> None:
    """Tell v0 fifty times a second for ten seconds where v1 is."""
    status = world["v0"].running.status
    for _ in range(500):
        world.run_for(20)
        world["v0"].feed(MessageReceived("v1", status))


def justification_withheld() -> None:
    """v0 entered view 4, which it leads, by its nullification alone, and nobody tells what happened before."""
    world = World(byzantine=[1, 2, 3])
    asked = [0]

    def count(_node: Node, effect: object) -> None:
        asked[0] += isinstance(effect, FetchCertificates)

    world.tracer = count
    world.start("v0")
    world.say("v1", CertificatesMessage(certificates=(certificate(X, 3, signers=(1, 2, 3)),)), "v0")
    _keep_talking(world)
    if asked[0] > 2 * 5:
        raise Violation("G10 message debt", f"asked {asked[0]} times for certificates before the view timed out")
