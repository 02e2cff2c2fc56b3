"""The validator set of an epoch and the schedule of its leaders.

The schedule is stateless and exact: powers divided by their greatest common divisor make a ring of P slots, and view v takes slot
(root_height + v) * stride mod P with a stride coprime to P near P/phi. In any P consecutive views a validator of power p leads
exactly p times (consensus spec 4.6).
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from itertools import accumulate, pairwise
from math import gcd
from typing import Annotated, Final

from msgspec import Meta

from state.codec import Address, PublicKey, Wire, encode
from state.crypto import tag, tagged_hash

_TAG: Final = tag("validators")
VALIDATORS_MAX: Final = 1_000
"""Bound of any validator set on the wire; the parameter max_validators is far below."""
POWER_MAX: Final = 1 << 53
"""Bound of one validator's power, so that sums and products of quorum rules stay far from 2^63 in any language."""


class Validator(Wire, frozen=True):
    """One member of a validator set."""

    address: Address
    """Operator's account: the validator's name."""
    public_key: PublicKey
    """Consensus key that signs its votes."""
    power: Annotated[int, Meta(ge=1, le=POWER_MAX)]


Validators = Annotated[tuple[Validator, ...], Meta(min_length=1, max_length=VALIDATORS_MAX)]
"""Members sorted by address, each once."""


class ValidatorSet:
    """The validators of one epoch, in the order of their addresses; a validator's index is its place in it."""

    def __init__(self, members: tuple[Validator, ...]) -> None:
        """Wrap the members, which must be sorted by address and distinct."""
        assert members, "a validator set is never empty"
        assert all(left.address < right.address for left, right in pairwise(members))
        self.members = members
        self.total_power = sum(member.power for member in members)
        self._index_by_address = {member.address: index for index, member in enumerate(members)}
        self._index_by_key = {member.public_key: index for index, member in enumerate(members)}

    def __len__(self) -> int:
        return len(self.members)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ValidatorSet) and self.members == other.members

    def __hash__(self) -> int:
        return hash(self.members)

    @cached_property
    def set_hash(self) -> bytes:
        """Digest of the members with keys and powers, 32 bytes."""
        return tagged_hash(_TAG, encode(self.members))

    def find_index(self, address: bytes | None) -> int | None:
        """Return the index of the validator with this address, or None if it is not a member."""
        return None if address is None else self._index_by_address.get(address)

    def find_key(self, public_key: bytes | None) -> int | None:
        """Return the index of the validator with this consensus key, or None if it is not a member."""
        return None if public_key is None else self._index_by_key.get(public_key)

    def is_quorum(self, power: int) -> bool:
        """Tell whether this power is more than two thirds of the total."""
        return power * 3 > self.total_power * 2

    def is_third(self, power: int) -> bool:
        """Tell whether this power is at least one third of the total, so that a quorum without it is impossible."""
        return power * 3 >= self.total_power

    @cached_property
    def _schedule(self) -> tuple[int, int, list[int]]:
        divisor = gcd(*(member.power for member in self.members))
        sums = list(accumulate(member.power // divisor for member in self.members))
        return sums[-1], _stride(sums[-1]), sums

    def leader_index(self, root_height: int, view: int) -> int:
        """Return the index of the leader of a view (>= 1) in the epoch whose root block has this height."""
        slots, stride, sums = self._schedule
        return bisect_right(sums, (root_height + view) * stride % slots)


def _stride(slots: int) -> int:
    """Return the integer coprime to slots that is first in the order s, s+1, s-1, s+2, ... from slots*610//987."""
    if slots == 1:
        return 1
    start = slots * 610 // 987
    for distance in range(slots + 1):
        for stride in (start + distance, start - distance):
            if 0 < stride < slots and gcd(stride, slots) == 1:
                return stride
    raise AssertionError("1 is coprime to every number of slots")
