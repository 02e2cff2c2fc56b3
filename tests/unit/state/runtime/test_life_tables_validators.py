"""The state machine of validators, whole: every state with all that its operator, others, governance and epochs do.

Account 5 is looked at. It was a member of the set, and is one until the long interval between sets is over, whatever became of it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from state.governance_messages import ChangeValidator, ValidatorChange
from state.messages import Bond, BondAction, BondPurpose
from state.records import ONLY, ROSTER, VALIDATORS, ValidatorStatus
from state.runtime.life_tables import VALIDATOR_STEPS, ValidatorTrigger
from state.runtime.staking.bonding import blank_validator
from state.runtime.staking.roster import own_stake
from state.votes import VoteKind
from tests.support.chain_builders import (
    World,
    account,
    account_key,
    bond,
    delegate,
    make_genesis,
    make_report,
    make_vote,
    operator,
    register,
    validator_key,
    with_params,
)
from tests.support.governing import Assembly
from tests.support.step_tables import listed

CANDIDATE, ACTIVE, JAILED, UNBONDING, TOMBSTONED = ValidatorStatus
T = ValidatorTrigger
ME, MINE, MY_KEY = account(5), account_key(5), validator_key(9)
RIVAL, STRANGER = account_key(6), account_key(7)
INTERVAL_MS = 10_000_000
MINIMUM = 10_000 * 10**6
MISSED = 2
VALIDATOR = BondPurpose.VALIDATOR
UNJAIL = bond(BondAction.UNJAIL, VALIDATOR)
Status = ValidatorStatus | None


def world_for(places: int) -> Assembly:
    """Return four validators with so many places in the set, where two views missed of four are jail."""
    genesis = with_params(make_genesis(4), "staking", downtime_window=4, downtime_bp=5_000)
    return Assembly(with_params(genesis, "consensus", validator_update_interval_ms=INTERVAL_MS, validators_max=places))


def status(world: World) -> Status:
    record = world.ledger.find(VALIDATORS, ME)
    return None if record is None else record.status


def send(world: World, message: Bond) -> str:
    return world.apply(world.sign(MINE, message)).receipts[0].reason


def register_me(world: Assembly) -> str:
    return send(world, register(world.chain_id, ME, MY_KEY, 2 * MINIMUM))


def add_stake(world: Assembly) -> str:
    return send(world, bond(BondAction.ADD, VALIDATOR, MINIMUM))


def remove_stake(world: Assembly) -> str:
    """Leave less than the minimum; of less, take a little."""
    record = world.ledger.find(VALIDATORS, ME)
    own = 0 if record is None else own_stake(world.ledger, ME, record)
    return send(world, bond(BondAction.REMOVE, VALIDATOR, max(own - MINIMUM + 1, 1)))


def unjail(world: Assembly) -> str:
    """Wait for the end of the time in jail, and return."""
    world.apply(interval_ms=world.params.staking.jail_ms)
    return send(world, UNJAIL)


def report_me(world: Assembly) -> str:
    """Show two votes that no correct validator signs both."""
    epoch = world.epoch_start.epoch
    votes = (make_vote(world.chain_id, MY_KEY, VoteKind.NOTARIZE, epoch, 1, block) for block in (1, 2))
    return world.apply(world.sign(STRANGER, make_report(ME, *votes))).receipts[0].reason


def govern(world: Assembly, change: ValidatorChange) -> str:
    """Have validators decide, if it may be proposed; return why not."""
    message = ChangeValidator(validator=ME, change=change)
    reason = world.reason_of(message)
    if not reason:
        world.enact(message)
    return reason


def miss_views(world: Assembly) -> str:
    """Go on until this validator has missed two views; all others lead theirs."""
    count = MISSED
    while count:
        index = world.validators.leader_index(world.epoch_start.root.height, world.view + 1)
        is_mine = world.validators.members[index].address == ME
        world.apply(skipped_views=int(is_mine))
        count -= is_mine
    return ""


def next_set(world: Assembly) -> str:
    world.apply(interval_ms=INTERVAL_MS)
    world.apply()
    return ""


def register_rival(world: Assembly) -> str:
    """Let somebody with more stake come."""
    message = register(world.chain_id, account(6), validator_key(10), 3 * MINIMUM)
    return world.apply(world.sign(RIVAL, message)).receipts[0].reason


def outbid(world: Assembly) -> str:
    """Let the rival come to a roster that is full."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("state.runtime.staking.roster.ROSTER_MAX", len(world.ledger.get(ROSTER, ONLY).addresses))
        return register_rival(world)


