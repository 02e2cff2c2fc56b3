"""What a node says of an upgrade, a warning if it is too old for it, and when it ends."""

from __future__ import annotations

import pytest

from node.upgrade_notice import LINGER_MS, UpgradeWatch, tell_upgrades
from state import protocol
from state.errors import UpgradeNeeded
from tests.support.upgrading import HEIGHT, UpgradingChain


class RecordingLog:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, object]]] = []

    def info(self, event: str, **fields: object) -> None:
        self.lines.append(("info", event, fields))

    def warning(self, event: str, **fields: object) -> None:
        self.lines.append(("warning", event, fields))


@pytest.mark.parametrize(("spoken", "level"), [(1, "warning"), (2, "info")])
def test_an_upgrade_is_told_where_it_is_decided(spoken: int, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "PROTOCOL_VERSION", spoken)
    log, upgrading = RecordingLog(), UpgradingChain()
    tell_upgrades(log, (event for _sequence, event in upgrading.chain.views.events(0, 100)))
    ((told_level, event, fields),) = log.lines
    fields.pop("advice", None)
    assert (told_level, event, fields) == (level, "upgrade_due", {"height": HEIGHT, "protocol": 2, "speaks": spoken})


def test_a_node_that_is_too_old_ends_a_little_after_the_last_block_that_it_can_judge() -> None:
    upgrading = UpgradingChain()
    watch = UpgradeWatch(upgrading.chain)
    upgrading.go_to(HEIGHT - 2)
    for now_ms in (0, 10**6):
        watch.tick(now_ms)
    upgrading.go_to(HEIGHT - 1)
    for now_ms in (10**6, 10**6 + LINGER_MS - 1):
        watch.tick(now_ms)
    with pytest.raises(UpgradeNeeded):
        watch.tick(10**6 + LINGER_MS)


def test_a_node_that_speaks_the_new_protocol_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "PROTOCOL_VERSION", 2)
    upgrading = UpgradingChain()
    watch = UpgradeWatch(upgrading.chain)
    for height in range(HEIGHT - 1, HEIGHT + 3):
        upgrading.go_to(height)
        watch.tick(10**6 * height)
