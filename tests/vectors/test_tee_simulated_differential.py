"""Our verdicts on simulated hardware beside those of dcap-qvl, an independent verifier: equal, or different for a stated reason.

Status and advisories must be equal wherever both accept. Where one of them refuses alone, a fault of the world must be listed as
one in which the peer is more lenient, or the world must show what the peer's built-in policy denies.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest

from tee.claims import Flag, TcbStatus, Verified
from tee.errors import EvidenceRejected
from tee.simulated_certificates import BASIC_CONSTRAINTS
from tee.simulated_documents import ModuleTemplate, PlatformLevelTemplate, SvnLevelTemplate
from tee.simulated_quotes import TD_ATTRIBUTES, SgxBody, TdBody
from tests.support.dcap_peer import PeerVerdict, judge_with_peer
from tests.support.simulated_collateral_faults import MISSING_FAULTS
from tests.support.simulated_faults import PROFILE, Fault
from tests.support.simulated_judge import judge
from tests.support.simulated_late_faults import ALL_FAULTS, IDENTITY_SIGNER_FAULTS, STORE_FAULTS
from tests.support.simulated_world import ISSUED_S, SGX_WORLD, TDX_15_WORLD, TDX_WORLD, World

_LENIENT: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "reads two certificates of a chain and puts its own root above them, whatever else is there",
        (
            "two certificates",
            "four certificates",
            "text before the chain",
            "two NULs at the end",
            "carriage returns",
            "root of a stranger",
            "root last but one",
            "byte behind the root",
            "root expired",
            "root ended before its list",
            "root begins after its list",
            "root ended before the PCK list",
            "three certificates above the TCB info",
            "TCB info below a stranger",
        ),
    ),
    (
        "takes no notice of unsigned bytes behind what it reads, nor of the outer type",
        ("byte behind the envelope", "byte behind the chain", "a zero byte behind", "certification without envelope"),
    ),
    (
        "takes the issuer of the PCK list from the quote",
        (
            "listed CA without the mark",
            "listed CA that signs no certificates",
            "listed CA of another name",
            "listed CA signed by a stranger",
            "listed CA of another issuer",
            *(f"listed CA without extension {oid}" for oid in PROFILE),
            "three certificates above the PCK list",
            "PCK list below a stranger",
        ),
    ),
    (
        "demands neither Intel's names nor all extensions of its profile",
        (
            "quoted CA that signs no certificates",
            *(f"quoted CA without extension {oid}" for oid in PROFILE if oid != BASIC_CONSTRAINTS),
            *(f"leaf without extension {oid}" for oid in PROFILE),
            "leaf of another name",
            "signer of another name",
            "signer without constraints",
            "root_crl without number",
            "root_crl without key id",
            "pck_crl without number",
            "pck_crl without key id",
        ),
    ),
    (
        "reads of the SGX extension what it needs for the status",
        (
            "repeated entry",
            "PPID of 15 bytes",
            "PCEID of 3 bytes",
            "instance of 15 bytes",
            "SGX type 3",
            "SGX type as a number",
            "option that is neither on nor off",
            "bytes behind the entries",
            "entry that is no pair",
            "entry that is a set",
            "entry named by a text",
            "entry of three",
            "entry of three, long",
        ),
    ),
    (
        "compares no PCEID",
        ("PCEID of another", "TCB info of another PCE"),
    ),
    (
        "demands of the module's attributes only that they are those of its identity",
        ("module with the attributes of its identity",),
    ),
    (
        "is less strict on the form of documents",
        (
            "TCB info: deep nesting",
            "TCB info: hex with a space",
            "TCB info: hex too short",
            "TCB info: time with an offset",
            "TCB info: advisory with a space",
            "TCB info: advisories without end",
            "TCB info of another type",
            "TCB info with a module twice",
            "TCB info with a level twice",
            "QE identity of version 3",
            "QE identity with a level twice",
            "QE identity with a platform's word",
        ),
    ),
    (
        "does not see the envelope, nor when documents came in and what was revoked later",
        (
            "TCB info with a word behind",
            "root_crl ahead at intake",
            "pck_crl ahead at intake",
            "TCB info ahead",
            "QE identity ahead",
            "CA begins after its list",
            "signer not yet begun",
            "CA revoked since",
            "machine revoked since",
            "signer of both documents revoked since",
            "signer of the QE identity alone revoked since",
        ),
    ),
)
LENIENT = {name: why for why, names in _LENIENT for name in names}
"""Fault -> why the peer accepts it all the same: it ..."""

UNLIKE = {
    *(fault.name for fault in (*MISSING_FAULTS, *STORE_FAULTS, *IDENTITY_SIGNER_FAULTS)),
    "root ended before the TCB info",
}
"""Faults that the peer's interface cannot express."""

