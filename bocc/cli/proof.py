"""`bocc proof`: check facts about a chain offline."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import click

from bocc.cli.asking import trust_option
from bocc.cli.context import Context, common_options
from bocc.cli.failures import ExitCode
from bocc.cli.output import print_fields, print_json, print_line
from bocc.light import describe_fact, verify_file
from bocc.usage_proofs import describe_usage, find_usage, verify_usage
from state.genesis_file import parse_genesis
from state.proof_bundle import BUNDLE_BYTES_MAX


@click.group()
def command() -> None:
    """Verify proofs offline.

    A proof comes from `bocc query account NAME --prove --json`, `bocc query tx ID --prove --json` or `bocc query proof HEX`;
    that of a resource's use from `bocc query usage ID --prove --json`.
    """


@command.command()
@click.argument("file", type=click.File("rb"))
@trust_option("", is_required=True)
@common_options
def verify(context: Context, file: BinaryIO, trust: Path) -> int:
    """Verify FILE (- for the standard input) against a genesis, without any network.

    Exit code 0 means that the fact printed is final on the chain of this genesis; 1 that the file proves nothing.
    """
    content, genesis = file.read(BUNDLE_BYTES_MAX + 1), parse_genesis(trust.read_bytes())
    usage = find_usage(content)
    fact = (
        describe_fact(verify_file(content, genesis)) if usage is None else describe_usage(verify_usage(usage, genesis))
    )
    if context.as_json:
        print_json({"verified": True, **fact})
    else:
        print_line("Verified: final on the chain of this genesis.\n")
        print_fields(fact)
    return ExitCode.DONE
