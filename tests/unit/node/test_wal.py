"""Laws of the vote log: what was synced is there, what was torn is not, what is damaged is never skipped."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.wal import FileLog, LogMismatch, MemoryLog, RepairReport, repair_log
from node.wal_frames import FrameWriter, scan_log
from state.errors import StorageFault

HEADER = b"chain and key"
GROUPS = [(b"one",), (b"two", b"three"), (b"", b"four" * 20)]
ROOT = Path(__file__).resolve().parents[3]


def framed(groups):
    """The frames of a file with these groups, the header first."""
    writer = FrameWriter()
    return [writer.frame(group) for group in [(HEADER,), *groups]]


def write_log(path, groups):
    """Leave a closed log with these synced groups."""
    log = FileLog.create(path, HEADER)
    for group in groups:
        for record in group:
            log.append(record)
        log.sync()
    log.close()


def records_in(path):
    log = FileLog.open(path, HEADER)
    log.close()
    return log.records()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "votes.log"


def test_synced_records_come_back_in_order_after_each_restart(path):
    write_log(path, GROUPS)
    expected = tuple(record for group in GROUPS for record in group)
    assert records_in(path) == expected
    assert records_in(path) == expected


def test_unsynced_records_are_not_there_after_a_restart(path):
    log = FileLog.create(path, HEADER)
    log.append(b"synced")
    log.sync()
    log.append(b"not synced")
    log.close()
    assert records_in(path) == (b"synced",)


def test_sync_without_a_group_writes_nothing(path):
    log = FileLog.create(path, HEADER)
    before = path.read_bytes()
    log.sync()
    assert path.read_bytes() == before
    log.close()


def test_every_prefix_of_a_log_holds_exactly_the_groups_that_are_complete(path):
    frames = framed(GROUPS)
    whole = b"".join(frames)
    write_log(path, [])
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        if length < len(frames[0]):
            with pytest.raises(StorageFault, match="repair-log"):
                FileLog.open(path, HEADER)
            continue
        complete = [g for i, g in enumerate(GROUPS) if sum(map(len, frames[: i + 2])) <= length]
        assert records_in(path) == tuple(record for group in complete for record in group)


def test_every_corrupted_byte_before_the_last_frame_refuses_and_in_it_drops_that_group():
    frames = framed(GROUPS)
    whole = b"".join(frames)
    last_start = len(whole) - len(frames[-1])
    for position in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            found = scan_log(whole[:position] + bytes([whole[position] ^ flip]) + whole[position + 1 :])
            assert found.is_damaged == (position < last_start)
            if not found.is_damaged:
                assert found.records == (HEADER, b"one", b"two", b"three")


@pytest.mark.parametrize("order", [(0, 2, 3), (0, 2, 1, 3), (0, 1, 1, 2, 3), (1, 2, 3)], ids=str)
def test_lost_swapped_or_repeated_frame_is_damage(order):
    frames = framed(GROUPS)
    assert scan_log(b"".join(frames[i] for i in order)).is_damaged


def test_frame_of_another_file_inside_a_record_does_not_turn_a_torn_end_into_damage():
    hostile = b"".join(framed(GROUPS)) * 3
    frames = framed([(b"one",), (hostile,)])
    found = scan_log(b"".join(frames)[:-1])
    assert not found.is_damaged
    assert found.records == (HEADER, b"one")


@given(st.binary(max_size=64))
def test_garbage_behind_the_last_frame_is_a_torn_end(garbage):
    frames = framed(GROUPS)
    found = scan_log(b"".join(frames) + garbage)
    assert not found.is_damaged
    assert found.valid_bytes == sum(map(len, frames))


def test_torn_end_is_gone_from_the_file_before_anything_is_appended(path):
    write_log(path, GROUPS)
    path.write_bytes(path.read_bytes()[:-3])
    log = FileLog.open(path, HEADER)
    log.append(b"next")
    log.sync()
    log.close()
    assert records_in(path) == (b"one", b"two", b"three", b"next")


def test_log_of_another_chain_or_key_is_refused_in_words(path):
    write_log(path, GROUPS)
    with pytest.raises(LogMismatch, match="another chain or another validator key"):
        FileLog.open(path, b"other")
    assert len(records_in(path)) == 5


def test_missing_log_is_refused_and_not_created(path):
    with pytest.raises(StorageFault, match="does not exist"):
        FileLog.open(path, HEADER)
    assert not path.exists()


def test_existing_log_is_not_overwritten_by_create(path):
    write_log(path, GROUPS)
    with pytest.raises(StorageFault, match="never overwritten"):
        FileLog.create(path, HEADER)
    assert len(records_in(path)) == 5


def test_second_log_on_the_same_file_is_refused_also_after_a_rewrite(path):
    log = FileLog.create(path, HEADER)
    for _ in range(2):
        with pytest.raises(StorageFault, match=f"in use by process {os.getpid()}"):
            FileLog.open(path, HEADER)
        log.rewrite([b"kept"])
    log.close()
    assert records_in(path) == (b"kept",)


def test_second_process_is_refused_with_the_pid_of_the_first(path):
    log = FileLog.create(path, HEADER)
    program = (
        "import sys, pathlib\nfrom node.wal import FileLog\nfrom state.errors import StorageFault\n"
        f"try:\n    FileLog.open(pathlib.Path({str(path)!r}), {HEADER!r})\n"
        "except StorageFault as fault:\n    print(fault)\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"in use by process {os.getpid()}" in answer.stdout
    log.close()
    assert records_in(path) == ()


def test_rewrite_keeps_what_it_is_told_and_the_group_that_is_not_synced_yet(path):
    write_log(path, GROUPS)
    log = FileLog.open(path, HEADER)
    log.append(b"pending")
    log.rewrite([b"four"])
    log.append(b"after")
    log.sync()
    log.close()
    assert records_in(path) == (b"four", b"pending", b"after")


class Disk:
    """Operating system calls of which the one with a chosen number fails; what was done before stays done."""

    NAMES = ("write", "fsync", "fdatasync", "open", "rename")

    def __init__(self, monkeypatch, error, fails_at, short=False):
        self.calls = 0
        self.error, self.fails_at, self.short = error, fails_at, short
        for name in self.NAMES:
            monkeypatch.setattr(os, name, self._wrap(name, getattr(os, name)))

    def _wrap(self, name, call):
        def wrapped(*args, **kwargs):
            self.calls += 1
            if self.calls == self.fails_at:
                if name == "write" and self.short:
                    call(args[0], bytes(args[1])[: len(args[1]) // 2])
                raise OSError(self.error, os.strerror(self.error))
            return call(*args, **kwargs)

        return wrapped


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("short", [False, True], ids=["nothing", "half"])
@pytest.mark.parametrize("fails_at", [1, 2])
def test_failed_sync_makes_the_log_unusable_and_restart_sees_all_or_nothing_of_the_group(
    path, monkeypatch, error, short, fails_at
):
    write_log(path, [(b"before",)])
    log = FileLog.open(path, HEADER)
    log.append(b"a")
    log.append(b"b")
    with monkeypatch.context() as patched:
        Disk(patched, error, fails_at, short)
        with pytest.raises(StorageFault, match="disk is"):
            log.sync()
    for use in (log.sync, lambda: log.append(b"c"), lambda: log.rewrite([])):
        with pytest.raises(StorageFault, match="restart the node"):
            use()
    log.close()
    assert records_in(path) in {(b"before",), (b"before", b"a", b"b")}


def test_every_crash_point_of_a_rewrite_leaves_the_log_before_or_after_it(path, monkeypatch):
    seen = set()
    for fails_at in range(1, 20):
        path.unlink(missing_ok=True)
        write_log(path, [(b"old",), (b"kept",)])
        log = FileLog.open(path, HEADER)
        with monkeypatch.context() as patched:
            disk = Disk(patched, errno.EIO, fails_at)
            with suppress(StorageFault):
                log.rewrite([b"kept"])
        log.close()
        seen.add(records_in(path))
        if disk.calls < fails_at:
            break
    assert seen == {(b"old", b"kept"), (b"kept",)}
    assert disk.calls < fails_at


def test_failed_opening_gives_the_lock_back(path, monkeypatch):
    write_log(path, GROUPS)
    with monkeypatch.context() as patched:
        Disk(patched, errno.ENOSPC, 2)
        with pytest.raises(StorageFault, match="disk is full"):
            FileLog.open(path, HEADER)
    assert len(records_in(path)) == 5


def test_large_group_is_divided_and_comes_back_in_order(path, monkeypatch):
    monkeypatch.setattr("node.wal_frames.GROUP_BYTES_MAX", 64)
    records = [bytes([number]) * 30 for number in range(7)]
    write_log(path, [records])
    assert records_in(path) == tuple(records)
    assert scan_log(path.read_bytes()[:-1]).records == (HEADER, *records[:6])


def test_frame_with_a_valid_checksum_and_another_content_is_damage():
    framed_junk = b"bWL1" + (1).to_bytes(4, "big") + b"\x00"
    junk = framed_junk + zlib.crc32(framed_junk).to_bytes(4, "big")
    assert scan_log(junk).is_damaged


def test_log_that_cannot_be_read_or_locked_is_a_fault(path):
    path.mkdir()
    with pytest.raises(StorageFault, match="reading the log"):
        FileLog.open(path, HEADER)
    with pytest.raises(StorageFault, match="locking the log"):
        FileLog.create(path / "missing" / "votes.log", HEADER)


def test_repair_that_fails_half_way_leaves_the_log_as_it_was(path, monkeypatch):
    write_log(path, GROUPS)
    damaged = path.read_bytes()[:-1] + b"\0" * 9
    path.write_bytes(damaged)

    def fail(*arguments, **options):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", fail)
        with pytest.raises(StorageFault, match=r"setting .* aside"):
            repair_log(path, HEADER)
    assert path.read_bytes() == damaged


def test_second_repair_keeps_both_damaged_files(path):
    for number in (1, 2):
        path.unlink(missing_ok=True)
        write_log(path, GROUPS)
        path.write_bytes(path.read_bytes()[:-1])
        assert repair_log(path, HEADER).damaged_copy == path.with_name(f"votes.log.damaged-{number}")


def test_closing_twice_is_closing_once(path):
    log = FileLog.create(path, HEADER)
    log.close()
    log.close()
    with pytest.raises(StorageFault, match="closed"):
        log.sync()


def test_memory_log_drops_at_closing_what_was_not_synced():
    log = MemoryLog()
    log.append(b"a")
    log.close()
    log.sync()
    assert log.records() == ()


def test_repair_keeps_the_valid_start_and_the_damaged_file(path):
    write_log(path, GROUPS)
    damaged = bytearray(path.read_bytes())
    start = len(framed(GROUPS)[0]) + len(framed(GROUPS)[1])
    damaged[start + 20] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(StorageFault, match=f"bocc node repair-log --home {path.parents[1]}"):
        FileLog.open(path, HEADER)
    report = repair_log(path, HEADER)
    aside = path.with_name("votes.log.damaged-1")
    assert report == RepairReport(1, len(damaged) - start, aside)
    assert aside.read_bytes() == damaged
    assert records_in(path) == (b"one",)


def test_repair_of_a_log_without_a_readable_header_keeps_nothing_but_a_usable_log(path):
    write_log(path, GROUPS)
    path.write_bytes(b"\0" * 100)
    assert repair_log(path, HEADER) == RepairReport(0, 100, path.with_name("votes.log.damaged-1"))
    assert records_in(path) == ()


def test_repair_of_a_whole_log_changes_no_record(path):
    write_log(path, GROUPS)
    assert repair_log(path, HEADER) == RepairReport(5, 0, None)
    assert len(records_in(path)) == 5


def test_repair_refuses_a_log_in_use_and_a_log_of_another_key(path):
    log = FileLog.create(path, HEADER)
    with pytest.raises(StorageFault, match="in use"):
        repair_log(path, HEADER)
    log.close()
    with pytest.raises(LogMismatch):
        repair_log(path, b"other")


@given(st.lists(st.sampled_from(["append", "sync", "rewrite", "crash", "torn"]), max_size=12))
def test_memory_log_loses_at_a_crash_exactly_the_group_that_was_not_synced(steps):
    log, durable, group = MemoryLog(), [], []
    for number, step in enumerate(steps):
        record = b"%d" % number
        match step:
            case "append":
                log.append(record)
                group.append(record)
            case "sync":
                log.sync()
                durable, group = durable + group, []
            case "rewrite":
                log.rewrite(durable[-1:])
                durable, group = durable[-1:] + group, []
            case "crash":
                log.crash()
                group = []
            case "torn":
                log.crash(was_group_written=True)
                durable, group = durable + group, []
        assert log.records() == tuple(durable)
