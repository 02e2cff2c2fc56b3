"""Laws of parsing requests: what is a call, and why anything else is none."""

from __future__ import annotations

import msgspec
import pytest

from node.api.errors import ApiReason, ErrorCode, RpcError
from node.api.jsonrpc import (
    BRACKETS_MAX,
    InvalidRequest,
    Request,
    error_response,
    notification,
    parse_json,
    parse_request,
    success_response,
)

PARSE, INVALID = ErrorCode.PARSE_ERROR, ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        pytest.param(b"", PARSE, ApiReason.NOT_JSON, id="empty"),
        pytest.param(b"{", PARSE, ApiReason.NOT_JSON, id="cut"),
        pytest.param(b"{} {}", PARSE, ApiReason.NOT_JSON, id="two values"),
        pytest.param(b"\xef\xbb\xbf{}", PARSE, ApiReason.NOT_JSON, id="byte order mark"),
        pytest.param('{"a":1}'.encode("utf-16"), PARSE, ApiReason.NOT_JSON, id="utf-16"),
        pytest.param(b'"\xff"', PARSE, ApiReason.NOT_JSON, id="not utf-8"),
        pytest.param(rb'"\ud800"', PARSE, ApiReason.NOT_JSON, id="lone surrogate"),
        pytest.param(b'"\x01"', PARSE, ApiReason.NOT_JSON, id="control character"),
        pytest.param(b"'a'", PARSE, ApiReason.NOT_JSON, id="single quotes"),
        pytest.param(b"[1,]", PARSE, ApiReason.NOT_JSON, id="trailing comma"),
        pytest.param(b"[" * 1_500, PARSE, ApiReason.NOT_JSON, id="nested lists"),
        pytest.param(b'{"a":' * 1_500, PARSE, ApiReason.NOT_JSON, id="nested objects"),
        pytest.param(b"[" + b"[]," * BRACKETS_MAX + b"[]]", PARSE, ApiReason.NOT_JSON, id="many lists"),
        pytest.param(b"9" * 5_000, PARSE, ApiReason.NOT_JSON, id="number of too many digits"),
        pytest.param(b"1.0", INVALID, ApiReason.NOT_AN_INTEGER, id="fraction"),
        pytest.param(b"1e3", INVALID, ApiReason.NOT_AN_INTEGER, id="exponent"),
        pytest.param(b"NaN", INVALID, ApiReason.NOT_AN_INTEGER, id="NaN"),
        pytest.param(b"-Infinity", INVALID, ApiReason.NOT_AN_INTEGER, id="infinity"),
        pytest.param(b'{"id":1,"id":2}', INVALID, ApiReason.DUPLICATE_KEY, id="member twice"),
        pytest.param(b'{"params":{"a":1,"a":1}}', INVALID, ApiReason.DUPLICATE_KEY, id="parameter twice"),
        pytest.param(rb'{"a":1,"\u0061":1}', INVALID, ApiReason.DUPLICATE_KEY, id="member twice by escape"),
    ],
)
def test_body_that_two_readers_could_read_differently_is_refused(body, code, reason):
    with pytest.raises(RpcError) as caught:
        parse_json(body)
    assert (caught.value.code, caught.value.reason) == (code, reason)


def test_body_of_plain_json_is_read():
    assert parse_json(rb' {"a": [1, -2, "\u00e9\ud83d\ude00", null, true]} ') == {
        "a": [1, -2, "\u00e9\U0001f600", None, True]
    }


VALID = {"jsonrpc": "2.0", "method": "status", "id": 1}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Request("status", [], 1)),
        ({"id": "x"}, Request("status", [], "x")),
        ({"id": ""}, Request("status", [], "")),
        ({"id": 2**53 - 1}, Request("status", [], 2**53 - 1)),
        ({"id": -(2**53) + 1}, Request("status", [], -(2**53) + 1)),
        ({"params": {"a": 1}}, Request("status", {"a": 1}, 1)),
        ({"params": [1]}, Request("status", [1], 1)),
    ],
)
def test_well_formed_calls_are_read(changes, expected):
    assert parse_request(VALID | changes) == expected


def test_call_without_id_is_a_notification():
    assert parse_request({"jsonrpc": "2.0", "method": "status"}) == Request("status", [], None)


@pytest.mark.parametrize(
    ("item", "code", "reason", "request_id"),
    [
        (1, INVALID, ApiReason.NOT_A_REQUEST, None),
        (None, INVALID, ApiReason.NOT_A_REQUEST, None),
        ({}, INVALID, ApiReason.NOT_A_REQUEST, None),
        ({"id": 5}, INVALID, ApiReason.NOT_A_REQUEST, 5),
        (VALID | {"jsonrpc": 2}, INVALID, ApiReason.NOT_A_REQUEST, 1),
        (VALID | {"jsonrpc": "1.0"}, ErrorCode.WRONG_JSONRPC, ApiReason.WRONG_VERSION, 1),
        (VALID | {"method": 1}, INVALID, ApiReason.NOT_A_REQUEST, 1),
        (VALID | {"params": "bar"}, INVALID, ApiReason.NOT_A_REQUEST, 1),
        (VALID | {"params": None}, INVALID, ApiReason.NOT_A_REQUEST, 1),
        (VALID | {"parms": {}}, INVALID, ApiReason.NOT_A_REQUEST, 1),
        (VALID | {"id": None}, INVALID, ApiReason.BAD_ID, None),
        (VALID | {"id": True}, INVALID, ApiReason.BAD_ID, None),
        (VALID | {"id": []}, INVALID, ApiReason.BAD_ID, None),
        (VALID | {"id": 2**53}, INVALID, ApiReason.BAD_ID, None),
        (VALID | {"id": 10**400}, INVALID, ApiReason.BAD_ID, None),
        (VALID | {"id": "x" * 257}, INVALID, ApiReason.BAD_ID, None),
    ],
)
def test_anything_else_is_no_request_and_is_answered_under_its_id_if_that_is_valid(item, code, reason, request_id):
    with pytest.raises(InvalidRequest) as caught:
        parse_request(item)
    assert (caught.value.code, caught.value.reason, caught.value.request_id) == (code, reason, request_id)


def test_responses_have_the_three_members_of_the_specification():
    assert msgspec.json.decode(success_response("a", {"x": 1})) == {"jsonrpc": "2.0", "id": "a", "result": {"x": 1}}
    answer = msgspec.json.decode(error_response(None, RpcError(ErrorCode.NOT_FOUND, ApiReason.UNKNOWN_BLOCK, 5, 3)))
    assert answer == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": -32001, "message": "Not found", "data": {"reason": "unknown_block", "seen": 5, "bound": 3}},
    }


def test_message_of_the_server_has_no_id():
    assert msgspec.json.decode(notification("subscription", {"a": 1})) == {
        "jsonrpc": "2.0",
        "method": "subscription",
        "params": {"a": 1},
    }
