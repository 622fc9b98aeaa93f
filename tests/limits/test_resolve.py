"""The charges of one request, and the warnings about limits that may not be meant."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.limits.compiled import CompiledLimit, compile_limit, limit_warnings, metered_warnings
from shared.limits.distinct_values import DistinctValueTracker
from shared.limits.resolve import (
    SHARED_COUNTER,
    Charge,
    Charges,
    LimitResolver,
    PriceNotKnown,
    corrections,
    denied_header,
    longest_wait_ms,
    track_values,
)
from shared.limits.values import LimitMatch, LimitSpec, LimitState, Quota, decide
from shared.model.budgets import METERED
from tests.limits.limits_by_name import Uses, compiled, exchange


def model_limits(*globs: tuple[str, int], rule: str | None = None) -> list[CompiledLimit]:
    names = tuple(glob for glob, _ in globs)
    return [compiled(glob, n, rule=rule, by=("model",), glob=glob, globs=names) for glob, n in globs]


def charged(
    compiled_limits: list[CompiledLimit], *headers: tuple[str, str], model: str = "", own: bool = True
) -> list[Charge]:
    return [
        *LimitResolver(compiled_limits).of(exchange(headers=headers), (model,), "lease", lambda *_: own).each
    ]


TEAM = compiled("per_header:X-Team", by=("header:x-team",))


def test_request_is_charged_to_its_limits_in_order() -> None:
    gets = compiled("gets", match=LimitMatch(("GET",)))
    found = charged([compiled("global", rule="r1"), gets, TEAM, compiled("global")], ("X-Team", "red"))
    assert [(c.limit.scope, c.limit.name) for c in found] == [
        ("rule", "global"),
        ("gateway", "per_header:X-Team"),
        ("gateway", "global"),
    ]


def test_beyond_the_bound_the_values_that_a_client_chooses_share_a_counter() -> None:
    everyone = [compiled("global"), compiled("per_ip"), TEAM]
    before, after = charged(everyone, ("X-Team", "red")), charged(everyone, ("X-Team", "red"), own=False)
    assert [c.limit.key for c in before[:2]] == [c.limit.key for c in after[:2]]
    assert after[2].limit.key == TEAM.key_prefix + SHARED_COUNTER
    assert after[2].value == SHARED_COUNTER
    assert before[2].value != SHARED_COUNTER


def test_requests_with_the_same_values_share_what_they_are_charged_to() -> None:
    gets = compiled("gets", match=LimitMatch(("GET",)))
    limits = [compiled("global", 7), gets, TEAM]

    def asked(resolver: LimitResolver, team: str, *, own: bool = True) -> Charges:
        return resolver.of(exchange(headers=[("X-Team", team)]), ("",), "lease", lambda *_: own)

    resolver, other = LimitResolver(limits), LimitResolver([compiled("global", 8), gets, TEAM])
    red = asked(resolver, "red")
    assert asked(resolver, "red") is red
    assert red.limits[0].quota.limit == 7
    for another in (asked(resolver, "blue"), asked(resolver, "red", own=False), asked(other, "red")):
        assert another is not red
        assert another.limits != red.limits


@pytest.mark.parametrize("spec", [{"kind": "concurrent", "by": ("key",)}, {"unit": "tokens", "by": ("key",)}])
def test_a_lease_or_a_cost_is_that_of_one_request(spec: dict[str, Any]) -> None:
    resolver = LimitResolver([compiled("per_key", **spec)])
    first, second = [
        resolver.of(exchange(metered=Uses(cost)), ("",), lease, lambda *_: True)
        for cost, lease in ((5, "a"), (6, "b"))
    ]
    assert first.limits != second.limits


def test_a_limit_of_models_counts_by_the_first_name_that_it_is_for() -> None:
    limits = model_limits(("small", 1), ("gpt-*", 2), ("*", 3))

    def counted(*names: str) -> list[tuple[str, str]]:
        resolver = LimitResolver(limits)
        found = resolver.of(exchange(), names, "lease", lambda *_: True).each
        return [(charge.limit.name, charge.value) for charge in found]

    (one,) = counted("small")
    assert counted("main/small", "small", "alias")[0] == one
    # The most precise limit for each name counts: here also the one for all others.
    assert [name for name, _ in counted("main/small", "small", "alias")] == ["small", "*"]
    assert [name for name, _ in counted("gpt-5")] == ["gpt-*"]


def test_only_places_take_the_lease() -> None:
    found = charged([compiled("streams", kind="concurrent"), compiled("global")])
    assert [c.limit.lease for c in found] == ["lease", ""]


def test_a_header_can_be_demanded_of_the_requests_that_match() -> None:
    deny: dict[str, Any] = {"by": ("header:x-team",), "on_missing": "deny"}
    assert denied_header([compiled("t", **deny)], exchange()) == "x-team"
    assert denied_header([compiled("t", **deny)], exchange(headers=[("X-Team", "red")])) is None
    assert denied_header([compiled("t", **deny, match=LimitMatch(("GET",)))], exchange()) is None
    assert denied_header([TEAM, compiled("global")], exchange()) is None


@pytest.mark.parametrize(("reset", "wait"), [(2_000, 5_000), (7_000, 7_000)])
def test_the_longest_wait_is_that_of_spent_limits(reset: int, wait: int) -> None:
    found = charged([compiled("global", floor_ms=5_000), compiled("per_ip", floor_ms=90_000)])
    states = [LimitState(found[0].limit, 0, reset), LimitState(found[1].limit, 3, 60_000)]
    assert longest_wait_ms(decide(states), found) == wait


def test_values_that_clients_chose_are_tracked_and_others_are_not() -> None:
    tracker = DistinctValueTracker(max_values=1)
    everyone = [compiled("global"), compiled("per_ip"), TEAM]
    track_values(charged(everyone, ("X-Team", "red")), tracker, now=0.0)
    track_values(charged(everyone, ("X-Team", "blue"), own=False), tracker, now=0.0)
    own = {one: TEAM.value(exchange(headers=[("X-Team", one)]), "") for one in ("red", "blue")}
    assert tracker.has_counter(TEAM.key_prefix, own["red"], 0.0)
    assert not tracker.has_counter(TEAM.key_prefix, own["blue"], 0.0)
    assert tracker.has_counter(everyone[1].key_prefix, "any", 0.0)


def cost_of(limit: CompiledLimit, uses: Uses | None) -> list[int]:
    found = LimitResolver([limit]).of(exchange(metered=uses), ("fast",), "", lambda *_: True).each
    return [one.limit.cost for one in found]


@pytest.mark.parametrize("unit", sorted(METERED))
@pytest.mark.parametrize(
    ("uses", "cost"),
    [
        (Uses(40), [40]),
        (Uses(100), [100]),
        (Uses(400, 30), [100]),  # a guess is no more than the limit
        (Uses(400, 300), [300]),  # the rest is not, so that the request can never be admitted
        (Uses(0), []),
        (None, []),
    ],
)
def test_a_request_costs_what_it_is_expected_to_use(unit: str, uses: Uses | None, cost: list[int]) -> None:
    assert cost_of(compiled("global", 100, unit=unit, cost=7), uses) == cost


def test_a_request_whose_price_is_not_known_cannot_be_counted_in_money() -> None:
    with pytest.raises(PriceNotKnown):
        cost_of(compiled("global", 100, unit="usd"), Uses(None))
    assert cost_of(compiled("global", 100), Uses(None)) == [1]


def test_limits_of_tokens_with_one_counter_are_charged_once() -> None:
    wide, narrow = (
        compiled("m", n, by=("model",), glob=g, globs=("a", "*"), unit="tokens")
        for g, n in (("*", 90), ("a", 50))
    )
    found = LimitResolver([wide, narrow]).of(exchange(metered=Uses(70, 20)), ("A",), "", lambda *_: True).each
    assert [(one.limit.quota.limit, one.limit.cost) for one in found] == [(50, 50)]


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_guess_never_makes_a_request_impossible(limit: int, least: int, guess: int) -> None:
    for cost in cost_of(compiled("global", limit, unit="tokens"), Uses(least + guess, least)):
        assert least <= cost <= least + guess
        assert cost <= limit or cost == least


def test_only_what_was_used_otherwise_than_expected_is_corrected() -> None:
    tokens, dollars = (
        LimitState(compiled("global", 100, unit=unit).limit("x", cost=40), 0, 0) for unit in ("tokens", "usd")
    )
    requests = LimitState(compiled("global", 100).limit("x"), 0, 0)
    states = [requests, tokens, dollars]
    for used, deltas in ((70, [30, 30]), (0, [-40, -40]), (40, []), (None, [])):
        limits, found = corrections(states, Uses(40, used=used))
        assert [*found] == deltas
        assert len(limits) == len(deltas)
    assert corrections(states, None) == ([], [])


rules = st.sampled_from([None, "r1"])
numbers = st.integers(0, 5)
some_models = st.builds(
    lambda rule, pairs: model_limits(*sorted(pairs.items(), key=lambda p: (-len(p[0]), p[0])), rule=rule),
    rules,
    st.dictionaries(st.sampled_from(["*", "a*", "ab"]), numbers, min_size=1),
)
some_plain = st.builds(lambda rule, number: [compiled("global", number, rule=rule)], rules, numbers)


@given(st.lists(some_models | some_plain, max_size=5), st.sampled_from(["", "a", "ab", "b"]))
def test_charges_have_a_counter_each_and_the_smallest_limit(
    groups: list[list[CompiledLimit]], model: str
) -> None:
    compiled_limits = [one for group in groups for one in group]
    found = {c.limit.key: c.limit for c in charged(compiled_limits, model=model)}
    assert len(found) == len(charged(compiled_limits, model=model))
    counting = [one for one in compiled_limits if one.counts(exchange(), model)]
    assert {one.key_prefix + one.value(exchange(), model) for one in counting} == set(found)
    for key, limit in found.items():
        same = [one for one in counting if one.key_prefix + one.value(exchange(), model) == key]
        assert limit.quota.limit == min(one.spec.quota.limit for one in same)


POSTS = LimitMatch(("POST",))


def on_rule(
    name: str, by: str = "", rule: str | None = "r1", kind: str = "window", **more: Any
) -> CompiledLimit:
    spec = LimitSpec(name, Quota(5, 60_000), by=(by,) if by else (), kind=kind)
    return compile_limit("t1", rule, spec, **more)


def test_limit_by_client_chosen_value_alone_at_its_level_gets_a_warning() -> None:
    (warning,) = limit_warnings([on_rule("per_header:X-Team", "header:x-team")])
    assert "rule level" in warning
    assert "per_header:X-Team" in warning
    assert warning.endswith(".")


@pytest.mark.parametrize("by", ["header:x", "path", "model", "method"])
@pytest.mark.parametrize("beside", ["", "ip", "key"])
def test_limit_by_client_chosen_value_beside_a_bounding_limit_is_accepted(by: str, beside: str) -> None:
    assert limit_warnings([on_rule("divides", by), on_rule("bounds", beside)]) == []
    assert limit_warnings([on_rule("bounds", beside)]) == []


@pytest.mark.parametrize("beside", [{"rule": None}, {"kind": "concurrent"}, {"match": POSTS}, {"by": "path"}])
def test_limit_of_another_level_or_other_requests_does_not_prevent_the_warning(
    beside: dict[str, Any],
) -> None:
    warnings = limit_warnings([on_rule("per_model:*", "model"), on_rule("beside", **beside)])
    assert "per_model:*" in warnings[0]


def test_limit_of_the_same_requests_prevents_the_warning() -> None:
    assert limit_warnings([on_rule("per_path", "path", match=POSTS), on_rule("global", match=POSTS)]) == []
    assert limit_warnings([on_rule("per_path", "path", match=POSTS), on_rule("global")]) == []


def test_cost_above_the_limit_gets_a_warning() -> None:
    (warning,) = limit_warnings([on_rule("global", cost=6)])
    assert "admits nothing" in warning
    assert limit_warnings([on_rule("global", cost=5), on_rule("streams", kind="concurrent", cost=9)]) == []


def test_a_limit_of_tokens_on_a_rule_without_models_gets_a_warning() -> None:
    limits = [compiled("global", rule="r1", unit="tokens"), compiled("global", rule="r1")]
    (warning,) = metered_warnings(limits)
    assert warning.startswith("The rule limit 'global' of tokens counts nothing")
    assert limit_warnings([compiled("global", 5, rule="r1", unit="tokens", cost=9)]) == []
