"""Laws of the event feed: every event once, in order, from memory or from the log; topics and cursors."""

from __future__ import annotations

import asyncio

import pytest

from node.api import event_feed as feed_module
from node.api.errors import ApiReason, ErrorCode, RpcError
from node.api.event_feed import EventFeed, parse_cursor, parse_topics
from state.address import format_address
from tests.support.fixture_chain import FixtureNode, account, transfer
from tests.support.market_fixture import CUSTOMER, market_node

EVERYTHING = parse_topics(())


def make_node():
    return FixtureNode()


def pay(node, receiver=1, count=1):
    """Make a final block of transfers."""
    pool_nonce = node.chain.tip.block.height * 100
    transactions = [
        node.fixture.sign(0, transfer(account(receiver), 1), nonce=pool_nonce + index + 1) for index in range(count)
    ]
    node.announce(node.fixture.add(*transactions))


def cursors(page):
    return [event.cursor for event in page.events]


async def test_log_is_read_from_the_beginning_in_order():
    page = await make_node().feed.page(0, EVERYTHING, 100)
    assert cursors(page) == ["1", "2", "3", "4"]
    assert (page.cursor, page.has_more) == ("4", False)


async def test_pages_continue_where_the_last_one_ended():
    feed = make_node().feed
    seen, cursor = [], "0"
    while True:
        page = await feed.page(parse_cursor(cursor), EVERYTHING, 3)
        seen += cursors(page)
        cursor = page.cursor
        if not page.has_more:
            break
    assert seen == ["1", "2", "3", "4"]


async def test_new_events_come_from_memory_and_old_ones_from_the_log(monkeypatch):
    node = make_node()
    pay(node, count=3)
    whole = await node.feed.page(0, EVERYTHING, 100)
    monkeypatch.setattr(node.chain.views, "events", None)
    newest = await node.feed.page(4, EVERYTHING, 100)
    assert cursors(whole)[4:] == cursors(newest) == ["5", "6", "7"]


async def test_reader_between_memory_and_log_misses_nothing(monkeypatch):
    monkeypatch.setattr(feed_module, "NEWEST_MAX", 2)
    node = make_node()
    pay(node, count=4)
    for after in range(9):
        page = await node.feed.page(after, EVERYTHING, 100)
        assert cursors(page) == [str(number) for number in range(after + 1, 9)]


async def test_feed_of_a_restarted_node_goes_on_with_the_log():
    node = make_node()
    feed = EventFeed(node.chain.views)
    assert feed.last_sequence == 4
    assert cursors(await feed.page(2, EVERYTHING, 10)) == ["3", "4"]


@pytest.mark.parametrize(
    ("topics", "expected"),
    [
        ([], ["1", "2", "3", "4"]),
        (["tx"], ["1", "2", "4"]),
        (["block"], ["3"]),
        (["bonded"], ["2"]),
        (["bonded", "block"], ["2", "3"]),
        (["slashed"], []),
        ([f"account:{format_address(account(2))}"], ["4"]),
        ([f"account:{format_address(account(1))}"], ["1", "2", "4"]),
        ([f"account:{format_address(account(5))}"], []),
    ],
)
async def test_topics_choose_events(topics, expected):
    page = await make_node().feed.page(0, parse_topics(topics), 10)
    assert cursors(page) == expected
    assert page.cursor == "4", "the cursor moves past what did not match"


async def test_what_an_order_its_machine_and_its_data_go_through_is_followed_by_their_addresses():
    node = market_node()
    market = node.market

    async def kinds(topic, address):
        page = await node.feed.page(0, parse_topics([f"{topic}:{format_address(address)}"]), 100)
        return [event.kind for event in page.events]

    assert await kinds("order", market.open) == ["ordered"]
    uses = ["used"] * 3
    assert await kinds("order", market.running) == ["ordered", "accepted", "granted", *uses, "order_started"]
    assert await kinds("resource", market.data) == ["published", "released", "granted", "used"]
    told = await kinds("enclave", market.trust.enclave)
    assert told == ["attested", "enclave_changed", "accepted", "granted", *uses, "order_started"]
    assert await kinds("account", account(CUSTOMER)) == ["ordered", "ordered"]


