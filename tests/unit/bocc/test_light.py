"""Laws of the light client's reading: a bundle is found wherever a node puts it, and facts are told in words."""

from __future__ import annotations

import json

import pytest

from bocc.light import describe_fact, extract_bundle
from state.codec import encode
from state.crypto import SigningKey
from state.messages import Transfer
from state.proof_bundle import (
    BUNDLE_BYTES_MAX,
    BundleReason,
    BundleRejected,
    VerifiedState,
    VerifiedTransaction,
)
from state.receipts import Receipt, ReceiptStatus
from state.records import ACCOUNTS, NEW_ACCOUNT
from state.transactions import Body, sign_transaction

BUNDLE = {"kind": "state", "format": "bocc-proof-1", "proof": "00"}
ADDRESS = bytes(21)


@pytest.mark.parametrize(
    "document",
    [BUNDLE, {"proof": BUNDLE}, {"balance": "1", "proof": BUNDLE}, {"jsonrpc": "2.0", "result": {"proof": BUNDLE}}],
    ids=["bare", "answer", "account", "json_rpc"],
)
def test_bundle_is_found_in_every_wrapping(document):
    assert json.loads(extract_bundle(json.dumps(document).encode())) == BUNDLE


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"{", b"[" * 5_000, b" " * (BUNDLE_BYTES_MAX + 1)])
def test_other_files_are_no_bundle(content):
    with pytest.raises(BundleRejected) as caught:
        extract_bundle(content)
    assert caught.value.reason is BundleReason.BAD_FILE


def state_fact(key: bytes, value: bytes | None) -> VerifiedState:
    return VerifiedState(block_hash=bytes(32), height=7, time_ms=8, key=key, value=value)


def test_record_is_decoded_by_its_table():
    told = describe_fact(state_fact(ACCOUNTS.raw_key(ADDRESS), encode(NEW_ACCOUNT)))
    assert (told["table"], told["record"]["balance"]) == ("accounts", 0)
    assert told["id"].startswith("bocc1")


def test_absent_record_has_no_value():
    told = describe_fact(state_fact(ACCOUNTS.raw_key(ADDRESS), None))
    assert (told["value"], told["record"]) == (None, None)


def test_record_of_a_later_version_is_shown_as_bytes():
    told = describe_fact(state_fact(b"\xfe\x01", b"\x05"))
    assert (told["key"], told["value"]) == ("fe01", "05")
    assert "record" not in told


def test_transaction_is_told_with_its_messages_and_receipt():
    key = SigningKey(bytes(32))
    body = Body(
        sender=ADDRESS,
        nonce=1,
        expires_at_ms=2,
        fee=3,
        messages=(Transfer(to=ADDRESS, amount=4),),
        memo=b"",
    )
    transaction = sign_transaction(bytes(32), body, (key,))
    receipt = Receipt(
        tx_id=transaction.tx_id,
        status=ReceiptStatus.OK,
        reason="",
        message_index=0,
        fee=3,
        work=1,
        event_count=1,
    )
    fact = VerifiedTransaction(
        block_hash=bytes(32), height=7, time_ms=8, index=0, transaction=transaction, receipt=receipt
    )
    told = describe_fact(fact)
    assert told["tx_id"] == transaction.tx_id.hex()
    assert told["body"]["messages"] == [{"to": told["body"]["sender"], "amount": 4, "kind": "transfer"}]
    assert told["receipt"]["fee"] == 3
