"""The SGX extension of PCK certificates: read whole or refused."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tee.der import OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, DerError, DerReader
from tee.der_writer import write_integer, write_octets, write_oid, write_sequence
from tee.pck import SGX_EXTENSION, PckExtension, parse_pck_extension
from tee.simulated import platform_template
from tee.simulated_certificates import PckPlatform, write_pck_extension

PLATFORM = platform_template("alpha")


def content_of(platform: PckPlatform) -> bytes:
    extension = DerReader(write_pck_extension(platform)).enter(SEQUENCE)
    extension.read(OBJECT_IDENTIFIER)
    return extension.read(OCTET_STRING)


def parse(**changes: object) -> PckExtension:
    return parse_pck_extension(content_of(replace(PLATFORM, **changes)))


def test_extension_of_a_platform_ca_is_read() -> None:
    extension = parse(pce_svn=0xFFFF, sgx_type=2, configuration=(True, False, True))

    assert (extension.ppid, extension.fmspc, extension.pce_id) == (PLATFORM.ppid, PLATFORM.fmspc, PLATFORM.pce_id)
    assert extension.cpu_svn == bytes(PLATFORM.components)
    assert (extension.pce_svn, extension.sgx_type, extension.configuration) == (0xFFFF, 2, 5)
    assert extension.instance_id == PLATFORM.instance_id


def test_extension_of_a_processor_ca_has_neither_instance_nor_configuration() -> None:
    extension = parse(instance_id=None, configuration=None)
    assert (extension.instance_id, extension.configuration) == (b"", 0)


def test_numbers_above_127_have_a_sign_octet() -> None:
    components = tuple(range(0, 256, 17))
    assert parse(components=components, pce_svn=200).cpu_svn == bytes(components)


def test_unknown_entries_are_passed_over() -> None:
    short = write_sequence(write_oid(f"{SGX_EXTENSION}.8"), write_octets(b"provider"))
    long = write_sequence(write_oid("1.2.3"), write_octets(bytes(300)))
    assert parse(entries=(short, long)) == parse()


@pytest.mark.parametrize("suffix", ["1", "5", "9"])
def test_repeated_entries_are_refused(suffix: str) -> None:
    entry = write_sequence(write_oid(f"{SGX_EXTENSION}.{suffix}"), write_integer(1))
    with pytest.raises(DerError):
        parse(entries=(entry, entry))


def test_components_count_and_the_raw_cpu_svn_does_not() -> None:
    """Intel maps the raw CPUSVN by FMSPC, so the two may differ."""
    assert parse(cpu_svn=bytes(16)).cpu_svn == bytes(PLATFORM.components)


@pytest.mark.parametrize(
    "mended",
    [b"\x02\x01\x01", b"\x0a\x02\x00\x01", b"\x0a\x01\xff", b"\x0a\x00"],
    ids=["integer", "not minimal", "negative", "empty"],
)
def test_numbers_have_one_form(mended: bytes) -> None:
    content = content_of(replace(PLATFORM, sgx_type=1, instance_id=None, configuration=None))
    head, separator, tail = content.rpartition(b"\x0a\x01\x01")
    longer = len(mended) - 3
    # The type is the last entry: its sequence and the outer one count the other length.
    entry_at = len(head) - 13
    changed = bytearray(head + mended + tail)
    changed[entry_at] += longer
    changed[3] += longer
    assert separator
    assert parse_pck_extension(content).sgx_type == 1
    with pytest.raises(DerError):
        parse_pck_extension(bytes(changed))


def test_every_cut_is_refused() -> None:
    content = content_of(PLATFORM)
    for length in range(len(content)):
        with pytest.raises(DerError):
            parse_pck_extension(content[:length])


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4, 5, 6, 7, 18, 19])
def test_no_other_tag_or_length_is_read(place: int) -> None:
    """Heads of the extension, of its first pair, of that pair's identifier and value."""
    content = content_of(PLATFORM)
    for octet in set(range(256)) - {content[place]}:
        with pytest.raises(DerError):
            parse_pck_extension(content[:place] + bytes([octet]) + content[place + 1 :])
