"""Laws of who may call, on names alone; the same over sockets is in tests/integration/test_rpc_http.py."""

from __future__ import annotations

import pytest

from node.api.guard import host_name, is_same_origin


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1:9701", "127.0.0.1"),
        ("LocalHost:1", "localhost"),
        ("[::1]", "::1"),
        ("[::1]:9701", "::1"),
        ("evil.example:9701", "evil.example"),
        ("127.0.0.1.evil.example", "127.0.0.1.evil.example"),
        ("127.0.0.1:evil", "127.0.0.1:evil"),
        ("", ""),
    ],
)
def test_name_of_a_host_header(host, name):
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("origin", "host", "is_same"),
    [
        ("http://127.0.0.1:9701", "127.0.0.1:9701", True),
        ("http://LOCALHOST:9701", "localhost:9701", True),
        ("https://node.example", "node.example", True),
        ("http://127.0.0.1:8080", "127.0.0.1:9701", False),
        ("http://evil.example", "127.0.0.1:9701", False),
        ("null", "127.0.0.1:9701", False),
        ("file://127.0.0.1:9701", "127.0.0.1:9701", False),
        ("http://[", "127.0.0.1:9701", False),
        ("http://user@127.0.0.1:9701", "127.0.0.1:9701", False),
    ],
)
def test_page_of_the_same_server(origin, host, is_same):
    assert is_same_origin(origin, host) is is_same
