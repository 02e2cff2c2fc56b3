"""Laws of the reads of governance: proposals newest first, page by page, who votes, and the upgrade in the status."""

from __future__ import annotations

import pytest

from node.api.describe import describe_message, describe_validator
from state import governance_queries, protocol
from state.address import format_address
from state.codec import encode
from state.governance_messages import SpendTreasury
from tests.support.chain_builders import account, operator
from tests.support.fixture_chain import FixtureChain, FixtureNode
from tests.support.governing import NO, TEXT, YES, powers_genesis, propose, vote
from tests.support.rpc import Refused, running
from tests.support.upgrading import HEIGHT, UpgradingChain, ballot

SPENDING = SpendTreasury(to=account(3), amount=7)


class Voting(FixtureChain):
    """Five proposals, of which the first is rejected and the last has a vote."""

    def __init__(self) -> None:
        super().__init__(powers_genesis(50, 30, 20))
        payloads = (TEXT, TEXT, TEXT, TEXT, SPENDING)
        self.add(self.sign(0, *(propose(payload) for payload in payloads), nonce=0))
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
        "power": {"total": 100_000_000, "yes": 50_000_000, "no": 0, "abstain": 0, "veto": 0},
        "created_ms": made_ms,
        "created_height": 1,
        "vote_until_ms": made_ms + 120_000,
        "execute_at_ms": None,
        "decided_ms": None,
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
