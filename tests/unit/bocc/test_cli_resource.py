"""Laws of `bocc resource`, `bocc endorse` and the queries of the market, against a node that answers from a market and executes."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bocc.cli import endorse, query, resource
from bocc.cli.failures import ExitCode
from bocc.errors import InputReason, InputRejected
from state.address import format_address
from state.lists import ListKind
from state.offers import Payee, PlanUnit, ResourceKind
from state.policies import LevelAtLeast, SubjectKind
from state.resource_messages import Assign, ReleaseChange
from state.resource_records import PLANS, RELEASES, RESOURCES, ReleaseStatus, ResourceStatus, numbered_key
from state.trust_messages import Supersede
from tests.support.amending import amend
from tests.support.chain_builders import account
from tests.support.market_cli import PlayedMarket, Run, runner

DATA = """
kind = "data"
title = "Weather"
category = "weather"
policy = "level_at_least(1)"
[release]
content = "weather.csv"
key_file = "weather.key"
[[plans]]
unit = "once"
price = "0.05"
"""


@pytest.fixture
def run(node: PlayedMarket, tmp_path: Path) -> Run:
    return runner(resource.command, node.node, tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "weather.csv").write_bytes(b"rain\n")
    path = tmp_path / "resource.toml"
    path.write_text(DATA)
    return path


def done(ended: Result) -> Result:
    assert (ended.exception, ended.return_value or ExitCode.DONE) == (None, ExitCode.DONE), ended.stdout
    return ended


@pytest.mark.parametrize("kind", ["data", "software", "hardware"])
def test_files_to_fill_in_are_printed(kind):
    assert f'kind = "{kind}"' in CliRunner().invoke(resource.command, ["init", kind]).stdout


def test_published_resource_has_its_address_told(run, node, market, data):
    told = json.loads(done(run("publish", data, "--from", "owner", "--json")).stdout)
    message = node.sent()
    assert message.release.content_root == sha256(b"rain\n").digest()
    address = market.members(ListKind.OWNER, account(3))[-1]
    assert told["resource"] == format_address(address)
    record = market.ledger.get(RESOURCES, address)
    assert (record.kind, record.title, record.policy) == (ResourceKind.DATA, "Weather", (LevelAtLeast(level=1),))
    shown = done(run("show", told["resource"])).stdout
    assert "the enclave's level is at least 1" in shown
    assert "0.05 BOCC once" in shown
    assert run("show", told["resource"], "--policy").stdout == "level_at_least(1)\n"


def test_publisher_is_told_where_sealed_content_and_its_key_are(run, node, data):
    told = done(run("publish", data, "--from", "owner")).stdout
    assert "Sealed: weather.csv.sealed; its key is in weather.key: keep it." in told
    assert node.sent().release.key_commit


def test_release_supersedes_the_older_ones_after_a_notice(run, node, market, tmp_path):
    (tmp_path / "weather.csv").write_bytes(b"snow\n")
    path = tmp_path / "resource.toml"
    path.write_text(DATA)
    address = format_address(market.data)
    done(run("release", address, path, "--from", "owner", "--notice", "1h"))
    message = node.sent()
    assert (message.resource, message.supersedes, message.notice_ms) == (market.data, Supersede.ALL, 3_600_000)
    assert (message.policy, message.plans) == ((), ())
    old, new = (market.ledger.get(RELEASES, numbered_key(market.data, number)) for number in (0, 1))
    assert (old.status, new.status) == (ReleaseStatus.DEPRECATED, ReleaseStatus.CURRENT)
    assert new.body.content_root == sha256(b"snow\n").digest()
    done(run("release", address, path, "--from", "owner", "--supersede", "1"))
    assert (node.sent().supersedes, node.sent().superseded) == (Supersede.LISTED, (1,))
    assert run("release", address, path, "--from", "owner", "--supersede", "some").exception.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (("--pause",), {"status": ResourceStatus.PAUSED}),
        (("--retire",), {"status": ResourceStatus.RETIRED}),
        (("--freeze",), {"freezes": True}),
        (("--bump-grants",), {"bumps_grant_epoch": True}),
        (("--close-plan", "0"), {"plans_closed": (0,)}),
        (("--policy", "{policy}"), {"policy": (LevelAtLeast(level=5),)}),
        (("--no-policy", "--pause"), {"policy": (), "status": ResourceStatus.PAUSED}),
        (("--vault", "{image}"), {"vault": "image"}),
        (
            ("--deprecate", "0", "--notice", "1h"),
            {"releases": (ReleaseChange(release=0, status=ReleaseStatus.DEPRECATED, notice_ms=3_600_000),)},
        ),
        (("--revoke", "0"), {"releases": (ReleaseChange(release=0, status=ReleaseStatus.REVOKED, notice_ms=0),)}),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
def test_amendment_changes_what_is_named_and_nothing_else(run, node, market, tmp_path, options, changed):
    (tmp_path / "policy").write_text("level_at_least(5)")
    names = {"policy": tmp_path / "policy", "image": format_address(market.image)}
    words = [option.format(**names) for option in options]
    done(run("amend", format_address(market.data), *words, "--from", "owner"))
    if "vault" in changed:
        changed = {"vault": market.image}
    assert node.sent() == amend(market.data, **changed)


def test_plans_are_added_with_the_next_numbers(run, node, market, tmp_path):
    (tmp_path / "plans.toml").write_text('[[plans]]\nunit = "use"\nprice = "2ubocc"')
    done(run("amend", format_address(market.data), "--add-plans", tmp_path / "plans.toml", "--from", "owner"))
    plan = market.ledger.get(PLANS, numbered_key(market.data, 1)).plan
    assert (plan.number, plan.unit, plan.price) == (1, PlanUnit.USE, 2)


def test_shares_are_replaced_and_machines_drain(run, node, market, tmp_path):
    shares = f'[[payees]]\naccount = "{format_address(account(4))}"\nshare_bp = 10000'
    (tmp_path / "payees.toml").write_text(shares)
    (tmp_path / "capacity.toml").write_text("[capacity]\nvcpus = 16")
    files = ("--payees", tmp_path / "payees.toml", "--capacity", tmp_path / "capacity.toml")
    done(run("amend", format_address(market.hardware), *files, "--drain-in", "1h", "--from", "provider"))
    record = market.ledger.get(RESOURCES, market.hardware)
    assert record.payees == (Payee(account=account(4), share_bp=10_000),)
    assert (record.capacity.vcpus, record.drain_at_ms) == (16, market.time_ms - 1_000 + 3_600_000)


@pytest.mark.parametrize(
    "options",
    [(), ("--policy", "{policy}", "--no-policy"), ("--revoke", "0", "--restore", "0"), ("--notice", "1h")],
    ids=" ".join,
)
def test_amendment_of_nothing_or_of_contradictions_is_wrong_usage(run, node, market, tmp_path, options):
    (tmp_path / "policy").write_text("level_at_least(5)")
    words = [option.format(policy=tmp_path / "policy") for option in options]
    ended = run("amend", format_address(market.data), *words, "--from", "owner")
    assert ended.exception.exit_code == ExitCode.USAGE
    assert not node.taken


def test_resource_is_given_to_who_signs_too(run, node, market):
    arguments = ("assign", format_address(market.data), "stranger", "--from", "owner")
    done(run(*arguments, "--cosigner", "stranger", "--keep-payees"))
    assert node.sent() == Assign(resource=market.data, to=account(4), keeps_payees=True)
    assert market.ledger.get(RESOURCES, market.data).owner == account(4)


def test_resources_are_listed(run, market):
    listed = json.loads(done(run("list", "--owner", "owner", "--json")).stdout)
    assert [one["id"] for one in listed["resources"]] == [format_address(market.data)]
    assert format_address(market.data) in run("list", "--kind", "data").stdout


def test_ledger_of_use_and_who_could_use_are_shown(run, node, market):
    market.running()
    address = format_address(market.data)
    told = done(run("usage", address)).stdout
    assert format_address(account(1)) in told
    assert "Uses in all: 1." in told
    told = done(run("who-can-use", address)).stdout
    assert "it has no conditions" in told
    assert "SIMULATED" in told
    assert json.loads(run("who-can-use", address, "--json").stdout)["verdict"] == "true"


def test_market_and_providers_can_be_asked(node, market, tmp_path):
    run = runner(query.command, node.node, tmp_path)
    told = done(run("market", "--kind", "hardware", "--vcpus", 2, "--price-max", "1", "--customer", "customer")).stdout
    assert format_address(market.hardware) in told
    assert "SIMULATED" in told
    assert "0.001 BOCC per second" in told
    assert format_address(market.hardware) not in run("market", "--vcpus", 64).stdout
    assert "orders_done" in done(run("provider", "provider")).stdout
    assert json.loads(run("usage", format_address(market.data), "--json").stdout)["rows"] == []


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        ("stranger", SubjectKind.ACCOUNT),
        ("{data}", SubjectKind.RESOURCE),
        ("{data}:0", SubjectKind.RELEASE),
        ("{enclave}", SubjectKind.ENCLAVE),
        ("{platform}", SubjectKind.PLATFORM),
    ],
)
def test_everything_that_policies_ask_for_can_be_endorsed_and_found(node, market, tmp_path, subject, kind):
    run = runner(endorse.command, node.node, tmp_path)
    (tmp_path / "statement").write_bytes(b"I have seen it.")
    named = subject.format(
        data=format_address(market.data),
        enclave=format_address(market.enclave_of()),
        platform=market.enclave().platform.hex(),
    )
    now_ms = market.time_ms
    done(run(named, "reproduced", "--from", "owner", "--until", "30d", "--statement", tmp_path / "statement"))
    message = node.sent()
    assert (message.subject_kind, message.claim, message.until_ms) == (kind, "reproduced", now_ms + 30 * 86_400_000)
    assert message.statement_hash == sha256(b"I have seen it.").digest()
    for options in (("--endorser", "owner"), ("--subject", named)):
        assert "reproduced" in done(run("list", *options)).stdout
    done(run("--from", "owner", named, "reproduced", "--revoke"))
    assert node.sent().until_ms == 0
    assert json.loads(run("list", "--endorser", "owner", "--json").stdout)["endorsements"] == []


@pytest.mark.parametrize("subject", ["nobody", "boccres1x:one", "abc"])
def test_what_cannot_be_endorsed_is_refused(node, tmp_path, subject):
    ended = runner(endorse.command, node.node, tmp_path)(subject, "reproduced", "--from", "owner")
    assert isinstance(ended.exception, InputRejected)
    assert ended.exception.reason is InputReason.BAD_SUBJECT


def test_endorsements_are_listed_by_one_side(node, tmp_path):
    run = runner(endorse.command, node.node, tmp_path)
    assert run("list").exception.exit_code == ExitCode.USAGE
