"""How long a view may take: adapted to the network, grown after failures, local, and only a matter of liveness (spec 4.6).

T(k) = I + min(T_max, clamp(4 * median + 50 ms, T_min, T_max) * 1.5^k), where the median is over the last 32 notarised views, and I
the least interval between blocks, for which every leader waits. Dead leaders cannot move it, and fewer than half slow ones cannot
move it much.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from msgspec import Struct

SAMPLES_MAX: Final = 32
SAMPLES_MIN: Final = 8
"""Until so many views were notarised the first value holds, so that one odd view does not set the timeout alone."""
GROWTH_EXPONENT_MAX: Final = 20
"""Consecutive failed views that still lengthen anything; 1.5^20 is more than 3,000."""
FAILED_VIEWS_MIN: Final = 8
"""Consecutive failed views, or as many as there are validators, above which leaders take their time."""
MARGIN_MS: Final = 50
SPACING_MAX_MS: Final = 60
"""Leaders wait at most so long for more transactions; well below the least timeout of a view."""


class TimingParameters(Struct, frozen=True):
    """The parameters of the chain that concern time, in milliseconds."""

    timeout_min_ms: int = 200
    timeout_first_ms: int = 1_000
    timeout_max_ms: int = 8_000
    precision_ms: int = 500
    message_delay_ms: int = 2_000
    min_block_interval_ms: int = 0
    status_interval_ms: int = 2_000


def grow(duration_ms: int, failed_views: int) -> int:
    """Return the duration times 1.5 for each consecutive failed view, rounded down once; the exponent is capped at 20."""
    exponent = min(failed_views, GROWTH_EXPONENT_MAX)
    return duration_ms * int(3**exponent) // (1 << exponent)


def spacing_ms(parent_transactions: int, parameters: TimingParameters) -> int:
    """Return how long after its parent a leader proposes: a millisecond for each transaction there, up to 60 ms.

    A block costs every validator some milliseconds beside its transactions, so under load fewer and larger ones carry more; an idle
    network waits for nobody.
    """
    return max(1, parameters.min_block_interval_ms, min(parent_transactions, SPACING_MAX_MS))


def pause_ms(failed_views: int, validator_count: int, parameters: TimingParameters) -> int:
    """Return how long a leader waits in its view before it proposes: nothing, but an eighth of a timeout after many failures.

    Validators that do not agree on results nullify each other's blocks as fast as the network carries them, and would do so for
    ever. Dead leaders alone never fail so many views in a row. The wait is made of the least timeout, so that it stays far below
    the timeout of any validator that saw the same views fail.
    """
    if failed_views <= max(FAILED_VIEWS_MIN, validator_count):
        return 0
    return min(parameters.timeout_max_ms, grow(parameters.timeout_min_ms, failed_views)) // 8


class ViewTimeout:
    """The adaptive timeout of one node."""

    def __init__(self, parameters: TimingParameters) -> None:
        """Start without samples: the first value holds until some views were notarised."""
        self._parameters = parameters
        self._samples_ms: deque[int] = deque(maxlen=SAMPLES_MAX)

    def adopt(self, parameters: TimingParameters) -> None:
        """Go on by other parameters, with the samples so far; a timer that runs keeps its time."""
        self._parameters = parameters

    def observe(self, duration_ms: int) -> None:
        """Take in how long a view took from its start, or from the first work in it, to its notarization."""
        self._samples_ms.append(max(0, duration_ms))

    def timeout_ms(self, failed_views: int) -> int:
        """Return T(k) for k consecutive failed views."""
        parameters = self._parameters
        base = parameters.timeout_first_ms
        if len(self._samples_ms) >= SAMPLES_MIN:
            median = sorted(self._samples_ms)[len(self._samples_ms) // 2]
            base = min(max(4 * median + MARGIN_MS, parameters.timeout_min_ms), parameters.timeout_max_ms)
        return parameters.min_block_interval_ms + min(parameters.timeout_max_ms, grow(base, failed_views))


def is_timely(
    time_ms: int, received_ms: int, parent_time_ms: int, failed_views: int, parameters: TimingParameters
) -> bool:
    """Tell whether a block's time fits the receiver's clock: proposer-based time, widened after failures.

    parent.time < time and received - delay * 1.5^k - precision <= time <= received + precision.

    Source: Tendermint's proposer-based timestamps; the growth answers bounds that were set too tight.
    """
    oldest_ms = received_ms - grow(parameters.message_delay_ms, failed_views) - parameters.precision_ms
    return parent_time_ms < time_ms and oldest_ms <= time_ms <= received_ms + parameters.precision_ms
