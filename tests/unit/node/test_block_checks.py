"""Laws of checking a whole block: the rules of the state first, then the signatures that nobody verified yet, then a verdict."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from consensus.inputs import BlockChecked
from node.block_checks import BlockChecks
from node.block_fetch import BlockFetcher
from node.block_messages import EnvelopesAnswer
from state import merkle
from state.block import hash_header
from state.codec import encode
from state.transactions import Envelope, Transaction
from tests.support.certified import follow
from tests.support.fixture_chain import FixtureChain, account, transfer
from tests.support.recording_shell import RecordingShell
from tests.support.upgrading import HEIGHT, UpgradingChain


def forge(transaction, chain_id):
    """Return the transaction with a signature that is none."""
    pairs = tuple(replace(pair, signature=bytes(64)) for pair in transaction.signatures)
    envelope = Envelope(body=transaction.body, signatures=pairs)
    return Transaction(envelope, encode(envelope), chain_id)


class Checker:
    """Checks of blocks on a chain, by default at genesis."""

    def __init__(self, fixture=None, template=None):
        self.fixture = fixture or FixtureChain()
        self.chain = self.fixture.chain
        self.template = template or self.fixture.execute(view=99).header
        self.pending = {}
        self.fetcher = BlockFetcher(self.chain.chain_id, self.pending.get)
        self.shell = RecordingShell()
        self.verdicts = []
        self.checks = BlockChecks(self.chain, follow(self.chain), self.fetcher, self.shell, self.verdicts.append)

    def pay(self, nonce):
        return self.fixture.sign(0, transfer(account(1), 1), nonce=nonce)

    def fetch(self, *transactions, pending=(), **changes):
        """Have a block fetched from a peer, but for transactions that are pending here; return its hash."""
        names = tuple(one.envelope_hash for one in transactions)
        self.pending |= {one.envelope_hash: one for one in pending}
        header = replace(self.template, tx_count=len(names), tx_root=merkle.root(names), **changes)
        block_hash = hash_header(header)
        self.fetcher.want(block_hash, header, names, "peer")
        encoded = tuple(one.encoded for one in transactions)
        self.fetcher.take_envelopes(EnvelopesAnswer(block_hash=block_hash, envelopes=encoded))
        return block_hash

    def check(self, block_hash):
        self.checks.check(block_hash)
        self.shell.finish_verifications()
        return self.verdicts


def valid(block_hash):
    return BlockChecked(block_hash, is_valid=True)


def invalid(block_hash):
    return BlockChecked(block_hash, is_valid=False)


def test_block_of_admitted_transactions_is_judged_at_once_without_any_verification():
    checker = Checker()
    transactions = [checker.pay(0), checker.pay(1)]
    block_hash = checker.fetch(*transactions, pending=transactions)
    checker.checks.check(block_hash)
    assert checker.shell.verifications == []
    assert checker.verdicts == [valid(block_hash)]


def test_empty_block_is_valid():
    checker = Checker()
    block_hash = checker.fetch()
    assert checker.check(block_hash) == [valid(block_hash)]


def test_only_what_came_from_peers_is_verified_before_the_verdict():
    checker = Checker()
    known, fresh, last = (checker.pay(nonce) for nonce in (0, 1, 2))
    block_hash = checker.fetch(known, fresh, last, pending=[known])
    checker.checks.check(block_hash)
    ((verified, _),) = checker.shell.verifications
    assert [one.envelope_hash for one in verified] == [fresh.envelope_hash, last.envelope_hash]
    assert checker.verdicts == []
    checker.shell.finish_verifications()
    assert checker.verdicts == [valid(block_hash)]


def test_what_verified_once_is_not_verified_again():
    checker = Checker()
    block_hash = checker.fetch(checker.pay(0))
    checker.check(block_hash)
    checker.checks.check(block_hash)
    assert checker.shell.verifications == []
    assert checker.verdicts == [valid(block_hash)] * 2


def test_wrong_signature_makes_a_block_invalid_however_often_it_is_checked():
    checker = Checker()
    good, bad = checker.pay(0), forge(checker.pay(1), checker.chain.chain_id)
    block_hash = checker.fetch(good, bad)
    assert checker.check(block_hash) == [invalid(block_hash)]
    checker.checks.check(block_hash)
    ((verified, _),) = checker.shell.verifications
    assert [one.envelope_hash for one in verified] == [bad.envelope_hash]
    checker.shell.finish_verifications()
    assert checker.verdicts == [invalid(block_hash)] * 2


@pytest.mark.parametrize("nonces", [(0, 0), (1, 0)], ids=["same envelope twice", "nonces descend"])
def test_block_that_breaks_a_rule_of_the_state_is_invalid_and_costs_no_verification(nonces):
    checker = Checker()
    block_hash = checker.fetch(*(checker.pay(nonce) for nonce in nonces))
    checker.checks.check(block_hash)
    assert checker.shell.verifications == []
    assert checker.verdicts == [invalid(block_hash)]


def test_block_no_later_than_its_parent_is_invalid():
    checker = Checker()
    block_hash = checker.fetch(time_ms=checker.chain.tip.block.time_ms)
    assert checker.check(block_hash) == [invalid(block_hash)]


@pytest.mark.parametrize("is_forged", [False, True])
def test_block_that_was_forgotten_while_it_was_verified_gets_the_verdict_of_its_signatures(is_forged):
    checker = Checker()
    transaction = checker.pay(0)
    block_hash = checker.fetch(forge(transaction, checker.chain.chain_id) if is_forged else transaction)
    checker.checks.check(block_hash)
    checker.fetcher.forget_below(1, frozenset())
    checker.shell.finish_verifications()
    assert checker.verdicts == [BlockChecked(block_hash, is_valid=not is_forged)]


def test_block_of_a_protocol_that_this_software_does_not_speak_gets_no_verdict():
    upgrading = UpgradingChain()
    upgrading.go_to(HEIGHT - 2)
    checker = Checker(upgrading)
    block_hash = checker.fetch()
    assert checker.check(block_hash) == [valid(block_hash)]
    upgrading.go_to(HEIGHT - 1)
    tip = upgrading.chain.tip.block
    template = checker.template
    changes = {"height": HEIGHT, "parent_hash": tip.block_hash, "time_ms": template.time_ms + 1_000}
    checker = Checker(upgrading, template)
    assert checker.check(checker.fetch(**changes)) == []
