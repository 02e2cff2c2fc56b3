"""The guard before the key: its whole table, the floor, and what a restart brings back."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.signing import VoteSigner
from state.votes import Vote, VoteKind, are_conflicting, vote_signing_bytes
from tests.support.consensus_cast import HASH_A, HASH_B, RESULT_A, RESULT_B, F, N, X, signature_of
from tests.support.consensus_toys import CHAIN_ID, stand_in_key

Asked = tuple[VoteKind, bytes, bytes]

VOTES: dict[str, Asked] = {
    "N(a)": (N, HASH_A, b""),
    "N(b)": (N, HASH_B, b""),
    "X": (X, b"", b""),
    "F(a,r)": (F, HASH_A, RESULT_A),
    "F(a,s)": (F, HASH_A, RESULT_B),
    "F(b,r)": (F, HASH_B, RESULT_A),
}
ALLOWED = {
    ("N(a)", "X"),
    ("N(b)", "X"),
    ("N(a)", "F(a,r)"),
    ("N(a)", "F(a,s)"),
    ("N(b)", "F(b,r)"),
    ("F(a,r)", "N(a)"),
    ("F(a,s)", "N(a)"),
    ("F(b,r)", "N(b)"),
    *((name, name) for name in VOTES),
}
"""What may be signed after what, in one view; everything else is refused."""


def signer_of(signed: list[Vote] | None = None, floor: tuple[int, int] = (0, 0)) -> VoteSigner:
    return VoteSigner(CHAIN_ID, stand_in_key("v0").sign, signed or [], floor)


def ask(signer: VoteSigner, asked: Asked, view: int = 1, epoch: int = 0) -> Vote | None:
    kind, block_hash, result = asked
    return signer.sign(kind, epoch, view, block_hash, result, 0)


@pytest.mark.parametrize(("first", "second"), list(product(VOTES, VOTES)), ids=lambda name: name)
def test_after_one_vote_another_is_signed_exactly_if_the_table_allows_it(first: str, second: str):
    signer = signer_of()
    given_first = ask(signer, VOTES[first])
    assert given_first is not None

    given_second = ask(signer, VOTES[second])

    assert (given_second is not None) == ((first, second) in ALLOWED)
    if given_second is not None and first != second:
        assert not are_conflicting(given_first, given_second)


@pytest.mark.parametrize(("first", "second"), list(product(VOTES, VOTES)), ids=lambda name: name)
def test_another_view_or_epoch_does_not_matter(first: str, second: str):
    signer = signer_of()
    ask(signer, VOTES[first], view=1)

    assert ask(signer, VOTES[second], view=2) is not None
    assert ask(signer, VOTES[second], view=1, epoch=1) is not None


def test_a_vote_is_signed_over_its_content_and_the_chain():
    found = ask(signer_of(), VOTES["F(a,r)"], view=7, epoch=3)

    assert found is not None
    assert found.signature == signature_of(0, vote_signing_bytes(CHAIN_ID, F, 3, 7, HASH_A, RESULT_A))


def test_the_same_question_gets_the_same_vote():
    signer = signer_of()

    assert ask(signer, VOTES["N(a)"]) is ask(signer, VOTES["N(a)"])


def test_nothing_new_is_signed_at_or_below_the_floor():
    signer = signer_of(floor=(2, 5))

    assert ask(signer, VOTES["X"], view=5, epoch=2) is None
    assert ask(signer, VOTES["X"], view=900, epoch=1) is None
    assert ask(signer, VOTES["X"], view=6, epoch=2) is not None
    assert signer.is_at_or_below_floor(2, 5)
    assert not signer.is_at_or_below_floor(2, 6)


def test_raising_the_floor_forgets_what_lies_below_and_never_lowers_it():
    signer = signer_of()
    for view in (1, 2, 3):
        ask(signer, VOTES["X"], view=view)
    signer.raise_floor(0, 2)
    signer.raise_floor(0, 1)

    assert signer.signed_views(0) == [2, 3]
    assert ask(signer, VOTES["N(a)"], view=1) is None
    assert ask(signer, VOTES["X"], view=2) is not None, "what was signed may be said again"


def test_a_follower_without_a_key_signs_nothing():
    signer = VoteSigner(CHAIN_ID, None, [], (0, 0))

    assert ask(signer, VOTES["X"]) is None


def test_votes_of_views_come_in_their_order():
    signer = signer_of()
    for name, view in (("X", 4), ("N(a)", 4), ("F(a,r)", 2), ("N(a)", 2)):
        ask(signer, VOTES[name], view=view)

    assert [(one.view, one.kind) for one in signer.votes_in(0, [2, 3, 4])] == [(2, N), (2, F), (4, X)]


@given(st.lists(st.tuples(st.sampled_from(sorted(VOTES)), st.integers(1, 2)), max_size=12), st.integers(0, 12))
def test_whatever_is_asked_and_wherever_the_node_restarts_no_two_votes_conflict(
    questions: list[tuple[str, int]], restart_at: int
):
    signer, sent = signer_of(), []
    for number, (name, view) in enumerate(questions):
        if number == restart_at:
            signer = signer_of(sent)
        found = ask(signer, VOTES[name], view=view)
        if found is not None:
            sent.append(found)

    assert not any(are_conflicting(one, other) for one, other in product(sent, sent))
