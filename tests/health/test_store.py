"""The health of targets and keys in Redis: which report stands, which are purged, and for how long."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis

from shared.alerts.stream import ALERTS
from shared.health.layout import Beat, StoredHealth, failures_key, hash_key, note_of_beats
from shared.health.report import CLOSED, OPERATOR, PROBE, Report
from shared.health.store import HealthStore
from tests.health.test_report import NOW, report

OWNER = "prv_1"


@pytest.fixture
def client(valkey_socket: str) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.delete(hash_key(OWNER), failures_key(OWNER))
        yield client


def stored(client: redis.Redis) -> StoredHealth:
    return HealthStore(client).read([OWNER])[OWNER]


@pytest.mark.parametrize(
    ("later", "stands"),
    [
        (report(seconds=10), "first"),
        (report(seconds=60), "later"),
        (report(seconds=10, cause=PROBE), "later"),
        (report(seconds=10, cause=OPERATOR), "later"),
        (report(seconds=10, cause=CLOSED), ""),
        (report("", seconds=10, cause=CLOSED), ""),
    ],
)
def test_later_end_stands_unless_a_probe_or_an_operator_says_otherwise(
    client: redis.Redis, later: Report, stands: str
) -> None:
    store, first = HealthStore(client), report(seconds=30)
    store.tell(first)
    store.tell(later)
    assert stored(client).reports == [
        one for name, one in (("first", first), ("later", later)) if name == stands
    ]


def test_failure_after_a_close_counts(client: redis.Redis) -> None:
    store, failed = HealthStore(client), report(seconds=5)
    store.tell(report(seconds=86_400, cause=CLOSED))
    store.tell(failed)
    assert stored(client).reports == [failed]


def test_what_is_of_no_use_is_purged_and_the_rest_expires(client: redis.Redis) -> None:
    store = HealthStore(client)
    for number in range(201):
        store.tell(report(target=f"prv_1/{number}", seconds=1))
    store.tell(report(target="prv_1/late", at=NOW + 5))
    assert [one.target for one in stored(client).reports] == ["prv_1/late"]
    failures = stored(client).failures
    assert len(failures) == 100
    assert failures[0].target == "prv_1/late"
    for key in (hash_key(OWNER), failures_key(OWNER)):
        assert 86_000_000 < client.pttl(key) <= 86_400_000  # type: ignore[operator]


def test_figures_of_a_worker_replace_its_earlier_ones(client: redis.Redis) -> None:
    store = HealthStore(client)
    beats = [Beat(worker="w", target="prv_1/m", at=NOW + at, in_flight=at, latency=None) for at in (9, 3)]
    for beat in beats:
        note = note_of_beats(OWNER, [beat], beat.at)
        store._note(note.keys, note.arguments)
    assert stored(client).beats == [beats[-1]]


def test_repeated_news_are_listed_once(client: redis.Redis) -> None:
    store, probed = HealthStore(client), report(cause=PROBE)
    store.tell(probed)
    store.tell(replace(probed, until=probed.until + 5), is_news=False)
    assert len(stored(client).failures) == 1


def test_report_of_the_admin_process_is_told_to_webhooks(client: redis.Redis) -> None:
    client.delete(ALERTS, *client.scan_iter("{cfg}:alerted:*"))
    HealthStore(client).tell(report(cause=PROBE))
    HealthStore(client).tell(report(cause=OPERATOR))
    assert client.xlen(ALERTS) == 1
