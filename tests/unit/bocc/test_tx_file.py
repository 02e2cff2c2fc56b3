"""Laws of transactions in files: what is read is what was written, and nothing of it can be changed."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from bocc.tx_file import (
    FILE_BYTES_MAX,
    Party,
    TxFile,
    TxFileReason,
    TxFileRejected,
    add_signature,
    check_ready,
    format_tx_file,
    parse_tx_file,
    parties_of,
)
from state.address import format_address
from state.crypto import SigningKey
from state.messages import AuthKey, SetAuth, Transfer
from state.resource_messages import Assign
from state.transactions import SIGNATURES_MAX, Body, parse_transaction
from tests.support.chain_builders import account, account_key

CHAIN_ID = bytes(range(32))
NOW_MS = 1_750_000_000_000
RESOURCE = b"\x01" + bytes(20)
BODY = Body(
    sender=account(0),
    nonce=7,
    expires_at_ms=NOW_MS,
    fee=9,
    messages=(Assign(resource=RESOURCE, to=account(1), keeps_payees=False),),
    memo=b"",
)
FILE = TxFile(chain_id=CHAIN_ID, body=BODY)


def signed(*indices: int) -> TxFile:
    file = FILE
    for index in indices:
        file = add_signature(file, account_key(index))
    return file


def refusal(text: bytes) -> TxFileReason:
    with pytest.raises(TxFileRejected) as caught:
        parse_tx_file(text)
    return caught.value.reason


@pytest.mark.parametrize("indices", [(), (0,), (1, 0)])
def test_what_is_read_is_what_was_written(indices):
    file = signed(*indices)
    assert parse_tx_file(format_tx_file(file)) == file


def test_signatures_in_any_order_make_one_good_transaction():
    assert signed(0, 1) == signed(1, 0)
    transaction = parse_transaction(signed(0, 1).transaction.encoded, CHAIN_ID)
    assert transaction.has_valid_signatures()
    assert transaction.tx_id == FILE.transaction.tx_id


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("chain_id", lambda told: told[::-1]),
        ("body", lambda told: told.replace(account(1).hex(), account(2).hex())),
        ("signatures", lambda told: [{**told[0], "public_key": told[0]["signature"][:64]}]),
        ("signatures", lambda told: [{**told[0], "signature": "00" * 64}]),
    ],
    ids=["chain", "body", "key", "signature"],
)
def test_change_after_a_signature_is_found(name, change):
    told = json.loads(format_tx_file(signed(0)))
    told[name] = change(told[name])
    assert refusal(json.dumps(told).encode()) is TxFileReason.BAD_SIGNATURE


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"\xff",
        b"[" * 5_000,
        b" " * (FILE_BYTES_MAX + 1),
        format_tx_file(FILE).replace(b"bocc-transaction-1", b"bocc-transaction-2"),
        format_tx_file(FILE).replace(b'"body": "', b'"body": "00'),
        format_tx_file(FILE).replace(b'"signatures": []', b'"signatures": [{}]'),
        format_tx_file(FILE).replace(b'"format"', b'"more": 1, "format"'),
        format_tx_file(TxFile(chain_id=CHAIN_ID, body=replace(BODY, sender=b"\xff" + bytes(20)))),
        format_tx_file(TxFile(chain_id=CHAIN_ID, body=replace(BODY, sender=RESOURCE))),
    ],
    ids=[
        "empty",
        "nothing",
        "no text",
        "deep",
        "long",
        "format",
        "body",
        "signature",
        "more",
        "stranger",
        "no account",
    ],
)
def test_other_files_are_refused(text):
    assert refusal(text) is TxFileReason.BAD_FILE


@pytest.mark.parametrize(
    ("chain_id", "now_ms", "reason"),
    [(bytes(32), NOW_MS, TxFileReason.OTHER_CHAIN), (CHAIN_ID, NOW_MS + 1, TxFileReason.EXPIRED)],
)
def test_transaction_is_ready_on_its_chain_in_its_time(chain_id, now_ms, reason):
    check_ready(FILE, CHAIN_ID, NOW_MS)
    with pytest.raises(TxFileRejected) as caught:
        check_ready(FILE, chain_id, now_ms)
    assert caught.value.reason is reason


def test_each_key_signs_once():
    with pytest.raises(TxFileRejected) as caught:
        signed(0, 0)
    assert caught.value.reason is TxFileReason.SIGNED


def test_no_more_keys_sign_than_a_transaction_may_have():
    """Given as many signatures as may be, when another key signs, then it is refused: nobody could read the file any more."""
    full = signed(*range(SIGNATURES_MAX))
    assert parse_tx_file(format_tx_file(full)) == full
    with pytest.raises(TxFileRejected) as caught:
        add_signature(full, account_key(SIGNATURES_MAX))
    assert caught.value.reason is TxFileReason.FULL


def test_parties_are_those_whose_agreement_the_chain_asks_for():
    """Given a payment, an assignment and a recovery, when parties are named, then with the new owner and the recovered account."""
    keys = (AuthKey(public_key=SigningKey(bytes(32)).public_key, weight=1, scopes=1),)
    auth = SetAuth(account=account(2), keys=keys, threshold=1, guardians=(), guardian_quorum=0)
    own = SetAuth(account=account(0), keys=keys, threshold=1, guardians=(), guardian_quorum=0)
    messages = (Transfer(to=account(3), amount=1), own, *BODY.messages, auth)
    body = Body(sender=account(0), nonce=0, expires_at_ms=0, fee=0, messages=messages, memo=b"")
    assert parties_of(body) == (
        Party(account(0), "sender, who pays the fee"),
        Party(account(1), f"new owner of {format_address(RESOURCE)}"),
        Party(account(2), "recovered; a quorum of its guardians signs", is_guarded=True),
    )
