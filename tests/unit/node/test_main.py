"""Laws of the entry point: where the password comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from bocc.cli.context import read_password as read_password_of_command
from node.__main__ import find_password
from node.errors import ConfigError


@pytest.mark.parametrize("content", [b"secret", b"secret\n", b"secret\r\n", b"secret\nnote\n"])
def test_node_and_command_read_the_same_password_from_a_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    assert find_password(path) == read_password_of_command(path, "Password") == b"secret"


def test_password_file_may_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOCC_PASSWORD_FILE", raising=False)
    assert find_password(None) is None
    path = tmp_path / "password"
    path.write_bytes(b" of two words \n")
    monkeypatch.setenv("BOCC_PASSWORD_FILE", str(path))
    assert find_password(None) == b" of two words "


def test_absent_password_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        find_password(tmp_path / "absent")
