"""One order of the naive model: what is known of it, as plain numbers. A millisecond of its machine costs one ubocc."""

from __future__ import annotations

from dataclasses import dataclass

UNIT_MS = 1_024
BEAT, GRACE, MIN_TERM, NOTICE, KEEP_AFTER = (units * UNIT_MS for units in (10, 20, 10, 12, 15))


@dataclass
class Sketch:
    """One order."""

    is_any: bool
    attempts_left: int
    accept_window: int
    start_window: int
    end: int
    accept_by: int
    start_by: int
    given: list[list[int]]
    """Account and amount, in the order of giving."""
    bond: int = 0
    state: str = "open"
    why: str = ""
    machine_earned: int = 0
    once_earned: int = 0
    use_earned: int = 0
    attempt_earned: int = 0
    """Of the machine, in this attempt."""
    attempt_uses: int = 0
    enclave: int | None = None
    locked: int = 0
    accepted: int = 0
    granted: tuple[int, int] | None = None
    """Enclave and epoch."""
    started: int = 0
    paid_up_to: int = 0
    proven: int = 0
    stalled: int = 0
    stop: int = 0
    is_stopped_by_provider: bool = False
    closed: int = 0
    starts: int = 0
    is_marked: bool = False
    receipt_count: int = 0

    @property
    def free(self) -> int:
        """Money that nobody has earned."""
        return sum(amount for _, amount in self.given) - self.earned

    def term_left(self, at: int) -> int:
        """What is left of the machine's least term, in milliseconds and so in ubocc."""
        return max(0, min(self.started + MIN_TERM, self.end) - at) if self.started else 0

    @property
    def spendable(self) -> int:
        """Money that nobody has earned and that is not kept for the machine."""
        return max(0, self.free - self.term_left(self.paid_up_to))

    @property
    def earned(self) -> int:
        """Money that somebody has earned."""
        return self.machine_earned + self.once_earned + self.use_earned

    @property
    def is_closed(self) -> bool:
        """Whether it has ended."""
        return self.state == "closed"
