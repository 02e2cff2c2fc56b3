"""Liveness and readiness: is the process worth keeping, and can this node answer for the chain?

Live means that the event loop and the consensus driver move and agreement is not broken. Ready means besides that the database
answers, enough peers are there, and the newest block is neither old nor far behind. Each failing check says what it saw and needs.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from node.api.context import NodeContext
from state.errors import StorageFault

LOOP_LAG_MS_MAX: Final = 5_000
DRIVER_AGE_MS_MAX: Final = 15_000
"""The driver has a heartbeat every second."""
HEIGHT_GAP_MAX: Final = 2


class Check(Struct, frozen=True):
    """One condition of health."""

    name: str
    ok: bool
    seen: int | str
    bound: int | str


class Health(Struct, frozen=True):
    """All conditions together."""

    ok: bool
    checks: tuple[Check, ...]


def judge_liveness(node: NodeContext) -> Health:
    """Judge whether the process moves."""
    facts = node.health()
    return _judge(
        Check("loop_lag_ms", facts.loop_lag_ms <= LOOP_LAG_MS_MAX, facts.loop_lag_ms, LOOP_LAG_MS_MAX),
        Check("driver_age_ms", facts.driver_age_ms <= DRIVER_AGE_MS_MAX, facts.driver_age_ms, DRIVER_AGE_MS_MAX),
        Check("agreement", not facts.halted, facts.halted or "not broken", "not broken"),
    )


def judge_readiness(node: NodeContext) -> Health:
    """Judge whether this node's answers are those of the chain."""
    facts, tip = node.health(), node.chain.tip.block
    peers, gap = len(node.peers()), node.best_known_height - tip.height
    head_age_ms = max(0, node.now_ms() - tip.time_ms)
    is_fresh = not facts.head_age_ms_max or head_age_ms <= facts.head_age_ms_max
    return _judge(
        *judge_liveness(node).checks,
        _check_database(node),
        Check("peers", peers >= facts.peers_needed, peers, facts.peers_needed),
        Check("syncing", not node.is_syncing, "yes" if node.is_syncing else "no", "no"),
        Check("blocks_behind", gap <= HEIGHT_GAP_MAX, max(0, gap), HEIGHT_GAP_MAX),
        Check("head_age_ms", is_fresh, head_age_ms, facts.head_age_ms_max or "any"),
    )


def _check_database(node: NodeContext) -> Check:
    try:
        height = node.chain.views.status().height
    except StorageFault as fault:
        node.fail(fault)
        return Check("database", ok=False, seen="fails", bound="answers")
    return Check("database", ok=True, seen=f"height {height}", bound="answers")


def _judge(*checks: Check) -> Health:
    return Health(all(check.ok for check in checks), checks)
