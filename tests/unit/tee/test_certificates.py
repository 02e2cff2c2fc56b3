"""Certificates: genuine ones are read, each spoiled part is refused, and no single bit can change under a signature."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest

from tee import der_writer as w
from tee.certificates import (
    CERTIFICATE_BYTES_MAX,
    CRL_SIGN,
    DIGITAL_SIGNATURE,
    KEY_CERT_SIGN,
    Certificate,
    is_signed_by,
    parse_certificate,
)
from tee.der import DerError
from tee.pem import split_pem_chain
from tee.signatures import Curve, EcKey, SignatureAlgorithm
from tests.support.certificate_forms import (
    BASIC_CONSTRAINTS,
    CA_CONSTRAINTS,
    CA_USAGE,
    CRITICAL,
    ECDSA_SHA256,
    ECDSA_SHA384,
    KEY,
    KEY_USAGE,
    OTHER_KEY,
    read_point,
    sign_raw,
    write_certificate,
    write_extended,
    write_extension,
    write_name,
    write_signature,
    write_signed,
    write_spki,
    write_tbs,
)
from tests.support.vendor_files import REAL_VCEK, find_roots, read_evidence, read_pck_chain

DEFAULT = w.write_boolean(False)


def test_every_part_of_a_certificate_is_told() -> None:
    der = write_certificate()
    certificate = parse_certificate(der)
    assert certificate == Certificate(
        der=der,
        tbs=write_tbs(),
        serial=7,
        issuer=write_name("Issuer"),
        subject=write_name("Subject"),
        common_name="Subject",
        issuer_common_name="Issuer",
        not_before_s=1_700_000_000,
        not_after_s=1_800_000_000,
        spki=write_spki(KEY),
        key=EcKey(Curve.P256, read_point(KEY)),
        algorithm=SignatureAlgorithm.ECDSA_SHA256,
        signature=certificate.signature,
        is_ca=True,
        path_length=1,
        has_basic_constraints=True,
        key_usage=KEY_CERT_SIGN | CRL_SIGN,
        extensions=certificate.extensions,
        fingerprint=sha256(der).digest(),
    )
    assert [(oid, extension.is_critical) for oid, extension in certificate.extensions.items()] == [
        (BASIC_CONSTRAINTS, True),
        (KEY_USAGE, True),
    ]


def test_a_certificate_is_signed_by_the_name_and_the_key_of_its_issuer() -> None:
    certificate = parse_certificate(write_certificate(subject=write_name("Leaf"), issuer=write_name("Authority")))
    authority, namesake, stranger = (
        parse_certificate(write_certificate(subject=write_name(name), spki=write_spki(key)))
        for name, key in (("Authority", KEY), ("Authority", OTHER_KEY), ("Other", KEY))
    )
    assert is_signed_by(certificate, authority)
    assert not is_signed_by(certificate, namesake)
    assert not is_signed_by(certificate, stranger)


def test_genuine_pck_chain_links_up_to_itself(shared_dir: Path) -> None:
    leaf, platform, root = map(parse_certificate, read_pck_chain(shared_dir))
    assert [(one.common_name, one.is_ca, one.path_length) for one in (leaf, platform, root)] == [
        ("Intel SGX PCK Certificate", False, None),
        ("Intel SGX PCK Platform CA", True, 0),
        ("Intel SGX Root CA", True, 1),
    ]
    assert leaf.key_usage is not None
    assert leaf.key_usage & DIGITAL_SIGNATURE
    assert leaf.has_basic_constraints
    assert "1.2.840.113741.1.13.1" in leaf.extensions
    assert is_signed_by(leaf, platform)
    assert is_signed_by(platform, root)
    assert is_signed_by(root, root)
    assert not is_signed_by(leaf, root)


def test_genuine_vcek_has_serial_zero_and_links_to_amd(shared_dir: Path) -> None:
    roots = {name: parse_certificate(der) for name, der in find_roots(shared_dir).items()}
    vcek = parse_certificate(read_evidence(shared_dir, REAL_VCEK))
    ask, ark = roots["amd-genoa-ask"], roots["amd-genoa-ark"]
    assert (vcek.common_name, vcek.serial, vcek.has_basic_constraints) == ("SEV-VCEK", 0, False)
    assert isinstance(vcek.key, EcKey)
    assert vcek.key.curve is Curve.P384
    assert is_signed_by(vcek, ask)
    assert is_signed_by(ask, ark)
    assert not is_signed_by(vcek, roots["amd-milan-ask"])


def test_key_usage_of_amds_authorities_reads_right_although_it_ends_in_zeros(shared_dir: Path) -> None:
    roots = find_roots(shared_dir)
    assert {parse_certificate(roots[f"amd-{product}-ask"]).key_usage for product in ("milan", "genoa", "turin")} == {
        KEY_CERT_SIGN
    }


def find_flips_that_hold(der: bytes, issuer: bytes) -> list[int]:
    """Flip each bit by itself; return the places where the certificate is still one of the issuer's."""
    authority = parse_certificate(issuer)
    assert is_signed_by(parse_certificate(der), authority)
    places = []
    for place in range(8 * len(der)):
        flipped = bytearray(der)
        flipped[place // 8] ^= 1 << place % 8
        with suppress(DerError):
            if is_signed_by(parse_certificate(bytes(flipped)), authority):
                places.append(place)
    return places


def test_no_single_bit_of_a_pck_certificate_can_change(shared_dir: Path) -> None:
    leaf, platform, _root = read_pck_chain(shared_dir)
    assert find_flips_that_hold(leaf, platform) == []


def test_no_single_bit_of_a_vcek_can_change(shared_dir: Path) -> None:
    vcek, ask = read_evidence(shared_dir, REAL_VCEK), find_roots(shared_dir)["amd-genoa-ask"]
    assert find_flips_that_hold(vcek, ask) == []


def test_a_signature_with_unused_bits_is_refused() -> None:
    """Given a signature that ends in a zero bit, then a BIT STRING that calls this bit unused is no certificate."""
    tbs = write_tbs()
    signature = next(raw for raw in (sign_raw(KEY, tbs) for _ in range(64)) if raw[-1] & 1 == 0)
    parse_certificate(write_signed(tbs, signature=w.write_bits(write_signature(signature))))
    with pytest.raises(DerError, match="does not end at a byte"):
        parse_certificate(write_signed(tbs, signature=w.write_bits(write_signature(signature), 1)))


@pytest.mark.parametrize(
    "name", ["tdx/tampered/ica-signature-unused-bits/quote.bin", "tdx/tampered/pck-cert-ber-length/quote.bin"]
)
def test_published_encodings_that_libraries_accept_are_refused(shared_dir: Path, name: str) -> None:
    quote = read_evidence(shared_dir, name)
    chain = split_pem_chain(quote[quote.index(b"-----BEGIN") :], 3)
    refused = 0
    for der in chain:
        try:
            parse_certificate(der)
        except DerError:
            refused += 1
    assert refused == 1


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        pytest.param({"version": b""}, "tag", id="version-1"),
        pytest.param({"version": w.write_context(0, w.write_integer(1))}, "version 3", id="version-2"),
        pytest.param({"version": w.write_context(0, w.write_integer(2), b"\x05\x00")}, "left over", id="version-tail"),
        pytest.param({"serial": w.write_integer(-1)}, "negative", id="serial-negative"),
        pytest.param({"serial": w.write_integer(1 << 160)}, "too long", id="serial-too-long"),
        pytest.param({"algorithm": ECDSA_SHA384}, "differ", id="algorithms-differ"),
        pytest.param({"issuer": w.write_set()}, "tag", id="issuer-no-sequence"),
        pytest.param({"validity": w.write_sequence(w.write_time(1))}, "cut off", id="one-time"),
        pytest.param({"validity": w.write_sequence(*[w.write_time(1)] * 3)}, "left over", id="three-times"),
        pytest.param({"subject": w.write_sequence(w.write_set())}, "empty", id="name-part-empty"),
        pytest.param({"subject": write_name("A", "B")}, "two common names", id="two-common-names"),
        pytest.param({"issuer": write_name("")}, "empty", id="common-name-empty"),
        pytest.param(
            {"subject": write_name("A").replace(b"\x0c\x01", b"\x04\x01")}, "no text", id="common-name-of-octets"
        ),
        pytest.param({"subject": write_name("A").replace(b"A", b"\xff")}, "UTF-8", id="common-name-not-utf8"),
        pytest.param({"subject": write_name("A" * 1024)}, "1024 are allowed", id="name-too-long"),
        pytest.param({"spki": write_spki(KEY)[:-1] + b"\x00"}, "point", id="point-off-the-curve"),
        pytest.param({"unique_ids": w.write_context(1, b"\x00\x00", is_constructed=False)}, "tag", id="unique-id"),
        pytest.param({"extensions": b""}, "cut off", id="no-extensions"),
        pytest.param({"extensions": w.write_context(3, w.write_sequence())}, "empty", id="empty-extensions"),
        pytest.param({"rest": b"\x05\x00"}, "left over", id="bytes-behind-extensions"),
    ],
)
def test_a_spoiled_part_is_refused(parts: dict[str, bytes], why: str) -> None:
    with pytest.raises(DerError, match=why):
        parse_certificate(write_certificate(**parts))


