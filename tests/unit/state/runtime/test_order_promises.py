"""A key granted is a use promised: no more keys wait in enclaves than a policy allows uses, and none waits in vain for others'."""

from __future__ import annotations

from msgspec.structs import replace

from state.market_queries import who_can_use
from state.offers import ResourceKind
from state.order_terms import LineRole, OrderLine
from state.policies import UsesAtMost
from state.policy_judgement import Verdict
from state.resource_records import RESOURCE_USES
from tests.support.amending import amend
from tests.support.attesting import CUSTOMER, EMPTY_RELEASE, PROVIDER, publish
from tests.support.order_laws import check_order_laws
from tests.support.ordering import DATA_PLAN, DATA_ROOT, OWNER, SECOND_MS, Market


class Limited(Market):
    """A market whose data may be used so many times; it has two plans, so an order may name it twice."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        sealed = replace(EMPTY_RELEASE, content_root=DATA_ROOT, sealed_root=b"\x05" * 32, key_commit=b"\x06" * 32)
        plans = (replace(DATA_PLAN, price=0), replace(DATA_PLAN, price=0, number=1))
        policy = (UsesAtMost(count=limit),)
        self.data = self.publish(OWNER, publish(ResourceKind.DATA, release=sealed, plans=plans, policy=policy))

    def twice(self) -> tuple[OrderLine, ...]:
        """Return lines of an order that uses the data under both plans."""
        plans = [self.line(LineRole.DATA, self.data, plan=plan) for plan in (0, 1)]
        return (self.line(LineRole.COMPUTE, self.hardware), self.line(LineRole.SOFTWARE, self.image), *plans)

    def grant(self, order: bytes, line: int = 2) -> str:
        """Grant a line's key, and return why that was refused, or nothing."""
        return self.reason(OWNER, self.grant_message(order, line))

    def void(self) -> str:
        """Void all keys that are out, and return why that was refused, or nothing."""
        return self.reason(OWNER, amend(self.data, bumps_grant_epoch=True))

    @property
    def use(self) -> tuple[int, int]:
        """How often the data was used and is promised."""
        use = self.ledger.get(RESOURCE_USES, self.data)
        check_order_laws(self)
        return use.count, use.promised


def test_two_orders_never_hold_keys_for_one_use_that_is_left() -> None:
    market = Limited(1)
    first, second = market.accepted(), market.accepted()
    assert market.grant(first) == ""
    assert (market.grant(second), market.use) == ("policy_denied", (0, 1))
    assert market.report(market.start(first)) == ""
    assert (market.grant(second), market.use) == ("policy_denied", (1, 0))


def test_a_key_that_comes_back_unused_frees_its_use_for_another_order() -> None:
    market = Limited(1)
    first, second = market.accepted(), market.accepted()
    assert market.grant(first) == ""
    assert market.reason(PROVIDER, market.close(first)) == ""
    assert (market.standing(first), market.use) == (("open", ""), (0, 0))
    assert (market.grant(second), market.use) == ("", (0, 1))
    assert market.reason(PROVIDER, market.accept_message(first)) == "policy_denied"


def test_a_key_granted_again_promises_nothing_more() -> None:
    market = Limited(1)
    order = market.accepted()
    assert (market.grant(order), market.grant(order), market.use) == ("", "", (0, 1))
    assert market.void() == ""
    assert (market.grant(order), market.use) == ("", (0, 1))
    assert (market.report(market.start(order)), market.use) == ("", (1, 0))


def test_a_key_of_a_past_epoch_stays_promised_until_its_order_leaves() -> None:
    market = Limited(1)
    order = market.accepted()
    assert market.grant(order) == ""
    assert market.void() == ""
    assert (market.report(market.start(order)), market.use) == ("grant_lacking", (0, 1))
    market.pass_time(120)
    assert (market.standing(order), market.use) == (("closed", "grant_refused"), (0, 0))


def test_an_order_that_uses_a_resource_twice_needs_two_uses() -> None:
    market = Limited(1)
    assert market.reason(CUSTOMER, market.order_message(lines=market.twice())) == "policy_denied"
    market = Limited(2)
    order = market.accepted(lines=market.twice())
    assert (market.grant(order), market.grant(order, 3), market.use) == ("", "", (0, 2))
    assert (market.report(market.start(order)), market.use) == ("", (2, 0))


def test_keys_of_two_lines_are_promised_one_by_one() -> None:
    market = Limited(2)
    both, one = market.accepted(lines=market.twice()), market.accepted()
    assert (market.grant(both), market.grant(one), market.use) == ("", "", (0, 2))
    assert (market.grant(both, 3), market.use) == ("policy_denied", (0, 2))
    assert (market.report(market.start(one)), market.use) == ("", (1, 1))


def test_a_promise_of_its_own_is_no_excuse_for_a_start_that_never_comes() -> None:
    market = Limited(1)
    order = market.accepted(attempts=1)
    assert market.grant(order) == ""
    market.pass_time(120)
    assert (market.standing(order), market.use) == (("closed", "start_timeout"), (0, 0))


def test_what_is_promised_is_free_for_nobody_who_asks_or_orders() -> None:
    market = Limited(1)
    order = market.accepted(end_by_ms=market.time_ms + 200 * SECOND_MS)
    assert verdict(market) is Verdict.TRUE
    assert market.grant(order) == ""
    assert verdict(market) is Verdict.FALSE
    assert market.reason(CUSTOMER, market.order_message()) == "policy_denied"
    assert market.reason(CUSTOMER, market.close(order)) == ""
    assert verdict(market) is Verdict.TRUE


def verdict(market: Limited) -> Verdict:
    usability = who_can_use(market.ledger, market.data, 10)
    assert usability is not None
    return usability.verdict
