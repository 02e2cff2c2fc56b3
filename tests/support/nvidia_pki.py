"""Reports of a made-up NVIDIA device and its chain, each part of which may be wrong."""

from __future__ import annotations

from tee import der_writer as der
from tee.roots import Roots
from tests.support.p384_certificates import CertificateForm, Vouched, encode_key, issue, make_link, sign_raw

TIME_S = 1_780_272_000
END_S = 253_402_300_799
"""The last second of the year 9999."""
NONCE = bytes(range(32))
FIRMWARE_ID = b"\x0f" * 48
ROOT, IDENTITY, PROVISIONER, DEVICE, LEAF = range(5)
DICE = "2.23.133.5.4.1"
SHA384 = "2.16.840.1.101.3.4.2.2"


def write_composite_id(
    digest: bytes, algorithm: str = SHA384, *, behind_parts: bytes = b"", behind_digest: bytes = b""
) -> bytes:
    """Return the DICE extension's content as Hopper has it."""
    return der.write_sequence(
        der.write_integer(1),
        encode_key("nvidia device"),
        der.write_sequence(der.write_oid(algorithm), der.write_octets(digest), behind_digest),
        behind_parts,
    )


def with_extension(content: bytes, oid: str = DICE) -> tuple[tuple[str, bool, bytes], ...]:
    """Return the leaf's further extensions."""
    return ((oid, False, content),)


def make_chain() -> tuple[CertificateForm, ...]:
    """Return the forms of a good chain, root first."""
    names = ("NVIDIA Device Identity CA", "identity", "provisioner", "device", "leaf")
    return tuple(
        make_link(
            "nvidia",
            names,
            position,
            not_before_s=TIME_S - 100 - position,
            not_after_s=END_S,
            has_constraints=position != LEAF,
            others=with_extension(write_composite_id(FIRMWARE_ID)) if position == LEAF else (),
            serial=0x0102_0300 + position,
        )
        for position in range(len(names))
    )


def make_block(
    index: int, value: bytes, *, specification: int = 1, size: int | None = None, value_size: int | None = None
) -> bytes:
    """Return one block of measurements."""
    inner = len(value) if value_size is None else value_size
    outer = inner + 3 if size is None else size
    return bytes((index, specification)) + outer.to_bytes(2, "little") + b"\x01" + inner.to_bytes(2, "little") + value


def make_field(kind: int, content: bytes, length: int | None = None) -> bytes:
    """Return one field of the opaque data."""
    return kind.to_bytes(2, "little") + (len(content) if length is None else length).to_bytes(2, "little") + content


class Report(Vouched, frozen=True, kw_only=True):
    """All that makes a report and its chain."""

    chain: tuple[CertificateForm, ...] = make_chain()
    request: bytes = b"\x11\xe0\x01\xff" + NONCE + b"\x00"
    response: bytes = b"\x11\x60\x00\x00"
    record: bytes = make_block(2, b"\x22" * 48) + make_block(1, b"\x11" * 48)
    block_count: int = 2
    record_length: int | None = None
    opaque: bytes = (
        make_field(6, bytes.fromhex("009f009601000000"))
        + make_field(3, b"550.90.07\0")
        + make_field(20, FIRMWARE_ID)
        + make_field(99, b"")
    )
    opaque_length: int | None = None
    signer: str = "nvidia leaf"
    cut_count: int = 0
    tail: bytes = b""

    def encode(self) -> bytes:
        """Return the signed report."""
        record_length = len(self.record) if self.record_length is None else self.record_length
        opaque_length = len(self.opaque) if self.opaque_length is None else self.opaque_length
        signed = b"".join(
            (
                self.request,
                self.response,
                bytes((self.block_count,)),
                record_length.to_bytes(3, "little"),
                self.record,
                bytes(32),
                opaque_length.to_bytes(2, "little"),
                self.opaque,
            )
        )
        report = signed + sign_raw(self.signer, signed)
        return report[: len(report) - self.cut_count] + self.tail

    def encode_chain(self) -> tuple[bytes, ...]:
        """Return the chain in DER, leaf first."""
        return tuple(issue(form) for form in reversed(self.chain))


def make_roots(report: Report) -> Roots:
    """Trust the root of a report's chain."""
    return Roots(nvidia=report.trust())
