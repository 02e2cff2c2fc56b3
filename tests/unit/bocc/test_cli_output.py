"""Laws of output: everything is there for programs, nothing is cut where no person looks, every failure has words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bocc.cli.failures import ExitCode, describe_failure, print_failure
from bocc.cli.logs import LogReader
from bocc.cli.output import format_time, print_fields, print_json, print_json_line, print_line, print_table
from bocc.errors import AnswerMalformed, InputReason, InputRejected, NodeUnreachable, RpcRejected, SealRejected
from node.errors import ConfigError
from state.errors import StorageFault, TransactionRejected
from state.keyfile import KeyFileReason, KeyFileRejected
from state.runtime.reasons import TransactionReason


def test_fields_are_named_by_their_path_and_lists_of_leaves_are_one_line(capsys):
    print_fields({"a": 1, "b": {"c": "x", "d": [1, 2]}, "e": [{"f": None}], "g": {}})
    assert [line.split(None, 1) for line in capsys.readouterr().out.splitlines()] == [
        ["a", "1"],
        ["b.c", "x"],
        ["b.d", "1, 2"],
        ["e[0].f", "null"],
        ["g", "{}"],
    ]


@pytest.mark.parametrize("print_document", [print_json, print_json_line])
def test_json_of_a_foreign_node_is_the_same_and_steers_no_terminal(print_document, capsys):
    foreign = {"\x9b2J": "\x1b[2J \x7f \u202e \u2028 é"}
    print_document(foreign)
    shown = capsys.readouterr().out
    assert json.loads(shown) == foreign
    assert [character for character in shown if not character.isprintable() and character != "\n"] == []


def test_long_leaf_is_cut_and_says_where_it_is_whole(capsys):
    print_fields({"proof": "ab" * 500})
    assert "1000 characters; --json" in capsys.readouterr().out


def test_table_is_neither_folded_nor_padded_at_the_end(capsys):
    print_table(("name", "hash"), [("alice", "ab" * 100), ("bob", None)])
    header, alice, bob = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "hash"]
    assert alice.endswith("ab" * 100)
    assert bob == "bob"


def test_title_of_several_lines_is_no_row_of_its_own(capsys):
    print_table(("name", "title"), [("mine", "theirs\nyours  the best")])
    assert capsys.readouterr().out.splitlines()[1:] == ["mine  theirs\N{REPLACEMENT CHARACTER}yours  the best"]


def test_markup_of_foreign_text_is_not_interpreted(capsys):
    print_fields({"memo": "[bold red]not ours[/]"})
    assert "[bold red]not ours[/]" in capsys.readouterr().out


def test_foreign_text_cannot_steer_the_terminal(capsys):
    print_fields({"memo": "a\x1b[2Jb\rc\u202ed"})
    assert capsys.readouterr().out.split(None, 1)[1] == "a\N{REPLACEMENT CHARACTER}[2Jb\ufffdc\ufffdd\n"
    print_line("a\x1b[1Ab\rc")
    assert capsys.readouterr().out == "a\ufffd[1Ab\ufffdc\n"
    failure = describe_failure(RpcRejected(1, "\x1b]0;title\x07"))
    assert failure is not None
    print_failure(failure, as_json=False)
    assert "\x1b]" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (1_700_000_000_123, "2023-11-14 22:13:20.123"),
        (253_402_300_799_000, "9999-12-31 23:59:59.000"),
        (253_402_300_800_000, "after the year 9999"),
        ((1 << 63) - 1, "after the year 9999"),
    ],
)
def test_any_time_that_a_stranger_names_can_be_shown(time_ms, text):
    assert format_time(time_ms) == text


def test_json_is_one_document(capsys):
    print_json({"a": [1]})
    assert json.loads(capsys.readouterr().out) == {"a": [1]}


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (NodeUnreachable("http://x", "refused", 5), ExitCode.UNREACHABLE, "unreachable"),
        (AnswerMalformed("html"), ExitCode.UNREACHABLE, "malformed_answer"),
        (RpcRejected(-32003, "no", {"reason": "cannot_pay"}), ExitCode.REFUSED, "cannot_pay"),
        (InputRejected(InputReason.BAD_AMOUNT, "x", "5"), ExitCode.REFUSED, "bad_amount"),
        (SealRejected("another key"), ExitCode.REFUSED, "not_opened"),
        (KeyFileRejected(KeyFileReason.WRONG_PASSWORD), ExitCode.REFUSED, "wrong_password"),
        (ConfigError("bad"), ExitCode.REFUSED, "configuration"),
        (StorageFault("disk"), ExitCode.REFUSED, "operating_system"),
        (PermissionError("no"), ExitCode.REFUSED, "operating_system"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else "",
)
def test_every_expected_error_has_words_and_a_code(error, code, reason):
    failure = describe_failure(error)
    assert failure is not None
    assert (failure.exit_code, failure.reason) == (code, reason)
    assert failure.message


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            RpcRejected(-32003, "no", {"reason": "fee_too_low", "seen": 1000, "bound": 2860}),
            "1000ubocc (allowed: 2860ubocc)",
        ),
        (TransactionRejected(TransactionReason.BALANCE_TOO_LOW, 5, 7), "5ubocc (allowed: 7ubocc)"),
        (RpcRejected(-32003, "no", {"reason": "nonce_used", "seen": 1, "bound": 2}), "1 (allowed: 2)"),
    ],
    ids=["rpc", "own", "no money"],
)
def test_money_is_told_with_the_unit_in_which_it_may_be_given(error, sentence):
    failure = describe_failure(error)
    assert failure is not None
    assert failure.message.endswith(": " + sentence)


def test_our_own_mistake_keeps_its_traceback():
    assert describe_failure(AssertionError("impossible")) is None
    assert describe_failure(KeyError("balance")) is None


def test_failure_is_one_line_and_a_hint_for_people_and_json_for_programs(capsys):
    failure = describe_failure(InputRejected(InputReason.BAD_AMOUNT, "'x'", "5, 0.25 or 5ubocc"))
    assert failure is not None
    print_failure(failure, as_json=False)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[0] == "bocc: bad amount: 'x' (allowed: 5, 0.25 or 5ubocc)"
    print_failure(failure, as_json=True)
    assert json.loads(capsys.readouterr().out)["error"]["reason"] == "bad_amount"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "node.log"
    path.write_text("".join(f"line {number}\n" for number in range(100)))
    return path


def test_reader_shows_the_last_lines_then_each_new_one_once(log):
    reader = LogReader("node0", log)
    reader.skip_to_last(2)
    assert reader.read_lines() == ["node0 | line 98", "node0 | line 99"]
    assert reader.read_lines() == []
    with log.open("a") as file:
        file.write("line 100\nbegun")
    assert reader.read_lines() == ["node0 | line 100"]
    with log.open("a") as file:
        file.write(" and ended\n")
    assert reader.read_lines() == ["node0 | begun and ended"]


def test_reader_shows_nothing_old_if_none_is_asked_for(log):
    reader = LogReader("node0", log)
    reader.skip_to_last(0)
    assert reader.read_lines() == []


def test_reader_begins_again_in_a_new_file_and_waits_for_an_absent_one(log, tmp_path):
    reader = LogReader("node0", log)
    reader.skip_to_last(1)
    reader.read_lines()
    log.write_text("new\n")
    assert reader.read_lines() == ["node0 | new"]
    absent = LogReader("node1", tmp_path / "absent.log")
    absent.skip_to_last(5)
    assert absent.read_lines() == []
