"""Telling the operator of an upgrade that is due: when governance has decided it, and at every start until its height."""

from __future__ import annotations

from collections.abc import Iterable

from node.logs import EventLog
from state import protocol
from state.receipts import EventKind
from state.stored import StoredEvent


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
