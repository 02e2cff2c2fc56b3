"""Orders on a network of four validators with two providers: served, moved, ended in every way, with one state on all nodes."""

from __future__ import annotations

import json

import msgspec
import pytest

from bocc.usage_proofs import find_usage, verify_usage
from state.address import AddressKind, parse_address
from state.genesis_file import parse_genesis
from state.order_messages import Close, Fund
from state.order_terms import Mark
from state.resource_messages import Amend, ReleaseChange
from state.resource_records import ReleaseStatus
from tests.support.live_network import live_network
from tests.support.orders_live import SECRET, live_market, working

FEE_BP = 200


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """Run a network and its market; at the end all nodes have one state and none has logged an error."""
    with live_network(tmp_path_factory.mktemp("orders") / "net") as net, live_market(net) as market:
        yield market
        net.restore()
        assert net.errors() == ""


ORDER_FILE = """\
[compute]
resource = "{hardware}"
plan = 0
[[software]]
resource = "{image}"
[[data]]
resource = "{data}"
[workload]
args_digest = "{digest}"
args_reference = '{reference}'
[terms]
accept_by = "1m"
start_by = "2m"
end_by = "10m"
level_min = 1
deposit = "0.5"
"""


def shares(amount: int) -> int:
    """Return what payees get of an amount."""
    return amount - amount * FEE_BP // 10_000


def test_an_order_from_a_file_is_done_and_everybody_has_the_right_money(market, tmp_path):
    """Given sealed data, when an order is created and, verified, granted, then it is done, paid, and its output opens."""
    customer, owner = market.customer, market.owner
    before = {account.name: market.balance(account) for account in (customer, owner)}
    work = working(2)
    path = tmp_path / "order.toml"
    text = ORDER_FILE.format(
        hardware=market.hardware,
        image=market.image,
        data=market.data,
        digest=work.args_digest.hex(),
        reference=work.args_reference,
    )
    path.write_text(text)
    placed = market.cli("order", "create", path, "--from", customer.name)
    order = placed["order"]
    market.until(order, "accepted")
    trust = ("--trust", market.net.home / "node0" / "genesis.json")
    granted = market.cli("order", "grant", order, "--key-file", market.key_file, "--from", owner.name, *trust)
    told = market.until(order, "closed done")

    (machine, image, data), money = told["lines"], told["money"]
    assert [one["earned"] for one in told["lines"]] == [one["settled"] for one in told["lines"]]
    assert (image["earned"], data["earned"]) == ("10000", "50000")
    least_ms = machine["plan"]["min_term_ms"]
    assert int(machine["earned"]) == max(told["dates"]["paid_time_ms"], least_ms)  # a thousand ubocc a second
    assert 0 < told["dates"]["paid_time_ms"] <= 4_000
    assert (money["held"], money["settled"]) == ("0", str(sum(int(one["earned"]) for one in told["lines"])))
    fees = {"alice": int(placed["receipt"]["fee"]), "dave": int(granted["receipt"]["fee"])}
    spent = int(money["settled"]) + int(money["bond_locked"]) + fees["alice"]
    assert market.balance(customer) == before["alice"] - spent
    assert market.balance(owner) == before["dave"] + shares(50_000) - fees["dave"]
    assert told["run"]["is_erased"] is True
    assert told["receipt_count"] >= 4  # start, beats, output, erase
    secret = bytes.fromhex((tmp_path / "order.result.key").read_text())
    assert b"SIMULATED" in market.output(told, secret)
    assert told["receipt_count"] == market.order(order)["receipt_count"]
    assert market.cli("order", "mark", order, "good", "--from", customer.name)["status"] == "final"


def test_every_use_of_the_data_is_proved_offline(market):
    """Given a use, when a node proves the ledger, then its rows and that none is missing hold without any node."""
    told = market.call("usage", resource=market.data, prove=True)
    shown = find_usage(json.dumps(told).encode())
    fact = verify_usage(shown, parse_genesis(msgspec.json.encode(market.call("genesis"))))
    assert fact.resource == parse_address(market.data, "boccres", AddressKind.RESOURCE)
    assert (fact.is_whole, fact.count) == (True, told["usage_count"])
    number, row = fact.rows[0]
    assert (number, row.customer) == (0, parse_address(market.customer.address))
    assert row.output_receipt
    assert row.erase_receipt


