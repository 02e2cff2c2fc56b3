"""JSON-RPC 2.0: from the bytes of a body to requests, and from outcomes to the bytes of responses.

Stricter than JSON where laxness would let two readers see two requests: repeated member names, numbers with fraction or exponent,
ids that other languages round, members that the specification does not know.

Source: JSON-RPC 2.0 Specification, sections 4 to 6.
"""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

import msgspec

from node.api.errors import ApiReason, ErrorCode, RpcError, error_object

ID_INTEGER_MAX: Final = (1 << 53) - 1
"""Largest integer that every JSON reader keeps exactly."""
ID_TEXT_MAX: Final = 256
BRACKETS_MAX: Final = 4_096
"""Opening brackets in one body. A full batch has some hundred; half a million would stall the loop for a tenth of a second."""
_MEMBERS: Final = frozenset({"jsonrpc", "method", "params", "id"})
_NULL: Final = b"null"

RequestId = str | int


class Request(msgspec.Struct, frozen=True):
    """One well-formed call; a notification has no id."""

    method: str
    params: list[Any] | dict[str, Any]  # any JSON: the method's own parameters give it types
    id: RequestId | None


class _DuplicateKey(ValueError):
    pass


class _NotInteger(ValueError):
    pass


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        raise _DuplicateKey(next(name for name in names if names.count(name) > 1))
    return members


def _refuse_number(text: str) -> NoReturn:
    raise _NotInteger(text)


_decoder = json.JSONDecoder(
    object_pairs_hook=_unique_members, parse_float=_refuse_number, parse_constant=_refuse_number
)
_encoder = msgspec.json.Encoder()


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text in UTF-8.

    Raises:
        RpcError: PARSE_ERROR; INVALID_REQUEST with DUPLICATE_KEY or NOT_AN_INTEGER.
    """
    brackets = body.count(b"[") + body.count(b"{")
    if brackets > BRACKETS_MAX:
        raise RpcError(ErrorCode.PARSE_ERROR, ApiReason.NOT_JSON, f"{brackets} brackets", BRACKETS_MAX)
    try:
        text = body.decode()
        parsed = _decoder.decode(text)
        if "\\u" in text:
            # A lone surrogate escape has no UTF-8 form, so no answer could repeat it.
            json.dumps(parsed, ensure_ascii=False).encode()
    except _DuplicateKey as error:
        raise RpcError(ErrorCode.INVALID_REQUEST, ApiReason.DUPLICATE_KEY, error) from error
    except _NotInteger as error:
        raise RpcError(ErrorCode.INVALID_REQUEST, ApiReason.NOT_AN_INTEGER, error) from error
    except RecursionError as error:
        raise RpcError(ErrorCode.PARSE_ERROR, ApiReason.NOT_JSON, "nested too deeply") from error
    except ValueError as error:
        raise RpcError(ErrorCode.PARSE_ERROR, ApiReason.NOT_JSON, _where(error)) from error
    return parsed


def _where(error: ValueError) -> str:
    match error:
        case json.JSONDecodeError():
            return f"no JSON at character {error.pos}"
        case UnicodeError():
            return "not UTF-8"
        case _:
            return "a number of too many digits"


def parse_request(parsed: Any) -> Request:
    """Return the call that a JSON value stands for.

    Raises:
        InvalidRequest: with the id to answer to, as far as it is valid.
    """
    if not isinstance(parsed, dict):
        raise InvalidRequest(ApiReason.NOT_A_REQUEST, type(parsed).__name__, "object")
    request_id = _request_id(parsed)
    version, method, params = parsed.get("jsonrpc"), parsed.get("method"), parsed.get("params", [])
    if version != "2.0":
        if isinstance(version, str):
            raise InvalidRequest(ApiReason.WRONG_VERSION, version, "2.0", request_id, ErrorCode.WRONG_JSONRPC)
        raise InvalidRequest(ApiReason.NOT_A_REQUEST, "no jsonrpc", "2.0", request_id)
    if not isinstance(method, str):
        raise InvalidRequest(ApiReason.NOT_A_REQUEST, "no method", "string", request_id)
    if not isinstance(params, list | dict):
        raise InvalidRequest(ApiReason.NOT_A_REQUEST, f"params: {type(params).__name__}", "array or object", request_id)
    if not _MEMBERS.issuperset(parsed):
        raise InvalidRequest(
            ApiReason.NOT_A_REQUEST, min(parsed.keys() - _MEMBERS), "jsonrpc, method, params, id", request_id
        )
    return Request(method, params, request_id)


class InvalidRequest(RpcError):
    """A value that is no request, and the id under which to say so."""

    def __init__(
        self,
        reason: ApiReason,
        seen: object,
        bound: object,
        request_id: RequestId | None = None,
        code: ErrorCode = ErrorCode.INVALID_REQUEST,
    ) -> None:
        super().__init__(code, reason, seen, bound)
        self.request_id = request_id


def _request_id(parsed: dict[str, Any]) -> RequestId | None:
    if "id" not in parsed:
        return None
    request_id = parsed["id"]
    if isinstance(request_id, str) and len(request_id) <= ID_TEXT_MAX:
        return request_id
    if isinstance(request_id, int) and not isinstance(request_id, bool) and abs(request_id) <= ID_INTEGER_MAX:
        return request_id
    raise InvalidRequest(ApiReason.BAD_ID, request_id, "string or integer within 2^53")


def success_response(request_id: RequestId, outcome: Any) -> bytes:
    """Return the response to a call that went well."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (_encoder.encode(request_id), _encoder.encode(outcome))


def error_response(request_id: RequestId | None, error: RpcError) -> bytes:
    """Return the response to a call that went wrong; without an id it answers to null."""
    encoded_id = _NULL if request_id is None else _encoder.encode(request_id)
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (encoded_id, _encoder.encode(error_object(error)))


def notification(method: str, params: Any) -> bytes:
    """Return a message from the server that expects no answer."""
    return b'{"jsonrpc":"2.0","method":%b,"params":%b}' % (_encoder.encode(method), _encoder.encode(params))
