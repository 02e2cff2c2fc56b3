"""Profiles of releases: which measurements an enclave of each TEE has, and whether it has those that a release expects.

A profile pins the whole set of registers that identify a program; the key of its signer alone never does, because whoever signs can
sign anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final

from msgspec import Struct

from state.errors import TransactionRejected
from state.offers import Profile
from state.runtime.reasons import TransactionReason
from tee.claims import Claims, NitroClaims, SgxClaims, SnpClaims, TdxClaims
from tee.evidence import EvidenceKind

Reader = Callable[[Any], bytes]  # Any: the claims of the table's own TEE


class Shape(Struct, frozen=True):
    """What the claims of a TEE hold for a profile to name."""

    registers: Mapping[str, Reader]
    required: tuple[str, ...]
    """Registers that a profile must name, because together they identify the program."""
    attributes: Mapping[str, Reader]


def _integer(name: str, size: int) -> Reader:
    """Return a reader of an integer claim as `size` bytes, big-endian."""
    return lambda claims: getattr(claims, name).to_bytes(size, "big")


def _bytes(name: str) -> Reader:
    return lambda claims: getattr(claims, name)


def _rtmr(index: int) -> Reader:
    return lambda claims: claims.rtmrs[index]


def _pcr(index: int) -> Reader:
    return lambda claims: dict(claims.pcrs).get(index, b"")


SHAPES: Final[Mapping[int, Shape]] = {
    EvidenceKind.SGX: Shape(
        registers={
            "mr_enclave": _bytes("mr_enclave"),
            "mr_signer": _bytes("mr_signer"),
            "isv_prod_id": _integer("isv_prod_id", 2),
        },
        required=("mr_enclave",),
        attributes={"attributes": _bytes("attributes"), "misc_select": _integer("misc_select", 4)},
    ),
    EvidenceKind.TDX: Shape(
        registers={
            **{f"rtmr{index}": _rtmr(index) for index in range(4)},
            **{
                name: _bytes(name)
                for name in (
                    "mr_td",
                    "mr_config_id",
                    "mr_owner",
                    "mr_owner_config",
                    "mr_seam",
                    "mr_signer_seam",
                    "mr_service_td",
                )
            },
        },
        required=("mr_td", "rtmr0", "rtmr1", "rtmr2"),
        attributes={"td_attributes": _integer("td_attributes", 8), "xfam": _integer("xfam", 8)},
    ),
    EvidenceKind.SEV_SNP: Shape(
        registers={
            name: _bytes(name)
            for name in ("measurement", "host_data", "family_id", "image_id", "id_key_digest", "author_key_digest")
        },
        required=("measurement",),
        attributes={"policy": _integer("policy", 8), "platform_info": _integer("platform_info", 8)},
    ),
    EvidenceKind.NITRO: Shape(
        registers={f"pcr{index}": _pcr(index) for index in range(32)},
        required=("pcr0", "pcr1", "pcr2"),
        attributes={},
    ),
}
"""By kind of evidence."""


def check_profile(profile: Profile) -> None:
    """Check that a profile names known registers in order, among them all that identify a program.

    Raises:
        TransactionRejected: UNKNOWN_TEE, PROFILE_MALFORMED, PROFILE_INCOMPLETE.
    """
    shape = SHAPES.get(profile.tee)
    if shape is None:
        raise TransactionRejected(TransactionReason.UNKNOWN_TEE, profile.tee)
    names = [register.name for register in profile.registers]
    attributes = [rule.name for rule in profile.attributes]
    for given, known in ((names, shape.registers), (attributes, shape.attributes)):
        if any(left >= right for left, right in pairwise(given)):
            raise TransactionRejected(TransactionReason.PROFILE_MALFORMED, " ".join(given), "sorted, distinct names")
        for name in given:
            if name not in known:
                raise TransactionRejected(TransactionReason.PROFILE_MALFORMED, name, " ".join(sorted(known)))
    for rule in profile.attributes:
        mask, expected = int.from_bytes(rule.mask, "big"), int.from_bytes(rule.expected, "big")
        if len(rule.mask) != len(rule.expected) or expected & ~mask:
            raise TransactionRejected(TransactionReason.PROFILE_MALFORMED, rule.expected.hex(), rule.mask.hex())
    missing = [name for name in shape.required if name not in names]
    if missing:
        raise TransactionRejected(TransactionReason.PROFILE_INCOMPLETE, " ".join(names), " ".join(shape.required))


def find_mismatch(profile: Profile, claims: Claims) -> tuple[str, str, str] | None:
    """Return name, value and expected value of the first thing in which claims of this TEE differ from a profile, or None."""
    shape = SHAPES[profile.tee]
    for register in profile.registers:
        measured = shape.registers[register.name](claims)
        if measured != register.expected:
            return register.name, measured.hex(), register.expected.hex()
    for rule in profile.attributes:
        attribute = shape.attributes[rule.name](claims)
        masked = bytes(left & right for left, right in zip(attribute, rule.mask, strict=False))
        if len(attribute) != len(rule.mask) or masked != rule.expected:
            return rule.name, attribute.hex(), f"{rule.expected.hex()} under mask {rule.mask.hex()}"
    svn = security_version(claims)
    return None if svn >= profile.svn_min else ("svn", str(svn), str(profile.svn_min))


def security_version(claims: Claims) -> int:
    """Return the security version of the program, 0 where its TEE knows none."""
    match claims:
        case SgxClaims(isv_svn=svn) | SnpClaims(guest_svn=svn):
            return svn
        case TdxClaims() | NitroClaims():
            return 0


def measurements(kind: int, claims: Claims) -> tuple[tuple[str, bytes], ...]:
    """Return every register that claims hold, by name, sorted."""
    readers = SHAPES[kind].registers
    values = ((name, read(claims)) for name, read in sorted(readers.items()))
    return tuple((name, value) for name, value in values if value)
