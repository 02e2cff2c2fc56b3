"""The admin interface of development nodes: one JSON object a line over a Unix socket in the home, for partitions in tests.

It exists only on chains whose genesis says `development`, and needs no more than access to the home directory.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

LINE_BYTES_MAX: Final = 1 << 16
LINE_TIMEOUT_S: Final = 10.0


class _Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    node_ids: Annotated[tuple[Annotated[str, Meta(pattern=r"^[0-9a-f]{40}\Z")], ...], Meta(max_length=1_000)] = ()


class _Request(Struct, frozen=True, forbid_unknown_fields=True):
    method: str
    params: _Parameters = _Parameters()


@asynccontextmanager
async def serve_admin(path: Path, block: Callable[[frozenset[str]], None]) -> AsyncIterator[None]:
    """Serve `block_peers(node_ids)` and `unblock_peers()` on a socket while the context lasts."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(LINE_TIMEOUT_S):
                line = await reader.readline()
                writer.write(_answer(line, block) + b"\n")
                await writer.drain()
        except (TimeoutError, ValueError, OSError):
            pass  # a client that is too slow, too long or gone costs only itself
        finally:
            writer.close()

    _remove(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # A socket's path has at most 107 bytes; by the descriptor of its directory any home works.
        address = f"/proc/self/fd/{directory}/{path.name}"
        server = await asyncio.start_unix_server(handle, address, limit=LINE_BYTES_MAX)
    finally:
        os.close(directory)
    try:
        async with server:
            os.chmod(path, 0o600)  # noqa: PTH101  # one system call on a local file
            yield
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _answer(line: bytes, block: Callable[[frozenset[str]], None]) -> bytes:
    try:
        request = msgspec.json.decode(line, type=_Request)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        return msgspec.json.encode({"error": str(error)})
    match request.method:
        case "block_peers":
            block(frozenset(request.params.node_ids))
        case "unblock_peers":
            block(frozenset())
        case _:
            return msgspec.json.encode({"error": f"unknown method {request.method[:40]}"})
    return msgspec.json.encode({"ok": True})
