"""A market on a running network, played by one process: providers with an enclave each, owners of sealed data, and customers.

All that can be signed ahead is: orders, and what accepts and grants them, for an order's address follows from its nonce. Receipts
name a recent block and the receipts before them, so they are made when they are sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from bocc.client import Client
from bocc.provider.attesting import Challenge, parse_resource, take_challenge
from bocc.provider.software import SoftwareTee, publish_hardware, publish_image
from state.address import account_address, format_address
from state.attestation import enclave_address
from state.building import build_transaction
from state.codec import INTEGER_MAX
from state.crypto import SigningKey, tagged_hash
from state.messages import Bond, BondAction, BondPurpose, Message, Transfer
from state.offers import NO_CAPACITY, ResourceKind
from state.order_messages import (
    Accept,
    Beat,
    Grant,
    GrantAnswer,
    Output,
    PlaceOrder,
    SendReceipts,
    Start,
    WorkReceipt,
    next_head,
    order_address,
    receipts_signing_bytes,
)
from state.order_terms import LineRole, OrderLine, Workload
from state.params import Params
from state.policies import OutputParty
from state.transactions import MESSAGES_MAX, Transaction
from state.trust_messages import Publish
from tests.support.attesting import EMPTY_RELEASE, publish
from tests.support.ordering import ARGS, DATA_PLAN, DATA_ROOT, MACHINE_PLAN, RESULT_KEY

PROVIDERS = 8
OWNERS = 8
CUSTOMERS = 32
FUNDS = 2 * 10**10
BOND = 10**10
MINUTE_MS = 60_000


class Provider(Struct, frozen=True):
    """An account with a machine and an enclave on it."""

    key: SigningKey
    hardware: bytes
    tee: SoftwareTee
    enclave: bytes


class Market(Struct, frozen=True):
    """What is on offer, and who may order."""

    chain_id: bytes
    image: bytes
    image_root: bytes
    providers: tuple[Provider, ...]
    owners: tuple[tuple[SigningKey, bytes], ...]
    """Each with its data."""
    customers: tuple[SigningKey, ...]

    @property
    def keys(self) -> list[SigningKey]:
        """All who sign."""
        return [*(one.key for one in self.providers), *(key for key, _data in self.owners), *self.customers]


class Life:
    """One order from its placing to its last output."""

    def __init__(
        self, order: bytes, provider: Provider, inputs: tuple[bytes, ...], steps: dict[str, Transaction]
    ) -> None:
        """Name the order; `steps` are the transactions that place, accept and grant it."""
        self.order = order
        self.provider = provider
        self.steps = steps
        self._inputs = inputs
        self._head = bytes(32)
        self._receipt_count = 0

    def next_receipt(self, kind: str, height: int) -> tuple[bytes, WorkReceipt]:
        """Return the head before the order's next receipt, and the receipt: a start, beat or output."""
        order, number, head = self.order, self._receipt_count, self._head
        receipt: WorkReceipt
        match kind:
            case "start":
                receipt = Start(order=order, number=number, inputs=self._inputs, args_digest=ARGS, service=None)
            case "beat":
                receipt = Beat(order=order, number=number, meter=None)
            case _:
                receipt = Output(order=order, number=number, root=DATA_ROOT, reference="", is_last=True, meter=None)
        self._head = next_head(head, receipt, height)
        self._receipt_count += 1
        return head, receipt


def sign_receipts(provider: Provider, challenge: Challenge, due: Iterable[tuple[Life, str]]) -> SendReceipts:
    """Return the message of an enclave that brings the next receipts of orders."""
    signed = [life.next_receipt(kind, challenge.height) for life, kind in due]
    heads, receipts = zip(*signed, strict=True)
    content = receipts_signing_bytes(
        challenge.chain_id,
        enclave=provider.enclave,
        at_height=challenge.height,
        at_hash=challenge.block_hash,
        heads=heads,
        receipts=receipts,
    )
    return SendReceipts(
        enclave=provider.enclave,
        at_height=challenge.height,
        receipts=receipts,
        signature=provider.tee.key.sign(content),
    )


async def prepare_market(client: Client, funder: SigningKey) -> Market:
    """Bring the vendor's documents, fund everybody, publish what is on offer and attest the enclaves."""
    for document in SoftwareTee("any", bytes(32)).documents(int(time.time()) - 120):
        assert (await client.send(funder, (document.message(),))).has_succeeded
    providers, owners, customers = _keys("provider", PROVIDERS), _keys("owner", OWNERS), _keys("customer", CUSTOMERS)
    everybody = [*providers, *owners, *customers]
    for start in range(0, len(everybody), MESSAGES_MAX):
        part = everybody[start : start + MESSAGES_MAX]
        await _send(client, funder, *(Transfer(to=account_address(key.public_key), amount=FUNDS) for key in part))
    offer = publish_image()
    assert offer.release is not None
    image = await _publish(client, owners[0], offer)
    sealed = replace(EMPTY_RELEASE, content_root=DATA_ROOT, sealed_root=b"\x05" * 32, key_commit=b"\x06" * 32)
    data = publish(ResourceKind.DATA, release=sealed, plans=(DATA_PLAN,))
    return Market(
        chain_id=await client.chain_id(),
        image=image,
        image_root=offer.release.content_root,
        providers=tuple(await asyncio.gather(*(_begin(client, key, image) for key in providers))),
        owners=tuple(zip(owners, await asyncio.gather(*(_publish(client, key, data) for key in owners)), strict=True)),
        customers=tuple(customers),
    )


