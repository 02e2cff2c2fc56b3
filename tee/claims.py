"""What evidence proves, as plain values: the verifier's answer, and all that a later appraisal needs.

Claims hold integers, bytes and ASCII text only, in structs that encode to one MessagePack array each, so a chain can store them.
They judge nothing: a debug bit or an old firmware is a claim, and policy decides (tee/appraisal.py).
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

from msgspec import Struct


class ClaimsStruct(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """Base of all claims."""


class TcbStatus(IntEnum):
    """Intel's words for the state of a platform, best first; the numbers are ours."""

    UP_TO_DATE = 1
    SW_HARDENING_NEEDED = 2
    CONFIGURATION_NEEDED = 3
    CONFIGURATION_AND_SW_HARDENING_NEEDED = 4
    TD_RELAUNCH_ADVISED = 5
    TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED = 6
    OUT_OF_DATE = 7
    OUT_OF_DATE_CONFIGURATION_NEEDED = 8
    REVOKED = 9


class Flag(StrEnum):
    """What policy is likely to care about, in the order in which verifiers list it."""

    DEBUG = "DEBUG"
    NO_SEPT_VE_DISABLE = "NO_SEPT_VE_DISABLE"
    MIGRATABLE = "MIGRATABLE"
    RESERVED_TD_ATTRIBUTES = "RESERVED_TD_ATTRIBUTES"
    MRSERVICETD = "MRSERVICETD"
    MIGRATE_MA = "MIGRATE_MA"
    VMPL = "VMPL"  # any but 0; which one is a claim of its own
    CHIP_ID_MASKED = "CHIP_ID_MASKED"
    NO_ALIAS_CHECK = "NO_ALIAS_CHECK"
    PROVISIONAL_FIRMWARE = "PROVISIONAL_FIRMWARE"


class IntelPlatform(ClaimsStruct, frozen=True):
    """A platform by its PCK certificate, and its quoting enclave."""

    ppid: bytes
    """16 bytes, the stable id of the platform."""
    instance_id: bytes
    """16 bytes, or none under the Processor CA."""
    fmspc: bytes
    """6 bytes."""
    pce_id: bytes
    """2 bytes."""
    cpu_svn: bytes
    """16 components, one byte each."""
    pce_svn: int
    sgx_type: int
    """0 standard, 1 scalable, 2 scalable with integrity."""
    configuration: int
    """Bits: 1 dynamic platform, 2 cached keys, 4 SMT."""
    pck_issuer: bytes
    """SHA-256 of the issuer's name, DER."""
    pck_serial: bytes
    """Big endian, minimal, unsigned."""
    ca_key: bytes
    """SHA-256 of the SubjectPublicKeyInfo of the CA that issued the PCK certificate."""
    ca_serial: bytes
    """Of that CA's certificate, like the other."""
    pck_not_after_s: int
    qe_svn: int
    qe_platform_id: bytes
    """16 bytes of the quote's user data."""


class Tcb(ClaimsStruct, frozen=True):
    """How a platform stands against its TCB info and QE identity."""

    status: TcbStatus
    date_s: int
    """Smallest tcbDate of the levels used, seconds since 1970."""
    advisories: tuple[str, ...]
    """Of the levels at launch; sorted, distinct."""
    current_advisories: tuple[str, ...]
    """Of the levels in force, by TEE_TCB_SVN2; equal to those of the launch where there is none."""
    platform_status: TcbStatus
    module_status: TcbStatus
    """UP_TO_DATE where there is no module."""
    qe_status: TcbStatus
    current_status: TcbStatus
    """By TEE_TCB_SVN2; equal to the launch status where there is none."""
    tcb_info_number: int
    qe_identity_number: int
    """Evaluation data numbers of the documents used."""


class SgxClaims(ClaimsStruct, frozen=True, tag=1):
    """An SGX enclave."""

    platform: IntelPlatform
    tcb: Tcb
    flags: tuple[Flag, ...]
    report_data: bytes
    mr_enclave: bytes
    mr_signer: bytes
    isv_prod_id: int
    isv_svn: int
    attributes: bytes
    """16 bytes."""
    misc_select: int


