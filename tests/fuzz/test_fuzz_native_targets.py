"""The targets of make fuzz-native: each takes its good bytes, and refuses others in the way it may."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.native.targets import Target, make_targets

TARGETS = make_targets()


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_target_takes_its_good_bytes(target: Target) -> None:
    assert target.seeds
    for seed in target.seeds:
        assert target.try_input(seed)
        assert len(seed) <= target.bytes_max


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_target_refuses_bytes_that_are_cut_or_changed(target: Target) -> None:
    chance = random.Random(1)
    for seed in target.seeds:
        assert not target.try_input(b"")
        assert not target.try_input(seed[:-2])
        for _ in range(20):
            changed = bytearray(seed)
            changed[chance.randrange(len(seed))] ^= 1 << chance.randrange(8)
            target.try_input(bytes(changed))


@pytest.mark.parametrize("name", ["verify-tdx-v4", "verify-tdx-v5", "verify-sgx-v3", "report"])
def test_zero_byte_in_place_of_the_last_line_end_makes_no_other_quote(name: str) -> None:
    (seed,) = TARGETS[name].seeds
    assert seed.endswith(b"-----\n")
    assert TARGETS[name].try_input(seed[:-1] + b"\0")


def test_target_fails_for_what_a_reader_may_not_raise_and_a_verifier_not_accept() -> None:
    def stumble(_octets: bytes) -> None:
        raise IndexError

    with pytest.raises(IndexError):
        Target(stumble, (ValueError,), 1, (b"",)).try_input(b"")
    with pytest.raises(AssertionError, match="nobody signed"):
        Target(len, (), 1, (b"",), is_verifier=True).try_input(b"x")
