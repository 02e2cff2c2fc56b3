"""Whether nodes answer and are ready: small synchronous probes over HTTP."""

from __future__ import annotations

import http.client
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

PROBE_TIMEOUT_S: Final = 2.0
"""A node that takes longer to say how it is, is not well."""
_ANSWER_BYTES_MAX: Final = 1 << 20


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """What a health page said."""

    http_status: int | None
    """None if nothing answered."""
    detail: Any = None
    """JSON of the page, or a text that says why there is none."""

    @property
    def is_good(self) -> bool:
        """Whether the page said yes."""
        return self.http_status == http.client.OK


def probe_page(rpc_url: str, page: str) -> Probe:
    """Ask a page such as /readyz of the server behind an RPC URL."""
    return _request("GET", rpc_url, page, None)


def probe_status(rpc_url: str) -> dict[str, Any] | None:
    """Return the `status` of a node, or None if it does not answer in time."""
    return probe_call(rpc_url, "status", {})


def probe_call(rpc_url: str, method: str, params: dict[str, object]) -> dict[str, Any] | None:
    """Return what a node answers to a call, or None if it refuses or does not answer in time."""
    call = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    probe = _request("POST", rpc_url, None, call)
    if not isinstance(probe.detail, dict):
        return None
    answer = probe.detail.get("result")
    return answer if isinstance(answer, dict) else None


def _request(method: str, rpc_url: str, page: str | None, body: bytes | None) -> Probe:
    parts = urlsplit(rpc_url)
    connection_type = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = connection_type(parts.hostname or "", parts.port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request(method, page or parts.path or "/", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read(_ANSWER_BYTES_MAX)
    except (OSError, http.client.HTTPException) as error:
        return Probe(http_status=None, detail=str(error) or type(error).__name__)
    finally:
        connection.close()
    try:
        detail = msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        detail = content[:200].decode("utf-8", "replace")
    return Probe(http_status=response.status, detail=detail)
