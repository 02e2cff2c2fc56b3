"""What must hold of what an owner offers, whether it is published or amended: policy, plans, payees, vault, capacity."""

from __future__ import annotations

from itertools import pairwise

from state.address import AddressKind
from state.errors import TransactionRejected
from state.offers import Capacity, Payee, Plan, ResourceKind
from state.params import BASIS_POINTS
from state.policies import Policy, is_well_formed
from state.resource_records import RESOURCES
from state.runtime.context import Context
from state.runtime.orders.settlement import TIME_UNITS
from state.runtime.reasons import TransactionReason


def check_policy(policy: Policy) -> None:
    """POLICY_MALFORMED."""
    if not is_well_formed(policy):
        raise TransactionRejected(TransactionReason.POLICY_MALFORMED, len(policy))


def check_plans(context: Context, kind: ResourceKind, plans: tuple[Plan, ...], first: int) -> None:
    """PLANS_MALFORMED, CAPACITY_MALFORMED, PLAN_MALFORMED. The plans' numbers count on from `first`.

    What a plan costs needs no bound: it leaves an escrow or is never paid.
    """
    for number, plan in enumerate(plans, first):
        if plan.number != number:
            raise TransactionRejected(TransactionReason.PLANS_MALFORMED, f"number {plan.number}", number)
        if 0 < plan.max_term_ms < plan.min_term_ms:
            raise TransactionRejected(TransactionReason.PLANS_MALFORMED, plan.min_term_ms, plan.max_term_ms)
        check_capacity(plan.capacity)
        _check_beats(context, kind, plan)


def _check_beats(context: Context, kind: ResourceKind, plan: Plan) -> None:
    """PLAN_MALFORMED: whether a machine whose time is paid proves it often enough, and no more often than the chain allows."""
    beat_every_ms, least_ms = plan.service_level.beat_every_ms, context.params.market.beat_ms_min
    is_timed = kind is ResourceKind.HARDWARE and plan.unit in TIME_UNITS
    if beat_every_ms < least_ms and (beat_every_ms or is_timed):
        raise TransactionRejected(TransactionReason.PLAN_MALFORMED, f"beat_every_ms {beat_every_ms}", least_ms)


def check_payees(payees: tuple[Payee, ...]) -> None:
    """NOT_AN_ACCOUNT, PAYEES_MALFORMED."""
    for payee in payees:
        if payee.account[0] != AddressKind.ACCOUNT:
            raise TransactionRejected(TransactionReason.NOT_AN_ACCOUNT, payee.account.hex())
    accounts = [payee.account for payee in payees]
    shares = sum(payee.share_bp for payee in payees)
    if any(left >= right for left, right in pairwise(accounts)) or shares not in {0, BASIS_POINTS}:
        raise TransactionRejected(TransactionReason.PAYEES_MALFORMED, shares, BASIS_POINTS)


def check_vault(context: Context, vault: bytes) -> None:
    """NO_RESOURCE, WRONG_RESOURCE_KIND: whether it is software, or no bytes."""
    if not vault:
        return
    resource = context.ledger.find(RESOURCES, vault)
    if resource is None:
        raise TransactionRejected(TransactionReason.NO_RESOURCE, vault.hex())
    if resource.kind is not ResourceKind.SOFTWARE:
        raise TransactionRejected(TransactionReason.WRONG_RESOURCE_KIND, resource.kind.name.lower(), "software")


def check_capacity(capacity: Capacity) -> None:
    """CAPACITY_MALFORMED."""
    models = [gpu.model for gpu in capacity.gpus]
    if any(left >= right for left, right in pairwise(models)):
        raise TransactionRejected(TransactionReason.CAPACITY_MALFORMED, " ".join(models), "sorted, distinct models")
