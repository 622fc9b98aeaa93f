"""One request and its response: the hooks in their order, and addons that interfere."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http

from mitm_engine.exchange.exchange import Exchange
from mitm_engine.options import Options, Terms, Timeouts
from tests.mitm_engine.world import FLOW_HOOKS, On, Streaming, Waiting, fail, world
from tests.support.client import request
from tests.support.loops import on_uvloop
from tests.support.upstream import CHUNKED, Peer, chunk, responding, sized

PLAIN = [
    "client_connected",
    "requestheaders",
    "request",
    "server_connect",
    "server_connected",
    "responseheaders",
    "response",
    "post_response",
]
UPSTREAM_HOOKS = ("server_connect", "server_connected")


def respond_with(body: bytes) -> Callable[[http.HTTPFlow], None]:
    def hook(flow: http.HTTPFlow) -> None:
        flow.response = http.Response.make(418, body)

    return hook


async def fail_later(subject: object) -> None:
    await asyncio.sleep(0)
    raise RuntimeError("an addon's own trouble")


async def piecemeal(peer: Peer) -> None:
    """Send half of a chunked response, and the rest after 50 ms."""
    await peer.request()
    await peer.write(CHUNKED + chunk(b"first "))
    await asyncio.sleep(0.05)
    await peer.write(chunk(b"second") + b"0\r\n\r\n")
    await peer.until_gone()


async def test_the_hooks_of_an_exchange_fire_in_mitmproxys_order_and_each_once() -> None:
    async with world() as w:
        client = await w.client()
        assert (await client.ask()).body == b"ok"
        assert w.recorder.hooks == PLAIN
        assert (await client.ask()).body == b"ok"
        assert w.recorder.hooks[len(PLAIN) :] == [hook for hook in PLAIN[1:] if "connect" not in hook]
        client.close()
        await w.recorder.saw("client_disconnected")
    assert w.recorder.count("client_disconnected") == w.recorder.count("server_disconnected") == 1


async def test_hooks_that_are_coroutines_are_awaited() -> None:
    order: list[str] = []

    def slow(name: str) -> Callable[[object], object]:
        async def hook(subject: object) -> None:
            order.append(f"{name} begins")
            await asyncio.sleep(0.001)
            order.append(f"{name} ends")

        return hook

    names = [name for name in PLAIN if name != "post_response"]
    async with world(On(**{name: slow(name) for name in names})) as w:
        assert (await w.ask()).status == 200
        assert order == [f"{name} {when}" for name in names for when in ("begins", "ends")]
        assert w.recorder.hooks == PLAIN


async def test_response_fires_after_the_last_piece_and_before_the_end_of_a_stream() -> None:
    hold = Waiting("response")
    async with world(Streaming(), hold, script=piecemeal) as w:
        client = await w.client(request())
        assert await client.until(chunk(b"second"))
        assert w.recorder.count("post_response") == 0
        hold.go.set()
        assert await client.until(b"0\r\n\r\n") == b"0\r\n\r\n"
        assert w.recorder.hooks == PLAIN


@pytest.mark.parametrize("hook", FLOW_HOOKS)
async def test_a_response_that_an_addon_sets_is_sent(hook: str) -> None:
    async with world(On(**{hook: respond_with(b"mine")})) as w:
        client = await w.client()
        response = await client.ask(body=b"question", method="POST")
        assert (response.status, response.body) == (418, b"mine")
        asked_upstream = hook in ("responseheaders", "response")
        assert bool(w.upstream.peers) is asked_upstream
        seen = [one for one in w.recorder.hooks if one != "server_disconnected"]
        assert seen == [one for one in PLAIN if asked_upstream or one not in UPSTREAM_HOOKS]
        assert (await client.ask()).status == 418


@pytest.mark.parametrize("hook", FLOW_HOOKS)
@pytest.mark.parametrize("failing", [fail, fail_later])
async def test_an_addon_that_raises_before_the_first_byte_is_a_503(
    hook: str, failing: Callable[[object], object]
) -> None:
    async with world(On(**{hook: failing})) as w:
        client = await w.client()
        response = await client.ask()
        assert response.status == 503
        assert b"trouble" not in response.body
        assert bool(w.upstream.peers) is (hook in ("responseheaders", "response"))
        assert w.recorder.count("error") == w.recorder.count("post_response") == 1
        assert w.recorder.count("response") == 0
        assert w.recorder.failure().startswith("plugin_failure")
        assert w.engine.metrics.faults == {"plugin_failure": 1}
        assert (await client.ask()).status == 503


@pytest.mark.parametrize(
    "body", [CHUNKED + chunk(b"all") + b"0\r\n\r\n", sized(b"all"), sized(bytes(200_000))]
)
async def test_an_addon_that_raises_at_the_end_of_a_stream_cuts_it(body: bytes) -> None:
    async with world(Streaming(), On(response=fail), script=responding(body)) as w:
        client = await w.client(request())
        if not len(body) > 1000:
            # Not one byte has gone out yet, so there is still a response.
            assert (await client.response()).status == 503
            return
        with pytest.raises(EOFError):
            await client.response()
        assert w.recorder.count("error") == w.recorder.count("post_response") == 1


async def test_a_stream_function_that_raises_cuts_the_response() -> None:
    pieces: list[bytes] = []

    def function(piece: bytes) -> bytes:
        pieces.append(piece)
        if len(pieces) == 2:
            raise RuntimeError
        return piece

    async with world(Streaming(function), script=piecemeal) as w:
        client = await w.client(request())
        with pytest.raises(EOFError) as end:
            await client.response()
        assert chunk(b"first ") in end.value.args[0]
        assert w.recorder.count("error") == 1
        assert w.recorder.count("response") == 0


async def test_error_does_not_follow_response_when_the_client_goes_while_it_reads() -> None:
    big = sized(bytes(8_000_000))
    async with world(script=responding(big)) as w:
        client = await w.client(request(), receive_buffer=4096)
        await w.recorder.saw("response")
        client.reset()
        await w.quiet()
        assert w.recorder.count("error") == 0
        assert w.recorder.count("post_response") == 1
        assert w.recorder.last().error is not None


@pytest.mark.parametrize("hook", ["error", "post_response"])
async def test_an_addon_that_hangs_at_the_end_of_a_flow_is_cancelled(hook: str) -> None:
    addon = Waiting(hook)
    terms = Terms(Timeouts(hook=0.2))
    options = Options(timeouts=Timeouts(hook=0.2), drain_timeout=0.2)
    async with world(addon, On(request=fail), options=options, terms=terms) as w:
        assert (await w.ask()).status == 503
        await asyncio.wait_for(addon.cancelled.wait(), 20)
        assert w.engine.metrics.in_flight == 0


async def test_an_exchange_whose_error_cannot_be_handled_ends_with_post_response(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Exchange, "_fail", lambda exchange, why: fail(why))
    async with world(On(request=fail)) as w:
        client = await w.client(request())
        with contextlib.suppress(ConnectionResetError):
            await client.ended()
        await w.quiet()
        assert [w.recorder.count(hook) for hook in ("response", "error", "post_response")] == [0, 0, 1]


async def test_an_addon_that_removes_the_response_is_a_503() -> None:
    def take(flow: http.HTTPFlow) -> None:
        flow.response = None

    async with world(On(response=take)) as w:
        assert (await w.ask()).status == 503


@pytest.mark.parametrize(
    "spoil",
    [
        lambda flow: setattr(flow.request.data, "path", b"/a\r\nX: 1"),
        lambda flow: setattr(flow.request.data, "scheme", b"\xff"),
        lambda flow: setattr(flow.request.data, "port", "80"),
        lambda flow: setattr(flow.request.headers, "fields", ((b"X", b"1\r\nY: 2"),)),
    ],
)
async def test_an_invalid_request_of_an_addon_never_reaches_an_upstream(
    spoil: Callable[[http.HTTPFlow], None],
) -> None:
    async with world(On(request=spoil)) as w:
        assert (await w.ask()).status in (502, 503)
        assert not w.upstream.peers


async def test_the_body_and_the_head_reach_the_upstream_as_the_addons_left_them() -> None:
    seen: list[object] = []

    async def script(peer: Peer) -> None:
        while True:
            seen.append(await peer.request())
            await peer.write(sized())

    def change(flow: http.HTTPFlow) -> None:
        flow.request.headers["X-Added"] = "1"
        flow.request.data.content = (flow.request.data.content or b"").upper()
        flow.request.path = "/changed"

    async with world(On(request=change), script=script) as w:
        client = await w.client()
        coded = (
            request("/x", "POST", b"", "Transfer-Encoding: chunked")
            + b"3\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n"
        )
        await client.send(coded)
        assert (await client.response()).status == 200
    (asked,) = seen
    assert (asked.method, asked.target, asked.body) == ("POST", "/changed", b"ABCDE")  # type: ignore[attr-defined]
    assert asked.all("x-added") == ["1"]  # type: ignore[attr-defined]
    assert asked.all("content-length") == ["5"]  # type: ignore[attr-defined]


async def test_flows_of_the_wire_can_be_copied_and_dumped_at_every_hook() -> None:
    states: list[object] = []

    def copy(flow: http.HTTPFlow) -> None:
        states.append(http.HTTPFlow.from_state(flow.copy().get_state()).get_state())

    async with world(On(**dict.fromkeys((*FLOW_HOOKS, "post_response"), copy))) as w:
        assert (await w.ask(method="POST", body=b"x")).status == 200
        assert len(states) == 5
        flow = w.recorder.last()
        assert not flow.live
        assert flow.server_conn.peername == ("127.0.0.1", w.upstream.port)
        assert flow.client_conn.proxy_mode.type_name == "reverse"


async def _slow_upper(piece: bytes) -> bytes:
    await asyncio.sleep(0)
    return piece.upper()


_STREAMS: dict[str, object] = {
    "whole": False,
    "pass": True,
    "function": bytes.upper,
    "coroutine": _slow_upper,
}


@given(
    st.sampled_from(FLOW_HOOKS),
    st.sampled_from([200, 201, 204, 304, 404, 503]),
    st.binary(max_size=200),
    st.sampled_from(["GET", "HEAD", "POST"]),
    st.sampled_from(["HTTP/1.1", "HTTP/1.0"]),
    st.sampled_from(sorted(_STREAMS)),
)
def test_a_response_of_an_addon_is_what_a_strict_client_reads(
    hook: str, status: int, body: bytes, method: str, version: str, stream: str
) -> None:
    def response(flow: http.HTTPFlow) -> None:
        flow.response = http.Response.make(status, body, {"X-Mine": "1"})

    @on_uvloop
    async def scenario() -> None:
        async with world(Streaming(_STREAMS[stream]), On(**{hook: response})) as w:
            client = await w.client()
            raw = request("/", method, b"", "Connection: keep-alive").replace(b"HTTP/1.1", version.encode())
            for _ in range(2):
                await client.send(raw)
                got = await client.response(method)
                if hook == "response" and stream != "whole":
                    # Too late for a stream: the upstream's own response is on its way.
                    assert got.status == 200
                else:
                    assert (got.status, got.get("x-mine")) == (status, "1")
                    assert got.body == (b"" if method == "HEAD" or status in (204, 304) else body)
                if got.closes:
                    break

    scenario()


async def test_exchange_gives_each_addon_response_or_error_and_never_both(streams: bool) -> None:
    seen: list[str] = []

    def noting(name: str) -> On:
        return On(
            response=lambda flow: seen.append(f"{name} response"),
            error=lambda flow: seen.append(f"{name} error"),
        )

    only_errors = On(error=lambda flow: seen.append("third error"))
    addons = [noting("first"), On(response=fail), noting("second"), only_errors]
    async with world(*addons, streams=streams) as w:
        await w.client(request())
        await w.recorder.saw("post_response")
        assert seen == ["first response", "second error", "third error"]
