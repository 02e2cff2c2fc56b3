"""Every reader of tee and of files with evidence as a target for a fuzzer: what it takes, what it may raise, and good bytes to
begin with.

A target lets nothing pass but its own typed refusal, and a verifier accepts nothing but the good bytes themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from bocc.evidence.decode import decode
from bocc.evidence.files import Document, find_kind, read_certificate_table, read_certificates, read_content
from bocc.evidence.names import to_plain
from bocc.evidence.report import Case, judge
from tee.amd_collateral import check_amd_crl
from tee.cbor import CborError, decode_cbor
from tee.certificates import open_revocation_list, parse_certificate, parse_revocation_list
from tee.checks import Family
from tee.collateral import CollateralFiles, check_collateral
from tee.cose import open_sign1
from tee.der import OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, DerError, DerReader
from tee.documents import CollateralKind
from tee.errors import EvidenceRejected, Reason
from tee.intel_quote import parse_quote
from tee.pck import parse_pck_extension
from tee.pem import PemError, split_pem_chain
from tee.signatures import load_public_key
from tee.simulated import platform_template, qe_identity_template, tcb_info_template
from tee.simulated_certificates import write_pck_extension
from tee.simulated_documents import sign_document, write_qe_identity, write_tcb_info
from tee.simulated_quotes import write_pem
from tee.snp_report import parse_report as parse_snp_report
from tee.spdm import parse_report as parse_gpu_report
from tee.strict_json import JsonError, cut_signed_object, parse_json
from tee.vek import parse_vek
from tests.support import snp_cases
from tests.support.evidence_vectors import Vector, simulate_vectors
from tests.support.simulated_judge import roots_of
from tests.support.simulated_world import ISSUED_S, SGX_WORLD, TDX_15_WORLD, TDX_WORLD

Run = Callable[[bytes], object]

REPORT_BYTES: Final = 1184


class Target(NamedTuple):
    """One reader."""

    run: Run
    refusals: tuple[type[Exception], ...]
    bytes_max: int
    """Longest input to try: a little over what the reader takes, or what a fuzzer can make use of."""
    seeds: tuple[bytes, ...]
    is_verifier: bool = False
    """Accepts its seeds and nothing else."""
    find_content: Run = bytes
    """What of accepted bytes must be that of a seed, where one content may be written in several ways."""

    def try_input(self, octets: bytes) -> bool:
        """Tell whether the reader takes these bytes; fail if it does otherwise than it may."""
        try:
            self.run(octets)
        except self.refusals:
            return False
        assert not self.is_verifier or self._is_good(octets), "accepted, although nobody signed it"
        return True

    def _is_good(self, octets: bytes) -> bool:
        return self.find_content(octets) in [self.find_content(seed) for seed in self.seeds]


def make_targets() -> dict[str, Target]:
    """Return all targets by name."""
    vectors = {vector.name: vector for vector in simulate_vectors()}
    return {**_readers(vectors), **_documents(), **_verifiers(vectors), **_files(vectors)}


def _readers(vectors: dict[str, Vector]) -> dict[str, Target]:
    """Return the readers of forms that nobody has verified yet."""
    vendor = TDX_WORLD.vendor()
    certificates = (vendor.root, vendor.platform_ca, vendor.machine("alpha").pck, vectors["snp-genoa"].parts[1])
    quotes = (TDX_WORLD.quote(), TDX_15_WORLD.quote(), SGX_WORLD.quote())
    lists = (vendor.collateral(ISSUED_S, revoked=(5, 6)).pck_crl, snp_cases.GENOA.encode().crl or b"")
    document = vectors["nitro"].parts[0]
    extension = DerReader(write_pck_extension(platform_template("alpha"))).enter(SEQUENCE)
    extension.read(OBJECT_IDENTIFIER)
    snp_report, vek = vectors["snp-genoa"].parts
    readers: dict[str, tuple[Run, type[Exception], int, tuple[bytes, ...]]] = {
        "certificate": (parse_certificate, DerError, 4200, certificates),
        "list": (parse_revocation_list, DerError, 4200, lists),
        "list-head": (open_revocation_list, DerError, 4200, lists),
        "key": (load_public_key, DerError, 700, tuple(parse_certificate(each).spki for each in certificates)),
        "pem": (lambda pem: split_pem_chain(pem, 3), PemError, 17_000, (write_pem(certificates[:3]),)),
        "pck-extension": (parse_pck_extension, DerError, 1200, (extension.read(OCTET_STRING),)),
        "quote": (parse_quote, EvidenceRejected, 17_000, quotes),
        "snp-report": (parse_snp_report, EvidenceRejected, 1200, (snp_report,)),
        "cbor": (decode_cbor, CborError, 3000, (document, open_sign1(document).payload)),
        "cose": (open_sign1, EvidenceRejected, 17_000, (document,)),
        "gpu-report": (parse_gpu_report, EvidenceRejected, 17_000, (vectors["nvidia-hopper"].parts[0],)),
    }
    targets = {name: Target(run, (refusal,), size, seeds) for name, (run, refusal, size, seeds) in readers.items()}
    return targets | {"vek": Target(parse_vek, (DerError, EvidenceRejected), 4200, (vek,))}


def _documents() -> dict[str, Target]:
    """Return the readers of documents: their envelopes, and, as if Intel had signed any text, what is in them."""
    files = [world.files() for world in (TDX_WORLD, SGX_WORLD)]
    infos = tuple(write_tcb_info(tcb_info_template(ISSUED_S, is_sgx=is_sgx)) for is_sgx in (False, True))
    identities = tuple(write_qe_identity(qe_identity_template(ISSUED_S, is_sgx=is_sgx)) for is_sgx in (False, True))
    envelopes = tuple(each["tcb_info.json"] for each in files)
    return {
        "envelope": Target(lambda text: cut_signed_object(text, "tcbInfo"), (JsonError,), 8000, envelopes),
        "json": Target(parse_json, (JsonError,), 8000, infos),
        "tcb-info": Target(_read_signed(CollateralKind.INTEL_TCB_INFO, "tcbInfo"), (EvidenceRejected,), 8000, infos),
        "qe-identity": Target(
            _read_signed(CollateralKind.INTEL_QE_IDENTITY, "enclaveIdentity"), (EvidenceRejected,), 8000, identities
        ),
    }


def _read_signed(kind: CollateralKind, member: str) -> Run:
    """Return the intake of any text, which the vendor signs before."""
    vendor = TDX_WORLD.vendor()
    take_in, key = _take_in(kind, (vendor.tcb_signer, vendor.root)), vendor.key("tcb signer")
    return lambda text: take_in(sign_document(member, text, key))


def _take_in(kind: CollateralKind, chain: tuple[bytes, ...]) -> Run:
    """Return the intake of one kind of document, under a root whose own list is stored."""
    roots, time_s = roots_of(TDX_WORLD.vendor().root), TDX_WORLD.loaded_s
    stored = CollateralFiles.load(TDX_WORLD.files(), roots, time_s)
    return lambda body: check_collateral(kind, body, chain, roots, stored.root_crl, time_s)


def _verifiers(vectors: dict[str, Vector]) -> dict[str, Target]:
    """Return the verifiers of evidence, of what stands behind a good report, and of documents at their intake."""
    targets: dict[str, Target] = {}
    for name, vector in vectors.items():
        judge = vector.prepare()
        if vector.family in {"tdx", "sgx", "nitro"}:
            target = _verifier(lambda octets, judge=judge: judge((octets,)), vector.parts[0])
            is_quote = vector.family != "nitro"
            targets[f"verify-{name}"] = target._replace(find_content=_read_quote) if is_quote else target
    snp, gpu = vectors["snp-genoa"], vectors["nvidia-hopper"]
    judge_snp, judge_gpu = snp.prepare(), gpu.prepare()
    targets["verify-snp"] = _verifier(
        lambda octets: judge_snp((octets[:REPORT_BYTES], octets[REPORT_BYTES:])), b"".join(snp.parts)
    )
    targets["verify-gpu-report"] = _verifier(lambda octets: judge_gpu((octets, *gpu.parts[1:])), gpu.parts[0])
    targets["verify-gpu-leaf"] = _verifier(
        lambda octets: judge_gpu((gpu.parts[0], octets, *gpu.parts[2:])), gpu.parts[1]
    )
    return targets | _intakes()


def _read_quote(quote: bytes) -> object:
    """Return all parts of a quote, and its certificates without the line end and the zero byte that may stand behind them."""
    parts = parse_quote(quote)
    return replace(parts, pck_chain=b""), split_pem_chain(parts.pck_chain, 3)


def _verifier(run: Run, seed: bytes) -> Target:
    return Target(run, (EvidenceRejected,), 17_000, (seed,), is_verifier=True)


def _intakes() -> dict[str, Target]:
    vendor, files = TDX_WORLD.vendor(), TDX_WORLD.files()
    signer, authority = (vendor.tcb_signer, vendor.root), (vendor.platform_ca, vendor.root)
    amd = snp_cases.GENOA.encode()
    ark, amd_time_s = (amd.ark,), amd.crl_time_s
    return {
        "intake-root-list": _verifier(_take_in(CollateralKind.INTEL_ROOT_CRL, ()), files["root_ca_crl.der"]),
        "intake-pck-list": _verifier(_take_in(CollateralKind.INTEL_PCK_CRL, authority), files["pck_crl.der"]),
        "intake-amd-list": _verifier(lambda body: check_amd_crl(body, ark, amd_time_s), amd.crl or b""),
        # White space in the envelope and the case of the signature's digits are free, so other bytes may be accepted here.
        "intake-tcb-info": _verifier(_take_in(CollateralKind.INTEL_TCB_INFO, signer), files["tcb_info.json"])._replace(
            is_verifier=False
        ),
        "intake-signer": _verifier(
            lambda der: _take_in(CollateralKind.INTEL_TCB_INFO, (der,))(files["tcb_info.json"]), vendor.tcb_signer
        ),
    }


def _files(vectors: dict[str, Vector]) -> dict[str, Target]:
    """Return the readers of files in any form: what they say, and the whole report on a quote."""
    vendor, files = TDX_WORLD.vendor(), TDX_WORLD.files()
    quote = TDX_WORLD.quote()
    seeds = (
        quote,
        quote.hex().encode(),
        TDX_15_WORLD.quote(),
        SGX_WORLD.quote(),
        *(b"".join(vectors[name].parts) for name in ("snp-genoa", "nitro")),
        vectors["nvidia-hopper"].parts[0],
        *(files[name] for name in ("tcb_info.json", "qe_identity.json", "pck_crl.der")),
        write_pem((vendor.root,)),
    )
    return {
        "file": Target(_show_file, (EvidenceRejected,), 17_000, seeds),
        "report": _verifier(_report_on_quote, quote)._replace(find_content=_read_quote),
    }


def _show_file(file: bytes) -> None:
    """Read a file as `bocc tee decode` does, and as a table of certificates."""
    read_certificate_table(file)
    content = read_content(file)
    kind = find_kind(content.octets)
    if kind is None:
        raise EvidenceRejected(Reason.PARSE, "no known kind")
    for part in read_certificates(file) if kind is Document.CERTIFICATES else (content.octets,):
        msgspec.json.encode(decode(kind, part))


def _report_on_quote(quote: bytes) -> None:
    """Report on a quote as `bocc tee verify` does."""
    roots = roots_of(TDX_WORLD.vendor().root)
    case = Case(family=Family.TDX, evidence=quote, files=TDX_WORLD.files(), roots=roots, time_s=TDX_WORLD.time_s)
    report = judge(case)
    msgspec.json.encode(to_plain(report))
    if report.refusal is not None:
        raise EvidenceRejected(Reason(report.refusal.reason), report.refusal.seen, report.refusal.bound)
