"""Microseconds of each kind of message beside the work that it is charged: the fee table against the machine.

`python -m bench.bench_runtime` executes blocks of one kind of transaction each and prints, per transaction, medians over rounds:
execution on an overlay, the validity check before it, and the changes and totals at the end of the block. Parsing and signatures of
envelopes are excluded; signatures inside messages (proofs, votes) are not. What a deadline costs when it fires is excluded, but for
the dates of proposals, which have rows of their own. Tree and disk cost per record: see bench_tree.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from msgspec.structs import replace

from bench.governance import blocks_of_dates, blocks_of_votes
from state.address import account_address
from state.crypto import SigningKey, verify
from state.genesis import Genesis, GenesisAccount
from state.governance_records import PROPOSALS_OF_OTHERS_MAX
from state.ledger import Overlay
from state.lists import ListKind, list_name, member_at
from state.messages import AuthKey, BondAction, BondPurpose, Message, SetAuth
from state.offers import PAYEES_MAX, PLANS_MAX, Payee, Plan, ResourceKind
from state.policies import LevelAtLeast, SubjectKind
from state.receipts import ReceiptStatus
from state.resource_messages import Assign
from state.resource_records import ReleaseStatus
from state.runtime.execute import BlockExecution, check_admission, check_block
from state.runtime.explain import explain
from state.runtime.prices import price_table
from state.transactions import Transaction
from state.trust_messages import Endorse, Supersede
from state.votes import VoteKind
from tests.support.amending import amend, assign, release_change
from tests.support.attesting import publish
from tests.support.chain_builders import (
    BLOCK_INTERVAL_MS,
    World,
    bond,
    delegate,
    make_genesis,
    make_report,
    make_vote,
    operator,
    register,
    transfer,
    undelegate,
    validator_key,
    with_params,
)
from tests.support.governing import propose
from tests.support.ordering import DATA_PLAN

SENDERS = 1_000
ROUNDS = 7
KEYS = [SigningKey(index.to_bytes(32, "big")) for index in range(1, SENDERS + 1)]
ADDRESSES = [account_address(key.public_key) for key in KEYS]
Build = Callable[[World, int], Message]


def make_world() -> World:
    """Return a world with many rich accounts that can do anything in one block."""
    genesis: Genesis = with_params(make_genesis(4), "blocks", work_max=10**9, bytes_max=4 << 20)
    genesis = with_params(genesis, "staking", own_stake_min=10**6)
    rich = [GenesisAccount(address=address, balance=10**10) for address in ADDRESSES]
    accounts = sorted((*genesis.accounts, *rich), key=lambda account: account.address)
    return World(replace(genesis, accounts=tuple(accounts), treasury=0))


def own_key_explicit(_world: World, index: int) -> Message:
    """Return a strengthening change of keys."""
    key = AuthKey(public_key=KEYS[index].public_key, weight=1, scopes=31)
    return SetAuth(account=ADDRESSES[index], keys=(key,), threshold=1, guardians=(), guardian_quorum=0)


def other_key(_world: World, index: int) -> Message:
    """Return a change of keys that waits on the wheel."""
    key = AuthKey(public_key=KEYS[index - 1].public_key, weight=1, scopes=31)
    return SetAuth(account=ADDRESSES[index], keys=(key,), threshold=1, guardians=(), guardian_quorum=0)


def new_validator(world: World, index: int) -> Message:
    """Return the first bond of a validator."""
    return register(world.chain_id, ADDRESSES[index], KEYS[index], 10**6)


def conviction(world: World, index: int) -> Message:
    """Return a report against one of the four validators."""
    votes = [make_vote(world.chain_id, validator_key(index), VoteKind.NOTARIZE, 0, 1, block) for block in (1, 2)]
    return make_report(operator(index), *votes)


def claim(_world: World, index: int) -> Message:
    """Return a claim of a delegation's rewards."""
    return bond(BondAction.CLAIM, BondPurpose.DELEGATE, 0, operator(index % 4))


def own_resource(world: World, index: int) -> bytes:
    """Return the only resource of a sender."""
    return member_at(world.ledger, list_name(ListKind.OWNER, ADDRESSES[index]), 0)