WORLDS = 400
"""How many random worlds are judged by both."""
STATUSES = (
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "Revoked",
)


class Pair(NamedTuple):
    """Both verdicts on one world."""

    ours: Verified | EvidenceRejected
    peer: PeerVerdict

    @property
    def agrees(self) -> bool:
        if isinstance(self.ours, EvidenceRejected):
            return not self.peer.is_accepted
        tcb = self.ours.claims.tcb
        return self.peer.is_accepted and (self.peer.status, self.peer.advisories) == (WORDS[tcb.status], tcb.advisories)


def judge_twice(world: World) -> Pair:
    peer = judge_with_peer(world.quote(), world.files(), world.vendor().root, world.time_s)
    try:
        return Pair(judge(world), peer)
    except EvidenceRejected as rejection:
        return Pair(rejection, peer)


WORDS = {
    TcbStatus.UP_TO_DATE: "UpToDate",
    TcbStatus.SW_HARDENING_NEEDED: "SWHardeningNeeded",
    TcbStatus.CONFIGURATION_NEEDED: "ConfigurationNeeded",
    TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED: "ConfigurationAndSWHardeningNeeded",
    TcbStatus.TD_RELAUNCH_ADVISED: "TDRelaunchAdvised",
    TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED: "TDRelaunchAdvisedConfigurationNeeded",
    TcbStatus.OUT_OF_DATE: "OutOfDate",
    TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED: "OutOfDateConfigurationNeeded",
    TcbStatus.REVOKED: "Revoked",
}
"""Intel's words, which the peer answers with."""


@pytest.mark.parametrize("world", [TDX_WORLD, TDX_15_WORLD, SGX_WORLD], ids=["tdx", "tdx-1.5", "sgx"])
def test_both_accept_a_world_in_order(world: World) -> None:
    assert judge_twice(world).agrees


@pytest.mark.parametrize(
    "fault", [fault for fault in ALL_FAULTS if fault.name not in UNLIKE], ids=lambda fault: fault.name
)
def test_both_refuse_a_fault_unless_the_peer_is_known_to_be_lenient(fault: Fault) -> None:
    pair = judge_twice(fault.world())

    assert isinstance(pair.ours, EvidenceRejected)
    assert pair.peer.is_accepted == (fault.name in LENIENT)


def test_differences_are_explained_once_and_of_faults_that_exist() -> None:
    assert len(LENIENT) == sum(len(names) for _why, names in _LENIENT)
    assert set(LENIENT) <= {fault.name for fault in ALL_FAULTS} - UNLIKE


def test_random_levels_have_the_same_status_and_advisories(record_property: pytest.RecordProperty) -> None:
    chance = random.Random(20_261_124)
    seen: dict[str, int] = {}
    for _ in range(WORLDS):
        world = random_world(chance)
        pair = judge_twice(world)
        verdict = describe(pair)
        seen[verdict] = seen.get(verdict, 0) + 1
        assert pair.agrees or is_denied_by_policy(pair), (pair, world)
    record_property("figures", ", ".join(f"{count} {verdict}" for verdict, count in sorted(seen.items())))
    assert set(seen) >= {*WORDS.values(), "refused"}


def describe(pair: Pair) -> str:
    return "refused" if isinstance(pair.ours, EvidenceRejected) else WORDS[pair.ours.claims.tcb.status]


def is_denied_by_policy(pair: Pair) -> bool:
    """Tell whether the peer refuses by its built-in policy what we call authentic with a flag or a bad status."""
    if isinstance(pair.ours, EvidenceRejected) or pair.peer.is_accepted:
        return False
    claims = pair.ours.claims
    if TcbStatus.REVOKED in {claims.tcb.status, claims.tcb.current_status} and "Revoked" in pair.peer.error:
        return True
    return any(words in pair.peer.error for flag in claims.flags for words in DENIED[flag])


