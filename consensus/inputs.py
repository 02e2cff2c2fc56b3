"""Everything that can happen to the core."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct

from consensus.messages import ConsensusMessage
from consensus.timeouts import TimingParameters
from state.block import BlockReference, Header, Tip
from state.validators import ValidatorSet


class Now(NamedTuple):
    """The two clocks at the time of an input."""

    mono_ms: int
    """Monotonic, for durations."""
    wall_ms: int
    """Since 1970, for judging and stamping block times only."""


class TimerKind(IntEnum):
    """What a timer is for; one of each kind runs at a time."""

    VIEW = 1
    """The view takes too long."""
    PROPOSE = 2
    """A leader's clock had to pass its parent's time."""
    LAG = 3
    """A block is notarised, but not final after a whole timeout."""
    STATUS = 4
    """Time to say where we are."""


class Started(Struct, frozen=True):
    """First input: the node is up and effects will be performed."""


class MessageReceived(Struct, frozen=True):
    """A peer said something; decoded, but nothing in it is verified."""

    peer: str
    message: ConsensusMessage


class TimerFired(Struct, frozen=True):
    """A timer set for this view fired."""

    kind: TimerKind
    epoch: int
    view: int


class BlockAvailable(Struct, frozen=True):
    """All envelopes of a block are here: the answer to FetchBlock."""

    block_hash: bytes
    header: Header


class BlockChecked(Struct, frozen=True):
    """The answer to CheckBlock."""

    block_hash: bytes
    is_valid: bool


class BlockExecuted(Struct, frozen=True):
    """The answer to ExecuteBlock."""

    block: BlockReference
    next_validators: ValidatorSet


class BlockBuilt(Struct, frozen=True):
    """The answer to BuildBlock: what the next block shall contain."""

    epoch: int
    view: int
    parent_hash: bytes
    time_ms: int
    envelope_hashes: tuple[bytes, ...]


class WorkChanged(Struct, frozen=True):
    """Whether there is something to agree on, other than what the core sees itself."""

    is_pending: bool


class TipAdvanced(Struct, frozen=True):
    """Block sync made newer blocks final outside of the core."""

    tip: Tip


class TimingChanged(Struct, frozen=True):
    """Governance changed the parameters of the chain that concern time."""

    timing: TimingParameters


Input = (
    Started
    | MessageReceived
    | TimerFired
    | BlockAvailable
    | BlockChecked
    | BlockExecuted
    | BlockBuilt
    | WorkChanged
    | TipAdvanced
    | TimingChanged
)
