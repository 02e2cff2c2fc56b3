"""Claims of machines that are in order, for tests of what is made of claims."""

from __future__ import annotations

from tee.claims import GpuClaims, IntelPlatform, NitroClaims, SnpClaims, SnpProduct, SnpTcb, Tcb, TcbStatus, TdxClaims

NOW_S = 1_780_000_000
GRACE_S = 15 * 86_400
PLATFORM = IntelPlatform(
    ppid=bytes(16),
    instance_id=b"i" * 16,
    fmspc=bytes(6),
    pce_id=bytes(2),
    cpu_svn=bytes(16),
    pce_svn=13,
    sgx_type=0,
    configuration=0,
    pck_issuer=bytes(32),
    pck_serial=b"\x05",
    ca_key=bytes(32),
    ca_serial=b"\x06",
    pck_not_after_s=NOW_S + 10,
    qe_svn=8,
    qe_platform_id=bytes(16),
)
TCB = Tcb(
    status=TcbStatus.UP_TO_DATE,
    date_s=NOW_S,
    advisories=(),
    current_advisories=(),
    platform_status=TcbStatus.UP_TO_DATE,
    module_status=TcbStatus.UP_TO_DATE,
    qe_status=TcbStatus.UP_TO_DATE,
    current_status=TcbStatus.UP_TO_DATE,
    tcb_info_number=18,
    qe_identity_number=17,
)
TDX = TdxClaims(
    platform=PLATFORM,
    tcb=TCB,
    flags=(),
    report_data=bytes(64),
    quote_version=4,
    body_type=2,
    tee_tcb_svn=bytes(16),
    tee_tcb_svn2=b"",
    mr_seam=bytes(48),
    mr_signer_seam=bytes(48),
    td_attributes=0x10000000,
    xfam=0x602E7,
    mr_td=bytes(48),
    mr_config_id=bytes(48),
    mr_owner=bytes(48),
    mr_owner_config=bytes(48),
    rtmrs=(bytes(48),) * 4,
    mr_service_td=b"",
)
GOOD_GENOA = SnpTcb(fmc=0, boot_loader=10, tee=0, snp=23, microcode=84)
SNP = SnpClaims(
    product=SnpProduct.GENOA,
    is_vlek=False,
    csp_id="",
    chip_id=bytes(64),
    vek_issuer=bytes(32),
    vek_serial=b"\0",
    vek_not_after_s=NOW_S + 10,
    flags=(),
    report_data=bytes(64),
    report_version=5,
    guest_svn=0,
    policy=0x30000,
    platform_info=0x20,
    vmpl=0,
    reported=GOOD_GENOA,
    committed=GOOD_GENOA,
    current=GOOD_GENOA,
    launch=GOOD_GENOA,
    launch_mitigations=0,
    current_mitigations=0b101,
    measurement=bytes(48),
    host_data=bytes(32),
    family_id=bytes(16),
    image_id=bytes(16),
    id_key_digest=bytes(48),
    author_key_digest=bytes(48),
)
NITRO = NitroClaims(
    module_id="i-0123-enc0456",
    timestamp_ms=NOW_S * 1_000,
    flags=(),
    pcrs=((0, bytes(48)),),
    public_key=b"",
    user_data=b"",
    nonce=b"",
    leaf_not_after_s=NOW_S,
)
GPU = GpuClaims(
    root=bytes(32),
    device_key=b"k" * 32,
    chip="GH100 A01 GSP BROM",
    device_serial=b"\1",
    leaf_issuer=bytes(32),
    leaf_serial=b"\1",
    driver_version="550.90.07",
    vbios_version="96.00",
    measurements_digest=b"d" * 32,
    firmware_id=b"",
    not_after_s=NOW_S,
)
