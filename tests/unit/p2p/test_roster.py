"""Who may connect."""

from __future__ import annotations

import itertools

import pytest

from p2p.errors import ConnectionRefused, RefusalReason
from p2p.events import Direction
from p2p.roster import STALE_MS, Candidate, Limits, Roster

LIMITS = Limits(inbound_max=3, outbound_max=2, inbound_per_ip_max=2, half_open_max=4, half_open_per_ip_max=3)
IN, OUT = Direction.INBOUND, Direction.OUTBOUND


def build_roster(own_id: str = "m", persistent: frozenset[str] = frozenset()) -> Roster:
    return Roster(own_id, persistent, LIMITS)


def refusal(roster: Roster, candidate: Candidate, silent_ms: int = 0, is_banned: bool = False) -> RefusalReason | None:
    try:
        roster.check(candidate, silent_ms, is_banned=is_banned)
    except ConnectionRefused as refused:
        return refused.reason
    return None


def fill(roster: Roster, direction: Direction, count: int) -> None:
    for number in range(count):
        roster.add(Candidate(f"{direction}{number}", direction, f"9.0.0.{number}"))


@pytest.mark.parametrize(
    ("direction", "count", "reason"),
    [(IN, 2, None), (IN, 3, RefusalReason.INBOUND_FULL), (OUT, 1, None), (OUT, 2, RefusalReason.OUTBOUND_FULL)],
)
def test_each_direction_has_its_places(direction: Direction, count: int, reason: RefusalReason | None) -> None:
    roster = build_roster()
    fill(roster, direction, count)
    assert refusal(roster, Candidate("x", direction, "8.8.8.8")) is reason
    assert roster.count_open(direction) == count


def test_places_of_one_direction_do_not_depend_on_the_other() -> None:
    roster = build_roster()
    fill(roster, IN, 3)
    assert refusal(roster, Candidate("x", OUT, "8.8.8.8")) is None


@pytest.mark.parametrize("direction", [IN, OUT])
def test_a_persistent_peer_takes_no_place_and_needs_none(direction: Direction) -> None:
    roster = build_roster(persistent=frozenset(["p", "q"]))
    fill(roster, IN, 3)
    fill(roster, OUT, 2)
    assert refusal(roster, Candidate("p", direction, "8.8.8.8")) is None
    roster.add(Candidate("p", direction, "8.8.8.8"))
    assert roster.count_open(direction) == (3 if direction is IN else 2)


def test_one_ip_holds_its_share_of_the_inbound_places_but_loopback_all() -> None:
    for ip, reason in [("9.9.9.9", RefusalReason.IP_FULL), ("127.0.0.1", None)]:
        roster = build_roster()
        for peer_id in ("a", "b"):
            roster.add(Candidate(peer_id, IN, ip))
        assert refusal(roster, Candidate("c", IN, ip)) is reason
        assert refusal(roster, Candidate("c", OUT, ip)) is None


def test_blocked_and_banned_peers_are_refused_in_both_directions() -> None:
    roster = build_roster(persistent=frozenset(["x"]))
    for direction in (IN, OUT):
        candidate = Candidate("x", direction, "8.8.8.8")
        assert refusal(roster, candidate, is_banned=True) is RefusalReason.BANNED
        roster.blocked_ids = frozenset(["x"])
        assert refusal(roster, candidate) is RefusalReason.BLOCKED
        roster.blocked_ids = frozenset()
        assert refusal(roster, candidate) is None


def test_an_open_connection_stays_unless_it_is_silent() -> None:
    roster = build_roster()
    roster.add(Candidate("x", IN, "8.8.8.8"))
    for direction in (IN, OUT):
        assert refusal(roster, Candidate("x", direction, "8.8.8.8"), STALE_MS) is RefusalReason.DUPLICATE
        assert refusal(roster, Candidate("x", direction, "8.8.8.8"), STALE_MS + 1) is None
    roster.remove("x")
    assert refusal(roster, Candidate("x", IN, "8.8.8.8")) is None
    assert roster.open_ids == frozenset()


@pytest.mark.parametrize("order", sorted(set(itertools.permutations("AAAABBBB"))))
def test_simultaneous_dials_end_with_one_connection_whatever_the_order(order: tuple[str, ...]) -> None:
    """Given two nodes that dial each other at once.

    When the four steps of each dial (identify the responder, reach it, be judged, hear the verdict) interleave in any way
    Then exactly one of the two connections is open at both ends.
    """
    rosters = {"A": build_roster("a"), "B": build_roster("b")}
    alive = {"A": True, "B": True}
    admitted = {"A": False, "B": False}
    opened: dict[str, set[str]] = {"A": set(), "B": set()}  # dials open at each end
    steps = {"A": 0, "B": 0}
    for dialer in order:
        steps[dialer] += 1
        if not alive[dialer]:
            continue
        other = "B" if dialer == "A" else "A"
        ours, theirs = rosters[dialer], rosters[other]
        outbound = Candidate(other.lower(), OUT, "127.0.0.1")
        inbound = Candidate(dialer.lower(), IN, "127.0.0.1")
        if steps[dialer] == 1:
            if refusal(ours, outbound):
                alive[dialer] = False
            else:
                ours.begin_awaiting(other.lower())
        elif steps[dialer] == 2:
            if refusal(theirs, inbound):
                alive[dialer] = False
                ours.end_awaiting(other.lower())
            else:
                theirs.add(inbound)
                opened[other].add(dialer)
                admitted[dialer] = True
        elif steps[dialer] == 4 and admitted[dialer]:
            ours.end_awaiting(other.lower())
            assert refusal(ours, outbound) is None
            ours.add(outbound)
            opened[dialer].add(dialer)
    assert opened["A"] == opened["B"]
    assert len(opened["A"]) == 1


def test_handshakes_under_way_are_bounded_in_all_and_by_ip() -> None:
    roster = build_roster()
    for second in range(3):
        roster.begin_half_open("1.1.1.1", second * 1_000)
    with pytest.raises(ConnectionRefused) as caught:
        roster.begin_half_open("1.1.1.1", 3_000)
    assert caught.value.reason is RefusalReason.HALF_OPEN_IP_FULL
    roster.begin_half_open("2.2.2.2", 3_000)
    with pytest.raises(ConnectionRefused) as caught:
        roster.begin_half_open("3.3.3.3", 4_000)
    assert caught.value.reason is RefusalReason.HALF_OPEN_FULL
    roster.end_half_open("1.1.1.1")
    roster.begin_half_open("3.3.3.3", 4_000)
    assert roster.half_open_count == 4


def test_handshakes_that_begin_within_a_second_are_bounded_too_even_when_they_end_at_once() -> None:
    roster = build_roster()

    def begin(ip: str, now_ms: int) -> RefusalReason | None:
        try:
            roster.begin_half_open(ip, now_ms)
        except ConnectionRefused as refused:
            return refused.reason
        roster.end_half_open(ip)
        return None

    assert [begin("1.1.1.1", 5_000) for _ in range(3)] == [None] * 3
    assert begin("1.1.1.1", 5_999) is RefusalReason.HALF_OPEN_IP_FULL
    assert begin("2.2.2.2", 5_999) is None
    assert begin("3.3.3.3", 5_999) is RefusalReason.HALF_OPEN_FULL
    assert begin("1.1.1.1", 6_000) is None
    assert roster.half_open_count == 0
