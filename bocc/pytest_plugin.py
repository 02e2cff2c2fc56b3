"""pytest plugin of bocc: the fixtures `bocc_net`, a running network, and `bocc_client`, a client of its first node.

Nothing is imported or started before a test asks for it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bocc.testing import RunningNetwork


@pytest.fixture(scope="session")
def bocc_net() -> Iterator[RunningNetwork]:
    """Run four nodes of a new development chain for the whole test session."""
    with importlib.import_module("bocc.testing").running_network() as network:
        yield network


def pytest_configure(config: pytest.Config) -> None:
    """Add `bocc_client` where pytest-asyncio runs; only now is its module loaded for certain."""
    if config.pluginmanager.hasplugin("asyncio"):
        config.pluginmanager.register(importlib.import_module("bocc.pytest_async"), "bocc-async")
