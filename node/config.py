"""Configuration of a node: one frozen struct, with the same names in the file, in the environment and as flags.

config.toml in the home is written from a commented template and read strictly: unknown keys are refused. A variable `BOCC_<NAME>`
goes before the file, a flag before both. Nothing here is a rule of the chain; those are in the genesis.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, get_type_hints

import msgspec
from msgspec import Meta, Struct

from node.errors import ConfigError

CONFIG_NAME: Final = "config.toml"
GENESIS_NAME: Final = "genesis.json"
VALIDATOR_KEY: Final = Path("keys") / "validator.json"
NODE_KEY: Final = Path("keys") / "node.json"
DATA_NAME: Final = "data"
LOG_NAME: Final = "votes.log"
ADMIN_SOCKET: Final = "admin.sock"
ENVIRONMENT_PREFIX: Final = "BOCC_"
DIGITS_MAX: Final = 18
"""Of a number in the environment or a flag; more do not fit 64 bits, and thousands are refused by `int` itself."""
_NOT_SETTINGS: Final = frozenset({"BOCC_HOME", "BOCC_NODE", "BOCC_PASSWORD_FILE"})

Listen = Annotated[str, Meta(pattern=r"^.+:[0-9]{1,5}\Z", description="host:port")]


class NodeConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that an operator may set. The template below says what each is for."""

    rpc_listen: Listen = "127.0.0.1:9701"
    rpc_allowed_hosts: tuple[str, ...] = ()
    rpc_allowed_origins: tuple[str, ...] = ()
    metrics_listen: Annotated[str, Meta(pattern=r"^(.+:[0-9]{1,5})?\Z")] = "127.0.0.1:9702"
    p2p_listen: Listen = "127.0.0.1:9700"
    p2p_advertised: str = ""
    persistent_peers: tuple[str, ...] = ()
    seed_addresses: tuple[str, ...] = ()
    exchange_addresses: bool = False
    allow_private_addresses: bool = True
    push_transactions: bool = True
    archive: bool = False
    disk_free_min_mib: Annotated[int, Meta(ge=0, le=1 << 20)] = 64
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    use_uvloop: bool = True
    resume_after: Annotated[str, Meta(pattern=r"^([0-9]{1,18},[0-9]{1,18}|observe)?\Z")] = ""


TEMPLATE: Final = """\
# Configuration of one bocc node. Every name here is also an environment variable (BOCC_RPC_LISTEN) and a flag of
# `bocc node run` (--set rpc_listen=...). Unknown names are refused. Rules of the chain are in genesis.json, not here.

# JSON-RPC, WebSocket (/ws), /livez, /readyz. Listening beyond loopback needs rpc_allowed_hosts.
rpc_listen = {rpc_listen}
# Names that may stand in the Host header, beside those of loopback; "*" takes any.
rpc_allowed_hosts = {rpc_allowed_hosts}
# Origins of web pages that may call.
rpc_allowed_origins = {rpc_allowed_origins}
# Prometheus metrics at /metrics; empty: none.
metrics_listen = {metrics_listen}

# Where peers connect to, and what they are told if that differs.
p2p_listen = {p2p_listen}
p2p_advertised = {p2p_advertised}
# Always connected: "node_id@host:port".
persistent_peers = {persistent_peers}
# First addresses for an empty address book: "host:port".
seed_addresses = {seed_addresses}
# Whether addresses are exchanged with peers, and whether private and loopback ones count.
exchange_addresses = {exchange_addresses}
allow_private_addresses = {allow_private_addresses}
# Send new transactions whole to up to eight peers, which saves a round trip; false: announce them first.
push_transactions = {push_transactions}

# Keep all blocks and events, instead of those of the last 30 days.
archive = {archive}
# The node stops before the disk is full, when less than this is free.
disk_free_min_mib = {disk_free_min_mib}

# debug, info, warning or error; text or json.
log_level = {log_level}
log_format = {log_format}
# Use the faster event loop where the package uvloop is installed.
use_uvloop = {use_uvloop}

# Only after a lost vote log or a moved key: "epoch,view" at or below which this validator never signs again, or "observe" to
# find that out by listening to the network for a while. Written to the log at the next start; empty it after that.
resume_after = {resume_after}
"""


def render_config(config: NodeConfig) -> str:
    """Return the commented file that holds this configuration."""
    values = {name: _render(getattr(config, name)) for name in config.__struct_fields__}
    return TEMPLATE.format(**values)


def _render(setting: object) -> str:
    if isinstance(setting, bool):
        return "true" if setting else "false"
    if isinstance(setting, tuple):
        return "[" + ", ".join(_render(one) for one in setting) + "]"
    if isinstance(setting, int):
        return str(setting)
    # TOML refuses one character more than JSON escapes.
    return msgspec.json.encode(setting).decode().replace("\x7f", "\\u007f")


def load_config(
    home: Path, overrides: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None
) -> NodeConfig:
    """Read the configuration of a home, then the environment, then overrides from flags, and check the whole.

    Raises:
        ConfigError: the file is missing or no TOML, a name is unknown, or a value is out of range.
    """
    path = home / CONFIG_NAME
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist; `bocc node init --home {home}` makes a home") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    variables = os.environ if environment is None else environment
    for variable in sorted(variables):
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in _NOT_SETTINGS:
            name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
            settings[name] = parse_setting(name, variables[variable], variable)
    for name, text in (overrides or {}).items():
        settings[name] = parse_setting(name, text, f"--set {name}")
    try:
        return msgspec.convert(settings, NodeConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse_setting(name: str, text: str, origin: str) -> object:
    """Return a setting from its text: as it is, `true` or `false`, a number, or a list separated by commas.

    Raises:
        ConfigError: the name is unknown or the text does not fit its type.
    """
    if name not in NodeConfig.__struct_fields__:
        known = ", ".join(NodeConfig.__struct_fields__)
        raise ConfigError(f"{origin}: there is no setting {name}; known are {known}")
    hint = get_type_hints(NodeConfig)[name]
    if hint is bool:
        if text not in {"true", "false"}:
            raise ConfigError(f"{origin}: {text!r} is neither true nor false")
        return text == "true"
    if hint is int:
        if not (text.isascii() and text.isdecimal() and len(text) <= DIGITS_MAX):
            raise ConfigError(f"{origin}: {text!r} is no number")
        return int(text)
    if hint == tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def parse_listen(text: str) -> tuple[str, int]:
    """Return host and port of a `host:port` setting.

    Raises:
        ConfigError: the port is above 65535.
    """
    host, _, port_text = text.rpartition(":")
    port = int(port_text)
    if port > 65_535:
        raise ConfigError(f"{text}: a port is at most 65535")
    return host.strip("[]"), port