def next_set_with_rival(world: Assembly) -> str:
    assert register_rival(world) == ""
    return next_set(world)


EVENTS: dict[ValidatorTrigger, Callable[[Assembly], str]] = {
    T.REGISTER: register_me,
    T.STAKE_ADDED: add_stake,
    T.STAKE_REMOVED: remove_stake,
    T.UNJAIL: unjail,
    T.OUTBID: outbid,
    T.REPORT: report_me,
    T.MISSED_VIEWS: miss_views,
    T.GOVERNANCE_JAIL: lambda world: govern(world, ValidatorChange.JAIL),
    T.GOVERNANCE_REMOVE: lambda world: govern(world, ValidatorChange.REMOVE),
    T.CHOSEN: next_set,
    T.NOT_CHOSEN: next_set_with_rival,
}
PATHS: dict[Status, tuple[ValidatorTrigger, ...]] = {
    None: (),
    CANDIDATE: (T.REGISTER, T.CHOSEN, T.GOVERNANCE_JAIL, T.UNJAIL),
    ACTIVE: (T.REGISTER, T.CHOSEN),
    JAILED: (T.REGISTER, T.CHOSEN, T.GOVERNANCE_JAIL),
    UNBONDING: (T.REGISTER, T.CHOSEN, T.STAKE_REMOVED),
    TOMBSTONED: (T.REGISTER, T.CHOSEN, T.REPORT),
}


def brought_to(state: Status, places: int = 5) -> Assembly:
    """Return a world whose account 5 is in this state, as a member of the set if there are places enough."""
    world = world_for(places)
    for trigger in PATHS[state]:
        assert EVENTS[trigger](world) == ""
    assert status(world) is state
    return world


LEADS_TO: dict[tuple[Status, ValidatorTrigger], ValidatorStatus] = {
    # It is born without a part in the set; the stake of the same bond then makes it a candidate.
    (None, T.REGISTER): CANDIDATE,
    (CANDIDATE, T.STAKE_REMOVED): UNBONDING,
    (CANDIDATE, T.OUTBID): UNBONDING,
    (CANDIDATE, T.REPORT): TOMBSTONED,
    (CANDIDATE, T.MISSED_VIEWS): JAILED,
    (CANDIDATE, T.GOVERNANCE_JAIL): JAILED,
    (CANDIDATE, T.GOVERNANCE_REMOVE): UNBONDING,
    (CANDIDATE, T.CHOSEN): ACTIVE,
    (ACTIVE, T.STAKE_REMOVED): UNBONDING,
    (ACTIVE, T.REPORT): TOMBSTONED,
    (ACTIVE, T.MISSED_VIEWS): JAILED,
    (ACTIVE, T.GOVERNANCE_JAIL): JAILED,
    (ACTIVE, T.GOVERNANCE_REMOVE): UNBONDING,
    (ACTIVE, T.NOT_CHOSEN): CANDIDATE,
    (JAILED, T.STAKE_REMOVED): UNBONDING,
    (JAILED, T.UNJAIL): CANDIDATE,
    (JAILED, T.OUTBID): UNBONDING,
    (JAILED, T.REPORT): TOMBSTONED,
    (JAILED, T.GOVERNANCE_JAIL): JAILED,
    (JAILED, T.GOVERNANCE_REMOVE): UNBONDING,
    (UNBONDING, T.STAKE_ADDED): CANDIDATE,
    (UNBONDING, T.REPORT): TOMBSTONED,
    (UNBONDING, T.GOVERNANCE_JAIL): UNBONDING,
    (UNBONDING, T.GOVERNANCE_REMOVE): UNBONDING,
}
NOT_ITS_OWN = (T.CHOSEN, T.NOT_CHOSEN, T.MISSED_VIEWS)
"""What nobody sends, and so is never refused."""
NOTHING_TO_MOVE = {
    (CANDIDATE, T.STAKE_ADDED),
    (ACTIVE, T.STAKE_ADDED),
    (JAILED, T.STAKE_ADDED),
    (UNBONDING, T.STAKE_REMOVED),
    (TOMBSTONED, T.STAKE_REMOVED),
}
"""Money moves, and the standing does not."""
REFUSALS: dict[ValidatorTrigger, dict[Status, str]] = {
    T.REGISTER: dict.fromkeys(ValidatorStatus, "key_is_fixed"),
    T.STAKE_ADDED: {None: "unexpected_field", TOMBSTONED: "tombstoned"},
    T.STAKE_REMOVED: {None: "no_validator"},
    T.UNJAIL: {None: "no_validator", **dict.fromkeys((CANDIDATE, ACTIVE, UNBONDING, TOMBSTONED), "not_jailed")},
    T.OUTBID: dict.fromkeys((None, ACTIVE, UNBONDING, TOMBSTONED), "roster_full"),
    T.REPORT: {None: "no_validator", TOMBSTONED: "tombstoned"},
    T.GOVERNANCE_JAIL: {None: "no_validator", TOMBSTONED: "tombstoned"},
    T.GOVERNANCE_REMOVE: {None: "no_validator", TOMBSTONED: "tombstoned"},
}


