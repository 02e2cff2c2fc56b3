"""Laws of building proof bundles: what the node serves convinces the verifier, which knows the genesis alone."""

from __future__ import annotations

import msgspec
import pytest

from node.api.errors import RpcError, error_object
from node.api.proofs import ProofBuilder, ProofRefusal
from state.block import hash_header
from state.codec import encode
from state.proof_bundle import parse_bundle, verify_bundle
from state.records import ACCOUNTS, Account
from tests.support.chain_builders import delegate
from tests.support.fixture_chain import BOCC, FixtureChain, account, build_fixture, operator, transfer


def served(bundle):
    """Return a bundle as it arrives by JSON."""
    return parse_bundle(msgspec.json.encode(bundle))


def test_record_of_each_height_is_proved_from_genesis():
    fixture = build_fixture()
    builder = ProofBuilder(fixture.chain)
    for height in range(1, 5):
        proved = builder.prove_state(ACCOUNTS.raw_key(account(2)), height)
        fact = verify_bundle(served(proved.bundle), fixture.genesis)
        stored = fixture.chain.views.block_by_height(height)
        assert (fact.height, fact.block_hash, fact.time_ms) == (height, stored.block_hash, stored.header.time_ms)
        assert fact.value == proved.encoded
        expected = 1_000_000 * BOCC if height < 2 else 1_000_001 * BOCC
        balance = ACCOUNTS.codec.decode(fact.value).balance
        assert balance <= expected
        assert (balance == expected) == (height < 3), "at height 3 it paid for its failed transfer"


def test_absence_is_proved():
    fixture = build_fixture()
    proved = ProofBuilder(fixture.chain).prove_state(ACCOUNTS.raw_key(b"\0" * 21), None)
    fact = verify_bundle(served(proved.bundle), fixture.genesis)
    assert (fact.value, fact.height) == (None, 4)


def test_block_without_own_certificate_is_proved_by_that_of_its_descendant():
    fixture = build_fixture()
    bundle = ProofBuilder(fixture.chain).prove_state(b"\x03", 2).bundle
    assert len(bundle.finality.headers) == 2
    assert len(bundle.epochs) == 1
    assert verify_bundle(bundle, fixture.genesis).height == 2


def test_every_transaction_is_proved_with_its_receipt():
    fixture = build_fixture()
    builder = ProofBuilder(fixture.chain)
    proved = 0
    for height in range(1, 5):
        block = fixture.chain.views.block_by_height(height)
        for index, receipt in enumerate(block.receipts):
            fact = verify_bundle(served(builder.prove_transaction(block, index)), fixture.genesis)
            assert (fact.height, fact.index, fact.receipt) == (height, index, receipt)
            assert fact.transaction.encoded == block.envelopes[index]
            assert fact.block_hash == hash_header(block.header)
            proved += 1
    assert proved == 4


def test_bundle_leads_through_all_epochs():
    fixture = FixtureChain()
    for nonce in range(5):
        fixture.add(fixture.sign(1, delegate(operator(0), (2 + nonce) * BOCC), nonce=nonce))
        fixture.add()
    assert fixture.chain.epoch_start.epoch == 5
    builder = ProofBuilder(fixture.chain)
    for height in (1, 2, 5, 10):
        bundle = builder.prove_state(ACCOUNTS.raw_key(account(1)), height).bundle
        assert len(bundle.epochs) == height // 2
        assert verify_bundle(served(bundle), fixture.genesis).height == height


def chain_of_epochs(count):
    fixture = FixtureChain()
    for nonce in range(count):
        fixture.add(fixture.sign(1, delegate(operator(0), (2 + nonce) * BOCC), nonce=nonce))
        fixture.add()
    return fixture


def test_steps_are_gathered_a_part_at_each_call(monkeypatch):
    monkeypatch.setattr("node.api.proofs.EPOCHS_PER_CALL", 2)
    fixture = chain_of_epochs(5)
    builder = ProofBuilder(fixture.chain)
    for gathered in (2, 4):
        with pytest.raises(RpcError) as caught:
            builder.prove_state(b"\x03", None)
        refusal = error_object(caught.value).data
        assert (refusal.reason, refusal.seen, refusal.bound) == ("epochs_in_preparation", gathered, 5)
        assert "call again" in refusal.hint
    assert len(builder.prove_state(b"\x03", None).bundle.epochs) == 5


def test_bundle_of_too_many_epochs_is_refused_and_earlier_heights_stay_provable(monkeypatch):
    fixture = chain_of_epochs(5)
    steps = ProofBuilder(fixture.chain).prove_state(b"\x03", 6).bundle.epochs
    size = len(msgspec.json.encode(steps))
    monkeypatch.setattr("node.api.proofs.EPOCHS_BYTES_MAX", size + 50)
    builder = ProofBuilder(fixture.chain)
    for _ in range(2):
        with pytest.raises(RpcError) as caught:
            builder.prove_state(b"\x03", None)
        assert caught.value.reason is ProofRefusal.EPOCHS_TOO_LARGE
        assert caught.value.seen > caught.value.bound
    assert len(builder.prove_state(b"\x03", 6).bundle.epochs) == len(steps) == 3


def test_genesis_state_needs_no_proof():
    with pytest.raises(RpcError) as caught:
        ProofBuilder(FixtureChain().chain).prove_state(b"\x03", None)
    assert caught.value.reason is ProofRefusal.GENESIS_STATE


def test_block_that_no_certificate_covers_yet_cannot_be_proved():
    fixture = FixtureChain()
    fixture.finalize(fixture.execute(fixture.sign(0, transfer(account(1), 1), nonce=0)), with_certificate=False)
    with pytest.raises(RpcError) as caught:
        ProofBuilder(fixture.chain).prove_state(b"\x03", 1)
    assert caught.value.reason is ProofRefusal.NOT_CERTIFIED
    fixture.add()
    assert verify_bundle(ProofBuilder(fixture.chain).prove_state(b"\x03", 1).bundle, fixture.genesis).height == 1


def test_way_to_the_next_certificate_is_bounded(monkeypatch):
    monkeypatch.setattr("node.api.proofs.HEADERS_MAX", 1)
    with pytest.raises(RpcError) as caught:
        ProofBuilder(build_fixture().chain).prove_state(b"\x03", 2)
    assert (caught.value.reason, caught.value.seen) == (ProofRefusal.TOO_FAR_FROM_CERTIFICATE, 2)


def test_proved_record_is_the_ledgers():
    fixture = build_fixture()
    proved = ProofBuilder(fixture.chain).prove_state(ACCOUNTS.raw_key(account(1)), None)
    found = fixture.chain.ledger.get(ACCOUNTS, account(1))
    assert isinstance(found, Account)
    assert proved.encoded == encode(found)
