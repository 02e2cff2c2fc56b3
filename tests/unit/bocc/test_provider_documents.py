"""Laws of vendor documents in files: a folder becomes messages in the order of checking; a file says what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from bocc.provider.documents import DocumentReason, DocumentRejected, find_document_kind, read_documents, split_files
from state.trust_messages import COLLATERAL_BYTES_MAX
from tee.documents import CollateralKind
from tee.simulated import SimulatedVendor

AT_S = 1_750_000_000
VENDOR = SimulatedVendor()
COLLATERAL = VENDOR.collateral(AT_S)
INTEL_ORDER = [
    CollateralKind.INTEL_ROOT_CRL,
    CollateralKind.INTEL_PCK_CRL,
    CollateralKind.INTEL_TCB_INFO,
    CollateralKind.INTEL_QE_IDENTITY,
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of collateral."""
    for name, content in COLLATERAL.files().items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def rejection(work) -> DocumentRejected:
    with pytest.raises(DocumentRejected) as caught:
        work()
    return caught.value


def test_folder_becomes_documents_in_the_order_in_which_the_chain_can_check_them(folder):
    (folder / "README.md").write_text("something else")
    documents = read_documents(folder)
    assert [one.kind for one in documents] == INTEL_ORDER
    assert [one.body for one in documents] == [
        COLLATERAL.root_crl,
        COLLATERAL.pck_crl,
        COLLATERAL.tcb_info,
        COLLATERAL.qe_identity,
    ]
    assert [one.chain for one in documents] == [
        (),
        COLLATERAL.pck_crl_chain,
        COLLATERAL.signer_chain,
        COLLATERAL.signer_chain,
    ]


def test_message_carries_the_vendors_bytes_unchanged(folder):
    message = read_documents(folder)[2].message()
    assert (message.kind, message.body, message.chain) == (3, COLLATERAL.tcb_info, COLLATERAL.signer_chain)


def test_parts_of_a_folder_are_enough(folder):
    (folder / "tcb_info.json").unlink()
    (folder / "root_ca_crl.der").unlink()
    kinds = [one.kind for one in read_documents(folder)]
    assert kinds == [CollateralKind.INTEL_PCK_CRL, CollateralKind.INTEL_QE_IDENTITY]


def test_line_end_behind_json_and_pem_or_hex_around_lists_do_not_matter(folder):
    (folder / "tcb_info.json").write_bytes(COLLATERAL.tcb_info + b"\n")
    (folder / "pck_crl.der").write_text(COLLATERAL.pck_crl.hex())
    documents = read_documents(folder)
    assert (documents[1].body, documents[2].body) == (COLLATERAL.pck_crl, COLLATERAL.tcb_info)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("root_ca_crl.der", CollateralKind.INTEL_ROOT_CRL),
        ("pck_crl.der", CollateralKind.INTEL_PCK_CRL),
        ("tcb_info.json", CollateralKind.INTEL_TCB_INFO),
        ("qe_identity.json", CollateralKind.INTEL_QE_IDENTITY),
    ],
)
def test_single_file_is_known_by_its_content(folder, name, kind):
    other = folder / "download"
    (folder / name).rename(other)
    assert find_document_kind(other.read_bytes()) is kind
    (document,) = read_documents(other)
    assert (document.kind, document.name) == (kind, "download")


def test_genuine_folder_of_a_vendor_is_read(shared_dir):
    documents = read_documents(shared_dir / "evidence/tdx/collateral/b0c06f-2025-06")
    assert [one.kind for one in documents] == INTEL_ORDER
    assert [len(one.chain) for one in documents] == [0, 2, 2, 2]


def test_list_of_amd_is_told_from_those_of_intel(shared_dir):
    (document,) = read_documents(shared_dir / "evidence/snp/v5-milan-gcp-with-crl/crl.der")
    assert (document.kind, document.chain) == (CollateralKind.AMD_CRL, ())


def test_certificates_of_a_file_may_lie_elsewhere(folder, tmp_path):
    chain = tmp_path / "elsewhere.pem"
    (folder / "tcb_signing_chain.pem").rename(chain)
    document = folder / "tcb_info.json"
    assert rejection(lambda: read_documents(document)).reason is DocumentReason.NO_CHAIN
    assert read_documents(document, chain)[0].chain == COLLATERAL.signer_chain


def test_folder_without_documents_and_unknown_files_are_refused(tmp_path):
    assert rejection(lambda: read_documents(tmp_path)).reason is DocumentReason.NO_DOCUMENTS
    (tmp_path / "quote.bin").write_bytes(VENDOR.machine("m").quote(bytes(64)))
    refused = rejection(lambda: read_documents(tmp_path / "quote.bin"))
    assert (refused.reason, refused.seen) == (DocumentReason.UNKNOWN_DOCUMENT, "tdx")


def test_document_longer_than_the_chain_takes_is_refused():
    refused = rejection(lambda: split_files({"root_ca_crl.der": bytes(COLLATERAL_BYTES_MAX + 1)}))
    assert (refused.reason, refused.bound) == (DocumentReason.TOO_LARGE, COLLATERAL_BYTES_MAX)
