"""`bocc testnet`: a local network of several nodes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import click

from bocc.cli.context import Context, common_options
from bocc.cli.failures import ExitCode
from bocc.cli.logs import show_logs
from bocc.cli.output import format_time, print_json, print_line, print_table
from bocc.home import testnet_home
from bocc.provider.place import SIMULATED
from bocc.testnet.layout import VALIDATORS_MAX, Layout, prepare_network, write_network
from bocc.testnet.network import Network
from bocc.testnet.process import is_running, process_of, reap_children
from bocc.testnet.provider import ProviderState
from bocc.testnet.record import PROVIDERS_MAX, NodeRecord, ProviderRecord, TestnetRecord, record_path

_POLL_S: Final = 0.25


@click.group()
def command() -> None:
    """Run a local network of several nodes.

    Its keys are public, its chain is new each time, and everything is in one folder: --home, $BOCC_HOME or ~/.bocc/testnet. Nodes
    are called node0, node1 and so on; `provider`, `provider2` and so on serve orders with simulated hardware, which proves nothing.
    """


def network_of(context: Context) -> Network:
    """Return the network that a command works on."""
    return Network(testnet_home(context.given_home))


validators_option = click.option(
    "--validators", type=click.IntRange(1, VALIDATORS_MAX), help="How many nodes.  [default: 4, or those of the home]"
)
fresh_option = click.option("--fresh", is_flag=True, help="Throw away the chain in the home and begin a new one.")


def ports_options(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command --base-port and --ports."""
    base = click.option(
        "--base-port", type=click.IntRange(1_024, 65_000), help="Exactly these: base + 10 x node + 0..2."
    )
    auto = click.option("--ports", type=click.Choice(["auto"]), help="Any free ports, found in testnet.json.")
    return base(auto(function))


providers_option = click.option(
    "--providers",
    "provider_count",
    type=click.IntRange(0, PROVIDERS_MAX),
    default=1,
    show_default=True,
    help="Providers with SIMULATED hardware that run, attest and serve orders.",
)
no_provider_option = click.option(
    "--no-provider", "provider_count", flag_value=0, type=int, help="Same as --providers 0."
)


@command.command()
@validators_option
@ports_options
@fresh_option
@providers_option
@no_provider_option
@common_options
def init(
    context: Context, validators: int | None, base_port: int | None, ports: str | None, fresh: bool, provider_count: int
) -> int:
    """Write homes, keys and genesis of a network without starting it."""
    network = network_of(context)
    layout = Layout(
        validators, base_port, takes_any_port=ports == "auto", is_fresh=fresh, provider_count=provider_count
    )
    record = write_network(network, layout)
    _print_network(context, record, f"Written to {network.home}. `bocc testnet up` starts it.")
    return ExitCode.DONE


@command.command()
@validators_option
@ports_options
@click.option("--detach", is_flag=True, help="Return when the network is ready and leave it running.")
@click.option("--load", type=click.IntRange(1), metavar="N", help="Keep sending N transfers per second.")
@fresh_option
@providers_option
@no_provider_option
@common_options
def up(
    context: Context,
    validators: int | None,
    base_port: int | None,
    ports: str | None,
    detach: bool,
    load: int | None,
    fresh: bool,
    provider_count: int,
) -> int:
    """Start a network and say when it is ready; Ctrl-C stops it.

    A network that was stopped goes on where it was. Without a choice of ports a free block is taken, the first at 9700.
    """
    network = network_of(context)
    started_at = time.monotonic()
    layout = Layout(
        validators, base_port, takes_any_port=ports == "auto", is_fresh=fresh, provider_count=provider_count
    )
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with _stopping_on_failure(network):
        prepare_network(network, layout)
        network.start()
        height = network.wait_ready(report=lambda text: _tell(context, text))
        network.start_providers([provider.name for provider in network.record.providers[:provider_count]])
        if load:
            network.start_load(load)
        ended = _EndSignals()
    seconds = time.monotonic() - started_at
    _print_network(context, network.record, f"ready at height {height} in {seconds:.1f} s")
    if detach:
        _tell(context, f"It runs in the background. `bocc testnet down --home {network.home}` stops it.")
        return ExitCode.DONE
    _tell(context, "Ctrl-C stops it.")
    return _watch(context, network, ended)


