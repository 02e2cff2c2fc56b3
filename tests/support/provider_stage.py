"""A market whose enclave 0 is that of the software TEE, and the home of the provider that serves orders with it."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec.structs import replace

from bocc.capsules import CapsulePurpose, seal_capsule
from bocc.provider.rules import Rules
from bocc.provider.serving import OrderService
from bocc.provider.software import SoftwareTee
from bocc.sealed import key_commitment, seal_content
from state.offers import ResourceKind
from state.order_messages import SendReceipts
from state.order_terms import LineRole, Workload
from tests.support.attesting import EMPTY_RELEASE, PROVIDER, publish
from tests.support.market_node import MarketNode
from tests.support.ordering import DATA_PLAN, OWNER, Market

SEED = b"enclave" + bytes(25)
TEE = SoftwareTee("machine 0", SEED)
RESULT_SECRET = b"\x2a" * 32
RESULT_KEY = X25519PrivateKey.from_private_bytes(RESULT_SECRET).public_key().public_bytes_raw()
CONTENT, CONTENT_KEY = b"rows of a table", b"\x2b" * 32
ARGS = b'{"seconds":6}'
WORKLOAD = Workload(args_digest=sha256(ARGS).digest(), args_reference="data:," + ARGS.decode(), manifest_root=b"")


class Stage:
    """A market whose enclave 0 is that of the software TEE, and its provider's home."""

    def __init__(self, home: Path, plan: dict[str, object] | None = None, **rules: object) -> None:
        """Serve by these rules, on a machine whose plan is the market's but for these fields."""
        self.home = home
        self.rules = Rules(**rules)
        self.market = Market(**(plan or {}))
        bound = {"seal_key": TEE.seal_key}
        self.market.attest(0, bound=bound, **bound)
        self.node = MarketNode(self.market)
        self.folder = home / "inputs"
        self.folder.mkdir()

    def service(self) -> OrderService:
        """Return what a process that has just started serves orders with."""
        return OrderService(self.home, PROVIDER, TEE, self.rules, [self.folder])

    async def round(self) -> int | None:
        """Play one round of a fresh process."""
        return await self.service().round(self.node, self.market.time_ms)

    def place(self, **changes: object) -> bytes:
        """Place an order of machine and image that works six seconds."""
        market = self.market
        lines = (market.line(LineRole.COMPUTE, market.hardware), market.line(LineRole.SOFTWARE, market.image))
        plain = {"lines": lines, "workload": WORKLOAD, "result_key": RESULT_KEY}
        return market.place(**{**plain, **changes})

    def publish_sealed(self) -> bytes:
        """Publish sealed data whose file lies in the folder of inputs, and return its address."""
        sealed = seal_content(CONTENT, CONTENT_KEY)
        path = self.folder / "data.sealed"
        path.write_bytes(sealed)
        release = replace(
            EMPTY_RELEASE,
            content_root=sha256(CONTENT).digest(),
            sealed_root=sha256(sealed).digest(),
            key_commit=key_commitment(CONTENT_KEY),
            locators=(path.as_uri(),),
        )
        return self.market.publish(OWNER, publish(ResourceKind.DATA, release=release, plans=(DATA_PLAN,)))

    def grant(self, order: bytes, key: bytes = CONTENT_KEY) -> None:
        """Let the owner release a key to the order's enclave."""
        purpose = CapsulePurpose(
            chain_id=self.market.chain_id,
            order=order,
            line=2,
            enclave=self.market.enclave_of(),
            release=0,
            grant_epoch=0,
        )
        capsule = seal_capsule(key, TEE.seal_key, purpose)
        assert self.node.apply(OWNER, self.market.grant_message(order, capsule=capsule)) == ""

    def output(self, order: bytes) -> bytes:
        """Return the sealed output of an order."""
        return Path(self.market.run(order).output.reference.removeprefix("file://")).read_bytes()

    def told(self) -> list[list[str]]:
        """Return what was sent: names of messages, or of the receipts in one."""
        return [
            [type(receipt).__name__ for receipt in message.receipts]
            if isinstance(message, SendReceipts)
            else [type(message).__name__]
            for message in self.node.sent
        ]
