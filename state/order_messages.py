"""The messages of orders: order, fund, accept, grant, receipt, close. They are members of `Message` (state/messages.py).

An order is named by its customer, the nonce of its transaction and the place of its message in it, so a client knows the name
before it signs and no name ever comes twice.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from state.address import AddressKind
from state.codec import Address, Amount, Hash, Height, Signature, TimeMs, UInt, Wire, encode
from state.crypto import signing_bytes, tag, tagged_hash
from state.offers import Words
from state.order_terms import (
    AFTER_MAX,
    ATTEMPTS_MAX,
    INPUTS_MAX,
    LINES_MAX,
    MachineTerms,
    Mark,
    Meter,
    OptionalAddress,
    OrderLine,
    Reference,
    ServiceEndpoint,
    Workload,
)
from state.policies import Level, OutputParty, Policy

CAPSULE_BYTES_MAX: Final = 1_024
RECEIPTS_MAX: Final = 1_000
"""Receipts of one enclave in one message, of as many orders."""
DEAR_RECEIPTS_MAX: Final = 44
"""Of those, at most so many that are no beats: a start judges policies and writes a row of use for each line."""

_ORDER_TAG: Final = tag("order")
_RECEIPTS_TAG: Final = tag("receipts")
_RECEIPT_TAG: Final = tag("receipt")
_HEADS_TAG: Final = tag("receipt-heads")
_GRANT_TAG: Final = tag("grant")


class PlaceOrder(Wire, frozen=True, tag=11):
    """Order work: what it uses, under which conditions, and the money for it. Scope FUND."""

    lines: Annotated[tuple[OrderLine, ...], Meta(min_length=1, max_length=LINES_MAX)]
    """The COMPUTE line first."""
    workload: Workload
    result_key: Hash
    """X25519 key to which the output is sealed."""
    output_to: OutputParty
    purpose: Words | None
    """Stated purpose, for policies that ask for one."""
    constraints: Policy
    """What the customer asks of the enclave, in the language of policies."""
    level_min: Level
    """Least level of the enclave at every moment; below it the order stalls."""
    machine: MachineTerms | None
    """What any hardware must offer where the COMPUTE line names none; None otherwise."""
    deposit: Amount
    """ubocc put into escrow; at least what starts cost and least terms."""
    accept_by_ms: TimeMs
    start_by_ms: TimeMs
    end_by_ms: TimeMs
    attempts: Annotated[int, Meta(ge=1, le=ATTEMPTS_MAX)]
    """How many providers may try it."""
    after: Annotated[tuple[Address, ...], Meta(max_length=AFTER_MAX)]
    """The customer's orders that must have given their output before; sorted, distinct."""


class Fund(Wire, frozen=True, tag=12):
    """Add money to an order's escrow. Scope FUND, anybody. What is left at the end goes back to who gave last first."""

    order: Address
    amount: Amount


class Accept(Wire, frozen=True, tag=13):
    """Take an open order for an enclave of the sender's. Scope OPERATE."""

    order: Address
    enclave: Address
    plan: Annotated[int, Meta(ge=0, le=255)]
    """The hardware's plan, where the order names no hardware; 0 otherwise."""
    penalty_max: Amount
    """ubocc of the sender's bond that it lets stand for the order at most: what others add to the escrow raises the penalty."""


class GrantAnswer(IntEnum):
    """What an owner says to an order."""

    GRANT = 1
    REFUSE = 2
    """Ends the order, without a penalty for the provider."""


class Grant(Wire, frozen=True, tag=14):
    """Release the key of a line to the enclave that runs an order, or refuse. Scope GRANT of the resource's owner.

    An enclave of the resource's vault may do so in the owner's place: then anybody sends, and the enclave signs.
    """

    order: Address
    line: Annotated[int, Meta(ge=0, lt=LINES_MAX)]
    enclave: Address
    """The order's enclave, so that a capsule never counts for another."""
    grant_epoch: UInt
    """The resource's, for the same reason."""
    answer: GrantAnswer
    capsule: Annotated[bytes, Meta(max_length=CAPSULE_BYTES_MAX)]
    """The key, sealed to the enclave's seal_key (HPKE); none with REFUSE. The state keeps its digest."""
    vault_enclave: OptionalAddress
    vault_signature: Annotated[bytes, Meta(max_length=64)]
    """Of the vault enclave's key over `grant_signing_bytes`."""


