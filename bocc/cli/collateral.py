"""`bocc collateral`: the documents of hardware vendors on a chain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bocc.cli.asking import ask
from bocc.cli.context import Context, common_options, password_option, run
from bocc.cli.failures import ExitCode
from bocc.cli.output import format_time, print_fields, print_json, print_line, print_table
from bocc.cli.query_trust import cursor_option, limit_option, print_more, print_notice
from bocc.provider.documents import VendorDocument, read_documents
from bocc.provider.posting import Posted, PostResult, post_documents
from state.crypto import SigningKey


@click.group()
def command() -> None:
    """Bring hardware vendors' documents to a chain, and look at those that it has.

    Anybody may bring them, because vendors sign them; a document that is news costs nothing in the end.
    """


@command.command()
@click.argument("path", metavar="DIR|FILE", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--chain",
    "chain_path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Certificates of the signer of a single FILE.  [default: those in its folder]",
)
@click.option("--from", "name", required=True, metavar="NAME", help="Key that pays and signs.")
@password_option
@common_options
def put(context: Context, path: Path, chain_path: Path | None, name: str, password_file: Path | None) -> int:
    """Bring the documents of a folder, or one, to the chain; what it has already is left out.

    A folder has root_ca_crl.der, pck_crl.der with pck_crl_issuer_chain.pem, tcb_info.json and qe_identity.json with
    tcb_signing_chain.pem, and amd_crl.der, or some of them. Each document is tried first: a refusal costs nothing.
    """
    documents = read_documents(path, chain_path)
    key = context.load_key(name, password_file).signing_key()
    posted = run(_put(context, key, documents))
    if context.as_json:
        print_json(posted)
    results = {one.result for one in posted}
    if PostResult.REFUSED in results:
        return ExitCode.REFUSED
    return ExitCode.PENDING if PostResult.PENDING in results else ExitCode.DONE


async def _put(context: Context, key: SigningKey, documents: tuple[VendorDocument, ...]) -> list[Posted]:
    posted: list[Posted] = []
    async with context.client() as client:
        async for one in post_documents(client, key, documents):
            posted.append(one)
            if not context.as_json:
                print_line(_describe(one))
    return posted


def _describe(posted: Posted) -> str:
    """Return one line about a document and what became of it."""
    line = f"{posted.name}: {posted.kind} {posted.result}"
    if posted.height is not None:
        line += f" at height {posted.height}, fee kept {posted.fee}ubocc"
    if posted.result is PostResult.KNOWN:
        return f"{line}, the chain has it or a later one"
    if posted.reason is not None:
        line += f": {posted.reason}"
    if posted.seen:
        line += f", seen {posted.seen}"
    if posted.bound:
        line += f", bound {posted.bound}"
    return f"{line}\n      {posted.remedy}" if posted.remedy else line


@command.command(name="list")
@limit_option(100)
@cursor_option
@common_options
def list_command(context: Context, limit: int, cursor: str | None) -> None:
    """List the documents that the chain has."""
    told = ask(context, lambda client: client.call("collaterals", limit=limit, cursor=cursor))
    if context.as_json:
        print_json(told)
        return
    print_table(
        ("kind", "number", "about", "issued", "next update", "", "key"),
        [
            (
                one["kind"],
                one["number"] or None,
                " ".join(part for part in (one["tee"], one["fmspc"]) if part),
                format_time(one["issued_ms"])[:10],
                format_time(one["next_update_ms"])[:10],
                _marks(one),
                one["key"],
            )
            for one in told["collaterals"]
        ],
    )
    print_more(told["cursor"])


def _marks(document: dict[str, Any]) -> str:
    """Return what is remarkable about a document."""
    marks = {"is_simulated": "SIMULATED", "is_early": "early", "is_overdue": "OVERDUE"}
    return " ".join(word for name, word in marks.items() if document[name])


@command.command()
@click.argument("key", metavar="KEY")
@click.option("--save", "path", type=click.Path(path_type=Path, dir_okay=False), help="Write the document to a file.")
@common_options
def show(context: Context, key: str, path: Path | None) -> None:
    """Show one document by its key."""
    told = ask(context, lambda client: client.call("collateral", key=key))
    if path is not None:
        path.write_bytes(bytes.fromhex(told["body"]))
    if context.as_json:
        print_json(told)
        return
    print_notice(told)
    print_fields({name: content for name, content in told.items() if name not in {"body", "chain", "notice"}})
    print_line(f"Written to {path}" if path is not None else "The document itself: --save FILE or --json")
