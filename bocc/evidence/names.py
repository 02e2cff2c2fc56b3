"""Words of the vendors for statuses and bits, and the plain form of structs for JSON.

Source: attestation specification, sections 3.1, 3.6, 4.1 and 6.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum, IntEnum
from typing import Final

from msgspec import Struct

from tee.checks import Family
from tee.claims import TcbStatus

STATUS_WORDS: Final = {
    TcbStatus.UP_TO_DATE: "UpToDate",
    TcbStatus.SW_HARDENING_NEEDED: "SWHardeningNeeded",
    TcbStatus.CONFIGURATION_NEEDED: "ConfigurationNeeded",
    TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED: "ConfigurationAndSWHardeningNeeded",
    TcbStatus.TD_RELAUNCH_ADVISED: "TDRelaunchAdvised",
    TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED: "TDRelaunchAdvisedConfigurationNeeded",
    TcbStatus.OUT_OF_DATE: "OutOfDate",
    TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED: "OutOfDateConfigurationNeeded",
    TcbStatus.REVOKED: "Revoked",
}
"""As Intel writes them."""

TD_ATTRIBUTES: Final = {
    0: "DEBUG",
    4: "HGS+",
    5: "PERF_PROF",
    6: "PMT_PROF",
    16: "ICSSD",
    27: "LASS",
    28: "SEPT_VE_DISABLE",
    29: "MIGRATABLE",
    30: "PKS",
    31: "KL",
    62: "TPA",
    63: "PERFMON",
}
SGX_ATTRIBUTES: Final = {0: "INIT", 1: "DEBUG", 2: "MODE64BIT", 4: "PROVISION_KEY", 5: "EINITTOKEN_KEY"}
SNP_POLICY: Final = {
    16: "SMT",
    17: "ONE",
    18: "MIGRATE_MA",
    19: "DEBUG",
    20: "SINGLE_SOCKET",
    21: "CXL",
    22: "AES_256_XTS",
    23: "RAPL_DIS",
    24: "CIPHERTEXT_HIDING",
    25: "PAGE_SWAP_DISABLE",
}
SNP_PLATFORM: Final = {
    0: "SMT",
    1: "TSME",
    2: "ECC",
    3: "RAPL_DIS",
    4: "CIPHERTEXT_HIDING",
    5: "ALIAS_CHECK_COMPLETE",
    7: "TIO",
}
PCK_CONFIGURATION: Final = {0: "DYNAMIC_PLATFORM", 1: "CACHED_KEYS", 2: "SMT"}
SGX_TYPES: Final = ("standard", "scalable", "scalable with integrity")
FAMILY_TITLES: Final = {
    Family.SGX: "SGX quote",
    Family.TDX: "TDX quote",
    Family.SEV_SNP: "SEV-SNP report",
    Family.NITRO: "Nitro document",
    Family.NVIDIA: "NVIDIA report",
}
FLAG_MEANINGS: Final = {
    "DEBUG": "its memory is open to the owner of the machine",
    "NO_SEPT_VE_DISABLE": "the host may inject exceptions by taking pages away",
    "MIGRATABLE": "it may be moved to another platform",
    "RESERVED_TD_ATTRIBUTES": "attributes are set that have no meaning yet",
    "MRSERVICETD": "a service domain is bound to it, such as one that moves it to another platform",
    "MIGRATE_MA": "its policy lets a migration agent move it",
    "VMPL": "what asked for the report does not have the highest privilege in its guest",
    "CHIP_ID_MASKED": "the report hides on which chip it runs",
    "NO_ALIAS_CHECK": "the firmware has not said that it checked the memory for aliases",
    "PROVISIONAL_FIRMWARE": "firmware runs that is not committed, so an older one may come back",
}
"""What a flag means for who trusts the evidence; VMPL has its number behind it."""
NVIDIA_FIELDS: Final = {
    3: "driver_version",
    6: "vbios_version",
    11: "nvdec0_status",
    12: "measurement_counts",
    20: "firmware_id",
    21: "protected_pcie",
    22: "switch_pdi",
    34: "opaque_version",
    35: "chip_info",
    36: "feature_flag",
}

_CLAIM_BITS: Final[dict[str, tuple[int, Mapping[int, str]]]] = {
    "td_attributes": (0, TD_ATTRIBUTES),
    "policy": (16, SNP_POLICY),
    "platform_info": (0, SNP_PLATFORM),
    "configuration": (0, PCK_CONFIGURATION),
}
"""Claims that are sets of bits: the first bit that has a name, and the names."""
_YEAR_9999_S: Final = 253_370_764_800


def name_bits(number: int, names: Mapping[int, str]) -> list[str]:
    """Return the names of the bits that are set; those without a name by their place."""
    return [names.get(bit, f"bit {bit}") for bit in range(number.bit_length()) if number >> bit & 1]


def format_second(time_s: int) -> str:
    """Return seconds since 1970 as a date in UTC; the last year that dates can name means for ever."""
    if time_s >= _YEAR_9999_S:
        return "9999, for ever"
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def describe_claim(name: str, claim: object) -> tuple[str, object]:
    """Return name and content of a claim for people: times as dates, sets of bits with the names of the bits."""
    if isinstance(claim, int) and name.endswith("_ms"):
        return name.removesuffix("_ms"), format_second(claim // 1_000)
    if isinstance(claim, int) and name.endswith("_s"):
        return name.removesuffix("_s"), format_second(claim)
    if name == "sgx_type" and isinstance(claim, int):
        return name, f"{claim} ({SGX_TYPES[claim]})"
    if name in _CLAIM_BITS and isinstance(claim, int | str):
        first, names = _CLAIM_BITS[name]
        number = claim if isinstance(claim, int) else int(claim, 16)
        words = ", ".join(name_bits(number >> first << first, names))
        return name, f"{claim} ({words})" if words else claim
    return name, claim


def to_plain(value: object) -> object:
    """Return a struct, or what stands in one, for JSON: bytes in hex, enumerations by their words."""
    match value:
        case Struct():
            return {name: to_plain(getattr(value, name)) for name in value.__struct_fields__}
        case bytes():
            return value.hex()
        case TcbStatus():
            return STATUS_WORDS[value]
        case IntEnum():
            return value.name.lower()
        case Enum():
            return str(value.value)
        case tuple() | list():
            return [to_plain(inner) for inner in value]
        case Mapping():
            return {str(name): to_plain(inner) for name, inner in value.items()}
        case _:
            return value
