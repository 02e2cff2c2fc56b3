"""The roots of trust: the vendors' own certificates, bit by bit, and what they issued."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from tee.amd_roots import AMD_GENOA_ARK, AMD_GENOA_ASK
from tee.certificates import (
    AUTHORITY_KEY_ID,
    BASIC_CONSTRAINTS,
    CRL_DISTRIBUTION_POINTS,
    KEY_CERT_SIGN,
    KEY_USAGE,
    SUBJECT_KEY_ID,
    is_signed_by,
    parse_certificate,
)
from tee.roots import (
    AWS_NITRO_ROOT,
    INTEL_SGX_ROOT,
    NVIDIA_DEVICE_ROOT,
    VENDOR_ROOTS,
    Roots,
    TrustedRoot,
    read_simulated_roots,
)
from tee.simulated import ROOT_TEMPLATE, SimulatedVendor
from tests.support import nitro_pki, nvidia_pki, snp_pki
from tests.support.p384_certificates import issue
from tests.support.vendor_files import find_roots

# Source: attestation specification, sections 2.1 and the table of roots beside the public evidence.
FINGERPRINTS = {
    "Intel SGX Root CA": "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3",
    "ARK-Milan": "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
    "SEV-Milan": "67d303bd3905fd38db8b20e0793699870e7fa612eaad5dec358293fd8c0bac1b",
    "SEV-VLEK-Milan": "c5e081f59b7efab1fe2f8b505e159704e72f29cab7ef7cf628a05a42439082f5",
    "ARK-Genoa": "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
    "SEV-Genoa": "5464738c1546aed5f2cecf1dc98c5c960a92e8913238a61711bc90ec6e828521",
    "SEV-VLEK-Genoa": "197e610743a917d6b9bb982a5a9226ccc0a15b611be0619e626aca9151457372",
    "ARK-Turin": "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
    "SEV-Turin": "5b77ef5fe7a7a004fd9032668fba9d0fda22f88c4442069a479636a6ae3b3185",
    "SEV-VLEK-Turin": "104e10a8bd060a3c20a434261a57d0588fd65a88915b4f65b08bdecaf8df1a3c",
    "aws.nitro-enclaves": "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b",
    "NVIDIA Device Identity CA": "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48",
}
ALL = [root for name in Roots.__struct_fields__ for root in getattr(VENDOR_ROOTS, name)]
UNUSED = {"nvidia-rim-root"}
"""Published beside the others; nothing that it signs is verified."""


def test_names_and_fingerprints_are_those_that_are_published() -> None:
    ders = [der for root in ALL for der in (root.der, *root.intermediates)]
    parsed = [parse_certificate(der) for der in ders]
    assert {one.common_name: one.fingerprint.hex() for one in parsed} == FINGERPRINTS
    assert len(parsed) == len(FINGERPRINTS)


def test_certificates_are_the_files_of_the_vendors(shared_dir: Path) -> None:
    files = {der for name, der in find_roots(shared_dir).items() if name not in UNUSED}
    assert {der for root in ALL for der in (root.der, *root.intermediates)} == files


@pytest.mark.parametrize("root", ALL, ids=lambda root: parse_certificate(root.der).common_name)
def test_a_root_signs_itself_and_its_intermediates_and_may_sign(root: TrustedRoot) -> None:
    authority = parse_certificate(root.der)
    for der in (root.der, *root.intermediates):
        certificate = parse_certificate(der)
        assert is_signed_by(certificate, authority)
        assert certificate.is_ca
        assert certificate.key_usage is not None
        assert certificate.key_usage & KEY_CERT_SIGN


def torn(der: bytes) -> TrustedRoot:
    return TrustedRoot(der=der, is_simulated=True)


@pytest.mark.parametrize("family", Roots.__struct_fields__)
@pytest.mark.parametrize("der", [b"", b"\x30\0", AMD_GENOA_ARK[:-1]], ids=["empty", "no-certificate", "cut"])
def test_roots_that_cannot_be_read_are_refused_when_they_are_given(family: str, der: bytes) -> None:
    good = getattr(VENDOR_ROOTS, family)
    assert getattr(Roots(**{family: good}), family) == good
    with pytest.raises(ValueError, match=r"."):
        Roots(**{family: (*good, torn(der))})


def test_roots_of_another_profile_are_refused_when_they_are_given() -> None:
    vendor = SimulatedVendor()
    lacking = [
        SimulatedVendor(root=replace(ROOT_TEMPLATE, without=(oid,))).root
        for oid in (AUTHORITY_KEY_ID, BASIC_CONSTRAINTS, CRL_DISTRIBUTION_POINTS, KEY_USAGE, SUBJECT_KEY_ID)
    ]
    assert Roots(intel=(torn(vendor.root),)).intel
    for der in (*lacking, AWS_NITRO_ROOT, AMD_GENOA_ARK):
        with pytest.raises(ValueError, match="a root of Intel's"):
            Roots(intel=(torn(der),))
    with pytest.raises(ValueError, match="a root of AMD's"):
        Roots(amd=(torn(vendor.root),))


def test_vendors_roots_are_not_simulated_and_each_family_has_its_own() -> None:
    assert [root.is_simulated for root in ALL] == [False] * 6
    counts = {name: len(getattr(VENDOR_ROOTS, name)) for name in Roots.__struct_fields__}
    assert counts == {"intel": 1, "amd": 3, "aws": 1, "nvidia": 1}
    assert Roots() == Roots(intel=(), amd=(), aws=(), nvidia=())


GENOA = [authority("Genoa").encode() for authority in (snp_pki.ark, snp_pki.ask, snp_pki.asvk)]
TURIN = [authority("Turin").encode() for authority in (snp_pki.ark, snp_pki.ask)]
NITRO, NVIDIA = (issue(forms[0]) for forms in (nitro_pki.make_chain(), nvidia_pki.make_chain()))


def test_simulated_roots_go_by_their_names_and_authorities_of_amd_by_who_issued_them() -> None:
    intel = SimulatedVendor().root
    assert read_simulated_roots((TURIN[1], *GENOA, NVIDIA, intel, NITRO, TURIN[0])) == Roots(
        intel=(torn(intel),),
        amd=(
            replace(torn(GENOA[0]), intermediates=tuple(GENOA[1:])),
            replace(torn(TURIN[0]), intermediates=(TURIN[1],)),
        ),
        aws=(torn(NITRO),),
        nvidia=(torn(NVIDIA),),
    )
    assert read_simulated_roots(()) == Roots()


@pytest.mark.parametrize(
    "certificates",
    [
        *[(der,) for der in (INTEL_SGX_ROOT, AMD_GENOA_ARK, AWS_NITRO_ROOT, NVIDIA_DEVICE_ROOT)],
        (GENOA[0], AMD_GENOA_ASK),
        (GENOA[1],),
        (GENOA[0], GENOA[0], GENOA[1]),
        (issue(nitro_pki.make_chain()[1]),),
        (issue(replace(nitro_pki.make_chain()[0], subject="Intel SGX Root CA")),),
        (issue(replace(nitro_pki.make_chain()[0], subject="ARK-Genoa")),),
        (b"",),
    ],
    ids=[
        *["Intel's own", "AMD's own", "AWS' own", "NVIDIA's own", "a CA of AMD's own"],
        *["CA without its root", "root twice", "CA of a family without", "key of AWS", "another key of AWS", "nothing"],
    ],
)
def test_certificates_that_no_simulated_family_could_have_are_refused(certificates: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_simulated_roots(certificates)
