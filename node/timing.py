"""The chain's parameters as consensus knows them."""

from __future__ import annotations

from consensus.timeouts import TimingParameters
from state.params import ConsensusParams


def timing_of(params: ConsensusParams) -> TimingParameters:
    """Return the parameters of the chain that concern time."""
    return TimingParameters(
        timeout_min_ms=params.timer_min_ms,
        timeout_first_ms=params.timer_first_ms,
        timeout_max_ms=params.timer_max_ms,
        precision_ms=params.precision_ms,
        message_delay_ms=params.message_delay_ms,
        min_block_interval_ms=params.min_block_interval_ms,
    )
