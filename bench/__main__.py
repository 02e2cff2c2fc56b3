"""All figures of the README, one section after the other: `python -m bench`, or only some: `python -m bench network tree`.

A figure depends on the machine and on what else runs there; ratios taken in one run are worth more than single numbers.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
import time

SECTIONS = (
    "pipeline",
    "runtime",
    "policies",
    "tee",
    "tree",
    "storage",
    "p2p",
    "consensus",
    "network",
    "attestations",
    "reappraisals",
    "orders",
    "market",
)


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        print(f"there is no section {', '.join(unknown)}; known are {', '.join(SECTIONS)}")
        return 2
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )
    for name in names or SECTIONS:
        print(f"\n== {name} (python -m bench {name})", flush=True)
        started = time.monotonic()
        importlib.import_module(f"bench.bench_{name}").main()
        print(f"-- {time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
