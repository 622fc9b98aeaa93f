"""The usage that a response reports, in the members of another API.

It is read by `shared.usage.reported`, as the meter does, with the habits of each kind of provider. A figure
that the upstream does not report is absent, and not 0, unless the API requires the member.
"""

from collections.abc import Mapping
from typing import Any

from shared.translation.notes import Document
from shared.usage.reported import ReportedUsage

#: Sums by unit, as `ReportedUsage.units` returns them.
type Units = Mapping[str, int]


def units_of(api: str, kind: str, document: Any) -> Units:
    """The usage of a whole response of that API and kind of provider."""
    reported = ReportedUsage(api, kind)
    reported.add(document)
    return reported.units()


def cache_write(units: Units) -> int | None:
    """The tokens that were written to a cache; None: not reported."""
    parts = [units[name] for name in ("cache_write_5m", "cache_write_1h") if name in units]
    return sum(parts) if parts else None


def chat_usage(units: Units) -> Document | None:
    """The member `usage` of OpenAI's chat; None: nothing was reported."""
    if not units:
        return None
    prompt, completion = units.get("input", 0), units.get("output", 0)
    usage: Document = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    inputs = {"cached_tokens": units.get("input_cached"), "cache_write_tokens": cache_write(units)}
    outputs = {"reasoning_tokens": units.get("reasoning")}
    for name, details in (("prompt_tokens_details", inputs), ("completion_tokens_details", outputs)):
        if known := _known(details):
            usage[name] = known
    return usage


def messages_usage(units: Units) -> Document:
    """The member `usage` of Anthropic's messages, which requires it. Its input is without the cache."""
    cached, written = units.get("input_cached"), cache_write(units)
    usage = _known(
        {
            "input_tokens": max(units.get("input", 0) - (cached or 0) - (written or 0), 0),
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": cached,
            "output_tokens": units.get("output", 0),
        }
    )
    if "reasoning" in units:
        usage["output_tokens_details"] = {"thinking_tokens": units["reasoning"]}
    return usage


def responses_usage(units: Units) -> Document | None:
    """The member `usage` of OpenAI's responses; None: nothing was reported. It requires all details."""
    if not units:
        return None
    inputs, outputs = units.get("input", 0), units.get("output", 0)
    return {
        "input_tokens": inputs,
        "input_tokens_details": {
            "cached_tokens": units.get("input_cached", 0),
            "cache_write_tokens": cache_write(units) or 0,
        },
        "output_tokens": outputs,
        "output_tokens_details": {"reasoning_tokens": units.get("reasoning", 0)},
        "total_tokens": inputs + outputs,
    }


def _known(members: Mapping[str, int | None]) -> Document:
    return {name: value for name, value in members.items() if value is not None}
