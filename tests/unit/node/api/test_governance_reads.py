"""Laws of the reads of governance: proposals newest first, page by page, who votes, and the upgrade in the status."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from node.api.describe import describe_message, describe_validator
from state import governance_queries, governance_records, protocol
from state.address import format_address
from state.codec import encode
from state.governance_messages import SetRules, SpendTreasury
from state.governance_records import VOTES_KEPT_MS
from state.records import ONLY
from state.trust_records import APPRAISAL_RULES
from tests.support.chain_builders import account, operator
from tests.support.fixture_chain import FixtureChain, FixtureNode
from tests.support.governing import NO, TEXT, YES, change, powers_genesis, propose, vote
from tests.support.rpc import Refused, running
from tests.support.upgrading import HEIGHT, UpgradingChain, ballot

SPENDING = SpendTreasury(to=account(3), amount=7)


class Voting(FixtureChain):
    """Five proposals, of which the first is rejected and the last has a vote."""

    def __init__(self) -> None:
        super().__init__(powers_genesis(50, 30, 20))
        self.add(self.sign(1, *(propose(TEXT) for _ in range(4)), nonce=0), self.sign(0, propose(SPENDING), nonce=0))
        self.add(ballot(self, 0, vote(NO, 1), vote(YES, 5)), ballot(self, 1, vote(NO, 1)))


@pytest.fixture(scope="module")
def node():
    return FixtureNode(Voting())


async def ask(node, method, **params):
    async with running(node) as rpc:
        return await rpc.call(method, **params)


async def test_proposals_come_newest_first_page_by_page(node):
    pages, cursor = [], {}
    while cursor is not None:
        page = await ask(node, "proposals", limit=2, **cursor)
        pages.append([each["number"] for each in page["proposals"]])
        cursor = None if page["cursor"] is None else {"cursor": page["cursor"]}
    assert pages == [[5, 4], [3, 2], [1]]
    assert (await ask(node, "proposals", cursor="99", limit=1))["proposals"][0]["number"] == 5


def test_a_page_of_long_proposals_is_short(node, monkeypatch):
    """Given payloads of which two fill a page, when all are read, then none is missing, and one that is longer stands alone."""
    ledger = node.fixture.chain.ledger
    length = len(encode(TEXT))
    numbers = []
    for byte_count in (2 * length, length - 1):
        monkeypatch.setattr(governance_queries, "PAGE_BYTES_MAX", byte_count)
        pages, cursor = [], None
        while not pages or cursor is not None:
            page = governance_queries.proposals(ledger, 20, cursor)
            pages.append([view.number for view in page.proposals])
            cursor = page.next_cursor
        numbers.append(pages)
    assert numbers == [[[5], [4, 3], [2, 1]], [[5], [4], [3], [2], [1]]]


async def test_a_proposal_tells_what_it_changes_and_what_its_votes_come_to(node):
    told = (await ask(node, "proposal", number=5))["proposal"]
    made_ms = node.fixture.genesis.time_ms + 1_000
    assert told == {
        "number": 5,
        "title": "a change",
        "proposer": format_address(account(0)),
        "kind": "spend_treasury",
        "payload": {"kind": "spend_treasury", "to": format_address(account(3)), "amount": "7"},
        "deposit": "100000000",
        "state": "voting",
        "reason": None,
        "remedy": None,
        "outlook": "passes",
        "is_stale": False,
        "power": {"total": 100_000_000, "yes": 50_000_000, "no": 0, "abstain": 0, "veto": 0},
        "created_ms": made_ms,
        "created_height": 1,
        "vote_until_ms": made_ms + 120_000,
        "execute_at_ms": None,
        "decided_ms": None,
        "votes_kept_until_ms": None,
    }


async def test_a_rejected_proposal_tells_why_and_what_helps(node):
    told = (await ask(node, "proposal", number=1))["proposal"]
    assert (told["state"], told["reason"], told["outlook"]) == ("rejected", "majority_missed", None)
    assert (told["remedy"], told["deposit"]) == ("propose again with more support", "0")
    assert (await ask(node, "proposal", number=2))["proposal"]["outlook"] == "quorum_missed"


async def test_those_who_may_vote_come_with_their_votes_page_by_page(node):
    first = await ask(node, "proposal", number=5, limit=2)
    second = await ask(node, "proposal", number=5, limit=2, cursor=first["cursor"])
    assert second["cursor"] is None
    voters = {each["validator"]: (each["power"], each["choice"]) for each in first["voters"] + second["voters"]}
    assert voters == {
        describe_validator(operator(0)): (50_000_000, "yes"),
        describe_validator(operator(1)): (30_000_000, None),
        describe_validator(operator(2)): (20_000_000, None),
    }


class Changing(FixtureChain):
    """Three changes of parameters without a timelock, of which the second is executed."""

    def __init__(self) -> None:
        super().__init__(powers_genesis(60, 40, timelock_ms=0))
        self.rules = self.chain.ledger.get(APPRAISAL_RULES, ONLY)
        policy = replace(self.rules.policy, clouds=("here",))
        rules = SetRules(rules=replace(self.rules, policy=policy, standing_min=4))
        limits = change(self.genesis.params, "fees", base=3, per_byte=7)
        both = replace(limits, market=replace(self.genesis.params.market, fee_bp=5))
        self.add(
            self.sign(0, propose(both), propose(change(self.genesis.params, "fees", base=9)), propose(rules), nonce=0)
        )
        self.add(ballot(self, 0, vote(YES, 2)))
        self.add()


async def test_a_proposal_under_way_tells_value_by_value_what_it_would_change_and_whether_it_would_fail():
    fixture = Changing()
    node, params = FixtureNode(fixture), fixture.genesis.params
    told = [await ask(node, "proposal", number=number) for number in (1, 2, 3)]
    assert [(each["proposal"]["state"], each["proposal"]["is_stale"]) for each in told] == [
        ("voting", True),
        ("executed", False),
        ("voting", False),
    ]
    assert [each["changes"] for each in told] == [
        [
            {"name": "fees.base", "present": 9, "proposed": 3},
            {"name": "fees.per_byte", "present": params.fees.per_byte, "proposed": 7},
            {"name": "market.fee_bp", "present": params.market.fee_bp, "proposed": 5},
        ],
        [],
        [
            {"name": "rules.policy.clouds", "present": list(fixture.rules.policy.clouds), "proposed": ["here"]},
            {"name": "rules.standing_min", "present": fixture.rules.standing_min, "proposed": 4},
        ],
    ]


async def test_votes_that_are_no_longer_on_record_are_not_told_as_votes_not_cast(monkeypatch):
    fixture = Changing()
    node, kept_ms = FixtureNode(fixture), 1_000
    before = await ask(node, "proposal", number=2)
    assert [each["choice"] for each in before["voters"]].count("yes") == 1
    assert before["proposal"]["votes_kept_until_ms"] == before["proposal"]["decided_ms"] + VOTES_KEPT_MS
    monkeypatch.setattr(governance_records, "VOTES_KEPT_MS", kept_ms)
    fixture.add()
    after = await ask(node, "proposal", number=2)
    assert (after["voters"], after["cursor"]) == (None, None)
    assert after["proposal"]["power"] == before["proposal"]["power"]


@pytest.mark.parametrize("number", [0, 6])
async def test_a_number_that_is_not_given_is_refused(node, number):
    async with running(node) as rpc:
        with pytest.raises(Refused) as refusal:
            await rpc.call("proposal", number=number)
    assert refusal.value.reason == "no_such_proposal"


@pytest.mark.parametrize(("spoken", "is_spoken"), [(1, False), (2, True)])
async def test_status_tells_the_upgrade_that_is_due_and_whether_the_node_can_follow(spoken, is_spoken, monkeypatch):
    node = FixtureNode(UpgradingChain())
    monkeypatch.setattr(protocol, "PROTOCOL_VERSION", spoken)
    assert (await ask(node, "status"))["upgrade"] == {
        "height": HEIGHT,
        "protocol": 2,
        "software": "bocc 2.0",
        "is_spoken": is_spoken,
    }


def test_messages_have_their_names():
    assert describe_message(vote(YES, 3)) == {"kind": "vote", "proposal": 3, "choice": "yes"}
    assert describe_message(propose(SPENDING))["kind"] == "propose"
