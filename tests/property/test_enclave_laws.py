"""Enclaves under random documents, proofs, rules and times: all stand as they would be judged now, and hold what they count on.

Each walk has a seed and takes the same steps for ever. The seeds are some that notice whatever a mistake would leave out: a
document, a date, a walk through a cohort that goes on in the next block.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from random import Random

import pytest
from msgspec.structs import replace

from state.lists import count_members, member_at
from state.records import ONLY
from state.runtime.trust.cohorts import cohort_of, enclaves_on, has_queue, id_of, members_list, runners_list
from state.runtime.trust.enclaves import judged
from state.runtime.trust.judgement import LIVE, Judge, platforms_of
from state.runtime.trust.rules import list_platform, note_verifier_change, set_brake, set_rules
from state.trust_messages import PutCollateral
from state.trust_records import (
    APPRAISAL_RULES,
    COHORT_BOOKS,
    ENCLAVES,
    PLATFORMS,
    Brake,
    BrakeScope,
    Enclave,
    PlatformVerdict,
)
from tee.appraisal import PlatformClass, Waiver
from tee.simulated import qe_identity_template, recovery_template, tcb_info_template
from tee.simulated_documents import SvnLevelTemplate
from tests.support.attesting import DAY_MS, POSTER, PROVIDER, Lab, collateral_messages
from tests.support.chain_builders import make_genesis, with_params

HOUR_MS = 3_600_000
MACHINE_COUNT = 4
ENCLAVE_COUNT = 7
STEPS = 70


class Walk:
    """A lab and the chance that moves it."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        genesis = make_genesis()
        for group, values in {
            "attestation": {
                "max_age_ms": self.chance.choice([7, 60]) * DAY_MS,
                "promotion_delay_ms": self.chance.choice([0, DAY_MS]),
                "tcb_grace_ms": self.chance.choice([0, DAY_MS, 15 * DAY_MS]),
                "collateral_grace_ms": self.chance.choice([0, DAY_MS, 7 * DAY_MS]),
                "enclave_keep_ms": self.chance.choice([0, DAY_MS]),
                "platform_notice_ms": self.chance.choice([0, HOUR_MS]),
            },
            "blocks": {"reappraisals_max": self.chance.choice([1, 2, 50])},
        }.items():
            genesis = with_params(genesis, group, **values)
        self.lab = Lab(genesis)

    def step(self) -> None:
        """Let time pass, seldom for long, and do one thing."""
        self.lab.apply(
            interval_ms=self.chance.choice([300, 1_000, 1_000, 1_000, HOUR_MS, self.chance.randrange(9 * DAY_MS)])
        )
        self.chance.choice(
            [self.attest, self.attest, self.attest, self.renew_documents, self.put_one, self.put_one, self.decide]
        )()

    def attest(self) -> None:
        """Attest an enclave, whether it may or not."""
        machine = f"machine {self.chance.randrange(MACHINE_COUNT)}"
        self.lab.reason(PROVIDER, self.lab.attest_message(self.chance.randrange(ENCLAVE_COUNT), machine=machine))

    def renew_documents(self) -> None:
        """Bring all documents of now."""
        for message in collateral_messages(self.lab.vendor.collateral(self.lab.now_s)):
            self.lab.reason(POSTER, message)

    def put_one(self) -> None:
        """Bring one document, by which machines are good, behind or withdrawn, for longer or shorter."""
        lab, chance = self.lab, self.chance
        template = chance.choice([tcb_info_template, recovery_template])(lab.now_s)
        number, end_s = template.number + chance.randrange(3), lab.now_s + chance.choice([60, 86_400, 30 * 86_400])
        revoked = chance.choice([(), (), (), (lab.vendor.machine("machine 0").pck_serial,)])
        collateral = lab.vendor.collateral(
            lab.now_s, revoked=revoked, tcb_info=replace(template, number=number, next_update_s=end_s)
        )
        messages: list[PutCollateral] = [*collateral_messages(collateral)]
        levels = (SvnLevelTemplate(svn=0, status=chance.choice(["UpToDate", "OutOfDate", "Revoked"])),)
        quoting = replace(qe_identity_template(lab.now_s), levels=levels)
        messages.append(replace(messages[3], body=lab.vendor.qe_identity(quoting)))
        lab.reason(POSTER, chance.choice(messages))

    def decide(self) -> None:
        """Let governance decide something, with a date or for good."""
        lab, chance = self.lab, self.chance
        platform = bytes((PlatformClass.PPID,)) + lab.vendor.machine("machine 1").ppid
        rules = lab.ledger.get(APPRAISAL_RULES, ONLY)
        waivers = (Waiver(advisory="INTEL-SA-90001", until_s=lab.now_s + chance.randrange(20 * 86_400)),)
        stricter = replace(
            rules,
            standing_min=chance.choice([2, 3, 4]),
            policy=replace(rules.policy, waivers=chance.choice([(), waivers])),
        )
        brake = Brake(
            scope=BrakeScope.PLATFORM, subject=platform, until_ms=lab.time_ms + chance.randrange(1, 72 * HOUR_MS)
        )
        verdict = chance.choice([None, None, PlatformVerdict.ALLOWED, PlatformVerdict.DENIED])
        decisions = (
            lambda context: set_rules(context, stricter),
            lambda context: set_brake(context, brake),
            lambda context: list_platform(context, platform, verdict),
            note_verifier_change,
        )
        lab.govern(chance.choice(decisions))

    def settle(self) -> None:
        """Go on until no enclave waits for its judgement, and no deadline for the end of its slot."""
        self.lab.apply(interval_ms=300)
        while has_queue(self.lab.ledger):
            self.lab.apply(interval_ms=1)

    def live_enclaves(self) -> dict[bytes, Enclave]:
        """Return all enclaves that are neither expired nor revoked, by address."""
        addresses = [raw_key[1:] for raw_key in self.lab.state if raw_key[:1] == ENCLAVES.prefix]
        enclaves = {address: self.lab.ledger.get(ENCLAVES, address) for address in addresses}
        return {address: enclave for address, enclave in enclaves.items() if enclave.state in LIVE}


