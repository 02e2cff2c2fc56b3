"""Handlers of events: long polls, and subscriptions of a WebSocket."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Annotated, Final

from msgspec import Meta

from node.api.context import Call, Session
from node.api.errors import ApiReason, ErrorCode, RpcError
from node.api.event_feed import HEAD_TOPIC, Page, Topics, parse_cursor, parse_topics
from node.api.registry import Params
from node.api.views_node import SubscriptionView

EVENTS_MAX: Final = 1_000

Cursor = Annotated[str, Meta(min_length=1, max_length=20, description="Opaque; where an earlier answer ended.")]
TopicTexts = Annotated[
    tuple[Annotated[str, Meta(max_length=100)], ...],
    Meta(
        max_length=16,
        description="tx, block, account: order: resource: or enclave:<address>, or a kind of event; without any, all.",
    ),
]


class EventsParams(Params, frozen=True):
    """Which events, and how long to wait for the first."""

    after: Cursor | None = None
    """Null: from the oldest that is kept."""
    limit: Annotated[int, Meta(ge=1, le=EVENTS_MAX)] = 100
    topics: TopicTexts = ()
    wait_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 0


class SubscribeParams(Params, frozen=True):
    """Which events to push; the topic head pushes the newest final block whenever it changes."""

    topics: TopicTexts = ()
    after: Cursor | None = None
    """Null: from now on."""


class UnsubscribeParams(Params, frozen=True):
    """Which subscription of this connection to stop."""

    subscription: Annotated[str, Meta(max_length=32)]


async def read_events(call: Call, params: EventsParams) -> Page:
    """Return events of final blocks after a cursor, waiting up to wait_ms for the first that matches."""
    feed = call.node.feed
    topics = parse_topics(params.topics)
    if HEAD_TOPIC in topics.names:
        raise RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_TOPIC, HEAD_TOPIC, "subscribe, as it is not in the log")
    oldest = call.node.chain.views.status().first_sequence - 1
    after = oldest if params.after is None else parse_cursor(params.after)
    page = await _read_page(call, after, topics, params.limit)
    if page.events or not params.wait_ms:
        return page
    try:
        async with asyncio.timeout(min(params.wait_ms, call.config.wait_ms_max) / 1_000):
            while not page.events:
                if not page.has_more:
                    await feed.changed()
                page = await _read_page(call, int(page.cursor), topics, params.limit)
    except TimeoutError:
        return page
    return page


async def _read_page(call: Call, after: int, topics: Topics, limit: int) -> Page:
    async with call.page_lock or nullcontext():
        return await call.node.feed.page(after, topics, limit)


def subscribe(call: Call, params: SubscribeParams) -> SubscriptionView:
    """Push events of final blocks over this WebSocket as they come, after a cursor or from now on."""
    session = _session(call)
    after = call.node.feed.last_sequence if params.after is None else parse_cursor(params.after)
    topics = parse_topics(params.topics)
    call.node.feed.read(after, 1)  # refuses a cursor that is pruned or was never given
    return SubscriptionView(subscription=session.subscribe(topics, after), cursor=str(after))


def unsubscribe(call: Call, params: UnsubscribeParams) -> bool:
    """Stop a subscription of this WebSocket."""
    if not _session(call).unsubscribe(params.subscription):
        raise RpcError(ErrorCode.NOT_FOUND, ApiReason.UNKNOWN_SUBSCRIPTION, params.subscription)
    return True


def _session(call: Call) -> Session:
    if call.session is None:
        raise RpcError(ErrorCode.INVALID_REQUEST, ApiReason.NEEDS_WEBSOCKET)
    return call.session
