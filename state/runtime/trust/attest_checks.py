"""The checks of an attestation, in one table, cheapest first: vendors' signatures are verified only when all else holds.

Execution stops at the first check that fails; the dry run (state/runtime/explain.py) goes on with those that can still be made.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Final

from msgspec import Struct

from state.attestation import attest_signing_bytes, enclave_address, gpu_nonce, report_data
from state.crypto import verify
from state.errors import TransactionRejected
from state.offers import Profile, ResourceKind
from state.records import ONLY, RecentBlock
from state.resource_records import RELEASES, RESOURCES, Release, ReleaseStatus, Resource, ResourceStatus, numbered_key
from state.runtime.context import Context
from state.runtime.reasons import EnclaveReason, TransactionReason
from state.runtime.trust.challenges import find_challenge
from state.runtime.trust.enclaves import judge_of
from state.runtime.trust.evidence import SHARED_CACHE, Answer
from state.runtime.trust.judgement import LIVE, Judgement, certificate_ends, find_repeated_platform, platforms_of
from state.runtime.trust.profiles import find_mismatch
from state.trust_messages import Attest
from state.trust_records import BRAKES, ENCLAVES, PLATFORMS, TRUST_BOOKS, BrakeScope, Enclave, EnclaveState
from tee.appraisal import platform_ids
from tee.claims import NitroClaims, SgxClaims, SnpClaims, TdxClaims
from tee.documents import QeIdentity, TcbInfo
from tee.errors import EvidenceRejected
from tee.evidence import EvidenceKind

AGREEMENTS_MAX: Final = 4_096
"""Signatures of enclaves remembered, about 400 bytes each; as many as answers on evidence."""


class Attempt:
    """One attestation on its way through the checks. What a check finds, those that need it may use."""

    def __init__(self, context: Context, sender: bytes, message: Attest) -> None:
        """Start before the first check."""
        self.context = context
        self.sender = sender
        self.message = message
        self.address = enclave_address(message.sign_key)
        self.before = context.ledger.find(ENCLAVES, self.address)
        self.release: Release
        self.challenge: RecentBlock
        self.answer: Answer
        self.judgement: Judgement

    @property
    def nonce(self) -> bytes:
        """What the GPUs have to bind; known once the challenge is found."""
        return gpu_nonce(
            chain_id=self.context.chain_id,
            sign_key=self.message.sign_key,
            challenge_height=self.message.challenge_height,
            challenge_hash=self.challenge.block_hash,
        )

    @cached_property
    def proven(self) -> Enclave:
        """The enclave as its evidence shows it, before it is judged; asked for once the evidence is verified."""
        return _enclave_of(self)


def check_hardware(attempt: Attempt) -> None:
    """NO_RESOURCE, WRONG_RESOURCE_KIND, NOT_OWNER, RESOURCE_NOT_ACTIVE. On paused hardware, enclaves are renewed."""
    hardware = _find_resource(attempt, attempt.message.hardware, ResourceKind.HARDWARE)
    if hardware.owner != attempt.sender:
        raise TransactionRejected(TransactionReason.NOT_OWNER, attempt.sender.hex(), hardware.owner.hex())
    is_paused = hardware.status is ResourceStatus.PAUSED
    if hardware.status is not ResourceStatus.ACTIVE and not (is_paused and attempt.before is not None):
        raise TransactionRejected(TransactionReason.RESOURCE_NOT_ACTIVE, hardware.status.name.lower(), "active")


def check_image(attempt: Attempt) -> None:
    """NO_RESOURCE, WRONG_RESOURCE_KIND, RESOURCE_NOT_ACTIVE, NO_RELEASE, RELEASE_REVOKED."""
    message, time_ms = attempt.message, attempt.context.time_ms
    image = _find_resource(attempt, message.image, ResourceKind.SOFTWARE)
    if image.status is ResourceStatus.RETIRED:
        raise TransactionRejected(TransactionReason.RESOURCE_NOT_ACTIVE, image.status.name.lower())
    release = attempt.context.ledger.find(RELEASES, numbered_key(message.image, message.release))
    if release is None:
        raise TransactionRejected(TransactionReason.NO_RELEASE, message.release, image.release_count)
    is_over = release.status is ReleaseStatus.DEPRECATED and release.until_ms <= time_ms
    if release.status is ReleaseStatus.REVOKED or is_over:
        raise TransactionRejected(EnclaveReason.RELEASE_REVOKED, message.release)
    attempt.release = release


def check_tee(attempt: Attempt) -> None:
    """UNKNOWN_TEE, NO_PROFILE: whether the release has a profile for this kind of evidence."""
    tee = attempt.message.tee
    if tee not in set(EvidenceKind):
        raise TransactionRejected(TransactionReason.UNKNOWN_TEE, tee)
    if not _profiles(attempt):
        kinds = " ".join(str(profile.tee) for profile in attempt.release.body.profiles)
        raise TransactionRejected(TransactionReason.NO_PROFILE, tee, kinds)


def check_enclave(attempt: Attempt) -> None:
    """ENCLAVE_REVOKED, ENCLAVE_MOVED, CHALLENGE_NOT_NEWER: what an enclave that exists keeps."""
    before, message = attempt.before, attempt.message
    if before is None:
        return
    if before.state is EnclaveState.REVOKED:
        raise TransactionRejected(TransactionReason.ENCLAVE_REVOKED, before.reason)
    if (before.operator, before.hardware) != (attempt.sender, message.hardware):
        raise TransactionRejected(TransactionReason.ENCLAVE_MOVED, message.hardware.hex(), before.hardware.hex())
    if message.challenge_height < before.challenge_height:
        seen, bound = message.challenge_height, before.challenge_height
        raise TransactionRejected(TransactionReason.CHALLENGE_NOT_NEWER, seen, bound)


def check_challenge(attempt: Attempt) -> None:
    """CHALLENGE_UNKNOWN, CHALLENGE_TOO_OLD: whether the evidence was made just now."""
    attempt.challenge = find_challenge(attempt.context, attempt.message.challenge_height)


def check_brakes(attempt: Attempt) -> None:
    """BRAKED: whether new attestations are stopped altogether."""
    for brake in attempt.context.ledger.get(BRAKES, ONLY).brakes:
        if brake.scope is BrakeScope.ATTESTATIONS and brake.until_ms > attempt.context.time_ms:
            raise TransactionRejected(EnclaveReason.BRAKED, "attestations", brake.until_ms)


def check_signature(attempt: Attempt) -> None:
    """BAD_ENCLAVE_SIGNATURE: whether the enclave's key agrees."""
    message = attempt.message
    signed = attest_signing_bytes(attempt.context.chain_id, attempt.sender, message.hardware, message.evidence)
    if not _has_agreed(message.sign_key, message.signature, signed):
        raise TransactionRejected(TransactionReason.BAD_ENCLAVE_SIGNATURE, message.sign_key.hex())


