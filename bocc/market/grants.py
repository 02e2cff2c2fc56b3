"""Releasing a key: sealed to the enclave that runs an order, for one line of it, as the chain stands now."""

from __future__ import annotations

from typing import Any, Final

from bocc.capsules import CapsulePurpose, seal_capsule
from bocc.client import Client
from bocc.errors import InputReason, InputRejected
from bocc.market.forms import parse_enclave, parse_order
from bocc.sealed import key_commitment
from state.order_messages import Grant, GrantAnswer

Json = dict[str, Any]  # JSON of the node
_STATE: Final = "accepted"


async def build_grant(client: Client, order: str, line: int | None, key: bytes | None) -> Grant:
    """Return the release of a key for a line of an order, or its refusal where no key is given.

    Without a line: the one that still needs a key.

    Raises:
        InputRejected: BAD_GRANT: the order is not accepted, has no such line or several that need a key, or the key is another one.
        CapsuleRejected: the key cannot be sealed to that enclave.
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
    if key is not None:
        _check_key(key, resource, int(asked["release"]))
    purpose = CapsulePurpose(
        chain_id=await client.chain_id(),
        order=parse_order(order),
        line=index,
        enclave=parse_enclave(enclave["id"]),
        release=int(asked["release"]),
        grant_epoch=int(resource["grant_epoch"]),
    )
    return Grant(
        order=purpose.order,
        line=index,
        enclave=purpose.enclave,
        grant_epoch=purpose.grant_epoch,
        answer=GrantAnswer.REFUSE if key is None else GrantAnswer.GRANT,
        capsule=b"" if key is None else seal_capsule(key, bytes.fromhex(enclave["seal_key"]), purpose),
        vault_enclave=b"",
        vault_signature=b"",
    )


def _check_key(key: bytes, resource: Json, number: int) -> None:
    """Check that a key is the one that a release names; older releases than a node shows are not looked at."""
    commit = next((one["body"]["key_commit"] for one in resource["releases"] if one["number"] == number), None)
    if commit is not None and key_commitment(key).hex() != commit:
        bound = f"the key whose SHA-256 is {commit}, as release {number} says"
        raise InputRejected(InputReason.BAD_GRANT, f"a key with SHA-256 {key_commitment(key).hex()}", bound)


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
