"""A provider of simulated hardware that keeps itself attested and serves orders: it looks at the chain and does what is due.

Nothing is remembered between rounds but the enclave's secret and the names of what was published, so a round after a crash, or on a
chain that went on without us, does the right thing. What the chain would refuse is not sent. Every line of the log says SIMULATED.
Orders have rounds of their own (bocc/provider/serving.py), which an event or a date of theirs begins.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Never

import msgspec

from bocc.client import Client, Outcome
from bocc.errors import AnswerMalformed, NodeUnreachable, NotFinal, RpcRejected
from bocc.provider.attesting import parse_resource, take_challenge
from bocc.provider.documents import VendorDocument
from bocc.provider.place import SIMULATED, Published, load_published, open_secret, save_published
from bocc.provider.posting import PostResult, find_failed_check, post_document, stored_documents
from bocc.provider.records import Records
from bocc.provider.rules import Rules, open_rules
from bocc.provider.serving import OrderService
from bocc.provider.software import (
    BACKDATED_S,
    SIMULATED_ROOT_HASH,
    SoftwareTee,
    publish_hardware,
    publish_image,
)
from bocc.rpc import RetryPolicy
from bocc.testnet.process import is_running, process_of
from bocc.testnet.record import TestnetRecord
from node.api.errors import ErrorCode
from node.logs import EventLog
from state.address import account_address, format_address
from state.attestation import enclave_address
from state.crypto import SigningKey
from state.errors import Rejected
from state.messages import Bond, BondAction, BondPurpose, Message
from state.records import HOLDINGS, NEW_HOLDINGS
from state.trust_messages import Attest

ROUND_S: Final = 10.0
"""Between two looks at the chain; reads alone, so an idle chain stays silent."""
RETRY_S: Final = 0.5
"""After a round that could not be finished; then another node is asked, for a beat may be due within a second."""
NODE_RETRY: Final = RetryPolicy(attempts=2)
"""Of calls to one node, before another one is asked."""
FUNDS_MIN: Final = 20_000_000
FUNDS: Final = 200_000_000
"""ubocc from the faucet of the development chain when less than FUNDS_MIN is left: some hundred attestations."""
LEFT_PART: Final = 3
"""What has less than a third of its life left is renewed: ten days before a document is overdue, two before a proof ends."""
GOOD_STATES: Final = frozenset({"trusted", "grace"})
NUMBERED: Final = frozenset({"intel_tcb_info", "intel_qe_identity"})
"""Kinds of documents that have an evaluation number."""
WAKING: Final = (
    *("ordered", "reopened", "accepted", "granted", "order_started", "stalled", "funded", "order_closed"),
    "enclave_changed",
)
"""Events after which a provider looks at its orders at once."""
WAKING_PAUSE_S: Final = 0.05
"""After such an event, so that a busy chain does not wake a provider for each of many."""
_EVENTS_PAGE: Final = 100


class Refusal(RpcRejected):
    """The chain would refuse, or refused, what is due; the next round tries again."""

    def __init__(self, what: str, told: dict[str, Any]) -> None:
        """Say what was refused, and what a dry run or a receipt told of it."""
        shown = {name: told[name] for name in ("reason", "seen", "bound") if told.get(name) is not None}
        super().__init__(ErrorCode.TX_REJECTED, what, {**shown, "hint": told.get("remedy")})


class Look(msgspec.Struct, frozen=True):
    """What a look at the chain led to."""

    done: tuple[str, ...]
    """What was due: documents by kind, publish, attest."""
    next_ms: int
    """When the proof is due again."""


def due_ms(begin_ms: int, end_ms: int) -> int:
    """Return when something that holds between two times has a third of its life left."""
    return end_ms - (end_ms - begin_ms) // LEFT_PART


def due_documents(
    documents: Sequence[VendorDocument], stored: Sequence[dict[str, Any]], now_ms: int
) -> list[VendorDocument]:
    """Return the documents of whose kind the chain has none of this vendor and number, or only such that are soon overdue."""
    ends: dict[str, tuple[int, int]] = {}
    in_force = number_in_force(stored)
    for one in _of_vendor(stored):
        if one["kind"] not in NUMBERED or one["number"] >= in_force:
            ends[one["kind"]] = max(ends.get(one["kind"], (0, 0)), (one["next_update_ms"], one["issued_ms"]))
    return [one for one in documents if _is_lacking(ends.get(one.kind.name.lower()), now_ms)]


def number_in_force(stored: Sequence[dict[str, Any]]) -> int:
    """Return the highest evaluation number of this vendor's documents that count; lower ones soon do not."""
    return max((one["number"] for one in _of_vendor(stored) if not one["is_early"]), default=0)


def _of_vendor(stored: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in stored if one["root"] == SIMULATED_ROOT_HASH.hex()]


