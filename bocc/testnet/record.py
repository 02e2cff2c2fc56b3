"""testnet.json: what a local network consists of and where it runs, replaced as a whole at each change."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from bocc.errors import InputReason, InputRejected
from state.durable import replace_file

RECORD_NAME: Final = "testnet.json"


class NodeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One node: its process, if it was started, and its addresses."""

    name: str
    pid: int | None = None
    started_ticks: int | None = None
    """Start time of the process in clock ticks since boot; with the pid it names one process for ever."""
    rpc: str
    """URL that takes JSON-RPC by POST."""
    ws: str
    metrics: str
    p2p: str
    """host:port."""
    node_id: str
    home: str


class AccountRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A funded account whose key is public."""

    name: str
    address: str
    secret_key_file: str


class LoadRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The load generator of the network."""

    pid: int
    started_ticks: int


class TestnetRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The whole network."""

    __test__ = False  # the name begins like that of a test class

    chain_id: str
    """Hex, as in `status`."""
    chain_name: str
    nodes: tuple[NodeRecord, ...]
    accounts: tuple[AccountRecord, ...]
    load: LoadRecord | None = None

    def find_node(self, name: str) -> NodeRecord:
        """Return the node of a name such as node1, or of its bare number.

        Raises:
            InputRejected: UNKNOWN_NODE.
        """
        wanted = f"node{name}" if name.isdecimal() else name
        for node in self.nodes:
            if node.name == wanted:
                return node
        raise InputRejected(InputReason.UNKNOWN_NODE, name, ", ".join(node.name for node in self.nodes))

    def with_node(self, changed: NodeRecord) -> TestnetRecord:
        """Return the record with the node of the same name replaced."""
        nodes = tuple(changed if node.name == changed.name else node for node in self.nodes)
        return msgspec.structs.replace(self, nodes=nodes)


def record_path(home: Path) -> Path:
    """Return where the record of a network's home is."""
    return home / RECORD_NAME


def load_record(home: Path) -> TestnetRecord:
    """Return the record of a network.

    Raises:
        InputRejected: NO_NETWORK.
    """
    path = record_path(home)
    try:
        return msgspec.json.decode(path.read_bytes(), type=TestnetRecord)
    except FileNotFoundError as error:
        raise InputRejected(InputReason.NO_NETWORK, str(home)) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputRejected(InputReason.NO_NETWORK, f"{path} is damaged: {error}") from error


def save_record(home: Path, record: TestnetRecord) -> None:
    """Replace the record of a network in one step."""
    replace_file(record_path(home), [msgspec.json.format(msgspec.json.encode(record), indent=2), b"\n"])
