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
    watch = UpgradeWatch(upgrading.chain, RecordingLog())
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
    watch = UpgradeWatch(upgrading.chain, RecordingLog())
    for height in range(HEIGHT - 1, HEIGHT + 3):
        upgrading.go_to(height)
        watch.tick(10**6 * height)


def test_a_node_that_is_too_old_says_so_once_if_the_last_block_that_it_can_judge_does_not_become_final() -> None:
    """Given the block below the height is executed and never final, then the node warns a little later, and goes on to wait."""
    upgrading, log = UpgradingChain(), RecordingLog()
    watch = UpgradeWatch(upgrading.chain, log)
    upgrading.go_to(HEIGHT - 3)
    block = upgrading.execute()
    watch.tick(10**6)
    last = upgrading.execute(parent_hash=block.block_hash)
    for now_ms in (2 * 10**6, 2 * 10**6 + LINGER_MS - 1):
        watch.tick(now_ms)
    assert log.lines == []
    for now_ms in (2 * 10**6 + LINGER_MS, 3 * 10**6):
        watch.tick(now_ms)
    ((level, event, fields),) = log.lines
    assert (level, event) == ("warning", "upgrade_needed")
    assert fields == {
        "height": HEIGHT,
        "protocol": 2,
        "speaks": 1,
        "advice": "this node goes no further, and waits for block 19 to be final: install bocc 2.0 and start it again",
    }
    upgrading.finalize(block, last)
    watch.tick(3 * 10**6)
    with pytest.raises(UpgradeNeeded):
        watch.tick(3 * 10**6 + LINGER_MS)


def test_a_node_that_speaks_the_new_protocol_has_nothing_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "PROTOCOL_VERSION", 2)
    upgrading, log = UpgradingChain(), RecordingLog()
    watch = UpgradeWatch(upgrading.chain, log)
    upgrading.go_to(HEIGHT - 2)
    upgrading.execute()
    for now_ms in (0, 10 * LINGER_MS):
        watch.tick(now_ms)
    assert log.lines == []
