"""Brakes and running orders: what governance stops costs no provider its bond."""

from __future__ import annotations

import pytest

from state.records import HOLDINGS
from state.runtime.trust.rules import set_brake
from state.trust_records import Brake, BrakeScope
from tests.support.chain_builders import account
from tests.support.ordering import BOND, Market

DAY_S = 86_400


def bond(market: Market) -> int:
    """Return all that a provider's promises stand on."""
    holdings = market.ledger.get(HOLDINGS, account(0))
    return holdings.provider_bond + holdings.provider_locked


@pytest.mark.parametrize(
    ("scope", "subject", "is_spared"),
    [
        (BrakeScope.ATTESTATIONS, b"", True),
        (BrakeScope.TEE, b"\x02", True),
        (BrakeScope.TEE, b"\x01", False),
        (BrakeScope.ORDERS, b"", False),
    ],
)
def test_a_provider_whose_enclave_a_brake_stops_pays_no_penalty(
    scope: BrakeScope, subject: bytes, is_spared: bool
) -> None:
    """Given a proof that ends, and a brake after the order was accepted, then only who might have renewed it pays."""
    market = Market()
    market.pass_time(7 * DAY_S - 20)
    order = market.running()
    brake = Brake(scope=scope, subject=subject, until_ms=market.time_ms + 3_600_000)
    market.govern(lambda context: set_brake(context, brake))
    for _ in range(5):
        market.pass_time(5)
        market.report(market.beat(order))
    market.pass_time(21)
    assert market.standing(order)[0] == "open"
    assert (bond(market) == BOND) is is_spared
