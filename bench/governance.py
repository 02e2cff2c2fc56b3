"""Blocks of governance to be measured: votes of every effect, and blocks in which as many proposals are due as may be under way.

A hundred validators may vote. One has so much power that its vote decides whatever the others say, so each of its votes in a block
decides one of the proposals, and a vote of another decides none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from msgspec.structs import fields, replace

from state.address import account_address
from state.crypto import SigningKey, tagged_hash
from state.genesis import GenesisAccount, GenesisValidator
from state.governance_messages import ChangeParams, Payload, SetBrake, SpendTreasury, Upgrade, VoteChoice
from state.governance_records import PROPOSALS_OF_ONE_MAX, PROPOSALS_VOTING_MAX, ProposalState
from state.transactions import Transaction
from state.trust_records import BRAKES_MAX, Brake, BrakeScope
from tests.support.chain_builders import make_genesis, with_params
from tests.support.governing import TEXT, TIMELOCK_MS, VOTING_MS, Assembly, propose, states_told, vote

VALIDATORS: Final = 100
DECIDER: Final = VALIDATORS - 1
"""The validator whose vote decides."""
KEYS: Final = tuple(SigningKey(tagged_hash(b"bench-validator", bytes((index,)))) for index in range(VALIDATORS))
ADDRESSES: Final = tuple(account_address(key.public_key) for key in KEYS)
STAKE: Final = 10**10
BALANCE: Final = 10**10
FEE: Final = 10_000_000
SLOT_MS: Final = 256
"""Dates fire at most so much later."""


def all_params(world: Assembly, number: int) -> Payload:
    """Return the largest change of parameters: all groups, of which one differs."""
    groups = {field.name: getattr(world.params, field.name) for field in fields(ChangeParams)}
    changed = replace(world.params.market, order_keep_ms=world.params.market.order_keep_ms + number)
    return ChangeParams(**groups | {"market": changed})


def payment(_world: Assembly, number: int) -> Payload:
    """Return a payment to somebody new."""
    return SpendTreasury(to=b"\0" + number.to_bytes(20, "big"), amount=1)


def upgrade(world: Assembly, number: int) -> Payload:
    """Return an upgrade that lies ahead."""
    return Upgrade(height=world.height + 1_000 + number, protocol=2, software="bocc 2", verifier_changed=True)


def brake(world: Assembly, number: int) -> Payload:
    """Return the brake of a machine; as many as may hold."""
    until_ms = world.time_ms + 3_600_000
    platform = b"\x01" + (number % BRAKES_MAX).to_bytes(16, "big")
    return SetBrake(brake=Brake(scope=BrakeScope.PLATFORM, subject=platform, until_ms=until_ms))


def text(_world: Assembly, _number: int) -> Payload:
    """Return a proposal that changes nothing."""
    return TEXT


KINDS: Final[tuple[tuple[str, Callable[[Assembly, int], Payload]], ...]] = (
    ("text", text),
    ("parameters", all_params),
    ("treasury", payment),
    ("upgrade", upgrade),
)


class Measured(NamedTuple):
    """A block to be measured: transactions of one kind, or none and the dates of proposals."""

    name: str
    world: Assembly
    transactions: Sequence[Transaction]
    interval_ms: int = 1_000
    """Since the block before."""


def blocks_of_votes() -> Iterator[Measured]:
    """Yield blocks of proposals and of votes; the world of each goes on when the next one is asked for."""
    for name, build in (*KINDS, ("brake", brake)):
        world = _make_world()
        proposals = _proposals(world, build)
        yield Measured(f"propose, {name}", world, proposals)
        _apply(world, proposals)
        if build is text:
            yield Measured("vote, decides nothing", world, _votes(world, 0, VoteChoice.YES))
            yield _deciding("vote, rejects", world, VoteChoice.VETO)
        yield _deciding(f"vote, {'sets' if build is brake else 'passes'} {name}", world, VoteChoice.YES)
        if build is text:
            _apply(world, _votes(world, DECIDER, VoteChoice.YES))
            yield _deciding("vote, vetoes what passed", world, VoteChoice.VETO)


def _deciding(name: str, world: Assembly, choice: VoteChoice) -> Measured:
    """Return a block in which each vote decides."""
    votes = _votes(world, DECIDER, choice)
    executed, _overlay = world.execute(votes, world.header(len(votes)))
    assert len(states_told(executed.events)) == len(votes), name
    return Measured(name, world, votes)


def blocks_of_dates() -> Iterator[Measured]:
    """Yield blocks without transactions in which all proposals are due; of changes of parameters only the first still fits."""
    count = PROPOSALS_VOTING_MAX
    for name, build in KINDS:
        world = _make_world()
        _apply(world, _proposals(world, build))
        if build is text:
            yield Measured(f"{count} votes are over", world, (), VOTING_MS + SLOT_MS)
        _apply(world, _votes(world, DECIDER, VoteChoice.YES))
        assert world.proposal(count).state is ProposalState.PASSED
        yield Measured(f"{count} timelocks are over, {name}", world, (), TIMELOCK_MS + SLOT_MS)


def _make_world() -> Assembly:
    """Return a chain of so many validators whose blocks have room for everything."""
    genesis = with_params(make_genesis(), "governance", proposal_deposit=0)
    genesis = with_params(genesis, "blocks", work_max=10**9, bytes_max=4 << 20)
    stakes = [STAKE] * DECIDER + [3 * VALIDATORS * STAKE]
    validators = [
        GenesisValidator(operator=address, consensus_key=key.public_key, stake=stake)
        for address, key, stake in zip(ADDRESSES, KEYS, stakes, strict=True)
    ]
    rich = [GenesisAccount(address=address, balance=BALANCE) for address in ADDRESSES]
    spent = sum(stakes) + len(rich) * BALANCE - sum(each.stake for each in genesis.validators)
    return Assembly(
        replace(
            genesis,
            treasury=genesis.treasury - spent,
            accounts=tuple(sorted((*genesis.accounts, *rich), key=lambda each: each.address)),
            validators=tuple(sorted(validators, key=lambda each: each.operator)),
        )
    )


def _proposals(world: Assembly, build: Callable[[Assembly, int], Payload]) -> list[Transaction]:
    """Return as many proposals as may be under way, by as many validators as it takes, each in a transaction of its own."""
    transactions = []
    for number in range(PROPOSALS_VOTING_MAX):
        proposer, count = divmod(number, PROPOSALS_OF_ONE_MAX)
        key = KEYS[proposer]
        nonce = world.account(ADDRESSES[proposer]).next_nonce + count
        transactions.append(world.sign(key, propose(build(world, number + 1), 0), nonce=nonce, fee=FEE))
    return transactions


def _votes(world: Assembly, index: int, choice: VoteChoice) -> list[Transaction]:
    """Return a validator's votes on all proposals."""
    key, first = KEYS[index], world.account(ADDRESSES[index]).next_nonce
    return [
        world.sign(key, vote(choice, number), nonce=first + number, fee=FEE)
        for number in range(1, PROPOSALS_VOTING_MAX + 1)
    ]


def _apply(world: Assembly, transactions: Sequence[Transaction]) -> None:
    reasons = {receipt.reason for receipt in world.apply(*transactions).receipts}
    assert reasons == {""}, reasons
