"""Attestation on a network of four nodes: collateral, proofs, refusals, revocation and forecast, with one state on all of them.

The hardware is simulated and its TCB has no grace, so that a machine which is out of date is refused at once.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack

import msgspec
import pytest
from msgspec.structs import replace

from bocc.light import verify_file
from bocc.provider.attesting import Challenge, take_challenge
from bocc.testing import RunningNetwork
from state.crypto import SigningKey
from state.genesis_file import parse_genesis
from state.trust_messages import PutCollateral
from tee.documents import CollateralKind
from tee.simulated import pck_crl_template, platform_template, recovery_template
from tee.simulated_documents import OLD_COMPONENTS, OLD_PCE_SVN, OLD_TDX_SVN
from tee.simulated_quotes import TD_ATTRIBUTES, TD_DEBUG, TdBody
from tests.support.attesting_live import VENDOR, LiveProvider, write_folder
from tests.support.live_network import live_network, until

FIRST_S = 3_600
"""Age of the first documents; later ones are younger, so that each is news."""


WINDOW_MS = 100_000
"""Shorter than the age of the genesis, which is therefore too old a challenge from the beginning."""


def strict(params):
    return replace(params, attestation=replace(params.attestation, tcb_grace_ms=0, challenge_window_ms=WINDOW_MS))


@pytest.fixture(scope="module")
def lab_net(tmp_path_factory):
    with live_network(tmp_path_factory.mktemp("attestation") / "net", change=strict) as network:
        yield network


@pytest.fixture(scope="module")
def providers(lab_net, tmp_path_factory):
    """Two providers with published machines, on a chain that has the vendor's documents."""
    folder = write_folder(tmp_path_factory.mktemp("documents") / "first", int(time.time()) - FIRST_S)
    code, posted = lab_net.run_cli("collateral", "put", str(folder), "--from", "erin", "--home", str(lab_net.home))
    assert code == 0, posted
    assert [(one["kind"], one["result"]) for one in posted] == [
        ("intel_root_crl", "stored"),
        ("intel_pck_crl", "stored"),
        ("intel_tcb_info", "stored"),
        ("intel_qe_identity", "stored"),
    ]
    assert all(int(one["fee"]) > 0 for one in posted)  # documents of simulated vendors are news to nobody
    code, again = lab_net.run_cli("collateral", "put", str(folder), "--from", "erin", "--home", str(lab_net.home))
    assert (code, {one["result"] for one in again}) == (0, {"known"})
    pair = [LiveProvider(account) for account in RunningNetwork(lab_net.network).accounts[:2]]

    async def publish():
        async with lab_net.client("node0") as client:
            for provider in pair:
                await provider.publish(client)

    asyncio.run(publish())
    return pair


@pytest.fixture
def net(lab_net, providers):
    """The network; after the test all nodes stand at one state."""
    yield lab_net
    lab_net.restore()
    assert lab_net.errors() == ""


async def looks(net, provider, machine):
    """Return what each node says of an enclave, once they have come to one tip."""
    await asyncio.to_thread(net.converge)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(net.client(name)) for name in net.names]
        return [await provider.look(client, machine) for client in clients]


async def roots_at(net, height):
    return {(await asyncio.to_thread(net.tip, name, height)).state_root for name in net.names}


async def put(client, account, kind, body, chain):
    return await client.send(account.key, (PutCollateral(kind=int(kind), body=body, chain=chain),))


async def test_an_attestation_is_accepted_by_all_nodes_with_one_state_root(net, providers):
    provider = providers[0]
    async with net.client("node1") as client:
        outcome = await provider.attest(client, "good")
        assert outcome.has_succeeded, outcome
    views = await looks(net, provider, "good")
    assert views == [views[0]] * 4
    assert (views[0]["state"], views[0]["level"], views[0]["is_simulated"]) == ("trusted", 1, True)
    assert views[0]["notice"].startswith("SIMULATED")
    assert len(await roots_at(net, outcome.height)) == 1


async def test_a_renewal_keeps_the_enclave_and_moves_its_end(net, providers):
    provider = providers[0]
    async with net.client("node2") as client:
        assert (await provider.attest(client, "renewed")).has_succeeded
        before = await provider.look(client, "renewed")
        assert (await provider.attest(client, "renewed")).has_succeeded
        after = await provider.look(client, "renewed")
    assert after["id"] == before["id"]
    assert after["expires_ms"] > before["expires_ms"]
    assert after["challenge_height"] > before["challenge_height"]


