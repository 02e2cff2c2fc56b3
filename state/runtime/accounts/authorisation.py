"""Which keys may act for an account.

At first only the key whose digest is the address controls an account, in all scopes. A `set_auth` replaces it by weighted keys
with scopes: keys authorise in a scope if the weights of those that have the scope reach the threshold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from state.address import account_address
from state.ledger import Ledger
from state.messages import SCOPES_ALL, AuthKey, Scope
from state.records import ACCOUNTS, AUTHS, Auth

ANY_SCOPE: Final = Scope(0)
"""Asked of messages that need no particular scope: every key of the account counts."""


def is_authorised(ledger: Ledger, address: bytes, public_keys: Iterable[bytes], scope: Scope) -> bool:
    """Tell whether these keys together may act for the account in a scope. An account that does not exist has its own key."""
    account = ledger.find(ACCOUNTS, address)
    if account is None or not account.has_auth:
        return any(account_address(public_key) == address for public_key in public_keys)
    return has_weight(ledger.get(AUTHS, address), public_keys, scope)


def has_weight(auth: Auth, public_keys: Iterable[bytes], scope: Scope) -> bool:
    """Tell whether the keys with this scope reach the threshold."""
    signing = frozenset(public_keys)
    weight = sum(key.weight for key in auth.keys if key.public_key in signing and key.scopes & scope == scope)
    return weight >= auth.threshold


def has_guardian_quorum(ledger: Ledger, address: bytes, public_keys: Sequence[bytes]) -> bool:
    """Tell whether these keys act for a quorum of an account's guardians, for each by its own rule for scope OWN."""
    auth = ledger.find(AUTHS, address)
    if auth is None or not auth.guardians:
        return False
    count = sum(is_authorised(ledger, guardian, public_keys, Scope.OWN) for guardian in auth.guardians)
    return count >= auth.guardian_quorum


def without_keys_of(ledger: Ledger, address: bytes, public_keys: Iterable[bytes]) -> list[bytes]:
    """Return those of the keys that are none of the account's, whatever weight and scopes its keys have."""
    account = ledger.find(ACCOUNTS, address)
    if account is None or not account.has_auth:
        return [public_key for public_key in public_keys if account_address(public_key) != address]
    own = {key.public_key for key in ledger.get(AUTHS, address).keys}
    return [public_key for public_key in public_keys if public_key not in own]


def without_guardian_keys(ledger: Ledger, address: bytes, public_keys: Iterable[bytes]) -> list[bytes]:
    """Return those of the keys that no guardian of the account has."""
    rest, auth = list(public_keys), ledger.find(AUTHS, address)
    for guardian in auth.guardians if auth else ():
        rest = without_keys_of(ledger, guardian, rest)
    return rest


def scope_weight(keys: Iterable[AuthKey], scope: Scope) -> int:
    """Return the weight of all keys with this scope."""
    return sum(key.weight for key in keys if key.scopes & scope)


def is_strengthening(address: bytes, present: Auth | None, proposed: Auth) -> bool:
    """Tell whether a change of keys gives nobody anything, so that it may take effect at once.

    Strengthening means: every set of keys that will suffice in a scope suffices in it today, and the guardians stay as they are.
    Dropping a lost key or raising the threshold strengthens. A new key, more weight, a further scope, a lower threshold or any
    change of guardians weakens, because somebody may then do what he may not do now.

    The test is exact enough and safe: each key's share of the threshold must not grow. Then for any set of keys
    weight_new >= threshold_new implies weight_present >= threshold_present.
    """
    guardians = (present.guardians, present.guardian_quorum) if present else ((), 0)
    if (proposed.guardians, proposed.guardian_quorum) != guardians:
        return False
    threshold = present.threshold if present else 1
    for key in proposed.keys:
        weight, scopes = _present_weight(address, present, key.public_key)
        if key.scopes & ~scopes or key.weight * threshold > weight * proposed.threshold:
            return False
    return True


def _present_weight(address: bytes, present: Auth | None, public_key: bytes) -> tuple[int, int]:
    """Return weight and scopes of a key today; zeros if it has none."""
    if present is None:
        return (1, SCOPES_ALL) if account_address(public_key) == address else (0, 0)
    for key in present.keys:
        if key.public_key == public_key:
            return key.weight, key.scopes
    return 0, 0
