"""Errors of the API: each has a code for programs, a fixed message, and data with a stable reason, the value seen and the bound.

Nothing here carries a traceback or a path. Codes: -327xx and -326xx are JSON-RPC's own, -320xx the customary ones of chains,
1000s transactions and mempool, 5000s state of the node.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from node.admission import MempoolReason
from state.chain_history import HistoryReason, HistoryRejected
from state.errors import Malformed, Rejected, TransactionRejected
from state.runtime.remedies import REMEDIES

TEXT_MAX: Final = 200
"""Characters of a foreign value that an error repeats."""


class ErrorCode(IntEnum):
    """Every code the API answers with."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603
    NOT_FOUND = -32001
    TX_REJECTED = -32003
    LIMIT_EXCEEDED = -32005
    WRONG_JSONRPC = -32006
    TX_MALFORMED = 1001
    MEMPOOL_REFUSED = 1002
    PRUNED = 5002
    DEVELOPMENT_ONLY = 5003


MESSAGES: Final = {
    ErrorCode.PARSE_ERROR: "Parse error",
    ErrorCode.INVALID_REQUEST: "Invalid Request",
    ErrorCode.METHOD_NOT_FOUND: "Method not found",
    ErrorCode.INVALID_PARAMS: "Invalid params",
    ErrorCode.INTERNAL_ERROR: "Internal error",
    ErrorCode.NOT_FOUND: "Not found",
    ErrorCode.TX_REJECTED: "Transaction rejected",
    ErrorCode.LIMIT_EXCEEDED: "Limit exceeded",
    ErrorCode.WRONG_JSONRPC: "Unsupported JSON-RPC version",
    ErrorCode.TX_MALFORMED: "Malformed transaction",
    ErrorCode.MEMPOOL_REFUSED: "Mempool refuses the transaction",
    ErrorCode.PRUNED: "No longer kept by this node",
    ErrorCode.DEVELOPMENT_ONLY: "Only on development chains",
}


class ApiReason(StrEnum):
    """Why the API itself refuses a call; rejections of lower layers keep their own reasons."""

    NOT_JSON = "not_json"
    """The body is not UTF-8 JSON of reasonable depth."""
    DUPLICATE_KEY = "duplicate_key"
    """An object names a member twice."""
    NOT_AN_INTEGER = "not_an_integer"
    """A number with fraction or exponent; heights and times are integers, amounts decimal strings."""
    NOT_A_REQUEST = "not_a_request"
    """Not an object with `jsonrpc`, `method` and fitting members, or an empty batch."""
    BAD_ID = "bad_id"
    """An id that is neither a string nor an integer within 2^53."""
    WRONG_VERSION = "wrong_version"
    """`jsonrpc` is not "2.0"."""
    UNKNOWN_METHOD = "unknown_method"
    BAD_PARAMS = "bad_params"
    """A parameter is missing, unknown, of the wrong type or out of range."""
    NOT_READABLE_BY_GET = "not_readable_by_get"
    """The method changes something or needs a WebSocket; use POST or /ws."""
    NEEDS_WEBSOCKET = "needs_websocket"
    WRONG_CONTENT_TYPE = "wrong_content_type"
    FOREIGN_HOST = "foreign_host"
    FOREIGN_ORIGIN = "foreign_origin"
    NO_SUCH_PATH = "no_such_path"
    WRONG_HTTP_METHOD = "wrong_http_method"
    BODY_TOO_LARGE = "body_too_large"
    BODY_TOO_SLOW = "body_too_slow"
    BATCH_TOO_LARGE = "batch_too_large"
    RESPONSE_TOO_LARGE = "response_too_large"
    HANDLER_TOO_SLOW = "handler_too_slow"
    TOO_MANY_SUBSCRIPTIONS = "too_many_subscriptions"
    TOO_MANY_WAITERS = "too_many_waiters"
    INTAKE_FULL = "intake_full"
    """More transactions wait for verification than this node takes."""
    FAUCET_LIMIT = "faucet_limit"
    UNKNOWN_BLOCK = "unknown_block"
    UNKNOWN_TRANSACTION = "unknown_transaction"
    UNKNOWN_SUBSCRIPTION = "unknown_subscription"
    NO_COLLATERAL = "no_collateral"
    """The chain holds no document under this key."""
    NO_ENCLAVE = "no_enclave"
    """No enclave of this address was attested, or it expired long ago and was forgotten."""
    NO_SUCH_RESOURCE = "no_such_resource"
    NO_SUCH_ORDER = "no_such_order"
    """No order of this address was placed, or it was closed long ago and was forgotten."""
    NO_SUCH_PROPOSAL = "no_such_proposal"
    """Proposals are numbered from 1 without gaps; this number is not given yet."""
    ABOVE_TIP = "above_tip"
    """A height that this node has not finalised."""
    PRUNED = "pruned"
    """A height or cursor that this node no longer keeps."""
    BAD_CURSOR = "bad_cursor"
    BAD_TOPIC = "bad_topic"
    BAD_HEX = "bad_hex"
    """Not an even number of lower-case hexadecimal digits."""
    NOT_DEVELOPMENT = "not_development"
    NODE_FAULT = "node_fault"
    """The node stops: its disk failed, or it found itself inconsistent. Its log says more."""


