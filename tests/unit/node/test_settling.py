"""What final blocks do to waiting transactions: settle, drop, and cure."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from node.admission import RuntimeRules, Source
from node.intake import TransactionIntake
from node.mempool import Mempool
from p2p.codec import encode
from p2p.gossip_messages import Deliver
from state.address import account_address
from state.crypto import SigningKey
from state.errors import TransactionRejected
from state.genesis import Genesis
from state.messages import SCOPES_ALL, AuthKey, SetAuth
from state.runtime.reasons import TransactionReason
from state.transactions import Body, Transaction, sign_transaction
from tests.support.chain_builders import account_key
from tests.support.fixture_chain import FixtureChain, account, transfer
from tests.support.governing import NO_CHANGE, YES, powers_genesis, propose, vote
from tests.support.recording_shell import RecordingShell
from tests.support.upgrading import ballot

STRANGER = SigningKey(b"s" * 32)


class Door:
    """A mempool with its door on a small chain."""

    def __init__(self, genesis: Genesis | None = None) -> None:
        self.fixture = FixtureChain(genesis)
        self.pool = Mempool(RuntimeRules())
        self.shell = RecordingShell(wall_ms=self.fixture.genesis.time_ms)
        self.intake = TransactionIntake(
            self.fixture.chain,
            self.pool,
            self.shell,
            lambda _: None,
            lambda: None,
            is_push_mode=True,
        )
        self.intake.add_peer("peer")

    def deliver(self, *transactions: Transaction) -> None:
        self.intake.receive("peer", encode(Deliver(blobs=[one.encoded for one in transactions])))
        self.shell.finish_verifications()

    def make_final(self, *transactions: Transaction) -> None:
        self.intake.settle(self.fixture.add(*transactions), transactions)
        self.shell.finish_verifications()

    def select(self) -> list[Transaction]:
        limits = self.fixture.chain.params().blocks
        return self.pool.select(
            self.fixture.chain.ledger,
            self.fixture.chain.tip.block.time_ms + 1,
            max_bytes=limits.bytes_max,
            max_transactions=limits.transactions_max,
            max_work=limits.work_max,
        )


def foreign(transaction: Transaction, chain_id: bytes) -> Transaction:
    """Return the same body under a stranger's signature, as a Byzantine proposer may put it into a block."""
    return sign_transaction(chain_id, transaction.body, (STRANGER,))


def test_envelope_of_a_stranger_does_not_drive_out_the_good_one_with_the_same_body():
    door = Door()
    good = door.fixture.sign(0, transfer(account(1), 5), nonce=0)
    door.pool.admit(good, door.fixture.chain.ledger, door.shell.wall_ms, Source.LOCAL)
    door.make_final(foreign(good, door.fixture.chain.chain_id))
    assert door.select() == [good]
    door.make_final(good)
    assert len(door.pool) == 0


def test_transaction_before_its_money_is_taken_when_the_money_is_final():
    door = Door()
    poor = SigningKey(b"p" * 32)
    from_poor = door.fixture.sign(0, transfer(account(1), 1), nonce=0)
    from_poor = sign_transaction(
        door.fixture.chain.chain_id,
        Body(
            sender=account_address(poor.public_key),
            nonce=0,
            expires_at_ms=from_poor.body.expires_at_ms,
            fee=from_poor.body.fee,
            messages=from_poor.body.messages,
            memo=b"",
        ),
        (poor,),
    )
    door.deliver(from_poor)
    assert len(door.pool) == 0
    door.make_final(door.fixture.sign(0, transfer(account_address(poor.public_key), 10**9), nonce=0))
    assert [one.envelope_hash for one in door.pool] == [from_poor.envelope_hash]


def test_transaction_whose_money_never_comes_may_come_again_later():
    door = Door()
    late = sign_transaction(
        door.fixture.chain.chain_id, door.fixture.sign(0, transfer(account(1), 1), nonce=0).body, (STRANGER,)
    )
    door.deliver(late)
    door.shell.mono_ms += 11_000
    door.intake.tick()
    door.deliver(late)
    assert door.shell.punished == []
    assert door.pool.rejected == {"unauthorised": 2}


