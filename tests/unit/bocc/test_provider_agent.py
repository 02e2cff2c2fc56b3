"""Laws of a provider that keeps itself attested: it does what is due, once, and nothing that the chain would refuse."""

from __future__ import annotations

import os

import pytest
from msgspec.structs import replace

from bocc.client import Client
from bocc.provider.agent import (
    LEFT_PART,
    NUMBERED,
    Refusal,
    SoftwareProvider,
    choose_node,
    due_documents,
    due_ms,
    is_enclave_due,
    number_in_force,
)
from bocc.provider.attesting import Challenge, agreement_bytes
from bocc.provider.place import enclave_of, load_published, open_secret, provider_home
from bocc.provider.software import SIMULATED_ROOT_HASH, SoftwareTee
from bocc.testnet.process import name_process
from bocc.testnet.record import NodeRecord, TestnetRecord
from bocc.wallet import development_key
from state.address import account_address, format_address
from state.crypto import verify
from state.keyfile import KeyKind
from state.messages import Attest, Bond, Publish, PutCollateral
from state.records import HOLDINGS, NEW_HOLDINGS
from tee.documents import CollateralKind
from tests.support.fake_chain import CHAIN_ID, FakeChain
from tests.support.fake_node import Refusal as NodeRefusal
from tests.support.fake_node import fake_node

