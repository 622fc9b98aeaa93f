"""One connection of a client: its responses keep the order of its requests, and it ends as it should."""

import asyncio
import socket
import struct

from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import connection, http

from mitm_engine.options import Options, Policy, Terms, Timeouts
from tests.mitm_engine.http1.wire_bytes import chunked
from tests.mitm_engine.world import On, Waiting, fail, world
from tests.support.client import AsyncRawClient, request
from tests.support.loops import on_uvloop
from tests.support.upstream import Received, replying, sized
from tests.support.wait import until_true


def echo(asked: Received) -> bytes:
    return sized(f"{asked.method} {asked.target} ".encode() + asked.body)


class Slow:
    """Every other request waits a moment, so that the later one is ready first."""

    async def request(self, flow: http.HTTPFlow) -> None:
        if int(flow.request.path[1:]) % 2:
            await asyncio.sleep(0.005)


@given(
    st.lists(st.tuples(st.binary(max_size=300), st.booleans()), min_size=1, max_size=12), st.integers(1, 400)
)
def test_pipelined_requests_get_their_responses_in_order_at_every_cut(
    bodies: list[tuple[bytes, bool]], size: int
) -> None:
    raw = b""
    for number, (body, is_chunked) in enumerate(bodies):
        if is_chunked:
            coded = chunked([body[:100], body[100:]] if body[100:] else [body] if body else [])
            raw += request(f"/{number}", "POST", b"", "Transfer-Encoding: chunked") + coded
        else:
            raw += request(f"/{number}", "POST", body)

    @on_uvloop
    async def scenario() -> None:
        async with world(Slow(), script=replying(echo)) as w:
            client = await w.client()
            for start in range(0, len(raw), size):
                await client.send(raw[start : start + size])
            for number, (body, _) in enumerate(bodies):
                response = await client.response()
                assert response.body == b"POST /%d " % number + body

    scenario()


async def test_pipelined_requests_over_the_limit_end_the_connection_after_the_limit() -> None:
    async with world(script=replying(echo)) as w:
        client = await w.client(b"".join(request(f"/{number}") for number in range(100)))
        for number in range(32):
            response = await client.response()
            assert response.body == b"GET /%d " % number
            assert response.closes is (number == 31)
        assert await client.ended() == b""
        assert w.recorder.count("requestheaders") == w.recorder.count("post_response") == 32


async def test_a_malformed_request_is_a_400_after_the_responses_before_it() -> None:
    async with world(script=replying(echo)) as w:
        client = await w.client(request("/1") + b"\0\0\0\r\n\r\n")
        assert (await client.response()).body == b"GET /1 "
        response = await client.response()
        assert (response.status, response.closes) == (400, True)
        assert await client.ended() == b""
        assert w.recorder.count("requestheaders") == 1
        assert w.engine.metrics.faults == {"bad_request": 1}


async def test_an_addon_that_fails_at_client_connected_rejects_all_requests() -> None:
    async with world(On(client_connected=fail)) as w:
        client = await w.client(request() * 3)
        response = await client.response()
        assert (response.status, response.closes) == (503, True)
        assert await client.ended() == b""
        client.close()
        await w.recorder.saw("client_disconnected")
        assert w.recorder.count("requestheaders") == 0


async def test_an_addon_can_reject_a_client() -> None:
    def turn_away(client: connection.Client) -> None:
        client.error = "blocked"

    async with world(On(client_connected=turn_away)) as w:
        client = await w.client(request())
        assert await client.ended() == b""
        await w.quiet()
        assert w.recorder.count("requestheaders") == 0


async def test_a_connection_over_the_limit_is_a_503_at_once_and_frees_its_slot() -> None:
    async with world(options=Options(connections=2, drain_timeout=0.2)) as w:
        one, two, *rejected = [await w.client() for _ in range(7)]
        begun = asyncio.get_running_loop().time()
        responses = [await rejected[0].response()]
        assert asyncio.get_running_loop().time() - begun < 0.1
        responses += [await client.response() for client in rejected[1:]]  # they stay, and take no slot
        for response in responses:
            assert (response.status, response.closes, response.get("retry-after")) == (503, True, "1")
            assert b"overloaded" in response.body
        assert (await one.ask()).status == (await two.ask()).status == 200
        one.close()
        await until_true(lambda: w.engine.connections == 1)
        assert (await w.ask()).status == 200


async def test_a_request_over_the_limit_is_a_503_before_its_body_and_any_hook() -> None:
    hold = Waiting("requestheaders")
    async with world(hold, options=Options(in_flight=1, drain_timeout=0.2)) as w:
        one, two = await w.client(), await w.client()
        await one.send(request())
        await until_true(lambda: w.engine.metrics.in_flight == 1)
        begun = asyncio.get_running_loop().time()
        for _ in range(20):
            # The connection is kept, although whole bodies came in vain.
            response = await two.ask("/", "POST", bytes(10_000))
            assert (response.status, response.closes) == (503, False)
        assert asyncio.get_running_loop().time() - begun < 20 * 0.02
        await two.send(request("/", "POST", b"", "Content-Length: 1000000"))
        assert (await two.response()).closes
        assert w.engine.metrics.rejected == 21
        assert w.engine.metrics.requests == 1
        hold.go.set()
        assert (await one.response()).status == 200
        assert w.recorder.count("post_response") == 1
        assert (await w.ask()).status == 200


