"""A chain with simulated machines: collateral, a published image, hardware, and enclaves that attest.

The vendor is the software TEE. `trust_as_vendor` takes its root for a vendor's own, so that levels above 1 can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pytest
from msgspec.structs import replace

from state.address import account_address
from state.attestation import attest_signing_bytes, enclave_address, report_data
from state.crypto import SigningKey
from state.genesis import Genesis
from state.lists import ListKind, count_members, list_name, member_at
from state.offers import NO_CAPACITY, Capacity, Profile, Provenance, Register, ReleaseBody, ResourceKind
from state.receipts import Event, EventKind
from state.records import CHAIN_STATE, ONLY
from state.runtime.context import Context
from state.runtime.execute import Executed
from state.runtime.reasons import EnclaveReason
from state.runtime.trust import evidence
from state.runtime.trust.cohorts import queue_concerned
from state.runtime.trust.enclaves import settle
from state.trust_messages import Attest, Publish, PutCollateral, Supersede
from state.trust_records import ENCLAVES, Enclave, EnclaveState
from tee.documents import CollateralKind
from tee.evidence import EvidenceKind
from tee.roots import Roots, TrustedRoot
from tee.simulated import SimulatedCollateral, SimulatedVendor, recovery_template
from tee.simulated_quotes import QuoteRecipe, TdBody
from tests.support.chain_builders import World, account, account_key, make_genesis, store_state
from tests.support.checked_overlay import CheckedOverlay

PROVIDER = account_key(0)
CUSTOMER = account_key(1)
POSTER = account_key(2)
FEE = 10_000_000
"""Enough for any message here."""
DAY_MS = 86_400_000
BOUND_TO_OTHERS: list[tuple[str, object]] = [
    ("chain_id", bytes(32)),
    ("operator", account(7)),
    ("hardware", b"\x01" + bytes(20)),
    ("sign_key", bytes(32)),
    ("seal_key", bytes(32)),
    ("challenge_height", 3),
    ("challenge_hash", bytes(32)),
]
"""Each part that evidence is bound to, and something else in its place."""
EMPTY_RELEASE = ReleaseBody(
    content_root=bytes(32),
    sealed_root=b"",
    size=0,
    locators=(),
    key_commit=b"",
    profiles=(),
    requirements=NO_CAPACITY,
    provenance=Provenance(source_uri="", commit=b"", recipe_hash=b""),
)


def td_profile(body: TdBody | None = None) -> Profile:
    """Return the profile that a trust domain of this body fits."""
    body = body or TdBody()
    registers = {"mr_td": body.mr_td, **{f"rtmr{index}": value for index, value in enumerate(body.rtmrs)}}
    return Profile(
        tee=EvidenceKind.TDX,
        registers=tuple(Register(name=name, expected=value) for name, value in sorted(registers.items())),
        attributes=(),
        svn_min=0,
    )


def publish(kind: ResourceKind, **changes: object) -> Publish:
    """Return a publication with nothing but what its kind needs."""
    is_hardware = kind is ResourceKind.HARDWARE
    plain = Publish(
        resource=b"",
        kind=kind,
        category=kind.name.lower(),
        title=kind.name.title(),
        meta_hash=b"",
        release=None if is_hardware else replace(EMPTY_RELEASE, profiles=(td_profile(),)),
        capacity=Capacity(vcpus=8, memory_mib=65_536, disk_mib=1 << 20, network_mbps=1_000, gpus=())
        if is_hardware
        else None,
        policy=(),
        plans=(),
        payees=(),
        vault=b"",
        derived_from=b"",
        supersedes=Supersede.NONE,
        superseded=(),
        notice_ms=0,
    )
    return replace(plain, **changes)


def enclave_key(number: int) -> SigningKey:
    """Return the signing key of the enclave of this number."""
    return SigningKey(b"enclave" + number.to_bytes(25, "big"))


def facts_of(
    key: SigningKey, chain_id: bytes, operator: bytes, hardware: bytes, height: int, block_hash: bytes
) -> dict[str, object]:
    """Return what the evidence of an enclave without GPUs is made for."""
    return {
        "chain_id": chain_id,
        "operator": operator,
        "hardware": hardware,
        "sign_key": key.public_key,
        "seal_key": bytes([7]) * 32,
        "gpus": (),
        "challenge_height": height,
        "challenge_hash": block_hash,
    }


def build_attest(key: SigningKey, facts: dict[str, object], image: bytes, proof: bytes) -> Attest:
    """Return the attestation of a trust domain that these facts are of."""
    signed = attest_signing_bytes(facts["chain_id"], facts["operator"], facts["hardware"], proof)
    return Attest(
        hardware=facts["hardware"],
        image=image,
        release=0,
        tee=EvidenceKind.TDX,
        evidence=proof,
        gpus=facts["gpus"],
        sign_key=facts["sign_key"],
        seal_key=facts["seal_key"],
        challenge_height=facts["challenge_height"],
        signature=key.sign(signed),
    )


class Lab(World):
    """A world with a vendor. Collateral, image and the provider's hardware are there unless `is_bare`."""

    def __init__(self, genesis: Genesis | None = None, *, is_bare: bool = False) -> None:
        super().__init__(genesis or make_genesis())
        self.vendor = SimulatedVendor()
        self.image = self.hardware = b""
        if not is_bare:
            self.put_all(self.vendor.collateral(self.now_s))
            self.image = self.publish(CUSTOMER, publish(ResourceKind.SOFTWARE))
            self.hardware = self.publish(PROVIDER, publish(ResourceKind.HARDWARE))

    @property
    def now_s(self) -> int:
        """Block time of the last block, in seconds."""
        return self.time_ms // 1_000

    def send(self, signer: SigningKey, *messages: object, interval_ms: int = 1_000) -> Executed:
        """Apply a block of one transaction."""
        return self.apply(self.sign(signer, *messages, fee=FEE), interval_ms=interval_ms)

    def reason(self, signer: SigningKey, *messages: object, interval_ms: int = 1_000) -> str:
        """Apply a block of one transaction and return why it failed, or nothing."""
        return self.send(signer, *messages, interval_ms=interval_ms).receipts[0].reason

    def publish(self, owner: SigningKey, message: Publish) -> bytes:
        """Publish a resource and return its address."""
        executed = self.send(owner, message)
        assert executed.receipts[0].reason == "", executed.receipts[0]
        (event,) = [event for event in executed.events if event.kind is EventKind.PUBLISHED]
        return dict(event.attributes)["resource"]

    def put_all(self, collateral: SimulatedCollateral) -> list[Executed]:
        """Put all four documents, one block each, each of which must be news."""
        executed = [self.send(POSTER, message) for message in collateral_messages(collateral)]
        assert [each.receipts[0].reason for each in executed] == [""] * 4
        return executed

    def attest_message(
        self,
        number: int = 0,
        *,
        machine: str | None = None,
        body: TdBody | None = None,
        recipe: QuoteRecipe | None = None,
        provider: SigningKey = PROVIDER,
        hardware: bytes | None = None,
        challenge_height: int | None = None,
        bound: dict[str, object] | None = None,
        prove: Callable[[bytes], bytes] | None = None,
        quote: bytes | None = None,
        **changes: object,
    ) -> Attest:
        """Return the attestation of an enclave on a machine, by default machine and enclave of one number, for the last block.

        `bound` changes what the evidence is made for; `prove` makes it of report data, in place of a simulated trust domain;
        `changes` changes the message.
        """
        key, sender = enclave_key(number), self.address_of(provider)
        hardware = hardware or self.hardware
        height = self.height if challenge_height is None else challenge_height
        facts = facts_of(key, self.chain_id, sender, hardware, height, self.hashes.get(height, bytes(32)))
        if quote is None:
            box = self.vendor.machine(machine or f"machine {number}")
            report = report_data(**{**facts, **(bound or {})})
            quote = box.quote(report, body, recipe) if prove is None else prove(report)
        return replace(build_attest(key, facts, self.image, quote), **changes)

    def address_of(self, signer: SigningKey) -> bytes:
        """Return the account of a key."""
        return account_address(signer.public_key)

    @property
    def hashes(self) -> dict[int, bytes]:
        """Hash of every block that evidence may name, by height: the last one, and those on record."""
        return {**self._hashes, self.height: self.parent_hash}

    def apply(self, *transactions: object, **arguments: object) -> Executed:
        """Execute the next block and remember the hash of the one before."""
        self._hashes = {**getattr(self, "_hashes", {}), self.height: self.parent_hash}
        return super().apply(*transactions, **arguments)

    def attest(self, number: int = 0, **arguments: object) -> Executed:
        """Attest an enclave, which must succeed."""
        executed = self.send(arguments.get("provider", PROVIDER), self.attest_message(number, **arguments))
        assert executed.receipts[0].reason == "", executed.receipts[0]
        return executed

    def enclave(self, number: int = 0) -> Enclave:
        """Return the record of an enclave."""
        return self.ledger.get(ENCLAVES, enclave_address(enclave_key(number).public_key))

    def find_enclave(self, number: int = 0) -> Enclave | None:
        """Return the record of an enclave, or None."""
        return self.ledger.find(ENCLAVES, enclave_address(enclave_key(number).public_key))

    def state_of(self, number: int = 0) -> tuple[str, int, str]:
        """Return state, standing and reason of an enclave."""
        enclave = self.enclave(number)
        return enclave.state.name.lower(), enclave.standing, enclave.reason

    def govern(self, *decisions: object) -> list[Event]:
        """Let governance decide: call each function with a context of this state, then make it final with an empty block."""
        overlay = CheckedOverlay(self.ledger)
        height = self.ledger.get(CHAIN_STATE, ONLY).height
        context = Context(overlay, self.params, self.chain_id, self.epoch_start.epoch, height, self.time_ms)
        for decide in decisions:
            decide(context)
        queue_concerned(context)
        changes = overlay.changes()
        store_state(self.store, changes.items())
        for raw_key, value in changes.items():
            if value is None:
                self.state.pop(raw_key, None)
            else:
                self.state[raw_key] = value
        self.ledger.absorb(overlay)
        return context.events

    def members(self, kind: ListKind, name: bytes = b"") -> list[bytes]:
        """Return the members of a list in their order."""
        full = list_name(kind, name)
        return [member_at(self.ledger, full, number) for number in range(count_members(self.ledger, full))]


