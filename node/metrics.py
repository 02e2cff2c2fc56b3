"""Prometheus metrics of one node. Names never change once released; no label names a peer, so their number is bounded.

Gauges and counters are read from the node when a scrape asks; only durations are observed as they happen. Each node has its own
registry, so several may live in one process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Struct
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
FINALITY_BUCKETS_S: Final = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
LAG_BUCKETS_S: Final = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_NONE: Final[Mapping[str, int]] = {}


class NodeFigures(Struct, frozen=True, kw_only=True):
    """The figures of a node at one moment. Counts only grow while the process lives."""

    height: int
    epoch: int
    view: int
    failed_views: int
    block_time_ms: int
    is_syncing: bool
    is_validator: bool
    """Whether its validator is in the present set."""
    validators: int
    peers: int
    blocks: int
    """Made final."""
    transactions_ok: int
    """In final blocks, by receipt."""
    transactions_failed: int
    mempool_transactions: int
    mempool_bytes: int
    mempool_admitted: Mapping[str, int] = _NONE
    """By source."""
    mempool_rejected: Mapping[str, int] = _NONE
    """By reason."""
    mempool_dropped: Mapping[str, int] = _NONE
    """By cause."""
    peers_punished: Mapping[str, int] = _NONE
    """By reason."""
    p2p_dropped: Mapping[str, int] = _NONE
    """By channel."""
    rpc_calls: Mapping[str, int] = _NONE
    """By method."""
    rpc_errors: Mapping[str, int] = _NONE
    """By reason."""
    websockets: int = 0
    waiters: int = 0
    signatures_waiting: int = 0
    p2p_bans: int = 0
    orders: int = 0
    """On record after the newest final block."""
    orders_open: int = 0
    """Of these, those that wait for a provider."""


class Metrics:
    """The registry of one node: what is observed, and what is read at a scrape."""

    def __init__(self, read_figures: Callable[[], NodeFigures]) -> None:
        """Ask read_figures at each scrape."""
        self._registry = CollectorRegistry()
        self._finality = Histogram(
            "bocc_finality_seconds",
            "From a block's time to its finality here.",
            buckets=FINALITY_BUCKETS_S,
            registry=self._registry,
        )
        self._loop_lag = Histogram(
            "bocc_loop_lag_seconds",
            "How late the event loop wakes a task.",
            buckets=LAG_BUCKETS_S,
            registry=self._registry,
        )
        self._registry.register(_FigureCollector(read_figures))

    def observe_finality(self, seconds: float) -> None:
        """Count a block that became final this long after its own time."""
        self._finality.observe(max(0.0, seconds))

    def observe_loop_lag(self, seconds: float) -> None:
        """Count how much later than asked the loop woke a task."""
        self._loop_lag.observe(max(0.0, seconds))

    def render(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)


class _FigureCollector(Collector):
    """Turns figures into metric families."""

    def __init__(self, read_figures: Callable[[], NodeFigures]) -> None:
        self._read_figures = read_figures

    def describe(self) -> Iterable[Metric]:
        """Say nothing before the first scrape, so that registering does not read the node."""
        return ()

    def collect(self) -> Iterable[Metric]:
        figures = self._read_figures()
        yield from _gauges(figures)
        yield from _counters(figures)


def _gauges(figures: NodeFigures) -> Iterable[Metric]:
    for name, text, value in (
        ("bocc_consensus_height", "Height of the newest final block.", figures.height),
        ("bocc_consensus_epoch", "Epoch of the next block.", figures.epoch),
        ("bocc_consensus_view", "Current view within the epoch.", figures.view),
        ("bocc_consensus_failed_views", "Consecutive views left without a block.", figures.failed_views),
        ("bocc_consensus_validators", "Validators of the epoch.", figures.validators),
        ("bocc_consensus_is_validator", "1 if this node's validator is in the set.", int(figures.is_validator)),
        ("bocc_block_time_seconds", "Time of the newest final block, since 1970.", figures.block_time_ms / 1_000),
        ("bocc_syncing", "1 while the node catches up by blocks.", int(figures.is_syncing)),
        ("bocc_mempool_transactions", "Pending transactions.", figures.mempool_transactions),
        ("bocc_mempool_bytes", "Bytes of pending transactions.", figures.mempool_bytes),
        ("bocc_p2p_peers", "Connected peers.", figures.peers),
        ("bocc_rpc_websockets", "Open WebSockets.", figures.websockets),
        ("bocc_rpc_waiters", "Calls that wait for a transaction.", figures.waiters),
        ("bocc_signatures_waiting", "Transactions whose signatures wait for verification.", figures.signatures_waiting),
        ("bocc_orders", "Orders on record, closed ones for a while.", figures.orders),
        ("bocc_orders_open", "Orders that wait for a provider.", figures.orders_open),
    ):
        yield GaugeMetricFamily(name, text, value=value)


def _counters(figures: NodeFigures) -> Iterable[Metric]:
    yield CounterMetricFamily("bocc_blocks", "Blocks made final since the start.", value=figures.blocks)
    yield CounterMetricFamily("bocc_p2p_bans", "Peers shut out for a while.", value=figures.p2p_bans)
    transactions = {"ok": figures.transactions_ok, "failed": figures.transactions_failed}
    for name, text, label, counts in (
        ("bocc_transactions", "Transactions in final blocks since the start.", "status", transactions),
        ("bocc_mempool_admitted", "Transactions admitted.", "source", figures.mempool_admitted),
        ("bocc_mempool_rejected", "Transactions refused.", "reason", figures.mempool_rejected),
        (
            "bocc_mempool_dropped",
            "Pending transactions dropped without being included.",
            "cause",
            figures.mempool_dropped,
        ),
        ("bocc_p2p_punished", "Violations counted against peers.", "reason", figures.peers_punished),
        ("bocc_p2p_dropped", "Messages of peers that found no room.", "channel", figures.p2p_dropped),
        ("bocc_rpc_calls", "Calls of the API.", "method", figures.rpc_calls),
        ("bocc_rpc_errors", "Calls answered with an error.", "reason", figures.rpc_errors),
    ):
        family = CounterMetricFamily(name, text, labels=(label,))
        for label_value, count in sorted(counts.items()):
            family.add_metric((label_value,), count)
        yield family