def test_an_order_of_a_killed_provider_is_done_by_another_one_while_a_validator_dies(market):
    """Given its provider and the node of the other one killed, when its grace is over, then that does it with a fresh key."""
    order = market.place(3, data=market.data, is_any=True)
    market.until(order, "accepted")
    market.grant(order)
    first = market.until(order, "running")
    killed = market.provider_of(first)
    killed.kill()
    market.net.kill("node0")
    market.until(order, "stalled beat_missed")
    again = market.until(order, "accepted")
    assert again["attempts_left"] == 0
    assert market.provider_of(again) is not killed
    assert [line["grant"] for line in again["lines"]] == [None, None, None]
    market.net.start("node0")
    killed.restart()
    market.grant(order)
    told = market.until(order, "closed done")
    assert b"SIMULATED" in market.output(told, SECRET)
    assert [one["earned"] for one in told["lines"][1:]] == ["10000", "50000"]  # paid once for both attempts
    served = market.call("provider", account=killed.account.address)
    assert served["service"]["provider_faults"] >= 1
    assert int(served["service"]["penalties"]) > 0
    usage = market.call("usage", resource=market.data)
    assert [row["enclave"] for row in usage["rows"] if row["order"] == order] == [first["enclave"], told["enclave"]]
    market.net.converge()


def test_a_cancelled_order_pays_its_least_term_and_the_rest_comes_back(market):
    order = market.place(60)
    market.until(order, "running")
    market.cli("order", "close", order, "--from", market.customer.name)
    told = market.until(order, "closed cancelled", also=lambda told: told["run"]["is_erased"])
    assert [one["settled"] for one in told["lines"]] == ["3000", "10000"]
    assert told["money"]["held"] == "0"


def test_an_order_out_of_money_waits_and_goes_on_when_somebody_funds_it(market):
    order = market.place(60, deposit=13_000)
    spent = market.until(order, "stalled out_of_funds")
    assert [one["earned"] for one in spent["lines"]] == ["3000", "10000"]
    address = parse_address(order, "boccord", AddressKind.ORDER)
    market.send(market.owner, Fund(order=address, amount=100_000))
    market.until(order, "running", also=lambda told: int(told["lines"][0]["earned"]) > 3_000)
    market.send(market.customer, Close(order=address, mark=Mark.NONE))
    told = market.until(order, "closed cancelled")
    assert [one["account"] for one in told["funds"]] == [market.customer.address, market.owner.address]


def test_a_revoked_release_ends_what_uses_it(market):
    data = market.publish_data("revoked")
    order = market.place(60, data=data)
    market.until(order, "accepted")
    market.grant(order)
    market.until(order, "running")
    change = ReleaseChange(release=0, status=ReleaseStatus.REVOKED, notice_ms=0)
    nothing = Amend(
        resource=parse_address(data, "boccres", AddressKind.RESOURCE),
        policy=None,
        payees=None,
        vault=None,
        plans_added=(),
        plans_closed=(),
        releases=(change,),
        capacity=None,
        drain_at_ms=None,
        status=None,
        bumps_grant_epoch=False,
        freezes=False,
    )
    market.send(market.owner, nothing)
    market.until(order, "stalled release_revoked", "closed policy_revoked")
    market.until(order, "closed policy_revoked", also=lambda told: told["run"]["is_erased"])


def test_two_processes_of_one_provider_do_no_harm_and_either_may_be_killed(market):
    """Given a second process for a running enclave, when the first is killed, then its order goes on without it."""
    order = market.place(3)
    before = market.until(order, "running")
    provider = market.provider_of(before)
    provider.replace()
    told = market.until(order, "closed done")
    assert told["enclave"] == before["enclave"]


def test_what_an_owner_refuses_ends_without_a_penalty(market):
    order = market.place(60, data=market.data)
    market.until(order, "accepted")
    market.cli("order", "grant", order, "--refuse", "--from", market.owner.name)
    told = market.until(order, "closed grant_refused")
    assert (told["money"]["held"], told["money"]["settled"]) == ("0", "0")


def test_a_provider_leaves_what_its_customer_ends_before_the_start(market):
    order = market.place(60, data=market.data)
    market.until(order, "accepted")
    address = parse_address(order, "boccord", AddressKind.ORDER)
    market.send(market.customer, Close(order=address, mark=Mark.NONE))
    assert market.until(order, "closed cancelled")["run"] is None
