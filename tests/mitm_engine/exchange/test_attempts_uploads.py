"""A body that flows to its upstream can be tried again as long as none of it was taken."""

import asyncio

import pytest
from mitmproxy import http

from mitm_engine.exchange.attempt import AttemptReport, Hold
from mitm_engine.options import Timeouts
from tests.mitm_engine.exchange.targets import ROLE, answer, silent, targets, told
from tests.mitm_engine.test_uploads import CHUNKS, EXPECTING, Uploading, head, length
from tests.mitm_engine.world import On
from tests.support.upstream import CHUNKED, Peer, Script, chunk, sized
from tests.support.wait import until_true

QUICK = Timeouts(first_byte=0.3)


def failing(status: str) -> Script:
    """Respond with an error as soon as the head is here."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.write(sized(b"full", status))
        await peer.until_gone()

    return script


async def after_head(peer: Peer) -> None:
    """End as soon as the head is here."""
    await peer.head()


UNREAD: dict[str, Script | None] = {
    "refused": None,
    "an end": after_head,
    "503 at the head": failing("503 Full"),
    "429 at the head": failing("429 Too Many Requests"),
}


@pytest.mark.parametrize("framing", [length(6), CHUNKS])
@pytest.mark.parametrize("fault", UNREAD)
async def test_an_upload_that_has_not_begun_goes_to_the_next_target(fault: str, framing: str) -> None:
    async with targets(UNREAD[fault], told("second"), addons=[Uploading()]) as (w, t):
        client = await w.client(head(framing, EXPECTING))
        response = await client.response()
        assert response.status == 100
        await until_true(lambda: bool(t.upstreams[-1].received))
        is_sized = framing == length(6)
        await client.send(b"upload" if is_sized else chunk(b"upload") + b"0\r\n\r\n")
        response = await client.response()  # there is no second 100
        assert (response.status, response.body) == (200, b"second")
        assert t.upstreams[-1].received[0].body == b"upload"
        assert t.told[0].is_repeatable
        assert t.told[0].status == (int(fault[:3]) if fault[0].isdigit() else 0)
        assert not t.told[1].is_repeatable
        # Both connections serve on.
        assert (await client.ask()).status == 200


async def test_a_refused_connection_loses_no_byte_of_a_body_that_is_on_its_way() -> None:
    body = bytes(range(256)) * 2_000
    async with targets(None, told("second"), addons=[Uploading()]) as (w, t):
        t.pause = 0.05
        client = await w.client(head(length(len(body))))
        sending = asyncio.ensure_future(client.send(body))
        assert (await client.response()).body == b"second"
        await sending
        assert t.upstreams[0].received[0].body == body
        assert t.told[0].is_repeatable


@pytest.mark.parametrize("fault", ["an end", "503", "silence"])
async def test_an_upload_that_has_begun_is_told_and_not_tried_again(fault: str) -> None:
    async def fail(peer: Peer) -> None:
        await peer.head()
        await peer.exactly(5)
        if fault == "503":
            await peer.write(sized(b"full", "503 Full"))
            await peer.until_gone()

    script = silent if fault == "silence" else fail
    async with targets(script, told("second"), addons=[Uploading()], timeouts=QUICK) as (w, t):
        client = await w.client(head(length(10)))
        await until_true(lambda: bool(t.upstreams[0].received))
        await client.send(b"begin" + (b"whole" if fault == "silence" else b""))
        response = await client.response()
        assert response.status == {"an end": 502, "503": 503, "silence": 504}[fault]
        assert response.body != b"second"
        [attempt] = t.told
        assert not attempt.is_repeatable
        assert t.calls == [1, 0]


async def test_a_piece_that_an_addon_has_taken_is_not_missing_in_another_attempt() -> None:
    """An addon may keep a piece back: then no byte was sent, and yet the body has begun."""
    taken = asyncio.Event()

    def keep(piece: bytes) -> bytes:
        taken.set()
        return b""

    async def fail(peer: Peer) -> None:
        await peer.head()
        await taken.wait()

    async with targets(fail, told("second"), addons=[Uploading(keep)]) as (w, t):
        client = await w.client(head(CHUNKS) + chunk(b"piece"))
        assert (await client.response()).status == 502
        assert (t.told[0].is_repeatable, t.calls) == (False, [1, 0])


async def test_an_empty_upload_is_tried_again() -> None:
    async with targets(after_head, told("second"), addons=[Uploading()]) as (w, t):
        client = await w.client(head(CHUNKS))
        await until_true(lambda: bool(t.upstreams[0].received))
        await client.send(b"0\r\n\r\n")
        assert (await client.response()).body == b"second"


async def test_the_response_to_an_upload_is_not_held() -> None:
    stream = CHUNKED + chunk(ROLE) + b"0\r\n\r\n"
    async with targets(answer(stream), told("second"), addons=[Uploading()], hold=Hold()) as (w, t):
        client = await w.client(head(length(4)))
        await until_true(lambda: bool(t.upstreams[0].received))
        await client.send(b"body")
        assert (await client.response()).body == ROLE
        assert (t.pieces, t.calls) == ([], [1, 0])


async def test_a_policy_may_replace_an_upload_by_a_body_of_its_own() -> None:
    async with targets(None, told("second"), addons=[Uploading()]) as (w, t):

        def retry(flow: http.HTTPFlow, attempt: AttemptReport) -> bool:
            flow.request.data.content = b"mine"
            return attempt.error is not None and t.next(flow)

        t.retry = retry  # type: ignore[method-assign,assignment]
        client = await w.client(head(length(9), EXPECTING))
        response = await client.response()
        assert (response.status, response.body) == (200, b"second")
        assert t.upstreams[0].received[0].body == b"mine"


async def test_a_client_that_sends_no_body_is_to_blame_and_no_target_is() -> None:
    def forget(flow: http.HTTPFlow) -> None:
        assert flow.response is None

    timeouts = Timeouts(grace=0.1)
    async with targets(silent, told("second"), addons=[Uploading(), On(error=forget)], timeouts=timeouts) as (
        w,
        t,
    ):
        client = await w.client(head(length(10)))
        assert (await client.response()).status == 408
        assert (t.told, t.calls) == ([], [1, 0])
