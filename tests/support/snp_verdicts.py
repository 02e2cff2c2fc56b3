"""SEV-SNP evidence and revocation lists through the verifier, each with one verdict that can be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TypeVar

from tee import amd_collateral, sev_snp
from tee.claims import Verified
from tee.documents import RevokedSerials
from tee.errors import EvidenceRejected, Reason
from tee.roots import Roots, TrustedRoot
from tests.support import snp_pki as pki
from tests.support.snp_cases import GENOA, TURIN, VLEK, Case, Encoded, Evidence, all_cases
from tests.support.snp_pki import Certificate, RevocationList

Subject = TypeVar("Subject")
Answer = TypeVar("Answer")


@cache
def encoded_cases() -> tuple[tuple[Case, Encoded], ...]:
    """Return all cases with their bytes, made once."""
    return tuple((case, case.evidence.encode()) for case in all_cases())


def verify(encoded: Encoded) -> Verified:
    """Take in the revocation list in its first second, then verify the evidence in its own."""
    crl = None
    if encoded.crl is not None:
        crl = amd_collateral.check_amd_crl(encoded.crl, (encoded.crl_ark,), encoded.crl_time_s)
    trusted = tuple(TrustedRoot(der=der, is_simulated=False) for der in encoded.trusted)
    return sev_snp.verify_snp(encoded.report, encoded.vek, encoded.ask, encoded.ark, trusted, crl, encoded.time_s)


@dataclass(frozen=True, kw_only=True)
class Intake:
    """A revocation list offered to the chain, and why it is refused, if it is."""

    name: str
    crl: RevocationList
    arks: tuple[Certificate, ...] = (pki.ark("Turin"), pki.ark("Genoa"))
    time_s: int = pki.JUNE_2026
    tail: bytes = b""
    reason: Reason | None = None


def intakes() -> Iterator[Intake]:
    genoa, narrow = RevocationList(issuer="ARK-Genoa", serials=(3, 1, 3, 1 << 159)), pki.ark("Genoa")
    narrow = replace(narrow, not_before_s=pki.MAY_2026 + 5, not_after_s=pki.JULY_2026 - 5)
    yield Intake(name="good", crl=genoa)
    yield Intake(name="empty", crl=replace(genoa, serials=()))
    yield Intake(name="byte-behind", crl=genoa, tail=b"\0", reason=Reason.PARSE)
    yield Intake(name="of-another-key", crl=replace(genoa, signer="issuer"), reason=Reason.CRL_SIGNATURE)
    yield Intake(name="of-another-name", crl=replace(genoa, issuer="SEV-Genoa"), reason=Reason.CRL_SIGNATURE)
    yield Intake(name="of-no-trusted-root", crl=genoa, arks=(pki.ark("Turin"),), reason=Reason.CRL_SIGNATURE)
    for name, extensions in (
        ("no-authority", pki.ca_extensions(None, is_ca=False)),
        ("no-list-signing", pki.ca_extensions(1, usage=pki.CERT_SIGN)),
        ("no-usage", pki.ca_extensions(1)[:1]),
    ):
        ark = replace(pki.ark("Genoa"), extensions=extensions)
        yield Intake(name=f"root-{name}", crl=genoa, arks=(ark,), reason=Reason.CRL_SIGNATURE)
    for name, time_s, reason in (
        ("first-second", narrow.not_before_s, None),
        ("last-second", narrow.not_after_s, None),
        ("too-early", narrow.not_before_s - 1, Reason.ARK_NOT_YET_VALID),
        ("too-late", narrow.not_after_s + 1, Reason.ARK_EXPIRED),
    ):
        yield Intake(name=f"root-{name}", crl=genoa, arks=(narrow,), time_s=time_s, reason=reason)
    yield Intake(name="first-second", crl=genoa, time_s=pki.MAY_2026)
    yield Intake(name="last-second", crl=genoa, time_s=pki.JULY_2026 - 1)
    yield Intake(name="too-early", crl=genoa, time_s=pki.MAY_2026 - 1, reason=Reason.CRL_NOT_YET_VALID)
    yield Intake(name="too-late", crl=genoa, time_s=pki.JULY_2026, reason=Reason.CRL_EXPIRED)


def take_in(intake: Intake) -> RevokedSerials:
    """Offer a revocation list to the chain."""
    arks = tuple(ark.encode() for ark in intake.arks)
    return amd_collateral.check_amd_crl(intake.crl.encode() + intake.tail, arks, intake.time_s)


@dataclass(frozen=True)
class Lists:
    """Stored revocation lists, by the SHA-256 of the root."""

    by_root: dict[bytes, RevokedSerials] = field(default_factory=dict)

    def amd_crl(self, root: bytes, /) -> RevokedSerials | None:
        return self.by_root.get(root)


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A report with its VEK behind it, the roots with the CAs below them, and the stored lists."""

    name: str
    evidence: bytes
    roots: Roots
    lists: Lists = field(default_factory=Lists)
    reason: Reason | None = None
    is_simulated: bool = False


