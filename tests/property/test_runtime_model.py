"""Execution against a naive second implementation: dicts of integers, exact fractions for rewards, no shares, no accumulators.

The model knows accounts that transfer, delegate, withdraw, claim and put up security, and reporters that convict. It predicts the
outcome of each transaction and all balances. Rewards it knows exactly; what a claim pays may be less by the rounding of its
settlements, and never more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from state import queries
from state.codec import INTEGER_MAX
from state.messages import BondAction, BondPurpose, Message
from state.receipts import EventKind, ReceiptStatus
from state.runtime.execute import Executed
from state.votes import VoteKind
from tests.support.chain_builders import (
    FEE,
    World,
    account,
    account_key,
    bond,
    delegate,
    make_genesis,
    make_report,
    make_vote,
    operator,
    transfer,
    undelegate,
    validator_key,
)

PEOPLE, VALIDATORS = 3, 3
Part = tuple[bytes, bytes]
"""Validator and owner."""


class Step(Struct, frozen=True):
    """One transaction: what, by whom, to whom, how much (by edge or as it stands), and the time of its block."""

    kind: str
    who: int
    other: int
    edge: str
    amount: int
    interval_ms: int


class Waiting(Struct):
    """Money that a withdrawal waits for."""

    due_ms: int
    owner: bytes
    validator: bytes | None
    amount: Fraction


@dataclass
class Model:
    """All money, one entry for each part of it."""

    balances: dict[bytes, int]
    stakes: dict[Part, Fraction] = field(default_factory=dict)
    rewards: dict[Part, Fraction] = field(default_factory=dict)
    security: dict[bytes, int] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    convicts: set[bytes] = field(default_factory=set)
    rounded: dict[Part, int] = field(default_factory=dict)
    """What the chain says that parts of convicts are worth, within 2 ubocc of the exact fraction."""
    members: frozenset[bytes] = frozenset()
    """Validators in the set of the block: a worthless part of another one ends with a claim."""

    def worth(self, part: Part) -> int:
        """Return what may be withdrawn at most."""
        return self.rounded.get(part, int(self.stakes.get(part, 0)))

    def find_failure(self, who: bytes, step: Step, amount: int) -> bool:
        """Tell whether a message must fail after its fee was paid."""
        validator = operator(step.other % VALIDATORS)
        match step.kind:
            case "transfer" | "secure":
                return not 0 < amount <= self.balances[who]
            case "delegate":
                return validator in self.convicts or not 0 < amount <= self.balances[who]
            case "withdraw":
                return not 0 < amount <= self.worth((validator, who))
            case "release":
                return not 0 < amount <= self.security.get(who, 0)
            case "claim":
                return (validator, who) not in self.stakes
            case _:
                return validator in self.convicts

    def apply(self, who: bytes, step: Step, amount: int, time_ms: int, paid: int) -> None:
        """Apply a message that succeeds; `paid` is what a claim paid."""
        validator = operator(step.other % VALIDATORS)
        part = (validator, who)
        due_ms = time_ms + 300_000
        match step.kind:
            case "transfer":
                self.balances[who] -= amount
                self.balances[account(step.other)] += amount
            case "secure":
                self.balances[who] -= amount
                self.security[who] = self.security.get(who, 0) + amount
            case "release":
                self.security[who] -= amount
                self.waiting.append(Waiting(due_ms, who, None, Fraction(amount)))
            case "delegate":
                self.balances[who] -= amount
                self.stakes[part] = self.stakes.get(part, Fraction(0)) + amount
            case "withdraw":
                is_all = amount == self.worth(part)
                self.stakes[part] -= amount
                bound = None if validator in self.convicts else validator
                self.waiting.append(Waiting(due_ms, who, bound, Fraction(amount)))
                if is_all:
                    del self.stakes[part]
                    self.rounded.pop(part, None)
                    self.take_rewards(part, paid)
            case "claim":
                self.take_rewards(part, paid)
                if self.worth(part) == 0 and validator not in self.members:
                    del self.stakes[part]
                    self.rounded.pop(part, None)
            case _:
                self.convict(validator, who)

    def take_rewards(self, part: Part, paid: int) -> None:
        """Pay out rewards; the exact amount bounds what was paid."""
        owed = self.rewards.get(part, Fraction(0))
        assert owed - 20 < paid <= owed
        self.rewards[part] = owed - paid
        self.balances[part[1]] += paid

    def convict(self, validator: bytes, reporter: bytes) -> None:
        """Slash every part by 5 %; the reporter has 5 % of the slash."""
        self.convicts.add(validator)
        bonded = sum(worth for part, worth in self.stakes.items() if part[0] == validator)
        unbonding = sum(entry.amount for entry in self.waiting if entry.validator == validator)
        slashed = int(bonded) * 5 // 100 + int(unbonding) * 5 // 100
        for part in self.stakes:
            if part[0] == validator:
                self.stakes[part] *= 1 - Fraction(int(bonded) * 5 // 100) / bonded
        for entry in self.waiting:
            if entry.validator == validator:
                entry.amount *= 1 - Fraction(int(unbonding) * 5 // 100) / unbonding
        self.balances[reporter] += slashed * 5 // 100

    def end_block(self, world: World, fees: int, time_ms: int) -> None:
        """Share the fees by power and stake, then pay out what is due in its slot of 256 ms."""
        for member in world.validators.members:
            parts = {part: worth for part, worth in self.stakes.items() if part[0] == member.address}
            share = Fraction(fees * member.power, world.validators.total_power)
            for part, worth in parts.items():
                earned = share * worth / sum(parts.values())
                self.rewards[part] = self.rewards.get(part, Fraction(0)) + earned
        due = [entry for entry in self.waiting if -(-entry.due_ms // 256) * 256 <= time_ms]
        self.waiting = [entry for entry in self.waiting if entry not in due]
        for entry in due:
            self.balances[entry.owner] += int(entry.amount)


def start() -> tuple[World, Model]:
    """Return a world and its model at genesis."""
    world = World(make_genesis(VALIDATORS))
    owners = [account(index) for index in range(PEOPLE)]
    operators = [operator(index) for index in range(VALIDATORS)]
    model = Model({owner: world.balance(owner) for owner in (*owners, *operators)})
    for address in operators:
        model.stakes[address, address] = Fraction(10**13)
    return world, model


def amount_of(step: Step, model: Model, who: bytes) -> int:
    """Return a step's amount; edges are those of what its kind could move at most."""
    validator = operator(step.other % VALIDATORS)
    most = {
        "withdraw": model.worth((validator, who)),
        "release": model.security.get(who, 0),
    }.get(step.kind, max(model.balances[who] - FEE, 0))
    edges = {"zero": 0, "one": 1, "max-1": max(most - 1, 0), "max": most, "max+1": most + 1, "huge": INTEGER_MAX}
    return edges.get(step.edge, step.amount)


