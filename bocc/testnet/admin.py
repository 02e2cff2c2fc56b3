"""The admin interface of development nodes: JSON lines over a Unix socket in the node's home.

It needs no privileges and works inside one machine, where packet filters would. DESIGN section 10.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bocc.errors import InputReason, InputRejected
from bocc.testnet.record import NodeRecord, TestnetRecord

SOCKET_NAME: Final = "admin.sock"
_TIMEOUT_S: Final = 5.0
_ANSWER_BYTES_MAX: Final = 1 << 16


def call_admin(home: Path, method: str, params: dict[str, object]) -> None:
    """Call a method of a node's admin socket.

    Raises:
        InputRejected: ADMIN_REFUSED.
    """
    request = msgspec.json.encode({"method": method, "params": params}) + b"\n"
    try:
        directory = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
        try:
            answer = _exchange(f"/proc/self/fd/{directory}/{SOCKET_NAME}", request)
        finally:
            os.close(directory)
    except OSError as error:
        raise InputRejected(InputReason.ADMIN_REFUSED, f"{home / SOCKET_NAME}: {error}") from error
    if not answer.get("ok"):
        raise InputRejected(InputReason.ADMIN_REFUSED, f"{home.name}: {answer}")


def _exchange(address: str, request: bytes) -> dict[str, Any]:
    """Send one line and read one; the address goes by a descriptor because a socket's path has at most 107 bytes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_TIMEOUT_S)
        connection.connect(address)
        connection.sendall(request)
        return _read_line(connection)


def _read_line(connection: socket.socket) -> dict[str, Any]:
    received = b""
    while not received.endswith(b"\n") and len(received) <= _ANSWER_BYTES_MAX:
        part = connection.recv(4096)
        if not part:
            break
        received += part
    try:
        return msgspec.json.decode(received, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {"error": received[:60].decode("ascii", "replace")}


def parse_partition(text: str, record: TestnetRecord) -> list[list[NodeRecord]]:
    """Return the groups of a partition such as 0,1/2,3; nodes that are not named form a further group.

    Raises:
        InputRejected: BAD_PARTITION, UNKNOWN_NODE.
    """
    groups = [[record.find_node(name.strip()) for name in part.split(",")] for part in text.split("/")]
    named = [node.name for group in groups for node in group]
    if len(set(named)) != len(named):
        raise InputRejected(InputReason.BAD_PARTITION, text, "each node once")
    rest = [node for node in record.nodes if node.name not in named]
    return groups + [rest] if rest else groups


def partition(groups: Sequence[Sequence[NodeRecord]]) -> None:
    """Cut every link between nodes of different groups; links within a group are restored.

    Raises:
        InputRejected: ADMIN_REFUSED.
    """
    everyone = [node for group in groups for node in group]
    for group in groups:
        others = [node.node_id for node in everyone if node not in group]
        for node in group:
            call_admin(Path(node.home), "unblock_peers", {})
            call_admin(Path(node.home), "block_peers", {"node_ids": others})


def heal(nodes: Sequence[NodeRecord]) -> None:
    """Restore every link between these nodes.

    Raises:
        InputRejected: ADMIN_REFUSED.
    """
    for node in nodes:
        call_admin(Path(node.home), "unblock_peers", {})
