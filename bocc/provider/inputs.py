"""Arguments and inputs of orders, read where their owners put them and compared with the digests on the chain.

Whoever orders may name any place, so a provider reads only regular files below the folders that its rules name, and of these no
more than a bound. What is read must have the digest that the chain has, and nothing of it is shown: a name tells nobody anything.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from bocc.errors import SealRejected
from bocc.provider.worker import FailCode, WorkRejected
from bocc.sealed import key_commitment, open_content
from state.offers import ReleaseBody
from state.order_terms import Workload

INPUT_BYTES_MAX: Final = 64 << 20
"""Longest input of the sample worker, which holds it in memory: hashed and opened in a few hundred milliseconds."""
ARGUMENT_BYTES_MAX: Final = 1 << 20
_DATA_PREFIX: Final = "data:"
_BASE64_SUFFIX: Final = ";base64"


def read_arguments(workload: Workload, folders: Sequence[Path]) -> bytes:
    """Return the arguments of an order: none, inline (data:,...), or in a file (file:///...).

    Raises:
        WorkRejected: INPUT_LACKING.
    """
    reference = workload.args_reference
    if not reference:
        content = b""
    elif reference.startswith(_DATA_PREFIX):
        content = _read_inline(reference)
    else:
        content = read_file(reference, folders, ARGUMENT_BYTES_MAX)
    if sha256(content).digest() != workload.args_digest:
        raise WorkRejected(FailCode.INPUT_LACKING, "the arguments are not those that were ordered")
    return content


def _read_inline(reference: str) -> bytes:
    kind, comma, content = reference.removeprefix(_DATA_PREFIX).partition(",")
    if not comma:
        raise WorkRejected(FailCode.INPUT_LACKING, "a data: reference has a comma before its content")
    octets = unquote_to_bytes(content)
    if not kind.endswith(_BASE64_SUFFIX):
        return octets
    try:
        return base64.b64decode(octets, validate=True)
    except binascii.Error as error:
        raise WorkRejected(FailCode.INPUT_LACKING, f"the inline arguments are no base64: {error}") from error


def check_input(body: ReleaseBody, key: bytes | None, folders: Sequence[Path]) -> None:
    """Read one release from its locators, open it if it is sealed, and compare it with what the chain says of it.

    A release without locators is taken as read: what the sample worker makes depends on digests alone.

    Raises:
        WorkRejected: INPUT_LACKING, KEY_WRONG.
    """
    if key is not None and body.key_commit and key_commitment(key) != body.key_commit:
        raise WorkRejected(FailCode.KEY_WRONG, "the released key is not the one that the release names")
    if not body.locators:
        return
    content = _read_first(body.locators, folders)
    if key is not None:
        if body.sealed_root and sha256(content).digest() != body.sealed_root:
            raise WorkRejected(FailCode.INPUT_LACKING, "the sealed file is not the one that was published")
        try:
            content = open_content(content, key)
        except SealRejected as error:
            raise WorkRejected(FailCode.KEY_WRONG, str(error)) from error
    if sha256(content).digest() != body.content_root:
        raise WorkRejected(FailCode.INPUT_LACKING, "the content is not the one that was published")


def _read_first(locators: Sequence[str], folders: Sequence[Path]) -> bytes:
    """Return the content of the first locator that can be read."""
    reasons: list[str] = []
    for locator in locators:
        try:
            return read_file(locator, folders, INPUT_BYTES_MAX)
        except WorkRejected as rejected:
            reasons.append(str(rejected))
    raise WorkRejected(FailCode.INPUT_LACKING, "; ".join(reasons))


def read_file(locator: str, folders: Sequence[Path], bytes_max: int) -> bytes:
    """Return the content of a file:// locator.

    Raises:
        WorkRejected: INPUT_LACKING.
    """
    try:
        parts = urlsplit(locator)
        if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
            raise WorkRejected(FailCode.INPUT_LACKING, f"{locator}: this provider reads file:///... alone")
        path = Path(unquote(parts.path)).resolve()
        if not any(path.is_relative_to(folder) for folder in folders):
            raise WorkRejected(FailCode.INPUT_LACKING, f"{locator} is in none of the folders of provider.toml")
        if not path.is_file():
            raise WorkRejected(FailCode.INPUT_LACKING, f"{locator} is no file")
        with path.open("rb") as file:
            content = file.read(bytes_max + 1)
    except (OSError, ValueError) as error:
        raise WorkRejected(FailCode.INPUT_LACKING, f"{locator}: {error}") from error
    if len(content) > bytes_max:
        raise WorkRejected(FailCode.INPUT_LACKING, f"{locator} has more than {bytes_max} bytes")
    return content
