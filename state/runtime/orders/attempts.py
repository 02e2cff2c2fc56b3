"""The checks of `order` and `accept` one by one, for the dry run: each by name, with what was found also where it holds.

The functions are those that execution calls (state/runtime/orders/ordering.py, accepting.py); they run on ledgers of their own, so
that none takes what another needs. The handler runs afterwards, so nothing rests on this list being whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property, partial

from msgspec import Struct
from msgspec.structs import replace

from state.address import format_address
from state.ledger import Overlay
from state.offers import Plan
from state.order_messages import Accept, PlaceOrder, order_address
from state.order_records import Order, OrderState, OrderTerms
from state.order_terms import AgreedLine
from state.policies import PolicyNode
from state.policy_judgement import Facts, Verdict, judge_policy
from state.resource_records import RESOURCES
from state.runtime.accounts.money import debit
from state.runtime.context import Context
from state.runtime.orders.accepting import (
    agree_on_penalty,
    check_funds,
    choose_plan,
    find_able,
    find_open,
    find_outputs,
)
from state.runtime.orders.ordering import (
    agree,
    build_order,
    build_terms,
    check_after,
    check_brakes,
    check_deposit,
    check_requirements,
    check_shape,
)
from state.runtime.orders.policies import check_may_run, facts_of
from state.runtime.orders.settlement import TIME_UNITS, free_funds, least_cost
from state.runtime.orders.steps import reserve_machine
from state.runtime.policy import check_not_denied
from state.trust_records import Enclave
from tee.evidence import EvidenceKind

Found = tuple[object, object]
"""What a check found, and what is expected; empty texts where there is no more to say than that it holds."""
NO_MORE: Found = ("", "")


class OrderCheck(Struct, frozen=True):
    """One check, to be made if those that it needs were passed."""

    name: str
    needs: tuple[str, ...]
    run: Callable[[], Found]
    """Raises TransactionRejected."""


def order_checks(context: Context, sender: bytes, message: PlaceOrder | Accept) -> tuple[OrderCheck, ...]:
    """Return the checks of a message, in the order in which execution makes them."""
    if isinstance(message, PlaceOrder):
        return _Placing(context, sender, message).checks()
    return _Accepting(context, sender, message).checks()


def _aside(context: Context) -> Context:
    """Return a context whose writes nobody sees."""
    aside = Context(
        Overlay(context.ledger), context.params, context.chain_id, context.epoch, context.height, context.time_ms
    )
    aside.nonce, aside.message_index = context.nonce, context.message_index
    return aside


class _Placing:
    """One order on its way through the checks."""

    def __init__(self, context: Context, sender: bytes, message: PlaceOrder) -> None:
        self.context = _aside(context)
        self.sender = sender
        self.message = message
        self.agreed: dict[int, AgreedLine] = {}

    def checks(self) -> tuple[OrderCheck, ...]:
        """Return its checks."""
        message = self.message
        names = [f"line {index} {line.role.name.lower()}" for index, line in enumerate(message.lines)]
        lines = [OrderCheck(name, ("shape",), partial(self._check_line, index)) for index, name in enumerate(names)]
        policies = [
            OrderCheck(f"policy of line {index}", tuple(names), partial(self._check_policy, address))
            for index, address in _distinct(line.resource for line in message.lines)
        ]
        if message.constraints:
            policies.append(OrderCheck("constraints", tuple(names), partial(self._check_policy, b"")))
        return (
            OrderCheck("brakes", (), self._check_brakes),
            OrderCheck("shape", (), self._check_shape),
            OrderCheck("after", (), self._check_after),
            *lines,
            OrderCheck("requirements", tuple(names), self._check_requirements),
            *policies,
            OrderCheck("deposit", tuple(names), self._check_deposit),
            OrderCheck("balance", tuple(names), self._check_balance),
        )

    @property
    def lines(self) -> tuple[AgreedLine, ...]:
        """All lines, once each has passed."""
        return tuple(self.agreed[index] for index in range(len(self.message.lines)))

    @cached_property
    def terms(self) -> OrderTerms:
        """The terms that the order would have."""
        return build_terms(self.message, self.lines, self.sender, self.context.time_ms, self.context.height)

    @cached_property
    def order(self) -> Order:
        """The order as it would begin."""
        return build_order(self.context, self.message, self.terms)

    def _check_brakes(self) -> Found:
        check_brakes(self.context)
        return NO_MORE

    def _check_shape(self) -> Found:
        check_shape(self.context, self.message)
        context = self.context
        address = order_address(context.chain_id, self.sender, context.nonce, context.message_index)
        return f"makes {format_address(address)}", ""

    def _check_after(self) -> Found:
        check_after(self.context, self.sender, self.message.after)
        return NO_MORE

    def _check_line(self, index: int) -> Found:
        line = self.agreed[index] = agree(self.context, self.message, self.message.lines[index])
        if line.plan is None:
            return f"any hardware, at most {line.price_max} ubocc a second and unit", ""
        sealed = "; its owner must release a key" if line.is_sealed else ""
        return f"{_words_of(line.plan, line.quantity)}{sealed}", f"at most {line.price_max} ubocc each"

    def _check_requirements(self) -> Found:
        check_requirements(self.context, self.message, self.lines)
        return NO_MORE

    def _check_policy(self, address: bytes) -> Found:
        policy, facts = _judged(self.context, self.terms, self.order, address)
        if not policy:
            return "no conditions", ""
        if judge_policy(policy, facts).verdict is Verdict.TRUE:
            return "holds", ""
        check_not_denied(policy, facts)
        return "not denied; decided when a provider accepts", ""

    def _check_deposit(self) -> Found:
        least = check_deposit(self.message, self.lines)
        return self.message.deposit, f"at least {least}"

    def _check_balance(self) -> Found:
        deposit, bond = self.message.deposit, self.order.bond_locked
        debit(self.context, self.sender, deposit + bond)
        return f"pays {deposit + bond}", f"deposit {deposit} and bond {bond}"


class _Accepting:
    """One acceptance on its way through the checks."""

    def __init__(self, context: Context, sender: bytes, message: Accept) -> None:
        self.context = _aside(context)
        self.sender = sender
        self.message = message
        self.terms: OrderTerms
        self.order: Order

    def checks(self) -> tuple[OrderCheck, ...]:
        """Return its checks."""
        return (
            OrderCheck("order", (), self._check_order),
            OrderCheck("after", ("order",), self._check_outputs),
            OrderCheck("enclave", ("order",), self._check_enclave),
            OrderCheck("plan", ("enclave",), self._check_plan),
            OrderCheck("funds", ("plan",), self._check_funds),
            OrderCheck("policies", ("plan",), self._check_policies),
            OrderCheck("capacity", ("plan",), self._check_capacity),
            OrderCheck("bond", ("plan",), self._check_bond),
        )

    def _check_order(self) -> Found:
        self.terms, self.order = find_open(self.context, self.message.order)
        return f"open, {self.order.attempts_left} attempts left after this", ""

    def _check_outputs(self) -> Found:
        find_outputs(self.context, self.terms)
        return NO_MORE

    def _check_enclave(self) -> Found:
        enclave = find_able(self.context, self.sender, self.message.enclave, self.terms)
        self.order = replace(
            self.order,
            state=OrderState.ACCEPTED,
            enclave=self.message.enclave,
            operator=self.sender,
            hardware=enclave.hardware,
        )
        return _words_of_enclave(enclave), f"level {self.terms.level_min}"

    def _check_plan(self) -> Found:
        self.order = choose_plan(self.context, self.message, self.terms, self.order)
        assert self.order.plan is not None, "its plan was just chosen"
        return _words_of(self.order.plan, self.terms.lines[0].quantity), ""

    def _check_funds(self) -> Found:
        least = check_funds(self.terms, self.order)
        return free_funds(self.order), f"at least {least}"

    def _check_policies(self) -> Found:
        check_may_run(self.context, self.terms, self.order)
        return "all hold", ""

    def _check_capacity(self) -> Found:
        reserve_machine(self.context, self.message.order, self.terms, self.order)
        return NO_MORE

    def _check_bond(self) -> Found:
        penalty = agree_on_penalty(self.context, self.sender, self.message, self.terms, self.order)
        return f"{penalty} stand for the order", f"at most {self.message.penalty_max}"


def _distinct(addresses: Iterable[bytes]) -> list[tuple[int, bytes]]:
    """Return the first place of each address that is named."""
    places: dict[bytes, int] = {}
    for index, address in enumerate(addresses):
        if address:
            places.setdefault(address, index)
    return [(index, address) for address, index in places.items()]


def _judged(context: Context, terms: OrderTerms, order: Order, address: bytes) -> tuple[tuple[PolicyNode, ...], Facts]:
    """Return the policy of a resource, or the constraints for no bytes, and what it is judged by."""
    resource = context.ledger.get(RESOURCES, address) if address else None
    policy = terms.constraints if resource is None else resource.policy
    return policy, facts_of(context, terms, order, address, resource)


def _words_of(plan: Plan, quantity: int) -> str:
    """Return what a plan costs."""
    each = "a second and unit" if plan.unit in TIME_UNITS else f"each, {plan.unit.name.lower()}"
    return f"plan {plan.number}: {plan.price} ubocc {each}, at least {least_cost(plan, quantity)} for {quantity}"


def _words_of_enclave(enclave: Enclave) -> str:
    simulated = "SIMULATED, " if enclave.is_simulated else ""
    return f"{simulated}{EvidenceKind(enclave.tee).name.lower()}, {enclave.state.name.lower()}, level {enclave.level}"
