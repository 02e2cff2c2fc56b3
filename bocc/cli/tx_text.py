"""A transaction for people, before they sign it: from whom, what, until when, for how much, and who has signed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from bocc.amounts import format_amount
from bocc.cli.output import format_time, print_fields, print_line, print_table
from bocc.light import describe_record
from bocc.market.forms import format_moment
from bocc.tx_file import TxFile, has_signed, parties_of
from node.api.describe import MONEY_NAMES
from node.api.describe_chain import describe_body


def describe_tx_file(file: TxFile, now_ms: int) -> dict[str, Any]:
    """Return a transaction in a file as JSON."""
    parties = [
        {"account": describe_record(party.account), "role": party.role, "has_signed": has_signed(file, party.account)}
        for party in parties_of(file.body)
    ]
    return {
        "chain_id": file.chain_id.hex(),
        "tx_id": file.transaction.tx_id.hex(),
        "is_expired": file.body.expires_at_ms < now_ms,
        "body": msgspec.to_builtins(describe_body(file.transaction)),
        "parties": parties,
    }


def print_tx_file(file: TxFile, now_ms: int) -> None:
    """Print a transaction in a file; all of it comes from the bytes that are signed."""
    told, body = describe_tx_file(file, now_ms), file.body
    moment = f"{format_time(body.expires_at_ms)} UTC, {format_moment(body.expires_at_ms, now_ms)}"
    rows: list[tuple[str, object]] = [
        ("transaction", told["tx_id"]),
        ("chain", told["chain_id"]),
        ("from", told["body"]["sender"]),
        ("fee", format_amount(body.fee)),
        ("nonce", body.nonce),
        ("expired" if told["is_expired"] else "expires", moment),
    ]
    if body.memo:
        rows.append(("memo", body.memo.decode("utf-8", "replace")))
    print_table(("", ""), rows)
    for number, message in enumerate(told["body"]["messages"], 1):
        print_line(f"\n{number}. {message['kind'].replace('_', ' ')}")
        print_fields({name: content for name, content in _with_units(message).items() if name != "kind"})
    print_line("\nMust agree:")
    for party in told["parties"]:
        print_line(
            f"{party['account']} {'has signed' if party['has_signed'] else 'has not signed by its own key'}: {party['role']}"
        )
    print_line("Signatures so far:" if file.signatures else "No signature so far.")
    for signer in told["body"]["signers"]:
        print_line(signer)


def _with_units(shown: Any) -> Any:  # JSON of a message, which is of many kinds
    """Return JSON in which money has its unit, and each element of a list a line of its own: none is cut off behind the others."""
    if not isinstance(shown, Mapping):
        return shown
    parts = {name: part for each in shown.items() for name, part in _spread(*each)}
    return {
        name: format_amount(int(part)) if name in MONEY_NAMES and isinstance(part, str) else _with_units(part)
        for name, part in parts.items()
    }


def _spread(name: str, part: Any) -> list[tuple[str, Any]]:
    """Return a field as one row, or as one for each element."""
    if not part or not isinstance(part, list):
        return [(name, part)]
    return [row for index, one in enumerate(part) for row in _spread(f"{name}[{index}]", one)]
