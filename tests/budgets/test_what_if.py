"""Limits that are tried on recorded calls."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.budgets.what_if import MAX_KEYS, KeyEffect, LimitEffect, can_try, try_limits
from shared.limits.sliding_window import BucketedWindow
from shared.limits.values import LimitSpec, Quota
from shared.usage.row import LedgerRow, Usage
from tests.usage.rows import NOON, row


def spec(limit: int, unit: str = "requests", *, window_ms: int = 60_000, **members: Any) -> LimitSpec:
    return LimitSpec("global", Quota(limit, window_ms), unit=unit, **members)


def at(second: float, tokens: int = 10, **members: Any) -> LedgerRow:
    """A request that begins then."""
    return row(time=NOON + second + 2, duration_ms=2_000, usage=Usage(input=tokens), **members)


def effect(limit: LimitSpec, *rows: LedgerRow) -> LimitEffect:
    (found,) = try_limits([limit], rows)
    return found


def test_what_is_above_the_limit_of_a_window_is_rejected_and_not_counted() -> None:
    found = effect(spec(25, "tokens"), at(40), at(0), at(10), at(20), at(62))
    assert (found.requests, found.rejected) == (5, 2)
    assert found.first_rejected_at == NOON + 20
    assert (found.peak, found.peak_at) == (40, NOON + 40)
    assert found.keys == [KeyEffect("key_1", 5, 2)]


@pytest.mark.parametrize(
    ("unit", "peak"),
    [("requests", 1), ("tokens", 12), ("input_tokens", 7), ("output_tokens", 5), ("usd", 64_000)],
)
def test_each_unit_counts_what_was_used(unit: str, peak: int) -> None:
    found = effect(spec(10**9, unit), row(usage=Usage(input=7, output=5)))
    assert (found.peak, found.rejected, found.first_rejected_at) == (peak, 0, None)


def test_a_request_without_a_price_is_told_apart() -> None:
    found = effect(spec(10**9, "usd"), row(cost_nano=None), row())
    assert (found.requests, found.unpriced) == (1, 1)
    assert effect(spec(5, "tokens"), row(cost_nano=None)).unpriced == 0


def test_a_request_that_uses_nothing_is_admitted() -> None:
    assert effect(spec(0, "output_tokens"), at(0)).rejected == 0
    assert effect(spec(0, "tokens"), at(0)).rejected == 1


def test_keys_and_models_have_counters_of_their_own() -> None:
    rows = at(0), at(1), at(2, key="key_2", model_asked="Fast"), at(3, model_asked="slow", model="slow-1")
    by_key = effect(spec(1, by=("key",)), *rows)
    assert (by_key.requests, by_key.rejected) == (4, 2)
    per_model: dict[str, Any] = {"by": ("model",), "glob": "fast", "globs": ("fast",)}
    assert (effect(spec(2, **per_model), *rows).requests, effect(spec(2, **per_model), *rows).rejected) == (
        3,
        1,
    )


def test_the_keys_with_the_most_rejections_are_named() -> None:
    rows = [at(second, key=f"key_{number}") for number in range(12) for second in range(number + 1)]
    found = effect(spec(1, by=("key",)), *rows)
    assert [one.key for one in found.keys] == [f"key_{number}" for number in range(11, 11 - MAX_KEYS, -1)]
    assert found.keys[0] == KeyEffect("key_11", 12, 11)


def test_only_limits_of_what_rows_have_can_be_tried() -> None:
    assert all(can_try(spec(1, by=by)) for by in ((), ("key",), ("model",)))
    assert not any(can_try(spec(1, by=by)) for by in (("ip",), ("header:x-a",), ("path",), ("method",)))
    assert not can_try(spec(1, kind="concurrent"))


@given(
    st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 9), st.sampled_from("ab")), max_size=60),
    st.integers(0, 30),
    st.sampled_from([1_000, 10_000, 60_000]),
)
def test_a_trial_decides_as_the_limiter_does(
    asked: list[tuple[int, int, str]], limit: int, window_ms: int
) -> None:
    windows = {key: BucketedWindow(window_ms) for key in "ab"}
    rejected: Counter[str] = Counter()
    for milliseconds, tokens, key in sorted(asked, key=lambda one: one[0]):
        now = round((NOON + milliseconds / 1000) * 1_000_000)
        if tokens and windows[key].total(now) + tokens > limit:
            rejected[key] += 1
        elif tokens:
            windows[key].charge(now, tokens)
    rows = [
        row(time=NOON + milliseconds / 1000, usage=Usage(input=tokens), key=key)
        for milliseconds, tokens, key in asked
    ]
    found = effect(spec(limit, "tokens", window_ms=window_ms, by=("key",)), *rows)
    assert found.rejected == rejected.total()
    assert {one.key: one.rejected for one in found.keys} == dict(rejected)
