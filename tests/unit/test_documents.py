"""What documents say of the code is so: fields, tags, tables, settings, figures, and the tests that they name."""

from __future__ import annotations

import importlib
import re
from enum import IntEnum, StrEnum
from fnmatch import fnmatch
from itertools import product
from pathlib import Path

import pytest

from node.api.errors import ErrorCode
from node.api.methods import METHODS
from node.config import NodeConfig
from node.metrics import Metrics, NodeFigures
from p2p.channels import POLICIES, Channel
from state import deadlines, governance_records, lists, order_records, records, resource_records, store, trust_records
from state.ledger import Table
from state.runtime.life_tables import (
    ENCLAVE_STEPS,
    PROPOSAL_STEPS,
    RELEASE_STEPS,
    RESOURCE_STEPS,
    VALIDATOR_STEPS,
    Steps,
)
from state.runtime.prices import message_tag
from state.runtime.work import WORK
from tests.proof.rules import Rule
from tests.simulation.mutant_table import MUTANTS
from tests.support.step_tables import listed

TOP = Path(__file__).resolve().parents[2]
PROTOCOL = (TOP / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")
OPERATING = (TOP / "docs" / "OPERATING.md").read_text(encoding="utf-8")
JSON_RPC = (TOP / "docs" / "JSON-RPC.md").read_text(encoding="utf-8")
STRUCTS = re.findall(r"<!-- struct: ([\w.]+) -->", PROTOCOL)
CORE_PACKAGES = ("consensus", "node", "p2p", "state")
NO_FIGURES = NodeFigures(
    **{name: 0 for name, info in NodeFigures.__annotations__.items() if "Mapping" not in str(info)}
)


def documents() -> list[Path]:
    return sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")])


def rows_after(text: str, mark: str) -> list[list[str]]:
    """Return the cells of the table that follows a mark, without its head."""
    assert text.count(f"<!-- {mark} -->\n") == 1, mark
    table = text.partition(f"<!-- {mark} -->\n")[2].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table[2:]]


def first_cells(text: str, mark: str) -> list[str]:
    """Return the first cells of a table without their backticks."""
    return [row[0].strip("`") for row in rows_after(text, mark)]


@pytest.mark.parametrize("name", STRUCTS)
def test_a_struct_has_the_fields_of_its_table_in_their_order(name: str) -> None:
    module, _, struct = name.rpartition(".")
    fields = getattr(importlib.import_module(module), struct).__struct_fields__
    assert first_cells(PROTOCOL, f"struct: {name}") == list(fields)


def test_every_domain_tag_is_listed() -> None:
    sources = [path.read_text(encoding="utf-8") for package in CORE_PACKAGES for path in (TOP / package).rglob("*.py")]
    kinds = {kind for source in sources for kind in re.findall(r'\btag\("([\w-]+)"\)', source)}
    literal = {tag for source in sources for tag in re.findall(r'b"(bocc/[\w-]+/1)"', source)}
    assert sorted(first_cells(PROTOCOL, "tags")) == sorted({f"bocc/{kind}/1" for kind in kinds} | literal)


def test_every_message_is_listed_with_its_tag_and_work() -> None:
    listed = [
        (cells[0].strip("`"), int(cells[1]), int(cells[3]), cells[4] == "yes")
        for cells in rows_after(PROTOCOL, "messages")
    ]
    assert listed == [
        (message.__name__, message_tag(message), work.units, work.is_large) for message, work in WORK.items()
    ]


def test_every_table_of_the_state_is_listed_under_its_prefix() -> None:
    modules = (records, deadlines, lists, governance_records, resource_records, order_records, trust_records)
    tables = [table for module in modules for table in vars(module).values() if type(table) is Table]
    assert sorted(first_cells(PROTOCOL, "tables")) == sorted(table.prefix.hex() for table in tables)


@pytest.mark.parametrize(
    ("machine", "steps"),
    [
        ("release", RELEASE_STEPS),
        ("resource", RESOURCE_STEPS),
        ("enclave", ENCLAVE_STEPS),
        ("validator", VALIDATOR_STEPS),
        ("proposal", PROPOSAL_STEPS),
    ],
)
def test_every_step_of_a_state_machine_is_listed(machine: str, steps: Steps[IntEnum | None, StrEnum]) -> None:
    written = [
        (before, what.split("`")[1], after)
        for what, states, then in rows_after(PROTOCOL, f"steps: {machine}")
        for before, after in product(states.split(", "), then.split(", "))
    ]
    expected = [
        (name_of(before, "new"), trigger, name_of(after, "forgotten")) for before, trigger, after in listed(steps)
    ]
    assert sorted(written) == sorted(expected)


