"""SEV-SNP evidence with at most one fault each, and the one reason for which it must be refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from tee import der_writer as der
from tee.errors import Reason
from tests.support import snp_pki as pki
from tests.support.snp_pki import AMD, GENOA_TCB, HARDWARE, PROVIDER, TURIN_TCB, Certificate, Report, RevocationList


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that a verifier is given, still as templates."""

    report: Report
    vek: Certificate
    ask: Certificate
    ark: Certificate
    trusted: tuple[Certificate, ...] | None = None
    """Roots to trust; the chain's own one by default."""
    crl: RevocationList | None = None
    crl_ark: Certificate | None = None
    """Root of the list; the chain's own one by default."""
    time_s: int = pki.JUNE_2026
    report_tail: bytes = b""
    """Bytes behind the report; `report_bytes` cuts it instead."""
    report_bytes: int = 1184
    vek_tail: bytes = b""
    ask_tail: bytes = b""
    ark_tail: bytes = b""

    def with_report(self, **fields: int | bytes) -> Evidence:
        return replace(self, report=self.report.changed(**fields))

    def with_patch(self, place: int, octets: bytes) -> Evidence:
        return replace(self, report=replace(self.report, patches=((place, octets),)))

    def with_vek(self, **fields: object) -> Evidence:
        return replace(self, vek=replace(self.vek, **fields))

    def with_ask(self, **fields: object) -> Evidence:
        return replace(self, ask=replace(self.ask, **fields))

    def with_ark(self, **fields: object) -> Evidence:
        return replace(self, ark=replace(self.ark, **fields))

    def with_vek_extension(self, oid: str, content: bytes | None, is_critical: bool = False) -> Evidence:
        return replace(self, vek=self.vek.with_extension(oid, content, is_critical))

    def at(self, time_s: int) -> Evidence:
        return replace(self, time_s=time_s)

    def encode(self) -> Encoded:
        ark = self.ark.encode()
        return Encoded(
            report=self.report.encode()[: self.report_bytes] + self.report_tail,
            vek=self.vek.encode() + self.vek_tail,
            ask=self.ask.encode() + self.ask_tail,
            ark=ark + self.ark_tail,
            trusted=(ark + self.ark_tail,) if self.trusted is None else tuple(each.encode() for each in self.trusted),
            crl=self.crl and self.crl.encode(),
            crl_ark=(self.crl_ark or self.ark).encode(),
            crl_time_s=self.crl.this_update_s if self.crl else 0,
            time_s=self.time_s,
        )


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """The same as bytes."""

    report: bytes
    vek: bytes
    ask: bytes
    ark: bytes
    trusted: tuple[bytes, ...]
    crl: bytes | None
    crl_ark: bytes
    crl_time_s: int
    time_s: int


@dataclass(frozen=True)
class Case:
    """Evidence and its verdict; no reason means that it is genuine."""

    name: str
    evidence: Evidence = field(repr=False)
    reason: Reason | None = None


def genuine(product: str) -> Evidence:
    return Evidence(
        report=pki.report(product),
        vek=pki.vcek(product),
        ask=pki.ask(product),
        ark=pki.ark(product),
        crl=RevocationList(issuer=f"ARK-{product}", serials=(1, 3)),
    )


def genuine_vlek(product: str) -> Evidence:
    evidence = genuine(product).with_report(key_info=1 << 2, chip_id=bytes(64))
    return replace(evidence, vek=pki.vlek(product), ask=pki.asvk(product))


GENOA, TURIN, MILAN = genuine("Genoa"), genuine("Turin"), genuine("Milan")
VLEK = genuine_vlek("Genoa")
VERSION_2 = GENOA.with_report(version=2, cpuid=bytes(3), launch_mitigations=0, current_mitigations=0)
VERSION_4 = GENOA.with_report(version=4, launch_mitigations=0, current_mitigations=0)


