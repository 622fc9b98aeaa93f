"""Bodies that are held as a whole: the worker and each owner have a limit for their bytes."""

import pytest
from mitmproxy import http

from mitm_engine.options import Options, Terms
from tests.mitm_engine.test_uploads import CHUNKS, head, length
from tests.mitm_engine.world import world
from tests.support.client import AsyncRawClient
from tests.support.upstream import chunk, responding, sized
from tests.support.wait import until_true


def owned(flow: http.HTTPFlow) -> Terms:
    return Terms(owner=flow.request.headers["X-Owner"])


@pytest.mark.parametrize("framing", ["sized", "chunked"])
async def test_bodies_held_as_a_whole_are_bounded_for_the_worker_and_for_each_owner(framing: str) -> None:
    options = Options(held_bytes=1_000_000, drain_timeout=0.2)
    async with world(options=options) as w:
        object.__setattr__(w.engine._worker.policy, "terms", owned)

        async def upload(owner: str) -> AsyncRawClient:
            fields = f"X-Owner: {owner}", length(400_001) if framing == "sized" else CHUNKS
            client = await w.client(head(*fields))
            await client.send(bytes(400_000) if framing == "sized" else chunk(bytes(400_000)))
            return client

        held = [await upload("one")]
        await until_true(lambda: w.engine._worker.held_bytes.total >= 400_000)
        assert (await (await upload("one")).response()).status == 503
        held.append(await upload("two"))
        await until_true(lambda: w.engine._worker.held_bytes.total >= 800_000)
        rejected = await (await upload("three")).response()
        assert (rejected.status, rejected.get("retry-after")) == (503, "1")
        for client in held:
            await client.send(b"x" if framing == "sized" else b"0\r\n\r\n")
            assert (await client.response()).status == 200
        assert w.engine._worker.held_bytes.total == 0
        assert (await (await upload("three")).send(b"x")) is None


async def test_response_held_as_a_whole_counts_and_is_released() -> None:
    async with world(
        script=responding(sized(bytes(600_000))), options=Options(held_bytes=1_000_000, drain_timeout=0.2)
    ) as w:
        response = await w.ask()
        assert (response.status, response.get("x-should-retry")) == (502, "false")
        assert w.engine._worker.held_bytes.total == 0
