"""Laws of the admin socket: one request a line, nothing that a client sends breaks it, and nobody else may connect."""

from __future__ import annotations

import asyncio
import json
import stat
from contextlib import asynccontextmanager, suppress

import pytest

from node import admin
from node.admin import LINE_BYTES_MAX, serve_admin

WAIT_S = 10.0
NODE_ID = "ab" * 20
OTHER_ID = "cd" * 20
OK = {"ok": True}


class Served:
    """A served socket and what it had blocked."""

    def __init__(self, path):
        self.path = path
        self.blocked = []

    @asynccontextmanager
    async def connected(self):
        reader, writer = await asyncio.open_unix_connection(self.path)
        try:
            async with asyncio.timeout(WAIT_S):
                yield reader, writer
        finally:
            writer.close()
            await writer.wait_closed()

    async def send(self, line):
        """Send bytes and return all that comes back until the other end closes."""
        async with self.connected() as (reader, writer):
            writer.write(line)
            writer.write_eof()
            return await reader.read()

    async def call(self, method, **params):
        return json.loads(await self.send(json.dumps({"method": method, "params": params}).encode() + b"\n"))


@pytest.fixture
async def served(tmp_path):
    socket = Served(tmp_path / "admin.sock")
    async with serve_admin(socket.path, socket.blocked.append):
        yield socket


async def test_peers_are_blocked_and_unblocked(served):
    assert await served.call("block_peers", node_ids=[NODE_ID, OTHER_ID]) == OK
    assert await served.call("unblock_peers") == OK
    assert served.blocked == [frozenset({NODE_ID, OTHER_ID}), frozenset()]


async def test_parameters_may_be_left_out(served):
    assert json.loads(await served.send(b'{"method":"unblock_peers"}\n')) == OK
    assert json.loads(await served.send(b'{"method":"block_peers"}\n')) == OK
    assert served.blocked == [frozenset(), frozenset()]


async def test_line_without_its_break_is_a_line(served):
    assert json.loads(await served.send(b'{"method":"unblock_peers"}')) == OK


async def test_only_the_first_line_of_a_connection_is_answered(served):
    answered = await served.send(b'{"method":"unblock_peers"}\n{"method":"unblock_peers"}\n')
    assert [json.loads(line) for line in answered.splitlines()] == [OK]
    assert served.blocked == [frozenset()]


async def test_unknown_method_is_refused_by_the_beginning_of_its_name(served):
    assert await served.call("stop") == {"error": "unknown method stop"}
    assert await served.call("m" * 100) == {"error": f"unknown method {'m' * 40}"}


BAD_LINES = {
    "nothing": b"\n",
    "no bytes": b"",
    "no JSON": b"block_peers\n",
    "no text": b"\xff\xfe\n",
    "list": b"[]\n",
    "no method": b"{}\n",
    "number as method": b'{"method":1}\n',
    "unknown field": b'{"method":"unblock_peers","id":1}\n',
    "unknown parameter": b'{"method":"unblock_peers","params":{"all":true}}\n',
    "text as list": b'{"method":"block_peers","params":{"node_ids":"' + NODE_ID.encode() + b'"}}\n',
    "short id": b'{"method":"block_peers","params":{"node_ids":["ab"]}}\n',
    "capital id": b'{"method":"block_peers","params":{"node_ids":["' + NODE_ID.upper().encode() + b'"]}}\n',
    "id with a line end": b'{"method":"block_peers","params":{"node_ids":["' + NODE_ID.encode() + b'\\n"]}}\n',
    "too many ids": json.dumps({"method": "block_peers", "params": {"node_ids": [NODE_ID] * 1_001}}).encode() + b"\n",
    "deep": b"[" * 10_000 + b"\n",
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
async def test_bad_line_is_answered_with_an_error_and_changes_nothing(served, line):
    answer = json.loads(await served.send(line))
    assert list(answer) == ["error"]
    assert served.blocked == []
    assert await served.call("unblock_peers") == OK


async def test_line_that_is_too_long_ends_the_connection_without_an_answer(served):
    async with served.connected() as (reader, writer):
        writer.write(b"x" * (LINE_BYTES_MAX + 1))
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
    assert await served.call("unblock_peers") == OK


async def test_client_that_is_too_slow_is_left(served, monkeypatch):
    monkeypatch.setattr(admin, "LINE_TIMEOUT_S", 0.0)
    async with served.connected() as (reader, writer):
        writer.write(b'{"method"')
        assert await reader.read() == b""
    monkeypatch.undo()
    assert await served.call("unblock_peers") == OK
    assert served.blocked == [frozenset()]


async def test_client_that_goes_away_leaves_the_others_alone(served):
    async with served.connected() as (_, gone):
        gone.write(b'{"method":"unbl')
        gone.transport.abort()
        assert await served.call("unblock_peers") == OK


async def test_nobody_else_may_connect(served):
    assert stat.S_IMODE(served.path.stat().st_mode) == 0o600


async def test_socket_is_there_only_while_it_is_served(tmp_path):
    path = tmp_path / "admin.sock"
    async with serve_admin(path, lambda _ids: None):
        assert path.is_socket()
    assert not path.exists()


async def test_socket_goes_when_the_node_fails(tmp_path):
    path = tmp_path / "admin.sock"
    with pytest.raises(RuntimeError, match="the node fails"):
        async with serve_admin(path, lambda _ids: None):
            raise RuntimeError("the node fails")
    assert not path.exists()


async def test_socket_that_a_crash_left_is_replaced(tmp_path):
    path = tmp_path / "admin.sock"
    path.write_text("left over")
    served = Served(path)
    async with serve_admin(path, served.blocked.append):
        assert await served.call("unblock_peers") == OK


async def test_any_home_works_however_long_its_path_is(tmp_path):
    """Given a path longer than a socket's address may be, then the socket is served there."""
    folder = tmp_path / ("d" * 100) / ("e" * 100)
    folder.mkdir(parents=True)
    async with serve_admin(folder / "admin.sock", lambda _ids: None):
        assert (folder / "admin.sock").is_socket()
