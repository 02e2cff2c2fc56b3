"""A chain with a market: a machine with a plan and a bond, an image, sealed data, and orders that run on simulated enclaves.

Accounts: the provider (0) owns the machine, the customer (1) the image, the owner (3) the data; 4 is a stranger.
"""

from __future__ import annotations

from msgspec.structs import replace

from state.codec import INTEGER_MAX
from state.genesis import Genesis
from state.lists import ListKind
from state.messages import Bond, BondAction, BondPurpose
from state.offers import NO_CAPACITY, Capacity, Plan, PlanUnit, ResourceKind, ServiceLevel
from state.order_messages import (
    Accept,
    Beat,
    Close,
    Fund,
    Grant,
    GrantAnswer,
    Output,
    PlaceOrder,
    SendReceipts,
    Start,
    WorkReceipt,
    next_head,
    receipts_signing_bytes,
)
from state.order_records import ORDER_RUNS, ORDER_TERMS, ORDERS, Order, OrderRun, OrderTerms
from state.order_terms import LineRole, MachineTerms, Mark, OrderLine, Workload
from state.policies import OutputParty
from state.receipts import EventKind
from state.resource_records import RESOURCES
from state.runtime.execute import Executed
from tests.support.attesting import CUSTOMER, EMPTY_RELEASE, PROVIDER, Lab, enclave_key, publish
from tests.support.chain_builders import account, account_key

OWNER = account_key(3)
STRANGER = account_key(4)
SECOND_MS = 1_000
DATA_ROOT = b"\x0d" * 32
ARGS = b"\x0a" * 32
RESULT_KEY = b"\x0e" * 32
BOND = 10_000_000
SLICE = Capacity(vcpus=2, memory_mib=1_024, disk_mib=1_024, network_mbps=10, gpus=())

MACHINE_PLAN = Plan(
    number=0,
    unit=PlanUnit.SECOND,
    price=1_000,
    min_term_ms=10 * SECOND_MS,
    max_term_ms=0,
    capacity=SLICE,
    stock=0,
    service_level=ServiceLevel(beat_every_ms=10 * SECOND_MS, grace_ms=20 * SECOND_MS, penalty_bp=1_000),
    notice_ms=30 * SECOND_MS,
    keep_after_ms=60 * SECOND_MS,
)
DATA_PLAN = replace(
    MACHINE_PLAN,
    unit=PlanUnit.ONCE,
    price=50_000,
    min_term_ms=0,
    capacity=NO_CAPACITY,
    service_level=ServiceLevel(beat_every_ms=0, grace_ms=0, penalty_bp=0),
)
IMAGE_PLAN = replace(DATA_PLAN, price=0)
ANY_MACHINE = MachineTerms(
    capacity=NO_CAPACITY,
    beat_every_ms_max=10 * SECOND_MS,
    grace_ms_max=20 * SECOND_MS,
    penalty_bp_min=1_000,
    notice_ms_min=30 * SECOND_MS,
    min_term_ms_max=10 * SECOND_MS,
)
"""What the usual machine's plan promises, exactly."""