async def test_a_client_that_was_reset_before_it_was_accepted_leaves_nothing() -> None:
    async with world() as w:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            with socket.create_connection(listener.getsockname()) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.send(request())
            sock, _ = listener.accept()
            sock.setblocking(False)
            w.engine.accept(sock)
            await w.quiet()
        assert (await w.ask()).status == 200


async def test_a_policy_with_an_invalid_response_ends_the_connection() -> None:
    def bad(why: object, flow: object) -> http.Response:
        return http.Response.make(400, b"", {"X": "a\r\nb"})

    async with world(options=Options(in_flight=0, drain_timeout=0.2)) as w:
        w.engine._worker.policy = Policy(response=bad)
        for raw in (request(), b"\0\r\n\r\n"):
            client = await w.client(raw)
            assert await client.ended() == b""
        await w.quiet()


async def test_a_policy_that_fails_still_gives_the_client_a_response() -> None:
    def raising(*_: object) -> http.Response:
        raise RuntimeError

    async with world() as w:
        w.engine._worker.policy = Policy(response=raising, terms=lambda flow: Terms())
        client = await w.client(b"\0\r\n\r\n")
        assert (await client.response()).status == 400
        w.engine._worker.policy = Policy(terms=raising)  # type: ignore[arg-type]
        assert (await w.ask()).status == 503
        assert not w.upstream.peers


async def test_late_data_does_not_keep_a_connection_that_closes() -> None:
    async with world() as w:
        client = await w.client()
        await client.ask()
        [connection] = w.engine._worker.connections.values()
        connection.close_if_idle()
        connection.expire(0)
        deadline = connection.deadline
        connection.data_received(b"GET")
        assert connection.deadline == deadline
        assert await client.ended() == b""


async def test_a_client_that_half_closes_ends_its_exchange() -> None:
    async with world(Waiting("request")) as w:
        client = await w.client(request())
        await w.recorder.saw("client_connected")
        client.socket.shutdown(socket.SHUT_WR)
        assert await client.ended() == b""
        await w.recorder.saw("post_response")


async def test_a_client_that_half_closes_and_does_not_read_is_not_kept() -> None:
    options = Options(timeouts=Timeouts(grace=0.3), drain_timeout=0.2)
    script = replying(lambda asked: sized(bytes(60_000)))
    async with world(script=script, options=options, send_buffer=4096) as w:
        client = await w.client(request(), receive_buffer=4096)
        await w.recorder.saw("post_response")
        client.socket.shutdown(socket.SHUT_WR)
        await w.quiet()


async def test_addons_see_the_addresses_of_a_client() -> None:
    async with world() as w:
        client: AsyncRawClient = await w.client()
        await client.ask()
        seen = w.recorder.last().client_conn
        assert seen.peername == client.socket.getsockname()
        assert seen.sockname == client.socket.getpeername()
        assert not seen.tls
        assert seen.connected
        client.close()
        await w.recorder.saw("client_disconnected")
        assert not seen.connected


async def test_the_head_of_a_pipelined_request_has_its_own_timeout() -> None:
    options = Options(timeouts=Timeouts(head=0.3), drain_timeout=0.2)
    async with world(script=replying(echo), options=options) as w:
        prompt, slow = await w.client(), await w.client()
        for client in (prompt, slow):
            await client.send(request("/1") + request("/2")[:20])
            assert (await client.response()).body == b"GET /1 "
        await prompt.send(request("/2")[20:])
        assert (await prompt.response()).body == b"GET /2 "
        response = await slow.response()
        assert (response.status, response.closes) == (408, True)
        assert await slow.ended() == b""
        assert w.engine.metrics.closed["late"] == 1


async def test_bytes_behind_the_last_request_of_a_connection_are_dropped() -> None:
    hold = Waiting("request")
    async with world(hold) as w:
        client = await w.client(request("/", "GET", b"", "Connection: close"))
        await w.recorder.saw("requestheaders")
        for _ in range(5):
            await client.send(request("/more"))
            await asyncio.sleep(0.005)
        hold.go.set()
        assert (await client.response()).closes
        assert w.recorder.count("requestheaders") == 1


async def test_always_served_paths_are_served_above_the_limit() -> None:
    async def wait(flow: http.HTTPFlow) -> None:
        if flow.request.path == "/slow":
            await asyncio.Event().wait()

    def response(flow: http.HTTPFlow) -> None:
        if flow.request.path == "/health":
            flow.response = http.Response.make(200, b"well")

    options = Options(in_flight=1, always_served=frozenset([b"/health"]), drain_timeout=0.2)
    async with world(On(requestheaders=response), On(request=wait), options=options) as w:
        await (await w.client()).send(request("/slow"))
        await w.recorder.saw("requestheaders")
        client = await w.client()
        assert (await client.ask("/other")).status == 503
        assert (await client.ask("/health")).status == 200
