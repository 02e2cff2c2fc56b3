"""The three gossip messages, and how long lists are cut into them.

Ids are 32 bytes. A message names no id twice. Blobs carry no id: the receiver computes it, so that nobody can deliver
something else under a wanted id.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from p2p import codec
from p2p.errors import PeerViolation, ViolationReason

ID_BYTES = 32
IDS_MAX = 1_024
"""Ids in one message."""
BLOB_BYTES_MAX = 320 << 10
"""Longest blob: an envelope with collateral."""
BATCH_BYTES_MAX = (256 << 10) - 16
"""Blobs with their headers in one message, so that it stays within 256 KiB, unless one blob alone is longer."""
BLOBS_MAX = 2_048
"""Blobs in one message."""
_BLOB_OVERHEAD_BYTES = 5

Id = Annotated[bytes, Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
Ids = Annotated[list[Id], Meta(min_length=1, max_length=IDS_MAX)]
Blob = Annotated[bytes, Meta(min_length=1, max_length=BLOB_BYTES_MAX)]


class Announce(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=0):
    """The sender has the blobs with these ids."""

    ids: Ids


class Ask(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """The sender wants the blobs with these ids."""

    ids: Ids


class Deliver(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """Blobs that were asked for, or are pushed in a small network."""

    blobs: Annotated[list[Blob], Meta(min_length=1, max_length=BLOBS_MAX)]


GossipMessage = Announce | Ask | Deliver

_decoder: "msgspec.msgpack.Decoder[GossipMessage]" = msgspec.msgpack.Decoder(GossipMessage)


def decode_gossip(payload: bytes) -> GossipMessage:
    """Decode one gossip message.

    Raises:
        PeerViolation: MESSAGE_MALFORMED, MESSAGE_NOT_CANONICAL, DUPLICATE_ENTRY.
    """
    message = codec.decode(_decoder, payload)
    entries = message.blobs if isinstance(message, Deliver) else message.ids
    distinct_count = len(set(entries))
    if distinct_count != len(entries):
        raise PeerViolation(ViolationReason.DUPLICATE_ENTRY, len(entries), distinct_count)
    return message


def cut_ids(ids: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Cut ids into lists that fit into one message each."""
    for start in range(0, len(ids), IDS_MAX):
        yield list(ids[start : start + IDS_MAX])


def cut_blobs(blobs: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Cut blobs into lists that fit into one message each, keeping their order."""
    batch: list[bytes] = []
    batch_bytes = 0
    for blob in blobs:
        blob_bytes = len(blob) + _BLOB_OVERHEAD_BYTES
        if batch and (batch_bytes + blob_bytes > BATCH_BYTES_MAX or len(batch) == BLOBS_MAX):
            yield batch
            batch = []
            batch_bytes = 0
        batch.append(blob)
        batch_bytes += blob_bytes
    if batch:
        yield batch
