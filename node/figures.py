"""The figures of a running node for its metrics."""

from __future__ import annotations

from node.api.app import Api
from node.facade import NodeFacade
from node.metrics import NodeFigures
from node.outside import AsyncShell
from node.verification import SignaturePool
from state.lists import ListKind, count_members, list_name


def read_figures(node: NodeFacade, shell: AsyncShell, signatures: SignaturePool, api: Api) -> NodeFigures:
    """Return the figures of this moment; the cost does not grow with the chain."""
    driver, chain = node.driver, node.chain
    core = driver.consensus.node
    mempool = node.mempool
    return NodeFigures(
        height=chain.tip.block.height,
        epoch=chain.epoch_start.epoch,
        view=core.view,
        failed_views=core.failed_views,
        block_time_ms=chain.tip.block.time_ms,
        is_syncing=node.is_syncing,
        is_validator=core.state.own_index is not None,
        validators=len(chain.validators),
        peers=len(node.peers()),
        blocks=shell.final_blocks,
        transactions_ok=shell.final_transactions - shell.failed_transactions,
        transactions_failed=shell.failed_transactions,
        mempool_transactions=len(mempool),
        mempool_bytes=mempool.byte_count,
        mempool_admitted={source.value: count for source, count in mempool.admitted.items()},
        mempool_rejected=dict(mempool.rejected),
        mempool_dropped=dict(mempool.dropped),
        peers_punished=dict(shell.punished),
        p2p_dropped=shell.dropped,
        rpc_calls=dict(api.dispatcher.calls),
        rpc_errors=dict(api.dispatcher.errors),
        websockets=api.websocket_count,
        waiters=node.tracker.waiter_count,
        signatures_waiting=signatures.waiting_count,
        p2p_bans=shell.ban_count,
        orders=count_members(chain.ledger, list_name(ListKind.ORDERS)),
        orders_open=count_members(chain.ledger, list_name(ListKind.OPEN_ORDERS)),
    )
