"""Laws of `bocc order grant --trust`: a key is sealed to what the chain says, whatever the node says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from bocc.capsules import CapsulePurpose, open_capsule
from bocc.cli.failures import ExitCode
from bocc.cli.order import command
from bocc.errors import InputRejected
from bocc.market import grant_proofs
from bocc.proven import ProvenRecords, read_proven
from bocc.wallet import Keyring, development_seed
from node.api.methods import METHODS
from node.api.registry import convert_params
from state.address import format_address
from state.codec import INTEGER_MAX, encode
from state.genesis_file import format_genesis
from state.keyfile import KeyKind
from state.order_messages import Accept, Close, order_address
from state.order_records import ORDER_TERMS, ORDERS
from state.order_terms import Mark
from state.records import ONLY, PARAMS
from state.resource_records import RELEASES, RESOURCES, ReleaseStatus
from state.transactions import Transaction, parse_transaction
from state.trust_records import ENCLAVES, EnclaveState
from tests.support.chain_builders import account, make_genesis
from tests.support.fake_node import FakeNode, fake_node_in_thread
from tests.support.fixture_chain import CONFIG, FixtureNode
from tests.support.market_fixture import CUSTOMER, OWNER, MarketFixture, provider_bond, publish_data
from tests.support.rpc import Rpc
from tests.support.trust_fixture import PROVIDER

KEY = b"k" * 32
READS = ("account", "enclave", "order", "params", "resource", "state_proof", "status")
TABLES = {table.prefix[0]: table for table in (ORDERS, ORDER_TERMS, ENCLAVES, RESOURCES, RELEASES)}
Lie = Callable[[dict[str, Any]], object]


class GrantStage:
    """A chain with an accepted order that waits for a key, behind a node that may be told to lie."""

    def __init__(self, node: FakeNode, home: Path) -> None:
        self.market, self.node, self.home = MarketFixture(), node, home
        self.taken: list[Transaction] = []
        market = self.market
        market.send(PROVIDER, provider_bond(10_000_000))
        data = publish_data()
        release = replace(data.release, key_commit=sha256(KEY).digest())
        told = market.send(OWNER, replace(data, release=release))
        market.data = next(attributes["resource"] for attributes in told if "resource" in attributes)
        self.order = order_address(market.chain.chain_id, account(CUSTOMER), 0, 0)
        market.send(CUSTOMER, market.order())
        market.send(PROVIDER, Accept(order=self.order, enclave=market.trust.enclave, plan=0, penalty_max=INTEGER_MAX))
        self._serve()
        (home / "data.key").write_bytes(KEY)
        self.trust(market.trust.genesis)

    def _serve(self) -> None:
        rpc = Rpc(FixtureNode(self.market.trust), CONFIG)
        self.node.methods.clear()
        for method in METHODS:
            if method.name in READS:
                self.node.methods[method.name] = lambda method=method, **params: msgspec.to_builtins(
                    method.handler(rpc.context, convert_params(method, params))
                )
        self.node.methods["tx_submit"] = self._submit

    def _submit(self, tx: str, **_waiting: object) -> dict[str, Any]:
        self.taken.append(parse_transaction(bytes.fromhex(tx), self.market.chain.chain_id))
        receipt = {"status": "ok", "fee": "1", "reason": None}
        return {"tx_id": self.taken[-1].tx_id.hex(), "status": "final", "height": 1, "index": 0, "receipt": receipt}

    def trust(self, genesis: Any) -> None:
        """Let the owner trust a genesis."""
        (self.home / "genesis.json").write_bytes(format_genesis(genesis))

    def lie(self, method: str, lie: Lie) -> None:
        """Let the node change its answers to a method."""
        honest = self.node.methods[method]

        def answer(**params: Any) -> dict[str, Any]:
            told = msgspec.json.decode(msgspec.json.encode(honest(**params)))
            lie(told)
            return told

        self.node.methods[method] = answer

    def grant(self, *options: str, name: str = "owner") -> Result:
        """Release the key."""
        texts = ["grant", format_address(self.order), "--key-file", str(self.home / "data.key"), "--from", name]
        home = ["--home", str(self.home), "--node", self.node.url]
        return CliRunner().invoke(command, [*texts, *home, *options], standalone_mode=False)

    def trusting(self, *options: str, name: str = "owner") -> Result:
        """Release the key, verified from the genesis."""
        return self.grant("--trust", str(self.home / "genesis.json"), *options, name=name)


@pytest.fixture(scope="module")
def shared_node() -> Iterator[FakeNode]:
    with fake_node_in_thread() as node:
        yield node


@pytest.fixture
def stage(shared_node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GrantStage:
    stage = GrantStage(shared_node, tmp_path)
    ring = Keyring(tmp_path)
    for name, index in (("owner", OWNER), ("customer", CUSTOMER)):
        ring.add(name, development_seed(KeyKind.ACCOUNT, index), KeyKind.ACCOUNT, None)
    monkeypatch.setattr(time, "time_ns", lambda: stage.market.chain.tip.block.time_ms * 1_000_000)
    return stage


def refusal(ended: Result) -> tuple[str, str]:
    assert isinstance(ended.exception, InputRejected), ended.exception
    return str(ended.exception.reason), str(ended.exception.seen)


def test_key_that_is_verified_opens_in_the_enclave_of_the_chain_alone(stage):
    """Given an honest node, when a key is released with a genesis, then it is told what was verified, and sealed to just that."""
    ended = stage.trusting()
    assert ended.return_value == ExitCode.DONE, ended.exception
    trust = stage.market.trust
    for part in (format_address(trust.enclave), trust.tee.seal_key.hex(), "trusted, tdx SIMULATED, level 1"):
        assert part in ended.stdout
    assert ended.stderr == ""
    (message,) = stage.taken[0].body.messages
    purpose = CapsulePurpose(
        chain_id=stage.market.chain.chain_id, order=stage.order, line=2, enclave=trust.enclave, release=0, grant_epoch=0
    )
    assert open_capsule(message.capsule, trust.tee.seal_secret, purpose) == KEY


def test_key_that_is_not_verified_is_released_with_a_warning(stage):
    ended = stage.grant("--json")
    assert ended.return_value == ExitCode.DONE
    assert ended.stderr.startswith("Not verified: ")
    assert msgspec.json.decode(ended.stdout)["status"] == "final"


def name_other_chain(told: dict[str, Any]) -> None:
    told["chain_id"] = "ab" * 32


def name_other_seal_key(told: dict[str, Any]) -> None:
    told["seal_key"] = "09" * 32


def name_other_epoch(told: dict[str, Any]) -> None:
    told["grant_epoch"] = 1


def name_other_release(told: dict[str, Any]) -> None:
    told["lines"][2]["release"] = 1


def name_other_resource(told: dict[str, Any]) -> None:
    told["lines"][2]["resource"] = told["lines"][1]["resource"]


def prove_other_value(told: dict[str, Any]) -> None:
    told["proof"]["value"] = "90"


def prove_nothing(told: dict[str, Any]) -> None:
    told["proof"] = {}


@pytest.mark.parametrize(
    ("method", "lie", "seen"),
    [
        ("status", name_other_chain, f"chain {'ab' * 32}"),
        ("enclave", name_other_seal_key, f"seal key {'09' * 32}"),
        ("resource", name_other_epoch, "epoch of grants 1"),
        ("order", name_other_release, "line 2 "),
        ("order", name_other_resource, "line 2 "),
        ("state_proof", prove_other_value, "wrong_value"),
        ("state_proof", prove_nothing, "Object missing required field"),
    ],
    ids=lambda one: one.__name__ if callable(one) else "",
)
def test_lie_of_a_node_gets_no_key(stage, method, lie, seen):
    stage.lie(method, lie)
    reason, told = refusal(stage.trusting())
    assert (reason, stage.taken) == ("unproven", [])
    assert seen in told


def test_good_proofs_of_other_records_are_none(stage):
    honest, params_key = stage.node.methods["state_proof"], PARAMS.raw_key(ONLY).hex()
    stage.node.methods["state_proof"] = lambda **wanted: honest(**wanted | {"key": params_key})
    assert refusal(stage.trusting()) == ("unproven", "proofs of other records")


def test_enclave_that_the_chain_does_not_know_gets_no_key(stage):
    """Given a node that names an enclave of its own for an order, when a key is released, then not to that."""
    own = format_address(b"\x03" + bytes(20))
    stage.lie("order", lambda told: told.update(enclave=own))
    stage.node.methods["enclave"] = lambda **_: {"id": own, "seal_key": "09" * 32}
    assert refusal(stage.trusting()) == ("unproven", f"enclave {own}")
    assert stage.taken == []


def test_order_that_waits_for_no_key_any_more_gets_none(stage):
    stage.market.send(CUSTOMER, Close(order=stage.order, mark=Mark.NONE))
    stage.lie("order", lambda told: told.update(state="accepted", enclave=format_address(stage.market.trust.enclave)))
    assert refusal(stage.trusting()) == ("unproven", "order accepted")


def test_state_of_long_ago_is_no_proof(stage, monkeypatch):
    tip_ms = stage.market.chain.tip.block.time_ms
    bound_ms = 2 * stage.market.chain.params().consensus.heartbeat_ms
    monkeypatch.setattr(time, "time_ns", lambda: (tip_ms + bound_ms + 1_000) * 1_000_000)
    assert refusal(stage.trusting()) == ("unproven", f"a state of {bound_ms // 1_000 + 1} seconds ago")
    monkeypatch.setattr(time, "time_ns", lambda: (tip_ms + bound_ms) * 1_000_000)
    assert stage.trusting().return_value == ExitCode.DONE


def test_chain_of_another_genesis_is_not_believed(stage):
    stage.trust(make_genesis(5))
    assert refusal(stage.trusting()) == ("unproven", f"chain {stage.market.chain.chain_id.hex()}")


def test_stranger_to_the_resource_gives_no_key(stage):
    reason, seen = refusal(stage.trusting(name="customer"))
    assert (reason, stage.taken) == ("bad_grant", [])
    assert seen == f"{format_address(stage.market.data)} of {format_address(account(OWNER))}"


@pytest.mark.parametrize(
    ("table", "changes", "seen"),
    [
        (ENCLAVES, {"state": EnclaveState.SUSPENDED, "reason": "tcb"}, "an enclave that is suspended tcb"),
        (ENCLAVES, {"expires_ms": 0}, "an enclave whose proof has expired"),
        (ENCLAVES, {"level": 0}, "an enclave with level 0"),
        (ENCLAVES, {"release": 7}, "an enclave with "),
        (RELEASES, {"status": ReleaseStatus.REVOKED}, "release 0 is revoked"),
    ],
    ids=["suspended", "expired", "level", "program", "revoked"],
)
def test_what_is_proven_to_be_bad_gets_no_key(stage, monkeypatch, table, changes, seen):
    """Given an order that the chain has not ended yet, when its enclave or release is good no more, then no key is given."""

    async def read(client, genesis, raw_keys, now_ms):
        proven = await read_proven(client, genesis, raw_keys, now_ms)
        (key,) = [key for key in raw_keys if key[0] == table.prefix[0]]
        changed = replace(proven.get(table, key[1:]), **changes)
        records = {other: encode(proven.get(TABLES[other[0]], other[1:])) for other in raw_keys}
        return ProvenRecords(proven.height, proven.time_ms, records | {key: encode(changed)})

    monkeypatch.setattr(grant_proofs, "read_proven", read)
    reason, told = refusal(stage.trusting())
    assert (reason, stage.taken) == ("bad_grant", [])
    assert seen in told


def test_another_key_than_the_release_names_is_kept(stage):
    """Given a node that hides what a release says of its key, when another key is released, then it is kept all the same."""
    stage.lie("resource", lambda told: told.update(releases=[]))
    (stage.home / "data.key").write_bytes(b"j" * 32)
    assert refusal(stage.trusting()) == ("bad_grant", f"a key with SHA-256 {sha256(b'j' * 32).hexdigest()}")


def test_refusal_seals_nothing_that_could_be_verified(stage):
    """Given a refusal, when a genesis is given as well, then that is wrong usage; it is not left out in silence."""
    texts = ["grant", format_address(stage.order), "--refuse", "--from", "owner", "--home", str(stage.home)]
    trust = ["--trust", str(stage.home / "genesis.json"), "--node", stage.node.url]
    ended = CliRunner().invoke(command, [*texts, *trust], standalone_mode=False)
    assert (ended.exception.exit_code, stage.taken) == (ExitCode.USAGE, [])
