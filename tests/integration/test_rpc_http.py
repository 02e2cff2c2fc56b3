"""The API over real sockets: the paths, and clients that are slow, foreign, large or broken."""

from __future__ import annotations

import asyncio
import contextlib
import json

import aiohttp
import pytest

from node.api.app import create_metrics_app
from node.api.config import ApiConfig
from node.api.server import serve
from tests.support.fixture_chain import FixtureNode, account, transfer
from tests.support.http import served

ADDRESS = "bocc1qq2umswpyqlguyy8jpfuxhf7qrdq7at82uz36ch9"
STATUS = {"jsonrpc": "2.0", "id": 1, "method": "status"}
HEAD = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"

GARBAGE = (
    b"\x16\x03\x01\x02\x00\x01",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    HEAD + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
    HEAD + b"X: y\r\n" * 200 + b"\r\n",
)


def reason_of(answer):
    return answer["error"]["data"]["reason"]


@pytest.mark.parametrize("path", ["/", "/rpc"])
async def test_call_by_post(path):
    async with served() as server:
        status, answer = await server.post(STATUS, path)
    assert (status, answer["result"]["height"]) == (200, 4)


async def test_notification_is_answered_by_204():
    async with served() as server:
        assert await server.post({"jsonrpc": "2.0", "method": "status"}) == (204, None)


async def test_answer_is_uncompressed_json_that_nothing_caches():
    async with (
        served() as server,
        server.session.post(server.url(), json=STATUS, headers={"Accept-Encoding": "gzip, deflate"}) as response,
    ):
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "Content-Encoding" not in response.headers
        assert "Set-Cookie" not in response.headers
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    ("path", "height"),
    [
        ("/rpc/block?height=2", 2),
        ("/rpc/block", 4),
        ("/rpc/account?address=bocc1qq2umswpyqlguyy8jpfuxhf7qrdq7at82uz36ch9&height=3", 3),
    ],
)
async def test_read_by_get(path, height):
    async with served() as server:
        status, answer = await server.get(path)
    assert (status, answer["result"]["height"]) == (200, height)


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/rpc/block?height=99", 404, "above_tip"),
        ("/rpc/block?height=x", 400, "bad_params"),
        ("/rpc/block?heigth=1", 400, "bad_params"),
        ("/rpc/block?height=1&height=2", 400, "bad_params"),
        ("/rpc/nothing", 404, "unknown_method"),
        ("/rpc/tx_submit?tx=00", 405, "not_readable_by_get"),
        ("/rpc/faucet?address=x", 405, "not_readable_by_get"),
        ("/rpc/subscribe", 405, "not_readable_by_get"),
        ("/nowhere", 404, "no_such_path"),
        ("/", 405, "wrong_http_method"),
        ("/ws", 400, "needs_websocket"),
    ],
)
async def test_wrong_get_is_refused_with_a_status_and_a_reason(path, status, reason):
    async with served() as server:
        seen, answer = await server.get(path)
    assert (seen, reason_of(answer)) == (status, reason)


async def test_openrpc_document_is_served():
    async with served() as server:
        status, answer = await server.get("/openrpc.json")
    assert (status, answer["openrpc"]) == (200, "1.2.6")


async def test_health_is_by_status_with_reasons():
    node = FixtureNode()
    async with served(node) as server:
        assert (await server.get("/livez"))[0] == 200
        assert (await server.get("/readyz"))[0] == 200
        node.is_syncing = True
        status, answer = await server.get("/readyz")
        assert (await server.get("/livez"))[0] == 200
    assert (status, answer["ok"]) == (503, False)
    assert [check["name"] for check in answer["checks"] if not check["ok"]] == ["syncing"]


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "",
    ],
)
async def test_other_content_types_are_refused(content_type):
    async with served() as server:
        status, answer = await server.post(STATUS, headers={"Content-Type": content_type})
    assert (status, reason_of(answer)) == (415, "wrong_content_type")


async def test_json_may_say_that_it_is_utf_8():
    async with served() as server:
        assert (await server.post(STATUS, headers={"Content-Type": "application/json; charset=UTF-8"}))[0] == 200


async def test_compressed_body_is_refused_and_never_inflated():
    async with served() as server:
        status, answer = await server.post(b"\x1f\x8b" + bytes(100), headers={"Content-Encoding": "gzip"})
    assert (status, reason_of(answer)) == (415, "wrong_content_type")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.", "0.0.0.0", "192.168.0.1"]
)
async def test_foreign_host_is_refused_on_every_path(host):
    async with served() as server:
        for path in ("/rpc/status", "/livez", "/openrpc.json", "/nowhere"):
            status, answer = await server.get(path, headers={"Host": host})
            assert (status, reason_of(answer)) == (403, "foreign_host")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:9701", "[::1]:9701"])