def accepted() -> Iterator[Case]:
    yield Case("genoa", GENOA)
    yield Case("turin", TURIN)
    yield Case("milan", MILAN)
    yield Case("milan-stepping", MILAN.with_vek_extension(AMD + "2", pki.ia5("Milan-B0")))
    yield Case("name-of-64", GENOA.with_vek_extension(AMD + "2", pki.ia5("Genoa-" + " ~" * 29)))
    yield Case("vlek", VLEK)
    yield Case("vlek-provider-of-64", VLEK.with_vek_extension(PROVIDER, pki.ia5("c" * 64)))
    yield Case("vlek-that-shows-its-chip", VLEK.with_report(chip_id=pki.CHIP_ID))
    yield Case("no-list", replace(GENOA, crl=None))
    yield Case("version-2", VERSION_2)
    yield Case(
        "version-2-turin", TURIN.with_report(version=2, cpuid=bytes(3), launch_mitigations=0, current_mitigations=0)
    )
    yield Case("version-3", VERSION_4.with_report(version=3))
    yield Case("version-4", VERSION_4)
    yield Case("masked", GENOA.with_report(key_info=2, chip_id=bytes(64)))
    yield Case("author-key", GENOA.with_report(key_info=1))
    yield Case("all-platform-bits", GENOA.with_report(platform_info=(1 << 64) - 1))
    yield Case("all-known-policy-bits", GENOA.with_report(policy=(1 << 26) - 1))
    yield Case("newer-firmware-runs", GENOA.with_report(current_tcb=bytes((11, 1, 0, 0, 0, 0, 28, 131))))
    yield Case("newer-build-runs", GENOA.with_report(current_firmware=b"\x03\x37\x01"))
    yield Case("debug", GENOA.with_report(policy=0x30000 | 1 << 19))
    yield Case("migration-agent", GENOA.with_report(policy=0x30000 | 1 << 18))
    yield Case("vmpl-1", GENOA.with_report(vmpl=1))
    yield Case("no-alias-check", GENOA.with_report(platform_info=0xDF))
    yield Case("serial-of-8-bits", GENOA.with_vek(serial=0x80))
    yield Case("serial-of-160-bits", GENOA.with_vek(serial=1 << 159))
    yield Case("chip-id-like-der", _with_chip(b"\x04\x3e" + bytes(range(62))))
    yield Case("unknown-extension", GENOA.with_vek_extension(AMD + "3.10", b"not DER"))
    yield Case("root-of-any-length-of-path", replace(GENOA, ark=replace(GENOA.ark, extensions=pki.ca_extensions(None))))
    yield Case("second-trusted-root", replace(GENOA, trusted=(TURIN.ark, GENOA.ark)))


def _with_chip(chip_id: bytes) -> Evidence:
    return GENOA.with_report(chip_id=chip_id).with_vek_extension(HARDWARE, chip_id)


