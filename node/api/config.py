"""Limits and allow-lists of the API server. Defaults suit a node that serves its own machine."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "::1")


class ApiConfig(Struct, frozen=True, kw_only=True):
    """Everything about the server that an operator may set."""

    public_url: str = "http://127.0.0.1:9701/"
    """Where this server is reached, as its OpenRPC document says."""
    allowed_hosts: tuple[str, ...] = LOOPBACK_NAMES
    """Names in the Host header that are served, without port; `*` serves any. Keeps web pages from reaching us by DNS rebinding."""
    allowed_origins: tuple[str, ...] = ()
    """Origins whose pages may call, beside pages of this server itself; each is answered with CORS headers."""
    body_bytes_max: Annotated[int, Meta(ge=1_024)] = 1 << 20
    batch_max: Annotated[int, Meta(ge=1)] = 100
    response_bytes_max: Annotated[int, Meta(ge=1_024)] = 16 << 20
    """Of one batch; calls beyond it are refused unexecuted."""
    connections_max: Annotated[int, Meta(ge=1)] = 512
    header_bytes_max: Annotated[int, Meta(ge=512)] = 8_190
    body_timeout_s: float = 10.0
    """A request's body must be here this long after its headers."""
    keepalive_timeout_s: float = 30.0
    """An idle connection, also one that never finishes its headers, is closed after this long."""
    handler_timeout_s: float = 35.0
    """Longest work on one request, waiting included."""
    wait_ms_max: Annotated[int, Meta(ge=0)] = 30_000
    """Longest wait of `tx_submit`, `tx_wait` and `events`; more is shortened to it."""
    intake_max: Annotated[int, Meta(ge=1)] = 8_192
    """Submitted transactions that wait for verification."""
    waiters_max: Annotated[int, Meta(ge=1)] = 10_000
    subscriptions_max: Annotated[int, Meta(ge=1)] = 16
    """Per WebSocket."""
    requests_in_flight_max: Annotated[int, Meta(ge=1)] = 16
    """Per WebSocket; further messages wait unread."""
    ping_interval_s: float = 20.0
    send_timeout_s: float = 10.0
    """A WebSocket that takes nothing for this long is closed as too slow."""
    faucet_amount_max: Annotated[int, Meta(ge=1)] = 1_000_000_000
    """ubocc of one faucet call, on development chains."""
