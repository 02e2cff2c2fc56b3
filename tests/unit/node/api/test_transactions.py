"""Laws of submitting, waiting, looking up: a timeout is a result, a repeated submission no error, a refusal has its reason."""

from __future__ import annotations

import asyncio

import pytest

from node.admission import Source
from node.api.config import ApiConfig
from node.api.describe_chain import BODY_BYTES_MAX
from node.api.errors import ErrorCode
from state.address import format_address
from state.codec import encode
from state.transactions import Envelope, KeySignature, Transaction, sign_transaction
from state.trust_messages import PutCollateral
from tests.support.fixture_chain import BOCC, FixtureNode, account, account_key, transfer
from tests.support.rpc import Refused, running


def sign(node, nonce=1, **fields):
    return node.fixture.sign(0, transfer(account(1), 1), nonce=nonce, **fields)


def forge(transaction):
    """Return the same body with a signature that does not verify."""
    pair = transaction.signatures[0]
    wrong = KeySignature(public_key=pair.public_key, signature=bytes(64))
    envelope = Envelope(body=transaction.body, signatures=(wrong,))
    return Transaction(envelope, encode(envelope), b"")


async def refused(rpc, method, **params):
    with pytest.raises(Refused) as caught:
        await rpc.call(method, **params)
    return caught.value


async def started(coroutine):
    """Return a call that has come to its first wait."""
    task = asyncio.ensure_future(coroutine)
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_submission_is_pending_after_admission():
    node = FixtureNode()
    transaction = sign(node)
    async with running(node) as rpc:
        answer = await rpc.call("tx_submit", tx=transaction.encoded.hex())
    assert answer == {
        "tx_id": transaction.tx_id.hex(),
        "status": "pending",
        "height": None,
        "index": None,
        "receipt": None,
        "provisional": False,
    }
    assert [pending.encoded for pending in node.mempool] == [transaction.encoded]


@pytest.mark.parametrize(("wait", "provisional"), [("notarized", True), ("final", False)])
async def test_submission_answers_when_the_transaction_has_come_to_the_level(wait, provisional):
    node = FixtureNode()
    transaction = sign(node)
    async with running(node) as rpc:
        call = await started(rpc.call("tx_submit", tx=transaction.encoded.hex(), wait=wait, timeout_ms=60_000))
        block = node.pending_block()
        await asyncio.sleep(0)
        if wait == "final":
            node.make_final(block)
        answer = await call
    assert (answer["status"], answer["height"], answer["index"], answer["provisional"]) == (wait, 5, 0, provisional)
    assert answer["receipt"]["status"] == "ok"


async def test_time_that_is_up_is_a_result():
    node = FixtureNode()
    transaction = sign(node)
    async with running(node) as rpc:
        answer = await rpc.call("tx_submit", tx=transaction.encoded.hex(), wait="final", timeout_ms=0)
        again = await rpc.call("tx_wait", tx_id=transaction.tx_id.hex(), timeout_ms=0)
    assert answer["status"] == again["status"] == "pending"


async def test_waiting_longer_than_the_node_allows_is_cut_short():
    node = FixtureNode()
    transaction = sign(node)
    async with running(node, ApiConfig(wait_ms_max=0)) as rpc:
        answer = await rpc.call("tx_submit", tx=transaction.encoded.hex(), wait="final", timeout_ms=3_600_000)
    assert answer["status"] == "pending"


async def test_submission_without_waiting_is_received_and_admitted_later():
    node = FixtureNode()
    transaction = sign(node)
    async with running(node) as rpc:
        answer = await rpc.call("tx_submit", tx=transaction.encoded.hex(), wait="none")
        assert answer["status"] == "received"
        assert len(node.mempool) == 0
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (await rpc.call("tx_submit", tx=transaction.encoded.hex(), wait="none"))["status"] == "pending"


async def test_refusal_of_a_submission_without_waiting_is_told_to_who_asks():
    node = FixtureNode()
    poor = sign(node, fee=1)
    async with running(node) as rpc:
        await rpc.call("tx_submit", tx=poor.encoded.hex(), wait="none")
        waiting = await refused(rpc, "tx_wait", tx_id=poor.tx_id.hex(), timeout_ms=60_000)
        later = await refused(rpc, "tx_wait", tx_id=poor.tx_id.hex(), timeout_ms=0)
    assert (waiting.code, waiting.reason) == (later.code, later.reason) == (ErrorCode.TX_REJECTED, "fee_too_low")
    assert "fee" in waiting.hint


@pytest.mark.parametrize("wait", ["none", "checked", "notarized", "final"])
async def test_submitting_again_answers_how_far_it_has_come(wait):
    node = FixtureNode()
    transaction = sign(node)
    async with running(node) as rpc:

        async def submit():
            answer = await rpc.call("tx_submit", tx=transaction.encoded.hex(), wait=wait, timeout_ms=0)
            return answer["status"], answer["height"]

        await rpc.call("tx_submit", tx=transaction.encoded.hex())
        assert await submit() == ("pending", None)
        block = node.pending_block()
        assert await submit() == ("notarized", 5)
        node.make_final(block)
        assert await submit() == ("final", 5)
        node.mempool._seen.clear()  # long ago: only the store knows it
        node.tracker._final.clear()
        assert await submit() == (("received", None) if wait == "none" else ("final", 5))