def refused_forms() -> Iterator[Case]:
    """Faults of the report alone."""
    yield Case("short", replace(GENOA, report_bytes=1183), Reason.LENGTH)
    yield Case("long", replace(GENOA, report_tail=b"\0"), Reason.LENGTH)
    for version in (0, 1, 6, 1 << 31):
        yield Case(f"version-{version}", GENOA.with_report(version=version), Reason.VERSION)
    for algorithm in (0, 2):
        yield Case(f"algorithm-{algorithm}", GENOA.with_report(signature_algorithm=algorithm), Reason.SIG_ALGO)
    for key in (2, 3, 4, 5, 6, 7):
        yield Case(f"signing-key-{key}", GENOA.with_report(key_info=key << 2), Reason.SIGNING_KEY)
    for name, evidence in (
        ("policy-bit-17-off", GENOA.with_report(policy=0x10000)),
        ("policy-bit-26", GENOA.with_report(policy=0x30000 | 1 << 26)),
        ("policy-bit-63", GENOA.with_report(policy=0x30000 | 1 << 63)),
        ("key-info-bit-5", GENOA.with_report(key_info=1 << 5)),
        ("key-info-bit-31", GENOA.with_report(key_info=1 << 31)),
        ("version-2-with-cpuid", VERSION_2.with_report(cpuid=b"\x19\0\0")),
        ("version-2-with-stepping", VERSION_2.with_report(cpuid=b"\0\0\x01")),
        ("version-4-with-launch-mitigations", VERSION_4.with_report(launch_mitigations=1)),
        ("version-4-with-current-mitigations", VERSION_4.with_report(current_mitigations=1 << 63)),
    ):
        yield Case(name, evidence, Reason.RESERVED)
    for zeros, size in (("0x04c", 4), ("0x18b", 21), ("0x1eb", 1), ("0x1ef", 1), ("0x208", 152)):
        for filled in (b"\x01" + bytes(size - 1), bytes(size - 1) + b"\x80"):
            yield Case(f"filled-{zeros}-{filled[0]}", GENOA.with_report(**{f"zero_{zeros}": filled}), Reason.RESERVED)
    for place in (0x2D0, 0x2E7, 0x318, 0x32F, 0x330, 0x49F):
        yield Case(f"unsigned-{place:#x}", GENOA.with_patch(place, b"\x01"), Reason.RESERVED)


def refused_chains() -> Iterator[Case]:
    """Faults of forms, keys and issuers of certificates."""
    for name in ("vek", "ask", "ark"):
        yield Case(f"{name}-with-a-byte-behind", replace(GENOA, **{f"{name}_tail": b"\0"}), Reason.CERT_DER)
    for name, oid, content in (
        ("name-no-text", AMD + "2", der.write_integer(1)),
        ("name-with-a-byte-behind", AMD + "2", pki.ia5("Genoa") + b"\0"),
        ("name-not-ascii", AMD + "2", pki.ia5("Genoa\u00e9")),
        ("name-with-a-control", AMD + "2", pki.ia5("Genoa-\x1f")),
        ("name-with-delete", AMD + "2", pki.ia5("Genoa-\x7f")),
        ("name-with-a-line-end", AMD + "2", pki.ia5("Genoa-\n")),
        ("name-of-65", AMD + "2", pki.ia5("Genoa-" + "~" * 59)),
        ("svn-no-integer", AMD + "3.1", b"\x0a"),
        ("svn-negative", AMD + "3.8", b"\x02\x01\x82"),
        ("svn-not-minimal", AMD + "3.1", b"\x02\x02\x00\x0a"),
        ("svn-with-a-byte-behind", AMD + "3.1", b"\x02\x01\x0a\x00"),
    ):
        yield Case(f"vek-{name}", GENOA.with_vek_extension(oid, content), Reason.CERT_DER)
    yield Case("vlek-provider-of-65", VLEK.with_vek_extension(PROVIDER, pki.ia5("c" * 65)), Reason.CERT_DER)
    yield Case("vlek-provider-no-text", VLEK.with_vek_extension(PROVIDER, b"cloud"), Reason.CERT_DER)
    yield Case("vek-critical-extension", GENOA.with_vek_extension(AMD + "77", b"", is_critical=True), Reason.CERT_DER)
    yield Case("vek-on-p256", GENOA.with_vek(key="p256:chip"), Reason.CERT_KEY)
    yield Case("vek-rsa", GENOA.with_vek(key="issuer"), Reason.CERT_KEY)
    yield Case("ask-on-p384", GENOA.with_ask(key="p384:ask"), Reason.CERT_KEY)
    yield Case("ark-on-p384", replace(GENOA, crl=None).with_ark(key="p384:ark"), Reason.CERT_KEY)
    foreign = replace(GENOA.ark, key="issuer", signer="issuer")
    yield Case("foreign-root", replace(GENOA, trusted=(foreign,)), Reason.ROOT_UNTRUSTED)
    yield Case("no-root", replace(GENOA, trusted=()), Reason.ROOT_UNTRUSTED)
    yield Case("ask-of-another-key", GENOA.with_ask(signer="issuer"), Reason.ASK_BAD_ISSUER)
    yield Case("ask-of-another-name", GENOA.with_ask(issuer="ARK-Turin"), Reason.ASK_BAD_ISSUER)
    yield Case("vek-of-another-key", GENOA.with_vek(signer="root"), Reason.VEK_BAD_ISSUER)
    yield Case("vek-of-another-name", GENOA.with_vek(issuer="SEV-Turin"), Reason.VEK_BAD_ISSUER)
    for name, extensions in (
        ("no-authority", pki.ca_extensions(0, is_ca=False)),
        ("no-signing", pki.ca_extensions(1, usage=pki.CRL_SIGN)),
        ("no-usage", pki.ca_extensions(1)[:1]),
    ):
        broken = replace(GENOA, crl=None)
        yield Case(f"ark-{name}", broken.with_ark(extensions=extensions), Reason.ASK_BAD_ISSUER)
        yield Case(f"ask-{name}", broken.with_ask(extensions=extensions), Reason.VEK_BAD_ISSUER)
    yield Case("ark-path-length-0", GENOA.with_ark(extensions=pki.ca_extensions(0)), Reason.ASK_BAD_ISSUER)


