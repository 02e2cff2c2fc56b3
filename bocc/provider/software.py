"""The software TEE as a provider's machine: simulated hardware, its vendor's documents, and the image that it pretends to boot.

Everybody can make the same evidence, so it proves nothing; only chains whose genesis names the simulated root take it, at level 1,
and every answer about it says SIMULATED. The code path is that of TDX. Source: attestation specification, section 7.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from msgspec.structs import replace
from nacl.public import PrivateKey

from bocc.provider.attesting import Challenge, EnclaveNames, build_attest
from bocc.provider.documents import VendorDocument, split_files
from bocc.provider.place import SIMULATED
from bocc.provider.rules import USUAL_TERMS, Terms
from state.crypto import SigningKey, tag, tagged_hash
from state.offers import (
    NO_CAPACITY,
    Capacity,
    Plan,
    PlanUnit,
    Profile,
    Provenance,
    Register,
    ReleaseBody,
    ResourceKind,
    ServiceLevel,
)
from state.trust_messages import Attest, Publish, Supersede
from tee.evidence import EvidenceKind
from tee.simulated import SimulatedMachine, SimulatedVendor, qe_identity_template, tcb_info_template
from tee.simulated_quotes import TdBody
from tee.simulated_root import SIMULATED_ROOT_DER

BACKDATED_S: Final = 60
"""Documents are issued a little in the past, so that a chain whose clock is behind takes them."""
SIMULATED_ROOT_HASH: Final = sha256(SIMULATED_ROOT_DER).digest()
HARDWARE_TITLE: Final = f"{SIMULATED} machine without any protection"
IMAGE_TITLE: Final = f"{SIMULATED} guest image"
CATEGORY: Final = "simulated-tee"
_SEAL_TAG: Final = tag("software-tee-seal-key")
IMAGE_PRICE: Final = 10_000
"""ubocc of an order, paid once."""
_CAPACITY: Final = Capacity(vcpus=16, memory_mib=16_384, disk_mib=65_536, network_mbps=1_000, gpus=())
_SLICE: Final = Capacity(vcpus=1, memory_mib=1_024, disk_mib=1_024, network_mbps=10, gpus=())
"""What one unit of either plan takes."""


class SoftwareTee:
    """One simulated machine and the enclave on it."""

    def __init__(self, machine: str, enclave_seed: bytes, body: TdBody | None = None) -> None:
        """Name the machine, which is its platform id, and give the enclave its secret of 32 bytes."""
        self.vendor = SimulatedVendor()
        self.machine: SimulatedMachine = self.vendor.machine(machine)
        self.body = body or TdBody()
        self.key = SigningKey(enclave_seed)
        self.seal_secret = tagged_hash(_SEAL_TAG, enclave_seed)
        self.seal_key = bytes(PrivateKey(self.seal_secret).public_key)

    def documents(self, at_s: int, number_min: int = 0) -> tuple[VendorDocument, ...]:
        """Return the vendor's documents of this moment, in the order of sending; their evaluation number is at least this one."""
        tcb_info, qe_identity = tcb_info_template(at_s), qe_identity_template(at_s)
        collateral = self.vendor.collateral(
            at_s,
            tcb_info=replace(tcb_info, number=max(tcb_info.number, number_min)),
            qe_identity=replace(qe_identity, number=max(qe_identity.number, number_min)),
        )
        return split_files(collateral.files())

    def names(self, operator: bytes, hardware: bytes, image: bytes, release: int = 0) -> EnclaveNames:
        """Return what an attestation of this enclave says of itself."""
        return EnclaveNames(
            operator=operator,
            hardware=hardware,
            image=image,
            release=release,
            tee=int(EvidenceKind.TDX),
            sign_key=self.key.public_key,
            seal_key=self.seal_key,
        )

    def attest(self, names: EnclaveNames, challenge: Challenge) -> Attest:
        """Return the message with a fresh quote that binds the challenge."""
        quote = self.machine.quote(challenge.report_data(names), self.body)
        return build_attest(names, challenge, quote, self.key)


def publish_hardware(terms: Terms = USUAL_TERMS) -> Publish:
    """Return the message that offers the simulated machine by the second (plan 0) and by the piece (plan 1)."""
    return _publish(ResourceKind.HARDWARE, HARDWARE_TITLE, capacity=_CAPACITY, plans=_machine_plans(terms))


def _machine_plans(terms: Terms) -> tuple[Plan, ...]:
    by_second = Plan(
        number=0,
        unit=PlanUnit.SECOND,
        price=terms.price,
        min_term_ms=terms.min_term_ms,
        max_term_ms=0,
        capacity=_SLICE,
        stock=0,
        service_level=ServiceLevel(
            beat_every_ms=terms.beat_every_ms, grace_ms=terms.grace_ms, penalty_bp=terms.penalty_bp
        ),
        notice_ms=terms.notice_ms,
        keep_after_ms=terms.keep_after_ms,
    )
    by_piece = replace(
        by_second,
        number=1,
        unit=PlanUnit.ONCE,
        price=terms.piece_price,
        min_term_ms=0,
        max_term_ms=terms.piece_term_ms,
    )
    return by_second, by_piece


def publish_image(body: TdBody | None = None) -> Publish:
    """Return the message that offers the image with the measurements that simulated quotes have."""
    measured = body or TdBody()
    registers = {"mr_td": measured.mr_td, **{f"rtmr{index}": measured.rtmrs[index] for index in range(3)}}
    profile = Profile(
        tee=int(EvidenceKind.TDX),
        registers=tuple(Register(name=name, expected=registers[name]) for name in sorted(registers)),
        attributes=(),
        svn_min=0,
    )
    release = ReleaseBody(
        content_root=sha256(IMAGE_TITLE.encode()).digest(),
        sealed_root=b"",
        size=len(IMAGE_TITLE),
        locators=(),
        key_commit=b"",
        profiles=(profile,),
        requirements=NO_CAPACITY,
        provenance=Provenance(source_uri="", commit=b"", recipe_hash=b""),
    )
    plan = Plan(
        number=0,
        unit=PlanUnit.ONCE,
        price=IMAGE_PRICE,
        min_term_ms=0,
        max_term_ms=0,
        capacity=NO_CAPACITY,
        stock=0,
        service_level=ServiceLevel(beat_every_ms=0, grace_ms=0, penalty_bp=0),
        notice_ms=0,
        keep_after_ms=0,
    )
    return _publish(ResourceKind.SOFTWARE, IMAGE_TITLE, plans=(plan,), release=release)


def _publish(
    kind: ResourceKind,
    title: str,
    *,
    plans: tuple[Plan, ...],
    release: ReleaseBody | None = None,
    capacity: Capacity | None = None,
) -> Publish:
    return Publish(
        resource=b"",
        kind=kind,
        category=CATEGORY,
        title=title,
        meta_hash=b"",
        release=release,
        capacity=capacity,
        policy=(),
        plans=plans,
        payees=(),
        vault=b"",
        derived_from=b"",
        supersedes=Supersede.NONE,
        superseded=(),
        notice_ms=0,
    )
