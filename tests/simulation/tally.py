"""Sums over many simulations."""

from __future__ import annotations

from collections import Counter

from tests.simulation.run import Report


class Tally:
    """What a series of seeds did in all."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.seeds = 0
        self.sums: Counter[str] = Counter()
        self.heights_by_profile: Counter[str] = Counter()
        self.seeds_by_profile: Counter[str] = Counter()
        self.recovery_ms = 0

    def add(self, report: Report) -> None:
        """Add one seed."""
        self.seeds += 1
        for name in ("heights", "views", "messages", "transactions", "crashes", "restarts", "storms", "convicted"):
            self.sums[name] += getattr(report, name)
        self.sums["epochs"] += report.epochs - 1
        self.sums["real"] += report.is_real
        self.heights_by_profile[report.profile] += report.heights
        self.seeds_by_profile[report.profile] += 1
        self.recovery_ms = max(self.recovery_ms, report.recovery_ms)

    def line(self, seconds: float) -> str:
        """Return the sums in one line."""
        sums, per_second = self.sums, self.sums["heights"] / max(seconds, 0.001)
        return (
            f"{self.seeds} seeds ({sums['real']} with Ed25519 votes), {sums['heights']} heights, {sums['views']} views, "
            f"{sums['epochs']} set changes, {sums['transactions']} transactions, {sums['messages']} messages, "
            f"{sums['crashes']} crashes, {sums['storms']} storms, {sums['convicted']} convictions, "
            f"longest recovery {self.recovery_ms} ms, {seconds:.1f} s, {per_second:.0f} heights/s"
        )

    def profiles(self) -> str:
        """Return seeds and heights of each profile."""
        return ", ".join(
            f"{name} {self.seeds_by_profile[name]}/{self.heights_by_profile[name]}"
            for name in sorted(self.seeds_by_profile)
        )
