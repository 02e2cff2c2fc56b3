"""Laws of files that survive: the one before or the new one, whatever fails."""

from __future__ import annotations

import errno
import os

import pytest

from state.durable import FileLock, LockHeld, replace_file, storage_fault


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


def test_file_is_private_and_holds_all_parts(path):
    replace_file(path, [b"a", b"", b"bc"])
    assert path.read_bytes() == b"abc"
    assert path.stat().st_mode & 0o777 == 0o600
    replace_file(path, [b"d"], mode=0o644)
    assert path.read_bytes() == b"d"
    assert path.stat().st_mode & 0o777 == 0o644


def test_short_writes_are_continued(path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: write(descriptor, bytes(content)[:3]))
    replace_file(path, [b"0123456789"])
    assert path.read_bytes() == b"0123456789"


@pytest.mark.parametrize("failing", ["open", "write", "fsync", "rename"])
def test_failure_of_any_call_leaves_the_old_file_and_no_remains(path, monkeypatch, failing):
    replace_file(path, [b"old"])

    def fail(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, failing, fail)
        with pytest.raises(OSError, match="No space left"):
            replace_file(path, [b"new"])
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["file"]  # noqa: PTH208  names alone


def test_replacement_goes_on_after_the_remains_of_a_crash(path):
    path.with_name("file.new").write_bytes(b"half")
    replace_file(path, [b"whole"])
    assert path.read_bytes() == b"whole"


def test_content_is_synced_before_it_gets_the_name_and_the_name_after(path, monkeypatch):
    calls = []
    for name in ("write", "fsync", "rename"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, call=call: (calls.append(name), call(*args))[1])
    replace_file(path, [b"a"])
    assert calls == ["write", "fsync", "rename", "fsync"]


def test_lock_is_held_once_and_names_its_holder(path):
    with FileLock(path):
        with pytest.raises(LockHeld) as held:
            FileLock(path)
        assert held.value.process == f"process {os.getpid()}"
    FileLock(path).release()


def test_lock_without_a_readable_holder_still_holds(path):
    with FileLock(path):
        path.write_bytes(b"")
        with pytest.raises(LockHeld, match="another process"):
            FileLock(path)


def test_lock_does_not_follow_a_symbolic_link(path):
    path.symlink_to(path.with_name("elsewhere"))
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        FileLock(path)


@pytest.mark.parametrize(
    ("code", "advice"), [(errno.ENOSPC, "make room"), (errno.EIO, "failing"), (errno.EBUSY, "start it again")]
)
def test_fault_says_what_was_done_why_it_failed_and_what_to_do(code, advice):
    text = str(storage_fault("writing x", OSError(code, os.strerror(code))))
    assert text.startswith("writing x: ")
    assert os.strerror(code) in text
    assert advice in text
