"""What commands that ask a node share."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from bocc.cli.context import Context, run
from bocc.cli.output import print_fields, print_json
from bocc.client import Client

Answer = TypeVar("Answer")
Question = Callable[[Client], Coroutine[Any, Any, Any]]


def ask(context: Context, question: Question) -> Any:
    """Ask a node one question and return its answer."""

    async def work() -> Any:
        async with context.client() as client:
            return await question(client)

    return run(work())


def answer(context: Context, question: Question) -> None:
    """Ask a node one question and print its answer."""
    told = ask(context, question)
    if context.as_json or not isinstance(told, dict):
        print_json(told)
    else:
        print_fields(told)


height_option = click.option("--height", type=click.IntRange(min=0), help="As of this final block.")


def trust_option(what: str, *, is_required: bool = False) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Give a command --trust: the genesis file from which it checks proofs."""
    return click.option(
        "--trust",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        required=is_required,
        metavar="GENESIS",
        help=f"Genesis of the chain, from a source that you trust{what}.",
    )


prove_option = click.option("--prove", is_flag=True, help="With a proof for `bocc proof verify`.")
