"""The judgement on an enclave: its state and level by what the chain knows now. No signature is verified; claims are compared.

Grounds are looked at in the order of their weight: what ends an enclave, what withdraws it, what stops it for a while, what its
collateral and its TCB say. An attestation is judged by the same function as an enclave of last year.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from state.ledger import Ledger
from state.params import Params
from state.records import ONLY
from state.resource_records import RELEASES, ReleaseStatus, numbered_key
from state.runtime.reasons import EnclaveReason
from state.runtime.trust.documents import (
    ChainCollateral,
    Choice,
    amd_authorities,
    evaluation_of,
    roots_by_fingerprint,
    roots_of,
)
from state.trust_records import (
    APPRAISAL_RULES,
    BRAKES,
    PLATFORM_LISTINGS,
    TRUST_BOOKS,
    Brake,
    BrakeScope,
    Enclave,
    EnclaveState,
    Evaluation,
    PlatformVerdict,
)
from tee.appraisal import (
    LEVEL_GRACE,
    Denial,
    DenialReason,
    Level,
    Registries,
    appraise,
    find_gpu_denial,
    gpu_id,
    platform_ids,
)
from tee.claims import Claims, GpuClaims, NitroClaims, SgxClaims, SnpClaims, Tcb, TcbStatus, TdxClaims
from tee.documents import IntelTee, Parsed, QeIdentity, RevokedSerials, TcbInfo
from tee.errors import EvidenceRejected
from tee.intel_collateral import check_signer_stands
from tee.roots import TrustedRoot
from tee.tcb import evaluate_tcb, get_versions

LIVE: Final = frozenset({EnclaveState.TRUSTED, EnclaveState.GRACE, EnclaveState.SUSPENDED})
"""States in which an enclave is judged again when something moves."""
GOOD_STATES: Final = frozenset({EnclaveState.TRUSTED, EnclaveState.GRACE})
"""States in which an enclave accepts and earns."""


class Judgement(Struct, frozen=True):
    """What an enclave is now."""

    state: EnclaveState
    level: int
    standing: int
    reason: StrEnum | None
    """Why it is not simply trusted."""
    seen: str
    bound: str
    tcb: Tcb | None
    """As evaluated now; None where there is nothing to evaluate."""
    expires_ms: int
    """The end of the proof as of now: put off while collateral is overdue through no fault of the provider. Not kept on record."""


class _Lag(Struct, frozen=True):
    """Documents from before the number in force: what that one knows of a machine has not been brought."""

    number: int
    in_force: int
    grace_end_ms: int


class _Verdict(Exception):
    """A ground was found that needs no further look."""

    def __init__(self, state: EnclaveState, reason: StrEnum, seen: str = "", bound: str = "") -> None:
        super().__init__(reason)
        self.state, self.reason, self.seen, self.bound = state, reason, seen, bound


class Judge:
    """Judges enclaves by one state at one time. Build it anew when anything but enclaves has changed."""

    def __init__(self, ledger: Ledger, params: Params, time_ms: int, choice: Choice = Choice.IN_FORCE) -> None:
        """Load what all enclaves are judged by."""
        self._ledger = ledger
        self._params = params.attestation
        self._time_ms = time_ms
        self._rules = ledger.get(APPRAISAL_RULES, ONLY)
        self._all_brakes = ledger.get(BRAKES, ONLY)
        self._brakes = tuple(brake for brake in self._all_brakes.brakes if brake.until_ms > time_ms)
        self._books = ledger.get(TRUST_BOOKS, ONLY)
        self._evaluations: dict[bytes, Evaluation] = {}
        self._roots = roots_by_fingerprint(roots_of(ledger))
        self._collateral = ChainCollateral(ledger, choice)
        self._before = ChainCollateral(ledger, Choice.BEFORE)

    def is_current(self, params: Params) -> bool:
        """Tell whether nothing has changed that was loaded: documents, numbers in force and roots all move the books of trust."""
        ledger = self._ledger
        return (
            self._books is ledger.get(TRUST_BOOKS, ONLY)
            and self._rules is ledger.get(APPRAISAL_RULES, ONLY)
            and self._all_brakes is ledger.get(BRAKES, ONLY)
            and self._params is params.attestation
        )

    def judge(self, enclave: Enclave) -> Judgement:
        """Return the state and level of an enclave that is not revoked."""
        tcb: Tcb | None = None
        expires_ms = enclave.expires_ms
        try:
            self._check_denied(enclave)
            root = self._roots.get(enclave.root)
            documents = None if root is None else self._check_withdrawn(enclave, root)
            overdue_ms = self._overdue_since(documents or ())
            grace_end_ms = overdue_ms + self._params.collateral_grace_ms
            is_overdue = overdue_ms <= self._time_ms < grace_end_ms
            if is_overdue and overdue_ms <= expires_ms:
                expires_ms = max(expires_ms, min((grace_end_ms, *certificate_ends(enclave.claims, enclave.gpus))))
            self._check_age(enclave, expires_ms)
            for needed in (enclave.root, *(gpu.root for gpu in enclave.gpus)):
                if needed not in self._roots:
                    raise _suspended(EnclaveReason.ROOT_DISTRUSTED, needed.hex())
            if documents is None:
                raise _suspended(EnclaveReason.COLLATERAL_LACKING)
            self._check_stopped(enclave)
            if overdue_ms <= self._time_ms and not is_overdue:
                raise _suspended(EnclaveReason.COLLATERAL_EXPIRED, self._time_ms, grace_end_ms)
            self._check_signers(documents)
            tcb = evaluate(enclave, self._collateral)
            level = self._appraise(enclave, tcb)
        except _Verdict as verdict:
            return Judgement(verdict.state, 0, 0, verdict.reason, verdict.seen, verdict.bound, tcb, expires_ms)
        return self._conclude(level, self._find_lag(enclave, tcb), is_overdue, tcb, expires_ms)

    def _conclude(
        self, level: Level, lag: _Lag | None, is_overdue: bool, tcb: Tcb | None, expires_ms: int
    ) -> Judgement:
        reason: StrEnum | None = None
        state, seen, bound = EnclaveState.TRUSTED, "", ""
        best = LEVEL_GRACE if lag else level.standing
        if level.standing < self._rules.standing_min:
            state, reason = EnclaveState.SUSPENDED, EnclaveReason.STANDING_TOO_LOW
            seen, bound = str(level.standing), str(self._rules.standing_min)
            if tcb is not None:
                seen = " ".join((seen, tcb.status.name.lower(), *level.open_advisories))
        elif lag and (lag.grace_end_ms <= self._time_ms or best < self._rules.standing_min):
            state, reason, best = EnclaveState.SUSPENDED, DenialReason.EVALUATION_NUMBER_TOO_LOW, 0
            seen, bound = str(lag.number), str(lag.in_force)
        elif is_overdue:
            state, reason = EnclaveState.GRACE, EnclaveReason.COLLATERAL_OVERDUE
        elif level.standing == LEVEL_GRACE:
            state, reason = EnclaveState.GRACE, EnclaveReason.BEHIND
        elif lag:
            state, reason = EnclaveState.GRACE, EnclaveReason.COLLATERAL_BEHIND
            seen, bound = str(lag.number), str(lag.in_force)
        worth, standing = min(level.level, best), min(level.standing, best)
        return Judgement(state, worth, standing, reason, seen, bound, tcb, expires_ms)

    def _find_lag(self, enclave: Enclave, tcb: Tcb | None) -> _Lag | None:
        """Return by which numbers a machine is judged too early; None if no document is from before the number in force."""
        if tcb is None:
            return None
        number, evaluation = min(tcb.tcb_info_number, tcb.qe_identity_number), self._evaluation(enclave.root)
        if evaluation.number <= number:
            return None
        return _Lag(number, evaluation.number, evaluation.since_ms + self._params.tcb_grace_ms)

    def _evaluation(self, root: bytes) -> Evaluation:
        if root not in self._evaluations:
            self._evaluations[root] = evaluation_of(self._ledger, root)
        return self._evaluations[root]

    def _check_denied(self, enclave: Enclave) -> None:
        """Look whether governance withdrew the machine or a GPU."""
        for platform in platforms_of(enclave):
            listing = self._ledger.find(PLATFORM_LISTINGS, platform)
            if listing is not None and listing.verdict is PlatformVerdict.DENIED:
                raise _Verdict(EnclaveState.REVOKED, DenialReason.PLATFORM_DENIED, platform.hex())

    def _check_withdrawn(self, enclave: Enclave, root: TrustedRoot) -> tuple[Parsed, ...] | None:
        """Look whether the vendor withdrew the machine; return the collateral that it rests on, None if any is lacking."""
        match enclave.claims:
            case SgxClaims() | TdxClaims():
                return self._check_intel_lists(enclave)
            case SnpClaims():
                return self._check_amd_list(enclave.root, enclave.claims, amd_authorities(root))
            case NitroClaims():
                return ()

    def _check_intel_lists(self, enclave: Enclave) -> tuple[Parsed, ...] | None:
        assert isinstance(enclave.claims, SgxClaims | TdxClaims)
        platform, root = enclave.claims.platform, enclave.root
        root_crl = self._collateral.root_crl(root)
        pck_crl = self._collateral.pck_crl_of(root, platform.pck_issuer, platform.ca_key)
        tee = IntelTee(enclave.tee)
        tcb_info = self._collateral.tcb_info(root, tee, platform.fmspc)
        qe_identity = self._collateral.qe_identity(root, tee)
        if pck_crl is not None and pck_crl.is_revoked(int.from_bytes(platform.pck_serial, "big")):
            raise _Verdict(EnclaveState.REVOKED, EnclaveReason.CERTIFICATE_REVOKED, platform.pck_serial.hex())
        if root_crl is not None and root_crl.is_revoked(int.from_bytes(platform.ca_serial, "big")):
            raise _Verdict(EnclaveState.REVOKED, EnclaveReason.AUTHORITY_REVOKED, platform.ca_serial.hex())
        if root_crl is None or pck_crl is None or tcb_info is None or qe_identity is None:
            return None
        return root_crl, pck_crl, tcb_info, qe_identity

    def _check_amd_list(
        self, root: bytes, claims: SnpClaims, authorities: dict[bytes, int]
    ) -> tuple[Parsed, ...] | None:
        crl = self._collateral.amd_crl(root)
        if crl is None:
            return () if claims.product in self._rules.policy.products_without_crl else None
        serial = authorities.get(claims.vek_issuer)
        if serial is not None and crl.is_revoked(serial):
            raise _Verdict(EnclaveState.REVOKED, EnclaveReason.AUTHORITY_REVOKED, f"{serial:x}")
        return (crl,)

    def _check_signers(self, documents: tuple[Parsed, ...]) -> None:
        """Look whether Intel's root withdrew who signed the documents that count; AMD's lists are signed by roots."""
        for document in documents:
            if not isinstance(document, TcbInfo | QeIdentity):
                continue
            root_crl = documents[0]
            assert isinstance(root_crl, RevokedSerials), "_check_intel_lists puts it first"
            try:
                check_signer_stands(document, root_crl)
            except EvidenceRejected as rejection:
                raise _Verdict(EnclaveState.SUSPENDED, rejection.reason, str(rejection.seen)) from rejection

    def _overdue_since(self, documents: tuple[Parsed, ...]) -> int:
        """Return the block time from which the first of the documents is overdue."""
        ends = [(document.valid_until_s + 1) * 1_000 for document in documents]
        return min(ends, default=self._time_ms + 1)

    def _check_age(self, enclave: Enclave, expires_ms: int) -> None:
        if expires_ms <= self._time_ms:
            raise _Verdict(EnclaveState.EXPIRED, EnclaveReason.EXPIRED, str(self._time_ms), str(expires_ms))
        cap_ms = self._books.verifier_end_ms(enclave.attested_ms)
        if cap_ms is not None and cap_ms <= self._time_ms:
            raise _Verdict(EnclaveState.EXPIRED, EnclaveReason.VERIFIER_CHANGED, str(enclave.attested_ms), str(cap_ms))

    def _check_stopped(self, enclave: Enclave) -> None:
        """Look for brakes, and for the release that the enclave runs."""
        brake = find_brake(enclave, self._brakes)
        if brake is not None:
            raise _suspended(EnclaveReason.BRAKED, f"{brake.scope.name.lower()} {brake.subject.hex()}", brake.until_ms)
        release = self._ledger.get(RELEASES, numbered_key(enclave.image, enclave.release))
        if release.status is ReleaseStatus.REVOKED:
            raise _suspended(EnclaveReason.RELEASE_REVOKED, enclave.release)

    def _appraise(self, enclave: Enclave, tcb: Tcb | None) -> Level:
        claims, policy = enclave.claims, self._rules.policy
        fell_behind_s = 0
        if tcb is not None:
            claims = with_tcb(claims, tcb)
            fell_behind_s = self._fell_behind_s(enclave, tcb)
        registries = self._registries(enclave)
        answer = appraise(
            claims,
            policy,
            registries,
            self._time_ms // 1_000,
            is_simulated=enclave.is_simulated,
            grace_s=self._params.tcb_grace_ms // 1_000,
            fell_behind_s=fell_behind_s,
        )
        if isinstance(answer, Level):
            denials = (find_gpu_denial(gpu, policy, registries) for gpu in enclave.gpus)
            answer = next((denial for denial in denials if denial is not None), answer)
        if isinstance(answer, Denial):
            raise _Verdict(EnclaveState.SUSPENDED, answer.reason, answer.seen, answer.bound)
        return answer

    def _fell_behind_s(self, enclave: Enclave, tcb: Tcb) -> int:
        """Return when a machine fell behind: with the number in force, if it was good by what counted before; else long ago."""
        if is_behind(tcb):
            before = _try_evaluate(enclave, self._before)
            if before is not None and not is_behind(before):
                return self._evaluation(enclave.root).since_ms // 1_000
        return 0

    def _registries(self, enclave: Enclave) -> Registries:
        """Return the lists as far as they name this machine; the deny list was looked at before."""
        listings = ((each, self._ledger.find(PLATFORM_LISTINGS, each)) for each in platforms_of(enclave))
        return Registries(denied=(), allowed=tuple(each for each, listing in listings if listing is not None))


def _suspended(reason: EnclaveReason, seen: object = "", bound: object = "") -> _Verdict:
    return _Verdict(EnclaveState.SUSPENDED, reason, str(seen), str(bound))


def find_brake(enclave: Enclave, brakes: tuple[Brake, ...]) -> Brake | None:
    """Return the first of these brakes that is on an enclave, or None."""
    names = {(BrakeScope.PLATFORM, platform) for platform in platforms_of(enclave)} | {
        (BrakeScope.TEE, bytes((enclave.tee,))),
        (BrakeScope.PRODUCT, product_of(enclave.claims)),
        (BrakeScope.RELEASE, numbered_key(enclave.image, enclave.release)),
    }
    return next((brake for brake in brakes if (brake.scope, brake.subject) in names), None)


def evaluate(enclave: Enclave, collateral: ChainCollateral) -> Tcb | None:
    """Return the standing of an Intel machine by this collateral, which must be there; None for other machines.

    Raises:
        _Verdict: the documents do not know such a machine.
    """
    try:
        return _evaluate(enclave, collateral)
    except EvidenceRejected as rejection:
        raise _Verdict(
            EnclaveState.SUSPENDED, rejection.reason, str(rejection.seen), str(rejection.bound)
        ) from rejection


def _try_evaluate(enclave: Enclave, collateral: ChainCollateral) -> Tcb | None:
    try:
        return _evaluate(enclave, collateral)
    except EvidenceRejected:
        return None


def _evaluate(enclave: Enclave, collateral: ChainCollateral) -> Tcb | None:
    claims = enclave.claims
    if not isinstance(claims, SgxClaims | TdxClaims):
        return None
    tee = IntelTee(enclave.tee)
    tcb_info = collateral.tcb_info(enclave.root, tee, claims.platform.fmspc)
    qe_identity = collateral.qe_identity(enclave.root, tee)
    if tcb_info is None or qe_identity is None:
        return None
    return evaluate_tcb(get_versions(claims), tcb_info, qe_identity)


def is_behind(tcb: Tcb) -> bool:
    """Tell whether launch or present status is worse than hardening or configuration."""
    return max(tcb.status, tcb.current_status) >= TcbStatus.TD_RELAUNCH_ADVISED


def with_tcb(claims: Claims, tcb: Tcb) -> Claims:
    """Return Intel claims with another evaluation."""
    assert isinstance(claims, SgxClaims | TdxClaims)
    return replace(claims, tcb=tcb)


def certificate_ends(claims: Claims, gpus: tuple[GpuClaims, ...]) -> tuple[int, ...]:
    """Return the block times at which the certificates of machine and GPUs end."""
    ends_s = [gpu.not_after_s for gpu in gpus]
    match claims:
        case SgxClaims(platform=platform) | TdxClaims(platform=platform):
            ends_s.append(platform.pck_not_after_s)
        case SnpClaims(vek_not_after_s=end_s):
            ends_s.append(end_s)
        case NitroClaims():
            pass  # the leaf lives for hours and proves when the document was made, not for how long it holds
    return tuple((end_s + 1) * 1_000 for end_s in ends_s)


def platforms_of(enclave: Enclave) -> tuple[bytes, ...]:
    """Return every id of the machine and of its GPUs, each once."""
    return tuple(dict.fromkeys(_named_platforms(enclave)))


def find_repeated_platform(enclave: Enclave) -> bytes | None:
    """Return the first id of machine or GPUs that was named before, or None."""
    named = _named_platforms(enclave)
    return next((platform for number, platform in enumerate(named) if platform in named[:number]), None)


def _named_platforms(enclave: Enclave) -> tuple[bytes, ...]:
    return platform_ids(enclave.claims) + tuple(gpu_id(gpu) for gpu in enclave.gpus)


def product_of(claims: Claims) -> bytes:
    """Return the FMSPC, AMD's product as one byte, or nothing for Nitro."""
    match claims:
        case SgxClaims(platform=platform) | TdxClaims(platform=platform):
            return platform.fmspc
        case SnpClaims(product=product):
            return bytes((product,))
        case NitroClaims():
            return b""
