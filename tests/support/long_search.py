"""Pytest plugin of `make fuzz`: every test that draws random inputs runs many rounds, each with inputs of its own.

Rounds multiply whatever number of examples a test asks for, so a test needs no second set of settings.
"""

from __future__ import annotations

import pytest
from hypothesis import is_hypothesis_test


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rounds", type=int, default=20, help="how often each test with random inputs runs")


@pytest.fixture
def search_round(request: pytest.FixtureRequest) -> int:
    return request.param


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if is_hypothesis_test(metafunc.function):
        metafunc.fixturenames.append("search_round")
        metafunc.parametrize("search_round", range(metafunc.config.getoption("rounds")), indirect=True)
