"""A chain that trusts a made-up AMD, AWS and NVIDIA as roots of simulated hardware, and machines of theirs that attest.

Formats are the vendors' own, keys are public. Reports and documents are made for the last block; AMD's first list is on the chain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from dataclasses import replace as with_changes

from msgspec.structs import replace

from state.attestation import gpu_nonce
from state.genesis import Genesis
from state.offers import Profile, Register, ResourceKind
from state.trust_messages import Attest, GpuEvidence, Publish, PutCollateral
from tee import der_writer as der
from tee.documents import CollateralKind
from tee.evidence import EvidenceKind
from tests.support import nitro_pki, nvidia_pki, snp_pki
from tests.support.attesting import (
    CUSTOMER,
    EMPTY_RELEASE,
    POSTER,
    PROVIDER,
    Lab,
    enclave_key,
    publish,
    td_profile,
)
from tests.support.chain_builders import make_genesis
from tests.support.p384_certificates import issue

TIME_S = snp_pki.JUNE_2026
LIST_S = 60 * 86_400
"""How long a list of AMD's is good."""
ARK, ASK, ASVK = (authority("Genoa") for authority in (snp_pki.ark, snp_pki.ask, snp_pki.asvk))
NITRO_ROOT = issue(nitro_pki.make_chain()[nitro_pki.ROOT])
NVIDIA_ROOT = issue(nvidia_pki.make_chain()[nvidia_pki.ROOT])
MODULE_ID = "i-0123456789abcdef0-enc0123456789abcdef"


def vendors_genesis() -> Genesis:
    """Return a genesis with roots of every family, at a time when their certificates are valid."""
    amd = (ARK, ASK, ASVK, snp_pki.ark("Milan"), snp_pki.ask("Milan"))
    genesis = make_genesis(time_ms=TIME_S * 1_000)
    roots = (*genesis.simulated_roots, *(each.encode() for each in amd), NITRO_ROOT, NVIDIA_ROOT)
    return replace(genesis, simulated_roots=roots)


@dataclass(frozen=True, kw_only=True)
class SnpMachine:
    """A confidential guest of AMD's: report and certificate of its chip's key."""

    kind = EvidenceKind.SEV_SNP
    vek: snp_pki.Certificate
    fields: dict[str, int | bytes]
    product: str = "Genoa"
    signer: str = "chip"

    def saying(self, **fields: int | bytes) -> SnpMachine:
        """Return the machine when its report says something else."""
        return with_changes(self, fields={**self.fields, **fields})

    def make(self, report_data: bytes, _time_s: int) -> bytes:
        """Return the report and the certificate."""
        report = with_changes(snp_pki.report(self.product), signer=self.signer)
        return report.changed(**{"report_data": report_data, **self.fields}).encode() + self.vek.encode()


@dataclass(frozen=True, kw_only=True)
class NitroMachine:
    """An enclave of AWS'."""

    kind = EvidenceKind.NITRO
    fields: dict[str, object] = field(default_factory=dict)
    change: Callable[[nitro_pki.World], nitro_pki.World] | None = None

    def make(self, report_data: bytes, time_s: int) -> bytes:
        """Return the document."""
        world = nitro_pki.make_world(time_s).put(**{"user_data": report_data, **self.fields})
        return (world if self.change is None else self.change(world)).encode()


Machine = SnpMachine | NitroMachine


def snp_machine(chip: int = 0, svn: int = 27) -> SnpMachine:
    """Return the machine with this chip, whose firmware has this security version."""
    tcb = snp_pki.GENOA_TCB[:6] + bytes((svn,)) + snp_pki.GENOA_TCB[7:]
    chip_id = bytes((chip + 1,)) * 64
    vek = replace_extensions(snp_pki.vcek("Genoa"), svn, chip_id)
    words = dict.fromkeys(("reported_tcb", "committed_tcb", "current_tcb", "launch_tcb"), tcb)
    return SnpMachine(fields={"chip_id": chip_id, **words}, vek=vek)


def replace_extensions(vek: snp_pki.Certificate, svn: int, chip_id: bytes) -> snp_pki.Certificate:
    """Return the certificate of another chip, or of the same with another security version."""
    return vek.with_extension(snp_pki.AMD + "3.3", der.write_integer(svn)).with_extension(snp_pki.HARDWARE, chip_id)


PCRS = nitro_pki.make_fields()["pcrs"]
REGISTERS = {
    EvidenceKind.SEV_SNP: {"measurement": b"M" * 48},
    EvidenceKind.NITRO: {f"pcr{index}": PCRS[index] for index in range(3)},
}
"""What the machines above measure."""


def image(registers: dict[EvidenceKind, dict[str, bytes]] = REGISTERS) -> Publish:
    """Return the publication of one image: as a trust domain, and with these registers for machines of other kinds."""
    rows = (
        Profile(
            tee=kind,
            registers=tuple(Register(name=name, expected=expected) for name, expected in values.items()),
            attributes=(),
            svn_min=0,
        )
        for kind, values in registers.items()
    )
    return publish(ResourceKind.SOFTWARE, release=replace(EMPTY_RELEASE, profiles=(td_profile(), *rows)))


def amd_list(
    issued_s: int = snp_pki.MAY_2026, *, serials: tuple[int, ...] = (), product: str = "Genoa"
) -> PutCollateral:
    """Return the message that brings a revocation list of AMD's, good for 60 days."""
    listed = snp_pki.RevocationList(
        issuer=f"ARK-{product}", serials=serials, this_update_s=issued_s, next_update_s=issued_s + LIST_S
    )
    return PutCollateral(kind=CollateralKind.AMD_CRL, body=listed.encode(), chain=())


def make_gpu(nonce: bytes, **changes: object) -> GpuEvidence:
    """Return what a GPU answers to a nonce."""
    report = replace(nvidia_pki.Report(), request=b"\x11\xe0\x01\xff" + nonce + b"\x00", **changes)
    return GpuEvidence(report=report.encode(), chain=report.encode_chain())


class VendorLab(Lab):
    """A world with these vendors: image, hardware and AMD's list are there."""

    def __init__(self, genesis: Genesis | None = None) -> None:
        super().__init__(genesis or vendors_genesis(), is_bare=True)
        assert self.reason(POSTER, amd_list()) == ""
        self.image = self.publish(CUSTOMER, image())
        self.hardware = self.publish(PROVIDER, publish(ResourceKind.HARDWARE))

    def message(self, machine: Machine, number: int = 0, **arguments: object) -> Attest:
        """Return the attestation of the enclave of this number on a machine."""
        return self.attest_message(
            number,
            prove=lambda report_data: machine.make(report_data, self.now_s),
            **{"tee": machine.kind, **arguments},
        )

    def refusal(self, machine: Machine, number: int = 0, **arguments: object) -> str:
        """Attest in a block and return why that failed, or nothing."""
        signer = arguments.get("provider", PROVIDER)
        return self.reason(signer, self.message(machine, number, **arguments))

    def nonce(self, number: int = 0) -> bytes:
        """Return the nonce that GPUs of an enclave must answer to."""
        key, block_hash = enclave_key(number).public_key, self.hashes[self.height]
        return gpu_nonce(chain_id=self.chain_id, sign_key=key, challenge_height=self.height, challenge_hash=block_hash)

    def message_with_gpus(self, *gpus: GpuEvidence, **arguments: object) -> Attest:
        """Return the attestation of a machine of AMD's that names these GPUs."""
        return self.message(snp_machine(), **{"bound": {"gpus": gpus}, "gpus": gpus, **arguments})