def test_nobody_waits_for_a_block_with_money_that_he_spends_before():
    """Given a transfer of almost everything, then later ones of the sender are not admitted against money that is on its way."""
    door = Door()
    balance = 1_000_000 * 10**6
    door.pool.admit(
        door.fixture.sign(0, transfer(account(1), balance - 7_000), nonce=0),
        door.fixture.chain.ledger,
        door.shell.wall_ms,
        Source.LOCAL,
    )
    door.pool.admit(
        door.fixture.sign(0, transfer(account(1), 5), nonce=1),
        door.fixture.chain.ledger,
        door.shell.wall_ms,
        Source.LOCAL,
    )
    third = door.fixture.sign(0, transfer(account(1), 5), nonce=2)
    with pytest.raises(TransactionRejected) as caught:
        door.pool.admit(third, door.fixture.chain.ledger, door.shell.wall_ms, Source.LOCAL)
    assert caught.value.reason == "cannot_pay"


def test_transactions_of_a_key_that_lost_its_account_leave_the_pool():
    door = Door()
    chain = door.fixture.chain
    both = tuple(
        sorted(
            (AuthKey(public_key=key.public_key, weight=1, scopes=SCOPES_ALL) for key in (account_key(0), STRANGER)),
            key=lambda auth: auth.public_key,
        )
    )
    one = (AuthKey(public_key=account_key(0).public_key, weight=1, scopes=SCOPES_ALL),)
    widen = SetAuth(account=account(0), keys=both, threshold=1, guardians=(), guardian_quorum=0)
    narrow = SetAuth(account=account(0), keys=one, threshold=1, guardians=(), guardian_quorum=0)
    door.make_final(door.fixture.sign(0, widen, nonce=0))
    for _ in range(200):
        if door.pool._rules.is_authorised(chain.ledger, foreign(door.fixture.sign(0, narrow, nonce=9), chain.chain_id)):
            break
        door.make_final()
    door.shell.wall_ms = chain.tip.block.time_ms
    strangers = foreign(door.fixture.sign(0, transfer(account(1), 5), nonce=5), chain.chain_id)
    door.pool.admit(strangers, chain.ledger, door.shell.wall_ms, Source.LOCAL)
    door.make_final(door.fixture.sign(0, narrow, nonce=1))
    assert (len(door.pool), door.pool.dropped["unauthorised"]) == (0, 1)


def test_junk_that_cannot_pay_costs_no_verification():
    door = Door()
    broke = sign_transaction(
        door.fixture.chain.chain_id, door.fixture.sign(0, transfer(account(1), 1), nonce=0).body, (STRANGER,)
    )
    door.intake.receive("peer", encode(Deliver(blobs=[broke.encoded])))
    assert door.shell.verifications == []


def test_what_pays_too_little_since_the_prices_rose_leaves_the_pool_and_its_sender_is_told():
    """Given transactions at the least fee and above it, when governance raises the price, then only the first goes."""
    door = Door(powers_genesis(60, 40, timelock_ms=0))
    fixture, params = door.fixture, door.fixture.chain.params()
    dearer = replace(NO_CHANGE, fees=replace(params.fees, base=params.fees.base + 1))
    cheap = fixture.sign(1, transfer(account(2), 5), nonce=0)
    dear = fixture.sign(2, transfer(account(1), 5), nonce=0, fee=100_000)
    for transaction in (cheap, dear):
        door.pool.admit(transaction, fixture.chain.ledger, door.shell.wall_ms, Source.LOCAL)
    door.make_final(fixture.sign(0, propose(dearer), nonce=0))
    door.make_final(ballot(fixture, 0, vote(YES)))
    assert (list(door.pool), door.shell.refused) == ([cheap, dear], [])
    door.make_final()
    assert (list(door.pool), door.shell.refused) == ([dear], [(cheap, TransactionReason.FEE_TOO_LOW)])
    assert door.select() == [dear]
