"""An order, a machine and what is endorsed, for tests of policies; each part can be left unknown."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from state.policies import AllOf, AnyOf, Condition, Not, OutputParty, PolicyNode, SubjectKind
from state.policy_judgement import EnclaveFacts, Facts, OrderFacts
from state.resource_records import Endorsement
from state.trust_records import Enclave, EnclaveState
from tee.evidence import EvidenceKind
from tests.support.claims import GPU, NOW_S, TDX

NOW_MS = NOW_S * 1_000


def account(number: int) -> bytes:
    """Return the address of an account."""
    return b"\0" + number.to_bytes(20, "big")


def resource(number: int) -> bytes:
    """Return the address of a resource."""
    return b"\1" + number.to_bytes(20, "big")


CUSTOMER, OPERATOR, AUDITOR = account(1), account(2), account(3)
THIS, LOADER, APP, OTHER_DATA, HARDWARE = (resource(number) for number in range(1, 6))
ENCLAVE_ADDRESS = b"\3" + bytes(20)
PLATFORM = b"\1" + bytes(16)

ENCLAVE = Enclave(
    hardware=HARDWARE,
    operator=OPERATOR,
    image=LOADER,
    release=2,
    tee=EvidenceKind.TDX,
    platform=PLATFORM,
    sign_key=bytes(32),
    seal_key=bytes(32),
    claims=replace(TDX, tcb=replace(TDX.tcb, advisories=("INTEL-SA-00001",), current_advisories=("INTEL-SA-00002",))),
    gpus=(GPU, replace(GPU, chip="LS_10 A01 FSP BROM")),
    is_simulated=False,
    root=bytes(32),
    evidence_hash=bytes(32),
    verification_root=bytes(32),
    challenge_height=1,
    attested_ms=1,
    attested_height=1,
    expires_ms=NOW_MS,
    level=4,
    standing=4,
    state=EnclaveState.TRUSTED,
    reason="",
    wheel_ms=0,
    last_beat_ms=0,
)
ORDER = OrderFacts(
    customer=CUSTOMER,
    software=((LOADER, 2), (APP, 7)),
    data=((THIS, 0), (OTHER_DATA, 1)),
    output_to=OutputParty.CUSTOMER,
    purpose="training",
)


class Endorsements:
    """What is endorsed; to be called as a look-up, which counts its calls."""

    def __init__(self, *records: Endorsement) -> None:
        self.records = {(each.endorser, each.subject_kind, each.subject, each.claim): each for each in records}
        self.calls = 0

    def __call__(self, endorser: bytes, kind: SubjectKind, subject: bytes, claim: str) -> Endorsement | None:
        self.calls += 1
        return self.records.get((endorser, kind, subject, claim))


def endorsement(kind: SubjectKind, subject: bytes, **changes: object) -> Endorsement:
    """Return the auditor's word on a subject, which counts now alone unless changed."""
    plain = Endorsement(
        endorser=AUDITOR,
        subject_kind=kind,
        subject=subject,
        claim="reviewed",
        statement_hash=b"",
        from_ms=NOW_MS,
        until_ms=NOW_MS,
        bond_locked=0,
        wheel_ms=NOW_MS + 1,
    )
    return replace(plain, **changes)


def make_facts(**changes: object) -> Facts:
    """Return facts about an order that runs, unless changed."""
    plain = Facts(
        resource=THIS,
        usage_count=5,
        order=ORDER,
        hardware=HARDWARE,
        enclave=EnclaveFacts(ENCLAVE_ADDRESS, ENCLAVE, 4),
        height=100,
        time_ms=NOW_MS,
        find_endorsement=Endorsements(),
    )
    return replace(plain, **changes)


UNKNOWN_FACTS = make_facts(order=None, hardware=None, enclave=None)

Tree = Condition | tuple[str, object]
"""A condition; or "not" and a tree; or "all" or "any" and trees."""


def policy_trees(conditions: list[Condition]) -> st.SearchStrategy[Tree]:
    """Return trees of these conditions."""
    return st.recursive(
        st.sampled_from(conditions),
        lambda trees: st.one_of(
            st.tuples(st.just("not"), trees),
            st.tuples(st.sampled_from(["all", "any"]), st.lists(trees, min_size=1, max_size=4)),
        ),
        max_leaves=12,
    )


def flatten(tree: Tree) -> tuple[PolicyNode, ...]:
    """Return the prefix order of a tree."""
    if not isinstance(tree, tuple):
        return (tree,)
    kind, below = tree
    if kind == "not":
        return (Not(), *flatten(below))
    node = AllOf(count=len(below)) if kind == "all" else AnyOf(count=len(below))
    return (node, *(each for child in below for each in flatten(child)))
