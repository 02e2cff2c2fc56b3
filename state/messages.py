"""The messages that a transaction carries: each a struct with its own integer tag, never changed once released.

Adding one: a struct here, a member of `Message`, a handler in state/runtime/, a row in state/runtime/dispatch.py
(CONTRIBUTING.md).
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Annotated, Final

from msgspec import Meta

from state.codec import Address, Amount, PublicKey, Wire
from state.crypto import signing_bytes, tag
from state.governance_messages import CastVote, Propose
from state.order_messages import Accept, Close, Fund, Grant, PlaceOrder, SendReceipts
from state.resource_messages import Amend, Assign
from state.trust_messages import Attest, Endorse, Publish, PutCollateral
from state.votes import Vote

AUTH_KEYS_MAX = 16
"""Keys of one account; a signature of each must fit an envelope."""
GUARDIANS_MAX = 8

_CONSENSUS_KEY_TAG: Final = tag("consensus-key")


class Scope(IntFlag):
    """What a key may do for its account."""

    FUND = 1
    """Move money: transfer, bond."""
    OWN = 2
    """Change ownership, rules and keys."""
    GRANT = 4
    """Release keys of data and software."""
    OPERATE = 8
    """Run machines: attest, accept, receipt."""
    GOVERN = 16
    """Propose, vote, endorse."""


SCOPES_ALL = 31


class AuthKey(Wire, frozen=True):
    """One key of an account: its weight towards the threshold and the scopes in which it counts."""

    public_key: PublicKey
    weight: Annotated[int, Meta(ge=1, le=1_000_000)]
    scopes: Annotated[int, Meta(ge=1, le=SCOPES_ALL)]


class BondPurpose(IntEnum):
    """What bonded money stands for."""

    VALIDATOR = 1
    """Own stake of a validator."""
    DELEGATE = 2
    """Stake entrusted to a validator, with a share of its rewards and slashes."""
    PROVIDER = 3
    """Security of a provider, from which penalties are paid."""


class BondAction(IntEnum):
    """Which way a bond changes."""

    ADD = 1
    """Lock money from the balance."""
    REMOVE = 2
    """Start unbonding; the money returns by itself after the unbonding delay. After a slash the amount counts what is left."""
    CLAIM = 3
    """Move the rewards earned so far to the balance; amount is 0. A delegation that is worth nothing, of a validator outside the
    set, ends with it."""
    UNJAIL = 4
    """Return a jailed validator to the candidates after its jail time; amount is 0."""


class Transfer(Wire, frozen=True, tag=1):
    """Move money from the sender to an account, which exists from then on. Scope FUND."""

    to: Address
    amount: Amount


class SetAuth(Wire, frozen=True, tag=2):
    """Replace the keys of an account. Scope OWN, or a quorum of the account's guardians for recovery.

    A change that gives anybody anything (a recovery always does) takes effect after `auth_delay_ms`; until then any later
    `set_auth` cancels it. What strengthens control, and takes effect at once, is defined in
    state/runtime/accounts/authorisation.py. In a recovery any account may send and pay; the envelope carries the guardians'
    signatures, each guardian's own rule for scope OWN applies. Without them the whole transaction is unauthorised.
    """

    account: Address
    """The sender itself, or the account that its guardians recover."""
    keys: Annotated[tuple[AuthKey, ...], Meta(min_length=1, max_length=AUTH_KEYS_MAX)]
    """Sorted by public key, distinct."""
    threshold: Annotated[int, Meta(ge=1, le=16_000_000)]
    guardians: Annotated[tuple[Address, ...], Meta(max_length=GUARDIANS_MAX)]
    """Accounts, sorted, distinct, that may together recover this one."""
    guardian_quorum: Annotated[int, Meta(ge=0, le=GUARDIANS_MAX)]
    """How many guardians it takes; 0 exactly if there are none."""


class Bond(Wire, frozen=True, tag=3):
    """Lock, release or reward money that stands for something. Scope FUND.

    A validator's own stake is a delegation to itself: it earns and is slashed as all others are. There is no commission.
    """

    action: BondAction
    purpose: BondPurpose
    amount: Amount
    validator: Annotated[bytes, Meta(max_length=21)]
    """Address of the validator delegated to; no bytes for the other purposes."""
    consensus_key: Annotated[bytes, Meta(max_length=32)]
    """Ed25519 key of a validator at its first bond; no bytes otherwise. It never changes."""
    proof: Annotated[bytes, Meta(max_length=64)]
    """Signature of the consensus key over (tag bocc/consensus-key/1, chain id, sender), so nobody registers another's key."""


class Report(Wire, frozen=True, tag=4):
    """Convict a validator of two conflicting votes. Any scope, anybody.

    Votes carry an index of the set of their time; here the validator is named, and the signatures must verify under its key.
    """

    validator: Address
    first: Vote
    second: Vote
    """Sorts after first by canonical bytes, so that one pair has one form."""


Message = (
    Transfer
    | SetAuth
    | Bond
    | Report
    | Publish
    | Amend
    | Assign
    | Endorse
    | PutCollateral
    | Attest
    | PlaceOrder
    | Fund
    | Accept
    | Grant
    | SendReceipts
    | Close
    | Propose
    | CastVote
)
"""Every message of this version."""

_OTHER_NAMES: Final[dict[type, str]] = {PlaceOrder: "order", SendReceipts: "receipt", CastVote: "vote"}
"""Messages whose struct is not named as they are, because a record or a consensus message has that name."""


def message_name(message_type: type) -> str:
    """Return the name of a kind of message, as in `set_auth`: that of its struct in snake case, but for three."""
    letters = (f"_{letter.lower()}" if letter.isupper() else letter for letter in message_type.__name__)
    return _OTHER_NAMES.get(message_type) or "".join(letters).lstrip("_")


def consensus_key_signing_bytes(chain_id: bytes, operator: bytes) -> bytes:
    """Return what a consensus key signs to prove that its holder lets this account register it."""
    return signing_bytes(_CONSENSUS_KEY_TAG, chain_id, operator)
