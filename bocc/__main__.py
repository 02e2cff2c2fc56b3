"""Entry point of the command `bocc`. Groups are imported when they are used, so that every command starts quickly."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Final

import click

from bocc.cli.failures import ExitCode, describe_failure, print_failure

COMMANDS: Final = {
    "testnet": "Run a local network of several nodes.",
    "keys": "Make, show and recover keys.",
    "tx": "Send transactions.",
    "query": "Ask a node about chain, accounts and network.",
    "order": "Order work on data, software and machines.",
    "resource": "Offer data, software and machines.",
    "endorse": "State claims about others, which policies may ask for.",
    "provider": "Prove confidential hardware to a chain.",
    "collateral": "Bring hardware vendors' documents to a chain.",
    "gov": "Propose changes and vote on them.",
    "faucet": "Get money on a development chain.",
    "proof": "Verify proofs offline.",
    "tee": "Verify and read evidence of confidential hardware, offline.",
    "node": "Set up and run one node.",
    "health": "Tell whether a node is well, by exit code.",
}


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own under bocc/cli."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which people meet them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"bocc.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bocc", prog_name="bocc")
def cli() -> None:
    """Work with a bocc chain: run it, pay on it, ask it, verify it.

    \b
    First steps:
      bocc testnet up --detach
      bocc tx transfer --from alice --to bob --amount 5
      bocc query account bob

    \b
    Exit codes: 0 done, 1 refused, 2 wrong usage, 3 node not reachable,
    4 still pending when the time was up.
    """  # noqa: D301  \b is click's mark for lines that keep their breaks


def main() -> None:
    """Run the command line and exit with its code."""
    as_json = "--json" in sys.argv[1:]
    try:
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`bocc ... | head`): nothing is left to say, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.REFUSED
    except Exception as error:
        failure = describe_failure(error)
        if failure is None:
            raise
        print_failure(failure, as_json=as_json)
        code = failure.exit_code
    sys.exit(code if isinstance(code, int) else ExitCode.DONE)


if __name__ == "__main__":
    main()
