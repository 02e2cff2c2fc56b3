"""Appraisal: each status and floor has its level, each thing that policy shuts out its denial, and simulated stays simulated."""

from __future__ import annotations

import pytest
from msgspec import ValidationError, msgpack
from msgspec.structs import replace

from tee.appraisal import (
    DEFAULT_POLICY,
    FLOORS_MAX,
    LISTED_MAX,
    NO_REGISTRIES,
    Denial,
    DenialReason,
    Level,
    PlatformClass,
    Policy,
    Registries,
    SnpFloor,
    Waiver,
    appraise,
    find_gpu_denial,
    gpu_id,
    platform_ids,
)
from tee.claims import (
    Flag,
    SnpClaims,
    SnpProduct,
    TcbStatus,
    TdxClaims,
)
from tests.support.claims import GOOD_GENOA, GPU, GRACE_S, NITRO, NOW_S, PLATFORM, SNP, TCB, TDX


def with_status(status: TcbStatus, current: TcbStatus | None = None, advisories: tuple[str, ...] = ()) -> TdxClaims:
    return replace(TDX, tcb=replace(TCB, status=status, current_status=current or status, advisories=advisories))


def standing(claims: TdxClaims | SnpClaims, policy: object = DEFAULT_POLICY, **arguments: int) -> int:
    answer = appraise(claims, policy, NO_REGISTRIES, NOW_S, **arguments)
    assert isinstance(answer, Level), answer
    return answer.standing


STATUS_LEVELS = {
    TcbStatus.UP_TO_DATE: 5,
    TcbStatus.SW_HARDENING_NEEDED: 4,
    TcbStatus.CONFIGURATION_NEEDED: 4,
    TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED: 4,
    TcbStatus.TD_RELAUNCH_ADVISED: 2,
    TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED: 2,
    TcbStatus.OUT_OF_DATE: 2,
    TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED: 2,
}


@pytest.mark.parametrize(("status", "level"), STATUS_LEVELS.items(), ids=lambda each: str(each))
def test_each_status_of_intel_has_its_level(status: TcbStatus, level: int) -> None:
    assert standing(with_status(status)) == level


@pytest.mark.parametrize("status", [status for status, level in STATUS_LEVELS.items() if level == 2])
def test_who_fell_behind_keeps_level_three_until_the_very_end_of_the_grace(status: TcbStatus) -> None:
    claims = with_status(status)
    assert standing(claims, fell_behind_s=NOW_S - GRACE_S + 1) == 3
    assert standing(claims, fell_behind_s=NOW_S - GRACE_S) == 2


def test_a_withdrawn_tcb_is_denied_also_if_only_the_present_one_is() -> None:
    for claims in (with_status(TcbStatus.REVOKED), with_status(TcbStatus.UP_TO_DATE, TcbStatus.REVOKED)):
        answer = appraise(claims, DEFAULT_POLICY, NO_REGISTRIES, NOW_S)
        assert answer == Denial(reason=DenialReason.TCB_REVOKED, seen="revoked", bound="")


@pytest.mark.parametrize(
    ("version", "is_denied"),
    [
        ("550.90", False),
        ("550.90.0", False),
        ("551", False),
        ("550.089", True),
        ("550", True),
        ("x550.999", True),
        ("r1.600", True),
        ("550.x91", True),
        ("600.x", True),
        ("600..1", True),
        ("600.\u0661", True),
        ("+600.1", True),
        ("", True),
    ],
)
def test_a_driver_floor_is_reached_by_decimal_parts_alone(version: str, is_denied: bool) -> None:
    gpu = replace(GPU, driver_version=version)
    denial = find_gpu_denial(gpu, replace(DEFAULT_POLICY, gpu_driver_min=(550, 90)), NO_REGISTRIES)
    assert (denial is not None and denial.reason is DenialReason.GPU_DRIVER_TOO_OLD) == is_denied
    assert find_gpu_denial(gpu, DEFAULT_POLICY, NO_REGISTRIES) is None


