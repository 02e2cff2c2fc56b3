"""Laws of logging: one line for an event, nothing forged, nothing flooded, errors always."""

from __future__ import annotations

import io
import json
import logging

import pytest

from node import logs as logs_module
from node.logs import BURST_LINES, EventLog, RateLimiter, configure_logging


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def stream():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:], level = before
    root.setLevel(level)
    logging.getLogger(logs_module.ROOT_NAME).setLevel(logging.NOTSET)


def lines(stream):
    return stream.getvalue().splitlines()


def test_event_is_one_line_of_text(stream):
    configure_logging("info", "text", stream)
    EventLog("p2p").info("peer_connected", peer="ab", height=3, name="two words", raw=b"\x01\x02")
    (line,) = lines(stream)
    stamp, rest = line.split(" ", 1)
    assert stamp.endswith("Z")
    assert rest.split() == ["INFO", "bocc.p2p", "peer_connected", "peer=ab", "height=3"] + [
        'name="two',
        'words"',
        "raw=0102",
    ]


def test_event_is_one_json_object(stream):
    configure_logging("info", "json", stream)
    EventLog("p2p").warning("odd", height=3, name="a", raw=b"\x01", failed=None)
    entry = json.loads(lines(stream)[0])
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "warning",
        "part": "bocc.p2p",
        "event": "odd",
        "height": 3,
        "name": "a",
        "raw": "01",
        "failed": "None",
    }


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_stranger_cannot_forge_lines_or_write_long_ones(stream, log_format):
    configure_logging("info", log_format, stream)
    EventLog("rpc").info("odd", name="a\nINFO forged\x1b[31m", long="x" * 10_000)
    (line,) = lines(stream)
    assert line.isprintable()
    assert len(line) < 1_000


def test_level_hides_what_is_below_it(stream):
    configure_logging("warning", "text", stream)
    log = EventLog("x")
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert [line.split()[3] for line in lines(stream)] == ["c", "d"]


def test_repeated_event_is_limited_and_the_next_line_says_how_many_were_left_out(stream):
    configure_logging("info", "text", stream)
    clock = Clock()
    log = EventLog("x", RateLimiter(clock))
    for _ in range(BURST_LINES + 7):
        log.info("again")
    assert len(lines(stream)) == BURST_LINES
    log.info("other")
    assert len(lines(stream)) == BURST_LINES + 1, "another event has its own limit"
    clock.now += 1
    log.info("again")
    assert lines(stream)[-1].endswith("again suppressed=7")


def test_errors_are_never_left_out(stream):
    configure_logging("info", "text", stream)
    log = EventLog("x", RateLimiter(Clock()))
    for _ in range(BURST_LINES + 5):
        log.error("broken")
    assert len(lines(stream)) == BURST_LINES + 5


def test_limiter_forgets_rather_than_grow(monkeypatch):
    monkeypatch.setattr(logs_module, "KEYS_MAX", 3)
    limiter = RateLimiter(Clock())
    for number in range(100):
        assert limiter.take(str(number)) == 0
    assert len(limiter._buckets) <= 3


def test_lines_of_libraries_are_limited_and_show_no_traceback(stream):
    configure_logging("info", "text", stream)
    library = logging.getLogger("aiohttp.server")
    for number in range(BURST_LINES + 5):
        try:
            raise ValueError("bad\nrequest")
        except ValueError:
            library.exception("Error handling request %s", number)
    assert len(lines(stream)) == BURST_LINES
    assert "Traceback" not in stream.getvalue()
    assert (
        r'error=ValueError error_text="bad\nrequest"' in lines(stream)[0]
        or r"error_text=bad\nrequest" in lines(stream)[0]
    )
