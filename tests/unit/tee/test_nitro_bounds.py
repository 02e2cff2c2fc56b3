"""Nitro documents right at their bounds: the largest are accepted, and debug is nothing but zero registers."""

from __future__ import annotations

import pytest

from tee.appraisal import PlatformClass, platform_ids
from tee.claims import Flag, NitroClaims
from tee.errors import EvidenceRejected, Reason
from tee.nitro import DOCUMENT_BYTES_MAX, verify_nitro
from tests.support import nitro_pki as pki
from tests.support.nitro_pki import REGIONAL, ROOT, TIME_S, World

GOOD = World()
PCRS = dict(GOOD.fields)["pcrs"]


def claims_of(world: World) -> NitroClaims:
    claims = verify_nitro(world.encode(), pki.make_roots(world), TIME_S).claims
    assert isinstance(claims, NitroClaims)
    return claims


@pytest.mark.parametrize("register", [0, 1, 2])
@pytest.mark.parametrize("place", [0, 23, 47])
def test_one_bit_in_one_boot_register_is_no_debug_mode(register: int, place: int) -> None:
    nearly = bytes(place) + b"\x01" + bytes(47 - place)
    zero = dict.fromkeys((0, 1, 2), bytes(48))
    assert claims_of(GOOD.put(pcrs={**PCRS, **zero})).flags == (Flag.DEBUG,)
    assert claims_of(GOOD.put(pcrs={**PCRS, **zero, register: nearly})).flags == ()


@pytest.mark.parametrize("place", [0, 47])
def test_one_zero_byte_in_each_register_is_no_debug_mode(place: int) -> None:
    holed = b"\xff" * place + b"\0" + b"\xff" * (47 - place)
    assert claims_of(GOOD.put(pcrs={**PCRS, **dict.fromkeys((0, 1, 2), holed)})).flags == ()


def test_a_document_of_the_greatest_length_is_taken() -> None:
    """An unknown field fills the document; AWS may add such fields."""

    def filled(size: int) -> World:
        return GOOD.put(filling=bytes(size))

    size = DOCUMENT_BYTES_MAX - len(filled(9_000).encode()) + 9_000
    assert len(filled(size).encode()) == DOCUMENT_BYTES_MAX == 16_384
    assert claims_of(filled(size)) == claims_of(GOOD)
    with pytest.raises(EvidenceRejected) as refused:
        verify_nitro(filled(size + 1).encode(), pki.make_roots(GOOD), TIME_S)
    assert refused.value.reason is Reason.LENGTH


def test_all_32_registers_are_claimed() -> None:
    registers = {index: bytes((index + 1,)) * 48 for index in range(32)}
    assert claims_of(GOOD.put(pcrs=registers)).pcrs == tuple(registers.items())


@pytest.mark.parametrize("module_id", ["~", "!" * 64])
def test_a_module_id_of_one_to_64_characters_is_taken_and_fits_an_id(module_id: str) -> None:
    claims = claims_of(GOOD.put(module_id=module_id))
    assert claims.module_id == module_id
    assert platform_ids(claims) == (bytes((PlatformClass.NITRO_INSTANCE,)) + module_id.encode(),)


def test_an_authority_below_the_root_must_bound_its_path_and_the_root_need_not() -> None:
    assert GOOD.chain[ROOT].path_length is None
    with pytest.raises(EvidenceRejected) as refused:
        claims_of(GOOD.change(REGIONAL, path_length=None))
    assert refused.value.reason is Reason.CERT_PATH_LENGTH


@pytest.mark.parametrize("path_length", [2, 255])
def test_a_path_length_may_be_exactly_what_is_below_or_the_largest(path_length: int) -> None:
    assert claims_of(GOOD.change(REGIONAL, path_length=path_length)) == claims_of(GOOD)
