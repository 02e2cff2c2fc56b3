"""Fixtures that every test folder shares."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Return the folder with public vectors and vendor evidence that lies beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"the public vectors are not here: {SHARED} is absent")
    return SHARED
