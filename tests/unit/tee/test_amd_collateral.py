"""AMD's revocation lists at the door: whose they are, when they hold, and what is stored of them."""

from __future__ import annotations

from hashlib import sha256

import pytest

from tee.documents import CollateralKind, RevokedSerials
from tests.support import snp_pki as pki
from tests.support.snp_verdicts import Intake, intakes, take_in, verdict_of

INTAKES = {intake.name: intake for intake in intakes()}


@pytest.mark.parametrize("intake", INTAKES.values(), ids=INTAKES.keys())
def test_every_fault_alone_has_its_reason_and_a_good_list_none(intake: Intake) -> None:
    verdict = verdict_of(take_in, intake)
    assert (None if isinstance(verdict, RevokedSerials) else verdict) == intake.reason


def test_list_is_stored_with_its_root_its_window_and_sorted_serials() -> None:
    assert take_in(INTAKES["good"]) == RevokedSerials(
        kind=CollateralKind.AMD_CRL,
        root=sha256(pki.ark("Genoa").encode()).digest(),
        issued_s=pki.MAY_2026,
        next_update_s=pki.JULY_2026,
        valid_from_s=pki.MAY_2026,
        valid_until_s=pki.JULY_2026 - 1,
        issuer=pki.name_of("ARK-Genoa"),
        key=b"",
        serials=b"".join(serial.to_bytes(20, "big") for serial in (1, 3, 1 << 159)),
    )


def test_use_of_a_list_ends_with_its_root() -> None:
    stored = take_in(INTAKES["root-first-second"])
    assert (stored.valid_from_s, stored.valid_until_s) == (pki.MAY_2026 + 5, pki.JULY_2026 - 5)