def _keys(name: str, count: int) -> list[SigningKey]:
    return [SigningKey(tagged_hash(b"bench-market", name.encode() + bytes((index,)))) for index in range(count)]


async def _send(client: Client, key: SigningKey, *messages: Message) -> int:
    """Send a transaction that must succeed, and return its height."""
    outcome = await client.send(key, messages)
    assert outcome.has_succeeded, outcome
    assert outcome.height is not None
    return outcome.height


async def _publish(client: Client, key: SigningKey, message: Publish) -> bytes:
    """Publish a resource, and return its address."""
    height = await _send(client, key, message)
    cursor, owner = (await client.block(height))["first_cursor"], format_address(account_address(key.public_key))
    while True:
        page = await client.events(cursor, topics=["published"])
        for event in page["events"]:
            if (event["height"], event["attributes"]["owner"]) == (height, owner):
                return parse_resource(event["attributes"]["resource"])
        cursor = page["cursor"]


async def _begin(client: Client, key: SigningKey, image: bytes) -> Provider:
    """Publish a machine, bond, and attest an enclave on it."""
    plan = replace(MACHINE_PLAN, capacity=NO_CAPACITY)
    hardware = await _publish(client, key, replace(publish_hardware(), plans=(plan,)))
    purpose, nothing = BondPurpose.PROVIDER, b""
    bond = Bond(
        action=BondAction.ADD, purpose=purpose, amount=BOND, validator=nothing, consensus_key=nothing, proof=nothing
    )
    await _send(client, key, bond)
    tee = SoftwareTee(f"market {hardware.hex()}", tagged_hash(b"bench-market-enclave", hardware))
    names = tee.names(account_address(key.public_key), hardware, image)
    await _send(client, key, tee.attest(names, await take_challenge(client)))
    return Provider(key, hardware, tee, enclave_address(tee.key.public_key))


class Signer:
    """Signs for accounts, each with its next nonce, for the least fee of the kind of message or a little more."""

    def __init__(self, chain_id: bytes, params: Params) -> None:
        self._chain_id = chain_id
        self._params = params
        self._nonces: dict[bytes, int] = {}
        self._fees: dict[type, int] = {}
        self._expires_at_ms = time.time_ns() // 1_000_000 + 30 * MINUTE_MS

    async def learn(self, client: Client, keys: Iterable[SigningKey]) -> None:
        """Ask for the next nonces of accounts."""
        for key in keys:
            address = account_address(key.public_key)
            self._nonces[address] = await client.next_nonce(format_address(address))

    def next_nonce(self, key: SigningKey) -> int:
        """Return the nonce that the account's next transaction will have."""
        return self._nonces[account_address(key.public_key)]

    def sign(self, key: SigningKey, message: Message) -> Transaction:
        """Return a transaction of one message; receipts, which differ much, pay exactly."""
        address = account_address(key.public_key)
        nonce = self._nonces[address]
        self._nonces[address] = nonce + 1
        kind = type(message)
        transaction = build_transaction(
            chain_id=self._chain_id,
            keys=(key,),
            sender=address,
            nonce=nonce,
            expires_at_ms=self._expires_at_ms,
            messages=(message,),
            params=self._params,
            fee=self._fees.get(kind),
        )
        if kind is not SendReceipts:
            self._fees.setdefault(kind, transaction.body.fee + 32 * self._params.fees.per_byte)
        return transaction


def prepare_lives(market: Market, signer: Signer, count: int) -> list[Life]:
    """Return so many lives, in turns for everybody."""
    now_ms = time.time_ns() // 1_000_000
    return [_prepare(market, signer, number, now_ms) for number in range(count)]


def _prepare(market: Market, signer: Signer, number: int, now_ms: int) -> Life:
    customer = market.customers[number % len(market.customers)]
    provider = market.providers[number % len(market.providers)]
    owner, data = market.owners[number % len(market.owners)]
    order = order_address(market.chain_id, account_address(customer.public_key), signer.next_nonce(customer), 0)
    place = PlaceOrder(
        lines=(
            _line(LineRole.COMPUTE, provider.hardware),
            _line(LineRole.SOFTWARE, market.image),
            _line(LineRole.DATA, data),
        ),
        workload=Workload(args_digest=ARGS, args_reference="", manifest_root=b""),
        result_key=RESULT_KEY,
        output_to=OutputParty.CUSTOMER,
        purpose=None,
        constraints=(),
        level_min=1,
        machine=None,
        deposit=200_000,
        accept_by_ms=now_ms + 20 * MINUTE_MS,
        start_by_ms=now_ms + 30 * MINUTE_MS,
        end_by_ms=now_ms + 40 * MINUTE_MS,
        attempts=2,
        after=(),
    )
    grant = Grant(
        order=order,
        line=2,
        enclave=provider.enclave,
        grant_epoch=0,
        answer=GrantAnswer.GRANT,
        capsule=bytes(80),
        vault_enclave=b"",
        vault_signature=b"",
    )
    steps = {
        "order": signer.sign(customer, place),
        "accept": signer.sign(
            provider.key, Accept(order=order, enclave=provider.enclave, plan=0, penalty_max=INTEGER_MAX)
        ),
        "grant": signer.sign(owner, grant),
    }
    return Life(order, provider, (market.image_root, DATA_ROOT), steps)


def _line(role: LineRole, resource: bytes) -> OrderLine:
    return OrderLine(role=role, resource=resource, release=0, plan=0, quantity=1, price_max=10**12)
