"""attest: every refusal with its reason, renewals in place, the binding, the keeping of answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from state.attestation import attest_signing_bytes, enclave_address
from state.lists import ListKind
from state.offers import ResourceKind
from state.receipts import EventKind
from state.records import RECENT_BLOCKS, number_key
from state.resource_records import RELEASES, RESOURCES, ReleaseStatus, ResourceStatus, numbered_key
from state.runtime.reasons import EnclaveReason, TransactionReason
from state.runtime.trust.rules import distrust_root, list_platform, set_brake
from state.trust_messages import Attest
from state.trust_records import PLATFORMS, Brake, BrakeScope, EnclaveState, Platform, PlatformVerdict
from tee.appraisal import DenialReason, PlatformClass
from tee.errors import Reason
from tee.evidence import EvidenceKind
from tee.simulated import recovery_template
from tee.simulated_quotes import TdBody
from tests.support.attesting import (
    BOUND_TO_OTHERS,
    CUSTOMER,
    DAY_MS,
    FEE,
    PROVIDER,
    Lab,
    collateral_messages,
    enclave_key,
    publish,
    trust_as_vendor,
)
from tests.support.chain_builders import account, account_key, make_genesis, with_params

STRANGER = account_key(5)
HOUR_MS = 3_600_000


@pytest.fixture
def lab() -> Lab:
    return Lab()


def test_an_enclave_of_simulated_hardware_is_trusted_at_level_one(lab: Lab) -> None:
    executed = lab.attest()
    enclave = lab.enclave()
    assert (enclave.state, enclave.level, enclave.standing, enclave.reason) == (EnclaveState.TRUSTED, 1, 5, "")
    assert enclave.is_simulated
    assert enclave.expires_ms == lab.time_ms + 7 * DAY_MS
    assert enclave.attested_height == lab.height
    assert [event.kind for event in executed.events] == [EventKind.ATTESTED, EventKind.ENCLAVE_CHANGED]
    assert dict(executed.events[0].attributes)["is_simulated"] == 1
    assert lab.ledger.get(PLATFORMS, enclave.platform).owner == account(0)


def test_an_enclave_of_a_vendors_hardware_has_the_level_of_its_standing(monkeypatch: pytest.MonkeyPatch) -> None:
    trust_as_vendor(monkeypatch)
    lab = Lab()
    lab.attest()
    assert (lab.enclave().level, lab.enclave().is_simulated) == (5, False)


@pytest.mark.parametrize(("part", "other"), BOUND_TO_OTHERS, ids=[part for part, _ in BOUND_TO_OTHERS])
def test_evidence_made_for_anything_else_is_refused(lab: Lab, part: str, other: object) -> None:
    assert lab.reason(PROVIDER, lab.attest_message(bound={part: other})) == TransactionReason.BINDING_MISMATCH
    assert lab.find_enclave() is None


def retire(lab: Lab, address: bytes, status: ResourceStatus) -> None:
    lab.govern(
        lambda context: context.ledger.put(
            RESOURCES, address, replace(context.ledger.get(RESOURCES, address), status=status)
        )
    )


def with_status(lab: Lab, status: ReleaseStatus, until_ms: int = 0) -> None:
    key = numbered_key(lab.image, 0)
    lab.govern(
        lambda context: context.ledger.put(
            RELEASES, key, replace(context.ledger.get(RELEASES, key), status=status, until_ms=until_ms)
        )
    )


def stale_challenge(lab: Lab) -> Attest:
    for _ in range(10):
        lab.apply(interval_ms=1)
    message = lab.attest_message()
    lab.apply(interval_ms=10 * 60_000 - 1)
    return message


def forgotten_challenge(lab: Lab) -> Attest:
    message = lab.attest_message(challenge_height=1)
    for _ in range(9):
        lab.apply(interval_ms=HOUR_MS)
    assert lab.ledger.find(RECENT_BLOCKS, number_key(1)) is None
    return message


def paused_hardware(lab: Lab) -> Attest:
    retire(lab, lab.hardware, ResourceStatus.PAUSED)
    return lab.attest_message()


def retired_image(lab: Lab) -> Attest:
    retire(lab, lab.image, ResourceStatus.RETIRED)
    return lab.attest_message()


def revoked_release(lab: Lab) -> Attest:
    with_status(lab, ReleaseStatus.REVOKED)
    return lab.attest_message()


def deprecated_release_at_its_end(lab: Lab) -> Attest:
    with_status(lab, ReleaseStatus.DEPRECATED, lab.time_ms + 1_000)
    return lab.attest_message()


def braked(scope: BrakeScope, subject: Callable[[Lab], bytes]) -> Callable[[Lab], Attest]:
    def build(lab: Lab) -> Attest:
        brake = Brake(scope=scope, subject=subject(lab), until_ms=lab.time_ms + HOUR_MS)
        lab.govern(lambda context: set_brake(context, brake))
        return lab.attest_message()

    return build


def denied_machine(lab: Lab) -> Attest:
    platform = bytes((PlatformClass.PPID,)) + lab.vendor.machine("machine 0").ppid
    lab.govern(lambda context: list_platform(context, platform, PlatformVerdict.DENIED))
    return lab.attest_message()


def behind_machine(lab: Lab) -> Attest:
    """A machine that was behind under the first number has no grace under the second."""
    lab.put_all(lab.vendor.collateral(lab.now_s, tcb_info=recovery_template(lab.now_s)))
    lab.apply(interval_ms=30 * DAY_MS)
    lab.put_all(lab.vendor.collateral(lab.now_s, tcb_info=replace(recovery_template(lab.now_s), number=22)))
    lab.apply(interval_ms=30 * DAY_MS)
    fresh = lab.vendor.collateral(lab.now_s, tcb_info=replace(recovery_template(lab.now_s), number=22))
    lab.put_all(fresh)
    lab.apply()
    return lab.attest_message()


def revoked_machine(lab: Lab) -> Attest:
    serial = lab.vendor.machine("machine 0").pck_serial
    lab.apply()
    lab.put_all(lab.vendor.collateral(lab.now_s, revoked=(serial,)))
    return lab.attest_message()


def distrusted_root(lab: Lab) -> Attest:
    lab.attest(1)
    root = lab.enclave(1).root
    lab.govern(lambda context: distrust_root(context, root))
    return lab.attest_message()


def overdue_collateral(lab: Lab) -> Attest:
    lab.apply(interval_ms=30 * DAY_MS)
    return lab.attest_message()


def other_number(lab: Lab) -> bytes:
    return numbered_key(lab.image, 0)


REFUSALS: list[tuple[str, Callable[[Lab], Attest], str]] = [
    ("no hardware", lambda lab: lab.attest_message(hardware=b"\x01" + bytes(20)), TransactionReason.NO_RESOURCE),
    ("hardware is software", lambda lab: lab.attest_message(hardware=lab.image), TransactionReason.WRONG_RESOURCE_KIND),
    ("hardware paused", paused_hardware, TransactionReason.RESOURCE_NOT_ACTIVE),
    ("no image", lambda lab: lab.attest_message(image=b"\x01" + bytes(20)), TransactionReason.NO_RESOURCE),
    ("image is hardware", lambda lab: lab.attest_message(image=lab.hardware), TransactionReason.WRONG_RESOURCE_KIND),
    ("image retired", retired_image, TransactionReason.RESOURCE_NOT_ACTIVE),
    ("no release", lambda lab: lab.attest_message(release=1), TransactionReason.NO_RELEASE),
    ("release revoked", revoked_release, EnclaveReason.RELEASE_REVOKED),
    ("release over", deprecated_release_at_its_end, EnclaveReason.RELEASE_REVOKED),
    ("unknown evidence", lambda lab: lab.attest_message(tee=9), TransactionReason.UNKNOWN_TEE),
    ("no profile", lambda lab: lab.attest_message(tee=EvidenceKind.NITRO), TransactionReason.NO_PROFILE),
    ("future challenge", lambda lab: lab.attest_message(challenge_height=99), TransactionReason.CHALLENGE_UNKNOWN),
    ("stale challenge", stale_challenge, TransactionReason.CHALLENGE_TOO_OLD),
    ("forgotten challenge", forgotten_challenge, TransactionReason.CHALLENGE_UNKNOWN),
    ("key did not sign", lambda lab: lab.attest_message(signature=bytes(64)), TransactionReason.BAD_ENCLAVE_SIGNATURE),
    (
        "another key",
        lambda lab: lab.attest_message(sign_key=enclave_key(9).public_key),
        TransactionReason.BAD_ENCLAVE_SIGNATURE,
    ),
    ("not a quote", lambda lab: signed(lab, b"nonsense"), Reason.PARSE),
    ("bytes behind", lambda lab: signed(lab, lab.attest_message().evidence + b"\0"), Reason.TRAILING_BYTES),
    ("flipped signature", lambda lab: signed(lab, flipped(lab.attest_message().evidence)), Reason.QUOTE_SIGNATURE),
    ("debug", lambda lab: lab.attest_message(body=TdBody(td_attributes=0x10000001)), DenialReason.DEBUG),
    ("open to exceptions", lambda lab: lab.attest_message(body=TdBody(td_attributes=0)), DenialReason.FLAG_DENIED),
    (
        "another program",
        lambda lab: lab.attest_message(body=TdBody(mr_td=bytes(48))),
        TransactionReason.MEASUREMENT_MISMATCH,
    ),
    ("features", lambda lab: lab.attest_message(body=TdBody(xfam=0x1)), DenialReason.XFAM_DENIED),
    ("machine denied", denied_machine, DenialReason.PLATFORM_DENIED),
    ("machine behind", behind_machine, EnclaveReason.STANDING_TOO_LOW),
    ("machine revoked", revoked_machine, Reason.PCK_REVOKED),
    ("root distrusted", distrusted_root, Reason.PCK_CHAIN_ROOT_UNTRUSTED),
    ("collateral overdue", overdue_collateral, Reason.PCK_CRL_EXPIRED),
    ("all braked", braked(BrakeScope.ATTESTATIONS, lambda _lab: b""), EnclaveReason.BRAKED),
    ("TEE braked", braked(BrakeScope.TEE, lambda _lab: b"\x02"), EnclaveReason.BRAKED),
    ("release braked", braked(BrakeScope.RELEASE, other_number), EnclaveReason.BRAKED),
]


def signed(lab: Lab, quote: bytes) -> Attest:
    signature = enclave_key(0).sign(attest_signing_bytes(lab.chain_id, account(0), lab.hardware, quote))
    return lab.attest_message(quote=quote, signature=signature)


def flipped(quote: bytes) -> bytes:
    """Flip a bit of the quote's own signature: header 48, body 584, length 4."""
    place = 48 + 584 + 4 + 5
    return quote[:place] + bytes([quote[place] ^ 1]) + quote[place + 1 :]


