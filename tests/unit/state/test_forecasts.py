"""Forecasts of machines whose floors governance dates ahead: what ends of itself until then is no fall."""

from __future__ import annotations

from hashlib import sha256

import pytest
from msgspec.structs import replace

from state.forecasts import Forecast, forecast
from state.records import ONLY
from state.runtime.trust.rules import set_rules
from state.trust_records import APPRAISAL_RULES, ENCLAVES
from tee.appraisal import SnpFloor
from tee.claims import SnpProduct
from tee.evidence import EvidenceKind
from tee.roots import VENDOR_ROOTS
from tee.shortage import Shortage
from tests.support.attesting import DAY_MS, Lab, address
from tests.support.claims import SNP


@pytest.fixture(scope="module")
def lab() -> Lab:
    """Return a lab whose one enclave is one of AMD's."""
    lab = Lab()
    lab.attest()
    genoa = replace(
        lab.enclave(),
        tee=EvidenceKind.SEV_SNP,
        claims=SNP,
        root=sha256(VENDOR_ROOTS.amd[1].der).digest(),
        is_simulated=False,
    )
    lab.govern(lambda context: context.ledger.put(ENCLAVES, address(lab), genoa))
    return lab


def forecast_with_floor(lab: Lab, microcode: int, since_ms: int) -> Forecast:
    """Return the forecast with one more floor for Genoa, from this time."""
    rules = lab.ledger.get(APPRAISAL_RULES, ONLY)
    tcb = replace(SNP.reported, microcode=microcode)
    floor = SnpFloor(product=SnpProduct.GENOA, since_s=since_ms // 1_000, tcb=tcb)
    others = rules.policy.snp_floors[:2]
    lab.govern(
        lambda context: set_rules(context, replace(rules, policy=replace(rules.policy, snp_floors=(*others, floor))))
    )
    found = forecast(lab.ledger, address(lab))
    assert found is not None
    return found


def test_a_floor_that_a_machine_reaches_does_not_let_it_fall_though_its_proof_ends_before(lab: Lab) -> None:
    since_ms = (lab.time_ms // 1_000 + 30 * DAY_MS // 1_000) * 1_000
    told = forecast_with_floor(lab, SNP.reported.microcode, since_ms)
    assert (told.state_then, told.standing_then, told.reason_then) == ("trusted", 5, "")
    assert (told.falls, told.due_ms, told.shortages) == (False, since_ms, ())


def test_a_floor_that_a_machine_misses_lets_it_fall_from_its_date(lab: Lab) -> None:
    since_ms = (lab.time_ms // 1_000 + 30 * DAY_MS // 1_000) * 1_000
    microcode = SNP.reported.microcode
    told = forecast_with_floor(lab, microcode + 1, since_ms)
    assert (told.state_then, told.standing_then, told.reason_then) == ("suspended", 2, "standing_too_low")
    assert (told.falls, told.due_ms) == (True, since_ms)
    assert told.shortages == (Shortage("firmware", "microcode", microcode, microcode + 1),)
