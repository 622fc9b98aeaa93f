"""Which counters a limit has, and what a request counts as."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.globs import matches_glob, precision
from shared.limits.compiled import CompiledLimit, merged, value_of
from shared.limits.values import LimitMatch
from shared.model.budgets import METERED
from shared.model.messages import Exchange
from tests.limits.limits_by_name import compiled, exchange

RED = [("X-Team", "red")]


def key(limit: CompiledLimit, seen: Exchange, model: str = "") -> str:
    return limit.limit(limit.value(seen, model)).key


def test_a_key_names_tenant_level_window_and_dimension_but_neither_number_nor_value() -> None:
    gateway = key(compiled("per_ip"), exchange())
    assert gateway.startswith("rl:{t1}:g:")
    of_rules = {key(compiled("per_ip", rule=rule), exchange()) for rule in ("r1", "r2")}
    assert len(of_rules) == 2
    assert all(other.startswith("rl:{t1}:r:") for other in of_rules)
    assert ":per_ip:" in gateway
    assert "192.0.2.7" not in gateway
    assert key(compiled("per_ip", limit=9), exchange()) == gateway
    assert key(compiled("per_ip", window_ms=61_000), exchange()) != gateway


def test_no_two_tenants_share_a_counter() -> None:
    for limit in ({}, {"name": "per_ip"}, {"name": "streams", "kind": "concurrent"}):
        one, two = (key(compiled(**limit, tenant=tenant), exchange()) for tenant in ("t1", "t2"))
        assert one != two
        assert one.replace("{t1}", "{t2}") == two


def test_limits_that_count_other_things_have_other_counters() -> None:
    others = [
        compiled(),
        compiled(match=LimitMatch(("POST",))),
        compiled("per_ip"),
        compiled("per_header:X-A", by=("header:x-a",)),
        compiled("per_header:X-B", by=("header:x-b",)),
        compiled("streams", kind="concurrent"),
        compiled("streams", kind="concurrent", by=("ip",)),
        compiled("streams", kind="concurrent", by=("ip", "key")),
    ]
    assert len({other.key_prefix for other in others}) == len(others)
    assert all(name not in other.key_prefix for other in others for name in ("x-a", "X-A", "POST"))


def test_each_unit_has_a_counter_and_a_label_of_its_own_and_requests_keep_theirs() -> None:
    units = [
        *(compiled(unit=unit) for unit in ("requests", *sorted(METERED))),
        compiled(unit="tokens", window_ms=5),
    ]
    assert len({one.key_prefix for one in units}) == len(units)
    assert compiled().key_prefix == "rl:{t1}:g:anQRj9yUU-Q:global:"
    assert [one.label for one in merged(units)] == [
        "gw-global",
        "gw-global-input-tokens",
        "gw-global-output-tokens",
        "gw-global-tokens-1m",
        "gw-global-usd",
        "gw-global-tokens-5ms",
    ]
    assert [one.is_plain for one in units] == [True] + 5 * [False]


def test_two_names_of_the_same_limit_have_one_counter() -> None:
    slots, same = (compiled(name, kind="concurrent") for name in ("streams", "concurrent"))
    assert slots.key_prefix == same.key_prefix
    team, same = (compiled(f"per_header:{name}", by=("header:x-team",)) for name in ("X-Team", "x-team"))
    assert team.key_prefix == same.key_prefix


def test_limit_has_the_values_that_responses_show() -> None:
    limit = compiled("per_ip", 5, 5_400_000, rule="r1", cost=2, on_error="open").limit("x")
    assert (limit.scope, limit.name, limit.window, limit.cost) == ("rule", "per_ip", "1h30m", 2)
    assert (limit.kind, limit.lease, limit.on_error) == ("window", "", "open")
    assert compiled().limit("x").scope == "gateway"


def test_a_place_costs_one_and_has_a_lease_and_no_window() -> None:
    limit = compiled("streams", rule="r1", kind="concurrent", cost=2).limit("x", "lease 1")
    assert (limit.kind, limit.cost, limit.window, limit.lease) == ("concurrent", 1, "", "lease 1")


def test_the_global_counter_is_shared_and_each_address_and_ipv6_network_has_its_own() -> None:
    assert key(compiled(), exchange("192.0.2.7")) == key(compiled(), exchange("192.0.2.8", "k1"))
    per_ip = compiled("per_ip")
    assert key(per_ip, exchange("192.0.2.7")) != key(per_ip, exchange("192.0.2.8"))
    assert key(per_ip, exchange("2001:db8:0:1::1")) == key(per_ip, exchange("2001:db8:0:1:ffff::2"))
    assert key(per_ip, exchange("2001:db8:0:1::1")) != key(per_ip, exchange("2001:db8:0:2::1"))


def test_each_api_key_has_its_own_counter_and_requests_without_one_share_another() -> None:
    per_key = compiled("per_key")
    counters = {key(per_key, exchange(key=name)) for name in ("k1", "k2", None)}
    assert len(counters) == 3
    assert key(per_key, exchange("192.0.2.7")) == key(per_key, exchange("192.0.2.8"))


def test_limit_by_two_dimensions_has_one_counter_per_pair() -> None:
    slots = compiled("streams", kind="concurrent", by=("ip", "key"))
    pairs = [("192.0.2.7", "k1"), ("192.0.2.7", "k2"), ("192.0.2.8", "k1")]
    assert len({key(slots, exchange(*pair)) for pair in pairs}) == 3


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
def test_no_two_pairs_of_values_look_alike(one: tuple[str, str], two: tuple[str, str]) -> None:
    slots = compiled("streams", kind="concurrent", by=("key", "model"))
    same = key(slots, exchange(key=one[0]), one[1]) == key(slots, exchange(key=two[0]), two[1])
    assert same is (one == two)


def test_a_request_without_the_header_is_counted_with_its_like_or_not_at_all() -> None:
    by: dict[str, Any] = {"by": ("header:x-team",)}
    shared, skip = compiled("per_header", **by), compiled("per_header", **by, on_missing="skip")
    assert shared.counts(exchange(), "")
    assert (
        key(shared, exchange())
        == key(shared, exchange(headers=[("X-Team", "")]))
        != key(shared, exchange(headers=RED))
    )
    assert not skip.counts(exchange(), "")
    assert skip.counts(exchange(headers=RED), "")
    posts = compiled(match=LimitMatch(("POST",)))
    assert posts.counts(exchange(), "")
    assert not posts.counts(exchange(method="GET"), "")


globs = st.lists(st.sampled_from(["*", "a*", "*b", "ab", "a*b"]), unique=True, min_size=1)


@given(globs, st.text("ab", max_size=4))
def test_model_is_counted_by_its_most_precise_glob_only(given: list[str], model: str) -> None:
    ordered = tuple(sorted(given, key=precision))
    compiled_limits = [compiled("per_model", by=("model",), glob=glob, globs=ordered) for glob in given]
    counting = [one.spec.glob for one in compiled_limits if one.counts(exchange(), model)]
    assert counting == [glob for glob in ordered if matches_glob(glob, model)][:1]


@pytest.mark.parametrize(
    ("globs", "model", "counting"),
    [
        (["gpt-4*", "*"], "GPT-4o", {"gpt-4*", "*"}),
        (["GPT-4o", "gpt-4*"], "gpt-4o", {"GPT-4o", "gpt-4*"}),
        (["GPT-4o", "gpt-4*"], "GPT-4o", {"GPT-4o"}),
        (["GPT-*", "gpt-*"], "gpt-4o", {"GPT-*", "gpt-*"}),
        (["gpt-4*"], "GPT-5", set()),
    ],
)
def test_a_model_in_another_case_is_counted_by_its_limit_too(
    globs: list[str], model: str, counting: set[str]
) -> None:
    ordered = tuple(sorted(globs, key=precision))
    limits = [compiled("per_model", by=("model",), glob=glob, globs=ordered) for glob in globs]
    assert {one.spec.glob for one in limits if one.counts(exchange(), model)} == counting
    assert key(limits[0], exchange(), model.upper()) == key(limits[0], exchange(), model.lower())


def test_the_rules_limits_come_first_and_each_level_keeps_its_order() -> None:
    given = [compiled("per_key"), compiled(rule="r1"), compiled(), compiled("per_ip", rule="r1")]
    found = [f"{one.scope} {one.spec.name}" for one in merged(given)]
    assert found == ["rule global", "rule per_ip", "gateway per_key", "gateway global"]


def test_several_windows_of_one_dimension_have_labels_of_their_own() -> None:
    given = [compiled(window_ms=500), compiled(window_ms=60_000), compiled("per_ip"), compiled(rule="r1")]
    labels = [one.limit("x").label for one in merged(given)]
    assert labels == ["rule-global", "gw-global-500ms", "gw-global-1m", "gw-per_ip"]


def test_limits_of_the_same_counter_are_one_the_strictest() -> None:
    one = compiled("global", 600, floor_ms=5_000, on_error="open")
    two = compiled("global", 5, cost=3)
    (only,) = merged([one, two])
    assert (only.spec.quota.limit, only.cost, only.floor_ms, only.on_error) == (5, 3, 5_000, "local")
    assert merged([two, one]) == (only,)
    assert merged([]) == ()


@pytest.mark.parametrize(
    ("one", "two", "both"),
    [("skip", "shared", "shared"), ("shared", "deny", "deny"), ("deny", "skip", "deny")],
)
def test_merged_limits_use_the_stricter_on_missing(one: str, two: str, both: str) -> None:
    given = [compiled("per_header", by=("header:x-a",), on_missing=on) for on in (one, two)]
    assert [t.spec.on_missing for t in merged(given)] == [both]


compiled_limits = st.builds(
    compiled,
    st.sampled_from(["global", "per_ip"]),
    st.integers(0, 9),
    st.sampled_from([1_000, 60_000]),
    rule=st.sampled_from([None, "r1"]),
    on_missing=st.sampled_from(["skip", "shared", "deny"]),
    cost=st.integers(1, 3),
    floor_ms=st.integers(0, 5),
    on_error=st.sampled_from(["local", "open", "closed"]),
)


@given(st.lists(compiled_limits, max_size=6))
def test_merging_lifts_no_limit_and_leaves_one_for_each_counter(given: list[CompiledLimit]) -> None:
    found = {one.key_prefix: one for one in merged(given)}
    assert set(found) == {one.key_prefix for one in given}
    assert len(found) == len(merged(given))
    for one in given:
        kept = found[one.key_prefix]
        assert kept.spec.quota.limit <= one.spec.quota.limit
        assert (kept.cost, kept.floor_ms) >= (one.cost, one.floor_ms) or kept.cost >= one.cost


TWICE = [("X-Team", "red"), ("X-Team", "blue")]


def test_each_dimension_reads_its_value_from_the_request() -> None:
    seen = exchange(headers=[("X-Team", "red")], key="key_1")
    values = {
        by: value_of(by, seen, "gpt-4o") for by in ("ip", "key", "method", "path", "model", "header:x-team")
    }
    assert values == {
        "ip": "192.0.2.7",
        "key": "key_1",
        "method": "POST",
        "path": "/v1/x",
        "model": "gpt-4o",
        "header:x-team": "red",
    }
    assert value_of("key", exchange(), "") == value_of("header:x-team", exchange(), "") == ""
    with pytest.raises(ValueError, match="planet"):
        value_of("planet", seen, "")


@pytest.mark.parametrize(
    "headers",
    [[("x-team", " red ")], [("X-TEAM", "red"), ("X-Team", "")], [("X-Team", "\t"), ("x-team", "red")]],
)
def test_no_spelling_of_a_header_or_path_makes_another_value(headers: list[tuple[str, str]]) -> None:
    assert value_of("header:x-team", exchange(headers=headers), "") == "red"
    assert value_of("header:x-team", exchange(headers=TWICE), "") == "red, blue"
    assert value_of("path", exchange(path="/v1/x/"), "") == "/v1/x"
    assert value_of("path", exchange(path="/"), "") == "/"
