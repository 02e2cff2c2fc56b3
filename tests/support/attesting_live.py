"""Providers with simulated machines on a running network: evidence with one thing wrong, and what the chain says to it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from bocc.client import Client, Outcome
from bocc.provider.agent import find_enclave
from bocc.provider.attesting import Challenge, EnclaveNames, build_attest, parse_resource, take_challenge
from bocc.provider.posting import find_failed_check
from bocc.provider.software import SoftwareTee, publish_hardware, publish_image
from bocc.testing import FundedAccount
from state.address import parse_address
from state.crypto import SigningKey
from state.trust_messages import Attest
from tee.simulated import SimulatedMachine, SimulatedVendor
from tee.simulated_quotes import TdBody

VENDOR = SimulatedVendor()


def write_folder(folder: Path, at_s: int, **changes: object) -> Path:
    """Write the documents of the simulated vendor as they lie in a folder of collateral."""
    folder.mkdir()
    for name, content in VENDOR.collateral(at_s, **changes).files().items():
        (folder / name).write_bytes(content)
    return folder


@dataclass
class LiveProvider:
    """An account, its published machine and image, and enclaves on simulated machines."""

    account: FundedAccount
    hardware: str = ""
    image: str = ""

    async def publish(self, client: Client) -> None:
        """Publish a machine and an image."""
        outcome = await client.send(self.account.key, (publish_hardware(), publish_image()))
        assert outcome.has_succeeded, outcome
        block = await client.block(outcome.height)
        page = await client.events(block["first_cursor"], topics=["published"])
        self.hardware, self.image = [event["attributes"]["resource"] for event in page["events"]][:2]

    def tee(self, machine: str) -> SoftwareTee:
        """Return the simulated machine of this name, with an enclave of its own."""
        return SoftwareTee(machine, sha256(f"{self.account.name} {machine}".encode()).digest())

    def names(self, machine: str) -> EnclaveNames:
        """Return who attests on a machine."""
        hardware, image = parse_resource(self.hardware), parse_resource(self.image)
        return self.tee(machine).names(parse_address(self.account.address), hardware, image)

    async def message(
        self,
        client: Client,
        machine: str,
        *,
        box: SimulatedMachine | None = None,
        body: TdBody | None = None,
        report_data: bytes | None = None,
        challenge: Challenge | None = None,
        signer: SigningKey | None = None,
    ) -> Attest:
        """Return an attestation, right but for what is given."""
        tee, names = self.tee(machine), self.names(machine)
        taken = challenge or await take_challenge(client)
        quote = (box or tee.machine).quote(report_data or taken.report_data(names), body)
        return build_attest(names, taken, quote, signer or tee.key)

    async def attest(self, client: Client, machine: str, **changes: object) -> Outcome:
        """Send an attestation and return what became of it."""
        return await client.send(self.account.key, (await self.message(client, machine, **changes),))

    async def refusal(self, client: Client, machine: str, **changes: object) -> tuple[str, str]:
        """Send an attestation that the chain refuses; return the reasons that the dry run and the receipt tell."""
        transaction = await client.build(self.account.key, (await self.message(client, machine, **changes),))
        told = find_failed_check(await client.explain(transaction))
        assert told is not None, "the dry run finds nothing wrong"
        outcome = await client.submit(transaction)
        assert (outcome.status, outcome.receipt["status"]) == ("final", "failed"), outcome
        return told["reason"], outcome.receipt["reason"]

    def enclave(self, machine: str) -> str:
        """Return the address of the enclave on a machine."""
        return self.names(machine).enclave

    async def look(self, client: Client, machine: str) -> dict | None:
        """Return what a node says of the enclave on a machine, without the height at which it says it."""
        told = await find_enclave(client, self.enclave(machine))
        return None if told is None else {name: content for name, content in told.items() if name != "height"}