def _is_lacking(times: tuple[int, int] | None, now_ms: int) -> bool:
    return times is None or due_ms(times[1], times[0]) <= now_ms


def is_enclave_due(enclave: dict[str, Any] | None, now_ms: int) -> bool:
    """Tell whether an enclave must be attested: it never was, is not good, or its proof ends soon. A revoked one never again."""
    if enclave is None:
        return True
    if enclave["state"] == "revoked":
        return False
    return enclave["state"] not in GOOD_STATES or due_ms(enclave["attested_ms"], enclave["expires_ms"]) <= now_ms


def choose_node(record: TestnetRecord, failures: int) -> str:
    """Return the URL of a running node, another one after each failure; of any node if none runs."""
    running = [node for node in record.nodes if is_running(process_of(node))] or list(record.nodes)
    return running[failures % len(running)].rpc


class SoftwareProvider:
    """One simulated machine on one chain, its operator's key and its home."""

    def __init__(self, home: Path, key: SigningKey, machine: str, rules: Rules | None = None) -> None:
        """Open the home, and draw the enclave's secret if there is none yet. Rules are those of the home unless given.

        Raises:
            InputRejected: BAD_RULES.
        """
        self.home = home
        self.key = key
        self.operator = account_address(key.public_key)
        self.rules = open_rules(home) if rules is None else rules
        self.tee = SoftwareTee(machine, open_secret(home))
        self._log = EventLog(f"provider.{SIMULATED}")

    @property
    def enclave(self) -> str:
        """Address of the enclave."""
        return format_address(enclave_address(self.tee.key.public_key))

    async def run(self, find_url: Callable[[int], str], folders: Sequence[Path]) -> Never:
        """Attend to chain and orders for ever, through another node after each failure; inputs are read below these folders."""
        self._log.info("started", enclave=self.enclave, operator=format_address(self.operator))
        folders = [*folders, *map(Path, self.rules.folders)]
        service = OrderService(self.home, self.key, self.tee, self.rules, folders)
        failures = 0
        while True:
            try:
                async with Client(find_url(failures), retry=NODE_RETRY) as client:
                    await self._attend(client, service)
            except RpcRejected as error:
                failures += 1
                self._log.warning("call refused", reason=error.reason, seen=error.seen, bound=error.bound)
            except (NodeUnreachable, NotFinal, AnswerMalformed, Rejected) as error:
                failures += 1
                self._log.warning("no answer", error=error)
            await asyncio.sleep(RETRY_S)

    async def _attend(self, client: Client, service: OrderService) -> Never:
        """Look at the chain from time to time, and at orders whenever one of them may call for something."""
        cursor = (await client.block())["first_cursor"]
        look_ms = 0
        while True:
            if look_ms <= _now_ms():
                look_ms = await self._look_later(client)
            due_ms = await service.round(client, _now_ms())
            wait_ms = (look_ms if due_ms is None else min(look_ms, due_ms)) - _now_ms()
            if wait_ms > 0:
                page = await client.events(cursor, _EVENTS_PAGE, WAKING, wait_ms)
                cursor = page["cursor"]
                await asyncio.sleep(WAKING_PAUSE_S if page["events"] else 0)

    async def _look_later(self, client: Client) -> int:
        """Do what is due on the chain, and return when to look again; what was refused does not keep orders waiting."""
        now_ms = _now_ms()
        next_ms = now_ms + round(ROUND_S * 1_000)
        try:
            look = await self.look(client, now_ms)
        except RpcRejected as refusal:
            told = {"reason": refusal.reason, "seen": refusal.seen, "bound": refusal.bound}
            self._log.warning("refused", what=str(refusal), **told)
            return next_ms
        return min(next_ms, max(look.next_ms, now_ms))

    async def look(self, client: Client, now_ms: int) -> Look:
        """Do what is due now: money, documents, resources, a proof, a bond.

        Raises:
            Refusal: the chain would refuse something.
            RpcRejected: a node refuses a call.
            NodeUnreachable: no answer after all attempts.
        """
        done: list[str] = []
        address = format_address(self.operator)
        if await client.balance(address) < FUNDS_MIN and await self._ask_faucet(client, address):
            done.append("faucet")
        prepared, published = await self.prepare(client, now_ms)
        done += prepared
        enclave = await find_enclave(client, self.enclave)
        if is_enclave_due(enclave, now_ms):
            await self.attest(client, published)
            done.append("attest")
            enclave = await find_enclave(client, self.enclave)
        if enclave is None or enclave["state"] == "revoked":
            raise Refusal("attest", {"reason": "no_enclave" if enclave is None else enclave["reason"]})
        if self.rules.accept and await self.add_bond(client):
            done.append("bond")
        return Look(tuple(done), due_ms(enclave["attested_ms"], enclave["expires_ms"]))

    async def _ask_faucet(self, client: Client, address: str) -> bool:
        """Ask for money, and tell whether there is more now; without it all goes on for as long as what is left lasts."""
        try:
            await client.faucet(address, FUNDS)
        except RpcRejected as error:
            self._log.warning("no money from the faucet", address=address, reason=error.reason, bound=error.bound)
            return False
        self._log.info("got money from the faucet", address=address, amount=FUNDS)
        return True

    async def prepare(self, client: Client, now_ms: int) -> tuple[list[str], Published]:
        """See that the chain has the vendor's documents, the machine and the image; return what that took, and their names.

        Raises:
            Refusal: the chain would refuse something.
        """
        done: list[str] = []
        stored = await stored_documents(client)
        documents = self.tee.documents(now_ms // 1_000 - BACKDATED_S, number_in_force(stored))
        for document in due_documents(documents, stored, now_ms):
            await self._post(client, document)
            done.append(document.kind.name.lower())
        published = load_published(self.home, await client.chain_id())
        if published is None:
            published = await self.publish(client)
            done.append("publish")
        return done, published

    async def message(self, client: Client, published: Published) -> Attest:
        """Return an attestation with a fresh quote over the newest block."""
        hardware, image = parse_resource(published.hardware), parse_resource(published.image)
        names = self.tee.names(self.operator, hardware, image)
        return self.tee.attest(names, await take_challenge(client))

    async def attest(self, client: Client, published: Published) -> Outcome:
        """Prove the enclave to the chain, or renew its proof.

        Raises:
            Refusal: the chain would refuse it.
        """
        outcome = await self._send(client, "attest", await self.message(client, published))
        self._log.info("attested", enclave=self.enclave, height=outcome.height, tx_id=outcome.tx_id)
        return outcome

    async def add_bond(self, client: Client) -> bool:
        """Add what the bond for this provider's promises lacks; tell whether anything was.

        Raises:
            Refusal: the chain would refuse it.
        """
        holdings = await Records(client).find_one(HOLDINGS, self.operator) or NEW_HOLDINGS
        lacking = self.rules.bond_amount - holdings.provider_bond - holdings.provider_locked
        if lacking <= 0:
            return False
        await self._send(client, "bond", provider_bond(lacking))
        self._log.info("bonded", amount=lacking)
        return True

    async def publish(self, client: Client) -> Published:
        """Offer the machine on the chain, and an image unless the rules name one, and keep their names.

        Raises:
            Refusal: the chain would refuse them.
        """
        offers = [publish_hardware(self.rules.terms), *([] if self.rules.image else [publish_image()])]
        outcome = await self._send(client, "publish", *offers)
        hardware, image = (*await _published_by(client, outcome), self.rules.image)[:2]
        published = Published(chain_id=(await client.chain_id()).hex(), hardware=hardware, image=image)
        save_published(self.home, published)
        self._log.info("published", hardware=hardware, image=image)
        return published

    async def _post(self, client: Client, document: VendorDocument) -> None:
        posted = await post_document(client, self.key, document)
        if posted.result is PostResult.REFUSED:
            told = {"reason": posted.reason, "seen": posted.seen, "bound": posted.bound}
            raise Refusal(f"put_collateral {posted.kind}", told)
        self._log.info("collateral", kind=posted.kind, became=str(posted.result), height=posted.height)

    async def _send(self, client: Client, what: str, *messages: Message) -> Outcome:
        """Send a transaction that a dry run finds good, and return it final."""
        transaction = await client.build(self.key, messages)
        failed = find_failed_check(await client.explain(transaction))
        if failed is not None:
            raise Refusal(what, failed)
        outcome = await client.submit(transaction)
        if not outcome.has_succeeded:
            raise Refusal(what, outcome.receipt or {"reason": outcome.status})
        return outcome


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def provider_bond(amount: int) -> Bond:
    """Return the message that adds to a provider's bond."""
    return Bond(
        action=BondAction.ADD, purpose=BondPurpose.PROVIDER, amount=amount, validator=b"", consensus_key=b"", proof=b""
    )


async def find_enclave(client: Client, address: str) -> dict[str, Any] | None:
    """Return what the chain says of an enclave, or None if it knows none of this name."""
    try:
        enclave: dict[str, Any] = await client.call("enclave", id=address)
    except RpcRejected as error:
        if error.reason == "no_enclave":
            return None
        raise
    return enclave


async def _published_by(client: Client, outcome: Outcome) -> list[str]:
    """Return the addresses of the resources that a final transaction published, in the order of its messages."""
    block = await client.block(outcome.height)
    page = await client.events(block["first_cursor"], topics=["published"])
    return [
        event["attributes"]["resource"]
        for event in page["events"]
        if (event["height"], event["tx_index"]) == (outcome.height, outcome.index)
    ]