def expire_enclave(context: Context, address: bytes) -> None:
    """Let the proof of an enclave be over."""
    enclave = context.ledger.get(ENCLAVES, address)
    settle(context, address, enclave, replace(enclave, state=EnclaveState.EXPIRED, reason=EnclaveReason.EXPIRED.value))


def collateral_messages(collateral: SimulatedCollateral) -> Sequence[PutCollateral]:
    """Return the messages that bring a set of collateral, in the order in which documents need each other."""
    rows = (
        (CollateralKind.INTEL_ROOT_CRL, collateral.root_crl, ()),
        (CollateralKind.INTEL_PCK_CRL, collateral.pck_crl, collateral.pck_crl_chain),
        (CollateralKind.INTEL_TCB_INFO, collateral.tcb_info, collateral.signer_chain),
        (CollateralKind.INTEL_QE_IDENTITY, collateral.qe_identity, collateral.signer_chain),
    )
    return [PutCollateral(kind=kind, body=body, chain=chain) for kind, body, chain in rows]


def recovery(lab: Lab, at_s: int | None = None) -> PutCollateral:
    """Return the TCB info of a recovery, under which the usual machine is out of date."""
    body = lab.vendor.tcb_info(recovery_template(lab.now_s if at_s is None else at_s))
    return PutCollateral(kind=CollateralKind.INTEL_TCB_INFO, body=body, chain=(lab.vendor.tcb_signer, lab.vendor.root))