def check_places(walk: Walk) -> None:
    """Check that machines count their enclaves, and that cohorts, releases and hardware list theirs."""
    ledger, live = walk.lab.ledger, walk.live_enclaves()
    counted = {
        raw_key[1:]: ledger.get(PLATFORMS, raw_key[1:]).enclave_count
        for raw_key in walk.lab.state
        if raw_key[:1] == PLATFORMS.prefix
    }
    held = Counter(platform for enclave in live.values() for platform in platforms_of(enclave))
    assert {platform: count for platform, count in counted.items() if count} == held
    listed = defaultdict(set)
    for address, enclave in live.items():
        listed[members_list(id_of(cohort_of(enclave)))].add(address)
        listed[runners_list(enclave)].add(address)
        listed[enclaves_on(enclave.hardware)].add(address)
    names = {*listed, *(members_list(identity) for identity in ledger.get(COHORT_BOOKS, ONLY).ids)}
    assert {name: {member_at(ledger, name, n) for n in range(count_members(ledger, name))} for name in names} == {
        name: listed.get(name, set()) for name in names
    }


@pytest.mark.parametrize("seed", [5, 8, 11, 59])
def test_enclaves_stand_as_they_would_be_judged_now(seed: int) -> None:
    walk, seen = Walk(seed), Counter[str]()
    for _ in range(STEPS):
        walk.step()
        check_places(walk)
        if walk.chance.random() < 0.5:
            continue
        walk.settle()
        judge = Judge(walk.lab.ledger, walk.lab.params, walk.lab.time_ms)
        live = walk.live_enclaves()
        assert {address: judged(enclave, judge.judge(enclave)) for address, enclave in live.items()} == live
        seen.update(enclave.reason for enclave in live.values())
    assert len(seen) > 1, "not all were good all the time"
