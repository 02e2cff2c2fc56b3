"""Ways to break one thing in a quote of simulated hardware, each with the reason for which our verifier must refuse it."""

from __future__ import annotations

from collections.abc import Callable
from struct import pack_into, unpack_from
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct
from msgspec.structs import replace

from tee.amd_roots import AMD_GENOA_ARK
from tee.certificates import parse_certificate
from tee.der import SEQUENCE, DerReader
from tee.der_writer import write_integer, write_octets, write_oid, write_sequence, write_set, write_text
from tee.errors import Reason
from tee.simulated import SimulatedVendor
from tee.simulated_certificates import (
    AUTHORITY_KEY_ID,
    BASIC_CONSTRAINTS,
    CRL_DISTRIBUTION_POINTS,
    CRL_SIGN,
    KEY_USAGE,
    SGX_EXTENSION,
    SUBJECT_KEY_ID,
    issue_certificate,
    write_extension,
    write_pck_extension,
)
from tee.simulated_documents import ModuleTemplate
from tee.simulated_quotes import SGX_QE, TD_QE, write_pem
from tests.support.simulated_world import MACHINE, NOW_S, SGX_WORLD, TDX_15_WORLD, TDX_WORLD, World

Change = Callable[[World], World]

STRANGER: Final = SimulatedVendor(b"stranger")
"""Another vendor, with the same names."""


class Fault(Struct, frozen=True):
    """One broken thing, and the one reason for which it is refused."""

    name: str
    reason: Reason
    change: Change
    base: World = TDX_WORLD

    def world(self) -> World:
        return self.change(self.base)


def having(**changes: Any) -> Change:  # Any: the fields' own types
    return lambda world: world.having(**changes)


def edited(edit: Callable[[bytes], bytes]) -> Change:
    """Change the bytes of the finished quote."""
    return having(edit_quote=edit)


def chain_of(world: World) -> tuple[bytes, bytes, bytes]:
    vendor = world.vendor()
    return vendor.machine(MACHINE, world.platform, world.certificate).pck, vendor.platform_ca, vendor.root


def with_chain(rearrange: Callable[[tuple[bytes, bytes, bytes]], tuple[bytes, ...]]) -> Change:
    """Change the certificates in the quote."""
    return lambda world: world.having(recipe={"chain": rearrange(chain_of(world))})


def with_quoted_ca(**changes: Any) -> Change:  # Any: the fields' own types
    """Change the CA's certificate in the quote, not where its revocation list names it."""

    def change(world: World) -> World:
        pck, _, root = chain_of(world)
        return world.having(recipe={"chain": (pck, world.having(platform_ca=changes).vendor().platform_ca, root)})

    return change


def with_listed_ca(**changes: Any) -> Change:  # Any: the fields' own types
    """Change the CA's certificate where its revocation list names it, not in the quote."""

    def change(world: World) -> World:
        vendor = world.having(platform_ca=changes).vendor()
        chain = write_pem((vendor.platform_ca, vendor.root))
        return world.having(edit_files=lambda files: {**files, "pck_crl_issuer_chain.pem": chain})

    return change


def with_pem(edit: Callable[[bytes], bytes]) -> Change:
    """Change the text of the certificates in the quote."""
    return lambda world: world.having(recipe={"pem": edit(write_pem(chain_of(world)))})


def with_sgx_extensions(*extensions: bytes) -> Change:
    """Change the extension that names the platform."""

    def change(world: World) -> World:
        leaf = issue_certificate(replace(world.certificate, extensions=extensions), world.vendor().key)
        return world.having(recipe={"chain": (leaf, *chain_of(world)[1:])})

    return change


def with_edited_extension(edit: Callable[[bytes], bytes]) -> Change:
    """Change the content of the extension that names the platform."""

    def change(world: World) -> World:
        whole = DerReader(write_pck_extension(world.platform)).enter(SEQUENCE)
        whole.read_oid()
        return with_sgx_extensions(write_extension(SGX_EXTENSION, edit(whole.read_octets())))(world)

    return change


def with_platform(**changes: Any) -> Change:  # Any: the fields' own types
    return having(platform=changes)


def _flip(at: int) -> Callable[[bytes], bytes]:
    return lambda quote: quote[:at] + bytes([quote[at] ^ 1]) + quote[at + 1 :]


