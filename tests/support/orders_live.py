"""A market on a running network: providers in processes of their own, and orders as people place them."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec.structs import replace

from bocc.provider.attesting import parse_resource
from bocc.provider.place import Published, load_published
from bocc.sealed import key_commitment, open_output, seal_content
from bocc.testing import FundedAccount
from state.address import AddressKind, format_address, parse_address
from state.messages import Message
from state.offers import Capacity, ResourceKind
from state.order_messages import PlaceOrder, order_address
from state.order_terms import LineRole, MachineTerms, OrderLine, Workload
from state.policies import OutputParty
from tests.support.attesting import EMPTY_RELEASE, publish
from tests.support.live_network import ROOT, LiveNetwork, call, until
from tests.support.ordering import DATA_PLAN

SECRET = b"\x2a" * 32
RESULT_KEY = X25519PrivateKey.from_private_bytes(SECRET).public_key().public_bytes_raw()
CONTENT, CONTENT_KEY = b"rows of a table", b"\x2b" * 32
TERMS = {"price": 1_000, "min_term_ms": 3_000, "beat_every_ms": 1_000, "grace_ms": 2_000, "keep_after_ms": 20_000}
"""Of all machines: hasty, so that a silent one is soon found out."""
MINUTE_MS = 60_000


class ProviderProcess:
    """`bocc provider run` for one account."""

    def __init__(self, net: LiveNetwork, account: FundedAccount, **rules: str) -> None:
        self.account = account
        self.home = net.home / f"provider-{account.name}"
        self.log = net.home / f"{account.name}.log"
        self._net = net
        self.home.mkdir()
        lines = [f'{name} = "{text}"' for name, text in rules.items()]
        terms = [f"{name} = {number}" for name, number in TERMS.items()]
        (self.home / "provider.toml").write_text("\n".join([*lines, "[terms]", *terms]))
        self._process = self._start()

    def _start(self) -> subprocess.Popen:
        command = [sys.executable, "-m", "bocc", "provider", "run", "--from", self.account.name, "--home"]
        with self.log.open("ab") as log:
            return subprocess.Popen([*command, str(self._net.home)], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    def published(self) -> Published:
        """Wait until it serves, and return what it has published."""
        chain_id = bytes.fromhex(self._net.network.record.chain_id)
        until(lambda: "bonded" in self.log.read_text(), self.log.read_text)
        published = load_published(self.home, chain_id)
        assert published is not None
        return published

    def kill(self) -> None:
        """End it at once."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def restart(self) -> None:
        """Start it again."""
        self._process = self._start()

    def replace(self) -> None:
        """Start a second process, and kill the first one once the second is at work."""
        first, before = self._process, self.log.read_text().count("started")
        self._process = self._start()
        until(lambda: self.log.read_text().count("started") > before, self.log.read_text)
        first.send_signal(signal.SIGKILL)
        first.wait()

    def close(self) -> None:
        """End it if it runs."""
        if self._process.poll() is None:
            self.kill()


