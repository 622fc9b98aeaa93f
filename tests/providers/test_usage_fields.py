"""The members that report usage, compared with those that another project reads (genai-prices, MIT)."""

import json
from pathlib import Path

import pytest

from shared.providers.usage_fields import USAGE_FIELDS, usage_fields
from shared.usage.row import UNITS

_FILE = Path(__file__).parents[1] / "fixtures" / "usage" / "genai_prices_fields.json"
_THEIRS = json.loads(_FILE.read_text(encoding="utf-8"))["fields"]
_UNITS = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read_tokens": "input_cached",
    # The table has no price for writing with an unknown time but that of five minutes.
    "cache_write_tokens": "cache_write_5m",
    "cache_write_5m_tokens": "cache_write_5m",
    "cache_write_1h_tokens": "cache_write_1h",
    "output_reasoning_tokens": "reasoning",
    "input_audio_tokens": "audio_in",
    "output_audio_tokens": "audio_out",
    "web_searches": "searches",
}


def ours(kind: str, api: str) -> set[tuple[str, str]]:
    sums = usage_fields(api, kind).sums
    return {(unit, way) for unit, paths in sums.items() for path in paths for way in path.split("|")}


@pytest.mark.parametrize(
    ("kind", "api"), sorted({(kind, api) for kind, api, _, _ in _THEIRS}), ids=lambda one: str(one)
)
def test_every_member_that_another_project_reads_is_read(kind: str, api: str) -> None:
    theirs = {
        (_UNITS[unit], path)
        for their_kind, their_api, unit, path in _THEIRS
        if (their_kind, their_api) == (kind, api) and unit in _UNITS
    }
    assert theirs
    assert theirs <= ours(kind, api)


@pytest.mark.parametrize("api", USAGE_FIELDS)
def test_the_members_of_an_api_make_units_that_are_counted(api: str) -> None:
    assert {unit for unit, _ in ours("", api)} <= set(UNITS)
    assert any(
        mark.strip(b'"').decode() in holder
        for mark in USAGE_FIELDS[api].marks
        for holder in (*USAGE_FIELDS[api].holders, "eval_count")
    )
