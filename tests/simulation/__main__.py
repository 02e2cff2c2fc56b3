"""Simulate whole networks from seeds: `python -m tests.simulation --seeds 300 --heights 100`, or `--seed 17` to repeat one.

A failure prints the command that repeats it. The same seed gives the same run, whatever else changes on the machine.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback

from tests.simulation.profiles import PROFILE_BY_NAME, profile_of
from tests.simulation.run import Report, simulate
from tests.simulation.tally import Tally

SEEDS = 16
HEIGHTS = 40


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, help="run this seed alone")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how many seeds, {SEEDS} if not given")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument(
        "--heights", type=int, default=HEIGHTS, help=f"final heights of each seed, {HEIGHTS} if not given"
    )
    parser.add_argument(
        "--profile", choices=sorted(PROFILE_BY_NAME), help="one kind of trouble; otherwise the seed decides"
    )
    parser.add_argument("--seconds", type=float, help="begin no seed after this time")
    parser.add_argument("--keep-going", action="store_true", help="go on after a failure")
    parser.add_argument("--verbose", action="store_true", help="one line for each seed")
    return parser.parse_args()


def repeat_command(seed: int, heights: int, profile: str | None = None) -> str:
    """Return the command that repeats a run."""
    named = f" ARGS='--profile {profile}'" if profile else ""
    return f"make sim SEED={seed} HEIGHTS={heights}{named}"


def describe(report: Report) -> str:
    return (
        f"seed {report.seed:6} {report.profile:14} heights {report.heights:5} epochs {report.epochs:3} "
        f"views {report.views:5} messages {report.messages:7} transactions {report.transactions:5} "
        f"crashes {report.crashes:3} virtual {report.virtual_ms / 1000:7.1f} s  recovery {report.recovery_ms:6} ms "
        f"convicted {report.convicted} {'real' if report.is_real else '    '} {report.trace_hash[:16]}"
    )


def run_seeds(arguments: argparse.Namespace) -> int:
    seeds = (
        [arguments.seed] if arguments.seed is not None else range(arguments.first, arguments.first + arguments.seeds)
    )
    is_verbose = arguments.verbose or arguments.seed is not None
    tally, failures = Tally(), 0
    started = shown = time.monotonic()
    for seed in seeds:
        if arguments.seconds is not None and time.monotonic() - started > arguments.seconds:
            break
        profile = PROFILE_BY_NAME[arguments.profile] if arguments.profile else profile_of(seed)
        try:
            report = simulate(seed, profile, arguments.heights)
        except Exception as failure:
            failures += 1
            traceback.print_exc()
            print(f"\nFAILED seed {seed}, profile {profile.name}: {failure}")
            print(f"Repeat with: {repeat_command(seed, arguments.heights, arguments.profile)}", flush=True)
            if not arguments.keep_going:
                break
            continue
        tally.add(report)
        if is_verbose:
            print(describe(report), flush=True)
        elif time.monotonic() - shown > 10:
            shown = time.monotonic()
            print(tally.line(shown - started), flush=True)
    print(tally.line(time.monotonic() - started))
    print(tally.profiles())
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(run_seeds(parse_arguments()))
