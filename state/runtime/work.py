"""What each kind of message costs in work: one row each, measured in microseconds of the reference machine.

Apart from the handlers, so that what changes prices may look at the table. A new message needs a row here and one in dispatch.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from state.governance_messages import CastVote, Propose
from state.messages import Bond, Message, Report, SetAuth, Transfer
from state.offers import PLANS_MAX
from state.order_messages import (
    DEAR_RECEIPTS_MAX,
    RECEIPTS_MAX,
    Accept,
    Beat,
    Close,
    Fund,
    Grant,
    PlaceOrder,
    SendReceipts,
    Start,
    WorkReceipt,
)
from state.order_terms import AFTER_MAX, INPUTS_MAX, LINES_MAX
from state.resource_messages import RELEASE_CHANGES_MAX, Amend, Assign
from state.trust_messages import (
    COLLATERAL_BYTES_MAX,
    GPUS_MAX,
    SUPERSEDED_MAX,
    Attest,
    Endorse,
    Publish,
    PutCollateral,
    Supersede,
)
from tee.evidence import EvidenceKind


class Work(Struct, frozen=True):
    """What a kind of message counts towards a block's limit, and how large its envelope may be."""

    units: int
    """Charged unless the parameters override it: microseconds as bench/bench_runtime.py measures them."""
    is_large: bool = False
    """Whether envelopes with it may be larger than ordinary ones. An envelope has one such message at most."""
    extra: Callable[[Any], int] | None = None
    """Units beside `units`, which depend on the message. Any: each row's function takes its own kind of message."""
    extra_max: int = 0


EVIDENCE_WORK: Final = {
    EvidenceKind.SGX: 0,
    EvidenceKind.TDX: 0,
    EvidenceKind.SEV_SNP: 600,
    EvidenceKind.NITRO: 3_600,
}
"""What verifying evidence costs beside an Intel quote's share in the work of `Attest`."""
GPU_WORK: Final = 3_400
"""Four certificates and a report, P-384."""


def attest_work(message: Attest) -> int:
    """Return what the vendors' signatures of an attestation cost; an unknown kind is refused unread."""
    kind = EvidenceKind(message.tee) if message.tee in set(EvidenceKind) else EvidenceKind.TDX
    return EVIDENCE_WORK[kind] + len(message.gpus) * GPU_WORK


SUPERSEDED_WORK: Final = 70
"""What it costs to deprecate a release, and to revoke it when its notice is over: four records touched, and both ways run."""

PLAN_WORK: Final = 30
"""What it costs to open or close a plan."""


def publish_work(message: Publish) -> int:
    """Return what plans and superseding cost; ALL counts as many releases as it may reach. A message has one of the two."""
    count = SUPERSEDED_MAX if message.supersedes is Supersede.ALL else len(message.superseded)
    return len(message.plans) * PLAN_WORK + count * SUPERSEDED_WORK


PLANS_WORK: Final = 300
"""What it costs to count the plans that are open, of as many as a resource may have had."""


def amend_work(message: Amend) -> int:
    """Return what changes of plans and releases cost."""
    plan_count = len(message.plans_added) + len(message.plans_closed)
    counting = PLANS_WORK if message.plans_added else 0
    return counting + plan_count * PLAN_WORK + len(message.releases) * SUPERSEDED_WORK


def collateral_work(message: PutCollateral) -> int:
    """Return what reading a document costs: a revocation list of 6,000 entries has 210 KB and takes 80 ms."""
    return len(message.body) * 2 // 5


LINE_WORK: Final = 240
"""What a line costs over an order's life: to pin it, to judge its resource's policy, and at the end to pay up to sixteen payees."""
AFTER_WORK: Final = 10
START_WORK: Final = 210
"""What a start costs beside its inputs; an output and an end cost less."""
INPUT_WORK: Final = 170
"""What a start costs for each input: the judgement of the longest policy, a row of use and its count, their share of the tree."""
BEAT_WORK: Final = 60
"""What it costs to note that the work of an order goes on."""


def order_work(message: PlaceOrder) -> int:
    """Return what the lines of an order cost, and the orders that it waits for."""
    return len(message.lines) * LINE_WORK + len(message.after) * AFTER_WORK


def receipts_work(message: SendReceipts) -> int:
    """Return what receipts cost; beats are many and cheap."""
    return sum(map(_receipt_work, message.receipts))


def _receipt_work(receipt: WorkReceipt) -> int:
    if type(receipt) is Beat:
        return BEAT_WORK
    return START_WORK + (len(receipt.inputs) * INPUT_WORK if type(receipt) is Start else 0)


RECEIPTS_WORK_MAX: Final = (
    DEAR_RECEIPTS_MAX * (START_WORK + INPUTS_MAX * INPUT_WORK) + (RECEIPTS_MAX - DEAR_RECEIPTS_MAX) * BEAT_WORK
)
"""Of a message that is not refused unread."""


WORK: Final[Mapping[type[Message], Work]] = {
    Transfer: Work(units=40),
    SetAuth: Work(units=150),
    Bond: Work(units=300),
    Report: Work(units=400),
    Publish: Work(
        units=200,
        extra=publish_work,
        extra_max=SUPERSEDED_MAX * SUPERSEDED_WORK,
    ),
    Amend: Work(
        units=200,
        extra=amend_work,
        extra_max=PLANS_WORK + 2 * PLANS_MAX * PLAN_WORK + RELEASE_CHANGES_MAX * SUPERSEDED_WORK,
    ),
    Assign: Work(units=150),
    Endorse: Work(units=220),
    PutCollateral: Work(
        units=600,
        is_large=True,
        extra=collateral_work,
        extra_max=COLLATERAL_BYTES_MAX * 2 // 5,
    ),
    Attest: Work(
        units=900,
        is_large=True,
        extra=attest_work,
        extra_max=max(EVIDENCE_WORK.values()) + GPUS_MAX * GPU_WORK,
    ),
    PlaceOrder: Work(units=150, extra=order_work, extra_max=LINES_MAX * LINE_WORK + AFTER_MAX * AFTER_WORK),
    Fund: Work(units=60),
    Accept: Work(units=2_600),
    Grant: Work(units=250),
    SendReceipts: Work(units=200, is_large=True, extra=receipts_work, extra_max=RECEIPTS_WORK_MAX),
    Close: Work(units=300),
    Propose: Work(units=400),
    CastVote: Work(units=200),
}


def work_of(message: Message) -> int:
    """Return the work units of a message as they were measured, whatever the parameters charge for it."""
    row = WORK[type(message)]
    extra_work = row.extra
    return row.units + (0 if extra_work is None else extra_work(message))
