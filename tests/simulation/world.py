"""A simulated network: hosts with the real driver, chain and consensus, the links between them, and who connects with whom."""

from __future__ import annotations

from hashlib import sha256
from random import Random

from msgspec.structs import replace

from p2p.channels import Channel
from state.development_genesis import BOCC, DEVELOPMENT_PARAMS, development_genesis
from state.genesis import Genesis, GenesisAccount, GenesisValidator
from state.keyfile import KeyKind
from tests.simulation.adversary import make_adversary
from tests.simulation.events import Action, EventQueue
from tests.simulation.host import Host, HostKeys, UnscrupulousDriver
from tests.simulation.invariants import Checks
from tests.simulation.links import Links
from tests.simulation.profiles import NEAR_MS, Clocks, Misconduct, Profile
from tests.simulation.signatures import Signatures
from tests.simulation.workload import Workload
from tests.support.chain_builders import GENESIS_TIME_MS, key, operator, validator_key

FAR_MS = 10_000
STAKE_UNIT = 1_000_000 * BOCC
OPERATOR_BALANCE = 5 * STAKE_UNIT
SHORT_STAKING = replace(DEVELOPMENT_PARAMS.staking, unbonding_ms=20_000, evidence_age_ms=15_000, jail_ms=5_000)
UPDATE_INTERVALS_MS = (0, 1_000)
"""With the first, the set can change in two consecutive blocks."""


