"""Signatures and keys: what holds, what does not, and that nothing but a verdict or a DerError comes out."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from tee import der_writer as w
from tee import signatures
from tee.certificates import parse_certificate
from tee.der import DerError
from tee.signatures import (
    Curve,
    EcKey,
    RsaKey,
    SignatureAlgorithm,
    load_public_key,
    verify_certificate_signature,
    verify_p256,
    verify_p384,
)
from tests.support.certificate_forms import (
    KEY,
    OTHER_KEY,
    P256_ORDER,
    P384_KEY,
    make_rsa_key,
    read_point,
    sign_pss,
    sign_raw,
    write_signature,
    write_spki,
)
from tests.support.vendor_files import find_roots

MESSAGE = b"the signed bytes"
P384_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
CURVES = [
    pytest.param(verify_p256, KEY, 32, P256_ORDER, id="p256"),
    pytest.param(verify_p384, P384_KEY, 48, P384_ORDER, id="p384"),
]


@pytest.mark.parametrize(("verify", "key", "size", "order"), CURVES)
def test_both_halves_of_s_hold_and_another_message_does_not(verify, key, size: int, order: int) -> None:
    point, signature = read_point(key), sign_raw(key, MESSAGE)
    mirrored = signature[:size] + (order - int.from_bytes(signature[size:], "big")).to_bytes(size, "big")
    assert verify(point, signature, MESSAGE)
    assert verify(point, mirrored, MESSAGE)
    assert not verify(point, signature, MESSAGE + b"!")


@pytest.mark.parametrize(("verify", "key", "size", "order"), CURVES)
def test_r_and_s_lie_between_one_and_the_order(verify, key, size: int, order: int) -> None:
    point, signature = read_point(key), sign_raw(key, MESSAGE)
    r, s = signature[:size], signature[size:]
    for number in (0, order, order + 1, (1 << 8 * size) - 1):
        encoded = number.to_bytes(size, "big")
        assert not verify(point, encoded + s, MESSAGE)
        assert not verify(point, r + encoded, MESSAGE)


class Agreeable:
    """A key of the library for which every signature holds."""

    def verify(self, *_arguments: object) -> None:
        """Refuse nothing."""


@pytest.mark.parametrize(("verify", "key", "size", "order"), CURVES)
def test_the_bounds_of_r_and_s_do_not_depend_on_the_library(
    monkeypatch: pytest.MonkeyPatch, verify, key, size: int, order: int
) -> None:
    monkeypatch.setattr(signatures, "_find_ec_key", lambda _curve, _point: Agreeable())
    point = read_point(key)

    def holds(r: int, s: int) -> bool:
        return verify(point, r.to_bytes(size, "big") + s.to_bytes(size, "big"), MESSAGE)

    assert holds(1, 1)
    assert holds(order - 1, order - 1)
    for number in (0, order, order + 1, (1 << 8 * size) - 1):
        assert not holds(number, 1)
        assert not holds(1, number)


@pytest.mark.parametrize(("verify", "key", "size", "order"), CURVES)
def test_a_signature_or_point_of_another_width_holds_for_nothing(verify, key, size: int, order: int) -> None:
    point, signature = read_point(key), sign_raw(key, MESSAGE)
    for other in (b"", signature[:-1], signature + b"\x00", b"\x00" + signature):
        assert not verify(point, other, MESSAGE)
    for other in (b"", point[:-1], point + b"\x00", b"\x04" + point):
        assert not verify(other, signature, MESSAGE)


@pytest.mark.parametrize(("verify", "key", "size", "order"), CURVES)
def test_a_point_off_its_curve_verifies_nothing(verify, key, size: int, order: int) -> None:
    point, signature = read_point(key), sign_raw(key, MESSAGE)
    moved = point[:-1] + bytes((point[-1] ^ 1,))
    for other in (moved, bytes(2 * size), b"\xff" * 2 * size, point[size:] + point[:size]):
        assert not verify(other, signature, MESSAGE)


def test_a_coordinate_beyond_the_prime_is_another_form_of_the_point_and_refused() -> None:
    prime = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    x = next(x for x in range(100) if pow(x**3 - 3 * x + b, (prime - 1) // 2, prime) == 1)
    y = pow(x**3 - 3 * x + b, (prime + 1) // 4, prime)
    prefix = write_spki(KEY)[:-64]
    small = x.to_bytes(32, "big") + y.to_bytes(32, "big")
    large = (x + prime).to_bytes(32, "big") + y.to_bytes(32, "big")
    assert load_public_key(prefix + small) == EcKey(Curve.P256, small)
    with pytest.raises(DerError, match="not on P256"):
        load_public_key(prefix + large)


@pytest.mark.parametrize(
    ("key", "algorithm"), [(KEY, SignatureAlgorithm.ECDSA_SHA256), (P384_KEY, SignatureAlgorithm.ECDSA_SHA384)]
)
def test_a_certificate_signature_holds_under_the_algorithm_of_its_key_alone(key, algorithm: SignatureAlgorithm) -> None:
    public, signature = load_public_key(write_spki(key)), write_signature(sign_raw(key, MESSAGE))
    held = [one for one in SignatureAlgorithm if verify_certificate_signature(public, one, signature, MESSAGE)]
    assert held == [algorithm]
    other = load_public_key(write_spki(OTHER_KEY))
    assert not verify_certificate_signature(other, algorithm, signature, MESSAGE)


def test_a_signature_of_the_wrong_hash_does_not_hold() -> None:
    signature = P384_KEY.sign(MESSAGE, ec.ECDSA(SHA256()))
    public = load_public_key(write_spki(P384_KEY))
    assert not any(verify_certificate_signature(public, one, signature, MESSAGE) for one in SignatureAlgorithm)


def spoil(signature: bytes) -> dict[str, bytes]:
    """Return forms of a DER signature that are not DER, or not of two positive integers."""
    r = int.from_bytes(signature[4 : 4 + signature[3]], "big")
    s_at = 4 + signature[3]
    s = int.from_bytes(signature[s_at + 2 :], "big")
    write, integer = w.write_sequence, w.write_integer
    padded = w.write_element(w.INTEGER, b"\x00" + r.to_bytes(33, "big"))
    return {
        "empty": b"",
        "trailing": signature + b"\x00",
        "trailing-inside": write(integer(r), integer(s), b"\x05\x00"),
        "one-integer": write(integer(r)),
        "padded": write(padded, integer(s)),
        "negative": write(integer(r - P256_ORDER), integer(s)),
        "zero": write(integer(r), integer(0)),
        "huge": write(integer(r), integer(s + (P256_ORDER << 2000))),
        "long-length": b"\x30\x81" + signature[1:],
        "raw": r.to_bytes(32, "big") + s.to_bytes(32, "big"),
    }


def test_ecdsa_signatures_of_certificates_are_strict_der() -> None:
    public, good = load_public_key(write_spki(KEY)), write_signature(sign_raw(KEY, MESSAGE))
    assert verify_certificate_signature(public, SignatureAlgorithm.ECDSA_SHA256, good, MESSAGE)
    for name, signature in spoil(good).items():
        held = verify_certificate_signature(public, SignatureAlgorithm.ECDSA_SHA256, signature, MESSAGE)
        assert not held, name


def test_pss_holds_with_sha384_and_a_salt_of_48_bytes_alone() -> None:
    key = make_rsa_key(4096)
    public = load_public_key(write_spki(key))
    assert isinstance(public, RsaKey)
    good = sign_pss(key, MESSAGE)
    held = [one for one in SignatureAlgorithm if verify_certificate_signature(public, one, good, MESSAGE)]
    assert held == [SignatureAlgorithm.RSA_PSS_SHA384]
    others = {
        "message": sign_pss(key, MESSAGE + b"!"),
        "salt": sign_pss(key, MESSAGE, salt=32),
        "hash": sign_pss(key, MESSAGE, salt=48, digest=SHA256()),
        "short": good[1:],
        "long": b"\x00" + good,
        "above the modulus": b"\xff" * 512,
        "zero": bytes(512),
        "empty": b"",
    }
    for name, signature in others.items():
        held = verify_certificate_signature(public, SignatureAlgorithm.RSA_PSS_SHA384, signature, MESSAGE)
        assert not held, name


def write_rsa_spki(modulus: int, exponent: int, rest: bytes = b"") -> bytes:
    numbers = w.write_sequence(w.write_integer(modulus), w.write_integer(exponent), rest)
    algorithm = w.write_sequence(w.write_oid("1.2.840.113549.1.1.1"), b"\x05\x00")
    return w.write_sequence(algorithm, w.write_bits(numbers))


@pytest.mark.parametrize(
    "spki",
    [
        pytest.param(b"", id="empty"),
        pytest.param(write_spki(KEY)[:-1], id="cut-off"),
        pytest.param(write_spki(KEY) + b"\x00", id="trailing"),
        pytest.param(write_spki(ec.derive_private_key(5, ec.SECP521R1())), id="p521"),
        pytest.param(write_spki(ec.derive_private_key(5, ec.SECP256K1())), id="secp256k1"),
        pytest.param(write_spki(KEY).replace(b"\x03\x42\x00\x04", b"\x03\x42\x01\x04"), id="unused-bit"),
        pytest.param(write_spki(KEY).replace(b"\x03\x42\x00\x04", b"\x03\x42\x00\x06"), id="hybrid-point"),
        pytest.param(write_rsa_spki((1 << 4095) + 1, 65_537, b"\x05\x00"), id="rsa-third-number"),
        pytest.param(write_rsa_spki((1 << 4095) + 1, 3), id="rsa-small-exponent"),
        pytest.param(write_rsa_spki(1 << 4095, 65_537), id="rsa-even"),
        pytest.param(write_rsa_spki((1 << 3071) + 1, 65_537), id="rsa-3072"),
        pytest.param(write_rsa_spki((1 << 4096) + 1, 65_537), id="rsa-4097"),
        pytest.param(write_rsa_spki(-(1 << 4095) - 1, 65_537), id="rsa-negative"),
    ],
)
def test_a_key_of_another_form_kind_or_size_is_refused(spki: bytes) -> None:
    with pytest.raises(DerError):
        load_public_key(spki)


def test_a_modulus_of_the_right_size_is_taken() -> None:
    assert load_public_key(write_rsa_spki((1 << 4095) + 1, 65_537)) == RsaKey((1 << 4095) + 1)


def test_any_odd_modulus_of_the_right_size_gives_a_verdict() -> None:
    for modulus in ((1 << 4095) + 1, (1 << 4096) - 1):
        key = RsaKey(modulus)
        assert not verify_certificate_signature(key, SignatureAlgorithm.RSA_PSS_SHA384, b"\x01" * 512, MESSAGE)


def test_keys_of_all_vendors_are_known_kinds(shared_dir: Path) -> None:

    kinds = {}
    for name, der in find_roots(shared_dir).items():
        key = parse_certificate(der).key
        kinds[name.split("-")[0]] = key.curve if isinstance(key, EcKey) else type(key)
    assert kinds == {"amd": RsaKey, "aws": Curve.P384, "intel": Curve.P256, "nvidia": Curve.P384}
