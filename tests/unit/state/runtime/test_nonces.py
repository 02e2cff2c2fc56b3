"""Nonces: each is used at most once, and in-order use stores nothing."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace

from state.codec import INTEGER_MAX
from state.records import NEW_ACCOUNT, UNUSED_RANGES_MAX, Account
from state.runtime.nonces import NONCE_WINDOW, find_nonce_problem, use_nonce
from state.runtime.reasons import TransactionReason

USED, TOO_HIGH = TransactionReason.NONCE_USED, TransactionReason.NONCE_TOO_HIGH


def after(account: Account, *nonces: int) -> Account:
    for nonce in nonces:
        assert find_nonce_problem(account, nonce) is None
        next_nonce, unused = use_nonce(account, nonce)
        account = replace(account, next_nonce=next_nonce, unused_nonces=unused)
    return account


def test_use_in_order_stores_no_range() -> None:
    assert after(NEW_ACCOUNT, 0, 1, 2) == replace(NEW_ACCOUNT, next_nonce=3)


def test_a_skipped_range_is_remembered_and_each_nonce_in_it_used_once() -> None:
    account = after(NEW_ACCOUNT, 5)
    assert account.unused_nonces == ((0, 4),)
    account = after(account, 2)
    assert account.unused_nonces == ((0, 1), (3, 4))
    assert find_nonce_problem(account, 2) is USED
    assert after(account, 0, 1, 4, 3) == replace(NEW_ACCOUNT, next_nonce=6)


@pytest.mark.parametrize(
    ("account", "nonce", "problem"),
    [
        pytest.param(NEW_ACCOUNT, NONCE_WINDOW - 1, None, id="end of the window"),
        pytest.param(NEW_ACCOUNT, NONCE_WINDOW, TOO_HIGH, id="beyond the window"),
        pytest.param(replace(NEW_ACCOUNT, next_nonce=7), 6, USED, id="the highest"),
        pytest.param(replace(NEW_ACCOUNT, next_nonce=7), 7, None, id="the next"),
        pytest.param(replace(NEW_ACCOUNT, next_nonce=7, unused_nonces=((2, 3),)), 1, USED, id="below a range"),
        pytest.param(replace(NEW_ACCOUNT, next_nonce=7, unused_nonces=((2, 3),)), 2, None, id="first of a range"),
        pytest.param(replace(NEW_ACCOUNT, next_nonce=7, unused_nonces=((2, 3),)), 3, None, id="last of a range"),
        pytest.param(replace(NEW_ACCOUNT, next_nonce=7, unused_nonces=((2, 3),)), 4, USED, id="above a range"),
        pytest.param(replace(NEW_ACCOUNT, next_nonce=INTEGER_MAX - 1), INTEGER_MAX - 1, None, id="last nonce"),
        pytest.param(replace(NEW_ACCOUNT, next_nonce=INTEGER_MAX), INTEGER_MAX, TOO_HIGH, id="no integer left"),
    ],
)
def test_which_nonces_an_account_can_use(account: Account, nonce: int, problem: TransactionReason | None) -> None:
    assert find_nonce_problem(account, nonce) is problem


def test_the_lowest_range_is_forgotten_first_and_counts_as_used() -> None:
    sparse = after(NEW_ACCOUNT, *range(1, 2 * UNUSED_RANGES_MAX + 2, 2))
    assert len(sparse.unused_nonces) == UNUSED_RANGES_MAX
    assert find_nonce_problem(sparse, 0) is USED
    assert find_nonce_problem(sparse, 2) is None


@pytest.mark.parametrize("seed", range(8))
def test_a_nonce_usable_before_ascending_use_stays_usable(seed: int) -> None:
    random = Random(seed)
    account = NEW_ACCOUNT
    for _ in range(60):
        candidates = {random.randrange(account.next_nonce + 200) for _ in range(120)}
        batch = sorted(nonce for nonce in candidates if find_nonce_problem(account, nonce) is None)
        account = after(account, *batch)


@pytest.mark.parametrize("seed", range(8))
def test_no_nonce_is_ever_used_twice(seed: int) -> None:
    random = Random(seed)
    account, used = NEW_ACCOUNT, set()
    for _ in range(3_000):
        nonce = random.randrange(account.next_nonce + 5)
        if find_nonce_problem(account, nonce) is None:
            assert nonce not in used
            used.add(nonce)
            account = after(account, nonce)
    assert len(account.unused_nonces) <= UNUSED_RANGES_MAX
