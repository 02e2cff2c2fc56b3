"""Refusals of the authenticated tree: bytes from outside that do not prove what they claim."""

from __future__ import annotations

from enum import StrEnum

from state.errors import Rejected


class ProofReason(StrEnum):
    """Why a proof of one key is refused."""

    BAD_LENGTH = "bad_length"
    """The bytes are shorter or longer than their counts say."""
    TOO_DEEP = "too_deep"
    """More levels than a path has symbols."""
    BUCKET_TOO_LARGE = "bucket_too_large"
    """More records than a bucket may hold."""
    KEY_MISSING = "key_missing"
    """A value is claimed, and the bucket does not hold the key."""
    KEY_PRESENT = "key_present"
    """Absence is claimed, and the bucket holds the key."""
    WRONG_VALUE = "wrong_value"
    """The bucket holds the key with another value."""
    WRONG_ROOT = "wrong_root"
    """The digests do not lead to the state root."""


class SnapshotReason(StrEnum):
    """Why a snapshot's manifest or chunk is refused."""

    WRONG_LEVEL = "wrong_level"
    """The chunks are cut at another level than the rule says."""
    WRONG_DIGEST_COUNT = "wrong_digest_count"
    """Not one 32-byte digest for each chunk."""
    WRONG_ROOT = "wrong_root"
    """The digests do not lead to the state root."""
    WRONG_CHUNK_INDEX = "wrong_chunk_index"
    """No chunk has this index."""
    TOO_MANY_RECORDS = "too_many_records"
    """A chunk holds more records than the whole state."""
    BAD_KEY_LENGTH = "bad_key_length"
    """A record's key is empty or runs past the record."""
    VALUE_TOO_LONG = "value_too_long"
    """A record's value is longer than any value may be."""
    WRONG_ORDER = "wrong_order"
    """Records are not in strictly ascending order of paths."""
    OUTSIDE_CHUNK = "outside_chunk"
    """A record belongs to another chunk."""
    WRONG_CHUNK_DIGEST = "wrong_chunk_digest"
    """The records are not those that the manifest commits to."""


class DumpReason(StrEnum):
    """Why a stored table of the tree is refused."""

    BAD_LENGTH = "bad_length"
    """The bytes end early or go on after the last record."""
    WRONG_KEY_COUNT = "wrong_key_count"
    """The bucket counts do not add up to the number of keys."""
    WRONG_ORDER = "wrong_order"
    """Paths are not strictly ascending through the table."""
    WRONG_BUCKET = "wrong_bucket"
    """A record stands in a bucket that its path does not belong to."""


class ProofRejected(Rejected):
    """A proof does not show the claim under the given root."""


class SnapshotRejected(Rejected):
    """A manifest or a chunk is not part of the state under the given root."""


class DumpRejected(Rejected):
    """A stored table is not one that this tree wrote in full."""
