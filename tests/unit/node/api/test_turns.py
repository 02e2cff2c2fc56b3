"""Shares of the loop's turns: order, bounds, cancellation."""

from __future__ import annotations

import asyncio

from node.api.turns import Turns

NEARLY_NOTHING_S = 1e-9


async def run(turns, log, name, pieces=1):
    for _ in range(pieces):
        async with turns.taking():
            log.append(name)


async def test_an_unspent_share_costs_no_wait():
    turns, log = Turns(), []
    task = run(turns, log, "a")
    try:
        task.send(None)
    except StopIteration:
        assert log == ["a"]


async def test_work_goes_on_in_the_order_in_which_it_came_one_piece_each():
    turns, log = Turns(NEARLY_NOTHING_S), []
    await asyncio.gather(*(run(turns, log, name, 3) for name in "abc"))
    assert log == ["a", *"abc", *"abc", *"bc"]  # the first found the share unspent


async def test_who_gives_up_waiting_holds_nobody_up():
    turns, log = Turns(NEARLY_NOTHING_S), []
    tasks = [asyncio.ensure_future(run(turns, log, name)) for name in "abcd"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert log == ["a", "c", "d"]


async def test_a_failure_inside_counts_too():
    turns, log = Turns(NEARLY_NOTHING_S), []

    async def fail():
        async with turns.taking():
            raise LookupError

    outcomes = await asyncio.gather(fail(), run(turns, log, "a"), return_exceptions=True)
    assert isinstance(outcomes[0], LookupError)
    assert log == ["a"]
