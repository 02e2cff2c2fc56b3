"""The invariants of the protocol over a whole network, checked while it runs. Names as in the consensus spec, section 5.

What concerns single messages is in wire_checks.py, restarts in restart_checks.py, light clients in light_client.py. Conservation of
money is asserted by the runtime in every block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from state.block import BlockReference, Header, genesis_block_hash
from state.certificates import Certificate
from state.chain import Finalized
from state.chain_branches import ExecutedBlock
from state.genesis import genesis_state
from state.transactions import Transaction, parse_transaction
from state.validators import ValidatorSet
from state.votes import Vote, are_conflicting
from tests.simulation.bounds import check_bounds
from tests.simulation.restart_checks import check_restart
from tests.simulation.violation import Violation
from tests.simulation.wire_checks import Position, WireChecks

if TYPE_CHECKING:
    from tests.simulation.host import Host
    from tests.simulation.world import World

STEPS_BETWEEN_BOUND_CHECKS = 256


class FinalBlock(NamedTuple):
    """A block of the one chain."""

    block_hash: bytes
    header: Header
    result: bytes
    is_sealing: bool


class Checks:
    """An observer of the whole network."""

    def __init__(self, world: World) -> None:
        """Watch a world from its genesis on."""
        self._world = world
        self.wire = WireChecks(world)
        _, validators = genesis_state(world.genesis)
        self.wire.sets[0] = validators
        self.chain: list[FinalBlock] = []
        """Final blocks from height 1 on, as the first host had them."""
        self.convicted: set[bytes] = set()
        """Validators that evidence names."""
        self.places: dict[bytes, int] = {}
        """Height of each transaction."""
        self.punished: dict[str, int] = {}
        self.may_halt = False
        self.is_bounded = True
        self.restarts = 0
        self._heights: dict[str, int] = {}
        self._positions: dict[str, tuple[int, Position]] = {}
        self._steps = 0

    @property
    def height(self) -> int:
        """Greatest height that is final anywhere."""
        return len(self.chain)

    @property
    def newest_position(self) -> Position:
        """Return a position at or above every vote that was ever sent."""
        return self.wire.newest

    # Finality.

    def on_final(self, host: Host, finalized: Finalized) -> None:
        """G1, G2, G4, G5, G6, G8, L4: blocks that became final at a host are those of the one chain."""
        self._world.note(b"final %s %s" % (host.name.encode(), finalized.blocks[-1].block_hash))
        for block in finalized.blocks:
            if block.is_sealing:  # also at a Byzantine host, which may be the first to vote in the next epoch
                self._enter_epoch(block.header.epoch + 1, block.next_validators)
        if not host.is_honest:
            return
        last = finalized.blocks[-1]
        certificate = finalized.tip.certificate
        if certificate is not None:
            if (certificate.block_hash, certificate.result) != (last.block_hash, last.result_hash):
                raise Violation("G5 result", f"{host.name} has {last.reference} final with {certificate}")
            self.wire.check_certificate(certificate)
        for block in finalized.blocks:
            entry = FinalBlock(block.block_hash, block.header, block.result_hash, block.is_sealing)
            self._check_next(host, entry, block.envelopes)

    def _check_next(self, host: Host, entry: FinalBlock, envelopes: Sequence[bytes]) -> None:
        height = entry.header.height
        if height != self._heights.get(host.name, 0) + 1:
            raise Violation("L4 monotone", f"{host.name} goes from {self._heights.get(host.name, 0)} to {height}")
        self._heights[host.name] = height
        if height <= len(self.chain):
            known = self.chain[height - 1]
            if known.block_hash != entry.block_hash:
                raise Violation("G1 agreement", f"{host.name} has {entry.header} final, others {known.header}")
            if known != entry:
                raise Violation("G5 result", f"{host.name} has {entry} final, others {known}")
            return
        self._check_first(entry)
        self.chain.append(entry)
        self._check_transactions(envelopes, height)

    def _check_first(self, entry: FinalBlock) -> None:
        """G2, G4, G5, G8: a block of which this is the first finalisation anywhere."""
        header, genesis = entry.header, self._world.genesis
        if header.height != len(self.chain) + 1:
            raise Violation("G2 chain", f"height {header.height} is final before {len(self.chain) + 1}")
        if self.chain:
            parent = self.chain[-1]
            parent_hash, parent_time_ms, epoch = parent.block_hash, parent.header.time_ms, parent.header.epoch
            if header.parent_result != parent.result:
                raise Violation("G5 result", f"{header} names another result than {parent.result.hex()}")
            epoch += parent.is_sealing
        else:
            parent_hash, parent_time_ms, epoch = genesis_block_hash(genesis.chain_id), genesis.time_ms, 0
        if header.parent_hash != parent_hash or header.time_ms <= parent_time_ms:
            raise Violation("G2 chain", f"{header} does not follow {parent_hash.hex()} of {parent_time_ms}")
        if header.epoch != epoch:
            raise Violation("G8 epoch", f"{header} is of epoch {header.epoch}, not {epoch}")
        if header.validators_hash != self.wire.sets[epoch].set_hash:
            raise Violation("G8 epoch", f"{header} names other validators than those of its epoch")
        for view in range(header.parent_view + 1, header.view):
            if not self.wire.is_nullified(epoch, view):
                raise Violation("G4 ancestry", f"view {view} below {header} is not nullified")

    def _enter_epoch(self, epoch: int, validators: ValidatorSet) -> None:
        known = self.wire.sets.setdefault(epoch, validators)
        if known != validators:
            raise Violation("G8 epoch", f"two validator sets in epoch {epoch}")

    def _check_transactions(self, envelopes: Sequence[bytes], height: int) -> None:
        """G6: somebody sent each transaction, its signatures are right, and it is there once."""
        world = self._world
        for encoded in envelopes:
            transaction = parse_transaction(encoded, world.genesis.chain_id)
            self._check_transaction(transaction, height)
            world.workload.on_final(transaction)

    def _check_transaction(self, transaction: Transaction, height: int) -> None:
        name = transaction.tx_id.hex()
        if transaction.envelope_hash not in self._world.workload.expected:
            raise Violation("G6 validity", f"nobody sent {name} of height {height}")
        if self._world.signatures.find_wrong([transaction]):
            raise Violation("G6 validity", f"{name} of height {height} has a wrong signature")
        if transaction.tx_id in self.places:
            raise Violation("G6 validity", f"{name} is in {self.places[transaction.tx_id]} and {height}")
        self.places[transaction.tx_id] = height

    def check_stored(self, reference: BlockReference, certificate: Certificate | None) -> None:
        """L5: the certificate at a tip read from a store verifies."""
        if certificate is not None:
            self.wire.check_certificate(certificate)
            if certificate.block_hash != reference.block_hash:
                raise Violation("L5 quorum", f"{certificate} stands at {reference}")

    # Hosts.

    def on_start(self, host: Host) -> None:
        """L3, L4: a host goes on where it was, whatever the crash interrupted."""
        self._positions.pop(host.name, None)
        chain = host.running.chain
        self.check_stored(chain.tip.block, chain.tip.certificate)
        if not host.is_honest:
            return
        known = self._heights.get(host.name, 0)
        if chain.tip.block.height < known:
            raise Violation("L4 monotone", f"{host.name} had {known} final, and now {chain.tip.block.height}")
        for height in range(known + 1, chain.tip.block.height + 1):
            self._note_written(host, height)
        if host.incarnation > 1:
            self.restarts += 1
            check_restart(host)

    def _note_written(self, host: Host, height: int) -> None:
        """Take in a block that was written just before a crash, so that nobody was told."""
        stored = host.running.chain.views.block_by_height(height)
        is_sealing = stored.block_result.next_validators_hash != stored.header.validators_hash
        if is_sealing:
            epoch = host.running.chain.views.find_epoch(stored.header.epoch + 1)
            assert epoch is not None, "a sealing block is written with the next epoch"
            self._enter_epoch(epoch.start.epoch, ValidatorSet(epoch.start.validators))
            result = epoch.start.root.result
        elif height == host.running.chain.tip.block.height:
            result = host.running.chain.tip.block.result
        else:
            result = host.running.chain.views.header_at(height + 1).header.parent_result
        self._check_next(host, FinalBlock(stored.block_hash, stored.header, result, is_sealing), stored.envelopes)

    def on_rollback(self, host: Host, height: int) -> None:
        """A host goes on from an older database, or from none."""
        self._heights[host.name] = height

    def after_step(self, host: Host) -> None:
        """L4 while a process lives, and now and then G10."""
        node = host.running.consensus.node
        position = node.state.number, node.view
        incarnation, before = self._positions.get(host.name, (0, (0, 0)))
        if incarnation == host.incarnation and position < before:
            raise Violation("L4 monotone", f"{host.name} goes back from {before} to {position}")
        self._positions[host.name] = host.incarnation, position
        self._steps += 1
        if self._steps % STEPS_BETWEEN_BOUND_CHECKS == 0 and host.is_honest and self.is_bounded:
            check_bounds(host)

    def on_notarized(self, host: Host, block: ExecutedBlock) -> None:
        """A block that is called notarised has a quorum of votes."""
        self._world.note(b"notarized %s %s" % (host.name.encode(), block.block_hash))

    def on_report(self, host: Host, validator: bytes, first: Vote, second: Vote) -> None:
        """G7: evidence never names an honest validator, and convinces anybody."""
        if not host.is_honest:
            return
        if not are_conflicting(first, second):
            raise Violation("G7 accountability", f"{first} and {second} prove nothing")
        if validator in {one.address for one in self._world.honest}:
            raise Violation("G7 accountability", f"{host.name} accuses an honest validator: {first} and {second}")
        self.convicted.add(validator)

    def on_punish(self, host: Host, peer: str, reason: str) -> None:
        """An honest host never punishes an honest one."""
        if host.is_honest and self._world.hosts[peer].is_honest:
            raise Violation("peers", f"{host.name} punishes the honest {peer}: {reason}")
        self.punished[reason] = self.punished.get(reason, 0) + 1

    def on_halt(self, host: Host, reason: str) -> None:
        """An honest host stops only when agreement is broken, which a scenario has to expect."""
        if host.is_honest and not self.may_halt:
            raise Violation("halt", f"{host.name}: {reason}")
