"""Laws of `bocc order open`, `accept` and `grant`: providers take what fits, owners release keys to one enclave."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import Result
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec.structs import replace

from bocc.capsules import CapsulePurpose, open_capsule
from bocc.cli.failures import ExitCode
from bocc.cli.order import command
from bocc.errors import InputRejected
from bocc.sealed import key_commitment
from state.address import format_address
from state.offers import PlanUnit, ResourceKind
from state.order_messages import Accept, GrantAnswer
from state.order_terms import LineRole
from tests.support.amending import amend
from tests.support.attesting import EMPTY_RELEASE, PROVIDER, publish
from tests.support.market_cli import PlayedMarket, Run, runner
from tests.support.ordering import ANY_MACHINE, DATA_PLAN, DATA_ROOT, MACHINE_PLAN, OWNER


@pytest.fixture
def run(node: PlayedMarket, tmp_path: Path) -> Run:
    return runner(command, node.node, tmp_path)


def refusal(ended: Result) -> tuple[str, object, object]:
    assert isinstance(ended.exception, InputRejected), ended.exception
    return str(ended.exception.reason), ended.exception.seen, ended.exception.bound


def test_provider_finds_the_orders_that_fit_and_accepts_one(run, node, market):
    order = market.place()
    market.place(level_min=5)
    enclave = format_address(market.enclave_of())
    listed = json.loads(run("open", "--operator", "provider", "--json").stdout)
    assert [(one["order"]["id"], one["enclave"]) for one in listed] == [(format_address(order), enclave)]
    assert len(json.loads(run("open", "--operator", "provider", "--all", "--json").stdout)) == 2
    run("accept", format_address(order), "--enclave", enclave, "--from", "provider")
    assert node.sent() == Accept(order=order, enclave=market.enclave_of(), plan=0, penalty_max=20_000)


def test_order_for_any_machine_is_accepted_under_the_dearest_plan_that_it_takes(run, node, market):
    """Given open plans at 900, at 2,000, and per use, when 1,500 is the highest price, then the first of them."""
    dearer = replace(MACHINE_PLAN, number=2, price=2_000)
    more = (replace(MACHINE_PLAN, number=1, price=900), dearer, replace(dearer, number=3, unit=PlanUnit.USE, price=1))
    assert market.reason(PROVIDER, amend(market.hardware, plans_added=more, plans_closed=(0,))) == ""
    line, software = market.line(LineRole.COMPUTE, b"", price_max=1_500), market.line(LineRole.SOFTWARE, market.image)
    order = market.place(lines=(line, software), machine=ANY_MACHINE)
    options = ("--enclave", format_address(market.enclave_of()), "--from", "provider")
    run("accept", format_address(order), *options)
    assert node.sent() == Accept(order=order, enclave=market.enclave_of(), plan=1, penalty_max=20_000)
    order = market.place(lines=(replace(line, price_max=100), software), machine=ANY_MACHINE)
    seen = f"no plan of {format_address(market.hardware)} promises what the order asks"
    assert refusal(run("accept", format_address(order), *options))[:2] == ("no_offer", seen)


def test_owner_releases_a_key_that_only_the_enclave_opens(run, node, market, tmp_path):
    """Given data sealed with a key, when its owner releases another one, then nothing is sent; the right one opens there alone."""
    key, private_key = b"k" * 32, X25519PrivateKey.from_private_bytes(b"s" * 32)
    release = replace(EMPTY_RELEASE, content_root=DATA_ROOT, key_commit=key_commitment(key))
    data = market.publish(OWNER, publish(ResourceKind.DATA, release=release, plans=(DATA_PLAN,)))
    order = market.accepted(lines=(*market.order_message().lines[:2], market.line(LineRole.DATA, data)))
    enclave = node.node.methods["enclave"](id=format_address(market.enclave_of()))
    seal_key = private_key.public_key().public_bytes_raw().hex()
    node.node.methods["enclave"] = lambda **_: enclave | {"seal_key": seal_key}
    arguments = ("grant", format_address(order), "--key-file", tmp_path / "data.key", "--from", "owner")
    (tmp_path / "data.key").write_bytes(b"j" * 32)
    assert refusal(run(*arguments))[:2] == ("bad_grant", f"a key with SHA-256 {sha256(b'j' * 32).hexdigest()}")
    (tmp_path / "data.key").write_bytes(key)
    ended = run(*arguments)
    assert ended.return_value == ExitCode.DONE, ended.exception or ended.stdout
    message = node.sent()
    purpose = CapsulePurpose(
        chain_id=market.chain_id, order=order, line=2, enclave=market.enclave_of(), release=0, grant_epoch=0
    )
    assert open_capsule(message.capsule, private_key.private_bytes_raw(), purpose) == key


def test_owner_refuses_and_the_order_ends(run, node, market):
    order = market.accepted()
    run("grant", format_address(order), "--line", 2, "--refuse", "--from", "owner")
    assert node.sent().answer is GrantAnswer.REFUSE
    assert market.standing(order) == ("closed", "grant_refused")


@pytest.mark.parametrize(
    ("state", "options", "seen"),
    [
        ("open", (), "the order is open"),
        ("accepted", ("--line", 1), "line 1"),
        ("granted", (), "lines that need a key: none"),
    ],
    ids=["not accepted", "not sealed", "none left"],
)
def test_key_that_nobody_waits_for_is_not_released(run, node, market, tmp_path, state, options, seen):
    order = market.place() if state == "open" else market.accepted()
    if state == "granted":
        assert market.reason(OWNER, market.grant_message(order)) == ""
    (tmp_path / "data.key").write_bytes(b"k" * 32)
    ended = run("grant", format_address(order), "--key-file", tmp_path / "data.key", "--from", "owner", *options)
    assert refusal(ended)[:2] == ("bad_grant", seen)
    assert not node.taken


def test_grant_is_either_a_key_or_a_refusal(run, market):
    order = format_address(market.accepted())
    assert run("grant", order, "--from", "owner").exception.exit_code == ExitCode.USAGE
