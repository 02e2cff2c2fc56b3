"""Vendor documents through a node: each is tried by a dry run first, so that what the chain has, or would refuse, costs nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

from bocc.client import Client, Wait
from bocc.provider.documents import VendorDocument
from state.crypto import SigningKey

KNOWN_REASONS: Final = frozenset({"collateral_not_newer", "number_too_low"})
"""Refusals that say that the chain has this document, or a better one."""


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
    failed = find_failed_check(await client.explain(transaction))
    if failed is not None:
        told = {name: failed.get(name) for name in ("reason", "seen", "bound", "remedy")}
        return _posted(document, _result_of(failed["reason"]), **told)
    outcome = await client.submit(transaction, Wait.FINAL)
    receipt = outcome.receipt or {}
    placed = {"tx_id": outcome.tx_id, "height": outcome.height, "fee": receipt.get("fee")}
    if not outcome.is_final:
        return _posted(document, PostResult.PENDING, **placed)
    if receipt.get("status") == "ok":
        return _posted(document, PostResult.STORED, **placed)
    return _posted(document, _result_of(receipt.get("reason")), reason=receipt.get("reason"), **placed)


def find_failed_check(explained: dict[str, Any]) -> dict[str, Any] | None:
    """Return the first check of a dry run that does not hold, or None."""
    checks: list[dict[str, Any]] = explained["checks"]
    return next((check for check in checks if not check["ok"]), None)


def _result_of(reason: object) -> PostResult:
    return PostResult.KNOWN if reason in KNOWN_REASONS else PostResult.REFUSED


def _posted(document: VendorDocument, result: PostResult, **told: Any) -> Posted:
    return Posted(name=document.name, kind=document.kind.name.lower(), result=result, **told)
