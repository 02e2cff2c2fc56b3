"""Releasing a key: sealed to the enclave that runs an order, for one line of it, as the chain stands now.

What the key is sealed to comes from a node, in `Asked`. Who does not trust that node proves it first: bocc/market/grant_proofs.py.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from bocc.capsules import CapsulePurpose, seal_capsule
from bocc.client import Client
from bocc.errors import InputReason, InputRejected
from bocc.market.forms import parse_enclave, parse_order, parse_resource
from bocc.sealed import key_commitment
from state.order_messages import Grant, GrantAnswer

Json = dict[str, Any]  # JSON of the node
_STATE: Final = "accepted"


class Asked(Struct, frozen=True, kw_only=True):
    """Which key is asked for, and to whom it would be sealed."""

    chain_id: bytes
    order: bytes
    line: int
    resource: bytes
    release: int
    grant_epoch: int
    key_commit: bytes | None
    """What the release says of the key; None for releases older than a node shows."""
    enclave: bytes
    seal_key: bytes


async def ask_grant(client: Client, order: str, line: int | None) -> Asked:
    """Return what a node says of the key for a line of an order. Without a line: the one that still needs a key.

    Raises:
        InputRejected: BAD_GRANT: the order is not accepted, or has no such line or several that need a key.
        RpcRejected: the node refuses; an order or enclave is unknown.
        NodeUnreachable: no answer after all attempts.
    """
    told = await client.call("order", id=order)
    if told["state"] != _STATE:
        raise InputRejected(
            InputReason.BAD_GRANT, f"the order is {told['state']}", "an order that a provider has accepted"
        )
    index = _find_line(told["lines"], line)
    asked = told["lines"][index]
    enclave = await client.call("enclave", id=told["enclave"])
    resource = await client.call("resource", id=asked["resource"])
    release = int(asked["release"])
    commit = next((one["body"]["key_commit"] for one in resource["releases"] if one["number"] == release), None)
    return Asked(
        chain_id=await client.chain_id(),
        order=parse_order(order),
        line=index,
        resource=parse_resource(asked["resource"]),
        release=release,
        grant_epoch=int(resource["grant_epoch"]),
        key_commit=None if commit is None else bytes.fromhex(commit),
        enclave=parse_enclave(enclave["id"]),
        seal_key=bytes.fromhex(enclave["seal_key"]),
    )


def build_grant(asked: Asked, key: bytes | None) -> Grant:
    """Return the release of a key, or its refusal where no key is given.

    Raises:
        InputRejected: BAD_GRANT: the key is another one than the release names.
        CapsuleRejected: the key cannot be sealed to that enclave.
    """
    if key is not None and asked.key_commit is not None and key_commitment(key) != asked.key_commit:
        bound = f"the key whose SHA-256 is {asked.key_commit.hex()}, as release {asked.release} says"
        raise InputRejected(InputReason.BAD_GRANT, f"a key with SHA-256 {key_commitment(key).hex()}", bound)
    purpose = CapsulePurpose(
        chain_id=asked.chain_id,
        order=asked.order,
        line=asked.line,
        enclave=asked.enclave,
        release=asked.release,
        grant_epoch=asked.grant_epoch,
    )
    return Grant(
        order=asked.order,
        line=asked.line,
        enclave=asked.enclave,
        grant_epoch=asked.grant_epoch,
        answer=GrantAnswer.REFUSE if key is None else GrantAnswer.GRANT,
        capsule=b"" if key is None else seal_capsule(key, asked.seal_key, purpose),
        vault_enclave=b"",
        vault_signature=b"",
    )


def _find_line(lines: list[Json], line: int | None) -> int:
    """Return the line that is meant."""
    waiting = [index for index, one in enumerate(lines) if _needs_key(one)]
    if line is None:
        if len(waiting) != 1:
            seen = f"lines that need a key: {' '.join(map(str, waiting)) or 'none'}"
            raise InputRejected(InputReason.BAD_GRANT, seen, "--line N")
        return waiting[0]
    if line >= len(lines) or not lines[line]["is_sealed"]:
        sealed = [str(index) for index, one in enumerate(lines) if one["is_sealed"]]
        raise InputRejected(InputReason.BAD_GRANT, f"line {line}", f"a sealed line: {' '.join(sealed) or 'none'}")
    return line


def _needs_key(line: Json) -> bool:
    return bool(line["is_sealed"]) and not (line["grant"] and line["grant"]["is_valid"])
