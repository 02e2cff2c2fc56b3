"""Laws of proposals as people write them: every kind has a template that can be read back, and mistakes are told by their place."""

from __future__ import annotations

import tomllib

import pytest
from msgspec.structs import replace

from bocc.errors import InputReason, InputRejected
from bocc.governance import PAYLOADS, Present, name_fields, parse_proposal
from bocc.proposal_templates import template
from state.address import AddressRejected, format_address
from state.development_genesis import DEVELOPMENT_PARAMS
from state.governance_messages import (
    ChangeParams,
    ChangeValidator,
    ListPlatform,
    Propose,
    SetBrake,
    SetRules,
    SpendTreasury,
    ValidatorChange,
)
from state.params import WorkOverride
from state.trust_records import AppraisalRules, Brake, BrakeScope, PlatformVerdict
from tee.appraisal import DEFAULT_POLICY, Waiver
from tests.support.chain_builders import account, operator
from tests.support.governing import NO_CHANGE

PRESENT = Present(params=DEVELOPMENT_PARAMS, rules=AppraisalRules(policy=DEFAULT_POLICY, standing_min=3))
NOW_MS = 1_750_000_000_000
HEAD = 'title = "a change"\ndeposit = "100"\n[payload]\n'


def find(name: str) -> bytes:
    if name == "bob":
        return account(1)
    raise InputRejected(InputReason.UNKNOWN_NAME, name)


def parse(body: str) -> Propose:
    return parse_proposal((HEAD + body).encode(), PRESENT, find)


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        pytest.param(
            'kind = "change_params"\n[payload.fees]\nbase = 7\nwork_overrides = [{message = 1, work = 3}]',
            replace(
                NO_CHANGE,
                fees=replace(DEVELOPMENT_PARAMS.fees, base=7, work_overrides=(WorkOverride(message=1, work=3),)),
            ),
            id="parameters, the rest as at present",
        ),
        pytest.param(
            'kind = "set_rules"\n[payload.rules.policy]\nwaivers = [{advisory = "INTEL-SA-1", until_s = 9}]',
            SetRules(
                rules=replace(
                    PRESENT.rules,
                    policy=replace(DEFAULT_POLICY, waivers=(Waiver(advisory="INTEL-SA-1", until_s=9),)),
                )
            ),
            id="rules, the rest as at present",
        ),
        pytest.param(
            'kind = "list_platform"\nplatform = "01aa"\nverdict = "denied"',
            ListPlatform(platform=b"\x01\xaa", verdict=PlatformVerdict.DENIED),
            id="an enumeration",
        ),
        pytest.param(
            'kind = "list_platform"\nplatform = "01aa"', ListPlatform(platform=b"\x01\xaa", verdict=None), id="nothing"
        ),
        pytest.param(
            'kind = "spend_treasury"\nto = "bob"\namount = "0.5"',
            SpendTreasury(to=account(1), amount=500_000),
            id="the name of a key, and money",
        ),
        pytest.param(
            f'kind = "change_validator"\nvalidator = "{format_address(operator(0), "boccval")}"\nchange = "jail"',
            ChangeValidator(validator=operator(0), change=ValidatorChange.JAIL),
            id="an address",
        ),
        pytest.param(
            'kind = "set_brake"\n[payload.brake]\nscope = "tee"\nsubject = "02"\nuntil_ms = 5',
            SetBrake(brake=Brake(scope=BrakeScope.TEE, subject=b"\x02", until_ms=5)),
            id="a struct within",
        ),
    ],
)
def test_a_document_says_what_changes(body: str, payload: object) -> None:
    assert parse(body) == Propose(title="a change", payload=payload, deposit=100_000_000)


def test_the_template_of_parameters_without_its_marks_is_the_present_ones() -> None:
    lines = template("change_params", PRESENT, NOW_MS).splitlines()
    unmarked = [line.removeprefix("# ") for line in lines if not line.startswith("# Take")]
    proposal = parse_proposal("\n".join(unmarked).replace('""', '"x"').encode(), PRESENT, find)
    groups = {name: getattr(DEVELOPMENT_PARAMS, name) for name in DEVELOPMENT_PARAMS.__struct_fields__}
    assert proposal.payload == ChangeParams(**groups)
    assert proposal.deposit == DEVELOPMENT_PARAMS.governance.proposal_deposit


