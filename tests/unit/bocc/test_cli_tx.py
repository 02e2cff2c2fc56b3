"""Laws of `bocc tx` against a node that is played: what is sent, what is told, and with which exit code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bocc.cli.failures import ExitCode
from bocc.cli.tx import command
from bocc.errors import InputReason, InputRejected, RpcRejected
from bocc.wallet import Keyring, development_key, development_seed
from state.address import AddressRejected, account_address, format_address
from state.codec import encode
from state.crypto import verify
from state.keyfile import KeyKind
from state.messages import (
    AuthKey,
    Bond,
    BondAction,
    BondPurpose,
    Message,
    Report,
    Scope,
    SetAuth,
    Transfer,
    consensus_key_signing_bytes,
)
from state.votes import Vote, VoteKind
from tests.support.fake_chain import CHAIN_ID, FakeChain
from tests.support.fake_node import FakeNode, Refusal, fake_node_in_thread

ALICE, BOB, CAROL = (account_address(development_key(KeyKind.ACCOUNT, index).public_key) for index in range(3))
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def shared_node() -> Iterator[FakeNode]:
    with fake_node_in_thread() as node:
        yield node


@pytest.fixture
def node(shared_node: FakeNode) -> FakeNode:
    shared_node.methods.clear()
    shared_node.calls.clear()
    return shared_node


@pytest.fixture
def chain(node: FakeNode) -> FakeChain:
    return FakeChain(node)


@pytest.fixture
def run(node: FakeNode, tmp_path: Path) -> Run:
    ring = Keyring(tmp_path)
    for index, name in enumerate(("alice", "bob", "carol")):
        ring.add(name, development_seed(KeyKind.ACCOUNT, index), KeyKind.ACCOUNT, None)
    ring.add("consensus", development_seed(KeyKind.VALIDATOR, 0), KeyKind.VALIDATOR, None)

    def invoke(*arguments: object) -> Result:
        texts = [*(str(argument) for argument in arguments), "--home", str(tmp_path), "--node", node.url]
        return CliRunner().invoke(command, texts, standalone_mode=False)

    return invoke


def sent_message(chain: FakeChain) -> Message:
    (transaction,) = chain.taken.values()
    (message,) = transaction.body.messages
    return message


def bond(action, purpose, amount, validator=b"") -> Bond:
    return Bond(action=action, purpose=purpose, amount=amount, validator=validator, consensus_key=b"", proof=b"")


def test_transfer_pays_the_named_account(run, chain):
    outcome = run("transfer", "--from", "alice", "--to", "bob", "--amount", "5", "--json")
    (transaction,) = chain.taken.values()
    assert outcome.return_value == ExitCode.DONE
    assert transaction.body.sender == ALICE
    assert transaction.body.messages == (Transfer(to=BOB, amount=5_000_000),)
    assert json.loads(outcome.stdout)["tx_id"] == transaction.tx_id.hex()


def test_people_are_told_each_thing_once_and_money_with_its_unit(run, chain):
    lines = run("transfer", "--from", "alice", "--to", "bob", "--amount", "5").stdout.splitlines()
    (tx_id,) = chain.taken
    told = dict(line.split(maxsplit=1) for line in lines)
    assert told == {
        "tx_id": tx_id,
        "status": "final",
        "height": "7",
        "index": "0",
        "receipt": "ok",
        "fee": "0.00331 BOCC",
    }


def test_address_and_unit_are_taken_as_they_are(run, chain):
    run("transfer", "--from", "alice", "--to", format_address(CAROL), "--amount", "5ubocc", "--memo", "rent")
    assert sent_message(chain) == Transfer(to=CAROL, amount=5)
    (transaction,) = chain.taken.values()
    assert transaction.body.memo == b"rent"


def test_memo_is_bounded_in_bytes(run, chain):
    arguments = ("transfer", "--from", "alice", "--to", "bob", "--amount", "1", "--memo")
    assert run(*arguments, "é" * 128).return_value == ExitCode.DONE
    assert run(*arguments, "é" * 129).exception.exit_code == ExitCode.USAGE
    assert len(chain.taken) == 1


def test_given_fee_and_cosigners_are_used(run, chain):
    run("transfer", "--from", "alice", "--cosigner", "bob", "--to", "carol", "--amount", "1", "--fee", "0.05")
    (transaction,) = chain.taken.values()
    keys = {development_key(KeyKind.ACCOUNT, index).public_key for index in (0, 1)}
    assert transaction.body.fee == 50_000
    assert {pair.public_key for pair in transaction.signatures} == keys


def test_fee_far_above_the_smallest_is_paid_only_when_it_is_meant(run, chain):
    arguments = ("transfer", "--from", "alice", "--to", "carol", "--amount", "1", "--fee", "2860")
    refusal = run(*arguments).exception
    assert refusal.exit_code == ExitCode.USAGE
    assert "2,860 BOCC" in refusal.message
    assert "--yes" in refusal.message
    assert not chain.taken
    assert run(*arguments, "--yes").return_value == ExitCode.DONE
    (transaction,) = chain.taken.values()
    assert transaction.body.fee == 2_860_000_000


def test_key_may_sign_for_another_account(run, chain):
    run("transfer", "--from", "alice", "--account", "carol", "--to", "bob", "--amount", "1")
    (transaction,) = chain.taken.values()
    assert transaction.body.sender == CAROL


def test_transaction_that_is_still_pending_has_its_own_exit_code(run, chain):
    chain.status = "pending"
    arguments = ("transfer", "--from", "alice", "--to", "bob", "--amount", "1", "--timeout", "0")
    assert run(*arguments).return_value == ExitCode.PENDING
    assert run(*arguments, "--wait", "checked").return_value == ExitCode.DONE


def test_failed_receipt_is_a_refusal(run, chain):
    chain.receipt |= {"status": "failed", "reason": "balance_too_low"}
    outcome = run("transfer", "--from", "alice", "--to", "bob", "--amount", "1")
    assert outcome.return_value == ExitCode.REFUSED
    assert "balance_too_low" in outcome.stdout


def test_dry_run_shows_the_checks_and_sends_nothing(run, chain, node):
    node.methods["explain"] = lambda **_: {
        "ok": False,
        "checks": [
            {"name": "format", "ok": True, "reason": None, "seen": None, "bound": None, "remedy": None},
            {"name": "fee", "ok": False, "reason": "fee_too_low", "seen": 1, "bound": 3310, "remedy": "pay more"},
        ],
    }
    outcome = run("transfer", "--from", "alice", "--to", "bob", "--amount", "1", "--dry-run")
    assert outcome.return_value == ExitCode.REFUSED
    assert "pay more" in outcome.stdout
    assert chain.taken == {}


def test_refusal_of_the_node_passes(run, chain, node):
    def submit(**_):
        raise Refusal(-32003, "cannot_pay", seen=0, bound=3310)

    node.methods["tx_submit"] = submit
    outcome = run("transfer", "--from", "alice", "--to", "bob", "--amount", "1")
    assert isinstance(outcome.exception, RpcRejected)
    assert outcome.exception.reason == "cannot_pay"


def test_bad_amount_and_bad_address_are_refused_before_anything_is_asked(run, chain, node):
    bad_amount = run("transfer", "--from", "alice", "--to", "bob", "--amount", "five")
    bad_address = run("transfer", "--from", "alice", "--to", "bocc1qqqqqqqq", "--amount", "5")
    assert isinstance(bad_amount.exception, InputRejected)
    assert bad_amount.exception.reason is InputReason.BAD_AMOUNT
    assert isinstance(bad_address.exception, AddressRejected)
    assert node.calls == []


def test_first_bond_proves_the_consensus_key_for_its_sender(run, chain):
    run("bond", "--from", "alice", "--amount", "10000", "--consensus-key", "consensus")
    message = sent_message(chain)
    key = development_key(KeyKind.VALIDATOR, 0).public_key
    assert (message.action, message.purpose, message.consensus_key) == (BondAction.ADD, BondPurpose.VALIDATOR, key)
    assert verify(key, message.proof, consensus_key_signing_bytes(CHAIN_ID, ALICE))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bond", "--amount", "5"), bond(BondAction.ADD, BondPurpose.VALIDATOR, 5_000_000)),
        (("bond", "--amount", "5", "--provider"), bond(BondAction.ADD, BondPurpose.PROVIDER, 5_000_000)),
        (("unbond", "--amount", "5"), bond(BondAction.REMOVE, BondPurpose.VALIDATOR, 5_000_000)),
        (("unbond", "--amount", "5", "--provider"), bond(BondAction.REMOVE, BondPurpose.PROVIDER, 5_000_000)),
        (
            ("unbond", "--amount", "5", "--validator", format_address(BOB, "boccval")),
            bond(BondAction.REMOVE, BondPurpose.DELEGATE, 5_000_000, BOB),
        ),
        (
            ("delegate", "--amount", "5", "--validator", format_address(BOB)),
            bond(BondAction.ADD, BondPurpose.DELEGATE, 5_000_000, BOB),
        ),
        (("claim",), bond(BondAction.CLAIM, BondPurpose.VALIDATOR, 0)),
        (("claim", "--validator", "bob"), bond(BondAction.CLAIM, BondPurpose.DELEGATE, 0, BOB)),
        (("unjail",), bond(BondAction.UNJAIL, BondPurpose.VALIDATOR, 0)),
    ],
    ids=lambda one: "-".join(one) if isinstance(one, tuple) else "",
)
def test_staking_commands_send_their_bond(run, chain, arguments, message):
    outcome = run(*arguments, "--from", "alice")
    assert outcome.return_value == ExitCode.DONE, outcome.exception
    assert sent_message(chain) == message


def test_set_auth_sorts_keys_and_guardians(run, chain):
    public_keys = [development_key(KeyKind.ACCOUNT, index).public_key for index in range(2)]
    run(
        *("set-auth", "--from", "alice", "--threshold", "3", "--guardian-quorum", "1"),
        *("--key", f"{public_keys[0].hex()}:2", "--key", "bob:1:fund+operate"),
        *("--guardian", "carol", "--guardian", "bob"),
    )
    keys = [
        AuthKey(public_key=public_keys[0], weight=2, scopes=31),
        AuthKey(public_key=public_keys[1], weight=1, scopes=Scope.FUND | Scope.OPERATE),
    ]
    assert sent_message(chain) == SetAuth(
        account=ALICE,
        keys=tuple(sorted(keys, key=lambda key: key.public_key)),
        threshold=3,
        guardians=tuple(sorted((BOB, CAROL))),
        guardian_quorum=1,
    )


def test_guardian_recovers_another_account(run, chain):
    run("set-auth", "--from", "bob", "--recover", "alice", "--key", "carol")
    assert sent_message(chain).account == ALICE


@pytest.mark.parametrize("key", ["nobody", "ab", "alice:heavy", "alice:1:everything"])
def test_key_that_is_none_is_wrong_usage(run, chain, key):
    outcome = run("set-auth", "--from", "alice", "--key", key)
    assert outcome.exception.exit_code == ExitCode.USAGE
    assert chain.taken == {}


def test_report_sends_both_votes_in_their_one_order(run, chain, tmp_path):
    votes = [
        Vote(
            kind=VoteKind.NOTARIZE,
            epoch=0,
            view=3,
            block_hash=bytes([number]) * 32,
            result=b"",
            validator=1,
            signature=bytes(64),
        )
        for number in (2, 1)
    ]
    document = {"validator": format_address(BOB, "boccval"), "votes": [encode(vote).hex() for vote in votes]}
    (tmp_path / "evidence.json").write_text(json.dumps(document))
    run("report", tmp_path / "evidence.json", "--from", "alice")
    assert sent_message(chain) == Report(validator=BOB, first=votes[1], second=votes[0])


@pytest.mark.parametrize("content", ["", "{}", '{"validator": "x", "votes": ["zz", "zz"]}'])
def test_file_that_is_no_evidence_is_wrong_usage(run, chain, tmp_path, content):
    (tmp_path / "evidence.json").write_text(content)
    outcome = run("report", tmp_path / "evidence.json", "--from", "alice")
    assert outcome.exception.exit_code == ExitCode.USAGE
