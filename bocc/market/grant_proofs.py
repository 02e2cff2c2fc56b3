"""Proving what a key is sealed to, from the genesis alone, before it is: a node that lies could name a seal key of its own.

Verified are the order's state, enclave, machine, lines and terms; the enclave's seal key, state, level and program; the resource's
owner and epoch of grants; and what the release says of the key. So all that goes into a capsule is what the chain says.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from bocc.client import Client
from bocc.errors import InputReason, InputRejected
from bocc.market.grants import Asked
from bocc.proven import ProvenRecords, read_proven
from state.address import format_address
from state.errors import TransactionRejected
from state.genesis import Genesis
from state.order_records import ORDER_TERMS, ORDERS, OrderState, OrderTerms
from state.resource_records import RELEASES, RESOURCES, ReleaseStatus, numbered_key
from state.runtime.orders.accepting import check_runs
from state.runtime.trust.judgement import GOOD_STATES
from state.trust_records import ENCLAVES, Enclave


class ProvenGrant(Struct, frozen=True, kw_only=True):
    """To whom a key would be sealed, as verified from the genesis."""

    asked: Asked
    height: int
    time_ms: int
    enclave: Enclave


async def prove_grant(client: Client, genesis: Genesis, asked: Asked, owner: bytes, now_ms: int) -> ProvenGrant:
    """Return what a node says of a key for a line, verified for the resource's owner.

    Raises:
        InputRejected: UNPROVEN: a proof does not hold, or says something else than the node; BAD_GRANT: what is proven is nothing
            that a key should be given to.
        RpcRejected: the node refuses.
        NodeUnreachable: no answer after all attempts.
    """
    if asked.chain_id != genesis.chain_id:
        raise InputRejected(InputReason.UNPROVEN, f"chain {asked.chain_id.hex()}", genesis.chain_id.hex())
    keys = (
        ORDERS.raw_key(asked.order),
        ORDER_TERMS.raw_key(asked.order),
        ENCLAVES.raw_key(asked.enclave),
        RESOURCES.raw_key(asked.resource),
        RELEASES.raw_key(numbered_key(asked.resource, asked.release)),
    )
    proven = await read_proven(client, genesis, keys, now_ms)
    order, terms = proven.get(ORDERS, asked.order), proven.get(ORDER_TERMS, asked.order)
    _check_order(proven, asked, terms)
    _check_resource(proven, asked, owner)
    enclave = proven.get(ENCLAVES, asked.enclave)
    _check_same("seal key", asked.seal_key.hex(), enclave.seal_key.hex())
    _check_same("machine", format_address(enclave.hardware), format_address(order.hardware))
    _check_good(terms, enclave, now_ms)
    release = proven.get(RELEASES, numbered_key(asked.resource, asked.release))
    if release.status is ReleaseStatus.REVOKED:
        raise InputRejected(InputReason.BAD_GRANT, f"release {asked.release} is revoked", "one that is not")
    verified = replace(asked, key_commit=release.body.key_commit or None)
    return ProvenGrant(asked=verified, height=proven.height, time_ms=proven.time_ms, enclave=enclave)


def _check_order(proven: ProvenRecords, asked: Asked, terms: OrderTerms) -> None:
    """Check that an order waits for this key, in this enclave."""
    order = proven.get(ORDERS, asked.order)
    _check_same("order", OrderState.ACCEPTED.name.lower(), order.state.name.lower())
    _check_same("enclave", format_address(asked.enclave), format_address(order.enclave))
    found = [
        f"{line.resource.hex()} release {line.release}" for line in terms.lines[asked.line :][:1] if line.is_sealed
    ]
    _check_same(
        f"line {asked.line}", f"{asked.resource.hex()} release {asked.release}", " ".join(found) or "not sealed"
    )


def _check_resource(proven: ProvenRecords, asked: Asked, owner: bytes) -> None:
    """Check that the resource is the owner's, and grants of this epoch count."""
    resource = proven.get(RESOURCES, asked.resource)
    _check_same("epoch of grants", str(asked.grant_epoch), str(resource.grant_epoch))
    if resource.owner != owner:
        seen = f"{format_address(asked.resource)} of {format_address(resource.owner)}"
        raise InputRejected(InputReason.BAD_GRANT, seen, f"one of {format_address(owner)}")


def _check_same(what: str, told: str, proven: str) -> None:
    """Check that a node says what its proof says."""
    if told != proven:
        raise InputRejected(InputReason.UNPROVEN, f"{what} {told}", f"{proven}, as is proven")


def _check_good(terms: OrderTerms, enclave: Enclave, now_ms: int) -> None:
    """Check that an enclave is trusted, at the order's level, and runs its software."""
    if enclave.expires_ms <= now_ms:
        raise InputRejected(InputReason.BAD_GRANT, "an enclave whose proof has expired", "trusted or grace")
    if enclave.state not in GOOD_STATES:
        seen = f"an enclave that is {enclave.state.name.lower()} {enclave.reason}".strip()
        raise InputRejected(InputReason.BAD_GRANT, seen, "trusted or grace")
    try:
        check_runs(terms, enclave)
    except TransactionRejected as rejected:
        raise InputRejected(
            InputReason.BAD_GRANT, f"an enclave with {rejected.seen}", f"{rejected.bound}, as the order asks"
        ) from rejected
