"""An upgrade that is due: telling the operator when governance has decided it and at every start, and stopping at its height.

A node that is too old builds no block that needs the upgrade and gives no verdict on one. It stops a little after all below is
final, so that it can still give the last blocks to others and answers to those who wait. If the last block that it can judge does
not become final, for too few go on, it waits and says for what.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from node.logs import EventLog
from state import protocol
from state.chain import Chain
from state.receipts import EventKind
from state.stored import StoredEvent

LINGER_MS: Final = 3_000
"""Time between the last block that a node that is too old can judge, when it is final, and its end."""


class UpgradeWatch:
    """Ends a node that can go no further."""

    def __init__(self, chain: Chain, log: EventLog) -> None:
        """Watch the blocks of a chain."""
        self._chain = chain
        self._log = log
        self._waits_since_ms: int | None = None
        """When the last block that this software can judge was first seen executed."""
        self._has_told = False
        self._since_ms: int | None = None
        """When the newest final block was first seen to be the last that this software can judge."""

    def tick(self, now_ms: int) -> None:
        """Look whether it is time; called about ten times a second with a monotonic clock.

        Raises:
            UpgradeNeeded: the next block needs a newer software, and others have had time to come as far.
        """
        height = self._chain.tip.block.height + 1
        if protocol.is_spoken(self._chain.ledger, height):
            self._tell_if_waiting(now_ms)
            return
        if self._since_ms is None:
            self._since_ms = now_ms
        elif now_ms - self._since_ms >= LINGER_MS:
            protocol.check_protocol(self._chain.ledger, height)

    def _tell_if_waiting(self, now_ms: int) -> None:
        """Warn once if the last block that this software can judge is executed, but has not been final for a while."""
        due = protocol.find_due_upgrade(self._chain.ledger)
        if due is None or due.protocol <= protocol.PROTOCOL_VERSION or self._chain.executed_height + 1 < due.height:
            return
        if self._waits_since_ms is None:
            self._waits_since_ms = now_ms
        elif not self._has_told and now_ms - self._waits_since_ms >= LINGER_MS:
            self._has_told = True
            self._log.warning(
                "upgrade_needed",
                height=due.height,
                protocol=due.protocol,
                speaks=protocol.PROTOCOL_VERSION,
                advice=f"this node goes no further, and waits for block {due.height - 1} to be final:"
                f" install {due.software} and start it again",
            )


def tell_upgrade(log: EventLog, height: int, needed: int) -> None:
    """Say from which height on which protocol is needed: a warning if this software is too old for it."""
    spoken = protocol.PROTOCOL_VERSION
    if needed > spoken:
        advice = "install a release that speaks it; this node stops before that height"
        log.warning("upgrade_due", height=height, protocol=needed, speaks=spoken, advice=advice)
    else:
        log.info("upgrade_due", height=height, protocol=needed, speaks=spoken)


def tell_upgrades(log: EventLog, events: Iterable[StoredEvent]) -> None:
    """Tell those upgrades that newly final blocks have scheduled."""
    for stored in events:
        if stored.event.kind is EventKind.UPGRADE_DUE:
            told = dict(stored.event.attributes)
            height, needed = told["height"], told["protocol"]
            assert isinstance(height, int), "the kind of event says so"
            assert isinstance(needed, int), "the kind of event says so"
            tell_upgrade(log, height, needed)
