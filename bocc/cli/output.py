"""Tables for people on a terminal, JSON for programs."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

_JSON_INDENT: Final = 2
_CELL_MAX: Final = 200
_CALENDAR_END_MS: Final = 253_402_300_800_000
"""Midnight after the last day of the year 9999."""
_STEERING: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""The second half of the control characters, ends of lines, and marks of direction; the first half JSON never has as it is."""
_WIDTH_WITHOUT_TERMINAL: Final = 1_000
"""Nothing is folded or cut where a program reads."""


def console() -> Console:
    """Return a console on the standard output of now, without colours or wrapping where it is no terminal."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=_WIDTH_WITHOUT_TERMINAL)


def print_json(document: object) -> None:
    """Print one JSON document, indented; everything a program needs and nothing else."""
    encoded = msgspec.json.format(msgspec.json.encode(document), indent=_JSON_INDENT)
    sys.stdout.write(_escaped(encoded) + "\n")
    sys.stdout.flush()


def print_json_line(document: object) -> None:
    """Print one JSON document on one line, for streams."""
    sys.stdout.write(_escaped(msgspec.json.encode(document)) + "\n")
    sys.stdout.flush()


def _escaped(encoded: bytes) -> str:
    """Return the same JSON with escapes for what may stand in it as it is, and would steer a terminal."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", encoded.decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table; cells that are None are empty."""
    table = build_table(columns, rows, title)
    screen = console()
    with screen.capture() as capture:
        screen.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))
    sys.stdout.flush()


def build_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> Table:
    """Return a table for a screen that draws it again and again."""
    table = Table(
        title=title, title_justify="left", box=None, pad_edge=False, header_style="bold", show_header=any(columns)
    )
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else _cell_text(str(cell))) for cell in row))
    return table


def _cell_text(text: str) -> str:
    """Return a text on one line: a title of two lines must not pass for another row."""
    return printable(text.replace("\n", "\r"))


def print_fields(document: Mapping[str, Any]) -> None:
    """Print a JSON object as lines of name and content; nested ones are named by their path."""
    rows = list(_flatten("", document))
    print_table(("", ""), rows)


def print_line(text: str) -> None:
    """Print a text as it is, but for what would steer the terminal."""
    console().print(printable(text), markup=False)


def printable(text: str) -> str:
    """Return a text in which nothing steers the terminal: foreign nodes must not colour, move or hide what is shown."""
    return "".join(
        character if character.isprintable() or character == "\n" else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def format_time(time_ms: int) -> str:
    """Return block time for people, in UTC. A stranger may name any time; of those beyond the calendar only that is told."""
    if time_ms >= _CALENDAR_END_MS:
        return "after the year 9999"
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _flatten(prefix: str, nested: object) -> Iterable[tuple[str, str]]:
    """Yield path and text of every leaf of a JSON value."""
    if isinstance(nested, Mapping) and nested:
        for name, inner in nested.items():
            yield from _flatten(f"{prefix}.{name}" if prefix else str(name), inner)
    elif isinstance(nested, list) and any(isinstance(inner, (Mapping, list)) for inner in nested):
        for index, inner in enumerate(nested):
            yield from _flatten(f"{prefix}[{index}]", inner)
    else:
        yield prefix, _leaf_text(nested)


def _leaf_text(leaf: object) -> str:
    if isinstance(leaf, str):
        text = leaf
    elif isinstance(leaf, list):
        text = ", ".join(_leaf_text(inner) for inner in leaf)
    else:
        text = msgspec.json.encode(leaf).decode()
    return text if len(text) <= _CELL_MAX else f"{text[:_CELL_MAX]}… ({len(text)} characters; --json shows all)"
