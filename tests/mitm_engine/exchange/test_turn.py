"""Under load the writes of a turn go out together, and final hooks come after them: nobody sees another order."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http
from mitmproxy.test.tflow import tflow

from mitm_engine.exchange import turn
from mitm_engine.exchange.turn import MOST, SHORT, Turn
from mitm_engine.metrics import Metrics
from tests.mitm_engine.world import On, fail, world
from tests.support.client import request
from tests.support.loops import on_uvloop
from tests.support.upstream import Received, replying, sized

LOADED = Metrics(in_flight=turn.FEW + 1)


class One:
    """A connection that notes its calls. Its exchange has ended."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name, self.calls = name, calls
        self.ended: http.HTTPFlow | None = tflow()

    def flush(self) -> None:
        self.calls.append(f"write {self.name}")


def echo(asked: Received) -> bytes:
    return sized(f"{asked.target} ".encode() + asked.body)


def turn_of(metrics: Metrics, calls: list[str]) -> Turn:
    """A turn that notes how many flows it finishes."""
    return Turn(metrics, lambda flows: calls.append(f"finish {len(flows)}"))


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that always has enough exchanges in flight."""
    monkeypatch.setattr(turn, "FEW", -1)


async def test_few_exchanges_in_flight_wait_for_nothing() -> None:
    calls = list[str]()
    quiet, one = turn_of(Metrics(in_flight=turn.FEW), calls), One("a", calls)
    assert not quiet.defers(quiet.writers, one)
    assert not quiet.defers(quiet.ends, one)
    await asyncio.sleep(0)
    assert calls == []


async def test_under_load_all_writes_come_in_their_order_and_then_the_final_hooks() -> None:
    calls = list[str]()
    now = turn_of(LOADED, calls)
    for name in "abc":
        one = One(name, calls)
        assert now.defers(now.writers, one)
        assert now.defers(now.ends, one)
    assert calls == []
    await asyncio.sleep(0)
    assert calls == ["write a", "write b", "write c", "finish 3"]


async def test_a_flow_that_was_finished_before_the_end_of_the_turn_is_not_finished_again() -> None:
    calls = list[str]()
    now, early, late = turn_of(LOADED, calls), One("early", calls), One("late", calls)
    assert now.defers(now.ends, early)
    assert now.defers(now.ends, late)
    early.ended = None
    await asyncio.sleep(0)
    assert calls == ["finish 1"]
    assert late.ended is None


async def test_what_a_final_hook_writes_waits_for_the_turn_after() -> None:
    calls = list[str]()
    later = One("later", calls)
    now = Turn(LOADED, lambda flows: calls.append(str(now.defers(now.writers, later))))
    assert now.defers(now.ends, One("a", calls))
    await asyncio.sleep(0)
    assert calls == ["True"]
    await asyncio.sleep(0)
    assert calls[1] == "write later"


async def test_no_more_writes_and_final_hooks_wait_than_the_most() -> None:
    calls = list[str]()
    now, held = turn_of(LOADED, calls), [True] * MOST + [False] * 3
    assert [now.defers(now.writers, One("a", calls)) for _ in held] == held
    assert [now.defers(now.ends, One("a", calls)) for _ in held] == held
    await asyncio.sleep(0)
    assert len(calls) == MOST + 1
    assert calls[-1] == f"finish {MOST}"


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