HINTS: Final[dict[str, str]] = {
    ApiReason.UNKNOWN_METHOD: "rpc.discover lists all methods",
    ApiReason.NOT_AN_INTEGER: "send integers, and amounts as decimal strings of ubocc",
    ApiReason.WRONG_CONTENT_TYPE: "send the header Content-Type: application/json",
    ApiReason.FOREIGN_HOST: "add the name to rpc_allowed_hosts if this server shall be reached by it",
    ApiReason.FOREIGN_ORIGIN: "add the origin to rpc_allowed_origins if its pages shall call this node",
    ApiReason.INTAKE_FULL: "send more slowly and try again",
    ApiReason.PRUNED: "ask an archive node, or begin at the earliest one",
    "epochs_in_preparation": "call again: each call gathers more of what the proof needs",
    ApiReason.NEEDS_WEBSOCKET: "open a WebSocket at /ws, or poll with events",
    MempoolReason.MEMPOOL_FULL: "raise the fee; seen and bound are thousandths of a ubocc per byte",
    MempoolReason.SENDER_LIMIT: "wait until some of the sender's pending transactions are final",
    MempoolReason.REPLACEMENT_FEE_TOO_LOW: "use another nonce, or pay at least the bound to replace the pending one",
}
"""What to do about a reason, where its name does not say it. The runtime has remedies for its own."""


class RpcError(Exception):
    """A call that is answered with an error object."""

    def __init__(
        self,
        code: ErrorCode,
        reason: StrEnum,
        seen: object = None,
        bound: object = None,
        *,
        earliest: int | str | None = None,
    ) -> None:
        """Name the rule; earliest is the oldest height or cursor that would do."""
        super().__init__(code, reason, seen, bound)
        self.code = code
        self.reason = reason
        self.seen = seen
        self.bound = bound
        self.earliest = earliest


class ErrorData(msgspec.Struct, frozen=True, omit_defaults=True):
    """Details of an error."""

    reason: str
    """Stable name of the rule."""
    seen: int | str | None = None
    bound: int | str | None = None
    hint: str | None = None
    earliest: int | str | None = None


class ErrorObject(msgspec.Struct, frozen=True):
    """The `error` member of a response."""

    code: int
    message: str
    data: ErrorData


def error_object(error: RpcError) -> ErrorObject:
    """Return what the caller is told."""
    return ErrorObject(
        code=error.code,
        message=MESSAGES[error.code],
        data=ErrorData(
            reason=str(error.reason.value),
            seen=_printable(error.seen),
            bound=_printable(error.bound),
            hint=HINTS.get(error.reason.value) or REMEDIES.get(error.reason),
            earliest=error.earliest,
        ),
    )


def from_rejection(rejection: Rejected) -> RpcError:
    """Return the error for a rejection of a lower layer, with its reason."""
    match rejection:
        case Malformed():
            code = ErrorCode.TX_MALFORMED
        case TransactionRejected(reason=MempoolReason()):
            code = ErrorCode.MEMPOOL_REFUSED
        case TransactionRejected():
            code = ErrorCode.TX_REJECTED
        case HistoryRejected(reason=HistoryReason.PRUNED):
            return RpcError(
                ErrorCode.PRUNED, ApiReason.PRUNED, rejection.seen, rejection.bound, earliest=int(str(rejection.bound))
            )
        case HistoryRejected():
            return RpcError(ErrorCode.NOT_FOUND, ApiReason.ABOVE_TIP, rejection.seen, rejection.bound)
        case _:
            code = ErrorCode.INVALID_PARAMS
    return RpcError(code, rejection.reason, rejection.seen, rejection.bound)


def _printable(foreign: object) -> int | str | None:
    """Return an integer or a short text that any JSON reader takes."""
    if foreign is None:
        return None
    if isinstance(foreign, int) and not isinstance(foreign, bool) and abs(foreign) < 1 << 53:
        return foreign
    return str(foreign)[:TEXT_MAX].encode("utf-8", "replace").decode()
