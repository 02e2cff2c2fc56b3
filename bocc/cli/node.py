"""`bocc node`: set up and run one node."""

from __future__ import annotations

import dataclasses
import os
from importlib import resources
from pathlib import Path
from typing import Final

import click
import msgspec

import bocc
from bocc.cli.asking import answer
from bocc.cli.context import Context, common_options, password_option, read_password
from bocc.cli.failures import ExitCode
from bocc.cli.output import print_fields, print_json, print_line
from bocc.home import HOME_VARIABLE, default_home
from bocc.wallet import derivation_path, derive, mnemonic_seed, new_mnemonic
from node.__main__ import main as run_node_process
from node.config import NodeConfig, load_config, parse_setting
from node.home import NODE_KEY, VALIDATOR_KEY, Home, init_home, log_header, repair_votes, reset_home
from p2p.handshake import build_node_id
from state.crypto import SigningKey
from state.genesis_file import parse_genesis
from state.keyfile import KeyKind, describe_key

GENESIS_RESOURCE: Final = "genesis.json"
CHECKOUT_GENESIS: Final = Path(bocc.__file__).resolve().parents[1] / "genesis.json"


@click.group()
def command() -> None:
    """Set up and run one node.

    Its home is --home, $BOCC_HOME or ~/.bocc. All settings are in config.toml there, with comments; the rules of the chain are in
    genesis.json.
    """


def node_home(context: Context) -> Home:
    """Return the home of the node that a command is about."""
    variable = os.environ.get(HOME_VARIABLE)
    return Home(context.given_home or (Path(variable) if variable else default_home()))


settings_option = click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of config.toml. Repeatable."
)


@command.command()
@click.option(
    "--genesis",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Genesis of the chain.  [default: the development network]",
)
@click.option("--validator", is_flag=True, help="Make a validator key too, and show its mnemonic once.")
@click.option("--plain", is_flag=True, help="Do not encrypt the validator key: for development chains only.")
@click.option("--peer", "peers", multiple=True, metavar="ID@HOST:PORT", help="Peer to stay connected to. Repeatable.")
@settings_option
@password_option
@common_options
def init(
    context: Context,
    genesis: Path | None,
    validator: bool,
    plain: bool,
    peers: tuple[str, ...],
    settings: tuple[str, ...],
    password_file: Path | None,
) -> int:
    """Make the home of a node: keys, configuration, database with the genesis state."""
    home = node_home(context)
    genesis_text = genesis.read_bytes() if genesis else read_development_genesis()
    parsed = parse_genesis(genesis_text)
    if validator and plain and not parsed.development:
        raise click.UsageError("--plain is for development chains only; give --password-file")
    words = new_mnemonic() if validator else None
    password = None
    if validator and not plain:
        password = read_password(password_file, "New password of the validator key", confirm=True)
    seeds: dict[str, bytes] = {}
    if words:
        root = mnemonic_seed(words)
        seeds[VALIDATOR_KEY] = derive(root, derivation_path(KeyKind.VALIDATOR))
        seeds[NODE_KEY] = derive(root, derivation_path(KeyKind.NODE))
    config = _config_of(settings, peers)
    init_home(home.root, genesis_text, config, seeds, password)
    summary: dict[str, object] = {
        "home": str(home.root),
        "chain_id": parsed.chain_id.hex(),
        "node_id": build_node_id(describe_key(home.keys / NODE_KEY).public_key),
        "rpc": f"http://{config.rpc_listen}",
    }
    if words:
        summary["validator_key"] = SigningKey(seeds[VALIDATOR_KEY]).public_key.hex()
    if context.as_json:
        print_json(summary | ({"mnemonic": words} if words else {}))
        return ExitCode.DONE
    print_fields(summary)
    if words:
        print_line("\nWrite these 24 words down; they are shown only now and are the keys:\n")
        print_line(f"  {words}\n")
    print_line(f"`bocc node run --home {home.root}` starts it.")
    return ExitCode.DONE


@command.command()
@settings_option
@password_option
@common_options
def run(context: Context, settings: tuple[str, ...], password_file: Path | None) -> int:
    """Run the node until Ctrl-C or SIGTERM.

    An encrypted validator key needs --password-file.
    """
    arguments = ["--home", str(node_home(context).root)]
    for setting in settings:
        arguments += ["--set", setting]
    if password_file is not None:
        arguments += ["--password-file", str(password_file)]
    return run_node_process(arguments)


@command.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@common_options
def reset(context: Context, yes: bool) -> int:
    """Drop the database and begin again from genesis; keys and the log of votes stay, blocks come from peers."""
    home = node_home(context)
    config = load_config(home.root)
    if not yes:
        click.confirm(f"Drop the database in {home.data}?", abort=True, err=True)
    reset_home(home, is_archive=config.archive)
    return _done(context, {"home": str(home.root), "reset": True}, "The node begins again from genesis.")


@command.command(name="repair-log")
@common_options
def repair(context: Context) -> int:
    """Make a damaged log of votes readable again, keeping what is whole and a copy of the rest.

    Votes may be lost, and a validator must never sign twice: the command tells what to set before the node may vote again.
    """
    home = node_home(context)
    key_path = home.keys / VALIDATOR_KEY
    public_key = describe_key(key_path).public_key if key_path.exists() else None
    repaired = repair_votes(home, log_header(home.load_genesis().chain_id, public_key))
    summary: dict[str, object] = {
        "kept_records": repaired.kept_records,
        "dropped_bytes": repaired.dropped_bytes,
        "damaged_copy": None if repaired.damaged_copy is None else str(repaired.damaged_copy),
    }
    if repaired.damaged_copy is None:
        return _done(context, summary, "The log is whole; nothing was changed.")
    advice = (
        'Votes may be lost. Before the next start set resume_after = "observe" in config.toml, or "EPOCH,VIEW" for a view that '
        "this validator surely never passed: well above the newest that `bocc query status` shows on any other node."
    )
    return _done(context, summary | {"advice": advice}, advice)


@command.command()
@common_options
def status(context: Context) -> int:
    """Show what the running node of this home says of itself."""
    home = node_home(context).root
    answer(dataclasses.replace(context, given_home=home), lambda client: client.status())
    return ExitCode.DONE


def read_development_genesis() -> bytes:
    """Return the genesis of the development network: data of the installed package, or the file of the checkout."""
    packaged = resources.files("bocc").joinpath(GENESIS_RESOURCE)
    return packaged.read_bytes() if packaged.is_file() else CHECKOUT_GENESIS.read_bytes()


def _config_of(settings: tuple[str, ...], peers: tuple[str, ...]) -> NodeConfig:
    """Return the configuration with these settings and defaults for the rest."""
    chosen: dict[str, object] = {"persistent_peers": peers}
    for setting in settings:
        name, separator, text = setting.partition("=")
        if not separator:
            raise click.BadParameter(f"{setting}: write NAME=VALUE", param_hint="--set")
        chosen[name] = parse_setting(name, text, f"--set {name}")
    return msgspec.convert(chosen, NodeConfig)


def _done(context: Context, summary: dict[str, object], text: str) -> int:
    if context.as_json:
        print_json(summary)
    else:
        print_fields(summary)
        print_line(f"\n{text}")
    return ExitCode.DONE
