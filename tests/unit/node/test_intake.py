"""Laws of the front door of the mempool: what is verified, admitted, spread, remembered and punished."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from node import intake as intake_module
from node.admission import MempoolReason, RuntimeRules, Source
from node.evidence_queue import EvidenceQueue
from node.intake import DEFERRED_MS, TransactionIntake
from node.mempool import Mempool, MempoolLimits
from p2p.channels import Channel
from p2p.codec import encode as encode_message
from p2p.errors import PeerViolation, ViolationReason
from p2p.gossip_messages import Announce, Ask, Deliver, decode_gossip
from state.codec import encode
from state.errors import TransactionRejected
from state.runtime.reasons import TransactionReason
from state.transactions import Envelope, Transaction
from tests.support.fixture_chain import FixtureChain, account, transfer
from tests.support.recording_shell import RecordingShell

GARBAGE = b"\x01 no envelope"


class Door:
    """A front door on a chain at genesis, with peers a and b."""

    def __init__(self, *, is_push_mode=True, limits=None):
        self.fixture = FixtureChain()
        self.pool = Mempool(RuntimeRules(), limits)
        self.shell = RecordingShell(wall_ms=self.fixture.genesis.time_ms)
        self.admitted = []
        self.intake = TransactionIntake(
            self.fixture.chain,
            self.pool,
            self.shell,
            self.admitted.append,
            lambda: None,
            is_push_mode=is_push_mode,
        )
        self.intake.add_peer("a")
        self.intake.add_peer("b")

    def pay(self, nonce=0, **fields):
        return self.fixture.sign(0, transfer(account(1), 1), nonce=nonce, **fields)

    def receive(self, peer, *blobs):
        self.intake.receive(peer, encode_message(Deliver(blobs=list(blobs))))

    def deliver(self, *transactions, peer="a"):
        """Deliver transactions and have them verified."""
        self.receive(peer, *(one.encoded for one in transactions))
        self.shell.finish_verifications()

    def pending(self):
        return [one.envelope_hash for one in self.pool]

    def sent(self):
        """Return and forget the gossip that was sent."""
        sent, self.shell.sent = self.shell.sent, []
        assert {channel for _, channel, _ in sent} <= {Channel.TRANSACTIONS}
        return [(peer, decode_gossip(payload)) for peer, _, payload in sent]


def names(*transactions):
    return [one.envelope_hash for one in transactions]


def forge(transaction, chain_id):
    """Return the transaction with a signature that is none."""
    pairs = tuple(replace(pair, signature=bytes(64)) for pair in transaction.signatures)
    envelope = Envelope(body=transaction.body, signatures=pairs)
    return Transaction(envelope, encode(envelope), chain_id)


def test_transaction_of_a_peer_is_verified_admitted_and_announced_to_the_others():
    door = Door()
    transaction = door.pay()
    door.receive("a", transaction.encoded)
    ((verified, _),) = door.shell.verifications
    assert (names(*verified), door.pending(), door.sent()) == (names(transaction), [], [])
    door.shell.finish_verifications()
    assert (door.pending(), names(*door.admitted)) == (names(transaction), names(transaction))
    assert door.sent() == [("b", Announce(names(transaction)))]
    assert door.pool.admitted == {Source.PEER: 1}
    assert door.shell.punished == []


def test_transactions_of_one_message_are_verified_together():
    door = Door()
    transactions = [door.pay(nonce) for nonce in range(3)]
    door.receive("a", *(one.encoded for one in transactions))
    ((verified, _),) = door.shell.verifications
    assert names(*verified) == names(*transactions)


def test_transaction_that_began_here_is_pushed_to_all_in_a_small_network():
    door = Door()
    transaction = door.pay()
    door.intake.admit(transaction, Source.LOCAL)
    assert door.sent() == []
    door.intake.publish([transaction])
    assert door.sent() == [(peer, Deliver([transaction.encoded])) for peer in ("a", "b")]
    assert door.pool.admitted == {Source.LOCAL: 1}


def test_transaction_that_began_here_is_announced_first_in_a_large_network_and_sent_to_who_asks():
    door = Door(is_push_mode=False)
    transaction = door.pay()
    door.intake.admit(transaction, Source.LOCAL)
    door.intake.publish([transaction])
    assert door.sent() == [(peer, Announce(names(transaction))) for peer in ("a", "b")]
    door.intake.receive("b", encode_message(Ask(names(transaction))))
    assert door.sent() == [("b", Deliver([transaction.encoded]))]


def test_announced_transaction_is_asked_for_once_and_from_the_next_who_has_it_when_that_one_is_gone():
    door = Door(is_push_mode=False)
    transaction = door.pay()
    for peer in ("a", "b"):
        door.intake.receive(peer, encode_message(Announce(names(transaction))))
    assert door.sent() == [("a", Ask(names(transaction)))]
    door.intake.remove_peer("a")
    assert door.sent() == [("b", Ask(names(transaction)))]
    door.deliver(transaction, peer="b")
    assert door.pending() == names(transaction)


def test_question_that_is_not_answered_is_put_to_the_next_by_the_tick():
    door = Door(is_push_mode=False)
    transaction = door.pay()
    for peer in ("a", "b"):
        door.intake.receive(peer, encode_message(Announce(names(transaction))))
    door.sent()
    door.intake.tick()
    assert door.sent() == []
    door.shell.mono_ms = 60_000
    door.intake.tick()
    assert door.sent() == [("b", Ask(names(transaction)))]


def test_new_peer_is_told_what_is_pending():
    door = Door()
    transactions = [door.pay(nonce) for nonce in range(2)]
    for transaction in transactions:
        door.intake.admit(transaction, Source.LOCAL)
    door.intake.add_peer("c")
    assert door.sent() == [("c", Announce(names(*transactions)))]


def test_known_transaction_is_neither_asked_for_nor_verified_again():
    door = Door()
    transaction = door.pay()
    door.deliver(transaction)
    door.sent()
    door.receive("b", transaction.encoded)
    door.intake.receive("b", encode_message(Announce(names(transaction))))
    assert (door.shell.verifications, door.sent()) == ([], [])


def test_wrong_signature_costs_the_peer_and_the_others_of_its_message_are_taken():
    door = Door()
    good, forged = door.pay(0), forge(door.pay(1), door.fixture.chain.chain_id)
    door.deliver(forged, good)
    assert door.shell.punished == [("a", "bad_signature")]
    assert door.pending() == names(good)
    assert door.sent() == [("b", Announce(names(good)))]
    door.receive("b", forged.encoded)
    assert door.shell.verifications == []


def test_forged_envelope_does_not_keep_the_good_one_with_its_body_out():
    door = Door()
    good = door.pay()
    door.deliver(forge(good, door.fixture.chain.chain_id))
    door.deliver(good, peer="b")
    assert door.pending() == names(good)


def test_what_is_no_transaction_costs_the_peer_and_the_others_of_its_message_are_taken():
    door = Door()
    good = door.pay()
    door.receive("a", GARBAGE, good.encoded)
    door.shell.finish_verifications()
    assert door.shell.punished == [("a", "malformed_transaction")]
    assert door.pending() == names(good)


def test_transaction_of_another_chain_is_a_wrong_signature():
    door = Door()
    other = FixtureChain(replace(door.fixture.genesis, salt=b"s" * 32))
    door.deliver(other.sign(0, transfer(account(1), 1), nonce=0))
    assert door.shell.punished == [("a", "bad_signature")]
    assert door.pending() == []


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xc1", ViolationReason.MESSAGE_MALFORMED),
        (encode_message(Announce([bytes(32), bytes(32)])), ViolationReason.DUPLICATE_ENTRY),
    ],
    ids=["malformed", "same id twice"],
)
def test_message_that_breaks_a_rule_of_gossip_is_told_to_the_caller(payload, reason):
    with pytest.raises(PeerViolation) as caught:
        Door().intake.receive("a", payload)
    assert caught.value.reason is reason


def test_transaction_that_nobody_asked_for_is_told_to_the_caller_in_a_large_network():
    door = Door(is_push_mode=False)
    with pytest.raises(PeerViolation) as caught:
        door.receive("a", door.pay().encoded)
    assert caught.value.reason is ViolationReason.UNASKED


def test_refusal_for_good_costs_no_verification_and_is_remembered():
    door = Door()
    poor = door.pay(fee=1)
    door.deliver(poor)
    assert door.pool.rejected[TransactionReason.FEE_TOO_LOW] == 1
    door.receive("b", poor.encoded)
    door.intake.receive("b", encode_message(Announce(names(poor))))
    assert (door.shell.verifications, door.sent(), door.shell.punished) == ([], [], [])
    assert door.pool.rejected[TransactionReason.FEE_TOO_LOW] == 1


def test_refusal_of_this_moment_is_forgotten():
    """Given a full pool, when a transaction was refused, then it is taken once there is place."""
    door = Door(limits=MempoolLimits(transactions_max=1))
    first, second = door.pay(0), door.pay(1)
    door.deliver(first)
    door.deliver(second, peer="b")
    assert door.pool.rejected[MempoolReason.MEMPOOL_FULL] == 1
    door.pool.discard(first.envelope_hash)
    door.deliver(second, peer="b")
    assert door.pending() == names(second)


def test_refusal_of_a_local_transaction_is_raised_with_its_reason():
    door = Door()
    with pytest.raises(TransactionRejected) as caught:
        door.intake.admit(door.pay(fee=1), Source.LOCAL)
    assert caught.value.reason is TransactionReason.FEE_TOO_LOW
    assert door.admitted == []


def test_evidence_is_not_verified_ahead_for_what_takes_the_place_of_another(monkeypatch):
    verified = []
    monkeypatch.setattr(intake_module, "has_evidence", lambda _transaction: True)
    monkeypatch.setattr(EvidenceQueue, "add", lambda _queue, transaction: verified.append(transaction))
    door = Door()
    first, second, next_one = door.pay(0), door.pay(0, fee=10_000_000), door.pay(1)
    for transaction in (first, second, next_one):
        door.intake.admit(transaction, Source.LOCAL)
    assert set(door.pending()) == {second.envelope_hash, next_one.envelope_hash}
    assert verified == [first, next_one]


def test_check_counts_only_for_the_state_that_it_was_made_on():
    """Given a transaction checked on a state, when a block uses its nonce meanwhile, then it is not admitted."""
    door = Door()
    transaction = door.pay(0)
    state = door.intake.state
    rival = door.pay(0, memo=b"rival")
    door.intake.settle(door.fixture.add(rival), [rival])
    assert door.intake.state != state
    with pytest.raises(TransactionRejected) as caught:
        door.intake.admit(transaction, Source.LOCAL, state)
    assert caught.value.reason is TransactionReason.NONCE_USED


def test_block_between_check_and_verdict_is_noticed():
    door = Door()
    transaction, rival = door.pay(0), door.pay(0, memo=b"rival")
    door.receive("a", transaction.encoded)
    door.intake.settle(door.fixture.add(rival), [rival])
    door.shell.finish_verifications()
    assert door.pending() == []


def test_final_transactions_leave_and_are_of_no_more_interest():
    door = Door()
    transaction = door.pay(0)
    door.deliver(transaction)
    door.intake.settle(door.fixture.add(transaction), [transaction])
    door.sent()
    door.receive("b", transaction.encoded)
    door.intake.receive("b", encode_message(Announce(names(transaction))))
    assert (door.pending(), door.shell.verifications, door.sent()) == ([], [], [])


def poor_transactions(door, count):
    """Return transactions of an account without money, which the next block may bring."""
    return [door.fixture.sign(60 + number, transfer(account(1), 1), nonce=0) for number in range(count)]


def test_transactions_that_wait_for_a_block_are_bounded_and_the_rest_may_come_again(monkeypatch):
    monkeypatch.setattr(intake_module, "DEFERRED_MAX", 1)
    door = Door(is_push_mode=False)
    first, second = poor_transactions(door, 2)
    for transaction in (first, second):
        door.intake.receive("a", encode_message(Announce(names(transaction))))
        door.deliver(transaction)
    door.sent()
    door.intake.receive("b", encode_message(Announce(names(first, second))))
    assert door.sent() == [("b", Ask(names(second)))]


def test_transaction_waits_for_its_block_so_long_and_no_longer():
    door = Door(is_push_mode=False)
    (poor,) = poor_transactions(door, 1)
    door.intake.receive("a", encode_message(Announce(names(poor))))
    door.deliver(poor)
    door.sent()
    for now_ms, asked in ((DEFERRED_MS - 1, []), (DEFERRED_MS, [("b", Ask(names(poor)))])):
        door.shell.mono_ms = now_ms
        door.intake.tick()
        door.intake.receive("b", encode_message(Announce(names(poor))))
        assert door.sent() == asked
