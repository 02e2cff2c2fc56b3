"""A node whose disk lies, fails or fills up: it stops with a message and a code, and comes back in step by what the message says.

All damage is done to node3 of a running network; the other three go on meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import subprocess
from contextlib import contextmanager

import pytest

from bocc.errors import InputRejected
from node.config import CONFIG_NAME, load_config, render_config
from tests.support.live_network import node_process, run_cli, until
from tests.support.live_traffic import BackgroundTraffic

NAME = "node3"
STRACE = shutil.which("strace")


@pytest.fixture
def home(broken_net):
    """The home of a stopped node with a database and a log of votes; started afterwards, whatever a failed test left."""
    broken_net.stop(NAME)
    broken_net.start(NAME)  # makes a table of the database's log
    make_blocks(broken_net, 20)
    broken_net.stop(NAME)
    home = broken_net.home / NAME
    yield home
    try:
        broken_net.start(NAME)
    except InputRejected:
        reset(home)


def make_blocks(net, count):
    """Make some blocks, one after the other."""
    for _ in range(count):
        height = net.height("node0")
        net.call("node0", "faucet", address=net.accounts[0].address, amount="1")
        until(lambda height=height: net.height("node0") > height, lambda: "the chain stands still")
    net.converge()


def ends(home, *settings, code=1, **how):
    """Run a node that must end by itself, and return the line by which it does."""
    with node_process(home, *settings, **how) as process:
        assert process.end() == code, process.output
        assert "Traceback" not in process.output
        lines = [line for line in process.output.splitlines() if " stopped " in line]
        assert len(lines) == 1, process.output
        assert " ERROR " in lines[0]
        return lines[0]


def flip(path, offset):
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x10
    path.write_bytes(content)


def reset(home):
    assert run_cli("node", "reset", "--yes", "--home", str(home), "--json")[0] == 0


def newest(home, pattern):
    """Return the largest file of the database of a kind."""
    return max((home / "data" / "state").glob(pattern), key=lambda path: path.stat().st_size)


def come_back(net):
    """Start the node and see it in step."""
    net.start(NAME)
    net.catch_up(NAME)


def drop_table_dump(home):
    """Have the start read all of the state instead of a summary."""
    (home / "data" / "state.table").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda home: flip(newest(home, "*.log"), newest(home, "*.log").stat().st_size // 2), "Corruption"),
        (lambda home: flip(newest(home, "*.ldb"), newest(home, "*.ldb").stat().st_size // 2), "Corruption"),
        (lambda home: flip(newest(home, "MANIFEST-*"), 20), "Corruption"),
        (lambda home: newest(home, "*.ldb").unlink(), "missing files"),
        (lambda home: newest(home, "CURRENT").unlink(), "has lost its file CURRENT"),
        (lambda home: shutil.rmtree(home / "data" / "state"), "there is no database"),
    ],
    ids=["bit-in-log", "bit-in-table", "bit-in-manifest", "no-table", "no-current", "no-database"],
)
def test_a_damaged_database_stops_the_start_and_a_reset_brings_the_node_back(broken_net, home, damage, text):
    net = broken_net
    drop_table_dump(home)
    damage(home)
    line = ends(home)
    assert text in line
    assert "StorageFault" in line
    if "no database" not in text:
        assert f"bocc node reset --home {home}" in line
    reset(home)
    come_back(net)


async def test_a_log_of_votes_damaged_in_the_middle_is_repaired_by_the_command_it_names(broken_net, home):
    net, votes = broken_net, home / "data" / "votes.log"
    flip(votes, votes.stat().st_size // 2)
    line = ends(home)
    assert "is damaged at byte" in line
    assert f"bocc node repair-log --home {home}" in line
    code, repaired = run_cli("node", "repair-log", "--home", str(home), "--json")
    assert code == 0
    assert repaired["dropped_bytes"] > 0
    assert "resume_after" in repaired["advice"]
    line = ends(home)
    assert "resume_after" in line
    with resumed(net, home):
        async with BackgroundTraffic(net, "repaired"):
            await asyncio.to_thread(come_back, net)
            await asyncio.sleep(1.0)


async def test_a_torn_end_of_the_log_of_votes_costs_nothing(broken_net, home):
    votes = home / "data" / "votes.log"
    with votes.open("rb+") as log:
        log.truncate(votes.stat().st_size - 7)
    async with BackgroundTraffic(broken_net, "torn"):
        await asyncio.to_thread(come_back, broken_net)


async def test_a_missing_log_of_votes_is_refused_until_the_operator_says_where_to_go_on(broken_net, home):
    """Given a validator without its log, then it starts only with resume_after, and signs again above that view."""
    net = broken_net
    (home / "data" / "votes.log").unlink()
    line = ends(home)
    assert "may have signed what it no longer knows" in line
    assert "resume_after" in line
    assert not (home / "data" / "votes.log").exists()
    with resumed(net, home) as view:
        async with BackgroundTraffic(net, "resumed"):
            await asyncio.to_thread(come_back, net)
            await asyncio.to_thread(until, lambda: net.signs_above(NAME, view), lambda: "it does not sign again")


@contextmanager
def resumed(net, home):
    """Set resume_after to a little above where the others are, as an operator does; drop it afterwards."""
    status = net.call("node0", "status")
    config = load_config(home, environment={})
    view = status["view"] + 3
    settings = render_config(config).replace('resume_after = ""', f'resume_after = "{status["epoch"]},{view}"')
    (home / CONFIG_NAME).write_text(settings)
    try:
        yield view
    finally:
        for copy in (home / "data").glob("votes.log.damaged-*"):
            copy.unlink()
        (home / CONFIG_NAME).write_text(render_config(config))


def test_a_node_does_not_start_with_too_little_free_space(home):
    line = ends(home, "disk_free_min_mib=1048576")
    assert "MiB are free" in line
    assert "free some space and start the node again; nothing is lost" in line


def test_a_running_node_stops_before_its_disk_is_full(broken_net, small_disk):
    with node_process(small_disk, "disk_free_min_mib=16") as process:
        process.until_logged("started")
        with (small_disk / "data" / "filler").open("wb") as filler:
            filler.write(bytes(shutil.disk_usage(small_disk / "data").free - (8 << 20)))
        assert process.end() == 1
        assert "MiB are free" in process.output
    (small_disk / "data" / "filler").unlink()
    unmount(small_disk)
    come_back(broken_net)


async def test_files_that_may_not_grow_stop_the_node_and_lose_nothing(broken_net, home):
    """Given a limit on the size of files, when blocks come, then the first failed write ends the node."""
    net, limit = broken_net, 400_000
    async with BackgroundTraffic(net, "growing"):
        line = await asyncio.to_thread(
            ends, home, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        )
        await asyncio.to_thread(come_back, net)
    assert "File too large" in line
    assert "raise the limit" in line


@pytest.fixture
def small_disk(home):
    """The node's data on a file system of 40 MiB, where root may mount one."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(home / "data")]
    saved = home / "data.saved"
    (home / "data").rename(saved)
    (home / "data").mkdir(mode=0o700)
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        (home / "data").rmdir()
        saved.rename(home / "data")
        pytest.skip("mounting a file system is not permitted here")
    shutil.copytree(saved, home / "data", dirs_exist_ok=True)
    yield home
    unmount(home)
    shutil.rmtree(saved)


