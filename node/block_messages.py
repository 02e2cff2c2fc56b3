"""What nodes say to each other about blocks: bodies of fresh ones, and runs of old ones for a node that is behind.

Every answer is checked against a hash that the asking node knew before, so it matters little who answers.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from state.block import BLOCK_TRANSACTIONS_MAX, ENVELOPE_BYTES_MAX, Header
from state.certificates import Certificate
from state.codec import Codec, Hash, Height, UInt, Wire

ANSWER_BYTES_MAX: Final = 900 << 10
"""Envelopes in one answer; more come in further answers."""
HEADERS_MAX: Final = 512
FRAME_BYTES_MAX: Final = (1 << 20) - 1024
RUN_BYTES_MAX: Final = 64 << 20
"""Envelopes in one run of headers: the asking node holds their bodies at once. No longer run is offered or taken."""
RUN_TRANSACTIONS_MAX: Final = 100_000
"""Transactions in one run: parsed, a small one takes several times its bytes."""

Envelopes = Annotated[
    tuple[Annotated[bytes, Meta(min_length=1, max_length=ENVELOPE_BYTES_MAX)], ...],
    Meta(max_length=BLOCK_TRANSACTIONS_MAX),
]
EnvelopeHashes = Annotated[tuple[Hash, ...], Meta(max_length=BLOCK_TRANSACTIONS_MAX)]


class BlockRequest(Wire, frozen=True, tag=1):
    """Please send header and envelope hashes of a block that is not final yet, or was a moment ago."""

    block_hash: Hash


class BlockAnswer(Wire, frozen=True, tag=2):
    """Header and envelope hashes of a block."""

    header: Header
    envelope_hashes: EnvelopeHashes


class EnvelopesRequest(Wire, frozen=True, tag=3):
    """Please send these envelopes of a block."""

    block_hash: Hash
    envelope_hashes: EnvelopeHashes


class EnvelopesAnswer(Wire, frozen=True, tag=4):
    """Some of the envelopes asked for; several answers may serve one request."""

    block_hash: Hash
    envelopes: Envelopes


class HeadersRequest(Wire, frozen=True, tag=5):
    """Please send the final headers from this height on, and what proves the last of them."""

    first_height: Height


class HeadersAnswer(Wire, frozen=True, tag=6):
    """Consecutive final headers of one epoch, and the finalization of the last; no headers if there are none yet."""

    headers: Annotated[tuple[Header, ...], Meta(max_length=HEADERS_MAX)]
    certificates: Annotated[tuple[Certificate, ...], Meta(max_length=1)]
    """The finalization, or none with no headers."""


class BodyRequest(Wire, frozen=True, tag=7):
    """Please send envelopes of the final block at a height, from an index on."""

    height: Height
    first_index: UInt


class BodyAnswer(Wire, frozen=True, tag=8):
    """Consecutive envelopes of a final block."""

    height: Height
    first_index: UInt
    envelopes: Envelopes


BlockMessage = (
    BlockRequest
    | BlockAnswer
    | EnvelopesRequest
    | EnvelopesAnswer
    | HeadersRequest
    | HeadersAnswer
    | BodyRequest
    | BodyAnswer
)
BLOCK_MESSAGE_CODEC: Final[Codec[BlockMessage]] = Codec(BlockMessage, FRAME_BYTES_MAX)  # type: ignore[arg-type]  # a union is no type[...]


def split_envelopes(envelopes: list[bytes]) -> list[tuple[bytes, ...]]:
    """Cut a list of envelopes into runs that each fit one answer, in order."""
    runs: list[tuple[bytes, ...]] = []
    run: list[bytes] = []
    run_bytes = 0
    for envelope in envelopes:
        if run and run_bytes + len(envelope) > ANSWER_BYTES_MAX:
            runs.append(tuple(run))
            run, run_bytes = [], 0
        run.append(envelope)
        run_bytes += len(envelope) + 5
    if run:
        runs.append(tuple(run))
    return runs
