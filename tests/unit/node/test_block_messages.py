"""Laws of the messages about blocks: one encoding each, bounds, and answers that fit a frame."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.block_messages import (
    ANSWER_BYTES_MAX,
    BLOCK_MESSAGE_CODEC,
    FRAME_BYTES_MAX,
    HEADERS_MAX,
    BlockAnswer,
    BlockRequest,
    BodyAnswer,
    BodyRequest,
    EnvelopesAnswer,
    EnvelopesRequest,
    HeadersAnswer,
    HeadersRequest,
    split_envelopes,
)
from p2p.channels import POLICIES, Channel
from state.block import BLOCK_TRANSACTIONS_MAX, ENVELOPE_BYTES_MAX
from state.certificates import CERTIFICATE_BYTES_MAX, Certificate
from state.errors import Malformed, MalformedReason
from state.validators import VALIDATORS_MAX
from state.votes import VoteKind
from tests.support.consensus_cast import child_header
from tests.support.consensus_toys import genesis_tip, toy_set

HASH = b"h" * 32
HEADER = child_header(genesis_tip(toy_set([1])).block, 1, 0)
LONGEST_CERTIFICATE = Certificate(
    kind=VoteKind.FINALIZE,
    epoch=1 << 60,
    view=1 << 60,
    block_hash=HASH,
    result=HASH,
    signers=b"\xff" * (VALIDATORS_MAX // 8),
    signatures=(bytes(64),) * VALIDATORS_MAX,
)
LONGEST_HEADER = msgspec.structs.replace(
    HEADER, epoch=1 << 62, view=1 << 62, height=1 << 62, time_ms=1 << 45, parent_view=1 << 62, tx_count=10_000
)
MESSAGES = {
    "block request": BlockRequest(block_hash=HASH),
    "block": BlockAnswer(header=HEADER, envelope_hashes=(HASH, HASH)),
    "envelopes request": EnvelopesRequest(block_hash=HASH, envelope_hashes=(HASH,)),
    "envelopes": EnvelopesAnswer(block_hash=HASH, envelopes=(b"one", b"two")),
    "headers request": HeadersRequest(first_height=7),
    "headers": HeadersAnswer(headers=(HEADER,), certificates=(LONGEST_CERTIFICATE,)),
    "no headers": HeadersAnswer(headers=(), certificates=()),
    "body request": BodyRequest(height=7, first_index=3),
    "body": BodyAnswer(height=7, first_index=3, envelopes=(b"one",)),
}
LONGEST = {
    "list of the largest block": BlockAnswer(header=LONGEST_HEADER, envelope_hashes=(HASH,) * BLOCK_TRANSACTIONS_MAX),
    "request for the largest block": EnvelopesRequest(
        block_hash=HASH, envelope_hashes=(HASH,) * BLOCK_TRANSACTIONS_MAX
    ),
    "longest run of headers": HeadersAnswer(
        headers=(LONGEST_HEADER,) * HEADERS_MAX, certificates=(LONGEST_CERTIFICATE,)
    ),
}
TOO_MUCH = {
    "envelope hashes": EnvelopesRequest(block_hash=HASH, envelope_hashes=(HASH,) * (BLOCK_TRANSACTIONS_MAX + 1)),
    "envelopes": EnvelopesAnswer(block_hash=HASH, envelopes=(b"e",) * (BLOCK_TRANSACTIONS_MAX + 1)),
    "bytes of an envelope": EnvelopesAnswer(block_hash=HASH, envelopes=(bytes(ENVELOPE_BYTES_MAX + 1),)),
    "headers": HeadersAnswer(headers=(HEADER,) * (HEADERS_MAX + 1), certificates=()),
    "certificates": HeadersAnswer(headers=(HEADER,), certificates=(LONGEST_CERTIFICATE,) * 2),
}
WRONG = {
    "empty envelope": EnvelopesAnswer(block_hash=HASH, envelopes=(b"",)),
    "short hash": BlockRequest(block_hash=HASH[:31]),
    "height before the genesis": BodyRequest(height=-1, first_index=0),
    "index before the first": BodyRequest(height=1, first_index=-1),
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_every_message_comes_back_from_its_bytes(message):
    encoded = BLOCK_MESSAGE_CODEC.encode(message)
    assert BLOCK_MESSAGE_CODEC.decode(encoded) == message


@pytest.mark.parametrize("message", LONGEST.values(), ids=LONGEST)
def test_longest_messages_fit_a_frame(message):
    encoded = BLOCK_MESSAGE_CODEC.encode(message)
    assert len(encoded) <= FRAME_BYTES_MAX
    assert BLOCK_MESSAGE_CODEC.decode(encoded) == message


@pytest.mark.parametrize("message", (TOO_MUCH | WRONG).values(), ids=TOO_MUCH | WRONG)
def test_messages_beyond_their_bounds_are_refused(message):
    with pytest.raises(Malformed) as caught:
        BLOCK_MESSAGE_CODEC.decode(BLOCK_MESSAGE_CODEC.encode(message))
    assert caught.value.reason is MalformedReason.NOT_DECODABLE


def test_frame_above_the_bound_is_refused_before_it_is_decoded():
    with pytest.raises(Malformed) as caught:
        BLOCK_MESSAGE_CODEC.decode(bytes(FRAME_BYTES_MAX + 1))
    assert (caught.value.reason, caught.value.bound) == (MalformedReason.TOO_LARGE, FRAME_BYTES_MAX)


@pytest.mark.parametrize("channel", [Channel.BODIES, Channel.SYNC])
def test_frames_fit_the_channels_that_carry_them(channel):
    assert POLICIES[channel].message_bytes_max >= FRAME_BYTES_MAX


def test_longest_certificate_is_within_its_bound():
    assert len(msgspec.msgpack.encode(LONGEST_CERTIFICATE)) <= CERTIFICATE_BYTES_MAX


def test_nothing_is_split_into_no_answers():
    assert split_envelopes([]) == []


def test_answers_are_filled_in_order_and_cut_between_envelopes():
    third = bytes(ANSWER_BYTES_MAX // 3)
    assert split_envelopes([third, third, b"a", third, b"b"]) == [(third, third, b"a"), (third, b"b")]


lengths = st.lists(st.sampled_from([1, 200, 60_000, ENVELOPE_BYTES_MAX]), max_size=40)


@given(lengths)
def test_every_answer_fits_a_frame_and_together_they_are_the_envelopes(envelope_lengths):
    envelopes = [bytes([index]) * length for index, length in enumerate(envelope_lengths)]
    runs = split_envelopes(envelopes)
    assert [envelope for run in runs for envelope in run] == envelopes
    for run in runs:
        assert run
        encoded = BLOCK_MESSAGE_CODEC.encode(EnvelopesAnswer(block_hash=HASH, envelopes=run))
        assert len(encoded) <= FRAME_BYTES_MAX


def test_many_small_envelopes_fit_a_frame_with_their_lengths():
    runs = split_envelopes([b"x" * 90] * BLOCK_TRANSACTIONS_MAX)
    for run in runs:
        answer = BodyAnswer(height=1 << 62, first_index=1 << 62, envelopes=run)
        assert len(BLOCK_MESSAGE_CODEC.encode(answer)) <= FRAME_BYTES_MAX
