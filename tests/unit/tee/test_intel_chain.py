"""Chains of PCK certificates: one shape, a trusted root by all its bytes, and windows at each use."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tee.certificates import parse_certificate
from tee.errors import EvidenceRejected, Reason
from tee.intel_chain import PckChain, check_pck_chain, find_root, find_root_above
from tee.roots import TrustedRoot
from tee.simulated import (
    PLATFORM_CA_TEMPLATE,
    ROOT_TEMPLATE,
    SimulatedVendor,
    certificate_template,
    platform_template,
)
from tee.simulated_quotes import write_pem

NOW_S = 1_780_272_000
VENDOR = SimulatedVendor()
TWIN = SimulatedVendor(b"another seed")
PEM = write_pem((VENDOR.machine("alpha").pck, VENDOR.platform_ca, VENDOR.root))


def trust(*vendors: SimulatedVendor) -> tuple[TrustedRoot, ...]:
    return tuple(TrustedRoot(der=vendor.root, is_simulated=vendor is TWIN) for vendor in vendors)


def check(pem: bytes, vendor: SimulatedVendor = VENDOR, time_s: int = NOW_S) -> PckChain:
    return check_pck_chain(pem, trust(vendor), time_s)


def reason_of(pem: bytes, vendor: SimulatedVendor = VENDOR, time_s: int = NOW_S) -> Reason:
    with pytest.raises(EvidenceRejected) as caught:
        check(pem, vendor, time_s)
    return caught.value.reason


@pytest.mark.parametrize(
    "pem",
    [
        PEM,
        PEM + b"\0",
        PEM[:-1],
        PEM[:-1] + b"\0",
        PEM.replace(b"-----\n-----BEGIN", b"----------BEGIN"),
        PEM.replace(b"-----\n-----BEGIN", b"----------BEGIN", 1),
    ],
    ids=["plain", "NUL", "no last line end", "NUL without line end", "no line ends between", "one line end less"],
)
def test_forms_that_occur_are_read_alike(pem: bytes) -> None:
    assert check(pem) == check(PEM)


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"\0" + PEM,
        PEM + b"\n",
        PEM + b"\0\0",
        PEM.replace(b"-----\n-----BEGIN", b"-----\0-----BEGIN", 1),
        PEM.replace(b"-----\n-----BEGIN", b"-----\n\n-----BEGIN", 1),
        PEM[: PEM.index(b"-----END")],
        PEM[: PEM.index(b"-----END") + 25],
        PEM * 2,
    ],
    ids=["empty", "NUL first", "two line ends", "two NULs", "NUL between", "empty line", "cut", "leaf alone", "twice"],
)
def test_other_forms_are_refused(pem: bytes) -> None:
    assert reason_of(pem) is Reason.PCK_CHAIN_SHAPE


def test_a_root_is_trusted_by_all_its_bytes() -> None:
    same_name = SimulatedVendor(root=replace(ROOT_TEMPLATE, serial=1))
    assert reason_of(PEM, TWIN) is Reason.PCK_CHAIN_ROOT_UNTRUSTED
    assert reason_of(PEM, same_name) is Reason.PCK_CHAIN_ROOT_UNTRUSTED
    assert find_root(VENDOR.root, ()) is None


def test_the_mark_of_a_root_is_kept() -> None:
    pem = write_pem((TWIN.machine("alpha").pck, TWIN.platform_ca, TWIN.root))
    assert check_pck_chain(pem, trust(VENDOR, TWIN), NOW_S).root.is_simulated
    assert not check_pck_chain(PEM, trust(VENDOR, TWIN), NOW_S).root.is_simulated


@pytest.mark.parametrize("place", [0, 1, 2])
def test_windows_are_checked_each_time_however_often_a_chain_was_good(place: int) -> None:
    first_s, last_s = NOW_S - 100, NOW_S + 100
    window = {"not_before_s": first_s, "not_after_s": last_s}
    root, ca = (
        replace(each, **window) if place == at else each for at, each in ((2, ROOT_TEMPLATE), (1, PLATFORM_CA_TEMPLATE))
    )
    vendor = SimulatedVendor(root=root, platform_ca=ca)
    template = certificate_template("alpha")
    pck = vendor.machine(
        "alpha", platform_template("alpha"), replace(template, **window) if place == 0 else template
    ).pck
    pem = write_pem((pck, vendor.platform_ca, vendor.root))

    for time_s in (first_s, last_s):
        assert check(pem, vendor, time_s).pck.der == pck
    assert reason_of(pem, vendor, first_s - 1) is Reason.PCK_CERT_NOT_YET_VALID
    assert reason_of(pem, vendor, last_s + 1) is Reason.PCK_CERT_EXPIRED
    assert check(pem, vendor).pck.der == pck


def test_the_root_above_is_that_which_signed_among_those_of_one_name() -> None:
    ca = parse_certificate(TWIN.platform_ca)
    assert find_root_above(ca, (), trust(VENDOR, TWIN)).certificate.der == TWIN.root
    assert find_root_above(ca, (), trust(VENDOR)).certificate.der == VENDOR.root
    assert find_root_above(ca, (VENDOR.root,), trust(TWIN, VENDOR)).certificate.der == VENDOR.root
    assert find_root_above(ca, (TWIN.root,), trust(VENDOR)) is None
    assert find_root_above(ca, (), ()) is None
