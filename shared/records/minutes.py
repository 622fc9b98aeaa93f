"""Figures of requests by minute, which a worker adds up in memory before Redis adds them to those of others.

A figure is a whole number under a short name:

n:<source>:<class>   requests, such as ``n:upstream:2xx``; the class is ``none`` when the client got no status
in, cached, out      tokens
cost                 nano-USD
added:<bucket>       requests whose added latency is in the bucket: the time that was not the upstream's
added_us             the sum of these, in microseconds
first:<bucket>       responses whose first byte came in the time of the bucket
first_us             the sum of these, in microseconds

The calls of providers are figures of their own, with the id of the provider first:

<provider>:n         calls
<provider>:failed    calls that failed
<provider>:429       calls that the provider limited
<provider>:<bucket>  calls that were served, by the time until their first content; buckets as for ``first``
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from shared.core.durations import HOUR_SECONDS
from shared.records.keys import ALL, calls_key, minute_key, tenants_key, total_key
from shared.records.line import AccessLine

#: The upper ends of the buckets in milliseconds; the last bucket, the fourteenth, has none.
ADDED_MS: Final = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 20.0, 50.0, 100.0, 250.0, 1_000.0)
FIRST_MS: Final = (50.0, 100.0, 150.0, 200.0, 300.0, 500.0, 750.0, 1e3, 1.5e3, 2.5e3, 5e3, 1e4, 3e4)
#: Minutes are kept for so long.
KEPT_SECONDS: Final = 25 * HOUR_SECONDS
#: The figures of calls of providers are kept for so long.
CALLS_KEPT_SECONDS: Final = HOUR_SECONDS
#: Of the calls of a provider: all, those that failed, and those that the provider limited.
CALLED, CALL_FAILED, LIMITED = "n", "failed", "429"
#: Of the figures of tenants in one hash: requests, those with a status from 500 on, those that the gateway or
#: a plugin rejected, and nano-USD.
REQUESTS, FAILED, REJECTED, COST = "n", "failed", "rejected", "cost"
# The most tenants whose figures a worker holds between two batches; the others count in the sum of all.
_MAX_TENANTS: Final = 1_000
_NANO: Final = 1_000_000_000
_TOO_MANY: Final = 429

# The target of a call, its status, whether it was served, and the bucket of its time.
type _Call = tuple[str, int, bool, int]
# The name of a figure; of a number of requests, their source and their status.
type _Figure = str | tuple[str, int | None]


class Batch(NamedTuple):
    """Figures to be added to each of the keys, which are in one slot of a Cluster. `kept` is in seconds."""

    keys: Sequence[str]
    amounts: Mapping[str, int]
    kept: int = KEPT_SECONDS


class Minutes:
    """The figures by minute of the requests since the last batch."""

    def __init__(self) -> None:
        # By tenant and minute; None: requests of no tenant, and of tenants above the bound.
        self._figures: dict[tuple[str | None, float], dict[_Figure, float]] = {}
        self._calls: dict[tuple[str | None, float], dict[_Call, int]] = {}

    def add(self, at: float, line: AccessLine) -> None:
        """Count a request that ended `at`, in seconds since the epoch. It costs few calls."""
        shown = line.members
        place = shown["tenant"], at // 60
        try:
            figures = self._figures[place]
        except KeyError:
            figures = self._begin(*place)
        figures[shown["source"], shown["status"]] += 1
        if (upstream := shown["upstream_ms"]) is not None:
            added = shown["milliseconds"] - upstream
            figures[_ADDED[bisect_left(ADDED_MS, added)]] += 1
            figures["added_us"] += 1000 * added
        if (first := shown["ttft_ms"]) is not None:
            figures[_FIRST[bisect_left(FIRST_MS, first)]] += 1
            figures["first_us"] += 1000 * first
        if ai := shown["ai"]:
            figures["in"] += ai["input"] or 0
            if cached := ai["input_cached"]:
                figures["cached"] += cached
            figures["out"] += ai["output"] or 0
            if cost := ai["cost"]:
                figures["cost"] += _NANO * float(cost)
            for one in ai["attempts"]:
                try:
                    calls = self._calls[place]
                except KeyError:
                    calls = self._begin_calls(*place)
                time = bisect_left(FIRST_MS, one["ms"])
                calls[one["target"], one["status"], one["why"] == "", time] += 1

    def _begin_calls(self, tenant: str | None, minute: float) -> dict[_Call, int]:
        if len(self._calls) >= _MAX_TENANTS:
            tenant = None
        return self._calls.setdefault((tenant, minute), defaultdict(int))

    def _begin(self, tenant: str | None, minute: float) -> dict[_Figure, float]:
        if len(self._figures) >= _MAX_TENANTS:
            tenant = None
        return self._figures.setdefault((tenant, minute), defaultdict(int))

    def take(self) -> Iterator[Batch]:
        """The batches to write, each once."""
        taken, self._figures = self._figures, {}
        for when in sorted({when for _, when in taken}):
            minute = int(when)
            everything: Counter[str] = Counter()
            of_tenants: dict[str, int] = {}
            for (tenant, other), figures in taken.items():
                if other != when:
                    continue
                amounts = _whole(figures)
                everything.update(amounts)
                if tenant is not None:
                    yield Batch((minute_key(tenant, minute), total_key(tenant)), amounts)
                    of_tenants |= {f"{name}:{tenant}": number for name, number in _summary(amounts) if number}
            yield Batch((minute_key(ALL, minute), total_key(ALL)), everything)
            if of_tenants:
                yield Batch((tenants_key(minute),), of_tenants)
        yield from self._take_calls()

    def _take_calls(self) -> Iterator[Batch]:
        taken, self._calls = self._calls, {}
        everything: dict[int, Counter[str]] = defaultdict(Counter)
        for (tenant, when), found in taken.items():
            figures = _of_providers(found)
            everything[int(when)].update(figures)
            if tenant is not None:
                yield Batch((calls_key(tenant, int(when)),), figures, CALLS_KEPT_SECONDS)
        for minute, sums in everything.items():
            yield Batch((calls_key(ALL, minute),), sums, CALLS_KEPT_SECONDS)


def _of_providers(calls: Mapping[_Call, int]) -> Counter[str]:
    """The figures of calls by providers. Clients choose the names of models, so targets are not counted."""
    figures: Counter[str] = Counter()
    for (target, status, is_served, bucket), number in calls.items():
        provider = target.partition("/")[0]
        figures[f"{provider}:{CALLED}"] += number
        figures[f"{provider}:{bucket if is_served else CALL_FAILED}"] += number
        if status == _TOO_MANY:
            figures[f"{provider}:{LIMITED}"] += number
    return figures


def _whole(figures: Mapping[_Figure, float]) -> Mapping[str, int]:
    """The figures by their names, rounded. Several sources and statuses have one name."""
    found: Counter[str] = Counter()
    for figure, number in figures.items():
        if (whole := round(number)) > 0:
            found[figure if isinstance(figure, str) else _name(*figure)] += whole
    return found


def _name(source: str, status: int | None) -> str:
    return f"n:{source.partition(':')[0]}:{'none' if status is None else f'{status // 100}xx'}"


# The names of figures, made once.
_ADDED: Final = [f"added:{bucket}" for bucket in range(len(ADDED_MS) + 1)]
_FIRST: Final = [f"first:{bucket}" for bucket in range(len(FIRST_MS) + 1)]


def requests_of(figures: Mapping[str, int], *, statuses: str = "", but: str = "") -> int:
    """The requests in figures: all, or those of a class such as ``5xx``; without those of the source `but`.

    >>> requests_of({"n:upstream:2xx": 3, "n:plugin:4xx": 2, "in": 700}), requests_of({}, statuses="5xx")
    (5, 0)
    """
    found = 0
    for name, number in figures.items():
        kind, _, rest = name.partition(":")
        source, _, status = rest.partition(":")
        if kind == "n" and statuses in ("", status) and source != but:
            found += number
    return found


def _summary(figures: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """The figures of a tenant in the hash of all tenants."""
    yield REQUESTS, requests_of(figures)
    yield FAILED, requests_of(figures, statuses="5xx")
    yield REJECTED, requests_of(figures, statuses="4xx", but="upstream")
    yield COST, figures.get("cost", 0)
