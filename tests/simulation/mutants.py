"""Switch off each guard of the protocol in turn, and see it go wrong.

Each mutant of mutant_table.py has a directed scenario that passes with the guard and breaks an invariant without it.

    python -m tests.simulation.mutants              every mutant against its scenario
    python -m tests.simulation.mutants --seeds 50  every mutant against up to 50 random runs, which find most sooner or later
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from tests.simulation.mutant_table import MUTANTS, Change, Mutant
from tests.support.consensus_checks import Violation
from tests.support.consensus_random import PROFILES, random_run


def changed_source(function: Callable[..., object], changes: Iterable[Change]) -> str:
    """Return the source of a function with all replacements made.

    Raises:
        AssertionError: an old text is not there exactly once; the mutant no longer means anything.
    """
    source = textwrap.dedent(inspect.getsource(function))
    for change in changes:
        assert source.count(change.old) == 1, f"{change.target} has {source.count(change.old)} times {change.old!r}"
        source = source.replace(change.old, change.new)
    return source


@contextmanager
def applied(*changes: Change) -> Iterator[None]:
    """Have the changed functions in place of the real ones, wherever they were imported."""
    with ExitStack() as stack:
        for target in dict.fromkeys(change.target for change in changes):
            module_name, path = target.split(":")
            module = importlib.import_module(module_name)
            *classes, name = path.split(".")
            owner: object = getattr(module, classes[0]) if classes else module
            original = getattr(owner, name)
            source = changed_source(original, [change for change in changes if change.target == target])
            made: dict[str, Callable[..., object]] = {}
            exec(compile(source, target, "exec"), module.__dict__, made)
            stack.enter_context(patch.object(owner, name, made[name]))
            for key, other in list(sys.modules.items()):
                if key.startswith("consensus.") and other is not module and getattr(other, name, None) is original:
                    stack.enter_context(patch.object(other, name, made[name]))
        yield


def verdict(mutant: Mutant, *, is_guard_on: bool) -> str:
    """Run the scenario; return the law that it broke, or nothing."""
    changes = mutant.base if is_guard_on else (*mutant.base, *mutant.changes)
    try:
        with applied(*changes):
            mutant.scenario()
    except Violation as violation:
        return str(violation)
    return ""


def random_verdict(mutant: Mutant, runs: int) -> str:
    """Let random runs search for a seed that catches the mutant; return what it found, or nothing."""
    with applied(*mutant.base, *mutant.changes):
        for seed in range(runs):
            for profile in PROFILES:
                try:
                    random_run(seed, profile)
                except Violation as violation:
                    return f"seed {seed}, {profile.name}: {violation}"
    return ""


def _report(mutant: Mutant, start: float, text: str, *, is_caught: bool) -> None:
    seconds = time.perf_counter() - start
    print(f"{'caught' if is_caught else 'ALIVE '} {mutant.name:42} {seconds:6.2f} s  {text[:110]}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run every mutant; return 1 if one survives its scenario. Random search only informs."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.mutants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=0, help="search with random runs of so many seeds instead")
    runs = parser.parse_args(arguments).seeds
    survivors = 0
    for mutant in MUTANTS:
        start = time.perf_counter()
        if runs:
            found = random_verdict(mutant, runs)
            _report(mutant, start, found, is_caught=bool(found))
            continue
        with_guard, without = verdict(mutant, is_guard_on=True), verdict(mutant, is_guard_on=False)
        is_caught = not with_guard and without.startswith(mutant.kills)
        survivors += not is_caught
        _report(mutant, start, without, is_caught=is_caught)
        if with_guard:
            print(f"       with the guard on: {with_guard[:300]}")
    return 1 if survivors else 0


if __name__ == "__main__":
    raise SystemExit(main())
