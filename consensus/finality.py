"""R4, R8, R9: what certificates do: leave a view, make blocks final, end an epoch."""

from __future__ import annotations

from consensus.effects import Finalize
from consensus.inputs import TimerKind
from consensus.participant import Participant
from state.block import EpochStart, Tip
from state.certificates import Certificate, build_certificate
from state.votes import VoteKind


def collect_certificates(node: Participant) -> bool:
    """Build the certificates for which the verified votes suffice, in the views in which any were counted."""
    if not node.touched_views:
        return False
    views, node.touched_views = sorted(node.touched_views), set()
    for view in views:
        _collect_in_view(node, view)
    return True


def _collect_in_view(node: Participant, view: int) -> None:
    state = node.state
    view_state = state.find_view(view)
    if view_state is None or view < state.final_view:
        return
    tally = view_state.tally
    for kind in VoteKind:
        if kind in view_state.certificates:
            continue
        for choice in tally.choices(kind):
            if state.validators.is_quorum(tally.power_of(choice)):
                accept_certificate(node, build_certificate(tally.votes_for(choice).values(), state.validators))
                break


def accept_certificate(node: Participant, certificate: Certificate) -> None:
    """R4, R8, R9: keep the first certificate of its kind and view, and leave the view if it is settled by it."""
    view, state = certificate.view, node.state
    if view < state.final_view:
        return
    view_state = state.view_state(view)
    if certificate.kind in view_state.certificates:
        return
    view_state.certificates[certificate.kind] = certificate
    if certificate.kind is VoteKind.NOTARIZE and view_state.active_since_ms is not None:
        node.timeout.observe(node.now.mono_ms - view_state.active_since_ms)
    if certificate.kind is VoteKind.FINALIZE:
        state.drop_superseded(certificate)
    else:
        node.enter(view + 1)


def finalize_newest(node: Participant) -> bool:
    """R9: commit the newest block with a finalization that is executed here, with its ancestors."""
    state = node.state
    for view in sorted(state.views, reverse=True):
        if view <= state.final_view:
            return False
        certificate = state.views[view].finalization
        if certificate is None:
            continue
        executed = state.find_executed(certificate.block_hash)
        if executed is None:
            header = state.block_state(certificate.block_hash, None).header
            if header is not None and header.height <= state.tip.height:
                _halt_on_fork(node, header.height, certificate)
                return False
            continue
        if executed.result != certificate.result:
            node.halt(
                f"state divergence at height {executed.height}: executing the block gave {executed.result.hex()} here, "
                f"{certificate.result.hex()} is certified"
            )
            return False
        path = state.path_from_tip(certificate.block_hash)
        if path is None and state.is_beside_tip(certificate.block_hash):
            _halt_on_fork(node, executed.height, certificate)
            return False
        if path is None:
            continue
        node.emit(Finalize(path, certificate))
        _advance(node, certificate)
        return True
    return False


def _halt_on_fork(node: Participant, height: int, certificate: Certificate) -> None:
    """Stop: two blocks are final that exclude each other, so a third of the power or more is faulty."""
    node.halt(
        f"fork at height {height}: {certificate.block_hash.hex()} is certified, but does not descend from the final block "
        f"{node.state.tip.block_hash.hex()}"
    )


def _advance(node: Participant, certificate: Certificate) -> None:
    """Move the final view; at a sealing block, begin the next epoch at its view 1."""
    state = node.state
    is_end = certificate.block_hash != state.start.root.block_hash and state.is_sealing(certificate.block_hash)
    after = state.blocks[certificate.block_hash].next_validators
    assert after is not None, "only executed blocks become final"
    state.advance(certificate.view, certificate.block_hash)
    node.is_tip_overdue = False
    if is_end:
        start = EpochStart(epoch=state.number + 1, root=state.tip, validators=after.members)
        begin_at(node, Tip(epoch_start=start, view=0, block=state.tip, certificate=certificate))
        return
    node.signer.raise_floor(state.number, certificate.view)
    node.enter(certificate.view + 1)
    node.rest_if_idle()


def begin_at(node: Participant, tip: Tip) -> None:
    """Drop everything volatile and go on above a final block: the root of a new epoch, or one that sync reached."""
    left = node.state
    node.restart_state(tip)
    node.touched_views.clear()
    if tip.epoch_start.epoch != left.number:
        node.view = 0
        node.failed_views = 0
        node.assistance.start_epoch(tip.view)
    else:
        node.state.keep_views(left)
    node.is_tip_overdue = False
    node.enter(tip.view + 1)
    node.rest_if_idle()


def note_lag(node: Participant) -> None:
    """The idle rule's exception: a block that is notarised and not final after a whole timeout is work."""
    state = node.state
    is_behind = any(view > state.final_view and known.block_certificate for view, known in state.views.items())
    if is_behind:
        node.is_tip_overdue = True
        node.set_timer(TimerKind.LAG, node.timeout.timeout_ms(node.failed_views))
