"""Orders a second time, as simply as can be: plain numbers, a millisecond costs one ubocc, and one list of what may come next.

It knows one kind of order: a machine, an image that is free, sealed data with one price, and data that is paid for each output. It
predicts whether a message succeeds, what becomes of each order, and the money of customer and funders to the last ubocc. All times
are multiples of a slot of the wheel, so that each date comes in the first block at or after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.support.order_sketch import BEAT, GRACE, KEEP_AFTER, MIN_TERM, NOTICE, UNIT_MS, Sketch

OWNER_NOTICE = 14 * UNIT_MS
ORDER_KEEP = 60 * UNIT_MS
ONCE_PRICE, USE_PRICE, PENALTY_BP = 50_000, 1_000, 1_000
ROWS_BOND = 4 * 230 * 10
"""What the rows of use of one start keep of an order's bond for ever."""
PLACES = 4
"""Orders that the machine can run at a time."""
START_TIME = 30_000
PROVIDER, CUSTOMER, OWNER = 0, 1, 3
SILENT = {"beat_missed", "enclave_fallen", "funded_again"}


@dataclass
class MarketModel:
    """All orders, the provider's bond, and the accounts of those who pay."""

    balances: dict[int, int]
    bond: int
    data_uses_max: int
    data_uses: int = 0
    orders: dict[bytes, Sketch] = field(default_factory=dict)
    settled: int = 0
    """What orders have paid that are closed, and what their rows of use keep."""
    is_revoked: bool = False
    is_data_frozen: bool = False
    is_machine_frozen: bool = False
    epoch: int = 0
    fallen: set[int] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    """What reviews were asked for: `data`, `machine`, or the number of an enclave."""

    def end_block(self, now: int) -> None:
        """Let all dates pass that have come, then review."""
        for address, order in list(self.orders.items()):
            self.pass_dates(order, now)
            if order.is_closed and order.closed + ORDER_KEEP <= now:
                self.balances[CUSTOMER] += order.bond - order.starts * ROWS_BOND
                self.settled += order.starts * ROWS_BOND
                del self.orders[address]
        for order in self.orders.values():
            if not order.is_closed and self._is_concerned(order):
                self._review(order, now)
                self.pass_dates(order, now)
        self.asked.clear()

    def pass_dates(self, order: Sketch, now: int) -> None:
        """Do what the dates of an order call for, the earliest first."""
        while not order.is_closed:
            date, _, what = min(self._dates(order))
            if date > now:
                return
            getattr(self, f"_{what}")(order, date, now)

    def _dates(self, order: Sketch) -> list[tuple[int, int, str]]:
        if order.state == "open":
            return [(order.accept_by, 0, "miss_accept")]
        if order.state == "accepted":
            return [(order.start_by, 0, "miss_start")]
        wait = BEAT if order.state == "running" else 0
        dates = [(order.end + wait, 0, "finish")]
        if order.stop:
            dates.append((order.stop + wait, 1, "stop_at"))
        if order.state == "running":
            dates.append((order.proven + BEAT, 2, "miss_beat"))
        else:
            dates.append((order.stalled + (KEEP_AFTER if order.why == "out_of_funds" else GRACE), 2, "miss_grace"))
        return dates

    def _miss_accept(self, order: Sketch, _date: int, now: int) -> None:
        self.close(order, "accept_timeout", now)

    def _miss_start(self, order: Sketch, date: int, now: int) -> None:
        if self.is_revoked:
            self.close(order, "policy_revoked", now)
        elif order.granted != (order.enclave, self.epoch):
            self.close(order, "grant_refused", now)
        else:
            self.leave(order, "start_timeout", now, self._penalty(order, date))

    def _finish(self, order: Sketch, _date: int, now: int) -> None:
        is_silent = order.why in SILENT and not self.is_revoked
        if is_silent and order.end - order.paid_up_to > BEAT:
            self.close(order, "provider_fault", now, self._penalty(order, order.paid_up_to))
        else:
            if order.why in {"out_of_funds", "funded_again"} and not self.is_revoked:
                self._cut_off(order, now, is_early=True)
            self.close(order, "done", now)

    def _stop_at(self, order: Sketch, _date: int, now: int) -> None:
        is_silent = order.why in SILENT and not self.is_revoked
        if order.is_stopped_by_provider and is_silent:
            self.leave(order, "provider_fault", now, self._penalty(order, order.paid_up_to))
        elif order.is_stopped_by_provider:
            self.leave(order, "cancelled", now)
        else:
            self.close(order, "policy_revoked", now)

    def _miss_beat(self, order: Sketch, date: int, _now: int) -> None:
        self._stall(order, "beat_missed", date)

    def _miss_grace(self, order: Sketch, _date: int, now: int) -> None:
        if order.why == "out_of_funds":
            if not self.is_revoked:
                self._cut_off(order, now, is_early=True)
            self.close(order, "out_of_funds", now)
        elif self.is_revoked:
            self.close(order, "policy_revoked", now)
        else:
            self.leave(order, "provider_fault", now, self._penalty(order, order.paid_up_to))

    def _stall(self, order: Sketch, why: str, at: int) -> None:
        order.state, order.why, order.stalled = "stalled", why, at

    def _penalty(self, order: Sketch, since: int) -> int:
        return min(order.locked, min(max(0, order.end - since), order.free) * PENALTY_BP // 10_000)

    def _free_machine(self, order: Sketch, penalty: int) -> None:
        self.balances[CUSTOMER] += penalty
        self.bond += order.locked - penalty
        order.locked = 0

    def _cut_off(self, order: Sketch, now: int, *, is_early: bool) -> None:
        """Pay what the customer's end cuts off: a use if there was none, and the rest of the least term."""
        if is_early and not order.attempt_uses:
            self._use(order)
        since = now if order.why in {"beat_missed", "enclave_fallen"} else order.paid_up_to
        order.machine_earned += min(order.free, order.term_left(since))

    def close(self, order: Sketch, why: str, now: int, penalty: int = 0) -> None:
        """End an order: whoever gave last is given back first."""
        self._free_machine(order, penalty)
        left = order.free
        for account, amount in reversed(order.given):
            back = min(left, amount)
            self.balances[account] += back
            left -= back
        self.settled += order.earned
        order.state, order.why, order.closed = "closed", why, now

    def leave(self, order: Sketch, why: str, now: int, penalty: int = 0) -> None:
        """Offer an order again, or end it."""
        if not order.attempts_left or order.end <= now:
            self.close(order, why, now, penalty)
        elif self.is_withdrawn(is_machine=not order.is_any or order.enclave is not None):
            self.close(order, "policy_revoked", now, penalty)
        else:
            self._free_machine(order, penalty)
            order.state, order.why, order.enclave, order.granted = "open", "", None, None
            order.attempts_left -= 1
            order.accept_by = min(order.end, now + order.accept_window)
            order.start_by = min(order.end, order.accept_by + order.start_window)
            order.started = order.paid_up_to = order.proven = order.stalled = order.stop = order.attempt_earned = 0
            order.attempt_uses = 0

    def is_withdrawn(self, *, is_machine: bool) -> bool:
        """Tell whether something that an order uses is withdrawn."""
        return self.is_revoked or self.is_data_frozen or (is_machine and self.is_machine_frozen)

    def is_used_up(self, order: Sketch | None = None) -> bool:
        """Tell whether others have had or were promised all uses, each by a key that waits for its start."""
        waiting = [other for other in self.orders.values() if other.state == "accepted" and other.granted is not None]
        return self.data_uses + sum(other is not order for other in waiting) >= self.data_uses_max

    def _is_concerned(self, order: Sketch) -> bool:
        uses_machine = not order.is_any or order.enclave is not None
        names = {"data", *(["machine"] if uses_machine else []), str(order.enclave)}
        return bool(self.asked & names)

    def _review(self, order: Sketch, now: int) -> None:
        uses_machine = not order.is_any or order.enclave is not None
        if order.state in {"open", "accepted"}:
            if self.is_withdrawn(is_machine=uses_machine):
                self.close(order, "policy_revoked", now)
            return
        if self.is_machine_frozen:
            self.give_notice(order, NOTICE, MIN_TERM, now, is_provider=True)
        if self.is_data_frozen:
            self.give_notice(order, OWNER_NOTICE, 0, now, is_provider=False)
        if order.state == "running" and self.is_revoked:
            self._stall(order, "release_revoked", now)
        if order.state == "running" and order.enclave in self.fallen:
            self._stall(order, "enclave_fallen", now)

    def give_notice(self, order: Sketch, notice: int, least: int, now: int, *, is_provider: bool) -> None:
        """Let a started order end later; the earliest notice counts."""
        stop = max(now + notice, order.started + least)
        if not order.stop or stop < order.stop:
            order.stop, order.is_stopped_by_provider = stop, is_provider

    def fund(self, order: Sketch, account: int, amount: int, now: int) -> bool:
        """Put more money in."""
        if order.is_closed:
            return False
        if order.given[-1][0] == account:
            order.given[-1][1] += amount
        else:
            order.given.append([account, amount])
        self.balances[account] -= amount
        if order.why == "out_of_funds" and self._is_funded(order):
            self._stall(order, "funded_again", now)
        return True

    def _is_funded(self, order: Sketch) -> bool:
        return order.free > 0 and order.spendable >= USE_PRICE

    def accept(self, order: Sketch, enclave: int, now: int) -> bool:
        """Bind an enclave."""
        running = sum(other.enclave is not None and not other.is_closed for other in self.orders.values())
        least = (0 if order.once_earned else ONCE_PRICE) + USE_PRICE + MIN_TERM
        penalty = min(order.end - now, order.free) * PENALTY_BP // 10_000
        if (
            order.state != "open"
            or self.is_withdrawn(is_machine=True)
            or enclave in self.fallen
            or self.is_used_up(order)
            or running >= PLACES
            or order.free < least
            or penalty > self.bond
        ):
            return False
        self.bond -= penalty
        order.state, order.enclave, order.locked, order.accepted = "accepted", enclave, penalty, now
        order.start_by = max(order.start_by, min(order.end, now + START_TIME))
        return True

    def grant(self, order: Sketch, now: int, *, is_refused: bool) -> bool:
        """Release the key, or refuse to."""
        if order.state != "accepted":
            return False
        if is_refused:
            self.close(order, "grant_refused", now)
            return True
        if order.enclave in self.fallen or self.is_revoked or self.is_used_up(order):
            return False
        granted = (order.enclave or 0, self.epoch)
        if order.granted != granted:
            order.start_by = max(order.start_by, min(order.end, now + BEAT + GRACE))
        order.granted = granted
        return True

    def receive(self, order: Sketch, what: str, at: int, now: int) -> bool:
        """Take a receipt that names a block of time `at`."""
        if not self._may_receive(order, what):
            return False
        order.receipt_count += 1
        if what == "start":
            self._start(order, now)
        elif what == "fail":
            if order.state == "running":
                self._pay(order, at)
            self._cut_off(order, now, is_early=False)
            self.close(order, "failed", now)
        elif what == "beat":
            self._work(order, at, now)
        elif what in {"output", "last_output"}:
            self._give_output(order, what, at, now)
        return True

    def _may_receive(self, order: Sketch, what: str) -> bool:
        allowed = {
            "start": {"accepted"},
            "beat": {"running", "stalled"},
            "output": {"running", "stalled"},
            "last_output": {"running", "stalled"},
            "fail": {"accepted", "running", "stalled"},
            "erase": {"running", "stalled", "closed"},
        }[what]
        if order.enclave is None or order.state not in allowed:
            return False
        if what == "erase":
            return order.started > 0
        if order.enclave in self.fallen or self.is_revoked:
            return False
        if what == "start":
            return order.granted == (order.enclave, self.epoch)
        return order.why != "out_of_funds" or what not in {"beat", "output"}

    def _start(self, order: Sketch, now: int) -> None:
        order.started = order.paid_up_to = order.proven = now
        if not order.starts:
            order.once_earned = min(order.free, ONCE_PRICE)
        order.starts, self.data_uses, order.state = order.starts + 1, self.data_uses + 1, "running"

    def _pay(self, order: Sketch, at: int) -> None:
        """Pay one ubocc for each proven millisecond, as long as there is one."""
        limit = min(order.end, order.stop) if order.stop else order.end
        amount = min(max(0, min(at, limit) - order.paid_up_to), order.free)
        order.machine_earned += amount
        order.attempt_earned += amount
        order.paid_up_to += amount
        order.proven = max(order.proven, at)

    def _work(self, order: Sketch, at: int, now: int) -> None:
        if order.state == "stalled":
            order.state, order.why, order.stalled, order.paid_up_to = "running", "", 0, now
        self._pay(order, at)
        self._end_if_over(order, now)

    def _end_if_over(self, order: Sketch, now: int) -> None:
        if order.paid_up_to >= order.end:
            self.close(order, "done", now)
        elif order.stop and order.paid_up_to >= order.stop:
            self._stop_at(order, order.stop, now)
        elif not self._is_funded(order):
            self._stall(order, "out_of_funds", now)

    def _give_output(self, order: Sketch, what: str, at: int, now: int) -> None:
        is_last = what == "last_output"
        if order.state == "stalled" and not is_last:
            self._work(order, at, now)
            if order.state != "running":
                return
        if order.state == "running":
            self._pay(order, at)
        self._use(order)
        if is_last:
            self._cut_off(order, now, is_early=False)
            self.close(order, "done", now)
        else:
            self._end_if_over(order, now)

    def _use(self, order: Sketch) -> None:
        order.use_earned += min(order.spendable, USE_PRICE)
        order.attempt_uses += 1

    def end_by_message(self, order: Sketch, account: int, now: int) -> bool:
        """End an order as one of its parties."""
        if order.is_closed:
            return False
        if account == CUSTOMER:
            is_at_work = order.state == "running" and order.enclave not in self.fallen
            if not self.is_revoked and (is_at_work or order.why in {"out_of_funds", "funded_again"}):
                self._cut_off(order, now, is_early=True)
            self.close(order, "cancelled", now)
        elif account == PROVIDER and order.enclave is not None:
            self._leave_by_message(order, now)
        elif account == OWNER and order.state == "running":
            self.give_notice(order, OWNER_NOTICE, 0, now, is_provider=False)
        elif account == OWNER or (account == PROVIDER and not order.is_any):
            self.close(order, "policy_revoked", now)
        else:
            return False
        return True

    def _leave_by_message(self, order: Sketch, now: int) -> None:
        has_no_key = order.state == "accepted" and order.granted != (order.enclave, self.epoch)
        is_kept = has_no_key and now - order.accepted >= BEAT + GRACE
        if order.state == "running":
            self.give_notice(order, NOTICE, MIN_TERM, now, is_provider=True)
        elif order.why == "out_of_funds" or self.is_revoked or is_kept:
            self.leave(order, "cancelled", now)
        else:
            self.leave(order, "provider_fault", now, self._penalty(order, order.paid_up_to or now))

    def mark(self, order: Sketch, account: int) -> bool:
        """Put the customer's mark on record."""
        if account != CUSTOMER or not order.is_closed or not order.started or order.is_marked:
            return False
        order.is_marked = True
        return True
