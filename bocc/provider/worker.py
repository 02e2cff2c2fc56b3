"""The sample worker: what the software TEE does for an order. It adds nothing up and hides nothing; it shows the way.

Arguments are a JSON object; `seconds` says how long the work takes (1 without). Inputs are whatever the order's data and software
are. The output is a JSON document with the SHA-256 over the digests of inputs and arguments, so the same order gives the same root
on every machine, in whatever attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from hashlib import sha256
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from state.params import DURATION_MS_MAX

NOTE: Final = "SIMULATED: made by a program without any protection"


class FailCode(IntEnum):
    """Why the sample worker gives an order up, as its fail receipt says."""

    BAD_ARGUMENTS = 1
    """They are no JSON object, or `seconds` is no duration."""
    INPUT_LACKING = 2
    """An input or the arguments cannot be read, or are not what was ordered."""
    KEY_WRONG = 3
    """A capsule does not open, or holds the key of something else."""
    RESULT_KEY_WRONG = 4
    """Nothing can be sealed to the order's result key."""


class WorkRejected(Exception):
    """An order cannot be worked on."""

    def __init__(self, code: FailCode, why: str) -> None:
        super().__init__(why)
        self.code = code


class Arguments(msgspec.Struct, frozen=True):
    """What the sample worker is told; it leaves the rest to others."""

    seconds: Annotated[float, Meta(ge=0, le=DURATION_MS_MAX // 1_000)] = 1
    """How long the work takes."""

    @property
    def duration_ms(self) -> int:
        """How long the work takes."""
        return int(self.seconds * 1_000)


class _Output(msgspec.Struct, frozen=True):
    note: str
    inputs: list[str]
    arguments: str
    sha256: str


def parse_arguments(content: bytes) -> Arguments:
    """Return the arguments of an order; none are the usual ones.

    Raises:
        WorkRejected: BAD_ARGUMENTS.
    """
    if not content:
        return Arguments()
    try:
        return msgspec.json.decode(content, type=Arguments)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WorkRejected(FailCode.BAD_ARGUMENTS, str(error)) from error


def make_output(inputs: Sequence[bytes], args_digest: bytes) -> bytes:
    """Return the output for inputs and arguments, given by their digests."""
    output = _Output(
        note=NOTE,
        inputs=[root.hex() for root in inputs],
        arguments=args_digest.hex(),
        sha256=sha256(b"".join((*inputs, args_digest))).hexdigest(),
    )
    return msgspec.json.encode(output)