class Start(Wire, frozen=True, tag=1):
    """The work of an order has begun: what was loaded."""

    order: Address
    number: UInt
    """Counts the order's receipts from 0, over all its enclaves."""
    inputs: Annotated[tuple[Hash, ...], Meta(max_length=INPUTS_MAX)]
    """Content roots as loaded, of the DATA and SOFTWARE lines in their order, then the output roots of `after`."""
    args_digest: Hash
    service: ServiceEndpoint | None


class Beat(Wire, frozen=True, tag=2):
    """The work goes on."""

    order: Address
    number: UInt
    meter: Meter | None


class Output(Wire, frozen=True, tag=3):
    """The work has given something; the last output ends the order."""

    order: Address
    number: UInt
    root: Hash
    reference: Reference
    is_last: bool
    meter: Meter | None


class Fail(Wire, frozen=True, tag=4):
    """The work cannot go on; the order ends."""

    order: Address
    number: UInt
    code: UInt
    """By the software's own list."""


class Erase(Wire, frozen=True, tag=5):
    """The enclave has erased what it held of an order; also after the order's end."""

    order: Address
    number: UInt


WorkReceipt = Start | Beat | Output | Fail | Erase


class SendReceipts(Wire, frozen=True, tag=15):
    """Bring receipts of an enclave: proof that it works. Any scope, anybody; the enclave signs.

    The signature is its sign_key's over `receipts_signing_bytes`, which binds a recent block and, by one digest, the receipts
    before these of every order named. One signature serves a thousand orders.
    """

    enclave: Address
    at_height: Height
    """A recent block: the enclave was at work after it. Time up to that block is proven, no later one."""
    receipts: Annotated[tuple[WorkReceipt, ...], Meta(min_length=1, max_length=RECEIPTS_MAX)]
    signature: Signature


class Close(Wire, frozen=True, tag=16):
    """End an order, as its customer, its provider or the owner of one of its lines; or mark one that has ended. Any scope.

    What it costs, and when it takes effect, follows from the order's state and the sender's role (state/runtime/orders/table.py).
    """

    order: Address
    mark: Mark
    """The customer's, once the order is closed; NONE otherwise."""


def order_address(chain_id: bytes, customer: bytes, nonce: int, message_index: int) -> bytes:
    """Return the 21-byte address of the order that message message_index of the customer's transaction with this nonce makes."""
    name = chain_id + customer + nonce.to_bytes(8, "big") + bytes((message_index,))
    return bytes((AddressKind.ORDER,)) + tagged_hash(_ORDER_TAG, name)[:20]


def next_head(head: bytes, receipt: WorkReceipt, at_height: int) -> bytes:
    """Return the digest of an order's receipts so far, 32 bytes, with one more; the first follows 32 zero bytes."""
    return tagged_hash(_RECEIPT_TAG, head + at_height.to_bytes(8, "big") + encode(receipt))


def receipts_signing_bytes(
    chain_id: bytes,
    *,
    enclave: bytes,
    at_height: int,
    at_hash: bytes,
    heads: tuple[bytes, ...],
    receipts: tuple[WorkReceipt, ...],
) -> bytes:
    """Return what an enclave signs for receipts; heads are the digests of each receipt's order just before it, in their order."""
    heads_hash = tagged_hash(_HEADS_TAG, b"".join(heads))
    content = enclave + at_height.to_bytes(8, "big") + at_hash + heads_hash + encode(receipts)
    return signing_bytes(_RECEIPTS_TAG, chain_id, content)


def grant_signing_bytes(chain_id: bytes, grant: Grant) -> bytes:
    """Return what a vault's enclave signs to answer in the owner's place: the grant without the signature."""
    fields = (grant.order, grant.line, grant.enclave, grant.grant_epoch, int(grant.answer), grant.capsule)
    return signing_bytes(_GRANT_TAG, chain_id, encode((*fields, grant.vault_enclave)))
