"""Upgrades of the protocol: scheduled by governance for a height, in force from the beginning of the block at that height on."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from state.errors import TransactionRejected
from state.governance_messages import Upgrade
from state.governance_records import GOVERNANCE_BOOKS, NO_PROPOSALS, UPGRADES, DueUpgrade
from state.protocol import find_due_upgrade
from state.receipts import EventKind
from state.records import ONLY
from state.runtime.context import Context
from state.runtime.reasons import TransactionReason
from state.runtime.trust.rules import note_verifier_change

NOTICE_HEIGHTS: Final = 16
"""Least distance between the block that decides on an upgrade and the first one that needs it, so that it is final long before."""


def check_upgrade(context: Context, upgrade: Upgrade) -> None:
    """Check that an upgrade lies ahead and goes up.

    Raises:
        TransactionRejected: TOO_LATE, PAYLOAD_MALFORMED.
    """
    height_min = context.height + NOTICE_HEIGHTS
    if upgrade.height < height_min:
        raise TransactionRejected(TransactionReason.TOO_LATE, upgrade.height, height_min)
    protocol = (context.ledger.find(GOVERNANCE_BOOKS, ONLY) or NO_PROPOSALS).protocol
    if upgrade.protocol <= protocol:
        raise TransactionRejected(
            TransactionReason.PAYLOAD_MALFORMED, f"protocol {upgrade.protocol}", f"above {protocol}"
        )


def schedule_upgrade(context: Context, upgrade: Upgrade) -> None:
    """Let an upgrade be due, in the place of one that was and has not come."""
    due = DueUpgrade(
        height=upgrade.height,
        protocol=upgrade.protocol,
        software=upgrade.software,
        verifier_changed=upgrade.verifier_changed,
        is_done=False,
    )
    context.ledger.put(UPGRADES, ONLY, due)
    context.emit(EventKind.UPGRADE_DUE, height=upgrade.height, protocol=upgrade.protocol)


def begin_upgrade(context: Context) -> None:
    """Put an upgrade into force at the beginning of the block that is the first to need it."""
    upgrade = find_due_upgrade(context.ledger)
    if upgrade is None or upgrade.height > context.height:
        return
    context.ledger.put(UPGRADES, ONLY, replace(upgrade, is_done=True))
    books = context.ledger.get(GOVERNANCE_BOOKS, ONLY)
    context.ledger.put(GOVERNANCE_BOOKS, ONLY, replace(books, protocol=upgrade.protocol))
    if upgrade.verifier_changed:
        note_verifier_change(context)
