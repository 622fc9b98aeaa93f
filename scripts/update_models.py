"""Makes shared/providers/shipped/models.json from the data of the package genai-prices (MIT), and caps.yaml.

It also writes where the package finds usage in responses, for a test that compares it with ours.

    python -m venv /tmp/prices && /tmp/prices/bin/pip install genai-prices ruamel.yaml
    /tmp/prices/bin/python scripts/update_models.py

Run it by hand at a release. The package is not one of the gateway's: only its data are.
"""

import datetime
import importlib.metadata
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from genai_prices import data  # type: ignore[import-not-found,unused-ignore]
from ruamel.yaml import YAML

_ROOT = Path(__file__).parent.parent
_FILE = _ROOT / "shared" / "providers" / "shipped" / "models.json"
_CAPS_FILE = Path(__file__).parent / "caps.yaml"
_FIELDS_FILE = _ROOT / "tests" / "fixtures" / "usage" / "genai_prices_fields.json"
# The kinds of providers, by their names in the package.
_KINDS = {
    "anthropic": "anthropic",
    "aws": "bedrock",
    "azure": "azure",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "google": "gemini",
    "groq": "groq",
    "mistral": "mistral",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together": "together",
    "x-ai": "xai",
}
_UNITS = {
    "input_mtok": "input",
    "cache_read_mtok": "input_cached",
    "cache_write_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
    "input_audio_mtok": "audio_in",
    "output_audio_mtok": "audio_out",
    "input_mchars": "characters",
    "input_audio_hours": "per_hour",
}
_PER_THOUSAND = {"web_searches_kcount": "per_search", "requests_kcount": "per_request"}
_COMPARISONS = {
    "equals": "is",
    "starts_with": "starts",
    "contains": "contains",
    "ends_with": "ends",
    "regex": "regex",
}
_TIERS = ("priority", "flex", "fast")
# Our APIs by the package's names for them; "default" is the only API of a provider, or its first.
_APIS = {
    "chat": "openai.chat",
    "responses": "openai.responses",
    "embeddings": "openai.embeddings",
    "images": "openai.images",
    "anthropic": "anthropic.messages",
}
_DEFAULTS = {
    "anthropic": "anthropic.messages",
    "google": "gemini",
    "groq": "openai.chat",
    "mistral": "openai.chat",
    "perplexity": "openai.chat",
}


def main() -> None:
    rows = [row for provider in data.providers for row in _rows(provider)]
    document = {
        "source": f"genai-prices {importlib.metadata.version('genai-prices')} (MIT)",
        "date": datetime.date.today().isoformat(),
        "fallbacks": {
            _KINDS[provider.id]: [_KINDS[one] for one in provider.fallback_model_providers if one in _KINDS]
            for provider in data.providers
            if provider.id in _KINDS and provider.fallback_model_providers
        },
    }
    models, caps = _lines(sorted(rows, key=lambda row: row["provider"])), _lines(_caps())
    head = json.dumps(document)[1:-1]
    _FILE.write_text(f'{{{head}, "models": [\n{models}\n], "caps": [\n{caps}\n]}}\n', encoding="utf-8")
    sys.stdout.write(f"{_FILE}: {len(rows)} models\n")
    fields = ",\n".join(json.dumps(one) for provider in data.providers for one in _fields(provider))
    source = json.dumps(document["source"])
    _FIELDS_FILE.write_text(f'{{"source": {source}, "fields": [\n{fields}\n]}}\n', encoding="utf-8")


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)


def _caps() -> Iterator[dict[str, Any]]:
    """The capabilities of models, without their sources."""
    for row in YAML(typ="safe").load(_CAPS_FILE.read_text(encoding="utf-8")):
        yield {name: row[name] for name in ("kinds", "names", "caps")}


def _fields(provider: Any) -> Iterator[tuple[str, ...]]:
    """Yield kind, API, unit and path of each member with usage that the package reads."""
    for extractor in provider.extractors or () if provider.id in _KINDS else ():
        flavor = extractor.api_flavor
        api = _DEFAULTS.get(provider.id) if flavor == "default" else _APIS.get(flavor)
        for one in extractor.mappings if api else ():
            steps = [one.path] if isinstance(one.path, str) else one.path
            path = ".".join(map(_step, steps)).replace(".[", "[")
            yield _KINDS[provider.id], str(api), one.dest, path


def _step(step: Any) -> str:
    return step if isinstance(step, str) else f"[{step.field}={step.match.equals}]"


def _rows(provider: Any) -> Iterator[dict[str, Any]]:
    kind = _KINDS.get(provider.id)
    for model in provider.models if kind else ():
        prices = _dated(model.prices)
        if not prices:
            continue
        row = {"provider": kind, **_names(model.match), "context": model.context_window, "prices": prices}
        tiers = {tier: dated for tier in _TIERS if (dated := _variant(model.price_variants or (), tier))}
        yield {name: value for name, value in {**row, "tiers": tiers}.items() if value}


def _names(clause: Any) -> dict[str, list[str]]:
    """The names of a clause, by how they are compared. Raises ValueError on a form that is not known."""
    found: dict[str, list[str]] = {}
    for one in getattr(clause, "or_", None) or [clause]:
        name, text = _comparison(one)
        found.setdefault(name, []).append(text)
    return found


def _comparison(clause: Any) -> tuple[str, str]:
    if (both := getattr(clause, "and_", None)) is not None:
        return "regex", "^" + "".join(f"(?={_regex(*_comparison(one))})" for one in both)
    for theirs, ours in _COMPARISONS.items():
        if hasattr(clause, theirs):
            return ours, getattr(clause, theirs)
    raise ValueError(f"Unknown clause: {clause}")


def _regex(name: str, text: str) -> str:
    """A comparison as the beginning of a regular expression."""
    if name == "regex":
        return text.removeprefix("^") if text.startswith("^") else f".*{text}"
    if name == "starts":
        return re.escape(text)
    raise ValueError(f"{name} is not expected beside another clause.")


def _dated(prices: Any) -> list[dict[str, Any]]:
    """Prices from a day on, the newest first. Those of hours of the day are left out."""
    listed = prices if isinstance(prices, list) else [prices]
    found = []
    for one in listed:
        constraint = getattr(one, "constraint", None)
        if constraint is not None and not hasattr(constraint, "start_date"):
            continue
        start = {"from": constraint.start_date.isoformat()} if constraint else {}
        found.append({**start, **_units(getattr(one, "prices", one))})
    return sorted(
        (one for one in found if len(one) > ("from" in one)),
        key=lambda one: one.get("from", ""),
        reverse=True,
    )


def _variant(variants: Any, tier: str) -> list[dict[str, Any]]:
    return _dated([one for one in variants if one.when == {"service_tier": tier}])


def _units(price: Any) -> dict[str, Any]:
    units: dict[str, Any] = {}
    above: dict[int, dict[str, str]] = {}
    for theirs, ours in _UNITS.items():
        value = getattr(price, theirs)
        if value is None:
            continue
        units[ours] = _written(getattr(value, "base", value))
        for tier in getattr(value, "tiers", ()):
            above.setdefault(tier.start, {})[ours] = _written(tier.price)
    for theirs, ours in _PER_THOUSAND.items():
        value = getattr(price, theirs)
        if value is not None:
            units[ours] = _written(value / 1000)
    if above:
        units["above"] = [{"input_tokens": start, **prices} for start, prices in sorted(above.items())]
    return units


def _written(price: Any) -> str:
    """A price with at most 6 digits after the point: some sources are quotients of floats."""
    text = f"{round(price, 6):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


if __name__ == "__main__":
    main()
