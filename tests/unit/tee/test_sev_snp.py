"""The order of checks of SEV-SNP evidence: every fault alone has its reason and no other, and genuine evidence has its claims."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from hashlib import sha256

import msgspec
import pytest

from tee.appraisal import PlatformClass, platform_ids
from tee.claims import Flag, SnpClaims, SnpProduct, SnpTcb, Verified
from tee.errors import EvidenceRejected, Reason
from tee.roots import Roots
from tests.support import snp_pki as pki
from tests.support.snp_cases import GENOA, TURIN, VLEK, Case, Encoded, Evidence
from tests.support.snp_verdicts import Bundle, bundles, encoded_cases, trust, verdict_of, verify, verify_bundle

GENOA_VERSIONS = SnpTcb(fmc=0, boot_loader=10, tee=0, snp=27, microcode=130)
TURIN_VERSIONS = SnpTcb(fmc=1, boot_loader=2, tee=3, snp=4, microcode=81)
GENOA_CLAIMS = SnpClaims(
    product=SnpProduct.GENOA,
    is_vlek=False,
    csp_id="",
    chip_id=pki.CHIP_ID,
    vek_issuer=sha256(pki.name_of("SEV-Genoa")).digest(),
    vek_serial=b"\0",
    vek_not_after_s=pki.YEAR_2045,
    flags=(),
    report_data=b"D" * 64,
    report_version=5,
    guest_svn=1,
    policy=0x30000,
    platform_info=0x25,
    vmpl=0,
    reported=GENOA_VERSIONS,
    committed=GENOA_VERSIONS,
    current=GENOA_VERSIONS,
    launch=GENOA_VERSIONS,
    launch_mitigations=0x3F,
    current_mitigations=0x3F,
    measurement=b"M" * 48,
    host_data=b"H" * 32,
    family_id=b"F" * 16,
    image_id=b"I" * 16,
    id_key_digest=b"K" * 48,
    author_key_digest=b"A" * 48,
)


@pytest.mark.parametrize(("case", "encoded"), encoded_cases(), ids=[case.name for case, _ in encoded_cases()])
def test_every_fault_alone_has_its_reason_and_genuine_evidence_none(case: Case, encoded: Encoded) -> None:
    verdict = verdict_of(verify, encoded)
    assert (verdict if isinstance(verdict, Reason) else None) == case.reason


def test_every_reason_of_the_verifier_has_a_case() -> None:
    expected = {
        *("LENGTH", "VERSION", "SIG_ALGO", "SIGNING_KEY", "RESERVED", "CERT_DER", "CERT_KEY", "ROOT_UNTRUSTED"),
        *("ASK_BAD_ISSUER", "VEK_BAD_ISSUER", "ARK_EXPIRED", "ARK_NOT_YET_VALID", "ASK_EXPIRED", "ASK_NOT_YET_VALID"),
        *("VEK_EXPIRED", "VEK_NOT_YET_VALID", "VEK_KIND", "CRL_SIGNATURE", "CRL_EXPIRED", "CRL_NOT_YET_VALID"),
        *("ASK_REVOKED", "PRODUCT_MISMATCH", "TCB_RESERVED", "TCB_MISMATCH", "CHIP_ID_MISMATCH", "REPORT_SIGNATURE"),
        "TCB_ORDER",
    }
    assert {case.reason.name for case, _ in encoded_cases() if case.reason} == expected
    assert max(Counter(case.name for case, _ in encoded_cases()).values()) == 1


@pytest.mark.parametrize("bundle", tuple(bundles()), ids=lambda bundle: bundle.name)
def test_evidence_finds_its_issuer_among_the_trusted_roots(bundle: Bundle) -> None:
    verdict = verdict_of(verify_bundle, bundle)
    if isinstance(verdict, Verified):
        assert (bundle.reason, verdict.is_simulated) == (None, bundle.is_simulated)
    else:
        assert verdict == bundle.reason


def test_both_ways_to_verify_give_one_answer() -> None:
    for evidence in (GENOA, TURIN, VLEK):
        encoded = replace(evidence, crl=None).encode()
        bundle = Bundle(name="", evidence=encoded.report + encoded.vek, roots=Roots(amd=trust(GENOA, TURIN, VLEK)))
        assert verify_bundle(bundle) == verify(encoded)


def test_claims_of_a_vcek_hold_every_field_of_the_report() -> None:
    assert verify(GENOA.encode()) == Verified(
        claims=GENOA_CLAIMS,
        root=sha256(GENOA.ark.encode()).digest(),
        is_simulated=False,
        valid_from_s=pki.MAY_2026,
        valid_until_s=pki.JULY_2026 - 1,
    )


def test_claims_of_turin_have_a_short_chip_id_and_an_fmc() -> None:
    versions = dict.fromkeys(("reported", "committed", "current", "launch"), TURIN_VERSIONS)
    issuer = sha256(pki.name_of("SEV-Turin")).digest()
    expected = msgspec.structs.replace(
        GENOA_CLAIMS, product=SnpProduct.TURIN, chip_id=pki.CHIP_ID[:8], vek_issuer=issuer, **versions
    )
    assert verify(TURIN.encode()).claims == expected


def test_claims_of_a_vlek_name_the_cloud_and_the_chip_if_it_is_shown() -> None:
    expected = msgspec.structs.replace(
        GENOA_CLAIMS,
        is_vlek=True,
        csp_id=pki.CSP_ID,
        chip_id=b"",
        vek_issuer=sha256(pki.name_of("SEV-VLEK-Genoa")).digest(),
        flags=(Flag.CHIP_ID_MASKED,),
    )
    assert verify(VLEK.encode()).claims == expected
    shown = verify(VLEK.with_report(chip_id=pki.CHIP_ID).encode()).claims
    assert shown == msgspec.structs.replace(expected, chip_id=pki.CHIP_ID, flags=())
    assert platform_ids(shown) == (bytes((PlatformClass.AMD_CHIP,)) + pki.CHIP_ID,)


def test_a_provider_named_by_a_vcek_is_no_claim() -> None:
    evidence = GENOA.with_vek_extension(pki.PROVIDER, pki.ia5(pki.CSP_ID))
    assert verify(evidence.encode()).claims == GENOA_CLAIMS


@pytest.mark.parametrize(
    ("serial", "expected"), [(0, "00"), (0x77, "77"), (0x180, "0180"), (1 << 159, "80" + "00" * 19)]
)
def test_serial_number_of_the_vek_is_claimed_in_its_shortest_form(serial: int, expected: str) -> None:
    claims = verify(GENOA.with_vek(serial=serial).encode()).claims
    assert isinstance(claims, SnpClaims)
    assert claims.vek_serial.hex() == expected


NEWER = bytes((10, 0, 0, 0, 0, 0, 27, 131))


@pytest.mark.parametrize(
    ("evidence", "flags"),
    [
        pytest.param(GENOA.with_report(policy=0x30000 | 1 << 19), (Flag.DEBUG,), id="debug"),
        pytest.param(GENOA.with_report(policy=0x30000 | 1 << 18), (Flag.MIGRATE_MA,), id="migrate"),
        pytest.param(GENOA.with_report(vmpl=1), (Flag.VMPL,), id="vmpl"),
        pytest.param(GENOA.with_report(vmpl=(1 << 32) - 1), (Flag.VMPL,), id="asked-by-the-host"),
        pytest.param(GENOA.with_report(key_info=2, chip_id=bytes(64)), (Flag.CHIP_ID_MASKED,), id="masked"),
        pytest.param(GENOA.with_report(platform_info=0xDF), (Flag.NO_ALIAS_CHECK,), id="no-alias-check"),
        pytest.param(GENOA.with_report(current_tcb=NEWER), (Flag.PROVISIONAL_FIRMWARE,), id="newer-tcb"),
        pytest.param(
            GENOA.with_report(current_firmware=b"\x03\x37\x01"), (Flag.PROVISIONAL_FIRMWARE,), id="newer-firmware"
        ),
        pytest.param(GENOA.with_report(launch_tcb=bytes(8)), (), id="launched-on-an-older-tcb"),
        pytest.param(
            GENOA.with_report(
                policy=0xE0000, vmpl=3, key_info=2, chip_id=bytes(64), platform_info=0, current_tcb=NEWER
            ),
            (
                Flag.DEBUG,
                Flag.MIGRATE_MA,
                Flag.VMPL,
                Flag.CHIP_ID_MASKED,
                Flag.NO_ALIAS_CHECK,
                Flag.PROVISIONAL_FIRMWARE,
            ),
            id="all",
        ),
    ],
)
def test_flags_come_in_the_order_of_their_list(evidence: Evidence, flags: tuple[Flag, ...]) -> None:
    claims = verify(evidence.encode()).claims
    assert isinstance(claims, SnpClaims)
    assert claims.flags == flags


@pytest.mark.parametrize("part", ["ark", "ask", "vek"])
def test_answer_holds_while_every_certificate_does(part: str) -> None:
    changed = replace(getattr(GENOA, part), not_before_s=pki.MAY_2026 + 5, not_after_s=pki.JULY_2026 - 5)
    answer = verify(replace(GENOA, crl=None, **{part: changed}).encode())
    assert (answer.valid_from_s, answer.valid_until_s) == (pki.MAY_2026 + 5, pki.JULY_2026 - 5)


def test_answer_claims_and_numbers_of_all_sizes_survive_their_encoding() -> None:
    evidence = GENOA.with_report(platform_info=(1 << 64) - 1, launch_mitigations=(1 << 64) - 1, vmpl=(1 << 32) - 1)
    answer = verify(evidence.encode())
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=Verified) == answer


def test_of_several_faults_the_first_in_order_is_named() -> None:
    """A report with a fault at every stage; mending them one by one, in order, brings the next reason to light."""
    everything = replace(
        GENOA.with_report(version=1, policy=0x30000 | 1 << 26, cpuid=b"\x1a\x02\x01", measurement=b"m" * 48)
        .with_vek(signer="root", not_after_s=pki.MAY_2026, subject="VCEK")
        .with_vek_extension(pki.HARDWARE, None)
        .with_vek_extension(pki.AMD + "3.8", None),
        vek_tail=b"\0",
        trusted=(),
        crl=replace(GENOA.crl, serials=(2,)),
    )
    everything = replace(everything, report=replace(everything.report, signer="other chip"))
    everything = everything.with_report(committed_tcb=bytes(8))
    mends = (
        (Reason.VERSION, lambda it: it.with_report(version=5)),
        (Reason.RESERVED, lambda it: it.with_report(policy=0x30000)),
        (Reason.CERT_DER, lambda it: replace(it, vek_tail=b"")),
        (Reason.ROOT_UNTRUSTED, lambda it: replace(it, trusted=None)),
        (Reason.VEK_BAD_ISSUER, lambda it: it.with_vek(signer="issuer")),
        (Reason.VEK_EXPIRED, lambda it: it.with_vek(not_after_s=pki.YEAR_2045)),
        (Reason.VEK_KIND, lambda it: it.with_vek(subject="SEV-VCEK")),
        (Reason.ASK_REVOKED, lambda it: replace(it, crl=GENOA.crl)),
        (Reason.PRODUCT_MISMATCH, lambda it: it.with_report(cpuid=b"\x19\x11\x01")),
        (Reason.TCB_MISMATCH, lambda it: it.with_vek_extension(pki.AMD + "3.8", b"\x02\x02\x00\x82")),
        (Reason.CHIP_ID_MISMATCH, lambda it: it.with_vek_extension(pki.HARDWARE, pki.CHIP_ID)),
        (Reason.REPORT_SIGNATURE, lambda it: replace(it, report=replace(it.report, signer="chip"))),
        (Reason.TCB_ORDER, lambda it: it.with_report(committed_tcb=pki.GENOA_TCB)),
    )
    for reason, mend in mends:
        assert verdict_of(verify, everything.encode()) == reason
        everything = mend(everything)
    assert isinstance(verdict_of(verify, everything.encode()), Verified)


def test_refusal_says_what_was_seen_and_what_is_allowed() -> None:
    with pytest.raises(EvidenceRejected) as caught:
        verify(GENOA.with_report(version=6).encode())
    assert (caught.value.reason, caught.value.seen, caught.value.bound) == (Reason.VERSION, 6, "2 to 5")
