"""The dry run."""

from __future__ import annotations

import pytest

from state.crypto import SigningKey
from state.messages import BondAction, BondPurpose, Message, message_name
from state.order_messages import Beat, SendReceipts
from state.runtime.explain import WORK_TRIED_MAX, Check, DryRunReason, explain
from state.runtime.reasons import TransactionReason
from state.runtime.remedies import REMEDIES
from state.transactions import Envelope, KeySignature, Transaction
from state.trust_messages import PutCollateral
from tee.documents import CollateralKind
from tee.errors import Reason
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


def collateral(body_bytes: int) -> PutCollateral:
    """Return a document that nobody can read; each of its bytes is work."""
    return PutCollateral(kind=CollateralKind.INTEL_ROOT_CRL, body=bytes(body_bytes), chain=())


def beats(count: int) -> SendReceipts:
    """Return beats of so many orders, by an enclave that does not exist."""
    receipts = tuple(Beat(order=bytes(21), number=number, meter=None) for number in range(count))
    return SendReceipts(enclave=bytes(21), at_height=1, receipts=receipts, signature=bytes(64))


def tried(*messages: Message) -> list[Check]:
    """Return the checks of a transaction of these messages."""
    world = World()
    return explain(world.ledger, world.sign(account_key(0), *messages, fee=10**7), world.time_ms)


@pytest.mark.parametrize(
    ("message", "work"),
    [(beats(1_000), 200 + 1_000 * 60), (collateral(210_000), 600 + 84_000)],
    ids=["beats of a thousand orders", "a list of six thousand certificates"],
)
def test_a_message_of_much_work_is_not_tried_and_all_else_is_told(message: Message, work: int) -> None:
    *checks, left_out = tried(message)
    assert checks == [Check(name, ok=True) for name in NAMES[:-1]]
    assert (left_out.name, left_out.ok) == (f"message 0 {message_name(type(message))}", False)
    assert (left_out.reason, left_out.seen, left_out.bound) == ("too_much_work", str(work), str(WORK_TRIED_MAX))
    assert "send the transaction" in left_out.remedy


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (beats(100), TransactionReason.NO_ENCLAVE),
        (collateral(20_000), Reason.PARSE),
    ],
    ids=["beats of a hundred orders", "a document three times as long as the longest of a kind of processor"],
)
def test_what_people_send_is_tried(message: Message, reason: str) -> None:
    assert tried(message)[-1].reason == reason


def test_the_work_of_all_messages_together_is_bounded() -> None:
    """Given messages of exactly the bound, when one more is before the last one, then the last one is not tried."""
    last = collateral((WORK_TRIED_MAX - 600 - 14 * 40) * 5 // 2)
    assert tried(*(transfer(account(1), 5),) * 14, last)[-1].reason != DryRunReason.TOO_MUCH_WORK
    checks = tried(*(transfer(account(1), 5),) * 15, last)
    assert [check for check in checks if not check.ok] == checks[-1:]
    assert (checks[-1].reason, checks[-1].seen) == (DryRunReason.TOO_MUCH_WORK, str(WORK_TRIED_MAX + 40))


def test_every_reason_has_a_remedy() -> None:
    assert set(REMEDIES) == set(TransactionReason)