def trust(*evidences: Evidence, is_simulated: bool = False) -> tuple[TrustedRoot, ...]:
    """Return the roots of these pieces of evidence, each with its CA below it."""
    return tuple(
        TrustedRoot(der=each.ark.encode(), is_simulated=is_simulated, intermediates=(each.ask.encode(),))
        for each in evidences
    )


def bundles() -> Iterator[Bundle]:
    vendor = Roots(amd=trust(TURIN, GENOA, VLEK))
    twin = replace(GENOA, ark=pki.swap_keys(GENOA.ark), ask=pki.swap_keys(GENOA.ask), vek=pki.swap_keys(GENOA.vek))
    both = Roots(amd=(*vendor.amd, *trust(twin, is_simulated=True)))
    genoa, vlek = (each.report.encode() + each.vek.encode() for each in (GENOA, VLEK))
    revoking = take_in(Intake(name="", crl=replace(GENOA.crl, serials=(2,))))
    yield Bundle(name="vcek", evidence=genoa, roots=vendor)
    yield Bundle(name="vlek", evidence=vlek, roots=vendor)
    yield Bundle(name="vendor-beside-twin", evidence=genoa, roots=both)
    twins = twin.report.encode() + twin.vek.encode()
    yield Bundle(name="twin-beside-vendor", evidence=twins, roots=both, is_simulated=True)
    yield Bundle(name="twin-untrusted", evidence=twins, roots=vendor, reason=Reason.VEK_BAD_ISSUER)
    yield Bundle(name="no-root", evidence=genoa, roots=Roots(), reason=Reason.VEK_BAD_ISSUER)
    yield Bundle(name="cut-report", evidence=genoa[:1183], roots=vendor, reason=Reason.LENGTH)
    yield Bundle(name="no-certificate", evidence=genoa[:1184], roots=vendor, reason=Reason.CERT_DER)
    yield Bundle(name="byte-behind", evidence=genoa + b"\0", roots=vendor, reason=Reason.CERT_DER)
    stolen = TrustedRoot(der=TURIN.ark.encode(), is_simulated=False, intermediates=(GENOA.ask.encode(),))
    yield Bundle(name="ca-of-another-root", evidence=genoa, roots=Roots(amd=(stolen,)), reason=Reason.ASK_BAD_ISSUER)
    torn = TrustedRoot(der=GENOA.ark.encode(), is_simulated=False, intermediates=(b"0",))
    yield Bundle(name="ca-torn", evidence=genoa, roots=Roots(amd=(torn,)), reason=Reason.CERT_DER)
    lists = Lists({revoking.root: revoking})
    yield Bundle(name="ca-revoked", evidence=genoa, roots=vendor, lists=lists, reason=Reason.ASK_REVOKED)
    yield Bundle(name="twin-not-revoked", evidence=twins, roots=both, lists=lists, is_simulated=True)


def verify_bundle(bundle: Bundle) -> Verified:
    return sev_snp.verify_sev_snp(bundle.evidence, bundle.lists, bundle.roots, pki.JUNE_2026)


def verdict_of(verify: Callable[[Subject], Answer], subject: Subject) -> Answer | Reason:
    """Return the answer, or why it is refused."""
    try:
        return verify(subject)
    except EvidenceRejected as rejection:
        return rejection.reason
