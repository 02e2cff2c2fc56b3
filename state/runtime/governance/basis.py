"""What a proposal replaces as a whole: groups of parameters, and the rules of appraisal.

Such a change names every value of a group, also those that it leaves as they are. So it remembers what stood there when it was
proposed, and fails if something else does when it is applied: validators have agreed to a difference, not to undoing another's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from state.codec import Wire, encode
from state.crypto import tag, tagged_hash
from state.governance_messages import ChangeParams, Payload, SetRules
from state.ledger import Ledger
from state.records import ONLY, PARAMS
from state.trust_records import APPRAISAL_RULES

_BASIS_TAG: Final = tag("proposal-basis")


class Replacement(Struct, frozen=True):
    """What stands in a place, and what a proposal puts there."""

    present: Wire
    proposed: Wire


def find_replacements(ledger: Ledger, payload: Payload) -> Mapping[str, Replacement]:
    """Return what a change replaces as a whole by its name in the payload, in the payload's order; nothing of most kinds."""
    match payload:
        case ChangeParams():
            params = ledger.get(PARAMS, ONLY)
            groups = ((name, getattr(payload, name)) for name in payload.__struct_fields__)
            return {name: Replacement(getattr(params, name), group) for name, group in groups if group is not None}
        case SetRules(rules=rules):
            return {"rules": Replacement(ledger.get(APPRAISAL_RULES, ONLY), rules)}
        case _:
            return {}


def find_basis(ledger: Ledger, payload: Payload) -> bytes:
    """Return the digest of all that a change replaces, as it stands now; no bytes if it replaces nothing."""
    replacements = find_replacements(ledger, payload)
    if not replacements:
        return b""
    return tagged_hash(_BASIS_TAG, encode(tuple(each.present for each in replacements.values())))
