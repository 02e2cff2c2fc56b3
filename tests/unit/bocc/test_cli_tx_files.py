"""Laws of `--out` and `bocc tx show|sign|send`: keys in several homes sign one transaction, after a look at it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bocc.__main__ import cli
from bocc.cli.failures import ExitCode
from bocc.tx_file import TxFile, TxFileReason, TxFileRejected, add_signature, format_tx_file, parse_tx_file
from bocc.wallet import Keyring, development_seed
from state.address import format_address
from state.genesis_file import format_genesis
from state.keyfile import KeyKind
from state.messages import GUARDIANS_MAX, AuthKey, SetAuth, Transfer
from state.order_messages import Accept
from state.records import AUTHS
from state.resource_messages import Assign
from state.resource_records import RESOURCES
from state.transactions import Body
from tests.support.chain_builders import account, account_key, make_genesis
from tests.support.market_cli import NAMES, PlayedMarket
from tests.support.ordering import OWNER, Market

OTHER_INDEX = NAMES.index("other")
NO_NODE = "http://127.0.0.1:1"
Run = Callable[..., Result]


@pytest.fixture
def run(node: PlayedMarket, tmp_path: Path) -> Run:
    """Run a command in the home of one account, which has no other key."""

    def invoke(name: str, *arguments: object, url: str = node.node.url) -> Result:
        home = tmp_path / name
        if not home.exists():
            index = NAMES.index(name)
            Keyring(home).add(name, development_seed(KeyKind.ACCOUNT, index), KeyKind.ACCOUNT, None)
        texts = [*(str(argument) for argument in arguments), "--home", str(home), "--node", url]
        return CliRunner().invoke(cli, texts, standalone_mode=False)

    return invoke


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tx.json"


@pytest.fixture
def assigned(run: Run, market: Market, path: Path) -> Path:
    """Let the owner write the assignment of its data to another account to a file, and return that."""
    arguments = ("resource", "assign", format_address(market.data), format_address(account(OTHER_INDEX)))
    ended = run("owner", *arguments, "--from", "owner", "--out", path)
    assert ended.return_value == ExitCode.DONE, ended.exception
    return path


def refusal(ended: Result) -> TxFileReason:
    assert isinstance(ended.exception, TxFileRejected), ended.exception
    return ended.exception.reason


def test_resource_is_assigned_by_keys_in_two_homes(run, market, node, assigned):
    """Given an assignment in a file, when its new owner has looked and signed, then anybody sends it and the chain takes it."""
    assert node.taken == []
    assert run("stranger", "tx", "send", assigned, "--dry-run").return_value == ExitCode.REFUSED
    shown = run("other", "tx", "show", assigned).stdout
    other = format_address(account(OTHER_INDEX))
    unsigned = f"{other} has not signed by its own key: new owner of {format_address(market.data)}"
    for part in ("1. assign", unsigned, f"{format_address(account(3))} has signed: sender", "in 1h"):
        assert part in shown
    signed = run("other", "tx", "sign", assigned, "--from", "other", "--yes")
    assert signed.return_value == ExitCode.DONE, signed.exception
    assert "Signatures: 2; expires in " in signed.stdout
    checked = run("stranger", "tx", "send", assigned, "--dry-run")
    assert checked.return_value == ExitCode.DONE, checked.stdout
    assert run("stranger", "tx", "send", assigned).return_value == ExitCode.DONE
    assert node.sent() == Assign(resource=market.data, to=account(OTHER_INDEX), keeps_payees=False)
    assert market.ledger.get(RESOURCES, market.data).owner == account(OTHER_INDEX)


def test_fee_pays_for_the_signatures_to_come(run, market, path):
    """Given an account of three keys, when they sign one after the other, then the fee that was set first is enough."""
    keys = [AuthKey(public_key=account_key(index).public_key, weight=1, scopes=31) for index in (0, 2, 3)]
    keys.sort(key=lambda key: key.public_key)
    auth = SetAuth(account=account(3), keys=tuple(keys), threshold=3, guardians=(), guardian_quorum=0)
    assert market.reason(OWNER, auth) == ""
    market.pass_time(86_400)
    assert market.ledger.find(AUTHS, account(3)) is not None
    transfer = ("tx", "transfer", "--to", format_address(account(1)), "--amount", "1")
    run("owner", *transfer, "--from", "owner", "--out", path, "--signatures", 3)
    for name in ("provider", "other"):
        signed = run(name, "tx", "sign", path, "--from", name, "--yes")
        assert signed.return_value == ExitCode.DONE, signed.exception
    checked = run("stranger", "tx", "send", path, "--dry-run")
    assert checked.return_value == ExitCode.DONE, checked.stdout


def test_guardians_recover_an_account_from_their_own_homes(run, market, path):
    guardians = tuple(sorted((account(0), account(2))))
    own = AuthKey(public_key=OWNER.public_key, weight=1, scopes=31)
    auth = SetAuth(account=account(3), keys=(own,), threshold=1, guardians=guardians, guardian_quorum=2)
    assert market.reason(OWNER, auth) == ""
    market.pass_time(86_400)
    key = account_key(4).public_key.hex()
    recover = ("tx", "set-auth", "--recover", format_address(account(3)), "--key", key)
    run("provider", *recover, "--from", "provider", "--out", path)
    assert refusal(run("stranger", "tx", "sign", path, "--from", "stranger", "--yes")) is TxFileReason.NO_SIGNER
    assert run("other", "tx", "sign", path, "--from", "other", "--yes").return_value == ExitCode.DONE
    checked = run("stranger", "tx", "send", path, "--dry-run")
    assert checked.return_value == ExitCode.DONE, checked.stdout


def test_what_must_not_be_signed_is_refused(run, market, assigned, monkeypatch):
    """Given a file, when it is for another chain, expired, signed already or of others, then it stays as it is."""
    before = assigned.read_bytes()
    sign = ("tx", "sign", assigned, "--yes", "--from")
    assert refusal(run("stranger", *sign, "stranger")) is TxFileReason.NO_SIGNER
    assert refusal(run("owner", *sign, "owner")) is TxFileReason.SIGNED
    unsure = run("other", "tx", "sign", assigned, "--from", "other").exception
    assert (unsure.exit_code, "bocc tx show" in unsure.message) == (ExitCode.USAGE, True)
    body = parse_tx_file(before).body
    monkeypatch.setattr(time, "time_ns", lambda: (body.expires_at_ms + 1) * 1_000_000)
    assert refusal(run("other", *sign, "other")) is TxFileReason.EXPIRED
    assert refusal(run("other", "tx", "send", assigned)) is TxFileReason.EXPIRED
    assert "expired" in run("other", "tx", "show", assigned).stdout
    assert assigned.read_bytes() == before
    assigned.write_bytes(format_tx_file(add_signature(TxFile(chain_id=bytes(32), body=body), OWNER)))
    assert refusal(run("other", *sign, "other")) is TxFileReason.OTHER_CHAIN


def test_key_signs_without_any_node(run, market, assigned, tmp_path):
    """Given the chain's genesis, when a key signs, then no node is asked; whose the key is stands in the file or is said."""
    (tmp_path / "genesis.json").write_bytes(format_genesis(market.genesis))
    trust = ("--yes", "--trust", tmp_path / "genesis.json", "--out", tmp_path / "signed.json")
    signed = run("other", "tx", "sign", assigned, "--from", "other", *trust, url=NO_NODE)
    assert signed.return_value == ExitCode.DONE, signed.exception
    assert len(parse_tx_file((tmp_path / "signed.json").read_bytes()).signatures) == 2
    assert len(parse_tx_file(assigned.read_bytes()).signatures) == 1
    sign = ("tx", "sign", assigned, "--from", "stranger", *trust)
    assert refusal(run("stranger", *sign, url=NO_NODE)) is TxFileReason.NO_SIGNER
    outsider = ("--account", format_address(account(0)))
    assert refusal(run("stranger", *sign, *outsider, url=NO_NODE)) is TxFileReason.NO_SIGNER
    insider = ("--account", format_address(account(OTHER_INDEX)))
    assert run("stranger", *sign, *insider, url=NO_NODE).return_value == ExitCode.DONE
    (tmp_path / "genesis.json").write_bytes(format_genesis(make_genesis(5)))
    assert refusal(run("other", "tx", "sign", assigned, "--from", "other", *trust)) is TxFileReason.OTHER_CHAIN


