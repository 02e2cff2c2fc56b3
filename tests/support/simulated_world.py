"""One quote with its collateral, described by templates: change a field, build, judge.

The plain world is in order: its quote is authentic and up to date at `time_s`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tee.simulated import (
    PLATFORM_CA_TEMPLATE,
    ROOT_TEMPLATE,
    TCB_SIGNER_TEMPLATE,
    SimulatedVendor,
    certificate_template,
    pck_crl_template,
    platform_template,
    qe_identity_template,
    root_crl_template,
    tcb_info_template,
)
from tee.simulated_certificates import CertificateTemplate, PckPlatform, RevocationListTemplate
from tee.simulated_documents import QeIdentityTemplate, TcbInfoTemplate
from tee.simulated_quotes import QuoteRecipe, SgxBody, TdBody

ISSUED_S = 1_780_185_600
"""2026-05-31T00:00:00Z: the collateral is issued."""
NOW_S = ISSUED_S + 86_400
"""A day later: evidence is judged."""
REPORT_DATA = bytes(range(64))
MACHINE = "alpha"

Files = Mapping[str, bytes]


class World(Struct, frozen=True, kw_only=True):
    """All that goes into one verdict."""

    root: CertificateTemplate = ROOT_TEMPLATE
    platform_ca: CertificateTemplate = PLATFORM_CA_TEMPLATE
    tcb_signer: CertificateTemplate = TCB_SIGNER_TEMPLATE
    certificate: CertificateTemplate = certificate_template(MACHINE)
    platform: PckPlatform = platform_template(MACHINE)
    body: TdBody | SgxBody = TdBody()
    recipe: QuoteRecipe = QuoteRecipe()
    tcb_info: TcbInfoTemplate = tcb_info_template(ISSUED_S)
    qe_identity: QeIdentityTemplate = qe_identity_template(ISSUED_S)
    root_crl: RevocationListTemplate = root_crl_template(ISSUED_S)
    pck_crl: RevocationListTemplate = pck_crl_template(ISSUED_S)
    time_s: int = NOW_S
    loaded_s: int = ISSUED_S + 1
    """When the collateral is taken in, if that is not when evidence is judged."""
    root_loaded_s: int = ISSUED_S + 1
    """When the revocation list of the root is taken in."""
    edit_quote: Callable[[bytes], bytes] | None = None
    edit_files: Callable[[dict[str, bytes]], dict[str, bytes]] | None = None
    edit_store: Callable[[Any], Any] | None = None  # Any: a store of tests/support/simulated_judge.py
    """Change the documents after they were taken in."""

    def having(self, **changes: Any) -> World:  # Any: the fields' own types
        """Return this world with fields replaced; a mapping changes fields of the template in its place."""
        return replace(
            self,
            **{
                name: replace(getattr(self, name), **change) if isinstance(change, dict) else change
                for name, change in changes.items()
            },
        )

    def vendor(self) -> SimulatedVendor:
        """Return the authorities."""
        return SimulatedVendor(root=self.root, platform_ca=self.platform_ca, tcb_signer=self.tcb_signer)

    def quote(self) -> bytes:
        """Return the quote."""
        machine = self.vendor().machine(MACHINE, self.platform, self.certificate)
        quote = machine.quote(REPORT_DATA, self.body, self.recipe)
        return self.edit_quote(quote) if self.edit_quote else quote

    def files(self) -> dict[str, bytes]:
        """Return the six files of collateral."""
        files = (
            self.vendor()
            .collateral(
                ISSUED_S,
                tcb_info=self.tcb_info,
                qe_identity=self.qe_identity,
                root_crl=self.root_crl,
                pck_crl=self.pck_crl,
            )
            .files()
        )
        return self.edit_files(files) if self.edit_files else files


TDX_WORLD = World()
"""A trust domain, quote version 4."""
TDX_15_WORLD = World(body=TdBody(body_type=3))
"""A trust domain with a level in force beside the one at launch, quote version 5."""
SGX_WORLD = World(
    body=SgxBody(),
    tcb_info=tcb_info_template(ISSUED_S, is_sgx=True),
    qe_identity=qe_identity_template(ISSUED_S, is_sgx=True),
)
"""An enclave, quote version 3."""