class LiveMarket:
    """Two machines that run one image, sealed data, and a customer."""

    def __init__(self, net: LiveNetwork) -> None:
        self.net = net
        self.by_name = {account.name: account for account in net.accounts}
        self.customer, self.owner = self.by_name["alice"], self.by_name["dave"]
        first = ProviderProcess(net, self.by_name["bob"])
        self.providers = [first]
        try:
            self.hardware, self.image = first.published().hardware, first.published().image
            self.providers.append(ProviderProcess(net, self.by_name["carol"], image=self.image))
            self.data = self.publish_data("rows")
            self.providers[1].published()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the providers."""
        for provider in self.providers:
            provider.close()

    def call(self, method: str, **params: object) -> dict:
        """Ask a node."""
        return call(self.net.node("node1"), method, **params)

    def send(self, account: FundedAccount, *messages: Message) -> int:
        """Send a transaction that must succeed, and return its height."""

        async def submit() -> int:
            async with self.net.client("node1") as client:
                outcome = await client.send(account.key, messages)
                assert outcome.has_succeeded, outcome
                return outcome.height

        return asyncio.run(submit())

    def publish_data(self, name: str) -> str:
        """Publish sealed data of the owner's whose file lies in the network's home, and return its address."""
        sealed = seal_content(CONTENT, CONTENT_KEY)
        path = self.net.home / f"{name}.sealed"
        path.write_bytes(sealed)
        release = replace(
            EMPTY_RELEASE,
            content_root=sha256(CONTENT).digest(),
            sealed_root=sha256(sealed).digest(),
            key_commit=key_commitment(CONTENT_KEY),
            locators=(path.as_uri(),),
        )
        height = self.send(self.owner, publish(ResourceKind.DATA, release=release, plans=(DATA_PLAN,)))
        cursor = self.call("block", height=height)["first_cursor"]
        events = self.call("events", after=cursor, topics=["published"])["events"]
        (resource,) = [one["attributes"]["resource"] for one in events if one["height"] == height]
        return resource

    @property
    def key_file(self) -> Path:
        """The key of the sealed data."""
        path = self.net.home / "rows.key"
        path.write_bytes(CONTENT_KEY)
        return path

    def place(self, seconds: int, *, data: str | None = None, is_any: bool = False, **changes: object) -> str:
        """Order work of some seconds on the first machine, or on any, and return the order's address."""
        now_ms = time.time_ns() // 1_000_000
        lines = [_line(LineRole.COMPUTE, "" if is_any else self.hardware), _line(LineRole.SOFTWARE, self.image)]
        if data is not None:
            lines.append(_line(LineRole.DATA, data))
        plain = PlaceOrder(
            lines=tuple(lines),
            workload=working(seconds),
            result_key=RESULT_KEY,
            output_to=OutputParty.CUSTOMER,
            purpose=None,
            constraints=(),
            level_min=1,
            machine=ANY_MACHINE if is_any else None,
            deposit=500_000,
            accept_by_ms=now_ms + MINUTE_MS,
            start_by_ms=now_ms + 2 * MINUTE_MS,
            end_by_ms=now_ms + 10 * MINUTE_MS,
            attempts=2,
            after=(),
        )

        async def submit() -> str:
            async with self.net.client("node1") as client:
                transaction = await client.build(self.customer.key, (replace(plain, **changes),))
                sender = parse_address(self.customer.address)
                address = order_address(await client.chain_id(), sender, transaction.body.nonce, 0)
                outcome = await client.submit(transaction)
                assert outcome.has_succeeded, outcome
                return format_address(address)

        return asyncio.run(submit())

    def cli(self, *arguments: object) -> dict:
        """Run a command that must succeed and return its JSON."""
        code, told = self.net.run_cli(*map(str, arguments), "--home", str(self.net.home))
        assert code == 0, told
        return told

    def grant(self, order: str) -> None:
        """Let the owner release the key of the data, by command."""
        self.cli("order", "grant", order, "--key-file", self.key_file, "--from", self.owner.name)

    def order(self, order: str) -> dict:
        """Return what a node tells of an order."""
        return self.call("order", id=order)

    def until(self, order: str, *standings: str, also: Callable[[dict], bool] = lambda _: True) -> dict:
        """Wait until an order is in one of these states, such as `open` or `stalled beat_missed`, and return it."""

        def reached() -> bool:
            told = self.order(order)
            standing = f"{told['state']} {told['reason'] or told['cause'] or ''}".strip()
            return (standing in standings or told["state"] in standings) and also(told)

        until(reached, lambda: (self.order(order), self.logs()))
        return self.order(order)

    def provider_of(self, told: dict) -> ProviderProcess:
        """Return the provider that runs an order."""
        (found,) = [one for one in self.providers if one.account.address == told["operator"]]
        return found

    def logs(self) -> str:
        """Return what the providers logged."""
        return "\n".join(provider.log.read_text() for provider in self.providers)

    def output(self, told: dict, secret: bytes = SECRET) -> bytes:
        """Return the opened output of an order."""
        output = told["run"]["output"]
        sealed = Path(output["reference"].removeprefix("file://")).read_bytes()
        chain_id = bytes.fromhex(self.net.network.record.chain_id)
        opened = open_output(sealed, secret, chain_id, parse_address(told["id"], "boccord", AddressKind.ORDER))
        assert sha256(opened).hexdigest() == output["root"]
        return opened

    def balance(self, account: FundedAccount) -> int:
        """Return the ubocc of an account."""
        return int(self.call("account", address=account.address)["balance"])


ANY_MACHINE = MachineTerms(
    capacity=Capacity(vcpus=1, memory_mib=1, disk_mib=0, network_mbps=0, gpus=()),
    beat_every_ms_max=1_000,
    grace_ms_max=2_000,
    penalty_bp_min=500,
    notice_ms_min=0,
    min_term_ms_max=3_000,
)


def working(seconds: int) -> Workload:
    """Return work that takes this long, with its arguments in the order."""
    content = f'{{"seconds":{seconds}}}'
    return Workload(args_digest=sha256(content.encode()).digest(), args_reference=f"data:,{content}", manifest_root=b"")


def _line(role: LineRole, resource: str) -> OrderLine:
    address = parse_resource(resource) if resource else b""
    return OrderLine(role=role, resource=address, release=0, plan=0, quantity=1, price_max=10**6)


@contextmanager
def live_market(net: LiveNetwork) -> Iterator[LiveMarket]:
    """Give a market on a network, and leave no provider behind."""
    market = LiveMarket(net)
    try:
        yield market
    finally:
        market.close()
