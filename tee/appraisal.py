"""Appraisal: from claims to a level, by policy alone, without signatures; repeatable whenever policy or collateral moves.

Levels say how much a proof is worth:

- 5 up to date; 4 up to date, with hardening that the policy has waived; 3 behind, within the grace; 2 genuine but out of date;
- 1 simulated: evidence of the software TEE, whatever else it says; 0 nothing is proven.

What a level does not say is a denial: debug, a withdrawn TCB, a machine or product that the policy shuts out. DEBUG and a REVOKED
status are denied by this code, whatever the policy says. `standing` is the level that the machine would have if it were not
simulated, so that the lives of simulated enclaves can be played through; it must never be shown as a level.

Source: attestation specification, sections 0, 3.5, 4.3 and 9.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Annotated, Final

from msgspec import Meta

from tee.claims import (
    Claims,
    ClaimsStruct,
    Flag,
    GpuClaims,
    IntelPlatform,
    NitroClaims,
    SgxClaims,
    SnpClaims,
    SnpProduct,
    SnpTcb,
    TcbStatus,
    TdxClaims,
)

LEVEL_SIMULATED: Final = 1
LEVEL_OUT_OF_DATE: Final = 2
LEVEL_GRACE: Final = 3
LEVEL_HARDENING: Final = 4
LEVEL_UP_TO_DATE: Final = 5
GRACE_S: Final = 15 * 86_400
"""How long a machine that fell behind keeps level 3, unless the caller says otherwise."""

_STATUS_LEVELS: Final = {
    TcbStatus.UP_TO_DATE: LEVEL_UP_TO_DATE,
    TcbStatus.SW_HARDENING_NEEDED: LEVEL_HARDENING,
    TcbStatus.CONFIGURATION_NEEDED: LEVEL_HARDENING,
    TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED: LEVEL_HARDENING,
}
"""All other statuses are behind."""


class DenialReason(StrEnum):
    """Why a proof has no level at all."""

    DEBUG = "debug"
    """Its memory is open to the machine's owner."""
    TCB_REVOKED = "tcb_revoked"
    """The vendor withdrew this TCB."""
    FLAG_DENIED = "flag_denied"
    """A property that the policy does not accept; `seen` names it."""
    PLATFORM_DENIED = "platform_denied"
    """This machine or GPU is on the deny list."""
    PLATFORM_NOT_LISTED = "platform_not_listed"
    """The policy asks for machines on the allow list, and this one is not."""
    PRODUCT_DENIED = "product_denied"
    """The processor's product or FMSPC is shut out."""
    CLOUD_NOT_LISTED = "cloud_not_listed"
    """A key of a cloud provider (VLEK) that is not on the list."""
    CONFIGURATION_DENIED = "configuration_denied"
    """Dynamic platform, cached keys or SMT, where the policy excludes it."""
    EVALUATION_NUMBER_TOO_LOW = "evaluation_number_too_low"
    """Intel's documents know of too old a recovery event."""
    XFAM_DENIED = "xfam_denied"
    """Processor features outside of what the policy allows, or without what it requires."""
    MODULE_DENIED = "module_denied"
    """The TDX module's measurement is not on the list."""
    MITIGATION_MISSING = "mitigation_missing"
    """AMD mitigation bits that the policy requires are not set."""
    GPU_DRIVER_TOO_OLD = "gpu_driver_too_old"
    GPU_FIRMWARE_ID_MISSING = "gpu_firmware_id_missing"
    GPU_NOT_LISTED = "gpu_not_listed"
    """The GPU's measurements are not on the list."""


class Level(ClaimsStruct, frozen=True):
    """What a proof is worth."""

    level: int
    """0 to 5; 1 for simulated hardware, always."""
    standing: int
    """2 to 5: the level by status alone."""
    open_advisories: tuple[str, ...]
    """Advisories that hold the level down, because no waiver covers them."""


class Denial(ClaimsStruct, frozen=True):
    """Why there is no level."""

    reason: DenialReason
    seen: str
    bound: str


class PlatformClass(IntEnum):
    """First byte of a platform id: whose id it is."""

    PPID = 1
    """Intel platform, 16 bytes."""
    INTEL_INSTANCE = 2
    """Instance of an Intel platform since its last reset, 16 bytes."""
    AMD_CHIP = 3
    """64 bytes, 8 on Turin."""
    NITRO_INSTANCE = 4
    """Name of the parent instance."""
    GPU = 5
    """SHA-256 of the device key."""


