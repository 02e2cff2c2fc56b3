"""The software TEE: constant bytes from a seed, one platform id for each name, formats that others read."""

from __future__ import annotations

import hashlib
import json
from struct import unpack_from

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from tee.certificates import is_signed_by, parse_certificate, parse_revocation_list
from tee.roots import TrustedRoot
from tee.simulated import (
    PLATFORM_CA_TEMPLATE,
    ROOT_LIST_LIFE_S,
    SimulatedVendor,
    certificate_template,
    pck_crl_template,
    recovery_template,
    tcb_info_template,
)
from tee.simulated_certificates import BASIC_CONSTRAINTS, SGX_EXTENSION
from tee.simulated_quotes import QuoteRecipe, SgxBody, TdBody
from tee.simulated_root import SIMULATED_ROOT

AT_S = 1_780_272_000
"""2026-06-01T00:00:00Z."""
REPORT_DATA = bytes(range(64))


@pytest.fixture(scope="module")
def vendor() -> SimulatedVendor:
    return SimulatedVendor()


def test_root_of_development_chains_is_that_of_the_development_seed(vendor: SimulatedVendor) -> None:
    assert TrustedRoot(der=vendor.root, is_simulated=True) == SIMULATED_ROOT


def test_equal_arguments_give_equal_bytes(vendor: SimulatedVendor) -> None:
    twin = SimulatedVendor()

    assert twin.machine("alpha").quote(REPORT_DATA) == vendor.machine("alpha").quote(REPORT_DATA)
    assert twin.collateral(AT_S).files() == vendor.collateral(AT_S).files()


def test_bytes_are_those_that_were_published(vendor: SimulatedVendor) -> None:
    machine = vendor.machine("alpha")
    parts = [machine.quote(REPORT_DATA), *vendor.collateral(AT_S).files().values()]

    assert hashlib.sha256(b"".join(parts)).hexdigest() == PUBLISHED_DIGEST


def test_another_seed_gives_other_keys_under_the_same_names(vendor: SimulatedVendor) -> None:
    other = SimulatedVendor(b"another seed")

    assert other.root != vendor.root
    assert other.key("root").point != vendor.key("root").point
    assert x509.load_der_x509_certificate(other.root).subject == x509.load_der_x509_certificate(vendor.root).subject


def test_one_name_is_one_platform(vendor: SimulatedVendor) -> None:
    names = ["alpha", "beta", "gamma"]
    machines = [vendor.machine(name) for name in names]

    assert len({machine.ppid for machine in machines}) == len(names)
    assert len({machine.pck_serial for machine in machines}) == len(names)
    assert vendor.machine("alpha").ppid == machines[0].ppid


def test_chain_of_a_machine_is_signed_link_by_link(vendor: SimulatedVendor) -> None:
    pck, platform_ca, root, signer = (
        x509.load_der_x509_certificate(der)
        for der in (vendor.machine("alpha").pck, vendor.platform_ca, vendor.root, vendor.tcb_signer)
    )

    pck.verify_directly_issued_by(platform_ca)
    platform_ca.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    signer.verify_directly_issued_by(root)
    assert pck.serial_number == vendor.machine("alpha").pck_serial
    assert pck.extensions.get_extension_for_oid(x509.ObjectIdentifier(SGX_EXTENSION)).critical is False


def test_own_readers_take_what_the_vendor_signs(vendor: SimulatedVendor) -> None:
    pck, platform_ca, root, signer = (
        parse_certificate(der)
        for der in (vendor.machine("alpha").pck, vendor.platform_ca, vendor.root, vendor.tcb_signer)
    )
    collateral = vendor.collateral(AT_S, revoked=(5, 3))
    pck_crl, root_crl = (parse_revocation_list(der) for der in (collateral.pck_crl, collateral.root_crl))

    links = [
        (pck, platform_ca),
        (platform_ca, root),
        (root, root),
        (signer, root),
        (pck_crl, platform_ca),
        (root_crl, root),
    ]
    assert all(is_signed_by(document, issuer) for document, issuer in links)
    assert (pck_crl.serials, pck_crl.number, pck_crl.has_authority_key_id) == ((3, 5), 1, True)
    assert (root.is_ca, root.path_length, platform_ca.path_length, pck.is_ca) == (True, 1, 0, False)


def test_template_with_another_signer_breaks_that_signature_alone() -> None:
    vendor = SimulatedVendor(platform_ca=replace(PLATFORM_CA_TEMPLATE, signed_by="stranger"))
    platform_ca, root = (x509.load_der_x509_certificate(der) for der in (vendor.platform_ca, vendor.root))

    with pytest.raises(InvalidSignature):
        platform_ca.verify_directly_issued_by(root)
    x509.load_der_x509_certificate(vendor.machine("alpha").pck).verify_directly_issued_by(platform_ca)


def test_template_leaves_extensions_out(vendor: SimulatedVendor) -> None:
    template = replace(certificate_template("alpha"), without=(BASIC_CONSTRAINTS,))
    pck = x509.load_der_x509_certificate(vendor.machine("alpha", certificate=template).pck)

    assert BASIC_CONSTRAINTS not in {extension.oid.dotted_string for extension in pck.extensions}
    assert len(list(pck.extensions)) == 5


