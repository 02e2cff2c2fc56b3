"""Typed rejections of the state package, and the one fault of its storage.

Invariants:
- A rejection says whose doing it is by its class, and why by a stable `reason`; API, receipts, `explain` and tests use that reason.
- `seen` and `bound` are integers, strings or hex for people. They never enter a hash or a signature.
- A fault is our own environment's: nobody catches it but the program's entry point, which stops the node.
"""

from __future__ import annotations

from enum import StrEnum


class Rejected(Exception):
    """Somebody's input breaks a rule: which one, what was seen, what is allowed."""

    def __init__(self, reason: StrEnum, seen: object = None, bound: object = None) -> None:
        """Record the rule by its reason, the offending value, and the allowed one where there is one."""
        super().__init__(reason, seen, bound)
        self.reason = reason
        self.seen = seen
        self.bound = bound

    def __str__(self) -> str:
        text = str(self.reason.value)
        if self.seen is not None:
            text += f": saw {self.seen}"
        if self.bound is not None:
            text += f", allowed {self.bound}"
        return text


def ensure(condition: bool, law: str) -> None:
    """Stop on a mistake of our own that would cost money or a fork. Unlike `assert` it stays when Python optimises.

    Raises:
        AssertionError: the law does not hold.
    """
    if not condition:
        raise AssertionError(law)


class MalformedReason(StrEnum):
    """Why bytes are not a canonical value of the expected type."""

    TOO_LARGE = "too_large"
    """More bytes than this type may have; refused before decoding."""
    NOT_DECODABLE = "not_decodable"
    """Not MessagePack, or not of the expected shape, type or range."""
    NOT_CANONICAL = "not_canonical"
    """Decodes, but is not the one encoding of its value."""


class Malformed(Rejected):
    """Bytes from outside that are not one canonical value of the expected type."""


class TransactionRejected(Rejected):
    """A transaction that may not enter a block, or a message that fails in execution."""


class BlockRejected(Rejected):
    """A block that breaks a rule of the chain: its proposer is faulty."""


class VoteReason(StrEnum):
    """Why a vote or certificate is refused."""

    UNKNOWN_VALIDATOR = "unknown_validator"
    """The index is outside the validator set of the epoch."""
    BAD_SIGNATURE = "bad_signature"
    """The signature does not verify under the validator's key."""
    WRONG_FIELDS = "wrong_fields"
    """Hash or result is present where the kind forbids it, or absent where it needs it."""
    WRONG_EPOCH = "wrong_epoch"
    """Made for another epoch than the set it is checked against."""
    BAD_BITMAP = "bad_bitmap"
    """The signer bitmap has another length than the set, or another count than the signatures."""
    NO_QUORUM = "no_quorum"
    """Signers hold two thirds of the power or less."""


class VoteRejected(Rejected):
    """A vote or certificate that proves nothing."""


class StorageFault(Exception):
    """The disk or the database failed or holds impossible data: the node must stop and let a restart decide by replay."""


class UpgradeNeeded(Exception):
    """The chain goes on with a protocol that this software does not speak: the operator must install a newer release."""
