"""Laws of `bocc query` against a node that is played: what a node leaves out is told from what it gives."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from bocc.cli.query import command
from state.address import format_address
from state.messages import Transfer
from state.transactions import Body, sign_transaction
from tests.support.chain_builders import account, account_key
from tests.support.fake_node import fake_node_in_thread


def test_transaction_whose_body_a_node_leaves_out_is_read_from_its_envelope(tmp_path: Path) -> None:
    body = Body(
        sender=account(0),
        nonce=7,
        expires_at_ms=9,
        fee=5,
        messages=(Transfer(to=account(1), amount=3),),
        memo=b"",
    )
    envelope = sign_transaction(bytes(32), body, (account_key(0),)).encoded
    told = {"tx_id": "00" * 32, "envelope": envelope.hex(), "body": None}
    with fake_node_in_thread() as node:
        node.methods["tx"] = lambda **_named: told
        texts = ["tx", "00" * 32, "--home", str(tmp_path), "--node", node.url]
        shown = CliRunner().invoke(command, texts, standalone_mode=False).stdout
        for_programs = CliRunner().invoke(command, [*texts, "--json"], standalone_mode=False).stdout
    rows = [line.split() for line in shown.splitlines()]
    assert ["body.messages[0].to", format_address(account(1))] in rows
    assert ["body.nonce", "7"] in rows
    assert json.loads(for_programs) == told