@pytest.mark.parametrize(("build", "reason"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_what_proves_too_little_is_refused_by_its_reason(lab: Lab, build: Callable[[Lab], Attest], reason: str) -> None:
    message = build(lab)
    balance = lab.balance(account(0))
    receipt = lab.send(PROVIDER, message).receipts[0]
    assert receipt.reason == reason
    assert (receipt.fee, lab.balance(account(0))) == (FEE, balance - FEE)
    assert lab.find_enclave() is None


@pytest.mark.parametrize("missing", [0, 1, 2, 3], ids=["root list", "PCK list", "TCB info", "QE identity"])
def test_nothing_is_admitted_without_any_of_its_documents(missing: int) -> None:
    lab = Lab(is_bare=True)
    messages = collateral_messages(lab.vendor.collateral(lab.now_s))
    for index, message in enumerate(messages):
        # Without the root's list no other document comes in.
        expected = "" if missing else Reason.COLLATERAL_MISSING
        if index != missing:
            assert lab.reason(account_key(2), message) == expected
    lab.image = lab.publish(CUSTOMER, publish(ResourceKind.SOFTWARE))
    lab.hardware = lab.publish(PROVIDER, publish(ResourceKind.HARDWARE))
    assert lab.reason(PROVIDER, lab.attest_message()) == Reason.COLLATERAL_MISSING


def test_only_the_owner_of_the_hardware_attests_on_it(lab: Lab) -> None:
    message = lab.attest_message(provider=STRANGER)
    assert lab.reason(STRANGER, message) == TransactionReason.NOT_OWNER


def test_a_machine_belongs_to_one_owner_until_its_notice_is_over(lab: Lab) -> None:
    hardware = lab.publish(STRANGER, publish(ResourceKind.HARDWARE))

    def claim(number: int) -> str:
        return lab.reason(
            STRANGER, lab.attest_message(number, machine="machine 0", provider=STRANGER, hardware=hardware)
        )

    lab.attest(0)
    assert claim(1) == TransactionReason.PLATFORM_TAKEN
    lab.apply(interval_ms=7 * DAY_MS)
    lab.apply(interval_ms=1_000)
    assert lab.enclave(0).state is EnclaveState.EXPIRED
    assert claim(2) == TransactionReason.PLATFORM_TAKEN
    lab.apply(interval_ms=5 * 60_000)
    assert claim(3) == ""


def test_a_machine_stands_for_one_hardware_resource_while_it_has_an_enclave(lab: Lab) -> None:
    """Two offers of one owner on one machine would sell its capacity twice."""
    other = lab.publish(PROVIDER, publish(ResourceKind.HARDWARE))

    def on_other(number: int) -> str:
        return lab.reason(PROVIDER, lab.attest_message(number, machine="machine 0", hardware=other))

    lab.attest(0)
    assert on_other(1) == TransactionReason.PLATFORM_TAKEN
    lab.apply(interval_ms=7 * DAY_MS + 1_000)
    assert lab.enclave(0).state is EnclaveState.EXPIRED
    assert on_other(2) == ""
    assert lab.reason(PROVIDER, lab.attest_message(0)) == TransactionReason.PLATFORM_TAKEN
    assert lab.members(ListKind.HARDWARE, other) == [enclave_address(enclave_key(2).public_key)]
    assert lab.members(ListKind.HARDWARE, lab.hardware) == []


def test_enclaves_on_paused_hardware_are_renewed(lab: Lab) -> None:
    lab.attest(0)
    retire(lab, lab.hardware, ResourceStatus.PAUSED)
    lab.attest(0)
    assert lab.reason(PROVIDER, lab.attest_message(1)) == TransactionReason.RESOURCE_NOT_ACTIVE
    retire(lab, lab.hardware, ResourceStatus.RETIRED)
    assert lab.reason(PROVIDER, lab.attest_message(0)) == TransactionReason.RESOURCE_NOT_ACTIVE


def test_a_machine_is_forgotten_when_the_notice_after_its_last_enclave_is_over(lab: Lab) -> None:
    lab.attest()
    platform = lab.enclave().platform
    lab.apply(interval_ms=7 * DAY_MS + 1_000)
    left = lab.ledger.get(PLATFORMS, platform)
    assert left == Platform(
        owner=account(0), hardware=lab.hardware, enclave_count=0, free_from_ms=lab.time_ms + 5 * 60_000
    )
    lab.apply(interval_ms=4 * 60_000)
    assert lab.ledger.find(PLATFORMS, platform) == left
    lab.apply(interval_ms=61_000)
    assert lab.ledger.find(PLATFORMS, platform) is None


def test_a_machine_that_has_an_enclave_again_outlives_its_notice(lab: Lab) -> None:
    lab.attest()
    lab.apply(interval_ms=7 * DAY_MS + 1_000)
    lab.attest()
    lab.apply(interval_ms=6 * 60_000)
    held = Platform(owner=account(0), hardware=lab.hardware, enclave_count=1, free_from_ms=0)
    assert lab.ledger.find(PLATFORMS, lab.enclave().platform) == held


def test_a_machine_has_a_bounded_number_of_enclaves() -> None:
    lab = Lab(with_params(make_genesis(), "attestation", platform_enclaves_max=2))
    lab.attest(0, machine="one")
    lab.attest(1, machine="one")
    assert lab.reason(PROVIDER, lab.attest_message(2, machine="one")) == TransactionReason.TOO_MANY_ENCLAVES
    lab.attest(1, machine="one")


def test_a_renewal_changes_the_enclave_in_place(lab: Lab) -> None:
    lab.attest()
    before = lab.enclave()
    lab.apply(interval_ms=DAY_MS)
    executed = lab.attest()
    after = lab.enclave()
    assert dict(executed.events[0].attributes)["is_renewal"] == 1
    assert after.expires_ms == lab.time_ms + 7 * DAY_MS
    assert after.challenge_height > before.challenge_height
    assert lab.members(ListKind.OPERATOR, account(0)) == [_address(lab)]
    assert lab.ledger.get(PLATFORMS, after.platform).enclave_count == 1


def _address(lab: Lab) -> bytes:
    (address,) = lab.members(ListKind.OPERATOR, account(0))
    return address


def test_an_enclave_moves_neither_to_another_machine_nor_to_other_hardware(lab: Lab) -> None:
    lab.attest()
    other = lab.publish(PROVIDER, publish(ResourceKind.HARDWARE))
    assert lab.reason(PROVIDER, lab.attest_message(machine="another")) == TransactionReason.ENCLAVE_MOVED
    assert lab.reason(PROVIDER, lab.attest_message(hardware=other)) == TransactionReason.ENCLAVE_MOVED


def test_an_older_proof_never_replaces_a_newer_one(lab: Lab) -> None:
    older = lab.attest_message()
    lab.apply()
    lab.attest()
    assert lab.reason(PROVIDER, older) == TransactionReason.CHALLENGE_NOT_NEWER
