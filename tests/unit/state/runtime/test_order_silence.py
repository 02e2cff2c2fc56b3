"""Somebody falls silent for ever, in every state of an order: the order ends, and all others get what is theirs.

The others go on as they should: the provider accepts, starts and reports, the owner releases its key, the customer pays and waits.
"""

from __future__ import annotations

import pytest

from state import queries
from state.lists import LIST_LENGTHS, ListKind
from state.order_records import ORDERS, PROVIDERS, USAGE_ROW_BYTES, OrderState
from state.receipts import Event, EventKind
from state.records import HOLDINGS
from tests.support.attesting import CUSTOMER, FEE, PROVIDER
from tests.support.chain_builders import account, make_genesis, with_params
from tests.support.order_laws import check_order_laws, rows
from tests.support.ordering import BOND, OWNER, SECOND_MS, Market

CUSTOMER_PART, PROVIDER_PART, OWNER_PART = "customer", "provider", "owner"
PARTIES = (CUSTOMER_PART, PROVIDER_PART, OWNER_PART)
DEPOSIT = 200_000
STATES = ("open", "accepted", "granted", "running", "stalled", "closed")


class Story:
    """An order on its way to an end, with one party gone."""

    def __init__(self, state: str, gone: str) -> None:
        genesis = with_params(make_genesis(), "market", order_keep_ms=50 * SECOND_MS)
        self.market = Market(genesis)
        self.events: list[Event] = []
        self.fees = 0
        self.gone = gone
        market = self.market
        self.before = {index: market.balance(account(index)) for index in (0, 1, 3)}
        dates = {"accept_by_ms": 20, "start_by_ms": 40, "end_by_ms": 90}
        end_s = {name: market.time_ms + seconds * SECOND_MS for name, seconds in dates.items()}
        self.order = market.place(**end_s)
        self.sent = {CUSTOMER_PART: 1, PROVIDER_PART: 0, OWNER_PART: 0}
        self._reach(state)

    def _reach(self, state: str) -> None:
        """Let everybody act until the order is in its state."""
        market, order = self.market, self.order
        rank = STATES.index(state)
        if rank >= STATES.index("accepted"):
            self._send(PROVIDER_PART, market.accept_message(order))
        if rank >= STATES.index("granted"):
            self._send(OWNER_PART, market.grant_message(order))
        if rank >= STATES.index("running"):
            self._send(PROVIDER_PART, market.receipts(market.start(order)))
            self._pass(4)
            self._send(PROVIDER_PART, market.receipts(market.beat(order)))
        if state == "stalled":
            self._pass(11)
        if state == "closed":
            self._send(PROVIDER_PART, market.receipts(market.output(order)))
        expected = {"granted": "accepted"}.get(state, state)
        assert market.standing(order)[0] == expected

    def _send(self, party: str, message: object) -> None:
        signer = {CUSTOMER_PART: CUSTOMER, PROVIDER_PART: PROVIDER, OWNER_PART: OWNER}[party]
        executed = self.market.send(signer, message)
        assert executed.receipts[0].reason == ""
        self.events.extend(executed.events)
        self.sent[party] += 1

    def _pass(self, seconds: int) -> None:
        self.events.extend(self.market.pass_time(seconds).events)

    def go_on(self) -> None:
        """Let who is left act as it should, until the order is off the record."""
        market, order = self.market, self.order
        for _ in range(60):
            record = market.ledger.find(ORDERS, order)
            if record is None:
                return
            is_granted = any(event.kind is EventKind.GRANTED for event in self.events[self._since_accept() :])
            if record.state is OrderState.OPEN and self.gone != PROVIDER_PART:
                self._send(PROVIDER_PART, market.accept_message(order))
            elif record.state is OrderState.ACCEPTED and not is_granted and self.gone != OWNER_PART:
                self._send(OWNER_PART, market.grant_message(order))
            elif record.state is OrderState.ACCEPTED and is_granted and self.gone != PROVIDER_PART:
                self._send(PROVIDER_PART, market.receipts(market.start(order)))
            elif record.state in {OrderState.RUNNING, OrderState.STALLED} and self.gone != PROVIDER_PART:
                self._send(PROVIDER_PART, market.receipts(market.beat(order)))
            self._pass(4)
            check_order_laws(market)

    def _since_accept(self) -> int:
        accepted = [index for index, event in enumerate(self.events) if event.kind is EventKind.ACCEPTED]
        return accepted[-1] if accepted else 0

    def gain(self, index: int, party: str) -> int:
        """Return what a party has more than before, without the fees of its transactions."""
        return self.market.balance(account(index)) - self.before[index] + self.sent[party] * FEE


@pytest.mark.parametrize("gone", PARTIES)
@pytest.mark.parametrize("state", STATES)
def test_who_falls_silent_harms_nobody_else(state: str, gone: str) -> None:
    story = Story(state, gone)
    story.go_on()
    market = story.market
    assert market.ledger.find(ORDERS, story.order) is None
    assert queries.money(market.ledger).escrows == 0
    holdings = market.ledger.get(HOLDINGS, account(0))
    record = market.ledger.find(PROVIDERS, account(0))
    penalties = 0 if record is None else record.penalties
    assert (holdings.provider_bond, holdings.provider_locked) == (BOND - penalties, 0)
    names = {name[0] for name, _ in rows(market, LIST_LENGTHS)}
    kinds = (
        ListKind.ORDERS,
        ListKind.OPEN_ORDERS,
        ListKind.CUSTOMER,
        ListKind.PROVIDER,
        ListKind.SERVED,
        ListKind.ENCLAVE,
    )
    assert not names & {*kinds, ListKind.RESOURCE, ListKind.REVIEWS}
    closed = [dict(event.attributes) for event in story.events if event.kind is EventKind.ORDER_CLOSED]
    settlements = [dict(event.attributes) for event in story.events if event.kind is EventKind.SETTLED]
    spent = sum(event["amount"] + event["fee"] for event in settlements)
    assert closed[0]["refund"] == DEPOSIT - spent
    starts = sum(event.kind is EventKind.ORDER_STARTED for event in story.events)
    kept = starts * 3 * USAGE_ROW_BYTES * market.params.market.storage_bond_per_byte
    assert story.gain(1, CUSTOMER_PART) == penalties - spent - kept, "the bond came back but for rows of use"
    has_started = starts > 0
    assert story.gain(3, OWNER_PART) == (49_000 if has_started else 0)
    assert story.gain(0, PROVIDER_PART) == sum(event["amount"] for event in settlements) - story.gain(3, OWNER_PART)
    if gone == PROVIDER_PART and state in {"accepted", "granted", "running", "stalled"}:
        assert penalties > 0
    else:
        assert penalties == 0, "who is there is not punished for who is gone"
    has_ended = gone != PROVIDER_PART and not (gone == OWNER_PART and state in {"open", "accepted"})
    assert (closed[0]["reason"] == b"done") == (has_ended or state == "closed")
