"""Dense lists: numbers without holes, whatever comes and goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from state.ledger import Overlay
from state.lists import ListKind, add_member, count_members, is_member, list_name, member_at, remove_member
from tests.support.chain_builders import make_ledger

NAME = list_name(ListKind.OWNER, bytes(21))
BASE = make_ledger()
STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 7)), max_size=40)


@given(STEPS)
def test_a_list_is_a_set_with_numbers_from_zero(steps: list[tuple[bool, int]]) -> None:
    ledger, model = Overlay(BASE), set[bytes]()
    for is_added, number in steps:
        member = bytes((number,))
        if is_added:
            add_member(ledger, NAME, member)
            model.add(member)
        else:
            remove_member(ledger, NAME, member)
            model.discard(member)
    members = [member_at(ledger, NAME, number) for number in range(count_members(ledger, NAME))]
    assert sorted(members) == sorted(model)
    assert all(is_member(ledger, NAME, member) for member in model)


def test_an_emptied_list_leaves_nothing_behind() -> None:
    ledger = Overlay(BASE)
    for member in (b"a", b"b", b"c"):
        add_member(ledger, NAME, member)
    for member in (b"b", b"a", b"c"):
        remove_member(ledger, NAME, member)
    assert ledger.changes() == {}


def test_the_last_member_takes_the_number_of_one_that_leaves() -> None:
    ledger = Overlay(BASE)
    for member in (b"a", b"b", b"c"):
        add_member(ledger, NAME, member)
    remove_member(ledger, NAME, b"a")
    assert [member_at(ledger, NAME, number) for number in (0, 1)] == [b"c", b"b"]