def refused_times() -> Iterator[Case]:
    """Both ends of each window, to the second: the last good one and the first bad one."""
    start, end = pki.MAY_2026 + 1000, pki.JULY_2026 - 1000
    with_certificate: dict[str, Callable[..., Evidence]] = {
        "ark": GENOA.with_ark,
        "ask": GENOA.with_ask,
        "vek": GENOA.with_vek,
    }
    for name, change in with_certificate.items():
        evidence = change(not_before_s=start, not_after_s=end)
        early, late = Reason[f"{name.upper()}_NOT_YET_VALID"], Reason[f"{name.upper()}_EXPIRED"]
        # A list of revocations is checked at its own start, when the root must be valid as well.
        evidence = replace(evidence, crl=None)
        yield Case(f"{name}-first-second", evidence.at(start))
        yield Case(f"{name}-last-second", evidence.at(end))
        yield Case(f"{name}-too-early", evidence.at(start - 1), early)
        yield Case(f"{name}-too-late", evidence.at(end + 1), late)
    yield Case("crl-first-second", GENOA.at(pki.MAY_2026))
    yield Case("crl-last-second", GENOA.at(pki.JULY_2026 - 1))
    yield Case("crl-too-early", GENOA.at(pki.MAY_2026 - 1), Reason.CRL_NOT_YET_VALID)
    yield Case("crl-too-late", GENOA.at(pki.JULY_2026), Reason.CRL_EXPIRED)


def refused_kinds() -> Iterator[Case]:
    """Names and lists that do not fit."""
    for name, evidence in (
        ("vcek-for-vlek", GENOA.with_report(key_info=1 << 2)),
        ("vlek-for-vcek", VLEK.with_report(key_info=0)),
        ("vcek-of-asvk", replace(GENOA, ask=pki.asvk("Genoa")).with_vek(issuer="SEV-VLEK-Genoa")),
        ("vlek-of-ask", replace(VLEK, ask=pki.ask("Genoa")).with_vek(issuer="SEV-Genoa")),
        ("vcek-without-prefix", GENOA.with_vek(subject="VCEK")),
        ("ask-of-no-product", GENOA.with_ask(subject="SEV-Venice").with_vek(issuer="SEV-Venice")),
    ):
        yield Case(name, evidence, Reason.VEK_KIND)
    twin = replace(GENOA.ark, serial=99)
    yield Case("crl-of-a-root-of-the-same-name", replace(GENOA, crl_ark=twin), Reason.CRL_SIGNATURE)
    other = replace(GENOA, crl=RevocationList(issuer="ARK-Turin"), crl_ark=TURIN.ark)
    yield Case("crl-of-turin", other, Reason.CRL_SIGNATURE)
    revoked = RevocationList(issuer="ARK-Genoa", serials=(1, 2, 3))
    yield Case("ask-revoked", replace(GENOA, crl=revoked), Reason.ASK_REVOKED)
    yield Case("asvk-revoked", replace(VLEK, crl=revoked), Reason.ASK_REVOKED)


