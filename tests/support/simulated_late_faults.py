"""Ways in which time passes, or a store answers wrongly, between the intake of documents and the verdict on a quote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import asdict, replace

from tee.documents import IntelTee
from tee.errors import Reason
from tee.simulated_quotes import write_pem
from tests.support.simulated_collateral_faults import COLLATERAL_FAULTS, LOADED_S, revoked_signer, without_file
from tests.support.simulated_faults import QUOTE_FAULTS, STRANGER, Change, Fault, having
from tests.support.simulated_judge import CarelessStore, Store
from tests.support.simulated_world import NOW_S, World


def stored(field: str, **changes: Any) -> Change:  # Any: the fields' own types
    """Change one document in a store that answers whatever it has."""

    def change(world: World) -> World:
        def edit(store: Store) -> Store:
            before = store if world.edit_store is None else world.edit_store(store)
            return CarelessStore(**{**asdict(before), field: replace(getattr(before, field), **changes)})

        return world.having(edit_store=edit)

    return change


def revoked_since(field: str, serial: Callable[[World], int]) -> Change:
    """Revoke a certificate in the stored list after all was taken in."""
    return lambda world: stored(field, serials=serial(world).to_bytes(20, "big"))(world)


def with_chain_file(name: str, chain: Callable[[World], tuple[bytes, ...]]) -> Change:
    """Change the certificates that come with documents."""
    return lambda world: world.having(edit_files=lambda files: {**files, name: write_pem(chain(world))})


def without_pck_crl(change: Change) -> Change:
    """Leave the PCK list out, so that the next document meets the fault."""

    return lambda world: without_file("pck_crl.der")(change(world))


def _authorities(world: World) -> tuple[bytes, bytes, bytes]:
    vendor = world.vendor()
    return vendor.platform_ca, vendor.tcb_signer, vendor.root


def without_tcb_info(change: Change) -> Change:
    """Leave the TCB info out, so that the QE identity meets the fault."""
    return lambda world: change(without_file("tcb_info.json")(world))


_OTHER_ROOT: Final = bytes(32)
_PCK_CHAIN: Final = "pck_crl_issuer_chain.pem"
_SIGNER_CHAIN: Final = "tcb_signing_chain.pem"
_ROOT_ENDS_AFTER_LIST: Final = having(root={"not_after_s": LOADED_S - 1}, root_loaded_s=LOADED_S - 1)

INTAKE_TIME_FAULTS: Final = (
    Fault("root ended before its list", Reason.PCK_CERT_EXPIRED, having(root={"not_after_s": LOADED_S - 1})),
    Fault("root begins after its list", Reason.PCK_CERT_NOT_YET_VALID, having(root={"not_before_s": LOADED_S + 1})),
    Fault("root ended before the PCK list", Reason.PCK_CERT_EXPIRED, _ROOT_ENDS_AFTER_LIST),
    Fault("root ended before the TCB info", Reason.TCB_INFO_SIGNER, without_pck_crl(_ROOT_ENDS_AFTER_LIST)),
    Fault("CA ended before its list", Reason.PCK_CERT_EXPIRED, having(platform_ca={"not_after_s": LOADED_S - 1})),
    Fault(
        "CA begins after its list", Reason.PCK_CERT_NOT_YET_VALID, having(platform_ca={"not_before_s": LOADED_S + 1})
    ),
    Fault("signer ended", Reason.TCB_INFO_SIGNER, having(tcb_signer={"not_after_s": LOADED_S - 1})),
    Fault("signer not yet begun", Reason.TCB_INFO_SIGNER, having(tcb_signer={"not_before_s": LOADED_S + 1})),
    Fault(
        "CA revoked before its list comes",
        Reason.ICA_REVOKED,
        lambda world: stored("root_list", serials=b"")(
            world.having(root_crl={"serials": (world.vendor().platform_ca_serial,)})
        ),
    ),
)

CHAIN_FILE_FAULTS: Final = (
    Fault(
        "three certificates above the PCK list",
        Reason.PCK_CHAIN_SHAPE,
        with_chain_file(_PCK_CHAIN, _authorities),
    ),
    Fault(
        "three certificates above the TCB info",
        Reason.TCB_INFO_SIGNER,
        with_chain_file(_SIGNER_CHAIN, lambda world: _authorities(world)[1:] * 2),
    ),
    Fault(
        "PCK list below a stranger",
        Reason.PCK_CHAIN_ROOT_UNTRUSTED,
        with_chain_file(_PCK_CHAIN, lambda world: (_authorities(world)[0], STRANGER.root)),
    ),
    Fault(
        "TCB info below a stranger",
        Reason.TCB_INFO_SIGNER,
        with_chain_file(_SIGNER_CHAIN, lambda world: (_authorities(world)[1], STRANGER.root)),
    ),
)

IDENTITY_SIGNER_FAULTS: Final = (
    Fault(
        "QE identity by a signer of another name",
        Reason.QE_IDENTITY_SIGNER,
        without_tcb_info(having(tcb_signer={"common_name": "Intel SGX"})),
    ),
    Fault("QE identity by a revoked signer", Reason.QE_IDENTITY_SIGNER_REVOKED, without_tcb_info(revoked_signer)),
)

LATE_FAULTS: Final = (
    Fault("root list ended since", Reason.ROOT_CRL_EXPIRED, having(root_crl={"next_update_s": NOW_S})),
    Fault("PCK list ended since", Reason.PCK_CRL_EXPIRED, having(pck_crl={"next_update_s": NOW_S})),
    Fault("TCB info ended since", Reason.TCB_INFO_EXPIRED, having(tcb_info={"next_update_s": NOW_S - 1})),
    Fault("QE identity ended since", Reason.QE_IDENTITY_EXPIRED, having(qe_identity={"next_update_s": NOW_S - 1})),
    Fault("signer ended since", Reason.TCB_INFO_EXPIRED, having(tcb_signer={"not_after_s": NOW_S - 1})),
    Fault(
        "CA revoked since",
        Reason.ICA_REVOKED,
        revoked_since("root_list", lambda world: world.vendor().platform_ca_serial),
    ),
    Fault(
        "machine revoked since",
        Reason.PCK_REVOKED,
        revoked_since("pck_list", lambda world: world.vendor().machine("alpha").pck_serial),
    ),
    Fault(
        "signer of both documents revoked since",
        Reason.TCB_INFO_SIGNER_REVOKED,
        revoked_since("root_list", lambda world: world.vendor().tcb_signer_serial),
    ),
    Fault(
        "signer of the QE identity alone revoked since",
        Reason.QE_IDENTITY_SIGNER_REVOKED,
        lambda world: stored("info", signer_serial=b"\7")(
            revoked_since("root_list", lambda _world: world.vendor().tcb_signer_serial)(world)
        ),
    ),
)

STORE_FAULTS: Final = (
    Fault("list of another root", Reason.ROOT_CRL_ISSUER, stored("root_list", root=_OTHER_ROOT)),
    Fault("root list of another name", Reason.ROOT_CRL_ISSUER, stored("root_list", issuer=b"\x30\0")),
    Fault("PCK list below another root", Reason.PCK_CRL_ISSUER, stored("pck_list", root=_OTHER_ROOT)),
    Fault("PCK list of another name", Reason.PCK_CRL_ISSUER, stored("pck_list", issuer=b"\x30\0")),
    Fault("PCK list of another key", Reason.PCK_CRL_ISSUER, stored("pck_list", key=bytes(32))),
    Fault("stored TCB info below another root", Reason.TCB_INFO_SIGNER, stored("info", root=_OTHER_ROOT)),
    Fault("stored TCB info of enclaves", Reason.TCB_INFO_MISMATCH, stored("info", tee=IntelTee.SGX)),
    Fault("stored TCB info of another FMSPC", Reason.FMSPC_MISMATCH, stored("info", fmspc=bytes(6))),
    Fault("stored QE identity below another root", Reason.QE_IDENTITY_SIGNER, stored("identity", root=_OTHER_ROOT)),
    Fault("stored QE identity of enclaves", Reason.QE_IDENTITY_MISMATCH, stored("identity", tee=IntelTee.SGX)),
)

PASSAGE_FAULTS: Final = (*INTAKE_TIME_FAULTS, *CHAIN_FILE_FAULTS, *IDENTITY_SIGNER_FAULTS, *LATE_FAULTS, *STORE_FAULTS)
"""Faults that come with time, and faults of the store."""

ALL_FAULTS: Final = (*QUOTE_FAULTS, *COLLATERAL_FAULTS, *PASSAGE_FAULTS)