async def test_forged_copy_of_a_pending_transaction_is_no_refusal_of_it():
    node = FixtureNode()
    transaction = sign(node)
    async with running(node) as rpc:
        await rpc.call("tx_submit", tx=transaction.encoded.hex())
        call = await started(rpc.call("tx_wait", tx_id=transaction.tx_id.hex(), timeout_ms=60_000))
        copy = forge(transaction)
        await rpc.call("tx_submit", tx=copy.encoded.hex(), wait="none")
        await asyncio.sleep(0)
        assert not call.done()
        node.produce()
        assert (await call)["status"] == "final"


async def test_foreign_envelope_around_a_body_is_no_news_of_its_transaction():
    """A forged and an unauthorised copy that nobody waits for, while the owner waits for what comes by another way."""
    node = FixtureNode()
    transaction = sign(node)
    foreign = sign_transaction(node.chain.chain_id, transaction.body, (account_key(5),))
    async with running(node) as rpc:
        call = await started(rpc.call("tx_wait", tx_id=transaction.tx_id.hex(), timeout_ms=60_000))
        for copy in (forge(transaction), foreign):
            await rpc.call("tx_submit", tx=copy.encoded.hex(), wait="none")
            await asyncio.sleep(0)
        assert node.submitted == 2
        assert not call.done()
        assert (await rpc.call("tx_wait", tx_id=transaction.tx_id.hex(), timeout_ms=0))["status"] == "unknown"
        node.mempool.admit(transaction, node.chain.ledger, node.wall_ms, Source.PEER)
        node.produce()
        assert (await call)["status"] == "final"


async def test_foreign_envelope_in_a_block_is_not_the_end_of_the_transaction():
    node = FixtureNode()
    transaction = sign(node)
    foreign = sign_transaction(node.chain.chain_id, transaction.body, (account_key(5),))
    name = transaction.tx_id.hex()
    async with running(node) as rpc:
        node.tracker.on_final(node.fixture.add(foreign).blocks)
        assert (await refused(rpc, "tx", tx_id=name)).reason == "unknown_transaction"
        assert (await rpc.call("tx_wait", tx_id=name, timeout_ms=0))["status"] == "unknown"
        assert (await rpc.call("tx_submit", tx=transaction.encoded.hex()))["status"] == "pending"
        assert (await rpc.call("tx", tx_id=name))["envelope"] == transaction.encoded.hex()
        call = await started(rpc.call("tx_wait", tx_id=name, timeout_ms=60_000))
        node.produce()
        assert (await call)["receipt"]["status"] == "ok"
        assert (await rpc.call("tx", tx_id=name))["height"] == 6


async def test_forged_signature_is_refused():
    node = FixtureNode()
    async with running(node) as rpc:
        error = await refused(rpc, "tx_submit", tx=forge(sign(node)).encoded.hex())
    assert (error.code, error.reason) == (ErrorCode.TX_REJECTED, "bad_signature")


@pytest.mark.parametrize(
    ("tx", "code", "reason"),
    [
        ("", -32602, "bad_params"),
        ("000", -32602, "bad_hex"),
        ("zz", -32602, "bad_hex"),
        ("AB", -32602, "bad_hex"),
        ("a b0", -32602, "bad_hex"),
        ("c0", 1001, "not_decodable"),
        ("00" * 400_000, -32602, "bad_params"),
    ],
)
async def test_text_that_is_no_envelope_is_refused(tx, code, reason):
    async with running(FixtureNode()) as rpc:
        error = await refused(rpc, "tx_submit", tx=tx)
    assert (error.code, error.reason) == (code, reason)


async def test_envelope_in_a_longer_form_is_refused():
    node = FixtureNode()
    encoded = sign(node).encoded
    assert encoded[:2] == b"\x92\x96"
    async with running(node) as rpc:
        error = await refused(rpc, "tx_submit", tx=(b"\xdc\x00\x02" + encoded[1:]).hex())
    assert (error.code, error.reason) == (ErrorCode.TX_MALFORMED, "not_canonical")


async def test_transaction_nobody_knows_is_unknown_and_not_found():
    async with running(FixtureNode()) as rpc:
        answer = await rpc.call("tx_wait", tx_id="00" * 32, timeout_ms=0)
        error = await refused(rpc, "tx", tx_id="00" * 32)
    assert (answer["status"], answer["receipt"]) == ("unknown", None)
    assert (error.code, error.reason) == (ErrorCode.NOT_FOUND, "unknown_transaction")


async def test_waiting_may_begin_before_the_transaction_arrives():
    node = FixtureNode()
    transaction = sign(node)
    async with running(node) as rpc:
        call = await started(rpc.call("tx_wait", tx_id=transaction.tx_id.hex(), timeout_ms=60_000))
        await rpc.call("tx_submit", tx=transaction.encoded.hex())
        node.produce()
        assert (await call)["status"] == "final"


