"""Hours of faults on a real network under load: `python -m tests.integration.soak --minutes 30 --seed 1`.

Each round does some faults at random moments, then brings everything back and compares the ledgers of clients and nodes. The first
difference ends it with exit code 1, and the homes stay where the message says.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

from bocc.errors import InputRejected
from tests.support.live_network import LiveNetwork, live_network, run_cli
from tests.support.live_traffic import BackgroundTraffic

FAULTS_IN_ROUND = 12
Fault = Callable[[LiveNetwork, Random], Awaitable[None]]


async def kill_one(net: LiveNetwork, chance: Random) -> None:
    name = chance.choice(net.names)
    await asyncio.to_thread(net.kill, name)
    await asyncio.sleep(chance.uniform(0.0, 0.8))
    await asyncio.to_thread(net.start, name)


async def kill_in_turn(net: LiveNetwork, chance: Random) -> None:
    """Kill a second node while the first is still coming back."""
    first, second = chance.sample(net.names, 2)
    await asyncio.to_thread(net.kill, first)
    await asyncio.to_thread(net.network.start, [first])
    await asyncio.sleep(chance.uniform(0.0, 1.0))
    await asyncio.to_thread(net.kill, second)
    await asyncio.to_thread(net.start, first, second)


async def kill_all(net: LiveNetwork, chance: Random) -> None:
    await asyncio.to_thread(net.kill, *chance.sample(net.names, len(net.names)))
    await asyncio.to_thread(net.start, *net.names)


async def freeze(net: LiveNetwork, chance: Random) -> None:
    names = chance.sample(net.names, chance.choice((1, 1, 2, 4)))
    for name in names:
        await asyncio.to_thread(net.network.pause, name)
    await asyncio.sleep(chance.choice((0.3, 1.0, 3.0, 10.0)))
    for name in names:
        await asyncio.to_thread(net.network.resume, name)


async def cut(net: LiveNetwork, chance: Random) -> None:
    order = chance.sample(range(len(net.names)), len(net.names))
    split = chance.choice((1, 2))
    groups = "/".join(",".join(map(str, part)) for part in (order[:split], order[split:]))
    await asyncio.to_thread(net.network.partition, groups)
    await asyncio.sleep(chance.uniform(0.2, 3.0))
    await asyncio.to_thread(net.network.heal)


async def wipe(net: LiveNetwork, chance: Random) -> None:
    """Drop the database of a node, and let it take everything from the others again."""
    name = chance.choice(net.names)
    await asyncio.to_thread(net.kill, name)
    code, _ = await asyncio.to_thread(run_cli, "node", "reset", "--yes", "--home", str(net.home / name), "--json")
    assert code == 0
    await asyncio.to_thread(net.start, name)


FAULTS: dict[str, tuple[int, Fault]] = {
    "kill one": (8, kill_one),
    "kill in turn": (4, kill_in_turn),
    "kill all": (2, kill_all),
    "freeze": (2, freeze),
    "cut": (3, cut),
    "wipe": (1, wipe),
}


async def soak(net: LiveNetwork, seed: int, minutes: float) -> None:
    """Run rounds until the time is up."""
    chance = Random(seed)
    names, weights = list(FAULTS), [weight for weight, _ in FAULTS.values()]
    deadline = time.monotonic() + minutes * 60
    done: Counter[str] = Counter()
    payments = round_number = 0
    while time.monotonic() < deadline:
        net.mark_logs()
        async with BackgroundTraffic(net, f"soak-{seed}-{round_number}") as traffic:
            for name in chance.choices(names, weights, k=FAULTS_IN_ROUND):
                await asyncio.sleep(chance.uniform(0.0, 0.6))
                await FAULTS[name][1](net, chance)
                done[name] += 1
        payments += len(traffic.payments)
        round_number += 1
        tip = await asyncio.to_thread(net.restore)
        assert net.errors() == "", net.errors()
        print(f"round {round_number}: height {tip.height}, {payments} payments, faults {dict(done)}", flush=True)


def main() -> int:
    """Run the soak of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--validators", type=int, default=4)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="bocc-soak-"))
    print(f"seed {options.seed}, homes in {home}", flush=True)
    try:
        with live_network(home / "net", options.validators) as net:
            asyncio.run(soak(net, options.seed, options.minutes))
    except (AssertionError, InputRejected, ExceptionGroup):
        print(
            f"FAILED: {traceback.format_exc()}\nthe homes are kept in {home}; again: --seed {options.seed}", flush=True
        )
        return 1
    shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
