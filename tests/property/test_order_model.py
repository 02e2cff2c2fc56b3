"""The order engine against a second, naive one: random lives of a few orders on one machine, block by block.

After each block every order's state, reason and money agree with the model, the accounts of those who pay agree to the last ubocc,
what payees and treasury got is what orders paid, and all laws of tests/support/order_laws.py hold on the whole state.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from state import queries
from state.messages import Message
from state.offers import PlanUnit, ResourceKind, ServiceLevel
from state.order_messages import Erase, Fail, GrantAnswer, WorkReceipt
from state.order_records import ORDERS
from state.order_terms import LineRole, Mark
from state.policies import UsesAtMost
from state.receipts import EventKind, ReceiptStatus
from state.records import HOLDINGS
from state.resource_records import RELEASES, RESOURCES, ReleaseStatus, numbered_key
from state.runtime.context import Context
from state.runtime.order_queue import ask_review, orders_of_resource
from tests.support.attesting import EMPTY_RELEASE, FEE, expire_enclave, publish
from tests.support.chain_builders import account, account_key, make_genesis, with_params
from tests.support.order_laws import check_order_laws
from tests.support.order_model import (
    CUSTOMER,
    ONCE_PRICE,
    ORDER_KEEP,
    OWNER,
    OWNER_NOTICE,
    PENALTY_BP,
    PROVIDER,
    USE_PRICE,
    MarketModel,
)
from tests.support.order_sketch import BEAT, GRACE, KEEP_AFTER, MIN_TERM, NOTICE, UNIT_MS, Sketch
from tests.support.ordering import ANY_MACHINE, BOND, DATA_PLAN, DATA_ROOT, Market

PAYERS = (CUSTOMER, 4, 5)
ENCLAVES_OF_PROVIDER = (0, 1)


class Step(Struct, frozen=True):
    """What happens next, to which order, by whom, how much, and after how long."""

    kind: str
    which: int
    who: int
    amount: int
    units: int


class Fair(Market):
    """A market whose times are multiples of the wheel's slots, with data that is paid for each output beside.

    The sealed data may be used so many times.
    """

    def __init__(self, limit: int) -> None:
        level = ServiceLevel(beat_every_ms=BEAT, grace_ms=GRACE, penalty_bp=PENALTY_BP)
        genesis = with_params(make_genesis(), "market", order_keep_ms=ORDER_KEEP)
        times = {"min_term_ms": MIN_TERM, "notice_ms": NOTICE, "keep_after_ms": KEEP_AFTER}
        super().__init__(genesis, service_level=level, **times)
        self.attest(1)
        plan = replace(DATA_PLAN, notice_ms=OWNER_NOTICE)
        sealed = replace(EMPTY_RELEASE, content_root=DATA_ROOT, sealed_root=b"\x05" * 32, key_commit=b"\x06" * 32)
        policy = (UsesAtMost(count=limit),)
        message = publish(ResourceKind.DATA, release=sealed, plans=(plan,), policy=policy)
        self.data = self.publish(account_key(OWNER), message)
        paid_by_use = replace(plan, unit=PlanUnit.USE, price=USE_PRICE)
        self.feed = self.publish(account_key(OWNER), publish(ResourceKind.DATA, plans=(paid_by_use,)))
        self.apply(interval_ms=UNIT_MS - self.time_ms % UNIT_MS)
        self.machine = replace(
            ANY_MACHINE, beat_every_ms_max=BEAT, grace_ms_max=GRACE, notice_ms_min=0, min_term_ms_max=MIN_TERM
        )
        self.times = {self.height: self.time_ms}
        self.model = MarketModel({payer: self.balance(account(payer)) for payer in PAYERS}, BOND, limit)
        self.income = self._income()

    def _income(self) -> int:
        """Return what payees and treasury have."""
        payees = sum(self.balance(account(index)) for index in (PROVIDER, OWNER))
        return payees + queries.money(self.ledger).treasury

    def take(self, step: Step) -> None:
        """Make the block of a step and compare all that the model knows."""
        now = self.time_ms + step.units * UNIT_MS
        sent = self._act(step, now)
        if sent is None:
            self.apply(interval_ms=now - self.time_ms)
            self.model.end_block(now)
        else:
            self._send(step, now, *sent)
        self.times[self.height] = now
        self._compare(step)

    def _send(self, step: Step, now: int, signer: int, message: Message, will_succeed: bool) -> None:
        executed = self.send(account_key(signer), message, interval_ms=now - self.time_ms)
        (receipt,) = executed.receipts
        assert (receipt.status is ReceiptStatus.OK) == will_succeed, (step, receipt)
        if signer in self.model.balances:
            self.model.balances[signer] -= FEE
        else:
            self.income -= FEE
        if step.kind == "place" and will_succeed:
            (event,) = [event for event in executed.events if event.kind is EventKind.ORDERED]
            address = dict(event.attributes)["order"]
            sketch = self.sketch
            sketch.bond = self.order(address).bond_locked
            self.model.balances[CUSTOMER] -= sketch.bond + sketch.given[0][1]
            self.model.orders[address] = sketch
        self.model.end_block(now)

    def _act(self, step: Step, now: int) -> tuple[int, Message, bool] | None:
        """Return who sends what, and whether it will succeed; None for a block without transactions."""
        model = self.model
        if step.kind in DECISIONS:
            DECISIONS[step.kind](self, step)
            return None
        if step.kind == "renew":
            number = step.who % 2
            model.fallen.discard(number)
            return PROVIDER, self.attest_message(number), True
        if step.kind == "place":
            return self._place(step, now)
        if not model.orders or step.kind == "wait":
            return None
        alive = [address for address, order in model.orders.items() if not order.is_closed]
        wanted = list(model.orders) if step.kind in {"mark", "erase"} or not alive else alive
        address = wanted[step.which % len(wanted)]
        order, kind = model.orders[address], step.kind
        if kind == "advance":
            is_granted = order.granted == (order.enclave, model.epoch)
            steps = {"open": "accept", "accepted": "start" if is_granted else "grant"}
            kind = steps.get(order.state, "beat")
        # The dates that have come count first, whether the message then succeeds or not.
        before = order.state
        model.pass_dates(order, now)
        return self._order_message(kind, before, address, order, step, now)

    def _order_message(
        self, kind: str, before: str, address: bytes, order: Sketch, step: Step, now: int
    ) -> tuple[int, Message, bool]:
        """Return a message about an order, made of what is on record before the block."""
        model, who = self.model, (PROVIDER, CUSTOMER, OWNER, 4)[step.who]
        match kind:
            case "accept":
                number = step.who % 2
                return PROVIDER, self.accept_message(address, number), model.accept(order, number, now)
            case "grant" | "refuse":
                refusal = {"answer": GrantAnswer.REFUSE, "capsule": b""} if kind == "refuse" else {}
                message = self.grant_message(address, **refusal)
                return OWNER, message, model.grant(order, now, is_refused=kind == "refuse")
            case "fund":
                payer = PAYERS[step.who % len(PAYERS)]
                return payer, self.fund(address, step.amount), model.fund(order, payer, step.amount, now)
            case "close":
                return who, self.close(address), model.end_by_message(order, who, now)
            case "mark":
                return who, self.close(address, Mark.GOOD), model.mark(order, who)
            case _:
                return self._receipt(kind, address, order, step, now)

    def _receipt(self, kind: str, address: bytes, order: Sketch, step: Step, now: int) -> tuple[int, Message, bool]:
        """Return a receipt by the enclave that is on record, naming a block that may be some blocks old."""
        bound = self.order(address).enclave
        number = self.enclave_number(bound) if bound else 0
        height = max(min(self.times), self.height - (step.amount % 4 if step.amount % 3 == 0 else 0))
        count = self.order(address).receipt_count
        receipts: dict[str, WorkReceipt] = {
            "start": replace(self.start(address), inputs=(bytes(32), DATA_ROOT, bytes(32))),
            "beat": self.beat(address),
            "output": self.output(address, is_last=False),
            "last_output": self.output(address),
            "fail": Fail(order=address, number=count, code=1),
            "erase": Erase(order=address, number=count),
        }
        message = self.receipts(receipts[kind], number=number, at_height=height)
        return PROVIDER, message, self.model.receive(order, kind, self.times[height], now)

    def enclave_number(self, address: bytes) -> int:
        """Return the number of an enclave of the provider's."""
        return [self.enclave_of(number) for number in ENCLAVES_OF_PROVIDER].index(address)

    def _place(self, step: Step, now: int) -> tuple[int, Message, bool] | None:
        model = self.model
        if sum(not order.is_closed for order in model.orders.values()) > 4:
            return None
        is_any = step.who == 0
        accept_by = now + (15 + step.which) * UNIT_MS
        start_by = accept_by + 15 * UNIT_MS
        end = start_by + (10 + step.amount % 70) * UNIT_MS
        deposit = ONCE_PRICE + USE_PRICE + (0 if is_any else MIN_TERM) + step.amount
        message = self.order_message(
            lines=(
                self.line(LineRole.COMPUTE, b"" if is_any else self.hardware),
                self.line(LineRole.SOFTWARE, self.image),
                self.line(LineRole.DATA, self.data),
                self.line(LineRole.DATA, self.feed),
            ),
            machine=self.machine if is_any else None,
            deposit=deposit,
            accept_by_ms=accept_by,
            start_by_ms=start_by,
            end_by_ms=end,
            attempts=1 + step.which,
        )
        self.sketch = Sketch(
            is_any=is_any,
            attempts_left=step.which,
            accept_window=accept_by - now,
            start_window=start_by - accept_by,
            end=end,
            accept_by=accept_by,
            start_by=start_by,
            given=[[CUSTOMER, deposit]],
        )
        return CUSTOMER, message, not model.is_withdrawn(is_machine=not is_any) and not model.is_used_up()

    def _compare(self, step: Step) -> None:
        model = self.model
        for address, sketch in model.orders.items():
            order = self.order(address)
            why = order.reason or order.cause
            seen = (
                order.state.name.lower(),
                "" if why is None else why.name.lower(),
                order.earned,
                order.penalty_locked,
            )
            earned = (sketch.machine_earned, 0, sketch.once_earned, sketch.use_earned)
            assert seen == (sketch.state, sketch.why, earned, sketch.locked), step
            assert (order.attempts_left, order.receipt_count) == (sketch.attempts_left, sketch.receipt_count)
            assert (order.stop_at_ms, order.accrued_ms) == (sketch.stop, sketch.paid_up_to)
        assert {payer: self.balance(account(payer)) for payer in PAYERS} == model.balances, step
        assert self.ledger.get(HOLDINGS, account(PROVIDER)).provider_bond == model.bond
        on_record = sum(
            sum(self.order(address).settled) for address, order in model.orders.items() if not order.is_closed
        )
        assert self._income() == self.income + model.settled + on_record
        assert len([key for key in self.state if key[:1] == ORDERS.prefix]) == len(model.orders)
        check_order_laws(self)