@command.command()
@common_options
def down(context: Context) -> int:
    """Stop the network; its chain stays for the next `up`."""
    killed = network_of(context).stop()
    if context.as_json:
        print_json({"stopped": True, "killed": killed})
    else:
        print_line(
            "Stopped." if not killed else f"Stopped; {', '.join(killed)} did not end in time and had to be killed."
        )
    return ExitCode.DONE


@command.command()
@common_options
def status(context: Context) -> int:
    """Show every node: process, height, view, peers; and every provider. Exit code 1 if one is not ready or has ended."""
    network = network_of(context)
    states, providers = network.states(), network.provider_states()
    if context.as_json:
        print_json([*states, *providers])
    else:
        print_table(
            ("node", "state", "ready", "pid", "height", "view", "peers", "rpc"),
            [
                (
                    one.name,
                    one.state,
                    "yes" if one.is_ready else "no",
                    one.pid,
                    one.height,
                    one.view,
                    one.peers,
                    one.rpc,
                )
                for one in states
            ],
        )
        if providers:
            print_line("")
        for provider in providers:
            print_line(describe_provider(provider))
    has_ended = network.has_provider_ended()
    return ExitCode.DONE if all(one.is_ready for one in states) and not has_ended else ExitCode.REFUSED


def describe_provider(provider: ProviderState) -> str:
    """Return one line about a provider, which always says that it is simulated."""
    head = f"{provider.name} {provider.state} (pid {provider.pid}), {SIMULATED} hardware"
    if provider.pid is None:
        head = f"{provider.name} {provider.state}, {SIMULATED} hardware"
    if provider.enclave_state is None:
        return f"{head}: not attested yet"
    until = "" if provider.expires_ms is None else f", until {format_time(provider.expires_ms)}"
    return f"{head}: {provider.enclave} {provider.enclave_state}, level {provider.level}{until}"