def make_genesis(seed: int, profile: Profile) -> Genesis:
    """Return a genesis with short delays, in which the first validators have the stakes of the profile."""
    count = len(profile.powers)
    genesis = development_genesis("simulation", 1, sha256(b"%d" % seed).digest(), GENESIS_TIME_MS)
    validators = [
        GenesisValidator(
            operator=operator(index), consensus_key=validator_key(index).public_key, stake=power * STAKE_UNIT
        )
        for index, power in enumerate(profile.powers)
    ]
    balances = {account.address: account.balance for account in genesis.accounts}
    for index in range(count + profile.candidates):
        balances[operator(index)] = OPERATOR_BALANCE
    params = replace(
        DEVELOPMENT_PARAMS,
        consensus=replace(
            DEVELOPMENT_PARAMS.consensus,
            heartbeat_ms=profile.heartbeat_ms,
            validator_update_interval_ms=UPDATE_INTERVALS_MS[seed // 7 % 2],
        ),
        staking=replace(SHORT_STAKING, downtime_window=profile.downtime_window),
    )
    return replace(
        genesis,
        params=params,
        accounts=tuple(GenesisAccount(address=address, balance=balances[address]) for address in sorted(balances)),
        validators=tuple(sorted(validators, key=lambda one: one.operator)),
        treasury=0,
    )


class World:
    """Everything that happens in one simulation."""

    def __init__(self, seed: int, profile: Profile) -> None:
        """Make hosts that are down."""
        self.seed = seed
        self.profile = profile
        self.chance = Random(f"{seed} world")
        self.events = EventQueue()
        self.schedule = self.events.schedule
        self.links = Links(profile, Random(f"{seed} links"))
        self.signatures = Signatures(is_real=profile.is_real or Random(f"{seed} signatures").random() < 0.2)
        self.is_push_mode = self.chance.random() < 0.5
        self.genesis = make_genesis(seed, profile)
        self.workload = Workload(self, Random(f"{seed} workload"))
        self.checks = Checks(self)
        self.hosts: dict[str, Host] = {}
        self.has_news = False
        self.restarts_after_ms: tuple[int, int] | None = (10, 1_500)
        """How long a crashed host stays down; None until somebody starts it."""
        self.messages = 0
        self._trace = sha256()
        self._make_hosts()

    def _make_hosts(self) -> None:
        profile = self.profile
        validator_count = len(profile.powers)
        for index in range(validator_count + profile.candidates):
            misconduct = profile.byzantine[index] if index < len(profile.byzantine) else None
            host = self._add_host(f"v{index}", index, is_honest=misconduct is None)
            if misconduct is Misconduct.TWIN:
                host.driver_type = UnscrupulousDriver
                self._add_host(f"v{index}'", index, is_honest=False).driver_type = UnscrupulousDriver
            elif misconduct is not None:
                host.adversary = make_adversary(misconduct, self, host)
        for index in range(profile.followers):
            self._add_host(f"f{index}", None, is_honest=True)
        for name, offset_ms in self._clock_offsets().items():
            self.hosts[name].clock_offset_ms = offset_ms

    def _add_host(self, name: str, index: int | None, *, is_honest: bool) -> Host:
        number = len(self.hosts) % 16
        keys = HostKeys(
            key(KeyKind.NODE, number),
            validator_key(number if index is None else index),
            None if index is None else operator(index),
        )
        host = self.hosts[name] = Host(self, name, keys, is_honest=is_honest)
        return host

    def _clock_offsets(self) -> dict[str, int]:
        """Choose offsets within a third of the precision, and some far outside."""
        offsets = {name: self.chance.randint(-NEAR_MS, NEAR_MS) for name in self.hosts}
        far = {Clocks.NEAR: 0, Clocks.ONE_AHEAD: 1, Clocks.FEW_FAR: (len(self.profile.powers) - 1) // 3}
        for index in range(far[self.profile.clocks]):
            is_behind = self.profile.clocks is Clocks.FEW_FAR and index % 2
            offsets[f"v{index}"] = -FAR_MS if is_behind else FAR_MS
        return offsets

    @property
    def time_ms(self) -> int:
        """Virtual time since the start."""
        return self.events.time_ms

    def wall_ms(self, host: Host) -> int:
        """Return what a host's wall clock shows."""
        return GENESIS_TIME_MS + self.time_ms + host.clock_offset_ms

    @property
    def honest(self) -> list[Host]:
        """The hosts that follow the protocol."""
        return [host for host in self.hosts.values() if host.is_honest]

    @property
    def up(self) -> list[Host]:
        """The honest hosts that run."""
        return [host for host in self.honest if host.is_up]

    @property
    def trace_hash(self) -> str:
        """Digest of every message and every final block so far."""
        return self._trace.hexdigest()

    def note(self, line: bytes) -> None:
        """Add to the trace."""
        self._trace.update(b"%d " % self.time_ms + line)

    # Connections.

    def start(self) -> None:
        """Start every host and connect all with all."""
        for host in self.hosts.values():
            self.start_host(host)
        self.workload.start()

    def start_host(self, host: Host) -> None:
        """Start a host that is down; the others connect with it within milliseconds."""
        host.start()
        for other in self.hosts.values():
            if (other is not host and other.keys.address != host.keys.address) or host.address is None:
                self.schedule(1 + int(self.chance.random() * 20), self.connect, host.name, other.name)

    def connect(self, one_name: str, other_name: str) -> None:
        """Let two hosts that run begin a new session."""
        one, other = self.hosts[one_name], self.hosts[other_name]
        if one is other or not (one.is_up and other.is_up):
            return
        self.links.open_session(one_name, other_name)
        one.add_peer(other_name)
        if one.is_up:
            other.add_peer(one_name)

    def disconnect(self, one_name: str, other_name: str) -> None:
        """End a session; both sides notice."""
        self.links.close_session(one_name, other_name)
        self.hosts[one_name].remove_peer(other_name)
        self.hosts[other_name].remove_peer(one_name)

    def on_crash(self, host: Host) -> None:
        """Let the others notice that a host is gone, and start it again if nobody else will."""
        for name in self.hosts:
            if name != host.name:
                self.links.close_session(host.name, name)
                self.schedule(int(self.chance.random() * 50), self._notice_loss, name, host.name, host.incarnation)
        if self.restarts_after_ms is not None:
            low, high = self.restarts_after_ms
            self.schedule(self.chance.randint(low, high), self._restart, host, host.incarnation)

    def _notice_loss(self, name: str, lost: str, incarnation: int) -> None:
        if self.hosts[lost].incarnation == incarnation:
            self.hosts[name].remove_peer(lost)

    def _restart(self, host: Host, incarnation: int) -> None:
        if host.incarnation == incarnation and not host.is_up:
            self.start_host(host)

    # Messages.

    def on_wire(self, host: Host, channel: Channel, payload: bytes) -> None:
        """See a message at the moment at which it leaves a host."""
        self.note(b"%s %d %s" % (host.name.encode(), channel, payload))
        if host.adversary is None:
            self.checks.wire.on_wire(host, channel, payload)

    def transmit(self, source: Host, target: str, channel: Channel, payload: bytes) -> None:
        """Put a message on the link to one peer."""
        if source.adversary is None:
            self._transmit(source, target, channel, payload)
            return
        for changed_channel, changed in source.adversary.change(target, channel, payload):
            self.checks.wire.on_wire(source, changed_channel, changed)
            self._transmit(source, target, changed_channel, changed)

    def _transmit(self, source: Host, target: str, channel: Channel, payload: bytes) -> None:
        self.messages += 1
        source.rate.add(self.time_ms)
        session = self.links.session(source.name, target)
        for delay_ms in self.links.delays(source.name, target, channel):
            self.schedule(delay_ms, self.hosts[target].receive, source.name, session, channel, payload)

    # Running.

    def run(self, limit_ms: int, is_done: Action | None = None) -> bool:
        """Run until something final makes the condition hold, or for the whole time; tell whether it came to hold."""
        end_ms = self.time_ms + limit_ms
        self.has_news = True
        while True:
            if self.has_news and is_done is not None:
                self.has_news = False
                if is_done():
                    return True
            if not self.events.step(end_ms):
                return False