def list_verifications(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """Return a list to which every verification of evidence from now on adds what it is given."""
    verified: list[tuple[object, ...]] = []

    def verify(*arguments: object) -> evidence.Answer:
        verified.append(arguments)
        return genuine(*arguments)

    genuine = evidence.verify_evidence
    monkeypatch.setattr(evidence, "verify_evidence", verify)
    return verified


def trust_as_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the root of the software TEE for a genuine vendor's."""
    genuine = Roots(intel=(TrustedRoot(der=SimulatedVendor().root, is_simulated=False),))
    monkeypatch.setattr("state.runtime.trust.attest_checks.SHARED_CACHE", evidence.EvidenceCache())
    monkeypatch.setattr("state.runtime.trust.documents._merge_roots", lambda _record: genuine)


def address(lab: Lab, number: int = 0) -> bytes:
    """Return the address of an enclave of the provider, in the order in which they came."""
    return lab.members(ListKind.OPERATOR, account(0))[number]


def reasons_told(events: Iterable[Event]) -> list[tuple[str, str]]:
    """Return state and reason of every change of an enclave that events tell."""
    told = [dict(event.attributes) for event in events if event.kind is EventKind.ENCLAVE_CHANGED]
    return [(each["state"].decode(), each["reason"].decode()) for each in told]
