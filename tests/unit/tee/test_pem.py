"""PEM chains: one form, matched whole."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from tee.pem import CHAIN_BYTES_MAX, PemError, split_pem_chain
from tests.support.vendor_files import REAL_COLLATERAL, REAL_QUOTE, find_roots, read_evidence

CONTENTS = [bytes([number]) * size for number, size in ((1, 100), (2, 48), (3, 1))]


def write_block(der: bytes, end: str = "\n") -> bytes:
    text = b64encode(der).decode()
    lines = "".join(f"{text[at : at + 64]}\n" for at in range(0, len(text), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----{end}".encode()


CHAIN = b"".join(map(write_block, CONTENTS))


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("tail", [b"", b"\x00"])
def test_line_end_behind_each_block_and_one_nul_are_optional(end: str, tail: bytes) -> None:
    chain = b"".join(write_block(der, end) for der in CONTENTS) + tail
    assert split_pem_chain(chain, 3) == CONTENTS


def test_genuine_chains_hold_the_vendors_roots(shared_dir: Path) -> None:
    roots = find_roots(shared_dir)
    quote = read_evidence(shared_dir, REAL_QUOTE)
    signers = read_evidence(shared_dir, f"{REAL_COLLATERAL}/tcb_signing_chain.pem")
    devices = read_evidence(shared_dir, "nvidia/hopper-driver-550/chain.pem")
    assert split_pem_chain(quote[quote.index(b"-----BEGIN") :], 3)[2] == roots["intel-sgx-root-ca"]
    assert split_pem_chain(signers, 2)[1] == roots["intel-sgx-root-ca"]
    assert split_pem_chain(devices, 5)[4] == roots["nvidia-device-identity-ca"]


@pytest.mark.parametrize(
    "chain",
    [
        pytest.param(b"", id="empty"),
        pytest.param(CHAIN[: -len(write_block(CONTENTS[2]))], id="one-less"),
        pytest.param(CHAIN + write_block(b"x"), id="one-more"),
        pytest.param(b"text\n" + CHAIN, id="text-before"),
        pytest.param(CHAIN.replace(b"-----\n-----", b"-----\ntext\n-----", 1), id="text-between"),
        pytest.param(CHAIN.replace(b"-----\n-----", b"-----\n\n-----", 1), id="empty-line-between"),
        pytest.param(CHAIN + b"\n", id="empty-line-behind"),
        pytest.param(CHAIN + b" ", id="space-behind"),
        pytest.param(CHAIN + b"\x00\x00", id="two-nuls"),
        pytest.param(CHAIN.replace(b"\n", b"\r\n"), id="carriage-returns"),
        pytest.param(CHAIN.replace(b"AQEB", b"AQ B", 1), id="foreign-character"),
        pytest.param(CHAIN.replace(b"AQEB", b"AQEB\n", 1), id="other-line-length"),
        pytest.param(CHAIN.replace(b"Aw==\n", b"Ax==\n"), id="spare-bits-set"),
        pytest.param(CHAIN.replace(b"Aw==\n", b"Aw\n"), id="no-padding"),
        pytest.param(CHAIN.replace(b"Aw==\n", b"Aw==\n\n"), id="empty-line-inside"),
        pytest.param(CHAIN.replace(b"Aw==\n", b"Aw=="), id="no-line-end-inside"),
        pytest.param(CHAIN.replace(b"Aw==\n", b"A\n"), id="no-base64"),
        pytest.param(CHAIN.replace(b"Aw==\n", b""), id="empty-block"),
        pytest.param(CHAIN.replace(b"BEGIN CERT", b"BEGIN TRUSTED CERT", 1), id="other-label"),
        pytest.param(CHAIN.replace(b"-----END", b"----END", 1), id="other-dashes"),
    ],
)
def test_another_form_is_refused(chain: bytes) -> None:
    with pytest.raises(PemError):
        split_pem_chain(chain, 3)


def test_size_is_bounded() -> None:
    block = write_block(bytes(12_000))
    assert len(block) < CHAIN_BYTES_MAX
    assert split_pem_chain(block, 1) == [bytes(12_000)]
    with pytest.raises(PemError, match="allowed"):
        split_pem_chain(write_block(bytes(13_000)), 1)
