"""What proposals change: the checks of each kind, when it is proposed and again when it is applied, and its effect.

Invariant: an effect whose check has just passed on the same state does not fail, so nothing of it needs to be undone.
"""

from __future__ import annotations

from msgspec.structs import asdict, replace

from state.address import ADDRESS_BYTES, AddressKind
from state.deadlines import DeadlineKind, push_deadline
from state.errors import TransactionRejected
from state.governance_messages import (
    ChangeParams,
    ChangeValidator,
    DistrustRoot,
    EndOrder,
    ListPlatform,
    Payload,
    ScheduleNumber,
    SetBrake,
    SetRules,
    SpendTreasury,
    Text,
    Upgrade,
    ValidatorChange,
)
from state.order_records import ORDERS, CloseReason, OrderState
from state.params import Params, ParamsRejected, check_params
from state.receipts import EventKind
from state.records import MONEY, ONLY, PARAMS, VALIDATORS, ValidatorStatus
from state.runtime.accounts.money import credit
from state.runtime.context import Context
from state.runtime.governance.upgrades import check_upgrade, schedule_upgrade
from state.runtime.life_tables import ValidatorTrigger
from state.runtime.orders.books import find_order, put_order
from state.runtime.orders.clock import bring_up_to_date
from state.runtime.orders.steps import close_order
from state.runtime.orders.table import Trigger
from state.runtime.prices import check_votes_payable, check_work_fits
from state.runtime.reasons import TransactionReason
from state.runtime.staking.delegations import find_validator
from state.runtime.staking.roster import can_spare, is_eligible, leave_roster, mark_set_stale, set_status
from state.runtime.trust.rules import (
    check_brake,
    check_distrust,
    check_number,
    distrust_root,
    list_platform,
    schedule_number,
    set_brake,
    set_rules,
)
from state.trust_records import Brake, BrakeScope
from tee.appraisal import PlatformClass


def check_new_payload(context: Context, payload: Payload) -> None:
    """Check that a change may be proposed: it can be applied now, and a date of its own that voting may outlast lies ahead.

    Raises:
        TransactionRejected: UNTIL_PAST, and those of `check_payload`.
    """
    if isinstance(payload, ScheduleNumber) and payload.due_ms <= context.time_ms:
        raise TransactionRejected(TransactionReason.UNTIL_PAST, payload.due_ms, context.time_ms)
    check_payload(context, payload)


def check_payload(context: Context, payload: Payload) -> None:
    """Check that a change can be applied now.

    Raises:
        TransactionRejected: PAYLOAD_MALFORMED, BAD_SUBJECT, TOO_MANY_ROOTS, NUMBER_NOT_HIGHER, TOO_LATE, NO_VALIDATOR, TOMBSTONED,
            BELOW_MINIMUM_SET, NOT_AN_ACCOUNT, ZERO_AMOUNT, TREASURY_TOO_LOW, UNTIL_PAST, BRAKE_TOO_LONG, TOO_MANY_BRAKES, NO_ORDER,
            WRONG_STATE.
    """
    match payload:
        case ChangeParams():
            _check_params(context, payload)
        case SetRules():
            pass
        case ListPlatform(platform=platform):
            _check_subject(is_platform(platform), platform)
        case DistrustRoot(fingerprint=fingerprint):
            check_distrust(context, fingerprint)
        case ScheduleNumber(root=root, number=number):
            check_number(context, root, number)
        case Upgrade():
            check_upgrade(context, payload)
        case ChangeValidator():
            _check_validator(context, payload)
        case SpendTreasury():
            _check_spending(context, payload)
        case SetBrake(brake=brake):
            _check_brake(context, brake)
        case EndOrder(order=order):
            _check_order(context, order)
        case Text(statement_hash=statement_hash):
            if len(statement_hash) not in {0, 32}:
                raise _malformed(statement_hash.hex(), "32 bytes or none")


def apply_payload(context: Context, number: int, payload: Payload) -> None:
    """Apply the change of the proposal with this number, whose check has just passed."""
    match payload:
        case ChangeParams():
            _change_params(context, number, payload)
        case SetRules(rules=rules):
            set_rules(context, rules)
        case ListPlatform(platform=platform, verdict=verdict):
            list_platform(context, platform, verdict)
        case DistrustRoot(fingerprint=fingerprint):
            distrust_root(context, fingerprint)
        case ScheduleNumber(root=root, number=evaluation, due_ms=due_ms):
            schedule_number(context, root, evaluation, due_ms)
        case Upgrade():
            schedule_upgrade(context, payload)
        case ChangeValidator():
            _change_validator(context, payload)
        case SpendTreasury(to=to, amount=amount):
            money = context.ledger.get(MONEY, ONLY)
            context.ledger.put(MONEY, ONLY, replace(money, treasury=money.treasury - amount))
            credit(context, to, amount)
        case SetBrake(brake=brake):
            set_brake(context, brake)
        case EndOrder(order=order):
            _end_order(context, order)
        case Text():
            pass


def changed_params(params: Params, change: ChangeParams) -> Params:
    """Return parameters with the groups of a change in their places."""
    return replace(params, **{name: group for name, group in asdict(change).items() if group is not None})