def _revoke(market: Fair, _step: Step) -> None:
    key = numbered_key(market.data, 0)

    def decide(context: Context) -> None:
        context.ledger.put(RELEASES, key, replace(context.ledger.get(RELEASES, key), status=ReleaseStatus.REVOKED))
        ask_review(context.ledger, orders_of_resource(market.data))

    market.govern(decide)
    market.model.is_revoked = True
    market.model.asked.add("data")


def _freeze(market: Fair, step: Step) -> None:
    """Freeze data or machine, or thaw it."""
    resource = market.data if step.who % 2 else market.hardware

    def decide(context: Context) -> None:
        record = context.ledger.get(RESOURCES, resource)
        frozen_ms = 0 if record.frozen_ms else context.time_ms
        context.ledger.put(RESOURCES, resource, replace(record, frozen_ms=frozen_ms))
        ask_review(context.ledger, orders_of_resource(resource))

    market.govern(decide)
    if resource == market.data:
        market.model.is_data_frozen ^= True
    else:
        market.model.is_machine_frozen ^= True
    market.model.asked.add("data" if resource == market.data else "machine")


def _fall(market: Fair, step: Step) -> None:
    number = step.who % 2
    if number in market.model.fallen:
        return
    market.govern(lambda context: expire_enclave(context, market.enclave_of(number)))
    market.model.fallen.add(number)
    market.model.asked.add(str(number))