LISTED_MAX: Final = 256
"""Entries of each longer list of a policy: every judgement goes through them."""
FLOORS_MAX: Final = 64
"""Floors of all products, and clouds."""
Natural = Annotated[int, Meta(ge=0)]
Seconds = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class Waiver(ClaimsStruct, frozen=True):
    """An advisory that does not count until a date."""

    advisory: Annotated[str, Meta(min_length=1, max_length=32)]
    until_s: Seconds


class SnpFloor(ClaimsStruct, frozen=True):
    """Least TCB of an AMD product, by component, from a date. AMD signs no such document: governance takes it from bulletins."""

    product: SnpProduct
    since_s: Seconds
    tcb: SnpTcb


class Policy(ClaimsStruct, frozen=True):
    """What is acceptable, for all machines alike. The bounds are for decoding: governance may bring any bytes."""

    waivers: Annotated[tuple[Waiver, ...], Meta(max_length=LISTED_MAX)]
    denied_flags: Annotated[tuple[Flag, ...], Meta(max_length=len(Flag))]
    """Beside DEBUG."""
    evaluation_number_min: Natural
    """For TCB info and QE identity alike."""
    denied_fmspcs: Annotated[
        tuple[Annotated[bytes, Meta(min_length=6, max_length=6)], ...], Meta(max_length=LISTED_MAX)
    ]
    denied_configuration: Natural
    """Bits of `IntelPlatform.configuration`."""
    xfam_required: Natural
    xfam_allowed: Natural
    mr_seams: Annotated[tuple[Annotated[bytes, Meta(min_length=48, max_length=48)], ...], Meta(max_length=LISTED_MAX)]
    """Measurements of TDX modules; none: any that Intel signed."""
    denied_products: Annotated[tuple[SnpProduct, ...], Meta(max_length=len(SnpProduct))]
    clouds: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(max_length=FLOORS_MAX)]
    """CSP ids whose VLEKs are accepted."""
    products_without_crl: Annotated[tuple[SnpProduct, ...], Meta(max_length=len(SnpProduct))]
    """Products for which AMD publishes no revocation list that a chain could ask for."""
    snp_floors: Annotated[tuple[SnpFloor, ...], Meta(max_length=FLOORS_MAX)]
    snp_mitigations: Natural
    """Bits that the current mitigation vector must have."""
    gpu_driver_min: Annotated[tuple[Natural, ...], Meta(max_length=8)]
    """Parts of the least driver version; none: any."""
    is_gpu_firmware_id_required: bool
    gpu_measurements: Annotated[
        tuple[Annotated[bytes, Meta(min_length=32, max_length=32)], ...], Meta(max_length=LISTED_MAX)
    ]
    """Accepted digests; none: any that NVIDIA signed."""
    is_listing_required: bool
    """Whether a machine must be on the allow list."""


DEFAULT_POLICY: Final = Policy(
    waivers=(),
    denied_flags=(
        Flag.NO_SEPT_VE_DISABLE,
        Flag.MIGRATABLE,
        Flag.RESERVED_TD_ATTRIBUTES,
        Flag.MRSERVICETD,
        Flag.MIGRATE_MA,
        Flag.VMPL,
        Flag.CHIP_ID_MASKED,
        Flag.NO_ALIAS_CHECK,
    ),
    evaluation_number_min=0,
    denied_fmspcs=(),
    denied_configuration=0,
    xfam_required=0x3,
    xfam_allowed=0x6DBE7,
    mr_seams=(),
    denied_products=(SnpProduct.MILAN,),
    clouds=(),
    products_without_crl=(SnpProduct.GENOA, SnpProduct.TURIN),
    snp_floors=(
        SnpFloor(product=SnpProduct.GENOA, since_s=0, tcb=SnpTcb(fmc=0, boot_loader=10, tee=0, snp=23, microcode=0)),
        SnpFloor(product=SnpProduct.TURIN, since_s=0, tcb=SnpTcb(fmc=1, boot_loader=1, tee=1, snp=4, microcode=0)),
    ),
    snp_mitigations=0,
    gpu_driver_min=(),
    is_gpu_firmware_id_required=False,
    gpu_measurements=(),
    is_listing_required=False,
)
"""Denies Milan, whose chip keys leak (attestation specification, section 9); AMD's microcode numbers differ by stepping, so the
floors leave them out."""


class Registries(ClaimsStruct, frozen=True):
    """Platform ids, class byte first, on the chain's lists. A caller may give only those that the claims can name."""

    denied: tuple[bytes, ...]
    allowed: tuple[bytes, ...]


