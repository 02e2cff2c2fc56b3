"""Keys of accounts: scopes, thresholds, delays, guardians."""

from __future__ import annotations

import pytest

from state.crypto import SigningKey
from state.errors import TransactionRejected
from state.messages import AuthKey, Message, Scope, SetAuth
from state.receipts import EventKind, ReceiptStatus
from state.records import AUTHS, PENDING_AUTHS, Auth
from state.runtime.accounts.auth_changes import check_auth
from state.runtime.accounts.authorisation import is_authorised, is_strengthening
from state.runtime.execute import Executed, check_admission
from state.runtime.explain import explain
from state.runtime.reasons import TransactionReason
from state.transactions import sign_transaction
from tests.support.chain_builders import FEE, World, account, account_key, transfer

ALICE, BOB, CAROL = account(0), account(1), account(2)
KEYS = sorted((SigningKey(bytes([number]) * 32) for number in range(1, 5)), key=lambda key: key.public_key)
ALL = 31


def auth(
    *entries: tuple[SigningKey, int, int], threshold: int = 1, guardians: tuple[bytes, ...] = (), quorum: int = 0
) -> Auth:
    """Return an Auth of (key, weight, scopes)."""
    keys = sorted(entries, key=lambda entry: entry[0].public_key)
    return Auth(
        keys=tuple(AuthKey(public_key=key.public_key, weight=weight, scopes=scopes) for key, weight, scopes in keys),
        threshold=threshold,
        guardians=tuple(sorted(guardians)),
        guardian_quorum=quorum,
    )


def set_auth(target: bytes, wanted: Auth) -> SetAuth:
    return SetAuth(
        account=target,
        keys=wanted.keys,
        threshold=wanted.threshold,
        guardians=wanted.guardians,
        guardian_quorum=wanted.guardian_quorum,
    )


def kinds(executed: Executed) -> list[EventKind]:
    return [event.kind for event in executed.events]


def world_with(wanted: Auth) -> World:
    """Return a world in which Alice's account has these keys."""
    world = World()
    delay = world.params.accounts.auth_delay_ms
    world.apply(world.sign(account_key(0), set_auth(ALICE, wanted)))
    world.apply(interval_ms=delay + 1_000)
    assert world.ledger.get(AUTHS, ALICE) == wanted
    return world


def reason_of(world: World, signer: SigningKey | list[SigningKey], *messages: Message) -> str:
    (receipt,) = world.apply(world.sign(signer, *messages, sender=ALICE)).receipts
    return receipt.reason


def test_a_weakening_change_waits_for_its_delay() -> None:
    world = World()
    delay = world.params.accounts.auth_delay_ms
    wanted = auth((KEYS[0], 1, ALL))
    executed = world.apply(world.sign(account_key(0), set_auth(ALICE, wanted)))
    assert kinds(executed) == [EventKind.AUTH_PENDING]
    assert world.ledger.get(PENDING_AUTHS, ALICE).due_ms == world.time_ms + delay
    assert kinds(world.apply(interval_ms=delay - 1_001)) == []
    assert reason_of(world, account_key(0), transfer(BOB, 1)) == ""
    assert kinds(world.apply()) == [EventKind.AUTH_SET]
    assert reason_of(world, account_key(0), transfer(BOB, 1)) == TransactionReason.UNAUTHORISED
    assert reason_of(world, KEYS[0], transfer(BOB, 1)) == ""
    assert world.ledger.find(PENDING_AUTHS, ALICE) is None


def test_a_strengthening_change_is_in_force_at_once() -> None:
    world = world_with(auth((KEYS[0], 1, ALL), (KEYS[1], 1, ALL), threshold=1))
    stronger = auth((KEYS[0], 1, ALL), (KEYS[1], 1, ALL), threshold=2)
    executed = world.apply(world.sign(KEYS[0], set_auth(ALICE, stronger), sender=ALICE))
    assert kinds(executed) == [EventKind.AUTH_SET]
    assert reason_of(world, KEYS[0], transfer(BOB, 1)) == TransactionReason.UNAUTHORISED
    assert reason_of(world, KEYS[:2], transfer(BOB, 1)) == ""


