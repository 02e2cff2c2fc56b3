"""Files of a local network: homes, keys, genesis and configuration of its nodes.

All keys are the public ones of development chains, derived from a well-known mnemonic. What makes a network itself is the random
salt in its genesis, so no two networks share a chain id, a transaction or a vote.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import Final

import msgspec

from bocc.errors import InputReason, InputRejected
from bocc.testnet.network import Network
from bocc.testnet.ports import (
    HOST,
    METRICS_OFFSET,
    NODE_STRIDE,
    P2P_OFFSET,
    RPC_OFFSET,
    block_ports,
    find_base,
    is_free,
    random_base,
    require_base,
)
from bocc.testnet.process import is_running, process_of
from bocc.testnet.record import (
    PROVIDER_NAME,
    AccountRecord,
    NodeRecord,
    ProviderRecord,
    TestnetRecord,
    load_record,
    record_path,
    save_record,
)
from bocc.wallet import Keyring, derivation_path, development_key, development_seed
from node.config import CONFIG_NAME, NodeConfig, render_config
from node.home import FAUCET_KEY, NODE_KEY, VALIDATOR_KEY, init_home
from p2p.handshake import build_node_id
from state.address import account_address, format_address
from state.development_genesis import DEVELOPMENT_PARAMS, FUNDED_ACCOUNTS, development_genesis
from state.durable import replace_file
from state.genesis_file import format_genesis
from state.keyfile import KeyKind

VALIDATORS: Final = 4
"""The smallest network that survives the loss of a node."""
VALIDATORS_MAX: Final = 16
"""As many as have well-known keys."""
GENESIS_AGE_MS: Final = 2 * DEVELOPMENT_PARAMS.consensus.heartbeat_ms
"""A genesis of the past makes a first block due at once, which shows that the validators agree; a fresh chain would be silent."""
CHAIN_NAME: Final = "bocc-local-1"
ACCOUNT_NAMES: Final = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy")
assert len(ACCOUNT_NAMES) == FUNDED_ACCOUNTS


@dataclass(frozen=True, slots=True)
class Layout:
    """What somebody wants of a network."""

    validators: int | None = None
    """Number of nodes; None for 4, or for those that the home has."""
    base_port: int | None = None
    takes_any_port: bool = False
    is_fresh: bool = False
    """Whether a chain in the home is thrown away."""
    provider_count: int = 0
    """Providers of simulated hardware that belong to the network at least."""


def prepare_network(network: Network, layout: Layout) -> TestnetRecord:
    """Make a network ready to start: write a new one, or give a stopped one free ports.

    Raises:
        InputRejected: ALREADY_RUNNING, BAD_VALIDATOR_COUNT, HOME_OCCUPIED, PORTS_TAKEN.
    """
    if not record_path(network.home).exists() or layout.is_fresh:
        return write_network(network, layout)
    _refuse_running(network)
    record = _with_providers(network.home, load_record(network.home), layout)
    if layout.validators not in {None, len(record.nodes)}:
        bound = f"{len(record.nodes)} as in {network.home}; --fresh begins a new chain"
        raise InputRejected(InputReason.BAD_VALIDATOR_COUNT, layout.validators, bound)
    wants_same = layout.base_port is None and not layout.takes_any_port
    if wants_same and all(is_free(port) for node in record.nodes for port in _ports_of(node)):
        return record
    base = _choose_base(layout, len(record.nodes))
    nodes = tuple(_with_ports(node, base, index) for index, node in enumerate(record.nodes))
    record = msgspec.structs.replace(record, nodes=nodes)
    for node in nodes:
        replace_file(Path(node.home) / CONFIG_NAME, [render_config(_config(node, nodes)).encode()])
    save_record(network.home, record)
    return record


def write_network(network: Network, layout: Layout) -> TestnetRecord:
    """Write the files of a new network.

    Raises:
        InputRejected: ALREADY_RUNNING, NETWORK_EXISTS, HOME_OCCUPIED, PORTS_TAKEN.
    """
    home = network.home
    if record_path(home).exists():
        _refuse_running(network)
        if not layout.is_fresh:
            raise InputRejected(InputReason.NETWORK_EXISTS, str(home))
        _remove_network(home, load_record(home))
    count = layout.validators or VALIDATORS
    base = _choose_base(layout, count)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    genesis = development_genesis(
        CHAIN_NAME, count, salt=os.urandom(32), time_ms=time.time_ns() // 1_000_000 - GENESIS_AGE_MS
    )
    record = TestnetRecord(
        chain_id=genesis.chain_id.hex(),
        chain_name=genesis.chain_name,
        nodes=tuple(_name_node(home, index, base) for index in range(count)),
        accounts=tuple(_name_account(home, index, name) for index, name in enumerate(ACCOUNT_NAMES)),
        providers=tuple(_name_provider(home, index) for index in range(layout.provider_count)),
    )
    _refuse_strangers(home, record)
    with ExitStack() as undo:
        undo.callback(_remove_network, home, record)
        for index, name in enumerate(ACCOUNT_NAMES):
            _add_key(home, name, KeyKind.ACCOUNT, index)
        for index, node in enumerate(record.nodes):
            _add_key(home, _operator_name(index), KeyKind.OPERATOR, index)
            _write_node(home, index, node, record.nodes, format_genesis(genesis))
        for index, provider in enumerate(record.providers):
            _add_key(home, provider.name, KeyKind.PROVIDER, index)
        save_record(home, record)
        undo.pop_all()
    return record


def _refuse_running(network: Network) -> None:
    names = [node.name for node in network.running()]
    names += [one.name for one in network.record.providers if is_running(process_of(one))]
    if names:
        raise InputRejected(InputReason.ALREADY_RUNNING, f"{network.home}: {', '.join(names)}")


def _with_providers(home: Path, record: TestnetRecord, layout: Layout) -> TestnetRecord:
    """Give a stopped network the providers that are wanted; those that it has stay, whether they shall run or not."""
    indexes = range(len(record.providers), layout.provider_count)
    added = [_name_provider(home, index) for index in indexes]
    for path in (path for one in added for path in (Path(one.home), Keyring(home).path(one.name))):
        if path.exists():
            raise InputRejected(InputReason.HOME_OCCUPIED, str(path))
    if not added:
        return record
    for index, provider in zip(indexes, added, strict=True):
        _add_key(home, provider.name, KeyKind.PROVIDER, index)
    record = msgspec.structs.replace(record, providers=(*record.providers, *added))
    save_record(home, record)
    return record


def _name_provider(home: Path, index: int) -> ProviderRecord:
    address = format_address(account_address(development_key(KeyKind.PROVIDER, index).public_key))
    name = f"{PROVIDER_NAME}{index + 1}" if index else PROVIDER_NAME
    return ProviderRecord(name=name, address=address, home=str(home / name))


def _choose_base(layout: Layout, count: int) -> int:
    if layout.base_port is not None:
        return require_base(layout.base_port, count)
    return random_base(count, SystemRandom()) if layout.takes_any_port else find_base(count)


def _remove_network(home: Path, record: TestnetRecord) -> None:
    """Delete what `write_network` and the nodes wrote, and nothing else in the home."""
    for path in _paths_of(home, record):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _paths_of(home: Path, record: TestnetRecord) -> list[Path]:
    """Return the homes of nodes and providers, the keys and the record: everything that belongs to a network."""
    names = [*ACCOUNT_NAMES, *(_operator_name(index) for index in range(len(record.nodes)))]
    homes = [home / node.name for node in record.nodes]
    for provider in record.providers:
        names.append(provider.name)
        homes.append(home / provider.name)
    return [*homes, *(Keyring(home).path(name) for name in names), record_path(home)]


def _refuse_strangers(home: Path, record: TestnetRecord) -> None:
    """Refuse a home where something of somebody else has the name of something of ours, which is never overwritten."""
    for path in _paths_of(home, record):
        if path.exists():
            raise InputRejected(InputReason.HOME_OCCUPIED, str(path))


def _write_node(home: Path, index: int, node: NodeRecord, nodes: Sequence[NodeRecord], genesis_text: bytes) -> None:
    """Write everything that one node needs."""
    seeds = {
        VALIDATOR_KEY: development_seed(KeyKind.VALIDATOR, index),
        NODE_KEY: development_seed(KeyKind.NODE, index),
        FAUCET_KEY: development_seed(KeyKind.ACCOUNT, _faucet_index(index)),
    }
    init_home(home / node.name, genesis_text, _config(node, nodes), seeds)


def _faucet_index(index: int) -> int:
    """Return which account a node's faucet pays from: one of the last four, so that few nodes share one."""
    return FUNDED_ACCOUNTS - 1 - index % 4