def message_of(step: Step, world: World, amount: int) -> Message:
    """Return a step's message."""
    index = step.other % VALIDATORS
    validator = operator(index)
    match step.kind:
        case "transfer":
            return transfer(account(step.other), amount)
        case "delegate":
            return delegate(validator, amount)
        case "withdraw":
            return undelegate(validator, amount)
        case "claim":
            return bond(BondAction.CLAIM, BondPurpose.DELEGATE, 0, validator)
        case "secure":
            return bond(BondAction.ADD, BondPurpose.PROVIDER, amount)
        case "release":
            return bond(BondAction.REMOVE, BondPurpose.PROVIDER, amount)
        case _:
            epoch = world.epoch_start.epoch
            votes = [
                make_vote(world.chain_id, validator_key(index), VoteKind.NOTARIZE, epoch, 1, block) for block in (1, 2)
            ]
            return make_report(validator, *votes)


def paid_in(executed: Executed) -> int:
    """Return the rewards that a block's transaction paid out."""
    return sum(dict(event.attributes)["amount"] for event in executed.events if event.kind is EventKind.REWARDS_CLAIMED)


def run_step(world: World, model: Model, step: Step) -> None:
    """Apply one block with one transaction to both, and compare."""
    who = account(step.who)
    amount = amount_of(step, model, who)
    validators = world.validators
    model.members = frozenset(member.address for member in validators.members)
    can_pay = model.balances[who] >= FEE
    executed = world.apply(
        world.sign(account_key(step.who), message_of(step, world, amount)), interval_ms=step.interval_ms
    )
    (receipt,) = executed.receipts
    model.balances[who] -= FEE if can_pay else 0
    fails = not can_pay or model.find_failure(who, step, amount)
    assert (receipt.status is ReceiptStatus.FAILED) is fails, receipt.reason
    if not fails:
        model.apply(who, step, amount, world.time_ms, paid_in(executed))
    world_validators, world.validators = world.validators, validators
    model.end_block(world, receipt.fee, world.time_ms)
    world.validators = world_validators
    compare(world, model)


def compare(world: World, model: Model) -> None:
    """Compare every balance and every part of a stake; exact fractions round down to what the chain has, or one above it."""
    for address, balance in model.balances.items():
        assert abs(balance - world.balance(address)) <= 2 * len(model.convicts)
        model.balances[address] = world.balance(address)
        view = queries.find_account(world.ledger, address)
        assert view is not None
        parts = {part[0]: worth for part, worth in model.stakes.items() if part[1] == address}
        assert {held.validator for held in view.delegations} == set(parts)
        for held in view.delegations:
            part = (held.validator, address)
            if held.validator in model.convicts:
                assert abs(held.worth - parts[held.validator]) < 3
                model.rounded[part] = held.worth
            assert held.worth == model.worth(part)
            owed = model.rewards.get(part, Fraction(0))
            assert owed - 20 < held.rewards <= owed
    money = queries.money(world.ledger)
    assert sum(world.scan().values()) + money.fee_pool + money.treasury + money.burned == money.issued


KINDS = ("transfer", "transfer", "delegate", "delegate", "withdraw", "withdraw", "claim", "secure", "release", "report")
STEPS = st.builds(
    Step,
    kind=st.sampled_from(KINDS),
    who=st.integers(0, PEOPLE - 1),
    other=st.integers(0, PEOPLE - 1),
    edge=st.sampled_from(("zero", "one", "max-1", "max", "max+1", "huge", "as is", "as is", "as is", "as is")),
    amount=st.one_of(st.integers(1, 10), st.integers(1, 10**12)),
    interval_ms=st.sampled_from((1, 255, 1_000, 299_999, 300_000)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_execution_agrees_with_the_model(steps: list[Step]) -> None:
    world, model = start()
    for step in steps:
        run_step(world, model, step)