# Who is no validator leads no view.
TRIED = [(state, trigger) for state, trigger in product(PATHS, EVENTS) if (state, trigger) != (None, T.MISSED_VIEWS)]


@pytest.mark.parametrize(("state", "trigger"), TRIED)
def test_everything_in_every_state_does_what_the_table_says_or_nothing(
    state: Status, trigger: ValidatorTrigger
) -> None:
    is_outside = trigger is T.OUTBID and state is not ACTIVE
    world = brought_to(state, places=4 if is_outside else 5)
    reason = EVENTS[trigger](world)
    expected = LEADS_TO.get((state, trigger))
    if expected is not None:
        assert (reason, status(world)) == ("", expected)
        return
    is_quiet = trigger in NOT_ITS_OWN or (state, trigger) in NOTHING_TO_MOVE
    assert reason == ("" if is_quiet else REFUSALS[trigger][state])
    assert status(world) is state


def test_who_leaves_while_in_jail_comes_back_to_jail() -> None:
    world = brought_to(JAILED)
    assert remove_stake(world) == ""
    assert status(world) is UNBONDING
    assert add_stake(world) == ""
    assert status(world) is JAILED


OF_OTHERS: dict[str, tuple[Bond, dict[Status, str]]] = {
    "delegate": (delegate(ME, MINIMUM), {None: "no_validator", TOMBSTONED: "tombstoned"}),
    "return": (UNJAIL, dict.fromkeys(PATHS, "no_validator")),
    "leave": (bond(BondAction.REMOVE, VALIDATOR, 1), dict.fromkeys(PATHS, "no_validator")),
}


@pytest.mark.parametrize("name", OF_OTHERS)
@pytest.mark.parametrize("state", PATHS)
def test_stake_and_messages_of_others_move_no_validator(state: Status, name: str) -> None:
    world = brought_to(state)
    message, reasons = OF_OTHERS[name]
    (receipt,) = world.apply(world.sign(STRANGER, message)).receipts
    assert receipt.reason == reasons.get(state, "")
    assert status(world) is state


def test_the_table_lists_what_is_tried_here_and_nothing_else() -> None:
    steps = {(*tried, after) for tried, after in LEADS_TO.items()} - {(None, T.REGISTER, CANDIDATE)}
    born = {(None, T.REGISTER, blank_validator(MY_KEY.public_key).status), (None, T.GENESIS, ACTIVE)}
    assert listed(VALIDATOR_STEPS) == steps | born | {(UNBONDING, T.STAKE_ADDED, JAILED)}
    assert VALIDATOR_STEPS.keys() == {None, *ValidatorStatus}


def test_validators_of_the_genesis_are_active() -> None:
    world = World(make_genesis(4))
    assert {world.ledger.get(VALIDATORS, operator(index)).status for index in range(4)} == {ACTIVE}