def _name_node(home: Path, index: int, base: int) -> NodeRecord:
    node_key = development_key(KeyKind.NODE, index)
    node = NodeRecord(
        name=f"node{index}",
        rpc="",
        ws="",
        metrics="",
        p2p="",
        node_id=build_node_id(node_key.public_key),
        home=str(home / f"node{index}"),
    )
    return _with_ports(node, base, index)


def _with_ports(node: NodeRecord, base: int, index: int) -> NodeRecord:
    first = base + NODE_STRIDE * index
    return msgspec.structs.replace(
        node,
        rpc=f"http://{HOST}:{first + RPC_OFFSET}",
        ws=f"ws://{HOST}:{first + RPC_OFFSET}/ws",
        metrics=f"http://{HOST}:{first + METRICS_OFFSET}/metrics",
        p2p=f"{HOST}:{first + P2P_OFFSET}",
    )


def _ports_of(node: NodeRecord) -> list[int]:
    first = int(node.p2p.rpartition(":")[2])
    return block_ports(first, 1)


def _config(node: NodeRecord, nodes: Sequence[NodeRecord]) -> NodeConfig:
    first = _ports_of(node)[0]
    return NodeConfig(
        rpc_listen=f"{HOST}:{first + RPC_OFFSET}",
        metrics_listen=f"{HOST}:{first + METRICS_OFFSET}",
        p2p_listen=node.p2p,
        persistent_peers=tuple(f"{other.node_id}@{other.p2p}" for other in nodes if other.name != node.name),
    )


def _operator_name(index: int) -> str:
    return f"operator{index}"


def _name_account(home: Path, index: int, name: str) -> AccountRecord:
    address = format_address(account_address(development_key(KeyKind.ACCOUNT, index).public_key))
    return AccountRecord(name=name, address=address, secret_key_file=str(Keyring(home).path(name)))


def _add_key(home: Path, name: str, kind: KeyKind, index: int) -> None:
    """Put a development key into the keyring of a home, in clear."""
    seed, path = development_seed(kind, index), derivation_path(kind, index)
    Keyring(home).add(name, seed, kind, password=None, path=path)