def refused_products() -> Iterator[Case]:
    for name, evidence in (
        ("cpuid-milan", GENOA.with_report(cpuid=b"\x19\x0f\x00")),
        ("cpuid-turin", GENOA.with_report(cpuid=b"\x1a\x11\x00")),
        ("cpuid-venice", TURIN.with_report(cpuid=b"\x1a\x50\x00")),
        ("cpuid-rome", GENOA.with_report(cpuid=b"\x17\x31\x00")),
        ("name-milan", GENOA.with_vek_extension(AMD + "2", pki.ia5("Milan-B0"))),
        ("name-milan-version-2", VERSION_2.with_vek_extension(AMD + "2", pki.ia5("Milan-B0"))),
        ("name-missing", GENOA.with_vek_extension(AMD + "2", None)),
        ("name-lower-case", GENOA.with_vek_extension(AMD + "2", pki.ia5("genoa"))),
        ("name-longer", GENOA.with_vek_extension(AMD + "2", pki.ia5("Genoa2"))),
        ("ask-milan", GENOA.with_ask(subject="SEV-Milan").with_vek(issuer="SEV-Milan")),
        ("asvk-milan", VLEK.with_ask(subject="SEV-VLEK-Milan").with_vek(issuer="SEV-VLEK-Milan")),
        ("ark-of-no-product", replace(GENOA, crl=None).with_ark(subject="ARK", issuer="ARK").with_ask(issuer="ARK")),
    ):
        yield Case(name, evidence, Reason.PRODUCT_MISMATCH)


def _raised(word: bytes, index: int, by: int = 1) -> bytes:
    return bytes(octet + by if place == index else octet for place, octet in enumerate(word))


def refused_tcbs() -> Iterator[Case]:
    """Security versions, component by component."""
    genoa = {"3.1": 0, "3.2": 1, "3.3": 6, "3.8": 7}
    turin = {"3.9": 0, "3.1": 1, "3.2": 2, "3.3": 3, "3.8": 7}
    for name, evidence, tcb, places in (("genoa", GENOA, GENOA_TCB, genoa), ("turin", TURIN, TURIN_TCB, turin)):
        for suffix, index in places.items():
            for by in (1, -1) if tcb[index] else (1,):
                svn = der.write_integer(tcb[index] + by)
                changed = evidence.with_vek_extension(AMD + suffix, svn)
                yield Case(f"{name}-certified-{suffix}-{by}", changed, Reason.TCB_MISMATCH)
            wrapped = evidence.with_vek_extension(AMD + suffix, der.write_integer(tcb[index] + 256))
            yield Case(f"{name}-certified-{suffix}-256", wrapped, Reason.CERT_DER)
            largest = evidence.with_vek_extension(AMD + suffix, der.write_integer(255))
            yield Case(f"{name}-certified-{suffix}-of-255", largest, Reason.TCB_MISMATCH)
            endless = evidence.with_vek_extension(AMD + suffix, der.write_integer(1 << 20_000))
            yield Case(f"{name}-certified-{suffix}-of-20000-bits", endless, Reason.CERT_DER)
            missing = evidence.with_vek_extension(AMD + suffix, None)
            yield Case(f"{name}-without-{suffix}", missing, Reason.TCB_MISMATCH)
            higher = _raised(tcb, index)
            above = evidence.with_report(committed_tcb=higher)
            yield Case(f"{name}-committed-above-{suffix}", above, Reason.TCB_ORDER)
            if tcb[index]:
                lower = evidence.with_report(committed_tcb=_raised(tcb, index, -1))
                yield Case(f"{name}-committed-below-{suffix}", lower, Reason.TCB_ORDER)
        for index in set(range(8)) - set(places.values()):
            for word in ("reported_tcb", "committed_tcb", "current_tcb", "launch_tcb"):
                filled = evidence.with_report(**{word: _raised(tcb, index)})
                yield Case(f"{name}-{word}-byte-{index}", filled, Reason.TCB_RESERVED)
    for suffix in ("3.4", "3.5", "3.6", "3.7"):
        spare = GENOA.with_vek_extension(AMD + suffix, der.write_integer(1))
        yield Case(f"spare-{suffix}", spare, Reason.TCB_MISMATCH)
    yield Case(
        "turin-word-in-the-old-layout",
        TURIN.with_report(reported_tcb=bytes((2, 3, 0, 0, 0, 0, 4, 81))),
        Reason.TCB_MISMATCH,
    )


