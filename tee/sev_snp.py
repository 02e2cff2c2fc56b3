"""AMD SEV-SNP: from a report and its endorsement certificate to claims, and AMD's revocation lists.

Evidence is the report, 1,184 bytes, followed by the VCEK or VLEK certificate in DER, and nothing behind it. The certificates above
come from the trusted roots. One input has one reason on every machine, because the checks run in this order:

1. length, version, algorithm, kind of key; reserved bits and zeros of the report (tee/snp_report.py);
2. certificates parse (CERT_DER, CERT_KEY), the root is trusted, the ASK is the root's, the VEK is the ASK's;
3. block time lies in all three validities; names fit the kind of key that the report names;
4. the revocation list, where one is stored: of this root, current, without the ASK;
5. product, security versions, chip id: report, chain and extensions say the same;
6. the signature over the received bytes; the order of the TCBs.

What then remains is a claim, not a judgement: debug, VMPL, masked ids, provisional firmware.
Source: attestation specification, section 4.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final, Protocol, TypeVar

from tee.amd_collateral import check_crl_window
from tee.certificate_chain import check_window, find_root
from tee.claims import Flag, SnpClaims, SnpProduct, Verified
from tee.der import DerError
from tee.documents import RevokedSerials
from tee.errors import EvidenceRejected, Reason
from tee.roots import Roots, TrustedRoot
from tee.signatures import verify_p384
from tee.snp_report import (
    CHIP_ID_BYTES,
    PLATFORM_ALIAS_CHECK,
    POLICY_DEBUG,
    POLICY_MIGRATE_MA,
    REPORT_BYTES,
    SIGNING_KEY_VLEK,
    SnpReport,
    find_product,
    has_reserved_tcb,
    is_tcb_within,
    parse_report,
    read_tcb,
)
from tee.vek import (
    ARK_PRODUCTS,
    ASK_PRODUCTS,
    ASVK_PRODUCTS,
    PRODUCT_NAMES,
    SVN_BOOT_LOADER,
    SVN_FMC,
    SVN_MICROCODE,
    SVN_SNP,
    SVN_SPARES,
    SVN_TEE,
    VCEK_NAME,
    VLEK_NAME,
    SnpChain,
    Vek,
    is_ask_of,
    is_vek_of,
    parse_authority,
    parse_vek,
)

Parsed = TypeVar("Parsed")

_ISSUER_PRODUCTS: Final = {**ASK_PRODUCTS, **ASVK_PRODUCTS}


class AmdCollateral(Protocol):
    """What this verifier asks of the stored collateral."""

    def amd_crl(self, root: bytes, /) -> RevokedSerials | None:
        """Return the checked list of the ARK with this SHA-256, or None where none is stored."""


def verify_sev_snp(evidence: bytes, collateral: AmdCollateral, roots: Roots, time_s: int) -> Verified:
    """Verify a report and the VEK behind it at block time; the CAs above are those of the trusted roots.

    The answer is that of `verify_snp` for the CA that issued the VEK, with the list stored for its root. A VEK that no CA of
    the trusted roots issued has VEK_BAD_ISSUER.

    Raises:
        EvidenceRejected: as `verify_snp`, without ROOT_UNTRUSTED.
    """
    report = parse_report(evidence[:REPORT_BYTES])
    vek = _read(parse_vek, evidence[REPORT_BYTES:])
    chain, root = _find_chain(vek, roots.amd)
    return _verify_chain(report, chain, root, collateral.amd_crl(chain.ark.fingerprint), time_s)


def verify_snp(
    report: bytes,
    vek_der: bytes,
    ask_der: bytes,
    ark_der: bytes,
    trusted: Iterable[TrustedRoot],
    crl: RevokedSerials | None,
    time_s: int,
) -> Verified:
    """Verify a report under a VEK and the two certificates above it, at block time.

    Args:
        report: 1,184 bytes.
        vek_der: VCEK or VLEK, at most 4 KiB.
        ask_der: ASK or ASVK.
        ark_der: root of the chain; must be one of the trusted ones, byte by byte.
        trusted: roots with their marks; the CAs that they bring are not used.
        crl: checked list of the same ARK, or None where none is stored.
        time_s: seconds since 1970.

    Raises:
        EvidenceRejected: LENGTH, VERSION, SIG_ALGO, SIGNING_KEY, RESERVED, CERT_DER, CERT_KEY, ROOT_UNTRUSTED, ASK_BAD_ISSUER,
            VEK_BAD_ISSUER, {ARK,ASK,VEK}_{NOT_YET_VALID,EXPIRED}, VEK_KIND, CRL_SIGNATURE, CRL_NOT_YET_VALID, CRL_EXPIRED,
            ASK_REVOKED, PRODUCT_MISMATCH, TCB_MISMATCH, TCB_RESERVED, CHIP_ID_MISMATCH, REPORT_SIGNATURE, TCB_ORDER.
    """
    parsed = parse_report(report)
    chain = SnpChain(_read(parse_vek, vek_der), _read(parse_authority, ask_der), _read(parse_authority, ark_der))
    root = find_root(chain.ark.der, trusted)
    _check_ask(chain)
    if not is_vek_of(chain.vek.certificate, chain.ask):
        raise EvidenceRejected(Reason.VEK_BAD_ISSUER, chain.vek.certificate.issuer_common_name, chain.ask.common_name)
    return _verify_chain(parsed, chain, root, crl, time_s)


def _read(parse: Callable[[bytes], Parsed], der: bytes) -> Parsed:
    try:
        return parse(der)
    except DerError as error:
        raise EvidenceRejected(Reason.CERT_DER, str(error)) from error


def _find_chain(vek: Vek, trusted: Iterable[TrustedRoot]) -> tuple[SnpChain, TrustedRoot]:
    """Return the chain above a VEK; where two roots have CAs of one name, the signature tells which is meant."""
    for root in trusted:
        for ask_der in root.intermediates:
            ask = _read(parse_authority, ask_der)
            if is_vek_of(vek.certificate, ask):
                chain = SnpChain(vek, ask, _read(parse_authority, root.der))
                _check_ask(chain)
                return chain, root
    raise EvidenceRejected(Reason.VEK_BAD_ISSUER, vek.certificate.issuer_common_name, "a CA of the trusted roots")


def _check_ask(chain: SnpChain) -> None:
    if not is_ask_of(chain.ask.der, chain.ark.der):
        raise EvidenceRejected(Reason.ASK_BAD_ISSUER, chain.ask.common_name, chain.ark.common_name)


def _verify_chain(
    report: SnpReport, chain: SnpChain, root: TrustedRoot, crl: RevokedSerials | None, time_s: int
) -> Verified:
    """Make the checks from the times on, of a chain whose issuers are checked."""
    _check_validity(chain, time_s)
    _check_names(chain, report.signing_key)
    if crl is not None:
        _check_revocation(crl, chain, time_s)
    product = _check_product(report, chain)
    _check_tcb(report, chain.vek, product)
    _check_chip(report, chain.vek, product)
    if not verify_p384(chain.vek.point, report.signature, report.signed):
        raise EvidenceRejected(Reason.REPORT_SIGNATURE)
    _check_tcb_order(report, product)
    windows = [(each.not_before_s, each.not_after_s) for each in (chain.ark, chain.ask, chain.vek.certificate)]
    if crl is not None:
        windows.append((crl.valid_from_s, crl.valid_until_s))
    return Verified(
        claims=_claim(report, chain.vek, product),
        root=chain.ark.fingerprint,
        is_simulated=root.is_simulated,
        valid_from_s=max(start for start, _end in windows),
        valid_until_s=min(end for _start, end in windows),
    )


def _check_validity(chain: SnpChain, time_s: int) -> None:
    """Check both ends of each certificate, from the root down; both belong to the validity."""
    check_window(chain.ark, time_s, Reason.ARK_NOT_YET_VALID, Reason.ARK_EXPIRED)
    check_window(chain.ask, time_s, Reason.ASK_NOT_YET_VALID, Reason.ASK_EXPIRED)
    check_window(chain.vek.certificate, time_s, Reason.VEK_NOT_YET_VALID, Reason.VEK_EXPIRED)


def _check_names(chain: SnpChain, signing_key: int) -> None:
    """Check that the names are those of the kind of key that signed: a cloud's key must not pass for a chip's."""
    is_vlek = signing_key == SIGNING_KEY_VLEK
    name, issuers = (VLEK_NAME, ASVK_PRODUCTS) if is_vlek else (VCEK_NAME, ASK_PRODUCTS)
    if chain.vek.certificate.common_name != name:
        raise EvidenceRejected(Reason.VEK_KIND, chain.vek.certificate.common_name, name)
    if chain.ask.common_name not in issuers:
        raise EvidenceRejected(Reason.VEK_KIND, chain.ask.common_name, f"an issuer of {name}")


def _check_revocation(crl: RevokedSerials, chain: SnpChain, time_s: int) -> None:
    """Check the stored list again, since block time moves on. VCEKs all have serial number 0: only CAs can be listed."""
    if crl.root != chain.ark.fingerprint:
        raise EvidenceRejected(Reason.CRL_SIGNATURE, "list of another root", chain.ark.common_name)
    check_crl_window(crl.issued_s, crl.next_update_s, time_s)
    if crl.is_revoked(chain.ask.serial):
        raise EvidenceRejected(Reason.ASK_REVOKED, chain.ask.common_name)


def _check_product(report: SnpReport, chain: SnpChain) -> SnpProduct:
    """Return the product that the root, the ASK, the VEK's extension and the CPUID agree on; version 2 has no CPUID."""
    product = ARK_PRODUCTS.get(chain.ark.common_name)
    if product is None:
        raise EvidenceRejected(Reason.PRODUCT_MISMATCH, chain.ark.common_name)
    family, model = report.fields.cpuid
    if report.has_cpuid and find_product(family, model) is not product:
        raise EvidenceRejected(Reason.PRODUCT_MISMATCH, f"CPUID {family:#x} {model:#x}", product.name)
    for name, named in (
        (chain.ask.common_name, _ISSUER_PRODUCTS.get(chain.ask.common_name)),
        (chain.vek.product_name, PRODUCT_NAMES.get(chain.vek.product_name.partition("-")[0])),
    ):
        if named is not product:
            raise EvidenceRejected(Reason.PRODUCT_MISMATCH, name, product.name)
    return product


