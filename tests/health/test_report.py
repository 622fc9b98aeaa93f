"""The reports of processes about targets and keys: as text, and which of them count for which tenants."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.health.known import WINDOW_SECONDS, KnownHealth
from shared.health.layout import Beat, StoredHealth, note_of, parse_message
from shared.health.report import CALLS, CLOSED, OPERATOR, PROBE, Report, alert_of
from shared.upstreams.outcome import KeyEffect

NOW = 1_800_000_000.0
SECRET = "sk-canary-0123456789abcdef"


def report(tenant: str = "ten_1", seconds: float = 30, at: float = NOW, **more: Any) -> Report:
    named = {"target": "prv_1/gpt:5/x", "cause": CALLS, "why": "status 503", **more}
    return Report(tenant=tenant, until=at + seconds, at=at, **named)


def rejected(tenant: str = "ten_1", **more: Any) -> Report:
    return report(tenant, target="prv_1/", cause=KeyEffect.REJECTED, key="pk_1", **more)


LIMITED = replace(rejected(), target="prv_1/a:b", cause=KeyEffect.RATE_LIMIT, model="a:b")


@pytest.mark.parametrize(
    ("one", "owner", "field"),
    [
        (report(), "prv_1", "ten_1/target:prv_1/gpt:5/x"),
        (report(""), "prv_1", "target:prv_1/gpt:5/x"),
        (report(target="a1b2"), "ten_1", "target:a1b2"),
        (rejected(""), "prv_1", "key:pk_1"),
        (LIMITED, "prv_1", "ten_1/key:pk_1:a:b"),
    ],
)
def test_report_is_the_same_after_it_was_stored_and_told(one: Report, owner: str, field: str) -> None:
    assert (one.owner, one.field) == (owner, field)
    assert Report.parse(owner, field, one.value) == one
    _, message, *_ = note_of(one, "w1").arguments
    assert parse_message(str(message).encode()) == ("w1", one)


def test_secret_in_the_words_of_an_upstream_is_not_stored() -> None:
    note = note_of(report(why=f"bad key {SECRET}"), "w1")
    assert SECRET not in repr(note)


@given(st.text(max_size=30), st.text(max_size=30))
def test_damaged_field_is_rejected_as_such(field: str, value: str) -> None:
    pairs = {field.encode(): value.encode(), b"beat:" + field.encode(): value.encode()}
    found = StoredHealth.parse("prv_1", pairs, [b"[", b"{}", b"7"])
    assert (found.reports, found.beats, found.failures) == ([], [], [])


def test_figures_of_a_worker_are_the_same_after_they_were_stored() -> None:
    for latency in (None, 1.25):
        beat = Beat(worker="w", target="prv_1/a:b", at=NOW, in_flight=3, latency=latency)
        assert Beat.parse(*beat.pair) == beat


def shared(known: KnownHealth) -> list[float]:
    """The seconds for which the target is open for everybody."""
    return [one.until - NOW for one in known.of_target("ten_9", "prv_1/gpt:5/x")]


def test_what_two_tenants_see_within_the_window_is_everybodys_for_the_shorter_time() -> None:
    known = KnownHealth()
    assert len(known.add(report(seconds=60), NOW)) == 1
    assert known.add(report(seconds=50), NOW) == []  # the same tenant
    assert shared(known) == []
    assert len(known.add(report("ten_2", at=NOW + 20), NOW + 20)) == 2
    assert shared(known) == [50]
    assert known.tenants("prv_1/gpt:5/x") == 2


@pytest.mark.parametrize(
    "other",
    [
        report("ten_2", at=NOW + WINDOW_SECONDS + 1),
        report("ten_2", target="prv_1/other"),
        report("ten_2", cause=PROBE),
        rejected("ten_2"),
    ],
)
def test_what_two_tenants_see_apart_is_their_own(other: Report) -> None:
    known = KnownHealth()
    known.add(report(seconds=90), NOW)
    known.add(other, other.at)
    assert shared(known) == []


def test_key_that_cools_for_a_model_is_not_the_same_as_one_that_is_rejected() -> None:
    known = KnownHealth()
    known.add(LIMITED, NOW)
    known.add(rejected("ten_2"), NOW)
    assert known.of_key("ten_9", "prv_1", "pk_1") == []
    known.add(replace(LIMITED, tenant="ten_2"), NOW)
    assert [one.model for one in known.of_key("ten_9", "prv_1", "pk_1")] == ["a:b"]


def test_later_end_stands_but_a_probe_and_an_operator_replace_it() -> None:
    known = KnownHealth()
    known.add(report("", seconds=60), NOW)
    assert known.add(report("", seconds=30), NOW) == []
    assert shared(known) == [60]
    known.add(report("", seconds=20, cause=OPERATOR), NOW)
    assert shared(known) == [20]


@pytest.mark.parametrize(("closed_for", "left"), [("", 0), ("ten_1", 1)])
def test_close_takes_back_what_was_said_before(closed_for: str, left: int) -> None:
    known = KnownHealth()
    for tenant in ("ten_1", "ten_2"):
        known.add(report(tenant, at=NOW - WINDOW_SECONDS * (tenant == "ten_1") - 1, seconds=99), NOW)
    assert known.add(report(closed_for, cause=CLOSED), NOW) == (report(closed_for, cause=CLOSED),)
    assert known.tenants("prv_1/gpt:5/x") == left
    known.add(report("ten_1", at=NOW + 1), NOW + 1)
    assert known.tenants("prv_1/gpt:5/x") == left + 1


def test_what_is_over_is_forgotten_and_names_are_bounded() -> None:
    known = KnownHealth()
    assert known.add(report(seconds=-1), NOW) == ()
    known.add(report(seconds=1), NOW)
    known.add(report("ten_2", seconds=50, at=NOW - 40), NOW)
    known.forget(NOW + 2)
    assert known.tenants("prv_1/gpt:5/x") == 1
    known.add(report("", target="prv_1/kept", cause=OPERATOR), NOW)
    known.add(report("ten_1", target="prv_1/0"), NOW)
    for number in range(10_050):
        known.add(report("ten_2", target=f"prv_1/{number}", cause=PROBE), NOW)
    assert 9_000 < len([*known.targets()]) <= 10_000
    assert [one.cause for one in known.of_target("ten_1", "prv_1/kept")] == [OPERATOR]
    assert [one.tenant for one in known.of_target("ten_1", "prv_1/0")] == ["ten_1"]
    known.forget(NOW + 100)
    assert [*known.targets()] == []


@pytest.mark.parametrize(
    ("one", "kind", "tenant", "about"),
    [
        (report(), "breaker.opened", "ten_1", {"provider_id": "prv_1", "target": "prv_1/gpt:5/x"}),
        (report(""), "breaker.opened", None, {"provider_id": "prv_1", "target": "prv_1/gpt:5/x"}),
        (
            report(target="a1b2", cause=PROBE),
            "breaker.opened",
            "ten_1",
            {"provider_id": None, "target": "a1b2"},
        ),
        (
            replace(rejected(), key="pk_1.1f2e"),
            "key.rejected",
            "ten_1",
            {"provider_id": "prv_1", "key_id": "pk_1"},
        ),
    ],
)
def test_webhooks_are_told_of_targets_that_fail_and_of_rejected_keys(
    one: Report, kind: str, tenant: str | None, about: dict[str, Any]
) -> None:
    alert = alert_of(replace(one, why=SECRET))
    assert alert is not None
    assert (alert.kind, alert.tenant, alert.at) == (kind, tenant, NOW)
    assert alert.about == {**about, "until": "2027-01-15T08:00:30.000Z"}
    assert SECRET not in repr(alert)


@pytest.mark.parametrize("one", [LIMITED, report(cause=OPERATOR), report(cause=CLOSED)])
def test_webhooks_are_not_told_of_limits_of_keys_and_of_what_operators_do(one: Report) -> None:
    assert alert_of(one) is None
