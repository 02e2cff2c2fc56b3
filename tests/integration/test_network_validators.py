"""The validator set changes while the chain runs: somebody leaves, joins, is jailed, returns; who slept through it catches up.

Validators also change the rules while it runs.
"""

from __future__ import annotations

import asyncio
import shutil

import pytest
from msgspec.structs import replace

from bocc.wallet import Keyring
from state.keyfile import load_key
from tests.support.governing import YES, vote
from tests.support.live_network import LiveNetwork, call, further_node, live_network, run_cli, until
from tests.support.live_traffic import BackgroundTraffic

STAKE = "10000000"
UNBONDING_MS = 4_000
JAIL_MS = 2_000


def shorten(params):
    """Return parameters under which a set changes at once, the dead are jailed after five missed views, and votes count at once."""
    return replace(
        params,
        consensus=replace(params.consensus, validator_update_interval_ms=100),
        staking=replace(
            params.staking,
            unbonding_ms=UNBONDING_MS,
            evidence_age_ms=3_000,
            downtime_window=10,
            jail_ms=JAIL_MS,
        ),
        governance=replace(params.governance, timelock_ms=200),
    )


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """A network of five validators."""
    with live_network(tmp_path_factory.mktemp("five"), 5, shorten) as net:
        yield net


@pytest.fixture
def net(five):
    """The five, in step before and after the test."""
    five.mark_logs()
    yield five
    five.restore()
    assert five.errors() == ""


class Staking:
    """Bonds by the command line, and what the chain says about validators."""

    def __init__(self, net: LiveNetwork) -> None:
        self._net = net
        self._home = ("--home", str(net.home), "--json")

    def tx(self, kind: str, operator: str, *arguments: str) -> int:
        """Send a transaction of an operator, see that it succeeds, and return the height of its block."""
        code, sent = run_cli("tx", kind, "--from", operator, *arguments, *self._home)
        assert (code, sent["receipt"]["status"]) == (0, "ok"), sent
        return sent["height"]

    def address(self, operator: str) -> str:
        return Keyring(self._net.home).describe(operator).address

    def balance(self, operator: str, height: int | None = None) -> int:
        at = {} if height is None else {"height": height}
        return int(self._net.call("node0", "account", address=self.address(operator), **at)["balance"])

    def find(self, operator: str) -> dict:
        """Return what the chain says of a validator in the set or on the roster; status gone if it is on neither."""
        shown = self._net.call("node0", "validators")
        address = self.address(operator)
        known = (one for one in shown["validators"] + shown["outside"] if one["operator"] == address)
        return next(known, {"status": "gone"})

    def until_status(self, operator: str, status: str) -> None:
        """Wait until a validator has a status, making a block now and then, because an idle chain changes nothing."""

        def has_status() -> bool:
            if self.find(operator)["status"] == status:
                return True
            self.push()
            return False

        until(has_status, lambda: self.find(operator))

    def push(self) -> None:
        """Have something for a block."""
        self._net.call("node0", "faucet", address=self.address("bob"), amount="1")

    def time_ms(self, height: int | None = None) -> int:
        """Return the time of a block, the newest without a height."""
        at = {} if height is None else {"height": height}
        return self._net.call("node0", "block", **at)["header"]["time_ms"]

    @property
    def members(self) -> set[str]:
        """Operators of the present set, on the node that is asked first."""
        return {one["operator"] for one in self._net.call("node0", "validators")["validators"]}

    @property
    def epoch(self) -> int:
        return self._net.call("node0", "status")["epoch"]


def test_a_validator_that_unbonds_leaves_the_set_gets_its_money_after_the_delay_and_may_return(net):
    staking = Staking(net)
    epoch, before = staking.epoch, staking.balance("operator4")
    first = staking.tx("unbond", "operator4", "--amount", STAKE)
    staking.until_status("operator4", "gone")
    until(lambda: len(staking.members) == 4, lambda: staking.members)
    staking.push()
    net.converge()
    assert staking.epoch == epoch + 1
    until(lambda: staking.balance("operator4") > before, lambda: "the stake does not return")
    returned = first
    while staking.balance("operator4", returned) <= before:
        returned += 1
    assert staking.time_ms(returned) - staking.time_ms(first) >= UNBONDING_MS
    staking.tx("bond", "operator4", "--amount", STAKE)
    staking.until_status("operator4", "active")
    net.converge()
    assert (len(staking.members), staking.epoch) == (5, epoch + 2)


async def test_a_node_that_bonds_a_fresh_key_joins_the_set_without_a_restart_and_signs(net, tmp_path):
    """Given a new node in step, when its operator bonds, then it proposes and signs blocks until it unbonds again."""
    staking, home = Staking(net), tmp_path / "further"
    with further_node(net, home, "--validator", "--plain") as (_, node):
        until(lambda: call(node, "status")["height"] >= net.height("node0"), lambda: "not in step")
        assert call(node, "status")["validator"] is None
        shutil.copyfile(home / "keys" / "validator.json", net.home / "keys" / "further.json")
        (net.home / "keys" / "further.json").chmod(0o600)
        staking.tx("bond", "ivan", "--amount", "900000", "--consensus-key", "further")
        staking.until_status("ivan", "active")
        public_key = load_key(home / "keys" / "validator.json").signing_key().public_key.hex()
        assert staking.find("ivan")["public_key"] == public_key
        address = staking.find("ivan")["address"]
        first = net.height("node0")
        async with BackgroundTraffic(net, "joined"):
            await asyncio.sleep(2.0)
        blocks = [net.call("node0", "block", height=height) for height in range(first + 1, net.height("node0") + 1)]
        index = staking.find("ivan")["index"]
        assert {block["header"]["proposer"] for block in blocks} >= {address}
        assert any(index in block["certificate"]["signers"] for block in blocks if block["certificate"])
        staking.tx("unbond", "ivan", "--amount", "900000")
        staking.until_status("ivan", "gone")
        until(lambda: len(staking.members) == 5, lambda: staking.members)
        until(lambda: call(node, "status")["height"] == net.height("node0"), lambda: "left behind")