def test_any_later_set_auth_cancels_a_pending_change() -> None:
    present = auth((KEYS[0], 1, ALL), (KEYS[1], 1, ALL))
    world = world_with(present)
    delay = world.params.accounts.auth_delay_ms
    takeover = auth((KEYS[1], 1, ALL), (KEYS[2], 1, ALL))
    world.apply(world.sign(KEYS[1], set_auth(ALICE, takeover), sender=ALICE))
    executed = world.apply(world.sign(KEYS[0], set_auth(ALICE, present), sender=ALICE))
    assert kinds(executed) == [EventKind.AUTH_CANCELLED, EventKind.AUTH_SET]
    assert kinds(world.apply(interval_ms=2 * delay)) == []
    assert world.ledger.get(AUTHS, ALICE) == present


def test_the_deadline_of_a_cancelled_change_does_not_hasten_the_next() -> None:
    world = World()
    delay = world.params.accounts.auth_delay_ms
    first, second = auth((KEYS[0], 1, ALL)), auth((KEYS[1], 1, ALL))
    world.apply(world.sign(account_key(0), set_auth(ALICE, first)))
    world.apply(world.sign(account_key(0), set_auth(ALICE, second)), interval_ms=delay // 2)
    assert kinds(world.apply(interval_ms=delay // 2 + 1_000)) == []
    assert kinds(world.apply(interval_ms=delay)) == [EventKind.AUTH_SET]
    assert world.ledger.get(AUTHS, ALICE) == second


def test_a_message_needs_its_scope_and_each_message_of_a_transaction_its_own() -> None:
    world = world_with(auth((KEYS[0], 1, Scope.OWN), (KEYS[1], 1, Scope.FUND)))
    pay, change = transfer(BOB, 1), set_auth(ALICE, world.ledger.get(AUTHS, ALICE))
    assert reason_of(world, KEYS[0], pay) == TransactionReason.UNAUTHORISED
    assert reason_of(world, KEYS[1], pay) == ""
    assert reason_of(world, KEYS[1], pay, change) == TransactionReason.UNAUTHORISED
    assert reason_of(world, KEYS[:2], pay, change) == ""


def test_weights_count_together_only_within_a_scope() -> None:
    entries = auth((KEYS[0], 2, Scope.FUND | Scope.OWN), (KEYS[1], 1, Scope.FUND), (KEYS[2], 1, Scope.OWN), threshold=3)
    world = world_with(entries)
    assert reason_of(world, KEYS[0], transfer(BOB, 1)) == TransactionReason.UNAUTHORISED
    assert reason_of(world, [KEYS[0], KEYS[2]], transfer(BOB, 1)) == TransactionReason.UNAUTHORISED
    assert reason_of(world, KEYS[:2], transfer(BOB, 1)) == ""


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        pytest.param(auth((KEYS[0], 1, 1)), TransactionReason.UNREACHABLE_THRESHOLD, id="nobody owns"),
        pytest.param(auth((KEYS[0], 1, ALL), threshold=2), TransactionReason.UNREACHABLE_THRESHOLD, id="threshold"),
        pytest.param(
            auth((KEYS[0], 2, ALL & ~1), (KEYS[1], 1, 1), threshold=2),
            TransactionReason.UNREACHABLE_THRESHOLD,
            id="a key whose scope never suffices",
        ),
        pytest.param(
            Auth(keys=auth((KEYS[0], 1, ALL)).keys * 2, threshold=1, guardians=(), guardian_quorum=0),
            TransactionReason.KEYS_NOT_SORTED,
            id="key twice",
        ),
        pytest.param(
            auth((KEYS[0], 1, ALL), guardians=(BOB, BOB), quorum=1),
            TransactionReason.KEYS_NOT_SORTED,
            id="guardian twice",
        ),
        pytest.param(
            auth((KEYS[0], 1, ALL), guardians=(BOB,)), TransactionReason.BAD_GUARDIAN_QUORUM, id="quorum zero"
        ),
        pytest.param(
            auth((KEYS[0], 1, ALL), guardians=(BOB,), quorum=2),
            TransactionReason.BAD_GUARDIAN_QUORUM,
            id="quorum above",
        ),
        pytest.param(auth((KEYS[0], 1, ALL), quorum=1), TransactionReason.BAD_GUARDIAN_QUORUM, id="quorum of nobody"),
        pytest.param(
            auth((KEYS[0], 1, ALL), guardians=(ALICE,), quorum=1), TransactionReason.GUARDIAN_IS_SELF, id="self"
        ),
        pytest.param(
            auth((KEYS[0], 1, ALL), guardians=(b"\x01" + BOB[1:],), quorum=1),
            TransactionReason.NOT_AN_ACCOUNT,
            id="resource as guardian",
        ),
    ],
)
def test_unsound_keys_are_refused(wanted: Auth, reason: TransactionReason) -> None:
    with pytest.raises(TransactionRejected) as rejection:
        check_auth(ALICE, wanted)
    assert rejection.value.reason is reason
    world = World()
    assert reason_of(world, account_key(0), set_auth(ALICE, wanted)) == reason
    assert world.ledger.find(PENDING_AUTHS, ALICE) is None


TWO = auth((KEYS[0], 1, ALL), (KEYS[1], 1, Scope.FUND), threshold=1)
GUARDED = auth((KEYS[0], 1, ALL), guardians=(BOB,), quorum=1)


@pytest.mark.parametrize(
    ("present", "proposed", "expected"),
    [
        pytest.param(None, auth((account_key(0), 1, ALL)), True, id="own key made explicit"),
        pytest.param(None, auth((account_key(0), 5, ALL), threshold=5), True, id="scaled"),
        pytest.param(None, auth((KEYS[0], 1, ALL)), False, id="another key"),
        pytest.param(None, auth((account_key(0), 1, ALL), guardians=(BOB,), quorum=1), False, id="first guardians"),
        pytest.param(TWO, TWO, True, id="no change"),
        pytest.param(TWO, auth((KEYS[0], 1, ALL)), True, id="key dropped"),
        pytest.param(TWO, auth((KEYS[0], 1, ALL), (KEYS[1], 1, ALL)), False, id="scope added"),
        pytest.param(TWO, auth((KEYS[0], 2, ALL), (KEYS[1], 1, 1), threshold=2), True, id="threshold raised"),
        pytest.param(TWO, auth((KEYS[0], 3, ALL), threshold=2), False, id="share of the threshold raised"),
        pytest.param(GUARDED, auth((KEYS[0], 1, ALL)), False, id="guardians dropped"),
        pytest.param(GUARDED, auth((KEYS[0], 1, ALL), guardians=(BOB, CAROL), quorum=2), False, id="guardians changed"),
    ],
)
def test_a_change_strengthens_if_it_gives_nobody_anything(present: Auth | None, proposed: Auth, expected: bool) -> None:
    assert is_strengthening(ALICE, present, proposed) is expected


def guarded_world() -> World:
    return world_with(auth((KEYS[0], 1, ALL), guardians=(BOB, CAROL, account(3)), quorum=2))


def test_guardians_recover_an_account_after_the_delay_and_somebody_else_pays() -> None:
    world = guarded_world()
    balance = world.balance(ALICE)
    recovery = set_auth(ALICE, auth((KEYS[3], 1, ALL)))
    signers = [account_key(5), account_key(1), account_key(3)]
    executed = world.apply(world.sign(signers, recovery))
    assert kinds(executed) == [EventKind.AUTH_PENDING]
    assert (world.balance(ALICE), world.balance(account(5))) == (balance, 10**12 - FEE)
    world.apply(interval_ms=world.params.accounts.auth_delay_ms + 256)
    assert reason_of(world, KEYS[3], transfer(BOB, 1)) == ""


def test_the_owner_cancels_a_recovery() -> None:
    world = guarded_world()
    present = world.ledger.get(AUTHS, ALICE)
    world.apply(world.sign([account_key(1), account_key(2)], set_auth(ALICE, auth((KEYS[3], 1, ALL)))))
    executed = world.apply(world.sign(KEYS[0], set_auth(ALICE, present), sender=ALICE))
    assert kinds(executed) == [EventKind.AUTH_CANCELLED, EventKind.AUTH_SET]


@pytest.mark.parametrize(
    ("target", "signers"),
    [
        pytest.param(ALICE, [1], id="one of two"),
        pytest.param(ALICE, [1, 6, 7], id="strangers"),
        pytest.param(CAROL, [1, 3], id="no guardians"),
        pytest.param(account(8), [1, 3], id="own key alone"),
    ],
)
def test_recovery_without_a_quorum_is_unauthorised_costs_nothing_and_uses_no_nonce(
    target: bytes, signers: list[int]
) -> None:
    world = guarded_world()
    keys = [account_key(index) for index in signers]
    recovery = world.sign(keys, set_auth(target, auth((KEYS[3], 1, ALL))))
    before = world.account(account(signers[0]))
    with pytest.raises(TransactionRejected) as rejection:
        check_admission(world.ledger, recovery, world.time_ms, 0)
    assert rejection.value.reason is TransactionReason.UNAUTHORISED
    assert [check.reason for check in explain(world.ledger, recovery, world.time_ms) if not check.ok] == [
        TransactionReason.UNAUTHORISED
    ]
    (receipt,) = world.apply(recovery).receipts
    assert (receipt.status, receipt.reason) == (ReceiptStatus.FAILED, TransactionReason.UNAUTHORISED)
    assert world.account(account(signers[0])) == before
    assert world.ledger.find(PENDING_AUTHS, target) is None


@pytest.mark.parametrize(
    ("signers", "reason"),
    [
        pytest.param([5, 1, 3], "", id="guardians that suffice"),
        pytest.param([5, 1, 2, 3], "", id="all guardians"),
        pytest.param([5, 1, 3, 6], TransactionReason.UNAUTHORISED, id="a stranger too"),
        pytest.param([5, 1, 3, 0], TransactionReason.UNAUTHORISED, id="a key that the account had once"),
    ],
)
def test_recovery_is_signed_by_its_sender_and_guardians_alone(signers: list[int], reason: str) -> None:
    world = guarded_world()
    recovery = set_auth(ALICE, auth((KEYS[3], 1, ALL)))
    assert world.apply(world.sign([account_key(one) for one in signers], recovery)).receipts[0].reason == reason


@pytest.mark.parametrize(
    ("signers", "reason"),
    [
        pytest.param([0, 1], "", id="keys that suffice"),
        pytest.param([0, 1, 2], "", id="one that is not needed"),
        pytest.param([0, 1, 3], TransactionReason.UNAUTHORISED, id="one that the account does not have"),
    ],
)
def test_a_transaction_is_signed_by_keys_of_its_sender_alone(signers: list[int], reason: str) -> None:
    world = world_with(auth((KEYS[0], 1, ALL), (KEYS[1], 1, ALL), (KEYS[2], 1, ALL), threshold=2))
    transaction = world.sign([KEYS[one] for one in signers], transfer(BOB, 1), sender=ALICE)
    assert world.apply(transaction).receipts[0].reason == reason


def test_recovery_with_its_guardians_signatures_taken_away_does_not_stand_in_its_way() -> None:
    world = guarded_world()
    full = world.sign([account_key(5), account_key(1), account_key(3)], set_auth(ALICE, auth((KEYS[3], 1, ALL))))
    stripped = sign_transaction(world.chain_id, full.body, (account_key(5),))
    assert stripped.tx_id == full.tx_id
    assert world.apply(stripped).receipts[0].fee == 0
    assert world.apply(full).receipts[0].status is ReceiptStatus.OK


def test_guardian_that_needs_more_keys_from_now_on_has_approved_with_those_of_today() -> None:
    """Given a sender that raises its own threshold before it recovers as a guardian; then nothing is asked twice."""
    world = guarded_world()
    both = auth((KEYS[1], 1, ALL), (KEYS[2], 1, ALL))
    world.apply(world.sign(account_key(1), set_auth(BOB, both)))
    world.apply(interval_ms=world.params.accounts.auth_delay_ms + 256)
    stronger = auth((KEYS[1], 1, ALL), (KEYS[2], 1, ALL), threshold=2)
    messages = set_auth(BOB, stronger), set_auth(ALICE, auth((KEYS[3], 1, ALL)))
    (receipt,) = world.apply(world.sign([KEYS[1], account_key(2)], *messages, sender=BOB)).receipts
    assert receipt.reason == ""
    assert world.ledger.find(PENDING_AUTHS, ALICE) is not None


def test_a_guardian_approves_by_the_rule_of_its_own_account() -> None:
    world = guarded_world()
    world.apply(world.sign(account_key(1), set_auth(BOB, auth((KEYS[1], 1, Scope.FUND), (KEYS[2], 1, ALL)))))
    world.apply(interval_ms=world.params.accounts.auth_delay_ms + 256)
    for key, expected in ((account_key(1), False), (KEYS[1], False), (KEYS[2], True)):
        assert is_authorised(world.ledger, BOB, [key.public_key], Scope.OWN) is expected
