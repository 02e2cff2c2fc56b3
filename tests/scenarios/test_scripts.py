"""Each rule of the protocol as a script: what a node is told, and exactly what it does then.

After a change that is meant: REWRITE_SCRIPTS=1 pytest tests/scenarios, and read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.consensus_script import check_script

SCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))
RULES = {"r01", "r02", "r03", "r04", "r05", "r06", "r07", "r08", "r09", "r10", "r11", "r12", "w2", "w5"}


@pytest.mark.parametrize("path", SCRIPTS, ids=[path.stem for path in SCRIPTS])
def test_a_node_does_what_the_script_says(path: Path):
    written, expected = check_script(path, is_rewriting="REWRITE_SCRIPTS" in os.environ)

    assert written == expected
    assert written.startswith("# ")


def test_each_rule_has_a_script():
    assert {path.stem.split("_")[0] for path in SCRIPTS} >= RULES