def unmount(home):
    """Move the node's data back to where they were, unless that has been done."""
    if not (home / "data").is_mount():
        return
    shutil.copytree(home / "data", home / "data.kept")
    subprocess.run(["umount", str(home / "data")], check=True)
    (home / "data").rmdir()
    (home / "data.kept").rename(home / "data")


async def test_a_full_disk_stops_the_node_and_with_room_again_it_goes_on(broken_net, small_disk):
    net, home = broken_net, small_disk
    with (home / "data" / "filler").open("wb") as filler:
        free = shutil.disk_usage(home / "data").free
        filler.write(bytes(free - 150_000))
    async with BackgroundTraffic(net, "full-disk"):
        line = await asyncio.to_thread(ends, home, "disk_free_min_mib=0")
        again = await asyncio.to_thread(ends, home, "disk_free_min_mib=0")
        (home / "data" / "filler").unlink()
        with node_process(home, "disk_free_min_mib=0") as process:
            await asyncio.to_thread(process.until_logged, "started")
            await asyncio.to_thread(net.catch_up, NAME)
            os.kill(process.pid, signal.SIGTERM)
            assert await asyncio.to_thread(process.end) == 0
        await asyncio.to_thread(unmount, home)
        await asyncio.to_thread(come_back, net)
    assert "No space left on device" in line
    assert "make room, then start again" in line
    assert "make room" in again


def can_trace():
    if STRACE is None:
        return False
    command = [STRACE, "-qq", "-e", "inject=fdatasync:error=EIO:when=1000", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_trace(), reason="strace is absent or may not trace here")
@pytest.mark.parametrize("when", [3, 40])
@pytest.mark.parametrize("files", ["votes.log", "state"])
async def test_a_failing_sync_stops_the_node_at_once_and_a_restart_goes_on(broken_net, home, files, when):
    """Given an error of fdatasync under the log of votes or the database, then nothing follows from what failed."""
    net = broken_net
    injection = f"inject=fdatasync:error=EIO:when={when}+"
    wrapper = [STRACE, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", injection]
    wrapper += [word for path in traced(home, files) for word in ("-P", str(path))]
    async with BackgroundTraffic(net, f"eio-{files}-{when}"):
        line = await asyncio.to_thread(ends, home, wrapper=wrapper)
        await asyncio.to_thread(come_back, net)
    assert "the disk is failing" in line


def traced(home, files):
    """Return the paths whose syncs fail: strace follows names that exist at the call."""
    if files == "votes.log":
        return [home / "data" / "votes.log"]
    numbers = [int(path.name.split(".")[0]) for path in (home / "data" / "state").glob("[0-9]*.*")]
    return [home / "data" / "state" / f"{number:06}.log" for number in range(max(numbers), max(numbers) + 12)]