@pytest.mark.parametrize("field", ["tcb_info_number", "qe_identity_number"])
def test_an_evaluation_number_equal_to_the_least_is_enough(field: str) -> None:
    least = getattr(TCB, field)
    others = {"tcb_info_number": 99, "qe_identity_number": 99, field: least}
    claims = replace(TDX, tcb=replace(TCB, **others))
    assert standing(claims, replace(DEFAULT_POLICY, evaluation_number_min=least)) == 5
    answer = appraise(claims, replace(DEFAULT_POLICY, evaluation_number_min=least + 1), NO_REGISTRIES, NOW_S)
    assert isinstance(answer, Denial)
    assert answer.reason is DenialReason.EVALUATION_NUMBER_TOO_LOW


def test_the_worse_of_launch_and_present_counts() -> None:
    assert standing(with_status(TcbStatus.UP_TO_DATE, TcbStatus.SW_HARDENING_NEEDED)) == 4
    assert standing(with_status(TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE)) == 2


def test_an_advisory_of_the_level_in_force_holds_hardening_down_too() -> None:
    tcb = replace(
        TCB,
        current_status=TcbStatus.SW_HARDENING_NEEDED,
        advisories=("INTEL-SA-2",),
        current_advisories=("INTEL-SA-1", "INTEL-SA-2"),
    )
    claims = replace(TDX, tcb=tcb)
    answer = appraise(claims, DEFAULT_POLICY, NO_REGISTRIES, NOW_S)
    assert answer == Level(level=2, standing=2, open_advisories=("INTEL-SA-1", "INTEL-SA-2"))
    waivers = tuple(Waiver(advisory=name, until_s=NOW_S) for name in ("INTEL-SA-1", "INTEL-SA-2"))
    assert standing(claims, replace(DEFAULT_POLICY, waivers=waivers[1:])) == 2
    assert standing(claims, replace(DEFAULT_POLICY, waivers=waivers)) == 4


def test_an_open_advisory_holds_hardening_down_until_it_is_waived_and_the_waiver_ends() -> None:
    claims = with_status(TcbStatus.SW_HARDENING_NEEDED, advisories=("INTEL-SA-1", "INTEL-SA-2"))
    waivers = tuple(Waiver(advisory=name, until_s=NOW_S) for name in ("INTEL-SA-1", "INTEL-SA-2"))
    answer = appraise(claims, replace(DEFAULT_POLICY, waivers=waivers[:1]), NO_REGISTRIES, NOW_S)
    assert answer == Level(level=2, standing=2, open_advisories=("INTEL-SA-2",))
    policy = replace(DEFAULT_POLICY, waivers=waivers)
    assert standing(claims, policy) == 4
    late = appraise(claims, policy, NO_REGISTRIES, NOW_S + 1)
    assert isinstance(late, Level)
    assert late.standing == 2


@pytest.mark.parametrize("status", STATUS_LEVELS)
def test_simulated_hardware_has_level_one_whatever_its_status(status: TcbStatus) -> None:
    answer = appraise(with_status(status), DEFAULT_POLICY, NO_REGISTRIES, NOW_S, is_simulated=True)
    assert isinstance(answer, Level)
    assert (answer.level, answer.standing) == (1, STATUS_LEVELS[status])


def test_a_floor_of_amd_counts_from_its_date_with_a_grace() -> None:
    floor = SnpFloor(product=SnpProduct.GENOA, since_s=NOW_S, tcb=replace(GOOD_GENOA, microcode=85))
    policy = replace(DEFAULT_POLICY, snp_floors=(floor,))
    levels = [
        appraise(SNP, policy, NO_REGISTRIES, time_s).standing
        for time_s in (NOW_S - 1, NOW_S, NOW_S + GRACE_S - 1, NOW_S + GRACE_S)
    ]
    assert levels == [5, 3, 3, 2]


