"""Laws of the reads of trust: what the chain holds, marked where it is simulated, page by page, and the dry run of evidence."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from bocc.light import verify_file
from node.api.describe_chain import BODY_BYTES_MAX
from node.api.views_trust import SIMULATED_NOTICE
from state.address import format_address, parse_address
from state.attestation import enclave_address
from state.messages import Transfer
from state.trust_messages import Attest, PutCollateral
from tee.simulated import SimulatedVendor, recovery_template
from tee.simulated_quotes import TD_ATTRIBUTES, TD_DEBUG, TdBody
from tests.support.chain_builders import account
from tests.support.fixture_chain import FixtureChain, FixtureNode
from tests.support.rpc import Refused, running
from tests.support.trust_fixture import PROVIDER, trust_node
from tests.support.vendor_machines import amd_list, vendors_genesis

NOBODY = format_address(enclave_address(bytes(32)))


@pytest.fixture
def node():
    return trust_node()


async def ask(node, method, **params):
    async with running(node) as rpc:
        return await rpc.call(method, **params)


async def refused(node, method, **params):
    async with running(node) as rpc:
        try:
            told = await rpc.call(method, **params)
        except Refused as refusal:
            return refusal.reason
        raise AssertionError(told)


def whole(attest: Attest, operator: bytes, **changes: object) -> dict:
    """Return the parameters that try an attestation."""
    return {
        "evidence": attest.evidence.hex(),
        "tee": "tdx",
        "operator": format_address(operator),
        "hardware": format_address(attest.hardware),
        "image": format_address(attest.image),
        "release": attest.release,
        "sign_key": attest.sign_key.hex(),
        "seal_key": attest.seal_key.hex(),
        "challenge_height": attest.challenge_height,
        "signature": attest.signature.hex(),
        **changes,
    }


async def test_documents_are_listed_without_bytes_page_by_page_and_shown_with_them(node):
    first = await ask(node, "collaterals", limit=3)
    second = await ask(node, "collaterals", limit=3, cursor=first["cursor"])
    listed = first["collaterals"] + second["collaterals"]
    assert second["cursor"] is None
    assert [one["kind"] for one in listed] == [
        "intel_root_crl",
        "intel_pck_crl",
        "intel_tcb_info",
        "intel_qe_identity",
    ]
    assert {(one["body"], one["is_simulated"], one["notice"]) for one in listed} == {(None, True, SIMULATED_NOTICE)}
    documents = {one.kind.name.lower(): one for one in node.fixture.tee.documents(listed[0]["issued_ms"] // 1_000)}
    for one in listed:
        shown = await ask(node, "collateral", key=one["key"])
        document = documents[one["kind"]]
        assert bytes.fromhex(shown["body"]) == document.body
        assert [bytes.fromhex(der) for der in shown["chain"]] == list(document.chain)
        assert {**shown, "body": None, "chain": None} == one


async def test_a_document_of_simulated_hardware_is_marked_whichever_vendor_it_stands_for():
    chain = FixtureChain(vendors_genesis())
    chain.add(chain.sign(PROVIDER, amd_list(), nonce=0))
    (listed,) = (await ask(FixtureNode(chain), "collaterals"))["collaterals"]
    assert (listed["kind"], listed["is_simulated"], listed["notice"]) == ("amd_crl", True, SIMULATED_NOTICE)


async def test_subjects_of_documents_are_told(node):
    listed = (await ask(node, "collaterals"))["collaterals"]
    told = {one["kind"]: (one["number"], one["tee"], one["fmspc"], one["issuer"] is not None) for one in listed}
    assert told == {
        "intel_root_crl": (0, None, None, True),
        "intel_pck_crl": (0, None, None, True),
        "intel_tcb_info": (20, "tdx", "ff00ff00ff00", False),
        "intel_qe_identity": (20, "tdx", None, False),
    }


@pytest.mark.parametrize(
    ("method", "params", "reason"),
    [
        ("collateral", {"key": "00" * 29}, "no_collateral"),
        ("collateral", {"key": "00" * 28}, "bad_params"),
        ("collaterals", {"cursor": "x"}, "bad_cursor"),
        ("collaterals", {"cursor": "9" * 17}, "bad_cursor"),
        ("collaterals", {"limit": 101}, "bad_params"),
        ("enclave", {"id": NOBODY}, "no_enclave"),
        ("enclave", {"id": format_address(account(1))}, "wrong_prefix"),
        ("enclaves", {"cursor": "00"}, "bad_cursor"),
        ("enclaves", {"operator": format_address(account(1)), "cursor": "00" * 28}, "bad_cursor"),
        ("enclaves", {"hardware": format_address(bytes((1, *bytes(20)))), "cursor": "00" * 28}, "bad_cursor"),
        ("enclaves", {"tee": "psp"}, "bad_params"),
        ("forecast", {}, "bad_params"),
        ("forecast", {"enclave": NOBODY, "operator": format_address(account(1))}, "bad_params"),
        ("forecast", {"enclave": NOBODY}, "no_enclave"),
        ("resource", {"id": format_address(bytes((1, *bytes(20))))}, "no_such_resource"),
        ("appraise", {"evidence": "00", "tee": "tdx", "sign_key": "00" * 32}, "bad_params"),
    ],
)
async def test_what_is_not_there_or_makes_no_sense_is_refused_with_a_reason(node, method, params, reason):
    assert await refused(node, method, **params) == reason


async def test_an_enclave_shows_level_one_and_its_proof_verifies(node):
    fixture = node.fixture
    told = await ask(node, "enclave", id=format_address(fixture.enclave), prove=True)
    assert (told["state"], told["level"], told["standing"], told["is_usable"]) == ("trusted", 1, 5, True)
    assert (told["is_simulated"], told["notice"]) == (True, SIMULATED_NOTICE)
    assert told["measurements"]["mr_td"] == TdBody().mr_td.hex() == told["claims"]["mr_td"]
    assert parse_address(told["operator"]) == account(PROVIDER)
    fact = verify_file(json.dumps(told).encode(), fixture.genesis)
    assert (fact.height, fact.key[1:]) == (told["height"], fixture.enclave)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({}, 1),
        ({"state": "trusted"}, 1),
        ({"state": "revoked"}, 0),
        ({"tee": "tdx", "level_min": 1}, 1),
        ({"tee": "sgx"}, 0),
        ({"level_min": 2}, 0),
        ({"operator": format_address(account(PROVIDER))}, 1),
        ({"operator": format_address(account(1))}, 0),
    ],
    ids=str,
)
async def test_enclaves_are_listed_by_conditions(node, wanted, count):
    told = await ask(node, "enclaves", **wanted)
    assert (len(told["enclaves"]), told["cursor"]) == (count, None)


async def test_a_forecast_follows_the_early_document_of_a_recovery(node):
    fixture, vendor = node.fixture, SimulatedVendor()
    enclave = format_address(fixture.enclave)
    (before,) = (await ask(node, "forecast", enclave=enclave))["forecasts"]
    assert (before["falls"], before["shortages"], before["due_ms"]) == (False, [], None)
    document = fixture.tee.documents(fixture.now_s)[2]
    message = document.message()
    recovery = vendor.tcb_info(recovery_template(fixture.now_s))
    fixture.send(type(message)(kind=message.kind, body=recovery, chain=message.chain))
    (after,) = (await ask(node, "forecast", operator=format_address(account(PROVIDER))))["forecasts"]
    assert (after["state"], after["falls"], after["status_then"]) == ("trusted", True, "out_of_date")
    assert after["due_ms"] > fixture.now_s * 1_000
    assert {"component": "SGX component 0", "seen": 2, "needed": 3} in after["shortages"]
    assert [one["is_early"] for one in (await ask(node, "collaterals"))["collaterals"]].count(True) == 1


async def test_a_resource_shows_its_releases_newest_first(node):
    fixture = node.fixture
    image = await ask(node, "resource", id=format_address(fixture.image))
    assert (image["kind"], image["release_count"], [one["number"] for one in image["releases"]]) == ("software", 1, [0])
    (profile,) = image["releases"][0]["body"]["profiles"]
    assert (profile["tee"], [one["name"] for one in profile["registers"]]) == (
        "tdx",
        ["mr_td", "rtmr0", "rtmr1", "rtmr2"],
    )
    hardware = await ask(node, "resource", id=format_address(fixture.hardware), prove=True)
    assert (hardware["kind"], hardware["capacity"]["vcpus"], hardware["releases"]) == ("hardware", 16, [])
    assert verify_file(json.dumps(hardware).encode(), fixture.genesis).key[1:] == fixture.hardware


async def test_a_good_attestation_passes_every_check_and_nothing_is_changed(node):
    fixture = node.fixture
    attest = fixture.tee.attest(fixture.names(), fixture.challenge())
    root = fixture.chain.tip.block
    told = await ask(node, "appraise", **whole(attest, account(PROVIDER)))
    assert told["ok"] is True
    assert [check["name"] for check in told["checks"]][:4] == ["hardware", "image", "tee", "enclave"]
    assert (told["level"], told["is_simulated"], told["enclave"]) == (1, True, format_address(fixture.enclave))
    assert fixture.chain.tip.block == root


async def test_each_wrong_name_is_found_by_its_own_check(node):
    fixture = node.fixture
    attest = fixture.tee.attest(fixture.names(), fixture.challenge())

    async def failed(**changes):
        told = await ask(node, "appraise", **whole(attest, account(PROVIDER), **changes))
        return {check["name"]: check["reason"] for check in told["checks"] if not check["ok"]}

    assert await failed(hardware=format_address(fixture.image)) == {
        "hardware": "wrong_resource_kind",
        "enclave": "enclave_moved",
        "signature": "bad_enclave_signature",
        "binding": "binding_mismatch",
        "platform": "platform_taken",
    }
    assert await failed(signature="00" * 64) == {"signature": "bad_enclave_signature"}
    gpus = [{"report": "00", "chain": ["00"]}]
    later = ("evidence", "collateral_age", "binding", "measurements", "platform", "judgement")
    unsigned = await failed(signature="00" * 64, gpus=gpus)
    assert unsigned == {"signature": "bad_enclave_signature"} | dict.fromkeys(later, "not_made")
    assert await failed(seal_key="11" * 32) == {"binding": "binding_mismatch"}
    assert await failed(release=1) == {"image": "no_release"} | dict.fromkeys(
        ("tee", "evidence", "collateral_age", "binding", "measurements", "platform", "judgement"), "not_made"
    )


async def test_a_dry_run_takes_one_gpu_at_most(node):
    fixture = node.fixture
    names = whole(fixture.tee.attest(fixture.names(), fixture.challenge()), account(PROVIDER))
    gpu = {"report": "00", "chain": ["00"]}
    assert (await ask(node, "appraise", **{**names, "gpus": [gpu]}))["ok"] is False
    assert await refused(node, "appraise", **{**names, "gpus": [gpu, gpu]}) == "bad_params"


async def test_evidence_alone_is_judged_by_vendor_and_policy(node):
    machine = node.fixture.tee.machine
    good = await ask(node, "appraise", evidence=machine.quote(bytes(64)).hex(), tee="tdx")
    assert [(check["name"], check["ok"]) for check in good["checks"]] == [("evidence", True), ("policy", True)]
    assert (good["enclave"], good["level"], good["claims"]["kind"]) == (None, 1, "tdx_claims")
    open_to_all = machine.quote(bytes(64), TdBody(td_attributes=TD_ATTRIBUTES | TD_DEBUG))
    denied = await ask(node, "appraise", evidence=open_to_all.hex(), tee="tdx")
    assert [check["reason"] for check in denied["checks"]] == [None, "debug"]
    assert (denied["ok"], denied["level"]) == (False, None)
    broken = await ask(node, "appraise", evidence=machine.quote(bytes(64))[:-1].hex(), tee="tdx")
    assert (broken["ok"], broken["claims"], len(broken["checks"])) == (False, None, 1)
    assert broken["checks"][0]["remedy"]


async def test_explain_shows_the_checks_of_an_attestation_and_the_document_by_name(node):
    fixture = node.fixture
    attest = fixture.tee.attest(fixture.names(), fixture.challenge())
    explained = await ask(node, "explain", tx=fixture.sign(PROVIDER, attest, nonce=fixture.nonce).encoded.hex())
    assert explained["ok"] is True
    assert explained["body"]["messages"][0]["kind"] == "attest"
    assert "message 0 attest: judgement" in {check["name"] for check in explained["checks"]}
    document = fixture.tee.documents(fixture.now_s - 100)[0]
    late = fixture.sign(PROVIDER, document.message(), nonce=fixture.nonce).encoded.hex()
    explained = await ask(node, "explain", tx=late)
    message = explained["body"]["messages"][0]
    assert (message["kind"], message["collateral_kind"]) == ("put_collateral", "intel_root_crl")
    assert [check["reason"] for check in explained["checks"] if not check["ok"]] == ["collateral_not_newer"]


@pytest.mark.parametrize(("byte_count", "is_shown"), [(BODY_BYTES_MAX, True), (BODY_BYTES_MAX + 1, False)])
async def test_dry_run_shows_no_body_so_long_that_it_holds_up_the_node(node, byte_count, is_shown):
    fixture, message = node.fixture, PutCollateral(kind=1, body=bytes(16_000), chain=())
    short = len(fixture.sign(PROVIDER, message, nonce=fixture.nonce).encoded)
    long = replace(message, body=bytes(16_000 + byte_count - short))
    envelope = fixture.sign(PROVIDER, long, nonce=fixture.nonce).encoded
    assert len(envelope) == byte_count
    explained = await ask(node, "explain", tx=envelope.hex())
    assert (explained["body"] is not None, explained["checks"][-1]["ok"]) == (is_shown, False)


async def test_transfers_beside_an_attestation_are_explained_as_before(node):
    fixture = node.fixture
    envelope = fixture.sign(PROVIDER, Transfer(to=account(1), amount=5), nonce=fixture.nonce).encoded.hex()
    explained = await ask(node, "explain", tx=envelope)
    assert explained["body"]["messages"] == [
        {"kind": "transfer", "to": format_address(account(1)), "amount": "5"},
    ]
