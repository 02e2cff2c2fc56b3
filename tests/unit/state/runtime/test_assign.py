"""assign: both owners sign, what goes along, what stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from state.crypto import SigningKey
from state.lists import ListKind
from state.messages import AuthKey, Message, Scope, SetAuth
from state.offers import Payee, ResourceKind
from state.receipts import EventKind, ReceiptStatus
from state.resource_messages import Assign
from state.resource_records import RESOURCES, Resource, ResourceStatus
from state.runtime.execute import Executed
from state.runtime.explain import explain
from state.runtime.reasons import TransactionReason
from state.transactions import sign_transaction
from state.trust_records import EnclaveState
from tests.support.amending import amend, assign
from tests.support.attesting import CUSTOMER, DAY_MS, EMPTY_RELEASE, FEE, POSTER, PROVIDER, Lab, publish
from tests.support.chain_builders import account, account_key, transfer
from tests.support.ordering import SLICE

STRANGER = account_key(4)
NEWCOMER = SigningKey(b"\x21" * 32)
KEYS = sorted((SigningKey(bytes([number]) * 32) for number in range(1, 4)), key=lambda key: key.public_key)
PAYEES = (Payee(account=account(4), share_bp=10_000),)


@pytest.fixture
def lab() -> Lab:
    lab = Lab(is_bare=True)
    lab.image = lab.publish(CUSTOMER, publish(ResourceKind.DATA, release=EMPTY_RELEASE, payees=PAYEES))
    return lab


def give(lab: Lab, signers: Sequence[SigningKey], *messages: Message) -> Executed:
    """Apply messages of the customer's under these signatures."""
    return lab.apply(lab.sign(signers, *messages, sender=account(1), fee=FEE))


def reason_of(lab: Lab, signers: Sequence[SigningKey], *messages: Message) -> str:
    return give(lab, signers, *messages).receipts[0].reason


def resource(lab: Lab, address: bytes) -> Resource:
    return lab.ledger.get(RESOURCES, address)


def set_resource(lab: Lab, address: bytes, **changes: object) -> None:
    changed = replace(resource(lab, address), **changes)
    lab.govern(lambda context: context.ledger.put(RESOURCES, address, changed))


@pytest.mark.parametrize("keeps_payees", [False, True])
def test_a_resource_goes_to_a_new_owner_with_its_bond(lab: Lab, keeps_payees: bool) -> None:
    before, balances = resource(lab, lab.image), [lab.balance(account(number)) for number in (1, 2)]
    executed = give(lab, [CUSTOMER, POSTER], assign(lab.image, account(2), keeps_payees=keeps_payees))
    assert executed.receipts[0].reason == ""
    assert [(event.kind, dict(event.attributes)) for event in executed.events] == [
        (EventKind.ASSIGNED, {"resource": lab.image, "owner": account(1), "to": account(2)})
    ]
    payees = PAYEES if keeps_payees else ()
    assert resource(lab, lab.image) == replace(before, owner=account(2), payees=payees)
    assert lab.members(ListKind.OWNER, account(1)) == []
    assert lab.members(ListKind.OWNER, account(2)) == lab.members(ListKind.RESOURCES) == [lab.image]
    assert [lab.balance(account(number)) for number in (1, 2)] == [balances[0] - FEE, balances[1]]


def test_the_new_owner_amends_and_the_old_one_does_not(lab: Lab) -> None:
    give(lab, [CUSTOMER, POSTER], assign(lab.image, account(2)))
    message = amend(lab.image, status=ResourceStatus.PAUSED)
    assert lab.reason(CUSTOMER, message) == TransactionReason.NOT_OWNER
    assert lab.reason(POSTER, message) == ""


def test_an_account_that_does_not_exist_yet_takes_a_resource_by_its_own_key(lab: Lab) -> None:
    to = lab.address_of(NEWCOMER)
    assert reason_of(lab, [CUSTOMER, NEWCOMER], assign(lab.image, to)) == ""
    assert resource(lab, lab.image).owner == to


@pytest.mark.parametrize(
    "signers",
    [
        pytest.param([CUSTOMER], id="new owner has not signed"),
        pytest.param([POSTER], id="old owner has not signed"),
        pytest.param([CUSTOMER, STRANGER], id="a stranger in place of the new owner"),
        pytest.param([CUSTOMER, POSTER, STRANGER], id="a stranger too"),
    ],
)
def test_an_assignment_is_signed_by_both_owners_alone(lab: Lab, signers: list[SigningKey]) -> None:
    balance = lab.balance(account(1))
    assert reason_of(lab, signers, assign(lab.image, account(2))) == TransactionReason.UNAUTHORISED
    assert (resource(lab, lab.image).owner, lab.balance(account(1))) == (account(1), balance)


