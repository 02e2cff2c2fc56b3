"""Home directories: where keys are and which node to talk to.

A home is that of a local network (it has testnet.json) or that of one node (it has config.toml), or it holds keys alone. Without a
choice the local network in ~/.bocc/testnet is used if there is one, and ~/.bocc otherwise.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bocc.errors import InputReason, InputRejected
from bocc.testnet.process import is_running, process_of
from bocc.testnet.record import NodeRecord, load_record, record_path
from node.config import CONFIG_NAME, NodeConfig, load_config

HOME_VARIABLE: Final = "BOCC_HOME"
NODE_VARIABLE: Final = "BOCC_NODE"
DEFAULT_URL: Final = f"http://{NodeConfig().rpc_listen}"


def default_home() -> Path:
    """Return ~/.bocc."""
    return Path.home() / ".bocc"


def testnet_home(given: Path | None) -> Path:
    """Return the home of a local network: the given one, $BOCC_HOME, or ~/.bocc/testnet."""
    if given is not None:
        return given
    variable = os.environ.get(HOME_VARIABLE)
    return Path(variable) if variable else default_home() / "testnet"


def find_home(given: Path | None) -> Path:
    """Return the home of a command: the given one, $BOCC_HOME, the local network's, or ~/.bocc."""
    home = testnet_home(given)
    if given is not None or HOME_VARIABLE in os.environ or record_path(home).exists():
        return home
    return default_home()


def find_url(home: Path, node: str | None) -> str:
    """Return the RPC URL of a node: a URL as it is, a node of the home's network by name, or the home's own node.

    Raises:
        InputRejected: UNKNOWN_NODE, NO_NETWORK, BAD_URL.
    """
    wanted = node or os.environ.get(NODE_VARIABLE)
    if wanted is not None and "://" in wanted:
        return _check_url(wanted)
    if record_path(home).exists():
        record = load_record(home)
        return (record.find_node(wanted) if wanted else _first_running(record.nodes)).rpc
    if wanted is not None:
        raise InputRejected(InputReason.UNKNOWN_NODE, wanted, f"a URL; {home} has no network with named nodes")
    if (home / CONFIG_NAME).exists():
        return _configured_url(home)
    return DEFAULT_URL


def _check_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        raise InputRejected(InputReason.BAD_URL, url, "http://HOST:PORT")
    return url


def _configured_url(home: Path) -> str:
    """Return the RPC URL that a node's own configuration gives it."""
    return f"http://{load_config(home).rpc_listen}"


def _first_running(nodes: tuple[NodeRecord, ...]) -> NodeRecord:
    return next((node for node in nodes if is_running(process_of(node))), nodes[0])
