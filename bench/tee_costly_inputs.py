"""The most expensive evidence and documents that could be found for each reader, within its bounds of size.

What nobody signed anybody can send, at the cost of its bytes. What only a vendor could have signed is listed for its bound alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from tee import der_writer as w
from tee.collateral import CollateralFiles, check_collateral
from tee.documents import CollateralKind
from tee.evidence import EvidenceKind, verify
from tee.nitro import AUTHORITIES_MAX, verify_nitro
from tee.nvidia import CHAIN_CERTIFICATES, verify_gpu
from tee.roots import Roots
from tee.sev_snp import verify_sev_snp
from tee.simulated_documents import sign_document
from tests.support import certificate_forms as forms
from tests.support import nitro_pki, nvidia_pki, snp_cases
from tests.support.p384_certificates import issue
from tests.support.simulated_judge import roots_of
from tests.support.simulated_world import ISSUED_S, TDX_WORLD
from tests.support.snp_verdicts import Lists, trust

DOCUMENT_BYTES: Final = 64 * 1024
LIST_BYTES: Final = 256 * 1024
LARGE_CERTIFICATE_BYTES: Final = 3600
"""Three of them in PEM, and the rest of a quote, fill 16 KiB."""


class CostlyInput(NamedTuple):
    """An input, and the call that refuses it, or accepts what a vendor signed."""

    family: str
    name: str
    size: int
    run: Callable[[], object]
    is_signed: bool = False
    """By a vendor, so nobody else can send it."""


def find_costly_inputs() -> Iterator[CostlyInput]:
    """Yield all inputs, family by family."""
    yield from _quotes()
    yield from _reports()
    yield from _nitro_documents()
    yield from _gpu_reports()
    yield from _intel_documents()
    yield from _lists()


def _flip(octets: bytes, place: int) -> bytes:
    """Change one bit."""
    changed = bytearray(octets)
    changed[place] ^= 1
    return bytes(changed)


def _write_long_name(text: str, size: int) -> bytes:
    """Return a name of about so many bytes that consists of the smallest parts."""
    part = w.write_set(w.write_sequence(w.write_oid("2.5.4.4"), w.write_text("")))
    common_name = w.write_set(w.write_sequence(w.write_oid("2.5.4.3"), w.write_text(text)))
    return w.write_sequence(*[part] * ((size - len(common_name)) // len(part)), common_name)


def _write_large_certificate(seed: int, size: int) -> bytes:
    """Return a certificate of at most so many bytes that takes long to read; nobody has met its names, and nobody signed it."""
    name_size = min(1000, (size - 500) // 2)
    extensions = [forms.CA_CONSTRAINTS, forms.CA_USAGE, forms.AUTHORITY_KEY_ID]
    parts = {name: _write_long_name(f"{name} {seed}", name_size) for name in ("issuer", "subject")}
    certificate = forms.write_certificate(**parts)
    for number in range(29):
        extensions.append(forms.write_extension(f"1.2.3.{seed}.{number}", b""))
        wrapped = w.write_context(3, w.write_sequence(*extensions))
        larger = forms.write_certificate(**parts, extensions=wrapped)
        if len(larger) > size:
            break
        certificate = larger
    return certificate


def _quotes() -> Iterator[CostlyInput]:
    """Yield quotes; SGX and TDX share all readers."""
    root = TDX_WORLD.vendor().root
    roots, genuine = roots_of(root), TDX_WORLD.quote()
    collateral = CollateralFiles.load(TDX_WORLD.files(), roots, TDX_WORLD.loaded_s)
    ca, large = TDX_WORLD.vendor().platform_ca, [_write_large_certificate(n, LARGE_CERTIFICATE_BYTES) for n in range(3)]
    # The signature of the quote stands right behind header, body and length.
    yield _quote("genuine, but for a bit of the last signature", _flip(genuine, 48 + 584 + 4 + 63), collateral, roots)
    for name, recipe in (
        ("11 KiB of authentication data", {"authentication": bytes(11_000), "qe_report_data": bytes(64)}),
        ("large certificate of an authority nobody knows", {"chain": (large[0], ca, root)}),
        ("three large certificates nobody knows", {"chain": tuple(large)}),
    ):
        yield _quote(name, TDX_WORLD.having(recipe=recipe).quote(), collateral, roots)


def _quote(name: str, quote: bytes, collateral: CollateralFiles, roots: Roots) -> CostlyInput:
    return CostlyInput(
        "quote", name, len(quote), lambda: verify(EvidenceKind.TDX, quote, collateral, roots, TDX_WORLD.time_s)
    )


def _reports() -> Iterator[CostlyInput]:
    made, roots = snp_cases.GENOA.encode(), Roots(amd=trust(snp_cases.GENOA, snp_cases.VLEK, snp_cases.TURIN))
    for name, evidence in (
        ("genuine, but for a bit of the report", _flip(made.report, 0x50) + made.vek),
        ("large certificate of an authority nobody knows", made.report + _write_large_certificate(0, 4096)),
    ):
        yield CostlyInput(
            "SNP report",
            name,
            len(evidence),
            lambda evidence=evidence: verify_sev_snp(evidence, Lists(), roots, made.time_s),
        )


def _nitro_documents() -> Iterator[CostlyInput]:
    world = nitro_pki.World()
    roots, issued = nitro_pki.make_roots(world), [issue(form) for form in world.chain]
    large = [_write_large_certificate(number, 1024) for number in range(AUTHORITIES_MAX + 1)]
    row = [""] * 64
    for name, document in (
        ("genuine, but for a bit of its signature", _flip(world.encode(), -1)),
        # The root is its own issuer, so links hold until the lengths of paths are compared.
        (
            "its root four times more",
            nitro_pki.World(cabundle=(*[issued[0]] * (AUTHORITIES_MAX - 3), *issued[1:4])).encode(),
        ),
        (
            "nine certificates of 1 KiB nobody knows",
            nitro_pki.World(cabundle=tuple(large[:-1]), certificate=large[-1]).encode(),
        ),
        ("payload of the smallest values", nitro_pki.sign_payload(nitro_pki.encode_cbor([[row] * 64] * 3), "anybody")),
    ):
        yield CostlyInput(
            "Nitro document",
            name,
            len(document),
            lambda document=document: verify_nitro(document, roots, nitro_pki.TIME_S),
        )


def _gpu_reports() -> Iterator[CostlyInput]:
    made = nvidia_pki.Report()
    roots, report, chain = nvidia_pki.make_roots(made), made.encode(), made.encode_chain()
    fields = b"".join(nvidia_pki.make_field(kind, b"") for kind in range(4_000))
    large = tuple(_write_large_certificate(number, 3_200) for number in range(CHAIN_CERTIFICATES))
    for name, sent, certificates in (
        ("genuine, but for a bit of its signature", _flip(report, -1), chain),
        ("4,000 empty fields", nvidia_pki.Report(opaque=fields, signer="anybody").encode(), chain),
        ("five large certificates nobody knows", report, large),
    ):
        yield CostlyInput(
            "GPU report",
            name,
            len(sent) + sum(map(len, certificates)),
            lambda sent=sent, certificates=certificates: verify_gpu(
                sent, certificates, nvidia_pki.NONCE, roots, nvidia_pki.TIME_S
            ),
        )


def _intel_documents() -> Iterator[CostlyInput]:
    vendor = TDX_WORLD.vendor()
    signer_key, room = vendor.key("tcb signer"), DOCUMENT_BYTES - 200
    objects = b'{"a":[' + b"{}," * (room // 3 - 10) + b"1]}"
    for name, text in (
        ("objects", objects),
        ("strings", b"{" + b'""' * (room // 2 - 2) + b"}"),
        ("objects in objects", b"{" + (b"{" * 31 + b"}" * 31) * (room // 62) + b"}"),
    ):
        signed = sign_document("tcbInfo", text, signer_key)
        yield _document(f"64 KiB of {name}, unsigned", CollateralKind.INTEL_TCB_INFO, _flip(signed, -3))
    signed = sign_document("tcbInfo", objects, signer_key)
    yield _document("64 KiB of objects", CollateralKind.INTEL_TCB_INFO, signed)._replace(is_signed=True)


def _document(name: str, kind: CollateralKind, body: bytes) -> CostlyInput:
    vendor = TDX_WORLD.vendor()
    roots = roots_of(vendor.root)
    collateral = CollateralFiles.load(TDX_WORLD.files(), roots, TDX_WORLD.loaded_s)
    chain = (vendor.tcb_signer,) if kind is CollateralKind.INTEL_TCB_INFO else ()
    return CostlyInput(
        "Intel document" if chain else "Intel list",
        name,
        len(body),
        lambda: check_collateral(kind, body, chain, roots, collateral.root_crl, TDX_WORLD.time_s),
    )


def _lists() -> Iterator[CostlyInput]:
    vendor = TDX_WORLD.vendor()
    signed = vendor.collateral(ISSUED_S, revoked_authorities=tuple(range(1 << 40, (1 << 40) + 6_500))).root_crl
    assert len(signed) <= LIST_BYTES
    yield _document("250 KiB, unsigned", CollateralKind.INTEL_ROOT_CRL, _flip(signed, -1))
    yield _document("250 KiB", CollateralKind.INTEL_ROOT_CRL, signed)._replace(is_signed=True)
