"""Nitro documents of a made-up AWS: root, regional, zonal, instance and leaf, and a payload, each part of which may be wrong."""

from __future__ import annotations

from msgspec.structs import replace

from tee.roots import Roots
from tests.support.p384_certificates import CertificateForm, Vouched, issue, make_link, sign_raw

TIME_S = 1_780_308_000
HOUR_S = 3600
DAY_S = 24 * HOUR_S
PROTECTED = bytes.fromhex("a1013822")
ROOT, REGIONAL, ZONAL, INSTANCE, LEAF = range(5)


def make_chain(time_s: int = TIME_S) -> tuple[CertificateForm, ...]:
    """Return the forms of a good chain, root first, each in the middle of its life."""
    names = ("aws.nitro-enclaves", "regional", "zonal", "instance", "leaf")
    lives_s = (10_000 * DAY_S, 20 * DAY_S, 6 * DAY_S, DAY_S, 3 * HOUR_S)
    return tuple(
        make_link(
            "nitro",
            names,
            position,
            not_before_s=time_s - life_s // 2,
            not_after_s=time_s + life_s // 2,
            path_length=(None, 2, 1, 0, None)[position],
        )
        for position, life_s in enumerate(lives_s)
    )


def make_fields() -> dict[str, object]:
    """Return the fields of a good payload without its certificates."""
    return {
        "module_id": "i-0123456789abcdef0-enc0123456789abcdef",
        "digest": "SHA384",
        "timestamp": (TIME_S - 5) * 1000 + 999,
        "pcrs": {index: bytes((index + 1,)) * 48 for index in (0, 1, 2, 3, 4, 8)},
        "public_key": b"key",
        "user_data": b"user",
        "nonce": None,
    }


class World(Vouched, frozen=True, kw_only=True):
    """All that makes a document."""

    chain: tuple[CertificateForm, ...] = make_chain()
    fields: tuple[tuple[str, object], ...] = tuple(make_fields().items())
    cabundle: tuple[bytes, ...] | None = None
    """In place of the certificates of the chain."""
    certificate: bytes | None = None
    signer: str | None = None
    """In place of the leaf's key."""

    def put(self, **fields: object) -> World:
        """Return a world with other fields of the payload."""
        return replace(self, fields=tuple({**dict(self.fields), **fields}.items()))

    def drop(self, name: str) -> World:
        """Return a world without a field of the payload."""
        return replace(self, fields=tuple((key, field) for key, field in self.fields if key != name))

    def encode_payload(self) -> bytes:
        """Return the payload."""
        issued = [issue(form) for form in self.chain]
        bundle = list(self.cabundle) if self.cabundle is not None else issued[:-1]
        fields = {"certificate": self.certificate or issued[-1], "cabundle": bundle, **dict(self.fields)}
        return encode_cbor({key: field for key, field in fields.items() if field is not ...})

    def encode(self) -> bytes:
        """Return the signed document."""
        return sign_payload(self.encode_payload(), self.signer or self.chain[-1].key)


def make_world(time_s: int) -> World:
    """Return a world of this time, whose root is the same as ever."""
    chain = (make_chain()[ROOT], *make_chain(time_s)[REGIONAL:])
    return World(chain=chain).put(timestamp=time_s * 1_000)


def sign_payload(payload: bytes, signer: str) -> bytes:
    """Return a document with these bytes for payload."""
    signed = encode_cbor(["Signature1", PROTECTED, b"", payload])
    return frame(payload=encode_cbor(payload), signature=encode_cbor(sign_raw(signer, signed)))


def frame(
    *,
    head: bytes = b"\x84",
    protected: bytes = b"\x44" + PROTECTED,
    unprotected: bytes = b"\xa0",
    payload: bytes,
    signature: bytes,
    tail: bytes = b"",
) -> bytes:
    """Return a message of these encoded parts."""
    return head + protected + unprotected + payload + signature + tail


def make_roots(world: World) -> Roots:
    """Trust the root of a world."""
    return Roots(aws=world.trust())


def encode_cbor(item: object) -> bytes:
    """Encode integers, bytes, text, lists, maps and None, all heads minimal."""
    match item:
        case None:
            return b"\xf6"
        case int():
            return _head(0, item) if item >= 0 else _head(1, -1 - item)
        case bytes():
            return _head(2, len(item)) + item
        case str():
            return _head(3, len(item.encode())) + item.encode()
        case list():
            return _head(4, len(item)) + b"".join(map(encode_cbor, item))
        case dict():
            return _head(5, len(item)) + b"".join(encode_cbor(key) + encode_cbor(item[key]) for key in item)
    raise TypeError(type(item))


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes((major << 5 | argument,))
    size = next(size for size in (1, 2, 4, 8) if argument < 1 << (8 * size))
    return bytes((major << 5 | 23 + size.bit_length(),)) + argument.to_bytes(size, "big")