def test_the_template_of_rules_is_the_present_ones() -> None:
    document = template("set_rules", PRESENT, NOW_MS).replace('title = ""', 'title = "x"')
    assert parse_proposal(document.encode(), PRESENT, find).payload == SetRules(rules=PRESENT.rules)


FILLED = {
    "list_platform": {"platform": "01aa"},
    "distrust_root": {"fingerprint": "aa" * 32},
    "schedule_number": {"root": "aa" * 32},
    "upgrade": {"software": "bocc 2"},
    "change_validator": {"validator": "bob"},
    "spend_treasury": {"to": "bob"},
    "end_order": {"order": "bob"},
}


@pytest.mark.parametrize("kind", PAYLOADS)
def test_every_kind_has_a_template_that_can_be_filled_in(kind: str) -> None:
    document = template(kind, PRESENT, NOW_MS).replace('title = ""', 'title = "x"')
    for name, value in FILLED.get(kind, {}).items():
        assert f'{name} = ""' in document
        document = document.replace(f'{name} = ""', f'{name} = "{value}"')
    assert tomllib.loads(document)["payload"]["kind"] == kind
    assert type(parse_proposal(document.encode(), PRESENT, find).payload) is PAYLOADS[kind]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        pytest.param("title", "Expected '='", id="no TOML"),
        pytest.param('title = "x"\ndeposit = "1"', "document: without payload", id="no payload"),
        pytest.param('payload = 3\ntitle = "x"\ndeposit = "1"', "payload.kind: one of change_params", id="no table"),
        pytest.param(HEAD + "kind = [1]", "payload.kind: one of change_params", id="kind of no text"),
        pytest.param(
            HEAD + 'kind = "change_validator"\nvalidator = "bob"\nchange = [1]', "payload.change: one of", id="list"
        ),
        pytest.param(HEAD + 'kind = "nonsense"', "payload.kind: one of change_params", id="unknown kind"),
        pytest.param(
            HEAD + 'kind = "text"\nwords = 1', "payload: unknown words; known are statement_hash", id="unknown"
        ),
        pytest.param(HEAD + 'kind = "text"', "payload: without statement_hash", id="missing"),
        pytest.param(HEAD + 'kind = "text"\nstatement_hash = 3', "payload.statement_hash: hex or an", id="no text"),
        pytest.param(
            HEAD + 'kind = "change_params"\n[payload.fees]\nbases = 3', "payload.fees: unknown bases", id="misspelt"
        ),
        pytest.param(HEAD + 'kind = "change_params"\n[payload.fees]\nbase = "3"', "Expected `int`", id="a text"),
        pytest.param(HEAD + 'kind = "change_params"\n[payload.fees]\nbase = -3', "Expected `int` >= 0", id="below"),
        pytest.param(
            HEAD + 'kind = "change_validator"\nvalidator = "bob"\nchange = "ban"',
            "payload.change: one of jail remove",
            id="no member",
        ),
        pytest.param(
            HEAD + 'kind = "set_rules"\n[payload.rules.policy]\nclouds = "x"',
            "payload.rules.policy.clouds: a list",
            id="no list",
        ),
    ],
)
def test_a_mistake_is_told_by_its_place(document: str, told: str) -> None:
    with pytest.raises(InputRejected) as caught:
        parse_proposal(document.encode(), PRESENT, find)
    assert caught.value.reason is InputReason.BAD_PROPOSAL
    assert told in str(caught.value.seen)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(InputRejected) as caught:
        parse_proposal(b"title = '\xff'", PRESENT, find)
    assert caught.value.reason is InputReason.BAD_PROPOSAL


def test_unknown_names_and_broken_addresses_are_refused() -> None:
    with pytest.raises(InputRejected) as caught:
        parse('kind = "end_order"\norder = "nobody"')
    assert caught.value.reason is InputReason.UNKNOWN_NAME
    with pytest.raises(AddressRejected):
        parse('kind = "end_order"\norder = "boccord1qqqq"')


def test_texts_bytes_and_names_are_spelled_so_that_they_can_be_read_back() -> None:
    brake = Brake(scope=BrakeScope.TEE, subject=b"\x02", until_ms=5)
    assert name_fields(brake) == {"scope": "tee", "subject": "02", "until_ms": 5}
