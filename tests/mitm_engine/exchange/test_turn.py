"""Under load the writes of a turn go out together, and final hooks come after them: nobody sees another order."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm_engine.exchange import turn
from mitm_engine.exchange.turn import MOST, SHORT, Turn
from mitm_engine.metrics import Metrics
from tests.mitm_engine.world import On, fail, world
from tests.support.client import request
from tests.support.loops import on_uvloop
from tests.support.upstream import Received, replying, sized

LOADED = Metrics(in_flight=turn.FEW + 1)


class Noting:
    """A writer, and an end, that note their calls."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name, self.calls = name, calls

    def flush(self) -> None:
        self.calls.append(f"write {self.name}")

    def end(self) -> None:
        self.calls.append(f"end {self.name}")


def echo(asked: Received) -> bytes:
    return sized(f"{asked.target} ".encode() + asked.body)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that always has enough exchanges in flight."""
    monkeypatch.setattr(turn, "FEW", -1)


async def test_few_exchanges_in_flight_wait_for_nothing() -> None:
    quiet, one = Turn(Metrics(in_flight=turn.FEW)), Noting("a", [])
    assert not quiet.flushes(one)
    assert not quiet.calls(one.end)
    await asyncio.sleep(0)
    assert one.calls == []


async def test_under_load_all_writes_come_before_the_ends_in_their_order() -> None:
    now, calls = Turn(LOADED), list[str]()
    for name in "abc":
        one = Noting(name, calls)
        assert now.flushes(one)
        assert now.calls(one.end)
    assert calls == []
    await asyncio.sleep(0)
    assert calls == ["write a", "write b", "write c", "end a", "end b", "end c"]


async def test_what_an_end_writes_waits_for_the_turn_after() -> None:
    now, calls = Turn(LOADED), list[str]()
    later = Noting("later", calls)
    assert now.calls(lambda: calls.append(str(now.flushes(later))))
    await asyncio.sleep(0)
    assert calls == ["True"]
    await asyncio.sleep(0)
    assert calls == ["True", "write later"]


async def test_no_more_writes_wait_than_the_most() -> None:
    now, calls = Turn(LOADED), list[str]()
    held = [now.flushes(Noting(str(number), calls)) for number in range(MOST + 3)]
    assert held == [True] * MOST + [False] * 3
    await asyncio.sleep(0)
    assert len(calls) == MOST


@given(
    st.lists(st.sampled_from([1, SHORT - 200, SHORT, SHORT + 1, 3 * SHORT]), min_size=1, max_size=6),
    st.lists(st.integers(1, 4), min_size=6, max_size=6),
)
def test_bodies_of_all_sizes_come_whole_and_in_order_on_connections_that_pipeline(
    sizes: list[int], together: list[int]
) -> None:
    @on_uvloop
    async def scenario() -> None:
        few, turn.FEW = turn.FEW, -1
        try:
            async with world(script=replying(echo)) as w:
                clients = [await w.client() for _ in range(3)]
                for size, count in zip(sizes, together, strict=False):
                    for client in clients:
                        await client.send(request(f"/{size}", "POST", b"x" * size) * count)
                    for client in clients:
                        for _ in range(count):
                            response = await client.response()
                            assert response.body == b"/%d " % size + b"x" * size
        finally:
            turn.FEW = few

    scenario()


@pytest.mark.usefixtures("loaded")
async def test_a_pipelined_request_begins_after_the_final_hook_of_the_one_before() -> None:
    async with world(script=replying(echo)) as w:
        client = await w.client(request("/1") + request("/2") + request("/3"))
        for _ in range(3):
            await client.response()
        await w.recorder.saw("post_response", 3)
        order = [hook for hook in w.recorder.hooks if hook in ("requestheaders", "post_response")]
        assert order == ["requestheaders", "post_response"] * 3


@pytest.mark.usefixtures("loaded")
async def test_the_final_hook_comes_before_that_of_the_connection_of_a_client_that_leaves() -> None:
    async with world(script=replying(echo)) as w:
        client = await w.client()
        await client.ask("/1")
        client.close()
        await w.recorder.saw("client_disconnected")
        assert w.recorder.hooks.index("post_response") < w.recorder.hooks.index("client_disconnected")


@pytest.mark.usefixtures("loaded")
async def test_a_response_that_ends_its_connection_arrives_whole() -> None:
    async with world(script=replying(echo)) as w:
        client = await w.client()
        response = await client.ask("/last", "GET", b"", "Connection: close")
        assert response.body == b"/last "
        assert await client.ended() == b""


@pytest.mark.usefixtures("loaded")
async def test_an_addon_that_fails_in_a_final_hook_stops_neither_writes_nor_other_hooks() -> None:
    async with world(On(post_response=fail), script=replying(echo)) as w:
        client = await w.client(request("/1") + request("/2"))
        assert [(await client.response()).body for _ in range(2)] == [b"/1 ", b"/2 "]
        await w.recorder.saw("post_response", 2)
