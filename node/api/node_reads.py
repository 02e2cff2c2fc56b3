"""Handlers that read the node itself: status, mempool, peers, progress of agreement, and the dry run of a transaction."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import metadata
from typing import Annotated, Final

from msgspec import Meta

from node.api.context import Call
from node.api.describe import describe_validator
from node.api.describe_chain import describe_account, describe_short_body, quorum_power
from node.api.lookups import parse_hex
from node.api.registry import NoParams, Params
from node.api.transactions import EnvelopeText
from node.api.views_node import (
    CheckView,
    ConsensusView,
    EarliestView,
    ExplainView,
    MempoolView,
    NetInfoView,
    PeerView,
    PendingView,
    StatusView,
    UpgradeView,
    ViewView,
    VotesView,
)
from state import protocol
from state.ledger import Ledger
from state.protocol import find_due_upgrade
from state.runtime.explain import Check, explain
from state.transactions import parse_transaction

PENDING_MAX: Final = 1_000


class MempoolParams(Params, frozen=True):
    """How many pending transactions to list."""

    limit: Annotated[int, Meta(ge=0, le=PENDING_MAX)] = 20


class ExplainParams(Params, frozen=True):
    """A signed transaction that is not submitted."""

    tx: EnvelopeText


@cache
def software_version() -> str:
    """Return the version of the installed distribution, or of a checkout that is not installed."""
    try:
        return metadata.version("bocc")
    except metadata.PackageNotFoundError:
        return "0+checkout"


def read_status(call: Call, _params: NoParams) -> StatusView:
    """Return where the node and its chain are."""
    node = call.node
    chain, consensus = node.chain, node.consensus()
    tip, stored = chain.tip, chain.views.status()
    return StatusView(
        chain_id=chain.chain_id.hex(),
        chain_name=chain.genesis.chain_name,
        development=chain.genesis.development,
        node_id=node.node_id,
        validator=None if node.validator is None else describe_validator(node.validator),
        version=software_version(),
        height=tip.block.height,
        block_hash=tip.block.block_hash.hex(),
        block_time_ms=tip.block.time_ms,
        epoch=consensus.epoch,
        view=consensus.view,
        syncing=node.is_syncing,
        best_known_height=max(node.best_known_height, tip.block.height),
        peers=len(node.peers()),
        pending_transactions=len(node.mempool),
        cursor=str(node.feed.last_sequence),
        upgrade=_due_upgrade(chain.ledger),
        earliest=EarliestView(
            block=stored.first_block,
            state=chain.earliest_value_height,
            proof=max(1, chain.earliest_proof_height),
            cursor=str(stored.first_sequence - 1),
        ),
    )


def _due_upgrade(ledger: Ledger) -> UpgradeView | None:
    """Return the upgrade that is due, and whether this software will do."""
    due = find_due_upgrade(ledger)
    if due is None:
        return None
    is_spoken = due.protocol <= protocol.PROTOCOL_VERSION
    return UpgradeView(height=due.height, protocol=due.protocol, software=due.software, is_spoken=is_spoken)


def read_mempool(call: Call, params: MempoolParams) -> MempoolView:
    """Return what waits for a block, those with the highest fee per byte first."""
    pool = call.node.mempool
    snapshot = pool.snapshot()
    return MempoolView(
        transactions=snapshot.transactions,
        byte_count=snapshot.bytes,
        senders=snapshot.senders,
        pinned_bodies=snapshot.pinned_bodies,
        is_full=snapshot.is_full,
        lowest_fee_rate=snapshot.lowest_fee_rate,
        transactions_max=pool.limits.transactions_max,
        bytes_max=pool.limits.bytes_max,
        per_sender_max=pool.limits.per_sender_max,
        first=[
            PendingView(
                tx_id=transaction.tx_id.hex(),
                sender=describe_account(transaction.body.sender),
                nonce=transaction.body.nonce,
                fee=str(transaction.body.fee),
                byte_count=len(transaction.encoded),
                expires_at_ms=transaction.body.expires_at_ms,
            )
            for transaction in pool.first(params.limit)
        ],
    )


def read_net_info(call: Call, _params: NoParams) -> NetInfoView:
    """Return the connected peers."""
    return NetInfoView(
        node_id=call.node.node_id,
        peers=[
            PeerView(
                node_id=peer.node_id,
                address=peer.address,
                is_outbound=peer.is_outbound,
                height=peer.height,
                score=peer.score,
                connected_ms=peer.connected_ms,
            )
            for peer in call.node.peers()
        ],
    )


def read_consensus_state(call: Call, _params: NoParams) -> ConsensusView:
    """Return the progress of agreement: the current view, and votes and certificates of the views above the final one."""
    consensus, tip = call.node.consensus(), call.node.chain.tip.block
    return ConsensusView(
        epoch=consensus.epoch,
        view=consensus.view,
        leader=describe_validator(consensus.leader),
        failed_views=consensus.failed_views,
        timeout_ms=consensus.timeout_ms,
        is_halted=consensus.is_halted,
        height=tip.height,
        block_hash=tip.block_hash.hex(),
        total_power=consensus.total_power,
        quorum_power=quorum_power(consensus.total_power),
        views=[
            ViewView(
                view=seen.view,
                leader=describe_validator(seen.leader),
                proposal=None if seen.proposal is None else seen.proposal.hex(),
                certificates=list(seen.certificates),
                votes=[
                    VotesView(kind=votes.kind, block_hash=votes.block_hash.hex() or None, power=votes.power)
                    for votes in seen.votes
                ],
            )
            for seen in consensus.views
        ],
    )


def explain_tx(call: Call, params: ExplainParams) -> ExplainView:
    """Return every check that a transaction would meet now, with the value seen, the bound and the remedy."""
    chain = call.node.chain
    transaction = parse_transaction(parse_hex(params.tx), chain.chain_id)
    checks = explain(chain.ledger, transaction, call.node.now_ms(), chain.tip.block)
    return ExplainView(
        tx_id=transaction.tx_id.hex(),
        ok=all(check.ok for check in checks),
        body=describe_short_body(transaction),
        checks=describe_checks(checks),
    )


def describe_checks(checks: Iterable[Check]) -> list[CheckView]:
    """Return the checks of a dry run; what a check does not tell is null."""
    return [
        CheckView(
            name=check.name,
            ok=check.ok,
            reason=check.reason or None,
            seen=check.seen or None,
            bound=check.bound or None,
            remedy=check.remedy or None,
        )
        for check in checks
    ]
