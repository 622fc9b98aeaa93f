"""Request records on their way into Redis: bounded, dropped under pressure, and found again."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis import Redis

from shared.records.keys import ALL, last_key, records_key, total_key
from shared.records.reader import Filter, RecordReader
from shared.records.recorder import MAX_WAITING, Recorder, has_room, open_recorder
from shared.records.sweeper import Sweeper
from tests.records.lines import AI, NOW, access_line, line
from tests.support.valkey_server import Server


@pytest.fixture
def client(valkey_socket: str) -> Iterator[Redis]:
    with Redis(unix_socket_path=valkey_socket) as client:
        for key in (*client.keys("req:*"), *client.keys("min:*")):
            client.delete(key)
        yield client


@asynccontextmanager
async def recorder(socket: str, per_tenant: int = 2_000) -> AsyncIterator[Recorder]:
    opened = open_recorder({"unix_socket_path": socket}, per_tenant)
    try:
        yield opened
    finally:
        await opened.close()


async def record(socket: str, lines: list[dict[str, Any]], **decision: Any) -> None:
    async with recorder(socket) as one:
        for each in lines:
            one.put(NOW, access_line(each), dict(decision))
        await one.flush()


def ids(page: Any) -> list[str]:
    return [one.event["request_id"] for one in page.records]


async def test_request_is_found_by_its_id_with_its_decision(valkey_socket: str, client: Redis) -> None:
    await record(valkey_socket, [line(1, ai=AI), line(2)], steps=[{"plugin": "rate_limiter"}])
    reader = RecordReader(client)
    found = reader.find("acme", "req-1")
    assert found is not None
    assert found.trace["decision"]["steps"] == [{"plugin": "rate_limiter"}]
    assert found.trace["line"]["client"] == "203.0.113.9"
    assert reader.find("acme", found.id) == found
    assert reader.find("acme", "req-3") is None
    assert reader.find("globex", "req-1") is None
    assert reader.find("globex", found.id) is None


async def test_newest_requests_come_first_in_pages(valkey_socket: str, client: Redis) -> None:
    await record(valkey_socket, [line(number) for number in range(7)])
    reader = RecordReader(client)
    first = reader.page("acme", Filter(), limit=3)
    assert ids(first) == ["req-6", "req-5", "req-4"]
    second = reader.page("acme", Filter(), limit=10, before=first.next_cursor)
    assert (ids(second), second.next_cursor) == (["req-3", "req-2", "req-1", "req-0"], None)
    assert ids(reader.page("acme", Filter(), limit=10, after=first.records[1].id)) == ["req-6"]
    assert reader.page("acme", Filter(), limit=10, after=first.records[0].id).records == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(status="429"), ["limited"]),
        (Filter(status="4xx"), ["limited"]),
        (Filter(source="plugin"), ["limited"]),
        (Filter(source="plugin:rate_limiter"), ["limited"]),
        (Filter(rule="rule_2"), ["ruled"]),
        (Filter(key="key_2"), ["ruled"]),
        (Filter(model="gpt-5.6"), ["modeled"]),
        (Filter(text="CHAT/x"), ["ruled"]),
        (Filter(text="rate_limit"), ["limited"]),
        (Filter(status="2xx", source="plugin"), []),
    ],
)
async def test_filter_takes_what_is_wanted(
    wanted: Filter, found: list[str], valkey_socket: str, client: Redis
) -> None:
    lines = [
        line(request_id="modeled", ai=AI),
        line(request_id="ruled", rule="rule_2", key="key_2", path="/chat/x"),
        line(request_id="limited", status=429, source="plugin:rate_limiter", code="rate_limit_exceeded"),
        line(request_id="cut", status=None, rule=None, key=None),
    ]
    await record(valkey_socket, lines)
    assert ids(RecordReader(client).page("acme", wanted, limit=10)) == found


async def test_requests_of_all_tenants_and_of_none_are_in_one_list(valkey_socket: str, client: Redis) -> None:
    await record(valkey_socket, [line(1), line(2, tenant="globex"), line(3, tenant=None)])
    page = RecordReader(client).page(ALL, Filter(), limit=10)
    assert [one.event.get("tenant") for one in page.records] == [None, "globex", "acme"]
    traces = [RecordReader(client).find(ALL, one.id).trace for one in page.records]
    assert [bool(one) for one in traces] == [True, False, False]  # that of no tenant is nowhere else


async def test_tenant_keeps_its_newest_records_for_a_day(valkey_socket: str, client: Redis) -> None:
    async with recorder(valkey_socket, per_tenant=50) as one:
        for number in range(400):
            one.put(NOW, access_line(line(number)), {})
            if number % 30 == 0:
                await one.flush()
    kept = ids(RecordReader(client).page("acme", Filter(), limit=400))
    assert kept == [f"req-{number}" for number in range(399, 399 - len(kept), -1)]
    assert 50 <= len(kept) < 100
    for key in (records_key("acme"), last_key("acme")):
        assert 0 < client.ttl(key) <= 86_400


async def test_figures_of_two_workers_add_up(valkey_socket: str, client: Redis) -> None:
    for _ in range(2):
        await record(valkey_socket, [line(ai=AI), line(status=500)])
    reader, minute = RecordReader(client), int(NOW // 60)
    total = reader.total("acme")
    assert (total["n:upstream:2xx"], total["n:upstream:5xx"], total["cost"]) == (2, 2, 3_000_000)
    assert reader.minutes("acme", [minute, minute + 1]) == [total, {}]
    assert reader.tenants([minute]) == [{"n:acme": 4, "failed:acme": 2, "cost:acme": 3_000_000}]
    assert 0 < client.ttl(total_key("acme")) <= 25 * 3_600


async def test_records_above_the_queue_are_dropped_and_counted(valkey_socket: str) -> None:
    async with recorder(valkey_socket) as one:
        for _ in range(MAX_WAITING + 5):
            one.put(NOW, access_line(line()), {})
        assert one.dropped == 5
        one._waiting.clear()


async def test_records_are_dropped_while_redis_is_away_and_written_when_it_is_back(
    running: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with recorder(running.socket) as one:
        one.put(NOW, access_line(line(1)), {})
        await one.flush()
        running.kill()
        for _ in range(3):
            one.put(NOW, access_line(line()), {})
            await one.flush()
        assert (one.written, one.dropped) == (1, 3)
        running.start()
        async with asyncio.timeout(20):
            while one.written == 1:
                one.put(NOW, access_line(line(2)), {})
                await one.flush()
                await asyncio.sleep(0.05)
    told = [each.message for each in caplog.records if "records" in each.message]
    assert [text.partition(":")[0] for text in told] == [
        "Request records are dropped",
        f"Request records are written again; {one.dropped} were dropped.",
    ]


async def test_redis_that_is_nearly_full_gets_no_records(running: Server) -> None:
    with Redis(unix_socket_path=running.socket) as client:
        client.set("filling", "x" * 20_000_000)
        used = client.info("memory")["used_memory"]
        client.config_set("maxmemory", int(used * 1.08))
        await record(running.socket, [line()])
        assert client.keys("req:*") == []
        assert client.set("configuration", "x" * 100)
        client.config_set("maxmemory", used // 2)
        async with recorder(running.socket) as one:
            one._flushes = 1  # it has looked a moment ago
            one.put(NOW, access_line(line()), {})
            await one.flush()
            assert (one.written, one.dropped) == (0, 1)


def test_redis_without_a_bound_has_room() -> None:
    assert has_room(b"# Memory\r\nused_memory:100\r\nmaxmemory:0\r\n")
    assert has_room(b"used_memory:89\r\nmaxmemory:100\r\n")
    assert not has_room(b"used_memory:90\r\nmaxmemory:100\r\n")


async def test_largest_streams_are_trimmed_first_until_all_fit(valkey_socket: str, client: Redis) -> None:
    lines = [line(number, user_agent="x" * 1_000) for number in range(300)]
    await record(valkey_socket, [*lines, *[line(number, tenant="small") for number in range(10)]])
    small = client.xlen(records_key("small"))
    bound = size_of(client) * 2 // 3
    sweeper = Sweeper(client, bound)
    sweeper.run()
    assert size_of(client) <= bound
    assert client.xlen(records_key("small")) == small
    assert ids(RecordReader(client).page("acme", Filter(), limit=1)) == ["req-299"]
    client.delete(records_key("small"))
    sweeper.run()
    assert client.smembers("req:tenants") == {b"acme"}


def size_of(client: Redis) -> int:
    return sum(client.memory_usage(key) for key in client.keys("req:{*"))


async def test_damaged_record_is_left_out_of_lists(valkey_socket: str, client: Redis) -> None:
    await record(valkey_socket, [line(1)])
    for fields in (
        *({"event": "{"}, {"event": "[]"}, {"event": "{}"}, {"other": "x"}),
        *({"events": "{}\n["}, {"events": "{}\n{}", "traces": "{}"}, {"traces": "{}"}),
    ):
        client.xadd(records_key("acme"), fields)
    assert ids(RecordReader(client).page("acme", Filter(), limit=10)) == ["req-1"]
