"""Inputs and arguments are read where the rules allow it, and only what the chain names is taken."""

from __future__ import annotations

import os
from hashlib import sha256

import pytest
from msgspec.structs import replace

from bocc.provider import inputs
from bocc.provider.inputs import check_input, read_arguments, read_file
from bocc.provider.worker import FailCode, WorkRejected, make_output, parse_arguments
from bocc.sealed import key_commitment, seal_content
from state.order_terms import Workload
from tests.support.attesting import EMPTY_RELEASE

KEY = bytes(range(32))
CONTENT = b"rows of a table"
PLAIN = replace(EMPTY_RELEASE, content_root=sha256(CONTENT).digest())


def workload(reference: str, content: bytes) -> Workload:
    return Workload(args_digest=sha256(content).digest(), args_reference=reference, manifest_root=b"")


def refused(code: FailCode, text: str = "."):
    """Expect a refusal with this code whose text has these words."""

    class Refused:
        def __enter__(self):
            self.raised = pytest.raises(WorkRejected, match=text)
            self.caught = self.raised.__enter__()

        def __exit__(self, *error):
            done = self.raised.__exit__(*error)
            assert self.caught.value.code is code
            return done

    return Refused()


@pytest.mark.parametrize(
    ("reference", "content"),
    [
        ("", b""),
        ("data:,", b""),
        ("data:,%7B%22seconds%22:2%7D", b'{"seconds":2}'),
        ("data:application/json;base64,e30=", b"{}"),
    ],
)
def test_arguments_may_stand_in_the_order_itself(reference, content):
    assert read_arguments(workload(reference, content), ()) == content


def test_arguments_may_stand_in_a_file(tmp_path):
    (tmp_path / "with space").write_bytes(b"{}")
    reference = (tmp_path / "with space").as_uri()
    assert read_arguments(workload(reference, b"{}"), [tmp_path]) == b"{}"


@pytest.mark.parametrize("reference", ["data:no-comma", "data:;base64,%%%", "https://example.com/a", "file://host/a"])
def test_other_references_are_refused(reference):
    with refused(FailCode.INPUT_LACKING):
        read_arguments(workload(reference, b""), ())


def test_arguments_that_were_not_ordered_are_refused():
    with refused(FailCode.INPUT_LACKING, "not those that were ordered"):
        read_arguments(workload("data:,1", b"2"), ())


def test_no_file_is_read_outside_of_the_folders(tmp_path):
    """Given a file beside the folder, when it is named by a path, by dots or by a link, then it is refused each time."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret").write_bytes(CONTENT)
    (inside / "link").symlink_to(tmp_path / "secret")
    for locator in (
        (tmp_path / "secret").as_uri(),
        f"{inside.as_uri()}/../secret",
        f"{inside.as_uri()}/%2e%2e/secret",
        (inside / "link").as_uri(),
    ):
        with refused(FailCode.INPUT_LACKING, "none of the folders"):
            read_file(locator, [inside], 100)


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "", "absent"):
        with refused(FailCode.INPUT_LACKING, "is no file"):
            read_file((tmp_path / name).as_uri(), [tmp_path], 100)


def test_a_file_above_the_bound_is_refused(tmp_path):
    (tmp_path / "long").write_bytes(bytes(11))
    assert read_file((tmp_path / "long").as_uri(), [tmp_path], 11) == bytes(11)
    with refused(FailCode.INPUT_LACKING, "more than 10 bytes"):
        read_file((tmp_path / "long").as_uri(), [tmp_path], 10)


def test_public_content_is_compared_with_its_digest(tmp_path):
    (tmp_path / "good").write_bytes(CONTENT)
    (tmp_path / "bad").write_bytes(b"other")
    good, bad = ((tmp_path / name).as_uri() for name in ("good", "bad"))
    check_input(replace(PLAIN, locators=("https://example.com", good)), None, [tmp_path])
    with refused(FailCode.INPUT_LACKING, "not the one that was published"):
        check_input(replace(PLAIN, locators=(bad,)), None, [tmp_path])
    with refused(FailCode.INPUT_LACKING, "reads file:///... alone; .*is no file"):
        check_input(replace(PLAIN, locators=("https://example.com", f"{good}2")), None, [tmp_path])


def test_sealed_content_is_opened_and_compared(tmp_path):
    sealed = seal_content(CONTENT, KEY)
    (tmp_path / "sealed").write_bytes(sealed)
    body = replace(
        PLAIN,
        sealed_root=sha256(sealed).digest(),
        key_commit=key_commitment(KEY),
        locators=((tmp_path / "sealed").as_uri(),),
    )
    check_input(body, KEY, [tmp_path])
    with refused(FailCode.KEY_WRONG, "not the one that the release names"):
        check_input(body, bytes(32), [tmp_path])
    with refused(FailCode.KEY_WRONG, "does not open"):
        check_input(replace(body, key_commit=b""), bytes(32), [tmp_path])
    with refused(FailCode.INPUT_LACKING, "sealed file is not"):
        check_input(replace(body, sealed_root=bytes(32)), KEY, [tmp_path])
    with refused(FailCode.INPUT_LACKING, "content is not"):
        check_input(replace(body, content_root=bytes(32)), KEY, [tmp_path])


def test_content_without_locators_is_taken_as_read(monkeypatch):
    monkeypatch.delattr(inputs, "read_file")
    check_input(PLAIN, None, ())


@pytest.mark.parametrize(
    ("content", "duration_ms"),
    [(b"", 1_000), (b"{}", 1_000), (b'{"seconds":2.5,"more":[]}', 2_500), (b'{"seconds":0}', 0)],
)
def test_arguments_say_how_long_the_work_takes(content, duration_ms):
    assert parse_arguments(content).duration_ms == duration_ms


@pytest.mark.parametrize(
    "content",
    [
        *(b"[]", b"{", b"\xff", b'{"seconds":-1}', b'{"seconds":1e99}', b'{"seconds":"1"}'),
        b'{"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=["list", "open", "no text", "negative", "too long", "words", "too deep"],
)
def test_arguments_that_say_nothing_are_refused(content):
    with refused(FailCode.BAD_ARGUMENTS):
        parse_arguments(content)


def test_the_output_depends_on_inputs_and_arguments_and_says_simulated():
    output = make_output((b"\x01" * 32, b"\x02" * 32), b"\x03" * 32)
    assert sha256(b"\x01" * 32 + b"\x02" * 32 + b"\x03" * 32).hexdigest().encode() in output
    assert b"SIMULATED" in output
    assert output == make_output((b"\x01" * 32, b"\x02" * 32), b"\x03" * 32)
    assert output != make_output((b"\x02" * 32, b"\x01" * 32), b"\x03" * 32)
