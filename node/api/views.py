"""The JSON of what the chain holds. Field names are the interface: added to, never renamed.

Heights, indices, milliseconds, powers and nonces are integers; money is decimal strings of ubocc; bytes are lower-case hex;
addresses bech32m. What may be absent is null, never left out.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from node.api.registry import AddressText, AmountText, Height, HexBytes, HexHash

JsonObject = dict[str, Any]  # named by the record's own fields; docs list them


class View(Struct, frozen=True, kw_only=True):
    """Base of results."""


class ValidatorView(View, frozen=True):
    """A validator, in the set or outside."""

    index: int | None
    """Its place in the set, by which certificates name it; null outside."""
    address: AddressText
    """boccval1..., its operator's address under the validators' prefix."""
    operator: AddressText
    public_key: HexHash
    power: Height
    status: str | None
    """candidate, active, jailed, unbonding or tombstoned in the newest state; null for a set of the past."""
    stake: AmountText | None
    """Own and delegated, in the newest state."""
    jailed_until_ms: Height | None


class ValidatorsView(View, frozen=True):
    """The validator set of an epoch."""

    height: Height
    """Of the block that was asked for, or of the next one."""
    epoch: Height
    set_hash: HexHash
    total_power: Height
    quorum_power: Height
    """The least power that is more than two thirds."""
    validators: list[ValidatorView]
    outside: list[ValidatorView]
    """Candidates and jailed ones that are not in the set; empty for a set of the past."""


class HeaderView(View, frozen=True):
    """A block's header; its canonical bytes hash to the block's hash."""

    version: int
    chain_id: HexHash
    epoch: Height
    view: Height
    height: Height
    time_ms: Height
    parent_hash: HexHash
    parent_view: Height
    parent_result: HexHash
    proposer: AddressText
    validators_hash: HexHash
    tx_root: HexHash
    tx_count: int


class CertificateView(View, frozen=True):
    """A quorum of votes."""

    kind: str
    epoch: Height
    view: Height
    block_hash: HexHash | None
    result: HexHash | None
    signers: list[int]
    """Indices of the validators that signed."""
    signatures: list[HexBytes]


class ResultView(View, frozen=True):
    """What executing a block gave."""

    state_root: HexHash
    receipts_root: HexHash
    next_validators_hash: HexHash


class BlockView(View, frozen=True):
    """A final block."""

    height: Height
    hash: HexHash
    header: HeaderView
    result: ResultView
    result_hash: HexHash
    certificate: CertificateView | None
    """Its own finalization; null if a later block's made it final."""
    tx_ids: list[HexHash]
    failed_count: int
    """Transactions whose receipt says failed."""
    byte_count: int
    """Of all envelopes."""
    first_cursor: str
    """The cursor before its first event."""
    event_count: int


class BlockSummary(View, frozen=True):
    """A final block in a list."""

    height: Height
    hash: HexHash
    time_ms: Height
    epoch: Height
    view: Height
    proposer: AddressText
    tx_count: int


class BlocksView(View, frozen=True):
    """Final blocks, newest first."""

    blocks: list[BlockSummary]
    cursor: str | None
    """Of the next page; null at the end."""


class ReceiptView(View, frozen=True):
    """How a transaction ended."""

    tx_id: HexHash
    status: str
    """ok or failed"""
    reason: str | None
    """Why it failed."""
    message_index: int | None
    """Of the message that failed."""
    fee: AmountText
    work: Height
    event_count: int


class TxOutcome(View, frozen=True):
    """How far a transaction has come."""

    tx_id: HexHash
    status: str
    """received (not verified yet), pending (in the mempool), notarized (provisional), final, or unknown to this node."""
    height: Height | None
    """Of its block, if it is in one."""
    index: int | None
    receipt: ReceiptView | None
    provisional: bool
    """True at notarized: another branch may still win, with another outcome."""


class BodyView(View, frozen=True):
    """What a transaction says."""

    sender: AddressText
    nonce: int
    expires_at_ms: int
    fee: AmountText
    messages: list[JsonObject]
    """Each begins with its kind; the other fields are the kind's."""
    memo: HexBytes
    signers: list[HexHash]
    """Public keys that signed."""


class TxView(View, frozen=True):
    """A transaction and how far it has come."""

    tx_id: HexHash
    status: str
    height: Height | None
    index: int | None
    receipt: ReceiptView | None
    provisional: bool
    envelope: HexBytes
    envelope_hash: HexHash
    body: BodyView | None
    """null for an envelope of more than 16,384 bytes, which says the same."""
    block_hash: HexHash | None
    time_ms: Height | None
    """Of its block."""
    proof: JsonObject | None
    """A proof bundle (docs/PROOFS.md), if asked for."""


class StateProofView(View, frozen=True):
    """A record of the state, or its absence, with its proof."""

    height: Height
    key: HexBytes
    value: HexBytes | None
    """Canonical bytes of the record."""
    proof: JsonObject
    """A proof bundle (docs/PROOFS.md)."""


class RecordsView(View, frozen=True):
    """Records of the newest state."""

    height: Height
    values: list[HexBytes | None]
    """Canonical bytes of each record, in the order of the keys; null where there is none."""


class KeyView(View, frozen=True):
    """A key of an account."""

    public_key: HexHash
    weight: int
    scopes: list[str]


class AuthView(View, frozen=True):
    """Who may act for an account."""

    keys: list[KeyView]
    threshold: int
    guardians: list[AddressText]
    guardian_quorum: int


class PendingAuthView(View, frozen=True):
    """A change of keys that waits for its delay."""

    auth: AuthView
    due_ms: Height


class DelegationView(View, frozen=True):
    """Stake of an account in a validator."""

    validator: AddressText
    stake: AmountText
    """Worth of its shares now."""
    rewards: AmountText
    """What a claim would pay now."""


class UnbondingView(View, frozen=True):
    """Money on its way back."""

    number: int
    validator: AddressText | None
    amount: AmountText
    due_ms: Height


class AccountView(View, frozen=True):
    """An account after a block. One that does not exist has nothing."""

    address: AddressText
    height: Height
    exists: bool
    balance: AmountText
    highest_nonce: int
    """Highest nonce used; 0 if none was."""
    next_nonce: int
    unused_nonces: list[list[int]]
    """Ranges [first, last] below next_nonce that may still be used."""
    auth: AuthView | None
    """Null as long as the key of the address alone decides."""
    pending_auth: PendingAuthView | None
    provider_bond: AmountText
    provider_locked: AmountText
    delegations: list[DelegationView]
    unbondings: list[UnbondingView]
    pending_transactions: int
    """In this node's mempool."""
    proof: JsonObject | None
    """A proof bundle of the account's record (docs/PROOFS.md), if asked for."""
