"""testnet.json: what a local network consists of and where it runs, replaced as a whole at each change.

The record speaks of the directory in which it lies. In a copy of a network's home it names homes and processes of the original, so
these are not taken from it there: a copy never writes to the original's files nor signals its processes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from bocc.errors import InputReason, InputRejected
from bocc.wallet import Keyring
from state.durable import replace_file

RECORD_NAME: Final = "testnet.json"
PROVIDER_NAME: Final = "provider"


class NodeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One node: its process, if it was started, and its addresses."""

    name: Annotated[str, Meta(pattern="^node[0-9]+\\Z")]
    """Also the name of its home in the network's."""
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


class ProviderRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The provider of simulated hardware."""

    name: Literal["provider"] = PROVIDER_NAME
    """Also the name of its home in the network's, and of its key."""
    pid: int | None = None
    started_ticks: int | None = None
    address: str
    home: str
    is_simulated: Literal[True] = True
    """It proves nothing about any hardware."""


class TestnetRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The whole network."""

    __test__ = False  # the name begins like that of a test class

    chain_id: str
    """Hex, as in `status`."""
    chain_name: str
    nodes: tuple[NodeRecord, ...]
    accounts: tuple[AccountRecord, ...]
    provider: ProviderRecord | None = None
    load: LoadRecord | None = None

    def find_process(self, name: str) -> NodeRecord | ProviderRecord:
        """Return the node of a name such as node1 or of its bare number, or the provider.

        Raises:
            InputRejected: UNKNOWN_NODE.
        """
        if self.provider is not None and name == self.provider.name:
            return self.provider
        return self.find_node(name)

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

    def with_process(self, changed: NodeRecord | ProviderRecord) -> TestnetRecord:
        """Return the record with the node of the same name, or the provider, replaced."""
        if isinstance(changed, ProviderRecord):
            return msgspec.structs.replace(self, provider=changed)
        nodes = tuple(changed if node.name == changed.name else node for node in self.nodes)
        return msgspec.structs.replace(self, nodes=nodes)


def record_path(home: Path) -> Path:
    """Return where the record of a network's home is."""
    return home / RECORD_NAME


def load_record(home: Path) -> TestnetRecord:
    """Return the record of a network; of one that was moved or copied here, with homes of this place and without processes.

    Raises:
        InputRejected: NO_NETWORK.
    """
    path = record_path(home)
    try:
        record = msgspec.json.decode(path.read_bytes(), type=TestnetRecord)
    except FileNotFoundError as error:
        raise InputRejected(InputReason.NO_NETWORK, str(home)) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputRejected(InputReason.NO_NETWORK, f"{path} is damaged: {error}") from error
    place = home.resolve()
    processes = [*record.nodes, *((record.provider,) if record.provider is not None else ())]
    if all(Path(one.home).resolve() == place / one.name for one in processes):
        return record
    return _move_here(place, record)


def _move_here(place: Path, record: TestnetRecord) -> TestnetRecord:
    nodes = tuple(
        msgspec.structs.replace(node, home=str(place / node.name), pid=None, started_ticks=None)
        for node in record.nodes
    )
    keys = Keyring(place).directory
    accounts = tuple(
        msgspec.structs.replace(account, secret_key_file=str(keys / Path(account.secret_key_file).name))
        for account in record.accounts
    )
    provider = record.provider
    if provider is not None:
        home = str(place / provider.name)
        provider = msgspec.structs.replace(provider, home=home, pid=None, started_ticks=None)
    return msgspec.structs.replace(record, nodes=nodes, accounts=accounts, provider=provider, load=None)


def save_record(home: Path, record: TestnetRecord) -> None:
    """Replace the record of a network in one step."""
    replace_file(record_path(home), [msgspec.json.format(msgspec.json.encode(record), indent=2), b"\n"])