@command.command()
@click.argument("name", metavar="[NODE]", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on with each new line until Ctrl-C.")
@click.option("--lines", "-n", type=click.IntRange(0), default=20, show_default=True, help="Last lines of each node.")
@common_options
def logs(context: Context, name: str | None, follow: bool, lines: int) -> int:
    """Show the logs of one node or of all, providers included."""
    record = network_of(context).record
    if name:
        chosen: list[NodeRecord | ProviderRecord] = [record.find_process(name)]
    else:
        chosen = record.members
    show_logs(chosen, lines, follow=follow)
    return ExitCode.DONE


@command.command()
@click.argument("name", metavar="NODE")
@common_options
def kill(context: Context, name: str) -> int:
    """End a node or a provider at once, as a power failure would (SIGKILL)."""
    network = network_of(context)
    name = network.record.find_process(name).name
    network.kill(name)
    return _done(context, f"{name} is killed. `bocc testnet restart {name}` starts it again.")


@command.command()
@click.argument("name", metavar="NODE")
@common_options
def pause(context: Context, name: str) -> int:
    """Freeze a node or a provider (SIGSTOP)."""
    network = network_of(context)
    name = network.record.find_process(name).name
    network.pause(name)
    return _done(context, f"{name} is frozen. `bocc testnet resume {name}` lets it go on.")


@command.command()
@click.argument("name", metavar="NODE")
@common_options
def resume(context: Context, name: str) -> int:
    """Let a frozen node or provider go on (SIGCONT)."""
    network = network_of(context)
    name = network.record.find_process(name).name
    network.resume(name)
    return _done(context, f"{name} goes on.")


@command.command()
@click.argument("name", metavar="NODE")
@common_options
def restart(context: Context, name: str) -> int:
    """Stop a node if it runs, start it and wait until it is ready; or a provider, without waiting."""
    network = network_of(context)
    name = network.record.find_process(name).name
    network.restart(name)
    if any(name == provider.name for provider in network.record.providers):
        return _done(context, f"{name} is started again; it attests {SIMULATED} hardware by itself.")
    height = network.wait_ready([name])
    return _done(context, f"{name} is ready at height {height}.")


@command.command()
@click.argument("groups", metavar="0,1/2,3")
@common_options
def partition(context: Context, groups: str) -> int:
    """Cut the links between groups of nodes; nodes that are not named form a further group."""
    cut = network_of(context).partition(groups)
    return _done(
        context, f"Cut: {' | '.join(' '.join(group) for group in cut)}. `bocc testnet heal` restores the links."
    )


@command.command()
@common_options
def heal(context: Context) -> int:
    """Restore all links."""
    network_of(context).heal()
    return _done(context, "All links are restored.")


def _done(context: Context, text: str) -> int:
    if context.as_json:
        print_json({"done": text})
    else:
        print_line(text)
    return ExitCode.DONE


def _tell(context: Context, text: str) -> None:
    """Say something to a person; a program finds everything in the one JSON document."""
    if not context.as_json:
        print_line(text)


def _print_network(context: Context, record: TestnetRecord, last_line: str) -> None:
    if context.as_json:
        print_json(record)
        return
    print_line(f"\nChain {record.chain_name}, id {record.chain_id}\n")
    print_table(
        ("node", "pid", "rpc", "websocket", "metrics"),
        [(node.name, node.pid, node.rpc, node.ws, node.metrics) for node in record.nodes],
    )
    print_line("\nFunded accounts, whose keys are public:\n")
    print_table(("name", "address"), [(account.name, account.address) for account in record.accounts])
    pids = ", ".join(f"{one.name} (pid {one.pid})" for one in record.providers if one.pid is not None)
    if pids:
        print_line(f"\nProviders of {SIMULATED} hardware: {pids}; `bocc provider status` shows the first's enclave.")
    print_line(f"\n{last_line}")


@contextmanager
def _stopping_on_failure(network: Network) -> Iterator[None]:
    """Leave no process behind when the start fails or is interrupted."""
    was_running = _is_anything_running(network)
    try:
        yield
    except BaseException:
        if not was_running and _is_anything_running(network):
            network.stop()
        raise


def _is_anything_running(network: Network) -> bool:
    return record_path(network.home).exists() and bool(_names_running(network.record))


def _watch(context: Context, network: Network, ended: _EndSignals) -> int:
    """Stay until Ctrl-C, then stop all nodes; tell when one ends, and leave when another command has stopped the network."""
    was_running = _names_running(network.record)
    while not ended.seen:
        time.sleep(_POLL_S)
        reap_children()
        record = network.record
        running = _names_running(record)
        for name in sorted(was_running - running):
            _tell(
                context,
                f"{name} has ended. `bocc testnet logs {name}` tells why, `bocc testnet restart {name}` starts it.",
            )
        was_running = running
        if all(node.pid is None for node in record.nodes):
            _tell(context, "The network was stopped.")
            return ExitCode.DONE
    _tell(context, "\nStopping.")
    killed = network.stop()
    if killed:
        _tell(context, f"{', '.join(killed)} did not end in time and had to be killed.")
    return ExitCode.DONE


def _names_running(record: TestnetRecord) -> set[str]:
    """Return the names of nodes and providers whose processes run."""
    return {one.name for one in record.members if is_running(process_of(one))}


class _EndSignals:
    """Notes Ctrl-C and SIGTERM instead of dying of them."""

    def __init__(self) -> None:
        self.seen = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.seen = True
