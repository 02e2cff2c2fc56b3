"""A vendor of simulated hardware: the software TEE of development chains and tests.

From one seed come a root, a Platform CA, a signer of TCB documents and a PCK certificate for each machine; from them quotes and
collateral in Intel's real formats, so the same verifier reads both. What this vendor signs proves nothing about the world: a
chain that trusts its root says so in its genesis, and claims from it are marked as simulated.

Nothing here reads a clock or draws chance: equal arguments give equal bytes. Every bad state is reached by an argument: templates
of the three authorities, of a machine's certificate, of each document, and a recipe for each quote. Source: attestation
specification, section 7.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tee.simulated_certificates import (
    CRL_SIGN,
    DIGITAL_SIGNATURE,
    KEY_CERT_SIGN,
    NON_REPUDIATION,
    PCK_NAME,
    PLATFORM_CA_NAME,
    ROOT_NAME,
    TCB_SIGNER_NAME,
    CertificateTemplate,
    PckPlatform,
    RevocationListTemplate,
    issue_certificate,
    issue_revocation_list,
    serial_of,
    write_pck_extension,
)
from tee.simulated_documents import (
    CURRENT_COMPONENTS,
    CURRENT_PCE_SVN,
    QE_ID,
    RECOVERY_LEVELS,
    SGX_ID,
    SIMULATED_FMSPC,
    TD_QE_ID,
    TDX_ID,
    QeIdentityTemplate,
    TcbInfoTemplate,
    sign_document,
    write_qe_identity,
    write_tcb_info,
)
from tee.simulated_keys import DEVELOPMENT_SEED, SimulatedKey, derive_bytes, derive_key
from tee.simulated_quotes import QuoteRecipe, SgxBody, TdBody, write_pem, write_quote

DAY_S: Final = 86_400
DOCUMENT_LIFE_S: Final = 30 * DAY_S
"""How long Intel's JSON and its list of PCK certificates hold."""
ROOT_LIST_LIFE_S: Final = 365 * DAY_S

ROOT_TEMPLATE: Final = CertificateTemplate(
    common_name=ROOT_NAME,
    issuer_common_name=ROOT_NAME,
    key="root",
    issuer_key="root",
    is_ca=True,
    path_length=1,
    key_usage=KEY_CERT_SIGN | CRL_SIGN,
)
PLATFORM_CA_TEMPLATE: Final = CertificateTemplate(
    common_name=PLATFORM_CA_NAME,
    issuer_common_name=ROOT_NAME,
    key="platform ca",
    issuer_key="root",
    is_ca=True,
    path_length=0,
    key_usage=KEY_CERT_SIGN | CRL_SIGN,
)
TCB_SIGNER_TEMPLATE: Final = CertificateTemplate(
    common_name=TCB_SIGNER_NAME,
    issuer_common_name=ROOT_NAME,
    key="tcb signer",
    issuer_key="root",
    key_usage=DIGITAL_SIGNATURE | NON_REPUDIATION,
)


class SimulatedCollateral(Struct, frozen=True, kw_only=True):
    """The documents that a quote is judged by, as Intel's service would answer."""

    root_crl: bytes
    pck_crl: bytes
    tcb_info: bytes
    qe_identity: bytes
    signer_chain: tuple[bytes, bytes]
    """Certificates of the signer of both JSON documents and of the root, DER."""
    pck_crl_chain: tuple[bytes, bytes]
    """Certificates of the issuer of the PCK list and of the root, DER."""

    def files(self) -> dict[str, bytes]:
        """Return the six files as they lie in a folder of collateral."""
        return {
            "root_ca_crl.der": self.root_crl,
            "pck_crl.der": self.pck_crl,
            "pck_crl_issuer_chain.pem": write_pem(self.pck_crl_chain),
            "tcb_info.json": self.tcb_info,
            "qe_identity.json": self.qe_identity,
            "tcb_signing_chain.pem": write_pem(self.signer_chain),
        }