def refused_chips() -> Iterator[Case]:
    for name, evidence in (
        ("other", GENOA.with_vek_extension(HARDWARE, pki.CHIP_ID[::-1])),
        ("last-bit", GENOA.with_vek_extension(HARDWARE, pki.CHIP_ID[:-1] + b"\x41")),
        ("missing", GENOA.with_vek_extension(HARDWARE, None)),
        ("of-8-bytes", GENOA.with_vek_extension(HARDWARE, pki.CHIP_ID[:8])),
        ("wrapped-in-der", GENOA.with_vek_extension(HARDWARE, der.write_octets(pki.CHIP_ID))),
        ("zero", GENOA.with_report(chip_id=bytes(64))),
        ("shown-although-masked", GENOA.with_report(key_info=2)),
        ("first-byte-although-masked", GENOA.with_report(key_info=2, chip_id=b"\1" + bytes(63))),
        ("last-byte-although-masked", GENOA.with_report(key_info=2, chip_id=bytes(63) + b"\1")),
        ("turin-tail", TURIN.with_report(chip_id=pki.CHIP_ID)),
        ("turin-of-64-bytes", TURIN.with_vek_extension(HARDWARE, pki.CHIP_ID[:8] + bytes(56))),
        ("turin-other", TURIN.with_vek_extension(HARDWARE, pki.CHIP_ID[1:9])),
        ("vlek-with-hardware", VLEK.with_vek_extension(HARDWARE, pki.CHIP_ID)),
        ("vlek-without-provider", VLEK.with_vek_extension(PROVIDER, None)),
        ("vlek-with-empty-provider", VLEK.with_vek_extension(PROVIDER, pki.ia5(""))),
    ):
        yield Case(f"chip-{name}", evidence, Reason.CHIP_ID_MISMATCH)


def refused_signatures() -> Iterator[Case]:
    for name, evidence in (
        ("of-another-chip", replace(GENOA, report=replace(GENOA.report, signer="other chip"))),
        ("over-other-measurement", GENOA.with_patch(0x090, b"m")),
        ("over-other-report-data", GENOA.with_patch(0x08F, b"d")),
        ("over-other-last-field", GENOA.with_patch(0x207, b"\x01")),
        ("with-other-r", GENOA.with_patch(0x2A0, bytes(48))),
        ("with-other-s", GENOA.with_patch(0x2E8, bytes(48))),
    ):
        yield Case(f"signature-{name}", evidence, Reason.REPORT_SIGNATURE)


def all_cases() -> tuple[Case, ...]:
    groups = (
        accepted,
        refused_forms,
        refused_chains,
        refused_times,
        refused_kinds,
        refused_products,
        refused_tcbs,
        refused_chips,
        refused_signatures,
    )
    return tuple(case for group in groups for case in group())
