"""Ways to break one thing in the documents that a quote of simulated hardware is judged by, each with the reason of the refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from tee.errors import Reason
from tee.simulated_certificates import AUTHORITY_KEY_ID, BASIC_CONSTRAINTS, CRL_NUMBER, write_extension
from tee.simulated_documents import (
    ModuleTemplate,
    PlatformLevelTemplate,
    SvnLevelTemplate,
    sign_document,
    write_qe_identity,
    write_tcb_info,
)
from tests.support.simulated_faults import Change, Fault, having
from tests.support.simulated_world import ISSUED_S, World

LOADED_S: Final = ISSUED_S + 1
"""When worlds take their collateral in."""

_MODULE: Final = ModuleTemplate()
_SVNS: Final = (0,) * 16


def without_file(name: str) -> Change:
    return having(edit_files=lambda files: {other: text for other, text in files.items() if other != name})


def file_edited(name: str, old: bytes, new: bytes) -> Change:
    """Change the finished bytes of a file."""

    def edit(files: dict[str, bytes]) -> dict[str, bytes]:
        assert old in files[name]
        return {**files, name: files[name].replace(old, new, 1)}

    return having(edit_files=edit)


def file_ended(name: str, more: bytes) -> Change:
    """Put bytes behind a file."""
    return having(edit_files=lambda files: {**files, name: files[name] + more})


def _signed_anew(name: str, member: str, write: Callable[[World], bytes], old: bytes, new: bytes) -> Change:
    def change(world: World) -> World:
        signed = write(world)
        assert old in signed
        document = sign_document(member, signed.replace(old, new, 1), world.vendor().key("tcb signer"))
        return world.having(edit_files=lambda files: {**files, name: document})

    return change


def tcb_info_text(old: bytes, new: bytes) -> Change:
    """Change the text of the TCB info before it is signed."""
    return _signed_anew("tcb_info.json", "tcbInfo", lambda world: write_tcb_info(world.tcb_info), old, new)


def qe_identity_text(old: bytes, new: bytes) -> Change:
    """Change the text of the QE identity before it is signed."""
    return _signed_anew(
        "qe_identity.json", "enclaveIdentity", lambda world: write_qe_identity(world.qe_identity), old, new
    )


def revoked_machine(world: World) -> World:
    return world.having(pck_crl={"serials": (world.vendor().machine("alpha").pck_serial,)})


def revoked_ca(world: World) -> World:
    return world.having(root_crl={"serials": (world.vendor().platform_ca_serial,)})


def revoked_signer(world: World) -> World:
    return world.having(root_crl={"serials": (world.vendor().tcb_signer_serial,)})


def _levels(**changes: object) -> Change:
    return having(tcb_info={"levels": (replace(PlatformLevelTemplate(), **changes),)})


def _qe_levels(*levels: SvnLevelTemplate) -> Change:
    return having(qe_identity={"levels": levels})


LIST_FAULTS: Final = (
    *(
        fault
        for name, file, issuer, expired, early, signature in (
            (
                "root_crl",
                "root_ca_crl.der",
                Reason.ROOT_CRL_ISSUER,
                Reason.ROOT_CRL_EXPIRED,
                Reason.ROOT_CRL_NOT_YET_VALID,
                Reason.ROOT_CRL_SIGNATURE,
            ),
            (
                "pck_crl",
                "pck_crl.der",
                Reason.PCK_CRL_ISSUER,
                Reason.PCK_CRL_EXPIRED,
                Reason.PCK_CRL_NOT_YET_VALID,
                Reason.PCK_CRL_SIGNATURE,
            ),
        )
        for fault in (
            Fault(f"{name} of another issuer", issuer, having(**{name: {"issuer_common_name": "Intel"}})),
            Fault(f"{name} signed by a stranger", signature, having(**{name: {"signed_by": "stranger"}})),
            Fault(f"{name} past its end at intake", expired, having(**{name: {"next_update_s": LOADED_S}})),
            Fault(f"{name} ahead at intake", early, having(**{name: {"this_update_s": LOADED_S + 1}})),
            Fault(f"{name} with a byte behind", Reason.PARSE, file_ended(file, b"\0")),
            Fault(f"{name} without number", Reason.PARSE, having(**{name: {"without": (CRL_NUMBER,)}})),
            Fault(f"{name} without key id", Reason.PARSE, having(**{name: {"without": (AUTHORITY_KEY_ID,)}})),
            Fault(
                f"{name} with an unknown critical extension",
                Reason.PARSE,
                having(**{name: {"extensions": (write_extension("1.2.3", b"\5\0", is_critical=True),)}}),
            ),
            Fault(
                f"{name} that is a delta",
                Reason.PARSE,
                having(**{name: {"extensions": (write_extension("2.5.29.27", b"\2\1\1"),)}}),
            ),
        )
    ),
    Fault("revoked machine", Reason.PCK_REVOKED, revoked_machine),
    Fault("revoked CA", Reason.ICA_REVOKED, revoked_ca),
    Fault("revoked signer", Reason.TCB_INFO_SIGNER_REVOKED, revoked_signer),
)

MISSING_FAULTS: Final = tuple(
    Fault(f"no {name}", Reason.COLLATERAL_MISSING, without_file(name))
    for name in ("root_ca_crl.der", "pck_crl.der", "tcb_info.json", "qe_identity.json")
)

SIGNER_FAULTS: Final = (
    Fault("signer of another name", Reason.TCB_INFO_SIGNER, having(tcb_signer={"common_name": "Intel SGX"})),
    Fault("signer that is an authority", Reason.TCB_INFO_SIGNER, having(tcb_signer={"is_ca": True})),
    Fault("signer of another issuer", Reason.TCB_INFO_SIGNER, having(tcb_signer={"issuer_common_name": "Intel"})),
    Fault("signer signed by a stranger", Reason.TCB_INFO_SIGNER, having(tcb_signer={"signed_by": "stranger"})),
    Fault("signer without constraints", Reason.TCB_INFO_SIGNER, having(tcb_signer={"without": (BASIC_CONSTRAINTS,)})),
    Fault("TCB info signed by a stranger", Reason.TCB_INFO_SIGNATURE, having(tcb_info={"signed_by": "stranger"})),
    Fault("TCB info changed", Reason.TCB_INFO_SIGNATURE, file_edited("tcb_info.json", b'"tcbType":0', b'"tcbType":1')),
    Fault(
        "QE identity signed by a stranger", Reason.QE_IDENTITY_SIGNATURE, having(qe_identity={"signed_by": "stranger"})
    ),
    Fault(
        "QE identity changed",
        Reason.QE_IDENTITY_SIGNATURE,
        file_edited("qe_identity.json", b'"isvprodid":2', b'"isvprodid":1'),
    ),
)

_TCB_INFO_TEXTS: Final = (
    ("member twice", b'"tcbType":0', b'"tcbType":0,"tcbType":0'),
    ("fraction", b'"pcesvn":11', b'"pcesvn":11.0'),
    ("exponent", b'"pcesvn":11', b'"pcesvn":11e0'),
    ("no number", b'"pcesvn":11', b'"pcesvn":NaN'),
    ("boolean for a number", b'"pcesvn":11', b'"pcesvn":true'),
    ("negative zero", b'"tcbType":0', b'"tcbType":-0'),
    ("deep nesting", b'"tcbType":0', b'"tcbType":0,"x":' + b"[" * 40 + b"]" * 40),
    ("bytes of UTF-16", b'"tcbType":0', b'"tcbType":0,"x":"\xff\xfe"'),
    ("hex with a space", b'"pceId":"0000"', b'"pceId":"00 00"'),
    ("hex too short", b'"pceId":"0000"', b'"pceId":"00"'),
    ("time with an offset", b'T00:00:00Z","nextUpdate"', b'T00:00:00+00:00","nextUpdate"'),
    ("member missing", b'"tcbType":0,', b""),
    ("member of another type", b'"tcbEvaluationDataNumber":20', b'"tcbEvaluationDataNumber":"20"'),
    ("module id in decimal", b"TDX_01", b"TDX_1"),
    ("module of no version", b"TDX_01", b"TDX_00"),
    ("mask of seven bytes", b'"attributesMask":"ff', b'"attributesMask":"'),
    ("advisory with a space", b'"INTEL-SA-90001"', b'"INTEL SA"'),
    ("advisories without end", b'"INTEL-SA-90001"', b",".join(b'"%d"' % number for number in range(256))),
    ("advisories that are a text", b'["INTEL-SA-90001"]', b'"INTEL-SA-90001"'),
)

FORMAT_FAULTS: Final = (
    *(
        Fault(f"TCB info: {name}", Reason.TCB_INFO_FORMAT, tcb_info_text(old, new))
        for name, old, new in _TCB_INFO_TEXTS
    ),
    Fault("TCB info of version 2", Reason.TCB_INFO_FORMAT, having(tcb_info={"version": 2})),
    Fault("TCB info of another product", Reason.TCB_INFO_FORMAT, having(tcb_info={"id": "TDY"})),
    Fault("TCB info of another type", Reason.TCB_INFO_FORMAT, having(tcb_info={"tcb_type": 1})),
    Fault("TCB info without module", Reason.TCB_INFO_FORMAT, having(tcb_info={"module": None})),
    Fault("TCB info with a module twice", Reason.TCB_INFO_FORMAT, having(tcb_info={"modules": (_MODULE, _MODULE)})),
    Fault("TCB info without levels", Reason.TCB_INFO_FORMAT, having(tcb_info={"levels": ()})),
    Fault(
        "TCB info with a level twice",
        Reason.TCB_INFO_FORMAT,
        having(tcb_info={"levels": (PlatformLevelTemplate(), PlatformLevelTemplate(status="OutOfDate"))}),
    ),
    Fault("TCB info with an unknown word", Reason.TCB_INFO_FORMAT, _levels(status="Uptodate")),
    Fault("TCB info with a relaunch word", Reason.TCB_INFO_FORMAT, _levels(status="TDRelaunchAdvised")),
    Fault("TCB info with component 256", Reason.TCB_INFO_FORMAT, _levels(components=(256, *_SVNS[1:]))),
    Fault("TCB info with PCESVN 65,536", Reason.TCB_INFO_FORMAT, _levels(pce_svn=65_536)),
    Fault("TCB info with fifteen components", Reason.TCB_INFO_FORMAT, _levels(components=_SVNS[1:])),
    Fault("TCB info with fifteen TDX components", Reason.TCB_INFO_FORMAT, _levels(tdx_components=_SVNS[1:])),
    Fault("TCB info with a word behind", Reason.TCB_INFO_FORMAT, file_ended("tcb_info.json", b" x")),
    Fault(
        "TCB info with another envelope",
        Reason.TCB_INFO_FORMAT,
        file_edited("tcb_info.json", b'"signature"', b'"sign"'),
    ),
    Fault("QE identity of version 3", Reason.QE_IDENTITY_FORMAT, having(qe_identity={"version": 3})),
    Fault("QE identity of another enclave", Reason.QE_IDENTITY_FORMAT, having(qe_identity={"id": "QVE"})),
    Fault("QE identity without levels", Reason.QE_IDENTITY_FORMAT, _qe_levels()),
    Fault(
        "QE identity with a level twice",
        Reason.QE_IDENTITY_FORMAT,
        _qe_levels(SvnLevelTemplate(svn=4), SvnLevelTemplate(svn=4, status="OutOfDate")),
    ),
    Fault(
        "QE identity with a platform's word",
        Reason.QE_IDENTITY_FORMAT,
        _qe_levels(SvnLevelTemplate(svn=4, status="ConfigurationNeeded")),
    ),
    Fault("QE identity with version 65,536", Reason.QE_IDENTITY_FORMAT, _qe_levels(SvnLevelTemplate(svn=65_536))),
    Fault("QE identity with a short signer", Reason.QE_IDENTITY_FORMAT, having(qe_identity={"mr_signer": bytes(31)})),
    Fault(
        "QE identity with a short mask", Reason.QE_IDENTITY_FORMAT, having(qe_identity={"attributes_mask": bytes(15)})
    ),
    Fault(
        "QE identity: member twice",
        Reason.QE_IDENTITY_FORMAT,
        qe_identity_text(b'"version":2', b'"version":2,"version":2'),
    ),
)

WINDOW_FAULTS: Final = (
    Fault("TCB info past its end", Reason.TCB_INFO_EXPIRED, having(tcb_info={"next_update_s": LOADED_S - 1})),
    Fault("TCB info ahead", Reason.TCB_INFO_NOT_YET_VALID, having(tcb_info={"issue_s": LOADED_S + 1})),
    Fault("QE identity past its end", Reason.QE_IDENTITY_EXPIRED, having(qe_identity={"next_update_s": LOADED_S - 1})),
    Fault("QE identity ahead", Reason.QE_IDENTITY_NOT_YET_VALID, having(qe_identity={"issue_s": LOADED_S + 1})),
)

MATCH_FAULTS: Final = (
    Fault("TCB info of another FMSPC", Reason.COLLATERAL_MISSING, having(tcb_info={"fmspc": bytes(6)})),
    Fault("TCB info of enclaves", Reason.COLLATERAL_MISSING, having(tcb_info={"id": "SGX"})),
    Fault("QE identity of enclaves", Reason.COLLATERAL_MISSING, having(qe_identity={"id": "QE"})),
    Fault("TCB info of another PCE", Reason.FMSPC_MISMATCH, having(tcb_info={"pce_id": b"\0\1"})),
    Fault("identity of another signer", Reason.QE_MRSIGNER, having(qe_identity={"mr_signer": bytes(32)})),
    Fault("identity of another product", Reason.QE_ISVPRODID, having(qe_identity={"prod_id": 3})),
    Fault("identity of another MISCSELECT", Reason.QE_MISCSELECT, having(qe_identity={"misc_select": b"\1\0\0\0"})),
    Fault(
        "identity of other attributes", Reason.QE_ATTRIBUTES, having(qe_identity={"attributes": b"\x13" + bytes(15)})
    ),
    Fault("identity above the enclave", Reason.QE_TCB_NOT_SUPPORTED, _qe_levels(SvnLevelTemplate(svn=5))),
    Fault("no identities of modules", Reason.TDX_MODULE_IDENTITY_MISSING, having(tcb_info={"modules": ()})),
    Fault(
        "identity of a module by another signer",
        Reason.MRSIGNERSEAM,
        having(tcb_info={"modules": (replace(_MODULE, mr_signer=b"\1" * 48),)}),
    ),
    Fault(
        "identity of a module with attributes",
        Reason.SEAMATTR,
        having(tcb_info={"modules": (replace(_MODULE, attributes=b"\1" * 8),)}),
    ),
)

COLLATERAL_FAULTS: Final = (
    *LIST_FAULTS,
    *MISSING_FAULTS,
    *SIGNER_FAULTS,
    *FORMAT_FAULTS,
    *WINDOW_FAULTS,
    *MATCH_FAULTS,
)
"""Faults of documents, under a quote that is in order."""
