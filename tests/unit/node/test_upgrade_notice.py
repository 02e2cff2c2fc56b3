"""What a node says of an upgrade: a warning if it is too old for it, once when it is decided."""

from __future__ import annotations

import pytest

from node.proposer import select_transactions
from node.upgrade_notice import tell_upgrades
from state import protocol
from state.errors import UpgradeNeeded
from tests.support.fixture_chain import FixtureNode
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


def test_an_old_leader_builds_no_block_that_it_may_not_judge() -> None:
    upgrading = UpgradingChain()
    upgrading.go_to(HEIGHT - 1)
    node = FixtureNode(upgrading)
    tip = upgrading.chain.tip.block
    with pytest.raises(UpgradeNeeded):
        select_transactions(upgrading.chain, node.mempool, tip.block_hash, tip.time_ms + 1, ())
