"""Laws of verifying proof bundles: any change to any byte of any part is refused, with a reason."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from node.api.proofs import ProofBuilder
from state.block import HEADER_CODEC, hash_header
from state.certificates import CERTIFICATE_CODEC, build_certificate, certificate_votes
from state.codec import encode
from state.errors import Rejected
from state.genesis import genesis_state
from state.proof_bundle import (
    BUNDLE_BYTES_MAX,
    BundleReason,
    BundleRejected,
    StateBundle,
    parse_bundle,
    verify_bundle,
)
from state.transactions import sign_transaction
from state.validators import Validator
from state.votes import VoteKind
from tests.support.chain_builders import account, account_key, make_genesis, transfer
from tests.support.fixture_chain import FixtureChain, build_fixture

FIXTURE = build_fixture()
BUILDER = ProofBuilder(FIXTURE.chain)
STATE = BUILDER.prove_state(b"\x10" + account(2), 2).bundle
TRANSACTION = BUILDER.prove_transaction(FIXTURE.chain.views.block_by_height(1), 1)
BUNDLES = [pytest.param(STATE, id="state"), pytest.param(TRANSACTION, id="transaction")]


def reason_of(bundle, genesis=FIXTURE.genesis):
    with pytest.raises(Rejected) as caught:
        verify_bundle(bundle, genesis)
    return caught.value.reason


@pytest.mark.parametrize("bundle", BUNDLES)
def test_bundle_says_the_same_after_json(bundle):
    assert verify_bundle(parse_bundle(msgspec.json.encode(bundle)), FIXTURE.genesis).height == (
        2 if bundle is STATE else 1
    )


def hex_places(value, path=()):
    """Yield the path of every hex text in a bundle."""
    if isinstance(value, str):
        if path[-1] not in {"format", "kind"} and value:
            yield path
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from hex_places(part, (*path, index))
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from hex_places(part, (*path, name))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_flipped_bit_is_refused(data):
    bundle = msgspec.to_builtins(data.draw(st.sampled_from([STATE, TRANSACTION])))
    path = data.draw(st.sampled_from(list(hex_places(bundle))))
    parent = bundle
    for step in path[:-1]:
        parent = parent[step]
    raw = bytearray.fromhex(parent[path[-1]])
    position = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[position // 8] ^= 1 << position % 8
    parent[path[-1]] = raw.hex()
    with pytest.raises(Rejected):
        verify_bundle(parse_bundle(msgspec.json.encode(bundle)), FIXTURE.genesis)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"[" * 100_000,
        b'{"kind":"state"}',
        b'{"kind":"other"}',
        msgspec.json.encode(msgspec.to_builtins(STATE) | {"more": 1}),
        msgspec.json.encode(msgspec.to_builtins(STATE) | {"format": "bocc-proof-2"}),
        msgspec.json.encode(msgspec.to_builtins(STATE) | {"key": "0G"}),
        msgspec.json.encode(msgspec.to_builtins(STATE) | {"key": "0"}),
        msgspec.json.encode(msgspec.to_builtins(STATE) | {"key": "AB"}),
        msgspec.json.encode(msgspec.to_builtins(STATE) | {"key": "00\n"}),
        b"\xff",
    ],
)
def test_text_that_is_no_bundle_is_refused(text):
    with pytest.raises(BundleRejected) as caught:
        parse_bundle(text)
    assert caught.value.reason is BundleReason.BAD_FILE


def test_bundle_is_refused_unread_if_it_is_too_large():
    with pytest.raises(BundleRejected) as caught:
        parse_bundle(bytes(BUNDLE_BYTES_MAX + 1))
    assert caught.value.bound == BUNDLE_BYTES_MAX


def test_bundle_of_another_chain_is_refused():
    assert reason_of(STATE, make_genesis(4, salt=b"\1" * 32)) is BundleReason.WRONG_CHAIN


def test_step_left_out_or_repeated_is_refused():
    assert reason_of(replace(STATE, epochs=[])) is BundleReason.WRONG_EPOCH
    assert reason_of(replace(STATE, epochs=STATE.epochs * 2)) is BundleReason.WRONG_EPOCH


def with_step(**changes):
    return replace(STATE, epochs=[replace(STATE.epochs[0], **changes)])


def test_next_validators_are_those_that_the_result_names():
    members = genesis_state(FIXTURE.genesis)[1].members
    assert reason_of(with_step(validators=encode(members).hex())) is BundleReason.WRONG_VALIDATORS
    assert reason_of(with_step(validators=encode(members[::-1]).hex())) is BundleReason.WRONG_VALIDATORS
    assert reason_of(with_step(validators=encode(()).hex())) is BundleReason.WRONG_VALIDATORS


def test_block_that_does_not_end_its_epoch_is_no_step():
    """Given height 2, which changes no validator, as a second step; then it leads nowhere."""
    chain = FIXTURE.chain
    third = chain.views.block_by_height(3)
    members = tuple(
        Validator(address=one.address, public_key=one.public_key, power=one.power) for one in chain.validators.members
    )
    step = replace(
        STATE.epochs[0],
        header=encode(third.header).hex(),
        result=encode(third.block_result).hex(),
        certificate=encode(third.certificate).hex(),
        validators=encode(members).hex(),
    )
    assert reason_of(replace(STATE, epochs=[STATE.epochs[0], step])) is BundleReason.WRONG_VALIDATORS


def finality(**changes):
    return replace(STATE, finality=replace(STATE.finality, **changes))


def test_certificate_must_be_a_finalization_of_this_block_and_result():
    certificate = CERTIFICATE_CODEC.decode(bytes.fromhex(STATE.finality.certificate))
    notarization = replace(certificate, kind=VoteKind.NOTARIZE, result=b"")
    other = STATE.epochs[0].certificate
    assert reason_of(finality(certificate=encode(notarization).hex())) is BundleReason.WRONG_CERTIFICATE
    assert reason_of(finality(certificate=other)) is BundleReason.WRONG_CERTIFICATE


def test_certificate_without_a_quorum_is_refused():
    validators = FIXTURE.chain.validators
    certificate = CERTIFICATE_CODEC.decode(bytes.fromhex(STATE.finality.certificate))
    few = build_certificate(certificate_votes(certificate, validators)[:2], validators)
    assert reason_of(finality(certificate=encode(few).hex())).value == "no_quorum"


def test_headers_must_follow_each_other():
    first, second = STATE.finality.headers
    header = HEADER_CODEC.decode(bytes.fromhex(first))
    assert reason_of(finality(headers=[second, second])) is BundleReason.BROKEN_CHAIN
    assert reason_of(finality(headers=[first, first])) is BundleReason.BROKEN_CHAIN
    strange = encode(replace(header, parent_hash=hash_header(header))).hex()
    assert reason_of(finality(headers=[strange, second])) is BundleReason.BROKEN_CHAIN


def test_result_must_be_the_one_that_the_next_header_names():
    other = encode(FIXTURE.chain.views.block_by_height(3).block_result).hex()
    assert reason_of(finality(result=other)) is BundleReason.BROKEN_CHAIN


def test_receipt_and_index_belong_to_the_transaction():
    first = BUILDER.prove_transaction(FIXTURE.chain.views.block_by_height(1), 0)
    assert reason_of(replace(TRANSACTION, receipt=first.receipt)) is BundleReason.WRONG_RECEIPT
    assert reason_of(replace(TRANSACTION, index=0)) is BundleReason.NOT_INCLUDED
    assert reason_of(replace(TRANSACTION, index=2)) is BundleReason.NOT_INCLUDED
    assert reason_of(replace(TRANSACTION, siblings=[])) is BundleReason.NOT_INCLUDED
    assert reason_of(replace(TRANSACTION, receipt_siblings=TRANSACTION.siblings)) is BundleReason.NOT_INCLUDED


def test_refused_envelope_is_not_the_fate_of_its_transaction():
    """Given an honest proof that a copy with foreign keys was refused; then it proves nothing about the tx_id."""
    fixture = FixtureChain()
    genuine = fixture.sign(0, transfer(account(1), 1), nonce=0)
    fixture.add(sign_transaction(fixture.chain.chain_id, genuine.body, (account_key(5),)))
    bundle = ProofBuilder(fixture.chain).prove_transaction(fixture.chain.views.block_by_height(1), 0)
    assert reason_of(bundle, fixture.genesis) is BundleReason.SETTLES_NOTHING


def test_value_and_absence_cannot_be_exchanged():
    assert isinstance(STATE, StateBundle)
    assert reason_of(replace(STATE, value=None)).value == "key_present"
    assert reason_of(replace(STATE, key="ff")).value == "key_missing"
