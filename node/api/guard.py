"""Who may call: names in the Host header, origins of web pages, and the deadline for a body.

A browser lets any page send requests to this machine. The Host check keeps out pages whose own name was made to point here (DNS
rebinding), the Origin check all others, and the JSON content type forces browsers to ask first.
"""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import urlsplit

from aiohttp import ClientPayloadError, web

from node.api.config import ApiConfig
from node.api.errors import ApiReason, ErrorCode, RpcError
from node.api.jsonrpc import error_response

JSON: Final = "application/json"
ANY: Final = "*"
_CORS_MAX_AGE_S: Final = "600"


class HttpRefusal(Exception):
    """A request that is refused before any call in it is looked at."""

    def __init__(self, status: int, error: RpcError) -> None:
        """Answer with an HTTP status and an error object, then close the connection."""
        super().__init__(status, error)
        self.status = status
        self.error = error


def refuse(status: int, reason: ApiReason, seen: object = None, bound: object = None) -> HttpRefusal:
    """Return the refusal for a reason; limits have a code of their own."""
    code = ErrorCode.LIMIT_EXCEEDED if status in {408, 413, 503} else ErrorCode.INVALID_REQUEST
    return HttpRefusal(status, RpcError(code, reason, seen, bound))


def json_response(body: bytes, status: int = 200) -> web.Response:
    """Return a response of JSON that no cache keeps and no browser takes for something else."""
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return web.Response(body=body, status=status, content_type=JSON, headers=headers)


def refusal_response(refusal: HttpRefusal) -> web.Response:
    """Return the response of a refusal."""
    response = json_response(error_response(None, refusal.error), refusal.status)
    response.force_close()
    return response


def check_caller(request: web.BaseRequest, config: ApiConfig) -> None:
    """Check names in Host and Origin.

    Raises:
        HttpRefusal: FOREIGN_HOST, FOREIGN_ORIGIN.
    """
    host = request.headers.getall("Host", [])
    if len(host) != 1 or not (ANY in config.allowed_hosts or host_name(host[0]) in config.allowed_hosts):
        raise refuse(403, ApiReason.FOREIGN_HOST, ", ".join(host), ", ".join(config.allowed_hosts))
    origins = request.headers.getall("Origin", [])
    if not origins:
        return
    if len(origins) > 1 or not (origins[0] in config.allowed_origins or is_same_origin(origins[0], host[0])):
        raise refuse(403, ApiReason.FOREIGN_ORIGIN, ", ".join(origins), ", ".join(config.allowed_origins) or None)


def host_name(host: str) -> str:
    """Return the name in a Host header, in lower case without port and brackets."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and not host.endswith("]") else host
    return name.strip("[]").lower()


def is_same_origin(origin: str, host: str) -> bool:
    """Tell whether a page of this very server sent the request."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and parts.netloc.lower() == host.lower()


def allow_origin(request: web.BaseRequest, response: web.StreamResponse, config: ApiConfig) -> None:
    """Let the pages of an origin on the list read the response."""
    origin = request.headers.get("Origin")
    if origin in config.allowed_origins:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Vary"] = "Origin"
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = "POST, GET"
            response.headers["Access-Control-Allow-Headers"] = "Content-Type"
            response.headers["Access-Control-Max-Age"] = _CORS_MAX_AGE_S


def check_json(request: web.BaseRequest) -> None:
    """Check that a body is declared as plain JSON.

    Raises:
        HttpRefusal: WRONG_CONTENT_TYPE.
    """
    if request.content_type != JSON or (request.charset or "utf-8").lower() not in {"utf-8", "utf8"}:
        raise refuse(415, ApiReason.WRONG_CONTENT_TYPE, request.headers.get("Content-Type"), JSON)
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise refuse(415, ApiReason.WRONG_CONTENT_TYPE, f"Content-Encoding: {encoding}", "no compression")


async def read_body(request: web.BaseRequest, config: ApiConfig) -> bytes:
    """Return a body that is not too large and here in time.

    Raises:
        HttpRefusal: BODY_TOO_LARGE, BODY_TOO_SLOW, NOT_JSON if the client broke off.
    """
    if (request.content_length or 0) > config.body_bytes_max:
        raise refuse(413, ApiReason.BODY_TOO_LARGE, request.content_length, config.body_bytes_max)
    body = bytearray()
    try:
        async with asyncio.timeout(config.body_timeout_s):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > config.body_bytes_max:
                    raise refuse(413, ApiReason.BODY_TOO_LARGE, len(body), config.body_bytes_max)
    except TimeoutError as error:
        raise refuse(408, ApiReason.BODY_TOO_SLOW, len(body), f"{config.body_timeout_s:g} s") from error
    except (ClientPayloadError, web.PayloadAccessError, web.RequestPayloadError) as error:
        raise refuse(400, ApiReason.NOT_JSON, "the body broke off") from error
    return bytes(body)