def test_program_reads_what_a_file_holds(run, market, assigned):
    told = json.loads(run("other", "tx", "show", assigned, "--json", url=NO_NODE).stdout)
    assert (told["chain_id"], told["is_expired"]) == (market.chain_id.hex(), False)
    assert [one["has_signed"] for one in told["parties"]] == [True, False]
    assert told["body"]["messages"][0]["to"] == format_address(account(OTHER_INDEX))


def test_file_is_not_written_over_and_nothing_else_is_done(run, node, assigned):
    before = assigned.read_bytes()
    transfer = ("tx", "transfer", "--from", "owner", "--to", format_address(account(1)), "--amount", "1")
    assert isinstance(run("owner", *transfer, "--out", assigned).exception, FileExistsError)
    assert run("owner", *transfer, "--out", assigned, "--dry-run").exception.exit_code == ExitCode.USAGE
    assert (assigned.read_bytes(), node.taken) == (before, [])


def test_amounts_are_shown_with_their_unit(run, path):
    transfer = ("tx", "transfer", "--to", format_address(account(1)), "--amount", "2.5")
    run("owner", *transfer, "--from", "owner", "--out", path)
    assert "2.5 BOCC" in run("owner", "tx", "show", path).stdout
    file = parse_tx_file(path.read_bytes())
    assert file.body.messages == (Transfer(to=account(1), amount=2_500_000),)
    assert [pair.public_key for pair in file.signatures] == [OWNER.public_key]


