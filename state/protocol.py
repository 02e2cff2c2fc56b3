"""Which protocol this software speaks, and which one a block needs: governance moves the chain on at a height, for all at once.

A node that is too old stops before it votes on, executes or builds the first block that it might judge otherwise than others. What
changes with a version asks `protocol_at`, so that a new release judges blocks from before the height as the old one did.
"""

from __future__ import annotations

from typing import Final

from state.errors import UpgradeNeeded
from state.governance_records import GOVERNANCE_BOOKS, NO_PROPOSALS, UPGRADES, DueUpgrade
from state.ledger import Ledger
from state.records import ONLY

PROTOCOL_VERSION: Final = 1
"""The highest protocol that this software speaks; it speaks all before."""


def find_due_upgrade(ledger: Ledger) -> DueUpgrade | None:
    """Return the upgrade whose height has not come, or None."""
    upgrade = ledger.find(UPGRADES, ONLY)
    return None if upgrade is None or upgrade.is_done else upgrade


def protocol_at(ledger: Ledger, height: int) -> int:
    """Return the protocol of a block at a height on this state, its parent's."""
    upgrade = find_due_upgrade(ledger)
    if upgrade is not None and upgrade.height <= height:
        return upgrade.protocol
    return (ledger.find(GOVERNANCE_BOOKS, ONLY) or NO_PROPOSALS).protocol


def is_spoken(ledger: Ledger, height: int) -> bool:
    """Tell whether this software speaks the protocol of a block at a height on this state, its parent's."""
    return protocol_at(ledger, height) <= PROTOCOL_VERSION


def check_protocol(ledger: Ledger, height: int) -> None:
    """Check that this software speaks the protocol of a block at a height on this state, its parent's.

    Raises:
        UpgradeNeeded: it does not.
    """
    if not is_spoken(ledger, height):
        needed = protocol_at(ledger, height)
        upgrade = ledger.get(UPGRADES, ONLY)
        raise UpgradeNeeded(
            f"block {height} needs protocol {needed}, this software speaks {PROTOCOL_VERSION}:"
            f" install {upgrade.software} or newer and start the node again"
        )
