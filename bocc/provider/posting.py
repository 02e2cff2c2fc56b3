"""Vendor documents through a node: each is tried by a dry run first, so that what the chain has, or would refuse, costs nothing.

A list too long for a dry run is sent for its fee, unless the chain has the very same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

import msgspec

from bocc.client import Client, Wait
from bocc.provider.documents import VendorDocument
from state.crypto import SigningKey

KNOWN_REASONS: Final = frozenset({"collateral_not_newer", "number_too_low"})
"""Refusals that say that the chain has this document, or a better one."""
UNTRIED: Final = "too_much_work"
"""Reason of a dry run for a message that it left out, and that may be as good as any."""
_PAGE: Final = 100


class PostResult(StrEnum):
    """What became of a document."""

    STORED = "stored"
    KNOWN = "known"
    """The chain has it already, or a later one."""
    REFUSED = "refused"
    PENDING = "pending"
    """Sent, and not final when the time was up."""


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """One document and what became of it."""

    name: str
    kind: str
    result: PostResult
    tx_id: str | None = None
    height: int | None = None
    fee: str | None = None
    """ubocc that were kept; a document that is news returns its fee."""
    reason: str | None = None
    seen: str | None = None
    bound: str | None = None
    remedy: str | None = None


async def post_documents(
    client: Client, key: SigningKey, documents: Sequence[VendorDocument], sender: str | None = None
) -> AsyncIterator[Posted]:
    """Bring documents to the chain one after the other, each final before the next is tried.

    Raises:
        RpcRejected: the node refuses a call.
        NodeUnreachable: no answer after all attempts.
    """
    for document in documents:
        yield await post_document(client, key, document, sender)


async def post_document(client: Client, key: SigningKey, document: VendorDocument, sender: str | None = None) -> Posted:
    """Bring one document to the chain, unless it has it or would refuse it.

    Raises:
        RpcRejected: the node refuses a call.
        NodeUnreachable: no answer after all attempts.
    """
    transaction = await client.build(key, (document.message(),), sender=sender)
    explained = await client.explain(transaction)
    failed = find_failed_check(explained)
    if failed is not None:
        told = {name: failed.get(name) for name in ("reason", "seen", "bound", "remedy")}
        return _posted(document, _result_of(failed["reason"]), **told)
    if not explained["ok"] and await _is_stored(client, document):
        return _posted(document, PostResult.KNOWN)
    outcome = await client.submit(transaction, Wait.FINAL)
    receipt = outcome.receipt or {}
    placed = {"tx_id": outcome.tx_id, "height": outcome.height, "fee": receipt.get("fee")}
    if not outcome.is_final:
        return _posted(document, PostResult.PENDING, **placed)
    if receipt.get("status") == "ok":
        return _posted(document, PostResult.STORED, **placed)
    return _posted(document, _result_of(receipt.get("reason")), reason=receipt.get("reason"), **placed)


def find_failed_check(explained: dict[str, Any]) -> dict[str, Any] | None:
    """Return the first check of a dry run that does not hold, or None; what a run left out for its work is none."""
    checks: list[dict[str, Any]] = explained["checks"]
    return next((check for check in checks if not check["ok"] and check["reason"] != UNTRIED), None)


async def stored_documents(client: Client) -> list[dict[str, Any]]:
    """Return everything that the chain has of vendors, without the documents themselves."""
    stored: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = await client.call("collaterals", limit=_PAGE, cursor=cursor)
        stored += page["collaterals"]
        cursor = page["cursor"]
        if cursor is None:
            return stored


async def _is_stored(client: Client, document: VendorDocument) -> bool:
    """Tell whether the chain has these very bytes."""
    body_hash = sha256(document.body).hexdigest()
    return any(each["body_hash"] == body_hash for each in await stored_documents(client))


def _result_of(reason: object) -> PostResult:
    return PostResult.KNOWN if reason in KNOWN_REASONS else PostResult.REFUSED


def _posted(document: VendorDocument, result: PostResult, **told: Any) -> Posted:
    return Posted(name=document.name, kind=document.kind.name.lower(), result=result, **told)