def _check_tcb(report: SnpReport, vek: Vek, product: SnpProduct) -> None:
    """Check that the reported TCB is exactly that of the key, component by component, and that no word says more than it may."""
    reported = read_tcb(report.fields.reported_tcb, product)
    components = {
        SVN_BOOT_LOADER: reported.boot_loader,
        SVN_TEE: reported.tee,
        SVN_SNP: reported.snp,
        SVN_MICROCODE: reported.microcode,
    }
    if product is SnpProduct.TURIN:
        components[SVN_FMC] = reported.fmc
    for suffix, svn in components.items():
        if vek.svns.get(suffix) != svn:
            raise EvidenceRejected(Reason.TCB_MISMATCH, f"{suffix} is {svn}", f"{vek.svns.get(suffix)}")
    for suffix in SVN_SPARES:
        if vek.svns.get(suffix, 0) != 0:
            raise EvidenceRejected(Reason.TCB_MISMATCH, f"{suffix} is 0", f"{vek.svns[suffix]}")
    fields = report.fields
    for word in (fields.reported_tcb, fields.committed_tcb, fields.current_tcb, fields.launch_tcb):
        if has_reserved_tcb(word, product):
            raise EvidenceRejected(Reason.TCB_RESERVED, word.hex())


def _check_chip(report: SnpReport, vek: Vek, product: SnpProduct) -> None:
    """Check that the certificate is that of the reporting chip; a VLEK names its cloud and no chip."""
    chip_id = report.fields.chip_id
    if report.signing_key == SIGNING_KEY_VLEK:
        if vek.hardware_id is not None:
            raise EvidenceRejected(Reason.CHIP_ID_MISMATCH, "VLEK with a hardware id")
        if not vek.csp_id:
            raise EvidenceRejected(Reason.CHIP_ID_MISMATCH, "VLEK without a provider")
    elif report.is_chip_masked:
        if any(chip_id):
            raise EvidenceRejected(Reason.CHIP_ID_MISMATCH, chip_id.hex(), "masked")
    else:
        size = CHIP_ID_BYTES[product]
        hardware_id = vek.hardware_id or b""
        if chip_id[:size] != hardware_id or any(chip_id[size:]):
            raise EvidenceRejected(Reason.CHIP_ID_MISMATCH, chip_id.hex(), hardware_id.hex())