def _bump(market: Fair, _step: Step) -> None:
    def decide(context: Context) -> None:
        record = context.ledger.get(RESOURCES, market.data)
        context.ledger.put(RESOURCES, market.data, replace(record, grant_epoch=record.grant_epoch + 1))

    market.govern(decide)
    market.model.epoch += 1


DECISIONS = {"revoke": _revoke, "freeze": _freeze, "fall": _fall, "bump": _bump}
KINDS = (
    *("advance",) * 24,
    *("place",) * 4,
    *("fund", "output", "close", "wait", "renew") * 2,
    *("accept", "refuse", "grant", "start", "beat", "last_output", "fail", "erase", "mark"),
    *("freeze", "bump"),
    *("fall",) * 3,
)
STEPS = st.builds(
    Step,
    kind=st.sampled_from((*KINDS, *KINDS, "revoke")),
    which=st.integers(0, 3),
    who=st.integers(0, 3),
    amount=st.one_of(st.integers(1, 20), st.integers(1_000, 100_000)),
    units=st.sampled_from((*(1,) * 12, *(2, 5, 9) * 2, 10, 11, 20, 41)),
)


@settings(max_examples=66, deadline=None)
@given(
    st.integers(0, 8),
    st.sampled_from((1, 5_000, 30_000)),
    st.sampled_from((1, 2, 3, 100, 100)),
    st.lists(STEPS, min_size=20, max_size=60),
)
def test_the_engine_agrees_with_the_model(depth: int, amount: int, limit: int, steps: list[Step]) -> None:
    """Two orders go some steps towards their output, in turns, then anything may happen."""
    market = Fair(limit)
    first = Step(kind="place", which=2, who=1, amount=amount, units=1)
    advances = [replace(first, kind="advance", who=0, which=number % 2) for number in range(depth)]
    for step in (first, first, *advances, *steps):
        market.take(step)
