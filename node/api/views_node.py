"""The JSON of what the node itself knows: where it is, its mempool, its peers, progress of agreement, a transaction explained."""

from __future__ import annotations

from node.api.registry import AddressText, AmountText, Height, HexHash
from node.api.views import BodyView, View


class EarliestView(View, frozen=True):
    """The oldest that this node still has of each kind."""

    block: Height
    state: Height
    """Whose values can be read."""
    proof: Height
    """Whose state can be proved."""
    cursor: str
    """Of the event log: continue after it to read from the beginning."""


class UpgradeView(View, frozen=True):
    """An upgrade that is due: blocks from a height on need a newer protocol."""

    height: Height
    """Of the first block that needs it."""
    protocol: Height
    software: str
    """Release to install."""
    is_spoken: bool
    """Whether this node's software speaks it; otherwise the node stops before that height."""


class StatusView(View, frozen=True):
    """Where the node and its chain are."""

    chain_id: HexHash
    chain_name: str
    development: bool
    """Whether the chain allows well-known keys; it is worth nothing then."""
    node_id: str
    validator: AddressText | None
    """If this node holds a validator's key."""
    version: str
    height: Height
    """Of the newest final block; 0 at genesis."""
    block_hash: HexHash
    block_time_ms: Height
    epoch: Height
    view: Height
    syncing: bool
    best_known_height: Height
    peers: int
    pending_transactions: int
    cursor: str
    """Of the newest event."""
    upgrade: UpgradeView | None
    """What governance has decided and the chain has not reached."""
    earliest: EarliestView


class PendingView(View, frozen=True):
    """A transaction in the mempool."""

    tx_id: HexHash
    sender: AddressText
    nonce: int
    fee: AmountText
    byte_count: int
    expires_at_ms: int


class MempoolView(View, frozen=True):
    """What waits for a block."""

    transactions: int
    byte_count: int
    senders: int
    pinned_bodies: int
    """Transactions of blocks that are not final yet."""
    is_full: bool
    lowest_fee_rate: int
    """Of the pending transactions, in thousandths of a ubocc per byte."""
    transactions_max: int
    bytes_max: int
    per_sender_max: int
    first: list[PendingView]
    """Those with the highest fee per byte."""


class PeerView(View, frozen=True):
    """A connected peer."""

    node_id: str
    address: str
    is_outbound: bool
    height: Height
    score: int
    connected_ms: Height


class NetInfoView(View, frozen=True):
    """The node's place in the network."""

    node_id: str
    peers: list[PeerView]


class VotesView(View, frozen=True):
    """Verified votes for one thing."""

    kind: str
    block_hash: HexHash | None
    power: Height


class ViewView(View, frozen=True):
    """A view above the final one."""

    view: Height
    leader: AddressText
    proposal: HexHash | None
    certificates: list[str]
    votes: list[VotesView]


class ConsensusView(View, frozen=True):
    """Progress of agreement."""

    epoch: Height
    view: Height
    leader: AddressText
    failed_views: int
    """Consecutive views left without a block."""
    timeout_ms: int
    is_halted: bool
    height: Height
    """Of the newest final block."""
    block_hash: HexHash
    total_power: Height
    quorum_power: Height
    views: list[ViewView]


class CheckView(View, frozen=True):
    """One rule, applied."""

    name: str
    ok: bool
    reason: str | None
    seen: int | str | None
    bound: int | str | None
    remedy: str | None
    """What its sender can do."""


class ExplainView(View, frozen=True):
    """What would become of a transaction now."""

    tx_id: HexHash
    ok: bool
    """Whether all checks hold."""
    body: BodyView | None
    """null for an envelope of more than 16,384 bytes: who asks has it."""
    checks: list[CheckView]


class SubscriptionView(View, frozen=True):
    """A started subscription."""

    subscription: str
    cursor: str
    """Events after it will be pushed."""


class HeadView(View, frozen=True):
    """The newest final block, as pushed to subscriptions with the topic head."""

    kind: str
    height: Height
    block_hash: HexHash
    time_ms: Height
    cursor: str
    """Of the newest event at that block."""
