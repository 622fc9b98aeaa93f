"""The sums, quantiles and series for Prometheus that follow from the figures of minutes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from shared.metrics import names
from shared.metrics.names import Family
from shared.records.minutes import ADDED_MS, FIRST_MS, requests_of

Figures = Mapping[str, int]

_CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx", "none")
_SOURCES: Final = ("gateway", "plugin", "upstream")
# Here they are of a tenant, over all models and parts.
_HISTOGRAMS: Final = {
    "added": (names.OVERHEAD, "Time of requests that was not the upstream's."),
    "first": (names.FIRST_TOKEN, "From the request to the first byte of the body."),
}
_NANO: Final = 1_000_000_000


def total(figures: Iterable[Figures]) -> Figures:
    """The sum of several figures."""
    found: Counter[str] = Counter()
    for one in figures:
        found.update(one)
    return found


def quantile(figures: Figures, name: str, ends: Sequence[float], share: float) -> float | None:
    """The value below which this share of the measured values lies, in milliseconds; None without any.

    It is exact to the bucket, and estimated within it. Above the last end it is that end.

    >>> quantile({"first:0": 50, "first:1": 50}, "first", (50.0, 100.0), 0.75)
    75.0
    """
    counts = [figures.get(f"{name}:{bucket}", 0) for bucket in range(len(ends) + 1)]
    rank, below = share * sum(counts), 0
    for bucket, count in enumerate(counts):
        if count and below + count >= rank:
            if bucket == len(ends):
                break
            begin = ends[bucket - 1] if bucket else 0.0
            return round(begin + (ends[bucket] - begin) * (rank - below) / count, 3)
        below += count
    return ends[-1] if any(counts) else None


def document(figures: Figures) -> dict[str, Any]:
    """The figures of a span of time as JSON."""
    return {
        "requests": requests_of(figures),
        "classes": {one: requests_of(figures, statuses=one) for one in _CLASSES},
        "failed": {
            one: sum(figures.get(f"n:{one}:{status}xx", 0) for status in range(5, 10)) for one in _SOURCES
        },
        "rejected": requests_of(figures, statuses="4xx", but="upstream"),
        "input": figures.get("in", 0),
        "cached": figures.get("cached", 0),
        "output": figures.get("out", 0),
        "cost_usd": f"{figures.get('cost', 0) / _NANO:.9f}".rstrip("0").rstrip("."),
        "added_ms": _quantiles(figures, "added", ADDED_MS),
        "ttft_ms": _quantiles(figures, "first", FIRST_MS),
    }


def _quantiles(figures: Figures, name: str, ends: Sequence[float]) -> dict[str, float | None]:
    return {f"p{share}": quantile(figures, name, ends, share / 100) for share in (50, 95, 99)}


def exposition(figures: Figures, tenant: str) -> str:
    """The figures as Prometheus reads them, for one tenant."""
    return "".join(f"{line}\n" for line in _lines(figures, f'tenant="{tenant}"'))


def _lines(figures: Figures, label: str) -> Iterator[str]:
    requests, tokens, cost = names.REQUESTS, names.TOKENS, names.COST
    yield from _head(requests, "Requests that are over.")
    for name, number in sorted(figures.items()):
        kind, _, rest = name.partition(":")
        if kind == "n":
            source, _, status = rest.partition(":")
            yield f'{requests.name}{{{label},status="{status}",source="{source}"}} {number}'
    yield from _head(tokens, "Tokens; cached ones are part of input.")
    for name, kind in (("in", "input"), ("cached", "cached"), ("out", "output")):
        yield f'{tokens.name}{{{label},type="{kind}"}} {figures.get(name, 0)}'
    yield from _head(cost, "Cost in USD, as far as prices are known.")
    yield f"{cost.name}{{{label}}} {figures.get('cost', 0) / _NANO:.9f}"
    yield from _histogram(figures, "added", ADDED_MS, label)
    yield from _histogram(figures, "first", FIRST_MS, label)


def _head(family: Family, meaning: str) -> Iterator[str]:
    yield f"# HELP {family.name} {meaning}"
    yield f"# TYPE {family.name} {family.kind}"


def _histogram(figures: Figures, name: str, ends: Sequence[float], label: str) -> Iterator[str]:
    family, meaning = _HISTOGRAMS[name]
    series = family.name
    yield from _head(family, meaning)
    below = 0
    for bucket in range(len(ends) + 1):
        below += figures.get(f"{name}:{bucket}", 0)
        end = f"{ends[bucket] / 1000:g}" if bucket < len(ends) else "+Inf"
        yield f'{series}_bucket{{{label},le="{end}"}} {below}'
    yield f"{series}_sum{{{label}}} {figures.get(f'{name}_us', 0) / 1_000_000:.6f}"
    yield f"{series}_count{{{label}}} {below}"
