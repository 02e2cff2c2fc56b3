"""Laws of evidence in files: what is sent is what the chain takes, whatever form the file has."""

from __future__ import annotations

import pytest

from bocc.provider.evidence import EvidenceFileRejected, EvidenceReason, read_evidence, read_gpu
from tee.evidence import EvidenceKind
from tee.simulated import SimulatedVendor
from tee.simulated_quotes import SgxBody, write_pem

VENDOR = SimulatedVendor()
MACHINE = VENDOR.machine("m")


@pytest.mark.parametrize(
    ("body", "kind"), [(None, EvidenceKind.TDX), (SgxBody(), EvidenceKind.SGX)], ids=["tdx", "sgx"]
)
def test_quote_is_cut_at_its_length_in_any_form(tmp_path, body, kind):
    quote = MACHINE.quote(bytes(64), body)
    for content in (quote, quote + bytes(70), quote.hex().encode()):
        (tmp_path / "quote").write_bytes(content)
        assert read_evidence(tmp_path / "quote") == (kind, quote)


def test_snp_report_is_joined_with_the_certificate_of_its_chip(tmp_path, shared_dir):
    folder = shared_dir / "evidence/snp/v5-genoa"
    report, vek = (folder / "report.bin").read_bytes(), (folder / "vcek.der").read_bytes()
    (tmp_path / "report").write_bytes(report)
    assert read_evidence(tmp_path / "report", folder / "vcek.der") == (EvidenceKind.SEV_SNP, report + vek)
    (tmp_path / "both").write_bytes(report + vek)
    assert read_evidence(tmp_path / "both") == (EvidenceKind.SEV_SNP, report + vek)
    with pytest.raises(EvidenceFileRejected) as caught:
        read_evidence(tmp_path / "report")
    assert caught.value.reason is EvidenceReason.NO_VEK


def test_nitro_document_is_taken_as_it_is(shared_dir):
    path = shared_dir / "evidence/nitro/2022-prod/document.cbor"
    assert read_evidence(path) == (EvidenceKind.NITRO, path.read_bytes())


@pytest.mark.parametrize("content", [b"", b"{}", VENDOR.root], ids=["nothing", "json", "certificate"])
def test_anything_else_is_refused(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(EvidenceFileRejected) as caught:
        read_evidence(tmp_path / "file")
    assert caught.value.reason is EvidenceReason.UNKNOWN_EVIDENCE


def test_gpu_has_a_report_and_a_chain(tmp_path):
    (tmp_path / "report").write_bytes(b"\x11" * 100)
    (tmp_path / "chain").write_bytes(write_pem((VENDOR.platform_ca, VENDOR.root)))
    gpu = read_gpu(tmp_path / "report", tmp_path / "chain")
    assert (gpu.report, gpu.chain) == (b"\x11" * 100, (VENDOR.platform_ca, VENDOR.root))