def name_of(state: IntEnum | None, absent: str) -> str:
    """Return a state as the document names it."""
    return absent if state is None else state.name.lower()


def test_every_prefix_of_the_store_is_listed() -> None:
    prefixes = {key.decode() for key in vars(store).values() if isinstance(key, bytes) and len(key) == 1}
    assert sorted(first_cells(PROTOCOL, "prefixes")) == sorted(prefixes)


def test_every_channel_is_listed_with_its_number_and_limit() -> None:
    listed = [(cells[0].strip("`"), int(cells[1]), int(cells[2])) for cells in rows_after(PROTOCOL, "channels")]
    assert listed == [(channel.name, channel.value, POLICIES[channel].message_bytes_max) for channel in Channel]


def test_every_setting_is_listed_with_its_default() -> None:
    default = NodeConfig()
    listed = {cells[0].strip("`"): cells[1] for cells in rows_after(OPERATING, "settings")}
    assert listed == {name: describe_setting(getattr(default, name)) for name in NodeConfig.__struct_fields__}


def describe_setting(setting: object) -> str:
    """Return a default as the document shows it."""
    if isinstance(setting, bool):
        return str(setting).lower()
    if setting in {"", ()}:
        return "none"
    return f"`{setting}`" if isinstance(setting, str) else str(setting)


def test_every_metric_is_listed_by_its_name() -> None:
    rendered = Metrics(lambda: NO_FIGURES).render().decode()
    names = {name.removesuffix("_total") for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", rendered, re.MULTILINE)}
    listed = {name.removesuffix("_total") for name in first_cells(OPERATING, "metrics")}
    assert listed == {name for name in names if not name.endswith("_created")}


def test_every_method_and_every_code_of_the_interface_is_listed() -> None:
    assert first_cells(JSON_RPC, "methods") == [method.name for method in METHODS]
    assert {int(code) for code in first_cells(JSON_RPC, "codes")} == {code.value for code in ErrorCode}


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(TOP).as_posix())
def test_every_named_test_and_text_file_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"([\w/-]+\.py)::(\w+)", text)
    missing = [f"{file}::{name}" for file, name in named if not has_definition(TOP / file, name)]
    lost = [
        name for name in re.findall(r"\b((?:docs|tests)/[\w/-]+\.(?:svg|txt))\b", text) if not (TOP / name).exists()
    ]
    assert (missing, lost) == ([], [])


def has_definition(path: Path, name: str) -> bool:
    return (
        path.exists()
        and re.search(rf"^ *(?:async )?(?:def|class) {name}\b", path.read_text(encoding="utf-8"), re.MULTILINE)
        is not None
    )


def test_every_module_is_on_the_map() -> None:
    map_text = (TOP / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    patterns = [pattern for pattern in re.findall(r"`([\w*/]+)`", map_text) if not pattern.endswith("/")]
    modules = [path for package in (*CORE_PACKAGES, "bocc") for path in (TOP / package).glob("*.py")]
    lost = [
        path.relative_to(TOP).as_posix()
        for path in modules
        if not path.stem.startswith("__") and not any(fnmatch(path.stem, pattern) for pattern in patterns)
    ]
    assert lost == []


def test_every_named_mutant_and_rule_of_the_proof_exists() -> None:
    named = [{*re.findall(rf"`{kind}: ([^`]+)`", PROTOCOL)} for kind in ("mutant", "proof")]
    assert (named[0] - {mutant.name for mutant in MUTANTS}, named[1] - set(Rule)) == (set(), set())


def test_every_rule_and_guard_names_what_proves_it() -> None:
    rows = {cells[0]: cells[-1] for cells in re.findall(r"^\| ([RW]\d+) \|.*\| (.+) \|$", PROTOCOL, re.MULTILINE)}
    assert [*rows] == [f"R{number}" for number in range(1, 13)] + [f"W{number}" for number in range(1, 8)]
    assert [name for name, evidence in rows.items() if "`" not in evidence] == []
