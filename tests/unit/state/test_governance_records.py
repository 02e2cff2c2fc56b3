"""Records of governance: every table holds its largest record, and no number of a proposal is the beginning of another's votes."""

from __future__ import annotations

import pytest

from state.codec import INTEGER_MAX, encode
from state.governance_messages import ListPlatform, SetRules, VoteChoice
from state.governance_records import (
    ELECTORATES,
    GOVERNANCE_BOOKS,
    NO_PROPOSALS,
    OWN_PROPOSALS,
    PROPOSALS,
    PROPOSALS_OF_ONE_MAX,
    UPGRADES,
    VOTES,
    DueUpgrade,
    Electorate,
    GovernanceBooks,
    OwnProposals,
    Proposal,
    ProposalState,
    VoteRecord,
    VotingPower,
    vote_key,
)
from state.ledger import Table
from state.runtime.governance.proposals import PAYLOAD_BYTES_MAX
from state.runtime.reasons import TransactionReason
from state.trust_records import APPRAISAL_RULES
from state.validators import POWER_MAX, VALIDATORS_MAX

MAX = INTEGER_MAX
ADDRESS = b"\x00" + b"\xff" * 20
LONGEST_REASON = max(TransactionReason, key=len).value
PROPOSAL = Proposal(
    proposer=ADDRESS,
    title="\N{GRINNING FACE}" * 64,
    payload=ListPlatform(platform=b"\x01\x01", verdict=None),
    basis=bytes(32),
    deposit=MAX,
    state=ProposalState.REJECTED,
    reason=LONGEST_REASON,
    created_ms=MAX,
    created_height=MAX,
    vote_until_ms=MAX,
    execute_at_ms=MAX,
    decided_ms=MAX,
    power_total=MAX,
    power_yes=MAX,
    power_no=MAX,
    power_abstain=MAX,
    power_veto=MAX,
)
MEMBER = VotingPower(validator=ADDRESS, power=POWER_MAX)
UPGRADE = DueUpgrade(
    height=MAX, protocol=1 << 31, software="\N{GRINNING FACE}" * 64, verifier_changed=True, is_done=True
)


@pytest.mark.parametrize(
    ("table", "record"),
    [
        (PROPOSALS, PROPOSAL),
        (ELECTORATES, Electorate(members=(MEMBER,) * VALIDATORS_MAX)),
        (VOTES, VoteRecord(choice=VoteChoice.VETO, power=POWER_MAX, time_ms=MAX)),
        (GOVERNANCE_BOOKS, GovernanceBooks(next_proposal=MAX, voting_count=64, protocol=1 << 31)),
        (GOVERNANCE_BOOKS, NO_PROPOSALS),
        (UPGRADES, UPGRADE),
        (OWN_PROPOSALS, OwnProposals(count=PROPOSALS_OF_ONE_MAX)),
    ],
    ids=["proposal", "electorate", "vote", "books", "first books", "upgrade", "own"],
)
def test_every_table_holds_its_largest_record(table: Table, record: object) -> None:
    assert table.codec.decode(table.codec.encode(record)) == record


def test_the_largest_payload_fits_its_proposal_and_what_it_becomes() -> None:
    beside_payload = len(encode(PROPOSAL)) - len(encode(PROPOSAL.payload))
    assert beside_payload + PAYLOAD_BYTES_MAX <= PROPOSALS.codec.bytes_max
    assert APPRAISAL_RULES.codec.bytes_max >= PAYLOAD_BYTES_MAX
    assert SetRules.__struct_fields__ == ("rules",)


def test_votes_of_all_proposals_have_keys_of_their_own() -> None:
    keys = {vote_key(number, bytes([validator]) * 21) for number in (0, 1, 256, MAX) for validator in (0, 1)}
    assert (len(keys), {len(key) for key in keys}) == (8, {29})
