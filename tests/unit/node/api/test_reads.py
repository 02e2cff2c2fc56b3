"""Laws of reading the chain that the golden transcripts do not show: the past, absence, pages, limits."""

from __future__ import annotations

import pytest

from node.api.errors import ErrorCode
from state.address import VALIDATOR_PREFIX, format_address
from state.chain import Chain
from state.chain_commit import Retention
from state.messages import AuthKey, BondAction, BondPurpose, SetAuth
from state.records import ACCOUNTS
from state.store import MemoryStore
from tests.support.chain_builders import account_key, bond, delegate, make_genesis, register, undelegate, with_params
from tests.support.fixture_chain import BOCC, FixtureChain, FixtureNode, account, operator, transfer, validator_key
from tests.support.rpc import Refused, running


def text(index: int) -> str:
    return format_address(account(index))


async def refused(rpc, method, **params):
    with pytest.raises(Refused) as caught:
        await rpc.call(method, **params)
    return caught.value


async def test_account_is_read_as_it_was_after_each_height():
    async with running(FixtureNode()) as rpc:
        balances = [(await rpc.call("account", address=text(2), height=height))["balance"] for height in range(5)]
        newest = await rpc.call("account", address=text(2))
    start = 1_000_000 * BOCC
    assert [int(balance) - start for balance in balances[:3]] == [0, 0, BOCC]
    assert newest["balance"] == balances[4]
    assert (newest["height"], newest["next_nonce"], newest["highest_nonce"]) == (4, 1, 0)


async def test_account_that_does_not_exist_has_nothing():
    async with running(FixtureNode()) as rpc:
        found = await rpc.call("account", address=format_address(b"\0" * 21))
    assert (found["exists"], found["balance"], found["auth"], found["unused_nonces"]) == (False, "0", None, [])


async def test_account_is_found_by_the_name_of_its_validator():
    async with running(FixtureNode()) as rpc:
        found = await rpc.call("account", address=format_address(operator(0), VALIDATOR_PREFIX))
    assert found["address"] == format_address(operator(0))


async def test_account_shows_the_rewards_that_a_claim_pays():
    fixture = FixtureChain()
    fixture.add(fixture.sign(1, delegate(operator(0), 4_000 * BOCC), nonce=0))
    for nonce in range(3):
        fixture.add(fixture.sign(0, transfer(account(2), 1), nonce=nonce, fee=BOCC))
    async with running(FixtureNode(fixture)) as rpc:
        (shown,) = (await rpc.call("account", address=text(1)))["delegations"]
        (before,) = (await rpc.call("account", address=text(1), height=1))["delegations"]
    assert before["rewards"] == "0"
    rewards = int(shown["rewards"])
    assert rewards > 0
    balance = fixture.chain.ledger.get(ACCOUNTS, account(1)).balance
    claim = fixture.sign(1, bond(BondAction.CLAIM, BondPurpose.DELEGATE, 0, operator(0)), nonce=1)
    fixture.add(claim)
    assert fixture.chain.ledger.get(ACCOUNTS, account(1)).balance == balance + rewards - claim.body.fee


async def test_account_shows_skipped_nonces_stake_keys_and_money_on_its_way_back():
    fixture = FixtureChain()
    keys = (AuthKey(public_key=account_key(1).public_key, weight=2, scopes=3),)
    change = SetAuth(account=account(1), keys=keys, threshold=2, guardians=(), guardian_quorum=0)
    fixture.add(fixture.sign(1, delegate(operator(0), 4 * BOCC), nonce=3))
    fixture.add(
        fixture.sign(1, undelegate(operator(0), 1 * BOCC), nonce=4),
        fixture.sign(1, bond(BondAction.ADD, BondPurpose.PROVIDER, 6 * BOCC), nonce=5),
        fixture.sign(1, change, nonce=6),
    )
    async with running(FixtureNode(fixture)) as rpc:
        found = await rpc.call("account", address=text(1))
    assert found["unused_nonces"] == [[0, 2]]
    assert [(one["stake"], one["rewards"]) for one in found["delegations"]] == [(str(3 * BOCC), "0")]
    assert found["delegations"][0]["validator"] == format_address(operator(0), VALIDATOR_PREFIX)
    assert [one["amount"] for one in found["unbondings"]] == [str(BOCC)]
    assert found["provider_bond"] == str(6 * BOCC)
    pending = found["pending_auth"] or {"auth": found["auth"]}
    assert pending["auth"]["keys"] == [
        {"public_key": account_key(1).public_key.hex(), "weight": 2, "scopes": ["fund", "own"]}
    ]