async def test_an_enclave_is_proved_offline(net, providers):
    provider = providers[0]
    async with net.client("node3") as client:
        assert (await provider.attest(client, "proved")).has_succeeded
        told = await client.call("enclave", id=provider.enclave("proved"), prove=True)
        genesis = parse_genesis(msgspec.json.encode(await client.genesis()))
    fact = verify_file(json.dumps(told).encode(), genesis)
    assert (fact.height, fact.key[:1]) == (told["height"], b"\x54")


OLD = TdBody(tee_tcb_svn=OLD_TDX_SVN)


async def wrong_binding(_client, provider):
    return {"report_data": bytes(64)}


async def other_block(client, provider):
    challenge = await take_challenge(client)
    return {"challenge": Challenge(challenge.chain_id, challenge.height, bytes(32))}


async def stale_block(client, provider):
    """The genesis is older than the window, and long forgotten."""
    return {
        "challenge": Challenge(
            await client.chain_id(), 0, bytes.fromhex((await client.block(1))["header"]["parent_hash"])
        )
    }


async def debug(_client, provider):
    return {"body": TdBody(td_attributes=TD_ATTRIBUTES | TD_DEBUG)}


async def unknown_measurement(_client, provider):
    return {"body": TdBody(mr_td=bytes([1]) * 48)}


async def foreign_platform(_client, provider):
    return {"box": VENDOR.machine("good")}


async def out_of_date(_client, provider):
    platform = replace(platform_template("old"), components=OLD_COMPONENTS, pce_svn=OLD_PCE_SVN)
    return {"box": VENDOR.machine("old", platform), "body": OLD}


async def missing_collateral(_client, provider):
    return {"box": VENDOR.machine("exotic", replace(platform_template("exotic"), fmspc=b"\xee" * 6))}


async def foreign_signature(_client, provider):
    return {"signer": SigningKey(bytes(32))}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (wrong_binding, "binding_mismatch"),
        (other_block, "binding_mismatch"),
        (stale_block, "challenge_unknown"),
        (debug, "debug"),
        (unknown_measurement, "measurement_mismatch"),
        (foreign_platform, "platform_taken"),
        (out_of_date, "standing_too_low"),
        (missing_collateral, "collateral_missing"),
        (foreign_signature, "bad_enclave_signature"),
    ],
    ids=lambda each: each if isinstance(each, str) else each.__name__,
)
async def test_a_fault_is_refused_with_its_reason_by_dry_run_and_block_alike(net, providers, fault, reason):
    """Given a machine of the first provider's, when the second one attests with one fault, then all nodes refuse it alike."""
    owner, provider = providers
    async with net.client("node0") as client:
        if fault is foreign_platform and await owner.look(client, "good") is None:
            assert (await owner.attest(client, "good")).has_succeeded
        changes = await fault(client, provider)
        assert await provider.refusal(client, f"faulty {fault.__name__}", **changes) == (reason, reason)
    assert await looks(net, provider, f"faulty {fault.__name__}") == [None] * 4


async def test_evidence_alone_is_appraised_without_sending_it(net, providers):
    provider = providers[0]
    async with net.client("node0") as client:
        quote = VENDOR.machine("tried").quote(bytes(64))
        good = await client.call("appraise", evidence=quote.hex(), tee="tdx")
        bad = await client.call("appraise", evidence=quote[:-1].hex(), tee="tdx")
        names = provider.names("tried")
        bound = await client.call(
            "appraise",
            evidence=quote.hex(),
            tee="tdx",
            operator=provider.account.address,
            hardware=provider.hardware,
            image=provider.image,
            sign_key=names.sign_key.hex(),
            seal_key=names.seal_key.hex(),
            challenge_height=(await client.status())["height"],
        )
    assert (good["ok"], good["level"], good["is_simulated"]) == (True, 1, True)
    assert (bad["ok"], bad["claims"]) == (False, None)
    failed = {check["name"]: check["reason"] for check in bound["checks"] if not check["ok"]}
    assert failed == {"signature": "bad_enclave_signature", "binding": "binding_mismatch"}


async def test_a_list_of_revoked_machines_drops_its_enclave_in_the_same_block_and_no_other(net, providers):
    provider = providers[0]
    async with net.client("node0") as client:
        for machine in ("leaked", "safe"):
            assert (await provider.attest(client, machine)).has_succeeded
        serial = VENDOR.machine("leaked").pck_serial
        template = replace(pck_crl_template(int(time.time()) - 60), serials=(serial,))
        folder_chain = (VENDOR.platform_ca, VENDOR.root)
        body = VENDOR.collateral(0, pck_crl=template).pck_crl
        outcome = await put(client, provider.account, CollateralKind.INTEL_PCK_CRL, body, folder_chain)
        assert outcome.has_succeeded, outcome
        cursor = (await client.block(outcome.height))["first_cursor"]
        events = (await client.events(cursor, topics=["enclave_changed"]))["events"]
        refused = await provider.refusal(client, "leaked")
    changed = [event for event in events if event["attributes"]["enclave"] == provider.enclave("leaked")]
    assert [(event["height"], event["attributes"]["state"], event["attributes"]["reason"]) for event in changed] == [
        (outcome.height, "revoked", "certificate_revoked")
    ]
    assert {view["state"] for view in await looks(net, provider, "leaked")} == {"revoked"}
    assert {view["state"] for view in await looks(net, provider, "safe")} == {"trusted"}
    assert refused == ("enclave_revoked", "enclave_revoked")
    assert len(await roots_at(net, outcome.height)) == 1