async def test_a_dead_validator_is_jailed_and_returns_when_it_asks_to(net):
    staking = Staking(net)
    await asyncio.to_thread(net.kill, "node4")
    async with BackgroundTraffic(net, "jail") as traffic:
        await asyncio.to_thread(until, lambda: staking.find("operator4")["status"] == "jailed", lambda: "not jailed")
        payments = len(traffic.payments)
        await asyncio.to_thread(net.start, "node4")
    assert len(traffic.payments) >= payments > 0
    assert len(staking.members) == 4
    code, refused = run_cli("tx", "unjail", "--from", "operator0", "--home", str(net.home), "--json")
    assert (code, refused["receipt"]["reason"]) == (1, "not_jailed")
    jailed_until_ms = staking.find("operator4")["jailed_until_ms"]
    until(lambda: staking.push() or staking.time_ms() > jailed_until_ms, lambda: "time stands still")
    staking.tx("unjail", "operator4")
    staking.until_status("operator4", "active")
    assert len(staking.members) == 5


def test_a_node_that_slept_through_two_changes_of_the_set_catches_up_and_so_does_a_wiped_one(net):
    """Given a stopped validator, when others leave and return, then it follows through both epochs; and so from genesis."""
    staking = Staking(net)
    epoch = staking.epoch
    net.stop("node4")
    staking.tx("unbond", "operator3", "--amount", STAKE)
    staking.until_status("operator3", "gone")
    until(lambda: staking.push() or staking.epoch == epoch + 1, lambda: staking.epoch)
    staking.tx("bond", "operator2", "--amount", "1")
    until(lambda: staking.push() or staking.epoch == epoch + 2, lambda: staking.epoch)
    net.start("node4")
    tip = net.converge()
    assert {net.call(name, "status")["epoch"] for name in net.names} == {epoch + 2}
    net.stop("node4")
    assert run_cli("node", "reset", "--yes", "--home", str(net.home / "node4"), "--json")[0] == 0
    net.start("node4")
    net.converge()
    assert net.tip("node4", tip.height) == tip
    until(lambda: staking.balance("operator3") > 10**13, lambda: "the stake does not return")
    staking.tx("bond", "operator3", "--amount", STAKE)
    staking.until_status("operator3", "active")
    net.converge()


def test_validators_change_a_parameter_and_schedule_an_upgrade_while_the_chain_runs(net, tmp_path):
    """Given a proposal, when three of five vote yes, then all nodes have the new values, also after a restart."""
    staking, home = Staking(net), ("--home", str(net.home), "--json")
    document = tmp_path / "change.toml"

    async def vote_yes(number: int) -> None:
        ring = Keyring(net.home)
        async with net.client("node1") as client:
            for name in ("operator1", "operator2"):
                assert (await client.send(ring.load(name).signing_key(), (vote(YES, number),))).has_succeeded

    def enact(number: int, text: str) -> None:
        document.write_text(f'title = "live"\ndeposit = "100"\n[payload]\n{text}\n')
        code, sent = run_cli("gov", "propose", str(document), "--from", "alice", *home)
        assert (code, sent["receipt"]["status"]) == (0, "ok"), sent
        code, sent = run_cli("gov", "vote", str(number), "yes", "--from", "operator0", *home)
        assert (code, sent["receipt"]["status"]) == (0, "ok"), sent
        asyncio.run(vote_yes(number))
        until(
            lambda: net.call("node0", "proposal", number=number)["proposal"]["state"] == "executed",
            lambda: net.call("node0", "proposal", number=number),
        )

    enact(1, 'kind = "change_params"\n[payload.fees]\nbase = 1234\n[payload.consensus]\ntimer_min_ms = 777')
    staking.push()
    until(
        lambda: all(net.call(name, "consensus_state")["timeout_ms"] >= 777 for name in net.names),
        lambda: [net.call(name, "consensus_state")["timeout_ms"] for name in net.names],
    )
    net.stop("node4")
    net.start("node4")
    net.converge()
    assert {net.call(name, "params")["fees"]["base"] for name in net.names} == {1234}
    enact(2, f'kind = "upgrade"\nheight = {10**9}\nprotocol = 2\nsoftware = "bocc 2"\nverifier_changed = false')
    net.converge()
    due = {"height": 10**9, "protocol": 2, "software": "bocc 2", "is_spoken": False}
    assert [net.call(name, "status")["upgrade"] for name in net.names] == [due] * 5
    assert all("upgrade_due" in net.log(name) for name in net.names)
    assert run_cli("health", "--node", "node0", *home)[1]["upgrade"] == due
    code, listed = run_cli("gov", "list", *home)
    assert (code, [(one["number"], one["state"]) for one in listed["proposals"]]) == (
        0,
        [(2, "executed"), (1, "executed")],
    )