@pytest.mark.parametrize("component", ["boot_loader", "snp"])
def test_every_component_of_amd_counts_by_itself(component: str) -> None:
    reported = replace(GOOD_GENOA, **{component: getattr(GOOD_GENOA, component) - 1, "microcode": 255})
    assert standing(replace(SNP, reported=reported)) == 2


def test_nitro_is_up_to_date() -> None:
    assert appraise(NITRO, DEFAULT_POLICY, NO_REGISTRIES, NOW_S) == Level(level=5, standing=5, open_advisories=())


DENIALS = [
    (replace(TDX, flags=(Flag.DEBUG,)), {"denied_flags": ()}, DenialReason.DEBUG),
    (replace(SNP, flags=(Flag.DEBUG,)), {"denied_flags": ()}, DenialReason.DEBUG),
    (replace(NITRO, flags=(Flag.DEBUG,)), {"denied_flags": ()}, DenialReason.DEBUG),
    *[
        (replace(TDX, flags=(flag,)), {}, DenialReason.FLAG_DENIED)
        for flag in Flag
        if flag not in {Flag.DEBUG, Flag.PROVISIONAL_FIRMWARE}
    ],
    (TDX, {"evaluation_number_min": 18}, DenialReason.EVALUATION_NUMBER_TOO_LOW),
    (TDX, {"denied_fmspcs": (bytes(6),)}, DenialReason.PRODUCT_DENIED),
    (
        replace(TDX, platform=replace(PLATFORM, configuration=4)),
        {"denied_configuration": 4},
        DenialReason.CONFIGURATION_DENIED,
    ),
    (replace(TDX, xfam=0x602E5), {}, DenialReason.XFAM_DENIED),
    (replace(TDX, xfam=0x602E7 | 1 << 40), {}, DenialReason.XFAM_DENIED),
    (TDX, {"mr_seams": (b"s" * 48,)}, DenialReason.MODULE_DENIED),
    (replace(SNP, product=SnpProduct.MILAN), {}, DenialReason.PRODUCT_DENIED),
    (replace(SNP, is_vlek=True, csp_id="cloud"), {}, DenialReason.CLOUD_NOT_LISTED),
    (SNP, {"snp_mitigations": 0b10}, DenialReason.MITIGATION_MISSING),
    (TDX, {"is_listing_required": True}, DenialReason.PLATFORM_NOT_LISTED),
]


@pytest.mark.parametrize(("claims", "changes", "reason"), DENIALS)
def test_what_policy_shuts_out_is_denied_by_its_reason(claims, changes, reason) -> None:
    answer = appraise(claims, replace(DEFAULT_POLICY, **changes), NO_REGISTRIES, NOW_S)
    assert isinstance(answer, Denial)
    assert answer.reason is reason


def test_provisional_firmware_and_a_listed_cloud_are_no_ground_for_denial() -> None:
    claims = replace(SNP, flags=(Flag.PROVISIONAL_FIRMWARE,), is_vlek=True, csp_id="cloud", chip_id=b"")
    assert standing(claims, replace(DEFAULT_POLICY, clouds=("cloud",))) == 5


@pytest.mark.parametrize("place", [0, 1])
def test_any_id_of_a_machine_on_the_deny_list_is_enough(place: int) -> None:
    denied = platform_ids(TDX)[place]
    answer = appraise(TDX, DEFAULT_POLICY, Registries(denied=(denied,), allowed=()), NOW_S)
    assert answer == Denial(reason=DenialReason.PLATFORM_DENIED, seen=denied.hex(), bound="")


def test_a_listed_machine_passes_where_listing_is_required() -> None:
    registries = Registries(denied=(), allowed=(platform_ids(TDX)[0],))
    assert isinstance(appraise(TDX, replace(DEFAULT_POLICY, is_listing_required=True), registries, NOW_S), Level)


