"""Random histories of a chain without consensus: every kind of message, by accounts and operators, at all sorts of amounts."""

from __future__ import annotations

from hashlib import sha256
from random import Random

from state.address import account_address
from state.codec import INTEGER_MAX
from state.crypto import SigningKey
from state.messages import AuthKey, BondAction, BondPurpose, Message, SetAuth
from state.records import ACCOUNTS, HOLDINGS, NEW_HOLDINGS
from state.runtime.nonces import find_nonce_problem
from state.transactions import Transaction
from state.votes import VoteKind
from tests.support.chain_builders import (
    FEE,
    World,
    account,
    account_key,
    bond,
    delegate,
    make_genesis,
    make_report,
    make_vote,
    operator,
    operator_key,
    register,
    transfer,
    undelegate,
    validator_key,
    with_params,
)

VALIDATORS = 5
ACCOUNTS_USED = 6
INTERVALS_MS = (1, 250, 1_000, 29_999, 60_000, 300_000)


def make_world() -> World:
    """Return a world in which jail, unbonding and changes of the set come soon."""
    genesis = with_params(make_genesis(VALIDATORS), "staking", downtime_window=30, downtime_bp=5_000, slash_bp=777)
    return World(with_params(genesis, "consensus", validators_max=6))


def pick_amount(world: World, random: Random, address: bytes) -> int:
    """Return an amount: an edge of the integers, an edge of the balance, or anything."""
    spendable = max(world.balance(address) - FEE, 0)
    if random.randrange(8) == 0:
        return random.choice((0, 1, spendable, spendable + 1, INTEGER_MAX - 1, INTEGER_MAX))
    return random.randrange(1, 10 ** random.randrange(1, 11))


def pick_validator(world: World, random: Random, owner: bytes) -> bytes:
    """Return a validator, rather one that the owner delegates to, or an account that may not be one."""
    held = (world.ledger.find(HOLDINGS, owner) or NEW_HOLDINGS).delegations
    if held and random.randrange(2):
        return random.choice(held)
    return random.choice([operator(index) for index in range(VALIDATORS)] + [account(0), account(1)])


def random_message(world: World, random: Random, signer: SigningKey) -> Message:
    """Return a message of any kind that the signer might send."""
    sender = account_address(signer.public_key)
    amount = pick_amount(world, random, sender)
    validator = pick_validator(world, random, sender)
    match random.randrange(36) // 2:
        case 0 | 1 | 2:
            to = account if random.randrange(2) else operator
            return transfer(to(random.randrange(ACCOUNTS_USED)), amount)
        case 3 | 4 | 5:
            return delegate(validator, amount)
        case 6 | 7 | 8:
            return undelegate(validator, random.choice((amount, 1, 1_000)))
        case 9 | 10:
            return bond(BondAction.CLAIM, BondPurpose.DELEGATE, 0, validator)
        case 11 | 12:
            purpose, action = random.choice(list(BondPurpose)), random.choice(list(BondAction))
            return bond(action, purpose, amount, validator if purpose is BondPurpose.DELEGATE else b"")
        case 13:
            return register(world.chain_id, sender, validator_key(8 + random.randrange(3)), 10**10 + amount % 10**9)
        case 14:
            keys = (AuthKey(public_key=signer.public_key, weight=1 + amount % 3, scopes=31),)
            return SetAuth(account=sender, keys=keys, threshold=1, guardians=(), guardian_quorum=0)
        case 15 | 16:
            action = random.choice((BondAction.ADD, BondAction.UNJAIL))
            return bond(action, BondPurpose.VALIDATOR, amount if action is BondAction.ADD else 0)
        case _:
            if random.randrange(4):
                return transfer(account(0), amount)
            index, epoch = random.randrange(VALIDATORS), max(world.epoch_start.epoch - random.randrange(2), 0)
            kind = random.choice((VoteKind.NOTARIZE, VoteKind.FINALIZE))
            votes = [
                make_vote(world.chain_id, validator_key(index), kind, epoch, 1, random.randrange(40)) for _ in "ab"
            ]
            return make_report(operator(index), *votes)


def random_transaction(world: World, random: Random, signer: SigningKey) -> Transaction | None:
    """Return a transaction of one to three messages, or None if the nonce that was picked cannot be used."""
    sender = account_address(signer.public_key)
    record = world.account(sender)
    nonce = random.choice((record.next_nonce, record.next_nonce + random.randrange(5), random.randrange(20)))
    if find_nonce_problem(record, nonce) is not None:
        return None
    messages = [random_message(world, random, signer) for _ in range(random.choice((1, 1, 1, 2, 3)))]
    fee = random.choice((FEE, FEE + 1, 10**7) * 10 + (10**13,))
    claimed = random.choice((sender,) * 9 + (account(0),))
    if claimed != sender and find_nonce_problem(world.account(claimed), nonce) is not None:
        return None
    return world.sign(signer, *messages, sender=claimed, nonce=nonce, fee=fee)


def random_block(world: World, random: Random) -> list[Transaction]:
    """Return the transactions of a valid block, at most one for each sender."""
    signers = [account_key(index) for index in range(ACCOUNTS_USED)]
    signers += [operator_key(index) for index in range(VALIDATORS)]
    random.shuffle(signers)
    chosen: dict[bytes, Transaction] = {}
    for signer in signers[: random.randrange(7)]:
        transaction = random_transaction(world, random, signer)
        if transaction is not None:
            chosen.setdefault(transaction.body.sender, transaction)
    return list(chosen.values())


def advance(world: World, random: Random) -> None:
    """Apply a random block after a random time and a random number of skipped views."""
    skipped_views = random.choice((0, 0, 0, 1, 2, 7))
    world.apply(*random_block(world, random), interval_ms=random.choice(INTERVALS_MS), skipped_views=skipped_views)


def digest_of_history(seed: int, blocks: int) -> str:
    """Return a digest over the state after every block of a history."""
    world, random, digest = make_world(), Random(seed), sha256()
    for _ in range(blocks):
        advance(world, random)
        for raw_key, value in sorted(world.state.items()):
            digest.update(raw_key + value)
    assert world.ledger.find(ACCOUNTS, account(0)) is not None
    return digest.hexdigest()
