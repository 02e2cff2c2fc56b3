"""The bytes of consensus messages: one form each, and bounds that hold before anything is believed."""

from __future__ import annotations

import pytest
from msgspec import structs

from consensus.messages import (
    CERTIFICATES_IN_ANSWER_MAX,
    MESSAGE_BYTES_MAX,
    MESSAGE_CODEC,
    NULLIFICATIONS_IN_PROPOSAL_MAX,
    CertificatesMessage,
    CertificatesRequest,
    ConsensusMessage,
    Status,
    VoteMessage,
)
from state.codec import encode
from state.errors import Malformed, MalformedReason
from state.validators import VALIDATORS_MAX
from tests.support.consensus_cast import F, N, X, certificate, child_header, proposal_of, vote
from tests.support.consensus_toys import genesis_tip, toy_set

PROPOSAL = proposal_of(
    child_header(genesis_tip(toy_set((1, 1, 1, 1))).block, 3, 0, envelopes=[b"a", b"b"]),
    justify=[certificate(X, 1), certificate(X, 2)],
    envelopes=[b"a", b"b"],
)
MESSAGES: list[ConsensusMessage] = [
    PROPOSAL,
    *(VoteMessage(vote=vote(kind, 1)) for kind in (N, X, F)),
    CertificatesMessage(certificates=(certificate(N), certificate(X, 2), certificate(F, 3))),
    Status(epoch=1, view=2, final_height=3, final_hash=bytes(32)),
    CertificatesRequest(epoch=0, first_view=1, last_view=64),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: type(one).__name__)
def test_a_message_has_one_form(message: ConsensusMessage):
    encoded = MESSAGE_CODEC.encode(message)

    assert MESSAGE_CODEC.decode(encoded) == message
    for cut in (1, len(encoded) // 2, len(encoded) - 1):
        with pytest.raises(Malformed):
            MESSAGE_CODEC.decode(encoded[:cut])
    with pytest.raises(Malformed):
        MESSAGE_CODEC.decode(encoded + b"\0")


@pytest.mark.parametrize(
    "message",
    [
        structs.replace(PROPOSAL, justify=(certificate(X),) * (NULLIFICATIONS_IN_PROPOSAL_MAX + 2)),
        structs.replace(PROPOSAL, view=-1),
        structs.replace(PROPOSAL, view=1 << 63),
        structs.replace(PROPOSAL, envelope_hashes=(b"short",)),
        CertificatesMessage(certificates=()),
        CertificatesMessage(certificates=(certificate(X),) * (CERTIFICATES_IN_ANSWER_MAX + 1)),
        VoteMessage(vote=structs.replace(vote(N, 1), signature=bytes(63))),
        VoteMessage(vote=structs.replace(vote(N, 1), validator=VALIDATORS_MAX)),
        Status(epoch=0, view=0, final_height=0, final_hash=b""),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_is_out_of_bounds_does_not_decode(message: ConsensusMessage):
    with pytest.raises(Malformed) as rejected:
        MESSAGE_CODEC.decode(encode(message))

    assert rejected.value.reason is MalformedReason.NOT_DECODABLE


def test_what_is_longer_than_a_frame_is_not_read():
    with pytest.raises(Malformed) as rejected:
        MESSAGE_CODEC.decode(bytes(MESSAGE_BYTES_MAX + 1))

    assert rejected.value.reason is MalformedReason.TOO_LARGE


def test_an_answer_about_the_largest_set_fits_a_frame():
    everybody = structs.replace(
        certificate(F),
        signers=b"\xff" * (VALIDATORS_MAX // 8),
        signatures=(bytes(64),) * VALIDATORS_MAX,
    )
    message = CertificatesMessage(certificates=(everybody,) * CERTIFICATES_IN_ANSWER_MAX)

    assert MESSAGE_CODEC.decode(MESSAGE_CODEC.encode(message)) == message
