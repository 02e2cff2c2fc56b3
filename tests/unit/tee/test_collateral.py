"""Intake of vendor documents: one check per kind, under roots that may share their names."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tee.collateral import CollateralFiles, check_collateral
from tee.documents import CollateralKind, Parsed, RevokedSerials
from tee.errors import EvidenceRejected, Reason
from tee.roots import Roots, TrustedRoot
from tee.simulated import (
    PLATFORM_CA_TEMPLATE,
    ROOT_TEMPLATE,
    TCB_SIGNER_TEMPLATE,
    SimulatedCollateral,
    SimulatedVendor,
    pck_crl_template,
    root_crl_template,
)
from tests.support import snp_pki
from tests.support.snp_cases import GENOA

NOW_S = 1_780_272_000
VENDOR = SimulatedVendor()
TWIN = SimulatedVendor(b"another seed")
"""A vendor whose authorities have the same names."""
ISSUED = VENDOR.collateral(NOW_S)


def trust(*vendors: SimulatedVendor) -> Roots:
    return Roots(intel=tuple(TrustedRoot(der=vendor.root, is_simulated=True) for vendor in vendors))


def documents(issued: SimulatedCollateral) -> dict[CollateralKind, tuple[bytes, tuple[bytes, ...]]]:
    return {
        CollateralKind.INTEL_ROOT_CRL: (issued.root_crl, ()),
        CollateralKind.INTEL_PCK_CRL: (issued.pck_crl, issued.pck_crl_chain),
        CollateralKind.INTEL_TCB_INFO: (issued.tcb_info, issued.signer_chain),
        CollateralKind.INTEL_QE_IDENTITY: (issued.qe_identity, issued.signer_chain),
    }


def root_list_of(vendor: SimulatedVendor, time_s: int = NOW_S) -> RevokedSerials | None:
    return CollateralFiles.load(
        {"root_ca_crl.der": vendor.collateral(time_s).root_crl}, trust(vendor), time_s
    ).root_list


def take_in(
    kind: CollateralKind,
    issued: SimulatedCollateral = ISSUED,
    roots: Roots | None = None,
    chain: tuple[bytes, ...] | None = None,
    root_list: RevokedSerials | None = None,
    time_s: int = NOW_S,
) -> Parsed:
    body, usual_chain = documents(issued)[kind]
    found = root_list_of(VENDOR) if root_list is None else root_list
    return check_collateral(
        kind, body, usual_chain if chain is None else chain, roots or trust(VENDOR), lambda _root: found, time_s
    )


def reason_of(kind: CollateralKind, **changes: object) -> Reason:
    with pytest.raises(EvidenceRejected) as caught:
        take_in(kind, **changes)
    return caught.value.reason


INTEL = list(documents(ISSUED))
SIGNED_BELOW = INTEL[1:]
JSON = INTEL[2:]


@pytest.mark.parametrize("kind", INTEL)
def test_every_kind_is_taken_in_and_says_what_it_is(kind: CollateralKind) -> None:
    document = take_in(kind)
    assert document.kind is kind
    assert document.issued_s == NOW_S
    assert document.subject.startswith(document.root)
    assert document.number == (20 if kind in JSON else 0)


@pytest.mark.parametrize("kind", SIGNED_BELOW)
def test_the_root_may_be_left_out_of_a_chain(kind: CollateralKind) -> None:
    chain = documents(ISSUED)[kind][1]
    assert take_in(kind, chain=chain[:1]) == take_in(kind)


@pytest.mark.parametrize("kind", SIGNED_BELOW)
@pytest.mark.parametrize("length", [0, 3])
def test_chains_have_one_or_two_certificates(kind: CollateralKind, length: int) -> None:
    chain = (documents(ISSUED)[kind][1] * 2)[:length]
    assert reason_of(kind, chain=chain) in {
        Reason.PCK_CHAIN_SHAPE,
        Reason.TCB_INFO_SIGNER,
        Reason.QE_IDENTITY_SIGNER,
    }


@pytest.mark.parametrize("kind", INTEL)
def test_roots_of_one_name_are_told_apart_by_their_signatures(kind: CollateralKind) -> None:
    roots = trust(TWIN, VENDOR)
    for vendor in (VENDOR, TWIN):
        issued = vendor.collateral(NOW_S)
        chain = documents(issued)[kind][1][:1]
        document = take_in(kind, issued=issued, roots=roots, chain=chain, root_list=root_list_of(vendor))
        assert document.root == root_list_of(vendor).root


@pytest.mark.parametrize("kind", SIGNED_BELOW)
def test_a_chain_that_names_another_root_is_refused(kind: CollateralKind) -> None:
    chain = (documents(ISSUED)[kind][1][0], TWIN.root)
    assert reason_of(kind, chain=chain, roots=trust(VENDOR, TWIN)) in {
        Reason.ICA_BAD_ISSUER,
        Reason.TCB_INFO_SIGNER,
        Reason.QE_IDENTITY_SIGNER,
    }
    assert reason_of(kind, chain=chain) in {
        Reason.PCK_CHAIN_ROOT_UNTRUSTED,
        Reason.TCB_INFO_SIGNER,
        Reason.QE_IDENTITY_SIGNER,
    }


def test_the_list_of_a_root_is_refused_under_another_root() -> None:
    kind = CollateralKind.INTEL_ROOT_CRL
    assert reason_of(kind, roots=trust(TWIN)) is Reason.ROOT_CRL_SIGNATURE
    assert reason_of(kind, roots=trust(VENDOR, TWIN), chain=(TWIN.root,)) is Reason.ROOT_CRL_SIGNATURE
    assert reason_of(kind, roots=Roots()) is Reason.ROOT_CRL_ISSUER
    assert take_in(kind, chain=(VENDOR.root,)) == take_in(kind)


@pytest.mark.parametrize("kind", SIGNED_BELOW)
def test_the_list_of_the_root_must_be_there_and_current_and_the_roots_own(kind: CollateralKind) -> None:
    body, chain = documents(ISSUED)[kind]
    with pytest.raises(EvidenceRejected) as caught:
        check_collateral(kind, body, chain, trust(VENDOR), lambda _root: None, NOW_S)
    assert caught.value.reason is Reason.COLLATERAL_MISSING
    assert reason_of(kind, root_list=root_list_of(TWIN)) is Reason.ROOT_CRL_ISSUER
    own = root_list_of(VENDOR)
    assert reason_of(kind, root_list=replace(own, issuer=b"")) is Reason.ROOT_CRL_ISSUER
    assert reason_of(kind, root_list=replace(own, valid_until_s=NOW_S - 1)) is Reason.ROOT_CRL_EXPIRED
    assert reason_of(kind, root_list=replace(own, valid_from_s=NOW_S + 1)) is Reason.ROOT_CRL_NOT_YET_VALID


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (CollateralKind.INTEL_PCK_CRL, Reason.ICA_REVOKED),
        (CollateralKind.INTEL_TCB_INFO, Reason.TCB_INFO_SIGNER_REVOKED),
        (CollateralKind.INTEL_QE_IDENTITY, Reason.QE_IDENTITY_SIGNER_REVOKED),
    ],
)
def test_revoked_authorities_sign_nothing(kind: CollateralKind, reason: Reason) -> None:
    issued = VENDOR.collateral(NOW_S, revoked_authorities=(VENDOR.platform_ca_serial, VENDOR.tcb_signer_serial))
    revoking = CollateralFiles.load({"root_ca_crl.der": issued.root_crl}, trust(VENDOR), NOW_S).root_list
    assert reason_of(kind, root_list=revoking) is reason


@pytest.mark.parametrize("kind", INTEL)
def test_a_document_is_taken_in_within_its_window_alone(kind: CollateralKind) -> None:
    """Lists end before the second of the next update, JSON documents behind it."""
    document = take_in(kind)
    last_s = document.next_update_s - (kind not in JSON)
    assert (document.valid_from_s, document.valid_until_s) == (NOW_S, last_s)
    long_lived = replace(root_list_of(VENDOR), valid_from_s=0)
    for time_s in (NOW_S, last_s):
        assert take_in(kind, root_list=long_lived, time_s=time_s) == document
    assert reason_of(kind, root_list=long_lived, time_s=NOW_S - 1).name.endswith("NOT_YET_VALID")
    assert reason_of(kind, root_list=long_lived, time_s=last_s + 1).name.endswith("EXPIRED")


def vendor_until(end_s: int, *, short_lived: str) -> SimulatedVendor:
    """Return a vendor one of whose authorities ends early."""
    templates = {"root": ROOT_TEMPLATE, "platform_ca": PLATFORM_CA_TEMPLATE, "tcb_signer": TCB_SIGNER_TEMPLATE}
    return SimulatedVendor(**{**templates, short_lived: replace(templates[short_lived], not_after_s=end_s)})


@pytest.mark.parametrize(
    ("short_lived", "kinds"),
    [("root", INTEL), ("platform_ca", [CollateralKind.INTEL_PCK_CRL]), ("tcb_signer", JSON)],
)
def test_a_document_is_valid_no_longer_than_the_certificates_above_it(
    short_lived: str, kinds: list[CollateralKind]
) -> None:
    vendor = vendor_until(NOW_S + 100, short_lived=short_lived)
    root_list = replace(root_list_of(vendor), valid_until_s=NOW_S + 1000)
    for kind in kinds:
        arguments = {"issued": vendor.collateral(NOW_S), "roots": trust(vendor), "root_list": root_list}
        assert take_in(kind, **arguments).valid_until_s == NOW_S + 100
        assert reason_of(kind, **arguments, time_s=NOW_S + 101) in {
            Reason.PCK_CERT_EXPIRED,
            Reason.TCB_INFO_SIGNER,
            Reason.QE_IDENTITY_SIGNER,
        }


@pytest.mark.parametrize("kind", INTEL[:2])
@pytest.mark.parametrize("missing", ["2.5.29.20", "2.5.29.35"])
def test_lists_of_intel_have_a_number_and_a_key_id(kind: CollateralKind, missing: str) -> None:
    issued = VENDOR.collateral(
        NOW_S,
        root_crl=replace(root_crl_template(NOW_S), without=(missing,)),
        pck_crl=replace(pck_crl_template(NOW_S), without=(missing,)),
    )
    assert reason_of(kind, issued=issued) is Reason.PARSE


def test_listed_serials_are_stored() -> None:
    serials = (7, 1 << 150, 300)
    document = take_in(CollateralKind.INTEL_PCK_CRL, issued=VENDOR.collateral(NOW_S, revoked=serials))
    assert isinstance(document, RevokedSerials)
    assert [document.is_revoked(serial) for serial in (*serials, 8)] == [True, True, True, False]


def test_lists_of_amd_are_taken_in_under_the_roots_of_amd() -> None:
    body, ark = GENOA.crl.encode(), GENOA.ark.encode()
    roots = Roots(amd=(TrustedRoot(der=ark, is_simulated=False),))
    arguments = (CollateralKind.AMD_CRL, body, (), roots, lambda _root: None, snp_pki.JUNE_2026)
    document = check_collateral(*arguments)
    assert document.kind is CollateralKind.AMD_CRL
    files = CollateralFiles.load({"amd_crl.der": body}, roots, snp_pki.JUNE_2026)
    assert files.amd_crl(document.root) == document


def test_with_a_list_of_amd_comes_its_root_or_nothing() -> None:
    body, ark = GENOA.crl.encode(), GENOA.ark.encode()
    roots = Roots(amd=(TrustedRoot(der=ark, is_simulated=False),))

    def take(*chain: bytes) -> Parsed:
        return check_collateral(CollateralKind.AMD_CRL, body, chain, roots, lambda _root: None, snp_pki.JUNE_2026)

    assert take(ark) == take()
    for chain in ((b"anything", ark), (ark, ark), (GENOA.ask.encode(), ark), (b"",)):
        with pytest.raises(EvidenceRejected) as refused:
            take(*chain)
        assert refused.value.reason is Reason.CRL_SIGNATURE


def test_a_folder_may_hold_any_of_the_files() -> None:
    assert CollateralFiles.load({}, trust(VENDOR), NOW_S) == CollateralFiles()
    files = ISSUED.files()
    whole = CollateralFiles.load(files, trust(VENDOR), NOW_S)
    assert whole.root_list == take_in(CollateralKind.INTEL_ROOT_CRL)
    assert whole.pck_list == take_in(CollateralKind.INTEL_PCK_CRL)
    assert whole.platform_info == take_in(CollateralKind.INTEL_TCB_INFO)
    assert whole.enclave_identity == take_in(CollateralKind.INTEL_QE_IDENTITY)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("pck_crl_issuer_chain.pem", Reason.PCK_CHAIN_SHAPE), ("tcb_signing_chain.pem", Reason.TCB_INFO_SIGNER)],
)
def test_a_folder_without_a_chain_or_with_another_form_of_it_is_refused(name: str, reason: Reason) -> None:
    files = ISSUED.files()
    for chain in ({}, {name: b"no chain"}):
        changed = {**{each: files[each] for each in files if each != name}, **chain}
        with pytest.raises(EvidenceRejected) as caught:
            CollateralFiles.load(changed, trust(VENDOR), NOW_S)
        assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (CollateralKind.INTEL_ROOT_CRL, Reason.ROOT_CRL_SIGNATURE),
        (CollateralKind.INTEL_PCK_CRL, Reason.PCK_CRL_SIGNATURE),
        (CollateralKind.AMD_CRL, Reason.CRL_SIGNATURE),
    ],
)
def test_entries_of_a_list_are_read_only_if_they_are_signed(kind: CollateralKind, reason: Reason) -> None:
    """Reading 10,000 entries takes a thousand times longer than to see that nobody signed them."""
    issued = VENDOR.collateral(NOW_S, revoked=(0x5555,), revoked_authorities=(0x5555,))
    amd_list = snp_pki.RevocationList(issuer="ARK-Genoa", serials=(0x5555,)).encode()
    body, chain = {**documents(issued), CollateralKind.AMD_CRL: (amd_list, ())}[kind]
    torn = body.replace(b"\x02\x02\x55\x55", b"\x03\x02\x55\x55")
    assert torn != body
    roots = replace(trust(VENDOR), amd=(TrustedRoot(der=GENOA.ark.encode(), is_simulated=True),))
    with pytest.raises(EvidenceRejected) as refused:
        check_collateral(kind, torn, chain, roots, lambda _root: root_list_of(VENDOR), NOW_S)
    assert refused.value.reason is reason
