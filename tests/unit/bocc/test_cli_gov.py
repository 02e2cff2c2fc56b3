"""Laws of `bocc gov`, against a node that is played."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from bocc.cli import gov
from bocc.cli.failures import ExitCode
from bocc.errors import InputRejected
from bocc.wallet import Keyring, development_seed
from state.codec import encode
from state.governance_messages import ChangeParams, Propose, VoteChoice
from state.keyfile import KeyKind
from state.trust_records import AppraisalRules
from tee.appraisal import DEFAULT_POLICY
from tests.support.fake_chain import FakeChain
from tests.support.fake_node import FakeNode, fake_node_in_thread
from tests.support.governing import vote

RULES = AppraisalRules(policy=DEFAULT_POLICY, standing_min=3)
PROPOSAL = {
    "number": 7,
    "title": "cheaper\x1b[2J",
    "proposer": "bocc1qq2umswpyqlguyy8jpfuxhf7qrdq7at82uz36ch9",
    "kind": "text",
    "payload": {"kind": "text", "statement_hash": None},
    "deposit": "100000000",
    "state": "voting",
    "reason": None,
    "remedy": None,
    "outlook": "quorum_missed",
    "is_stale": False,
    "power": {"total": 3, "yes": 1, "no": 0, "abstain": 0, "veto": 2},
    "created_ms": 1_750_000_000_000,
    "created_height": 4,
    "vote_until_ms": 1_750_000_120_000,
    "execute_at_ms": None,
    "decided_ms": None,
    "votes_kept_until_ms": None,
}
VOTERS = [
    {"validator": "boccval1a", "power": 1, "choice": "yes", "time_ms": 1_750_000_001_000},
    {"validator": "boccval1b", "power": 2, "choice": None, "time_ms": None},
]


@pytest.fixture(scope="module")
def shared_node():
    with fake_node_in_thread() as node:
        yield node


@pytest.fixture
def node(shared_node: FakeNode) -> FakeNode:
    shared_node.methods.clear()
    shared_node.calls.clear()
    return shared_node


@pytest.fixture
def chain(node: FakeNode) -> FakeChain:
    played = FakeChain(node)
    node.methods |= {
        "state_proof": lambda key: {"key": key, "value": encode(RULES).hex()},
        "proposals": lambda **_page: {"proposals": [PROPOSAL], "cursor": "6"},
        "proposal": lambda **_number: {"proposal": PROPOSAL, "changes": [], "voters": VOTERS, "cursor": None},
    }
    return played


@pytest.fixture
def run(node, tmp_path):
    Keyring(tmp_path).add("alice", development_seed(KeyKind.ACCOUNT, 0), KeyKind.ACCOUNT, None)

    def invoke(*arguments: object):
        texts = [*map(str, arguments), "--home", str(tmp_path), "--node", node.url]
        return CliRunner().invoke(gov.command, texts, standalone_mode=False)

    return invoke


def sent(chain: FakeChain) -> list[object]:
    return [message for one in chain.taken.values() for message in one.body.messages]


def test_a_template_becomes_a_proposal(run, chain, tmp_path):
    printed = run("template", "change_params").stdout
    lines = [
        line.removeprefix("# ") if "payload.fees]" in line or "# base =" in line else line
        for line in printed.splitlines()
    ]
    document = tmp_path / "change.toml"
    document.write_text("\n".join(lines).replace('title = ""', 'title = "x"').replace("base = 1000", "base = 999"))
    assert run("propose", document, "--from", "alice", "--json").return_value == ExitCode.DONE
    (message,) = sent(chain)
    assert isinstance(message, Propose)
    assert isinstance(message.payload, ChangeParams)
    assert (message.payload.fees.base, message.payload.blocks) == (999, None)


def test_a_document_with_a_mistake_is_not_sent(run, chain, tmp_path):
    document = tmp_path / "change.toml"
    document.write_text("title = 3")
    assert isinstance(run("propose", document, "--from", "alice").exception, InputRejected)
    assert chain.taken == {}


@pytest.mark.parametrize("choice", VoteChoice)
def test_a_vote_is_sent(run, chain, choice):
    assert run("vote", 7, choice.name.lower(), "--from", "alice", "--json").return_value == ExitCode.DONE
    assert sent(chain) == [vote(choice, 7)]


def test_the_list_is_a_table_that_nobody_steers(run, chain):
    shown = run("list").stdout
    assert (
        "7       voting  text  33.33 %  0.00 %  66.66 %  2025-06-15 15:08:40.000  cheaper\N{REPLACEMENT CHARACTER}[2J"
        in shown
    )
    assert "Older ones: --cursor 6" in shown
    assert json.loads(run("list", "--json").stdout)["proposals"] == [PROPOSAL]


def test_a_proposal_is_shown_with_its_votes(run, chain):
    shown = run("show", 7).stdout
    told = dict(line.split(maxsplit=1) for line in shown.partition("\n\n")[0].splitlines())
    assert (told["outlook"], told["deposit"], told["yes"]) == ("quorum_missed", "100 BOCC", "33.33 %")
    assert "boccval1a  1      yes   2025-06-15 15:06:41.000" in shown
    assert json.loads(run("show", 7, "--json").stdout)["voters"] == VOTERS


def test_what_a_proposal_would_change_is_shown_value_by_value_in_place_of_whole_groups(run, node, chain):
    changes = [
        {"name": "fees.base", "present": 1000, "proposed": 999},
        {"name": "rules.policy.clouds", "present": [], "proposed": ["here\x1b", "there"]},
    ]
    payload = {"kind": "change_params", "fees": {"base": 999, "per_byte": 10}}
    told = {"proposal": {**PROPOSAL, "payload": payload}, "changes": changes, "voters": VOTERS, "cursor": None}
    node.methods["proposal"] = lambda **_number: told
    shown = run("show", 7).stdout
    lines = [line.split() for line in shown.splitlines() if line.startswith(("changes", "fees", "rules"))]
    assert lines == [
        ["changes", "present", "proposed"],
        ["fees.base", "1000", "999"],
        ["rules.policy.clouds", "[]", '["here\\u001b","there"]'],
    ]
    assert ("per_byte" in shown, "basis_moved" in shown) == (False, False)
    assert json.loads(run("show", 7, "--json").stdout) == told


def test_a_stale_proposal_and_forgotten_votes_are_said_in_words(run, node, chain):
    told = {"proposal": {**PROPOSAL, "is_stale": True}, "changes": [], "voters": None, "cursor": None}
    node.methods["proposal"] = lambda **_number: told
    shown = run("show", 7).stdout
    assert "It will fail (basis_moved): what it replaces was changed since it was proposed." in shown
    assert "Who voted how is no longer on record." in shown