_TD_END: Final = 48 + 584
_SECTION: Final = _TD_END + 4
_ENTRY: Final = write_sequence(write_oid(f"{SGX_EXTENSION}.1"), write_octets(bytes(16)))
_OTHER_OID: Final = write_oid(f"{SGX_EXTENSION}.99")
_COMPONENTS: Final = TDX_WORLD.platform.components

PROFILE: Final = (AUTHORITY_KEY_ID, CRL_DISTRIBUTION_POINTS, SUBJECT_KEY_ID, KEY_USAGE, BASIC_CONSTRAINTS)
"""Extensions that each certificate of Intel's has."""
P384_KEY: Final = (
    ec.derive_private_key(1, ec.SECP384R1())
    .public_key()
    .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
)

_CA_FAULTS: Final[tuple[tuple[str, Reason, dict[str, Any]], ...]] = (  # Any: the fields' own types
    ("without the mark", Reason.ICA_NOT_CA, {"is_ca": False, "path_length": None}),
    ("that signs no certificates", Reason.ICA_NOT_CA, {"key_usage": CRL_SIGN}),
    ("of another name", Reason.PCK_CHAIN_SHAPE, {"common_name": "Intel SGX PCK CA"}),
    ("signed by a stranger", Reason.ICA_BAD_ISSUER, {"signed_by": "stranger"}),
    ("of another issuer", Reason.ICA_BAD_ISSUER, {"issuer_common_name": "Intel"}),
    *((f"without extension {oid}", Reason.PCK_CERT_DER, {"without": (oid,)}) for oid in PROFILE),
)


def _lengthened(*places: int) -> Callable[[bytes], bytes]:
    """Put a byte behind the quote, and have the lengths at these places count it."""

    def edit(quote: bytes) -> bytes:
        longer = bytearray(quote + b"\0")
        for place in places:
            pack_into("<I", longer, place, unpack_from("<I", quote, place)[0] + 1)
        return bytes(longer)

    return edit


HEADER_FAULTS: Final = (
    Fault("longer than any quote", Reason.LENGTH, having(recipe={"authentication": bytes(13_000)})),
    Fault("version 2", Reason.QUOTE_VERSION, having(recipe={"version": 2})),
    Fault("version 6", Reason.QUOTE_VERSION, having(recipe={"version": 6})),
    Fault("key type 3", Reason.ATT_KEY_TYPE, having(recipe={"key_type": 3})),
    Fault("unknown TEE", Reason.TEE_TYPE, having(recipe={"tee_type": 0x82})),
    Fault("trust domain in version 3", Reason.TEE_TYPE, having(recipe={"version": 3})),
    Fault("another vendor's QE", Reason.QE_VENDOR, having(recipe={"vendor": bytes(16)})),
    Fault("body type 5", Reason.BODY_TYPE, having(recipe={"body_type": 5}), TDX_15_WORLD),
    Fault("enclave's body for a trust domain", Reason.BODY_TYPE, having(recipe={"body_type": 1}), TDX_15_WORLD),
    Fault(
        "trust domain's body for an enclave", Reason.BODY_TYPE, having(recipe={"version": 5, "body_type": 2}), SGX_WORLD
    ),
    Fault("size of another body", Reason.PARSE, having(recipe={"body_size": 584}), TDX_15_WORLD),
    Fault("cut inside the header", Reason.PARSE, edited(lambda quote: quote[:47])),
    Fault("cut inside the body", Reason.PARSE, edited(lambda quote: quote[: _TD_END - 1])),
    Fault("cut before the last byte", Reason.PARSE, edited(lambda quote: quote[:-1])),
    Fault(
        "signature section too short", Reason.PARSE, edited(lambda quote: quote[:_TD_END] + b"\x40\0\0\0" + bytes(64))
    ),
    Fault("inner length too long", Reason.PARSE, edited(_flip(_SECTION + 128 + 2 + 3))),
    Fault("byte behind the envelope", Reason.PARSE, edited(_lengthened(_TD_END))),
    Fault("byte behind the chain", Reason.PARSE, edited(_lengthened(_TD_END, _SECTION + 128 + 2))),
    Fault("cut inside the descriptor", Reason.PARSE, edited(lambda quote: quote[:53]), TDX_15_WORLD),
    Fault("enclave in place of a trust domain", Reason.TEE_TYPE, edited(lambda _: SGX_WORLD.quote())),
    Fault("trust domain in place of an enclave", Reason.TEE_TYPE, edited(lambda _: TDX_WORLD.quote()), SGX_WORLD),
    Fault("a zero byte behind", Reason.TRAILING_BYTES, having(recipe={"trailing": b"\x00"})),
    Fault("certification without envelope", Reason.CERT_DATA_TYPE, having(recipe={"outer_type": 5})),
    Fault("platform named instead of proven", Reason.CERT_DATA_TYPE, having(recipe={"inner_type": 3})),
)

