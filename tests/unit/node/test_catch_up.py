"""Laws of catching up: what is asked of whom, and that nothing unproven is taken."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from node import catch_up
from node.block_messages import BodyAnswer, HeadersAnswer, HeadersRequest
from node.catch_up import (
    ProvenRun,
    SyncFailure,
)
from state import merkle
from state.block import hash_header
from state.crypto import SigningKey
from state.transactions import hash_envelope
from state.validators import Validator, ValidatorSet
from state.votes import VoteKind
from tests.support.catch_up_runs import (
    BLOCKS,
    FIXTURE,
    GENESIS_TIP,
    ask_body,
    body_of,
    certificate_of,
    fetching,
    headers,
    names_in,
    run_of,
    started,
    tip_at,
    transactions_in,
)
from tests.support.certified import certify
from tests.support.consensus_toys import toy_address
from tests.support.fixture_chain import account, transfer

FOREIGN_KEYS = tuple(SigningKey(bytes([number]) * 32) for number in range(1, 5))
FOREIGN_SET = ValidatorSet(
    tuple(
        Validator(address=toy_address(index), public_key=key.public_key, power=1_000)
        for index, key in enumerate(FOREIGN_KEYS)
    )
)


def foreign_key(member):
    return next(key for key in FOREIGN_KEYS if key.public_key == member.public_key)


def relink(*changed):
    """Return headers in which each names the one before, as it is now, as its parent."""
    linked = list(changed[:1])
    for header in changed[1:]:
        linked.append(replace(header, parent_hash=hash_header(linked[-1])))
    return tuple(linked)


SECOND, THIRD, FOURTH = headers(2, 4)
BROKEN = {
    "does not begin above the tip": headers(3, 4),
    "begins at the tip": headers(1, 4),
    "gap": (SECOND, FOURTH),
    "wrong order": (THIRD, SECOND, FOURTH),
    "same header twice": (SECOND, SECOND),
    "parent of another chain": (replace(SECOND, parent_hash=bytes(32)),),
    "link broken inside": (SECOND, replace(THIRD, parent_hash=bytes(32)), FOURTH),
    "height skipped": relink(SECOND, replace(THIRD, height=4)),
    "epoch of the one before": relink(replace(SECOND, epoch=0)),
    "epoch to come": relink(replace(SECOND, epoch=2)),
    "second epoch inside the run": relink(SECOND, replace(THIRD, epoch=2)),
    "other validators": relink(replace(SECOND, validators_hash=FOREIGN_SET.set_hash)),
    "other validators inside the run": relink(SECOND, replace(THIRD, validators_hash=FOREIGN_SET.set_hash)),
    "other chain": relink(replace(SECOND, chain_id=bytes(32))),
}


@pytest.mark.parametrize("wrong", BROKEN.values(), ids=BROKEN)
def test_headers_that_do_not_follow_from_the_tip_within_its_epoch_are_refused_whoever_signs(wrong):
    syncing = started(1)
    answer = HeadersAnswer(headers=wrong, certificates=(certificate_of(wrong[-1]),))
    with pytest.raises(SyncFailure) as caught:
        syncing.take_headers("a", answer, 0)
    assert caught.value.reason == "broken_chain"


def test_run_of_two_epochs_is_refused():
    syncing = started(0)
    with pytest.raises(SyncFailure, match="broken_chain"):
        syncing.take_headers("a", HeadersAnswer(headers=headers(1, 2), certificates=(BLOCKS[4].certificate,)), 0)


CERTIFICATES = {
    "notarization": (certificate_of(FOURTH, kind=VoteKind.NOTARIZE), "wrong_certificate"),
    "nullification": (certificate_of(FOURTH, kind=VoteKind.NULLIFY), "wrong_certificate"),
    "of another block": (certificate_of(THIRD), "wrong_certificate"),
    "of another epoch": (certificate_of(FOURTH, epoch=0), "wrong_epoch"),
    "of no quorum": (certificate_of(FOURTH, signers=(0, 1)), "no_quorum"),
    "of nobody that is known": (certify(FOURTH, FOREIGN_SET, VoteKind.FINALIZE, key_of=foreign_key), "bad_signature"),
    "of a larger set": (
        replace(certificate_of(FOURTH), signers=b"\x0f\x00"),
        "bad_bitmap",
    ),
    "with a signer too many": (replace(certificate_of(FOURTH), signers=b"\x1f"), "unknown_validator"),
    "with a forged signature": (
        replace(certificate_of(FOURTH), signatures=(*certificate_of(FOURTH).signatures[:3], bytes(64))),
        "bad_signature",
    ),
    "for another view": (replace(certificate_of(FOURTH), view=FOURTH.view + 1), "bad_signature"),
    "for another result": (replace(certificate_of(FOURTH), result=bytes(32)), "bad_signature"),
    "without a result": (replace(certificate_of(FOURTH), result=b""), "wrong_fields"),
}


@pytest.mark.parametrize(("certificate", "reason"), CERTIFICATES.values(), ids=CERTIFICATES)
def test_run_is_taken_only_with_a_finalization_of_its_last_header_by_the_own_set(certificate, reason):
    syncing = started(1)
    with pytest.raises(SyncFailure) as caught:
        syncing.take_headers("a", HeadersAnswer(headers=headers(2, 4), certificates=(certificate,)), 0)
    assert caught.value.reason == reason
    assert syncing.take_run() is None


def test_run_without_a_certificate_is_refused():
    with pytest.raises(SyncFailure, match="no_certificate"):
        started(1).take_headers("a", HeadersAnswer(headers=headers(2, 4), certificates=()), 0)


def test_run_whose_last_header_is_not_the_certified_one_is_refused():
    """Given a certificate of height 3, when a header more follows it, then the whole run is refused."""
    certificate = BLOCKS[3].certificate
    with pytest.raises(SyncFailure, match="wrong_certificate"):
        started(1).take_headers("a", HeadersAnswer(headers=headers(2, 4), certificates=(certificate,)), 0)


def test_certificate_of_the_epoch_before_does_not_finalize_a_block_of_this_one():
    """Given that block 1 ended epoch 0, when its old validators certify block 2, then nobody believes them."""
    old = ValidatorSet(GENESIS_TIP.epoch_start.validators)
    answer = HeadersAnswer(headers=(SECOND,), certificates=(certify(SECOND, old, VoteKind.FINALIZE, epoch=0),))
    with pytest.raises(SyncFailure) as caught:
        started(1).take_headers("a", answer, 0)
    assert caught.value.reason == "wrong_epoch"


def test_whole_run_with_bodies_is_proven():
    syncing = started(1)
    assert syncing.take_headers("a", run_of(2, 4), 0) == [ask_body(2), ask_body(3)]
    assert syncing.take_run() is None
    assert syncing.take_body("a", body_of(3), 0) == []
    assert syncing.take_run() is None
    assert syncing.take_body("a", body_of(2), 0) == []
    run = syncing.take_run()
    assert run is not None
    assert (run.headers, run.certificate) == (headers(2, 4), BLOCKS[4].certificate)
    assert names_in(run) == [transactions_in(height) for height in (2, 3, 4)]
    assert not syncing.is_active
    assert syncing.take_run() is None


def test_run_ends_with_the_epoch_and_the_next_begins_there():
    syncing = started(0)
    assert syncing.take_headers("a", run_of(1, 1), 0) == [ask_body(1)]
    syncing.take_body("a", body_of(1), 0)
    run = syncing.take_run()
    assert run is not None
    assert names_in(run) == [transactions_in(1)]
    assert syncing.start("b", tip_at(1), 0) == [("b", HeadersRequest(first_height=2))]


def test_run_of_empty_blocks_needs_no_bodies():
    syncing = started(3)
    assert syncing.take_headers("a", run_of(4, 4), 0) == []
    run = syncing.take_run()
    assert run == ProvenRun(headers=headers(4, 4), transactions=((),), certificate=BLOCKS[4].certificate)


def test_body_in_several_answers_is_asked_for_from_where_it_goes_on():
    syncing = fetching(1, 1)
    assert syncing.take_body("a", body_of(1, 0, 1), 0) == [ask_body(1, 1)]
    assert syncing.take_run() is None
    assert syncing.take_body("a", body_of(1, 1), 0) == []
    run = syncing.take_run()
    assert run is not None
    assert names_in(run) == [transactions_in(1)]


def test_repeated_part_of_a_body_is_ignored():
    syncing = fetching(1, 1)
    syncing.take_body("a", body_of(1, 0, 1), 0)
    assert syncing.take_body("a", body_of(1, 0, 1), 0) == []
    syncing.take_body("a", body_of(1, 1), 0)
    assert syncing.take_run() is not None


def test_few_bodies_are_asked_for_at_once_and_further_ones_as_they_come(monkeypatch):
    monkeypatch.setattr(catch_up, "BODIES_AHEAD_MAX", 1)
    syncing = started(1)
    assert syncing.take_headers("a", run_of(2, 4), 0) == [ask_body(2)]
    assert syncing.take_body("a", body_of(2), 0) == [ask_body(3)]
    assert syncing.take_body("a", body_of(3), 0) == []
    assert syncing.take_run() is not None


GARBAGE = b"\x01 no envelope"
STRANGER = FIXTURE.sign(0, transfer(account(1), 7), nonce=77).encoded
BODIES = {
    "no envelope at all": body_of(2, 0, 0),
    "an envelope too many": BodyAnswer(height=2, first_index=0, envelopes=(*BLOCKS[2].envelopes, STRANGER)),
    "an envelope for an empty block": BodyAnswer(height=4, first_index=0, envelopes=(STRANGER,)),
}


@pytest.mark.parametrize("answer", BODIES.values(), ids=BODIES)
def test_body_of_another_length_than_the_header_tells_is_refused(answer):
    syncing = fetching(2, 4)
    with pytest.raises(SyncFailure) as caught:
        syncing.take_body("a", answer, 0)
    assert caught.value.reason == "wrong_body"


@pytest.mark.parametrize(
    "envelopes",
    [(STRANGER, BLOCKS[1].envelopes[1]), BLOCKS[1].envelopes[::-1], (GARBAGE, BLOCKS[1].envelopes[1])],
    ids=["another transaction", "another order", "no transaction"],
)
def test_body_that_the_header_does_not_commit_to_is_refused_once_it_is_complete(envelopes):
    syncing = fetching(1, 1)
    assert syncing.take_body("a", BodyAnswer(height=1, first_index=0, envelopes=envelopes), 0) == []
    with pytest.raises(SyncFailure) as caught:
        syncing.take_run()
    assert caught.value.reason == "wrong_body"


def test_envelope_that_is_malformed_is_refused_even_if_the_header_commits_to_it():
    header = replace(BLOCKS[4].header, tx_count=1, tx_root=merkle.root([hash_envelope(GARBAGE)]))
    syncing = started(3)
    syncing.take_headers("a", HeadersAnswer(headers=(header,), certificates=(certificate_of(header),)), 0)
    syncing.take_body("a", BodyAnswer(height=4, first_index=0, envelopes=(GARBAGE,)), 0)
    with pytest.raises(SyncFailure, match="wrong_body"):
        syncing.take_run()


def test_answers_of_others_are_ignored():
    syncing = started(1)
    assert syncing.take_headers("b", run_of(2, 4), 0) == []
    assert syncing.take_headers("a", run_of(2, 4), 0) == [ask_body(2), ask_body(3)]
    assert syncing.take_body("b", body_of(2), 0) == []
    assert syncing.take_body("a", body_of(2), 0) == []


def test_second_run_of_headers_is_ignored():
    syncing = fetching(2, 4)
    assert syncing.take_headers("a", run_of(2, 3), 0) == []
    assert syncing.take_headers("a", HeadersAnswer(headers=(), certificates=()), 0) == []
    assert syncing.is_active


@pytest.mark.parametrize("height", [1, 3, 5], ids=["below the run", "not asked for yet", "above the run"])
def test_bodies_that_were_not_asked_for_are_ignored(monkeypatch, height):
    monkeypatch.setattr(catch_up, "BODIES_AHEAD_MAX", 1)
    syncing = fetching(2, 4)
    assert syncing.take_body("a", BodyAnswer(height=height, first_index=0, envelopes=(STRANGER,)), 0) == []
    assert syncing.take_body("a", body_of(2), 0) == [ask_body(3)]


def test_answers_after_the_end_of_a_run_are_ignored():
    syncing = fetching(2, 4)
    syncing.stop()
    assert syncing.take_headers("a", run_of(2, 4), 0) == []
    assert syncing.take_body("a", body_of(2), 0) == []
    assert syncing.take_run() is None


def test_one_run_is_fetched_at_a_time():
    syncing = started(1)
    assert syncing.start("b", tip_at(1), 0) == []
    assert syncing.is_active


def test_answers_meant_for_a_run_that_was_given_up_prove_nothing_for_the_next():
    """Given a run given up half-way, when the next from the same peer begins, then its bodies are fetched anew."""
    syncing = fetching(2, 4)
    syncing.take_body("a", body_of(2), 0)
    syncing.stop()
    assert syncing.start("a", tip_at(1), 0) == [("a", HeadersRequest(first_height=2))]
    assert syncing.take_body("a", body_of(3), 0) == []
    assert syncing.take_headers("a", run_of(2, 4), 0) == [ask_body(2), ask_body(3)]
    syncing.take_body("a", body_of(3), 0)
    assert syncing.take_run() is None


def test_run_of_more_transactions_than_a_node_holds_is_refused_before_any_body_is_asked_for(monkeypatch):
    count = sum(header.tx_count for header in headers(2, 4))
    monkeypatch.setattr(catch_up, "RUN_TRANSACTIONS_MAX", count)
    assert started(1).take_headers("a", run_of(2, 4), 0) == [ask_body(2), ask_body(3)]
    monkeypatch.setattr(catch_up, "RUN_TRANSACTIONS_MAX", count - 1)
    with pytest.raises(SyncFailure) as caught:
        started(1).take_headers("a", run_of(2, 4), 0)
    assert caught.value.reason == "run_too_large"


def test_run_of_more_bytes_than_a_node_holds_is_refused_at_the_answer_that_exceeds_them(monkeypatch):
    size = sum(len(envelope) for height in (2, 3) for envelope in BLOCKS[height].envelopes)
    monkeypatch.setattr(catch_up, "RUN_BYTES_MAX", size)
    syncing = fetching(2, 4)
    syncing.take_body("a", body_of(2), 0)
    syncing.take_body("a", body_of(3), 0)
    assert syncing.take_run() is not None
    monkeypatch.setattr(catch_up, "RUN_BYTES_MAX", size - 1)
    syncing = fetching(2, 4)
    syncing.take_body("a", body_of(2), 0)
    with pytest.raises(SyncFailure) as caught:
        syncing.take_body("a", body_of(3), 0)
    assert caught.value.reason == "run_too_large"
