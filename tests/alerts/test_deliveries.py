"""The alerts that are read of the stream, and the number of those that were gone before."""

from collections.abc import Iterator

import pytest
import redis

from shared.alerts import deliveries as module
from shared.alerts.deliveries import DELIVERED, REACHED, Deliveries, Position
from shared.alerts.stream import ALERTS

NOW = 1_800_000_000.0


@pytest.fixture
def client(valkey_socket: str) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.delete(ALERTS, DELIVERED, REACHED)
        yield client


def give(client: redis.Redis, number: int, most: int = 100) -> None:
    for _ in range(number):
        client.xadd(ALERTS, {"alert": "{}"}, maxlen=most, approximate=False)


def test_alerts_that_newer_ones_displaced_are_counted_once(client: redis.Redis) -> None:
    deliveries = Deliveries(client)
    assert deliveries.alerts(Position(), 10) == ([], Position(), 0)
    give(client, 3)
    first = deliveries.alerts(Position(), 2)
    assert (len(first.entries), first.position.number, first.missed) == (2, 2, 0)
    give(client, 7, most=4)
    second = deliveries.alerts(first.position, 10)
    assert (len(second.entries), second.position.number, second.missed) == (4, 10, 4)
    deliveries.add([], second.position)
    position, _ = deliveries.load(NOW)
    assert position == second.position
    give(client, 4, most=4)
    assert deliveries.alerts(position, 10).missed == 0
    client.xtrim(ALERTS, maxlen=0, approximate=False)
    gone = deliveries.alerts(position, 10)
    assert (list(gone.entries), gone.missed, gone.position) == ([], 4, Position(position.id, 14))


def test_position_of_an_older_release_counts_from_the_newest_alert_on(client: redis.Redis) -> None:
    deliveries = Deliveries(client)
    give(client, 6, most=4)
    client.hset(DELIVERED, "position", "0-0")
    position, _ = deliveries.load(NOW)
    assert position == Position("0-0", None)
    part = deliveries.alerts(position, 2)
    assert (part.missed, part.position.number) == (0, None)
    rest = deliveries.alerts(part.position, 10)
    assert (len(rest.entries), rest.missed, rest.position.number) == (2, 0, 6)


def test_tenants_with_a_budget_that_was_nearly_spent_are_known_until_its_period_ends(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_REACHED", 3)
    deliveries = Deliveries(client)
    deliveries.note_reached("ended", NOW - 1, NOW)
    deliveries.note_reached("soon", NOW + 10, NOW)
    deliveries.note_reached("late", NOW + 20, NOW)
    deliveries.note_reached("late", NOW + 5, NOW)
    deliveries.note_reached("never", None, NOW)
    assert deliveries.reached(NOW, 10) == ["never", "late", "soon"]
    assert deliveries.reached(NOW, 1) == ["never"]
    assert deliveries.reached(NOW + 15, 10) == ["never", "late"]
    deliveries.note_reached("more", NOW + 30, NOW)
    assert deliveries.reached(NOW, 10) == ["never", "more", "late"]
