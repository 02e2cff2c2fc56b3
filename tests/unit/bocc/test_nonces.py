"""Laws of nonces: fresh, increasing, and asked for once."""

from __future__ import annotations

import asyncio
from random import Random

from bocc.nonces import START_SPREAD, NonceSource


class Chain:
    def __init__(self, following: int = 0) -> None:
        self.following = following
        self.asked = 0

    async def next_nonce(self, address: str) -> int:
        self.asked += 1
        await asyncio.sleep(0)
        return self.following


async def test_parallel_takers_get_distinct_nonces_for_one_question():
    chain = Chain(following=7)
    source = NonceSource(chain.next_nonce, Random(1))
    taken = await asyncio.gather(*(source.take("alice") for _ in range(200)))
    assert chain.asked == 1
    assert sorted(taken) == list(range(min(taken), min(taken) + 200))


async def test_first_nonce_lies_within_the_spread_above_the_used_ones():
    chain = Chain(following=7)
    for seed in range(50):
        first = await NonceSource(chain.next_nonce, Random(seed)).take("alice")
        assert 7 <= first < 7 + START_SPREAD


async def test_two_sources_of_one_account_do_not_meet():
    chain = Chain()
    first, second = NonceSource(chain.next_nonce, Random(1)), NonceSource(chain.next_nonce, Random(2))
    ours = {await first.take("alice") for _ in range(100)}
    theirs = {await second.take("alice") for _ in range(100)}
    assert not ours & theirs


async def test_accounts_count_separately():
    chain = Chain()
    source = NonceSource(chain.next_nonce, Random(1))
    await source.take("alice")
    await source.take("bob")
    assert chain.asked == 2


async def test_forgotten_account_is_asked_for_again():
    chain = Chain()
    source = NonceSource(chain.next_nonce, Random(1))
    await source.take("alice")
    chain.following = 1 << 30
    source.forget("alice")
    assert await source.take("alice") >= 1 << 30
