"""Laws of `bocc order`: what an order's file asks for is what the chain gets, and what the chain says is what people see.

The node that is played answers from the state of a market, and executes what it is sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import Result
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec.structs import replace

from bocc.cli import order_watch
from bocc.cli.failures import ExitCode
from bocc.cli.order import command
from bocc.errors import InputReason, InputRejected, RpcRejected, SealRejected
from bocc.market.drafts import read_result_key
from bocc.sealed import seal_output
from bocc.tx_file import parse_tx_file
from state.address import format_address
from state.lists import ListKind
from state.offers import NO_CAPACITY, ResourceKind
from state.order_messages import Close, Fund, order_address
from state.order_records import ORDERS, OrderState
from state.order_terms import LineRole, MachineTerms, Mark
from state.policies import AllOf, LevelAtLeast, OutputParty, TeeIn
from tests.support.attesting import EMPTY_RELEASE, PROVIDER, publish
from tests.support.chain_builders import account
from tests.support.market_cli import PlayedMarket, Run, runner
from tests.support.ordering import CUSTOMER, DATA_PLAN, MACHINE_PLAN, OWNER, SECOND_MS, Market


@pytest.fixture
def run(node: PlayedMarket, tmp_path: Path) -> Run:
    return runner(command, node.node, tmp_path)


@pytest.fixture
def write(market: Market, tmp_path: Path) -> Callable[..., Path]:
    """Write an order's file for the market's machine, image and data."""
    (tmp_path / "args.json").write_text("{}")

    def write_order(compute: str | None = None, terms: str = "", more: str = "") -> Path:
        machine = f'resource = "{format_address(market.hardware)}"' if compute is None else compute
        path = tmp_path / "order.toml"
        path.write_text(f"""
            [compute]
            {machine}
            [[software]]
            resource = "{format_address(market.image)}"
            [[data]]
            resource = "{format_address(market.data)}"
            price_max = "1"
            {more}
            [workload]
            args_file = "args.json"
            args_reference = "file://args.json"
            [terms]
            accept_by = "1m"
            start_by = "2m"
            end_by = "10m"
            level_min = 0
            {terms}
        """)
        return path

    return write_order


def refusal(ended: Result) -> tuple[str, object, object]:
    assert isinstance(ended.exception, InputRejected), ended.exception
    return str(ended.exception.reason), ended.exception.seen, ended.exception.bound


def test_created_order_is_what_its_file_says(run, node, market, write):
    ended = run("create", write(), "--from", "customer", "--json")
    assert ended.return_value == ExitCode.DONE, ended.exception or ended.stdout
    message = node.sent()
    assert [
        (line.role, line.resource, line.release, line.plan, line.quantity, line.price_max) for line in message.lines
    ] == [
        (LineRole.COMPUTE, market.hardware, 0, 0, 1, 1_000),
        (LineRole.SOFTWARE, market.image, 0, 0, 1, 0),
        (LineRole.DATA, market.data, 0, 0, 1, 1_000_000),
    ]
    assert message.workload.args_digest == sha256(b"{}").digest()
    begin_ms = market.time_ms - SECOND_MS
    dates = (message.accept_by_ms, message.start_by_ms, message.end_by_ms)
    assert dates == (begin_ms + 60_000, begin_ms + 120_000, begin_ms + 600_000)
    assert (message.output_to, message.attempts, message.after) == (OutputParty.CUSTOMER, 2, ())


def test_name_of_an_order_is_told_before_it_is_sent_and_its_money_is_computed(run, node, market, write):
    """Given 600 s at 1,000 ubocc and data for 50,000 once, when it is ordered, then all of it is put into escrow."""
    ended = run("create", write(), "--from", "customer")
    order = order_address(market.chain_id, account(1), node.taken[0].body.nonce, 0)
    record = market.order(order)
    assert (record.state, record.held) == (OrderState.OPEN, 650_000)
    told = ended.stdout
    assert told.index(format_address(order)) < told.index("tx_id")
    assert f"{record.bond_locked / 10**6:.6f}".rstrip("0") in told
    assert "a key from its owner" in told


def test_order_in_a_file_is_named_and_not_sent(run, node, market, write, tmp_path):
    ended = run("create", write(), "--from", "customer", "--out", tmp_path / "tx.json")
    body = parse_tx_file((tmp_path / "tx.json").read_bytes()).body
    assert format_address(order_address(market.chain_id, account(1), body.nonce, 0)) in ended.stdout
    assert (len(body.messages), node.taken) == (1, [])


def test_output_is_sealed_to_a_key_that_is_made_once(run, node, write, tmp_path):
    path = write()
    run("create", path, "--from", "customer", "--dry-run")
    key_path = tmp_path / "order.result.key"
    assert not key_path.exists()
    run("create", path, "--from", "customer")
    first = node.sent().result_key
    run("create", path, "--from", "customer")
    assert node.sent().result_key == first == read_result_key(key_path).public_key().public_bytes_raw()
    assert key_path.stat().st_mode & 0o077 == 0


def test_given_terms_are_taken_as_they_are(run, node, write):
    terms = f"""
        deposit = "2"
        result_key = "{"0e" * 32}"
        output_to = "both"
        purpose = "research"
        constraints = "all_of(level_at_least(1), tee_in(tdx, sgx))"
    """
    ended = run("create", write(terms=terms), "--from", "customer")
    assert ended.return_value == ExitCode.DONE, ended.exception or ended.stdout
    message = node.sent()
    assert (message.deposit, message.result_key, message.purpose) == (2_000_000, b"\x0e" * 32, "research")
    assert message.output_to is OutputParty.BOTH
    assert message.constraints == (AllOf(count=2), LevelAtLeast(level=1), TeeIn(kinds=(2, 1)))


def test_order_for_any_machine_names_a_price_and_its_capacity(run, node, write):
    compute = 'any = true\nprice_max = "0.01"\ntee = "tdx"\ncapacity = { vcpus = 2 }'
    ended = run("create", write(compute), "--from", "customer")
    assert ended.return_value == ExitCode.DONE, ended.exception or ended.stdout
    message = node.sent()
    assert (message.lines[0].resource, message.lines[0].price_max) == (b"", 10_000)
    assert message.machine == MachineTerms(
        capacity=replace(NO_CAPACITY, vcpus=2),
        beat_every_ms_max=60_000,
        grace_ms_max=300_000,
        penalty_bp_min=0,
        notice_ms_min=0,
        min_term_ms_max=300_000,
    )
    assert message.constraints == (TeeIn(kinds=(2,)),)
    assert message.deposit == 600 * 10_000 + 50_000


def test_lines_without_a_resource_take_the_cheapest_offer_that_fits(run, node, market, write):
    """Given a machine at half the price but too small, and one a little dearer, when 2 CPUs are asked for, then the one between."""
    small = replace(MACHINE_PLAN, price=500, capacity=replace(MACHINE_PLAN.capacity, vcpus=1))
    for plan in (small, replace(MACHINE_PLAN, price=1_001)):
        market.publish(PROVIDER, publish(ResourceKind.HARDWARE, plans=(plan,)))
    release = replace(EMPTY_RELEASE, content_root=b"\x0c" * 32)
    kind = publish(ResourceKind.DATA, release=release, plans=(DATA_PLAN,), category="weather")
    weather = market.publish(OWNER, kind)
    more = '[[data]]\ncategory = "weather"'
    ended = run("create", write("capacity = { vcpus = 2 }", more=more), "--from", "customer")
    assert ended.return_value == ExitCode.DONE, ended.exception or ended.stdout
    assert [line.resource for line in node.sent().lines[::3]] == [market.hardware, weather]


def test_dry_run_shows_the_exact_transaction_and_every_check(run, node, market, write):
    ended = run("create", write(), "--from", "customer", "--dry-run", "--json")
    assert ended.return_value == ExitCode.DONE, ended.stdout
    told = json.loads(ended.stdout)
    assert not node.taken
    assert told["ok"] is True
    (message,) = told["body"]["messages"]
    assert (message["kind"], message["deposit"]) == ("order", "650000")
    submitted = node.submit(told["tx"])
    assert submitted["receipt"]["status"] == "ok"
    assert market.ledger.find(ORDERS, order_address(market.chain_id, account(1), told["body"]["nonce"], 0)) is not None
    assert told["order"] == format_address(order_address(market.chain_id, account(1), told["body"]["nonce"], 0))


def test_dry_run_for_people_ends_with_the_checks(run, write):
    ended = run("create", write(), "--from", "customer", "--dry-run")
    assert ended.return_value == ExitCode.DONE
    assert '"deposit": "650000"' in ended.stdout
    assert ended.stdout.rstrip().endswith("Nothing was sent.")


def test_deposit_below_the_least_cost_is_refused_before_it_is_sent(run, node, write):
    ended = run("create", write(terms='deposit = "0.05"'), "--from", "customer")
    assert refusal(ended) == ("bad_file", "terms.deposit: 50000ubocc", "at least 60000ubocc, the least cost")
    assert not node.taken


@pytest.mark.parametrize(
    ("compute", "more", "seen"),
    [
        (
            "capacity = {{ vcpus = 64 }}",
            "",
            "compute: nothing on offer fits {asked}",
        ),
        ("{hardware}\nplan = 3", "", "compute: no open plan 3"),
        ('{hardware}\nprice_max = "10ubocc"', "", "compute: price_max 10ubocc"),
        ("{image}", "", "compute: {image_address} is software"),
        ("{hardware}", "[[data]]\n{data}\nrelease = 4", "data[1]: release 4 is not among the current ones"),
    ],
    ids=["market", "plan", "price", "kind", "release"],
)
def test_line_that_no_offer_fits_is_named(run, node, market, write, compute, more, seen):
    addresses = {name: format_address(getattr(market, name)) for name in ("hardware", "image", "data")}
    lines = {name: f'resource = "{address}"' for name, address in addresses.items()}
    ended = run("create", write(compute.format(**lines), more=more.format(**lines)), "--from", "customer")
    asked = f"kind hardware, customer {format_address(account(1))}, level_min 0, vcpus 64"
    reason, told, _ = refusal(ended)
    assert (reason, told) == (
        str(InputReason.NO_OFFER),
        seen.format(image_address=addresses["image"], asked=asked),
    )
    assert not node.taken


def test_unknown_resource_is_the_refusal_of_the_node(run, write):
    unknown = format_address(b"\x01" + bytes(20))
    ended = run("create", write(f'resource = "{unknown}"'), "--from", "customer")
    assert isinstance(ended.exception, RpcRejected)
    assert ended.exception.reason == "no_such_resource"


def test_orders_are_listed_and_shown(run, market):
    order = market.running()
    address = format_address(order)
    listed = json.loads(run("list", "--customer", "customer", "--json").stdout)
    assert [one["id"] for one in listed["orders"]] == [address]
    assert address in run("list", "--state", "running").stdout
    assert address not in run("list", "--state", "open").stdout
    shown = run("show", address).stdout
    assert "running" in shown
    assert "granted" in shown
    assert json.loads(run("show", address, "--json").stdout)["state"] == "running"


def test_watching_ends_with_the_order(run, node, market):
    """Given an order that runs, when an event closes it, then watching shows both and ends."""
    order = market.running()
    address = format_address(order)

    def events(**_: object) -> dict[str, object]:
        closing = market.report(market.output(order))
        assert closing == ""
        kinds = ("order_started", "order_closed")
        return {
            "events": [
                {
                    "kind": kind,
                    "time_ms": market.time_ms,
                    "attributes": {"order": address, "reason": "done"},
                    "cursor": "1",
                }
                for kind in kinds
            ],
            "cursor": "1",
        }

    node.node.methods["events"] = events
    ended = run("watch", address)
    assert ended.return_value == ExitCode.DONE, ended.exception
    assert ended.stdout.index("order started") < ended.stdout.index("order closed") < ended.stdout.index("closed: done")
    assert node.calls_of("events")[0]["topics"] == [f"order:{address}"]


def test_watching_on_a_terminal_reads_the_order_again_with_each_event(run, node, market, monkeypatch):
    order = market.running()
    address = format_address(order)
    events = [
        {"kind": kind, "time_ms": market.time_ms, "attributes": {"order": address, "amount": "5"}, "cursor": "1"}
        for kind in ("settled", "order_closed")
    ]
    node.node.methods["events"] = lambda **_: {"events": events, "cursor": "1"}
    monkeypatch.setattr(order_watch, "is_terminal", lambda: True)
    told = run("watch", address).stdout
    assert "settled  amount=5ubocc" in told
    assert "order closed" in told
    assert len(node.calls_of("order")) == 3


def test_output_is_opened_with_the_key_of_its_order(run, node, market, write, tmp_path):
    """Given an output that is sealed to the key of its order, when it is asked for, then it is opened, or told why not."""
    done = run("create", write(), "--from", "customer", "--json")
    order = market.members(ListKind.CUSTOMER, account(1))[-1]
    address, key = json.loads(done.stdout)["order"], tmp_path / "order.result.key"
    assert market.reason(PROVIDER, market.accept_message(order)) == ""
    assert market.reason(OWNER, market.grant_message(order)) == ""
    start = market.start(order, args_digest=sha256(b"{}").digest())
    assert market.report(start) == ""
    arguments = ("output", address, "--key-file", key)
    assert refusal(run(*arguments))[:2] == ("bad_output", "none yet, the order is running")
    sealed = seal_output(b"rain", node.taken[0].body.messages[0].result_key, market.chain_id, order)
    (tmp_path / "sealed").write_bytes(sealed)
    reference = (tmp_path / "sealed").as_uri()
    root = sha256(b"rain").digest()
    assert market.report(market.output(order, is_last=False, root=root, reference=reference)) == ""
    assert run(*arguments).stdout == "rain"
    assert "4 bytes" in run(*arguments, "--save", tmp_path / "saved").stdout
    assert json.loads(run(*arguments, "--json").stdout) == {"root": root.hex(), "bytes": 4, "saved": None}
    assert (tmp_path / "saved").read_bytes() == b"rain"
    assert (tmp_path / "saved").stat().st_mode & 0o077 == 0
    assert market.report(market.output(order, is_last=False, root=root, reference="file:///dev/zero")) == ""
    assert refusal(run(*arguments))[:2] == ("bad_output", "file:///dev/zero: no file of this machine")
    assert market.report(market.output(order, root=bytes(32), reference="https://elsewhere")) == ""
    assert refusal(run(*arguments))[:2] == ("bad_output", "https://elsewhere")
    assert refusal(run(*arguments, "--sealed", tmp_path / "sealed")) == ("bad_output", root.hex(), "00" * 32)
    key.write_text("ff" * 32)
    assert isinstance(run(*arguments, "--sealed", tmp_path / "sealed").exception, SealRejected)


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("r\u00e9sum\u00e9\n\t'1'\n".encode(), "r\u00e9sum\u00e9\n\t'1'\n"),
        ("a\x1b[2Jb\u202e\r\n".encode(), "a\\x1b[2Jb\\u202e\\r\n"),
        (b"\xff\xfe", None),
        (b"PK\0", None),
    ],
    ids=["text", "text that steers", "no text", "text with zero bytes"],
)
def test_terminal_shows_an_output_only_if_it_is_text(run, market, tmp_path, monkeypatch, content, shown):
    """Given an output, when it is asked for, then nothing in it steers a terminal, and a pipe gets it as it is."""
    secret = X25519PrivateKey.from_private_bytes(b"s" * 32)
    result_key = secret.public_key().public_bytes_raw()
    order = market.running(result_key=result_key)
    (tmp_path / "key").write_text(secret.private_bytes_raw().hex())
    (tmp_path / "sealed").write_bytes(seal_output(content, result_key, market.chain_id, order))
    assert market.report(market.output(order, root=sha256(content).digest())) == ""
    options = ("--key-file", tmp_path / "key", "--sealed", tmp_path / "sealed")
    arguments = ("output", format_address(order), *options)
    assert run(*arguments).stdout_bytes == content
    monkeypatch.setattr(order_watch, "is_terminal", lambda: True)
    ended = run(*arguments)
    if shown is None:
        expected = ("bad_output", f"{len(content)} bytes that are no text", "--save FILE, or a pipe")
        assert (refusal(ended), ended.stdout) == (expected, "")
    else:
        assert ended.stdout == shown


def test_watching_an_order_that_is_closed_asks_for_no_events(run, node, market):
    order = market.accepted()
    assert market.reason(CUSTOMER, market.close(order)) == ""
    assert run("watch", format_address(order)).return_value == ExitCode.REFUSED
    assert node.calls_of("events") == []


def test_money_is_added_and_an_order_is_closed_and_marked(run, node, market):
    order = market.place()
    address = format_address(order)
    run("fund", address, "0.5", "--from", "stranger")
    assert node.sent() == Fund(order=order, amount=500_000)
    run("close", address, "--from", "customer")
    assert node.sent() == Close(order=order, mark=Mark.NONE)
    assert market.standing(order) == ("closed", "cancelled")
    ended = run("mark", address, "good", "--from", "customer")
    assert node.taken[-1].body.messages == (Close(order=order, mark=Mark.GOOD),)
    assert ended.return_value == ExitCode.REFUSED  # nobody ever accepted it


def test_failed_transaction_is_told_with_what_helps(run, market):
    order = market.place()
    ended = run("mark", format_address(order), "good", "--from", "customer")
    assert ended.return_value == ExitCode.REFUSED
    assert "It failed. What helps: " in ended.stdout
