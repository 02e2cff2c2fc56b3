"""The tree keeps its own rules: sizes, names, imports, leftovers, and documents that speak of files that exist.

An exception is a row in one of the tables below, with its reason. A row that is needed no more fails the test too.
"""

from __future__ import annotations

import ast
import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PACKAGES = ("bocc", "consensus", "node", "p2p", "state", "tee")
PYTHON_FOLDERS = (*PACKAGES, "bench", "tests")

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60

TOP_LEVEL = {
    *PYTHON_FOLDERS,
    *("docs", ".ci", ".github", ".gitignore", ".gitattributes", ".dockerignore"),
    *("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md"),
    *("Dockerfile", "Makefile", "constraints.txt", "genesis.json", "pyproject.toml"),
}
"""What may lie at the top of the tree."""

VAGUE_NAMES = {"common", "helper", "helpers", "util", "utils", "misc", "types", "manager", "managers", "core_utils"}
"""A module so named is a drawer: shared things live in the lowest package that owns the idea."""

LEFTOVERS = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK", "W" + "IP")) + r")\b")

IMPORTS_IN_FUNCTIONS: dict[str, str] = {}
"""File -> why it imports inside a function."""

CATCH_EVERYTHING = {
    "bocc/__main__.py": "turns every failure that it can describe into a message and an exit code, and raises the rest",
    "bocc/cli/testnet.py": "ends the processes that it started, then raises again",
}
"""File -> why it catches all exceptions."""

TASKS_WITHOUT_GROUP: dict[str, str] = {}
"""File -> why it starts a task outside a TaskGroup."""


@functools.cache
def python_files() -> tuple[Path, ...]:
    return tuple(sorted(path for folder in PYTHON_FOLDERS for path in (TOP / folder).rglob("*.py")))


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(TOP).as_posix()


def is_in_package(path: Path) -> bool:
    return path.relative_to(TOP).parts[0] in PACKAGES


def documents() -> list[Path]:
    return sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")])


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def called_name(node: ast.AST) -> str:
    """Return the last part of the name that a call calls, or nothing for other nodes."""
    if not isinstance(node, ast.Call):
        return ""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def test_no_file_is_longer_than_the_bound() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES_MAX} == {}


def test_no_function_is_longer_than_the_bound() -> None:
    lengths = {
        f"{name_of(path)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path in python_files()
        for node in functions(path)
        if node.end_lineno is not None
    }
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES_MAX} == {}


def test_nothing_is_left_for_later() -> None:
    texts = [*python_files(), *documents(), TOP / "Makefile", TOP / "pyproject.toml"]
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in texts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if LEFTOVERS.search(line)
    ]
    assert found == []


def test_a_pattern_of_a_whole_text_allows_no_line_end_behind_it() -> None:
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in python_files()
        if is_in_package(path)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and re.match(r"b?'\^.*\$'\Z", repr(node.value))
    ]
    assert found == [], "$ stands also before a line end: end the pattern with \\Z"


def test_only_the_command_line_prints() -> None:
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in python_files()
        if is_in_package(path) and path.relative_to(TOP).parts[0] != "bocc"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert found == []


def test_every_handler_names_what_it_catches() -> None:
    def catches_everything(handler: ast.ExceptHandler) -> bool:
        kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        return any(kind is None or ast.unparse(kind).split(".")[-1] in {"Exception", "BaseException"} for kind in kinds)

    found = {
        name_of(path)
        for path in python_files()
        if is_in_package(path)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    }
    assert found == CATCH_EVERYTHING.keys()


def test_every_task_belongs_to_a_group() -> None:
    """A task group's own create_task is fine: `group.create_task`, `tasks.create_task` in an `async with` of a TaskGroup."""

    def is_loose(node: ast.AST) -> bool:
        if called_name(node) == "ensure_future":
            return True
        if called_name(node) != "create_task":
            return False
        assert isinstance(node, ast.Call)
        owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        return owner in {"", "asyncio"} or owner.split(".")[-1].rstrip("()") in {"loop", "_loop", "get_running_loop"}

    loose = {
        name_of(path)
        for path in python_files()
        if is_in_package(path) and any(is_loose(node) for node in ast.walk(tree_of(path)))
    }
    assert loose == TASKS_WITHOUT_GROUP.keys()


def test_imports_are_absolute() -> None:
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in python_files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]
    assert found == []


def test_imports_stand_at_the_top() -> None:
    found = {
        name_of(path)
        for path in python_files()
        if any(
            isinstance(inner, ast.Import | ast.ImportFrom)
            for function in functions(path)
            for inner in ast.walk(function)
        )
    }
    assert found == IMPORTS_IN_FUNCTIONS.keys()


def test_no_module_is_a_drawer() -> None:
    parts = {part for path in python_files() if is_in_package(path) for part in (*path.parent.parts, path.stem)}
    assert parts & VAGUE_NAMES == set()


def test_package_file_is_only_a_docstring() -> None:
    for path in python_files():
        if path.name == "__init__.py":
            body = tree_of(path).body
            assert len(body) == 1, name_of(path)
            assert ast.get_docstring(tree_of(path)), name_of(path)


def test_source_module_says_what_it_is() -> None:
    assert [name_of(p) for p in python_files() if is_in_package(p) and not ast.get_docstring(tree_of(p))] == []


@pytest.mark.skipif(not (TOP / ".git").exists(), reason="only a git checkout knows which files belong to the tree")
def test_top_of_the_tree_holds_what_it_should() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=TOP, check=True, capture_output=True, text=True).stdout
    assert {name.split("/")[0] for name in tracked.splitlines()} - TOP_LEVEL == set()


@pytest.mark.parametrize("path", documents(), ids=name_of)
def test_document_names_only_files_that_exist(path: Path) -> None:
    """A path to a Python file or document is meant from the top; a bare name of a file in the same folder is fine too."""
    text = path.read_text(encoding="utf-8")
    mentioned = {*re.findall(r"(?<![\w/.-])((?:[\w.-]+/)+[\w-]+\.(?:py|md|json|toml))\b", text)}
    links = {link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link}
    missing = sorted(name for name in mentioned if not (TOP / name).exists() and not (path.parent / name).exists())
    broken = sorted(link for link in links if not (path.parent / link).exists())
    assert (missing, broken) == ([], [])