NO_REGISTRIES: Final = Registries(denied=(), allowed=())


def platform_ids(claims: Claims) -> tuple[bytes, ...]:
    """Return the ids of the machine, class byte first, the lasting one first; none where the evidence hides it."""
    match claims:
        case SgxClaims(platform=platform) | TdxClaims(platform=platform):
            ids = [bytes((PlatformClass.PPID,)) + platform.ppid]
            if platform.instance_id:
                ids.append(bytes((PlatformClass.INTEL_INSTANCE,)) + platform.instance_id)
            return tuple(ids)
        case SnpClaims(chip_id=chip_id):
            return (bytes((PlatformClass.AMD_CHIP,)) + chip_id,) if chip_id else ()
        case NitroClaims(module_id=module_id):
            return (bytes((PlatformClass.NITRO_INSTANCE,)) + module_id.partition("-enc")[0].encode(),)


def gpu_id(gpu: GpuClaims) -> bytes:
    """Return the lasting id of a GPU, class byte first."""
    return bytes((PlatformClass.GPU,)) + gpu.device_key


def appraise(
    claims: Claims,
    policy: Policy,
    registries: Registries,
    time_s: int,
    *,
    is_simulated: bool = False,
    grace_s: int = GRACE_S,
    fell_behind_s: int = 0,
) -> Level | Denial:
    """Return the level of claims at block time, or why they have none. Checks run from the general to the particular.

    fell_behind_s is when an Intel machine that is behind fell so, from which its grace counts; 0: long ago. Floors of AMD have
    their own dates, and an enclave of Nitro is never behind.
    """
    denial = _find_denial(claims, policy) or _find_listing(platform_ids(claims), policy, registries)
    if denial is not None:
        return denial
    match claims:
        case SgxClaims() | TdxClaims():
            standing, advisories = _intel_standing(claims, policy, time_s, fell_behind_s + grace_s)
        case SnpClaims():
            standing, advisories = _snp_standing(claims, policy, time_s, grace_s), ()
        case NitroClaims():
            standing, advisories = LEVEL_UP_TO_DATE, ()
    level = LEVEL_SIMULATED if is_simulated else standing
    return Level(level=level, standing=standing, open_advisories=advisories)


def find_gpu_denial(gpu: GpuClaims, policy: Policy, registries: Registries) -> Denial | None:
    """Return why a GPU is not acceptable, or None. GPUs have no level of their own."""
    if policy.gpu_driver_min and not _reaches(gpu.driver_version, policy.gpu_driver_min):
        return _denial(DenialReason.GPU_DRIVER_TOO_OLD, gpu.driver_version, ".".join(map(str, policy.gpu_driver_min)))
    if policy.is_gpu_firmware_id_required and not gpu.firmware_id:
        return _denial(DenialReason.GPU_FIRMWARE_ID_MISSING, "none")
    if policy.gpu_measurements and gpu.measurements_digest not in policy.gpu_measurements:
        return _denial(DenialReason.GPU_NOT_LISTED, gpu.measurements_digest.hex())
    return _find_listing((gpu_id(gpu),), policy, registries)


def find_snp_floors(product: SnpProduct, policy: Policy) -> tuple[SnpFloor, ...]:
    """Return the floors of a product, in the order of their dates."""
    floors = [floor for floor in policy.snp_floors if floor.product is product]
    return tuple(sorted(floors, key=lambda floor: floor.since_s))


def is_below(tcb: SnpTcb, floor: SnpTcb) -> bool:
    """Tell whether any component is below the floor's."""
    return any(
        seen < least
        for seen, least in (
            (tcb.fmc, floor.fmc),
            (tcb.boot_loader, floor.boot_loader),
            (tcb.tee, floor.tee),
            (tcb.snp, floor.snp),
            (tcb.microcode, floor.microcode),
        )
    )


def _reaches(version: str, least: tuple[int, ...]) -> bool:
    """Tell whether a version of decimal parts is at least that; one with any other part is not."""
    parts = version.split(".")
    # At most 32 characters, so a number of bounded length.
    return all(part.isascii() and part.isdigit() for part in parts) and tuple(map(int, parts)) >= least


def _denial(reason: DenialReason, seen: str, bound: str = "") -> Denial:
    return Denial(reason=reason, seen=seen, bound=bound)