CHAIN_FAULTS: Final = (
    Fault("two certificates", Reason.PCK_CHAIN_SHAPE, with_chain(lambda chain: chain[:2])),
    Fault("four certificates", Reason.PCK_CHAIN_SHAPE, with_chain(lambda chain: (*chain, chain[2]))),
    Fault("no certificates", Reason.PCK_CHAIN_SHAPE, with_pem(lambda _: b"none")),
    Fault("text before the chain", Reason.PCK_CHAIN_SHAPE, with_pem(lambda pem: b"\n" + pem)),
    Fault("text inside the chain", Reason.PCK_CHAIN_SHAPE, with_pem(lambda pem: pem.replace(b"\n--", b"\n\n--", 1))),
    Fault("two NULs at the end", Reason.PCK_CHAIN_SHAPE, with_pem(lambda pem: pem + b"\0\0")),
    Fault("carriage returns", Reason.PCK_CHAIN_SHAPE, with_pem(lambda pem: pem.replace(b"\n", b"\r\n"))),
    Fault("byte behind the leaf", Reason.PCK_CERT_DER, with_chain(lambda chain: (chain[0] + b"\0", *chain[1:]))),
    Fault("byte behind the CA", Reason.PCK_CERT_DER, with_chain(lambda chain: (chain[0], chain[1] + b"\0", chain[2]))),
    Fault("leaf without its last byte", Reason.PCK_CERT_DER, with_chain(lambda chain: (chain[0][:-1], *chain[1:]))),
    Fault("root of a stranger", Reason.PCK_CHAIN_ROOT_UNTRUSTED, with_chain(lambda chain: (*chain[:2], STRANGER.root))),
    Fault(
        "root last but one", Reason.PCK_CHAIN_ROOT_UNTRUSTED, with_chain(lambda chain: (chain[0], chain[2], chain[1]))
    ),
    Fault("byte behind the root", Reason.PCK_CERT_DER, with_chain(lambda chain: (*chain[:2], chain[2] + b"\0"))),
    *(
        Fault(f"{place} CA {name}", reason, change(**changes))
        for place, change in (("quoted", with_quoted_ca), ("listed", with_listed_ca))
        for name, reason, changes in _CA_FAULTS
    ),
    *(
        Fault(f"leaf without extension {oid}", Reason.PCK_CERT_DER, having(certificate={"without": (oid,)}))
        for oid in PROFILE
    ),
    Fault("leaf with a key on P-384", Reason.PCK_CERT_DER, having(certificate={"spki": P384_KEY})),
    Fault(
        "leaf with an RSA key", Reason.PCK_CERT_DER, having(certificate={"spki": parse_certificate(AMD_GENOA_ARK).spki})
    ),
    Fault("leaf of another name", Reason.PCK_CHAIN_SHAPE, having(certificate={"common_name": "Intel SGX"})),
    Fault("leaf that is an authority", Reason.PCK_CHAIN_SHAPE, having(certificate={"is_ca": True})),
    Fault("leaf signed by a stranger", Reason.PCK_BAD_ISSUER, having(certificate={"signed_by": "stranger"})),
    Fault("leaf signed by the root", Reason.PCK_BAD_ISSUER, having(certificate={"signed_by": "root"})),
    Fault(
        "leaf of another issuer",
        Reason.PCK_BAD_ISSUER,
        having(certificate={"issuer_common_name": "Intel SGX PCK Processor CA"}),
    ),
)

