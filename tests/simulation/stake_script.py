"""Validators come, grow, leave and return from jail by real transactions, in calm phases and at the beginning of storms.

Byzantine stake stays below a third of every set: nobody honest leaves whose place that would need.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from state.codec import PublicKey
from state.crypto import SigningKey
from state.development_genesis import BOCC
from state.ledger import Ledger
from state.messages import Bond, BondAction, BondPurpose, consensus_key_signing_bytes
from state.records import ACCOUNTS, VALIDATORS, ValidatorStatus
from state.runtime.staking.roster import own_stake
from tests.simulation.violation import Violation
from tests.simulation.world import STAKE_UNIT
from tests.support.chain_builders import account_key, operator_key

if TYPE_CHECKING:
    from tests.simulation.host import Host
    from tests.simulation.world import World

CHANGE_MS_MAX = 90_000
"""From sending a transaction that changes the set until everybody is in the new epoch, in a calm network: as for a recovery."""
DELEGATORS = (6, 7, 8, 9)
"""Accounts that delegate; the nonces of their other transactions have to be known here too, so transfers leave them out."""


class StakeScript:
    """Sends one change after the other."""

    def __init__(self, world: World) -> None:
        """Draw from the seed."""
        self._world = world
        self._chance = Random(f"{world.seed} stake")
        self._nonces: dict[PublicKey, int] = {}
        self._operators = {
            host.address: (host, operator_key(index))
            for index, host in enumerate(host for host in world.hosts.values() if not host.name.endswith("'"))
            if host.address is not None
        }
        self.changes = 0

    def stir(self) -> None:
        """Send a change as the storm begins; nobody waits for it."""
        if not self._world.workload.pending and self._chance.random() < 0.5:
            return
        if self._chance.random() < 0.5:
            self._change()

    def play(self) -> None:
        """Send a change and see everybody follow."""
        world = self._world
        self._free_jailed()
        epochs = len(world.checks.wire.sets)
        if not self._change():
            return
        if not world.run(CHANGE_MS_MAX, lambda: self._is_everybody_in(epochs)):
            raise Violation("G9 bounded liveness", f"no set change {CHANGE_MS_MAX} ms after its transaction")
        self.changes += 1

    def _is_everybody_in(self, epoch: int) -> bool:
        hosts = self._world.honest
        return all(host.is_up and host.running.chain.epoch_start.epoch >= epoch for host in hosts)

    def check(self) -> None:
        """Expect changes in longer runs."""
        world = self._world
        if world.profile.candidates and world.checks.height > 60 and len(world.checks.wire.sets) < 2:
            raise Violation("G8 epoch", "the validator set never changed")

    @property
    def _ledger(self) -> Ledger:
        return max(self._world.up, key=lambda host: host.height).running.chain.ledger

    def _change(self) -> bool:
        """Send a transaction that changes the validator set, if one is possible; tell whether it was sent."""
        actions = [self._join, self._leave, self._grow, self._delegate]
        self._chance.shuffle(actions)
        return any(action() for action in actions)

    def _bond(self, key: SigningKey, bond: Bond) -> None:
        nonce = self._nonces.get(key.public_key, 0)
        self._nonces[key.public_key] = nonce + 1
        self._world.workload.send(self._world.workload.build(key, nonce, bond))

    def _members(self) -> list[tuple[bytes, Host]]:
        """Return the honest members of the newest set."""
        sets = self._world.checks.wire.sets
        members = sets[max(sets)].members
        hosts = [(member.address, self._operators[member.address][0]) for member in members]
        return [(address, host) for address, host in hosts if host.is_honest]

    def _join(self) -> bool:
        """Let somebody bond who is outside."""
        ledger, waiting = self._ledger, []
        for address, (host, key) in self._operators.items():
            record = ledger.find(VALIDATORS, address)
            is_outside = record is None or record.status is ValidatorStatus.UNBONDING
            if host.is_honest and is_outside and ledger.get(ACCOUNTS, address).balance > 3 * STAKE_UNIT:
                waiting.append((address, host, key, record is None))
        if not waiting:
            return False
        address, host, key, is_new = self._chance.choice(waiting)
        message = consensus_key_signing_bytes(self._world.genesis.chain_id, address)
        self._bond(
            key,
            Bond(
                action=BondAction.ADD,
                purpose=BondPurpose.VALIDATOR,
                amount=STAKE_UNIT * self._chance.randint(1, 2),
                validator=b"",
                consensus_key=host.keys.validator.public_key if is_new else b"",
                proof=host.keys.validator.sign(message) if is_new else b"",
            ),
        )
        return True

    def _leave(self) -> bool:
        """Let an honest member take all its stake back, if the others stay strong enough without it."""
        ledger = self._ledger
        able = [address for address, _ in self._members() if self._can_go(ledger, address)]
        if not able:
            return False
        address = self._chance.choice(able)
        amount = own_stake(ledger, address, ledger.get(VALIDATORS, address))
        if not amount:
            return False
        self._bond(self._operators[address][1], _plain(BondAction.REMOVE, amount))
        return True

    def _can_go(self, ledger: Ledger, leaving: bytes) -> bool:
        """Tell whether Byzantine stake is below a quarter of what stays, and enough validators do."""
        byzantine = honest = count = 0
        for address, (host, _) in self._operators.items():
            record = ledger.find(VALIDATORS, address)
            if record is None or address == leaving:
                continue
            if not host.is_honest and record.status is not ValidatorStatus.TOMBSTONED:
                byzantine += record.stake
            elif record.status is ValidatorStatus.ACTIVE:
                honest += record.stake
                count += 1
        return count >= 4 and byzantine * 3 < honest

    def _grow(self) -> bool:
        """Let an honest member bond more, a little, so that Byzantine stake stays below a third whoever leaves later."""
        members = self._members()
        if not members:
            return False
        address, _ = self._chance.choice(members)
        self._bond(self._operators[address][1], _plain(BondAction.ADD, self._chance.randint(1, 1_000) * BOCC))
        return True

    def _delegate(self) -> bool:
        """Let somebody entrust money to an honest member."""
        members = self._members()
        if not members:
            return False
        address, _ = self._chance.choice(members)
        bond = Bond(
            action=BondAction.ADD,
            purpose=BondPurpose.DELEGATE,
            amount=self._chance.randint(1, 1_000) * BOCC,
            validator=address,
            consensus_key=b"",
            proof=b"",
        )
        self._bond(account_key(self._chance.choice(DELEGATORS)), bond)
        return True

    def _free_jailed(self) -> None:
        """Let honest validators return from jail when their time is over."""
        ledger = self._ledger
        now_ms = self._world.wall_ms(self._world.honest[0])
        for address, (host, key) in self._operators.items():
            record = ledger.find(VALIDATORS, address)
            is_jailed = record is not None and record.status is ValidatorStatus.JAILED
            if host.is_honest and is_jailed and record is not None and record.jailed_until_ms < now_ms:
                self._bond(key, _plain(BondAction.UNJAIL, 0))


def _plain(action: BondAction, amount: int) -> Bond:
    """Return a bond of a validator that is known already."""
    return Bond(
        action=action, purpose=BondPurpose.VALIDATOR, amount=amount, validator=b"", consensus_key=b"", proof=b""
    )