class SimulatedVendor:
    """One seed's authorities. Two vendors of one seed are the same vendor."""

    def __init__(
        self,
        seed: bytes = DEVELOPMENT_SEED,
        *,
        root: CertificateTemplate = ROOT_TEMPLATE,
        platform_ca: CertificateTemplate = PLATFORM_CA_TEMPLATE,
        tcb_signer: CertificateTemplate = TCB_SIGNER_TEMPLATE,
    ) -> None:
        """Issue the certificates of the three authorities."""
        self._seed = seed
        self.root = issue_certificate(root, self.key)
        self.platform_ca = issue_certificate(platform_ca, self.key)
        self.tcb_signer = issue_certificate(tcb_signer, self.key)
        self.platform_ca_serial = serial_of(platform_ca)
        self.tcb_signer_serial = serial_of(tcb_signer)

    def key(self, name: str) -> SimulatedKey:
        """Return the pair of keys of this name; any name has one."""
        return _derive_key(self._seed, name)

    def machine(
        self, name: str, platform: PckPlatform | None = None, certificate: CertificateTemplate | None = None
    ) -> SimulatedMachine:
        """Return the machine of this name with the PCK certificate that the templates describe."""
        return SimulatedMachine(
            self, name, platform or platform_template(name), certificate or certificate_template(name)
        )

    def collateral(
        self,
        at_s: int,
        *,
        is_sgx: bool = False,
        revoked: tuple[int, ...] = (),
        revoked_authorities: tuple[int, ...] = (),
        tcb_info: TcbInfoTemplate | None = None,
        qe_identity: QeIdentityTemplate | None = None,
        root_crl: RevocationListTemplate | None = None,
        pck_crl: RevocationListTemplate | None = None,
    ) -> SimulatedCollateral:
        """Return all documents, issued at one time: all well, but for the serial numbers and templates given.

        Serial numbers in `revoked` are those of PCK certificates, in `revoked_authorities` those of the CA and of the signer.
        """
        return SimulatedCollateral(
            root_crl=issue_revocation_list(
                root_crl or replace(root_crl_template(at_s), serials=tuple(sorted(revoked_authorities))), self.key
            ),
            pck_crl=issue_revocation_list(
                pck_crl or replace(pck_crl_template(at_s), serials=tuple(sorted(revoked))), self.key
            ),
            tcb_info=self.tcb_info(tcb_info or tcb_info_template(at_s, is_sgx=is_sgx)),
            qe_identity=self.qe_identity(qe_identity or qe_identity_template(at_s, is_sgx=is_sgx)),
            signer_chain=(self.tcb_signer, self.root),
            pck_crl_chain=(self.platform_ca, self.root),
        )

    def tcb_info(self, template: TcbInfoTemplate) -> bytes:
        """Return a signed TCB info."""
        return sign_document("tcbInfo", write_tcb_info(template), self.key(template.signed_by))

    def qe_identity(self, template: QeIdentityTemplate) -> bytes:
        """Return a signed identity of a quoting enclave."""
        return sign_document("enclaveIdentity", write_qe_identity(template), self.key(template.signed_by))


class SimulatedMachine:
    """A machine of a simulated vendor: one name, one platform id."""

    def __init__(
        self, vendor: SimulatedVendor, name: str, platform: PckPlatform, certificate: CertificateTemplate
    ) -> None:
        """Issue the machine's PCK certificate."""
        self._vendor = vendor
        self.name = name
        self.ppid = platform.ppid
        self.pck_serial = serial_of(certificate)
        extension = write_pck_extension(platform)
        self.pck = issue_certificate(replace(certificate, extensions=(extension, *certificate.extensions)), vendor.key)

    def quote(
        self, report_data: bytes, body: TdBody | SgxBody | None = None, recipe: QuoteRecipe | None = None
    ) -> bytes:
        """Return a quote over 64 bytes of report data; of a trust domain, version 4, if no body is given."""
        chain = (self.pck, self._vendor.platform_ca, self._vendor.root)
        return write_quote(self.name, chain, self._vendor.key, report_data, body or TdBody(), recipe or QuoteRecipe())


def platform_template(name: str) -> PckPlatform:
    """Return what the PCK certificate of this machine says: up to date, under the Platform CA."""
    return PckPlatform(
        ppid=derive_bytes("ppid", name, 16),
        components=CURRENT_COMPONENTS,
        pce_svn=CURRENT_PCE_SVN,
        fmspc=SIMULATED_FMSPC,
        instance_id=derive_bytes("instance", name, 16),
    )


def certificate_template(name: str) -> CertificateTemplate:
    """Return the template of this machine's PCK certificate, without the extension that names the platform."""
    return CertificateTemplate(
        common_name=PCK_NAME,
        issuer_common_name=PLATFORM_CA_NAME,
        key=f"pck/{name}",
        issuer_key="platform ca",
    )


def root_crl_template(at_s: int) -> RevocationListTemplate:
    """Return an empty list of revoked authorities, good for a year."""
    return RevocationListTemplate(
        issuer_common_name=ROOT_NAME, issuer_key="root", this_update_s=at_s, next_update_s=at_s + ROOT_LIST_LIFE_S
    )


def pck_crl_template(at_s: int) -> RevocationListTemplate:
    """Return an empty list of revoked PCK certificates, good for 30 days."""
    return RevocationListTemplate(
        issuer_common_name=PLATFORM_CA_NAME,
        issuer_key="platform ca",
        this_update_s=at_s,
        next_update_s=at_s + DOCUMENT_LIFE_S,
    )


def tcb_info_template(at_s: int, *, is_sgx: bool = False) -> TcbInfoTemplate:
    """Return a TCB info under which the simulated platform is up to date, good for 30 days."""
    return TcbInfoTemplate(issue_s=at_s, next_update_s=at_s + DOCUMENT_LIFE_S, id=SGX_ID if is_sgx else TDX_ID)


def recovery_template(at_s: int, *, is_sgx: bool = False) -> TcbInfoTemplate:
    """Return the TCB info of a TCB recovery: the usual machine is out of date, one with the next versions is not."""
    template = tcb_info_template(at_s, is_sgx=is_sgx)
    return replace(template, number=template.number + 1, levels=RECOVERY_LEVELS)


def qe_identity_template(at_s: int, *, is_sgx: bool = False) -> QeIdentityTemplate:
    """Return an identity that the simulated quoting enclave fits, good for 30 days."""
    template = QeIdentityTemplate(issue_s=at_s, next_update_s=at_s + DOCUMENT_LIFE_S)
    return replace(template, id=QE_ID, prod_id=1) if is_sgx else replace(template, id=TD_QE_ID)


@lru_cache(maxsize=1024)
def _derive_key(seed: bytes, name: str) -> SimulatedKey:
    return derive_key(seed, name)