def next_release(world: World, index: int) -> Message:
    """Return a release of a resource that has one."""
    return publish(ResourceKind.SOFTWARE, resource=own_resource(world, index))


def superseding_release(world: World, index: int) -> Message:
    """Return a release that takes the place of the one before after an hour."""
    message = publish(ResourceKind.SOFTWARE, resource=own_resource(world, index))
    return replace(message, supersedes=Supersede.LISTED, superseded=(0,), notice_ms=3_600_000)


def endorsement(world: World, index: int) -> Message:
    """Return an endorsement with a deadline of its own."""
    return Endorse(
        subject_kind=SubjectKind.PLATFORM,
        subject=b"\x01" + index.to_bytes(16, "big"),
        claim="data-centre",
        statement_hash=bytes(32),
        until_ms=world.time_ms + 86_400_000 + index * 1_000,
    )


def resource(_world: World, _index: int) -> Message:
    """Return a resource with its first release."""
    return publish(ResourceKind.SOFTWARE)


def resource_with_plans(_world: World, _index: int) -> Message:
    """Return a resource with as many plans as may be open."""
    return publish(ResourceKind.DATA, plans=plans(0))


def plans(first: int) -> tuple[Plan, ...]:
    """Return as many plans as one message may have."""
    return tuple(replace(DATA_PLAN, number=number) for number in range(first, first + PLANS_MAX))


def other_terms(world: World, index: int) -> Message:
    """Return an amendment of all terms at once, which freezes."""
    payees = tuple(Payee(account=bytes(20) + bytes((number,)), share_bp=625) for number in range(PAYEES_MAX))
    policy = (LevelAtLeast(level=4),)
    return amend(own_resource(world, index), policy=policy, payees=payees, bumps_grant_epoch=True, freezes=True)


def other_plans(world: World, index: int) -> Message:
    """Return an amendment that closes all plans and opens as many."""
    return amend(own_resource(world, index), plans_closed=tuple(range(PLANS_MAX)), plans_added=plans(PLANS_MAX))


def revocation(world: World, index: int) -> Message:
    """Return an amendment that revokes a release."""
    return amend(own_resource(world, index), releases=(release_change(0, ReleaseStatus.REVOKED),))


def to_the_next(world: World, index: int) -> Message:
    """Return an assignment to the next sender."""
    return assign(own_resource(world, index), ADDRESSES[index + 1])


CASES: list[tuple[str, Build | None, Build, int]] = [
    ("transfer, known receiver", None, lambda _world, index: transfer(ADDRESSES[index - 1], 5), SENDERS),
    ("transfer, new receiver", None, lambda _world, index: transfer(b"\0" + index.to_bytes(20, "big"), 5), SENDERS),
    ("transfer that fails", None, lambda _world, index: transfer(ADDRESSES[index - 1], 10**12), SENDERS),
    ("set_auth, at once", None, own_key_explicit, SENDERS),
    ("set_auth, with delay", None, other_key, SENDERS),
    ("bond, delegate", None, lambda _world, index: delegate(operator(index % 4), 5), SENDERS),
    (
        "bond, unbond",
        lambda _world, index: delegate(operator(index % 4), 5),
        lambda _world, index: undelegate(operator(index % 4), 5),
        SENDERS,
    ),
    ("bond, claim", lambda _world, index: delegate(operator(index % 4), 5), claim, SENDERS),
    ("bond, new validator", None, new_validator, 400),
    ("report", None, conviction, 4),
    ("publish, new resource", None, resource, 100),
    ("publish, next release", resource, next_release, 100),
    ("publish, superseding one", resource, superseding_release, 100),
    ("publish, 16 plans", None, resource_with_plans, 100),
    ("amend, all terms", resource, other_terms, 100),
    ("amend, 16 plans for 16", resource_with_plans, other_plans, 100),
    ("amend, revoke a release", resource, revocation, 100),
    ("assign", resource, to_the_next, 100),
    ("endorse", None, endorsement, SENDERS),
    ("propose", None, lambda _world, _index: propose(), PROPOSALS_OF_OTHERS_MAX),
]