DENIED = {
    Flag.DEBUG: ("Debug mode", "TD profiling"),
    Flag.NO_SEPT_VE_DISABLE: ("SEPT_VE_DISABLE",),
    Flag.MIGRATABLE: ("TD migration",),
    Flag.RESERVED_TD_ATTRIBUTES: ("Reserved bits",),
    Flag.MRSERVICETD: ("MR service TD",),
}
"""Flag -> parts of the peer's refusals."""


def random_world(chance: random.Random) -> World:
    """Return a world whose platform, module and quoting enclave stand anywhere among random levels."""
    base = chance.choice((TDX_WORLD, TDX_15_WORLD, TDX_15_WORLD, SGX_WORLD))
    statuses = chance.choices(STATUSES, k=3)
    levels = tuple(
        PlatformLevelTemplate(
            components=(chance.randrange(4), chance.randrange(2), *(0,) * 14),
            pce_svn=chance.randrange(3) * 256 + index,
            tdx_components=(chance.randrange(4), chance.randrange(2), chance.randrange(3), *(0,) * 13),
            date_s=ISSUED_S - chance.randrange(10**7),
            status=status,
            advisories=random_advisories(chance),
        )
        for index, status in enumerate(statuses, start=1)
    )
    floor = PlatformLevelTemplate(
        components=(0,) * 16,
        pce_svn=0,
        tdx_components=(chance.choice((0, 0, 9)), *(0,) * 15),
        status=chance.choice(STATUSES),
        advisories=random_advisories(chance),
    )
    identity = {"levels": random_svn_levels(chance)}
    tcb_info = {
        "levels": (*levels, floor),
        "modules": tuple(
            ModuleTemplate(id=f"TDX_{version:02X}", levels=random_svn_levels(chance)) for version in (1, 2, 10)
        ),
    }
    platform = {"components": (chance.randrange(5), chance.randrange(3), *(0,) * 14), "pce_svn": chance.randrange(1024)}
    return base.having(tcb_info=tcb_info, qe_identity=identity, platform=platform, body=random_body(chance, base.body))


def random_body(chance: random.Random, body: TdBody | SgxBody) -> dict[str, object]:
    if isinstance(body, SgxBody):
        return {"flags": body.flags | chance.choice((0, 0, 0, 2))}
    bit = chance.choice((None, None, None, None, 0, 5, 28, 29, 30, 40, 63))
    return {
        "tee_tcb_svn": random_svn(chance),
        "tee_tcb_svn2": random_svn(chance),
        "td_attributes": TD_ATTRIBUTES ^ (0 if bit is None else 1 << bit),
        "mr_service_td": chance.choice((bytes(48), bytes(48), bytes(48), b"\1" * 48)),
    }


def random_svn(chance: random.Random) -> bytes:
    return bytes((chance.randrange(2, 9), chance.choice((0, 1, 1, 1, 2, 10, 11)), chance.randrange(1, 4))) + bytes(13)


def random_svn_levels(chance: random.Random) -> tuple[SvnLevelTemplate, ...]:
    """Return levels from the highest down, as Intel sends them; the highest is not always the best."""
    return tuple(
        SvnLevelTemplate(
            svn=svn,
            date_s=ISSUED_S - chance.randrange(10**7),
            status=chance.choice(("UpToDate", "UpToDate", "UpToDate", "OutOfDate", "OutOfDate", "Revoked")),
            advisories=random_advisories(chance),
        )
        for svn in sorted(chance.sample(range(6), 2), reverse=True)
    )


def random_advisories(chance: random.Random) -> tuple[str, ...]:
    return tuple(f"INTEL-SA-{number:05}" for number in chance.sample(range(4), chance.randrange(3)))


def test_pairs_of_faults_are_refused_by_us_always_and_by_the_peer_unless_it_is_lenient_in_both() -> None:
    chance = random.Random(17)
    faults = [fault for fault in ALL_FAULTS if fault.name not in UNLIKE and fault.base is TDX_WORLD]
    for _ in range(150):
        first, second = chance.sample(faults, 2)
        pair = judge_twice(second.change(first.world()))
        assert isinstance(pair.ours, EvidenceRejected), (first.name, second.name)
        assert not pair.peer.is_accepted or {first.name, second.name} & set(LENIENT), (first.name, second.name)