NOW_MS = 1_750_000_000_000
LIFE_MS = 30 * 86_400_000
KEY = development_key(KeyKind.PROVIDER, 0)
DOCUMENTS = SoftwareTee("m", bytes(32)).documents(NOW_MS // 1_000)
RESOURCES = [format_address(bytes((1, *bytes([number]) * 20))) for number in (1, 2)]
REPORT_DATA = slice(48 + 520, 48 + 584)
"""Of a version 4 quote."""
GOOD = {"ok": True, "checks": [{"name": "all", "ok": True}]}


def stored(
    kind: CollateralKind,
    issued_ms: int,
    *,
    root: bytes = SIMULATED_ROOT_HASH,
    number: int = 20,
    is_early: bool = False,
) -> dict:
    return {
        "number": number if kind.name.lower() in NUMBERED else 0,
        "is_early": is_early,
        "kind": kind.name.lower(),
        "root": root.hex(),
        "issued_ms": issued_ms,
        "next_update_ms": issued_ms + LIFE_MS,
    }


def enclave(state: str, attested_ms: int = NOW_MS) -> dict:
    return {
        "state": state,
        "attested_ms": attested_ms,
        "expires_ms": attested_ms + LIFE_MS,
        "reason": "certificate_revoked",
    }


def test_something_is_due_when_a_third_of_its_life_is_left():
    assert due_ms(NOW_MS, NOW_MS + LIFE_MS) == NOW_MS + LIFE_MS - LIFE_MS // LEFT_PART


def test_documents_of_the_number_in_force_are_due_though_older_ones_are_fresh():
    tcb_info, qe_identity = CollateralKind.INTEL_TCB_INFO, CollateralKind.INTEL_QE_IDENTITY
    chain = [stored(one.kind, NOW_MS) for one in DOCUMENTS]
    early = [*chain, stored(tcb_info, NOW_MS, number=22, is_early=True)]
    assert (number_in_force(early), due_documents(DOCUMENTS, early, NOW_MS)) == (20, [])
    counting = [*chain, stored(tcb_info, NOW_MS, number=22)]
    newer = SoftwareTee("m", bytes(32)).documents(NOW_MS // 1_000, number_in_force(counting))
    assert [one.kind for one in due_documents(newer, counting, NOW_MS)] == [qe_identity]
    bodies = {one.kind: one.body for one in newer}
    assert [b'"tcbEvaluationDataNumber":22' in bodies[kind] for kind in (tcb_info, qe_identity)] == [True, True]


def test_documents_are_due_that_the_chain_lacks_or_that_are_soon_overdue():
    fresh = [stored(one.kind, NOW_MS) for one in DOCUMENTS]
    assert due_documents(DOCUMENTS, [], NOW_MS) == list(DOCUMENTS)
    assert due_documents(DOCUMENTS, fresh, NOW_MS) == []
    assert due_documents(DOCUMENTS, fresh[1:], NOW_MS) == [DOCUMENTS[0]]
    old = [stored(DOCUMENTS[2].kind, NOW_MS - LIFE_MS * 2 // 3), *fresh[:2], fresh[3]]
    assert due_documents(DOCUMENTS, old, NOW_MS) == [DOCUMENTS[2]]
    assert due_documents(DOCUMENTS, old, NOW_MS - 1) == []


def test_documents_of_other_vendors_do_not_count():
    foreign = [stored(one.kind, NOW_MS, root=bytes(32)) for one in DOCUMENTS]
    assert due_documents(DOCUMENTS, foreign, NOW_MS) == list(DOCUMENTS)


def test_of_several_numbers_the_one_that_lasts_longest_counts():
    pair = [stored(DOCUMENTS[2].kind, NOW_MS - LIFE_MS), stored(DOCUMENTS[2].kind, NOW_MS)]
    assert due_documents((DOCUMENTS[2],), pair, NOW_MS) == []
    assert due_documents((DOCUMENTS[2],), pair[::-1], NOW_MS) == []


@pytest.mark.parametrize(
    ("told", "is_due"),
    [
        (None, True),
        (enclave("trusted"), False),
        (enclave("grace"), False),
        (enclave("suspended"), True),
        (enclave("expired"), True),
        (enclave("revoked"), False),
        (enclave("trusted", NOW_MS - LIFE_MS * 2 // 3), True),
        (enclave("trusted", NOW_MS - LIFE_MS * 2 // 3 + 1), False),
    ],
)
def test_enclave_is_attested_when_it_must_be(told, is_due):
    assert is_enclave_due(told, NOW_MS) is is_due


def test_secret_of_an_enclave_is_drawn_once_and_private(tmp_path):
    home = tmp_path / "provider"
    assert enclave_of(home) is None
    secret = open_secret(home)
    assert open_secret(home) == secret
    assert (home / "enclave.json").stat().st_mode & 0o777 == 0o600
    assert enclave_of(home) == SoftwareProvider(home, KEY, "m").enclave
    assert open_secret(tmp_path / "other") != secret


def test_home_of_the_networks_own_provider_has_its_plain_name(tmp_path):
    assert provider_home(tmp_path, "provider") == tmp_path / "provider"
    assert provider_home(tmp_path, "alice") == tmp_path / "provider-alice"


def test_another_running_node_is_asked_after_each_failure():
    me = name_process(os.getpid())
    nodes = [
        NodeRecord(name=f"node{index}", rpc=f"http://{index}", ws="", metrics="", p2p="", node_id="", home="")
        for index in range(3)
    ]
    running = [nodes[0], *(replace(node, pid=me.pid, started_ticks=me.started_ticks) for node in nodes[1:])]
    record = TestnetRecord(chain_id="", chain_name="", nodes=tuple(running), accounts=())
    assert [choose_node(record, failures) for failures in range(3)] == ["http://1", "http://2", "http://1"]
    assert choose_node(replace(record, nodes=tuple(nodes)), 0) == "http://0"


class PlayedChain(FakeChain):
    """A chain that takes what a provider sends, and remembers documents and enclave."""

    def __init__(self, node) -> None:
        super().__init__(node)
        self.balance = 10**9
        self.documents: list[dict] = []
        self.enclave: dict | None = None
        self.checks = GOOD
        self.records: dict[str, str] = {}
        node.methods |= {
            "account": lambda address: {"address": address, "balance": str(self.balance), "next_nonce": 0},
            "faucet": self.faucet,
            "collaterals": lambda **_page: {"collaterals": self.documents, "cursor": None},
            "enclave": self.find_enclave,
            "explain": lambda **_tx: self.checks,
            "records": lambda keys: {"values": [self.records.get(key) for key in keys]},
            "block": lambda **_height: {"height": 7, "hash": "22" * 32, "first_cursor": "3"},
            "events": lambda **_page: {
                "events": [
                    {"height": 7, "tx_index": index, "attributes": {"resource": resource}}
                    for index, resource in ((1, "boccres1other"), (0, RESOURCES[0]), (0, RESOURCES[1]))
                ]
            },
        }

    def faucet(self, address: str, amount: str) -> dict:
        self.balance += int(amount)
        return {"status": "final"}

    def find_enclave(self, id: str) -> dict:  # noqa: A002  the interface's name
        if self.enclave is None:
            raise NodeRefusal(-32001, "no_enclave")
        return self.enclave

    def submit(self, tx: str, wait: str, timeout_ms: int = 0) -> dict:
        outcome = super().submit(tx, wait, timeout_ms)
        for message in self.taken[outcome["tx_id"]].body.messages:
            match message:
                case PutCollateral(kind=kind):
                    self.documents.append(stored(CollateralKind(kind), NOW_MS))
                case Attest():
                    self.enclave = enclave("trusted")
                case Bond(amount=amount):
                    holdings = replace(NEW_HOLDINGS, provider_bond=amount)
                    key = HOLDINGS.raw_key(account_address(KEY.public_key))
                    self.records[key.hex()] = HOLDINGS.codec.encode(holdings).hex()
                case Publish():
                    pass
        return outcome

    def sent(self) -> list[str]:
        return [type(message).__name__ for one in self.taken.values() for message in one.body.messages]


async def test_first_look_brings_everything_and_the_second_nothing(tmp_path):
    """Given a bare chain, when the provider looks twice, then documents, resources and one proof are there, in this order."""
    async with fake_node() as node, Client(node.url) as client:
        chain = PlayedChain(node)
        provider = SoftwareProvider(tmp_path, KEY, "m")
        first = await provider.look(client, NOW_MS)
        assert first.done == (
            *("intel_root_crl", "intel_pck_crl", "intel_tcb_info", "intel_qe_identity"),
            *("publish", "attest", "bond"),
        )
        assert first.next_ms == due_ms(NOW_MS, NOW_MS + LIFE_MS)
        assert chain.sent() == ["PutCollateral"] * 4 + ["Publish"] * 2 + ["Attest", "Bond"]
        published = load_published(tmp_path, CHAIN_ID)
        assert [published.hardware, published.image] == RESOURCES
        assert (await SoftwareProvider(tmp_path, KEY, "m").look(client, NOW_MS)).done == ()
        assert len(chain.taken) == 7


async def test_attestation_binds_the_challenge_and_the_enclave_agrees(tmp_path):
    async with fake_node() as node, Client(node.url) as client:
        chain = PlayedChain(node)
        provider = SoftwareProvider(tmp_path, KEY, "m")
        await provider.look(client, NOW_MS)
        (attest,) = [
            message for one in chain.taken.values() for message in one.body.messages if isinstance(message, Attest)
        ]
    assert (attest.challenge_height, attest.tee) == (7, 2)
    names = provider.tee.names(account_address(KEY.public_key), attest.hardware, attest.image)
    assert (attest.sign_key, attest.seal_key) == (names.sign_key, names.seal_key)
    challenge = Challenge(CHAIN_ID, 7, b"\x22" * 32)
    assert attest.evidence[REPORT_DATA] == challenge.report_data(names)
    signed = agreement_bytes(challenge, names, attest.evidence)
    assert verify(attest.sign_key, attest.signature, signed)


async def test_poor_provider_asks_the_faucet_first(tmp_path):
    async with fake_node() as node, Client(node.url) as client:
        chain = PlayedChain(node)
        chain.balance = 5
        assert (await SoftwareProvider(tmp_path, KEY, "m").look(client, NOW_MS)).done[0] == "faucet"
        assert chain.balance > 10**8


async def test_provider_to_whom_the_faucet_gives_nothing_goes_on_with_what_it_has(tmp_path):
    async with fake_node() as node, Client(node.url) as client:
        chain = PlayedChain(node)
        chain.balance = 10**7

        def refuse(**_asked: str) -> dict:
            raise NodeRefusal(-32011, "faucet_limit")

        node.methods["faucet"] = refuse
        assert (await SoftwareProvider(tmp_path, KEY, "m").look(client, NOW_MS)).done[-2:] == ("attest", "bond")
        assert chain.balance == 10**7


async def test_what_the_chain_would_refuse_is_not_sent(tmp_path):
    failed = {"name": "evidence", "ok": False, "reason": "pck_revoked", "seen": "01", "bound": None, "remedy": "stop"}
    async with fake_node() as node, Client(node.url) as client:
        chain = PlayedChain(node)
        provider = SoftwareProvider(tmp_path, KEY, "m")
        await provider.look(client, NOW_MS)
        chain.enclave, chain.checks = None, {"ok": False, "checks": [failed]}
        with pytest.raises(Refusal) as caught:
            await provider.look(client, NOW_MS)
        assert (caught.value.reason, caught.value.seen, caught.value.data["hint"]) == ("pck_revoked", "01", "stop")
        assert chain.sent().count("Attest") == 1


async def test_revoked_enclave_is_told_and_left(tmp_path):
    async with fake_node() as node, Client(node.url) as client:
        chain = PlayedChain(node)
        provider = SoftwareProvider(tmp_path, KEY, "m")
        await provider.look(client, NOW_MS)
        chain.enclave = enclave("revoked")
        with pytest.raises(Refusal) as caught:
            await provider.look(client, NOW_MS)
        assert caught.value.reason == "certificate_revoked"
        assert chain.sent().count("Attest") == 1


async def test_resources_of_another_chain_are_not_taken_for_those_of_this(tmp_path):
    async with fake_node() as node, Client(node.url) as client:
        PlayedChain(node)
        await SoftwareProvider(tmp_path, KEY, "m").look(client, NOW_MS)
    assert load_published(tmp_path, bytes(32)) is None
