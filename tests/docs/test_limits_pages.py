"""The examples of the pages about limits work as printed, and their figures are those of the code."""

import json
import re
import tracemalloc
from pathlib import Path
from typing import Any, cast

import pytest

from admin_app.views.rate_limits import RateLimitList
from shared.budgets.demand import USUAL_OUTPUT
from shared.limits.distinct_values import MAX_VALUES, DistinctValueTracker
from shared.limits.quotas import LEASE_MS, MAX_LIMIT, MAX_QUOTAS, MAX_TOKENS, UNITS, HeaderQuotaSchema
from shared.limits.settings import MAX_NAMES, LimitsSchema
from shared.limits.sliding_window import BUCKETS
from shared.model.messages import Headers
from shared.plugins.rate_limiter import RateLimiter
from shared.testing.memory_limiter import MemoryLimiter
from shared.usage.estimate import BYTES_PER_SECOND
from tests.plugins.gate import Gate, Hands, rejected

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reference" / "rate-limiter.md").read_text(encoding="utf-8")
EXPLANATION = (DOCS / "explanation" / "limits.md").read_text(encoding="utf-8")
PROSE = " ".join(f"{PAGE} {EXPLANATION}".split())
PICTURE = (DOCS / "explanation" / "window.svg").read_text(encoding="utf-8")
BLOCKS = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
*SETTINGS, RESPONSE, USAGE = BLOCKS
SHORT, FULL, BLOCK, _ = SETTINGS


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_settings_of_the_page_are_accepted(settings: dict[str, Any]) -> None:
    RateLimiter.parse(settings)


def test_page_names_every_setting() -> None:
    for name in RateLimiter.schema().fields:
        assert f"`{name}`" in PAGE or f"`{name}." in PAGE
    for name in LimitsSchema().fields:
        assert f"`limits.{name}`" in PAGE
        assert name in FULL["limits"] or name == "concurrent"


def test_limits_pages_name_the_real_bounds_and_choices() -> None:
    assert f"the first {MAX_VALUES:,} values" in PROSE
    assert f"(0 to {MAX_LIMIT:,}; 0 blocks)" in PROSE
    assert f"a list of up to {MAX_QUOTAS}, which all hold." in PROSE
    assert f"`per_header` and `per_model` take up to {MAX_NAMES} names." in PROSE
    assert f"for {LEASE_MS // 1000} seconds" in PROSE
    assert all(f"| `{choice}`" in PAGE for choice in RateLimiter.on_error_choices)
    assert f"| `{RateLimiter.default_on_error}` (default) |" in PAGE
    assert f"up to {MAX_TOKENS:,}" in PROSE
    assert all(f"| `{unit}`" in PAGE for unit in UNITS)
    missing = HeaderQuotaSchema().fields["on_missing"]
    assert f"| `{missing.load_default}` (default) |" in PAGE


def test_the_figures_of_estimates_are_those_of_the_code() -> None:
    assert f"at first {USUAL_OUTPUT:,} tokens" in PROSE
    assert f"10 tokens per {BYTES_PER_SECOND // 1000} KB" in PROSE


def test_a_thousand_values_cost_no_more_than_the_page_says() -> None:
    tracemalloc.start()
    known = DistinctValueTracker()
    for number in range(MAX_VALUES):
        known.add("limit", f"{number:016x}", 60.0, 0.0)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "at most 2 MB per limit" in PROSE
    assert used < 2_000_000


def test_the_usage_of_the_page_has_the_form_that_the_api_describes() -> None:
    assert RateLimitList().validate(USAGE) == {}


def test_picture_of_the_window_shows_the_buckets_of_the_limiter() -> None:
    assert "(window.svg)" in EXPLANATION
    assert f"divided into {BUCKETS} buckets" in PROSE
    assert f"Requests in each bucket (window / {BUCKETS})" in PICTURE
    # The oldest bucket counts in full, so one more than the window has.
    assert PICTURE.count('fill="#0969da"/>') + PICTURE.count('fill="#bf8700"/>') >= BUCKETS + 1


def test_the_response_of_the_page_is_given() -> None:
    clock = Hands()  # at the start of a bucket of ten seconds / 64
    gate = Gate(MemoryLimiter(clock), [("tenant", BLOCK)], on_error="closed")
    assert gate.admitted(3) == 3
    clock.seconds += 10 + 10 / 64 - 4
    verdict = rejected(gate.ask())
    assert {
        "status": verdict.status,
        "headers": {**verdict.headers, **dict(cast(Headers, verdict.notes["headers"]))},
        "code": verdict.code,
        "message": verdict.message,
        **verdict.details,
    } == RESPONSE