def test_an_assignment_without_the_new_owners_signature_does_not_stand_in_its_way(lab: Lab) -> None:
    full = lab.sign([CUSTOMER, POSTER], assign(lab.image, account(2)), fee=FEE)
    stripped = sign_transaction(lab.chain_id, full.body, (CUSTOMER,))
    assert stripped.tx_id == full.tx_id
    assert lab.apply(stripped).receipts[0].fee == 0
    assert lab.apply(full).receipts[0].status is ReceiptStatus.OK


def test_signatures_for_an_assignment_do_not_let_the_new_owner_act_for_the_sender(lab: Lab) -> None:
    message = transfer(account(2), 1)
    assert reason_of(lab, [POSTER], assign(lab.image, account(2)), message) == TransactionReason.UNAUTHORISED


@pytest.mark.parametrize(
    ("signing", "reason"),
    [
        pytest.param([0, 1], "", id="keys that suffice"),
        pytest.param([0, 1, 2], "", id="one that is not needed"),
        pytest.param([0], TransactionReason.UNAUTHORISED, id="below the threshold"),
        pytest.param([0, 2], TransactionReason.UNAUTHORISED, id="another scope"),
    ],
)
def test_the_new_owner_signs_by_its_own_rule_for_what_it_owns(lab: Lab, signing: list[int], reason: str) -> None:
    scopes = (Scope.OWN, Scope.OWN, Scope.FUND)
    rule = SetAuth(
        account=account(2),
        keys=tuple(
            AuthKey(public_key=key.public_key, weight=2 if scope is Scope.FUND else 1, scopes=scope)
            for key, scope in zip(KEYS, scopes, strict=True)
        ),
        threshold=2,
        guardians=(),
        guardian_quorum=0,
    )
    assert lab.reason(POSTER, rule) == ""
    lab.apply(interval_ms=lab.params.accounts.auth_delay_ms + 1_000)
    signers = [CUSTOMER, *(KEYS[number] for number in signing)]
    assert reason_of(lab, signers, assign(lab.image, account(2))) == reason


def retired(lab: Lab) -> Assign:
    set_resource(lab, lab.image, status=ResourceStatus.RETIRED)
    return assign(lab.image, account(2))


def machine_in_use(lab: Lab) -> Assign:
    address = lab.publish(CUSTOMER, publish(ResourceKind.HARDWARE))
    set_resource(lab, address, in_use=SLICE)
    return assign(address, account(2))


def foreign(lab: Lab) -> Assign:
    return assign(lab.publish(STRANGER, publish(ResourceKind.HARDWARE)), account(2))


REFUSALS: list[tuple[str, Callable[[Lab], Assign], str]] = [
    ("no resource", lambda _: assign(b"\x01" + bytes(20), account(2)), TransactionReason.NO_RESOURCE),
    ("somebody else's", foreign, TransactionReason.NOT_OWNER),
    ("retired", retired, TransactionReason.RESOURCE_NOT_ACTIVE),
    ("machine in use", machine_in_use, TransactionReason.RESOURCE_IN_USE),
]


@pytest.mark.parametrize(("build", "reason"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_an_assignment_that_cannot_be_is_refused(lab: Lab, build: Callable[[Lab], Assign], reason: str) -> None:
    assert reason_of(lab, [CUSTOMER, POSTER], build(lab)) == reason


def test_nobody_assigns_to_itself(lab: Lab) -> None:
    assert lab.reason(CUSTOMER, assign(lab.image, account(1))) == TransactionReason.UNEXPECTED_FIELD


def test_a_dry_run_tells_that_no_resource_is_an_owner(lab: Lab) -> None:
    checks = explain(lab.ledger, lab.sign(CUSTOMER, assign(lab.image, lab.image), fee=FEE), lab.time_ms)
    refused = [(check.name, check.reason) for check in checks if not check.ok]
    assert refused == [
        ("authorised", TransactionReason.UNAUTHORISED),
        ("message 0 assign", TransactionReason.NOT_AN_ACCOUNT),
    ]


def test_hardware_stays_while_enclaves_live_and_then_takes_its_machine_along_at_once() -> None:
    """Given hardware whose enclave has expired; then its new owner proves the same machine before the old one's notice is over."""
    lab = Lab()
    lab.attest()

    def assigned() -> str:
        return lab.apply(lab.sign([PROVIDER, STRANGER], assign(lab.hardware, account(4)), fee=FEE)).receipts[0].reason

    assert assigned() == TransactionReason.RESOURCE_IN_USE
    lab.apply(interval_ms=7 * DAY_MS + 1_000)
    assert lab.enclave().state is EnclaveState.EXPIRED
    assert assigned() == ""
    assert lab.reason(PROVIDER, lab.attest_message(1, machine="machine 0")) == TransactionReason.NOT_OWNER
    message = lab.attest_message(2, machine="machine 0", provider=STRANGER)
    assert lab.reason(STRANGER, message) == ""
    assert lab.enclave(2).operator == account(4)