def test_every_element_of_a_list_is_shown_before_it_is_signed(run, path):
    """Given keys of an account with as many guardians as may be, when they are shown, then none of them is cut off."""
    guardians = tuple(sorted(b"\0" + bytes((number,)) * 20 for number in range(GUARDIANS_MAX)))
    own = AuthKey(public_key=OWNER.public_key, weight=1, scopes=31)
    auth = SetAuth(account=account(3), keys=(own,), threshold=1, guardians=guardians, guardian_quorum=2)
    body = Body(sender=account(3), nonce=0, expires_at_ms=0, fee=0, messages=(auth,), memo=b"")
    path.write_bytes(format_tx_file(TxFile(chain_id=bytes(32), body=body)))
    rows = [line.split() for line in run("other", "tx", "show", path).stdout.splitlines()]
    shown = [row for row in rows if row and row[0].startswith("guardians[")]
    assert shown == [[f"guardians[{index}]", format_address(each)] for index, each in enumerate(guardians)]


def test_penalty_that_an_acceptance_agrees_to_is_money(run, path):
    accept = Accept(order=b"\3" + bytes(20), enclave=b"\2" + bytes(20), plan=0, penalty_max=2_500_000)
    body = Body(sender=account(3), nonce=0, expires_at_ms=0, fee=0, messages=(accept,), memo=b"")
    path.write_bytes(format_tx_file(TxFile(chain_id=bytes(32), body=body)))
    told = json.loads(run("other", "tx", "show", path, "--json").stdout)
    assert told["body"]["messages"][0]["penalty_max"] == "2500000"
    assert "2.5 BOCC" in run("other", "tx", "show", path).stdout
