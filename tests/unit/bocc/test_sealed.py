"""Sealed content and outputs open with their key and with nothing else."""

from __future__ import annotations

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from bocc.errors import SealRejected
from bocc.sealed import key_commitment, open_content, open_output, seal_content, seal_output

KEY = bytes(range(32))
PUBLIC = X25519PrivateKey.from_private_bytes(KEY).public_key().public_bytes_raw()
CHAIN, ORDER = b"\x01" * 32, b"\x02" * 21


def test_content_opens_with_its_key():
    sealed = seal_content(b"the data", KEY)
    assert open_content(sealed, KEY) == b"the data"
    assert len(sealed) == 12 + len(b"the data") + 16
    assert key_commitment(KEY) == sha256(KEY).digest()


@pytest.mark.parametrize("fault", [lambda sealed: sealed[:-1], lambda sealed: b"\x00" + sealed, lambda _: b""])
def test_changed_content_does_not_open(fault):
    with pytest.raises(SealRejected):
        open_content(fault(seal_content(b"the data", KEY)), KEY)


@pytest.mark.parametrize("key", [bytes(32), bytes(31), b""])
def test_content_does_not_open_with_another_key(key):
    with pytest.raises(SealRejected):
        open_content(seal_content(b"the data", KEY), key)


def test_an_output_opens_for_its_order_alone():
    sealed = seal_output(b"the output", PUBLIC, CHAIN, ORDER)
    assert open_output(sealed, KEY, CHAIN, ORDER) == b"the output"
    for private, chain, order in [(bytes(32), CHAIN, ORDER), (KEY, ORDER, ORDER), (KEY, CHAIN, CHAIN)]:
        with pytest.raises(SealRejected):
            open_output(sealed, private, chain, order)


def test_nothing_is_sealed_to_a_key_that_everybody_has():
    with pytest.raises(SealRejected):
        seal_output(b"the output", bytes(32), CHAIN, ORDER)