async def test_limit_ends_a_page_at_its_last_event():
    page = await make_node().feed.page(0, parse_topics(["tx"]), 2)
    assert (cursors(page), page.cursor, page.has_more) == (["1", "2"], "2", True)


async def test_page_that_finds_little_ends_after_the_scan_limit(monkeypatch):
    monkeypatch.setattr(feed_module, "SCAN_MAX", 2)
    monkeypatch.setattr(feed_module, "SLICE_EVENTS", 2)
    page = await make_node().feed.page(0, parse_topics(["slashed"]), 10)
    assert (cursors(page), page.cursor, page.has_more) == ([], "2", True)


async def test_many_pages_at_once_describe_no_more_in_a_turn_of_the_loop_than_one(monkeypatch):
    turns, described, describe = 0, [], feed_module.describe_event
    monkeypatch.setattr(feed_module, "SLICE_FOUND", 1)
    monkeypatch.setattr(feed_module, "describe_event", lambda *event: described.append(turns) or describe(*event))
    monkeypatch.setattr(feed_module, "LOG_SHARE_S", 1e-9)
    feed = make_node().feed
    pages = asyncio.gather(*(feed.page(0, EVERYTHING, 100) for _ in range(5)))
    while not pages.done():
        await asyncio.sleep(0)
        turns += 1
    assert [cursors(page) for page in pages.result()] == [["1", "2", "3", "4"]] * 5
    assert len(set(described)) == len(described) == 20


async def test_readers_at_the_end_of_the_log_do_not_wait_for_those_that_search_all_of_it(monkeypatch):
    monkeypatch.setattr(feed_module, "LOG_SHARE_S", 1e-9)
    monkeypatch.setattr(feed_module, "SLICE_EVENTS", 1)
    node = make_node()
    pay(node)
    feed = node.feed
    searches = [asyncio.ensure_future(feed.page(0, parse_topics(["slashed"]), 100)) for _ in range(100)]
    await asyncio.sleep(0)
    page = await asyncio.wait_for(feed.page(feed.last_sequence - 1, EVERYTHING, 100), 10)
    assert cursors(page) == [str(feed.last_sequence)]
    assert not any(search.done() for search in searches)
    await asyncio.gather(*searches)


@pytest.mark.parametrize("with_memory", [False, True])
async def test_cursor_beyond_the_end_was_never_given(with_memory):
    node = make_node()
    if with_memory:
        pay(node)
    with pytest.raises(RpcError) as caught:
        await node.feed.page(99, EVERYTHING, 10)
    assert (caught.value.code, caught.value.reason) == (ErrorCode.INVALID_PARAMS, ApiReason.BAD_CURSOR)


@pytest.mark.parametrize("text", ["x", "-1", "1.0", "٣", "1" * 19, " 1"])
def test_text_that_is_no_cursor_is_refused(text):
    with pytest.raises(RpcError) as caught:
        parse_cursor(text)
    assert caught.value.reason is ApiReason.BAD_CURSOR


@pytest.mark.parametrize(
    "topics",
    [
        ["nothing"],
        ["account:"],
        ["account:bocc1qqqq"],
        [f"order:{format_address(account(1))}"],
        ["lines:x"],
        ["TX"],
        [str(n) for n in range(17)],
    ],
)
def test_text_that_is_no_topic_is_refused(topics):
    with pytest.raises(RpcError) as caught:
        parse_topics(topics)
    assert caught.value.reason is ApiReason.BAD_TOPIC


async def test_final_block_wakes_every_reader_also_without_events():
    node = make_node()
    tasks = [asyncio.ensure_future(node.feed.changed()) for _ in range(2)]
    await asyncio.sleep(0)
    node.announce(node.fixture.add())
    await asyncio.gather(*tasks)
    later = asyncio.ensure_future(node.feed.changed())
    await asyncio.sleep(0)
    assert not later.done()
    later.cancel()


async def test_event_is_described_with_text_addresses_and_money():
    page = await make_node().feed.page(1, EVERYTHING, 1)
    event = page.events[0]
    assert (event.height, event.tx_index, event.kind) == (1, 1, "bonded")
    assert event.attributes["owner"] == format_address(account(1))
    assert event.attributes["validator"].startswith("boccval1")
    assert (event.attributes["purpose"], event.attributes["amount"]) == ("delegate", "2000000")
