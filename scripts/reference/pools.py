"""The page of the members of models and rules that choose among targets."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import Schema, fields, validate

from scripts.reference.page import code, page, table
from shared.core.fields import Duration, Size
from shared.documents.ai.pool import (
    MAX_HOLD,
    AffinityInput,
    BreakerInput,
    HealthInput,
    HoldInput,
    ModelRetryInput,
    RetryInput,
)
from shared.model.pools import AI_RETRY, Retry, RetryOn, Strategy
from shared.upstreams.retry_budget import FREE, RATIO, WINDOW_SECONDS

_STRATEGIES = {
    Strategy.WEIGHTED: "in turn, each as often as its `weight` says",
    Strategy.LATENCY: "of two that are drawn by weight, the one with the shorter time to the first content",
    Strategy.LEAST_BUSY: "the one with the fewest calls under way for its weight",
    Strategy.ORDER: "in the order in which they are written",
}

# The end of what is said of a duration; the page says it once.
_EITHER = ' Seconds, or text such as "10s".'


def pools_page() -> str:
    """Every member of a pool, with its default and its bounds."""
    retries = _defaults(RetryInput), _defaults(ModelRetryInput)
    words = re.findall(r"(?m)^ *([A-Z_]+): (.*)$", RetryOn.__doc__ or "")
    return page(
        "Pools",
        "A model, and a rule with `targets`, has these members beside its targets. Each may be left out, and "
        "so may each member of one. Times are seconds, or text such as `10s`. [Held and "
        "committed](../explanation/held.md) explains when another target may still be tried, and [When a "
        "target or a key fails](../how-to/providers.md#when-a-target-or-a-key-fails) says what to set.",
        "## strategy\n",
        "The order in which the targets of one priority are tried. The targets of the next priority (a "
        "larger number) are tried when none of this one can be called.",
        table(
            ("value", "the next target"),
            [(code(one) + _if_default(one is Strategy.WEIGHTED), _STRATEGIES[one]) for one in Strategy],
        ),
        "## affinity\n",
        "Keeps the calls of a conversation at one target, so that its prompt cache is used. It comes before "
        "`strategy`. A model has it by default, and a rule does not; null is none.",
        _members(AffinityInput),
        "## retry\n",
        _members(RetryInput, on=f"a rule {_listed(retries[0]['on'])}; a model {_listed(retries[1]['on'])}"),
        "The values of `on`:",
        table(
            ("value", "the failure", "rule", "model"),
            [
                (
                    code(RetryOn[name]),
                    text.removesuffix("."),
                    *[_yes(RetryOn[name], one) for one in (Retry(), AI_RETRY)],
                )
                for name, text in words
            ],
        ),
        "Further calls have a bound, so that targets which fail do not get several times the load: in each "
        f"worker, those of one model or rule are at most {RATIO * 100:g} % of its requests of the last "
        f"{WINDOW_SECONDS:g} s, and {FREE} are always allowed. Above it, the client gets the failure.",
        "## breaker\n",
        _members(BreakerInput),
        "## stream\n",
        _members(HoldInput),
        "## health\n",
        _members(HealthInput),
    )


def _members(kind: type[Schema], **defaults: str) -> str:
    found = _defaults(kind)
    return table(
        ("member", "default", "bounds", "meaning"),
        [
            (
                code(name),
                defaults.get(name) or _default_text(field, found[name]),
                "; ".join(_bounds(field)),
                field.metadata["description"].removesuffix(_EITHER),
            )
            for name, field in kind().fields.items()
        ],
    )


def _defaults(kind: type[Schema]) -> Mapping[str, Any]:
    found = {name: field.load_default for name, field in kind().fields.items()}
    return {name: value() if callable(value) else value for name, value in found.items()}


def _default_text(field: fields.Field[Any], value: Any) -> str:
    if isinstance(value, list):
        return _listed(value)
    if isinstance(field, Duration):
        return code(f"{value:g}s" if value >= 1 else f"{value * 1000:g}ms")
    return code("null" if value is None else str(value))


def _listed(values: list[Any]) -> str:
    return ", ".join(code(str(value)) for value in values)


def _bounds(field: fields.Field[Any]) -> Iterator[str]:
    if isinstance(field, Duration):
        yield f"{field.minimum:g} s to {field.maximum:g} s"
    if isinstance(field, Size):
        yield f"at most {MAX_HOLD} bytes"
    inner = field.inner if isinstance(field, fields.List) else None
    for one in field.validators:
        if isinstance(one, validate.Range):
            yield f"{one.min:g} to {one.max:g}"
        elif isinstance(one, validate.Length):
            unit = "characters" if inner is None else "values"
            yield f"{one.min} to {one.max} {unit}" if one.min else f"at most {one.max} {unit}"
        elif isinstance(one, validate.OneOf):
            yield ", ".join(map(code, one.choices))
    yield from _bounds(inner) if inner is not None and not isinstance(inner, fields.Enum) else ()


def _if_default(is_default: bool) -> str:
    return " (default)" if is_default else ""


def _yes(kind: RetryOn, retry: Retry) -> str:
    return "yes" if kind in retry.on else ""
