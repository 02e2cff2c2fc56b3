"""One network for all tests that break nodes, and the figures that they print at the end.

`net` is the network of the plugin's fixture `bocc_net`. A test may do to it what it wants; afterwards everything is started,
connected and compared, and a log line about an error that the test did not expect fails it.
"""

from __future__ import annotations

import pytest

from bocc.testnet.network import Network
from tests.support.live_network import LiveNetwork, processes_of

FIGURES: list[str] = []


@pytest.fixture(scope="session")
def session_net(bocc_net):
    """The network of the session."""
    return LiveNetwork(Network(bocc_net.home))


@pytest.fixture
def net(session_net):
    """A whole network before and after the test."""
    session_net.mark_logs()
    yield session_net
    session_net.restore()
    assert session_net.errors() == ""


@pytest.fixture
def broken_net(session_net):
    """A whole network before and after the test, whose logs may speak of errors in between."""
    session_net.mark_logs()
    yield session_net
    session_net.restore()


@pytest.fixture(scope="session")
def figures():
    """Lines that the session prints at its end."""
    return FIGURES


def pytest_terminal_summary(terminalreporter):
    if FIGURES:
        terminalreporter.section("figures of live networks")
        for line in FIGURES:
            terminalreporter.line(line)


@pytest.fixture(scope="session", autouse=True)
def no_process_outlives_its_home(tmp_path_factory):
    """Check at the end that no node runs in a home of a test."""
    yield
    assert processes_of(tmp_path_factory.getbasetemp()) == []
