"""Help between nodes: who gets which certificates, how often, and who counts as gone."""

from __future__ import annotations

import pytest

from consensus.assistance import (
    ANSWER_INTERVAL_MS,
    ANSWERS_PER_PEER_MAX,
    INACTIVE_VIEWS_MIN,
    PEERS_REMEMBERED_MAX,
    Assistance,
)
from consensus.effects import Effect, Send, SendEpochEnd, StartSync
from consensus.epoch_state import EpochState
from consensus.inputs import Now
from consensus.messages import CERTIFICATES_IN_ANSWER_MAX, CertificatesMessage, CertificatesRequest, Status
from tests.support.consensus_cast import X, certificate, state_at_genesis
from tests.support.consensus_toys import toy_set

START = Now(5_000, 0)


def later(ms: int) -> Now:
    return Now(START.mono_ms + ms, 0)


def state_with_views(count: int) -> EpochState:
    """Return a state in which so many views are nullified."""
    state = state_at_genesis()
    for view in range(1, count + 1):
        state.view_state(view).certificates[X] = certificate(X, view)
    return state


def status(epoch: int = 0, view: int = 1, height: int = 0) -> Status:
    return Status(epoch=epoch, view=view, final_height=height, final_hash=bytes(32))


def views_sent(effects: list[Effect]) -> list[int]:
    """Return the views of the certificates in one answer."""
    (sent,) = effects
    assert isinstance(sent, Send)
    assert isinstance(sent.message, CertificatesMessage)
    return [one.view for one in sent.message.certificates]


def test_a_peer_in_a_settled_view_gets_the_certificates_from_there_on():
    state = state_with_views(3)

    assert views_sent(Assistance().help_with_view("p", 2, state, 4, START)) == [2, 3]


def test_a_peer_in_an_unsettled_view_gets_nothing_and_may_ask_again_at_once():
    state, help_ = state_with_views(3), Assistance()
    assert help_.help_with_view("p", 4, state, 4, START) == []
    state.view_state(4).certificates[X] = certificate(X, 4)

    assert views_sent(help_.help_with_view("p", 4, state, 5, START)) == [4]


def test_the_same_question_is_answered_once_a_second_for_each_peer():
    state, help_ = state_with_views(3), Assistance()

    assert help_.help_with_view("p", 2, state, 4, START)
    assert not help_.help_with_view("p", 2, state, 4, later(ANSWER_INTERVAL_MS - 1))
    assert help_.help_with_view("q", 2, state, 4, START)
    assert help_.help_with_view("p", 2, state, 4, later(ANSWER_INTERVAL_MS))


def test_questions_about_views_long_final_are_one_question():
    state, help_ = state_with_views(3), Assistance()
    state.final_view = 3

    answered = [view for view in (0, 1, 2, 3) if help_.help_with_view("p", view, state, 4, START)]
    assert answered == [0]


def test_a_peer_gets_a_few_answers_a_second_whatever_it_asks():
    help_ = Assistance()
    answered = sum(help_.may_answer("p", 0, view, START) for view in range(1_000))

    assert answered == ANSWERS_PER_PEER_MAX
    assert help_.may_answer("q", 0, 1, START)
    assert help_.may_answer("p", 0, 1, later(ANSWER_INTERVAL_MS))


def test_memory_is_bounded_whoever_asks():
    help_ = Assistance()
    for number in range(3 * PEERS_REMEMBERED_MAX):
        help_.may_answer(f"p{number}", 0, number, START)

    assert len(help_._answers) == PEERS_REMEMBERED_MAX
    assert all(len(answers) <= ANSWERS_PER_PEER_MAX for answers in help_._answers.values())


def test_a_status_behind_is_helped_and_one_at_the_same_place_is_not():
    state = state_with_views(5)

    assert views_sent(Assistance().answer_status("p", status(view=3), state, 6, START)) == [3, 4, 5]
    assert Assistance().answer_status("p", status(view=6), state, 6, START) == []
    assert Assistance().answer_status("p", status(view=99), state, 6, START) == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (status(height=1), []),
        (status(height=2), [StartSync("p", 2)]),
        (status(epoch=1, height=0), [StartSync("p", 0)]),
    ],
    ids=["one block ahead", "two blocks ahead", "an epoch ahead"],
)
def test_a_status_far_ahead_starts_a_sync(said: Status, expected: list[Effect]):
    assert Assistance().answer_status("p", said, state_at_genesis(), 1, START) == expected


def test_a_peer_in_an_epoch_that_is_over_gets_its_end_once_a_second():
    state, help_ = state_at_genesis(), Assistance()
    state.start = type(state.start)(epoch=2, root=state.start.root, validators=state.start.validators)

    assert help_.answer_status("p", status(epoch=1), state, 1, START) == [SendEpochEnd("p", 1)]
    assert help_.help_with_epoch("p", 1, START) == []
    assert help_.help_with_epoch("p", 0, START) == [SendEpochEnd("p", 0)]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(2, 3, [2, 3]), (0, 2, [1, 2]), (1, 10**15, list(range(1, 1 + CERTIFICATES_IN_ANSWER_MAX)))],
)
def test_a_request_is_answered_within_bounds(first: int, last: int, expected: list[int]):
    request = CertificatesRequest(epoch=0, first_view=first, last_view=last)

    assert views_sent(Assistance().answer_request("p", request, state_with_views(40), START)) == expected


@pytest.mark.parametrize(("epoch", "first", "last"), [(0, 50, 60), (0, 3, 2), (7, 1, 2)])
def test_a_request_for_nothing_that_is_here_gets_nothing(epoch: int, first: int, last: int):
    request = CertificatesRequest(epoch=epoch, first_view=first, last_view=last)

    assert Assistance().answer_request("p", request, state_with_views(5), START) == []


# who is gone


def heard(powers: tuple[int, ...], last: dict[int, int]) -> Assistance:
    help_ = Assistance()
    for index in range(len(powers)):
        if index in last:
            help_.hear(index, last[index])
    return help_


def test_a_leader_silent_for_eight_views_while_a_quorum_spoke_is_gone():
    validators = toy_set((1, 1, 1, 1))
    help_ = heard((1,) * 4, {0: 20, 1: 20, 2: 20, 3: 11})

    assert not help_.is_inactive(3, 11 + INACTIVE_VIEWS_MIN, validators)
    assert help_.is_inactive(3, 12 + INACTIVE_VIEWS_MIN, validators)
    assert not help_.is_inactive(0, 12 + INACTIVE_VIEWS_MIN, validators)


def test_nobody_is_gone_as_long_as_no_quorum_was_heard():
    help_ = heard((1,) * 4, {0: 30, 1: 30})

    assert not help_.is_inactive(3, 30, toy_set((1, 1, 1, 1)))


def test_the_more_validators_the_longer_the_patience():
    powers = (1,) * 20
    help_ = heard(powers, dict.fromkeys(range(19), 40) | {19: 25})

    assert not help_.is_inactive(19, 45, toy_set(powers))
    assert help_.is_inactive(19, 46, toy_set(powers))


def test_an_old_vote_takes_nothing_back():
    help_ = Assistance()
    help_.hear(0, 9)
    help_.hear(0, 3)

    assert help_._last_heard[0] == 9


def test_a_new_epoch_begins_with_everybody_heard():
    help_ = heard((1,) * 4, {0: 500})
    help_.start_epoch(0)

    assert not any(help_.is_inactive(index, INACTIVE_VIEWS_MIN, toy_set((1,) * 4)) for index in range(4))