class Market(Lab):
    """A lab whose enclave 0 is attested and which can order. Blocks are a second apart."""

    def __init__(self, genesis: Genesis | None = None, **changes: object) -> None:
        super().__init__(genesis, is_bare=True)
        self.put_all(self.vendor.collateral(self.now_s))
        image = publish(ResourceKind.SOFTWARE, plans=(IMAGE_PLAN,))
        self.image = self.publish(CUSTOMER, image)
        machine = publish(ResourceKind.HARDWARE, plans=(replace(MACHINE_PLAN, **changes),))
        self.hardware = self.publish(PROVIDER, machine)
        sealed = replace(EMPTY_RELEASE, content_root=DATA_ROOT, sealed_root=b"\x05" * 32, key_commit=b"\x06" * 32)
        self.data = self.publish(OWNER, publish(ResourceKind.DATA, release=sealed, plans=(DATA_PLAN,)))
        bond = Bond(
            action=BondAction.ADD,
            purpose=BondPurpose.PROVIDER,
            amount=BOND,
            validator=b"",
            consensus_key=b"",
            proof=b"",
        )
        assert self.reason(PROVIDER, bond) == ""
        self.attest()

    def line(self, role: LineRole, resource: bytes, **changes: object) -> OrderLine:
        """Return a line for one unit under plan 0, at any price."""
        plain = OrderLine(role=role, resource=resource, release=0, plan=0, quantity=1, price_max=10**12)
        return replace(plain, **changes)

    def order_message(self, **changes: object) -> PlaceOrder:
        """Return an order for machine, image and data that waits 60 s, may start until 120 s and ends after 1,000 s."""
        plain = PlaceOrder(
            lines=(
                self.line(LineRole.COMPUTE, self.hardware),
                self.line(LineRole.SOFTWARE, self.image),
                self.line(LineRole.DATA, self.data),
            ),
            workload=Workload(args_digest=ARGS, args_reference="", manifest_root=b""),
            result_key=RESULT_KEY,
            output_to=OutputParty.CUSTOMER,
            purpose=None,
            constraints=(),
            level_min=0,
            machine=None,
            deposit=200_000,
            accept_by_ms=self.time_ms + 60 * SECOND_MS,
            start_by_ms=self.time_ms + 120 * SECOND_MS,
            end_by_ms=self.time_ms + 1_000 * SECOND_MS,
            attempts=2,
            after=(),
        )
        return replace(plain, **changes)

    def place(self, **changes: object) -> bytes:
        """Place an order, which must succeed, and return its address."""
        executed = self.send(CUSTOMER, self.order_message(**changes))
        assert executed.receipts[0].reason == "", executed.receipts[0]
        (event,) = [event for event in executed.events if event.kind is EventKind.ORDERED]
        return dict(event.attributes)["order"]

    def enclave_of(self, number: int = 0) -> bytes:
        """Return the address of an enclave of the provider's."""
        return self.members(ListKind.OPERATOR, account(0))[number]

    def accept_message(self, order: bytes, number: int = 0, plan: int = 0) -> Accept:
        """Return the acceptance of an order for an enclave of the provider's."""
        return Accept(order=order, enclave=self.enclave_of(number), plan=plan, penalty_max=INTEGER_MAX)

    def grant_message(self, order: bytes, line: int = 2, **changes: object) -> Grant:
        """Return the owner's release of a line's key to the order's enclave."""
        epoch = self.ledger.get(RESOURCES, self.terms(order).lines[line].resource).grant_epoch
        plain = Grant(
            order=order,
            line=line,
            enclave=self.order(order).enclave or self.enclave_of(),
            grant_epoch=epoch,
            answer=GrantAnswer.GRANT,
            capsule=b"capsule",
            vault_enclave=b"",
            vault_signature=b"",
        )
        return replace(plain, **changes)

    def start(self, order: bytes, **changes: object) -> Start:
        """Return the start receipt of an order, with everything loaded as ordered."""
        roots = tuple(line.content_root for line in self.terms(order).lines if line.content_root)
        number = self.order(order).receipt_count
        return replace(Start(order=order, number=number, inputs=roots, args_digest=ARGS, service=None), **changes)

    def beat(self, order: bytes, **changes: object) -> Beat:
        """Return the next beat of an order."""
        return replace(Beat(order=order, number=self.order(order).receipt_count, meter=None), **changes)

    def output(self, order: bytes, *, is_last: bool = True, **changes: object) -> Output:
        """Return an output of an order, by default its last."""
        number = self.order(order).receipt_count
        plain = Output(order=order, number=number, root=b"\x0f" * 32, reference="", is_last=is_last, meter=None)
        return replace(plain, **changes)

    def receipts(self, *receipts: WorkReceipt, number: int = 0, at_height: int | None = None) -> SendReceipts:
        """Return receipts signed by an enclave, for the last block by default."""
        height = self.height if at_height is None else at_height
        heads, head_of = [], {}
        for receipt in receipts:
            record = self.ledger.find(ORDERS, receipt.order)
            head = head_of.get(receipt.order, bytes(32) if record is None else record.head)
            heads.append(head)
            head_of[receipt.order] = next_head(head, receipt, height)
        enclave = self.enclave_of(number)
        signed = receipts_signing_bytes(
            self.chain_id,
            enclave=enclave,
            at_height=height,
            at_hash=self.hashes[height],
            heads=tuple(heads),
            receipts=receipts,
        )
        signature = enclave_key(number).sign(signed)
        return SendReceipts(enclave=enclave, at_height=height, receipts=receipts, signature=signature)

    def report(self, *receipts: WorkReceipt, interval_ms: int = SECOND_MS, **arguments: object) -> str:
        """Send receipts and return why they were refused, or nothing."""
        return self.reason(PROVIDER, self.receipts(*receipts, **arguments), interval_ms=interval_ms)

    def accepted(self, **changes: object) -> bytes:
        """Return an order that was placed and accepted."""
        order = self.place(**changes)
        assert self.reason(PROVIDER, self.accept_message(order)) == ""
        return order

    def running(self, **changes: object) -> bytes:
        """Return an order that was placed, accepted, granted and started."""
        order = self.accepted(**changes)
        for index, line in enumerate(self.terms(order).lines):
            if line.is_sealed:
                assert self.reason(OWNER, self.grant_message(order, index)) == ""
        assert self.report(self.start(order)) == ""
        return order

    def work(self, order: bytes, seconds: int, every: int = 5) -> None:
        """Let an order's enclave beat for a while."""
        for _ in range(seconds // every):
            self.pass_time(every - 1)
            assert self.report(self.beat(order)) == ""

    def pass_time(self, seconds: int) -> Executed:
        """Make an empty block after a while."""
        return self.apply(interval_ms=seconds * SECOND_MS)

    def close(self, order: bytes, mark: Mark = Mark.NONE) -> Close:
        """Return the message that ends or marks an order."""
        return Close(order=order, mark=mark)

    def fund(self, order: bytes, amount: int) -> Fund:
        """Return the message that adds money to an order."""
        return Fund(order=order, amount=amount)

    def order(self, address: bytes) -> Order:
        """Return an order's record."""
        return self.ledger.get(ORDERS, address)

    def terms(self, address: bytes) -> OrderTerms:
        """Return an order's terms."""
        return self.ledger.get(ORDER_TERMS, address)

    def run(self, address: bytes) -> OrderRun:
        """Return what an order's receipts said."""
        return self.ledger.get(ORDER_RUNS, address)

    def standing(self, address: bytes) -> tuple[str, str]:
        """Return state and, of a closed or stalled order, why."""
        order = self.order(address)
        why = order.reason or order.cause
        return order.state.name.lower(), "" if why is None else why.name.lower()
