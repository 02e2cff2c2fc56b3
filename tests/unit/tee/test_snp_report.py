"""The report by itself: where its fields lie, which forms are refused, what a TCB word and a CPUID mean."""

from __future__ import annotations

import pytest

from tee.claims import SnpProduct, SnpTcb
from tee.errors import EvidenceRejected, Reason
from tee.snp_report import SignedFields, find_product, has_reserved_tcb, is_tcb_within, parse_report, read_tcb
from tests.support.snp_pki import PLACES, report

WORD = bytes(range(1, 9))
CHANGES: dict[str, dict[str, int | bytes]] = {
    "version": {"version": 3, "launch_mitigations": 0, "current_mitigations": 0},
    "policy": {"policy": 0x20031},
    "key_info": {"key_info": 3},
    "cpuid": {"cpuid": b"\x1a\x02\x01"},
}
"""Fields that cannot take any bytes, and a form that they can take."""


@pytest.mark.parametrize("name", [name for name in PLACES if not name.startswith(("zero", "report_id", "signature"))])
def test_each_field_is_read_from_its_own_place(name: str) -> None:
    """Change one field of a report: that field of the parsed form changes and no other."""
    place, size = PLACES[name]
    changed = CHANGES.get(name, {name: bytes(range(17, 17 + size))})
    encoded = report("Genoa").changed(**changed).encode()
    genuine, parsed = parse_report(report("Genoa").encode()).fields, parse_report(encoded).fields
    assert {field for field in SignedFields._fields if getattr(genuine, field) != getattr(parsed, field)} == set(
        changed
    )
    seen, octets = getattr(parsed, name), encoded[place : place + size]
    assert seen == (int.from_bytes(octets, "little") if isinstance(seen, int) else octets[: len(seen)])


def test_signed_part_and_signature_are_taken_as_received() -> None:
    encoded = report("Genoa").encode()
    parsed = parse_report(encoded)
    assert parsed.signed == encoded[:0x2A0]
    assert parsed.signature == encoded[0x2A0:0x2D0][::-1] + encoded[0x2E8:0x318][::-1]


def test_key_info_tells_the_kind_of_key_and_the_mask() -> None:
    parsed = parse_report(report("Genoa").changed(key_info=0b110).encode())
    assert (parsed.signing_key, parsed.is_chip_masked) == (1, True)
    parsed = parse_report(report("Genoa").changed(key_info=0b001).encode())
    assert (parsed.signing_key, parsed.is_chip_masked) == (0, False)


def test_every_single_filled_byte_of_a_zero_area_is_refused() -> None:
    genuine = report("Genoa").encode()
    areas = ((0x04C, 4), (0x18B, 21), (0x1EB, 1), (0x1EF, 1), (0x208, 152), (0x2D0, 24), (0x318, 24), (0x330, 368))
    for start, size in areas:
        for place in range(start, start + size):
            filled = genuine[:place] + b"\x01" + genuine[place + 1 :]
            with pytest.raises(EvidenceRejected) as caught:
                parse_report(filled)
            assert caught.value.reason is Reason.RESERVED, hex(place)


def test_turin_words_have_their_own_layout() -> None:
    assert read_tcb(WORD, SnpProduct.TURIN) == SnpTcb(fmc=1, boot_loader=2, tee=3, snp=4, microcode=8)
    for product in (SnpProduct.MILAN, SnpProduct.GENOA):
        assert read_tcb(WORD, product) == SnpTcb(fmc=0, boot_loader=1, tee=2, snp=7, microcode=8)


@pytest.mark.parametrize(
    ("product", "reserved"),
    [(SnpProduct.MILAN, {2, 3, 4, 5}), (SnpProduct.GENOA, {2, 3, 4, 5}), (SnpProduct.TURIN, {4, 5, 6})],
)
def test_bytes_without_a_component_are_reserved(product: SnpProduct, reserved: set[int]) -> None:
    seen = {index for index in range(8) if has_reserved_tcb(bytes(index == place for place in range(8)), product)}
    assert seen == reserved


def test_words_are_compared_by_component_and_never_as_a_number() -> None:
    low = SnpTcb(fmc=1, boot_loader=2, tee=3, snp=4, microcode=5)
    assert is_tcb_within(low, low)
    for name in ("fmc", "boot_loader", "tee", "snp", "microcode"):
        raised = {field: getattr(low, field) + (9 if field != name else -1) for field in SnpTcb.__struct_fields__}
        assert not is_tcb_within(low, SnpTcb(**raised))
        assert is_tcb_within(low, SnpTcb(**{**raised, name: getattr(low, name)}))


def test_product_follows_from_family_and_model() -> None:
    seen: dict[SnpProduct, list[tuple[int, int]]] = {}
    for family in range(256):
        for model in range(256):
            product = find_product(family, model)
            if product is not None:
                seen.setdefault(product, []).append((family, model))
    assert seen == {
        SnpProduct.MILAN: [(0x19, model) for model in range(0x10)],
        SnpProduct.GENOA: [(0x19, model) for model in (*range(0x10, 0x20), *range(0xA0, 0xB0))],
        SnpProduct.TURIN: [(0x1A, model) for model in range(0x12)],
    }