def test_revocation_lists_name_what_was_revoked(vendor: SimulatedVendor) -> None:
    machine = vendor.machine("alpha")
    collateral = vendor.collateral(
        AT_S, revoked=(machine.pck_serial,), revoked_authorities=(vendor.platform_ca_serial,)
    )
    pck_crl, root_crl = (x509.load_der_x509_crl(der) for der in (collateral.pck_crl, collateral.root_crl))

    assert [entry.serial_number for entry in pck_crl] == [machine.pck_serial]
    assert [entry.serial_number for entry in root_crl] == [vendor.platform_ca_serial]
    assert pck_crl.is_signature_valid(public_key(vendor.platform_ca))
    assert root_crl.is_signature_valid(public_key(vendor.root))
    assert root_crl.next_update_utc is not None
    assert int(root_crl.next_update_utc.timestamp()) == AT_S + ROOT_LIST_LIFE_S


def test_list_under_another_key_is_not_valid(vendor: SimulatedVendor) -> None:
    template = replace(pck_crl_template(AT_S), signed_by="stranger")
    crl = x509.load_der_x509_crl(vendor.collateral(AT_S, pck_crl=template).pck_crl)

    assert not crl.is_signature_valid(public_key(vendor.platform_ca))


def test_documents_say_what_their_templates_say(vendor: SimulatedVendor) -> None:
    template = replace(tcb_info_template(AT_S), fmspc=b"\x01\x02\x03\x04\x05\x06", number=33, modules=())
    tcb_info = json.loads(vendor.tcb_info(template))["tcbInfo"]

    assert (tcb_info["fmspc"], tcb_info["tcbEvaluationDataNumber"]) == ("010203040506", 33)
    assert tcb_info["issueDate"] == "2026-06-01T00:00:00Z"
    assert tcb_info["nextUpdate"] == "2026-07-01T00:00:00Z"
    assert "tdxModuleIdentities" not in tcb_info
    assert all(len(level["tcb"]["tdxtcbcomponents"]) == 16 for level in tcb_info["tcbLevels"])


def test_documents_for_sgx_say_nothing_of_modules(vendor: SimulatedVendor) -> None:
    collateral = vendor.collateral(AT_S, is_sgx=True)
    tcb_info = json.loads(collateral.tcb_info)["tcbInfo"]
    identity = json.loads(collateral.qe_identity)["enclaveIdentity"]

    assert (tcb_info["id"], identity["id"], identity["isvprodid"]) == ("SGX", "QE", 1)
    assert not {"tdxModule", "tdxModuleIdentities"} & set(tcb_info)
    assert all("tdxtcbcomponents" not in level["tcb"] for level in tcb_info["tcbLevels"])


def test_tcb_recovery_puts_a_level_above_the_one_in_force(vendor: SimulatedVendor) -> None:
    levels = json.loads(vendor.tcb_info(recovery_template(AT_S)))["tcbInfo"]["tcbLevels"]

    assert [level["tcbStatus"] for level in levels] == ["UpToDate", "OutOfDate", "OutOfDate"]


@pytest.mark.parametrize(
    ("body", "version", "tee_type", "report_data_at"),
    [
        (SgxBody(), 3, 0, 48 + 320),
        (TdBody(), 4, 0x81, 48 + 520),
        (TdBody(body_type=3), 5, 0x81, 54 + 520),
        (TdBody(body_type=4), 5, 0x81, 54 + 520),
    ],
    ids=["sgx", "td-1.0", "td-1.5", "td-extended"],
)
def test_quotes_close_exactly(
    vendor: SimulatedVendor, body: TdBody | SgxBody, version: int, tee_type: int, report_data_at: int
) -> None:
    quote = vendor.machine("alpha").quote(REPORT_DATA, body)
    body_end = {3: 432, 4: 632, 5: 54 + unpack_from("<I", quote, 50)[0]}[version]

    assert unpack_from("<H2xI", quote) == (version, tee_type)
    assert quote[report_data_at : report_data_at + 64] == REPORT_DATA
    assert len(quote) == body_end + 4 + unpack_from("<I", quote, body_end)[0]


def test_recipe_replaces_each_part(vendor: SimulatedVendor) -> None:
    right = vendor.machine("alpha").quote(REPORT_DATA)
    recipes = [
        QuoteRecipe(version=3),
        QuoteRecipe(key_type=3),
        QuoteRecipe(tee_type=0),
        QuoteRecipe(vendor=bytes(16)),
        QuoteRecipe(user_data=bytes(20)),
        QuoteRecipe(qe=SgxBody()),
        QuoteRecipe(authentication=b""),
        QuoteRecipe(qe_report_data=bytes(64)),
        QuoteRecipe(attestation_key="stranger"),
        QuoteRecipe(quote_signed_by="stranger"),
        QuoteRecipe(qe_report_signed_by="stranger"),
        QuoteRecipe(outer_type=5),
        QuoteRecipe(inner_type=1),
        QuoteRecipe(chain=(vendor.root,)),
        QuoteRecipe(pem=b"text"),
        QuoteRecipe(trailing=b"\x00"),
    ]
    quotes = {vendor.machine("alpha").quote(REPORT_DATA, recipe=recipe) for recipe in recipes}

    assert len(quotes) == len(recipes)
    assert right not in quotes


def public_key(der: bytes) -> ec.EllipticCurvePublicKey:
    key = x509.load_der_x509_certificate(der).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


PUBLISHED_DIGEST = "785c73eb0ac133eee4a864a5103fcde13ed8ff69fdb94416dd978deb1ae04854"
"""SHA-256 over a quote and the six files: a change here forks every development chain that holds such documents."""
