"""The stream of alerts: what is told once, what again, and what of it is bounded."""

from collections.abc import Iterator
from dataclasses import replace

import orjson
import pytest
import redis

from shared.alerts.alert import Alert, breaker_opened, budget_reached, key_rejected, rule_faulted
from shared.alerts.stream import ALERTS, StoredAlert
from tests.alerts.told import tell

NOW = 1_800_000_000.0


@pytest.fixture
def client(valkey_socket: str) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.delete(ALERTS, *client.scan_iter("{cfg}:alerted:*"))
        yield client


def opened(**values: object) -> Alert:
    alert = breaker_opened(tenant="tenant_1", provider="prv_1", target="prv_1/gpt", until=NOW + 30, at=NOW)
    return replace(alert, **values)  # type: ignore[arg-type]


def reached(percent: int = 80, ends: float | None = NOW + 60) -> Alert:
    return budget_reached(
        tenant="tenant_1",
        budget_id="budget_1",
        name="monthly",
        unit="usd",
        percent=percent,
        used=8_500_000_000,
        limit=10_000_000_000,
        began=NOW - 60,
        ends=ends,
        at=NOW,
    )


def told(client: redis.Redis) -> list[StoredAlert]:
    return [StoredAlert.parse(*entry) for entry in client.xrange(ALERTS)]  # type: ignore[union-attr, misc]


def test_alert_has_its_time_tenant_ids_and_figures(client: redis.Redis) -> None:
    tell(client, reached())
    [one] = told(client)
    assert orjson.loads(one.body) == {
        "id": one.id,
        "type": "budget.reached",
        "time": "2027-01-15T08:00:00.000Z",
        "tenant_id": "tenant_1",
        "data": {
            "budget_id": "budget_1",
            "name": "monthly",
            "unit": "usd",
            "percent": 80,
            "used": "8.5",
            "limit": "10",
            "period_start": "2027-01-15T07:59:00.000Z",
            "resets_at": "2027-01-15T08:01:00.000Z",
        },
    }


def test_same_alert_of_several_workers_is_told_once(client: redis.Redis) -> None:
    tell(client, opened(), opened(at=NOW + 1), reached(), reached())
    assert [one.kind for one in told(client)] == ["breaker.opened", "budget.reached"]


@pytest.mark.parametrize(
    "other",
    [
        opened(mark="another target"),
        breaker_opened(tenant="tenant_2", provider="prv_1", target="prv_1/gpt", until=NOW + 30, at=NOW),
        breaker_opened(tenant=None, provider="prv_1", target="prv_1/gpt", until=NOW + 30, at=NOW),
        key_rejected(tenant="tenant_1", provider="prv_1", key="pk.1", key_id="pk", until=NOW + 30, at=NOW),
    ],
)
def test_alert_of_another_subject_is_told_too(client: redis.Redis, other: Alert) -> None:
    tell(client, opened(), other)
    assert len(told(client)) == 2


def test_each_percentage_and_each_period_of_a_budget_is_told(client: redis.Redis) -> None:
    tell(client, reached(), reached(100), reached(100, None), replace(reached(), mark="the next period"))
    assert [one.members["data"]["percent"] for one in told(client)] == [80, 100, 80]


def test_what_goes_on_is_told_again_only_after_a_pause(client: redis.Redis) -> None:
    alert = opened()
    tell(client, alert)
    [mark] = client.scan_iter("{cfg}:alerted:*")
    assert 329_000 < client.pttl(mark) <= 330_000  # until the target is called again, and five minutes
    client.pexpire(mark, 1_000)
    tell(client, alert)
    assert client.pttl(mark) > 329_000
    client.delete(mark)
    tell(client, alert)
    assert len(told(client)) == 2


def test_faults_of_many_rules_are_cut(client: redis.Redis) -> None:
    tell(client, rule_faulted(tenant="tenant_1", faults="x" * 5_000, at=NOW))
    assert [len(one.members["data"]["faults"]) for one in told(client)] == [1_000]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"alert": "no JSON"},
        {"alert": "[1]"},
        {"alert": '{"type": "another.kind", "tenant_id": null}'},
        {"alert": '{"type": "key.rejected"}'.replace("}", ', "tenant_id": ""}')},
        {"alert": '{"type": "key.rejected", "tenant_id": 5}'},
    ],
)
def test_entry_of_another_form_is_no_alert(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"not an alert|line 1"):
        StoredAlert.parse(b"1-1", {name.encode(): value.encode() for name, value in fields.items()})
