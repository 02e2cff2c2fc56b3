"""Fuzzing of the readers of evidence that watches which branches an input reaches: `make fuzz-native`, with SECONDS and TARGETS.

Each target runs in a process of its own, for so many seconds, in 1 GiB of memory, and none of its inputs may take longer than two
seconds. What is found is written beside the corpus in build/fuzz-native, and named with its traceback.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import atheris

FOLDER = Path("build/fuzz-native")
INPUT_SECONDS_MAX = 2
MEMORY_MIB_MAX = 1024


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.native", description=__doc__)
    parser.add_argument("targets", nargs="*", help="all, if none is named")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--alone", action="store_true", help="run one target in this process")
    options = parser.parse_args(arguments)
    with atheris.instrument_imports(include=["tee", "bocc.evidence"]) if options.alone else nullcontext():
        known = importlib.import_module("tests.fuzz.native.targets").make_targets()
    unknown = [name for name in options.targets if name not in known]
    if unknown:
        parser.error(f"there is no target {', '.join(unknown)}; known are {', '.join(known)}")
    if options.alone:
        fuzz(options.targets[0], known[options.targets[0]], options.seconds)
    return sum(run_apart(name, options.seconds) for name in options.targets or known)


def fuzz(name: str, target, seconds: int) -> None:
    """Run one target; the fuzzer ends the process."""
    corpus = FOLDER / "corpus" / name
    if target.is_verifier:
        # Some keys sign one text differently each time, so good bytes of an earlier run are not among the seeds of this one.
        shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
        target.try_input(seed)

    atheris.Setup(
        [
            name,
            f"-max_total_time={seconds}",
            f"-timeout={INPUT_SECONDS_MAX}",
            f"-rss_limit_mb={MEMORY_MIB_MAX}",
            f"-max_len={target.bytes_max}",
            f"-artifact_prefix={FOLDER}/{name}-",
            "-print_final_stats=1",
            str(corpus),
        ],
        target.try_input,
    )
    atheris.Fuzz()


def run_apart(name: str, seconds: int) -> bool:
    """Run one target in a process of its own; print what came of it, and tell whether something was found."""
    command = [sys.executable, "-m", "tests.fuzz.native", "--alone", "--seconds", str(seconds), name]
    ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    statistics = dict(
        line.removeprefix("stat::").split(":", 1) for line in ended.stderr.splitlines() if line.startswith("stat::")
    )
    runs = statistics.get("number_of_executed_units", "?").strip()
    slowest_s = statistics.get("slowest_unit_time_sec", "?").strip()
    is_found = ended.returncode != 0
    verdict = "FOUND" if is_found else "nothing found"
    print(f"{name:20} {runs:>9} inputs, slowest {slowest_s} s, {verdict}", flush=True)
    if is_found:
        print(ended.stdout + ended.stderr, flush=True)
    return is_found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