async def test_height_that_is_not_final_or_no_longer_kept_is_refused_with_the_bound():
    fixture = FixtureChain()
    fixture.chain = Chain.create(
        MemoryStore(), make_genesis(4), retention=Retention(history_heights=2, blocks_ms=1_000, events_ms=1_000)
    )
    for nonce in range(6):
        fixture.add(fixture.sign(0, transfer(account(1), 1), nonce=nonce))
    async with running(FixtureNode(fixture)) as rpc:
        future = await refused(rpc, "account", address=text(0), height=9)
        past = await refused(rpc, "account", address=text(0), height=1)
        unproved = await refused(rpc, "state_proof", key="03", height=2)
        block = await refused(rpc, "block", height=1)
        event = await refused(rpc, "events", after="0")
        status = await rpc.call("status")
        page = await rpc.call("blocks", limit=100)
        oldest = await rpc.call("events", after=event.earliest, limit=1)
    assert (future.code, future.reason, future.bound) == (ErrorCode.NOT_FOUND, "above_tip", 6)
    assert (past.code, past.reason, past.earliest) == (ErrorCode.PRUNED, "pruned", status["earliest"]["state"])
    assert unproved.earliest == status["earliest"]["proof"] == 4
    assert (block.code, block.earliest) == (ErrorCode.PRUNED, status["earliest"]["block"])
    assert event.code == ErrorCode.PRUNED
    assert event.earliest == status["earliest"]["cursor"]
    assert page["blocks"][-1]["height"] == block.earliest
    assert page["cursor"] is None
    assert len(oldest["events"]) == 1


async def test_genesis_is_no_block():
    async with running(FixtureNode(FixtureChain())) as rpc:
        newest = await refused(rpc, "block")
        zero = await refused(rpc, "block", height=0)
        page = await rpc.call("blocks")
    assert newest.reason == zero.reason == "unknown_block"
    assert page == {"blocks": [], "cursor": None}


async def test_block_is_the_same_by_height_by_hash_and_as_the_newest():
    async with running(FixtureNode()) as rpc:
        by_height = await rpc.call("block", height=4)
        assert await rpc.call("block", hash=by_height["hash"]) == by_height
        assert await rpc.call("block") == by_height
        both = await refused(rpc, "block", height=4, hash=by_height["hash"])
        unknown = await refused(rpc, "block", hash="00" * 32)
        upper = await refused(rpc, "block", hash=by_height["hash"].upper())
    assert (both.reason, unknown.reason, upper.reason) == ("bad_params", "unknown_block", "bad_params")


async def test_pages_of_blocks_lead_from_the_newest_to_the_first():
    async with running(FixtureNode()) as rpc:
        first = await rpc.call("blocks", limit=3)
        second = await rpc.call("blocks", limit=3, cursor=first["cursor"])
        for cursor in ("9", "x", "-1"):
            assert (await refused(rpc, "blocks", cursor=cursor)).reason == "bad_cursor"
        assert (await refused(rpc, "blocks", limit=101)).reason == "bad_params"
    assert [block["height"] for block in first["blocks"]] == [4, 3, 2]
    assert [block["height"] for block in second["blocks"]] == [1]
    assert second["cursor"] is None


async def test_validators_of_the_past_are_those_of_the_block():
    async with running(FixtureNode()) as rpc:
        first, later, now = [await rpc.call("validators", **where) for where in ({"height": 1}, {"height": 2}, {})]
    assert (first["epoch"], later["epoch"], now["epoch"], now["height"]) == (0, 1, 1, 5)
    assert (first["total_power"], later["total_power"]) == (40_000_000, 40_000_002)
    assert first["validators"][0]["stake"] is None
    assert now["validators"][0]["status"] == "active"
    assert now["quorum_power"] * 3 > now["total_power"] * 2 >= (now["quorum_power"] - 1) * 3


async def test_candidate_that_found_no_place_in_the_set_is_listed_outside():
    fixture = FixtureChain(with_params(make_genesis(4), "consensus", validators_max=4))
    stake = 20_000 * BOCC
    fixture.add(fixture.sign(2, register(fixture.chain.chain_id, account(2), validator_key(9), stake), nonce=0))
    async with running(FixtureNode(fixture)) as rpc:
        found = await rpc.call("validators")
    assert found["outside"] == [
        {
            "index": None,
            "address": format_address(account(2), VALIDATOR_PREFIX),
            "operator": text(2),
            "public_key": validator_key(9).public_key.hex(),
            "power": 0,
            "status": "candidate",
            "stake": str(stake),
            "jailed_until_ms": None,
        }
    ]
    assert [one["index"] for one in found["validators"]] == [0, 1, 2, 3]
