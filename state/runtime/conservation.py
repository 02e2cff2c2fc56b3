"""Where all money is: each block checks that what its records hold still sums to what was issued.

The totals are not kept by the handlers: they follow from the records that a block changed, so a handler that makes or loses money
anywhere breaks the sum in the same block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from state.errors import ensure
from state.governance_records import PROPOSALS
from state.ledger import Overlay
from state.order_records import ORDERS
from state.records import ACCOUNTS, HOLDINGS, MONEY, ONLY, UNBONDINGS, VALIDATORS, Money
from state.resource_records import ENDORSEMENTS, RESOURCES

_Share = tuple[str, Callable[[Any], int]]  # Any: the record type of the row's table

SHARES_BY_TABLE: Final[Mapping[int, tuple[_Share, ...]]] = {
    ACCOUNTS.prefix[0]: (("balances", lambda account: account.balance),),
    HOLDINGS.prefix[0]: (("provider_bonds", lambda holdings: holdings.provider_bond + holdings.provider_locked),),
    VALIDATORS.prefix[0]: (
        ("bonded", lambda validator: validator.stake),
        ("unbonding", lambda validator: validator.unbonding),
    ),
    RESOURCES.prefix[0]: (("storage_bonds", lambda resource: resource.bond_locked),),
    ENDORSEMENTS.prefix[0]: (("storage_bonds", lambda endorsement: endorsement.bond_locked),),
    ORDERS.prefix[0]: (
        ("escrows", lambda order: order.held),
        ("storage_bonds", lambda order: order.bond_locked),
    ),
    PROPOSALS.prefix[0]: (("deposits", lambda proposal: proposal.deposit),),
    UNBONDINGS.prefix[0]: (("unbonding", lambda entry: 0 if entry.is_slashable else entry.amount),),
}
"""For each table with money: the class of Money it belongs to, and how much a record holds."""


def sum_by_class(records: Iterable[tuple[bytes, Any]]) -> dict[str, int]:
    """Return the money of records, given as raw key and record, by class. Over the whole state it is the full scan of tests."""
    sums: dict[str, int] = {}
    for raw_key, record in records:
        for name, amount_of in SHARES_BY_TABLE.get(raw_key[0], ()):
            sums[name] = sums.get(name, 0) + amount_of(record)
    return sums


def settle_totals(ledger: Overlay) -> Money:
    """Bring the running totals up to date with the block's records and check the sum; return and store them.

    A difference is our own mistake, never a sender's: it stops the node.
    """
    before: list[tuple[bytes, Any]] = []
    after: list[tuple[bytes, Any]] = []
    for raw_key, record_before, record_after in ledger.differences():
        if raw_key[0] in SHARES_BY_TABLE:
            if record_before is not None:
                before.append((raw_key, record_before))
            if record_after is not None:
                after.append((raw_key, record_after))
    sums_before, sums_after = sum_by_class(before), sum_by_class(after)
    money = ledger.get(MONEY, ONLY)
    moved = {
        name: getattr(money, name) + sums_after.get(name, 0) - sums_before.get(name, 0)
        for name in sums_before.keys() | sums_after.keys()
    }
    money = replace(money, **moved)
    check_conserved(money)
    ledger.put(MONEY, ONLY, money)
    return money


def check_conserved(money: Money) -> None:
    """Check that no class is negative and all together are what was issued; also when Python optimises.

    Raises:
        AssertionError: a handler made or lost money.
    """
    classes = [getattr(money, name) for name in Money.__struct_fields__ if name != "issued"]
    ensure(min(classes) >= 0, f"a class of money is negative: {money}")
    ensure(sum(classes) == money.issued, f"money is not conserved: {money}")
