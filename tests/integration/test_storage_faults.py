"""Storage against a disk that fails, fills up, forgets or lies, and against processes that die: nothing acknowledged is lost.

The law of every damage here: opening and reading everything either raises a StorageFault that says what to do, or shows the chain
exactly as it was at the tip or, where LevelDB takes damage for the torn end of its log, at an earlier final height.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from state.chain import Chain
from state.errors import StorageFault
from state.leveldb import LevelDBStore
from state.tree_proof import verify_proof
from tests.support.committing_process import (
    RETENTION,
    balances_at,
    commit_next,
    open_folder,
)
from tests.support.toy_chain import ToyExecution, encoded, raw_key

ROOT = Path(__file__).resolve().parents[2]
STRACE = shutil.which("strace")


def start(folder, *arguments, wrapper=()):
    """Start a process that commits without end."""
    command = [*wrapper, sys.executable, "-m", "tests.support.committing_process", str(folder), *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def check_whole(chain):
    """Check that everything the store holds belongs to the chain up to its tip, and return the tip's height."""
    tip_height = chain.tip.block.height
    state = {}
    for height in range(1, tip_height + 1):
        state |= balances_at(height)
        block = chain.views.block_by_height(height)
        assert chain.views.find_receipt(block.receipts[0].tx_id) is not None
        assert chain.views.block_by_hash(block.block_hash) == block
    for index in range(0, 2_000, 37):
        proved = chain.prove(raw_key(index))
        assert proved.encoded == encoded(state.get(index))
        if tip_height:
            root = chain.views.header_at(tip_height).block_result.state_root
            verify_proof(root, raw_key(index), proved.encoded, proved.proof)
    events = chain.views.events(0, 1_000)
    assert [event.height for _, event in events] == list(range(1, tip_height + 1))
    return tip_height


def make_folder(folder):
    """Make an empty chain and its log."""
    chain, log = open_folder(folder)
    chain.close()
    log.close()


def check_folder(folder):
    """Open a folder as a restart does, check everything, and return the tip's height."""
    chain, log = open_folder(folder)
    height = check_whole(chain)
    records = log.records()
    assert not records or int(records[-1]) >= height
    log.close()
    chain._store.close()
    return height


def acknowledged(output):
    """Return the heights that a process said were durable."""
    return [int(line) for line in output.splitlines() if line.isdecimal()]


def test_killed_process_loses_nothing_it_acknowledged(tmp_path):
    chance = random.Random(7)
    folder = tmp_path / "home"
    last = 0
    for _ in range(8):
        process = start(folder)
        wanted = chance.randrange(1, 40)
        seen = 0
        for line in process.stdout:
            seen += line.strip().isdecimal()
            if seen == wanted:
                break
        process.kill()
        rest = process.communicate()[0]
        assert process.returncode == -signal.SIGKILL
        height = check_folder(folder)
        assert height >= max([last + wanted, *acknowledged(rest)])
        last = height
    assert last >= 8


def test_process_on_a_home_in_use_fails_with_the_pid(tmp_path):
    folder = tmp_path / "home"
    first = start(folder)
    assert first.stdout.readline() == "open\n"
    second = start(folder)
    output = second.communicate()[0]
    assert second.returncode == 1
    assert f"in use by process {first.pid}: one home serves one node at a time" in output
    first.kill()
    first.communicate()


@pytest.mark.parametrize("file_bytes_max", [60_000, 200_000])
def test_file_that_may_not_grow_stops_the_process_and_loses_nothing(tmp_path, file_bytes_max):
    folder = tmp_path / "home"
    process = start(folder, file_bytes_max)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 3, output
    assert "File too large" in output
    assert "raise the limit" in output
    heights = acknowledged(output)
    assert heights == list(range(1, len(heights) + 1))
    assert len(heights) <= check_folder(folder) <= len(heights) + 1


def can_trace():
    if STRACE is None:
        return False
    command = [STRACE, "-qq", "-e", "inject=fdatasync:error=EIO:when=1000", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_trace(), reason="strace is absent or may not trace here")
