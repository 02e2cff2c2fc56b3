"""What a command says when something goes wrong: one line, a next step, and an exit code that a script can use.

Exit codes: 0 done, 1 refused, 2 wrong usage, 3 the node cannot be reached, 4 still pending when the time was up, 130 interrupted.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import click
import msgspec
from rich.console import Console

from bocc.cli.output import print_json_line, printable
from bocc.errors import AnswerMalformed, CapsuleRejected, NodeUnreachable, RpcRejected, SealRejected
from node.errors import ConfigError
from state.errors import Rejected, StorageFault


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    REFUSED = 1
    """By the node, by the chain, or by a rule of ours."""
    USAGE = 2
    UNREACHABLE = 3
    PENDING = 4
    """The transaction may still become final; ask by its id."""
    INTERRUPTED = 130


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A failure as `--json` prints it, under `error`."""

    exit_code: int
    message: str
    reason: str
    seen: str | None = None
    bound: str | None = None
    hint: str | None = None


_HINTS: Final = {
    "not_found": "check the name or id; `bocc keys list` shows the keys of this home",
    "exists": "choose another name; a key is never overwritten",
    "not_regular": "give the file itself, not a link to it",
    "foreign_owner": "run as the owner of the file, or copy the key with `bocc keys export`",
    "open_to_others": "`chmod 600` the file, and think about who has read it",
    "password_needed": "give --password-file or set BOCC_PASSWORD_FILE",
    "wrong_password": "try again; without its password or its mnemonic a key is lost",
    "bad_mnemonic": "look for a typing error: words are from the BIP-39 English list, and the last one is a checksum",
    "bad_amount": "write 5 or 0.25 for BOCC, 5ubocc for the smallest unit",
    "bad_file": "`bocc order init` and `bocc resource init KIND` print files that say what may stand where",
    "no_offer": "`bocc query market` shows what is on offer",
    "tx_bad_file": "give the file as --out or `bocc tx sign` wrote it",
    "tx_bad_signature": "the file was changed, or is for another chain than it says; begin again with --out",
    "tx_expired": "begin again with --out: the chain takes no transaction that lives longer",
    "tx_full": "some of them are nobody's who must agree: begin again with --out",
    "tx_no_signer": "sign with a key of those named, with --trust also --account; a stranger's signature would spoil it",
    "tx_other_chain": "--node names a node of its chain",
    "tx_signed": "another key signs next, or `bocc tx send` sends it",
    "unproven": "ask again, then another node by --node URL; if all say the same, is --trust the genesis of this chain?",
    "unknown_name": "`bocc keys list` shows the keys of this home, --home names another",
    "bad_url": "write http://HOST:PORT, or the name of a node of the local network",
    "bad_bech32m": "copy the whole address again; its checksum does not fit",
    "wrong_prefix": "this names another kind of thing: accounts begin with bocc1, resources with boccres1, orders with boccord1",
    "no_network": "start one with `bocc testnet up`, or name its home with --home",
    "home_occupied": "choose another --home, or move that away",
    "already_running": "`bocc testnet status` shows it, `bocc testnet down` stops it",
    "ports_taken": "leave out --base-port, or use --ports auto",
    "not_running": "`bocc testnet status` shows which nodes run; `bocc testnet restart` starts one",
    "admin_refused": "is the node running? `bocc testnet status` tells",
    "node_died": "the whole log: `bocc testnet logs`",
    "not_ready": "the log may tell why: `bocc testnet logs`",
    "network_exists": "`bocc testnet up` goes on with it, `bocc testnet init --fresh` begins a new one",
    "balance_too_low": "on a development chain `bocc faucet` gives money",
    "cannot_pay": "on a development chain `bocc faucet` gives money",
    "mempool_full": "wait a little, or offer a higher --fee",
    "sender_limit": "wait until some of the pending transactions are final",
}


_MONEY_REASONS: Final = frozenset(
    {
        "balance_too_low",
        "bond_too_low",
        "cannot_pay",
        "deposit_too_low",
        "faucet_limit",
        "fee_too_low",
        "price_too_high",
        "provider_bond_too_low",
        "replacement_fee_too_low",
        "stake_too_low",
    }
)
"""Refusals in which seen and bound are ubocc. They are told with the unit, because a bare number on the command line means BOCC."""


def describe_failure(error: Exception) -> Failure | None:
    """Return what to tell about an error, or None if it is our own mistake and needs its traceback."""
    match error:
        case click.UsageError():
            command = error.ctx.command_path if error.ctx else "bocc"
            hint = f"`{command} --help` explains"
            return Failure(exit_code=ExitCode.USAGE, message=error.format_message(), reason="usage", hint=hint)
        case click.ClickException():
            return Failure(exit_code=ExitCode.REFUSED, message=error.format_message(), reason="failed")
        case NodeUnreachable():
            hint = "is it running? `bocc testnet up` starts a local network, --node names another URL"
            return Failure(exit_code=ExitCode.UNREACHABLE, message=str(error), reason="unreachable", hint=hint)
        case AnswerMalformed():
            hint = "the URL must be that of a bocc node's JSON-RPC"
            return Failure(exit_code=ExitCode.UNREACHABLE, message=str(error), reason="malformed_answer", hint=hint)
        case RpcRejected():
            message = f"{error}: {_sentence(error.reason, error.seen, error.bound)}"
            return _rejection(message, error.reason, error.seen, error.bound, error.data.get("hint"))
        case Rejected():
            message = _sentence(str(error.reason.value), error.seen, error.bound)
            return _rejection(message, str(error.reason.value), error.seen, error.bound, None)
        case CapsuleRejected() | SealRejected():
            return Failure(exit_code=ExitCode.REFUSED, message=str(error), reason="not_opened")
        case ConfigError() | msgspec.ValidationError():
            return Failure(exit_code=ExitCode.REFUSED, message=str(error), reason="configuration")
        case OSError() | StorageFault():
            return Failure(exit_code=ExitCode.REFUSED, message=str(error), reason="operating_system")
        case _:
            return None


def print_failure(failure: Failure, *, as_json: bool) -> None:
    """Print a failure: JSON on the standard output, or lines on the standard error."""
    if as_json:
        print_json_line({"error": failure})
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"bocc: {printable(failure.message)}", style="red", markup=False)
    if failure.hint:
        console.print(f"      {printable(failure.hint)}", markup=False)


def _sentence(reason: str, seen: object, bound: object) -> str:
    """Return a refusal in words: the rule, what was seen, and what is allowed."""
    text = reason.replace("_", " ")
    unit = "ubocc" if reason in _MONEY_REASONS else ""
    if seen is not None:
        text += f": {seen}{unit}"
    return text if bound is None else f"{text} (allowed: {bound}{unit})"


def _rejection(message: str, reason: str, seen: object, bound: object, hint: object) -> Failure:
    return Failure(
        exit_code=ExitCode.REFUSED,
        message=message,
        reason=reason,
        seen=None if seen is None else str(seen),
        bound=None if bound is None else str(bound),
        hint=_HINTS.get(reason) if hint is None else str(hint),
    )
