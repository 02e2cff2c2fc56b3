"""One node: builds everything, starts everything, and stops everything together.

One task consumes what happens; the network, the API, the metrics and a metronome are the others, all in one TaskGroup. A fault in
any of them ends the process, and a restart goes on from what is durable.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from aiohttp import web

from consensus.inputs import TimerFired
from consensus.records import LogRecord
from consensus.signing import Sign
from node.admin import serve_admin
from node.admission import RuntimeRules, Source
from node.api.app import API, create_app, create_metrics_app
from node.api.config import LOOPBACK_NAMES, ApiConfig
from node.api.event_feed import EventFeed
from node.api.server import serve
from node.api.waiters import TransactionTracker
from node.config import ADMIN_SOCKET, NodeConfig, parse_listen
from node.driver import Driver, DriverParts
from node.errors import ConfigError
from node.facade import FacadeParts, NodeFacade, Pulse
from node.figures import read_figures
from node.happenings import Happening, Happenings, Tick
from node.home import Home
from node.logs import EventLog
from node.mempool import Mempool
from node.metrics import CONTENT_TYPE, Metrics
from node.opened import OpenedHome, build_consensus
from node.outside import AsyncShell, now
from node.own_account import OwnAccount, report_message
from node.upgrade_notice import UpgradeWatch, tell_upgrade
from node.verification import SignaturePool
from node.vote_cache import VoteVerifier
from p2p.config import NetworkConfig
from p2p.events import MessageReceived, PeerConnected, PeerDisconnected
from p2p.network import Network
from state.crypto import SigningKey
from state.errors import StorageFault, TransactionRejected
from state.protocol import find_due_upgrade
from state.votes import Vote

TICK_S: Final = 0.1
SLICE_US: Final = 4_000
"""After about this much handling others get their turn on the loop; a single message may take longer."""
OVERFLOW_TICKS: Final = 10
DISK_CHECK_TICKS: Final = 50


def clock_us() -> int:
    """Return a clock that never goes back, in microseconds."""
    return time.monotonic_ns() // 1_000


class Node:
    """A node with its files open, inside a running loop."""

    def __init__(
        self, opened: OpenedHome, records: Sequence[LogRecord], floor: tuple[int, int], sign: Sign | None
    ) -> None:
        """Build all parts; nothing listens or signs before `run`, nothing is signed at or below the floor or without sign."""
        chain, config = opened.chain, opened.config
        self.opened = opened
        self.log = EventLog("node")
        self.happenings = Happenings()
        self.signatures = SignaturePool(asyncio.get_running_loop())
        self.pulse = Pulse()
        self.is_interrupted = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        tracker, feed = TransactionTracker(), EventFeed(chain.views)
        self.network = Network(
            network_config(config),
            opened.node_seed,
            chain.chain_id,
            self.happenings.put,
            lambda: now().mono_ms,
            is_congested=lambda: self.signatures.is_congested or self.happenings.is_long,
        )
        self.metrics = Metrics(lambda: read_figures(self.facade, self.shell, self.signatures, self.app[API]))
        self.shell = AsyncShell(self.network, self.happenings, self.signatures, tracker, feed, self.log, self.metrics)
        verify = VoteVerifier()
        consensus = build_consensus(opened, records, floor, sign, verify)
        self.account = OwnAccount(chain.chain_id, SigningKey(opened.node_seed))
        parts = DriverParts(
            chain=chain,
            consensus=consensus,
            log=opened.log,
            mempool=Mempool(RuntimeRules()),
            shell=self.shell,
            verify=verify,
            report=self.report,
        )
        self.driver = Driver(parts, records, is_push_mode=config.push_transactions)
        self.upgrades = UpgradeWatch(chain, self.log)
        faucet = None if opened.faucet_seed is None else OwnAccount(chain.chain_id, SigningKey(opened.faucet_seed))
        self.facade = NodeFacade(
            FacadeParts(
                driver=self.driver,
                shell=self.shell,
                network=self.network,
                tracker=tracker,
                feed=feed,
                pulse=self.pulse,
                public_key=opened.public_key,
                faucet=faucet,
                fail=self.fail,
            )
        )
        self.app = create_app(self.facade, api_config(config))

    def fail(self, error: BaseException) -> None:
        """Stop the node with this error, or say at least that it came while the node stopped anyway."""
        if self.ended.done():
            self.log.error("failed_while_stopping", kind=type(error).__name__, why=str(error))
        else:
            self.ended.set_exception(error)

    def handle_stray_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Stop the node when a callback failed: what it should have done is lost, so a restart decides by replay."""
        error = context.get("exception")
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self.fail(error)
        else:
            loop.default_exception_handler(context)

    def interrupt(self) -> None:
        """Stop the node because a signal came."""
        self.is_interrupted = True
        self.stop()

    def stop(self) -> None:
        """Stop the node in order."""
        if not self.ended.done():
            self.ended.set_result(None)

    def report(self, validator: bytes, first: Vote, second: Vote) -> bool:
        """Pay for a report of equivocation from the node's own account; False if that is not possible now."""
        message = report_message(validator, first, second)
        transaction = self.account.build(self.driver.chain.ledger, message, now().wall_ms)
        self.log.error("equivocation", validator=validator.hex(), epoch=first.epoch, view=first.view)
        try:
            self.driver.intake.admit(transaction, Source.LOCAL)
        except TransactionRejected as rejected:
            self.log.warning("report_refused", why=str(rejected), advice="send money to the account of the node key")
            return False
        self.driver.intake.publish([transaction])
        return True

    async def run(self) -> None:
        """Take part until `stop` is called or something fails.

        Raises:
            StorageFault: the disk or the database failed.
        """
        config, home = self.opened.config, self.opened.home
        async with AsyncExitStack() as stack:
            limits = api_config(config)
            rpc_url = await stack.enter_async_context(listening(self.app, config.rpc_listen, limits))
            if config.metrics_listen:
                metrics_app = create_metrics_app(self.metrics.render, CONTENT_TYPE, limits)
                await stack.enter_async_context(listening(metrics_app, config.metrics_listen, limits))
            if self.opened.genesis.development:
                await stack.enter_async_context(serve_admin(home.root / ADMIN_SOCKET, self.network.block))
            async with asyncio.TaskGroup() as tasks:
                network = tasks.create_task(self.network.run())
                await self.network.listening.wait()
                consumer = tasks.create_task(self._consume())
                metronome = tasks.create_task(self._keep_time())
                self.log.info(
                    "started",
                    height=self.driver.chain.tip.block.height,
                    rpc=rpc_url,
                    p2p=self.network.listen_address,
                    node_id=self.network.node_id,
                    chain=self.driver.chain.chain_id.hex(),
                )
                upgrade = find_due_upgrade(self.driver.chain.ledger)
                if upgrade is not None:
                    tell_upgrade(self.log, upgrade.height, upgrade.protocol)
                await self.ended
                for task in (consumer, metronome, network):
                    task.cancel()

    async def _consume(self) -> None:
        """The one consumer: handle what happened, and execute in between."""
        self.driver.start()
        while True:
            began_us = clock_us()
            deadline_us = began_us + SLICE_US
            while began_us < deadline_us and (happening := self.happenings.take()) is not None:
                self._handle(happening)
                ended_us = clock_us()
                self.happenings.charge(ended_us - began_us)
                began_us = ended_us
            if self.shell.wants_execution:
                self.shell.wants_execution = self.driver.execute_slice()
            self.pulse.last_round_ms = now().mono_ms
            if len(self.happenings) or self.shell.wants_execution:
                await asyncio.sleep(0)
            else:
                await self.happenings.wait()

    def _handle(self, happening: Happening) -> None:
        match happening:
            case MessageReceived(peer_id, channel, payload):
                self.driver.receive(peer_id, channel, payload)
            case TimerFired():
                self.driver.handle(happening)
            case Tick():
                self.driver.tick()
                self.upgrades.tick(now().mono_ms)
            case PeerConnected(peer_id, address, direction):
                self.log.info("peer_connected", peer=peer_id, address=address, direction=direction.value)
                self.driver.add_peer(peer_id)
            case PeerDisconnected(peer_id, reason):
                self.log.info("peer_lost", peer=peer_id, reason=str(reason))
                self.driver.remove_peer(peer_id)

    async def _keep_time(self) -> None:
        """Tick ten times a second, measure how late the loop is, and look after the disk."""
        loop = asyncio.get_running_loop()
        tick_count = 0
        while True:
            due = loop.time() + TICK_S
            await asyncio.sleep(TICK_S)
            late_s = max(0.0, loop.time() - due)
            self.pulse.loop_lag_ms = int(late_s * 1_000)
            self.metrics.observe_loop_lag(late_s)
            self.happenings.put(Tick())
            tick_count += 1
            if tick_count % OVERFLOW_TICKS == 0:
                self.shell.punish_overflowing()
            if tick_count % DISK_CHECK_TICKS == 0:
                check_disk(self.opened.home, self.opened.config)
                dump = self.driver.chain.take_dump()
                if dump is not None:
                    await asyncio.to_thread(dump.run)

    def close(self) -> None:
        """Give timers and threads up; the files of the home stay open."""
        self.shell.close()
        self.signatures.close()


