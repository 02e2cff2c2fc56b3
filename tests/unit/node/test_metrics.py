"""Laws of metrics: the names that dashboards rely on, read at the scrape, one registry a node, no label that grows."""

from __future__ import annotations

import re

from node.metrics import Metrics, NodeFigures

RELEASED = {
    "bocc_blocks_total",
    "bocc_block_time_seconds",
    "bocc_consensus_epoch",
    "bocc_consensus_failed_views",
    "bocc_consensus_height",
    "bocc_consensus_is_validator",
    "bocc_consensus_validators",
    "bocc_consensus_view",
    "bocc_finality_seconds",
    "bocc_loop_lag_seconds",
    "bocc_mempool_admitted_total",
    "bocc_mempool_bytes",
    "bocc_mempool_dropped_total",
    "bocc_mempool_rejected_total",
    "bocc_mempool_transactions",
    "bocc_orders",
    "bocc_orders_open",
    "bocc_p2p_bans_total",
    "bocc_p2p_dropped_total",
    "bocc_p2p_peers",
    "bocc_p2p_punished_total",
    "bocc_rpc_calls_total",
    "bocc_rpc_errors_total",
    "bocc_rpc_waiters",
    "bocc_rpc_websockets",
    "bocc_signatures_waiting",
    "bocc_syncing",
    "bocc_transactions_total",
}


def figures(**changes):
    base = {
        "height": 7,
        "epoch": 1,
        "view": 9,
        "failed_views": 0,
        "block_time_ms": 1_500,
        "is_syncing": False,
        "is_validator": True,
        "validators": 4,
        "peers": 3,
        "blocks": 5,
        "transactions_ok": 10,
        "transactions_failed": 2,
        "mempool_transactions": 1,
        "mempool_bytes": 170,
        "mempool_rejected": {"duplicate": 3},
        "p2p_dropped": {"consensus": 6},
        "p2p_bans": 8,
    }
    return NodeFigures(**(base | changes))


def samples(metrics):
    """Return the samples of a scrape by name with labels."""
    lines = [line for line in metrics.render().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def names(metrics):
    types = re.findall(r"^# TYPE (\S+)", metrics.render().decode(), re.MULTILINE)
    return {name for name in types if not name.endswith("_created")}


def test_released_names_stay():
    assert names(Metrics(figures)) == RELEASED


def test_figures_are_read_at_the_scrape_and_not_before():
    heights = iter([7, 8])
    metrics = Metrics(lambda: figures(height=next(heights)))
    assert samples(metrics)["bocc_consensus_height"] == 7
    assert samples(metrics)["bocc_consensus_height"] == 8


def test_counts_have_their_labels():
    seen = samples(Metrics(figures))
    assert seen['bocc_transactions_total{status="ok"}'] == 10
    assert seen['bocc_transactions_total{status="failed"}'] == 2
    assert seen['bocc_mempool_rejected_total{reason="duplicate"}'] == 3
    assert seen['bocc_p2p_dropped_total{channel="consensus"}'] == 6
    assert seen["bocc_p2p_bans_total"] == 8
    assert seen["bocc_block_time_seconds"] == 1.5


def test_durations_are_counted_in_buckets_and_never_negative():
    metrics = Metrics(figures)
    metrics.observe_finality(0.025)
    metrics.observe_finality(-1)
    metrics.observe_loop_lag(0.5)
    seen = samples(metrics)
    assert seen["bocc_finality_seconds_count"] == 2
    assert seen['bocc_finality_seconds_bucket{le="0.03"}'] == 2
    assert seen['bocc_finality_seconds_bucket{le="0.02"}'] == 1
    assert seen["bocc_finality_seconds_sum"] == 0.025
    assert seen["bocc_loop_lag_seconds_count"] == 1


def test_nodes_of_one_process_do_not_share_metrics():
    first, second = Metrics(figures), Metrics(lambda: figures(height=1))
    first.observe_finality(1)
    assert samples(second)["bocc_finality_seconds_count"] == 0
    assert samples(second)["bocc_consensus_height"] == 1


def test_no_label_names_a_peer():
    assert "peer=" not in Metrics(lambda: figures(peers_punished={"bad_signature": 1})).render().decode()
