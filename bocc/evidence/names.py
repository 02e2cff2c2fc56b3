"""Words of the vendors for statuses and bits, and the plain form of structs for JSON.

Source: attestation specification, sections 3.1, 3.6, 4.1 and 6.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum, IntEnum
from typing import Final

from msgspec import Struct

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

_YEAR_9999_S: Final = 253_370_764_800


def name_bits(number: int, names: Mapping[int, str]) -> list[str]:
    """Return the names of the bits that are set; those without a name by their place."""
    return [names.get(bit, f"bit {bit}") for bit in range(number.bit_length()) if number >> bit & 1]


def format_second(time_s: int) -> str:
    """Return seconds since 1970 as a date in UTC; the last year that dates can name means for ever."""
    if time_s >= _YEAR_9999_S:
        return "9999, for ever"
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


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