def _check_tcb_order(report: SnpReport, product: SnpProduct) -> None:
    words = (report.fields.reported_tcb, report.fields.committed_tcb, report.fields.current_tcb)
    reported, committed, current = (read_tcb(word, product) for word in words)
    if not (is_tcb_within(reported, committed) and is_tcb_within(committed, current)):
        raise EvidenceRejected(Reason.TCB_ORDER, " ".join(word.hex() for word in words))


def _claim(report: SnpReport, vek: Vek, product: SnpProduct) -> SnpClaims:
    fields, certificate = report.fields, vek.certificate
    is_vlek = report.signing_key == SIGNING_KEY_VLEK
    chip_id = fields.chip_id[: CHIP_ID_BYTES[product]]
    return SnpClaims(
        product=product,
        is_vlek=is_vlek,
        csp_id=vek.csp_id if is_vlek else "",
        chip_id=chip_id if any(chip_id) else b"",
        vek_issuer=sha256(certificate.issuer).digest(),
        vek_serial=certificate.serial.to_bytes(max(1, (certificate.serial.bit_length() + 7) // 8), "big"),
        vek_not_after_s=certificate.not_after_s,
        flags=_list_flags(report),
        report_data=fields.report_data,
        report_version=fields.version,
        guest_svn=fields.guest_svn,
        policy=fields.policy,
        platform_info=fields.platform_info,
        vmpl=fields.vmpl,
        reported=read_tcb(fields.reported_tcb, product),
        committed=read_tcb(fields.committed_tcb, product),
        current=read_tcb(fields.current_tcb, product),
        launch=read_tcb(fields.launch_tcb, product),
        launch_mitigations=fields.launch_mitigations,
        current_mitigations=fields.current_mitigations,
        measurement=fields.measurement,
        host_data=fields.host_data,
        family_id=fields.family_id,
        image_id=fields.image_id,
        id_key_digest=fields.id_key_digest,
        author_key_digest=fields.author_key_digest,
    )


def _list_flags(report: SnpReport) -> tuple[Flag, ...]:
    """Return the flags in the order of their list; a chip id of zeros counts as masked under a VLEK too."""
    fields = report.fields
    is_provisional = fields.current_tcb != fields.committed_tcb or fields.current_firmware != fields.committed_firmware
    states = (
        (Flag.DEBUG, fields.policy & POLICY_DEBUG),
        (Flag.MIGRATE_MA, fields.policy & POLICY_MIGRATE_MA),
        (Flag.VMPL, fields.vmpl),
        (Flag.CHIP_ID_MASKED, not any(fields.chip_id)),
        (Flag.NO_ALIAS_CHECK, not fields.platform_info & PLATFORM_ALIAS_CHECK),
        (Flag.PROVISIONAL_FIRMWARE, is_provisional),
    )
    return tuple(flag for flag, is_raised in states if is_raised)
