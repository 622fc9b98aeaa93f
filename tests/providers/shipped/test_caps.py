"""The capabilities of models: every row of our own list has a source, and the shipped table has the rows."""

import datetime
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from shared.providers.shipped import model_table
from shared.providers.shipped.caps import base_name, error_in_cap
from shared.providers.shipped.model_table import ModelTable, shipped_models
from shared.providers.shipped.presets import presets

ROOT = Path(__file__).parents[3]
ROWS: list[dict[str, Any]] = YAML(typ="safe").load(ROOT / "scripts" / "caps.yaml")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["names"][0])
def test_a_row_has_known_kinds_names_and_capabilities_and_says_where_it_is_written(row: Any) -> None:
    assert set(row) == {"kinds", "names", "caps", "source", "date"}
    assert set(row["kinds"]) <= set(presets())
    assert row["names"] == [base_name(name) for name in row["names"]]
    assert row["caps"]
    assert [error for name, value in row["caps"].items() if (error := error_in_cap(name, value))] == []
    assert re.match(r"https://[a-z.]+/", row["source"])
    assert isinstance(row["date"], datetime.date)


def test_no_model_has_two_rows() -> None:
    names = Counter((kind, name) for row in ROWS for kind in row["kinds"] for name in row["names"])
    assert [name for name, rows in names.items() if rows > 1] == []


def test_the_shipped_table_has_the_rows_of_the_list() -> None:
    shipped = json.loads((Path(model_table.__file__).parent / "models.json").read_text())["caps"]
    assert shipped == [{name: row[name] for name in ("kinds", "names", "caps")} for row in ROWS]


@pytest.mark.parametrize(
    ("kind", "model", "caps"),
    [
        (
            "anthropic",
            "claude-haiku-4-5-20251001",
            {"vision": True, "context": 200_000, "max_output": 64_000},
        ),
        ("bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0", {"vision": True, "thinking": "budget"}),
        ("gemini", "claude-haiku-4-5@20251001", {"pdf": True}),
        ("openrouter", "anthropic/claude-opus-4.6", {"vision": True, "thinking": "adaptive"}),
        ("openai", "gpt-4-0613", {"vision": False, "context": 8192}),
        ("openai", "gpt-4.1-2025-04-14", {"vision": True, "max_output": 32_768}),
        ("groq", "openai/gpt-oss-120b", {"vision": False, "tools": True, "context": 131_072}),
        ("deepseek", "deepseek-chat", {"context": 1_000_000}),
        ("openai", "gpt-4o-audio-preview", {"vision": None, "audio": None, "context": 128_000}),
        ("custom", "gpt-4", {"vision": None, "context": None}),
        ("openai", "nothing", {"context": None}),
    ],
)
def test_a_model_has_the_capabilities_of_its_row_under_the_names_of_its_hosts(
    kind: str, model: str, caps: dict[str, Any]
) -> None:
    found = shipped_models().caps(kind, model)
    assert {name: found.get(name) for name in caps} == caps


def test_a_table_without_capabilities_has_none() -> None:
    table = ModelTable.parse('{"source": "x", "date": "2026-12-01", "fallbacks": {}, "models": []}')
    assert table.caps("openai", "gpt-4") == {}