@pytest.mark.parametrize(
    ("extensions", "why"),
    [
        pytest.param((CA_USAGE, CA_CONSTRAINTS, CA_USAGE), "repeats", id="repeated"),
        pytest.param((write_extension("2.5.29.37", b"", CRITICAL),), "not understood", id="critical-unknown"),
        pytest.param((write_extension("2.5.29.37", b"", DEFAULT),), "default", id="default-spelled-out"),
        pytest.param((write_extension("2.5.29.37", b"") + b"\x05\x00",), "tag", id="no-extension"),
        pytest.param(tuple(write_extension(f"1.2.{n}", b"") for n in range(33)), "too many", id="too-many"),
        pytest.param((write_extension(KEY_USAGE, w.write_named_bits(1) + b"\x00"),), "left over", id="usage-tail"),
        pytest.param((write_extension(KEY_USAGE, w.write_octets(b"\x00")),), "tag", id="usage-no-bits"),
        *(
            pytest.param((write_extension(BASIC_CONSTRAINTS, content),), why, id=f"constraints-{name}")
            for name, content, why in (
                ("empty", b"", "cut off"),
                ("trailing", w.write_sequence() + b"\x00", "left over"),
                ("default", w.write_sequence(DEFAULT), "default"),
                ("length-of-no-authority", w.write_sequence(w.write_integer(0)), "path length"),
                ("length-negative", w.write_sequence(CRITICAL, w.write_integer(-1)), "negative"),
                ("length-large", w.write_sequence(CRITICAL, w.write_integer(256)), "path length"),
                ("third-field", w.write_sequence(CRITICAL, w.write_integer(0), b"\x05\x00"), "left over"),
            )
        ),
    ],
)
def test_a_spoiled_extension_is_refused(extensions: tuple[bytes, ...], why: str) -> None:
    with pytest.raises(DerError, match=why):
        parse_certificate(write_extended(*extensions))


