"""Microseconds of each message of orders, of their dates and reviews, and how many orders one validator can follow.

`python -m bench orders`; figures are CPU time of this process. The usual order has three lines: a machine, an image, and sealed
data. A thousand of them go through their life together on one enclave. `execute` is what the message itself takes, `end` what the
end of the block takes for it: totals and encoded changes. Envelopes' signatures, the tree and the disk are excluded (see
bench_runtime, bench_tree, bench_pipeline); enclaves' signatures are not.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

from msgspec.structs import replace

from state.block import BlockReference
from state.crypto import SigningKey
from state.ledger import Overlay
from state.lists import ListKind
from state.messages import Bond, BondAction, BondPurpose, Message
from state.offers import NO_CAPACITY, ResourceKind
from state.order_messages import DEAR_RECEIPTS_MAX, SendReceipts, WorkReceipt
from state.order_terms import LINES_MAX, LineRole
from state.policies import (
    NAMES_MAX,
    POLICY_CONDITIONS_MAX,
    POLICY_ENDORSEMENTS_MAX,
    AllOf,
    Endorsed,
    PolicyNode,
    ReleaseName,
    SoftwareIn,
    SubjectKind,
)
from state.receipts import Event, ReceiptStatus
from state.resource_records import numbered_key
from state.runtime.execute import BlockExecution
from state.runtime.explain import WORK_TRIED_MAX, explain
from state.runtime.orders.ordering import SOFTWARE_LINES_MAX
from state.runtime.prices import price_table
from state.runtime.work import BEAT_WORK, WORK
from state.transactions import Transaction
from state.trust_messages import Endorse
from tests.support.amending import amend
from tests.support.attesting import CUSTOMER, PROVIDER, expire_enclave, publish
from tests.support.chain_builders import make_genesis, with_params
from tests.support.ordering import DATA_PLAN, IMAGE_PLAN, OWNER, SECOND_MS, STRANGER, Market

ORDERS = 1_000
"""As many as one message may bring receipts of."""
ROUNDS = 5
FEE = 10_000_000
BEAT_EVERY_S = 60
MANY = 100_000
"""Running orders of a large market."""
DEAR_ORDERS = 32
DEAR_DEPOSIT = 2_000_000
SOFTWARE = publish(ResourceKind.SOFTWARE, plans=(IMAGE_PLAN,))
DATA = publish(ResourceKind.DATA, plans=(DATA_PLAN,))


class Figures:
    """What blocks of one kind cost per piece, in microseconds: medians over rounds."""

    def __init__(self) -> None:
        self.execute: dict[str, float] = {}
        self.end: dict[str, float] = {}

    def show(self, name: str, execute: Sequence[float], end: Sequence[float], count: int, charged: float = 0) -> None:
        """Note and print one row."""
        scale = 1e6 / count
        self.execute[name], self.end[name] = median(execute) * scale, median(end) * scale
        print(f"{name:38}{self.execute[name]:>10.1f}{self.end[name]:>10.1f}{charged or '':>10}")


class Crowd(Market):
    """A market on which a thousand orders live at once."""

    def __init__(self) -> None:
        genesis = with_params(make_genesis(), "blocks", work_max=10**9, bytes_max=4 << 20)
        genesis = with_params(genesis, "market", order_keep_ms=100 * SECOND_MS)
        super().__init__(genesis, capacity=NO_CAPACITY)
        bond = Bond(
            action=BondAction.ADD,
            purpose=BondPurpose.PROVIDER,
            amount=10**9,
            validator=b"",
            consensus_key=b"",
            proof=b"",
        )
        assert self.reason(PROVIDER, bond) == ""
        self.orders: list[bytes] = []
        self.figures = Figures()

    def transactions(self, signer: SigningKey, messages: Sequence[Message]) -> list[Transaction]:
        """Return a transaction for each message, all by one account."""
        first = self.account(self.address_of(signer)).next_nonce
        return [self.sign(signer, message, nonce=first + index, fee=FEE) for index, message in enumerate(messages)]

    def measure(
        self, name: str, signer: SigningKey, messages: Sequence[Message], pieces: int = 0, interval_ms: int = SECOND_MS
    ) -> None:
        """Execute a block some times without keeping it, and show what one message or piece of it costs."""
        transactions = self.transactions(signer, messages)
        count = pieces or len(messages)
        prices = price_table(self.params)
        signature = self.params.fees.signature_work
        charged = sum(prices.work(one) - signature for one in transactions) / count
        runs, ends = self._time(transactions, interval_ms, may_fail=False)
        self.figures.show(name, runs, ends, count, charged)

    def measure_end(self, name: str, pieces: int, interval_ms: int) -> None:
        """Show what the end of a block costs that has so many dates or reviews and no transactions."""
        runs, ends = self._time([], interval_ms, may_fail=False)
        self.figures.show(name, runs, ends, pieces)

    def try_dry(self, name: str, signer: SigningKey, message: Message) -> None:
        """Show how long a dry run of a message takes, which nobody pays for."""
        (transaction,) = self.transactions(signer, [message])
        tip = BlockReference(block_hash=self.parent_hash, height=self.height, time_ms=self.time_ms, result=bytes(32))
        runs = []
        for _ in range(ROUNDS):
            began = time.process_time()
            checks = explain(self.ledger, transaction, self.time_ms, tip)
            runs.append(time.process_time() - began)
        assert all(check.ok for check in checks), [check for check in checks if not check.ok]
        print(f"{'dry run: ' + name:38}{median(runs) * 1e6:>10.1f}")

    def _time(
        self, transactions: Sequence[Transaction], interval_ms: int, *, may_fail: bool
    ) -> tuple[list[float], list[float]]:
        header, runs, ends = self.header(len(transactions), interval_ms), [], []
        for _ in range(ROUNDS):
            overlay = Overlay(self.ledger)
            execution = BlockExecution(overlay, header, self.epoch_start, self.validators)
            began = time.process_time()
            for transaction in transactions:
                execution.apply(transaction)
            ran = time.process_time()
            executed = execution.finish()
            overlay.changes()
            ends.append(time.process_time() - ran)
            runs.append(ran - began)
            outcomes = {receipt.status for receipt in executed.receipts}
            assert may_fail or outcomes <= {ReceiptStatus.OK}, {receipt.reason for receipt in executed.receipts}
        return runs, ends

    def keep(self, signer: SigningKey, messages: Sequence[Message], interval_ms: int = SECOND_MS) -> list[Event]:
        """Make a block of messages final."""
        executed = self.apply(*self.transactions(signer, messages), interval_ms=interval_ms)
        assert {receipt.status for receipt in executed.receipts} == {ReceiptStatus.OK}
        return list(executed.events)

    def step(self, name: str, signer: SigningKey, messages: Sequence[Message]) -> None:
        """Measure a block of messages and make it final."""
        self.measure(name, signer, messages)
        self.keep(signer, messages)

    def messages_of(self, receipts: Sequence[WorkReceipt]) -> list[SendReceipts]:
        """Return the messages that carry receipts which are no beats, as many in each as may be."""
        return [
            self.receipts(*receipts[first : first + DEAR_RECEIPTS_MAX])
            for first in range(0, len(receipts), DEAR_RECEIPTS_MAX)
        ]

    def state_bytes(self) -> int:
        """Return the bytes of all records with their keys."""
        return sum(len(key) + len(value) for key, value in self.state.items())


def live(crowd: Crowd) -> None:
    """Let orders go from their placing to the middle of their life, and measure every message on the way."""
    before = crowd.state_bytes()
    crowd.step("order", CUSTOMER, [crowd.order_message(attempts=3) for _ in range(ORDERS)])
    orders = crowd.orders = crowd.members(ListKind.ORDERS)
    crowd.step("fund", STRANGER, [crowd.fund(order, 1_000) for order in orders])
    crowd.step("accept", PROVIDER, [crowd.accept_message(order) for order in orders])
    crowd.step("grant", OWNER, [crowd.grant_message(order) for order in orders])
    starts = [crowd.start(order) for order in orders]
    crowd.measure("start, each by itself", PROVIDER, [crowd.receipts(start) for start in starts])
    messages = crowd.messages_of(starts)
    crowd.measure(f"start, {DEAR_RECEIPTS_MAX} in one message", PROVIDER, messages, ORDERS)
    crowd.keep(PROVIDER, messages)
    paid = crowd.order(orders[0]).bond_locked // crowd.params.market.storage_bond_per_byte
    held = (crowd.state_bytes() - before) // ORDERS
    print(f"bytes of state per running order: {held}, paid for by its bond: {paid}")


def report(crowd: Crowd) -> None:
    """Measure receipts of running orders and their ends."""
    orders = crowd.orders
    crowd.pass_time(4)
    beats = [crowd.beat(order) for order in orders]
    crowd.measure("beat, each by itself", PROVIDER, [crowd.receipts(beat) for beat in beats])
    crowd.measure("beat, 1,000 in one message", PROVIDER, [crowd.receipts(*beats)], ORDERS)
    crowd.keep(PROVIDER, [crowd.receipts(*beats)])
    crowd.pass_time(5)
    beats = [crowd.beat(order) for order in orders]
    crowd.measure("beat, 1,000 that pay out", PROVIDER, [crowd.receipts(*beats)], ORDERS, 2 * SECOND_MS)
    outputs = [crowd.output(order) for order in orders]
    crowd.measure("output, each by itself", PROVIDER, [crowd.receipts(output) for output in outputs])
    crowd.measure(f"output, {DEAR_RECEIPTS_MAX} in one message", PROVIDER, crowd.messages_of(outputs), ORDERS)
    crowd.measure("close, by the customer", CUSTOMER, [crowd.close(order) for order in orders])
    crowd.measure("close, by the provider: notice", PROVIDER, [crowd.close(order) for order in orders])


def ends(crowd: Crowd) -> None:
    """Measure what blocks do by themselves: dates and reviews."""
    dates, reviews = crowd.params.blocks.deadlines_max, crowd.params.blocks.order_reviews_max
    address = crowd.enclave_of()
    crowd.measure_end(f"date: {dates} beats are missed", dates, 11 * SECOND_MS)
    crowd.measure_end(f"date: {dates} graces are over", dates, 40 * SECOND_MS)
    crowd.govern(lambda context: expire_enclave(context, address))
    crowd.measure_end(f"review: {reviews} orders of a fallen enclave", reviews, 1)


def judge_dearly(crowd: Crowd) -> None:
    """Measure what judges policies, of orders of the most lines, all of whose resources have the dearest policy that there is."""
    software = [crowd.image, *(crowd.publish(CUSTOMER, SOFTWARE) for _ in range(SOFTWARE_LINES_MAX - 1))]
    data = [crowd.publish(OWNER, DATA) for _ in range(LINES_MAX - 1 - SOFTWARE_LINES_MAX)]
    policy = endorse_dearly(crowd, software)
    crowd.keep(CUSTOMER, [amend(each, policy=policy) for each in software])
    crowd.keep(OWNER, [amend(each, policy=policy) for each in data])
    crowd.keep(PROVIDER, [amend(crowd.hardware, policy=policy)])
    lines = (
        crowd.line(LineRole.COMPUTE, crowd.hardware),
        *(crowd.line(LineRole.SOFTWARE, each) for each in software),
        *(crowd.line(LineRole.DATA, each) for each in data),
    )
    placed = [crowd.order_message(lines=lines, deposit=DEAR_DEPOSIT) for _ in range(DEAR_ORDERS)]
    crowd.try_dry("order, 16 dearest policies", CUSTOMER, placed[0])
    crowd.step("order, 16 dearest policies", CUSTOMER, placed)
    orders = crowd.members(ListKind.ORDERS)
    accepts = [crowd.accept_message(order) for order in orders]
    crowd.try_dry("accept, 16 dearest policies", PROVIDER, accepts[0])
    crowd.step("accept, 16 dearest policies", PROVIDER, accepts)
    starts = [crowd.receipts(crowd.start(order)) for order in orders]
    crowd.measure("start, 16 dearest policies", PROVIDER, starts)
    crowd.keep(PROVIDER, starts)
    crowd.pass_time(5)
    beat_count = (WORK_TRIED_MAX - WORK[SendReceipts].units) // BEAT_WORK
    again = [
        replace(crowd.beat(orders[0]), number=crowd.order(orders[0]).receipt_count + index)
        for index in range(beat_count)
    ]
    crowd.try_dry(f"{beat_count} beats in one message", PROVIDER, crowd.receipts(*again))


def endorse_dearly(crowd: Crowd, software: Sequence[bytes]) -> tuple[PolicyNode, ...]:
    """Return the dearest policy: full lists of software, and claims about every release of an order, which are put on record."""
    claims = [f"claim-{number}" for number in range(POLICY_ENDORSEMENTS_MAX)]
    until_ms = crowd.time_ms + 86_400_000
    for each in software:
        subject = numbered_key(each, 0)
        endorsements = [
            Endorse(
                subject_kind=SubjectKind.RELEASE,
                subject=subject,
                claim=claim,
                statement_hash=bytes(32),
                until_ms=until_ms,
            )
            for claim in claims
        ]
        crowd.keep(STRANGER, endorsements)
    others = [bytes((2,)) + number.to_bytes(20, "big") for number in range(NAMES_MAX - len(software))]
    listed = SoftwareIn(
        releases=tuple(ReleaseName(resource=each, release=None) for each in sorted((*software, *others)))
    )
    endorser = crowd.address_of(STRANGER)
    claimed = [Endorsed(subject=SubjectKind.RELEASE, endorser=endorser, claim=claim) for claim in claims]
    conditions = (*(listed,) * (POLICY_CONDITIONS_MAX - len(claimed)), *claimed)
    return (AllOf(count=len(conditions)), *conditions)


def main() -> None:
    """Print all figures."""
    crowd = Crowd()
    print(f"{'microseconds each':38}{'execute':>10}{'end':>10}{'charged':>10}")
    live(crowd)
    report(crowd)
    ends(crowd)
    judge_dearly(Crowd())
    execute, end = crowd.figures.execute, crowd.figures.end
    whole = ("order", "accept", "grant", "start, each by itself", "output, each by itself")
    life_us = sum(execute[name] + end[name] for name in whole)
    print(
        f"\n{1e6 / life_us:.0f} lives of orders per second in one process, from order to last output in five messages"
    )
    beat_us = execute["beat, 1,000 in one message"] + end["beat, 1,000 in one message"]
    seconds = MANY * beat_us / 1e6
    print(
        f"{MANY} running orders: {seconds:.1f} s of CPU for one beat of each, "
        f"{100 * seconds / BEAT_EVERY_S:.0f} % of a core with a beat every {BEAT_EVERY_S} s, in {MANY // ORDERS} messages"
    )


if __name__ == "__main__":
    main()