def check_disk(home: Home, config: NodeConfig) -> None:
    """Stop before the disk is full, because a database that meets a full disk may not open again.

    Raises:
        StorageFault: less is free than the configuration asks for.
    """
    free_mib = shutil.disk_usage(home.data).free >> 20
    if free_mib < config.disk_free_min_mib:
        raise StorageFault(
            f"only {free_mib} MiB are free at {home.data}, disk_free_min_mib is {config.disk_free_min_mib}: "
            "free some space and start the node again; nothing is lost"
        )


def network_config(config: NodeConfig) -> NetworkConfig:
    """Return the part of the configuration that concerns peers."""
    host, port = parse_listen(config.p2p_listen)
    return NetworkConfig(
        listen_host=host,
        listen_port=port,
        advertised_address=config.p2p_advertised,
        persistent_peers=config.persistent_peers,
        seed_addresses=config.seed_addresses,
        has_address_exchange=config.exchange_addresses,
        allows_private_addresses=config.allow_private_addresses,
    )


def api_config(config: NodeConfig) -> ApiConfig:
    """Return the part of the configuration that concerns the API."""
    return ApiConfig(
        allowed_hosts=(*LOOPBACK_NAMES, *config.rpc_allowed_hosts),
        allowed_origins=config.rpc_allowed_origins,
        public_url=f"http://{config.rpc_listen}",
    )


@asynccontextmanager
async def listening(app: web.Application, listen: str, config: ApiConfig) -> AsyncIterator[str]:
    """Serve an application on `host:port` while the context lasts; gives its URL.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    host, port = parse_listen(listen)
    async with AsyncExitStack() as stack:
        try:
            bound_host, bound_port = await stack.enter_async_context(serve(app, host, port, config))
        except OSError as error:
            raise ConfigError(f"{listen} cannot be listened on: {error.strerror}; choose another address") from error
        yield f"http://{bound_host}:{bound_port}"