@lru_cache(maxsize=AGREEMENTS_MAX)
def _has_agreed(sign_key: bytes, signature: bytes, signed: bytes) -> bool:
    """Verify an enclave's signature; remembered, for it is asked at admission and again in the block."""
    return verify(sign_key, signature, signed)


def check_evidence(attempt: Attempt) -> None:
    """Reasons of tee/errors.py: whether vendors' signatures, chains and collateral hold at block time."""
    context, message = attempt.context, attempt.message
    try:
        attempt.answer = SHARED_CACHE.verify(context.ledger, message, attempt.nonce, context.time_ms // 1_000)
    except EvidenceRejected as rejection:
        raise TransactionRejected(rejection.reason, rejection.seen, rejection.bound) from rejection


def check_collateral_age(attempt: Attempt) -> None:
    """COLLATERAL_TOO_OLD: whether Intel's documents were issued recently enough, whatever they say of their own end."""
    oldest_s = (attempt.context.time_ms - attempt.context.params.attestation.collateral_age_ms_max) // 1_000
    for document in attempt.answer.documents:
        if isinstance(document, TcbInfo | QeIdentity) and document.issued_s < oldest_s:
            raise TransactionRejected(TransactionReason.COLLATERAL_TOO_OLD, document.issued_s, oldest_s)


def check_binding(attempt: Attempt) -> None:
    """BINDING_MISMATCH: whether the evidence was made for this chain, machine, operator, keys, GPUs and challenge."""
    message = attempt.message
    expected = report_data(
        chain_id=attempt.context.chain_id,
        operator=attempt.sender,
        hardware=message.hardware,
        sign_key=message.sign_key,
        seal_key=message.seal_key,
        gpus=message.gpus,
        challenge_height=message.challenge_height,
        challenge_hash=attempt.challenge.block_hash,
    )
    match attempt.answer.claims:
        case NitroClaims(user_data=bound):
            pass
        case SgxClaims(report_data=bound) | TdxClaims(report_data=bound) | SnpClaims(report_data=bound):
            pass
    if bound != expected:
        raise TransactionRejected(TransactionReason.BINDING_MISMATCH, bound.hex(), expected.hex())


def check_measurements(attempt: Attempt) -> None:
    """MEASUREMENT_MISMATCH: whether the program is the release, in one of its profiles; the first profile's difference is told."""
    mismatches = [find_mismatch(profile, attempt.answer.claims) for profile in _profiles(attempt)]
    if None not in mismatches:
        name, seen, bound = next(mismatch for mismatch in mismatches if mismatch is not None)
        raise TransactionRejected(TransactionReason.MEASUREMENT_MISMATCH, f"{name} {seen}", f"{name} {bound}")


def check_platform(attempt: Attempt) -> None:
    """PLATFORM_REPEATED, ENCLAVE_MOVED, PLATFORM_TAKEN, TOO_MANY_ENCLAVES: whether machine and GPUs are this hardware's to use.

    What stands for one hardware resource is no part of another one meanwhile, also of the same owner: its capacity is sold once.
    Without enclaves it is its owner's, until the notice is over, to offer as something else.
    """
    context, enclave, before = attempt.context, attempt.proven, attempt.before
    repeated = find_repeated_platform(enclave)
    if repeated is not None:
        raise TransactionRejected(TransactionReason.PLATFORM_REPEATED, repeated.hex())
    if before is not None and before.platform != enclave.platform:
        raise TransactionRejected(TransactionReason.ENCLAVE_MOVED, enclave.platform.hex(), before.platform.hex())
    held = platforms_of(before) if before is not None and before.state in LIVE else ()
    count_max = context.params.attestation.platform_enclaves_max
    for platform in platforms_of(enclave):
        record = context.ledger.find(PLATFORMS, platform)
        if record is None:
            continue
        is_own = record.owner == attempt.sender and not record.enclave_count
        is_free = not record.enclave_count and record.free_from_ms <= context.time_ms
        if record.hardware != enclave.hardware and not (is_own or is_free):
            raise TransactionRejected(TransactionReason.PLATFORM_TAKEN, platform.hex(), record.hardware.hex())
        if platform not in held and record.enclave_count >= count_max:
            raise TransactionRejected(TransactionReason.TOO_MANY_ENCLAVES, record.enclave_count, count_max)


def check_judgement(attempt: Attempt) -> None:
    """Reasons of EnclaveReason and of tee/appraisal.py: whether the chain would trust such an enclave now."""
    context = attempt.context
    judgement = judge_of(context).judge(attempt.proven)
    if judgement.state not in {EnclaveState.TRUSTED, EnclaveState.GRACE}:
        assert judgement.reason is not None
        raise TransactionRejected(judgement.reason, judgement.seen, judgement.bound)
    attempt.judgement = judgement


class AttestCheck(Struct, frozen=True):
    """A check by name, with the names of those that must have passed before it can be made."""

    name: str
    run: Callable[[Attempt], None]
    needs: tuple[str, ...] = ()


CHECKS: Final = (
    AttestCheck("hardware", check_hardware),
    AttestCheck("image", check_image),
    AttestCheck("tee", check_tee, ("image",)),
    AttestCheck("enclave", check_enclave),
    AttestCheck("challenge", check_challenge),
    AttestCheck("brakes", check_brakes),
    AttestCheck("signature", check_signature),
    AttestCheck("evidence", check_evidence, ("tee", "challenge")),
    AttestCheck("collateral_age", check_collateral_age, ("evidence",)),
    AttestCheck("binding", check_binding, ("evidence",)),
    AttestCheck("measurements", check_measurements, ("evidence",)),
    AttestCheck("platform", check_platform, ("evidence",)),
    AttestCheck("judgement", check_judgement, ("evidence",)),
)
"""In the order of execution."""


def _find_resource(attempt: Attempt, address: bytes, kind: ResourceKind) -> Resource:
    resource = attempt.context.ledger.find(RESOURCES, address)
    if resource is None:
        raise TransactionRejected(TransactionReason.NO_RESOURCE, address.hex())
    if resource.kind is not kind:
        seen, bound = resource.kind.name.lower(), kind.name.lower()
        raise TransactionRejected(TransactionReason.WRONG_RESOURCE_KIND, seen, bound)
    return resource


def _profiles(attempt: Attempt) -> list[Profile]:
    return [profile for profile in attempt.release.body.profiles if profile.tee == attempt.message.tee]


def _expiry(context: Context, answer: Answer) -> int:
    """Return when this proof ends: after the longest life, or with the certificates of machine and GPUs."""
    longest_ms = context.time_ms + context.params.attestation.max_age_ms
    return min((longest_ms, *certificate_ends(answer.claims, answer.gpus)))


def _enclave_of(attempt: Attempt) -> Enclave:
    context, message, answer, before = attempt.context, attempt.message, attempt.answer, attempt.before
    platforms = platform_ids(answer.claims)
    return Enclave(
        hardware=message.hardware,
        operator=attempt.sender,
        image=message.image,
        release=message.release,
        tee=message.tee,
        platform=platforms[0] if platforms else b"",
        sign_key=message.sign_key,
        seal_key=message.seal_key,
        claims=answer.claims,
        gpus=answer.gpus,
        is_simulated=answer.is_simulated,
        root=answer.root,
        evidence_hash=sha256(message.evidence).digest(),
        verification_root=context.ledger.get(TRUST_BOOKS, ONLY).verification_root,
        challenge_height=message.challenge_height,
        attested_ms=context.time_ms,
        attested_height=context.height,
        expires_ms=_expiry(context, answer),
        level=0,
        standing=0,
        state=EnclaveState.SUSPENDED,
        reason="",
        wheel_ms=0 if before is None else before.wheel_ms,
        last_beat_ms=0 if before is None else before.last_beat_ms,
    )