def _find_denial(claims: Claims, policy: Policy) -> Denial | None:
    """Return what shuts the claims out whoever made them, or None."""
    if Flag.DEBUG in claims.flags:
        return _denial(DenialReason.DEBUG, Flag.DEBUG.value)
    for flag in claims.flags:
        if flag in policy.denied_flags:
            return _denial(DenialReason.FLAG_DENIED, flag.value)
    match claims:
        case SgxClaims():
            return _find_intel_denial(claims, policy)
        case TdxClaims():
            return _find_intel_denial(claims, policy) or _find_tdx_denial(claims, policy)
        case SnpClaims():
            return _find_snp_denial(claims, policy)
        case NitroClaims():
            return None


def _find_intel_denial(claims: SgxClaims | TdxClaims, policy: Policy) -> Denial | None:
    platform: IntelPlatform = claims.platform
    tcb = claims.tcb
    if TcbStatus.REVOKED in {tcb.status, tcb.current_status}:
        return _denial(DenialReason.TCB_REVOKED, TcbStatus.REVOKED.name.lower())
    number = min(tcb.tcb_info_number, tcb.qe_identity_number)
    if number < policy.evaluation_number_min:
        return _denial(DenialReason.EVALUATION_NUMBER_TOO_LOW, str(number), str(policy.evaluation_number_min))
    if platform.fmspc in policy.denied_fmspcs:
        return _denial(DenialReason.PRODUCT_DENIED, platform.fmspc.hex())
    if platform.configuration & policy.denied_configuration:
        return _denial(DenialReason.CONFIGURATION_DENIED, str(platform.configuration), str(policy.denied_configuration))
    return None


def _find_tdx_denial(claims: TdxClaims, policy: Policy) -> Denial | None:
    if claims.xfam & policy.xfam_required != policy.xfam_required or claims.xfam & ~policy.xfam_allowed:
        return _denial(DenialReason.XFAM_DENIED, f"{claims.xfam:#x}", f"{policy.xfam_allowed:#x}")
    if policy.mr_seams and claims.mr_seam not in policy.mr_seams:
        return _denial(DenialReason.MODULE_DENIED, claims.mr_seam.hex())
    return None


def _find_snp_denial(claims: SnpClaims, policy: Policy) -> Denial | None:
    if claims.product in policy.denied_products:
        return _denial(DenialReason.PRODUCT_DENIED, claims.product.name.lower())
    if claims.is_vlek and claims.csp_id not in policy.clouds:
        return _denial(DenialReason.CLOUD_NOT_LISTED, claims.csp_id, " ".join(policy.clouds))
    if claims.current_mitigations & policy.snp_mitigations != policy.snp_mitigations:
        seen, bound = f"{claims.current_mitigations:#x}", f"{policy.snp_mitigations:#x}"
        return _denial(DenialReason.MITIGATION_MISSING, seen, bound)
    return None


def _find_listing(ids: tuple[bytes, ...], policy: Policy, registries: Registries) -> Denial | None:
    for platform in ids:
        if platform in registries.denied:
            return _denial(DenialReason.PLATFORM_DENIED, platform.hex())
    if policy.is_listing_required and not any(platform in registries.allowed for platform in ids):
        return _denial(DenialReason.PLATFORM_NOT_LISTED, " ".join(platform.hex() for platform in ids))
    return None


def _intel_standing(
    claims: SgxClaims | TdxClaims, policy: Policy, time_s: int, grace_until_s: int
) -> tuple[int, tuple[str, ...]]:
    """Return the level by status, the worse one of launch and present, and the advisories of both that no waiver covers."""
    waived = {waiver.advisory for waiver in policy.waivers if time_s <= waiver.until_s}
    named = {*claims.tcb.advisories, *claims.tcb.current_advisories}
    advisories = tuple(sorted(named - waived))
    levels = [_STATUS_LEVELS.get(status) for status in (claims.tcb.status, claims.tcb.current_status)]
    if None in levels:
        return (LEVEL_GRACE if time_s < grace_until_s else LEVEL_OUT_OF_DATE), advisories
    standing = min(level for level in levels if level is not None)
    if standing == LEVEL_HARDENING and advisories:
        return LEVEL_OUT_OF_DATE, advisories
    return standing, ()


def _snp_standing(claims: SnpClaims, policy: Policy, time_s: int, grace_s: int) -> int:
    """Return the level by the floors in force: the first one that the reported TCB misses counts."""
    for floor in find_snp_floors(claims.product, policy):
        if floor.since_s <= time_s and is_below(claims.reported, floor.tcb):
            return LEVEL_GRACE if time_s < floor.since_s + grace_s else LEVEL_OUT_OF_DATE
    return LEVEL_UP_TO_DATE
