"""Upgrades: all nodes go over at one height; who is too old stops before it, and goes on from there with the new release."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state import protocol
from state.errors import UpgradeNeeded
from state.governance_records import GOVERNANCE_BOOKS, UPGRADES, DueUpgrade
from state.ledger import Overlay
from state.protocol import check_protocol, find_due_upgrade, protocol_at
from state.records import ONLY
from state.trust_records import TRUST_BOOKS
from tests.support.fixture_chain import FixtureChain
from tests.support.upgrading import HEIGHT, UPGRADE, UpgradingChain

DUE = DueUpgrade(height=HEIGHT, protocol=2, software="bocc 2.0", verifier_changed=True, is_done=False)
SPOKEN = protocol.PROTOCOL_VERSION


def test_a_chain_without_an_upgrade_needs_the_first_protocol() -> None:
    ledger = FixtureChain().chain.ledger
    assert (find_due_upgrade(ledger), protocol_at(ledger, 1), protocol_at(ledger, 10**9)) == (None, 1, 1)
    check_protocol(ledger, 10**9)


def test_an_upgrade_is_needed_from_its_height_on_and_stays_so() -> None:
    ledger = UpgradingChain().chain.ledger
    assert find_due_upgrade(ledger) == DUE
    assert [protocol_at(ledger, height) for height in (HEIGHT - 1, HEIGHT, HEIGHT + 1)] == [1, 2, 2]
    overlay = Overlay(ledger)
    overlay.put(UPGRADES, ONLY, replace(DUE, is_done=True))
    overlay.put(GOVERNANCE_BOOKS, ONLY, replace(ledger.get(GOVERNANCE_BOOKS, ONLY), protocol=2))
    assert (find_due_upgrade(overlay), protocol_at(overlay, HEIGHT + 1)) == (None, 2)


def test_old_software_stops_before_the_height_and_says_what_to_install() -> None:
    upgrading = UpgradingChain()
    upgrading.go_to(HEIGHT - 1)
    with pytest.raises(UpgradeNeeded) as stopped:
        upgrading.add()
    assert str(stopped.value) == (
        "block 20 needs protocol 2, this software speaks 1: install bocc 2.0 or newer and start the node again"
    )
    assert upgrading.height == HEIGHT - 1
    upgrading.restart()
    with pytest.raises(UpgradeNeeded):
        check_protocol(upgrading.chain.ledger, upgrading.height + 1)


def test_a_node_that_installs_the_new_software_late_agrees_with_one_that_had_it_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = UpgradingChain()
    late.go_to(HEIGHT - 1)
    late.restart()
    monkeypatch.setattr(protocol, "PROTOCOL_VERSION", SPOKEN + 1)
    early = UpgradingChain()
    early.go_to(HEIGHT - 1)
    assert early.chain.tip == late.chain.tip
    for upgrading in (early, late):
        upgrading.go_to(HEIGHT + 3)
    assert early.chain.tip == late.chain.tip
    ledger = late.chain.ledger
    assert ledger.get(UPGRADES, ONLY) == replace(DUE, is_done=True)
    assert (ledger.get(GOVERNANCE_BOOKS, ONLY).protocol, protocol_at(ledger, 1)) == (2, 2)


def test_a_changed_verifier_is_noted_in_the_very_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "PROTOCOL_VERSION", SPOKEN + 1)
    changed, unchanged = UpgradingChain(), UpgradingChain(replace(UPGRADE, verifier_changed=False))
    for upgrading in (changed, unchanged):
        upgrading.go_to(HEIGHT - 1)
        assert upgrading.chain.ledger.get(TRUST_BOOKS, ONLY).verifier_changes == ()
        upgrading.go_to(HEIGHT)
    (change,) = changed.chain.ledger.get(TRUST_BOOKS, ONLY).verifier_changes
    assert change.changed_ms == changed.chain.tip.block.time_ms
    assert unchanged.chain.ledger.get(TRUST_BOOKS, ONLY).verifier_changes == ()


def test_software_that_is_old_again_does_not_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(protocol, "PROTOCOL_VERSION", SPOKEN + 1)
        upgrading = UpgradingChain()
        upgrading.go_to(HEIGHT + 1)
    upgrading.restart()
    with pytest.raises(UpgradeNeeded):
        upgrading.add()
