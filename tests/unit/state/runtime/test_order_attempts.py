"""The dry run of orders and acceptances: every check by name, with what it found, and all refusals at once."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state.address import format_address
from state.codec import INTEGER_MAX
from state.order_messages import order_address
from state.order_terms import LINES_MAX, LineRole
from state.policies import CustomerIn, LevelAtLeast
from state.resource_records import RESOURCES
from state.runtime.explain import Check, DryRunReason, explain
from state.runtime.market_remedies import MARKET_REMEDIES
from state.runtime.reasons import TransactionReason
from tests.support.attesting import CUSTOMER, PROVIDER
from tests.support.chain_builders import account
from tests.support.ordering import STRANGER, Market

LINES = ["line 0 compute", "line 1 software", "line 2 data"]
POLICIES = [f"policy of line {index}" for index in range(3)]


@pytest.fixture
def market() -> Market:
    return Market()


def tried(market: Market, signer: object, message: object) -> list[Check]:
    """Return the checks of a message, without those of the envelope and with their own names."""
    before = dict(market.state)
    checks = explain(market.ledger, market.sign(signer, message), market.time_ms)
    assert market.state == before, "a dry run changes nothing"
    own = [check for check in checks if check.name.startswith("message 0")]
    return [replace(check, name=check.name.partition(": ")[2] or "message") for check in own]


def found(checks: list[Check]) -> dict[str, tuple[str, str]]:
    """Return what checks that hold have found, where they tell."""
    return {check.name: (check.seen, check.bound) for check in checks if check.ok and check.seen}


def refused(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.reason for check in checks if not check.ok}


def test_a_sound_order_passes_every_check_and_hears_what_it_costs(market):
    message = market.order_message(constraints=(LevelAtLeast(level=1),))
    nonce = market.account(account(1)).next_nonce
    checks = tried(market, CUSTOMER, message)
    assert refused(checks) == {}
    assert [check.name for check in checks] == [
        "brakes", "shape", "after", *LINES, "requirements", *POLICIES, "constraints", "deposit", "balance", "message",
    ]  # fmt: skip
    told = found(checks)
    placed = market.place(constraints=(LevelAtLeast(level=1),))
    assert placed == order_address(market.chain_id, account(1), nonce, 0)
    bond = market.order(placed).bond_locked
    assert told == {
        "shape": (f"makes {format_address(placed)}", ""),
        "line 0 compute": (
            "plan 0: 1000 ubocc a second and unit, at least 10000 for 1",
            f"at most {10**12} ubocc each",
        ),
        "line 1 software": ("plan 0: 0 ubocc each, once, at least 0 for 1", f"at most {10**12} ubocc each"),
        "line 2 data": (
            "plan 0: 50000 ubocc each, once, at least 50000 for 1; its owner must release a key",
            f"at most {10**12} ubocc each",
        ),
        **dict.fromkeys(POLICIES, ("no conditions", "")),
        "constraints": ("not denied; decided when a provider accepts", ""),
        "deposit": ("200000", "at least 60000"),
        "balance": (f"pays {200_000 + bond}", f"deposit 200000 and bond {bond}"),
    }


def test_every_line_that_fails_is_told_and_what_needs_it_is_not_made(market):
    lines = (
        market.line(LineRole.COMPUTE, market.image),
        market.line(LineRole.SOFTWARE, market.image),
        market.line(LineRole.DATA, market.data, price_max=49_999),
    )
    checks = tried(market, CUSTOMER, market.order_message(lines=lines))
    needing = ["requirements", *(f"policy of line {index}" for index in (0, 2)), "deposit", "balance"]
    assert refused(checks) == {
        "line 0 compute": TransactionReason.WRONG_RESOURCE_KIND,
        "line 2 data": TransactionReason.PRICE_TOO_HIGH,
        **dict.fromkeys(needing, DryRunReason.NOT_MADE),
        "message": TransactionReason.WRONG_RESOURCE_KIND,
    }
    (price,) = [check for check in checks if check.name == "line 2 data"]
    assert (price.seen, price.bound) == ("50000", "49999")
    assert price.remedy == MARKET_REMEDIES[TransactionReason.PRICE_TOO_HIGH]


def test_an_order_that_is_denied_and_too_poor_hears_both(market):
    denying = replace(market.ledger.get(RESOURCES, market.data), policy=(CustomerIn(accounts=(account(4),)),))
    market.govern(lambda context: context.ledger.put(RESOURCES, market.data, denying))
    checks = tried(market, CUSTOMER, market.order_message(deposit=59_999))
    assert refused(checks) == {
        "policy of line 2": TransactionReason.POLICY_DENIED,
        "deposit": TransactionReason.DEPOSIT_TOO_LOW,
        "message": TransactionReason.POLICY_DENIED,
    }
    assert "holds" in found(tried(market, STRANGER, market.order_message()))["policy of line 2"][0]


def test_an_order_above_the_balance_is_told_so(market):
    checks = tried(market, CUSTOMER, market.order_message(deposit=10**15))
    assert refused(checks) == dict.fromkeys(("balance", "message"), TransactionReason.BALANCE_TOO_LOW)


def test_a_sound_acceptance_passes_every_check_and_hears_what_stands_for_it(market):
    order = market.place(level_min=1)
    checks = tried(market, PROVIDER, market.accept_message(order))
    assert refused(checks) == {}
    told = found(checks)
    assert market.reason(PROVIDER, market.accept_message(order)) == ""
    assert told == {
        "order": ("open, 1 attempts left after this", ""),
        "enclave": ("SIMULATED, tdx, trusted, level 1", "level 1"),
        "plan": ("plan 0: 1000 ubocc a second and unit, at least 10000 for 1", ""),
        "funds": ("200000", "at least 60000"),
        "policies": ("all hold", ""),
        "bond": (f"{market.order(order).penalty_locked} stand for the order", f"at most {INTEGER_MAX}"),
    }
    assert [check.name for check in checks] == [
        "order", "after", "enclave", "plan", "funds", "policies", "capacity", "bond", "message",
    ]  # fmt: skip


def test_an_acceptance_by_somebody_else_stops_at_the_enclave(market):
    order = market.place()
    needing = ["plan", "funds", "policies", "capacity", "bond"]
    assert refused(tried(market, STRANGER, market.accept_message(order))) == {
        "enclave": TransactionReason.NOT_OWNER,
        **dict.fromkeys(needing, DryRunReason.NOT_MADE),
        "message": TransactionReason.NOT_OWNER,
    }


def test_an_order_that_is_taken_cannot_be_tried(market):
    order = market.accepted()
    told = refused(tried(market, PROVIDER, market.accept_message(order)))
    assert (told["order"], told["message"]) == (TransactionReason.WRONG_STATE, TransactionReason.WRONG_STATE)
    assert set(told.values()) == {TransactionReason.WRONG_STATE, DryRunReason.NOT_MADE}


def beat_a_block_later(market, order):
    """A dry run without a tip knows the blocks below it alone."""
    market.pass_time(1)
    return market.receipts(market.beat(order), at_height=market.height - 1)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda market, order: market.fund(order, 0), TransactionReason.ZERO_AMOUNT),
        (lambda market, order: market.grant_message(order), TransactionReason.WRONG_STATE),
        (beat_a_block_later, TransactionReason.NO_ENCLAVE),
        (lambda market, _order: market.close(market.data), TransactionReason.NO_ORDER),
    ],
    ids=["fund", "grant", "receipt", "close"],
)
def test_other_messages_of_orders_tell_why_they_fail_and_what_helps(market, build, reason):
    (check,) = tried(market, CUSTOMER, build(market, market.place()))
    assert (check.name, check.ok, check.reason) == ("message", False, reason)
    assert check.remedy


def test_an_order_of_the_most_lines_is_tried_and_no_second_one(market):
    order = market.order_message(lines=(market.line(LineRole.COMPUTE, market.hardware),) * LINES_MAX)
    assert refused(tried(market, CUSTOMER, order))["message"] == TransactionReason.LINES_MALFORMED
    checks = explain(market.ledger, market.sign(CUSTOMER, market.order_message(), order, fee=10**6), market.time_ms)
    assert refused(checks) == {"message 1 order": DryRunReason.TOO_MUCH_WORK}


def test_one_acceptance_is_tried_and_no_second_one_because_any_may_judge_sixteen_policies(market):
    accepts = [market.accept_message(market.place()) for _ in range(2)]
    checks = explain(market.ledger, market.sign(PROVIDER, *accepts, fee=10**6), market.time_ms)
    assert refused(checks) == {"message 1 accept": DryRunReason.TOO_MUCH_WORK}
