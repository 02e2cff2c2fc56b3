"""Our verdict on a world of simulated hardware: documents are taken in one after the other, then the quote is judged by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from tee.claims import Verified
from tee.documents import IntelTee, QeIdentity, RevokedSerials, TcbInfo
from tee.intel_collateral import check_pck_crl, check_qe_identity, check_root_crl, check_tcb_info
from tee.pem import split_pem_chain
from tee.roots import Roots, TrustedRoot
from tee.sgx import verify_sgx
from tee.simulated_quotes import TdBody
from tee.tdx import verify_tdx
from tests.support.simulated_world import World


class Store(Struct, frozen=True, kw_only=True):
    """Four documents, or fewer, found by the keys that a chain would find them by."""

    root_list: RevokedSerials | None
    pck_list: RevokedSerials | None
    info: TcbInfo | None
    identity: QeIdentity | None

    def root_crl(self, root: bytes) -> RevokedSerials | None:
        return self.root_list if self.root_list is not None and self.root_list.root == root else None

    def pck_crl(self, root: bytes, issuer: bytes, key: bytes) -> RevokedSerials | None:
        subject = root + issuer + key
        return self.pck_list if self.pck_list is not None and self.pck_list.subject == subject else None

    def tcb_info(self, root: bytes, tee: IntelTee, fmspc: bytes) -> TcbInfo | None:
        return self.info if self.info is not None and self.info.subject == root + bytes([tee]) + fmspc else None

    def qe_identity(self, root: bytes, tee: IntelTee) -> QeIdentity | None:
        return self.identity if self.identity is not None and self.identity.subject == root + bytes([tee]) else None


class CarelessStore(Store, frozen=True, kw_only=True):
    """A store that answers what it has, whatever is asked for: the verifier must notice."""

    def root_crl(self, root: bytes) -> RevokedSerials | None:
        return self.root_list

    def pck_crl(self, root: bytes, issuer: bytes, key: bytes) -> RevokedSerials | None:
        return self.pck_list

    def tcb_info(self, root: bytes, tee: IntelTee, fmspc: bytes) -> TcbInfo | None:
        return self.info

    def qe_identity(self, root: bytes, tee: IntelTee) -> QeIdentity | None:
        return self.identity


def roots_of(*certificates: bytes) -> Roots:
    """Return roots that trust these certificates for Intel's formats."""
    return Roots(intel=tuple(TrustedRoot(der=der, is_simulated=True) for der in certificates))


def take_in(files: Mapping[str, bytes], trusted: Sequence[TrustedRoot], time_s: int, root_loaded_s: int) -> Store:
    """Check the documents of a folder in the order in which they need each other; what is absent stays absent."""
    pck_chain = _split(files["pck_crl_issuer_chain.pem"])
    signer_chain = _split(files["tcb_signing_chain.pem"])
    root_list = pck_list = info = identity = None
    if "root_ca_crl.der" in files:
        root_list = check_root_crl(files["root_ca_crl.der"], (), trusted, root_loaded_s)

    def find_root_crl(root: bytes) -> RevokedSerials | None:
        return root_list if root_list is not None and root_list.root == root else None

    if "pck_crl.der" in files:
        pck_list = check_pck_crl(files["pck_crl.der"], pck_chain, trusted, find_root_crl, time_s)
    if "tcb_info.json" in files:
        info = check_tcb_info(files["tcb_info.json"], signer_chain, trusted, find_root_crl, time_s)
    if "qe_identity.json" in files:
        identity = check_qe_identity(files["qe_identity.json"], signer_chain, trusted, find_root_crl, time_s)
    return Store(root_list=root_list, pck_list=pck_list, info=info, identity=identity)


def _split(chain: bytes) -> list[bytes]:
    return split_pem_chain(chain, chain.count(b"BEGIN"))


def judge(world: World) -> Verified:
    """Return our verdict on a world."""
    roots = roots_of(world.vendor().root)
    store = take_in(world.files(), roots.intel, world.loaded_s, world.root_loaded_s)
    if world.edit_store is not None:
        store = world.edit_store(store)
    verify = verify_tdx if isinstance(world.body, TdBody) else verify_sgx
    return verify(world.quote(), store, roots, world.time_s)
