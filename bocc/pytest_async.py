"""The asynchronous fixture of the pytest plugin, registered where pytest-asyncio is in use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest_asyncio

if TYPE_CHECKING:
    from bocc.client import Client
    from bocc.testing import RunningNetwork


@pytest_asyncio.fixture
async def bocc_client(bocc_net: RunningNetwork) -> AsyncIterator[Client]:
    """A client of the first node of the running network."""
    async with bocc_net.client(0) as client:
        yield client
