"""Work and fees: what a transaction counts towards the block's limit, and the least it must pay."""

from __future__ import annotations

from functools import lru_cache

from state.params import Params
from state.runtime.dispatch import HANDLERS
from state.transactions import Transaction


class PriceTable:
    """Prices under one set of parameters."""

    __slots__ = ("_fees", "_work_by_type")

    def __init__(self, params: Params) -> None:
        """Merge the handlers' work with the parameters' overrides."""
        self._fees = params.fees
        overrides = {override.message: override.work for override in params.fees.work_overrides}
        self._work_by_type = {
            message_type: overrides.get(message_tag(message_type), handler.work)
            for message_type, handler in HANDLERS.items()
        }

    def work(self, transaction: Transaction) -> int:
        """Return the work units of a transaction: its signatures and its messages."""
        work = len(transaction.signatures) * self._fees.signature_work
        for message in transaction.body.messages:
            work += self._work_by_type[type(message)]
        return work

    def fee(self, transaction: Transaction) -> int:
        """Return the least fee of a transaction in ubocc."""
        fees = self._fees
        return fees.base + fees.per_byte * len(transaction.encoded) + fees.per_work * self.work(transaction)


def message_tag(message_type: type) -> int:
    """Return the integer tag of a kind of message."""
    tag: int = message_type.__struct_config__.tag  # type: ignore[attr-defined]  # msgspec sets it on every struct
    return tag


@lru_cache(maxsize=4)
def price_table(params: Params) -> PriceTable:
    """Return the price table of parameters; they change rarely, so it is kept."""
    return PriceTable(params)