async def test_transaction_that_expired_in_the_pool_is_refused_as_expired():
    node = FixtureNode()
    transaction = sign(node, ttl_ms=10_000)
    async with running(node) as rpc:
        await rpc.call("tx_submit", tx=transaction.encoded.hex())
        node.mempool.drop_expired(transaction.body.expires_at_ms + 1)
        error = await refused(rpc, "tx_wait", tx_id=transaction.tx_id.hex(), timeout_ms=60_000)
    assert (error.code, error.reason) == (ErrorCode.TX_REJECTED, "expired")


async def test_look_up_follows_a_transaction_from_pending_to_final():
    node = FixtureNode()
    transaction = sign(node)
    async with running(node) as rpc:

        async def look(**params):
            answer = await rpc.call("tx", tx_id=transaction.tx_id.hex(), **params)
            assert answer["envelope"] == transaction.encoded.hex()
            assert answer["body"]["messages"] == [{"kind": "transfer", "to": format_address(account(1)), "amount": "1"}]
            return answer

        await rpc.call("tx_submit", tx=transaction.encoded.hex())
        pending = await look(prove=True)
        block = node.pending_block()
        notarized = await look(prove=True)
        node.make_final(block)
        final = await look(prove=True)
    assert [answer["status"] for answer in (pending, notarized, final)] == ["pending", "notarized", "final"]
    assert [answer["provisional"] for answer in (pending, notarized, final)] == [False, True, False]
    assert (notarized["block_hash"], final["block_hash"]) == (block.block_hash.hex(),) * 2
    assert pending["proof"] is None
    assert notarized["proof"] is None, "only what is final can be proved"
    assert final["proof"]["kind"] == "transaction"


async def test_failed_transaction_is_final_with_the_reason():
    node = FixtureNode()
    failing = node.fixture.sign(0, transfer(account(1), 10**15), nonce=1)
    async with running(node) as rpc:
        call = await started(rpc.call("tx_submit", tx=failing.encoded.hex(), wait="final"))
        node.produce()
        receipt = (await call)["receipt"]
    assert (receipt["status"], receipt["reason"], receipt["message_index"]) == ("failed", "balance_too_low", 0)


async def test_faucet_pays_when_the_transfer_is_final():
    node = FixtureNode()
    async with running(node) as rpc:
        call = await started(rpc.call("faucet", address=format_address(account(5)), amount="123"))
        node.produce()
        answer = await call
        balance = (await rpc.call("account", address=format_address(account(5))))["balance"]
    assert answer["status"] == "final"
    assert int(balance) == 1_000_000 * BOCC + 123


@pytest.mark.parametrize(
    ("amount", "code", "reason"),
    [
        ("0", -32602, "bad_params"),
        ("1000000001", -32005, "faucet_limit"),
        ("-1", -32602, "bad_params"),
        ("1.5", -32602, "bad_params"),
        ("01", -32602, "bad_params"),
        ("9" * 30, -32602, "bad_params"),
    ],
)
async def test_faucet_gives_no_silly_amounts(amount, code, reason):
    async with running(FixtureNode()) as rpc:
        error = await refused(rpc, "faucet", address=format_address(account(5)), amount=amount)
    assert (error.code, error.reason) == (code, reason)


async def test_faucet_pays_accounts_only():
    async with running(FixtureNode()) as rpc:
        error = await refused(rpc, "faucet", address="boccres1qqqqqqqqqqqqqqqqqqqqqqqqqqqqq", amount="1")
    assert error.code == -32602


async def test_explanation_names_every_rule_that_is_broken_and_changes_nothing():
    node = FixtureNode()
    poor = sign(node, nonce=0, fee=1)
    async with running(node) as rpc:
        answer = await rpc.call("explain", tx=poor.encoded.hex())
        good = await rpc.call("explain", tx=sign(node).encoded.hex())
    broken = {check["name"]: check for check in answer["checks"] if not check["ok"]}
    assert {"fee", "nonce"} <= set(broken)
    assert (broken["fee"]["reason"], broken["fee"]["seen"]) == ("fee_too_low", "1")
    assert broken["fee"]["remedy"]
    assert (answer["ok"], good["ok"]) == (False, True)
    assert len(node.mempool) == 0


async def test_long_transaction_is_told_by_its_envelope_alone():
    """Given a transaction so long that telling its body would hold up the node, when it is looked up, then its envelope says it."""
    node = FixtureNode()
    document = PutCollateral(kind=1, body=bytes(BODY_BYTES_MAX), chain=())
    transaction = node.fixture.sign(0, document, nonce=1)
    async with running(node) as rpc:
        await rpc.call("tx_submit", tx=transaction.encoded.hex())
        told = await rpc.call("tx", tx_id=transaction.tx_id.hex())
    assert (told["envelope"], told["body"]) == (transaction.encoded.hex(), None)
