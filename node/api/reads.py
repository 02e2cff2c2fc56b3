"""Handlers that read the final chain: genesis, parameters, validators, blocks, transactions, accounts, proofs."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from node.api.context import Call
from node.api.describe import describe_address, describe_fields, describe_validator
from node.api.describe_chain import (
    describe_auth,
    describe_block,
    describe_block_summary,
    describe_validator_entry,
    quorum_power,
)
from node.api.errors import ApiReason, ErrorCode, RpcError
from node.api.lookups import StateAt, get_block, parse_account, parse_hex, state_at
from node.api.registry import AddressText, Height, HexBytes, HexHash, NoParams, Params
from node.api.views import (
    AccountView,
    BlockSummary,
    BlocksView,
    BlockView,
    DelegationView,
    PendingAuthView,
    RecordsView,
    StateProofView,
    UnbondingView,
    ValidatorsView,
    ValidatorView,
)
from state.block import hash_header
from state.codec import encode
from state.ledger import Ledger
from state.records import (
    ACCOUNTS,
    AUTHS,
    CHAIN_STATE,
    DELEGATIONS,
    HOLDINGS,
    NEW_ACCOUNT,
    NEW_HOLDINGS,
    ONLY,
    PENDING_AUTHS,
    ROSTER,
    UNBONDINGS,
    VALIDATORS,
    Holdings,
    number_key,
)
from state.runtime.staking.rewards import settle_delegation, settled_rewards
from state.validators import ValidatorSet

BLOCKS_MAX: Final = 100
STATE_KEY_CHARS_MAX: Final = 1_024
RECORDS_MAX: Final = 50
"""Records of one call: a millisecond, and at their largest a fifth of the longest answer."""

StateKey = Annotated[HexBytes, Meta(min_length=2, max_length=STATE_KEY_CHARS_MAX)]


class AtHeight(Params, frozen=True):
    """A read of the newest state, or of a height."""

    height: Height | None = None


class BlockParams(Params, frozen=True):
    """Which block; the newest without either."""

    height: Height | None = None
    hash: HexHash | None = None


class BlocksParams(Params, frozen=True):
    """A page of blocks, newest first."""

    limit: Annotated[int, Meta(ge=1, le=BLOCKS_MAX)] = 20
    cursor: Annotated[str, Meta(max_length=20)] | None = None


class AccountParams(Params, frozen=True):
    """Which account, when, and whether to prove it."""

    address: AddressText
    height: Height | None = None
    prove: bool = False


class StateProofParams(Params, frozen=True):
    """Which record of the state, and when."""

    key: StateKey
    height: Height | None = None


class RecordsParams(Params, frozen=True):
    """Which records of the newest state."""

    keys: Annotated[list[StateKey], Meta(min_length=1, max_length=RECORDS_MAX)]
    """Raw state keys: the prefix byte of a table and a record's id (docs/PROTOCOL.md)."""


def read_genesis(call: Call, _params: NoParams) -> msgspec.Raw:
    """Return the genesis of the chain, as its file says it."""
    return call.documents.genesis


def read_params(call: Call, _params: NoParams) -> dict[str, Any]:
    """Return the parameters in force: limits, delays and prices, which are integers here."""
    return describe_fields(call.node.chain.params())


def read_validators(call: Call, params: AtHeight) -> ValidatorsView:
    """Return the validators of the next block with their stake, or the set of a past block."""
    chain = call.node.chain
    if params.height is None:
        start, height = chain.epoch_start, chain.tip.block.height + 1
    else:
        height = params.height
        stored = chain.views.find_epoch(chain.views.header_at(height).header.epoch)
        assert stored is not None, "epochs are kept for ever"
        start = stored.start
    ledger = chain.ledger if params.height is None else None
    validators = ValidatorSet(start.validators)
    return ValidatorsView(
        height=height,
        epoch=start.epoch,
        set_hash=validators.set_hash.hex(),
        total_power=validators.total_power,
        quorum_power=quorum_power(validators.total_power),
        validators=[
            describe_validator_entry(
                index,
                member.address,
                member.public_key,
                member.power,
                None if ledger is None else ledger.find(VALIDATORS, member.address),
            )
            for index, member in enumerate(validators.members)
        ],
        outside=[] if ledger is None else _outside(ledger, validators),
    )


def _outside(ledger: Ledger, validators: ValidatorSet) -> list[ValidatorView]:
    """Return the validators that may be chosen and are not in the set."""
    roster = ledger.get(ROSTER, ONLY).addresses
    records = [
        (address, ledger.get(VALIDATORS, address)) for address in roster if validators.find_index(address) is None
    ]
    return [describe_validator_entry(None, address, record.consensus_key, 0, record) for address, record in records]


def read_block(call: Call, params: BlockParams) -> BlockView:
    """Return a final block by height or hash, the newest without either."""
    return describe_block(get_block(call.node.chain, params.height, params.hash))