TIME_FAULTS: Final = (
    *(
        Fault(f"{name} expired", Reason.PCK_CERT_EXPIRED, having(**{name: {"not_after_s": NOW_S - 1}}))
        for name in ("root", "platform_ca", "certificate")
    ),
    *(
        Fault(f"{name} not yet valid", Reason.PCK_CERT_NOT_YET_VALID, having(**{name: {"not_before_s": NOW_S + 1}}))
        for name in ("certificate",)
    ),
)

EXTENSION_FAULTS: Final = (
    Fault("no extension", Reason.PCK_EXTENSION, with_sgx_extensions()),
    Fault(
        "extension of no form", Reason.PCK_EXTENSION, with_sgx_extensions(write_extension(SGX_EXTENSION, b"\x30\x01"))
    ),
    Fault(
        "extension without entries",
        Reason.PCK_EXTENSION,
        with_sgx_extensions(write_extension(SGX_EXTENSION, write_sequence())),
    ),
    Fault("repeated entry", Reason.PCK_EXTENSION, with_platform(entries=(_ENTRY,))),
    Fault("PPID of 15 bytes", Reason.PCK_EXTENSION, with_platform(ppid=bytes(15))),
    Fault("PCEID of 3 bytes", Reason.PCK_EXTENSION, with_platform(pce_id=bytes(3))),
    Fault("FMSPC of 5 bytes", Reason.PCK_EXTENSION, with_platform(fmspc=bytes(5))),
    Fault("CPUSVN of 15 bytes", Reason.PCK_EXTENSION, with_platform(cpu_svn=bytes(15))),
    Fault("instance of 15 bytes", Reason.PCK_EXTENSION, with_platform(instance_id=bytes(15))),
    Fault("fifteen components", Reason.PCK_EXTENSION, with_platform(components=_COMPONENTS[:15], cpu_svn=bytes(16))),
    Fault("component 256", Reason.PCK_EXTENSION, with_platform(components=(256, *_COMPONENTS[1:]), cpu_svn=bytes(16))),
    Fault("component -1", Reason.PCK_EXTENSION, with_platform(components=(-1, *_COMPONENTS[1:]), cpu_svn=bytes(16))),
    Fault("PCESVN 65,536", Reason.PCK_EXTENSION, with_platform(pce_svn=65_536)),
    Fault("SGX type 3", Reason.PCK_EXTENSION, with_platform(sgx_type=3)),
    Fault("bytes behind the entries", Reason.PCK_EXTENSION, with_edited_extension(lambda content: content + b"\5\0")),
    Fault(
        "SGX type as a number",
        Reason.PCK_EXTENSION,
        with_edited_extension(lambda content: content.replace(b"\x0a\1\1", b"\2\1\1", 1)),
    ),
    Fault(
        "option that is neither on nor off",
        Reason.PCK_EXTENSION,
        with_edited_extension(lambda content: content.replace(b"\1\1\xff", b"\1\1\1", 1)),
    ),
    *(
        Fault(f"entry {name}", Reason.PCK_EXTENSION, with_platform(entries=(entry,)))
        for name, entry in (
            ("that is no pair", write_integer(1)),
            ("that is a set", write_set(_OTHER_OID, write_octets(b"1"))),
            ("named by a text", write_sequence(write_text("name"), write_octets(b"1"))),
            ("of three", write_sequence(_OTHER_OID, write_octets(b"1"), write_octets(b"1"))),
            ("of three, long", write_sequence(_OTHER_OID, write_octets(bytes(200)), write_octets(b"1"))),
            ("that ends outside", b"\x30\x08\x06\x01\x01\x04\x03\x00"),
        )
    ),
)

