"""Clients that are slow, huge, broken or foreign, against a node of a running chain: each is answered or cut, the chain goes on."""

from __future__ import annotations

import asyncio
import io
import json
import os
import time
from random import Random
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.support.live_siege import SIEGE_S, besieged, together, transfers

NAME = "node2"
JSON = {"Content-Type": "application/json"}
CHANCE = Random(7)


def request(method, **params):
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


async def raw(net, content, *, wait_s=15.0):
    """Send bytes, and return everything that comes back until the server closes; a TimeoutError if it does not."""
    parts = urlsplit(net.node(NAME).rpc)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(content)
        async with asyncio.timeout(wait_s):
            return await reader.read(-1)
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


async def post(net, body, headers=JSON):
    """Post one body, and return the HTTP status and the answer."""
    content = io.BytesIO(body)
    async with (
        aiohttp.ClientSession() as session,
        session.post(net.node(NAME).rpc, data=content, headers=headers) as got,
    ):
        return got.status, await got.read()


def reason_in(answer):
    return json.loads(answer)["error"]["data"]["reason"]


async def test_half_requests_and_trickling_ones_are_cut_while_others_are_served(net, figures):
    """Given a hundred connections that never finish their request, then the node serves others, and ends those in time."""
    parts = urlsplit(net.node(NAME).rpc)
    heads = [
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Ty",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"",
    ]
    streams = [await asyncio.open_connection(parts.hostname, parts.port) for _ in range(100)]
    async with besieged(net, NAME, "100 half requests", figures):
        for index, (_, writer) in enumerate(streams):
            writer.write(heads[index % len(heads)])
        for _ in range(20):
            for index, (_, writer) in enumerate(streams):
                if index % len(heads) == 1:
                    writer.write(b" ")
            await asyncio.sleep(0.1)
    with_body = [reader for index, (reader, _) in enumerate(streams) if index % len(heads) in (1, 2)]
    async with asyncio.timeout(15):
        answers = await asyncio.gather(*(reader.read(-1) for reader in with_body))
    for _, writer in streams:
        writer.transport.abort()
    assert {answer.split(b"\r\n", 1)[0] for answer in answers} == {b"HTTP/1.1 408 Request Timeout"}


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"Host": "evil.example"}, 403, "foreign_host"),
        ({"Host": "127.0.0.1.evil.example"}, 403, "foreign_host"),
        ({"Origin": "https://evil.example"}, 403, "foreign_origin"),
        ({"Origin": "null"}, 403, "foreign_origin"),
        ({"Content-Type": "text/plain"}, 415, "wrong_content_type"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415, "wrong_content_type"),
        ({"Content-Encoding": "gzip"}, 415, "wrong_content_type"),
    ],
    ids=lambda value: str(value),
)
async def test_foreign_pages_and_forms_are_refused(net, headers, status, reason):
    body = json.dumps(request("status")).encode()
    seen, answer = await post(net, body, JSON | headers)
    assert (seen, reason_in(answer)) == (status, reason)


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"{" * 100_000, 200, "not_json"),
        (b"[" * 500_000 + b"]" * 500_000, 200, "not_json"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 200, "not_json"),
        (b"\xff" * 1_000, 200, "not_json"),
        (b"x" * ((1 << 20) + 1), 413, "body_too_large"),
        (b"[" + b",".join([b"1"] * 101) + b"]", 200, "batch_too_large"),
        (b"[" + b"1," * 300_000 + b"1]", 200, "batch_too_large"),
        (b"[]", 200, "not_a_request"),
        (b'{"jsonrpc":"2.0","id":1,"method":"status","method":"status"}', 200, "duplicate_key"),
        (b'{"jsonrpc":"2.0","id":1,"method":"block","params":{"height":1e400}}', 200, "not_an_integer"),
        (b'{"jsonrpc":"2.0","id":1,"method":"block","params":{"height":' + b"9" * 100_000 + b"}}", 200, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"' + b"m" * 500_000 + b'"}', 200, "unknown_method"),
    ],
    ids=["open", "arrays", "objects", "no-utf8", "giant", "batch-101", "batch-300001", "empty-batch", "twice", "float",
         "digits", "long-name"],
)  # fmt: skip
async def test_bodies_of_every_bad_kind_get_a_reason_within_bounds(net, body, status, reason):
    seen, answer = await post(net, body)
    assert seen == status
    assert len(answer) < 2_000
    assert reason is None or reason_in(answer) == reason


async def test_a_giant_body_without_a_length_is_cut_at_the_bound(net):
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = await raw(net, head + chunk * 64)
    assert answer[:12] in {b"HTTP/1.1 413", b""}, "a reset may overtake the answer"
    assert net.call(NAME, "status")["height"] > 0


async def hammer(net, bodies, seconds=SIEGE_S):
    """Post bodies one after the other for a time, and return how many were answered."""
    deadline, count = time.monotonic() + seconds, 0
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < deadline:
            async with session.post(net.node(NAME).rpc, data=bodies(), headers=JSON) as response:
                await response.read()
                count += response.status == 200
    return count


async def test_batch_bombs_of_every_read_are_bounded(net, figures):
    """Given batches of a hundred of the dearest reads from four clients, then the chain goes on."""
    calls = [
        request("blocks", limit=100),
        request("block", height=1),
        request("events", limit=1000),
        request("validators"),
        request("rpc.discover"),
        request("genesis"),
        request("account", address=net.accounts[0].address, prove=True),
        request("consensus_state"),
    ]
    bodies = [json.dumps([call] * (10 if call["method"] == "events" else 100)).encode() for call in calls]
    async with besieged(net, NAME, "batches of 100 dear reads", figures):
        counts = await together(*[hammer(net, lambda: CHANCE.choice(bodies)) for _ in range(4)])
    assert sum(counts) > 0


async def test_floods_of_transactions_with_wrong_signatures_through_the_api_are_refused(net, figures):
    chain_id = bytes.fromhex(net.network.record.chain_id)
    bad = [one.hex() for one in transfers(chain_id, net.accounts[9].key, 800, is_signed=False)]
    calls = [request("tx_submit", tx=tx, wait="none") for tx in bad]
    bodies = [json.dumps(calls[start : start + 100]).encode() for start in range(0, 800, 100)]
    async with besieged(net, NAME, "submissions with wrong signatures", figures):
        await together(*[hammer(net, lambda: CHANCE.choice(bodies)) for _ in range(4)])
    _, answer = await post(net, json.dumps(request("tx_submit", tx=bad[0], wait="checked")).encode())
    assert reason_in(answer) == "bad_signature"


async def test_sockets_that_subscribe_and_never_read_are_dropped_and_hold_nobody_up(net, figures):
    parts = urlsplit(net.node(NAME).ws)
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    lines = ["GET /ws HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade"]
    upgrade = "\r\n".join([*lines, f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""])
    text = json.dumps(request("subscribe", topics=[])).encode()
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(text))
    frame = bytes([0x81, 0x80 | len(text)]) + mask + masked
    async with besieged(net, NAME, "40 subscribers that never read", figures):
        streams = []
        for _ in range(40):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1_024)
            writer.transport.pause_reading()
            writer.write(upgrade.encode() + frame + b"\x81\xfe\xff\xff" + os.urandom(2_000))
            streams.append(writer)
        await asyncio.sleep(SIEGE_S)
    for writer in streams:
        writer.transport.abort()