def _check_params(context: Context, change: ChangeParams) -> None:
    params = context.ledger.get(PARAMS, ONLY)
    changed = changed_params(params, change)
    if changed == params:
        raise _malformed("nothing changes")
    try:
        check_params(changed)
        check_work_fits(changed)
        check_votes_payable(changed)
    except ParamsRejected as rejection:
        raise _malformed(str(rejection)) from rejection


def _change_params(context: Context, number: int, change: ChangeParams) -> None:
    """Write parameters; blocks from the next one on execute under them."""
    ledger = context.ledger
    ledger.put(PARAMS, ONLY, changed_params(ledger.get(PARAMS, ONLY), change))
    if change.consensus is not None:
        mark_set_stale(context)
    if change.attestation is not None:
        # Enclaves are judged again in a later block: in this one the parameters of before count.
        push_deadline(ledger, DeadlineKind.RULES_DUE, b"", context.time_ms + 1)
    context.emit(EventKind.PARAMS_CHANGED, proposal=number)


def is_platform(platform: bytes) -> bool:
    """Tell whether bytes can be the lasting id of a machine."""
    return len(platform) >= 2 and platform[0] in set(PlatformClass)


def _check_subject(is_subject: bool, subject: bytes) -> None:
    if not is_subject:
        raise TransactionRejected(TransactionReason.BAD_SUBJECT, subject.hex())


def _check_validator(context: Context, change: ChangeValidator) -> None:
    validator = find_validator(context, change.validator)
    if validator.status is ValidatorStatus.TOMBSTONED:
        raise TransactionRejected(TransactionReason.TOMBSTONED, change.validator.hex())
    if is_eligible(validator) and not can_spare(context, change.validator):
        raise TransactionRejected(TransactionReason.BELOW_MINIMUM_SET, change.validator.hex())


def _change_validator(context: Context, change: ChangeValidator) -> None:
    """Jail a validator, also one that is outside and may come back; or take it off the roster."""
    ledger, address = context.ledger, change.validator
    validator = ledger.get(VALIDATORS, address)
    match change.change:
        case ValidatorChange.JAIL:
            jailed_until_ms = max(validator.jailed_until_ms, context.time_ms + context.params.staking.jail_ms)
            trigger, status = ValidatorTrigger.GOVERNANCE_JAIL, ValidatorStatus.JAILED
            is_out = not is_eligible(validator)
            validator = replace(validator, jailed_until_ms=jailed_until_ms)
        case ValidatorChange.REMOVE:
            trigger, status = ValidatorTrigger.GOVERNANCE_REMOVE, ValidatorStatus.UNBONDING
            is_out = validator.status is ValidatorStatus.UNBONDING
            leave_roster(context, address)
    if not is_out:
        validator = set_status(context, address, validator, trigger, status)
    ledger.put(VALIDATORS, address, validator)


def _check_spending(context: Context, spending: SpendTreasury) -> None:
    if spending.to[0] != AddressKind.ACCOUNT:
        raise TransactionRejected(TransactionReason.NOT_AN_ACCOUNT, spending.to.hex())
    if spending.amount == 0:
        raise TransactionRejected(TransactionReason.ZERO_AMOUNT, 0, 1)
    treasury = context.ledger.get(MONEY, ONLY).treasury
    if spending.amount > treasury:
        raise TransactionRejected(TransactionReason.TREASURY_TOO_LOW, spending.amount, treasury)


def _check_brake(context: Context, brake: Brake) -> None:
    _check_subject(_is_braked_thing(brake.scope, brake.subject), brake.subject)
    if brake.until_ms <= context.time_ms:
        raise TransactionRejected(TransactionReason.UNTIL_PAST, brake.until_ms, context.time_ms)
    check_brake(context, brake)


def _is_braked_thing(scope: BrakeScope, subject: bytes) -> bool:
    """Tell whether bytes can name what a brake of this scope stops."""
    match scope:
        case BrakeScope.ATTESTATIONS | BrakeScope.ORDERS:
            return not subject
        case BrakeScope.TEE:
            return len(subject) == 1
        case BrakeScope.PRODUCT:
            return len(subject) in {1, 6}
        case BrakeScope.PLATFORM:
            return is_platform(subject)
        case BrakeScope.RELEASE:
            return len(subject) == ADDRESS_BYTES + 8 and subject[0] == AddressKind.RESOURCE


def _check_order(context: Context, address: bytes) -> None:
    order = context.ledger.find(ORDERS, address)
    if order is None:
        raise TransactionRejected(TransactionReason.NO_ORDER, address.hex())
    if order.state is OrderState.CLOSED:
        raise TransactionRejected(TransactionReason.WRONG_STATE, order.state.name.lower())


def _end_order(context: Context, address: bytes) -> None:
    """End an order with what it has earned by now, and no penalty, unless a date that has come ends it otherwise."""
    terms, order = find_order(context.ledger, address)
    order = bring_up_to_date(context, address, terms, order)
    if order.state is not OrderState.CLOSED:
        order = close_order(context, address, terms, order, CloseReason.GOVERNANCE, trigger=Trigger.GOVERNANCE)
    put_order(context, address, terms, order)


def _malformed(seen: str, bound: object = None) -> TransactionRejected:
    return TransactionRejected(TransactionReason.PAYLOAD_MALFORMED, seen, bound)
