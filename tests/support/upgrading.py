"""A chain whose validators have decided on an upgrade, on a store, before the height of it."""

from __future__ import annotations

from state.building import build_transaction
from state.chain import Chain
from state.governance_messages import CastVote, Upgrade
from state.store import MemoryStore
from state.transactions import Transaction
from tests.support.chain_builders import operator, operator_key
from tests.support.fixture_chain import FixtureChain
from tests.support.governing import YES, powers_genesis, propose, vote

GENESIS = powers_genesis(60, 40, timelock_ms=0)
HEIGHT = 20
UPGRADE = Upgrade(height=HEIGHT, protocol=2, software="bocc 2.0", verifier_changed=True)


def ballot(fixture: FixtureChain, index: int, *votes: CastVote) -> Transaction:
    """Return the first transaction of an operator."""
    return build_transaction(
        chain_id=fixture.chain.chain_id,
        keys=(operator_key(index),),
        sender=operator(index),
        nonce=0,
        expires_at_ms=fixture.genesis.time_ms + 600_000,
        messages=votes,
        params=fixture.chain.params(),
    )


class UpgradingChain(FixtureChain):
    """On a chain of its own, or on one at genesis.

    Height 1 proposes, height 2 decides with one vote, height 3 applies it, without a timelock.
    """

    def __init__(self, upgrade: Upgrade = UPGRADE, chain: Chain | None = None) -> None:
        self.store = MemoryStore()
        if chain is None:
            super().__init__(GENESIS, self.store)
        else:
            self.genesis, self.chain, self.view = chain.genesis, chain, 0
        self.add(self.sign(0, propose(upgrade), nonce=0))
        self.add(ballot(self, 0, vote(YES)))
        self.add()

    @property
    def height(self) -> int:
        """Of the newest final block."""
        return self.chain.tip.block.height

    def go_to(self, height: int) -> None:
        """Make empty blocks up to a height."""
        while self.height < height:
            self.add()

    def restart(self) -> None:
        """Open the chain from its store again."""
        self.chain = Chain.open(self.store)
