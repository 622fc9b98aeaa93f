"""A request is tried at the next target when its policy says so, and the client sees one response."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from mitmproxy import http

from mitm_engine.exchange.attempt import AttemptReport, Hold, Retries
from mitm_engine.options import Policy, Terms, Timeouts
from mitm_engine.wire_error import WireError
from tests.mitm_engine.exchange.targets import answer, silent, targets, told
from tests.mitm_engine.world import On, World, world
from tests.support.certificates import Authority
from tests.support.client import request
from tests.support.ports import black_hole
from tests.support.upstream import CHUNKED, Peer, Script, Upstream, chunk, close, hang, sized
from tests.support.wait import until_true

QUICK = Timeouts(first_byte=0.05)
ERROR = b'{"error": {"type": "some_error"}}'


async def reset_after_request(peer: Peer) -> None:
    await peer.request()
    peer.reset()


async def end_after_request(peer: Peer) -> None:
    await peer.request()


def error(status: str, *fields: str) -> Script:
    return answer(sized(ERROR, status, *fields))


#: Each target that fails, and the attempt that the policy is told.
FAULTS: dict[str, tuple[Script | None, dict[str, object]]] = {
    "refused": (None, {"is_sent": False, "status": 0}),
    "a black hole": (hang, {"is_sent": True, "has_response": False, "status": 0}),
    "a reset after the request": (reset_after_request, {"has_response": False, "is_sent": True}),
    "an end after the request": (end_after_request, {"has_response": False, "is_sent": True}),
    "half a head": (answer(b"HTTP/1.1 200 O", close), {"has_response": True, "status": 0}),
    "not HTTP": (answer(b"SSH-2.0-OpenSSH\r\n\r\n"), {"has_response": True, "status": 0}),
    "429": (error("429 Too Many Requests"), {"status": 429, "body": ERROR}),
    "429 with a wait": (
        error("429 Too Many Requests", "Retry-After: 7"),
        {"status": 429, "fields": ((b"Retry-After", b"7"), (b"Content-Length", b"33"))},
    ),
    "500": (error("500 Internal Server Error"), {"status": 500, "body": ERROR}),
    "503": (error("503 Service Unavailable"), {"status": 503, "body": ERROR}),
    "529": (error("529 Overloaded"), {"status": 529, "body": ERROR}),
    "503 in chunks": (
        answer(CHUNKED.replace(b"200 OK", b"503 Full") + chunk(ERROR) + b"0\r\n\r\n"),
        {"status": 503, "body": ERROR},
    ),
    "503, cut": (
        answer(sized(ERROR, "503 Full")[:-3], close),
        {"status": 503, "body": ERROR[:-3]},
    ),
}
TRANSPORT = ("refused", "a black hole", "a reset after the request", "an end after the request")
TRANSPORT += ("half a head", "not HTTP")


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_target_that_fails_is_followed_by_the_next(fault: str, streams: bool) -> None:
    script, expected = FAULTS[fault]
    async with targets(script, told("second"), timeouts=QUICK, streams=streams) as (w, t):
        client = await w.client()
        response = await client.ask("/", "POST", b"question")
        assert (response.status, response.body) == (200, b"second")
        first, second = t.told
        for name, value in expected.items():
            assert getattr(first, name) == value, name
        assert (first.error is not None) == (fault in TRANSPORT)
        assert (first.number, second.number, second.status, second.error) == (1, 2, 200, None)
        assert t.calls[-1] == 1
        assert t.upstreams[-1].received[0].body == b"question"
        assert (await client.ask()).status == 200


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_last_failure_is_what_the_client_gets(fault: str, streams: bool) -> None:
    script, _ = FAULTS[fault]
    async with targets(None, script, timeouts=QUICK, streams=streams) as (w, t):
        client = await w.client(request("/", "POST", b"question"))
        response = await client.response()
        status = {"a black hole": 504, "503, cut": 502}.get(fault, t.told[-1].status or 502)
        assert response.status == status
        if t.told[-1].status and fault != "503, cut":
            assert response.body == ERROR
            assert response.get("retry-after") == ("7" if fault == "429 with a wait" else None)
        assert [each.number for each in t.told] == [1, 2]


async def test_the_hooks_of_the_flow_fire_once_and_those_of_connections_per_attempt(streams: bool) -> None:
    async with targets(None, error("503 Full"), told("third"), streams=streams) as (w, t):
        assert (await w.ask("/", "POST", b"x")).body == b"third"
        assert [hook for hook in w.recorder.hooks if hook != "server_disconnected"] == [
            "client_connected",
            "requestheaders",
            "request",
            *("server_connect", "server_connect_error"),
            *("server_connect", "server_connected"),
            *("server_connect", "server_connected"),
            "responseheaders",
            "response",
            "post_response",
        ]
        assert w.recorder.last().server_conn.address == ("127.0.0.1", t.ports[2])


async def test_nothing_is_asked_about_a_flow_without_retries() -> None:
    def fail(*_: object) -> bool:
        raise AssertionError

    policy = Policy(retry=fail, holds=fail, held=fail)  # type: ignore[arg-type]
    async with world(policy=policy) as w:
        assert (await w.ask()).status == 200
        await w.upstream.stop()
        assert (await w.ask()).status == 502


async def test_the_terms_are_asked_for_again_with_each_attempt() -> None:
    async with targets(hang, hang, told("third")) as (w, t):
        long, short = t.terms, replace(t.terms, timeouts=Timeouts(first_byte=0.2), owner="other")
        t.terms = short

        def retry(flow: http.HTTPFlow, attempt: AttemptReport) -> bool:
            t.terms = short if attempt.number < 2 else long
            t.told.append(replace(attempt))
            return attempt.error is not None and t.next(flow)

        t.retry = retry  # type: ignore[method-assign]
        async with asyncio.timeout(5):
            assert (await w.ask()).body == b"third"
        assert {key.owner for key in w.engine._worker.pool._idle} == {""}


async def test_a_connection_that_cannot_be_made_ends_at_the_connect_timeout() -> None:
    with black_hole() as url:
        async with targets(None, told("second"), timeouts=Timeouts(connect=0.3)) as (w, t):
            t.ports[0] = int(url.rpartition(":")[2])
            assert (await w.ask("/", "POST", b"x")).body == b"second"
            failed = t.told[0]
            assert failed.error is not None
            assert (failed.error.code, failed.error.cause) == ("upstream_timeout", "timeout")
            assert not failed.is_sent


async def test_a_certificate_that_cannot_be_verified_is_a_failed_attempt(tmp_path: Path) -> None:
    upstream = Upstream(told("never"), Authority(tmp_path).server_context("a.example.com"))
    await upstream.start()

    def use_tls(flow: http.HTTPFlow) -> None:
        flow.request.data.scheme = b"https"

    async with targets(None, told("second"), addons=[On(request=use_tls)]) as (w, t):
        t.ports[0] = upstream.port

        def retry(flow: http.HTTPFlow, attempt: AttemptReport) -> bool:
            flow.request.data.scheme = b"http"
            t.told.append(replace(attempt))
            return attempt.error is not None and t.next(flow)

        t.retry = retry  # type: ignore[method-assign,assignment]
        assert (await w.ask("/", "POST", b"x")).body == b"second"
        failed = t.told[0]
        assert failed.error is not None
        assert (failed.error.code, failed.error.cause, failed.is_sent) == ("upstream_tls", "tls", False)
    await upstream.stop()


async def test_the_total_timeout_spans_all_attempts() -> None:
    timeouts = Timeouts(first_byte=0.4, total=0.6)
    async with targets(hang, hang, hang, told("late"), timeouts=timeouts) as (w, t):
        async with asyncio.timeout(2):
            assert (await w.ask()).status == 504
        assert "the timeout total" in w.recorder.failure()
        assert len(t.told) < 3


async def test_the_wait_before_the_next_attempt_is_the_policys() -> None:
    async with targets(None, told("second")) as (w, t):
        t.pause = 0.2
        began = asyncio.get_running_loop().time()
        assert (await w.ask()).body == b"second"
        assert asyncio.get_running_loop().time() - began >= 0.19


async def test_a_decision_that_takes_too_long_ends_the_exchange() -> None:
    async with targets(None, told("second"), retries=Retries(decision_seconds=0.1)) as (w, t):
        t.pause = 20
        async with asyncio.timeout(2):
            assert (await w.ask()).status == 503
        assert w.recorder.failure().startswith("plugin_failure")


async def test_a_policy_that_fails_rejects_the_request(caplog: pytest.LogCaptureFixture) -> None:
    async with targets(told("first"), told("second")) as (w, t):

        def retry(flow: http.HTTPFlow, attempt: AttemptReport) -> bool:
            raise KeyError("a fault of the policy")

        t.retry = retry  # type: ignore[method-assign,assignment]
        assert (await w.ask()).status == 503
        assert "a fault of the policy" in caplog.text
        assert not w.engine._worker.pool._idle


async def test_a_policy_may_end_the_exchange_with_an_error_of_its_own() -> None:
    async with targets(None, told("second")) as (w, t):

        def retry(flow: http.HTTPFlow, attempt: AttemptReport) -> bool:
            raise WireError("upstream_timeout", "The deadline is over.")

        t.retry = retry  # type: ignore[method-assign,assignment]
        assert (await w.ask()).status == 504
        assert t.calls == [0]


async def test_a_failure_that_is_not_the_upstreams_is_not_tried_again() -> None:
    def fail(subject: object) -> None:
        raise RuntimeError

    async with targets(told("first"), told("second"), addons=[On(server_connect=fail)]) as (w, t):
        assert (await w.ask()).status == 503
        assert (t.told, t.calls) == ([], [0, 0])


async def test_a_repeat_on_a_dead_connection_is_no_attempt() -> None:
    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.write(sized(b"one"))
        await peer.request()

    async with targets(once, told("second")) as (w, t):
        client = await w.client()
        assert (await client.ask()).body == b"one"
        assert (await client.ask()).body == b"one"
        assert [(each.number, each.error, each.status) for each in t.told] == [(1, None, 200)] * 2
        assert t.calls == [3, 0]


async def test_a_post_on_a_dead_connection_is_the_policys_to_repeat() -> None:
    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.write(sized(b"one"))
        await peer.request()

    async with targets(once, told("second")) as (w, t):
        client = await w.client()
        assert (await client.ask("/", "POST", b"x")).body == b"one"
        assert (await client.ask("/", "POST", b"x")).body == b"second"
        failed = t.told[1]
        assert failed.error is not None
        assert (failed.error.cause, failed.is_reused, failed.is_sent) == ("reset", True, True)


async def test_the_next_attempt_is_what_the_policy_has_written() -> None:
    async with targets(error("503 Full"), told("second")) as (w, t):

        def retry(flow: http.HTTPFlow, attempt: AttemptReport) -> bool:
            if attempt.status == 200:
                return False
            data = flow.request.data
            data.path, data.method, data.content = b"/other", b"PUT", b"translated"
            flow.request.headers["X-Key"] = "2"
            return t.next(flow)

        t.retry = retry  # type: ignore[method-assign,assignment]
        assert (await w.ask("/", "POST", b"x", "X-Key: 1")).body == b"second"
        [received] = t.upstreams[1].received
        assert (received.method, received.target, received.body) == ("PUT", "/other", b"translated")
        assert received.all("x-key") == ["2"]


async def test_only_a_connection_whose_response_was_read_to_its_end_is_kept() -> None:
    long = sized(bytes(300_000), "503 Full")
    async with targets(error("503 Full"), answer(long), told("third")) as (w, t):
        assert (await w.ask("/", "POST", b"x")).body == b"third"
        kept = {key.port for key in w.engine._worker.pool._idle}
        assert kept == {t.ports[0], t.ports[2]}
        await asyncio.wait_for(t.upstreams[1].peers[0].gone.wait(), 2)


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 300_000])
async def test_an_error_that_is_not_tried_again_reaches_the_client_whole(size: int, streams: bool) -> None:
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    for raw in (sized(body, "503 Full"), CHUNKED.replace(b"200 OK", b"503 Full") + _chunks(body)):
        async with targets(answer(raw), streams=streams) as (w, t):
            response = await w.ask("/", "POST", b"x")
            assert (response.status, response.cut) == (503, None)
            assert response.body == body
            assert t.told[0].body == body[:65_536]


def _chunks(body: bytes) -> bytes:
    return b"".join(chunk(body[at : at + 7_000]) for at in range(0, len(body), 7_000)) + b"0\r\n\r\n"


async def test_an_error_whose_body_stalls_is_judged_by_what_has_come() -> None:
    stalled = sized(ERROR, "503 Full")[:-3]
    retries = Retries(error_seconds=0.1)
    async with targets(answer(stalled, hang), told("second"), retries=retries) as (w, t):
        async with asyncio.timeout(2):
            assert (await w.ask()).body == b"second"
        assert (t.told[0].body, t.told[0].error) == (ERROR[:-3], None)


async def test_statuses_that_are_not_judged_are_told_without_a_body() -> None:
    async with targets(error("404 Not Found"), told("second")) as (w, t):
        assert (await w.ask()).status == 404
        assert (t.told[0].status, t.told[0].body) == (404, b"")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
async def test_clients_of_any_version_and_head_requests_get_one_response(
    version: bytes, method: str, streams: bool
) -> None:
    head = method == "HEAD"
    empty = b"HTTP/1.1 503 Full\r\nContent-Length: 9\r\n\r\n"
    second = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n" + (b"" if head else b"second")
    fault = answer(empty) if head else error("503 Full")
    async with targets(None, fault, answer(second), streams=streams, hold=Hold()) as (w, t):
        client = await w.client(request("/", method).replace(b"HTTP/1.1", version))
        response = await client.response(method)
        assert (response.status, response.get("content-length")) == (200, "6")
        assert response.body == (b"" if head else b"second")
        assert len(t.told) == 3


@pytest.mark.parametrize("when", ["connect", "head", "decision", "error", "held"])
async def test_a_client_that_goes_away_ends_the_attempts(when: str) -> None:
    half = sized(ERROR, "503 Full")[:-3]
    scripts = {
        "connect": [told("never")],
        "head": [silent, told("never")],
        "decision": [None, told("never")],
        "error": [answer(half, hang), told("never")],
        "held": [answer(CHUNKED + chunk(b"role"), hang), told("never")],
    }
    reached = asyncio.Event()

    async def wait(subject: object) -> None:
        reached.set()
        await asyncio.sleep(20)

    addons = [On(server_connect=wait)] if when == "connect" else []
    async with targets(*scripts[when], addons=addons, hold=Hold()) as (w, t):
        t.pause = 20.0
        client = await w.client(request("/", "POST", b"x"))
        await _reached(w, t.upstreams[0].received if when in ("head", "error", "held") else None)
        client.close()
        async with asyncio.timeout(3):
            await w.quiet()
            await w.recorder.saw("post_response")
        assert w.recorder.failure().startswith("client_closed")
        assert w.recorder.count("responseheaders") == 0
        assert t.calls[-1] == 0
        assert w.engine._worker.held_bytes.total == 0
        await until_true(lambda: w.engine.metrics.upstream_connections == 0, 3)


async def _reached(w: World, received: list[object] | None) -> None:
    """Wait until the exchange is where the test wants it: at its target, or at the policy's."""
    await w.recorder.saw("request")
    async with asyncio.timeout(5):
        while received is not None and not received:
            await asyncio.sleep(0.002)
    await asyncio.sleep(0.02)


async def test_requests_behind_one_with_several_attempts_are_served_in_order() -> None:
    async with targets(None, told("second")) as (w, _):
        client = await w.client(request("/1") + request("/2", "POST", b"x") + request("/3"))
        assert [(await client.response()).body for _ in range(3)] == [b"second"] * 3
        assert Terms().retries is None
