"""The fixture chain with trust on it: blocks 5 to 10 bring the software TEE's documents, an image, a machine and its enclave.

Account 5 brings the documents and provides; everything is simulated, signed with development keys, at fixed times.
"""

from __future__ import annotations

from msgspec.structs import replace

from bocc.provider.attesting import Challenge
from bocc.provider.software import SoftwareTee, publish_hardware, publish_image
from state.attestation import enclave_address
from state.receipts import EventKind, ReceiptStatus
from tests.support.chain_builders import account
from tests.support.fixture_chain import FixtureChain, FixtureNode, add_fixture_blocks
from tests.support.ordering import IMAGE_PLAN, MACHINE_PLAN

PROVIDER = 5
MACHINE = "fixture"
SECRET = bytes(range(32))


class TrustFixture(FixtureChain):
    """A fixture chain that knows its simulated machine."""

    def __init__(self) -> None:
        super().__init__()
        self.tee = SoftwareTee(MACHINE, SECRET)
        self.hardware = self.image = self.image_root = b""
        self.nonce = 0

    def send(self, *messages):
        """Make a block of one transaction of the provider's, which must do well; return its events."""
        finalized = self.add(self.sign(PROVIDER, *messages, nonce=self.nonce))
        self.nonce += 1
        receipt = self.chain.views.block_by_height(self.chain.tip.block.height).receipts[0]
        assert receipt.status is ReceiptStatus.OK, receipt
        return [stored.event for _sequence, stored in finalized.events]

    @property
    def now_s(self) -> int:
        """Block time, in seconds."""
        return self.chain.tip.block.time_ms // 1_000

    def challenge(self) -> Challenge:
        """Return the newest block as a challenge."""
        tip = self.chain.tip.block
        return Challenge(self.chain.chain_id, tip.height, tip.block_hash)

    def names(self):
        """Return who attests."""
        return self.tee.names(account(PROVIDER), self.hardware, self.image)

    @property
    def enclave(self) -> bytes:
        """Address of the enclave."""
        return enclave_address(self.tee.key.public_key)


def build_trust_fixture() -> TrustFixture:
    """Return the chain of the module's description."""
    fixture = add_fixture_blocks(TrustFixture())
    for document in fixture.tee.documents(fixture.now_s):
        fixture.send(document.message())
    machine, image = publish_hardware(), publish_image()
    fixture.image_root = image.release.content_root
    events = fixture.send(replace(machine, plans=(MACHINE_PLAN,)), replace(image, plans=(IMAGE_PLAN,)))
    resources = [dict(event.attributes)["resource"] for event in events if event.kind is EventKind.PUBLISHED]
    fixture.hardware, fixture.image = resources
    fixture.send(fixture.tee.attest(fixture.names(), fixture.challenge()))
    return fixture


def trust_node() -> FixtureNode:
    """Return a node around the chain."""
    return FixtureNode(build_trust_fixture())
