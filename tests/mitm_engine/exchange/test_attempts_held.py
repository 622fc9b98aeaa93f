"""The beginning of a body is held until the policy commits: before it, another target may be tried."""

import asyncio
from collections import Counter

import pytest
from mitmproxy import http

from mitm_engine.exchange.attempt import AttemptReport, HeldStep, Hold
from mitm_engine.options import Options, Timeouts
from tests.mitm_engine.exchange.targets import END, ROLE, Targets, answer, event, stream, targets
from tests.mitm_engine.world import World
from tests.support.client import request
from tests.support.upstream import STREAM, Peer, Script, chunk, close, hang, sized
from tests.support.wait import until_true

QUICK = Hold(seconds=0.05)
ERROR_EVENT = b'event: error\ndata: {"error": {}}\n\n'
SECOND = stream("content of the second")
SECOND_BODY = ROLE + event("content of the second")


async def cut(peer: Peer) -> None:
    peer.reset()
    raise ConnectionAbortedError


#: Beginnings without content; what comes after them; and the last piece that the policy is shown.
BROKEN: dict[str, tuple[bytes, Script | None, bytes | None]] = {
    "nothing": (STREAM + END, None, b""),
    "nothing, with a length": (sized(b""), None, b""),
    "a role, then the end": (STREAM + chunk(ROLE) + END, None, b""),
    "a role, then an error": (STREAM + chunk(ROLE) + chunk(ERROR_EVENT), hang, ERROR_EVENT),
    "a role with an error": (STREAM + chunk(ROLE + ERROR_EVENT) + END, None, ROLE + ERROR_EVENT),
    "silence": (STREAM, hang, None),
    "a role, then silence": (STREAM + chunk(ROLE), hang, None),
}
CUT: dict[str, tuple[bytes, Script]] = {
    "closed": (STREAM, close),
    "reset": (STREAM, cut),
    "closed after a role": (STREAM + chunk(ROLE), close),
    "reset after a role": (STREAM + chunk(ROLE), cut),
    "closed in a chunk": (STREAM + chunk(ROLE)[:-9], close),
    "malformed after a role": (STREAM + chunk(ROLE) + b"zz\r\n", hang),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_a_body_without_content_is_followed_by_the_next_target(what: str, streams: bool) -> None:
    raw, then, last = BROKEN[what]
    async with targets(answer(raw, then), answer(SECOND), hold=QUICK, streams=streams) as (w, t):
        async with asyncio.timeout(3):
            assert (await w.ask("/", "POST", b"x")).body == SECOND_BODY
        assert any(piece == last or (piece and last and piece.endswith(last)) for piece in t.pieces)
        assert w.recorder.count("responseheaders") == w.recorder.count("response") == 1
        assert [(each.status, each.error) for each in t.told] == [(200, None)] * 2
        await _nothing_is_held(w)


@pytest.mark.parametrize("what", CUT)
async def test_a_body_that_breaks_off_before_its_content_is_a_failed_attempt(
    what: str, streams: bool
) -> None:
    raw, then = CUT[what]
    async with targets(answer(raw, then), answer(SECOND), hold=Hold(), streams=streams) as (w, t):
        assert (await w.ask("/", "POST", b"x")).body == SECOND_BODY
        failed = t.told[1]
        assert failed.error is not None
        assert (failed.number, failed.status, failed.error.code) == (1, 200, "upstream_protocol_error")
        assert failed.error.cause == ("protocol" if "malformed" in what else "reset")
        await _nothing_is_held(w)


async def _nothing_is_held(w: World) -> None:
    await until_true(lambda: w.engine._worker.held_bytes.total == 0)


@pytest.mark.parametrize("what", BROKEN)
async def test_the_last_body_without_content_is_what_the_client_gets(what: str, streams: bool) -> None:
    raw, then, _ = BROKEN[what]
    timeouts = Timeouts(idle=0.1)
    async with targets(answer(raw, then), hold=Hold(seconds=0.01), streams=streams, timeouts=timeouts) as (
        w,
        _,
    ):
        client = await w.client(request("/", "POST", b"x"))
        if then is None:
            body = (await client.response()).body
            assert body in raw
            return
        if not streams:
            assert (await client.response()).status == 504
            return
        with pytest.raises(EOFError) as end:
            await client.response()
        assert (ROLE in raw) == (ROLE in end.value.args[0])


@pytest.mark.parametrize("what", CUT)
async def test_the_last_body_that_breaks_off_before_its_content_is_a_502(what: str, streams: bool) -> None:
    raw, then = CUT[what]
    async with targets(answer(raw, then), hold=Hold(), streams=streams) as (w, _):
        assert (await w.ask("/", "POST", b"x")).status == 502
        assert w.recorder.count("responseheaders") == 0
        assert w.recorder.count("error") == w.recorder.count("post_response") == 1


async def test_nothing_reaches_the_client_before_the_content_and_then_all_of_it_at_once() -> None:
    go = asyncio.Event()

    async def slowly(peer: Peer) -> None:
        await peer.request()
        await peer.write(STREAM + chunk(ROLE))
        await go.wait()
        await peer.write(chunk(event("content")))
        await peer.until_gone()

    async with targets(slowly, hold=Hold(), streams=True) as (w, t):
        client = await w.client(request())
        await until_true(lambda: t.pieces == [ROLE])
        assert w.recorder.count("responseheaders") == 0
        assert not client.seen
        reading = asyncio.ensure_future(client.read())
        await asyncio.sleep(0.05)
        assert not reading.done()
        go.set()
        # In one write: the head and everything that was held.
        assert (await reading).endswith(chunk(ROLE + event("content")))
        assert w.recorder.count("responseheaders") == 1


async def test_a_slow_drip_is_held_up_to_its_content_and_loses_no_byte(streams: bool) -> None:
    raw = stream("content", "more")

    async def drip(peer: Peer) -> None:
        await peer.request()
        for at in range(len(raw)):
            await peer.write(raw[at : at + 1])
            await asyncio.sleep(0)
        await peer.until_gone()

    async with targets(drip, answer(SECOND), hold=Hold(), streams=streams) as (w, t):
        assert (await w.ask()).body == ROLE + event("content") + event("more")
        assert b"".join(piece or b"" for piece in t.pieces).startswith(ROLE)
        assert t.calls == [1, 0]


async def test_a_body_that_is_held_to_its_end_is_judged_as_a_whole(streams: bool) -> None:
    """Such as a body of JSON that must be valid."""
    bodies = [b"<html>not JSON</html>", b'{"whole": "' + bytes(range(97, 123)) * 4_000 + b'"}']
    scripts = [answer(sized(body)) for body in bodies]
    async with targets(*scripts, hold=Hold(size=1_000_000), streams=streams) as (w, t):
        seen = bytearray()

        def held(flow: http.HTTPFlow, piece: bytes | None) -> HeldStep:
            seen.extend(piece or b"")
            if piece:
                return HeldStep.HOLD
            is_bad = seen.startswith(b"<")
            seen.clear()
            return HeldStep.AGAIN if is_bad and t.next(flow) else HeldStep.COMMIT

        t.held = held  # type: ignore[method-assign]
        assert (await w.ask()).body == bodies[1]
        # Responses that were read to their end leave connections that can serve again.
        assert len(w.engine._worker.pool._idle) == 2


async def test_the_head_may_say_enough() -> None:
    page = sized(b"<html></html>", "200 OK", "Content-Type: text/html")
    async with targets(answer(page), answer(SECOND), hold=Hold()) as (w, t):

        def retry(flow: http.HTTPFlow, attempt: AttemptReport) -> bool:
            return (b"Content-Type", b"text/html") in attempt.fields and t.next(flow)

        t.retry = retry  # type: ignore[method-assign,assignment]
        assert (await w.ask()).body == SECOND_BODY


@pytest.mark.parametrize("cut", [0, 3])
async def test_the_policy_is_told_a_whole_body_that_is_here_before_it_is_asked_for_a_hold(cut: int) -> None:
    """Not one that is still on its way: then it gets the pieces."""
    page, told = sized(b"content"), []

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(page[: len(page) - cut])
        if cut:
            await asyncio.sleep(0.05)
            await peer.write(page[-cut:])
        await peer.until_gone()

    async with targets(script, hold=Hold()) as (w, t):

        def holds(flow: http.HTTPFlow, attempt: AttemptReport) -> Hold | None:
            told.append(attempt.body)
            return None if attempt.body else Hold()

        t.holds = holds  # type: ignore[method-assign]
        assert (await w.ask()).body == b"content"
    assert told == ([b""] if cut else [b"content"])
    assert t.pieces == ([b"cont", b"ent"] if cut else [])


async def test_a_body_that_is_not_held_is_committed_with_its_head() -> None:
    async with targets(answer(STREAM + chunk(ROLE), close), answer(SECOND), streams=True) as (w, t):
        client = await w.client(request())
        with pytest.raises((EOFError, ConnectionResetError)):
            await client.response()
        assert (t.pieces, t.calls) == ([], [1, 0])


@pytest.mark.parametrize("step", [HeldStep.HOLD, HeldStep.COMMIT])
async def test_silence_after_which_nothing_else_is_tried_commits(step: HeldStep) -> None:
    go = asyncio.Event()

    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.write(STREAM + chunk(ROLE))
        await go.wait()
        await peer.write(END)
        await peer.until_gone()

    async with targets(silent, hold=QUICK, streams=True) as (w, t):
        steps = {ROLE: HeldStep.HOLD, None: step}
        t.held = lambda flow, piece: steps[piece]  # type: ignore[method-assign,index]
        client = await w.client(request())
        await client.until(chunk(ROLE))
        go.set()
        await client.until(END)


async def test_a_policy_that_waits_or_fails_over_a_piece_sends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def held(flow: http.HTTPFlow, piece: bytes | None) -> HeldStep:
        await asyncio.sleep(0.01)
        raise KeyError("a fault of the policy")

    async with targets(answer(SECOND), hold=Hold(), streams=True) as (w, t):
        t.held = held  # type: ignore[method-assign,assignment]
        assert (await w.ask()).status == 503
        assert "a fault of the policy" in caplog.text
        await _nothing_is_held(w)


async def endless_preamble(peer: Peer) -> None:
    await peer.request()
    await peer.write(STREAM)
    while True:
        await peer.write(chunk(ROLE * 100))
        await asyncio.sleep(0)


async def test_held_bytes_are_bounded_for_each_stream_and_counted() -> None:
    """A stream that never says anything is held up to 64 KiB; then it is a stream like others."""
    async with targets(endless_preamble, hold=Hold(size=65_536), streams=True) as (w, t):
        worker, most, seen = w.engine._worker, 0, Counter[str]()

        def held(flow: http.HTTPFlow, piece: bytes | None) -> HeldStep:
            nonlocal most
            most = max(most, worker.held_bytes.total)
            assert seen[flow.id] <= 65_536
            seen[flow.id] += len(piece or b"")
            return HeldStep.HOLD

        t.held = held  # type: ignore[method-assign]
        clients = [await w.client(request(), receive_buffer=4096) for _ in range(10)]
        await w.recorder.saw("responseheaders", len(clients))
        assert 30_000 < most <= len(clients) * 65_536
        assert worker.held_bytes.total == 0
        assert min(seen.values()) > 65_536


async def test_no_memory_left_for_held_bytes_commits_the_response() -> None:
    options = Options(drain_timeout=0.2, held_bytes=1_000)
    async with targets(endless_preamble, hold=Hold(), options=options, streams=True) as (w, t):
        client = await w.client(request())
        await client.until(ROLE)
        assert w.engine._worker.held_bytes.total == 0
        assert len(t.pieces) <= 2


async def _one_response(w: World, t: Targets, at: int, streams: bool) -> None:
    first, second = ROLE + event("content one") + event("more of one"), SECOND_BODY
    client = await w.client(request(f"/{at}", "POST", b"x"))
    try:
        response = await client.response()
    except (EOFError, ConnectionResetError):
        # Cut after the commit: visibly, and within the first one.
        assert streams
        assert b"of the second" not in client.seen
        assert client.seen.startswith(b"HTTP/1.1 200 OK")
        return
    if response.status == 502:
        assert not streams
        assert b"content" not in response.body
    else:
        assert response.status == 200
        assert response.body in (first, second)


@pytest.mark.parametrize("end", [close, cut], ids=["closed", "reset"])
async def test_a_cut_at_any_byte_gives_one_response_or_an_error_and_never_parts_of_two(
    end: Script, streams: bool
) -> None:
    raw = stream("content one", "more of one")

    async def cut_there(peer: Peer) -> None:
        at = int((await peer.request()).target[1:])
        await peer.write(raw[:at])
        await end(peer)

    async with targets(cut_there, answer(SECOND), hold=Hold(), streams=streams) as (w, t):
        for at in range(len(raw) + 1):
            await _one_response(w, t, at, streams)
            w.clients.pop().close()
        assert t.calls[0] == len(raw) + 1
        # Up to the first content each cut is made good.
        assert t.calls[1] >= raw.index(b"content one")