@pytest.mark.parametrize(
    ("injection", "advice"),
    [
        ("fdatasync:error=EIO:when=4", "disk is failing"),
        ("fdatasync:error=EIO:when=11", "disk is failing"),
        ("fdatasync:error=EIO:when=30", "disk is failing"),
        ("fsync:error=EIO:when=9", "disk is failing"),
        ("rename:error=ENOSPC:when=6", "make room"),
    ],
)
def test_failed_call_stops_the_process_and_loses_nothing(tmp_path, injection, advice):
    folder = tmp_path / "home"
    make_folder(folder)
    wrapper = [
        STRACE,
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        f"trace={injection.split(':')[0]}",
        "-e",
        f"inject={injection}",
    ]
    process = start(folder, wrapper=wrapper)
    output = process.communicate(timeout=120)[0]
    assert process.returncode in {1, 3}, output
    assert advice in output
    heights = acknowledged(output)
    assert check_folder(folder) >= len(heights)


@pytest.mark.skipif(not can_trace(), reason="strace is absent or may not trace here")
@pytest.mark.parametrize("when", [60, 75, 90])
def test_disk_that_is_full_at_a_write_stops_the_process_and_loses_nothing(tmp_path, when):
    folder = tmp_path / "home"
    make_folder(folder)
    wrapper = [
        STRACE, "-f", "-qq", "-o", "/dev/null", "-P", str(folder / "data" / "votes.log"), "-e", "trace=write",
        "-e", f"inject=write:error=ENOSPC:when={when}",
    ]  # fmt: skip
    process = start(folder, wrapper=wrapper)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 3, output
    assert "make room" in output
    heights = acknowledged(output)
    assert heights
    assert len(heights) <= check_folder(folder) <= len(heights) + 1


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Return the database of a chain, with tables and a log, and the height of its tip."""
    folder = tmp_path_factory.mktemp("database") / "home"
    chain, log = open_folder(folder)
    for _ in range(30):
        commit_next(chain, log)
    chain._store._source.compact_range()
    for _ in range(30):
        commit_next(chain, log)
    chain._store.close()
    log.close()
    path = folder / "data" / "state"
    assert [sum(file.stat().st_size > 100_000 for file in path.glob(kind)) for kind in ("*.ldb", "*.log")] == [1, 1]
    return path


def check_database(path):
    store = LevelDBStore.open(path)
    try:
        return check_whole(Chain.open(store, begin_execution=ToyExecution, retention=RETENTION))
    finally:
        store.close()


def copy_of(database, tmp_path):
    shutil.copytree(database, tmp_path / "copy" / "data" / "state")
    return tmp_path / "copy" / "data" / "state"


def outcome_of(path):
    """Return the height of the tip, or the fault's text."""
    try:
        return check_database(path)
    except StorageFault as fault:
        return str(fault)


@pytest.mark.parametrize("pattern", ["*.ldb", "*.log", "MANIFEST-*", "CURRENT"])
def test_flipped_bit_is_a_fault_or_changes_nothing_that_is_read(database, tmp_path, pattern):
    file_name = max(database.glob(pattern), key=lambda file: file.stat().st_size).name
    size = (database / file_name).stat().st_size
    chance = random.Random(pattern)
    faults = 0
    positions = range(size) if size < 40 else sorted(chance.sample(range(size), 24))
    for position in positions:
        path = copy_of(database, tmp_path)
        with (path / file_name).open("r+b") as file:
            file.seek(position)
            byte = file.read(1)[0]
            file.seek(position)
            file.write(bytes((byte ^ 1 << chance.randrange(8),)))
        outcome = outcome_of(path)
        if isinstance(outcome, str):
            faults += 1
            assert "bocc node" in outcome
        else:
            assert outcome == 60 or (pattern == "*.log" and 30 <= outcome < 60)
        shutil.rmtree(tmp_path / "copy")
    assert positions
    assert faults >= len(positions) // 2


@pytest.mark.parametrize("pattern", ["*.ldb", "MANIFEST-*", "CURRENT"])
def test_missing_file_is_a_fault_and_not_an_empty_database(database, tmp_path, pattern):
    path = copy_of(database, tmp_path)
    max(path.glob(pattern)).unlink()
    names = set(path.iterdir())
    outcome = outcome_of(path)
    assert isinstance(outcome, str)
    assert f"bocc node reset --home {tmp_path / 'copy'}" in outcome
    assert names <= set(path.iterdir())


def test_cut_log_shows_an_earlier_final_height(database, tmp_path):
    seen = set()
    for cut in (1, 100, 5_000, 60_000):
        path = copy_of(database, tmp_path)
        log = max(path.glob("*.log"), key=lambda file: file.stat().st_size)
        os.truncate(log, max(0, log.stat().st_size - cut))
        seen.add(outcome_of(path))
        shutil.rmtree(tmp_path / "copy")
    assert all(isinstance(height, int) and 30 <= height < 60 for height in seen)
    assert len(seen) > 1
