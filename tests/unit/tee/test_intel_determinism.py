"""A verdict depends on its arguments alone: not on hash seeds, locale, time zone, or what was verified before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.simulated_verdicts import digest_verdicts

TOP = Path(__file__).resolve().parents[3]

PROGRAM = "from tests.support.simulated_verdicts import digest_verdicts; print(digest_verdicts())"


@pytest.fixture(scope="module")
def digest() -> str:
    return digest_verdicts()


@pytest.mark.parametrize(
    "surroundings",
    [
        {"PYTHONHASHSEED": "0", "LC_ALL": "C", "TZ": "UTC"},
        {"PYTHONHASHSEED": "1", "LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu"},
        {"PYTHONHASHSEED": "4294967295", "LC_ALL": "C.UTF-8", "TZ": "America/St_Johns", "PYTHONUTF8": "0"},
    ],
    ids=["plain", "kathmandu", "newfoundland"],
)
def test_verdicts_are_the_same_bytes_in_other_surroundings(surroundings: dict[str, str], digest: str) -> None:
    environment = {**os.environ, **surroundings, "PYTHONPATH": str(TOP)}
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    assert answer.stdout.strip() == digest