def signed(world: World, build: Build, count: int) -> list[Transaction]:
    """Return one transaction of each of the first senders; the next one signs what it gets."""
    transactions = []
    for index in range(count):
        message = build(world, index)
        keys = KEYS[index : index + 2] if type(message) is Assign else KEYS[index : index + 1]
        transactions.append(world.sign(keys, message, sender=ADDRESSES[index], fee=10_000_000))
    return transactions


def measure(
    world: World, transactions: Sequence[Transaction], interval_ms: int = BLOCK_INTERVAL_MS
) -> tuple[float, float, float]:
    """Return medians of check, execution, and end of block with changes, in microseconds per transaction, or of an empty block."""
    checks, runs, ends = [], [], []
    header = world.header(len(transactions), interval_ms)
    for _ in range(ROUNDS):
        started = time.perf_counter()
        check_block(world.ledger, header, world.time_ms, transactions)
        checked = time.perf_counter()
        overlay = Overlay(world.ledger)
        execution = BlockExecution(overlay, header, world.epoch_start, world.validators)
        began = time.perf_counter()
        for transaction in transactions:
            execution.apply(transaction)
        ran = time.perf_counter()
        execution.finish()
        overlay.changes()
        ends.append(time.perf_counter() - ran)
        checks.append(checked - started)
        runs.append(ran - began)
    scale = 1e6 / (len(transactions) or 1)
    return median(checks) * scale, median(runs) * scale, median(ends) * scale


def show(row: Iterable[object]) -> None:
    """Print one row of the table."""
    name, *figures = row
    print(f"{name:34}", *(f"{figure:>9.2f}" if isinstance(figure, float) else f"{figure:>9}" for figure in figures))


def measure_messages() -> None:
    """Print the table of messages."""
    show(("message", "check", "execute", "end", "charged"))
    for name, prepare, build, count in CASES:
        world = make_world()
        if prepare is not None:
            world.apply(*signed(world, prepare, count))
        transactions = signed(world, build, count)
        show_messages(name, world, transactions)
    for block in blocks_of_votes():
        show_messages(block.name, block.world, block.transactions)


def show_messages(name: str, world: World, transactions: Sequence[Transaction]) -> None:
    """Print what a message of a block of one kind costs, and is charged."""
    executed, _overlay = world.execute(transactions, world.header(len(transactions)))
    outcomes = {receipt.status for receipt in executed.receipts}
    assert outcomes == {ReceiptStatus.FAILED if name.endswith("fails") else ReceiptStatus.OK}, name
    signatures = len(transactions[0].signatures) * world.params.fees.signature_work
    work = price_table(world.params).work(transactions[0]) - signatures
    show((name, *measure(world, transactions), work))


def measure_dates() -> None:
    """Print what the end of a block takes in which all proposals are due."""
    print()
    show(("end of a block", "ms"))
    for block in blocks_of_dates():
        _check, _execute, end = measure(block.world, block.transactions, block.interval_ms)
        show((block.name, end / 1_000))


def measure_rest() -> None:
    """Print what is not a message: signatures, admission, dry run, an empty block."""
    world = make_world()
    transaction = world.sign(KEYS[0], transfer(ADDRESSES[1], 5))
    pair = transaction.signatures[0]
    cases: list[tuple[str, Callable[[], object]]] = [
        ("one signature", lambda: verify(pair.public_key, pair.signature, transaction.signed_bytes)),
        ("admission", lambda: check_admission(world.ledger, transaction, world.time_ms, 0)),
        ("explain", lambda: explain(world.ledger, transaction, world.time_ms)),
        ("empty block", lambda: world.execute([], world.header(0))),
    ]
    print()
    show(("microseconds each", "median"))
    for name, call in cases:
        times = []
        for _ in range(300):
            started = time.perf_counter()
            call()
            times.append((time.perf_counter() - started) * 1e6)
        show((name, median(times)))


def main() -> None:
    """Print all figures."""
    measure_messages()
    measure_dates()
    measure_rest()


if __name__ == "__main__":
    main()
