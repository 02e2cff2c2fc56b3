"""Attesting: what evidence must bind, and the message that brings it to the chain.

The order is: a challenge names a recent block; the guest asks its hardware for evidence over 64 bytes that bind chain, operator,
machine, keys and that block; the enclave's key agrees; the operator sends all of it. Source: attestation specification, section 9.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from bocc.client import Client
from state.address import AddressKind, format_address, parse_address
from state.attestation import attest_signing_bytes, enclave_address, gpu_nonce, report_data
from state.crypto import SigningKey
from state.trust_messages import Attest, GpuEvidence

RESOURCE_PREFIX: Final = "boccres"


class EnclaveNames(Struct, frozen=True, kw_only=True):
    """Who proves what: everything about an attestation that stays the same when it is renewed."""

    operator: bytes
    hardware: bytes
    image: bytes
    release: int
    tee: int
    """Kind of evidence (tee/evidence.py)."""
    sign_key: bytes
    seal_key: bytes

    @property
    def enclave(self) -> str:
        """Address of the enclave."""
        return format_address(enclave_address(self.sign_key))


class Challenge(Struct, frozen=True):
    """A recent block that evidence shall bind."""

    chain_id: bytes
    height: int
    block_hash: bytes

    def report_data(self, names: EnclaveNames, gpus: tuple[GpuEvidence, ...] = ()) -> bytes:
        """Return the 64 bytes to put into the evidence."""
        return report_data(
            chain_id=self.chain_id,
            operator=names.operator,
            hardware=names.hardware,
            sign_key=names.sign_key,
            seal_key=names.seal_key,
            gpus=gpus,
            challenge_height=self.height,
            challenge_hash=self.block_hash,
        )

    def gpu_nonce(self, sign_key: bytes) -> bytes:
        """Return the 32 bytes with which each GPU must be asked."""
        return gpu_nonce(
            chain_id=self.chain_id,
            sign_key=sign_key,
            challenge_height=self.height,
            challenge_hash=self.block_hash,
        )


async def take_challenge(client: Client, height: int | None = None) -> Challenge:
    """Return the newest final block, or the one at a height, as a challenge.

    Raises:
        RpcRejected: the node does not know the height.
        NodeUnreachable: no answer after all attempts.
    """
    block = await client.block(height)
    return Challenge(await client.chain_id(), block["height"], bytes.fromhex(block["hash"]))


def agreement_bytes(challenge: Challenge, names: EnclaveNames, evidence: bytes) -> bytes:
    """Return what the enclave's key must sign."""
    return attest_signing_bytes(challenge.chain_id, names.operator, names.hardware, evidence)


def build_attest(
    names: EnclaveNames,
    challenge: Challenge,
    evidence: bytes,
    signature: bytes | SigningKey,
    gpus: tuple[GpuEvidence, ...] = (),
) -> Attest:
    """Return the message; the enclave's agreement is a signature, or its key where that is at hand."""
    if isinstance(signature, SigningKey):
        signature = signature.sign(agreement_bytes(challenge, names, evidence))
    return Attest(
        hardware=names.hardware,
        image=names.image,
        release=names.release,
        tee=names.tee,
        evidence=evidence,
        gpus=gpus,
        sign_key=names.sign_key,
        seal_key=names.seal_key,
        challenge_height=challenge.height,
        signature=signature,
    )


def parse_resource(text: str) -> bytes:
    """Return the 21 bytes of a resource's address.

    Raises:
        AddressRejected: it is none.
    """
    return parse_address(text, RESOURCE_PREFIX, AddressKind.RESOURCE)
