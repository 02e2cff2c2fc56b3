"""How votes decide: what the tallies of a proposal say, early and when its time is over. Pure arithmetic, exact at every bound.

Shares are counted without division: a share of basis points is reached if power times 10,000 is at least total times the share.
YES must be more than its share, all other shares need only be reached. VETO counts as NO, and enough of it ends every proposal.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from state.governance_messages import EndOrder, Payload, SetBrake, VoteChoice
from state.governance_records import Proposal
from state.params import BASIS_POINTS, GovernanceParams
from state.runtime.reasons import TransactionReason

_TALLY_NAMES: Final = {
    VoteChoice.YES: "power_yes",
    VoteChoice.NO: "power_no",
    VoteChoice.ABSTAIN: "power_abstain",
    VoteChoice.VETO: "power_veto",
}


class Decision(Struct, frozen=True):
    """What votes come to."""

    reason: TransactionReason | None
    """Why the proposal is rejected; None if it passes."""


_PASSES: Final = Decision(None)


def is_brake(payload: Payload) -> bool:
    """Tell whether a change is applied as soon as enough of all power says yes, without a timelock."""
    return isinstance(payload, SetBrake | EndOrder)


def recount(proposal: Proposal, power: int, before: VoteChoice | None, choice: VoteChoice) -> Proposal:
    """Return a proposal with a vote of this power added, which takes the place of the voter's vote before."""
    if before is not None:
        name = _TALLY_NAMES[before]
        proposal = replace(proposal, **{name: getattr(proposal, name) - power})
    name = _TALLY_NAMES[choice]
    return replace(proposal, **{name: getattr(proposal, name) + power})


def is_voted_down(proposal: Proposal, governance: GovernanceParams) -> bool:
    """Tell whether enough power vetoes a proposal."""
    return proposal.power_veto * BASIS_POINTS >= governance.veto_bp * proposal.power_total


def find_early_decision(proposal: Proposal, governance: GovernanceParams) -> Decision | None:
    """Return what the votes come to whatever the missing ones say, but for vetoes of what passes; None while that is open.

    What passes early needs its share of all power, so nobody who abstained could have turned it.
    """
    if is_voted_down(proposal, governance):
        return Decision(TransactionReason.VOTED_DOWN)
    rest = proposal.power_total - _power_cast(proposal)
    if not _has_majority(replace(proposal, power_yes=proposal.power_yes + rest), governance):
        return Decision(TransactionReason.MAJORITY_MISSED)
    if is_brake(proposal.payload):
        return _PASSES if _has_majority(proposal, governance) else None
    is_certain = proposal.power_yes * BASIS_POINTS > governance.pass_bp * proposal.power_total
    return _PASSES if is_certain and _has_quorum(proposal, governance) else None


def final_decision(proposal: Proposal, governance: GovernanceParams) -> Decision:
    """Return what the votes come to when the time for them is over."""
    if is_voted_down(proposal, governance):
        return Decision(TransactionReason.VOTED_DOWN)
    if not is_brake(proposal.payload) and not _has_quorum(proposal, governance):
        return Decision(TransactionReason.QUORUM_MISSED)
    return _PASSES if _has_majority(proposal, governance) else Decision(TransactionReason.MAJORITY_MISSED)


def _power_cast(proposal: Proposal) -> int:
    return proposal.power_yes + proposal.power_no + proposal.power_abstain + proposal.power_veto


def _has_quorum(proposal: Proposal, governance: GovernanceParams) -> bool:
    return _power_cast(proposal) * BASIS_POINTS >= governance.quorum_bp * proposal.power_total


def _has_majority(proposal: Proposal, governance: GovernanceParams) -> bool:
    """Tell whether enough power says yes: of all for a brake, otherwise of those who say yes or no."""
    if is_brake(proposal.payload):
        return proposal.power_yes * BASIS_POINTS >= governance.brake_bp * proposal.power_total
    decisive = proposal.power_yes + proposal.power_no + proposal.power_veto
    return proposal.power_yes * BASIS_POINTS > governance.pass_bp * decisive