def read_blocks(call: Call, params: BlocksParams) -> BlocksView:
    """Return final blocks, newest first, a page at a time."""
    views = call.node.chain.views
    status = views.status()
    highest = status.height
    if params.cursor is not None:
        if not (params.cursor.isascii() and params.cursor.isdecimal() and int(params.cursor) <= highest):
            raise RpcError(
                ErrorCode.INVALID_PARAMS, ApiReason.BAD_CURSOR, params.cursor, "a cursor that this node gave"
            )
        highest = int(params.cursor)
    lowest = max(status.first_block, highest - params.limit + 1)
    blocks: list[BlockSummary] = []
    for height in range(highest, lowest - 1, -1):
        header = views.header_at(height).header
        blocks.append(describe_block_summary(hash_header(header), header))
    return BlocksView(blocks=blocks, cursor=str(lowest - 1) if lowest > status.first_block else None)


def read_account(call: Call, params: AccountParams) -> AccountView:
    """Return balance, nonces, keys and stake of an account, now or after a recent height, with proof on request."""
    chain, address = call.node.chain, parse_account(params.address)
    state = state_at(chain, params.height)
    found = state.find(ACCOUNTS, address)
    account = found or NEW_ACCOUNT
    auth = state.find(AUTHS, address)
    pending_auth = state.find(PENDING_AUTHS, address)
    holdings = state.find(HOLDINGS, address) or NEW_HOLDINGS
    proof = call.proofs.prove_state(ACCOUNTS.raw_key(address), state.height).bundle if params.prove else None
    return AccountView(
        address=describe_address(address),
        height=state.height,
        exists=found is not None,
        balance=str(account.balance),
        highest_nonce=max(0, account.next_nonce - 1),
        next_nonce=account.next_nonce,
        unused_nonces=[list(unused) for unused in account.unused_nonces],
        auth=None if auth is None else describe_auth(auth),
        pending_auth=None
        if pending_auth is None
        else PendingAuthView(auth=describe_auth(pending_auth.auth), due_ms=pending_auth.due_ms),
        provider_bond=str(holdings.provider_bond),
        provider_locked=str(holdings.provider_locked),
        delegations=_delegations(state, address, holdings),
        unbondings=_unbondings(state, holdings),
        pending_transactions=len(call.node.mempool.pending_of(address)),
        proof=None if proof is None else msgspec.to_builtins(proof),
    )


def _delegations(state: StateAt, address: bytes, holdings: Holdings) -> list[DelegationView]:
    views: list[DelegationView] = []
    chain = state.find(CHAIN_STATE, ONLY)
    assert chain is not None, "a chain has its state from genesis"
    for validator_address in holdings.delegations:
        validator = state.find(VALIDATORS, validator_address)
        delegation = state.find(DELEGATIONS, validator_address + address)
        assert validator is not None, "a validator is never deleted"
        assert delegation is not None, "holdings name only delegations that exist"
        stake = validator.stake * delegation.shares // validator.shares if validator.shares else 0
        settled, _unowned = settled_rewards(chain.reward_per_power, validator)
        rewards = settle_delegation(settled, delegation).rewards
        views.append(
            DelegationView(validator=describe_validator(validator_address), stake=str(stake), rewards=str(rewards))
        )
    return views


def _unbondings(state: StateAt, holdings: Holdings) -> list[UnbondingView]:
    views: list[UnbondingView] = []
    for number in holdings.unbondings:
        entry = state.find(UNBONDINGS, number_key(number))
        assert entry is not None, "holdings name only entries that exist"
        amount = entry.amount
        if entry.is_slashable:
            validator = state.find(VALIDATORS, entry.validator)
            assert validator is not None, "a validator is never deleted"
            amount = validator.unbonding * amount // validator.unbonding_shares
        validator_text = describe_validator(entry.validator) if entry.validator else None
        views.append(UnbondingView(number=number, validator=validator_text, amount=str(amount), due_ms=entry.due_ms))
    return views


def read_state_proof(call: Call, params: StateProofParams) -> StateProofView:
    """Return the record under a raw state key, or its absence, after a recent height, with a proof bundle."""
    proved = call.proofs.prove_state(parse_hex(params.key), params.height)
    return StateProofView(
        height=proved.height,
        key=params.key,
        value=None if proved.encoded is None else proved.encoded.hex(),
        proof=msgspec.to_builtins(proved.bundle),
    )


def read_records(call: Call, params: RecordsParams) -> RecordsView:
    """Return records under raw state keys, all after the newest final block, without proof."""
    chain = call.node.chain
    found = [chain.ledger.find_raw(parse_hex(key)) for key in params.keys]
    values = [None if record is None else encode(record).hex() for record in found]
    return RecordsView(height=chain.tip.block.height, values=values)
