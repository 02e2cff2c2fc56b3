"""The simulation notices what it is there for: each fault put into the program breaks the invariant that it should."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consensus.assistance import Assistance
from consensus.core import Consensus
from consensus.inputs import TimerKind
from consensus.participant import Participant
from consensus.signing import VoteSigner
from node import driver
from node.driver import Driver
from node.vote_log import VoteLog
from state import chain as chain_module
from state.chain_commit import block_records
from tests.simulation.crashing import SimulatedLog
from tests.simulation.profiles import PROFILE_BY_NAME
from tests.simulation.run import simulate
from tests.simulation.violation import Violation

SEEDS = 6
HEIGHTS = 16

Fault = Callable[[pytest.MonkeyPatch], None]


def never_sync(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(VoteLog, "sync", lambda _self: None)


def sync_after_sending(patch: pytest.MonkeyPatch) -> None:
    """Send first, then make durable: what W1 forbids, and what no test without crashes would notice."""
    send = Driver._send

    def late(self: Driver, peer: str | None, message: object) -> None:
        sync, self._log.sync = self._log.sync, lambda: None
        try:
            send(self, peer, message)
        finally:
            self._log.sync = sync
        sync()

    patch.setattr(Driver, "_send", late)


def sign_everything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(VoteSigner, "may_sign", lambda self, vote: vote.view > self._floor[1])


def forget_the_log(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SimulatedLog, "records", lambda _self: ())


def log_no_bodies(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Driver, "_persist_block", lambda _self, _effect: None)


def store_no_certificates(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        chain_module, "block_records", lambda block, _certificate, sequence: block_records(block, None, sequence)
    )


def find_work_always(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(driver, "has_due_work", lambda *_: True)


def never_help(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Consensus, "_retry", lambda _self: None)
    patch.setattr(Assistance, "may_answer", lambda *_: False)


def talk_all_the_time(patch: pytest.MonkeyPatch) -> None:
    set_timer = Participant.set_timer

    def set_short_timer(self: Participant, kind: TimerKind, delay_ms: int) -> None:
        set_timer(self, kind, 1 if kind is TimerKind.STATUS else delay_ms)

    patch.setattr(Participant, "set_timer", set_short_timer)


FAULTS = (
    (never_sync, "calm", "L2"),
    (sync_after_sending, "calm", "L2"),
    (sign_everything, "twins-crashes", "L1|G7|G3|G1"),
    (forget_the_log, "power", "L1|G7|G3|G1|L3"),
    (log_no_bodies, "power", "W2"),
    (store_no_certificates, "calm", "L5|L7"),
    (find_work_always, "idle", "idle"),
    (never_help, "network", "G9"),
    (talk_all_the_time, "calm", "G10"),
)


def run_seeds(profile: str) -> None:
    for seed in range(SEEDS):
        simulate(seed, PROFILE_BY_NAME[profile], HEIGHTS)


@pytest.mark.parametrize(("fault", "profile", "law"), FAULTS, ids=[fault.__name__ for fault, _, _ in FAULTS])
def test_a_fault_breaks_its_invariant(fault: Fault, profile: str, law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    with pytest.raises(Violation, match=f"^({law})"):
        run_seeds(profile)