async def test_the_forecast_names_who_falls_when_and_what_is_short(net, providers):
    """Given a machine that is up to date, when early collateral of a recovery comes, then it stands until that is in force."""
    provider = providers[1]
    async with net.client("node0") as client:
        assert (await provider.attest(client, "falling")).has_succeeded
        before = await client.call("forecast", enclave=provider.enclave("falling"))
        body = VENDOR.tcb_info(recovery_template(int(time.time()) - 60))
        chain = (VENDOR.tcb_signer, VENDOR.root)
        assert (await put(client, provider.account, CollateralKind.INTEL_TCB_INFO, body, chain)).has_succeeded
        early = (await client.call("collaterals", limit=100))["collaterals"]
    assert [one["falls"] for one in before["forecasts"]] == [False]
    assert {one["number"] for one in early if one["is_early"]} == {21}
    await asyncio.to_thread(net.converge)
    answers = [net.call(name, "forecast", operator=provider.account.address) for name in net.names]
    assert answers == [answers[0]] * 4
    (told,) = [one for one in answers[0]["forecasts"] if one["enclave"] == provider.enclave("falling")]
    assert (told["state"], told["falls"], told["status_then"], told["is_simulated"]) == (
        "trusted",
        True,
        "out_of_date",
        True,
    )
    assert told["due_ms"] > time.time() * 1_000
    assert ("SGX component 0", 2, 3) in {(one["component"], one["seen"], one["needed"]) for one in told["shortages"]}


async def test_a_killed_node_comes_to_the_same_enclaves_as_the_others(net, providers):
    """Given a node that dies with an attestation under way, when it comes back, then it judges as the others did."""
    provider = providers[0]
    async with net.client("node0") as client:
        message = await provider.message(client, "crash 0")
        async with net.client("node3") as dying:
            transaction = await dying.build(provider.account.key, (message,))
        await asyncio.gather(client.submit(transaction), asyncio.to_thread(net.kill, "node3"))
        for machine in ("crash 1", "crash 2"):
            outcome = await provider.attest(client, machine)
            assert outcome.has_succeeded
    await asyncio.to_thread(net.start, "node3")
    for machine in ("crash 0", "crash 1", "crash 2"):
        views = await looks(net, provider, machine)
        assert views == [views[0]] * 4
        assert views[0]["state"] == "trusted"
    assert len(await roots_at(net, outcome.height)) == 1


async def test_while_a_vendor_is_late_levels_hold_and_nobody_is_admitted(net, providers):
    """Given a list that is not renewed in time, when it is overdue, then enclaves stay in grace and new ones have to wait."""
    provider = providers[0]
    chain = (VENDOR.platform_ca, VENDOR.root)

    async def put_list(client, life_s):
        issued_s = int(time.time())
        template = replace(pck_crl_template(issued_s), next_update_s=issued_s + life_s)
        body = VENDOR.collateral(0, pck_crl=template).pck_crl
        return await put(client, provider.account, CollateralKind.INTEL_PCK_CRL, body, chain)

    async with net.client("node0") as client:
        assert (await provider.attest(client, "waiting")).has_succeeded
        before = await provider.look(client, "waiting")
        assert (await put_list(client, 4)).has_succeeded
        enclave = {"id": provider.enclave("waiting")}
        await asyncio.to_thread(
            until,
            lambda: net.call("node0", "enclave", **enclave)["state"] == "grace",
            lambda: net.call("node0", "status"),
        )
        held = await provider.look(client, "waiting")
        assert (held["reason"], held["level"], held["is_usable"]) == ("collateral_overdue", before["level"], True)
        assert await provider.refusal(client, "too late") == ("pck_crl_expired", "pck_crl_expired")
        assert (await put_list(client, 86_400)).has_succeeded
        assert (await provider.look(client, "waiting"))["state"] == "trusted"
        assert (await provider.attest(client, "too late")).has_succeeded
    assert {view["state"] for view in await looks(net, provider, "waiting")} == {"trusted"}
