"""The trust fixture with a market on it: blocks 11 to 16 bring a bond, sealed data, an order that runs, and one that is open.

Account 5 provides, account 6 owns the data, account 7 is the customer; receipts are signed by the simulated enclave.
"""

from __future__ import annotations

from msgspec.structs import replace

from bocc.provider.attesting import Challenge
from state.codec import INTEGER_MAX
from state.messages import Bond, BondAction, BondPurpose
from state.offers import NO_CAPACITY, Provenance, ReleaseBody, ResourceKind
from state.order_messages import (
    Accept,
    Grant,
    GrantAnswer,
    PlaceOrder,
    SendReceipts,
    Start,
    WorkReceipt,
    order_address,
    receipts_signing_bytes,
)
from state.order_records import ORDERS
from state.order_terms import LineRole, OrderLine, Workload
from state.policies import LevelAtLeast, OutputParty, SubjectKind
from state.receipts import ReceiptStatus
from state.resource_records import numbered_key
from state.trust_messages import Endorse, Publish, Supersede
from tests.support.chain_builders import account
from tests.support.fixture_chain import FixtureNode
from tests.support.ordering import DATA_PLAN
from tests.support.trust_fixture import PROVIDER, TrustFixture, build_trust_fixture

OWNER, CUSTOMER = 6, 7
ARGS_DIGEST = b"\x0a" * 32
DATA_ROOT = b"\x0d" * 32
CAPSULE = b"capsule"


class MarketFixture:
    """What is on the chain beside the trust fixture."""

    def __init__(self) -> None:
        self.trust: TrustFixture = build_trust_fixture()
        self.chain = self.trust.chain
        self.nonces = {PROVIDER: self.trust.nonce, OWNER: 0, CUSTOMER: 0}
        self.data = self.running = self.open = b""

    def send(self, index: int, *messages: object) -> list[dict[str, object]]:
        """Make a block of one transaction, which must do well; return the attributes of its events."""
        finalized = self.trust.add(self.trust.sign(index, *messages, nonce=self.nonces[index]))
        self.nonces[index] += 1
        receipt = self.chain.views.block_by_height(self.chain.tip.block.height).receipts[0]
        assert receipt.status is ReceiptStatus.OK, receipt
        return [dict(stored.event.attributes) for _sequence, stored in finalized.events]

    def order(self, **changes: object) -> PlaceOrder:
        """Return an order for machine, image and data."""
        now_ms = self.chain.tip.block.time_ms
        compute = OrderLine(
            role=LineRole.COMPUTE, resource=self.trust.hardware, release=0, plan=0, quantity=1, price_max=10**6
        )
        plain = PlaceOrder(
            lines=(
                compute,
                replace(compute, role=LineRole.SOFTWARE, resource=self.trust.image),
                replace(compute, role=LineRole.DATA, resource=self.data),
            ),
            workload=Workload(args_digest=ARGS_DIGEST, args_reference="", manifest_root=b""),
            result_key=b"\x0e" * 32,
            output_to=OutputParty.CUSTOMER,
            purpose="research",
            constraints=(LevelAtLeast(level=1),),
            level_min=1,
            machine=None,
            deposit=200_000,
            accept_by_ms=now_ms + 60_000,
            start_by_ms=now_ms + 120_000,
            end_by_ms=now_ms + 1_000_000,
            attempts=2,
            after=(),
        )
        return replace(plain, **changes)

    def receipts(self, *receipts: WorkReceipt) -> SendReceipts:
        """Return first receipts of orders, signed for the newest block."""
        tip: Challenge = self.trust.challenge()
        content = receipts_signing_bytes(
            self.chain.chain_id,
            enclave=self.trust.enclave,
            at_height=tip.height,
            at_hash=tip.block_hash,
            heads=tuple(self.chain.ledger.get(ORDERS, receipt.order).head for receipt in receipts),
            receipts=receipts,
        )
        signature = self.trust.tee.key.sign(content)
        return SendReceipts(enclave=self.trust.enclave, at_height=tip.height, receipts=receipts, signature=signature)

    def run(self, order: bytes) -> None:
        """Let the provider accept an open order, the owner grant its key, and the work begin."""
        enclave = self.trust.enclave
        self.send(PROVIDER, Accept(order=order, enclave=enclave, plan=0, penalty_max=INTEGER_MAX))
        grant = Grant(
            order=order,
            line=2,
            enclave=enclave,
            grant_epoch=0,
            answer=GrantAnswer.GRANT,
            capsule=CAPSULE,
            vault_enclave=b"",
            vault_signature=b"",
        )
        self.send(OWNER, grant)
        roots = (self.trust.image_root, DATA_ROOT)
        start = Start(order=order, number=0, inputs=roots, args_digest=ARGS_DIGEST, service=None)
        self.send(PROVIDER, self.receipts(start))


def publish_data() -> Publish:
    """Return the message that offers sealed data for a price."""
    release = ReleaseBody(
        content_root=DATA_ROOT,
        sealed_root=b"\x05" * 32,
        size=1_000,
        locators=("https://data.example/sealed",),
        key_commit=b"\x06" * 32,
        profiles=(),
        requirements=NO_CAPACITY,
        provenance=Provenance(source_uri="", commit=b"", recipe_hash=b""),
    )
    return Publish(
        resource=b"",
        kind=ResourceKind.DATA,
        category="images",
        title="Scans of lungs",
        meta_hash=b"",
        release=release,
        capacity=None,
        policy=(LevelAtLeast(level=1),),
        plans=(DATA_PLAN,),
        payees=(),
        vault=b"",
        derived_from=b"",
        supersedes=Supersede.NONE,
        superseded=(),
        notice_ms=0,
    )


def endorse_release(resource: bytes, now_ms: int) -> Endorse:
    """Return the message that says that the first release of something was made again."""
    return Endorse(
        subject_kind=SubjectKind.RELEASE,
        subject=numbered_key(resource, 0),
        claim="reproduced",
        statement_hash=b"\x07" * 32,
        until_ms=now_ms + 1_000_000,
    )


def provider_bond(amount: int) -> Bond:
    """Return the message that sets money aside for promises."""
    return Bond(
        action=BondAction.ADD,
        purpose=BondPurpose.PROVIDER,
        amount=amount,
        validator=b"",
        consensus_key=b"",
        proof=b"",
    )


def build_market_fixture() -> MarketFixture:
    """Return the chain of the module's description."""
    fixture = MarketFixture()
    chain_id, customer = fixture.chain.chain_id, account(CUSTOMER)
    fixture.send(PROVIDER, provider_bond(10_000_000))
    told = fixture.send(OWNER, publish_data(), endorse_release(fixture.trust.image, fixture.chain.tip.block.time_ms))
    fixture.data = next(attributes["resource"] for attributes in told if "resource" in attributes)
    fixture.running, fixture.open = (order_address(chain_id, customer, 0, index) for index in range(2))
    fixture.send(CUSTOMER, fixture.order(), fixture.order(purpose=None, constraints=()))
    fixture.run(fixture.running)
    return fixture


def market_node() -> FixtureNode:
    """Return a node around the chain."""
    fixture = build_market_fixture()
    node = FixtureNode(fixture.trust)
    node.market = fixture
    return node
