"""The examples of the documents are tests that pass."""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path

import pytest

from bocc import testing

README = Path(__file__).resolve().parents[2] / "README.md"
EXAMPLE = re.compile(r"^(?P<indent> *)async def test_\w+\(.*\n(?:(?P=indent) +.*\n| *\n)+", re.MULTILINE)


def examples() -> dict[str, str]:
    """Return every asynchronous test that a document shows, by document and place."""
    documents = {"README.md": README.read_text(encoding="utf-8"), "bocc/testing.py": inspect.getdoc(testing) or ""}
    return {
        f"{name}:{number}": textwrap.dedent(match[0])
        for name, text in documents.items()
        for number, match in enumerate(EXAMPLE.finditer(text + "\n"))
    }


@pytest.mark.parametrize("source", examples().values(), ids=examples().keys())
async def test_example_passes_as_it_is_printed(source, bocc_net, bocc_client):
    namespace: dict = {}
    exec(compile(source, "example", "exec"), namespace)
    (function,) = [item for name, item in namespace.items() if name.startswith("test_")]
    fixtures = {"bocc_net": bocc_net, "bocc_client": bocc_client}
    await function(**{name: fixtures[name] for name in inspect.signature(function).parameters})


def test_plugin_documents_its_fixture():
    assert any(name.startswith("bocc/testing.py") for name in examples())
