"""The dry run."""

from __future__ import annotations

from state.crypto import SigningKey
from state.messages import BondAction, BondPurpose
from state.runtime.explain import Check, explain
from state.runtime.reasons import TransactionReason
from state.runtime.remedies import REMEDIES
from state.transactions import Envelope, KeySignature, Transaction
from tests.support.chain_builders import World, account, account_key, bond, delegate, operator, transfer

NAMES = [
    "size",
    "sender",
    "not_expired",
    "fee",
    "nonce",
    "expires_soon",
    "payable",
    "authorised",
    "signatures",
    "message 0 transfer",
]


def test_a_sound_transaction_passes_every_check() -> None:
    world = World()
    checks = explain(world.ledger, world.sign(account_key(0), transfer(account(1), 5)), world.time_ms)
    assert checks == [Check(name, ok=True) for name in NAMES]


def test_every_refusal_is_told_at_once_with_its_remedy() -> None:
    world = World()
    stranger = SigningKey(b"\x07" * 32)
    transaction = world.sign(stranger, transfer(account(1), 5), sender=account(0), fee=7, expires_at_ms=1)
    refused = [check for check in explain(world.ledger, transaction, world.time_ms) if not check.ok]
    assert [check.reason for check in refused] == [
        TransactionReason.EXPIRED,
        TransactionReason.FEE_TOO_LOW,
        TransactionReason.UNAUTHORISED,
    ]
    assert (refused[0].seen, refused[0].bound) == ("1", str(world.time_ms))
    assert all(check.remedy == REMEDIES[TransactionReason(check.reason)] for check in refused)


def test_messages_run_until_the_first_that_fails_and_nothing_is_changed() -> None:
    world = World()
    before = dict(world.state)
    messages = (
        transfer(account(1), 5),
        delegate(operator(0), 10**12),
        bond(BondAction.UNJAIL, BondPurpose.VALIDATOR),
    )
    checks = explain(world.ledger, world.sign(account_key(0), *messages), world.time_ms)
    assert checks[-2:] == [
        Check("message 0 transfer", ok=True),
        Check(
            "message 1 bond",
            ok=False,
            reason="balance_too_low",
            seen=str(10**12 - 100_000 - 5),
            bound=str(10**12),
            remedy=REMEDIES[TransactionReason.BALANCE_TOO_LOW],
        ),
    ]
    assert world.state == before
    assert world.balance(account(1)) == 10**12


def test_a_sender_that_does_not_exist_has_no_messages_run() -> None:
    world = World()
    checks = explain(world.ledger, world.sign(SigningKey(b"\x07" * 32), transfer(account(1), 5)), world.time_ms)
    assert [check.reason for check in checks if not check.ok] == [TransactionReason.CANNOT_PAY]
    assert checks[-1].name == "signatures"


def test_a_forged_signature_is_told() -> None:
    world = World()
    genuine = world.sign(account_key(0), transfer(account(1), 5))
    forged = KeySignature(public_key=genuine.signatures[0].public_key, signature=bytes(64))
    transaction = Transaction(Envelope(body=genuine.body, signatures=(forged,)), genuine.encoded, world.chain_id)
    refused = [check for check in explain(world.ledger, transaction, world.time_ms) if not check.ok]
    assert [check.reason for check in refused] == [TransactionReason.BAD_SIGNATURE]


def test_every_reason_has_a_remedy() -> None:
    assert set(REMEDIES) == set(TransactionReason)
