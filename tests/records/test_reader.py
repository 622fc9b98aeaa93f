"""Request records are listed in order, whatever entries of the stream they share."""

from collections.abc import Iterator

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from shared.records.keys import last_key, records_key
from shared.records.reader import Filter, RecordReader
from shared.records.recorder import ADD

EVERYTHING = Filter()
#: How many records each write has.
WRITES = st.lists(st.integers(1, 7), max_size=12)


@pytest.fixture
def client(valkey_socket: str) -> Iterator[Redis]:
    with Redis(unix_socket_path=valkey_socket) as client:
        forget(client)
        yield client


def forget(client: Redis) -> None:
    client.delete(records_key("acme"), last_key("acme"))


def event(number: int) -> bytes:
    return orjson.dumps({"request_id": f"req-{number}", "source": "upstream", "time": number})


def add(client: Redis, first: int, number: int, *, least: int = 1_000) -> None:
    """Write so many records, of which the first has the number `first`, as a worker does."""
    events = b"\n".join(event(first + each) for each in range(number))
    traces = b"\n".join(b'{"number":%d}' % (first + each) for each in range(number))
    client.eval(ADD.text, 2, records_key("acme"), last_key("acme"), least, 60, number, events, traces)


def add_as_before(client: Redis, number: int) -> None:
    """Write a record as the release before did, a while ago."""
    fields = {"event": event(number), "trace": b'{"number":%d}' % number}
    client.xadd(records_key("acme"), fields, id=f"1700000000000-{number}")


def numbers(reader: RecordReader, **wanted: str) -> list[int]:
    return [one.event["time"] for one in reader.page("acme", EVERYTHING, limit=1_000, **wanted).records]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(older=st.integers(0, 3), writes=WRITES, limit=st.integers(1, 9))
def test_records_are_paged_and_found_whatever_entries_they_share(
    client: Redis, older: int, writes: list[int], limit: int
) -> None:
    forget(client)
    reader, total = RecordReader(client), older
    for number in range(older):
        add_as_before(client, number)
    for write in writes:
        add(client, total, write)
        total += write
    newest_first = list(range(total))[::-1]
    records = reader.page("acme", EVERYTHING, limit=1_000).records
    assert [one.event["time"] for one in records] == newest_first
    assert len({one.id for one in records}) == total
    paged, cursor, more = list[int](), None, True
    while more:
        page = reader.page("acme", EVERYTHING, limit=limit, before=cursor)
        paged += [one.event["time"] for one in page.records]
        cursor = page.next_cursor
        more = cursor is not None
    assert paged == newest_first
    for at, one in enumerate(records):
        assert numbers(reader, before=one.id) == newest_first[at + 1 :]
        assert numbers(reader, after=one.id) == newest_first[:at]
        found = reader.find("acme", one.id)
        assert found is not None
        assert found.trace == {"number": one.event["time"]}
        assert reader.find("acme", f"req-{one.event['time']}") == found


def test_records_stay_in_order_when_the_clock_of_redis_is_set_back(client: Redis) -> None:
    add(client, 0, 2)
    client.hset(last_key("acme"), "milliseconds", 9_000_000_000_000)
    add(client, 2, 3)
    add(client, 5, 1)
    assert numbers(RecordReader(client)) == [5, 4, 3, 2, 1, 0]


def test_oldest_records_go_when_enough_newer_ones_are_kept(client: Redis) -> None:
    for number in range(5):
        add_as_before(client, number)
    reader = RecordReader(client)
    add(client, 5, 4, least=10)
    assert len(numbers(reader)) == 9
    for first in (9, 13, 17):
        add(client, first, 4, least=10)
    assert numbers(reader) == list(range(20, 8, -1))


def test_record_that_is_gone_is_not_found_in_the_entry_behind_it(client: Redis) -> None:
    reader = RecordReader(client)
    add(client, 0, 4)
    gone = reader.page("acme", EVERYTHING, limit=10).records[1].id
    add(client, 4, 3, least=1)
    assert numbers(reader) == [6, 5, 4]
    assert reader.find("acme", gone) is None
    assert numbers(reader, before=gone) == []
    assert numbers(reader, after=gone) == [6, 5, 4]
