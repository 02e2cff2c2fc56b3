"""Laws of error objects: every code is provoked once here or by the calls named, every reason of a lower layer is passed on."""

from __future__ import annotations

import json

import msgspec
import pytest

from node.admission import MempoolReason
from node.api.config import ApiConfig
from node.api.errors import MESSAGES, ApiReason, ErrorCode, RpcError, error_object, from_rejection
from state.address import AddressReason, AddressRejected
from state.chain_history import HistoryReason, HistoryRejected
from state.errors import Malformed, MalformedReason, StorageFault, TransactionRejected
from state.runtime.reasons import TransactionReason
from tests.support.fixture_chain import FixtureNode, account, transfer
from tests.support.rpc import Refused, running


def test_every_code_has_a_message_and_every_message_a_code():
    assert set(MESSAGES) == set(ErrorCode)


@pytest.mark.parametrize(
    ("rejection", "code"),
    [
        (Malformed(MalformedReason.NOT_CANONICAL, 3), ErrorCode.TX_MALFORMED),
        (TransactionRejected(MempoolReason.MEMPOOL_FULL, 1, 2), ErrorCode.MEMPOOL_REFUSED),
        (TransactionRejected(TransactionReason.FEE_TOO_LOW, 1, 2), ErrorCode.TX_REJECTED),
        (HistoryRejected(HistoryReason.PRUNED, 1, 2), ErrorCode.PRUNED),
        (HistoryRejected(HistoryReason.FUTURE, 1, 2), ErrorCode.NOT_FOUND),
        (AddressRejected(AddressReason.BAD_BECH32M, "x"), ErrorCode.INVALID_PARAMS),
    ],
)
def test_rejection_keeps_its_reason_under_the_code_of_its_kind(rejection, code):
    error = from_rejection(rejection)
    assert (error.code, error.seen, error.bound) == (code, rejection.seen, rejection.bound)
    if not isinstance(rejection, HistoryRejected):
        assert error.reason is rejection.reason


def test_pruned_height_names_the_earliest_that_would_do():
    assert error_object(from_rejection(HistoryRejected(HistoryReason.PRUNED, 1, 20))).data.earliest == 20


def test_refusals_of_the_runtime_carry_its_remedy_and_those_of_the_api_a_hint():
    low_fee = from_rejection(TransactionRejected(TransactionReason.FEE_TOO_LOW, 1, 2))
    assert "fee" in error_object(low_fee).data.hint
    unknown = RpcError(ErrorCode.METHOD_NOT_FOUND, ApiReason.UNKNOWN_METHOD, "x")
    assert "rpc.discover" in error_object(unknown).data.hint


@pytest.mark.parametrize(
    ("seen", "shown"),
    [
        (5, 5),
        (2**60, str(2**60)),
        (True, "True"),
        ("\ud800", "?"),
        ("x" * 500, "x" * 200),
        (b"ab", "b'ab'"),
        (None, None),
    ],
)
def test_values_seen_are_short_and_readable_by_any_json_reader(seen, shown):
    shown_value = error_object(RpcError(ErrorCode.NOT_FOUND, ApiReason.UNKNOWN_BLOCK, seen)).data.seen
    assert shown_value == shown
    json.loads(msgspec.json.encode(shown_value))


async def refused(rpc, method, **params):
    with pytest.raises(Refused) as caught:
        await rpc.call(method, **params)
    return caught.value.code, caught.value.reason


async def test_each_code_is_provoked_by_some_call():
    node = FixtureNode()
    node.has_faucet = False
    sign = node.fixture.sign
    good = sign(0, transfer(account(1), 1), nonce=1)
    poor = sign(3, transfer(account(1), 1), nonce=5, fee=1)
    low_replacement = sign(0, transfer(account(1), 2), nonce=1)
    async with running(node, ApiConfig(batch_max=2)) as rpc:
        seen = {
            (await rpc.body(b"{"))["error"]["code"],
            (await rpc.body(b"1"))["error"]["code"],
            (await rpc.body(b"[1,2,3]"))["error"]["code"],
            (await rpc.body(b'{"jsonrpc":"1.1","method":"status","id":1}'))["error"]["code"],
            (await refused(rpc, "nothing"))[0],
            (await refused(rpc, "block", heigth=1))[0],
            (await refused(rpc, "block", height=99))[0],
            (await refused(rpc, "tx_submit", tx="00"))[0],
            (await refused(rpc, "tx_submit", tx=poor.encoded.hex()))[0],
            (await refused(rpc, "faucet", address="bocc1qq2umswpyqlguyy8jpfuxhf7qrdq7at82uz36ch9", amount="1"))[0],
        }
        await rpc.call("tx_submit", tx=good.encoded.hex())
        seen.add((await refused(rpc, "tx_submit", tx=low_replacement.encoded.hex()))[0])
        node.chain.views.status = fail  # the database breaks
        seen.add((await refused(rpc, "status"))[0])
    assert seen == set(ErrorCode) - {ErrorCode.PRUNED}, "PRUNED: test_reads"
    assert [type(failure) for failure in node.failures] == [StorageFault]


def fail():
    raise StorageFault("the disk /secret/path failed")


async def test_fault_of_the_node_stops_it_and_tells_the_caller_nothing_of_it():
    node = FixtureNode()
    node.chain.views.status = fail
    async with running(node) as rpc:
        answer = await rpc.body(b'{"jsonrpc":"2.0","method":"status","id":1}')
    assert answer["error"] == {"code": -32603, "message": "Internal error", "data": {"reason": "node_fault"}}
    assert str(node.failures[0]) == "the disk /secret/path failed"
