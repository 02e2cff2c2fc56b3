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
"""Of the first; the others are called provider2 and so on."""
PROVIDERS_MAX: Final = 4


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
    """A provider of simulated hardware."""

    name: Annotated[str, Meta(pattern="^provider[0-9]*\\Z")] = PROVIDER_NAME
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
    providers: Annotated[tuple[ProviderRecord, ...], Meta(max_length=PROVIDERS_MAX)] = ()
    load: LoadRecord | None = None

    @property
    def members(self) -> list[NodeRecord | ProviderRecord]:
        """The nodes, then the providers."""
        return [*self.nodes, *self.providers]

    def find_process(self, name: str) -> NodeRecord | ProviderRecord:
        """Return the node of a name such as node1 or of its bare number, or a provider.

        Raises:
            InputRejected: UNKNOWN_NODE.
        """
        return next((one for one in self.providers if one.name == name), None) or self.find_node(name)

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
        """Return the record with the node or provider of the same name replaced."""
        if isinstance(changed, ProviderRecord):
            providers = tuple(changed if one.name == changed.name else one for one in self.providers)
            return msgspec.structs.replace(self, providers=providers)
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
    if all(Path(one.home).resolve() == place / one.name for one in record.members):
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
    providers = tuple(
        msgspec.structs.replace(provider, home=str(place / provider.name), pid=None, started_ticks=None)
        for provider in record.providers
    )
    return msgspec.structs.replace(record, nodes=nodes, accounts=accounts, providers=providers, load=None)


def save_record(home: Path, record: TestnetRecord) -> None:
    """Replace the record of a network in one step."""
    replace_file(record_path(home), [msgspec.json.format(msgspec.json.encode(record), indent=2), b"\n"])
