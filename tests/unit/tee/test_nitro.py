"""Nitro documents under a root of our own: cases of each rule, each window to the second, what is claimed."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest

from tee import cose, nitro
from tee.claims import Flag, NitroClaims
from tee.errors import EvidenceRejected, Reason
from tee.nitro import verify_nitro
from tee.roots import Roots, TrustedRoot
from tests.support import nitro_pki as pki
from tests.support.chained_suite import ChainedSuite, make_link_cases, make_window_cases
from tests.support.nitro_pki import INSTANCE, LEAF, REGIONAL, ROOT, TIME_S, ZONAL, World
from tests.support.outcomes import refusal_of
from tests.support.p384_certificates import CERT_SIGN, DIGITAL_SIGNATURE, issue
from tests.support.tee_caches import clear_caches

GOOD = World()
ROOTS = pki.make_roots(GOOD)
PAYLOAD = b"\x43abc"
SIGNATURE = b"\x58\x60" + bytes(96)
PCRS: dict[object, object] = dict(dict(GOOD.fields)["pcrs"])  # type: ignore[call-overload]
CHAIN = [issue(form) for form in GOOD.chain]


def framed(**parts: bytes) -> bytes:
    return pki.frame(**{"payload": PAYLOAD, "signature": SIGNATURE, **parts})


FORMS: dict[str, tuple[bytes, Reason]] = {
    "empty": (b"", Reason.LENGTH),
    "a byte too long": (bytes(16 * 1024 + 1), Reason.LENGTH),
    "map instead of array": (framed(head=b"\xa4"), Reason.COSE_FORMAT),
    "array of three": (framed(head=b"\x83"), Reason.COSE_FORMAT),
    "array of five": (framed(head=b"\x85"), Reason.COSE_FORMAT),
    "array of indefinite length": (framed(head=b"\x9f", tail=b"\xff"), Reason.COSE_FORMAT),
    "array head not minimal": (framed(head=b"\x98\x04"), Reason.COSE_FORMAT),
    "tag 17": (framed(head=b"\xd1\x84"), Reason.COSE_FORMAT),
    "tag 18 twice": (framed(head=b"\xd2\xd2\x84"), Reason.COSE_FORMAT),
    "tag 18 not minimal": (framed(head=b"\xd8\x12\x84"), Reason.COSE_FORMAT),
    "protected header as text": (framed(protected=b"\x64" + pki.PROTECTED), Reason.COSE_FORMAT),
    "protected header as map": (framed(protected=pki.PROTECTED), Reason.COSE_FORMAT),
    "unprotected header null": (framed(unprotected=b"\xf6"), Reason.COSE_FORMAT),
    "unprotected header an array": (framed(unprotected=b"\x80"), Reason.COSE_FORMAT),
    "unprotected header of indefinite length": (framed(unprotected=b"\xbf\xff"), Reason.COSE_FORMAT),
    "unprotected header not minimal": (framed(unprotected=b"\xb8\x00"), Reason.COSE_FORMAT),
    "payload null": (framed(payload=b"\xf6"), Reason.COSE_FORMAT),
    "payload in pieces": (framed(payload=b"\x5f\x41a\xff"), Reason.COSE_FORMAT),
    "signature cut off": (framed(signature=SIGNATURE[:-1]), Reason.COSE_FORMAT),
    "byte behind": (framed(tail=b"\x00"), Reason.TRAILING_BYTES),
    "no algorithm": (framed(protected=b"\x41\xa0"), Reason.COSE_ALGORITHM),
    "ES256": (framed(protected=b"\x43\xa1\x01\x26"), Reason.COSE_ALGORITHM),
    "algorithm not minimal": (framed(protected=b"\x45\xa1\x01\x39\x00\x22"), Reason.COSE_ALGORITHM),
    "unprotected entry": (framed(unprotected=b"\xa1\x04\x41k"), Reason.COSE_UNPROTECTED),
    "signature a byte short": (framed(signature=b"\x58\x5f" + bytes(95)), Reason.SIGNATURE_FORMAT),
    "signature a byte long": (framed(signature=b"\x58\x61" + bytes(97)), Reason.SIGNATURE_FORMAT),
    "payload no CBOR": (framed(payload=b"\x41\xff"), Reason.PAYLOAD_CBOR),
    "payload no map": (framed(payload=b"\x41\x80"), Reason.PAYLOAD_FIELDS),
}
"""What is refused before any signature, so these messages bear none."""

WORLDS: dict[str, tuple[World, Reason]] = {
    **{
        f"no {name}": (GOOD.put(**{name: ...}), Reason.PAYLOAD_FIELDS)
        for name in ("module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle")
    },
    **{
        f"{name} null": (GOOD.put(**{name: None}), Reason.PAYLOAD_FIELDS)
        for name in ("module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle")
    },
    **{
        f"{name} of 1025 bytes": (GOOD.put(**{name: bytes(1025)}), Reason.PAYLOAD_FIELDS)
        for name in ("certificate", "public_key", "user_data", "nonce")
    },
    **{
        f"{name} as text": (GOOD.put(**{name: "text"}), Reason.PAYLOAD_FIELDS)
        for name in ("timestamp", "pcrs", "certificate", "cabundle", "public_key", "user_data", "nonce")
    },
    "module_id empty": (GOOD.put(module_id=""), Reason.PAYLOAD_FIELDS),
    "module_id as bytes": (GOOD.put(module_id=b"i-1"), Reason.PAYLOAD_FIELDS),
    **{
        f"module_id with {ord(character):#x}": (GOOD.put(module_id=f"i-1{character}"), Reason.PAYLOAD_FIELDS)
        for character in " \n\x1f\x7f"
    },
    "module_id of 65": (GOOD.put(module_id="i" * 65), Reason.PAYLOAD_FIELDS),
    "module_id not ASCII": (GOOD.put(module_id="i-\u00e9"), Reason.PAYLOAD_FIELDS),
    "digest SHA256": (GOOD.put(digest="SHA256"), Reason.PAYLOAD_FIELDS),
    "timestamp negative": (GOOD.put(timestamp=-1), Reason.PAYLOAD_FIELDS),
    "pcrs empty": (GOOD.put(pcrs={}), Reason.PAYLOAD_FIELDS),
    "33 pcrs": (GOOD.put(pcrs={index: bytes(48) for index in range(33)}), Reason.PAYLOAD_FIELDS),
    "pcr -1": (GOOD.put(pcrs={**PCRS, -1: bytes(48)}), Reason.PAYLOAD_FIELDS),
    "pcr 32": (GOOD.put(pcrs={**PCRS, 32: bytes(48)}), Reason.PAYLOAD_FIELDS),
    "pcr index as text": (GOOD.put(pcrs={**PCRS, "5": bytes(48)}), Reason.PAYLOAD_FIELDS),
    "pcr of 32 bytes": (GOOD.put(pcrs={**PCRS, 3: bytes(32)}), Reason.PAYLOAD_FIELDS),
    "pcr of 64 bytes": (GOOD.put(pcrs={**PCRS, 3: bytes(64)}), Reason.PAYLOAD_FIELDS),
    "pcr null": (GOOD.put(pcrs={**PCRS, 3: None}), Reason.PAYLOAD_FIELDS),
    **{
        f"no pcr {absent}": (
            GOOD.put(pcrs={index: register for index, register in PCRS.items() if index != absent}),
            Reason.PAYLOAD_FIELDS,
        )
        for absent in (0, 1, 2)
    },
    "certificate empty": (GOOD.put(certificate=b""), Reason.PAYLOAD_FIELDS),
    "cabundle empty": (GOOD.put(cabundle=[]), Reason.PAYLOAD_FIELDS),
    "cabundle of nine": (GOOD.put(cabundle=[CHAIN[0]] * 9), Reason.PAYLOAD_FIELDS),
    "cabundle with text": (GOOD.put(cabundle=[*CHAIN[:4], "text"]), Reason.PAYLOAD_FIELDS),
    "leaf cut": (GOOD.put(certificate=CHAIN[LEAF][:-1]), Reason.CERT_DER),
    "zonal with a byte behind": (
        GOOD.put(cabundle=[*CHAIN[:ZONAL], CHAIN[ZONAL] + b"\0", CHAIN[INSTANCE]]),
        Reason.CERT_DER,
    ),
    "unknown critical extension": (GOOD.change(LEAF, others=(("1.2.3", True, b"\x05\x00"),)), Reason.CERT_DER),
    "other root": (GOOD.change(ROOT, serial=5), Reason.ROOT_UNTRUSTED),
    "regional for root": (GOOD.put(cabundle=CHAIN[1:4]), Reason.ROOT_UNTRUSTED),
    "P-256 leaf": (GOOD.change(LEAF, key="p256 leaf"), Reason.CERT_KEY),
    "P-256 zonal": (
        GOOD.change(ZONAL, key="p256 zonal").change(INSTANCE, signer="p256 zonal"),
        Reason.CERT_KEY,
    ),
    **make_link_cases(GOOD),
    **{
        f"{form.subject} without constraints": (
            GOOD.change(position, has_constraints=False),
            Reason.CERT_EXTENSIONS,
        )
        for position, form in enumerate(GOOD.chain)
        if position != ROOT
    },
    **{
        f"{form.subject} without key usage": (GOOD.change(position, key_usage=None), Reason.CERT_EXTENSIONS)
        for position, form in enumerate(GOOD.chain)
        if position != ROOT
    },
    "constraints not critical": (GOOD.change(ZONAL, are_constraints_critical=False), Reason.CERT_EXTENSIONS),
    **{
        f"{GOOD.chain[position].subject} no authority": (
            GOOD.change(position, is_ca=False, path_length=None),
            Reason.CERT_NOT_CA,
        )
        for position in (REGIONAL, ZONAL, INSTANCE)
    },
    "instance may not sign certificates": (GOOD.change(INSTANCE, key_usage=DIGITAL_SIGNATURE), Reason.CERT_NOT_CA),
    "regional allows one below": (GOOD.change(REGIONAL, path_length=1), Reason.CERT_PATH_LENGTH),
    "zonal allows none below": (GOOD.change(ZONAL, path_length=0), Reason.CERT_PATH_LENGTH),
    "instance without path length": (GOOD.change(INSTANCE, path_length=None), Reason.CERT_PATH_LENGTH),
    "leaf an authority": (GOOD.change(LEAF, is_ca=True), Reason.LEAF_USAGE),
    "leaf may not sign": (GOOD.change(LEAF, key_usage=CERT_SIGN), Reason.LEAF_USAGE),
    "signed by the instance": (
        World(signer="nitro instance"),
        Reason.SIGNATURE,
    ),
    "made before the leaf": (
        GOOD.put(timestamp=GOOD.chain[LEAF].not_before_s * 1000 - 1),
        Reason.TIMESTAMP,
    ),
    "made after this second": (GOOD.put(timestamp=(TIME_S + 1) * 1000), Reason.TIMESTAMP),
}


FAULTS_IN_ORDER: dict[Reason, Callable[[World], World]] = {
    Reason.PAYLOAD_FIELDS: lambda world: world.put(user_data="text"),
    Reason.ROOT_UNTRUSTED: lambda world: world.change(ROOT, serial=5),
    Reason.CERT_DER: lambda world: world.change(REGIONAL, others=(("1.2.3", True, b"\x05\x00"),)),
    Reason.CERT_KEY: lambda world: world.change(LEAF, key="p256 leaf"),
    Reason.CERT_BAD_ISSUER: lambda world: world.change(ZONAL, issuer="other"),
    Reason.CERT_EXPIRED: lambda world: world.change(LEAF, not_after_s=TIME_S - 1),
    Reason.CERT_EXTENSIONS: lambda world: world.change(INSTANCE, key_usage=None),
    Reason.CERT_NOT_CA: lambda world: world.change(REGIONAL, key_usage=DIGITAL_SIGNATURE),
    Reason.CERT_PATH_LENGTH: lambda world: world.change(ZONAL, path_length=0),
    Reason.LEAF_USAGE: lambda world: world.change(LEAF, key_usage=CERT_SIGN),
    Reason.SIGNATURE: lambda world: pki.replace(world, signer="nitro instance"),
    Reason.TIMESTAMP: lambda world: world.put(timestamp=(TIME_S + 1) * 1000),
}
"""One fault for each stage, in the order of the specification."""


def check_form(document: bytes) -> Callable[[], object]:
    return lambda: verify_nitro(document, ROOTS, TIME_S)


def check_world(world: World, time_s: int = TIME_S, roots: Roots = ROOTS) -> Callable[[], object]:
    document = world.encode()
    return lambda: verify_nitro(document, roots, time_s)


def one_second(position: int) -> World:
    world = GOOD.change(position, not_before_s=TIME_S, not_after_s=TIME_S)
    return world.put(timestamp=TIME_S * 1000) if position == LEAF else world


CASES: dict[str, tuple[Callable[[], object], Reason]] = {
    **{name: (check_form(document), reason) for name, (document, reason) in FORMS.items()},
    **{name: (check_world(world), reason) for name, (world, reason) in WORLDS.items()},
    **make_window_cases(
        one_second,
        check_world,
        pki.make_roots,
        time_s=TIME_S,
        early=Reason.CERT_NOT_YET_VALID,
        late=Reason.CERT_EXPIRED,
    ),
}
ACCEPTED: dict[str, Callable[[], object]] = {
    "good": check_world(GOOD),
    "leaf with constraints that are not critical": check_world(GOOD.change(LEAF, are_constraints_critical=False)),
}


SUITE = ChainedSuite(
    modules=(cose, nitro), good=GOOD, check=check_world, refused=CASES, accepted=ACCEPTED, faults=FAULTS_IN_ORDER
)


@pytest.mark.parametrize("position", range(5), ids=[form.subject for form in GOOD.chain])
def test_both_ends_of_a_window_belong_to_it(position: int) -> None:
    world = one_second(position)
    verified = verify_nitro(world.encode(), pki.make_roots(world), TIME_S)
    assert verified.valid_until_s == TIME_S


def test_a_good_document_says_what_it_says() -> None:
    verified = verify_nitro(GOOD.encode(), ROOTS, TIME_S)
    assert verified.claims == NitroClaims(
        module_id="i-0123456789abcdef0-enc0123456789abcdef",
        timestamp_ms=(TIME_S - 5) * 1000 + 999,
        flags=(),
        pcrs=tuple((index, bytes((index + 1,)) * 48) for index in (0, 1, 2, 3, 4, 8)),
        public_key=b"key",
        user_data=b"user",
        nonce=b"",
        leaf_not_after_s=GOOD.chain[LEAF].not_after_s,
    )
    assert not verified.is_simulated


def test_the_answer_holds_from_the_timestamp_to_the_end_of_the_leaf() -> None:
    document = GOOD.encode()
    verified = verify_nitro(document, ROOTS, TIME_S)
    assert (verified.valid_from_s, verified.valid_until_s) == (TIME_S - 5, GOOD.chain[LEAF].not_after_s)
    assert verify_nitro(document, ROOTS, verified.valid_from_s) == verified
    assert verify_nitro(document, ROOTS, verified.valid_until_s) == verified
    assert refusal_of(lambda: verify_nitro(document, ROOTS, verified.valid_from_s - 1)) is Reason.TIMESTAMP
    assert refusal_of(lambda: verify_nitro(document, ROOTS, verified.valid_until_s + 1)) is Reason.CERT_EXPIRED


def test_a_document_of_this_very_second_is_taken() -> None:
    verified = verify_nitro(GOOD.put(timestamp=TIME_S * 1000 + 999).encode(), ROOTS, TIME_S)
    assert verified.valid_from_s == TIME_S


def test_a_simulated_root_marks_the_answer() -> None:
    roots = Roots(aws=(TrustedRoot(der=CHAIN[ROOT], is_simulated=True),))
    verified = verify_nitro(GOOD.encode(), roots, TIME_S)
    assert (verified.is_simulated, verified.root) == (True, sha256(CHAIN[ROOT]).digest())


def test_no_root_means_no_trust() -> None:
    assert refusal_of(lambda: verify_nitro(GOOD.encode(), Roots(), TIME_S)) is Reason.ROOT_UNTRUSTED


@pytest.mark.parametrize("zero", [(0, 1, 2), (0,), (1, 2), (3, 4)], ids=str)
def test_debug_is_the_three_boot_registers_at_zero(zero: tuple[int, ...]) -> None:
    world = GOOD.put(pcrs={**PCRS, **dict.fromkeys(zero, bytes(48))})
    claims = verify_nitro(world.encode(), ROOTS, TIME_S).claims
    assert claims.flags == ((Flag.DEBUG,) if zero == (0, 1, 2) else ())


def test_registers_go_by_index_in_any_order() -> None:
    shuffled = dict(reversed(PCRS.items()))
    assert verify_nitro(GOOD.put(pcrs=shuffled).encode(), ROOTS, TIME_S).claims == (
        verify_nitro(GOOD.encode(), ROOTS, TIME_S).claims
    )


def test_a_chain_may_be_shorter_than_usual() -> None:
    root, leaf = GOOD.chain[ROOT], GOOD.chain[LEAF]
    world = World(chain=(root, pki.replace(leaf, issuer=root.subject, signer=root.key)))
    assert verify_nitro(world.encode(), ROOTS, TIME_S).claims.leaf_not_after_s == leaf.not_after_s


def test_a_remembered_link_does_not_outlive_its_window() -> None:
    """Given zonal and regional links that were seen good, when the zonal certificate ends, then documents are refused."""
    world = GOOD.change(ZONAL, not_after_s=TIME_S)
    document = world.encode()
    assert verify_nitro(document, ROOTS, TIME_S).valid_until_s == TIME_S
    assert refusal_of(lambda: verify_nitro(document, ROOTS, TIME_S + 1)) is Reason.CERT_EXPIRED


def test_what_is_remembered_changes_no_answer() -> None:
    """Cold, then warm, then cold again: each case has one refusal, down to what was seen and allowed."""

    def answers() -> list[str]:
        texts = []
        for verify, _reason in CASES.values():
            with pytest.raises(EvidenceRejected) as refusal:
                verify()
            texts.append(str(refusal.value))
        return texts

    clear_caches()
    cold = answers()
    assert answers() == cold
    clear_caches()
    assert answers() == cold