class TdxClaims(ClaimsStruct, frozen=True, tag=2):
    """A TDX trust domain."""

    platform: IntelPlatform
    tcb: Tcb
    flags: tuple[Flag, ...]
    report_data: bytes
    quote_version: int
    body_type: int
    """2 to 4, also for version 4 quotes, which have type 2 only."""
    tee_tcb_svn: bytes
    tee_tcb_svn2: bytes
    """16 bytes, or none for body type 2."""
    mr_seam: bytes
    mr_signer_seam: bytes
    td_attributes: int
    xfam: int
    mr_td: bytes
    mr_config_id: bytes
    mr_owner: bytes
    mr_owner_config: bytes
    rtmrs: tuple[bytes, bytes, bytes, bytes]
    mr_service_td: bytes
    """48 bytes, or none for body type 2."""


class SnpProduct(IntEnum):
    """AMD products with their own roots and TCB layout."""

    MILAN = 1
    GENOA = 2
    TURIN = 3


class SnpTcb(ClaimsStruct, frozen=True):
    """Security versions of an AMD platform, by component; fmc is 0 before Turin. Compared by component, never as a word."""

    fmc: int
    boot_loader: int
    tee: int
    snp: int
    microcode: int


class SnpClaims(ClaimsStruct, frozen=True, tag=3):
    """An SEV-SNP guest."""

    product: SnpProduct
    is_vlek: bool
    csp_id: str
    """Cloud provider of a VLEK, else empty."""
    chip_id: bytes
    """64 bytes, 8 on Turin, none if masked. Under a VLEK the report alone vouches for it, not the certificate."""
    vek_issuer: bytes
    """SHA-256 of the issuer's name, DER."""
    vek_serial: bytes
    vek_not_after_s: int
    flags: tuple[Flag, ...]
    report_data: bytes
    report_version: int
    guest_svn: int
    policy: int
    platform_info: int
    vmpl: int
    reported: SnpTcb
    committed: SnpTcb
    current: SnpTcb
    launch: SnpTcb
    launch_mitigations: int
    current_mitigations: int
    """Mitigation vectors of version 5, else 0."""
    measurement: bytes
    host_data: bytes
    family_id: bytes
    image_id: bytes
    id_key_digest: bytes
    author_key_digest: bytes


class NitroClaims(ClaimsStruct, frozen=True, tag=4):
    """An AWS Nitro enclave."""

    module_id: str
    timestamp_ms: int
    flags: tuple[Flag, ...]
    pcrs: tuple[tuple[int, bytes], ...]
    """Index and value, ascending, indices 0 to 31."""
    public_key: bytes
    user_data: bytes
    nonce: bytes
    """None of the three bytes where the document has none."""
    leaf_not_after_s: int


Claims = SgxClaims | TdxClaims | SnpClaims | NitroClaims
"""What the processor-side evidence of an enclave proves."""


class GpuClaims(ClaimsStruct, frozen=True):
    """An NVIDIA GPU or switch at boot. It has no level of its own and does not prove where the device is."""

    root: bytes
    """SHA-256 of the trusted root certificate that its chain ends with; whoever trusts that root knows whether it is simulated."""
    device_key: bytes
    """SHA-256 of the device key's SubjectPublicKeyInfo: stable across firmware."""
    chip: str
    """Common name of the device key's certificate, such as GH100 A01 GSP BROM, at most 64 characters: which chip it is, and whether
    it is a switch. The family's certificate does not tell: switches of one generation have that of its GPUs."""
    device_serial: bytes
    leaf_issuer: bytes
    leaf_serial: bytes
    driver_version: str
    vbios_version: str
    measurements_digest: bytes
    """SHA-256 over the measurements in the order of their indices: index and type in one byte each, length in two, value."""
    firmware_id: bytes
    """48 bytes, or none in reports of old drivers."""
    not_after_s: int


class Verified(ClaimsStruct, frozen=True):
    """A verifier's answer: what the evidence proves, and when block time may rely on it."""

    claims: Claims
    root: bytes
    """SHA-256 of the trusted root certificate that the evidence is under."""
    is_simulated: bool
    """That root is one of simulated hardware."""
    valid_from_s: int
    valid_until_s: int
    """First and last second of the intersection of all windows that the answer rests on, revocation lists included."""