def test_vendors_own_extensions_need_not_hold_der() -> None:
    certificate = parse_certificate(write_extended(write_extension("1.3.6.1.4.1.3704.1.4", b"\x04\x82raw bytes")))
    assert certificate.extensions["1.3.6.1.4.1.3704.1.4"].content == b"\x04\x82raw bytes"
    assert (certificate.has_basic_constraints, certificate.is_ca, certificate.key_usage) == (False, False, None)


@pytest.mark.parametrize("path_length", [0, 1, 255])
def test_path_lengths_up_to_255_are_taken(path_length: int) -> None:
    content = w.write_sequence(CRITICAL, w.write_integer(path_length))
    certificate = parse_certificate(write_extended(write_extension(BASIC_CONSTRAINTS, content)))
    assert (certificate.is_ca, certificate.path_length) == (True, path_length)


def test_the_largest_serial_is_taken() -> None:
    largest = (1 << 160) - 1
    assert parse_certificate(write_certificate(serial=w.write_integer(largest))).serial == largest


def test_a_name_need_not_have_a_common_name() -> None:
    assert parse_certificate(write_certificate(subject=w.write_sequence())).common_name == ""


def test_an_algorithm_no_vendor_uses_is_refused() -> None:
    sha512 = w.write_sequence(w.write_oid("1.2.840.10045.4.3.4"))
    with_null = w.write_sequence(w.write_oid("1.2.840.10045.4.3.2"), b"\x05\x00")
    for algorithm in (sha512, with_null):
        with pytest.raises(DerError, match="algorithm"):
            parse_certificate(write_signed(write_tbs(algorithm=algorithm), algorithm))


def test_nothing_stands_outside_of_a_certificate_and_its_three_parts() -> None:
    der, tbs = write_certificate(), write_tbs()
    with pytest.raises(DerError, match="left over"):
        parse_certificate(der + b"\x00")
    with pytest.raises(DerError, match="left over"):
        parse_certificate(w.write_sequence(tbs, ECDSA_SHA256, w.write_bits(b""), b"\x05\x00"))
    with pytest.raises(DerError, match="cut off"):
        parse_certificate(w.write_sequence(tbs, ECDSA_SHA256))


def test_size_is_bounded_before_anything_is_read() -> None:
    bare = len(write_extended(write_extension("1.2.3", bytes(3000)))) - 3000
    fitting = parse_certificate(write_extended(write_extension("1.2.3", bytes(CERTIFICATE_BYTES_MAX - bare - 8))))
    assert len(fitting.der) <= CERTIFICATE_BYTES_MAX
    with pytest.raises(DerError, match="4096 are allowed"):
        parse_certificate(bytes(CERTIFICATE_BYTES_MAX + 1))