def test_ids_say_whose_they_are() -> None:
    assert platform_ids(TDX) == (b"\1" + bytes(16), b"\2" + b"i" * 16)
    assert platform_ids(SNP) == (b"\3" + bytes(64),)
    assert platform_ids(replace(SNP, chip_id=b"")) == ()
    assert platform_ids(NITRO) == (b"\4i-0123",)
    assert gpu_id(GPU) == bytes((PlatformClass.GPU,)) + b"k" * 32


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gpu_driver_min": (550, 90, 8)}, DenialReason.GPU_DRIVER_TOO_OLD),
        ({"is_gpu_firmware_id_required": True}, DenialReason.GPU_FIRMWARE_ID_MISSING),
        ({"gpu_measurements": (b"e" * 32,)}, DenialReason.GPU_NOT_LISTED),
    ],
)
def test_a_gpu_that_policy_shuts_out_is_denied(changes: dict[str, object], reason: DenialReason) -> None:
    denial = find_gpu_denial(GPU, replace(DEFAULT_POLICY, **changes), NO_REGISTRIES)
    assert denial is not None
    assert denial.reason is reason


def test_a_gpu_that_fits_is_not_denied() -> None:
    policy = replace(DEFAULT_POLICY, gpu_driver_min=(550, 90, 7), gpu_measurements=(b"d" * 32,))
    assert find_gpu_denial(GPU, policy, NO_REGISTRIES) is None
    denied = Registries(denied=(gpu_id(GPU),), allowed=())
    denial = find_gpu_denial(GPU, policy, denied)
    assert denial is not None
    assert denial.reason is DenialReason.PLATFORM_DENIED


WAIVER = Waiver(advisory="INTEL-SA-00001", until_s=NOW_S)
FLOOR = SnpFloor(product=SnpProduct.GENOA, since_s=NOW_S, tcb=GOOD_GENOA)
FULL = replace(
    DEFAULT_POLICY,
    waivers=(replace(WAIVER, advisory="I" * 32, until_s=(1 << 63) - 1),) * LISTED_MAX,
    denied_fmspcs=(bytes(6),) * LISTED_MAX,
    mr_seams=(bytes(48),) * LISTED_MAX,
    clouds=("c" * 64,) * FLOORS_MAX,
    snp_floors=(FLOOR,) * FLOORS_MAX,
    gpu_measurements=(bytes(32),) * LISTED_MAX,
)
UNBOUNDED = {
    "waivers": {"waivers": (WAIVER,) * (LISTED_MAX + 1)},
    "advisory": {"waivers": (replace(WAIVER, advisory="I" * 33),)},
    "waiver's end": {"waivers": (replace(WAIVER, until_s=1 << 63),)},
    "fmspc": {"denied_fmspcs": (bytes(7),)},
    "modules": {"mr_seams": (bytes(48),) * (LISTED_MAX + 1)},
    "clouds": {"clouds": ("aws",) * (FLOORS_MAX + 1)},
    "floors": {"snp_floors": (FLOOR,) * (FLOORS_MAX + 1)},
    "floor's date": {"snp_floors": (replace(FLOOR, since_s=-1),)},
    "driver": {"gpu_driver_min": (-1,)},
    "measurement": {"gpu_measurements": (b"",)},
}


@pytest.mark.parametrize("changes", UNBOUNDED.values(), ids=UNBOUNDED.keys())
def test_a_policy_beyond_its_bounds_is_not_decoded(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        msgpack.decode(msgpack.encode(replace(DEFAULT_POLICY, **changes)), type=Policy)


@pytest.mark.parametrize("policy", [DEFAULT_POLICY, FULL], ids=["default", "full"])
def test_a_policy_within_its_bounds_is_decoded_and_fits_its_record(policy: Policy) -> None:
    encoded = msgpack.encode(policy)
    assert msgpack.decode(encoded, type=Policy) == policy
    assert len(encoded) < 60_000