async def test_own_names_are_served(host):
    async with served() as server:
        assert (await server.get("/rpc/status", headers={"Host": host}))[0] == 200


async def test_two_host_headers_or_none_are_refused():
    async with served() as server:
        two = await server.raw(
            b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
        )
        none = await server.raw(b"GET /livez HTTP/1.0\r\n\r\n")
    assert two.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400", b"HTTP/1.0 400"))
    assert none.split(b" ")[1] == b"403"


async def test_any_host_is_served_if_the_operator_says_so():
    async with served(allowed_hosts=("*",)) as server:
        assert (await server.get("/rpc/status", headers={"Host": "node.example"}))[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
async def test_foreign_origin_is_refused_also_for_reads_and_websockets(origin):
    async with served() as server:
        status, answer = await server.post(STATUS, headers={"Origin": origin})
        assert (status, reason_of(answer)) == (403, "foreign_origin")
        assert (await server.get("/rpc/status", headers={"Origin": origin}))[0] == 403
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await server.session.ws_connect(server.url("/ws", "ws"), headers={"Origin": origin})
        assert caught.value.status == 403


async def test_page_of_this_server_may_call():
    async with served() as server:
        assert (await server.post(STATUS, headers={"Origin": server.url("")}))[0] == 200


async def test_origin_on_the_list_may_call_and_read_after_asking():
    origin = "https://explorer.example"
    async with served(allowed_origins=(origin,)) as server:
        async with server.session.options(server.url(), headers={"Origin": origin}) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == origin
            assert response.headers["Access-Control-Allow-Headers"] == "Content-Type"
        async with server.session.post(server.url(), json=STATUS, headers={"Origin": origin}) as response:
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (200, origin)
        async with server.session.get(server.url("/rpc/genesis"), headers={"Origin": origin}) as response:
            assert response.headers["Access-Control-Allow-Origin"] == origin
        async with server.session.options(server.url(), headers={"Origin": "https://other.example"}) as response:
            assert response.status == 403


@pytest.mark.parametrize("chunked", [False, True])
async def test_body_above_the_limit_is_refused(chunked):
    async def pieces():
        for _ in range(200):
            yield b" " * 1_024

    async with served(body_bytes_max=100_000) as server:
        request = aiohttp.ClientTimeout(total=5)
        body = pieces() if chunked else b" " * 204_800
        headers = {"Content-Type": "application/json"}
        async with server.session.post(server.url(), data=body, headers=headers, timeout=request) as response:
            assert response.status == 413
            assert reason_of(await response.json()) == "body_too_large"


async def test_announced_size_above_the_limit_is_refused_without_reading():
    async with served() as server:
        answer = await server.raw(HEAD + b"Content-Length: 99999999999\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("body", [b"", b'{"jsonrpc"'], ids=["nothing", "half"])
async def test_body_that_does_not_come_is_given_up(body):
    async with served(body_timeout_s=0.1) as server:
        answer = await server.raw(HEAD + b"Content-Length: 100\r\n\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"body_too_slow" in answer


@pytest.mark.parametrize("request_head", [b"", b"POST / HTT", HEAD], ids=["nothing", "half a line", "half the headers"])
async def test_connection_that_finishes_no_header_is_closed(request_head):
    async with served(body_timeout_s=0.1, keepalive_timeout_s=0.1) as server:
        assert await server.raw(request_head, wait_s=2) == b""


async def test_idle_connection_is_closed_after_its_last_answer():
    async with served(keepalive_timeout_s=0.1) as server:
        answer = await server.raw(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /li", wait_s=3)
    assert answer.startswith(b"HTTP/1.1 200")


async def test_connections_beyond_the_limit_are_closed_at_once_and_leaving_makes_room():
    async with served(connections_max=2, body_timeout_s=30) as server:
        held = [await asyncio.open_connection(server.host, server.port) for _ in range(2)]
        await asyncio.sleep(0)
        assert await server.raw(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n") == b""
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        answer = await server.raw(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200")


async def test_client_that_leaves_in_the_middle_of_a_body_disturbs_nobody():
    async with served() as server:
        for _ in range(5):
            _, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(HEAD + b"Content-Length: 100\r\n\r\n{")
            await writer.drain()
            writer.transport.abort()
        assert (await server.post(STATUS))[0] == 200


async def test_handler_that_takes_too_long_is_ended():
    async with served(handler_timeout_s=0.05) as server:
        wait = {"jsonrpc": "2.0", "id": 1, "method": "tx_wait", "params": {"tx_id": "00" * 32, "timeout_ms": 20_000}}
        status, answer = await server.post(wait)
        assert (status, reason_of(answer)) == (200, "handler_too_slow")
        assert (await server.get(f"/rpc/tx_wait?tx_id={'00' * 32}&timeout_ms=20000"))[0] == 503
        assert server.node.tracker.waiter_count == 0


async def test_client_that_leaves_while_it_waits_frees_its_place():
    async with served() as server:
        body = json.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": "tx_wait", "params": ["00" * 32, "final", 20_000]}
        ).encode()
        _, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        async with asyncio.timeout(2):
            while not server.node.tracker.waiter_count:  # noqa: ASYNC110  # the server has no event for it
                await asyncio.sleep(0.005)
            writer.transport.abort()
            while server.node.tracker.waiter_count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


async def test_client_that_does_not_read_is_cut_off():
    """Given answers far above what sockets buffer, when the client takes none, then the connection ends with the send timeout."""
    call = {"jsonrpc": "2.0", "method": "genesis", "id": 1}
    body = json.dumps([call] * 100).encode()
    request = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    async with served(send_timeout_s=0.2) as server:
        _, sample = await server.post(body)
        whole = 40 * len(json.dumps(sample))
        reader, writer = await asyncio.open_connection(server.host, server.port, limit=1)
        writer.write(request * 40)
        async with asyncio.timeout(10):
            while server.open_connections() > 1:  # noqa: ASYNC110  # the client's own, kept alive, stays
                await asyncio.sleep(0.01)
            received = 0
            with contextlib.suppress(ConnectionError):
                while chunk := await reader.read(1 << 20):
                    received += len(chunk)
        writer.close()
        assert received < whole
        assert (await server.post(STATUS))[0] == 200


async def test_garbage_instead_of_http_is_refused_and_the_server_lives():
    async with served() as server:
        for garbage in GARBAGE:
            answer = await server.raw(garbage)
            assert b"Traceback" not in answer
            assert answer == b"" or b" 4" in answer[:12]
        assert (await server.post(STATUS))[0] == 200


async def test_transaction_travels_from_curl_to_finality():
    node = FixtureNode()
    transaction = node.fixture.sign(0, transfer(account(1), 5), nonce=1)
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tx_submit",
        "params": {"tx": transaction.encoded.hex(), "wait": "final"},
    }
    async with served(node) as server:
        answer = asyncio.ensure_future(server.post(call))
        async with asyncio.timeout(2):
            while not len(node.mempool):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        node.produce()
        assert (await answer)[1]["result"]["status"] == "final"


async def test_server_that_stops_answers_nobody_and_leaves_nothing():
    node = FixtureNode()
    async with served(node) as server:
        url, session = server.url(), server.session
        call = {"jsonrpc": "2.0", "id": 1, "method": "tx_wait", "params": {"tx_id": "00" * 32, "timeout_ms": 20_000}}
        waiting = asyncio.ensure_future(session.post(url, json=call))
        async with asyncio.timeout(2):
            while not node.tracker.waiter_count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    with pytest.raises(aiohttp.ClientError):
        await waiting
    assert node.tracker.waiter_count == 0


async def test_metrics_are_served_by_name_of_this_machine_only():
    config = ApiConfig()
    app = create_metrics_app(lambda: b"bocc_x 1\n", "text/plain; version=0.0.4", config)
    async with serve(app, "127.0.0.1", 0, config) as (host, port), aiohttp.ClientSession() as session:
        async with session.get(f"http://{host}:{port}/metrics") as response:
            assert (response.status, await response.text()) == (200, "bocc_x 1\n")
            assert response.headers["Content-Type"] == "text/plain; version=0.0.4"
        async with session.get(f"http://{host}:{port}/metrics", headers={"Host": "evil.example"}) as response:
            assert response.status == 403


async def test_port_that_is_taken_is_an_error_of_the_start():
    async with served() as server:
        with pytest.raises(OSError, match="ddress"):
            async with serve(
                create_metrics_app(bytes, "text/plain", ApiConfig()), server.host, server.port, ApiConfig()
            ):
                pass