QE_FAULTS: Final = (
    Fault(
        "QE report signed by a stranger", Reason.QE_REPORT_SIGNATURE, having(recipe={"qe_report_signed_by": "stranger"})
    ),
    Fault("QE report of no key", Reason.QE_REPORT_DATA, having(recipe={"qe_report_data": bytes(64)})),
    Fault("attestation key of another", Reason.QE_REPORT_DATA, edited(_flip(_SECTION + 64))),
    Fault("other authentication data", Reason.QE_REPORT_DATA, edited(_flip(_SECTION + 128 + 6 + 384 + 64 + 2))),
    Fault("QE with another MISCSELECT", Reason.QE_MISCSELECT, having(recipe={"qe": replace(TD_QE, misc_select=1)})),
    Fault("QE in debug mode", Reason.QE_ATTRIBUTES, having(recipe={"qe": replace(TD_QE, flags=TD_QE.flags | 2)})),
    Fault("QE of another signer", Reason.QE_MRSIGNER, having(recipe={"qe": replace(TD_QE, mr_signer=bytes(32))})),
    Fault("QE of enclaves", Reason.QE_ISVPRODID, having(recipe={"qe": SGX_QE})),
    Fault("QE of trust domains", Reason.QE_ISVPRODID, having(recipe={"qe": TD_QE}), SGX_WORLD),
    Fault("QE below all levels", Reason.QE_TCB_NOT_SUPPORTED, having(recipe={"qe": replace(TD_QE, svn=1)})),
    Fault(
        "QE below all levels, quote signed by a stranger",
        Reason.QE_TCB_NOT_SUPPORTED,
        having(recipe={"qe": replace(TD_QE, svn=1), "quote_signed_by": "stranger"}),
    ),
    Fault("quote signed by a stranger", Reason.QUOTE_SIGNATURE, having(recipe={"quote_signed_by": "stranger"})),
    Fault("binding changed", Reason.QUOTE_SIGNATURE, edited(_flip(48 + 520))),
    Fault("measurement changed", Reason.QUOTE_SIGNATURE, edited(_flip(48 + 136))),
    Fault("user data changed", Reason.QUOTE_SIGNATURE, edited(_flip(28))),
    Fault(
        "r of zero", Reason.QUOTE_SIGNATURE, edited(lambda quote: quote[:_SECTION] + bytes(32) + quote[_SECTION + 32 :])
    ),
)


def _svn(*components: int) -> bytes:
    return bytes(components) + bytes(16 - len(components))


LEVEL_FAULTS: Final = (
    Fault("module of another signer", Reason.MRSIGNERSEAM, having(body={"mr_signer_seam": bytes(47) + b"\1"})),
    Fault("module with attributes", Reason.SEAMATTR, having(body={"seam_attributes": bytes(7) + b"\1"})),
    Fault(
        "module with the attributes of its identity",
        Reason.SEAMATTR,
        having(
            body={"seam_attributes": b"\1" * 8},
            tcb_info={"modules": (ModuleTemplate(attributes=b"\1" * 8),)},
        ),
    ),
    Fault("unknown module", Reason.TDX_MODULE_IDENTITY_MISSING, having(body={"tee_tcb_svn": _svn(8, 2, 3)})),
    Fault("module below all levels", Reason.TDX_MODULE_TCB_NOT_SUPPORTED, having(body={"tee_tcb_svn": _svn(3, 1, 3)})),
    Fault("TDX below all levels", Reason.TCB_NOT_SUPPORTED, having(body={"tee_tcb_svn": _svn(8, 1, 1)})),
    Fault("component below all levels", Reason.TCB_NOT_SUPPORTED, with_platform(components=(0, *_COMPONENTS[1:]))),
    Fault("PCE below all levels", Reason.TCB_NOT_SUPPORTED, with_platform(pce_svn=4)),
    Fault("old module without version", Reason.TCB_NOT_SUPPORTED, having(body={"tee_tcb_svn": _svn(3, 0, 3)})),
    Fault(
        "unknown module in force",
        Reason.TDX_MODULE_IDENTITY_MISSING,
        having(body={"tee_tcb_svn2": _svn(8, 2, 3)}),
        TDX_15_WORLD,
    ),
    Fault(
        "module in force below all levels",
        Reason.TDX_MODULE_TCB_NOT_SUPPORTED,
        having(body={"tee_tcb_svn2": _svn(3, 1, 3)}),
        TDX_15_WORLD,
    ),
    Fault(
        "TDX in force below all levels",
        Reason.TCB_NOT_SUPPORTED,
        having(body={"tee_tcb_svn2": _svn(8, 1, 1)}),
        TDX_15_WORLD,
    ),
    Fault("PCEID of another", Reason.FMSPC_MISMATCH, with_platform(pce_id=b"\0\1")),
)

QUOTE_FAULTS: Final = (
    *HEADER_FAULTS,
    *CHAIN_FAULTS,
    *TIME_FAULTS,
    *EXTENSION_FAULTS,
    *QE_FAULTS,
    *LEVEL_FAULTS,
)
"""Faults of a quote and its certificates, under collateral that is in order."""
