"""Capsules open for what they were sealed for, and for nothing else."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec.structs import replace

from bocc.capsules import KEY_BYTES_MAX, CapsulePurpose, open_capsule, seal_capsule
from bocc.errors import CapsuleRejected
from state.order_messages import CAPSULE_BYTES_MAX

PRIVATE = bytes(range(32))
PUBLIC = X25519PrivateKey.from_private_bytes(PRIVATE).public_key().public_bytes_raw()
PURPOSE = CapsulePurpose(
    chain_id=b"\x01" * 32, order=b"\x02" * 21, line=3, enclave=b"\x03" * 21, release=4, grant_epoch=5
)


def test_a_capsule_gives_its_key_to_the_enclave_that_it_was_sealed_to() -> None:
    capsule = seal_capsule(b"the key", PUBLIC, PURPOSE)
    assert open_capsule(capsule, PRIVATE, PURPOSE) == b"the key"
    assert len(capsule) == 32 + len(b"the key") + 16


def test_the_longest_key_fits_a_grant() -> None:
    assert len(seal_capsule(bytes(KEY_BYTES_MAX), PUBLIC, PURPOSE)) == CAPSULE_BYTES_MAX
    with pytest.raises(CapsuleRejected):
        seal_capsule(bytes(KEY_BYTES_MAX + 1), PUBLIC, PURPOSE)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("chain_id", b"\x09" * 32),
        ("order", b"\x09" * 21),
        ("line", 9),
        ("enclave", b"\x09" * 21),
        ("release", 9),
        ("grant_epoch", 9),
    ],
)
def test_a_capsule_opens_for_nothing_else(name: str, other: object) -> None:
    capsule = seal_capsule(b"the key", PUBLIC, PURPOSE)
    with pytest.raises(CapsuleRejected):
        open_capsule(capsule, PRIVATE, replace(PURPOSE, **{name: other}))


def test_a_capsule_opens_with_no_other_key_and_not_when_changed() -> None:
    capsule = seal_capsule(b"the key", PUBLIC, PURPOSE)
    with pytest.raises(CapsuleRejected):
        open_capsule(capsule, bytes(31) + b"\x01", PURPOSE)
    for position in range(len(capsule)):
        changed = capsule[:position] + bytes((capsule[position] ^ 1,)) + capsule[position + 1 :]
        with pytest.raises(CapsuleRejected):
            open_capsule(changed, PRIVATE, PURPOSE)
    with pytest.raises(CapsuleRejected):
        open_capsule(b"", PRIVATE, PURPOSE)


def test_nothing_is_sealed_to_a_key_that_everybody_has() -> None:
    with pytest.raises(CapsuleRejected):
        seal_capsule(b"the key", bytes(32), PURPOSE)
