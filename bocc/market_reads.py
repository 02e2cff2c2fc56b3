"""What a client asks about orders and the market, as `Client.market`. Results are the JSON of the node (`/openrpc.json`).

Lists give one page and its cursor; a page may be short although more follows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from state.address import format_address
from state.order_messages import PlaceOrder, order_address
from state.transactions import Transaction

Json = dict[str, Any]  # of the node
CallMethod = Callable[..., Awaitable[Any]]
"""Calls a method by name; parameters that are None are left out."""


class MarketReads:
    """The reads of orders and the market over one connection."""

    def __init__(self, call: CallMethod) -> None:
        """Read by these calls."""
        self._call = call

    async def order(self, order: str, *, prove: bool = False) -> Json:
        """Return an order: terms, lines, money, dates, grants, receipts, with a proof of both records on request."""
        return await self._object("order", id=order, prove=prove or None)

    async def orders(self, **wanted: object) -> Json:
        """Return orders, the newest first: all, or of one `customer`, `operator`, `enclave` or `resource`, or the `open` ones.

        Also `state`, `limit`, `cursor`.
        """
        return await self._object("orders", **wanted)

    async def resource(self, resource: str, *, prove: bool = False) -> Json:
        """Return a resource with policy, releases, plans and use, with a proof on request."""
        return await self._object("resource", id=resource, prove=prove or None)

    async def resources(self, **wanted: object) -> Json:
        """Return resources, the newest first, by `owner`, `kind`, `category`, `status`; also `limit`, `cursor`."""
        return await self._object("resources", **wanted)

    async def offers(self, *, price_max: int | None = None, **wanted: object) -> Json:
        """Return what takes orders now and fits, at most at a price in ubocc per unit.

        By `kind`, `category`, `tee`, `level_min`, `unit`, `vcpus`, `memory_mib`, `disk_mib`, `network_mbps`, `gpu_model`,
        `gpu_count`, `customer`; also `limit`, `cursor`.
        """
        return await self._object("market", price_max=None if price_max is None else str(price_max), **wanted)

    async def who_can_use(self, resource: str, limit: int | None = None, cursor: str | None = None) -> Json:
        """Return customers, software and enclaves that a resource's policy does not rule out."""
        return await self._object("who_can_use", resource=resource, limit=limit, cursor=cursor)

    async def usage(
        self,
        resource: str,
        first: int | None = None,
        last: int | None = None,
        limit: int | None = None,
        *,
        prove: bool = False,
    ) -> Json:
        """Return rows of the ledger of a resource's use, both ends included, with a proof that none is missing on request."""
        ends = {"from": first, "to": last}
        return await self._object("usage", resource=resource, limit=limit, prove=prove or None, **ends)

    async def provider(self, account: str) -> Json:
        """Return an account's bond, hardware, enclaves and running orders, and how it has served."""
        return await self._object("provider", account=account)

    async def endorsements(self, **wanted: object) -> Json:
        """Return what an `endorser` says, or what is said of a `subject` of a `subject_kind`; of a release also its `release`.

        Also `limit`, `cursor`.
        """
        return await self._object("endorsements", **wanted)

    async def _object(self, method: str, **params: object) -> Json:
        answer: Json = await self._call(method, **params)
        return answer


def orders_of(chain_id: bytes, transaction: Transaction) -> list[str]:
    """Return the addresses of the orders that a transaction places, in the order of its messages, before it is sent."""
    body = transaction.body
    return [
        format_address(order_address(chain_id, body.sender, body.nonce, index))
        for index, message in enumerate(body.messages)
        if isinstance(message, PlaceOrder)
    ]
