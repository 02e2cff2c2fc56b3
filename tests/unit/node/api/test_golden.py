"""Transcripts of the API against the fixture chain: what a caller sends and gets, byte for byte, for people to review.

A line `>> ` is a request, `<< ` its answer (none for notifications), `## block` makes a final block of what is pending, `// ` is a
remark. `UPDATE_GOLDEN=1` writes the answers anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from node.api.config import ApiConfig
from tests.support.fixture_chain import FixtureNode
from tests.support.rpc import Rpc, running

FOLDER = Path(__file__).parent / "golden"
TRANSCRIPTS = sorted(FOLDER.glob("*/*.io"))


async def play(rpc: Rpc, node: FixtureNode, lines: list[str]) -> list[str]:
    played: list[str] = []
    for line in lines:
        if line.startswith("<< "):
            continue
        played.append(line)
        if line == "## block":
            node.produce()
        elif line.startswith(">> "):
            answer = await rpc.dispatcher.handle(line[3:].encode(), rpc.context)
            played += [] if answer is None else [f"<< {answer.decode()}"]
        else:
            assert line.startswith("// "), line
    return played


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
async def test_transcript_is_repeated_byte_for_byte(path, monkeypatch):
    monkeypatch.setattr("node.api.node_reads.software_version", lambda: "0.1.0")
    lines = path.read_text().splitlines()
    node = FixtureNode()
    async with running(node, ApiConfig()) as rpc:
        played = await play(rpc, node, lines)
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text("\n".join(played) + "\n")
        lines = played
    assert played == lines, "run with UPDATE_GOLDEN=1 and review the difference"


def test_there_are_transcripts_of_every_read():
    folders = {path.parent.name for path in TRANSCRIPTS}
    assert {"status", "block", "blocks", "tx", "tx_submit", "account", "events", "errors"} <= folders
